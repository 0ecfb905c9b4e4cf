//! Why a playlist stays as it is.

/// How many bytes a playlist may have with the arguments in it.
pub const MAX_FORWARDED: usize = 16 << 20;

/// Why a playlist stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unforwarded {
    /// No URL leads to the request's host, or all that do have such an argument already.
    #[error("it has no URL of this host that lacks the arguments")]
    NoUrl,
    /// The arguments have bytes that do not stand in a query as they are (RFC 3986 section 3.4).
    #[error("the arguments have characters that a URL must encode")]
    Arguments,
    /// The body is not what its type says, or holds what is not read here: a `DOCTYPE`, another encoding than
    /// UTF-8, very deep nesting.
    #[error("it cannot be read")]
    NotRead,
    /// Another host may change where its URLs lead: by content steering, or by patches of an MPD.
    #[error("another host may change where its URLs lead (content steering or patches)")]
    Steered,
    /// With the arguments the playlist would have more than [`MAX_FORWARDED`] bytes.
    #[error("it would have more than {MAX_FORWARDED} bytes")]
    TooLarge,
}
