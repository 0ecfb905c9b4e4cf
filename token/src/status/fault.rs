//! Why a Status List Token is refused.

use crate::refusal::Refusal;

/// Why a Status List Token is refused, for the operator's log. The messages have no part of the list, and
/// of the token only what a refusal shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum StatusListError {
    #[error("is no signed token: {0}")]
    Form(Refusal),
    /// Where a key is missing, the reason in it says so, as for other tokens.
    #[error("the signature does not hold: {0}")]
    Signature(Refusal),
    #[error("typ is {0}, not statuslist+jwt")]
    Type(String),
    /// Of a claim, or of a member of `status_list`.
    #[error("{0}")]
    Claim(String),
    #[error("sub is {sub}, not the list's uri {uri}")]
    Subject { sub: String, uri: String },
    #[error("it expired {0}s ago")]
    Expired(i64),
    #[error("iat is {0}s in the future")]
    Future(i64),
    #[error("nbf is {0}s in the future")]
    NotYetValid(i64),
    #[error("lst is no ZLIB data")]
    NoZlib,
    #[error("lst is ZLIB data that ends too early")]
    Truncated,
    #[error("lst has {0} bytes after its ZLIB data")]
    Trailing(usize),
    #[error("lst has another checksum than its data")]
    Checksum,
    #[error("lst inflates to more than {0} bytes")]
    TooLarge(usize),
}
