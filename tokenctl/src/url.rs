//! `tokenctl url`: sign a link.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use token::credential::{Found, argument};
use token::link::{Link, LinkAlgorithm, LinkSecret, Plain};

use crate::link::LinkText;
use crate::options::{LinkNames, link_algorithm};
use crate::output;
use crate::secret::SecretArgs;
use crate::time;

const EXAMPLES: &str = "\
Examples:
  tokenctl url --secret mysecretkey --lifetime 1h /video/clip.mp4
  tokenctl url --secret mysecretkey --alg md5 'https://cdn.example/a.mp4?quality=high'
  tokenctl url --secret mysecretkey --value '/a.mp4 192.0.2.7' /a.mp4
      (for secure_token_value \"$uri $remote_addr\")

What is signed without --value is the path as nginx's $uri has it: percent-decoded, with dot
segments resolved and repeated slashes merged; without the query and the host.";

/// Sign a link for secure_token and print it
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    secret: SecretArgs,
    /// hmac-sha256, or Azion's form md5: md5(secret + value + expires)
    #[arg(long, value_name = "hmac-sha256|md5", value_parser = link_algorithm,
        default_value = "hmac-sha256")]
    alg: LinkAlgorithm,
    /// From now to the expiry: 90s, 5m, 1h30m, 7d; -1h for a link that has expired. Default: 1h
    #[arg(long, value_name = "TIME", value_parser = time::duration, allow_hyphen_values = true,
        conflicts_with = "expires")]
    lifetime: Option<i64>,
    /// The expiry in Unix time, ten digits
    #[arg(long, value_name = "UNIX")]
    expires: Option<String>,
    #[command(flatten)]
    names: LinkNames,
    /// What is signed, as secure_token_value makes it; default: the path
    #[arg(long, value_name = "STRING", allow_hyphen_values = true)]
    value: Option<String>,
    /// The link to sign, with or without a query
    #[arg(value_name = "PATH_OR_URL")]
    link: String,
}

const DEFAULT_LIFETIME: i64 = 3600;

/// Signs and prints.
pub(crate) fn run(args: &Args, now: i64) -> Result<ExitCode> {
    let link = sign(args, now)?;
    output::print(&format!("{link}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn sign(args: &Args, now: i64) -> Result<String> {
    let secret = args.secret.bytes()?.context("what signs? Give --secret or --secret-file")?;
    let secret = LinkSecret::new(&secret).context("the secret is empty")?;
    let signer = Plain::new([secret], &[]);
    let expires = match &args.expires {
        Some(text) => text.clone(),
        None => now.saturating_add(args.lifetime.unwrap_or(DEFAULT_LIFETIME)).to_string(),
    };
    if Link::new(b"", expires.as_bytes()).is_err() {
        bail!(
            "the expiry {expires} is refused in a link: it must be Unix time of exactly ten \
             digits, none of them leading zeros (years 2001 to 2286)"
        );
    }
    let link = LinkText::parse(&args.link)?;
    let LinkNames { sig_arg, expires_arg } = &args.names;
    for name in [sig_arg, expires_arg] {
        let separates = |c: char| c.is_whitespace() || c.is_control() || "&=;#?%+".contains(c);
        if name.is_empty() || name.contains(separates) {
            bail!("{name:?} cannot be the name of an argument");
        }
    }
    let value = match &args.value {
        Some(value) => value.clone().into_bytes(),
        None => link.uri()?,
    };
    let signature = signer.sign(args.alg, &value, expires.as_bytes());
    let signed = link.with_arguments(&format!("{sig_arg}={signature}&{expires_arg}={expires}"));
    // As the module will read it: no other argument may have one of these names, in any spelling.
    let query = LinkText::parse(&signed)?.query.unwrap_or_default();
    for name in [sig_arg, expires_arg] {
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
        sign(&Cli::try_parse_from(all)?.args, 1_470_051_400)
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
