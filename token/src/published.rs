//! Limits for key sets that others publish, and what to do with faulty keys in them.

/// How many keys are read from a set that others publish; an RSA key counts as four. Parsing a key takes
/// some microseconds, in which the worker serves no other request.
pub const MAX_PUBLISHED_KEYS: usize = 2048;

/// How many keys an RSA key counts as.
pub(crate) const RSA_COST: usize = 4;

/// What to do with faulty keys of a set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultyKeys {
    /// A faulty key is an error: the person who wrote the file can correct it.
    Refuse,
    /// A faulty key is skipped with a warning (RFC 7517 section 5): others publish the set.
    Skip,
}
