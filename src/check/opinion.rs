//! What a check says of a request.

use std::fmt::Display;

/// What one check says of a request.
pub(crate) enum Opinion {
    /// It neither vouches for the request nor refuses it: it is off, not in force, or optional and
    /// there is no credential.
    Abstains,
    Passes,
    /// It would refuse the request, but only tells (`permissive`).
    LetsThrough(Box<Refusal>),
    Refuses(Box<Refusal>),
    /// Keys are being fetched without which nothing can be said.
    Waits,
}

/// Why a check refuses a request, and what it has the client told.
pub(crate) struct Refusal {
    /// What the log calls that which was refused.
    pub(crate) what: &'static str,
    /// The reason, for the log. It is put into words only when it is logged.
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
}
