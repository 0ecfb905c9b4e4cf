//! Whether two keys are the same key, whatever file and form they come from.

use sha2::{Digest as _, Sha256};

/// A hash of a key's type and material. It serves to find a key that stands twice, and is not kept with
/// the key: that of a short secret could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity([u8; 32]);

impl Identity {
    /// The identity of a key of type `kind`, such as `RSA` or `P-256`.
    pub(crate) fn of(kind: &str, material: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(kind.as_bytes()).chain(material.iter().copied()) {
            // With its length, so that no two lists of parts are hashed alike.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// That of an RSA key; leading zeros do not count.
    pub(crate) fn rsa(n: &[u8], e: &[u8]) -> Self {
        Self::of("RSA", &[without_leading_zeros(n), without_leading_zeros(e)])
    }
}

pub(crate) fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}
