//! The result of a check for a request.

use std::fmt::Display;

use token::Reject;

/// The result of one check for a request.
pub(crate) enum Opinion {
    /// The check has no say: it is off or not in force.
    Abstains,
    /// The check has no say: it is optional, and there is no credential.
    Absent,
    /// The request passes, whatever the trials say.
    Passes(Vec<Trial>),
    /// The check would refuse the request, but only logs that (`permissive`).
    LetsThrough(Box<Refusal>),
    Refuses(Box<Refusal>),
    /// The check needs keys that are being fetched.
    Waits,
}

/// The result of a rule that is only tried (`error=none`).
pub(crate) struct Trial {
    /// The number of the rule among those that are tried.
    pub(crate) rule: usize,
    /// Why the request would be refused, for the log; `None` if the rule holds.
    pub(crate) why: Option<Box<dyn Display>>,
}

/// Why a check refuses a request, and what the client is answered.
pub(crate) struct Refusal {
    /// The log's name for the refused thing.
    pub(crate) what: &'static str,
    /// The reason, for the counters.
    pub(crate) reason: Reject,
    /// The reason, for the log. It is formatted only when it is logged.
    pub(crate) why: Box<dyn Display>,
    pub(crate) status: Status,
    /// The value of `WWW-Authenticate`.
    pub(crate) challenge: Option<Vec<u8>>,
}

/// The status of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u16);

impl Status {
    pub(crate) const UNAUTHORIZED: Self = Self(401);
    pub(crate) const FORBIDDEN: Self = Self(403);
    pub(crate) const GONE: Self = Self(410);
    pub(crate) const UNAVAILABLE: Self = Self(503);

    /// The status of an error, from its three digits.
    pub(crate) fn of_an_error(digits: &[u8]) -> Option<Self> {
        let digits = core::str::from_utf8(digits).ok().filter(|digits| digits.len() == 3)?;
        let status = digits.parse().ok()?;
        (400..=599).contains(&status).then_some(Self(status))
    }

    /// Whether the answer asks for credentials, or says what they lack (RFC 6750 section 3).
    pub(crate) fn has_challenge(self) -> bool {
        matches!(self, Self::UNAUTHORIZED | Self::FORBIDDEN)
    }
}
