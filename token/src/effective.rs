//! The policy that is in effect for one token: the configured one, the location's additions, and what
//! changes at run time. It selects keys, verifies the signature and judges the content.

use std::mem::discriminant;

use crate::alg::{Algorithm, AlgorithmSet, SignatureCounts};
use crate::base64url;
use crate::claims::Claims;
use crate::compact::Compact;
use crate::content::{Content, Form};
use crate::header::{Header, KeyHint};
use crate::json::Document;
use crate::key::Key;
use crate::keyset::{KeyIndex, KeySet, MAX_CANDIDATES, MAX_NAMELESS};
use crate::memo::Memo;
use crate::policy::{LiveInputs, LocationPolicy, Policy};
use crate::refusal::{Refusal, Why};
use crate::reject::Reject;
use crate::revoked::{Case, Finding, Times};

impl Policy {
    /// Verifies only the signature of a JWS (RFC 7515 section 5.2) and returns its decoded payload,
    /// which need not be JSON.
    ///
    /// # Errors
    /// As [`Trust::check`](crate::Trust::check).
    pub fn verify_jws(&self, token: &[u8], now: i64) -> Result<Vec<u8>, Refusal> {
        let compact = Compact::split(token)?;
        let (header, algorithm) = Header::parse(compact.header)?;
        let verify = || {
            let live = LiveInputs::default();
            let effective = EffectivePolicy {
                policy: self,
                location: None,
                live: &live,
                memo: None,
                signatures: None,
            };
            effective.check_padding(compact.padded)?;
            effective.verify(&compact, &header, algorithm, now)?;
            payload_text(&compact)
        };
        verify().map_err(|why| Refusal::of(&header, why))
    }
}

impl Policy {
    /// Checks what can be said of a token without a key: its form, and the types of its times.
    ///
    /// # Errors
    /// As [`Trust::check`](crate::Trust::check) for a token whose signature holds.
    pub fn check_form(&self, token: &[u8]) -> Result<(), Refusal> {
        let compact = Compact::split(token)?;
        check_padding(compact.padded, self.padding)?;
        let (header, _) = Header::parse(compact.header)?;
        let check = || {
            base64url::decode(compact.signature).ok_or_else(signature_fault)?;
            Claims::read(&payload_document(payload_text(&compact)?)?)
        };
        check().map(drop).map_err(|why| Refusal::of(&header, why))
    }
}

fn signature_fault() -> Why {
    Why::malformed("the signature is not base64url")
}

/// The payload of a token, parsed.
pub(crate) fn payload_document(text: Vec<u8>) -> Result<Document, Why> {
    Document::parse(text).map_err(|_| Why::malformed("the payload is not strict JSON"))
}

/// The decoded payload of a token.
pub(crate) fn payload_text(compact: &Compact<'_>) -> Result<Vec<u8>, Why> {
    base64url::decode(compact.payload).ok_or_else(|| Why::malformed("the payload is not base64url"))
}

/// Refuses a token that is padded, unless that is accepted.
pub(crate) fn check_padding(padded: bool, accepted: bool) -> Result<(), Why> {
    if padded && !accepted {
        return Err(Why::malformed("the section is padded; \"jwt_padding on\" accepts that"));
    }
    Ok(())
}

/// Everything that a token is judged by.
#[derive(Clone, Copy)]
pub(crate) struct EffectivePolicy<'p> {
    pub(crate) policy: &'p Policy,
    pub(crate) location: Option<&'p LocationPolicy>,
    pub(crate) live: &'p LiveInputs,
    pub(crate) memo: Option<Memo<'p>>,
    pub(crate) signatures: Option<&'p SignatureCounts>,
}

impl<'p> EffectivePolicy<'p> {
    /// The clock skew that is allowed.
    pub(crate) fn leeway(self) -> i64 {
        self.location.and_then(|location| location.leeway).unwrap_or(self.policy.leeway)
    }

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

    /// Refuses a padded token unless this policy accepts it.
    pub(crate) fn check_padding(self, padded: bool) -> Result<(), Why> {
        let own = self.location.and_then(|location| location.padding);
        check_padding(padded, own.unwrap_or(self.policy.padding))
    }

