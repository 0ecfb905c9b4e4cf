//! The host that a playlist was asked for at, and which URLs lead there.

/// A scheme of HTTP.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// A host, and its port if it is named.
#[derive(Clone, Copy)]
struct Host<'t> {
    name: &'t [u8],
    port: Option<u16>,
}

/// The scheme and host of a request.
pub(super) struct Site<'r> {
    scheme: Scheme,
    /// `None` if no URL that names a host leads there.
    host: Option<Host<'r>>,
}

/// Where a URL leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// To the request's host, if the URL that it is relative to does.
    Relative,
    /// To the request's host, whatever it is relative to.
    Own,
    /// To the document itself: it is empty, or only a fragment.
    Itself,
    /// Elsewhere, or to where some reader may take it in another way.
    Elsewhere,
}

impl Scheme {
    fn read(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"http") {
            Some(Self::Http)
        } else {
            name.eq_ignore_ascii_case(b"https").then_some(Self::Https)
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl<'t> Host<'t> {
    /// Reads `name`, `name:port`, or an address in brackets. Anything that readers normalise (encoded or
    /// other letters, an empty port, a leading zero) is none.
    fn read(text: &'t [u8]) -> Option<Self> {
        let end = match text {
            [b'[', ..] => text.iter().position(|byte| *byte == b']')? + 1,
            _ => text.iter().position(|byte| *byte == b':').unwrap_or(text.len()),
        };
        let (name, port) = text.split_at_checked(end)?;
        let is_plain = match name {
            [b'[', address @ .., b']'] => {
                address.iter().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(byte))
            }
            _ => name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte)),
        };
        if name.is_empty() || !is_plain {
            return None;
        }
        let port = match port {
            [] => None,
            [b':', digits @ ..] => Some(Self::port(digits)?),
            _ => return None,
        };
        Some(Self { name, port })
    }

    fn port(digits: &[u8]) -> Option<u16> {
        let is_plain = !digits.starts_with(b"0") && digits.iter().all(u8::is_ascii_digit);
        core::str::from_utf8(digits).ok().filter(|_| is_plain)?.parse().ok()
    }

    fn port_with(&self, scheme: Scheme) -> u16 {
        self.port.unwrap_or(scheme.default_port())
    }
}

impl<'r> Site<'r> {
    pub(super) fn new(scheme: &[u8], host: &'r [u8]) -> Self {
        Self { scheme: Scheme::read(scheme).unwrap_or(Scheme::Http), host: Host::read(host) }
    }

    /// Where a URL leads (RFC 3986 section 5.2), by those of its readers that follow other rules as well:
    /// browsers (the URL Standard) drop tabs and line breaks, take `\` for `/`, any number of slashes for two,
    /// and resolve `http:x`. So what they change is [`Reach::Elsewhere`].
    pub(super) fn reach(&self, url: &[u8]) -> Reach {
        if matches!(url, [] | [b'#', ..]) {
            return Reach::Itself;
        }
        if !is_plain(url) {
            return Reach::Elsewhere;
        }
        if let Some(rest) = url.strip_prefix(b"//") {
            // It may get another scheme from the URL that it is relative to.
            return match self.named(None, rest) {
                Reach::Own => Reach::Relative,
                other => other,
            };
        }
        let ends = |byte: &u8| matches!(byte, b':' | b'/' | b'?' | b'#');
        let first = url.iter().position(ends).unwrap_or(url.len());
        match url.split_at_checked(first) {
            Some((scheme, [b':', b'/', b'/', rest @ ..])) => match Scheme::read(scheme) {
                Some(scheme) => self.named(Some(scheme), rest),
                None => Reach::Elsewhere,
            },
            // Another scheme, or what is none for all of them.
            Some((_, [b':', ..])) | None => Reach::Elsewhere,
            Some(_) => Reach::Relative,
        }
    }

    /// [`Site::reach`] of what follows `//`; without a scheme it is that of the URL it is relative to.
    fn named(&self, scheme: Option<Scheme>, rest: &[u8]) -> Reach {
        let ends = |byte: &u8| matches!(byte, b'/' | b'?' | b'#');
        let host = rest.split(ends).next().and_then(Host::read);
        match (host, self.host) {
            (Some(host), Some(own)) if self.is_own(scheme, host, own) => Reach::Own,
            _ => Reach::Elsewhere,
        }
    }

    fn is_own(&self, scheme: Option<Scheme>, host: Host<'_>, own: Host<'_>) -> bool {
        let with = scheme.unwrap_or(self.scheme);
        // A credential that came encrypted does not go on in the clear.
        if self.scheme == Scheme::Https && with == Scheme::Http {
            return false;
        }
        // From `http` to `https` the default port may change: somebody before this server ends TLS.
        let same_port = host.port == own.port || host.port_with(with) == own.port_with(self.scheme);
        same_port && host.name.eq_ignore_ascii_case(own.name)
    }
}

