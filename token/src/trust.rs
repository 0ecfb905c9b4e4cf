//! The judgement: one way through it for every token, whether one policy counts or the issuer
//! decides which does, and whether the token was seen before or not.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use crate::base64url;
use crate::cache::{Cache, Known, Proof};
use crate::claims::{self, Claims};
use crate::compact::Compact;
use crate::content::Content;
use crate::effective::InForce;
use crate::header::{self, Header};
use crate::json::Document;
use crate::keyset::Place;
use crate::policy::{Beside, Loan, Policy};
use crate::providers::Providers;
use crate::refusal::Refusal;
use crate::reject::Reject;

/// Whose tokens are accepted.
#[derive(Debug)]
pub enum Trust {
    /// Those that the keys of one policy verify.
    Keys(Policy),
    /// Those of several providers. The issuer that a token names decides which: keys of one never
    /// vouch for an issuer of another. What is demanded beside is demanded of them all.
    Providers(Arc<Providers>, Beside),
}

/// A token that satisfied a [`Policy`].
#[derive(Debug, Clone)]
pub struct Verified {
    content: Rc<Content>,
    /// Which of the [`Trust::Providers`] it is from; 0 where there are only keys.
    pub provider: usize,
    /// Whether a cache knows it now, so that the same keys need not verify it again.
    pub cached: bool,
}

impl Verified {
    /// Shares what another token says that has the very same bytes.
    pub fn share(&mut self, same: &Self) {
        self.content = Rc::clone(&same.content);
    }
}

impl Deref for Verified {
    type Target = Content;

    /// What the token says.
    fn deref(&self) -> &Content {
        &self.content
    }
}

impl Trust {
    /// Judges `token` at `now`, in seconds since the epoch.
    ///
    /// The order is form, header, key and algorithm, signature, and only then type, claims and
    /// revocation. Among several providers the issuer is read before, for nothing but choosing
    /// whose keys are tried.
    ///
    /// `lend` gives what a policy, by its number, goes by beside its own.
    ///
    /// # Errors
    /// The first reason for which the token is refused.
    pub fn check(
        &self,
        token: &[u8],
        now: i64,
        lend: impl Fn(usize) -> Loan,
    ) -> Result<Verified, Refusal> {
        self.check_cached(token, now, lend, None)
    }

    /// [`Trust::check`], with the same answer, for less where `cache` knows the token.
    ///
    /// # Errors
    /// As [`Trust::check`].
    pub fn check_cached(
        &self,
        token: &[u8],
        now: i64,
        lend: impl Fn(usize) -> Loan,
        cache: Option<&Cache>,
    ) -> Result<Verified, Refusal> {
        let among = match self {
            Self::Keys(policy) => Among::One(policy),
            Self::Providers(providers, beside) => Among::Issuers(providers, beside),
        };
        Judge { among, lend, cache, now }.check(token)
    }
}

impl Policy {
    /// [`Trust::check`] by this policy alone, with the keys that it holds.
    ///
    /// # Errors
    /// As [`Trust::check`].
    pub fn check(&self, token: &[u8], now: i64) -> Result<Verified, Refusal> {
        let lend = |_| Loan::default();
        Judge { among: Among::One(self), lend, cache: None, now }.check(token)
    }
}

/// What one token is judged with.
struct Judge<'p, L> {
    among: Among<'p>,
    lend: L,
    cache: Option<&'p Cache>,
    now: i64,
}

/// What there is to choose a policy from.
#[derive(Clone, Copy)]
enum Among<'p> {
    One(&'p Policy),
    /// The issuer decides.
    Issuers(&'p Providers, &'p Beside),
}

/// The policy that counts.
struct Chosen<'p> {
    number: usize,
    policy: &'p Policy,
    beside: Option<&'p Beside>,
    loan: Loan,
}

impl Chosen<'_> {
    fn in_force(&self) -> InForce<'_> {
        InForce { policy: self.policy, beside: self.beside, loan: &self.loan }
    }
}

impl<'p, L: Fn(usize) -> Loan> Judge<'p, L> {
    fn check(&self, token: &[u8]) -> Result<Verified, Refusal> {
        match self.cache.and_then(|cache| Some((cache, cache.find(token)?))) {
            Some((cache, known)) => self.check_known(token, cache, &known),
            None => self.check_new(token),
        }
    }

