//! HLS: lines of URIs, and attributes of tags (RFC 8216 section 4).

use memchr::memmem;

use super::arguments::Written;
use super::output::Output;
use super::site::{Reach, Site};
use super::unforwarded::Unforwarded;

/// The tags that have URIs, and the names of the attributes with them. The last rows are those of
/// interstitials (rfc8216bis appendix D) and of pictures for a time line.
const TAGS: [(&[u8], &[&[u8]]); 12] = [
    (b"#EXT-X-KEY", &[URI]),
    (b"#EXT-X-MAP", &[URI]),
    (b"#EXT-X-PART", &[URI]),
    (b"#EXT-X-PRELOAD-HINT", &[URI]),
    (b"#EXT-X-RENDITION-REPORT", &[URI]),
    (b"#EXT-X-MEDIA", &[URI]),
    (b"#EXT-X-I-FRAME-STREAM-INF", &[URI]),
    (b"#EXT-X-SESSION-DATA", &[URI]),
    (b"#EXT-X-SESSION-KEY", &[URI]),
    (STEERING, &[b"SERVER-URI"]),
    (b"#EXT-X-DATERANGE", &[b"X-ASSET-URI", b"X-ASSET-LIST"]),
    (b"#EXT-X-IMAGE-STREAM-INF", &[URI]),
];
const URI: &[u8] = b"URI";
const STEERING: &[u8] = b"#EXT-X-CONTENT-STEERING";

/// Inserts the arguments into the URIs of a playlist.
pub(super) fn forward(
    body: &[u8],
    site: &Site<'_>,
    output: &mut Output<'_>,
) -> Result<(), Unforwarded> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if !text.starts_with(b"#EXTM3U") {
        return Err(Unforwarded::NotRead);
    }
    let start = body.len() - text.len();
    if is_steered(text, site) {
        return Err(Unforwarded::Steered);
    }
    for line in lines(text) {
        for uri in line.uris() {
            let at = start + uri.at;
            insert(uri.text, at, site, output)?;
        }
    }
    Ok(())
}

/// A text, and where in the playlist it begins.
#[derive(Clone, Copy)]
struct Located<'b> {
    text: &'b [u8],
    at: usize,
}

fn insert(
    uri: &[u8],
    at: usize,
    site: &Site<'_>,
    output: &mut Output<'_>,
) -> Result<(), Unforwarded> {
    if !matches!(site.reach(uri), Reach::Relative | Reach::Own) {
        return Ok(());
    }
    let url = uri.split(|byte| *byte == b'#').next().unwrap_or_default();
    match output.separator(url) {
        Some(separator) => output.insert(at + url.len(), Written::Plain, separator),
        None => Ok(()),
    }
}

/// Whether another host may tell players of clones of the playlist's URIs on other hosts
/// (rfc8216bis section 7.1), with their arguments.
fn is_steered(text: &[u8], site: &Site<'_>) -> bool {
    // Readers also find the tag after what only some of them take for the end of a line.
    let found = memmem::find_iter(text, STEERING).count();
    if found == 0 {
        return false;
    }
    let is_own = |line: &Located<'_>| {
        line.text.starts_with(STEERING) && {
            let uris = line.uris();
            let leads = |uri: &Located<'_>| site.reach(uri.text);
            !uris.is_empty()
                && uris.iter().all(|uri| matches!(leads(uri), Reach::Relative | Reach::Own))
        }
    };
    lines(text).filter(is_own).count() != found
}

/// The lines, without the characters that end them, and without blanks around them.
fn lines(text: &[u8]) -> impl Iterator<Item = Located<'_>> {
    let mut next = 0;
    text.split_inclusive(|byte| *byte == b'\n').map(move |line| {
        let at = next;
        next += line.len();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Located { text: line, at }.trimmed()
    })
}

