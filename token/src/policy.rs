//! What a location demands of a token, and the judgement itself.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::alg::{Algorithm, AlgorithmSet};
use crate::base64url;
use crate::claims::{Claims, is_typ};
use crate::compact::Compact;
use crate::header::{self, Header};
use crate::json::Document;
use crate::key::Key;
use crate::keyset::{KeySet, MAX_CANDIDATES};
use crate::reject::Reject;
use crate::revoked::Revocation;

/// Whose tokens are accepted.
#[derive(Debug)]
pub enum Trust {
    /// Those that the keys of one policy verify.
    Keys(Policy),
    /// Those of several providers. The issuer that a token names decides which: keys of one never
    /// vouch for an issuer of another.
    Providers(Vec<Policy>),
}

/// What a token must satisfy.
#[derive(Debug, Default)]
pub struct Policy {
    /// Where keys come from. A kid is looked up in all of them, in this order.
    pub keys: Vec<Arc<KeySet>>,
    /// The accepted values of `alg`; `None` for every one that the selected key allows.
    pub algorithms: Option<AlgorithmSet>,
    /// Clock skew allowed for `exp` and `nbf`, in seconds.
    pub leeway: i64,
    /// What the header and the claims must be; all of it. A provider's comes first.
    pub demands: Vec<Demands>,
    /// Which tokens are revoked.
    pub revoked: Vec<Arc<Revocation>>,
}

/// What the registered parts of a token must be.
#[derive(Debug, Default, Clone)]
pub struct Demands {
    /// The accepted values of `iss`; empty for any, or none.
    pub issuers: Box<[Box<str>]>,
    /// The accepted values of `aud`; empty for any, or none.
    pub audiences: Box<[Box<str>]>,
    /// The accepted values of the `typ` header; empty for any, or none.
    pub types: Box<[Box<str>]>,
    /// Whether a token must expire.
    pub require_exp: bool,
    /// The longest accepted time from `iat` to `exp`, in seconds.
    pub max_lifetime: Option<i64>,
}

/// What a [`Policy`] goes by beside what the configuration fixes: keys and lists that change while
/// requests flow.
#[derive(Debug, Default)]
pub struct Lent {
    /// Further key sources, tried after the policy's own.
    pub keys: Vec<Arc<KeySet>>,
    /// Further lists of what is revoked.
    pub revoked: Vec<Arc<Revocation>>,
}

/// A token that satisfied a [`Policy`].
#[derive(Debug, Clone)]
pub struct Verified {
    /// The JOSE header.
    pub header: Document,
    /// The claims.
    pub payload: Document,
    /// Which of the [`Trust::Providers`] it is from; 0 where there are only keys.
    pub provider: usize,
}

/// Why a token was refused, and what the log may say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Reject,
    /// The kid that the token claims, which nothing vouches for.
    pub kid: Option<Box<str>>,
    /// Seconds since `exp`, or until `nbf`.
    pub age: Option<i64>,
}

impl From<Reject> for Refusal {
    fn from(reason: Reject) -> Self {
        Self { reason, kid: None, age: None }
    }
}

impl fmt::Display for Refusal {
    /// The reason and, where there are any, the age and the kid, on one line whatever the token's
    /// sender put into the kid.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Enough to recognise a kid by; a longer one is most likely an attack.
        const SHOWN: usize = 64;
        self.reason.fmt(f)?;
        if let Some(age) = self.age {
            match self.reason {
                Reject::NotYetValid => write!(f, " for {age}s")?,
                _ => write!(f, " {age}s ago")?,
            }
        }
        if let Some(kid) = &self.kid {
            let dots = if kid.chars().count() > SHOWN { "..." } else { "" };
            let shown: String = kid.chars().take(SHOWN).collect();
            write!(f, ", kid \"{}{dots}\"", shown.escape_default())?;
        }
        Ok(())
    }
}

