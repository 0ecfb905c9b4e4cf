//! base64url without padding (RFC 7515 section 2), in its canonical form only.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// Decodes `text`. `None` for padding, white space, other characters, an impossible length, or trailing
/// bits that are not zero: each byte string has exactly one accepted encoding.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    // Exactly the decoded length: the vector is kept and must not be too large.
    let mut bytes = vec![0; text.len() / 4 * 3 + text.len() % 4 * 3 / 4];
    decode_exact(text, &mut bytes).then_some(bytes)
}

/// Decodes with any alphabet into memory that is wiped, also if only a part of `text` can be decoded.
pub(crate) fn decode_secret(engine: &impl Engine, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let len = engine.decode_slice(text, &mut bytes).ok()?;
    bytes.truncate(len);
    Some(bytes)
}

/// `text` without its white space. All memory is reserved before: a vector that grows leaves copies.
pub(crate) fn without_white_space(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bare = Zeroizing::new(Vec::with_capacity(text.len()));
    bare.extend(text.iter().filter(|byte| !byte.is_ascii_whitespace()));
    bare
}

/// Bytes for a decoded signature of an RSA key of up to 4096 bits, rounded up to whole groups.
pub(crate) const BUFFER: usize = 4096 / 8 + 4;

/// As [`decode`], but into `buffer` if it fits, without an allocation.
pub(crate) fn decode_into<'b>(text: &[u8], buffer: &'b mut [u8; BUFFER]) -> Option<Cow<'b, [u8]>> {
    if text.len().div_ceil(4) * 3 > BUFFER {
        return decode(text).map(Cow::Owned);
    }
    let len = URL_SAFE_NO_PAD.decode_slice(text, buffer).ok()?;
    buffer.get(..len).map(Cow::Borrowed)
}

/// Decodes into `out`; false unless `text` encodes exactly `out.len()` bytes.
pub(crate) fn decode_exact(text: &[u8], out: &mut [u8]) -> bool {
    URL_SAFE_NO_PAD.decode_slice(text, out) == Ok(out.len())
}

/// `text` without the `=` that fill up its last group of four characters (RFC 4648 section 3.2), or as it
/// is if they are not exactly what is missing there.
pub(crate) fn without_padding(text: &[u8]) -> &[u8] {
    let bare = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    if text.len().is_multiple_of(4) { bare } else { text }
}

/// Encodes `bytes`.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the encoding of `bytes` to `out`.
pub(crate) fn encode_to(bytes: impl AsRef<[u8]>, out: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_accepted() {
        assert_eq!(decode(b"TWFu"), Some(b"Man".to_vec()));
        assert_eq!(decode(b"-_8"), Some(vec![0xfb, 0xff]));
        for bad in ["TWE=", "TW Fu", "TWFu\n", "+/8", "T", "TWF", "TWG", "TWF?"] {
            // TWF and TWG carry trailing bits that are not zero.
            assert_eq!(decode(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn only_the_padding_that_is_missing_is_removed() {
        for (text, bare) in
            [("TWE=", "TWE"), ("TQ==", "TQ"), ("TWFu", "TWFu"), ("TQ=", "TQ="), ("TWFu=", "TWFu=")]
        {
            assert_eq!(without_padding(text.as_bytes()), bare.as_bytes(), "{text}");
        }
        // A group of one character stays impossible.
        for bad in ["T===", "====", "TWFu===="] {
            assert_eq!(decode(without_padding(bad.as_bytes())), None, "{bad}");
        }
    }

    #[test]
    fn a_fixed_length_must_match() {
        let mut out = [0; 3];
        assert!(decode_exact(b"TWFu", &mut out));
        assert!(!decode_exact(b"TWE", &mut out));
        assert!(!decode_exact(b"TWFuTWFu", &mut out));
    }
}
