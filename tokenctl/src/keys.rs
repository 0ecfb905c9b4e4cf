//! `tokenctl keys`: make a key.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use token::Algorithm;
use token::sign::{Jwk, KeySize, PrivateKey, thumbprint};

use crate::files;
use crate::options::algorithm;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tokenctl keys --alg RS256 --kid 2026-01 --out keys/login
  tokenctl keys --alg ES256 --out keys/login
  tokenctl keys --alg HS256 --kid web --out keys/web

Writes, for a private key:
  NAME.pem         private key, PKCS#8, for tokenctl jwt --key; readable by its owner only
  NAME.jwk.json    the same as a JWK; readable by its owner only
  NAME.pub.pem     public key
  NAME.jwks.json   public key as a JWK Set, for jwks_file
and for a secret (HS256, HS384, HS512), readable by its owner only:
  NAME.jwk.json    the secret as a JWK, for tokenctl jwt --key and for jwks_file
  NAME.kids.json   the same secret as {\"KID\": \"secret\"}, for jwt_kids_file";

/// Make a key and write it as PEM and JWK
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What the key is for: HS, RS, PS, ES with 256, 384, 512, EdDSA, or ML-DSA with 44, 65, 87
    #[arg(long, value_parser = algorithm)]
    alg: Algorithm,
    /// Size of an RSA key: 2048, 3072, 4096 or 8192. Default: 2048
    #[arg(long, value_parser = key_size)]
    bits: Option<KeySize>,
    /// Default: the JWK thumbprint of RFC 7638
    #[arg(long, allow_hyphen_values = true)]
    kid: Option<String>,
    /// Folder and first part of the names of the files
    #[arg(long, value_name = "DIR/NAME")]
    out: PathBuf,
    /// Overwrite files that exist
    #[arg(long)]
    force: bool,
}

/// One file to be written.
struct Output {
    path: PathBuf,
    contents: String,
    /// Whether only its owner may read it.
    secret: bool,
    what: &'static str,
}

/// Makes a key, writes its files and says which.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let rsa = matches!(args.alg.name().get(..2), Some("RS" | "PS"));
    if args.bits.is_some() && !rsa {
        bail!("--bits is for RSA; the size of an {} key is fixed", args.alg);
    }
    if args.kid.as_deref() == Some("") {
        bail!("--kid is empty; leave it out for the thumbprint");
    }
    if args.kid.as_deref() == Some("*") && args.alg.name().starts_with("HS") {
        bail!("--kid *: in jwt_kids_file it would stand for every kid; give the secret a name");
    }
    if args.out.file_name().is_none() || args.out.as_os_str().as_encoded_bytes().ends_with(b"/") {
        bail!("--out {}: want a name for the files, as in keys/login", args.out.display());
    }
    let planned = names(args.alg).map(|suffix| path(&args.out, suffix));
    if let Some(exists) = planned.filter(|_| !args.force).find(|path| path.exists()) {
        bail!("{} exists; --force overwrites it", exists.display());
    }
    let key = PrivateKey::generate(args.alg, args.bits.unwrap_or(KeySize::Rsa2048))?;
    let kid = match &args.kid {
        Some(kid) => kid.clone(),
        None => thumbprint(&key.jwk()?)?,
    };
    if let Some(dir) = args.out.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    let mut said = String::new();
    for output in outputs(args, &key, &kid)? {
        if args.force && output.path.exists() {
            fs::remove_file(&output.path).with_context(|| output.path.display().to_string())?;
        }
        files::create(&output.path, &output.contents, output.secret)?;
        let path = output::one_line(&output.path.display().to_string());
        said.push_str(&format!("{path}  {}\n", output.what));
    }
    said.push_str(&format!("kid {}\n", output::one_line(&kid)));
    output::print(&said)?;
    Ok(ExitCode::SUCCESS)
}

fn names(algorithm: Algorithm) -> impl Iterator<Item = &'static str> {
    let names: &[_] = if algorithm.name().starts_with("HS") {
        &["jwk.json", "kids.json"]
    } else {
        &["pem", "jwk.json", "pub.pem", "jwks.json"]
    };
    names.iter().copied()
}

fn outputs(args: &Args, key: &PrivateKey, kid: &str) -> Result<Vec<Output>> {
    let file = |suffix, contents, secret, what| Output {
        path: path(&args.out, suffix),
        contents,
        secret,
        what,
    };
    let jwk = file(
        "jwk.json",
        output::pretty_json(&Value::Object(described(key.jwk()?, kid, args.alg))),
        true,
        if key.secret().is_some() { "secret, JWK" } else { "private key, JWK" },
    );
    if let Some(secret) = key.secret() {
        // A generated secret is text.
        let text = String::from_utf8_lossy(secret);
        let kids = output::pretty_json(&json!({ kid: text }));
        return Ok(vec![jwk, file("kids.json", kids, true, "secret by kid, for jwt_kids_file")]);
    }
    let (private, public) = key.pem()?.context("the key has no PEM form")?;
    let set = json!({ "keys": [described(key.public()?, kid, args.alg)] });
    Ok(vec![
        file("pem", private, true, "private key, PEM"),
        jwk,
        file("pub.pem", public, false, "public key, PEM"),
        file("jwks.json", output::pretty_json(&set), false, "public key, JWK Set for jwks_file"),
    ])
}

/// `DIR/NAME.SUFFIX`; a dot in NAME is part of it.
fn path(out: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(out);
    path.push(".");
    path.push(suffix);
    path.into()
}

/// The key with kid, alg and use (RFC 7517 section 4) after its type.
fn described(key: Jwk, kid: &str, algorithm: Algorithm) -> Jwk {
    let about = [("kid", kid), ("alg", algorithm.name()), ("use", "sig")];
    let mut members = key.into_iter();
    let first = members.next();
    let about = about.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    first.into_iter().chain(about).chain(members).collect()
}

fn key_size(text: &str) -> Result<KeySize, String> {
    match text {
        "2048" => Ok(KeySize::Rsa2048),
        "3072" => Ok(KeySize::Rsa3072),
        "4096" => Ok(KeySize::Rsa4096),
        "8192" => Ok(KeySize::Rsa8192),
        _ => Err("one of 2048, 3072, 4096, 8192".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_in_the_name_is_part_of_it() {
        assert_eq!(path(Path::new("keys/v1.2"), "pem"), Path::new("keys/v1.2.pem"));
    }

    #[test]
    fn what_is_said_of_a_key_stands_behind_its_type() {
        let key = json!({ "kty": "oct", "k": "x" }).as_object().unwrap().clone();
        let text = Value::Object(described(key, "a", Algorithm::HS256)).to_string();
        assert_eq!(text, r#"{"kty":"oct","kid":"a","alg":"HS256","use":"sig","k":"x"}"#);
    }
}
