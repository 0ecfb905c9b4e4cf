//! The public keys that links are signed with (`secure_token_keys`).

use std::sync::Arc;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY};
use sha2::{Digest as _, Sha256};

use super::algorithm::LinkAlgorithm;
use super::remembered::{Claim, Remembered};
use crate::alg::{Algorithm, AlgorithmSet, Scheme};
use crate::key::Key;
use crate::keyfile::load_keys;
use crate::keyset::MAX_NAMELESS;
use crate::loaded::{Fault, LoadError};
use crate::reject::Reject;

/// The public keys that links are signed with: RSA keys for `cloudfront`, Ed25519 keys for `google`.
///
/// The name by which a link refers to its key (`Key-Pair-Id`, `KeyName`) is the key's `kid`. A key without a kid
/// verifies links whatever name they say, as it does with tokens: a name only chooses a key, and it is the
/// signature that vouches. Who wants the name to be compared gives the key one.
///
/// A JWK with `alg` is for that algorithm alone. So `"alg": "RS256"` keeps an RSA key from verifying SHA-1.
#[derive(Debug)]
pub struct LinkKeys(Box<[Arc<LinkKey>]>);

/// A key, and what links need of it besides.
struct LinkKey {
    key: Key,
    /// The same RSA key for signatures over SHA-1. It is kept here, so that no token can ever be verified so.
    sha1: Option<ParsedPublicKey>,
    /// What tells it from all other keys: a hash of its public bytes.
    fingerprint: [u8; 32],
}

impl LinkKeys {
    /// Reads keys from what [`load_keys`] reads: PEM, certificates, a JWK, a JWK Set, or PEM by kid. `kid` is the
    /// name of a single key that has none of its own. Beside the keys it gives warnings, also of keys that links
    /// cannot be signed with.
    ///
    /// # Errors
    /// As [`load_keys`], and if no key is an RSA or Ed25519 key.
    pub fn load(text: &[u8], kid: Option<&str>) -> Result<(Self, Vec<String>), LoadError> {
        let loaded = load_keys(text, kid)?;
        let mut warnings = loaded.warnings;
        let count = loaded.keys.len();
        let keys = loaded.keys.into_iter().filter_map(LinkKey::new);
        let keys: Box<[_]> = keys.map(Arc::new).collect();
        if keys.is_empty() {
            let why = "links are verified with public RSA and Ed25519 keys only";
            return Err(LoadError::new("", Fault::NoKey(why.to_owned())));
        }
        if keys.len() < count {
            let others = count - keys.len();
            warnings
                .push(format!("{others} are neither RSA nor Ed25519 keys, and no link uses them"));
        }
        let nameless = keys.iter().filter(|key| key.key.kid().is_none()).count();
        if nameless > MAX_NAMELESS {
            warnings.push(format!(
                "{nameless} keys have no name, and at most {MAX_NAMELESS} are tried for a link: give \
                 them names"
            ));
        }
        Ok((Self(keys), warnings))
    }

    /// The keys of several files, in their order.
    pub fn joined(all: impl IntoIterator<Item = Arc<Self>>) -> Self {
        Self(all.into_iter().flat_map(|keys| keys.0.to_vec()).collect())
    }

    /// Verifies the signature of one of `messages`, which are the possible spellings of one, with the keys of this
    /// name; with all if links of the format name no key. At most eight keys are tried.
    ///
    /// # Errors
    /// `UnknownKey` if there is no such key for the algorithm, else `BadSignature`.
    pub(super) fn verify(
        &self,
        name: Option<&[u8]>,
        algorithm: LinkAlgorithm,
        messages: &[&[u8]],
        signature: &[u8],
        remembered: Option<&Remembered>,
    ) -> Result<(), Reject> {
        let is_of_name = |key: &Arc<LinkKey>| match (key.key.kid(), name) {
            (Some(kid), Some(name)) => kid.as_bytes() == name,
            (None, _) | (_, None) => true,
        };
        let keys = self.0.iter().filter(|key| is_of_name(key) && key.goes_with(algorithm));
        let keys = || keys.clone().take(MAX_NAMELESS);
        if keys().next().is_none() {
            return Err(Reject::UnknownKey);
        }
        let claims = || {
            keys().flat_map(|key| {
                let fingerprint = &key.fingerprint;
                let claim =
                    move |message| Claim { key: fingerprint, algorithm, message, signature };
                messages.iter().map(move |message| (key, claim(message)))
            })
        };
        if remembered.is_some_and(|known| claims().any(|(_, claim)| known.has(claim))) {
            return Ok(());
        }
        let held = claims().find(|(key, claim)| key.verify(*claim)).ok_or(Reject::BadSignature)?;
        if let Some(remembered) = remembered {
            remembered.put(held.1);
        }
        Ok(())
    }
}

impl LinkKey {
    /// `None` for keys that no link is signed with.
    fn new(key: Key) -> Option<Self> {
        let rsa = AlgorithmSet::of(|scheme| matches!(scheme, Scheme::Rsa(_)));
        let used = AlgorithmSet::from_iter([Algorithm::RS256, Algorithm::EdDSA]);
        if key.algorithms().intersection(used).is_empty() {
            return None;
        }
        let bytes = key.public_bytes()?;
        let sha1 = match key.algorithms() == rsa {
            // The same key, which was checked when it was read; so this does not fail.
            true => Some(
                ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, bytes).ok()?,
            ),
            false => None,
        };
        let fingerprint = Sha256::digest(bytes).into();
        Some(Self { key, sha1, fingerprint })
    }

    fn goes_with(&self, algorithm: LinkAlgorithm) -> bool {
        match algorithm {
            LinkAlgorithm::RsaSha1 => self.sha1.is_some(),
            other => as_of_tokens(other).is_some_and(|it| self.key.algorithms().contains(it)),
        }
    }

    fn verify(&self, claim: Claim<'_>) -> bool {
        match (claim.algorithm, &self.sha1) {
            (LinkAlgorithm::RsaSha1, Some(key)) => {
                key.verify_sig(claim.message, claim.signature).is_ok()
            }
            (algorithm, _) => as_of_tokens(algorithm)
                .is_some_and(|it| self.key.verify(it, claim.message, claim.signature)),
        }
    }
}

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key.fmt(f)
    }
}

/// The same algorithm, as tokens name it.
fn as_of_tokens(algorithm: LinkAlgorithm) -> Option<Algorithm> {
    match algorithm {
        LinkAlgorithm::RsaSha256 => Some(Algorithm::RS256),
        LinkAlgorithm::Ed25519 => Some(Algorithm::EdDSA),
        _ => None,
    }
}
