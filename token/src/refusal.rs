//! Why a token was refused, and what the log may say of it.

use std::fmt;

use crate::json::{Document, Value};
use crate::reject::Reject;

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

impl Refusal {
    /// Of a token with this header. Nothing vouches for the kid there: it is a hint for the log.
    pub(crate) fn of(header: &Document, (reason, age): Why) -> Self {
        let kid = header.root().get("kid").and_then(Value::as_str).map(Into::into);
        Self { reason, kid, age }
    }
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

/// The reason of a refusal, with how far away a token's time is where it is one of time.
pub(crate) type Why = (Reject, Option<i64>);
