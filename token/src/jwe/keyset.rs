//! The keys that decrypt, of one source.

use super::algorithm::{ContentEncryption, KeyManagement};
use super::key::DecryptionKey;
use crate::keyset::new_id;

/// The keys that decrypt, of one source, in its order.
#[derive(Debug)]
pub struct DecryptionKeys {
    /// A number that no other set of keys of this process has.
    id: u64,
    keys: Box<[DecryptionKey]>,
}

impl DecryptionKeys {
    /// A set of these keys.
    pub fn new(keys: Vec<DecryptionKey>) -> Self {
        Self { id: new_id(), keys: keys.into() }
    }

    /// The set's identity. Sets never change, so what a set has decrypted stays right while it is used.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The keys.
    pub fn keys(&self) -> &[DecryptionKey] {
        &self.keys
    }

    /// Whether there is a private key: anybody can encrypt to its public half.
    pub fn has_private(&self) -> bool {
        self.keys.iter().any(|key| !key.is_secret())
    }

    /// Whether a key of this set has the same kid as one of `other`, and an algorithm in common.
    pub fn conflict<'a>(&'a self, other: &Self) -> Option<&'a DecryptionKey> {
        self.keys.iter().find(|key| other.keys.iter().any(|one| key.is_ambiguous_with(one)))
    }

    /// How many keys without a kid are for these algorithms: of more than
    /// [`MAX_NAMELESS`](crate::MAX_NAMELESS) some are never tried.
    pub fn count_nameless(
        &self,
        management: KeyManagement,
        encryption: ContentEncryption,
    ) -> usize {
        let fits = |key: &&DecryptionKey| key.kid().is_none() && key.is_for(management, encryption);
        self.keys.iter().filter(fits).count()
    }
}
