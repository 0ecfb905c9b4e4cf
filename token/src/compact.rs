//! The JWS compact serialization (RFC 7515 section 7.1).

use crate::base64url;
use crate::refusal::Why;

/// The largest token that is read, in bytes. By default nginx accepts header lines of up to 8 KiB;
/// this limits the work where `large_client_header_buffers` allows longer ones.
pub const MAX_TOKEN_LEN: usize = 64 * 1024;

/// The largest header section, in characters. It is small because the header is parsed before the
/// signature is verified.
pub(crate) const MAX_HEADER_LEN: usize = 8 * 1024;

/// The three sections of a token, still encoded, without their padding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compact<'t> {
    /// The whole token, as it came.
    pub(crate) token: &'t [u8],
    pub(crate) header: &'t [u8],
    pub(crate) payload: &'t [u8],
    pub(crate) signature: &'t [u8],
    /// What is signed: the encoded header, a dot and the encoded payload, exactly as in the token.
    pub(crate) signing_input: &'t [u8],
    /// Whether a section is padded with `=`, which RFC 7515 section 2 does not allow.
    pub(crate) padded: bool,
}

impl<'t> Compact<'t> {
    /// Splits a token into its three sections. None may be empty: a token with an empty signature is
    /// unsecured, one with an empty payload has detached content. Five sections are a JWE.
    pub(crate) fn split(token: &'t [u8]) -> Result<Self, Why> {
        Self::split_within(token, MAX_TOKEN_LEN)
    }

    /// As [`Compact::split`], for a token of up to `limit` bytes.
    pub(crate) fn split_within(token: &'t [u8], limit: usize) -> Result<Self, Why> {
        Self::try_split(token, limit).ok_or_else(|| Why::malformed(fault(token, limit)))
    }

    fn try_split(token: &'t [u8], limit: usize) -> Option<Self> {
        if token.len() > limit {
            return None;
        }
        let dot = |part: &[u8]| memchr::memchr(b'.', part);
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
        let sections = [header, payload, signature];
        if sections.iter().any(|section| section.is_empty()) || dot(signature).is_some() {
            return None;
        }
        let padded = sections.iter().any(|section| section.ends_with(b"="));
        let [header, payload, signature] =
            if padded { sections.map(base64url::without_padding) } else { sections };
        Some(Self { token, header, payload, signature, signing_input, padded })
    }
}

/// Why a token cannot be split.
fn fault(token: &[u8], limit: usize) -> String {
    if token.len() > limit {
        return format!("longer than {limit} bytes");
    }
    if token.starts_with(b"{") {
        return "JSON; a token is three sections, separated by dots".to_owned();
    }
    if token.iter().any(|byte| matches!(byte, b' ' | b',')) {
        return "several tokens, or a list: one token is wanted".to_owned();
    }
    let mut sections = token.split(|byte| *byte == b'.');
    match sections.clone().count() {
        1 => "1 section, where a signed token has 3".to_owned(),
        3 if sections.next().is_some_and(|header| header.len() > MAX_HEADER_LEN) => {
            format!("the header is longer than {MAX_HEADER_LEN} characters")
        }
        3 if token.ends_with(b".") => "the signature is empty, an unsecured token".to_owned(),
        3 => "a section is empty".to_owned(),
        5 => "5 sections, an encrypted token".to_owned(),
        count => format!("{count} sections, where a signed token has 3"),
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
            assert!(Compact::split(bad.as_bytes()).is_err(), "{bad}");
        }
        for (bad, why) in [
            ("", "1 section, where a signed token has 3"),
            ("a.b", "2 sections, where a signed token has 3"),
            ("a.b.", "the signature is empty, an unsecured token"),
            (".b.c", "a section is empty"),
            ("a.b.c.d.e", "5 sections, an encrypted token"),
            ("a.b.c, a.b.c", "several tokens, or a list: one token is wanted"),
            (r#"{"a":"."}"#, "JSON; a token is three sections, separated by dots"),
        ] {
            assert_eq!(Compact::split(bad.as_bytes()).unwrap_err(), Why::malformed(why), "{bad}");
        }
    }

    #[test]
    fn padding_is_noted_and_signed() {
        let compact = Compact::split(b"YQ==.YWE=.YWFh").unwrap();
        assert!(compact.padded);
        assert_eq!((compact.header, compact.payload), (&b"YQ"[..], &b"YWE"[..]));
        assert_eq!(compact.signing_input, b"YQ==.YWE=");
        // What is not correct padding stays, and is then no base64url.
        let compact = Compact::split(b"YQ=.YWE==.YWFh====").unwrap();
        assert!(compact.padded);
        assert_eq!((compact.header, compact.payload), (&b"YQ="[..], &b"YWE=="[..]));
        assert!(!Compact::split(b"YQ.YW=E.YWFh").unwrap().padded);
    }

    #[test]
    fn size_is_bounded() {
        let token = |header: usize, payload: usize| {
            format!("{}.{}.c", "a".repeat(header), "b".repeat(payload)).into_bytes()
        };
        assert!(Compact::split(&token(MAX_HEADER_LEN, 1)).is_ok());
        assert!(Compact::split(&token(MAX_HEADER_LEN + 1, 1)).is_err());
        assert!(Compact::split(&token(1, MAX_TOKEN_LEN - 4)).is_ok());
        assert!(Compact::split(&token(1, MAX_TOKEN_LEN - 3)).is_err());
        assert!(Compact::split_within(&token(1, MAX_TOKEN_LEN - 3), MAX_TOKEN_LEN + 1).is_ok());
        let why = Compact::split_within(&token(1, 8), 11).unwrap_err();
        assert_eq!(why, Why::malformed("longer than 11 bytes"));
    }
}
