//! The public keys that links are signed with (`secure_token_keys`).

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY};

use super::algorithm::LinkAlgorithm;
use super::remembered::{Claim, Presented, Remembered};
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

    /// The keys of this name for an algorithm; all that are for it if links of the format name no key. At most
    /// eight of them are tried.
    ///
    /// # Errors
    /// `UnknownKey` if there is none.
    pub(super) fn named<'k>(
        &'k self,
        name: Option<&'k [u8]>,
        algorithm: LinkAlgorithm,
    ) -> Result<NamedKeys<'k>, Reject> {
        let named = NamedKeys { keys: &self.0, name, algorithm };
        if named.each().next().is_none() {
            return Err(Reject::UnknownKey);
        }
        Ok(named)
    }
}

/// The keys that may have signed a link.
#[derive(Clone, Copy)]
pub(super) struct NamedKeys<'k> {
    keys: &'k [Arc<LinkKey>],
    name: Option<&'k [u8]>,
    algorithm: LinkAlgorithm,
}

/// A key has just verified a signature.
pub(super) struct Held<'k> {
    key: &'k LinkKey,
    algorithm: LinkAlgorithm,
    /// Which of the messages it was.
    pub(super) message: usize,
}

impl<'k> NamedKeys<'k> {
    fn each(self) -> impl Iterator<Item = &'k LinkKey> {
        let is_of_name = move |key: &&LinkKey| match (key.key.kid(), self.name) {
            (Some(kid), Some(name)) => kid.as_bytes() == name,
            (None, _) | (_, None) => true,
        };
        let keys = self.keys.iter().map(|key| &**key).filter(is_of_name);
        keys.filter(move |key| key.goes_with(self.algorithm)).take(MAX_NAMELESS)
    }

    /// What was read from a link when one of these keys verified it: nothing if none has, or if that was long ago.
    pub(super) fn recall(
        self,
        memory: Option<&Remembered>,
        presented: Presented<'_>,
    ) -> Option<Rc<dyn Any>> {
        let memory = memory?;
        self.each().find_map(|key| memory.find(&key.claim(self.algorithm, presented)?))
    }

    /// Whether one of `messages`, which are the possible spellings of one, is signed: `verify` says it unless that
    /// is remembered. Gives whether it was.
    ///
    /// # Errors
    /// Those of `verify`.
    pub(super) fn hold<E>(
        self,
        messages: &[&[u8]],
        signature: &[u8],
        form: u8,
        memory: Option<&Remembered>,
        verify: impl FnOnce(Self) -> Result<Held<'k>, E>,
    ) -> Result<bool, E> {
        let presented = |message| Presented { message, signature, form };
        if messages.iter().any(|message| self.recall(memory, presented(message)).is_some()) {
            return Ok(true);
        }
        let held = verify(self)?;
        if let Some(message) = messages.get(held.message) {
            held.remember(memory, presented(message), Rc::new(()));
        }
        Ok(false)
    }

    /// Verifies the signature of one of `messages`, which are the possible spellings of one.
    ///
    /// # Errors
    /// `BadSignature`.
    pub(super) fn verify(self, messages: &[&[u8]], signature: &[u8]) -> Result<Held<'k>, Reject> {
        let algorithm = self.algorithm;
        let mut held = self.each().filter_map(|key| {
            let it = |message: &&[u8]| key.verify(algorithm, message, signature);
            messages.iter().position(it).map(|message| Held { key, algorithm, message })
        });
        held.next().ok_or(Reject::BadSignature)
    }
}

impl Held<'_> {
    /// Remembers what was read from the link whose signature has held.
    pub(super) fn remember(
        &self,
        memory: Option<&Remembered>,
        presented: Presented<'_>,
        what: Rc<dyn Any>,
    ) {
        if let (Some(memory), Some(claim)) = (memory, self.key.claim(self.algorithm, presented)) {
            memory.put(&claim, what);
        }
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
        Some(Self { key, sha1 })
    }

    fn goes_with(&self, algorithm: LinkAlgorithm) -> bool {
        match algorithm {
            LinkAlgorithm::RsaSha1 => self.sha1.is_some(),
            other => as_of_tokens(other).is_some_and(|it| self.key.algorithms().contains(it)),
        }
    }

    /// What is remembered of it; `None` for a secret, of which there is none here.
    fn claim<'c>(
        &'c self,
        algorithm: LinkAlgorithm,
        presented: Presented<'c>,
    ) -> Option<Claim<'c>> {
        Some(Claim { key: self.key.fingerprint()?, algorithm, presented })
    }

    fn verify(&self, algorithm: LinkAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        match (algorithm, &self.sha1) {
            (LinkAlgorithm::RsaSha1, Some(key)) => key.verify_sig(message, signature).is_ok(),
            (algorithm, _) => {
                as_of_tokens(algorithm).is_some_and(|it| self.key.verify(it, message, signature))
            }
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