impl<'b> Located<'b> {
    fn trimmed(self) -> Self {
        let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
        let before = self.text.iter().take_while(is_blank).count();
        let text = self.text.get(before..).unwrap_or_default();
        let after = text.iter().rev().take_while(is_blank).count();
        let text = text.get(..text.len() - after).unwrap_or_default();
        Self { text, at: self.at + before }
    }

    /// The URIs of a line.
    fn uris(self) -> Vec<Self> {
        match self.text {
            [] => Vec::new(),
            [b'#', ..] => self.uris_of_tag().unwrap_or_default(),
            _ => vec![self],
        }
    }

    /// The URIs in the attributes of a tag; `None` if it has none, or attributes that some reader takes in
    /// another way.
    fn uris_of_tag(self) -> Option<Vec<Self>> {
        let colon = self.text.iter().position(|byte| *byte == b':')?;
        let (name, list) = self.text.split_at_checked(colon)?;
        let (_, names) = TAGS.iter().find(|(tag, _)| *tag == name)?;
        if !is_one_line(list) {
            return None;
        }
        let mut rest = Located { text: list.get(1..)?, at: self.at + colon + 1 };
        let mut uris = Vec::new();
        while !rest.text.is_empty() {
            let (name, value);
            (name, value, rest) = rest.attribute()?;
            if let Some(value) = value.filter(|_| names.contains(&name)) {
                uris.push(value);
            }
        }
        Some(uris)
    }

    /// The first attribute of a list: its name, its value if that is a quoted string, and what follows.
    fn attribute(self) -> Option<(&'b [u8], Option<Self>, Self)> {
        let Self { text, at } = self.trimmed();
        let equals = text.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (text.get(..equals)?, text.get(equals + 1..)?);
        if name.iter().any(|byte| matches!(byte, b'"' | b',')) {
            return None;
        }
        let (value, is_quoted) = match value {
            [b'"', value @ ..] => (value, true),
            _ => (value, false),
        };
        let ends = |byte: &u8| *byte == if is_quoted { b'"' } else { b',' };
        let end = value.iter().position(ends);
        let end = if is_quoted { end? } else { end.unwrap_or(value.len()) };
        let (value, rest) = value.split_at_checked(end)?;
        if !is_quoted && value.contains(&b'"') {
            return None;
        }
        let begins = at + equals + 1 + usize::from(is_quoted);
        let rest = rest.get(usize::from(is_quoted)..)?;
        let rest = Self { text: rest, at: begins + end + usize::from(is_quoted) }.trimmed();
        let rest = match rest.text {
            [] => rest,
            [b',', text @ ..] => Self { text, at: rest.at + 1 },
            _ => return None,
        };
        Some((name, is_quoted.then_some(Self { text: value, at: begins }), rest))
    }
}

/// Whether no reader takes a part of it for the end of the line: control characters, or those of Unicode.
fn is_one_line(text: &[u8]) -> bool {
    core::str::from_utf8(text).is_ok_and(|text| {
        !text.chars().any(|char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}'))
    })
}

#[cfg(test)]
mod tests {
    use crate::playlist::{Carried, PlaylistKind, Unforwarded, forward};

    fn forwarded(body: &[u8]) -> Result<Vec<u8>, Unforwarded> {
        let carried = Carried { arguments: b"t=1&u=2", scheme: b"https", host: b"h" };
        forward(PlaylistKind::Hls, body, &carried)
    }

    /// A line that stays as it is, whatever is around it.
    fn stays(line: &str) {
        for (before, after) in [
            ("#EXTM3U\n", ""),
            ("#EXTM3U\r\n", "\r\n"),
            ("\u{feff}#EXTM3U\n#EXTINF:4,\n", "\n\n#EXT-X-ENDLIST\n"),
            ("#EXTM3U \n", "  \t\n# a comment\n"),
        ] {
            let body = [before, line, after].concat();
            assert_eq!(forwarded(body.as_bytes()), Err(Unforwarded::NoUrl), "{body:?}");
        }
    }

