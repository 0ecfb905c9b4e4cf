//! Percent-encoding of paths (RFC 3986 section 2.1).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

/// What a path must not hold plain: whatever is neither unreserved, nor a sub-delimiter, nor one of `:@/`.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A path, decoded and normalised, in its one encoded form: upper-case digits, nothing encoded that need not be.
pub fn encode_path(path: &[u8]) -> Cow<'_, [u8]> {
    match percent_encode(path, PATH).into() {
        Cow::Borrowed(same) => Cow::Borrowed(same.as_bytes()),
        Cow::Owned(encoded) => Cow::Owned(encoded.into_bytes()),
    }
}

/// A URL whose path is decoded and normalised, with the path encoded. A value that is no URL is all path.
pub fn encode_address(address: &[u8]) -> Cow<'_, [u8]> {
    let (origin, path) = split_origin(address);
    match encode_path(path) {
        Cow::Borrowed(_) => Cow::Borrowed(address),
        Cow::Owned(encoded) => Cow::Owned([origin, &encoded].concat()),
    }
}

/// `scheme://host` of a URL, and its path; the whole is the path if there is no scheme.
pub fn split_origin(address: &[u8]) -> (&[u8], &[u8]) {
    let after_scheme = address.windows(3).position(|three| three == b"://").map(|at| at + 3);
    let Some(at) = after_scheme.filter(|_| !address.starts_with(b"/")) else {
        return (b"", address);
    };
    let host = address.get(at..).unwrap_or_default();
    let len = host.iter().position(|byte| *byte == b'/').unwrap_or(host.len());
    address.split_at_checked(at + len).unwrap_or((address, b""))
}

/// Decodes escapes once. What is no escape stays as it is, a `+` too.
pub fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    percent_decode(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_encoded_form() {
        for (path, encoded) in [
            ("/a/b-c_d.e~f!$&'()*+,;=:@", "/a/b-c_d.e~f!$&'()*+,;=:@"),
            ("/a b\u{e9}%?#\"", "/a%20b%C3%A9%25%3F%23%22"),
            ("/\0[]\\^`{|}<>", "/%00%5B%5D%5C%5E%60%7B%7C%7D%3C%3E"),
        ] {
            assert_eq!(encode_path(path.as_bytes()), encoded.as_bytes());
            assert_eq!(decode(encoded.as_bytes()), path.as_bytes());
            let address = format!("https://h:8{path}");
            assert_eq!(
                encode_address(address.as_bytes()),
                format!("https://h:8{encoded}").as_bytes()
            );
            assert_eq!(encode_address(path.as_bytes()), encoded.as_bytes());
        }
        assert_eq!(split_origin(b"/a://b"), (&b""[..], &b"/a://b"[..]));
        assert_eq!(split_origin(b"http://h"), (&b"http://h"[..], &b""[..]));
        assert_eq!(decode(b"%2f%2G%+"), &b"/%2G%+"[..]);
    }
}