    /// The key that verifies the signature. `algorithm` must have been read from `header`.
    pub(crate) fn verify(
        self,
        compact: &Compact<'_>,
        header: &Header,
        algorithm: Algorithm,
        now: i64,
    ) -> Result<(KeyIndex, &'p Key), Why> {
        if self.sets().next().is_none() {
            return Err(Reject::NoKeys.into());
        }
        if !self.accepts(algorithm) {
            let detail = format!("{algorithm} is not among the accepted algorithms");
            return Err(Why::new(Reject::BadAlgorithm, detail));
        }
        let mut buffer = [0; base64url::BUFFER];
        let signature =
            base64url::decode_into(compact.signature, &mut buffer).ok_or_else(signature_fault)?;
        let hint = header.key_hint();
        let verifies = |key: &Key| {
            let memo = self.memo.and_then(|memo| Some((memo, key.fingerprint()?)));
            if memo.is_some_and(|(memo, key)| memo.has(key, algorithm, compact.token)) {
                self.signatures.inspect(|counts| counts.count_spared());
                return true;
            }
            self.signatures.inspect(|counts| counts.count(algorithm));
            let holds = key.verify(algorithm, compact.signing_input, &signature);
            if let Some((memo, key)) = memo.filter(|_| holds) {
                memo.put(key, algorithm, compact.token);
            }
            holds
        };
        let mut search = Search { algorithm, now, verifies, known: false, tried: 0, fitting: 0 };
        self.search(&mut search, hint).ok_or_else(|| {
            // Of a set's keys only the first ones are indexed by algorithm.
            let all = || self.sets().map(|set| set.count(algorithm, now)).sum();
            let of = if hint == KeyHint::Nothing { all() } else { search.fitting };
            let has_keys = self.sets().any(|set| !set.is_empty());
            search.failed(hint, of, has_keys, header)
        })
    }

    /// Tries the keys that may have signed the token: those that it names, then those without a kid, then
    /// those for any kid, and, if it names none, the first ones of its algorithm.
    fn search<V: Fn(&Key) -> bool>(
        self,
        search: &mut Search<V>,
        hint: KeyHint<'_>,
    ) -> Option<(KeyIndex, &'p Key)> {
        let algorithm = search.algorithm;
        match hint {
            KeyHint::Kid(kid) => search
                .first(self.keys(|set| set.named(kid)), MAX_NAMELESS)
                .or_else(|| search.first(self.keys(KeySet::unnamed), MAX_NAMELESS))
                .or_else(|| {
                    let others = self.sets().any(|set| !set.named(kid).is_empty());
                    let for_any = self.keys(KeySet::for_any_kid).filter(|_| !others);
                    search.first(for_any, MAX_NAMELESS)
                }),
            KeyHint::Thumbprint(thumbprint) => {
                let same = self.keys(move |set| set.with_thumbprint(thumbprint).iter().copied());
                // Keys whose thumbprint is not known.
                let other = self.keys(KeySet::unnamed).filter(|(_, key)| {
                    !key.thumbprints()
                        .iter()
                        .any(|one| discriminant(one) == discriminant(&thumbprint))
                });
                search.first(same.chain(other).chain(self.keys(KeySet::for_any_kid)), MAX_NAMELESS)
            }
            KeyHint::Nothing => {
                let nameless = self.keys(move |set| set.nameless(algorithm).iter().copied());
                search.first(nameless.chain(self.keys(KeySet::for_any_kid)), MAX_NAMELESS).or_else(
                    || {
                        let named =
                            self.keys(move |set| set.with_any_kid(algorithm).iter().copied());
                        search.first(named, search.tried + MAX_CANDIDATES)
                    },
                )
            }
        }
    }

