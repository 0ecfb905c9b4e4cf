//! `tokenctl url`: sign a link.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::{Map, json};
use token::credential::{Found, argument};
use token::link::{FormatSettings, LinkAlgorithm, Order, Value};

use crate::files;
use crate::link::LinkText;
use crate::options::{LinkNames, link_algorithm};
use crate::output;
use crate::scheme::{Scheme, SchemeArgs};
use crate::secret::SecretArgs;
use crate::time::{self, Moment};

const EXAMPLES: &str = "\
Examples:
  tokenctl url --secret mysecretkey --lifetime 1h /video/clip.mp4
  tokenctl url --secret mysecretkey --alg md5 'https://cdn.example/a.mp4?quality=high'
  tokenctl url --secret mysecretkey --value '/a.mp4 192.0.2.7' /a.mp4
      (for secure_token_value \"$uri $remote_addr\")
  tokenctl url --format akamai --secret 77704f5541417a7a73666236 --covers '/hls/*' /hls/a.m3u8
  curl -H \"$(tokenctl url --format akamai --secret-file key.hex --cookie /a)\" https://cdn.example/a
  tokenctl url --format bunny,address=required --secret SecurityKey --address 192.0.2.7 /a.jpg
  tokenctl url --hash md5 --text '$secure_token_expires$uri192.0.2.7 $secure_token_key' \\
      --secret mysecretkey --sig-arg md5 --expires-arg expires /s/a.mp4
      (for secure_token_md5 \"$secure_token_expires$uri$remote_addr $secure_token_key\")

What is signed without --value is the path as nginx's $uri has it: percent-decoded, with dot
segments resolved and repeated slashes merged; without the query and the host, unless the format
signs whole URLs.";

/// Sign a link for secure_token and print it
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    secret: SecretArgs,
    /// The private key, PEM or a JWK, for formats that have key pairs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret", "secret_file"])]
    key: Option<PathBuf>,
    #[command(flatten)]
    scheme: SchemeArgs,
    /// As secure_token_algorithm. Default: that of the format. Of plain, hmac-sha256, or Azion's form md5:
    /// md5(secret + value + expires)
    #[arg(long, value_name = "ALG", value_parser = link_algorithm, conflicts_with = "hash")]
    alg: Option<LinkAlgorithm>,
    /// From now to the expiry: 90s, 5m, 1h30m, 7d; -1h for a link that has expired. Default: 1h
    #[arg(long, value_name = "TIME", value_parser = time::duration, allow_hyphen_values = true,
        conflicts_with_all = ["expires", "valid"])]
    lifetime: Option<i64>,
    /// The expiry: Unix time, RFC 3339 or a time from now
    #[arg(long, value_name = "TIME", value_parser = Moment::parse, conflicts_with = "valid")]
    expires: Option<Moment>,
    /// The first second in which the link is valid: Unix time, RFC 3339 or a time from now. With --valid, the
    /// time at which it was made. Default: none; now
    #[arg(long, value_name = "TIME", value_parser = Moment::parse, allow_hyphen_values = true)]
    starts: Option<Moment>,
    /// What the link covers, if that is more than its path: an ACL, a prefix, a resource, as the format
    /// writes it
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    covers: Option<String>,
    /// The client's address or network, for a link that is for nobody else
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Whom or what the link names
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    id: Option<String>,
    /// What the link holds besides
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    data: Option<String>,
    /// Print the header line with the cookies that stand for the link, in place of the link
    #[arg(long)]
    cookie: bool,
    /// Print one line of JSON: link and arguments, or cookies; and time, the expiry or with --valid the time
    /// at which the link was made
    #[arg(long)]
    json: bool,
    /// The link to sign, with or without a query
    #[arg(value_name = "PATH_OR_URL")]
    link: String,
}

const DEFAULT_LIFETIME: i64 = 3600;

/// What has been signed.
struct Signed {
    /// The link; with `--cookie`, as it was given.
    link: String,
    /// The arguments or cookies.
    made: Vec<(String, String)>,
    /// The expiry, or the time at which it was made.
    time: i64,
}

/// Signs and prints.
pub(crate) fn run(args: &Args, now: i64) -> Result<ExitCode> {
    let signed = sign(args, now)?;
    output::print(&signed.text(args))?;
    Ok(ExitCode::SUCCESS)
}

impl Signed {
    fn text(&self, args: &Args) -> String {
        let pairs = |between| {
            let pairs = self.made.iter().map(|(name, value)| format!("{name}={value}"));
            pairs.collect::<Vec<_>>().join(between)
        };
        if !args.json {
            return match args.cookie {
                true => format!("Cookie: {}\n", pairs("; ")),
                false => format!("{}\n", self.link),
            };
        }
        let members = self.made.iter().map(|(name, value)| (name.clone(), json!(value)));
        let members: Map<_, _> = members.collect();
        let json = match args.cookie {
            true => json!({ "cookies": members, "time": self.time }),
            false => json!({ "link": self.link, "arguments": members, "time": self.time }),
        };
        output::printable_json(&format!("{json}\n"))
    }
}

