//! Why a token was refused, and what the log may say of it.

use std::fmt;

use crate::json::{Document, Value};
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
}

impl Refusal {
    /// The refusal of a token with this header. The kid in it is not verified: it is a hint for the
    /// log.
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
    /// The reason, then the age and the kid if they are known. Always one line, whatever the client
    /// wrote into the kid.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Enough characters to recognise a kid; a longer one is most likely an attack.
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

/// The reason of a refusal, and the [age](Refusal::age) if the reason is the time.
pub(crate) type Why = (Reject, Option<i64>);
