//! The key that signs: a file with PEM or a JWK, or a secret.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use token::sign::{KeyFile, KeyFileError, Members, PrivateKey};
use token::{Algorithm, base64url};

use crate::files;
use crate::output;
use crate::secret::{SecretArgs, refused};

/// Reads a private key from PEM, or a private or secret JWK; of a JWK Set the one with this kid.
pub(crate) fn load(path: &Path, kid: Option<&str>) -> Result<KeyFile> {
    let text = files::read(path)?;
    parse(&text, kid).with_context(|| path.display().to_string())
}

/// The key that signs: from `path`, else a secret.
pub(crate) fn signing(
    path: Option<&Path>,
    secret: &SecretArgs,
    kid: Option<&str>,
) -> Result<KeyFile> {
    if let Some(path) = path {
        return load(path, kid);
    }
    let Some(secret) = secret.bytes()? else {
        bail!("what signs? Give --secret, --secret-file or --key");
    };
    Ok(KeyFile { key: PrivateKey::from_secret(&secret)?, kid: None, algorithm: None })
}

/// The algorithm that is asked for, or what goes with the key.
pub(crate) fn algorithm(file: &KeyFile, asked: Option<Algorithm>) -> Algorithm {
    let algorithm = asked.or(file.algorithm).unwrap_or_else(|| file.key.default_algorithm());
    if let Some(of_key) = file.algorithm.filter(|of_key| *of_key != algorithm) {
        output::warn(&format!(
            "the key is for {of_key}; a verifier may refuse {algorithm} with it"
        ));
    }
    algorithm
}

/// The token of a header and claims.
pub(crate) fn sign(
    file: &KeyFile,
    algorithm: Algorithm,
    header: &Members,
    claims: &Members,
) -> Result<String> {
    let signed = format!(
        "{}.{}",
        base64url::encode(header.to_string()),
        base64url::encode(claims.to_string())
    );
    let signature = file.key.sign(algorithm, signed.as_bytes())?;
    Ok(format!("{signed}.{}", base64url::encode(signature)))
}

fn parse(text: &[u8], kid: Option<&str>) -> Result<KeyFile> {
    KeyFile::read_of(text, kid).map_err(|error| match error {
        // Here there is an option for what was meant.
        KeyFileError::PublicSecret(form) => refused(form).context("k"),
        error => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_as_a_secret_is_refused_with_what_to_do() {
        let public = include_str!("../../tests/keys/p256.pub.pem");
        let k = token::base64url::encode(public);
        let error = parse(format!(r#"{{"kty":"oct","k":"{k}"}}"#).as_bytes(), None).unwrap_err();
        let said = format!("{error:#}");
        assert!(said.starts_with("k: the secret is PEM, which is no secret"), "{said}");
        assert!(said.ends_with("to verify with a public key, give --keys FILE"), "{said}");
    }
}