fn sign(args: &Args, now: i64) -> Result<Signed> {
    let scheme = args.scheme.scheme()?;
    let kid = args.scheme.kid.as_deref();
    let secret = args.secret.of_link(args.scheme.secret_encoding()?, kid)?;
    let key = args.key.as_deref().map(files::read).transpose()?;
    if scheme.needs_secret() && secret.is_none() && key.is_none() {
        bail!(
            "what signs? Give --secret or --secret-file, or --key in formats that have key pairs"
        );
    }
    let settings = FormatSettings {
        secrets: secret.as_slice(),
        accepted: args.alg.as_slice(),
        // No public key is needed to make a link.
        has_keys: true,
        private_key: key.as_deref().map(|text| (text, kid)),
        options: &[],
    };
    let link = LinkText::parse(&args.link)?;
    let times = Times::of(args, &scheme, now)?;
    let format = scheme.judge(&settings)?;
    let origin = args.scheme.origin(&link)?.unwrap_or_default();
    let uri = link.uri()?;
    let value = args.scheme.value(&link, format.value())?;
    let query = link.query.unwrap_or_default();
    let order = Order {
        origin: if format.value() == Value::Address { &origin } else { "" },
        path: link.path,
        value: value.as_deref(),
        // The `&` that it may end with stands before the arguments in any case.
        query: query.strip_suffix('&').unwrap_or(query),
        expires: times.expires,
        starts: times.starts,
        covers: args.covers.as_deref(),
        address: args.address.as_deref(),
        id: args.id.as_deref(),
        data: args.data.as_deref(),
    };
    let mut made = scheme.sign(&settings, &order, &uri, args.cookie)?;
    if args.cookie {
        return Ok(Signed { link: args.link.clone(), made, time: times.expires });
    }
    if format.is_pair() {
        let LinkNames { sig_arg, expires_arg } = &args.scheme.names;
        for ((name, _), other) in made.iter_mut().zip([sig_arg, expires_arg]) {
            name.clone_from(other);
        }
    }
    let link = with_arguments(&link, &made)?;
    Ok(Signed { link, made, time: times.expires })
}

/// The times of a link, in seconds since the epoch.
struct Times {
    /// The last second in which it is valid, or the time at which it was made.
    expires: i64,
    starts: Option<i64>,
}

impl Times {
    fn of(args: &Args, scheme: &Scheme, now: i64) -> Result<Self> {
        let starts = args.starts.map(|at| at.resolve(now));
        if scheme.carries_time_made() {
            return Ok(Self { expires: starts.unwrap_or(now), starts: None });
        }
        let lifetime = args.lifetime.unwrap_or(DEFAULT_LIFETIME);
        let expires = args.expires.map_or(now.saturating_add(lifetime), |at| at.resolve(now));
        Ok(Self { expires, starts })
    }
}

/// The link with its arguments, which the module will find there.
fn with_arguments(link: &LinkText<'_>, made: &[(String, String)]) -> Result<String> {
    for (name, _) in made {
        let separates = |c: char| c.is_whitespace() || c.is_control() || "&=;#?%+".contains(c);
        if name.is_empty() || name.contains(separates) {
            bail!("{name:?} cannot be the name of an argument");
        }
    }
    let arguments = made.iter().map(|(name, value)| format!("{name}={value}"));
    let signed = link.with_arguments(&arguments.collect::<Vec<_>>().join("&"));
    // As the module will read it: no other argument may have one of these names, in any spelling.
    let query = LinkText::parse(&signed)?.query.unwrap_or_default();
    for (name, _) in made {
        if !matches!(argument(query.as_bytes(), name.as_bytes()), Found::One(_)) {
            bail!("the argument {name} would stand more than once, perhaps in another spelling");
        }
    }
    Ok(signed)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn signed(words: &[&str]) -> Result<String> {
        let all = ["url", "--secret", "mysecret", "--alg", "md5"].iter().chain(words);
        Ok(sign(&Cli::try_parse_from(all)?.args, 1_470_051_400)?.link)
    }

    const AZION: &str = "/my/uri?st=m6WCATfRgS_5lcyChCPgrw&e=1470055000";

    #[test]
    fn azions_published_link() {
        assert_eq!(signed(&["--expires", "1470055000", "/my/uri"]).unwrap(), AZION);
        assert_eq!(signed(&["/my/uri"]).unwrap(), AZION);
        assert_eq!(
            signed(&["https://h/my//./%75ri?a=b"]).unwrap(),
            "https://h/my//./%75ri?a=b&st=m6WCATfRgS_5lcyChCPgrw&e=1470055000"
        );
        assert_eq!(
            signed(&["--value", "/my/uri", "--sig-arg", "s", "--expires-arg", "x", "/"]).unwrap(),
            "/?s=m6WCATfRgS_5lcyChCPgrw&x=1470055000"
        );
    }

    #[test]
    fn what_would_be_refused_is_not_signed() {
        for bad in [
            &["--expires", "147005500", "/a"][..],
            &["--expires", "0147005500", "/a"],
            &["--expires", "147005500x", "/a"],
            &["--lifetime", "-100y", "/a"],
            &["/a?st=x"],
            &["/a?s%74=x"],
            &["/a?ST=x"],
            &["--sig-arg", "e", "--expires-arg", "e", "/a"],
            &["--sig-arg", "A", "--expires-arg", "a", "/a"],
            &["/a?e"],
            &["a"],
            &["/a b"],
        ] {
            assert!(signed(bad).is_err(), "{bad:?}");
        }
    }
}