impl Trust {
    /// Judges `token` at `now`, in seconds since the epoch.
    ///
    /// The order is form, key and algorithm, signature, and only then type, claims and revocation.
    /// Among several providers the issuer is read before, for nothing but choosing whose keys are
    /// tried.
    ///
    /// `lend` gives what a policy, by its number, goes by beside its own; `None` for nothing.
    ///
    /// # Errors
    /// The first reason for which the token is refused.
    pub fn check(
        &self,
        token: &[u8],
        now: i64,
        lend: impl Fn(usize) -> Option<Rc<Lent>>,
    ) -> Result<Verified, Refusal> {
        let policies = match self {
            Self::Keys(policy) => return policy.check_with(token, now, || lend(0)),
            Self::Providers(policies) => policies,
        };
        let compact = Compact::split(token).ok_or(Reject::Malformed)?;
        let header = header::document(compact.header)?;
        let judge = || {
            let (provider, policy, payload) = Self::choose(policies, &compact).map_err(plain)?;
            let lent = lend(provider);
            let lent = lent.as_deref();
            let key = policy.verify(&compact, &header, lent, now).map_err(plain)?;
            Ok((policy.check_claims(&header, payload, key, lent, now)?, provider))
        };
        match judge() {
            Ok((payload, provider)) => Ok(Verified { header, payload, provider }),
            Err((reason, age)) => Err(Refusal { reason, kid: header::kid(&header), age }),
        }
    }

    /// The provider whose issuer the payload names, which nothing vouches for yet.
    fn choose<'p>(
        policies: &'p [Policy],
        compact: &Compact<'_>,
    ) -> Result<(usize, &'p Policy, Document), Reject> {
        let payload = payload(compact)?;
        let claims = Claims::read(&payload)?;
        let (provider, policy) = policies
            .iter()
            .enumerate()
            .find(|(_, policy)| policy.demands.first().is_some_and(|d| claims.is_from(&d.issuers)))
            .ok_or(Reject::BadIssuer)?;
        Ok((provider, policy, payload))
    }
}

fn payload(compact: &Compact<'_>) -> Result<Document, Reject> {
    let text = base64url::decode(compact.payload).ok_or(Reject::Malformed)?;
    Document::parse(text).map_err(|_| Reject::Malformed)
}

/// A reason that has to do with no time.
fn plain(reason: Reject) -> (Reject, Option<i64>) {
    (reason, None)
}

impl Policy {
    /// [`Trust::check`] by this policy alone, with the keys that it holds.
    ///
    /// # Errors
    /// As [`Trust::check`].
    pub fn check(&self, token: &[u8], now: i64) -> Result<Verified, Refusal> {
        self.check_with(token, now, || None)
    }

    fn check_with(
        &self,
        token: &[u8],
        now: i64,
        lend: impl FnOnce() -> Option<Rc<Lent>>,
    ) -> Result<Verified, Refusal> {
        let compact = Compact::split(token).ok_or(Reject::Malformed)?;
        let header = header::document(compact.header)?;
        let judge = || {
            let lent = lend();
            let lent = lent.as_deref();
            let key = self.verify(&compact, &header, lent, now).map_err(plain)?;
            self.check_claims(&header, payload(&compact).map_err(plain)?, key, lent, now)
        };
        match judge() {
            Ok(payload) => Ok(Verified { header, payload, provider: 0 }),
            Err((reason, age)) => Err(Refusal { reason, kid: header::kid(&header), age }),
        }
    }

    /// The signature of a JWS alone (RFC 7515 section 5.2), whatever its payload is, which is
    /// given decoded.
    ///
    /// # Errors
    /// As [`Trust::check`].
    pub fn verify_jws(&self, token: &[u8], now: i64) -> Result<Vec<u8>, Refusal> {
        let compact = Compact::split(token).ok_or(Reject::Malformed)?;
        let header = header::document(compact.header)?;
        self.verify(&compact, &header, None, now)
            .and_then(|_| base64url::decode(compact.payload).ok_or(Reject::Malformed))
            .map_err(|reason| Refusal { reason, kid: header::kid(&header), age: None })
    }

