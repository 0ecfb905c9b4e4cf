//! What every format of links can do, and what comes of a judgement.

use std::fmt;
use std::rc::Rc;

use super::algorithm::LinkAlgorithm;
use super::part::{Meaning, Part};
use super::request::{LinkRequest, Unavailable};
use super::secret::{Encoding, LinkSecret, SecretText};
use crate::credential::Found;
use crate::reject::Reject;

/// A format of signed links, with the secrets or keys that vouch for them.
pub trait LinkFormat: fmt::Debug {
    /// Where the text of a link is looked for if the configuration does not say it, in this order. Empty for
    /// formats whose links are no single text.
    fn places(&self) -> &[Place] {
        &[]
    }

    /// The arguments of the query that belong to a link, beside those of [`LinkFormat::places`].
    fn arguments(&self) -> &[&str] {
        &[]
    }

    /// Whether a link is two values, a signature and a time ([`LinkRequest::pair`]).
    fn is_pair(&self) -> bool {
        false
    }

    /// What is covered if the configuration does not say it.
    fn value(&self) -> Value {
        Value::Path
    }

    /// Judges the link of a request at `now`, in seconds since the epoch. Whether it has expired, and what it
    /// covers, is looked at only after the signature has held.
    ///
    /// # Errors
    /// Why the request does not pass.
    fn judge(&self, request: &dyn LinkRequest, now: i64) -> Result<Granted, Denied>;

    /// The parts of the link of a request as they came, for whoever shows them to a person. A link that is not of
    /// the format has parts as well. The first two of a link of two values are the signature and the time.
    fn parts(&self, request: &dyn LinkRequest) -> Vec<Part> {
        let nothing = |_: &[u8]| Meaning::Nothing;
        let arguments =
            self.arguments().iter().map(|name| (*name, request.argument(name.as_bytes())));
        let text = request.text().ok().flatten().map(|found| ("text", found));
        let found = arguments.chain(text).filter(|(_, found)| *found != Found::Absent);
        found.map(|(name, found)| Part::found(name, found, nothing)).collect()
    }
}

/// A place where the text of a link is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An argument of the query.
    Argument(&'static str),
    /// A cookie.
    Cookie(&'static str),
}

/// What a link covers by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// nginx's `$uri`.
    Path,
    /// nginx's `$scheme://$host$uri`.
    Address,
}

/// What a link says, after its signature has held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// The last second in which it is valid, since the epoch.
    pub expires: Option<i64>,
    /// The paths or addresses that it covers, as it says it.
    pub acl: Option<Rc<[u8]>>,
    /// Whom or what it names: a user, a session.
    pub id: Option<Box<[u8]>>,
    /// What its maker has put into it besides.
    pub data: Option<Box<[u8]>>,
}

impl Granted {
    /// What a link says that has nothing but an expiry.
    pub fn until(expires: i64) -> Self {
        Self { expires: Some(expires), ..Self::default() }
    }

    /// The link passes, unless it has expired. It is still valid in the second of its expiry.
    ///
    /// # Errors
    /// [`Reject::Expired`].
    pub fn unless_expired(self, now: i64) -> Result<Self, Denied> {
        match self.expires {
            Some(expires) if now > expires => Err(self.but(Reject::Expired, "")),
            _ => Ok(self),
        }
    }

    /// The link does not pass, although its signature has held.
    pub fn but(self, reject: Reject, why: &'static str) -> Denied {
        Denied::Refused(Box::new(Refused { reject, why, granted: Some(self) }))
    }
}

/// Why a request does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The link is refused.
    Refused(Box<Refused>),
    /// A value of the request could not be evaluated.
    Unavailable,
}

/// Why a link is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub reject: Reject,
    /// More about it, for the log; it may be empty. It is never a part of the link.
    pub why: &'static str,
    /// What the link says, if its signature has held.
    pub granted: Option<Granted>,
}

/// A refusal in words, as the log has it: the reason, and how long ago the link has expired or what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// The reason.
    pub reject: Reject,
    /// More about it; it may be empty.
    pub why: &'static str,
    /// For how many seconds the link has expired, if that is the reason.
    pub age: Option<i64>,
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reject.fmt(f)?;
        match self.age {
            Some(age) => write!(f, " {age}s ago"),
            None if self.why.is_empty() => Ok(()),
            None => write!(f, ": {}", self.why),
        }
    }
}

