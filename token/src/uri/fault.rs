//! Why a text is no URI that can be compared.

/// The longest normalised URI, in bytes. nginx's default takes request lines of up to 8 KiB.
pub const MAX_URI_LEN: usize = 16 * 1024;

/// Why a text is no URI that can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum UriError {
    #[error("it is longer than {MAX_URI_LEN} bytes")]
    TooLong,
    #[error("it does not begin with a scheme and a host, such as https://example.com/")]
    NotAbsolute,
    #[error("its host or port is of no form that RFC 3986 knows, or there is a user before it")]
    Authority,
    #[error("it has a fragment, which requests have none of")]
    Fragment,
    #[error("it has a \"%\" that begins no escape")]
    Escape,
    #[error(
        "its path leads to different places in different programs (\"..\" with \"//\", %2F, %5C or \";\")"
    )]
    Ambiguous,
    #[error("its path has a NUL")]
    Nul,
}
