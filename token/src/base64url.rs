//! base64url without padding, as JOSE writes it (RFC 7515 section 2), and nothing else.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Decodes `text`, or gives `None` for padding, white space, a foreign character, an impossible
/// length or trailing bits that are not zero: one byte string has exactly one accepted spelling.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    // Of exactly the length that there will be: it is kept as it is.
    let mut bytes = vec![0; text.len() / 4 * 3 + text.len() % 4 * 3 / 4];
    decode_exact(text, &mut bytes).then_some(bytes)
}

/// Room for what a signature decodes to, up to that of an RSA key of 4096 bits.
pub(crate) const BUFFER: usize = 4096 / 8 + 4;

/// [`decode`], into `buffer` where it fits there.
pub(crate) fn decode_into<'b>(text: &[u8], buffer: &'b mut [u8; BUFFER]) -> Option<Cow<'b, [u8]>> {
    if text.len().div_ceil(4) * 3 > BUFFER {
        return decode(text).map(Cow::Owned);
    }
    let len = URL_SAFE_NO_PAD.decode_slice(text, buffer).ok()?;
    buffer.get(..len).map(Cow::Borrowed)
}

/// Decodes into `out` when `text` stands for exactly `out.len()` bytes; false otherwise.
pub(crate) fn decode_exact(text: &[u8], out: &mut [u8]) -> bool {
    URL_SAFE_NO_PAD.decode_slice(text, out) == Ok(out.len())
}

/// Encodes `bytes`.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
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
    fn a_fixed_length_must_match() {
        let mut out = [0; 3];
        assert!(decode_exact(b"TWFu", &mut out));
        assert!(!decode_exact(b"TWE", &mut out));
        assert!(!decode_exact(b"TWFuTWFu", &mut out));
    }
}
