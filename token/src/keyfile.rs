//! Key files of any format: JWK Sets, single JWKs and PEM.

use sha2::{Digest as _, Sha256};

use crate::loaded::{Fault, LoadError, Loaded, without_byte_order_mark};
use crate::published::Origin;
use crate::{jwk, pem};

/// Reads a JWK Set, a single JWK, PEM blocks (public keys or certificates), or such PEM by kid as JSON.
///
/// `kid` is used for a single key that has none of its own. A key of a set that cannot be used is left out
/// with a warning (RFC 7517 section 5).
///
/// # Errors
/// A fault of the text as a whole, of a single JWK or of a PEM block; two different keys of one kid; a
/// secret that is public; or that no key is left.
pub fn load_keys(text: &[u8], kid: Option<&str>) -> Result<Loaded, LoadError> {
    load(text, kid, Origin::File)
}

/// As [`load_keys`], but of PEM the private keys are left out: they decrypt, and are read elsewhere.
///
/// # Errors
/// As [`load_keys`].
pub fn load_keys_beside_private(text: &[u8]) -> Result<Loaded, LoadError> {
    let bare = without_byte_order_mark(text).trim_ascii_start();
    match bare {
        [b'{' | b'[', ..] => load_keys(text, None),
        _ if pem::begun(bare).next().is_some() => pem::load_public(bare)?.finish(),
        _ => load_keys(text, None),
    }
}

/// As [`load_keys`], but for a set that others publish: different keys of one kid, and secrets that are
/// public, are left out with a warning too.
///
/// At most [`MAX_PUBLISHED_KEYS`](crate::MAX_PUBLISHED_KEYS) are read, so that a text of 1 MiB takes at
/// most 16 MiB of memory and about 50 ms, whatever it contains.
///
/// # Errors
/// A fault of the text as a whole, or that no key is left.
pub fn load_published_keys(text: &[u8]) -> Result<Loaded, LoadError> {
    load(text, None, Origin::Published)
}

fn load(text: &[u8], kid: Option<&str>, origin: Origin) -> Result<Loaded, LoadError> {
    let text = without_byte_order_mark(text);
    match text.trim_ascii_start() {
        [b'{' | b'[', ..] | [] => jwk::load(text, kid, origin),
        trimmed if pem::begun(trimmed).next().is_some() => pem::load(trimmed, kid, origin),
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
            {"kty": "oct", "kid": "two", "k": "b3RoZXI"},
            {"kty": "oct", "kid": "two", "k": "YW5vdGhlcg"},
            7
        ]}"#;
        // In a file, different keys of one kid are a mistake; the rest is left out there too.
        assert!(load_keys(set.as_bytes(), None).is_err());
        let file = load_keys(set.replace("YW5vdGhlcg", "b3RoZXI").as_bytes(), None).unwrap();
        assert_eq!(file.keys.len(), 2);
        let loaded = load_published_keys(set.as_bytes()).unwrap();
        assert_eq!(loaded.keys.len(), 1);
        assert_eq!(loaded.warnings.iter().filter(|it| it.ends_with("used")).count(), 4);
        for none in [r#"{"keys": []}"#, r#"{"keys": [{"kty": "new"}]}"#, "{}", "", "x"] {
            assert!(load_published_keys(none.as_bytes()).is_err(), "{none}");
        }
    }
}
