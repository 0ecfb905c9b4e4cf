//! `tokenctl inspect`: what a token or a link contains, and whether and why it would be refused.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use token::jwe::{DecryptionKeys, load_decryption_keys};
use token::link::LinkKeys;
use token::{Algorithm, AlgorithmSet, Forms, Issuers, Key, Policy, Requirements};

use crate::files;
use crate::inspect_link;
use crate::inspect_token::{Demands, Judged};
use crate::keyring::Keys;
use crate::options::algorithm;
use crate::output;
use crate::rules::{Rule, revoked};
use crate::scheme::SchemeArgs;
use crate::secret::SecretArgs;
use crate::time::{self, Moment};

const EXAMPLES: &str = "\
Examples:
  tokenctl inspect \"$token\"                              what it says, unverified
  tokenctl inspect \"$token\" --keys keys.json --issuer https://login.example
  tokenctl inspect - --kids azion-args.json < token.txt
  tokenctl inspect \"$token\" --keys keys.json --claim 'roles any admin' --revoked jti:revoked.txt
  tokenctl inspect \"$token\" --keys keys.json --uri https://cdn.example.com/film/1.ts
  tokenctl inspect \"$token\" --keys keys.json --json | jq -r .reason
  tokenctl inspect \"$token\" --keys keys.json --decryption-key edge.pem
  tokenctl inspect '/video/a.mp4?st=…&e=…' --secret mysecretkey
  tokenctl inspect '/hls/a.m3u8?hdnts=…' --format akamai --secret 77704f5541417a7a73666236
  tokenctl inspect /hls/a.ts --format akamai --cookie 'hdntl=…' --address 192.0.2.7

The exit status is 0 for what is accepted, or only shown because no key was given; 1 for what is
refused; 2 for a mistake in the call or in a file. The verdict is the word of $jwt_status or
$secure_token_status.";

/// Show what a token or a signed link says, and whether and why it would be refused
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A token, a signed link, or - for standard input
    #[arg(value_name = "TOKEN|LINK|-")]
    target: String,
    /// As jwks_file and secure_token_keys: a JWK Set, a JWK, PEM by kid or PEM, with a kid for a key that has none; repeatable
    #[arg(long, value_name = "FILE[:KID]", help_heading = "Keys")]
    keys: Vec<String>,
    /// As jwt_kids_file: secrets by kid; repeatable
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
    kids: Vec<PathBuf>,
    #[command(flatten, next_help_heading = "Keys")]
    secret: SecretArgs,
    /// As jwt_decryption_key: a private key or a secret that decrypts the token, with a kid for one that has none;
    /// repeatable. Encrypted tokens are accepted then, whether they are signed too or not
    #[arg(long, value_name = "FILE[:KID]", help_heading = "Keys")]
    decryption_key: Vec<String>,
    /// As jwt_type: the forms of tokens that are accepted; repeatable. Default: signed ones, and with --decryption-key all
    #[arg(long = "type", value_name = "FORM", value_delimiter = ',', help_heading = "Rules",
        value_parser = ["signed", "encrypted", "nested"])]
    types: Vec<String>,
    /// Accepted algorithms, as jwt_algorithms or secure_token_algorithm; repeatable
    #[arg(long, value_name = "ALG", value_delimiter = ',', help_heading = "Rules")]
    alg: Vec<String>,
    /// Accepted iss, or a pattern after ~; repeatable
    #[arg(long, value_name = "VALUE", help_heading = "Rules")]
    issuer: Vec<Box<str>>,
    /// Accepted aud; repeatable
    #[arg(long, value_name = "VALUE", help_heading = "Rules")]
    audience: Vec<Box<str>>,
    /// Accepted typ of the header; repeatable
    #[arg(long, value_name = "VALUE", help_heading = "Rules")]
    typ: Vec<Box<str>>,
    /// Clock skew allowed for exp and nbf
    #[arg(long, value_name = "TIME", value_parser = time::positive_duration, default_value = "0",
        help_heading = "Rules")]
    leeway: i64,
    /// Accept sections padded with =, as jwt_padding
    #[arg(long, help_heading = "Rules")]
    padding: bool,
    /// Refuse a token without exp
    #[arg(long, help_heading = "Rules")]
    require_exp: bool,
    /// The longest time accepted from iat to exp
    #[arg(long, value_name = "TIME", value_parser = time::positive_duration,
        help_heading = "Rules")]
    max_lifetime: Option<i64>,
    /// A rule as jwt_claim has it, such as 'roles any admin'; repeatable
    #[arg(long, value_name = "RULE", allow_hyphen_values = true, help_heading = "Rules")]
    claim: Vec<String>,
    /// A list as jwt_revoked has it; repeatable
    #[arg(long, value_name = "CLAIM:FILE", help_heading = "Rules")]
    revoked: Vec<String>,
    /// The URI that is asked for, with the token or without: judge the token as jwt_uri_signing does where a
    /// jwt_sign_key is in force
    #[arg(long, value_name = "URI", help_heading = "Rules")]
    uri: Option<String>,
    /// Judge as if it were this time: Unix time, RFC 3339 or a time from now
    #[arg(long, value_name = "TIME", value_parser = Moment::parse, allow_hyphen_values = true,
        help_heading = "Rules")]
    at: Option<Moment>,
    /// Print one line of JSON: verdict, reason (as in the log; of a rule only "denied") and why; of a token header
    /// and payload, of a link its parts
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten, next_help_heading = "Links")]
    scheme: SchemeArgs,
    /// The client's address
    #[arg(long, value_name = "ADDRESS", help_heading = "Links")]
    address: Option<IpAddr>,
    /// A Cookie line of the request, with or without its name; repeatable
    #[arg(long, value_name = "LINE", help_heading = "Links")]
    cookie: Vec<String>,
    /// Another header line of the request; repeatable
    #[arg(long, value_name = "NAME: VALUE", help_heading = "Links")]
    header: Vec<String>,
    /// The text of the link, if it is a part of the path or in a header (secure_token_source)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Links")]
    token: Option<String>,
}