impl Refused {
    /// The refusal in words, at `now`, in seconds since the epoch.
    pub fn sentence(&self, now: i64) -> Sentence {
        let expires = self.granted.as_ref().and_then(|granted| granted.expires);
        let expires = expires.filter(|_| self.reject == Reject::Expired);
        let age = expires.map(|expires| now.saturating_sub(expires));
        Sentence { reject: self.reject, why: self.why, age }
    }
}

impl Denied {
    /// The link is refused; its signature has not held.
    pub fn because(reject: Reject, why: &'static str) -> Self {
        Self::Refused(Box::new(Refused { reject, why, granted: None }))
    }

    /// The link is not of the format.
    pub fn malformed(why: &'static str) -> Self {
        Self::because(Reject::Malformed, why)
    }
}

impl From<Reject> for Denied {
    fn from(reject: Reject) -> Self {
        Self::because(reject, "")
    }
}

impl From<Unavailable> for Denied {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// The values that were found under several names of one link.
///
/// # Errors
/// One of them is there twice, or programs may read it differently.
pub(super) fn values<const COUNT: usize>(
    found: [Found<'_>; COUNT],
) -> Result<[Option<&[u8]>; COUNT], Denied> {
    if found.contains(&Found::Unusable) {
        return Err(Denied::malformed(
            "a part of it is there twice, or not as all programs read it",
        ));
    }
    Ok(found.map(|found| match found {
        Found::One(value) => Some(value),
        Found::Absent | Found::Unusable => None,
    }))
}

/// What a format is made from.
#[derive(Clone, Copy, Default)]
pub struct FormatSettings<'s> {
    /// The secrets (`secure_token_secret`), newest first.
    pub secrets: &'s [SecretText],
    /// The accepted algorithms (`secure_token_algorithm`); if empty, those of the format.
    pub accepted: &'s [LinkAlgorithm],
    /// Whether there are public keys (`secure_token_keys`), which a request then brings.
    pub has_keys: bool,
    /// For making links: the text of a private key, and the name by which links refer to it.
    pub private_key: Option<(&'s [u8], Option<&'s str>)>,
    /// Options of the format: the words after its name, of the form `NAME=VALUE`.
    pub options: &'s [(Box<str>, Box<str>)],
}

impl FormatSettings<'_> {
    /// The secrets, which are in this encoding unless they say another one.
    ///
    /// # Errors
    /// There is none, or one is empty or not in its encoding.
    pub fn secrets(&self, encoding: Encoding) -> Result<Box<[LinkSecret]>, Mistake> {
        let decode = |(at, secret): (usize, &SecretText)| {
            let wrong = |why: String| {
                Mistake::new("secure_token_secret", format!("number {}: {why}", at + 1))
            };
            LinkSecret::read(secret, encoding).map_err(wrong)
        };
        self.secrets.iter().enumerate().map(decode).collect()
    }

    /// The accepted algorithms, which must be among `known`; all of those if nothing is said.
    ///
    /// # Errors
    /// One is not among them.
    pub fn algorithms(&self, known: &[LinkAlgorithm]) -> Result<Vec<LinkAlgorithm>, Mistake> {
        let names = || known.iter().map(|one| one.name()).collect::<Vec<_>>().join(" or ");
        match self.accepted.iter().find(|one| !known.contains(one)) {
            Some(other) => Err(Mistake::new(
                "secure_token_algorithm",
                format!("\"{}\" is not of this format: write {}", other.name(), names()),
            )),
            None if self.accepted.is_empty() => Ok(known.to_vec()),
            None => Ok(self.accepted.to_vec()),
        }
    }

    /// Refuses options that the format does not have.
    ///
    /// # Errors
    /// There is one that is not among `known`, or one stands twice.
    pub fn only_options(&self, known: &[&str]) -> Result<(), Mistake> {
        let mistake = |text: String| Err(Mistake::new("secure_token_format", text));
        for (at, (name, _)) in self.options.iter().enumerate() {
            if !known.contains(&&**name) {
                return mistake(format!("this format has no option \"{}\"", name.escape_debug()));
            }
            if self.options.iter().take(at).any(|(other, _)| other == name) {
                return mistake(format!("\"{name}=\" stands twice"));
            }
        }
        Ok(())
    }

    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(one, _)| **one == *name).map(|(_, value)| &**value)
    }
}

/// A mistake in the configuration of a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Mistake {
    /// The directive that is to be changed.
    pub directive: &'static str,
    /// What is wrong. It shows no secret.
    pub text: String,
}

impl Mistake {
    /// A mistake in `directive`.
    pub fn new(directive: &'static str, text: impl Into<String>) -> Self {
        Self { directive, text: text.into() }
    }
}