    /// A line that gets the arguments, with `?` or `&`, where it has an `@`.
    fn gets(line: &str) {
        let body = format!("#EXTM3U\n{}\n", line.replace('@', ""));
        for (ends, body) in [("\n", body.clone()), ("\r\n", body.replace('\n', "\r\n"))] {
            let expected = format!("#EXTM3U\n{line}\n").replace('\n', ends);
            let found = forwarded(body.as_bytes());
            let found = found.map(|found| String::from_utf8(found).unwrap());
            let marked = |text: &str| text.replace("?t=1&u=2", "@").replace("&t=1&u=2", "@");
            assert_eq!(found.as_deref().map(marked), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn lines_of_uris_get_the_arguments() {
        for line in [
            "a.ts@",
            "/a/b.m3u8@",
            "../a?b=c@",
            "?a@",
            "a.ts@#x",
            "a?b@#c?d#e",
            "//h/a@",
            "https://H:443@",
            " a.ts@\t ",
            "é.ts@",
            "a/b,c=d;e@",
        ] {
            gets(line);
        }
        let of = |line: &str| forwarded(format!("#EXTM3U\n{line}").as_bytes()).unwrap();
        assert_eq!(of("a?b=c"), b"#EXTM3U\na?b=c&t=1&u=2");
        assert_eq!(of("a?"), b"#EXTM3U\na?t=1&u=2");
        assert_eq!(of("a#b"), b"#EXTM3U\na?t=1&u=2#b");
    }

    #[test]
    fn every_tag_with_uris_gets_the_arguments() {
        for line in [
            "#EXT-X-KEY:METHOD=AES-128,URI=\"k@\",IV=0x1",
            "#EXT-X-MAP:URI=\"init.mp4@\",BYTERANGE=\"1\"",
            "#EXT-X-PART:DURATION=1,URI=\"p?a=b@\"",
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p@\"",
            "#EXT-X-RENDITION-REPORT:URI=\"../a/b.m3u8@\",LAST-MSN=1",
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x, URI=\",URI=\"a.m3u8@\"",
            "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i@#f\"",
            "#EXT-X-SESSION-DATA:DATA-ID=\"a\",URI=\"d.json@\"",
            "#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"https://h/k@\"",
            "#EXT-X-CONTENT-STEERING:SERVER-URI=\"/s@\",PATHWAY-ID=\"a\"",
            "#EXT-X-DATERANGE:ID=\"a\",X-ASSET-URI=\"ad.m3u8@\",X-ASSET-LIST=\"l@\"",
            "#EXT-X-IMAGE-STREAM-INF:URI=\"i@\"",
            "#EXT-X-KEY:URI=\"a@\",URI=\"b@\",",
            "#EXT-X-KEY: METHOD=AES-128 , URI=\"k@\" ,X=a b",
            "#EXT-X-MAP:URI=\"\u{e9}@\",X=\"\u{2026}\"",
        ] {
            gets(line);
        }
    }

    #[test]
    fn what_is_no_uri_of_this_host_stays() {
        for line in [
            "",
            "#EXTINF:4,a.ts",
            "# a.ts",
            "#a.ts",
            "#EXT-X-STREAM-INF:BANDWIDTH=1,URI=\"a\"",
            "#EXT-X-KEYS:URI=\"a\"",
            "#ext-x-key:URI=\"a\"",
            "#EXT-X-KEY:uri=\"a\"",
            "#EXT-X-KEY:X-URI=\"a\"",
            "#EXT-X-KEY:URIS=\"a\"",
            "#EXT-X-KEY:URI=a",
            "#EXT-X-KEY:URI=\"a",
            "#EXT-X-KEY:URI=\"\"",
            "#EXT-X-KEY:URI=\"#a\"",
            "#EXT-X-KEY:URI=\"skd://h/a\"",
            "#EXT-X-KEY:URI=\"data:text/plain,a\"",
            "#EXT-X-KEY:URI=\"//x/a\"",
            "#EXT-X-KEY:URI=\"{$base}/a\"",
            "#EXT-X-KEY:URI \"a\"",
            "#EXT-X-KEY",
            "#EXT-X-KEY:",
            // Lists that readers take apart in different ways.
            "#EXT-X-KEY:URI=\"a\"b,X=c",
            "#EXT-X-KEY:X=a\"b,URI=\"a\"",
            "#EXT-X-KEY:X,URI=\"a\"",
            "#EXT-X-KEY:\"X\"=a,URI=\"a\"",
            "#EXT-X-KEY:,URI=\"a\"",
            "#EXT-X-KEY:URI=\"a\",X",
            "#EXT-X-KEY:A=\"\rhttps://x/?\",URI=\"a\"",
            "#EXT-X-KEY:A=\"\u{b}https://x/?\",URI=\"a\"",
            "#EXT-X-KEY:A=\"\u{85}https://x/?\",URI=\"a\"",
            "#EXT-X-KEY:A=\"\u{2028}https://x/?\",URI=\"a\"",
            "#EXT-X-KEY:A=\t,URI=\"a\"",
            "#EXT-X-KEY:A=\0,URI=\"a\"",
            "https://x/a",
            "http://h/a",
            "a\rhttps://x/",
            "a b.ts",
            "{$base}/a.ts",
            "\u{a0}//x/a",
            "a?t=1",
            "a?b&U=2",
            "a?b;u=2#x",
        ] {
            stays(line);
        }
        assert_eq!(forwarded(b"#EXTM3U\n#EXT-X-KEY:A=\xff,URI=\"a\"\n"), Err(Unforwarded::NoUrl));
    }

    #[test]
    fn only_what_begins_as_a_playlist_is_one() {
        for body in ["", "a.ts\n", "\n#EXTM3U\na\n", "<html>", "#EXTINF:1,\na"] {
            assert_eq!(forwarded(body.as_bytes()), Err(Unforwarded::NotRead), "{body:?}");
        }
    }

    #[test]
    fn another_host_that_steers_gets_nothing() {
        for line in [
            "#EXT-X-CONTENT-STEERING:SERVER-URI=\"https://x/\"",
            "#EXT-X-CONTENT-STEERING:SERVER-URI=\"data:a\"",
            "#EXT-X-CONTENT-STEERING:SERVER-URI=\"{$a}\"",
            "#EXT-X-CONTENT-STEERING:SERVER-URI=\"/a\",SERVER-URI=\"//x\"",
            "#EXT-X-CONTENT-STEERING:",
            "#EXT-X-CONTENT-STEERING:SERVER-URI=\"/a\"\rb",
            "#x\r#EXT-X-CONTENT-STEERING:SERVER-URI=\"/a\"",
        ] {
            let body = format!("#EXTM3U\na.ts\n{line}\n");
            assert_eq!(forwarded(body.as_bytes()), Err(Unforwarded::Steered), "{line:?}");
        }
    }

    #[test]
    fn a_playlist_does_not_grow_without_bounds() {
        let arguments = format!("t={}", "a".repeat(4_096));
        let carried = Carried { arguments: arguments.as_bytes(), scheme: b"http", host: b"h" };
        let of = |lines: usize| {
            let body = ["#EXTM3U\n", &"a\n".repeat(lines)].concat();
            forward(PlaylistKind::Hls, body.as_bytes(), &carried)
        };
        let len = |lines: usize| 8 + lines * (2 + 1 + arguments.len());
        let most = (1..).take_while(|lines| len(*lines) <= 16 << 20).last().unwrap();
        assert_eq!(of(most).unwrap().len(), len(most));
        assert_eq!(of(most + 1), Err(Unforwarded::TooLarge));
        assert_eq!(of(2 << 20), Err(Unforwarded::TooLarge));
    }
}
