//! Playlists: whatever a player makes of them, the arguments go to the request's host only, and nothing else
//! changes.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use token::playlist::{Carried, MAX_FORWARDED, PlaylistKind, forward};
use url::Url;

use crate::property::check;

const MARK: &str = "tOkEn";
const CARRIED: Carried<'_> =
    Carried { arguments: b"tOkEn=a.b-c&u=1", scheme: b"https", host: b"h" };

/// URLs, good and bad.
fn url() -> impl Strategy<Value = String> {
    let known = select(vec![
        "a.ts",
        "b/c.mp4?d=e",
        "/f#g",
        "../i",
        "?j",
        "https://h/k",
        "HTTPS://H:443/l",
        "//h/m",
        "//x/n",
        "///x/o",
        "/\\x/p",
        "\\\\x/",
        "https:x",
        "https:/x/y",
        "https:///x/",
        "http://h/",
        "https://h@x/",
        "https://h:8443/",
        "https://x/?a=",
        "https://x/#",
        "data:a,b",
        "urn:a",
        "a?u=2",
        "a?T%6fken=1",
        " a",
        "a b",
        "{$v}/a",
        "",
        "\u{a0}//x/",
        "\u{2028}//x/",
        "é",
        "a&amp;b",
        "&#47;/x/",
        "&#9;//x",
        "a:b",
        "https://h.x/",
        "https://hx",
    ]);
    let parts = select(vec![
        "/", "//", "https:", "x", "h", ":", "@", "\\", "?", "#", "a", "\t", "\r", "%2f", ".",
        "443", "=", "&amp;",
    ]);
    prop_oneof![
        4 => known.prop_map(str::to_owned),
        1 => vec(parts, 0..7).prop_map(|parts| parts.concat()),
    ]
}

/// Asserts that a URL with the arguments leads to the host, if it leads anywhere.
fn goes_home(base: &Url, url: &str) {
    if !url.contains(MARK) {
        return;
    }
    if let Ok(full) = base.join(url) {
        assert_eq!((full.scheme(), full.host_str()), ("https", Some("h")), "{base} and {url:?}");
        assert_eq!(full.port(), None);
    }
}

/// Replaces the arguments by a mark.
fn marked(text: &str, written: &[&str]) -> String {
    let (mut text, mut kept) = (text.to_owned(), String::new());
    while let Some(at) = text.find(MARK) {
        let one = written.iter().find(|one| text[at..].starts_with(**one)).unwrap();
        kept.push_str(&text[..at]);
        kept.push('\u{1}');
        text = text[at + one.len()..].to_owned();
    }
    kept + &text
}

/// Whether `found` is `body` with arguments inserted, each after a separator if there is none before.
fn is_body_with_arguments(body: &str, found: &str, written: &[&str]) {
    let mut rest = body;
    let marked = marked(found, written);
    let mut parts = marked.split('\u{1}').peekable();
    while let Some(part) = parts.next() {
        let own = match parts.peek() {
            None => part,
            Some(_) => ["?", "&amp;", "&", ""]
                .iter()
                .filter_map(|by| part.strip_suffix(by))
                .find(|own| {
                    rest.strip_prefix(own).is_some_and(|after| {
                        // What was inserted ends the URL, or comes before its fragment.
                        after.is_empty() || !after.starts_with(['?', '&'])
                    })
                })
                .unwrap_or_else(|| panic!("{part:?} in {found:?} of {body:?}")),
        };
        rest = rest.strip_prefix(own).unwrap_or_else(|| panic!("{own:?} in {found:?}"));
    }
    assert_eq!(rest, "", "{found:?}");
}

#[test]
fn uris_of_hls_take_the_arguments_home_only() {
    let ends = || select(vec!["\n", "\r\n", "\n\n", "\r", "\u{b}", "\u{2028}", " \n", "\t\r\n"]);
    let name = select(vec!["URI", "X-URI", "NAME", "SERVER-URI", " URI", "X-ASSET-URI", "uri"]);
    let quotes = select(vec![("\"", "\""), ("\"", ""), ("", "\""), ("", ""), ("\"", "\"\"")]);
    let attribute = (name, quotes, url())
        .prop_map(|(name, (open, close), url)| format!("{name}={open}{url}{close}"));
    let tag = select(vec![
        "#EXT-X-KEY:",
        "#EXT-X-MAP:",
        "#EXT-X-MEDIA:",
        "#EXT-X-DATERANGE:",
        "#EXTINF:",
        "#EXT-X-KEY",
        "#",
        "#EXT-X-STREAM-INF:",
    ]);
    let steering = url().prop_map(|url| format!("#EXT-X-CONTENT-STEERING:SERVER-URI=\"{url}\""));
    let tag = (tag, vec(attribute, 0..4), select(vec![",", " ,", ",,", "\r", "\u{85}"]))
        .prop_map(|(tag, list, by)| tag.to_owned() + &list.join(by));
    let line = prop_oneof![10 => url(), 10 => tag, 1 => steering];
    let (given, base) = (Cell::new(0), Url::parse("https://h/a/b.m3u8").unwrap());
    check(6_000, vec((line, ends()), 0..9), |lines| {
        let lines: String = lines.iter().map(|(line, end)| line.clone() + end).collect();
        let body = "#EXTM3U\n".to_owned() + &lines;
        let Ok(found) = forward(PlaylistKind::Hls, body.as_bytes(), &CARRIED) else { return };
        let found = String::from_utf8(found).unwrap();
        assert!(found.len() > body.len() && found.len() <= MAX_FORWARDED);
        given.set(given.get() + 1);
        is_body_with_arguments(&body, &found, &["tOkEn=a.b-c&u=1"]);
        // Readers differ in what ends a line, and in where they look for a URI.
        for ends in [&['\n'][..], &['\n', '\r'], &['\n', '\r', '\u{b}', '\u{85}', '\u{2028}']] {
            for line in found.split(ends) {
                if !line.trim().starts_with('#') {
                    goes_home(&base, line);
                    goes_home(&base, line.trim());
                }
                for (at, _) in line.match_indices("URI=\"") {
                    let value = &line[at + 5..];
                    goes_home(&base, value.split('"').next().unwrap());
                }
            }
        }
    });
    assert!(given.get() > 200, "{}", given.get());
}