    /// A token that the cache does not know.
    fn check_new(&self, token: &[u8]) -> Result<Verified, Refusal> {
        let compact = Compact::split(token).ok_or(Reject::Malformed)?;
        let header = header::document(compact.header)?;
        let refused = |reason| Refusal::of(&header, (reason, None));
        let head = Header::read(&header).map_err(refused)?;
        let mut text = None;
        let chosen = match self.among {
            Among::One(policy) => self.only(policy),
            Among::Issuers(providers, beside) => {
                let text = text.insert(payload_text(&compact).map_err(refused)?);
                let issuer = claims::issuer_of(text).map_err(refused)?;
                self.of_issuer(issuer.as_deref(), providers, beside).map_err(refused)?
            }
        };
        let (place, key) = chosen
            .in_force()
            .verify(&compact, head.algorithm, head.kid(&header), self.now)
            .map_err(refused)?;
        let text = text.map_or_else(|| payload_text(&compact), Ok).map_err(refused)?;
        let payload = Document::parse(text).map_err(|_| refused(Reject::Malformed))?;
        let claims = Claims::read(&payload).map_err(refused)?;
        let content = Content { header, payload, head, claims };
        chosen
            .in_force()
            .check_content(&content, key, self.now)
            .map_err(|why| Refusal::of(&content.header, why))?;
        let content = Rc::new(content);
        let remember = |cache| self.remember(cache, token, &content, &chosen, place);
        let cached = self.cache.is_some_and(remember);
        Ok(Verified { content, provider: chosen.number, cached })
    }

    /// A token that the cache knows: it need not be read again, nor verified where the same keys
    /// are in force, but everything else is judged.
    fn check_known(&self, token: &[u8], cache: &Cache, known: &Known) -> Result<Verified, Refusal> {
        let content = &known.content;
        let refused = |reason| Refusal::of(&content.header, (reason, None));
        let chosen = match self.among {
            Among::One(policy) => self.only(policy),
            Among::Issuers(providers, beside) => {
                self.of_issuer(content.issuer(), providers, beside).map_err(refused)?
            }
        };
        let force = chosen.in_force();
        let algorithm = content.head.algorithm;
        let proven = cache
            .proof(known, force.set_ids(), self.now)
            .and_then(|place| force.key(place, algorithm, self.now));
        let (key, new) = match proven {
            Some(key) => (key, None),
            None => {
                let compact = Compact::split(token).ok_or(Reject::Malformed)?;
                let kid = content.head.kid(&content.header);
                let verified = force.verify(&compact, algorithm, kid, self.now);
                let (place, key) = verified.map_err(refused)?;
                (key, Some(place))
            }
        };
        let judged = force.check_content(content, key, self.now);
        judged.map_err(|why| Refusal::of(&content.header, why))?;
        let cached = new.is_none_or(|place| self.remember(cache, token, content, &chosen, place));
        Ok(Verified { content: Rc::clone(content), provider: chosen.number, cached })
    }

    fn remember(
        &self,
        cache: &Cache,
        token: &[u8],
        content: &Rc<Content>,
        chosen: &Chosen<'_>,
        key: Place,
    ) -> bool {
        let sets = chosen.in_force().set_ids().collect();
        cache.remember(token, content, Proof { sets, key, since: self.now }, self.now)
    }

    /// The one policy that there is.
    fn only(&self, policy: &'p Policy) -> Chosen<'p> {
        Chosen { number: 0, policy, beside: None, loan: (self.lend)(0) }
    }

    /// The policy of the provider whose issuer this is, which nothing vouches for yet.
    fn of_issuer(
        &self,
        issuer: Option<&str>,
        providers: &'p Providers,
        beside: &'p Beside,
    ) -> Result<Chosen<'p>, Reject> {
        let found = issuer.and_then(|issuer| providers.of_issuer(issuer));
        let (number, policy) = found.ok_or(Reject::BadIssuer)?;
        Ok(Chosen { number, policy, beside: Some(beside), loan: (self.lend)(number) })
    }
}

fn payload_text(compact: &Compact<'_>) -> Result<Vec<u8>, Reject> {
    base64url::decode(compact.payload).ok_or(Reject::Malformed)
}
