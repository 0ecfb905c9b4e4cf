//! `tokenctl jwt`: mint a token.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use token::Algorithm;
use token::json::Document;
use token::sign::{Json, KeyFile, Members};

use crate::files;
use crate::key_file;
use crate::options::algorithm;
use crate::output;
use crate::secret::SecretArgs;
use crate::time::{self, Moment};

const EXAMPLES: &str = "\
Examples:
  tokenctl jwt --secret mysecret --kid web --sub alice --lifetime 5m
  tokenctl jwt --alg RS256 --key key.pem --kid 2026-01 --iss https://login.example --aud api
  tokenctl jwt --key key.jwk.json --claim 'roles=[\"admin\",\"dev\"]' --claim level=3
  tokenctl jwt --key key.pem --claim 'cdniuc=regex:https://cdn\\.example\\.com/film/.*'   (for jwt_uri_signing)
  tokenctl jwt --secret-file secret.txt --claims-file claims.json --lifetime -1h   (has expired)

VALUE is taken as JSON where it is JSON, as a string otherwise: level=3 is a number, level='\"3\"' a
string. Numbers keep their digits. Later sources win: --claims-file, then the options named after claims, then --claim.";

/// Mint a JSON Web Token and print it
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// HS256 to HS512 with a secret; RS, PS, ES with 256, 384, 512, EdDSA, or ML-DSA with 44, 65, 87
    /// with a private key.
    /// Default: what goes with the key, RS256 for RSA, ES256 for P-256, HS256 for a secret
    #[arg(long, value_parser = algorithm)]
    alg: Option<Algorithm>,
    #[command(flatten)]
    secret: SecretArgs,
    /// The private key: PEM (PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY), a JWK, or a JWK Set of which
    /// --kid is taken
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret", "secret_file"])]
    key: Option<PathBuf>,
    /// The header's kid; default: that of the JWK, or none
    #[arg(long, allow_hyphen_values = true)]
    kid: Option<String>,
    /// The header's typ; empty for none
    #[arg(long, default_value = "JWT")]
    typ: String,
    /// A member of the header, before --kid and --typ; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = member)]
    header: Vec<(String, Json)>,
    /// Claim iss
    #[arg(long, allow_hyphen_values = true)]
    iss: Option<String>,
    /// Claim sub
    #[arg(long, allow_hyphen_values = true)]
    sub: Option<String>,
    /// Claim aud; given more than once it becomes an array
    #[arg(long, allow_hyphen_values = true)]
    aud: Vec<String>,
    /// Claim jti
    #[arg(long, allow_hyphen_values = true)]
    jti: Option<String>,
    /// A claim; repeatable. NAME is taken as it is, dots included
    #[arg(long, value_name = "NAME=VALUE", value_parser = member)]
    claim: Vec<(String, Json)>,
    /// A file with a JSON object of claims, - for standard input
    #[arg(long, value_name = "FILE")]
    claims_file: Option<PathBuf>,
    /// From now to exp: 90s, 5m, 1h30m, 7d; -1h for a token that has expired. Default: 1h
    #[arg(long, value_name = "TIME", value_parser = time::duration, allow_hyphen_values = true,
        conflicts_with = "exp")]
    lifetime: Option<i64>,
    /// Claim exp: Unix time, RFC 3339 or a time from now; none to leave it out
    #[arg(long, value_name = "TIME|none", value_parser = expiry, allow_hyphen_values = true)]
    exp: Option<Expiry>,
    /// Claim nbf: Unix time, RFC 3339 or a time from now
    #[arg(long, visible_alias = "nbf", value_name = "TIME", value_parser = Moment::parse,
        allow_hyphen_values = true)]
    not_before: Option<Moment>,
    /// Claim iat: now, or the time given
    #[arg(long, value_name = "TIME", value_parser = Moment::parse, num_args = 0..=1,
        require_equals = true, default_missing_value = "now")]
    iat: Option<Moment>,
}

/// The value of `--exp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry {
    None,
    At(Moment),
}

const DEFAULT_LIFETIME: i64 = 3600;