/// A level of an MPD.
#[derive(Clone, Debug)]
struct Level {
    before: Vec<String>,
    template: Option<String>,
    within: Vec<Level>,
    behind: Vec<String>,
    id: String,
}

fn level(within: BoxedStrategy<Level>) -> BoxedStrategy<Level> {
    let bases = || prop_oneof![3 => Just(Vec::new()), 2 => vec(url(), 1..3)];
    let ids = select(vec!["v1", "1", "", "https://x/", "//x", "/x", "a/b", "x:"]);
    let named = prop_oneof![6 => Just("v1".to_owned()), 1 => ids.prop_map(str::to_owned)];
    let template = select(vec![
        "$Number$.m4s",
        "$RepresentationID$/$Number%03d$.m4s",
        "/$RepresentationID$",
        "https://h/$Time$",
        "//x/$Number$",
        "/$Number$/x/a",
        "$RepresentationID$:a",
        "a?$$=$Bandwidth$",
        "https:$RepresentationID$",
        "$Number",
    ]);
    let template = proptest::option::of(template.prop_map(str::to_owned));
    (bases(), template, vec(within, 0..3), bases(), named)
        .prop_map(|(before, template, within, behind, id)| Level {
            before,
            template,
            within,
            behind,
            id,
        })
        .boxed()
}

impl Level {
    fn write(&self, names: &[&str]) -> String {
        let bases = |bases: &[String]| -> String {
            bases.iter().map(|base| format!("<BaseURL>{base}</BaseURL>\n")).collect()
        };
        let template =
            self.template.as_ref().map(|one| format!("<SegmentTemplate media=\"{one}\"/>"));
        let within: String = self.within.iter().map(|one| one.write(&names[1..])).collect();
        let (name, id) = (names[0], &self.id);
        let (before, behind) = (bases(&self.before), bases(&self.behind));
        let template = template.unwrap_or_default();
        format!("<{name} id='{id}'>{before}{template}{within}{behind}</{name}>")
    }
}

/// Plays a level with all bases that it may have, and with the templates of the levels around it.
fn play(level: roxmltree::Node<'_, '_>, bases: &[Url], templates: &[String]) {
    let children =
        |name: &'static str| level.children().filter(move |child| child.has_tag_name(name));
    let mut own = Vec::new();
    for base in children("BaseURL") {
        let text = base.text().unwrap_or_default();
        for around in bases {
            goes_home(around, text);
            own.extend(around.join(text).ok());
        }
    }
    let bases = if own.is_empty() { bases.to_vec() } else { own };
    let mut templates = templates.to_vec();
    for template in children("SegmentTemplate") {
        templates.extend(template.attribute("media").map(str::to_owned));
    }
    if level.has_tag_name("Representation") {
        play_segments(level.attribute("id").unwrap_or_default(), &bases, &templates);
    }
    for name in ["Period", "AdaptationSet", "Representation"] {
        children(name).for_each(|child| play(child, &bases, &templates));
    }
}

/// Plays a segment of a representation.
fn play_segments(id: &str, bases: &[Url], templates: &[String]) {
    for template in templates {
        let media = template.replace("$RepresentationID$", id).replace("$Number$", "1");
        let media = media.replace("$Number%03d$", "001").replace("$Time$", "2").replace("$$", "$");
        for media in [media.replace("$Bandwidth$", ""), media.replace("$Bandwidth$", "5")] {
            bases.iter().for_each(|base| goes_home(base, &media));
        }
    }
}

#[test]
fn urls_of_dash_take_the_arguments_home_only() {
    let nothing = level(
        Just(Level {
            before: Vec::new(),
            template: None,
            within: Vec::new(),
            behind: Vec::new(),
            id: String::new(),
        })
        .boxed(),
    );
    let item = nothing
        .prop_map(|mut item| {
            item.within.clear();
            item
        })
        .boxed();
    let mpd = level(level(level(item)));
    let location = proptest::option::weighted(0.1, url());
    let (given, document) = (Cell::new(0), Url::parse("https://h/a/b.mpd").unwrap());
    check(6_000, (mpd, location), |(mpd, location)| {
        let location = location.map(|url| format!("<Location>{url}</Location>"));
        let whole = mpd.write(&["MPD", "Period", "AdaptationSet", "Representation"]);
        let whole = whole.replacen('>', &(">".to_owned() + &location.unwrap_or_default()), 1);
        let Ok(found) = forward(PlaylistKind::Dash, whole.as_bytes(), &CARRIED) else { return };
        let found = String::from_utf8(found).unwrap();
        given.set(given.get() + 1);
        is_body_with_arguments(&whole, &found, &["tOkEn=a.b-c&amp;u=1"]);
        let tree = roxmltree::Document::parse(&found).unwrap();
        let mut bases = vec![document.clone()];
        for location in tree.descendants().filter(|node| node.has_tag_name("Location")) {
            let text = location.text().unwrap_or_default();
            goes_home(&document, text);
            bases.extend(document.join(text).ok());
        }
        for base in bases {
            play(tree.root_element(), &[base], &[]);
        }
    });
    assert!(given.get() > 1_000, "{}", given.get());
}
