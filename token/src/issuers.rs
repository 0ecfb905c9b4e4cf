//! Accepted issuers: exact names, and patterns.

use regex::Regex;
use regex_syntax::hir::Look;

use crate::rules::{RuleError, compile};

/// Accepted values of `iss`. A value that begins with `~` is a pattern, as it is written: it matches
/// anywhere in the issuer unless it has `^` and `$`. All patterns are matched in linear time.
#[derive(Debug, Default, Clone)]
pub struct Issuers {
    names: Box<[Box<str>]>,
    patterns: Box<[Regex]>,
}

impl Issuers {
    /// Sorts the values into names and patterns.
    ///
    /// # Errors
    /// A pattern that cannot be compiled.
    pub fn new<'v>(values: impl IntoIterator<Item = &'v str>) -> Result<Self, RuleError> {
        let (mut names, mut patterns) = (Vec::new(), Vec::new());
        for value in values {
            match value.strip_prefix('~') {
                Some(pattern) => patterns.push(compile(pattern, false)?),
                None => names.push(value.into()),
            }
        }
        Ok(Self { names: names.into(), patterns: patterns.into() })
    }

    /// Whether a pattern matches whole issuers only: each way to match it begins at the beginning and ends
    /// at the end.
    pub fn is_whole(pattern: &str) -> bool {
        regex_syntax::parse(pattern).is_ok_and(|parsed| {
            let properties = parsed.properties();
            properties.look_set_prefix().contains(Look::Start)
                && properties.look_set_suffix().contains(Look::End)
        })
    }

    /// The exact names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// The patterns, in their order.
    pub fn patterns(&self) -> &[Regex] {
        &self.patterns
    }

    /// Whether there is neither a name nor a pattern: then any issuer or none is accepted.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty()
    }

    /// Whether an issuer is one of the names, or matches a pattern.
    pub(crate) fn accepts(&self, issuer: &str) -> bool {
        self.names.iter().any(|name| **name == *issuer)
            || self.patterns.iter().any(|pattern| pattern.is_match(issuer))
    }
}

/// The values as they are written, for messages.
impl<'i> IntoIterator for &'i Issuers {
    type Item = String;
    type IntoIter = Box<dyn Iterator<Item = String> + 'i>;

    fn into_iter(self) -> Self::IntoIter {
        let patterns = self.patterns.iter().map(|pattern| format!("~{pattern}"));
        Box::new(self.names().map(str::to_owned).chain(patterns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_tilde_is_a_pattern_as_written() {
        let issuers =
            Issuers::new(["https://a/", "~^https://login\\.example/[^/]+/v2\\.0$", "~b"]).unwrap();
        for good in ["https://a/", "https://login.example/tenant/v2.0", "abc"] {
            assert!(issuers.accepts(good), "{good}");
        }
        for bad in [
            "",
            "https://a",
            "https://a/x",
            "https://login.example/a/c/v2.0",
            "https://login.example/tenant/v2.0/",
            "https://login_example/tenant/v2.0",
            "https://evil/https://login.example/tenant/v2.0",
            "~c",
        ] {
            assert!(!issuers.accepts(bad), "{bad}");
        }
        for whole in ["^a$", "(^a$)", r"\Aa\z", "^a$|^b$", "^(a|b)$", "^$"] {
            assert!(Issuers::is_whole(whole), "{whole}");
        }
        for open in ["a", "^a", "a$", "^a|b$", "^a$|b$", "^a|^b$", "(?m)^a$", "", "("] {
            assert!(!Issuers::is_whole(open), "{open}");
        }
        assert!(Issuers::new(["~("]).is_err());
        assert!(Issuers::default().is_empty());
        assert!(!Issuers::new(["~a"]).unwrap().is_empty());
    }
}
