//! The policy that is in effect for one token: the configured one, the location's additions, and what
//! changes at run time. It selects keys, verifies the signature and judges the content.

use std::sync::Arc;

use crate::alg::{Algorithm, AlgorithmSet};
use crate::base64url;
use crate::compact::Compact;
use crate::content::Content;
use crate::header::{self, Header};
use crate::key::Key;
use crate::keyset::{KeyIndex, KeySet, MAX_CANDIDATES};
use crate::policy::{LiveInputs, LocationPolicy, Policy};
use crate::refusal::{Refusal, Why};
use crate::reject::Reject;
use crate::revoked::Revocation;

/// A reason without an age.
fn plain(reason: Reject) -> Why {
    (reason, None)
}

impl Policy {
    /// Verifies only the signature of a JWS (RFC 7515 section 5.2) and returns its decoded payload,
    /// which need not be JSON.
    ///
    /// # Errors
    /// As [`Trust::check`](crate::Trust::check).
    pub fn verify_jws(&self, token: &[u8], now: i64) -> Result<Vec<u8>, Refusal> {
        let compact = Compact::split(token).ok_or(Reject::Malformed)?;
        let document = header::document(compact.header)?;
        let verify =
            || {
                let head = Header::read(&document)?;
                let kid = head.kid(&document);
                EffectivePolicy { policy: self, location: None, live: &LiveInputs::default() }
                    .verify(&compact, head.algorithm, kid, now)?;
                base64url::decode(compact.payload).ok_or(Reject::Malformed)
            };
        verify().map_err(|reason| Refusal::of(&document, plain(reason)))
    }
}

/// Everything that a token is judged by.
#[derive(Clone, Copy)]
pub(crate) struct EffectivePolicy<'p> {
    pub(crate) policy: &'p Policy,
    pub(crate) location: Option<&'p LocationPolicy>,
    pub(crate) live: &'p LiveInputs,
}

impl<'p> EffectivePolicy<'p> {
    /// The policy's own key sets, then those that change at run time.
    fn sets(self) -> impl Iterator<Item = &'p KeySet> + Clone {
        let live = self.live.policy.as_ref().map(|live| &*live.keys).unwrap_or_default();
        self.policy.keys.iter().chain(live).map(AsRef::as_ref)
    }

    /// The identities of all key sets, in order.
    pub(crate) fn set_ids(self) -> impl Iterator<Item = u64> + Clone {
        self.sets().map(KeySet::id)
    }

    /// The key at `index`, if it is still current and `algorithm` is still accepted.
    pub(crate) fn key(self, index: KeyIndex, algorithm: Algorithm, now: i64) -> Option<&'p Key> {
        let key = self.sets().nth(index.set)?.key(index.key)?;
        (self.accepts(algorithm) && key.is_current(now)).then_some(key)
    }

    fn accepts(self, algorithm: Algorithm) -> bool {
        let accepts = |of: Option<AlgorithmSet>| of.is_none_or(|it| it.contains(algorithm));
        accepts(self.policy.algorithms)
            && self.location.is_none_or(|location| accepts(location.algorithms))
    }

    /// The key that verifies the signature.
    pub(crate) fn verify(
        self,
        compact: &Compact<'_>,
        algorithm: Algorithm,
        kid: Option<&str>,
        now: i64,
    ) -> Result<(KeyIndex, &'p Key), Reject> {
        if self.sets().next().is_none() {
            return Err(Reject::NoKeys);
        }
        if !self.accepts(algorithm) {
            return Err(Reject::BadAlgorithm);
        }
        let mut buffer = [0; base64url::BUFFER];
        let signature = base64url::decode_into(compact.signature, &mut buffer);
        let signature = signature.ok_or(Reject::Malformed)?;
        let (mut known, mut tried) = (false, 0);
        for (index, key) in self.candidates(kid, algorithm) {
            if !key.is_current(now) {
                continue;
            }
            known = true;
            if !key.algorithms().contains(algorithm) {
                continue;
            }
            if key.verify(algorithm, compact.signing_input, &signature) {
                return Ok((index, key));
            }
            tried += 1;
            if tried == MAX_CANDIDATES {
                break;
            }
        }
        Err(match (tried, known || kid.is_none()) {
            (0, false) => Reject::UnknownKey,
            (0, true) => Reject::BadAlgorithm,
            _ => Reject::BadSignature,
        })
    }

    /// The keys that may have signed the token. For a token with a kid: the keys of that kid, then the
    /// keys without one. For a token without a kid: the first keys of its algorithm.
    ///
    /// The number of keys is bounded: a kid has at most one key of each type in a set, and
    /// [`KeySet`] indexes a limited number for each algorithm.
    fn candidates(
        self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = (KeyIndex, &'p Key)> {
        let sets = move || self.sets().enumerate();
        let at =
            |number, set: &'p KeySet, key| Some((KeyIndex { set: number, key }, set.key(key)?));
        let named = kid.into_iter().flat_map(move |kid| {
            sets().flat_map(move |(n, set)| set.named(kid).filter_map(move |key| at(n, set, key)))
        });
        let unnamed = kid.into_iter().flat_map(move |_| {
            sets().flat_map(move |(n, set)| set.unnamed().filter_map(move |key| at(n, set, key)))
        });
        let any = kid.is_none().then(move || {
            sets().flat_map(move |(n, set)| {
                set.verifying(algorithm).iter().filter_map(move |key| at(n, set, *key))
            })
        });
        named.chain(unnamed).chain(any.into_iter().flatten())
    }

    /// Judges the content of a token whose signature `key` has verified.
    pub(crate) fn check_content(self, content: &Content, key: &Key, now: i64) -> Result<(), Why> {
        let leeway =
            self.location.and_then(|location| location.leeway).unwrap_or(self.policy.leeway);
        let time = content.claims.check_time(now, leeway);
        time.map_err(|(reason, age)| (reason, Some(age)))?;
        for requirements in &self.policy.requirements {
            requirements.check(content, now).map_err(plain)?;
        }
        if let Some(location) = self.location {
            location.requirements.check(content, now).map_err(plain)?;
        }
        let revokes =
            |it: &Arc<Revocation>| it.revokes(&content.header, &content.payload, key.kid());
        let any = |lists: &[Arc<Revocation>]| lists.iter().any(revokes);
        let revoked = any(&self.policy.revoked)
            || self.location.is_some_and(|location| any(&location.revoked))
            || self.live.policy.as_ref().is_some_and(|live| any(&live.revoked))
            || self.live.revoked.as_deref().is_some_and(any);
        if revoked { Err(plain(Reject::Revoked)) } else { Ok(()) }
    }
}
