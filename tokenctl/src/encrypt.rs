//! `tokenctl encrypt`: encrypts a token, or claims.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use token::json::Document;
use token::jwe::{ContentEncryption, EncryptionKey, KeyManagement};
use token::sign::{Json, Members};

use crate::files;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  tokenctl jwt --key login.pem --sub alice | tokenctl encrypt - --key edge.pub.pem      (nested)
  tokenctl encrypt '{\"sub\":\"alice\",\"exp\":1893456000}' --key secret.jwk.json --alg dir   (encrypted)
  tokenctl encrypt \"$token\" --key edge.jwk.json --alg RSA-OAEP --enc A128CBC-HS256

What is encrypted to a public key vouches for nobody: sign it first.";

/// Encrypt a token or claims (JWE) and print it
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A signed token, claims as JSON, or - for standard input
    #[arg(value_name = "TOKEN|CLAIMS|-", allow_hyphen_values = true)]
    content: String,
    /// The key of whoever decrypts: a public key (PEM or JWK), or a secret (a JWK of type oct)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// How the key of the content is brought: RSA-OAEP, RSA-OAEP-256, -384, -512; A128KW, A192KW, A256KW; A128GCMKW,
    /// A192GCMKW, A256GCMKW; dir; ECDH-ES, ECDH-ES+A128KW, +A192KW, +A256KW. Default: what goes with the key
    #[arg(long, value_parser = management)]
    alg: Option<KeyManagement>,
    /// How the content is encrypted: A128GCM, A192GCM, A256GCM, A128CBC-HS256, A192CBC-HS384, A256CBC-HS512. Default: A256GCM;
    /// with dir, what goes with the key
    #[arg(long, value_parser = encryption)]
    enc: Option<ContentEncryption>,
    /// The header's kid; default: that of the JWK, or none
    #[arg(long, allow_hyphen_values = true)]
    kid: Option<String>,
}

fn management(name: &str) -> Result<KeyManagement, String> {
    KeyManagement::from_name(name)
        .ok_or_else(|| format!("one of {}", KeyManagement::ALL.map(KeyManagement::name).join(", ")))
}

fn encryption(name: &str) -> Result<ContentEncryption, String> {
    let names = ContentEncryption::ALL.map(ContentEncryption::name);
    ContentEncryption::from_name(name).ok_or_else(|| format!("one of {}", names.join(", ")))
}

/// Encrypts and prints.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let content = match args.content.as_str() {
        "-" => files::read(Path::new("-"))?,
        given => given.as_bytes().to_vec(),
    };
    let text = files::read(&args.key)?;
    let key = EncryptionKey::read(&text).with_context(|| args.key.display().to_string())?;
    let token = encrypt(args, &key, content.trim_ascii())?;
    output::print(&format!("{token}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn encrypt(args: &Args, key: &EncryptionKey, content: &[u8]) -> Result<String> {
    let mut header = Members::default();
    if let Some(kid) = &args.kid {
        header.set("kid", Json::string(kid));
    }
    if content.starts_with(b"{") {
        Document::parse(content.to_vec())
            .map_err(|error| anyhow!("the claims are not strict JSON: {error}"))?;
    } else if content.split(|byte| *byte == b'.').count() == 3 {
        // RFC 7519 section 5.2.
        header.set("cty", Json::string("JWT"));
    } else {
        bail!("want a signed token, which has three sections, or claims, which are a JSON object");
    }
    let management = args.alg.unwrap_or_else(|| key.default_algorithm());
    let encryption = args.enc.unwrap_or_else(|| key.default_encryption(management));
    Ok(key.encrypt(management, encryption, &header, content)?)
}
