//! The content of a token: its header and its claims, parsed once and kept together.

use zeroize::Zeroize as _;

use crate::alg::Algorithm;
use crate::claims::Claims;
use crate::header::Header;
use crate::json::Document;
use crate::refusal::Why;

/// The form of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Signed with this algorithm.
    Signed(Algorithm),
    /// A token that is signed with this algorithm, and was then encrypted (RFC 7519 appendix A.2).
    Nested(Algorithm),
    /// Claims that were encrypted.
    Encrypted,
}

impl Form {
    /// The algorithm of the signature, if there is one.
    pub(crate) fn algorithm(self) -> Option<Algorithm> {
        match self {
            Self::Signed(algorithm) | Self::Nested(algorithm) => Some(algorithm),
            Self::Encrypted => None,
        }
    }

    /// Whether the token was decrypted.
    pub(crate) fn is_encrypted(self) -> bool {
        matches!(self, Self::Nested(_) | Self::Encrypted)
    }
}

/// The content of a token. Of an encrypted one it is overwritten on drop.
#[derive(Debug)]
pub struct Content {
    /// The JOSE header: of a signed token within an encrypted one, its own.
    pub header: Header,
    /// The claims.
    pub payload: Document,
    pub(crate) form: Form,
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

    /// Whether both are the same text, of a token of the same form: the same bytes that other keys decrypt may
    /// be another content.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || (self.form == other.form
                && self.header.text() == other.header.text()
                && self.payload.text() == other.payload.text())
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

impl Drop for Content {
    fn drop(&mut self) {
        if self.form.is_encrypted() {
            self.payload.zeroize();
        }
    }
}