/// Whether a URL has only characters that stand in URLs as they are (RFC 3986 section 2), and letters and
/// digits of other scripts. Anything else is encoded, removed, or taken for the end of the URL by some reader.
fn is_plain(url: &[u8]) -> bool {
    let is_ascii_plain =
        |char: char| char.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(char);
    core::str::from_utf8(url).is_ok_and(|text| {
        text.chars().all(|char| match char.is_ascii() {
            true => is_ascii_plain(char),
            false => char.is_alphanumeric(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Reach, Site};

    #[test]
    fn a_url_leads_to_the_request_s_host_or_elsewhere() {
        let site = Site::new(b"https", b"Host.example");
        for (url, reach) in [
            ("", Reach::Itself),
            ("#a", Reach::Itself),
            ("a.ts", Reach::Relative),
            ("/a/b:c?d#e", Reach::Relative),
            ("../a", Reach::Relative),
            ("?a=http://x/", Reach::Relative),
            ("a/http://x", Reach::Relative),
            ("a@b", Reach::Relative),
            ("vidéo/é.ts", Reach::Relative),
            ("./a:b", Reach::Relative),
            ("//host.example", Reach::Relative),
            ("//HOST.EXAMPLE/a", Reach::Relative),
            ("//host.example:443?a", Reach::Relative),
            ("https://host.example/a", Reach::Own),
            ("HTTPS://host.example:443/a", Reach::Own),
            ("https://host.example#a", Reach::Own),
        ] {
            assert_eq!(site.reach(url.as_bytes()), reach, "{url:?}");
        }
        for elsewhere in [
            "//other.example/a",
            "///other.example/a",
            "////host.example/a",
            "//",
            "///",
            "//host.example.other.example/",
            "//xhost.example/",
            "//host.example./",
            "//host.example:/",
            "//host.example:80/",
            "//host.example:0443/",
            "//host.example:+443/",
            "//host.example:443:443/",
            "//host.example:99999/",
            "//host.example@other.example/",
            "//host.example:443@other.example/",
            "//user@host.example/",
            "//%68ost.example/",
            "//host%2eexample/",
            "//host.example%2f@other/",
            "//ho\u{ad}st.example/",
            "//ｈost.example/",
            "http://host.example/",
            "http://host.example:443/",
            "https:host.example/",
            "https:/host.example/",
            "https:///host.example/",
            "https:a",
            "https://other.example/",
            "data:a",
            "skd://host.example/",
            "urn:a",
            "javascript:a",
            "C:/a",
            ":a",
            "a:b",
            "1:b",
            "/\\other.example/",
            "\\\\other.example/",
            "\\/other.example/",
            "a\\b",
            "/\t/other.example/",
            "\t//other.example/",
            " //other.example/",
            "\u{a0}//other.example/",
            "\u{feff}//other.example/",
            "ht\ntps://other.example/",
            "a b",
            "a\u{2028}b",
            "a\u{85}b",
            "a\0b",
            "a\u{7f}",
            "a|b",
            "a{b}",
            "a\"b",
            "a<b",
            "a`b",
            "a^b",
            "／／other.example/",
        ] {
            assert_eq!(site.reach(elsewhere.as_bytes()), Reach::Elsewhere, "{elsewhere:?}");
        }
        assert_eq!(site.reach(b"a\xff"), Reach::Elsewhere);
    }

    #[test]
    fn ports_are_compared_with_their_defaults() {
        let own = |scheme: &str, host: &str, url: &str| {
            Site::new(scheme.as_bytes(), host.as_bytes()).reach(url.as_bytes()) != Reach::Elsewhere
        };
        for (scheme, host, url) in [
            ("http", "h", "http://h/"),
            ("http", "h:80", "http://h/"),
            ("http", "h", "http://h:80/"),
            ("http", "h:8080", "//h:8080/"),
            ("https", "h:443", "//h/"),
            ("http", "[::1]:8080", "http://[::1]:8080/"),
            ("http", "127.0.0.1:81", "//127.0.0.1:81"),
            // A terminator of TLS stands before.
            ("http", "h", "https://h/"),
            ("http", "h:8443", "https://h:8443/"),
        ] {
            assert!(own(scheme, host, url), "{scheme} {host} {url}");
        }
        for (scheme, host, url) in [
            ("http", "h:8080", "http://h/"),
            ("http", "h", "http://h:8080/"),
            ("http", "h", "//h:443/"),
            ("https", "h", "http://h/"),
            ("https", "h:8443", "http://h:8443/"),
            ("http", "[::1]", "http://[::2]/"),
            ("http", "[::1]", "http://[::1/"),
            ("http", "[::1]", "http://[::1]x/"),
            ("http", "", "http:///"),
            ("http", "", "//"),
            ("http", "a b", "//a b"),
            ("http", "h@x", "//h@x"),
            ("http", "h:", "//h:"),
        ] {
            assert!(!own(scheme, host, url), "{scheme} {host} {url}");
        }
    }
}