/// Inspects and prints; the exit status depends on the verdict.
pub(crate) fn run(args: &Args, now: i64) -> Result<ExitCode> {
    let target = match args.target.as_str() {
        "-" => String::from_utf8(files::read(Path::new("-"))?)
            .ok()
            .context("standard input is not text")?,
        given => given.to_owned(),
    };
    let now = args.at.map_or(now, |at| at.resolve(now));
    let (text, accepted) = match target.trim() {
        link if inspect_link::is_link(link) => {
            reject_token_options(args)?;
            report_link(args, link, now)?
        }
        token => {
            reject_link_options(args)?;
            report(args, without_scheme(token), now)?
        }
    };
    output::print(&output::printable(&text))?;
    Ok(ExitCode::from(u8::from(!accepted)))
}

/// A token without the name of the header and the scheme, if it was copied from a header line.
fn without_scheme(text: &str) -> &str {
    fn after<'t>(text: &'t str, prefix: &str) -> &'t str {
        match text.split_at_checked(prefix.len()) {
            Some((start, rest)) if start.eq_ignore_ascii_case(prefix) => rest.trim_start(),
            _ => text,
        }
    }
    after(after(text, "authorization:"), "bearer ")
}

fn reject_token_options(args: &Args) -> Result<()> {
    let given = !args.kids.is_empty()
        || !args.decryption_key.is_empty()
        || !args.types.is_empty()
        || !args.issuer.is_empty()
        || !args.audience.is_empty()
        || !args.typ.is_empty()
        || args.leeway != 0
        || args.padding
        || args.require_exp
        || args.max_lifetime.is_some()
        || !args.claim.is_empty()
        || !args.revoked.is_empty()
        || args.uri.is_some();
    if given {
        bail!(
            "this is a link; of the options only --secret, --keys, --alg, --at, --json and those of links are for it"
        );
    }
    Ok(())
}

fn reject_link_options(args: &Args) -> Result<()> {
    let lines = [&args.cookie, &args.header].iter().any(|lines| !lines.is_empty());
    if args.scheme.is_any() || args.address.is_some() || lines || args.token.is_some() {
        bail!("this is a token, and an option is for links: a link begins with / or https://");
    }
    Ok(())
}

