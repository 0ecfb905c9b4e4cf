//! The judgement of a token. Every token takes the same path, whether there is one policy or one for
//! each issuer, and whether the cache knows the token or not.

use std::rc::Rc;
use std::sync::Arc;

use crate::alg::{Algorithm, SignatureCounts};
use crate::cache::{Cache, Known, Proof, Slot, opening_ids};
use crate::claims::{self, Claims};
use crate::compact::Compact;
use crate::content::{Content, Form};
use crate::effective::{EffectivePolicy, check_padding, payload_document, payload_text};
use crate::header::Header;
use crate::headers::Headers;
use crate::jwe::{self, DecryptionKeys, Opened};
use crate::key::Key;
use crate::keyset::KeyIndex;
use crate::memo::Memo;
use crate::policy::{Forms, LiveInputs, LocationPolicy, Policy, Wanted};
use crate::providers::Providers;
use crate::refusal::{Refusal, Why};
use crate::reject::Reject;
use crate::verified::Verified;

/// Which tokens are accepted.
#[derive(Debug)]
pub enum Trust {
    /// Tokens that satisfy this policy.
    Keys(Policy),
    /// Tokens of several providers. The token's issuer selects the provider, so the keys of one
    /// provider never verify a token of another's issuer. Every token must satisfy the location's
    /// policy as well.
    Providers(Arc<Providers>, LocationPolicy),
}

/// What [`Trust::check_with`] may be given beside the token.
#[derive(Clone, Copy, Default)]
pub struct With<'w> {
    /// The result is the same, but cheaper if the cache knows the token.
    pub cache: Option<&'w Cache>,
    /// The result is the same, but cheaper if the last tokens had the same header.
    pub headers: Option<&'w Headers>,
    /// The same of all workers, for signatures of public keys. The result is the same, but cheaper if a worker has
    /// verified the token's signature already.
    pub memo: Option<Memo<'w>>,
    /// The numbers of those [`Trust::Providers`] that are asked; `None` for all. A token of another one is
    /// of an unknown issuer.
    pub among: Option<&'w [usize]>,
    /// Whether it is asked until when the verdict can stand ([`Verified::let_stand`]).
    pub stands: bool,
    /// Counts the signatures that are verified.
    pub signatures: Option<&'w SignatureCounts>,
    /// Keys that decrypt and change at run time, tried after those of the [`Forms`].
    pub decryption: &'w [Arc<DecryptionKeys>],
}

