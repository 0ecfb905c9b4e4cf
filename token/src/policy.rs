//! What a location demands of a token, and the judgement itself.

use std::fmt;
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

/// What a token must satisfy.
#[derive(Debug, Default)]
pub struct Policy {
    /// Where keys come from. A kid is looked up in all of them, in this order.
    pub keys: Vec<Arc<KeySet>>,
    /// The accepted values of `alg`; `None` for every one that the selected key allows.
    pub algorithms: Option<AlgorithmSet>,
    /// The accepted values of `iss`; empty for any, or none.
    pub issuers: Box<[Box<str>]>,
    /// The accepted values of `aud`; empty for any, or none.
    pub audiences: Box<[Box<str>]>,
    /// The accepted values of the `typ` header; empty for any, or none.
    pub types: Box<[Box<str>]>,
    /// Clock skew allowed for `exp` and `nbf`, in seconds.
    pub leeway: i64,
    /// Whether a token must expire.
    pub require_exp: bool,
    /// The longest accepted time from `iat` to `exp`, in seconds.
    pub max_lifetime: Option<i64>,
}

/// A token that satisfied a [`Policy`].
#[derive(Debug, Clone)]
pub struct Verified {
    /// The JOSE header.
    pub header: Document,
    /// The claims.
    pub payload: Document,
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

impl Policy {
    /// Judges `token` at `now`, in seconds since the epoch.
    ///
    /// The order is form, key and algorithm, signature, and only then type and claims.
    ///
    /// # Errors
    /// The first reason for which the token is refused.
    pub fn check(&self, token: &[u8], now: i64) -> Result<Verified, Refusal> {
        let (header, payload) = self.verify_jws(token, now)?;
        let refuse = |reason, age| Refusal { reason, kid: header::kid(&header), age };
        let payload = Document::parse(payload).map_err(|_| refuse(Reject::Malformed, None))?;
        match self.check_claims(&header, &payload, now) {
            Ok(()) => Ok(Verified { header, payload }),
            Err((reason, age)) => Err(refuse(reason, age)),
        }
    }

    /// The first half of [`Policy::check`]: the signature of a JWS (RFC 7515 section 5.2) whatever
    /// its payload is. Gives the header and the decoded payload.
    ///
    /// # Errors
    /// As [`Policy::check`].
    pub fn verify_jws(&self, token: &[u8], now: i64) -> Result<(Document, Vec<u8>), Refusal> {
        let compact = Compact::split(token).ok_or(Reject::Malformed)?;
        let header = header::document(compact.header)?;
        let verify = || {
            self.verify_signature(&compact, &Header::read(&header)?, now)?;
            base64url::decode(compact.payload).ok_or(Reject::Malformed)
        };
        match verify() {
            Ok(payload) => Ok((header, payload)),
            Err(reason) => Err(Refusal { reason, kid: header::kid(&header), age: None }),
        }
    }

    fn check_claims(
        &self,
        header: &Document,
        payload: &Document,
        now: i64,
    ) -> Result<(), (Reject, Option<i64>)> {
        let plain = |reason| (reason, None);
        let claims = Claims::read(payload).map_err(plain)?;
        if !self.types.is_empty() {
            let typ = Header::read(header).map_err(plain)?.typ;
            if !is_typ(typ, &self.types) {
                return Err(plain(Reject::BadType));
            }
        }
        claims.check_time(now, self.leeway).map_err(|(reason, age)| (reason, Some(age)))?;
        claims.check_lifetime(now, self.require_exp, self.max_lifetime).map_err(plain)?;
        if !self.issuers.is_empty() && !claims.is_from(&self.issuers) {
            return Err(plain(Reject::BadIssuer));
        }
        if !self.audiences.is_empty() && !claims.is_for(&self.audiences) {
            return Err(plain(Reject::BadAudience));
        }
        Ok(())
    }

    fn verify_signature(
        &self,
        compact: &Compact<'_>,
        header: &Header<'_>,
        now: i64,
    ) -> Result<(), Reject> {
        let algorithm = header.algorithm;
        if self.algorithms.is_some_and(|accepted| !accepted.contains(algorithm)) {
            return Err(Reject::BadAlgorithm);
        }
        let signature = base64url::decode(compact.signature).ok_or(Reject::Malformed)?;
        let (mut known, mut tried) = (false, 0);
        for key in self.candidates(header.kid, algorithm).filter(|key| key.is_current(now)) {
            known = true;
            if !key.algorithms().contains(algorithm) {
                continue;
            }
            if key.verify(algorithm, compact.signing_input, &signature) {
                return Ok(());
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
    fn candidates<'a>(
        &'a self,
        kid: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a Key> {
        let sets = || self.keys.iter().map(AsRef::as_ref);
        let named = kid.into_iter().flat_map(move |kid| sets().flat_map(|set| set.named(kid)));
        let unnamed = kid.into_iter().flat_map(move |_| sets().flat_map(KeySet::unnamed));
        let any = kid.is_none().then(move || sets().flat_map(move |set| set.verifying(algorithm)));
        named.chain(unnamed).chain(any.into_iter().flatten())
    }
}
