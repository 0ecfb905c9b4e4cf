//! CloudFront's signed URLs and cookies, as its developer guide describes them ("Serve private content with signed
//! URLs and signed cookies").
//!
//! What is signed is a policy, which is JSON. A *canned* policy has one URL and an expiry: the link has the expiry
//! only, and the policy is written again from the request. A *custom* policy travels whole.
//!
//! The signature is RSA (PKCS #1 v1.5, RFC 8017 section 8.2) over SHA-1, unless the link says
//! `Hash-Algorithm=SHA256`. Two texts with the same SHA-1 can be made by now, by one who has both of them signed or
//! chooses parts of what is signed: `secure_token_algorithm rsa-sha256` accepts nothing else.
//!
//! Where CloudFront leaves something open, this is stricter:
//! - A policy has exactly the members that the guide describes, each once, and one statement.
//! - What a wildcard of a Resource may match: [`policy::Policy::covers`].
//! - The URL of a canned policy must not hold what JSON has to escape: the policy could then be that of another
//!   URL.
//!
//! One thing is CloudFront's and stays: the canned policy of a URL with `?` or `*` is, word for word, the custom
//! policy of a pattern. Who has such a link can use it as one. So a signer should not make one for a URL with `*`,
//! and what makes links here does not.

mod explain;
mod policy;
mod sign;
mod text;

use std::any::Any;
use std::borrow::Cow;
use std::rc::Rc;

use super::address;
use super::algorithm::LinkAlgorithm;
use super::fields::{Fields, unix_time};
use super::format::{Denied, FormatSettings, Granted, LinkFormat, Mistake, Value, values};
use super::keys::{Held, NamedKeys};
use super::part::Part;
use super::remembered::{Presented, Remembered};
use super::request::{Carrier, LinkRequest, arguments, as_sent, cookies};
use crate::credential::{Found, without_arguments};
use crate::reject::Reject;
use policy::{Policy, Url};
use text::{ARGUMENTS, COOKIES, LONGEST, canned, decode, decode_to};

pub use sign::CloudFrontSigner;

/// The bytes of the largest signature: that of an RSA key of 8192 bits.
const LONGEST_SIGNATURE: usize = crate::key::RSA_MAX_BITS / 8;

/// The forms of links, for `Presented::form`.
const CANNED_FORM: u8 = 1;
const CUSTOM_FORM: u8 = 2;

/// Signed URLs and cookies of CloudFront.
#[derive(Debug)]
pub struct CloudFront {
    accepted: Vec<LinkAlgorithm>,
}

/// A link as it came, with the escapes decoded that a client may have put in.
struct Parts<'r> {
    terms: Terms<'r>,
    signature: Cow<'r, [u8]>,
    key: Cow<'r, [u8]>,
    algorithm: LinkAlgorithm,
}

