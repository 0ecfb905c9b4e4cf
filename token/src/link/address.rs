//! Percent-encoding of paths (RFC 3986 section 2.1).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode, percent_encode};

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

/// What a value within a query must not hold plain: whatever is not unreserved.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path, decoded and normalised, in its one encoded form: upper-case digits, nothing encoded that need not be.
pub fn encode_path(path: &[u8]) -> Cow<'_, [u8]> {
    // What encodes one byte is borrowed, too: from a table.
    match percent_encode(path, PATH).into() {
        Cow::Borrowed(same) if same.len() == path.len() => Cow::Borrowed(path),
        encoded => Cow::Owned(encoded.into_owned().into_bytes()),
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

/// The ways in which a signer may have written an address, or a path, that is decoded and normalised here: with
/// the path encoded, and as it is. The latter only if it does not stand for another address when it is read as a
/// URL: no `%`, `?` or `#` is in it.
pub(super) fn spellings(address: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let encoded = encode_address(address);
    let as_it_is = match encoded {
        Cow::Owned(_) if memchr::memchr3(b'%', b'?', b'#', address).is_none() => {
            Some(Cow::Borrowed(address))
        }
        _ => None,
    };
    std::iter::once(encoded).chain(as_it_is)
}

/// `scheme://host` of a URL, and its path; the whole is the path if there is no scheme.
pub fn split_origin(address: &[u8]) -> (&[u8], &[u8]) {
    if address.starts_with(b"/") {
        return (b"", address);
    }
    let after_scheme = |colon: usize| {
        let host = address.get(colon..)?.strip_prefix(b"://")?;
        Some((colon + "://".len(), host))
    };
    let Some((at, host)) = memchr::memchr_iter(b':', address).find_map(after_scheme) else {
        return (b"", address);
    };
    let len = memchr::memchr(b'/', host).unwrap_or(host.len());
    address.split_at_checked(at + len).unwrap_or((address, b""))
}

/// A text with everything encoded that is not unreserved (RFC 3986 section 2.3), as a value within a query.
pub fn encode_component(text: &[u8]) -> String {
    percent_encode(text, COMPONENT).to_string()
}

/// Whether nothing in a path, which is decoded and normalised already, leads elsewhere if another program
/// normalises it again: no `.` or `..` between slashes, also where a backslash counts as one, escapes are
/// decoded once more, or a segment ends at its first `;`, and no NUL.
///
/// What a wildcard or a prefix covers begins where it says only if this holds. nginx's `$uri` has nothing of
/// all that unless a client encodes it twice.
pub fn is_settled(path: &[u8]) -> bool {
    let decoded = decode(path);
    let mut segments = decoded.split(|byte| matches!(byte, b'/' | b'\\'));
    let leads_elsewhere = |segment: &[u8]| {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        matches!(name, b"." | b"..")
    };
    !decoded.contains(&0) && !segments.any(leads_elsewhere)
}

/// Decodes escapes once. What is no escape stays as it is, a `+` too.
pub fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memchr(b'%', text) {
        None => Cow::Borrowed(text),
        Some(_) => percent_decode(text).into(),
    }
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
        let spellings = |address: &str| -> Vec<_> {
            let all = spellings(address.as_bytes());
            all.map(|one| String::from_utf8(one.into_owned()).unwrap()).collect()
        };
        assert_eq!(spellings("https://h/a b"), ["https://h/a%20b", "https://h/a b"]);
        assert_eq!(spellings("/a"), ["/a"]);
        for (address, encoded) in [("/a%41", "/a%2541"), ("/a?b=1", "/a%3Fb=1"), ("/#", "/%23")] {
            assert_eq!(spellings(address), [encoded]);
        }
        for (path, encoded) in [(&b" "[..], "%20"), (b"\xff", "%FF"), (b"", ""), (b"/", "/")] {
            let found = encode_path(path);
            assert_eq!(found, encoded.as_bytes());
            assert_eq!(matches!(found, Cow::Borrowed(_)), path == encoded.as_bytes());
        }
        assert_eq!(split_origin(b"/a://b"), (&b""[..], &b"/a://b"[..]));
        assert_eq!(split_origin(b"http://h"), (&b"http://h"[..], &b""[..]));
        assert_eq!(decode(b"%2f%2G%+"), &b"/%2G%+"[..]);
        assert_eq!(encode_component("a-b._~/c=é+ ".as_bytes()), "a-b._~%2Fc%3D%C3%A9%2B%20");
    }

    #[test]
    fn a_settled_path_leads_nowhere_else() {
        for settled in ["/", "/a/b", "/a//b", "/a/...", "/a/.b", "/a/b.;c", "/a;b/c", "/a%/b%41"] {
            assert!(is_settled(settled.as_bytes()), "{settled}");
        }
        for unsettled in [
            "/a/../b",
            "/a/..",
            "/a/./b",
            "/a/..;x/b",
            "/a/.;/b",
            "/a/%2e%2E/b",
            "/a/.%2e/b",
            "/a/..%2fb",
            "/a%5c..%5Cb",
            "/a\\..\\b",
            "/a/..%3bx/b",
            "/a\0",
            "/a%00b",
        ] {
            assert!(!is_settled(unsettled.as_bytes()), "{unsettled}");
        }
    }
}
