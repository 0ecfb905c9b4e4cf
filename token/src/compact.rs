//! The JWS compact serialization (RFC 7515 section 7.1).

/// The largest token that is read, in bytes. By default nginx accepts header lines of up to 8 KiB;
/// this limits the work where `large_client_header_buffers` allows longer ones.
pub const MAX_TOKEN_LEN: usize = 64 * 1024;

/// The largest header section, in characters. It is small because the header is parsed before the
/// signature is verified.
const MAX_HEADER_LEN: usize = 8 * 1024;

/// The three sections of a token, still encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compact<'t> {
    pub(crate) header: &'t [u8],
    pub(crate) payload: &'t [u8],
    pub(crate) signature: &'t [u8],
    /// What is signed: the encoded header, a dot and the encoded payload, exactly as in the token.
    pub(crate) signing_input: &'t [u8],
}

impl<'t> Compact<'t> {
    /// Splits a token into its three sections. None may be empty: a token with an empty signature is
    /// unsecured, one with an empty payload has detached content. Five sections are a JWE.
    pub(crate) fn split(token: &'t [u8]) -> Option<Self> {
        if token.len() > MAX_TOKEN_LEN {
            return None;
        }
        let dot = |part: &[u8]| part.iter().position(|byte| *byte == b'.');
        let first = dot(token)?;
        if first > MAX_HEADER_LEN {
            return None;
        }
        let (header, rest) = token.split_at_checked(first)?;
        let rest = rest.get(1..)?;
        let second = dot(rest)?;
        let (payload, rest) = rest.split_at_checked(second)?;
        let signature = rest.get(1..)?;
        let signing_input = token.get(..first + 1 + second)?;
        let parts = [header, payload, signature];
        (parts.iter().all(|part| !part.is_empty()) && dot(signature).is_none()).then_some(Self {
            header,
            payload,
            signature,
            signing_input,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_three_sections_with_something_in_them() {
        let compact = Compact::split(b"aa.bbb.c").unwrap();
        assert_eq!(compact.header, b"aa");
        assert_eq!(compact.payload, b"bbb");
        assert_eq!(compact.signature, b"c");
        assert_eq!(compact.signing_input, b"aa.bbb");
        for bad in ["", ".", "..", "a", "a.b", "a.b.", "a..c", ".b.c", "a.b.c.", "a.b.c.d.e"] {
            assert!(Compact::split(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn size_is_bounded() {
        let token = |header: usize, payload: usize| {
            format!("{}.{}.c", "a".repeat(header), "b".repeat(payload)).into_bytes()
        };
        assert!(Compact::split(&token(MAX_HEADER_LEN, 1)).is_some());
        assert!(Compact::split(&token(MAX_HEADER_LEN + 1, 1)).is_none());
        assert!(Compact::split(&token(1, MAX_TOKEN_LEN - 4)).is_some());
        assert!(Compact::split(&token(1, MAX_TOKEN_LEN - 3)).is_none());
    }
}
