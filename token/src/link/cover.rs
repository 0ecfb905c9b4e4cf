//! What a link covers: patterns with wildcards, and networks of addresses.

use std::net::IpAddr;

use ipnet::IpNet;

/// Whether `text` is what `pattern` says. `*` stands for any bytes, none and `/` among them; `?` for one byte.
///
/// A pattern is a part of a link whose signature has held. The time is that of both lengths multiplied, at
/// worst.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Most patterns are a beginning, and then anything.
    let first = memchr::memchr2(b'*', b'?', pattern).unwrap_or(pattern.len());
    match (pattern.split_at_checked(first), text.split_at_checked(first)) {
        (Some((before, rest)), Some((start, text))) if before == start => {
            rest == b"*" || wildcards_match(rest, text)
        }
        _ => false,
    }
}

fn wildcards_match(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Where to go on if what follows the last `*` does not fit.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, text) {
            ([b'*', rest @ ..], _) => {
                pattern = rest;
                retry = Some((rest, text));
                continue;
            }
            ([one, p @ ..], [byte, t @ ..]) if *one == b'?' || one == byte => {
                (pattern, text) = (p, t);
                continue;
            }
            ([], []) => return true,
            _ => {}
        }
        match retry {
            Some((after, [_, t @ ..])) => {
                (pattern, text) = (after, t);
                retry = Some((after, t));
            }
            _ => return false,
        }
    }
}

/// The network of this text: `ADDRESS` or `ADDRESS/LENGTH`, IPv4 or IPv6.
pub fn network(text: &[u8]) -> Option<IpNet> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Whether the network has the address. An IPv4 address within IPv6 (`::ffff:1.2.3.4`) counts as IPv4.
pub fn has(network: IpNet, address: IpAddr) -> bool {
    network.contains(&address.to_canonical())
}

/// Whether both are the same address. An IPv4 address within IPv6 counts as IPv4.
pub fn is_same(one: IpAddr, other: IpAddr) -> bool {
    one.to_canonical() == other.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, texts) in [
            ("/*", &["/", "/a", "/a/b"][..]),
            ("*", &["", "/a"]),
            ("/a/?.ts", &["/a/b.ts", "/a/?.ts"]),
            ("/a*b*c", &["/abc", "/axbxbxc", "/abcbc"]),
            ("/live/*.m3u8", &["/live/.m3u8", "/live/a/b.m3u8", "/live/a.m3u8.m3u8"]),
            ("**?", &["a", "ab"]),
            ("", &[""]),
        ] {
            for text in texts {
                assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
        }
        for (pattern, text) in [
            ("/*", ""),
            ("/a", "/ab"),
            ("/ab", "/a"),
            ("/a/?", "/a/"),
            ("/a*b", "/aba"),
            ("/live/*.m3u8", "/live/a.m3u8x"),
            ("", "a"),
            ("?", ""),
            ("/A", "/a"),
        ] {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }

    /// The beginning without wildcards is compared in another way than the rest.
    #[test]
    fn a_beginning_is_no_exception() {
        let texts = ["", "a", "b", "ab", "ba", "aab", "aba", "abb", "abab", "a*", "a?", "*", "?"];
        for pattern in [
            "", "a", "ab", "*", "?", "a*", "a?", "ab*", "ab?", "a*b", "a?b", "*a", "?a", "ab*b",
            "ab**",
        ] {
            for text in texts {
                let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
                assert_eq!(
                    matches(pattern, text),
                    wildcards_match(pattern, text),
                    "{pattern:?} {text:?}"
                );
            }
        }
    }

    #[test]
    fn networks() {
        let has =
            |net: &str, ip: &str| network(net.as_bytes()).map(|net| has(net, ip.parse().unwrap()));
        assert_eq!(has("203.0.113.0/24", "203.0.113.9"), Some(true));
        assert_eq!(has("203.0.113.0/24", "::ffff:203.0.113.9"), Some(true));
        assert_eq!(has("203.0.113.0/24", "203.0.114.9"), Some(false));
        assert_eq!(has("203.0.113.7", "203.0.113.7"), Some(true));
        assert_eq!(has("203.0.113.7/32", "203.0.113.8"), Some(false));
        assert_eq!(has("2001:db8::/32", "2001:db8::1"), Some(true));
        assert_eq!(has("0.0.0.0/0", "2001:db8::1"), Some(false));
        assert_eq!(has("::/0", "1.2.3.4"), Some(false));
        for bad in ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "01.2.3.4", "a", "::/129", " 1.2.3.4"] {
            assert_eq!(has(bad, "1.2.3.4"), None, "{bad}");
        }
    }
}