    fn verify<'k>(
        &'k self,
        compact: &Compact<'_>,
        header: &Document,
        lent: Option<&'k Lent>,
        now: i64,
    ) -> Result<&'k Key, Reject> {
        self.verify_signature(compact, &Header::read(header)?, lent, now)
    }

    /// Judges the claims of a token that `key` has verified, and gives the payload back.
    fn check_claims(
        &self,
        header: &Document,
        payload: Document,
        key: &Key,
        lent: Option<&Lent>,
        now: i64,
    ) -> Result<Document, (Reject, Option<i64>)> {
        let claims = Claims::read(&payload).map_err(plain)?;
        claims.check_time(now, self.leeway).map_err(|(reason, age)| (reason, Some(age)))?;
        for demands in &self.demands {
            demands.check(header, &claims, now).map_err(plain)?;
        }
        let lent = lent.map(|lent| &*lent.revoked).unwrap_or_default();
        let mut revoked = self.revoked.iter().chain(lent);
        if revoked.any(|revocation| revocation.revokes(header, &payload, key.kid())) {
            return Err(plain(Reject::Revoked));
        }
        Ok(payload)
    }

    /// The key that the signature holds with.
    fn verify_signature<'k>(
        &'k self,
        compact: &Compact<'_>,
        header: &Header<'_>,
        lent: Option<&'k Lent>,
        now: i64,
    ) -> Result<&'k Key, Reject> {
        let lent = lent.map(|lent| &*lent.keys).unwrap_or_default();
        if self.keys.is_empty() && lent.is_empty() {
            return Err(Reject::NoKeys);
        }
        let algorithm = header.algorithm;
        if self.algorithms.is_some_and(|accepted| !accepted.contains(algorithm)) {
            return Err(Reject::BadAlgorithm);
        }
        let signature = base64url::decode(compact.signature).ok_or(Reject::Malformed)?;
        let (mut known, mut tried) = (false, 0);
        for key in self.candidates(lent, header.kid, algorithm).filter(|key| key.is_current(now)) {
            known = true;
            if !key.algorithms().contains(algorithm) {
                continue;
            }
            if key.verify(algorithm, compact.signing_input, &signature) {
                return Ok(key);
            }
            tried += 1;
            if tried == MAX_CANDIDATES {
                break;
            }
        }
        Err(match (tried, known || header.kid.is_none()) {
            (0, false) => Reject::UnknownKey,
            (0, true) => Reject::BadAlgorithm,
            _ => Reject::BadSignature,
        })
    }

    /// The keys that may have signed: those of the token's kid, then those that have none; for a
    /// token without kid the first of its algorithm. The iterator is bounded in what it yields by
    /// the keys of one kid, which are one for each type, and by what [`KeySet`] indexes.
    fn candidates<'k>(
        &'k self,
        lent: &'k [Arc<KeySet>],
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'k Key> {
        let sets = move || self.keys.iter().chain(lent).map(AsRef::as_ref);
        let named = kid.into_iter().flat_map(move |kid| sets().flat_map(|set| set.named(kid)));
        let unnamed = kid.into_iter().flat_map(move |_| sets().flat_map(KeySet::unnamed));
        let any = kid.is_none().then(move || sets().flat_map(move |set| set.verifying(algorithm)));
        named.chain(unnamed).chain(any.into_iter().flatten())
    }
}

impl Demands {
    fn check(&self, header: &Document, claims: &Claims<'_>, now: i64) -> Result<(), Reject> {
        if !self.types.is_empty() && !is_typ(Header::read(header)?.typ, &self.types) {
            return Err(Reject::BadType);
        }
        claims.check_lifetime(now, self.require_exp, self.max_lifetime)?;
        if !self.issuers.is_empty() && !claims.is_from(&self.issuers) {
            return Err(Reject::BadIssuer);
        }
        if !self.audiences.is_empty() && !claims.is_for(&self.audiences) {
            return Err(Reject::BadAudience);
        }
        Ok(())
    }
}
