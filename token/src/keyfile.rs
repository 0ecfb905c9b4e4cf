//! Key files: JWK Sets, single JWKs and PEM.

use sha2::{Digest as _, Sha256};

use crate::loaded::{Fault, LoadError, Loaded};
use crate::{jwk, pem};

/// Reads a JWK Set, a single JWK, or PEM blocks (public keys or certificates).
///
/// `kid` is the identifier for a single key that brings none of its own.
pub fn load_keys(text: &[u8], kid: Option<&str>) -> Result<Loaded, LoadError> {
    match text.trim_ascii_start() {
        [b'{' | b'[', ..] | [] => jwk::load(text, kid),
        trimmed if trimmed.windows(11).any(|w| w == b"-----BEGIN ") => pem::load(trimmed, kid),
        _ => Err(LoadError::new("", Fault::NeitherJsonNorPem)),
    }?
    .finish()
}

/// What tells the text of one key file from that of another (SHA-256), so that what is read again
/// and has not changed need not be parsed again.
pub fn fingerprint(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}
