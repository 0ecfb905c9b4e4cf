//! Characters and paths of a URI, each in its one spelling (RFC 3986 section 6.2.2).

use super::fault::UriError;

pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

pub(super) fn is_sub_delimiter(byte: u8) -> bool {
    matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

pub(super) fn is_reserved(byte: u8) -> bool {
    is_sub_delimiter(byte) || matches!(byte, b':' | b'/' | b'?' | b'#' | b'[' | b']' | b'@')
}

/// A path or a query with each character in its one spelling: `None` if a `%` begins no escape.
pub(super) fn escaped(text: &[u8]) -> Option<String> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let (byte, is_escape, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => (hex(*high)? << 4 | hex(*low)?, true, after),
            (b'%', _) => return None,
            _ => (*first, false, after),
        };
        rest = after;
        let plain = is_unreserved(byte)
            || !is_escape && (is_sub_delimiter(byte) || matches!(byte, b':' | b'@' | b'/' | b'?'));
        if plain {
            out.push(char::from(byte));
        } else {
            let digit =
                |at: u8| DIGITS.get(usize::from(at)).map_or('0', |digit| char::from(*digit));
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    Some(out)
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

/// A path without the segments `.` and `..` (RFC 3986 section 5.2.4).
pub(super) fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() { "/".to_owned() } else { out }
}

/// A path with one slash in place of several.
pub(super) fn merged(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for char in path.chars() {
        if char != '/' || !out.ends_with('/') {
            out.push(char);
        }
    }
    out
}

/// Refuses a path that other programs may take for one that the token does not cover. `whole` has its dot
/// segments still, `path` has none; both have each character in its one spelling.
pub(super) fn check_path(whole: &str, path: &str) -> Result<(), UriError> {
    if path.contains("%00") {
        return Err(UriError::Nul);
    }
    let slashes = |path: &str| merged(&path.replace("%2F", "/"));
    // Programs that merge slashes, or decode them, before they remove dot segments come elsewhere.
    let same = slashes(path) == without_dots(&slashes(whole));
    // Some take a backslash for a slash, or end a segment at a semicolon.
    let parts = path.replace("%2F", "/").replace("%5C", "/");
    let is_dots = |part: &str| {
        let name = part.split(';').next().unwrap_or_default();
        let name = name.split("%3B").next().unwrap_or_default();
        matches!(name, "." | "..")
    };
    if same && !parts.split('/').any(is_dots) { Ok(()) } else { Err(UriError::Ambiguous) }
}
