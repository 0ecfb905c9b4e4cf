//! `tokenctl jwks`: public keys of any format as one JWK Set.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use token::Algorithm;
use token::json::Document;
use token::sign::{Jwk, public_jwk, thumbprint};

use crate::files;
use crate::options::algorithm;
use crate::output;
use crate::pem_file;

const EXAMPLES: &str = "\
Examples:
  tokenctl jwks --kid 2026-01 login.pub.pem > keys.json
  tokenctl jwks --alg RS256 old.crt.pem new.crt.pem > keys.json
  tokenctl jwks keys.json other-keys.json > all.json

Only public members are passed on, also from a private key. A key without a kid gets its JWK
thumbprint (RFC 7638) as one: the names of files are not kept.";

/// Gather public keys (PEM, certificates, PEM by kid, JWK, JWK Sets) in one JWK Set and print it
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// PEM (public keys, certificates), PEM by kid, a JWK or a JWK Set; - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The kid, where there is one key only; otherwise each keeps its own
    #[arg(long, allow_hyphen_values = true)]
    kid: Option<String>,
    /// The alg of every key
    #[arg(long, value_parser = algorithm)]
    alg: Option<Algorithm>,
}

/// Gathers and prints.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut keys = Vec::new();
    for path in &args.files {
        let text = files::read(path)?;
        for key in read(path, &text, args)? {
            // Two files may hold the same key, as before and after a rotation.
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    // A key and its certificate, or two files of one provider.
    let mut seen = Vec::new();
    keys.retain(|key| {
        !seen.contains(key) && {
            seen.push(key.clone());
            true
        }
    });
    if args.kid.is_some() && keys.len() != 1 {
        bail!("--kid is for a single key; the files hold {}", keys.len());
    }
    let text = output::pretty_json(&json!({ "keys": keys }));
    // The module must accept what is printed.
    let loaded = token::load_keys(text.as_bytes(), None).context("the set is refused")?;
    for warning in &loaded.warnings {
        output::warn(&format!("jwks_file will say: {warning}"));
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path, text: &[u8], args: &Args) -> Result<Vec<Value>> {
    let found = match text.trim_ascii_start() {
        [b'{' | b'[', ..] => from_json(text),
        _ => pem_file::public_keys(text).and_then(|keys| match keys.as_slice() {
            [] => bail!("is neither PEM nor JSON"),
            _ => Ok(keys),
        }),
    };
    let finished = found.and_then(|keys| keys.iter().map(|key| finish(key, args)).collect());
    finished.with_context(|| path.display().to_string())
}

/// The keys of a JWK Set or of PEM by kid, or the single JWK.
fn from_json(text: &[u8]) -> Result<Vec<Jwk>> {
    if let Err(error) = Document::parse(text.to_vec()) {
        // The loader's message is better, for example about typographic quotes.
        token::load_keys(text, None)?;
        return Err(error.into());
    }
    let mut root: Jwk = serde_json::from_slice(text)?;
    if root.values().any(is_pem) {
        return from_pem_by_kid(&root);
    }
    match root.remove("keys") {
        Some(Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(i, item)| match item {
                Value::Object(members) => Ok(members),
                _ => bail!("keys[{i}]: must be an object"),
            })
            .collect(),
        Some(_) => bail!("keys: must be an array"),
        None => Ok(vec![root]),
    }
}

fn is_pem(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim_ascii_start().starts_with("-----BEGIN "))
}

/// The keys of PEM by kid, as Firebase publishes them.
fn from_pem_by_kid(root: &Jwk) -> Result<Vec<Jwk>> {
    root.iter()
        .map(|(kid, value)| {
            let text = value.as_str().unwrap_or_default();
            let mut keys = pem_file::public_keys(text.as_bytes()).with_context(|| kid.clone())?;
            match keys.pop() {
                Some(mut key) if keys.is_empty() => {
                    key.insert("kid".to_owned(), kid.as_str().into());
                    Ok(key)
                }
                _ => bail!("{kid}: must be one certificate or public key in PEM"),
            }
        })
        .collect()
}

/// The public key with its kid, alg and use.
fn finish(key: &Jwk, args: &Args) -> Result<Value> {
    let mut members = key.clone();
    if let Some(kid) = &args.kid {
        members.insert("kid".to_owned(), kid.as_str().into());
    } else if !members.contains_key("kid") {
        members.insert("kid".to_owned(), thumbprint(key)?.into());
    }
    if let Some(algorithm) = args.alg {
        members.insert("alg".to_owned(), algorithm.name().into());
    }
    if !members.contains_key("use") {
        members.insert("use".to_owned(), "sig".into());
    }
    Ok(Value::Object(public_jwk(&members)?))
}
