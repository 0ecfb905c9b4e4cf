//! Why a token was refused, and what the log may say of it.

use std::borrow::Cow;
use std::fmt;

use crate::json::{Document, Value, write_text};
use crate::reject::Reject;

/// Why a token was refused, and what the log may say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Reject,
    /// The kid in the token's header. It is not verified.
    pub kid: Option<Box<str>>,
    /// Seconds since `exp` for [`Reject::Expired`], until `nbf` for [`Reject::NotYetValid`].
    pub age: Option<i64>,
    /// Which member is at fault, and, once the signature has held, its value: always one line. Empty if
    /// the reason says everything.
    pub detail: Cow<'static, str>,
}

impl Refusal {
    /// The refusal of a token with this header. The kid in it is not verified: it is a hint for the
    /// log.
    pub(crate) fn of(header: &Document, why: Why) -> Self {
        let text = |kid: Value<'_>| match kid.as_number() {
            Some(number) => Some(number.as_str().into()),
            None => kid.as_str().filter(|kid| !kid.is_empty()).map(Into::into),
        };
        let kid = header.root().get("kid").and_then(text);
        let Why { reason, age, detail } = why;
        Self { reason, kid, age, detail }
    }

    /// The reason in a sentence, without the kid: `$jwt_reason`. Always one line.
    pub fn sentence(&self) -> impl fmt::Display + '_ {
        Sentence(self)
    }
}

impl From<Reject> for Refusal {
    fn from(reason: Reject) -> Self {
        Self::from(Why::from(reason))
    }
}

impl From<Why> for Refusal {
    fn from(Why { reason, age, detail }: Why) -> Self {
        Self { reason, kid: None, age, detail }
    }
}

impl fmt::Display for Refusal {
    /// The sentence, then the kid if it is known. Always one line, whatever the client wrote into the
    /// kid.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentence().fmt(f)?;
        if let Some(kid) = &self.kid {
            let dots = if kid.chars().count() > SHOWN { "..." } else { "" };
            let shown: String = kid.chars().take(SHOWN).collect();
            write!(f, ", kid \"{}{dots}\"", shown.escape_default())?;
        }
        Ok(())
    }
}

struct Sentence<'r>(&'r Refusal);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { reason, age, detail, .. } = self.0;
        reason.fmt(f)?;
        if let Some(age) = age {
            match reason {
                Reject::NotYetValid => write!(f, " for {age}s")?,
                _ => write!(f, " {age}s ago")?,
            }
        }
        if detail.is_empty() { Ok(()) } else { write!(f, ": {detail}") }
    }
}

/// The parts of a refusal that do not come from the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    pub(crate) reason: Reject,
    pub(crate) age: Option<i64>,
    pub(crate) detail: Cow<'static, str>,
}

impl Why {
    pub(crate) fn new(reason: Reject, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, age: None, detail: detail.into() }
    }

    pub(crate) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reject::Malformed, detail)
    }

    /// A time that has passed, or is still to come.
    pub(crate) fn time(reason: Reject, age: i64) -> Self {
        Self { reason, age: Some(age), detail: Cow::Borrowed("") }
    }

    /// A member that has another type than it must have.
    pub(crate) fn wrong_type(member: &str, value: Value<'_>) -> Self {
        Self::malformed(format!("{member} is {}", kind(value)))
    }

    /// A claim, whose signature has held, that is not one of the accepted values.
    pub(crate) fn not_accepted(reason: Reject, value: Value<'_>) -> Self {
        Self::new(reason, format!("{} is not accepted", shown(value)))
    }
}

impl From<Reject> for Why {
    fn from(reason: Reject) -> Self {
        Self::new(reason, "")
    }
}

/// How many characters of a kid are shown: enough to recognise it. A longer one is most likely an attack.
const SHOWN: usize = 64;

/// How many characters of a value are shown. The issuers and audiences of some providers are long, and
/// differ at their ends.
const VALUE_SHOWN: usize = 160;

/// What a value is, for a message.
pub(crate) fn kind(value: Value<'_>) -> &'static str {
    match () {
        () if value.is_null() => "null",
        () if value.as_bool().is_some() => "a boolean",
        () if value.as_number().is_some() => "a number",
        () if value.as_str() == Some("") => "an empty string",
        () if value.as_str().is_some() => "a string",
        () if value.is_object() => "an object",
        () => "an array",
    }
}

/// The beginning of a value as JSON, in one line.
pub(crate) fn shown(value: Value<'_>) -> String {
    let mut json = String::new();
    value.write_json(&mut json);
    shortened(&json)
}

/// As [`shown`], for a text.
pub(crate) fn shown_text(text: &str) -> String {
    let mut json = String::new();
    write_text(text, &mut json);
    shortened(&json)
}

fn shortened(json: &str) -> String {
    let mut out = String::new();
    for char in json.chars().take(VALUE_SHOWN) {
        match char {
            ' '..='~' => out.push(char),
            char => out.extend(char.escape_unicode()),
        }
    }
    if json.chars().nth(VALUE_SHOWN).is_some() {
        out.push_str(if json.starts_with('"') { "...\"" } else { "..." });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_one_line_and_not_longer_than_a_person_reads() {
        let text = r#"["a\n\u2028\u202e\"b", "x"]"#;
        let document = Document::parse(text.into()).unwrap();
        assert_eq!(shown(document.root()), r#"["a\n\u{2028}\u{202e}\"b","x"]"#);
        let long = Document::parse(format!("{:?}", "a".repeat(200)).into()).unwrap();
        assert_eq!(shown(long.root()), format!("\"{}...\"", "a".repeat(159)));
        assert_eq!(shown_text(&"a".repeat(200)), shown(long.root()));
        assert_eq!(shown_text("a\n\u{202e}'"), r#""a\n\u{202e}'"#.to_owned() + "\"");
    }

    #[test]
    fn a_refusal_is_one_sentence() {
        let mut refusal = Refusal::from(Why::time(Reject::Expired, 10));
        assert_eq!(refusal.to_string(), "expired 10s ago");
        refusal.kid = Some("k\n".into());
        assert_eq!(refusal.to_string(), r#"expired 10s ago, kid "k\n""#);
        assert_eq!(refusal.sentence().to_string(), "expired 10s ago");
        let refusal = Refusal::from(Why::malformed("exp is a string"));
        assert_eq!(refusal.to_string(), "malformed: exp is a string");
    }
}