/// The text to print for a link, and whether it was accepted or only shown.
fn report_link(args: &Args, link: &str, now: i64) -> Result<(String, bool)> {
    let encoding = args.scheme.secret_encoding()?;
    let demands = inspect_link::Demands {
        scheme: &args.scheme,
        alg: &args.alg,
        secret: args.secret.of_link(encoding, args.scheme.kid.as_deref())?,
        keys: link_keys(&args.keys)?,
        client: args.address,
        cookies: &args.cookie,
        headers: &args.header,
        token: args.token.as_deref(),
    };
    let judged = inspect_link::Judged::new(link, &demands, now)?;
    let text = if args.json { judged.json() } else { judged.text() };
    Ok((text, judged.accepted()))
}

/// The public keys of links, if any are given.
fn link_keys(files: &[String]) -> Result<Option<LinkKeys>> {
    let mut all = Vec::with_capacity(files.len());
    for given in files {
        let (path, kid) = file_and_kid(given)?;
        let loaded = LinkKeys::load(&files::read(path)?, kid);
        let (keys, warnings) = loaded.with_context(|| path.display().to_string())?;
        for warning in warnings {
            output::warn(&format!("{}: {warning}", path.display()));
        }
        all.push(Arc::new(keys));
    }
    Ok((!all.is_empty()).then(|| LinkKeys::joined(all)))
}

/// `FILE[:KID]`.
fn file_and_kid(given: &str) -> Result<(&Path, Option<&str>)> {
    files::refuse_url(given).context("--keys")?;
    Ok(match given.rsplit_once(':') {
        Some((path, kid)) if !Path::new(given).exists() => (Path::new(path), Some(kid)),
        _ => (Path::new(given), None),
    })
}

fn load(args: &Args) -> Result<Keys> {
    let mut keys = Keys::default();
    for given in &args.keys {
        let (path, kid) = file_and_kid(given)?;
        keys.add_file(path, token::load_keys(&files::read(path)?, kid))?;
    }
    for path in &args.kids {
        keys.add_file(path, token::load_kids(&files::read(path)?))?;
    }
    if let Some(secret) = args.secret.bytes()? {
        keys.add(vec![Key::hmac(&secret, AlgorithmSet::ALL)?]);
        keys.secret = Some(secret);
    }
    Ok(keys)
}

/// The forms of tokens that are accepted: encrypted ones too if there are keys that decrypt.
fn forms(args: &Args) -> Result<Forms> {
    let mut keys = Vec::new();
    for given in &args.decryption_key {
        let (path, kid) = file_and_kid(given)?;
        let loaded = load_decryption_keys(&files::read(path)?, kid)
            .with_context(|| path.display().to_string())?;
        for warning in loaded.warnings {
            output::warn(&format!("{}: {warning}", path.display()));
        }
        keys.extend(loaded.keys);
    }
    let decrypts = !keys.is_empty();
    let keys = decrypts.then(|| Arc::new(DecryptionKeys::new(keys))).into_iter().collect();
    let accepts = |form: &str, otherwise| match args.types.is_empty() {
        true => otherwise,
        false => args.types.iter().any(|one| one == form),
    };
    Ok(Forms {
        signed: accepts("signed", true),
        encrypted: accepts("encrypted", decrypts),
        nested: accepts("nested", decrypts),
        keys,
    })
}

fn policy(args: &Args, keys: &Keys) -> Result<Policy> {
    let algorithms: Result<Vec<Algorithm>, _> =
        args.alg.iter().map(|name| algorithm(name)).collect();
    let algorithms = algorithms.map_err(|want| anyhow::anyhow!("--alg: want {want}"))?;
    let issuers = Issuers::new(args.issuer.iter().map(AsRef::as_ref)).context("--issuer")?;
    let rules = !algorithms.is_empty()
        || !args.issuer.is_empty()
        || !args.audience.is_empty()
        || !args.typ.is_empty()
        || args.require_exp
        || args.max_lifetime.is_some()
        || !args.claim.is_empty()
        || !args.revoked.is_empty();
    let requirements = Requirements {
        issuers,
        audiences: args.audience.clone().into(),
        types: args.typ.clone().into(),
        require_exp: args.require_exp,
        max_lifetime: args.max_lifetime,
    };
    let policy = Policy {
        keys: keys.sets.clone(),
        algorithms: (!algorithms.is_empty()).then(|| algorithms.into_iter().collect()),
        leeway: args.leeway,
        padding: args.padding,
        requirements: vec![requirements],
        revoked: args
            .revoked
            .iter()
            .map(|text| revoked(text))
            .collect::<Result<_>>()
            .context("--revoked")?,
        forms: forms(args)?,
    };
    if policy.keys.is_empty() && policy.forms.keys.is_empty() && rules {
        bail!("rules are judged after the signature: give --keys, --kids or --secret as well");
    }
    Ok(policy)
}

