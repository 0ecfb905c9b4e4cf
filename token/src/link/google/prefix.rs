//! Prefixes of URLs (`URLPrefix`).

use super::super::address;
use crate::base64url;

/// The prefix that a link says in base64url, with or without padding. It must be `scheme://host/` at least, and have
/// neither a query nor a fragment: one that ended within the host would be that of other hosts, too.
pub(super) fn read(encoded: &[u8]) -> Option<Vec<u8>> {
    let prefix = base64url::decode(base64url::without_padding(encoded))?;
    is_prefix(&prefix).then_some(prefix)
}

/// Whether this may be one.
pub(super) fn is_prefix(text: &[u8]) -> bool {
    let (origin, path) = address::split_origin(text);
    let host = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
    host.is_some_and(|host| !host.is_empty())
        && path.starts_with(b"/")
        // It is shown by a variable, which may become a header.
        && !text.iter().any(|byte| matches!(byte, b'?' | b'#') || byte.is_ascii_control())
}

/// Whether it is a prefix of the URL, whose path is decoded and normalised here: compared is the path in its one
/// encoded form, and scheme and host as they are. The path must be settled ([`address::is_settled`]).
pub(super) fn covers(prefix: &[u8], address: &[u8]) -> bool {
    is_settled(address) && address::encode_address(address).starts_with(prefix)
}

/// Whether the path of a URL is.
pub(super) fn is_settled(address: &[u8]) -> bool {
    address::is_settled(address::split_origin(address).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_after_the_host_and_covers_what_begins_with_it() {
        for (prefix, address) in [
            ("https://h/", "https://h/"),
            ("https://h/a", "https://h/ab"),
            ("https://h/a%20b/", "https://h/a b/c"),
            ("http://h:8/a", "http://h:8/a"),
        ] {
            assert_eq!(read(base64url::encode(prefix).as_bytes()), Some(prefix.into()));
            assert!(covers(prefix.as_bytes(), address.as_bytes()), "{prefix}");
        }
        for bad in [
            "",
            "/",
            "/a",
            "h/a",
            "https:",
            "https://",
            "https://h",
            "https:///a",
            "ftp://h/",
            "HTTPS://h/",
            "https://h/?a",
            "https://h/#",
            "https://h?/",
            "xhttps://h/",
        ] {
            assert_eq!(read(base64url::encode(bad).as_bytes()), None, "{bad}");
        }
        for (prefix, address) in [
            ("https://h/a/", "https://h/a"),
            ("https://h/", "http://h/"),
            ("https://h/", "https://hh/"),
            ("https://h/", "https://H/"),
            ("https://h/", "/"),
            ("https://h/a/../", "https://h/"),
            ("https://h/%61", "https://h/a"),
            ("https://h//", "https://h/"),
            ("https://h/a b", "https://h/a b"),
            ("https://h/%c3", "https://h/\u{e9}"),
            ("https://h/a/", "https://h/a/%2e%2e/b"),
            ("https://h/a/", "https://h/a/..;/b"),
            ("https://h/a/", "https://h/a/\0"),
        ] {
            assert!(!covers(prefix.as_bytes(), address.as_bytes()), "{prefix} {address}");
        }
        assert!(read(b"aHR0cDovL2gvYQ").is_some() && read(b"aHR0cDovL2gvYQ==").is_some());
        for bad in ["aHR0cDovL2gvYQ=", "aHR0cDovL2gvYR", "aHR0cDovL2gvYQ===", "aHR0cDovL2gvYQ%3D"] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }
}
