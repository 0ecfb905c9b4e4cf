//! Limits for key sets that others publish, and what is done with their faulty keys.

/// How many keys of a set that others publish are read, where an RSA key counts as four: making one
/// out takes some microseconds, and a worker serves nobody meanwhile.
pub const MAX_PUBLISHED_KEYS: usize = 2048;

/// As how many keys an RSA key counts among these.
pub(crate) const RSA_COST: usize = 4;

/// What to do with a key of a set that is at fault.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Faulty {
    /// It is an error: whoever wrote the file is there to mend it.
    Refuse,
    /// It is left out with a warning, as RFC 7517 section 5 wants of a set that others publish.
    LeaveOut,
}
