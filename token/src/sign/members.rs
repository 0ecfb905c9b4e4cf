//! JSON that is written as it was read. `serde_json::Value` would change large numbers, and silently
//! take the last of two members with the same name.

use std::fmt;

use serde::de::IgnoredAny;

use crate::json::{Document, JsonError, Value};

/// A value, as compact JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// Reads a text as JSON if it is JSON, otherwise as a string.
    ///
    /// # Errors
    /// JSON that verifiers refuse, such as an object with the same name twice.
    pub fn read(text: &str) -> Result<Self, JsonError> {
        if serde_json::from_str::<IgnoredAny>(text).is_err() {
            return Ok(Self::string(text));
        }
        Ok(Self::of(Document::parse(text.into())?.root()))
    }

    /// A string.
    pub fn string(text: &str) -> Self {
        Self(serde_json::Value::from(text).to_string())
    }

    /// An array of strings.
    pub fn strings(texts: &[String]) -> Self {
        Self(serde_json::Value::from(texts).to_string())
    }

    /// A number.
    pub fn integer(value: i64) -> Self {
        Self(value.to_string())
    }

    /// `true` or `false`.
    pub fn bool(value: bool) -> Self {
        Self(value.to_string())
    }

    /// `null`.
    pub fn null() -> Self {
        Self("null".to_owned())
    }

    /// Whether it is a string.
    pub fn is_string(&self) -> bool {
        self.0.starts_with('"')
    }

    /// Whether it is a number.
    pub fn is_number(&self) -> bool {
        self.0.starts_with(|first: char| first == '-' || first.is_ascii_digit())
    }

    /// A value of a text, in the compact form.
    pub fn of(value: Value<'_>) -> Self {
        let mut text = String::new();
        value.write_json(&mut text);
        Self(text)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The members of an object, in their order.
#[derive(Clone, Debug, Default)]
pub struct Members(Vec<(String, Json)>);

impl Members {
    /// The members of a value; `None` if it is not an object.
    pub fn of(object: Value<'_>) -> Option<Self> {
        let members = object.members()?;
        Some(Self(members.map(|(name, value)| (name.to_owned(), Json::of(value))).collect()))
    }

    /// Sets the value of a member. A member that exists keeps its position.
    pub fn set(&mut self, name: &str, value: Json) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The members in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{}:{value}", Json::string(name))?;
        }
        f.write_str("}")
    }
}