impl Trust {
    /// Judges `token` at `now`, in seconds since the epoch.
    ///
    /// The order is: form, header, key and algorithm, signature, and only then type, claims and
    /// revocation. An encrypted token is decrypted first. With several providers the issuer is read before
    /// the signature is verified, only to select the provider.
    ///
    /// `live` returns the keys and lists that change at run time, for a policy and the token's kid.
    ///
    /// # Errors
    /// The first reason for which the token is refused.
    pub fn check(
        &self,
        token: &[u8],
        now: i64,
        live: impl Fn(Wanted<'_>) -> LiveInputs,
    ) -> Result<Verified, Refusal> {
        self.check_cached(token, now, live, None)
    }

    /// The policy of this number, and what the location adds to it.
    pub fn policy(&self, number: usize) -> Option<(&Policy, Option<&LocationPolicy>)> {
        match self {
            Self::Keys(policy) => (number == 0).then_some((policy, None)),
            Self::Providers(providers, location) => {
                Some((providers.policy(number)?, Some(location)))
            }
        }
    }

    /// As [`Trust::check`], with the same result, but cheaper if `cache` knows the token.
    ///
    /// # Errors
    /// As [`Trust::check`].
    pub fn check_cached(
        &self,
        token: &[u8],
        now: i64,
        live: impl Fn(Wanted<'_>) -> LiveInputs,
        cache: Option<&Cache>,
    ) -> Result<Verified, Refusal> {
        self.check_with(token, now, live, With { cache, ..With::default() })
    }

    /// As [`Trust::check`], with all that can be given to a judgement.
    ///
    /// # Errors
    /// As [`Trust::check`].
    pub fn check_with(
        &self,
        token: &[u8],
        now: i64,
        live: impl Fn(Wanted<'_>) -> LiveInputs,
        with: With<'_>,
    ) -> Result<Verified, Refusal> {
        let known = with.cache.and_then(|cache| cache.find(token));
        self.check_found(token, known, now, live, with)
    }

    /// As [`Trust::check_with`], for a token that the cache was already asked for: `known` is what it knows.
    ///
    /// # Errors
    /// As [`Trust::check`].
    pub fn check_found(
        &self,
        token: &[u8],
        known: Option<Known>,
        now: i64,
        live: impl Fn(Wanted<'_>) -> LiveInputs,
        with: With<'_>,
    ) -> Result<Verified, Refusal> {
        let policies = match self {
            Self::Keys(policy) => Policies::One(policy),
            Self::Providers(providers, location) => Policies::ByIssuer(providers, location),
        };
        Judge { policies, live, now, with: &with }.check(token, known)
    }
}

impl Policy {
    /// [`Trust::check`] with this policy alone and nothing that changes at run time.
    ///
    /// # Errors
    /// As [`Trust::check`].
    pub fn check(&self, token: &[u8], now: i64) -> Result<Verified, Refusal> {
        let live = |_: Wanted<'_>| LiveInputs::default();
        Judge { policies: Policies::One(self), live, now, with: &With::default() }
            .check(token, None)
    }
}

/// The inputs of one judgement.
struct Judge<'p, L> {
    policies: Policies<'p>,
    live: L,
    now: i64,
    with: &'p With<'p>,
}

/// The policies to choose from.
#[derive(Clone, Copy)]
enum Policies<'p> {
    One(&'p Policy),
    /// The token's issuer selects one.
    ByIssuer(&'p Providers, &'p LocationPolicy),
}

impl Policies<'_> {
    /// Refuses a padded token that no policy would accept, before anything of it is read.
    fn check_padding(self, padded: bool) -> Result<(), Why> {
        let (Self::One(Policy { padding, .. }) | Self::ByIssuer(Providers { padding, .. }, _)) =
            self;
        let own = match self {
            Self::One(_) => None,
            Self::ByIssuer(_, location) => location.padding,
        };
        check_padding(padded, own.unwrap_or(*padding))
    }
}

/// Why what a token has encrypted is neither claims nor a signed token.
fn no_content(why: Why) -> Why {
    Why::malformed(format!(
        "what is encrypted is neither claims nor a signed token: {}",
        why.detail
    ))
}

/// The policy for this token.
struct Chosen<'p> {
    number: usize,
    policy: &'p Policy,
    location: Option<&'p LocationPolicy>,
    live: LiveInputs,
    memo: Option<Memo<'p>>,
    signatures: Option<&'p SignatureCounts>,
}

impl Chosen<'_> {
    fn effective(&self) -> EffectivePolicy<'_> {
        let Self { policy, location, memo, signatures, .. } = *self;
        EffectivePolicy { policy, location, live: &self.live, memo, signatures }
    }
}

/// What has vouched for a token: a key and its kid.
struct Vouched<'p> {
    key: KeyIndex,
    kid: Option<&'p str>,
}

