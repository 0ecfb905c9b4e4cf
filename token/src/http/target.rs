//! The target of a request line.

/// The target of a request line for `uri`, a path and perhaps a query. Bytes that a request line cannot
/// contain are percent-encoded, so that nginx's `ngx_http_parse_unsafe_uri` accepts the result.
///
/// `None` if there is no leading slash, or if the path contains a NUL or a `..` segment, also
/// percent-encoded: parts of it may come from a client, and must not lead to another location.
pub fn request_target(uri: &[u8]) -> Option<Vec<u8>> {
    let path = uri.split(|byte| *byte == b'?').next()?;
    if !path.starts_with(b"/") {
        return None;
    }
    let decoded = percent_decoded(path);
    if decoded.contains(&0) || decoded.split(|byte| *byte == b'/').any(|name| name == b"..") {
        return None;
    }
    let mut target = Vec::with_capacity(uri.len());
    for (at, byte) in uri.iter().enumerate() {
        match byte {
            // A `%` that does not begin an escape is a literal one.
            b'%' if escaped(uri, at).is_none() => target.extend_from_slice(b"%25"),
            // nginx drops everything from a `#` on, as a fragment.
            0..=b' ' | b'#' | 0x7f.. => {
                target.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
            byte => target.push(*byte),
        }
    }
    Some(target)
}

/// The byte that is percent-encoded at `at`.
fn escaped(text: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = text.get(at..at + 3)? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let escape = escaped(text, at);
        decoded.push(escape.unwrap_or(*byte));
        at += if escape.is_some() { 3 } else { 1 };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_holds_one_request_whatever_the_uri() {
        for (uri, target) in [
            ("/_jwks", "/_jwks"),
            ("/k/a b?x=y z", "/k/a%20b?x=y%20z"),
            ("/k/\r\nHost: evil", "/k/%0D%0AHost:%20evil"),
            ("/k/%2f%zz%", "/k/%2f%25zz%25"),
            ("/k#x", "/k%23x"),
            ("/k/\u{e9}", "/k/%C3%A9"),
            ("/k/..x/x../.../a?/../", "/k/..x/x../.../a?/../"),
        ] {
            let made = request_target(uri.as_bytes()).map(|it| String::from_utf8(it).unwrap());
            assert_eq!(made.as_deref(), Some(target), "{uri:?}");
        }
        for bad in [
            "",
            "k",
            "http://x/",
            "/..",
            "/a/..",
            "/a/../b",
            "/a/%2e%2E/b",
            "/a/.%2e?x",
            "/a%2f..%2fb",
            "/a%00",
            "/a\0",
        ] {
            assert_eq!(request_target(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
