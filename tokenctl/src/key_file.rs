//! Files with the key that signs: PEM or a JWK.

use std::path::Path;

use anyhow::{Context as _, Result};
use token::sign::{KeyFile, KeyFileError};

use crate::files;
use crate::secret::refused;

/// Reads a private key from PEM, or a private or secret JWK; of a JWK Set the one with this kid.
pub(crate) fn load(path: &Path, kid: Option<&str>) -> Result<KeyFile> {
    let text = files::read(path)?;
    parse(&text, kid).with_context(|| path.display().to_string())
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