/// The text to print for a token, and whether it was accepted or only shown.
fn report(args: &Args, token: &str, now: i64) -> Result<(String, bool)> {
    let keys = load(args)?;
    let rules = args.claim.iter().map(|text| Rule::parse(text).with_context(|| text.clone()));
    let rules = rules.collect::<Result<_>>().context("--claim")?;
    let policy = policy(args, &keys)?;
    let uri = args.uri.as_deref();
    let demands = Demands { policy, rules, lists: &args.revoked, uri, keys };
    let judged = Judged::new(token, &demands, now);
    let text = if args.json { judged.json() } else { judged.text() };
    Ok((text, judged.accepted()))
}

#[cfg(test)]
mod tests {
    use token::{KeySet, Refusal, Reject};

    use super::*;

    #[test]
    fn the_scheme_is_dropped() {
        for text in ["a.b.c", "Bearer a.b.c", "bearer  a.b.c", "Authorization: Bearer a.b.c"] {
            assert_eq!(without_scheme(text), "a.b.c");
        }
        assert_eq!(without_scheme(""), "");
    }

    /// Without a key a token is told as malformed exactly if the core refuses it as malformed, in the same
    /// words.
    #[test]
    fn the_form_is_judged_alike_with_a_key_and_without() {
        let key = Key::hmac(b"s", AlgorithmSet::ALL).unwrap();
        let policy = Policy { keys: vec![Arc::new(KeySet::new(vec![key]))], ..Policy::default() };
        let secret = token::sign::PrivateKey::from_secret(b"s").unwrap();
        let is_form = |refusal: &Refusal| {
            refusal.reason == Reject::Malformed || refusal.detail.contains("no algorithm known")
        };
        let agree = |token: &str| {
            let with_key = policy.check(token.as_bytes(), 0).err().filter(is_form);
            assert_eq!(policy.check_form(token.as_bytes()).err(), with_key, "{token}");
        };
        let mut values: Vec<String> = [
            "null", "true", "1", "-1", "1.5", "1e999", "\"a\"", "\"\"", "[]", "[\"a\"]", "{}", "x",
        ]
        .map(str::to_owned)
        .into();
        values.push("[".repeat(40) + &"]".repeat(40));
        values.push(format!("\"{}\"", "a".repeat(7000)));
        let signed = |header: &str, payload: &str| {
            let encode = |text: &str| token::base64url::encode(text);
            let input = format!("{}.{}", encode(header), encode(payload));
            let signature = secret.sign(Algorithm::HS256, input.as_bytes()).unwrap();
            format!("{input}.{}", token::base64url::encode(signature))
        };
        for value in &values {
            for name in ["kid", "typ", "crit", "b64", "alg", "jwk", "x5t", "x"] {
                let member = format!("\"{name}\":{value}");
                agree(&signed(&format!("{{\"alg\":\"HS256\",{member}}}"), "{}"));
                if name != "alg" {
                    agree(&signed(&format!("{{{member}}}"), "{}"));
                }
            }
            for name in ["iss", "sub", "jti", "aud", "exp", "nbf", "iat", "x"] {
                agree(&signed(r#"{"alg":"HS256"}"#, &format!("{{\"{name}\":{value}}}")));
            }
            agree(&signed(r#"{"alg":"HS256"}"#, value));
            agree(&signed(value, "{}"));
        }
        let good = signed(r#"{"alg":"HS256"}"#, "{}");
        agree(&good);
        for bad in ["", ".", "a.b", "a..c", "a.b.c.d.e", "{}", "e30=.e30.AAAA", "e30.e30.AA="] {
            agree(bad);
        }
        agree(&signed(&format!("{{\"alg\":\"HS256\",\"x\":\"{}\"}}", "a".repeat(9000)), "{}"));
        agree(&signed(r#"{"alg":"HS256"}"#, &format!("{{\"x\":\"{}\"}}", "a".repeat(70_000))));
    }
}
