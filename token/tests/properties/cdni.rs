//! URIs that tokens cover (RFC 9246), and the patterns that they are matched with.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use token::cdni::covers;
use token::json::Document;
use token::{Carrier, RequestUri};

use crate::property::check;

/// A regular expression.
#[derive(Debug, Clone)]
enum Pattern {
    /// Nothing matches it.
    Never,
    Empty,
    Char(char),
    Any,
    /// One of these, or with `true` none of them.
    Set(bool, Vec<char>),
    Then(Box<Pattern>, Box<Pattern>),
    Or(Box<Pattern>, Box<Pattern>),
    Many(Box<Pattern>),
}

use Pattern::{Any, Char, Empty, Many, Never, Or, Set, Then};

impl Pattern {
    /// As POSIX writes it.
    fn write(&self) -> String {
        match self {
            Never | Empty => "()".to_owned(),
            Char(char) if char.is_ascii_alphanumeric() => char.to_string(),
            Char(char) => format!("\\{char}"),
            Any => ".".to_owned(),
            Set(negated, chars) => {
                // A closing bracket comes first, an opening one before nothing that it makes a class of, a
                // circumflex not first, a hyphen last. A backslash is nothing special. Two of one sign
                // stand together, which means something to other engines.
                let part = |char: char| {
                    if chars.contains(&char) { String::from(char) } else { String::new() }
                };
                let rest = chars.iter().filter(|char| !"[]-^".contains(**char));
                let rest: String = rest.flat_map(|char| [*char, *char]).collect();
                let first = [part(']'), rest, part('[')].concat();
                let not = if *negated { "^" } else { "" };
                match (&*[not, &first].concat(), &*part('^'), &*part('-')) {
                    ("", "^", "") => r"\^".to_owned(),
                    ("", "^", "-") => "[-^]".to_owned(),
                    (first, circumflex, hyphen) => format!("[{first}{circumflex}{hyphen}]"),
                }
            }
            Then(one, two) => format!("{}{}", one.write(), two.write()),
            Or(one, two) => format!("({}|{})", one.write(), two.write()),
            Many(one) => format!("({})*", one.write()),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Empty | Many(_) => true,
            Never | Char(_) | Any | Set(..) => false,
            Then(one, two) => one.is_empty() && two.is_empty(),
            Or(one, two) => one.is_empty() || two.is_empty(),
        }
    }

    /// What must match the rest of a text after `next` (Brzozowski's derivative).
    fn after(&self, next: char) -> Self {
        let unless = |matches: bool| if matches { Empty } else { Never };
        match self {
            Never | Empty => Never,
            Char(char) => unless(*char == next),
            Any => Empty,
            Set(negated, chars) => unless(chars.contains(&next) != *negated),
            Then(one, two) => {
                let first = then(one.after(next), (**two).clone());
                if one.is_empty() { or(first, two.after(next)) } else { first }
            }
            Or(one, two) => or(one.after(next), two.after(next)),
            Many(one) => then(one.after(next), self.clone()),
        }
    }

    fn matches(&self, text: &str) -> bool {
        text.chars().fold(self.clone(), |pattern, next| pattern.after(next)).is_empty()
    }
}

fn then(one: Pattern, two: Pattern) -> Pattern {
    match one {
        Never => Never,
        Empty => two,
        one => Then(one.into(), two.into()),
    }
}

fn or(one: Pattern, two: Pattern) -> Pattern {
    match (one, two) {
        (Never, other) | (other, Never) => other,
        (one, two) => Or(one.into(), two.into()),
    }
}

/// Signs that a URI's path has as they are.
const SIGNS: [char; 6] = ['a', 'b', '&', '-', '~', '!'];

fn pattern() -> impl Strategy<Value = Pattern> {
    let signs = vec!['a', 'b', '&', '-', '~', '!', ']', '[', '^', '\\', '.', ':'];
    let leaf = prop_oneof![
        Just(Empty),
        Just(Any),
        select(signs.clone()).prop_map(Char),
        (any::<bool>(), vec(select(signs), 1..6)).prop_map(|(not, chars)| Set(not, chars)),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone().prop_map(|(one, two)| Then(one.into(), two.into())),
            pair.prop_map(|(one, two)| Or(one.into(), two.into())),
            inner.prop_map(|one| Many(one.into())),
        ]
    })
}

#[test]
fn a_pattern_of_posix_matches_what_it_must_and_the_whole_of_it() {
    let text = vec(select(SIGNS.to_vec()), 0..6).prop_map(String::from_iter);
    check(4_000, (vec(pattern(), 1..3), text), |(choices, text): (Vec<Pattern>, String)| {
        // Only the first choice begins as the URI does: what stands after a bar must not count by itself.
        let written: Vec<_> = choices.iter().map(Pattern::write).collect();
        let container = format!("regex:http://h/{}", written.join("|"));
        let payload = json!({ "cdniuc": container }).to_string();
        let payload = Document::parse(payload.into_bytes()).unwrap();
        let uri = format!("http://h/{text}");
        let (_, covered) = covers(&payload, uri.as_bytes(), &[]).unwrap();
        let others = choices[1..].iter().any(|one| one.matches(&uri));
        assert_eq!(covered, choices[0].matches(&text) || others, "{container} {uri}");
    });
}

#[test]
fn a_uri_has_one_spelling_and_keeps_it() {
    let part = select(
        "/ // . .. %2e %2E%2e %2f %5C ; ? & = : @ a B %41 %7e %e9 %C3 [ ] | ~ - \u{e9} %25 %2525 %3b %23"
            .split(' ')
            .collect::<Vec<_>>(),
    );
    let origin = select(vec!["http://h", "HTTPS://H.example:443", "http://[::1]:80", "x+y://h:1"]);
    check(5_000, (origin, vec(part, 0..12)), |(origin, parts)| {
        let slash = if parts.is_empty() { "" } else { "/" };
        let sent = format!("{origin}{slash}{}", parts.concat());
        let Ok(uri) = RequestUri::new(sent.as_bytes(), &[]) else { return };
        let text = uri.as_str();
        let again = RequestUri::new(text.as_bytes(), &[]).unwrap();
        assert_eq!(again.as_str(), text, "{sent}");
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
        assert!(text.starts_with(uri.origin()) && uri.origin().ends_with('/'), "{text}");
        let segments = uri.path().replace("%2F", "/").replace("%5C", "/");
        assert!(!segments.split('/').any(|one| matches!(one, "." | "..")), "{text}");
        // A server that decodes and merges slashes comes to the same place from both spellings.
        let served = |uri: &RequestUri| uri.as_served().unwrap_or(uri.as_str()).to_owned();
        assert_eq!(served(&again), served(&uri), "{sent}");
        let served = RequestUri::new(served(&uri).as_bytes(), &[]).unwrap();
        assert_eq!(served.as_served(), None, "{sent}");
        for depth in 0..4 {
            if let Some(path) = uri.first_segments(depth) {
                assert!(path.starts_with('/') && !path.contains(';'), "{sent}");
            }
        }
        // A token comes and goes without a trace.
        let with = format!("{sent}{}P=e.e.A", if sent.contains('?') { "&" } else { "?" });
        for carrier in [Carrier::Token(b"e.e.A"), Carrier::Argument(b"P")] {
            let without = RequestUri::new(with.as_bytes(), &[carrier]).unwrap();
            // An argument after a semicolon is none that all programs read.
            let read = with.replace("P=e.e.A", "").contains([';']) && !text.contains("P=");
            assert!(without.as_str() == text || read, "{with}");
        }
    });
}