impl<'p, L: Fn(Wanted<'_>) -> LiveInputs> Judge<'p, L> {
    fn check(&self, token: &[u8], known: Option<Known>) -> Result<Verified, Refusal> {
        match self.with.cache.zip(known) {
            Some((cache, known)) => self.check_known(token, cache, &known),
            None => self.check_new(token),
        }
    }

    /// Judges a token that the cache does not know.
    #[inline(never)]
    fn check_new(&self, token: &[u8]) -> Result<Verified, Refusal> {
        let forms = self.forms();
        if !forms.decrypt() || !jwe::is_encrypted(token) {
            return self.check_signed(token, Compact::split(token)?, Form::Signed);
        }
        let opened = jwe::open(token, self.decryption_keys(), self.with.headers)?;
        let header = opened.header.clone();
        // Claims are an object (RFC 7519 section 3), and a token is base64url and dots.
        let accepted = match opened.plaintext.trim_ascii_start() {
            [b'{', ..] => self.check_encrypted(token, opened),
            _ => {
                let compact = Compact::split(&opened.plaintext).map_err(no_content)?;
                self.check_signed(token, compact, Form::Nested)
            }
        }?;
        self.with.headers.inspect(|headers| headers.note_encrypted(&header));
        Ok(accepted)
    }

    /// Judges a signed token: `token` itself, or what it has encrypted.
    fn check_signed(
        &self,
        token: &[u8],
        compact: Compact<'_>,
        form: impl Fn(Algorithm) -> Form,
    ) -> Result<Verified, Refusal> {
        self.policies.check_padding(compact.padded)?;
        let known = self.with.headers.and_then(|headers| headers.find(compact.header));
        let is_new = known.is_none();
        let (header, algorithm) = known.map_or_else(|| Header::parse(compact.header), Ok)?;
        let refused = |why| Refusal::of(&header, why);
        let form = form(algorithm);
        self.forms().check(form).map_err(refused)?;
        let mut text = None;
        let chosen = match self.policies {
            Policies::One(policy) => self.only(policy, &header),
            Policies::ByIssuer(providers, location) => {
                let text = text.insert(payload_text(&compact).map_err(refused)?);
                let issuer = claims::issuer_of(text).map_err(refused)?;
                self.of_issuer(issuer.as_deref(), &header, providers, location).map_err(refused)?
            }
        };
        let effective = chosen.effective();
        effective.check_padding(compact.padded).map_err(refused)?;
        let verified = effective.verify(&compact, &header, algorithm, self.now);
        let (index, key) = verified.map_err(refused)?;
        let text = text.map_or_else(|| payload_text(&compact), Ok).map_err(refused)?;
        let payload = payload_document(text).map_err(refused)?;
        let claims = Claims::read(&payload).map_err(refused)?;
        let padded = compact.padded;
        let content = Content { header: header.clone(), payload, form, claims, padded };
        let vouched = Vouched { key: index, kid: key.kid() };
        let accepted = self.accept(token, content, &chosen, vouched)?;
        // What was encrypted is not kept elsewhere.
        if let Some(headers) = self.with.headers.filter(|_| is_new && !form.is_encrypted()) {
            headers.note(&header, algorithm);
        }
        Ok(accepted)
    }

    /// Judges claims that were encrypted. The key that has decrypted them vouches for them.
    fn check_encrypted(&self, token: &[u8], opened: Opened) -> Result<Verified, Refusal> {
        let Opened { header, mut plaintext, key } = opened;
        let refused = |why| Refusal::of(&header, why);
        let form = Form::Encrypted;
        self.forms().check(form).map_err(refused)?;
        let Policies::One(policy) = self.policies else {
            return Err(refused(Why::malformed(
                "no provider vouches for a token that is not signed",
            )));
        };
        let chosen = self.only(policy, &header);
        let payload = payload_document(std::mem::take(&mut *plaintext)).map_err(refused)?;
        let claims = Claims::read(&payload).map_err(refused)?;
        let content = Content { header: header.clone(), payload, form, claims, padded: false };
        let kid = self.decrypting_kid(key);
        self.accept(token, content, &chosen, Vouched { key, kid })
    }

    /// Judges the content of a token that a key has vouched for, and has the cache remember it.
    fn accept(
        &self,
        token: &[u8],
        content: Content,
        chosen: &Chosen<'_>,
        by: Vouched<'_>,
    ) -> Result<Verified, Refusal> {
        chosen
            .effective()
            .check_content(&content, by.kid, self.now)
            .map_err(|why| Refusal::of(&content.header, why))?;
        let content = Rc::new(content);
        let remember = |cache| self.remember(cache, token, &content, chosen, by.key);
        let slot = self.with.cache.and_then(remember);
        let until = self.stands_until(chosen.effective(), &content, by.key);
        Ok(Verified::new(content, chosen.number, slot, until))
    }

    /// Judges a token that the cache knows. It is not parsed again, and its signature is not verified
    /// again if the key sets are still the same; everything else is checked as for a new token.
    fn check_known(&self, token: &[u8], cache: &Cache, known: &Known) -> Result<Verified, Refusal> {
        let content = &known.content;
        let Form::Signed(algorithm) = content.form else {
            return self.check_known_encrypted(token, cache, known);
        };
        self.policies.check_padding(content.padded)?;
        let refused = |why| Refusal::of(&content.header, why);
        let chosen = match self.policies {
            Policies::One(policy) => {
                policy.forms.check(content.form).map_err(refused)?;
                self.only(policy, &content.header)
            }
            Policies::ByIssuer(providers, location) => {
                location.forms.check(content.form).map_err(refused)?;
                let issuer = content.issuer().map_err(refused)?;
                self.of_issuer(issuer, &content.header, providers, location).map_err(refused)?
            }
        };
        let effective = chosen.effective();
        effective.check_padding(content.padded).map_err(refused)?;
        let proven = cache
            .proof(known, effective.set_ids(), self.now)
            .and_then(|index| Some((index, effective.key(index, algorithm, self.now)?)));
        let (index, key, is_new) = match proven {
            Some((index, key)) => (index, key, false),
            None => {
                let compact = Compact::split(token)?;
                let verified = effective.verify(&compact, &content.header, algorithm, self.now);
                let (index, key) = verified.map_err(refused)?;
                (index, key, true)
            }
        };
        effective.check_content(content, key.kid(), self.now).map_err(refused)?;
        let slot = match is_new {
            true => self.remember(cache, token, content, &chosen, index),
            false => Some(known.slot),
        };
        let until = self.stands_until(effective, content, index);
        Ok(Verified::new(Rc::clone(content), chosen.number, slot, until))
    }

    /// Judges an encrypted token that the cache knows. It is judged as a new one unless the key sets are the same:
    /// what other keys decrypt may be something else, and without them nothing may be said of what is in it. The same
    /// goes for one whose form is not accepted: it is refused before the keys in force are asked for.
    #[inline(never)]
    fn check_known_encrypted(
        &self,
        token: &[u8],
        cache: &Cache,
        known: &Known,
    ) -> Result<Verified, Refusal> {
        let content = &known.content;
        let decrypting = self.decryption_keys().map(DecryptionKeys::id);
        let is_opened = cache.has_opened(known, decrypting)
            && self.forms().check(content.form).is_ok()
            && self.policies.check_padding(content.padded).is_ok();
        let chosen = match self.policies {
            _ if !is_opened => None,
            Policies::One(policy) => Some(self.only(policy, &content.header)),
            Policies::ByIssuer(..) if content.form == Form::Encrypted => None,
            Policies::ByIssuer(providers, location) => content
                .issuer()
                .and_then(|issuer| self.of_issuer(issuer, &content.header, providers, location))
                .ok(),
        };
        let Some(chosen) = chosen else { return self.check_new(token) };
        let effective = chosen.effective();
        let proven = cache.proof(known, self.set_ids(content.form, effective), self.now);
        let vouched = proven.and_then(|index| match content.form.algorithm() {
            Some(algorithm) => effective.key(index, algorithm, self.now).map(Key::kid),
            None => Some(self.decrypting_kid(index)),
        });
        let Some(kid) = vouched else { return self.check_new(token) };
        let refused = |why| Refusal::of(&content.header, why);
        effective.check_padding(content.padded).map_err(refused)?;
        effective.check_content(content, kid, self.now).map_err(refused)?;
        Ok(Verified::new(Rc::clone(content), chosen.number, Some(known.slot), self.now))
    }

    /// [`EffectivePolicy::stands_until`], if it is asked for.
    fn stands_until(
        &self,
        effective: EffectivePolicy<'_>,
        content: &Content,
        key: KeyIndex,
    ) -> i64 {
        if self.with.stands { effective.stands_until(content, key, self.now) } else { self.now }
    }

    fn remember(
        &self,
        cache: &Cache,
        token: &[u8],
        content: &Rc<Content>,
        chosen: &Chosen<'_>,
        key: KeyIndex,
    ) -> Option<Slot> {
        let sets = match content.form {
            Form::Signed(_) => chosen.effective().set_ids().collect(),
            form => self.set_ids(form, chosen.effective()).collect(),
        };
        cache.remember(token, content, Proof { sets, key, since: self.now }, self.now)
    }

    /// The identities of the key sets that a token of this form is judged by: of an encrypted one first the number of
    /// those that decrypt and themselves ([`Cache::has_opened`]), then those that verify.
    fn set_ids<'s>(
        &'s self,
        form: Form,
        effective: EffectivePolicy<'s>,
    ) -> impl Iterator<Item = u64> + Clone + use<'s, 'p, L> {
        let verifying = if form.algorithm().is_some() { usize::MAX } else { 0 };
        let decrypting = if form.is_encrypted() { usize::MAX } else { 0 };
        let opening = opening_ids(self.decryption_keys().map(DecryptionKeys::id)).take(decrypting);
        opening.chain(effective.set_ids().take(verifying))
    }

    /// The forms of tokens that are accepted.
    fn forms(&self) -> &'p Forms {
        match self.policies {
            Policies::One(policy) => &policy.forms,
            Policies::ByIssuer(_, location) => &location.forms,
        }
    }

    /// The keys that decrypt: the configured ones, then those that change at run time.
    fn decryption_keys(&self) -> impl Iterator<Item = &'p DecryptionKeys> + Clone + use<'p, L> {
        self.forms().keys.iter().chain(self.with.decryption).map(AsRef::as_ref)
    }

    fn decrypting_kid(&self, KeyIndex { set, key }: KeyIndex) -> Option<&'p str> {
        self.decryption_keys().nth(set)?.keys().get(key)?.kid()
    }

    /// The only policy.
    fn only(&self, policy: &'p Policy, header: &Header) -> Chosen<'p> {
        let live = (self.live)(Wanted::for_token(0, header));
        let With { memo, signatures, .. } = *self.with;
        Chosen { number: 0, policy, location: None, live, memo, signatures }
    }

    /// The policy of the provider that has this issuer. The issuer is not verified yet.
    fn of_issuer(
        &self,
        issuer: Option<&str>,
        header: &Header,
        providers: &'p Providers,
        location: &'p LocationPolicy,
    ) -> Result<Chosen<'p>, Why> {
        let bad_issuer = |detail| move || Why::new(Reject::BadIssuer, detail);
        let issuer = issuer.ok_or_else(bad_issuer("iss is missing"))?;
        let is_asked = |number: &usize| self.with.among.is_none_or(|among| among.contains(number));
        let found = providers.of_issuer(issuer).filter(|(number, _)| is_asked(number));
        let none = match self.with.among {
            None => "no provider has the token's iss",
            Some(_) => "no provider whose tokens are looked for there has the token's iss",
        };
        let (number, policy) = found.ok_or_else(bad_issuer(none))?;
        let live = (self.live)(Wanted::for_token(number, header));
        let With { memo, signatures, .. } = *self.with;
        Ok(Chosen { number, policy, location: Some(location), live, memo, signatures })
    }
}