/// What a link allows.
enum Terms<'r> {
    /// The one URL, until this time: its text and its value.
    Canned(Cow<'r, [u8]>, i64),
    /// What a policy says, which is encoded.
    Custom(Cow<'r, [u8]>),
}

/// What was read from a query that has a link: the link, and the query without it.
struct InQuery {
    parts: Parts<'static>,
    own: Box<[u8]>,
}

/// What was read from a line of cookies.
struct InCookies(Parts<'static>);

impl CloudFront {
    /// The algorithms of this format.
    pub const ALGORITHMS: [LinkAlgorithm; 2] = [LinkAlgorithm::RsaSha1, LinkAlgorithm::RsaSha256];

    /// Takes what the directives say.
    ///
    /// # Errors
    /// There are no keys, or an algorithm is not of this format.
    pub(super) fn configured(settings: &FormatSettings<'_>) -> Result<Self, Mistake> {
        settings.only_options(&[])?;
        let accepted = settings.algorithms(&Self::ALGORITHMS)?;
        if !settings.has_keys {
            let text = "is missing: links of this format are verified with public RSA keys";
            return Err(Mistake::new("secure_token_keys", text));
        }
        Ok(Self { accepted })
    }

    /// Judges a link. `query` is that of the URL, without the link. Gives whether its signature was remembered.
    fn judge_parts(
        &self,
        request: &dyn LinkRequest,
        parts: &Parts<'_>,
        query: &[u8],
        now: i64,
    ) -> Result<(Granted, bool), Denied> {
        if !self.accepted.contains(&parts.algorithm) {
            return Err(Denied::malformed("its hash algorithm is not accepted"));
        }
        let address = request.value()?;
        let sent = as_sent(request, &address);
        let keys =
            request.keys().ok_or(Reject::NoKeys)?.named(Some(&parts.key), parts.algorithm)?;
        match &parts.terms {
            Terms::Canned(text, expires) => {
                let policies = canned(&address, sent.as_deref(), query, text);
                if policies.is_empty() {
                    return Err(Denied::malformed("the URL holds what a policy cannot"));
                }
                let policies: Vec<&[u8]> = policies.iter().map(Vec::as_slice).collect();
                let (signature, memory) = (&parts.signature, request.remembered());
                let is_again = keys.hold(&policies, signature, CANNED_FORM, memory, |keys| {
                    parts.verify(keys, &policies)
                })?;
                // It is for times that are less than that.
                let granted = Granted::until(expires.saturating_sub(1)).unless_expired(now)?;
                Ok((granted, is_again))
            }
            Terms::Custom(encoded) => {
                let (policy, is_again) = parts.policy(keys, encoded, request.remembered())?;
                let url = Url { address: &address, sent: sent.as_deref(), query };
                Ok((policy.judge(url, || request.client(), now)?, is_again))
            }
        }
    }
}

impl LinkFormat for CloudFront {
    fn arguments(&self) -> &[&str] {
        &ARGUMENTS
    }

    fn value(&self) -> Value {
        Value::Address
    }

    /// The arguments of the query count; if there are none, the cookies; if there are none, a text of such
    /// arguments (`secure_token_source`). If the text is an argument itself, it is decoded once.
    fn judge(&self, request: &dyn LinkRequest, now: i64) -> Result<Granted, Denied> {
        let memory = request.remembered();
        let query = request.query();
        if let Some(known) = query.and_then(|query| memory?.read::<InQuery>(query)) {
            let InQuery { parts, own } = &*known;
            return self.judge_parts(request, parts, own, now).map(|(granted, _)| granted);
        }
        let found = arguments(query, ARGUMENTS);
        let parts = Parts::read(found)?;
        let query = query.ok_or(Denied::malformed("programs may read another query"))?;
        if let Some(parts) = parts {
            let has_escapes = memchr::memchr(b'%', query).is_some();
            let parts = if has_escapes { parts.decoded() } else { parts };
            let own = without_link(query, found);
            let (granted, is_again) = self.judge_parts(request, &parts, &own, now)?;
            if let Some(memory) = memory.filter(|_| is_again) {
                memory.put_read(query, InQuery { parts: parts.into_owned(), own: (*own).into() });
            }
            return Ok(granted);
        }
        // Several lines are rare.
        let lines = request.cookie_lines();
        let line = if let [line] = *lines { line } else { b"" };
        if let Some(known) = memory.and_then(|memory| memory.read::<InCookies>(line)) {
            return self.judge_parts(request, &known.0, query, now).map(|(granted, _)| granted);
        }
        if let Some(parts) = Parts::read(cookies(request, COOKIES))? {
            let (granted, is_again) = self.judge_parts(request, &parts, query, now)?;
            if let Some(memory) = memory.filter(|_| is_again) {
                memory.put_read(line, InCookies(parts.into_owned()));
            }
            return Ok(granted);
        }
        let text = match request.text()? {
            None | Some(Found::Absent) => return Err(Reject::Missing.into()),
            Some(Found::Unusable) => return Err(Denied::malformed("there are several links")),
            Some(Found::One(text)) if text.len() > LONGEST => {
                return Err(Denied::malformed("it is too long"));
            }
            Some(Found::One(text)) => match request.carrier() {
                Carrier::Query => address::decode(text),
                Carrier::Other => Cow::Borrowed(text),
            },
        };
        let fields = Fields::read(&text, b'&').map_err(Denied::malformed)?;
        if !fields.are_among(&ARGUMENTS) {
            return Err(Denied::malformed("it has an unknown field"));
        }
        let parts = Parts::read(ARGUMENTS.map(|name| match fields.find(name) {
            None => Found::Absent,
            Some(value) => Found::One(value.unwrap_or_default()),
        }))?;
        let parts = parts.ok_or(Reject::Missing)?;
        self.judge_parts(request, &parts, query, now).map(|(granted, _)| granted)
    }

    fn parts(&self, request: &dyn LinkRequest) -> Vec<Part> {
        explain::parts(request)
    }
}

/// What a query is without the arguments of its link, which were `found` in it.
fn without_link<'r>(query: &'r [u8], found: [Found<'_>; 5]) -> Cow<'r, [u8]> {
    let pairs = ARGUMENTS.iter().zip(found).filter_map(|(name, found)| match found {
        Found::One(value) => Some(name.len() + value.len() + "=&".len()),
        _ => None,
    });
    // Most queries are nothing but the link: its arguments are as long as they.
    if pairs.sum::<usize>() == query.len() + "&".len() {
        return Cow::Borrowed(b"");
    }
    let own = without_arguments(query, ARGUMENTS.iter().map(|name| name.as_bytes()));
    own.map_or(Cow::Borrowed(query), Cow::Owned)
}

impl<'r> Parts<'r> {
    /// Takes what was found under each of the names; `None` if nothing was.
    fn read(found: [Found<'r>; 5]) -> Result<Option<Self>, Denied> {
        let [expires, policy, signature, key, hash] = values(found)?;
        if [expires, policy, signature, key, hash].iter().all(Option::is_none) {
            return Ok(None);
        }
        let terms = match (expires, policy) {
            (Some(text), None) => {
                let expires = unix_time(text).ok_or(Denied::malformed("Expires is no time"))?;
                Terms::Canned(text.into(), expires)
            }
            (None, Some(policy)) if policy.len() <= LONGEST => Terms::Custom(policy.into()),
            (None, Some(_)) => return Err(Denied::malformed("Policy is too long")),
            (Some(_), Some(_)) => return Err(Denied::malformed("it has both Expires and Policy")),
            (None, None) => return Err(Denied::malformed("it has neither Expires nor Policy")),
        };
        let algorithm = match hash {
            None | Some(b"SHA1") => LinkAlgorithm::RsaSha1,
            Some(b"SHA256") => LinkAlgorithm::RsaSha256,
            Some(_) => return Err(Denied::malformed("Hash-Algorithm is neither SHA1 nor SHA256")),
        };
        let signature = signature.ok_or(Denied::malformed("it has no Signature"))?.into();
        let key = key.filter(|key| !key.is_empty());
        let key = key.ok_or(Denied::malformed("it has no Key-Pair-Id"))?.into();
        Ok(Some(Self { terms, signature, key, algorithm }))
    }

    /// The custom policy, verified, unless it is remembered; and whether it is.
    fn policy(
        &self,
        keys: NamedKeys<'_>,
        encoded: &[u8],
        memory: Option<&Remembered>,
    ) -> Result<(Rc<Policy>, bool), Denied> {
        let presented =
            Presented { message: encoded, signature: &self.signature, form: CUSTOM_FORM };
        let known = keys.recall(memory, presented).and_then(|known| known.downcast().ok());
        if let Some(policy) = known {
            return Ok((policy, true));
        }
        let text = decode(encoded).ok_or(Denied::malformed("Policy is not its base64"))?;
        let held = self.verify(keys, &[&text])?;
        let policy = Rc::new(Policy::read(text).map_err(Denied::malformed)?);
        held.remember(memory, presented, Rc::clone(&policy) as Rc<dyn Any>);
        Ok((policy, false))
    }

    fn verify<'k>(&self, keys: NamedKeys<'k>, policies: &[&[u8]]) -> Result<Held<'k>, Denied> {
        let mut bytes = [0; LONGEST_SIGNATURE + 3];
        let signature = decode_to(&self.signature, &mut bytes);
        let signature = signature.ok_or(Denied::malformed("Signature is not its base64"))?;
        Ok(keys.verify(policies, signature)?)
    }

    /// With the escapes decoded that a client may have put in: none of these values needs one.
    fn decoded(self) -> Self {
        fn decoded(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
            match text {
                Cow::Borrowed(text) => address::decode(text),
                owned => owned,
            }
        }
        let terms = match self.terms {
            Terms::Custom(policy) => Terms::Custom(decoded(policy)),
            canned @ Terms::Canned(..) => canned,
        };
        Self { terms, signature: decoded(self.signature), key: decoded(self.key), ..self }
    }

    fn into_owned(self) -> Parts<'static> {
        fn owned(text: Cow<'_, [u8]>) -> Cow<'static, [u8]> {
            Cow::Owned(text.into_owned())
        }
        let terms = match self.terms {
            Terms::Canned(text, expires) => Terms::Canned(owned(text), expires),
            Terms::Custom(policy) => Terms::Custom(owned(policy)),
        };
        let (signature, key) = (owned(self.signature), owned(self.key));
        Parts { terms, signature, key, algorithm: self.algorithm }
    }
}

#[cfg(test)]
mod tests;
