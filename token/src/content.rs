//! What a token says: its header and its claims, read once and kept together.

use crate::claims::Claims;
use crate::header::Header;
use crate::json::Document;

/// The content of a token.
#[derive(Debug)]
pub struct Content {
    /// The JOSE header.
    pub header: Document,
    /// The claims.
    pub payload: Document,
    /// What the header's own members are.
    pub(crate) head: Header,
    /// Where the registered claims are in the payload.
    pub(crate) claims: Claims,
}

impl Content {
    /// The issuer.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.issuer(&self.payload)
    }

    /// When the token expires: the first second in which no policy without leeway accepts it.
    pub(crate) fn expires(&self) -> Option<i64> {
        self.claims.expires()
    }

    /// The memory that it takes, where the allocator keeps `block` bytes beside each block.
    pub(crate) fn bytes(&self, block: usize) -> usize {
        size_of::<Self>() + self.header.heap_bytes(block) + self.payload.heap_bytes(block)
    }
}
