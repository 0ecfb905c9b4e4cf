//! A policy with what comes to it, and whether a token satisfies it.

use std::sync::Arc;

use crate::alg::{Algorithm, AlgorithmSet};
use crate::base64url;
use crate::compact::Compact;
use crate::content::Content;
use crate::header::{self, Header};
use crate::key::Key;
use crate::keyset::{KeySet, MAX_CANDIDATES, Place};
use crate::policy::{Beside, Loan, Policy};
use crate::refusal::{Refusal, Why};
use crate::reject::Reject;
use crate::revoked::Revocation;

/// A reason that has to do with no time.
fn plain(reason: Reject) -> Why {
    (reason, None)
}

impl Policy {
    /// The signature of a JWS alone (RFC 7515 section 5.2), whatever its payload is, which is
    /// given decoded.
    ///
    /// # Errors
    /// As [`Trust::check`](crate::Trust::check).
    pub fn verify_jws(&self, token: &[u8], now: i64) -> Result<Vec<u8>, Refusal> {
        let compact = Compact::split(token).ok_or(Reject::Malformed)?;
        let document = header::document(compact.header)?;
        let verify = || {
            let head = Header::read(&document)?;
            let kid = head.kid(&document);
            InForce { policy: self, beside: None, loan: &Loan::default() }.verify(
                &compact,
                head.algorithm,
                kid,
                now,
            )?;
            base64url::decode(compact.payload).ok_or(Reject::Malformed)
        };
        verify().map_err(|reason| Refusal::of(&document, plain(reason)))
    }
}

/// A policy with what comes to it: all that a token is judged by.
#[derive(Clone, Copy)]
pub(crate) struct InForce<'p> {
    pub(crate) policy: &'p Policy,
    pub(crate) beside: Option<&'p Beside>,
    pub(crate) loan: &'p Loan,
}

impl<'p> InForce<'p> {
    fn sets(self) -> impl Iterator<Item = &'p KeySet> + Clone {
        let lent = self.loan.policy.as_ref().map(|lent| &*lent.keys).unwrap_or_default();
        self.policy.keys.iter().chain(lent).map(AsRef::as_ref)
    }

    /// The identities of all key sets.
    pub(crate) fn set_ids(self) -> impl Iterator<Item = u64> + Clone {
        self.sets().map(KeySet::id)
    }

    /// The key at a place, if `algorithm` is still accepted of it.
    pub(crate) fn key(self, at: Place, algorithm: Algorithm, now: i64) -> Option<&'p Key> {
        let key = self.sets().nth(at.set)?.key(at.key)?;
        (self.accepts(algorithm) && key.is_current(now)).then_some(key)
    }

    fn accepts(self, algorithm: Algorithm) -> bool {
        let accepts = |of: Option<AlgorithmSet>| of.is_none_or(|it| it.contains(algorithm));
        accepts(self.policy.algorithms)
            && self.beside.is_none_or(|beside| accepts(beside.algorithms))
    }

    /// The key that the signature holds with.
    pub(crate) fn verify(
        self,
        compact: &Compact<'_>,
        algorithm: Algorithm,
        kid: Option<&str>,
        now: i64,
    ) -> Result<(Place, &'p Key), Reject> {
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
        for (place, key) in self.candidates(kid, algorithm) {
            if !key.is_current(now) {
                continue;
            }
            known = true;
            if !key.algorithms().contains(algorithm) {
                continue;
            }
            if key.verify(algorithm, compact.signing_input, &signature) {
                return Ok((place, key));
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

    /// The keys that may have signed: those of the token's kid, then those that have none; for a
    /// token without kid the first of its algorithm. The iterator is bounded in what it yields by
    /// the keys of one kid, which are one for each type, and by what [`KeySet`] indexes.
    fn candidates(
        self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = (Place, &'p Key)> {
        let sets = move || self.sets().enumerate();
        let at = |number, set: &'p KeySet, key| Some((Place { set: number, key }, set.key(key)?));
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

    /// Judges what a token says that `key` has verified.
    pub(crate) fn check_content(self, content: &Content, key: &Key, now: i64) -> Result<(), Why> {
        let leeway = self.beside.and_then(|beside| beside.leeway).unwrap_or(self.policy.leeway);
        let time = content.claims.check_time(now, leeway);
        time.map_err(|(reason, age)| (reason, Some(age)))?;
        for demands in &self.policy.demands {
            demands.check(content, now).map_err(plain)?;
        }
        if let Some(beside) = self.beside {
            beside.demands.check(content, now).map_err(plain)?;
        }
        let revokes =
            |it: &Arc<Revocation>| it.revokes(&content.header, &content.payload, key.kid());
        let any = |lists: &[Arc<Revocation>]| lists.iter().any(revokes);
        let revoked = any(&self.policy.revoked)
            || self.beside.is_some_and(|beside| any(&beside.revoked))
            || self.loan.policy.as_ref().is_some_and(|lent| any(&lent.revoked))
            || self.loan.revoked.as_deref().is_some_and(any);
        if revoked { Err(plain(Reject::Revoked)) } else { Ok(()) }
    }
}
