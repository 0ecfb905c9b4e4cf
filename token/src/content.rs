//! The content of a token: its header and its claims, parsed once and kept together.

use crate::claims::Claims;
use crate::header::Header;
use crate::json::Document;
use crate::refusal::Why;

/// The content of a token.
#[derive(Debug)]
pub struct Content {
    /// The JOSE header.
    pub header: Header,
    /// The claims.
    pub payload: Document,
    /// The registered claims of the payload.
    pub(crate) claims: Claims,
    /// Whether a section of the token is padded.
    pub(crate) padded: bool,
}

impl Content {
    /// The kid in the header.
    pub fn kid(&self) -> Option<&str> {
        self.header.kid()
    }

    /// The claim `iss`; `Err` if it is not a string.
    pub(crate) fn issuer(&self) -> Result<Option<&str>, Why> {
        self.claims.issuer(&self.payload)
    }

    /// The claim `exp`, in seconds since the epoch, limited to what an `i64` holds: the first second in
    /// which a policy without leeway refuses the token.
    pub(crate) fn expires(&self) -> Option<i64> {
        self.claims.expires()
    }

    /// The memory that it takes without its header, in bytes; the allocator needs another `overhead` for
    /// each block.
    pub(crate) fn bytes(&self, overhead: usize) -> usize {
        size_of::<Self>() + self.payload.heap_bytes(overhead)
    }
}