/// Mints and prints.
pub(crate) fn run(args: &Args, now: i64) -> Result<ExitCode> {
    let file = key_file(args)?;
    let token = mint(args, &file, now)?;
    output::print(&format!("{token}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn key_file(args: &Args) -> Result<KeyFile> {
    key_file::signing(args.key.as_deref(), &args.secret, args.kid.as_deref())
}

fn mint(args: &Args, file: &KeyFile, now: i64) -> Result<String> {
    let algorithm = key_file::algorithm(file, args.alg);
    let header = header(args, file, algorithm)?;
    let claims = claims(args, now)?;
    for (name, value) in claims.iter() {
        let text = matches!(name, "iss" | "sub" | "jti");
        let number = matches!(name, "exp" | "nbf" | "iat");
        if text && !value.is_string() {
            output::warn(&format!(
                "{name} is {value}, not a string, as RFC 7519 section 4.1 has it: some verifiers refuse the token"
            ));
        }
        if number && !value.is_number() {
            output::warn(&format!(
                "{name} is {value}, not a number: the token is malformed (RFC 7519 section 4.1)"
            ));
        }
    }
    key_file::sign(file, algorithm, &header, &claims)
}

fn header(args: &Args, file: &KeyFile, algorithm: Algorithm) -> Result<Members> {
    let mut header = Members::default();
    header.set("alg", Json::string(algorithm.name()));
    if !args.typ.is_empty() {
        header.set("typ", Json::string(&args.typ));
    }
    if let Some(kid) = args.kid.as_ref().or(file.kid.as_ref()) {
        header.set("kid", Json::string(kid));
    }
    set_once(&mut header, "--header", &args.header)?;
    Ok(header)
}

fn claims(args: &Args, now: i64) -> Result<Members> {
    let mut claims = match &args.claims_file {
        Some(path) => read_claims(files::read(path)?)
            .with_context(|| format!("{}: want a JSON object of claims", path.display()))?,
        None => Members::default(),
    };
    for (name, text) in [("iss", &args.iss), ("sub", &args.sub), ("jti", &args.jti)] {
        if let Some(text) = text {
            claims.set(name, Json::string(text));
        }
    }
    match args.aud.as_slice() {
        [] => {}
        [one] => claims.set("aud", Json::string(one)),
        many => claims.set("aud", Json::strings(many)),
    }
    let mut at = |name: &str, moment: Option<Moment>| {
        if let Some(moment) = moment {
            claims.set(name, Json::integer(moment.resolve(now)));
        }
    };
    at("iat", args.iat);
    at("nbf", args.not_before);
    let asked = args.lifetime.map(Moment::FromNow);
    match args.exp {
        Some(Expiry::None) => {}
        Some(Expiry::At(moment)) => at("exp", Some(moment)),
        None => at("exp", asked),
    }
    set_once(&mut claims, "--claim", &args.claim)?;
    if args.exp.is_none() && claims.get("exp").is_none() {
        claims.set("exp", Json::integer(now.saturating_add(DEFAULT_LIFETIME)));
    }
    Ok(claims)
}

/// Sets the members that were given with `option`; each may be given once.
fn set_once(members: &mut Members, option: &str, given: &[(String, Json)]) -> Result<()> {
    for (i, (name, value)) in given.iter().enumerate() {
        if given.iter().take(i).any(|(before, _)| before == name) {
            bail!("{option} {name} is given twice; for an array write {option} '{name}=[…]'");
        }
        members.set(name, value.clone());
    }
    Ok(())
}

fn read_claims(text: Vec<u8>) -> Result<Members> {
    let document = Document::parse(text)?;
    Members::of(document.root()).context("it is JSON, but not an object")
}

fn member(text: &str) -> Result<(String, Json), String> {
    let (name, value) = text.split_once('=').ok_or("want NAME=VALUE")?;
    Ok((name.to_owned(), Json::read(value).map_err(|error| error.to_string())?))
}

fn expiry(text: &str) -> Result<Expiry, String> {
    if text == "none" { Ok(Expiry::None) } else { Moment::parse(text).map(Expiry::At) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::Value;
    use token::base64url;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn minted(words: &[&str]) -> Result<(Value, Value)> {
        let all = ["jwt", "--secret", "s"].iter().chain(words);
        let args = Cli::try_parse_from(all)?.args;
        let token = mint(&args, &key_file(&args)?, 1000)?;
        let mut parts = token.split('.').map(|part| {
            let bytes = base64url::decode(part.as_bytes()).unwrap();
            serde_json::from_slice::<Value>(&bytes)
        });
        Ok((parts.next().unwrap()?, parts.next().unwrap()?))
    }

    #[test]
    fn a_plain_token() {
        let (header, claims) = minted(&[]).unwrap();
        assert_eq!(header.to_string(), r#"{"alg":"HS256","typ":"JWT"}"#);
        assert_eq!(claims.to_string(), r#"{"exp":4600}"#);
    }

    #[test]
    fn claims_keep_their_types() {
        let (_, claims) = minted(&[
            "--sub=1",
            "--aud=a",
            "--aud=b",
            "--claim=n=3",
            "--claim=f=1.50",
            "--claim=t=true",
            "--claim=z=null",
            "--claim=s=a=b",
            "--claim=q=\"3\"",
            "--claim=a.b={\"c\":[1]}",
            "--claim=e=",
            "--exp=none",
        ])
        .unwrap();
        let want = r#"{"sub":"1","aud":["a","b"],"n":3,"f":1.5,"t":true,"z":null,"s":"a=b","q":"3","a.b":{"c":[1]},"e":""}"#;
        assert_eq!(claims.to_string(), want);
        assert!(minted(&["--claim=a=1", "--claim=a=2"]).is_err());
        assert!(minted(&["--claim=a"]).is_err());
    }

    #[test]
    fn numbers_keep_their_digits_and_no_name_is_there_twice() {
        let payload = |words: &[&str]| {
            let all = ["jwt", "--secret", "s", "--exp=none"].iter().chain(words);
            let args = Cli::try_parse_from(all)?.args;
            Ok::<_, anyhow::Error>(claims(&args, 1000)?.to_string())
        };
        for number in [
            "18446744073709551617",
            "9007199254740993.0",
            "1.10",
            "1E+2",
            "-0",
            "-0.0",
            "0.1000000000000000055511151231257827",
        ] {
            let want = format!(r#"{{"id":{number}}}"#);
            assert_eq!(payload(&[&format!("--claim=id={number}")]).unwrap(), want);
            let nested = format!(r#"--claim=id={{"a":[{number}]}}"#);
            assert_eq!(payload(&[&nested]).unwrap(), format!(r#"{{"id":{{"a":[{number}]}}}}"#));
            let file = format!("{{ \"id\" : {number} }}").into_bytes();
            assert_eq!(read_claims(file).unwrap().to_string(), want);
        }
        for twice in [r#"a={"b":1,"b":2}"#, r#"a=[{"b":1,"\u0062":2}]"#] {
            let error = payload(&["--claim", twice]).unwrap_err().to_string();
            assert!(error.contains("stands twice"), "{error}");
        }
        // The module refuses such a number, so it is an error here, not silently a string.
        let error = payload(&["--claim=a=1e400"]).unwrap_err().to_string();
        assert!(error.contains("number out of range"), "{error}");
        assert!(read_claims(br#"{"a":1,"a":2}"#.to_vec()).is_err());
        assert!(read_claims(b"[1]".to_vec()).is_err());
        // A text that is not JSON is a string.
        for text in ["1,2", "1]", "01", "{", "\"", "a\"b", "nul", "1e"] {
            let json = serde_json::json!({ "a": text }).to_string();
            assert_eq!(payload(&["--claim", &format!("a={text}")]).unwrap(), json);
        }
        assert!(minted(&["--header=a=1", "--header=a=2"]).is_err());
    }

    #[test]
    fn times() {
        let claims = |words: &[&str]| minted(words).unwrap().1.to_string();
        assert_eq!(claims(&["--lifetime", "-1m"]), r#"{"exp":940}"#);
        assert_eq!(claims(&["--exp", "77"]), r#"{"exp":77}"#);
        assert_eq!(claims(&["--exp", "5m"]), r#"{"exp":1300}"#);
        assert_eq!(claims(&["--claim", "exp=5"]), r#"{"exp":5}"#);
        assert_eq!(
            claims(&["--iat", "--not-before", "-1m", "--exp", "none"]),
            r#"{"iat":1000,"nbf":940}"#
        );
        assert_eq!(claims(&["--iat=7", "--exp=none"]), r#"{"iat":7}"#);
        assert!(minted(&["--exp", "1", "--lifetime", "1h"]).is_err());
    }

    #[test]
    fn headers() {
        let header = |words: &[&str]| minted(words).unwrap().0.to_string();
        assert_eq!(
            header(&["--kid", "k", "--typ", "at+jwt", "--header", "crit=[\"exp\"]"]),
            r#"{"alg":"HS256","typ":"at+jwt","kid":"k","crit":["exp"]}"#
        );
        assert_eq!(header(&["--typ", "", "--alg", "HS512"]), r#"{"alg":"HS512"}"#);
        let error = minted(&["--alg", "RS256"]).unwrap_err().to_string();
        assert_eq!(error, "RS256 does not go with a secret; HS256 does");
    }
}
