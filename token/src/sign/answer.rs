//! The members of a login's answer become signed tokens: what KrakenD's signer does.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::ops::Range;

use aws_lc_rs::rand;
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::key::SigningKey;
use super::members::Json;
use super::private::SignError;
use crate::base64url;
use crate::json::{Document, JsonError, Value, write_text};

/// How the members of an answer are signed.
pub struct AnswerSigner<'a> {
    /// The members that are signed where the answer has them.
    pub members: &'a [Box<str>],
    /// Whether a token is written in the flattened JSON serialization (RFC 7515 section 7.2.2), as a text.
    pub full: bool,
    /// The key that signs.
    pub key: &'a SigningKey,
    /// Claims that are set where the answer does not say them.
    pub claims: &'a [(Box<str>, Json)],
    /// `exp` is so many seconds from now, where the answer has none.
    pub lifetime: i64,
    /// Seconds since the epoch.
    pub now: i64,
}

/// Why an answer cannot be signed. The texts hold nothing of the answer but the names of members.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not strict JSON.
    #[error("the answer is no JSON that can be signed: {0}")]
    Json(#[from] JsonError),
    /// JSON, but no object.
    #[error("the answer is JSON, but no object")]
    NoObject,
    /// A member that is to be signed has no claims.
    #[error("member \"{0}\" is no object of claims")]
    NoClaims(Box<str>),
    /// A time that readers would take for something else, or for none at all.
    #[error("member \"{member}\": {claim} is no number")]
    NoNumber {
        /// The member of the answer.
        member: Box<str>,
        /// The claim.
        claim: &'static str,
    },
    /// The library does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The system gives no random numbers for `jti`.
    #[error("no randomness from the system")]
    NoRandomness,
}

/// The claims that are numbers (RFC 7519 section 4.1).
pub const NUMBERS: [&str; 3] = ["exp", "nbf", "iat"];

impl AnswerSigner<'_> {
    /// Signs the members of `answer`, a JSON text. Returns the new text, whose other bytes are unchanged,
    /// and how many tokens it has.
    ///
    /// # Errors
    /// An answer or a member that is no object, a member whose times are no numbers, and what the library
    /// refuses. Nothing of such an answer may be sent: claims that are not signed would look like a token.
    pub fn sign(&self, answer: Vec<u8>) -> Result<(Vec<u8>, usize), AnswerError> {
        // The strict parser decides what is JSON: in a text with a member twice it would be unclear which
        // one the client reads.
        let document = Document::parse(answer)?;
        let root = document.root();
        if !root.is_object() {
            return Err(AnswerError::NoObject);
        }
        let text = document.text();
        let mut signed = Vec::with_capacity(text.len() + 1024);
        let (mut done, mut tokens) = (0, 0);
        let ranges = values(text).map_err(JsonError::from)?;
        for ((name, value), range) in root.members().into_iter().flatten().zip(ranges) {
            let Some(member) = self.members.iter().find(|member| ***member == *name) else {
                continue;
            };
            if !value.is_object() {
                return Err(AnswerError::NoClaims(member.clone()));
            }
            let token = self.token(member, value)?;
            signed.extend_from_slice(text.get(done..range.start).unwrap_or_default().as_bytes());
            if self.full {
                signed.extend_from_slice(Json::string(&token).to_string().as_bytes());
            } else {
                // The compact form needs no escapes.
                signed.push(b'"');
                signed.extend_from_slice(token.as_bytes());
                signed.push(b'"');
            }
            (done, tokens) = (range.end, tokens + 1);
        }
        signed.extend_from_slice(text.get(done..).unwrap_or_default().as_bytes());
        Ok((signed, tokens))
    }

    /// The token of a member's claims, in their order; then come those that it does not say.
    fn token(&self, member: &str, claims: Value<'_>) -> Result<String, AnswerError> {
        let no_number = |claim| AnswerError::NoNumber { member: member.into(), claim };
        // Null says nothing, but `exp` is too important to guess.
        let says =
            |name: &str| claims.get(name).is_some_and(|value| name == "exp" || !value.is_null());
        let has_own = |name: &str| self.claims.iter().any(|(own, _)| **own == *name);
        let is_set_here = |name: &str| ["iat", "jti"].contains(&name) || has_own(name);
        let mut text = String::with_capacity(256);
        text.push('{');
        for (name, value) in claims.members().into_iter().flatten() {
            let number = NUMBERS.into_iter().find(|number| *number == name);
            if let Some(claim) = number.filter(|_| says(name))
                && value.as_number().is_none()
            {
                return Err(no_number(claim));
            }
            if says(name) || !is_set_here(name) {
                begin(name, &mut text);
                value.write_json(&mut text);
            }
        }
        let mut add = |name: &str, value: &dyn fmt::Display| {
            begin(name, &mut text);
            let _ = write!(text, "{value}"); // writing to a String cannot fail
        };
        for (name, value) in self.claims.iter().filter(|(name, _)| !says(name)) {
            if let Some(claim) = NUMBERS.into_iter().find(|number| **number == **name)
                && !value.is_number()
            {
                return Err(no_number(claim));
            }
            add(name, value);
        }
        let missing = |name: &str| !says(name) && !has_own(name);
        if missing("iat") {
            add("iat", &self.now);
        }
        if missing("exp") {
            add("exp", &self.now.saturating_add(self.lifetime));
        }
        if missing("jti") {
            add("jti", &format_args!("\"{}\"", token_id()?));
        }
        text.push('}');
        Ok(if self.full { self.key.flatten_text(&text) } else { self.key.sign_text(&text) }?)
    }
}

/// Appends the name of a member to a JSON object that is being written.
fn begin(name: &str, object: &mut String) {
    if !object.ends_with('{') {
        object.push(',');
    }
    write_text(name, object);
    object.push(':');
}

/// Random bytes for `jti`, got from the system for many tokens at once: asking each time takes longer than all
/// else but the signature.
struct RandomBytes {
    bytes: [u8; 1024],
    used: usize,
}

thread_local! {
    static RANDOM: RefCell<RandomBytes> = const { RefCell::new(RandomBytes { bytes: [0; 1024], used: 1024 }) };
}

impl RandomBytes {
    fn next(&mut self) -> Option<[u8; 16]> {
        if self.used >= self.bytes.len() {
            rand::fill(&mut self.bytes).ok()?;
            self.used = 0;
        }
        let next = self.bytes.get(self.used..)?.first_chunk().copied()?;
        self.used += 16;
        Some(next)
    }
}

/// A new `jti`: 128 random bits.
fn token_id() -> Result<String, AnswerError> {
    let random = RANDOM.with_borrow_mut(RandomBytes::next);
    random.map(base64url::encode).ok_or(AnswerError::NoRandomness)
}

/// Where in the text of a JSON object the values of its members are, in their order.
fn values(text: &str) -> serde_json::Result<Vec<Range<usize>>> {
    serde_json::Deserializer::from_str(text).deserialize_map(Values { text })
}

struct Values<'t> {
    text: &'t str,
}

impl<'t> Visitor<'t> for Values<'t> {
    type Value = Vec<Range<usize>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::with_capacity(8);
        while let Some((_, value)) = map.next_entry::<IgnoredAny, &'t RawValue>()? {
            // The value is a part of the text.
            let value = value.get();
            let start = (value.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
            values.push(start..start + value.len());
        }
        Ok(values)
    }
}
