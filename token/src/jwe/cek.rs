//! The key of a token's content, the CEK (RFC 7516 section 2).

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::algorithm::{ContentEncryption, MAX_KEY_LEN};

/// The key of a token's content. It is wiped on drop.
pub(super) struct Cek {
    bytes: Zeroizing<[u8; MAX_KEY_LEN]>,
    len: usize,
}

impl Cek {
    /// A key of `len` bytes, which `fill` writes. `None` if it is too long, or if `fill` fails.
    pub(super) fn filled(
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Unspecified>,
    ) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; MAX_KEY_LEN]);
        fill(bytes.get_mut(..len)?).ok()?;
        Some(Self { bytes, len })
    }

    /// The key with these bytes. `None` if it is longer than any.
    pub(super) fn copied(from: &[u8]) -> Option<Self> {
        Self::filled(from.len(), |to| {
            to.copy_from_slice(from);
            Ok(())
        })
    }

    /// A random key.
    pub(super) fn random(encryption: ContentEncryption) -> Option<Self> {
        Self::filled(encryption.key_len(), rand::fill)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
