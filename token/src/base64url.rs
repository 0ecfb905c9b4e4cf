//! base64url without padding (RFC 7515 section 2), in its canonical form only.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use base64::Engine;
use base64_simd::{Out, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// Decodes `text`. `None` for padding, white space, other characters, an impossible length, or trailing
/// bits that are not zero: each byte string has exactly one accepted encoding.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text).ok()
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
    URL_SAFE_NO_PAD.decode(text, Out::from_slice(buffer)).ok().map(|bytes| Cow::Borrowed(&*bytes))
}

/// Decodes `text` where it stands: the bytes are at its beginning.
pub(crate) fn decode_in_place(text: &mut [u8]) -> Option<&[u8]> {
    URL_SAFE_NO_PAD.decode_inplace(text).ok().map(|bytes| &*bytes)
}

/// Decodes `text` and appends it to `out`. If that is not possible, `out` is as before.
pub(crate) fn decode_to(text: &[u8], out: &mut Vec<u8>) -> bool {
    URL_SAFE_NO_PAD.decode_append(text, out).is_ok()
}

/// Decodes into `out`; false unless `text` encodes exactly `out.len()` bytes.
pub(crate) fn decode_exact(text: &[u8], out: &mut [u8]) -> bool {
    let fits = URL_SAFE_NO_PAD.decoded_length(text).is_ok_and(|len| len == out.len());
    fits && URL_SAFE_NO_PAD.decode(text, Out::from_slice(out)).is_ok()
}

/// `text` without the `=` that fill up its last group of four characters (RFC 4648 section 3.2), or as it
/// is if they are not exactly what is missing there.
pub(crate) fn without_padding(text: &[u8]) -> &[u8] {
    let bare = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    if text.len().is_multiple_of(4) { bare } else { text }
}

/// Encodes `bytes`.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Appends the encoding of `bytes` to `out`.
pub(crate) fn encode_to(bytes: impl AsRef<[u8]>, out: &mut String) {
    URL_SAFE_NO_PAD.encode_append(bytes, out);
}

/// Whether `text` is the encoding of `bytes`, without memory for it.
pub(crate) fn encodes(text: &[u8], bytes: &[u8]) -> bool {
    const PART: usize = 768;
    let mut room = [const { MaybeUninit::uninit() }; PART / 3 * 4];
    let mut is = |text: &[u8], bytes: &[u8]| {
        *URL_SAFE_NO_PAD.encode(bytes, Out::from_uninit_slice(&mut room)) == *text
    };
    let (mut left, mut bytes) = (text, bytes);
    while let Some((part, rest)) = bytes.split_at_checked(PART) {
        let Some((text, others)) = left.split_at_checked(PART / 3 * 4) else { return false };
        if !is(text, part) {
            return false;
        }
        (left, bytes) = (others, rest);
    }
    is(left, bytes)
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

    /// Whatever the length, and so whichever instructions are used.
    #[test]
    fn what_is_encoded_is_what_another_library_encodes() {
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as OTHER;
        for len in (0..200).chain([766, 767, 768, 769, 1535, 1536, 1537, 5000]) {
            let bytes: Vec<u8> = (0..len).map(|at: usize| (at * 151 + len) as u8).collect();
            let text = encode(&bytes);
            assert_eq!(text, OTHER.encode(&bytes));
            assert_eq!(decode(text.as_bytes()).as_ref(), Some(&bytes));
            let mut appended = vec![1];
            assert!(decode_to(text.as_bytes(), &mut appended) && appended[1..] == bytes);
            assert!(encodes(text.as_bytes(), &bytes));
            assert_eq!(decode_in_place(&mut text.clone().into_bytes()), Some(&*bytes));
            let mut exact = vec![0; len];
            assert!(decode_exact(text.as_bytes(), &mut exact) && exact == bytes);
            for at in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                assert!(!encodes(&other, &bytes));
                assert_eq!(decode(&other), OTHER.decode(&other).ok());
                for bad in *b".=+/ ~\0\xff" {
                    other[at] = bad;
                    assert_eq!(decode(&other), None);
                    assert!(!decode_exact(&other, &mut exact));
                }
            }
            assert!(!encodes(&text.as_bytes()[..text.len().saturating_sub(1)], &bytes) || len == 0);
            assert!(!encodes(format!("{text}A").as_bytes(), &bytes));
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