    /// The keys of all sets with the numbers that `of` gives.
    fn keys<I: IntoIterator<Item = usize>>(
        self,
        of: impl Fn(&'p KeySet) -> I,
    ) -> impl Iterator<Item = (KeyIndex, &'p Key)> {
        self.sets().enumerate().flat_map(move |(number, set)| {
            let at = move |key| Some((KeyIndex { set: number, key }, set.key(key)?));
            of(set).into_iter().filter_map(at)
        })
    }

    /// Refuses a Status List Token where no types are required: its issuer signs it with the same key, and
    /// everybody can fetch it, so it must be no credential (RFC 8725 section 3.12).
    fn check_no_list(self, content: &Content) -> Result<(), Why> {
        if !content.header.is_status_list() {
            return Ok(());
        }
        let Some(typ) = content.header.typ() else { return Ok(()) };
        let of_location = self.location.map(|location| &location.requirements);
        let mut all = self.policy.requirements.iter().chain(of_location);
        match all.any(|requirements| !requirements.types.is_empty()) {
            true => Ok(()),
            false => Err(Why::not_accepted(Reject::BadType, typ)),
        }
    }

    /// Judges the content of a token that a key with this kid has verified, or decrypted if it is not signed.
    pub(crate) fn check_content(
        self,
        content: &Content,
        key_kid: Option<&str>,
        now: i64,
    ) -> Result<(), Why> {
        content.claims.check_time(now, self.leeway())?;
        self.check_no_list(content)?;
        for requirements in &self.policy.requirements {
            requirements.check(content, now)?;
        }
        if let Some(location) = self.location {
            location.requirements.check(content, now)?;
        }
        let case = Case {
            header: &content.header,
            payload: &content.payload,
            key_kid,
            times: Times::at(now, content.claims.issued_at()),
        };
        self.check_lists(case)
    }

    /// The first second in which a token that this policy has accepted at `now` may be judged in another way by it, if
    /// the clock is not set back. `now` if that cannot be said.
    ///
    /// Of what a token is judged by, only these depend on the time, and with time go from passing to refusing: `exp`,
    /// the end of the key, and lists. A token that is valid has reached its `nbf`, and one without `iat` lives ever
    /// shorter.
    pub(crate) fn stands_until(self, content: &Content, key: KeyIndex, now: i64) -> i64 {
        let Form::Signed(algorithm) = content.form else { return now };
        if self.live.policy.is_some() || self.live.revoked.is_some() {
            return now;
        }
        let Some(key) = self.key(key, algorithm, now) else { return now };
        let has_lists = !self.policy.revoked.is_empty()
            || self.location.is_some_and(|location| !location.revoked.is_empty());
        let lists = has_lists.then_some(now.saturating_add(1));
        let token = content.expires().map(|expires| expires.saturating_add(self.leeway()));
        let ends = [lists, token, key.expires()];
        ends.into_iter().flatten().min().unwrap_or(i64::MAX)
    }

    /// Refuses a token that is in a list. One that is in none of those that are there is refused if another
    /// one is missing.
    fn check_lists(self, case: Case<'_>) -> Result<(), Why> {
        let location = self.location.map(|location| &*location.revoked).unwrap_or_default();
        let live = self.live.policy.as_ref().map(|live| &*live.revoked).unwrap_or_default();
        let live_too = self.live.revoked.as_deref().unwrap_or_default();
        let mut missing = None;
        for list in [&*self.policy.revoked, location, live, live_too].into_iter().flatten() {
            match list.revokes(case) {
                Finding::Clean => {}
                Finding::Revoked => {
                    return Err(Why::new(Reject::Revoked, list.what_is_revoked()));
                }
                Finding::Missing => missing = missing.or(Some(list)),
            }
        }
        missing.map_or(Ok(()), |list| Err(Why::new(Reject::NoList, list.what_is_missing())))
    }
}

/// The search for the key that verifies a signature.
struct Search<V> {
    algorithm: Algorithm,
    now: i64,
    /// Whether a key verifies the signature.
    verifies: V,
    /// Whether a key that is still accepted was found, even if it is for other algorithms.
    known: bool,
    /// How many keys were tried, and how many there were for the algorithm.
    tried: usize,
    fitting: usize,
}

impl<V: Fn(&Key) -> bool> Search<V> {
    /// The first of `keys` that verifies the signature. Tries no more when `limit` keys were tried in the
    /// whole search.
    fn first<'p>(
        &mut self,
        keys: impl Iterator<Item = (KeyIndex, &'p Key)>,
        limit: usize,
    ) -> Option<(KeyIndex, &'p Key)> {
        for (index, key) in keys.filter(|(_, key)| key.is_current(self.now)) {
            self.known = true;
            if !key.algorithms().contains(self.algorithm) {
                continue;
            }
            self.fitting += 1;
            if self.tried < limit {
                if (self.verifies)(key) {
                    return Some((index, key));
                }
                self.tried += 1;
            }
        }
        None
    }

    /// Why no key has verified the signature. `of` is how many keys there were for the algorithm;
    /// without `has_keys` there were none at all, as where a key is fetched for each kid.
    fn failed(&self, hint: KeyHint<'_>, of: usize, has_keys: bool, header: &Document) -> Why {
        let Self { algorithm, tried, known, .. } = self;
        match hint {
            KeyHint::Kid(_) if !known => Why::new(Reject::UnknownKey, "no key has the token's kid"),
            KeyHint::Thumbprint(_) if !known => {
                Why::new(Reject::UnknownKey, "no key has the token's x5t")
            }
            KeyHint::Nothing if !has_keys => {
                Why::new(Reject::UnknownKey, "the token has no kid, by which keys are fetched")
            }
            KeyHint::Nothing if *tried == 0 => {
                Why::new(Reject::BadAlgorithm, format!("no key is for {algorithm}"))
            }
            _ if *tried == 0 => {
                Why::new(Reject::BadAlgorithm, format!("the token's key is not for {algorithm}"))
            }
            _ => {
                let limit = (*tried < of).then(|| format!("{tried} of {of} keys tried"));
                // Microsoft Graph changes the nonce before it signs, so that only it can verify.
                let nonce = header.root().get("nonce").map(|_| {
                    "the header has a nonce: a token for the issuer's own API, which others cannot verify"
                });
                let all: Vec<_> = limit.as_deref().into_iter().chain(nonce).collect();
                Why::new(Reject::BadSignature, all.join("; "))
            }
        }
    }
}
