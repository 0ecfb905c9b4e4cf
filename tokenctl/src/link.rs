//! A link taken apart, and its path as nginx's `$uri`.

use anyhow::{Context as _, Result, bail};

/// A path or an http(s) URL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LinkText<'t> {
    /// Scheme and host of a URL; empty for a path.
    pub(crate) origin: &'t str,
    /// The path, not decoded; at least `/`.
    pub(crate) path: &'t str,
    /// The query, without its question mark.
    pub(crate) query: Option<&'t str>,
    /// The fragment with its `#`; empty if there is none. Browsers do not send it.
    pub(crate) fragment: &'t str,
}

impl<'t> LinkText<'t> {
    /// Takes a link apart.
    pub(crate) fn parse(text: &'t str) -> Result<Self> {
        if let Some(bad) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
            bail!("a link holds no {bad:?}; write it percent-encoded");
        }
        let (rest, fragment) = split_before(text, '#');
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (origin, path) = match rest.find("://") {
            _ if rest.starts_with('/') => ("", rest),
            Some(at) if is_http(rest.get(..at).unwrap_or_default()) => {
                let host = rest.get(at + 3..).unwrap_or_default();
                let (_, path) = split_before(host, '/');
                rest.split_at_checked(rest.len() - path.len()).unwrap_or((rest, ""))
            }
            _ => bail!("a link begins with / or with http:// or https://"),
        };
        Ok(Self { origin, path: if path.is_empty() { "/" } else { path }, query, fragment })
    }

    /// `$scheme://$host` as nginx has them: in lower case and without a port; `None` for a path.
    pub(crate) fn scheme_and_host(&self) -> Option<String> {
        let (scheme, rest) = self.origin.split_once("://")?;
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let host = match host.rsplit_once(':') {
            // An IPv6 address has colons of its own.
            Some((host, port)) if !port.contains(']') => host,
            _ => host,
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        Some(format!("{scheme}://{host}").to_ascii_lowercase())
    }

    /// The path as nginx's `$uri`: percent-decoded, dot segments resolved, slashes merged.
    pub(crate) fn uri(&self) -> Result<Vec<u8>> {
        let decoded = percent_decode(self.path.as_bytes())?;
        let mut segments: Vec<&[u8]> = Vec::new();
        let mut at_directory = true;
        for segment in decoded.split(|byte| *byte == b'/').skip(1) {
            at_directory = matches!(segment, b"" | b"." | b"..");
            match segment {
                b"" | b"." => {}
                b".." => drop(segments.pop().context("the path goes above the root with ..")?),
                name => segments.push(name),
            }
        }
        let mut uri = Vec::with_capacity(decoded.len());
        for segment in segments {
            uri.push(b'/');
            uri.extend_from_slice(segment);
        }
        if at_directory {
            uri.push(b'/');
        }
        Ok(uri)
    }

    /// The link with `arguments` added to its query.
    pub(crate) fn with_arguments(&self, arguments: &str) -> String {
        let Self { origin, path, fragment, .. } = self;
        match self.query {
            None => format!("{origin}{path}?{arguments}{fragment}"),
            Some(query) => {
                let and = if query.is_empty() || query.ends_with('&') { "" } else { "&" };
                format!("{origin}{path}?{query}{and}{arguments}{fragment}")
            }
        }
    }
}

fn is_http(scheme: &str) -> bool {
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// `text` before `mark`, and the rest beginning with `mark`.
fn split_before(text: &str, mark: char) -> (&str, &str) {
    let at = text.find(mark).unwrap_or(text.len());
    text.split_at_checked(at).unwrap_or((text, ""))
}

fn percent_decode(text: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let decoded = match tail {
            [high, low, tail @ ..] => digit(high).zip(digit(low)).map(|(high, low)| {
                rest = tail;
                high << 4 | low
            }),
            _ => None,
        };
        match decoded.and_then(|value| u8::try_from(value).ok()) {
            Some(0) => bail!("the path holds %00, which nginx refuses"),
            Some(value) => out.push(value),
            None => bail!("the path holds a % without two hexadecimal digits; write %25 for it"),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Result<String> {
        Ok(String::from_utf8(LinkText::parse(text)?.uri()?).unwrap())
    }

    #[test]
    fn parts() {
        let link = LinkText::parse("https://h:8/a/b?x=1&y#z?q").unwrap();
        assert_eq!(
            link,
            LinkText {
                origin: "https://h:8",
                path: "/a/b",
                query: Some("x=1&y"),
                fragment: "#z?q"
            }
        );
        assert_eq!(link.with_arguments("s=1"), "https://h:8/a/b?x=1&y&s=1#z?q");
        let with = |text| LinkText::parse(text).unwrap().with_arguments("s=1");
        assert_eq!(with("/a"), "/a?s=1");
        assert_eq!(with("/a?"), "/a?s=1");
        assert_eq!(with("/a?b&"), "/a?b&s=1");
        assert_eq!(with("HTTP://h"), "HTTP://h/?s=1");
        assert_eq!(with("http://h?a"), "http://h/?a&s=1");
        assert_eq!(with("/x?u=http://y/z"), "/x?u=http://y/z&s=1");
        for bad in ["", "a", "ftp://h/a", "/a b", "/a\n", "h/http://x", "#"] {
            assert!(LinkText::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn scheme_and_host_are_those_of_nginx() {
        for (text, want) in [
            ("https://h/a", Some("https://h")),
            ("HTTP://Host.Example:8080/A", Some("http://host.example")),
            ("http://u:p@h.:1/", Some("http://h")),
            ("http://[::1]:80/", Some("http://[::1]")),
            ("http://[::1]/", Some("http://[::1]")),
            ("/a", None),
        ] {
            assert_eq!(LinkText::parse(text).unwrap().scheme_and_host().as_deref(), want, "{text}");
        }
    }

    #[test]
    fn uri_is_what_nginx_makes_of_it() {
        for (text, want) in [
            ("/my/uri", "/my/uri"),
            ("/a%20b/%c3%a9%2B+", "/a b/é++"),
            ("/a%2fb", "/a/b"),
            ("//a///b/", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/.../b", "/a/.../b"),
            ("/a%3fb%23c%25d", "/a?b#c%d"),
            ("/", "/"),
            ("/..a/.b", "/..a/.b"),
            ("https://host/x/?q", "/x/"),
        ] {
            assert_eq!(uri(text).unwrap(), want, "{text}");
        }
        for bad in ["/..", "/a/../..", "/%", "/%4", "/%zz", "/%00"] {
            assert!(uri(bad).is_err(), "{bad}");
        }
    }
}
