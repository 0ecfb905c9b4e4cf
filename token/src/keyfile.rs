//! Key files of any format: JWK Sets, single JWKs and PEM.

use sha2::{Digest as _, Sha256};

use crate::loaded::{Fault, LoadError, Loaded, without_byte_order_mark};
use crate::published::FaultyKeys;
use crate::{jwk, pem};

/// Reads a JWK Set, a single JWK, or PEM blocks (public keys or certificates).
///
/// `kid` is used for a single key that has none of its own.
///
/// # Errors
/// The first fault, even if it concerns only one key of a set.
pub fn load_keys(text: &[u8], kid: Option<&str>) -> Result<Loaded, LoadError> {
    load(text, kid, FaultyKeys::Refuse)
}

/// As [`load_keys`], but for a set that others publish: faulty keys and keys of an unknown type are
/// skipped with a warning (RFC 7517 section 5).
///
/// At most [`MAX_PUBLISHED_KEYS`](crate::MAX_PUBLISHED_KEYS) are read, so that a text of 1 MiB takes at
/// most 16 MiB of memory and about 50 ms, whatever it contains.
///
/// # Errors
/// A fault of the text as a whole, or that no key is left.
pub fn load_published_keys(text: &[u8]) -> Result<Loaded, LoadError> {
    load(text, None, FaultyKeys::Skip)
}

fn load(text: &[u8], kid: Option<&str>, faulty: FaultyKeys) -> Result<Loaded, LoadError> {
    let text = without_byte_order_mark(text);
    match text.trim_ascii_start() {
        [b'{' | b'[', ..] | [] => jwk::load(text, kid, faulty),
        trimmed if pem::begun(trimmed).next().is_some() => pem::load(trimmed, kid, faulty),
        _ => Err(LoadError::new("", Fault::NeitherJsonNorPem)),
    }?
    .finish()
}

/// The SHA-256 of a key file's text: a file that is read again and has not changed need not be parsed
/// again.
pub fn fingerprint(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_set_loses_its_faulty_keys_and_keeps_the_others() {
        let set = r#"{"keys": [
            {"kty": "RSA", "kid": "short", "n": "AQAB", "e": "AQAB"},
            {"kty": "new", "kid": "unknown"},
            {"kty": "oct", "kid": "good", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"},
            {"kty": "oct", "kid": "good", "k": "b3RoZXI"},
            7
        ]}"#;
        assert!(load_keys(set.as_bytes(), None).is_err());
        let loaded = load_published_keys(set.as_bytes()).unwrap();
        assert_eq!(loaded.keys.len(), 1);
        assert_eq!(loaded.warnings.iter().filter(|it| it.ends_with("is not used")).count(), 4);
        for none in [r#"{"keys": []}"#, r#"{"keys": [{"kty": "new"}]}"#, "{}", "", "x"] {
            assert!(load_published_keys(none.as_bytes()).is_err(), "{none}");
        }
    }
}
