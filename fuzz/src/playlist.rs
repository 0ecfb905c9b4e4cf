//! The target `playlist`: arguments in the URLs of playlists.

use roxmltree::{Document, Node};
use token::playlist::{Carried, MAX_FORWARDED, PlaylistKind, forward};
use url::Url;

const CARRIED: Carried<'_> =
    Carried { arguments: b"tOkEn=a.b-c&u=$", scheme: b"https", host: b"h" };
const MARK: &str = "tOkEn=";

/// How the arguments are written.
const WRITTEN: [&str; 3] = ["tOkEn=a.b-c&u=$", "tOkEn=a.b-c&amp;u=$$", "tOkEn=a.b-c&amp;u=$"];

/// The input is a playlist.
pub fn playlist(input: &[u8]) {
    if input.windows(MARK.len()).any(|part| part == MARK.as_bytes()) {
        return;
    }
    if let Ok(found) = forward(PlaylistKind::Hls, input, &CARRIED) {
        is_input_with_arguments(input, &found);
        String::from_utf8_lossy(&found).split('\n').for_each(line_goes_home);
    }
    if let Ok(found) = forward(PlaylistKind::Dash, input, &CARRIED) {
        is_input_with_arguments(input, &found);
        let text = |bytes| std::str::from_utf8(bytes).expect("UTF-8");
        // Another reader is stricter; what it reads has the same elements, and other URLs only.
        if let Ok(before) = Document::parse(text(input)) {
            let after = Document::parse(text(&found)).expect("XML as before");
            let nodes = before.descendants().zip(after.descendants());
            nodes.for_each(|(before, after)| has_only_other_urls(before, after));
            assert_eq!(before.descendants().count(), after.descendants().count());
        }
    }
}

/// Whether arguments were inserted, each with a separator that fits, and nothing else changed.
fn is_input_with_arguments(input: &[u8], found: &[u8]) {
    assert!(found.len() > input.len() && found.len() <= MAX_FORWARDED);
    let (mut input, mut found) = (input, found);
    while let Some(at) = found.windows(MARK.len()).position(|part| part == MARK.as_bytes()) {
        let (before, rest) = found.split_at(at);
        let written = WRITTEN.iter().find(|one| rest.starts_with(one.as_bytes()));
        found = &rest[written.expect("the arguments").len()..];
        let mut own =
            ["?", "&amp;", "&", ""].iter().filter_map(|by| before.strip_suffix(by.as_bytes()));
        let own = own.rfind(|own| input.starts_with(own)).expect("the bytes of the input");
        input = &input[own.len()..];
    }
    assert_eq!(input, found);
}

/// Whether every URI of a line that has the arguments leads to the host, however the line is taken apart.
fn line_goes_home(line: &str) {
    for line in line.split(['\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']) {
        if !line.trim().starts_with('#') {
            goes_home(line);
        }
        for (at, _) in line.match_indices("=\"") {
            goes_home(line[at + 2..].split('"').next().expect("a first"));
        }
    }
}

/// Whether a URL that has the arguments leads to the host, where its bases do.
fn goes_home(url: &str) {
    let base = Url::parse("https://h/a/b").expect("a URL");
    if url.contains(MARK)
        && let Ok(full) = base.join(url)
    {
        assert_eq!((full.scheme(), full.host_str()), ("https", Some("h")), "{url:?}");
    }
}

fn has_only_other_urls(before: Node<'_, '_>, after: Node<'_, '_>) {
    assert_eq!(before.tag_name(), after.tag_name());
    let one = |before: &str, after: &str| {
        if before != after {
            goes_home(after.trim_matches([' ', '\t', '\r', '\n']));
            let url = after.replace("$$", "$").replace("tOkEn=a.b-c&u=$", "");
            assert!(url.len() <= before.replace("$$", "$").len() + 1, "{before:?} {after:?}");
        }
    };
    one(before.text().unwrap_or_default(), after.text().unwrap_or_default());
    assert_eq!(before.attributes().len(), after.attributes().len());
    for (before, after) in before.attributes().zip(after.attributes()) {
        assert_eq!(before.name(), after.name());
        one(before.value(), after.value());
    }
}
