//! Properties of what reads untrusted text: JSON, claim paths and rules, signed links, credentials,
//! key files and lists. Each is compared with a naive model of what its documentation says.
//!
//! `PROPTEST_CASES` sets how many cases there are of each property; a failure prints the smallest
//! input that it was seen with.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "common/property.rs"]
mod property;

use std::cell::Cell;
use std::collections::{BTreeSet, HashSet};

use property::check;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use token::credential::{self, Found};
use token::json::{Document, MAX_DEPTH, Number, Value};
use token::{
    ClaimPath, ClaimRule, Link, LinkAlgorithm, LinkPolicy, LinkSecret, Loaded, Operator, Reject,
    RevokedList, load_keys, load_kids,
};

// --- JSON -------------------------------------------------------------------------------------

/// A JSON text, valid but for what the parser is stricter about.
fn json_text() -> impl Strategy<Value = String> {
    let string = prop_oneof![
        4 => select(vec![r#""a""#, r#""b""#, r#""\u0061""#, r#""""#, r#""a.b""#, r#""é\n\"\\""#]),
        1 => select(vec![r#""\ud83d\ude00""#, r#""\u0000""#, r#""\/""#, r#""\u00e9""#]),
    ]
    .prop_map(str::to_owned);
    let any_string = any::<String>().prop_map(|text| serde_json::json!(text).to_string());
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("JSON has no infinity", |n| n.is_finite())
            .prop_map(|n| serde_json::json!(n).to_string()),
        select(vec!["0", "-0", "-0.0", "1E5", "1e-400", "18446744073709551616", "-1e308"])
            .prop_map(str::to_owned),
    ];
    let word = select(vec!["null", "true", "false"]).prop_map(str::to_owned);
    let leaf = prop_oneof![3 => string.clone(), 1 => any_string, 2 => number, 1 => word];
    let spaced = leaf.prop_recursive(4, 40, 8, move |inner| {
        let space = select(vec!["", "", "", " ", "\n\t"]);
        let member =
            (string.clone(), inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            (vec(inner, 0..6), space.clone())
                .prop_map(|(items, s)| format!("{s}[{s}{}{s}]{s}", items.join(","))),
            (vec(member, 0..6), space)
                .prop_map(|(members, s)| format!("{{{s}{}{s}}}{s}", members.join(","))),
        ]
    });
    let deep = (25_usize..40, any::<bool>(), spaced.clone()).prop_map(|(depth, arrays, inner)| {
        let (open, close) = if arrays { ("[", "]") } else { ("{\"a\":", "}") };
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    });
    prop_oneof![8 => spaced, 1 => deep]
}

/// The same text with some bytes changed, mostly no JSON any more.
fn changed_json() -> impl Strategy<Value = Vec<u8>> {
    let bytes = select(b"{}[],:\"\\u0019aeE+-.tfn \n\x00\x7f\x80\xc3\xed\xff'/".to_vec());
    let change = (any::<prop::sample::Index>(), bytes, 0..3_u8);
    (json_text(), vec(change, 0..4)).prop_map(|(text, changes)| {
        let mut text = text.into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(text.len() + 1);
            match how {
                0 => text.insert(at, byte),
                1 if at < text.len() => text[at] = byte,
                _ if at < text.len() => drop(text.remove(at)),
                _ => {}
            }
        }
        text
    })
}

fn as_serde(value: Value<'_>) -> serde_json::Value {
    use serde_json::Value as Serde;
    if let Some(text) = value.as_str() {
        Serde::from(text)
    } else if let Some(number) = value.as_number() {
        match number {
            Number::Unsigned(n) => Serde::from(n),
            Number::Signed(n) => Serde::from(n),
            Number::Float(n) => Serde::from(n),
        }
    } else if let Some(bool) = value.as_bool() {
        Serde::from(bool)
    } else if let Some(items) = value.items() {
        items.map(as_serde).collect()
    } else if let Some(members) = value.members() {
        members.map(|(name, value)| (name.to_owned(), as_serde(value))).collect()
    } else {
        assert!(value.is_null());
        Serde::Null
    }
}

/// Whether two values are equal. A number of more than 15 digits that is no 64-bit integer may come
/// back as a neighbour: `serde_json` reads such numbers fast rather than exactly.
fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value as Serde;
    match (a, b) {
        (Serde::Number(a), Serde::Number(b)) if a.is_f64() || b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= a.abs() * 4.0 * f64::EPSILON
        }
        (Serde::Array(a), Serde::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Serde::Object(a), Serde::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Whether the text, which is JSON, nests too deep or has a member twice: by counting, without
/// looking at how a parser does it.
fn stricter_here(text: &str) -> bool {
    let mut open: Vec<Option<HashSet<String>>> = Vec::new();
    let mut rest = text;
    let mut last_string = None;
    while let Some(first) = rest.chars().next() {
        let mut len = first.len_utf8();
        match first {
            '{' => open.push(Some(HashSet::new())),
            '[' => open.push(None),
            '}' | ']' => drop(open.pop()),
            '"' => {
                let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
                last_string = Some(strings.next().unwrap().unwrap());
                len = strings.byte_offset();
            }
            ':' => {
                let names = open.last_mut().unwrap().as_mut().unwrap();
                if !names.insert(last_string.take().unwrap()) {
                    return true;
                }
            }
            _ => {}
        }
        if open.len() > MAX_DEPTH {
            return true;
        }
        rest = &rest[len..];
    }
    false
}

#[test]
fn json_is_read_as_serde_json_reads_it_or_refused_for_a_reason() {
    let (accepted, stricter) = (Cell::new(0), Cell::new(0));
    check(4_000, prop_oneof![json_text().prop_map(String::into_bytes), changed_json()], |text| {
        let serde = serde_json::from_slice::<serde_json::Value>(&text);
        match (Document::parse(text.clone()), serde) {
            (Ok(document), Ok(value)) => {
                assert_eq!(as_serde(document.root()), value);
                // What it writes reads back as the same.
                let mut written = String::new();
                document.root().write_json(&mut written);
                let again = Document::parse(written.into_bytes()).unwrap();
                assert!(same(&as_serde(again.root()), &value));
                assert!(!stricter_here(std::str::from_utf8(&text).unwrap()));
                drop(document.root().to_text());
                accepted.set(accepted.get() + 1);
            }
            (Err(_), Ok(_)) => {
                assert!(stricter_here(std::str::from_utf8(&text).unwrap()));
                stricter.set(stricter.get() + 1);
            }
            (Ok(_), Err(error)) => panic!("accepted here, and serde_json says: {error}"),
            (Err(_), Err(_)) => {}
        }
    });
    println!("{} accepted, {} refused by us alone", accepted.get(), stricter.get());
    assert!(accepted.get() > 100 && stricter.get() > 10);
}

#[test]
fn numbers_compare_as_their_values_do() {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        (-50_i64..50).prop_map(|n| n.to_string()),
        (-50_i64..50, 0..100_u32).prop_map(|(n, f)| format!("{n}.{f}")),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
    ];
    check(4_000, (number.clone(), number), |(a, b)| {
        let read = |text: &str| Number::parse(text.as_bytes()).unwrap();
        let ordering = read(&a).compare(read(&b));
        let exact = match (a.parse::<i128>(), b.parse::<i128>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a.parse::<f64>().unwrap().partial_cmp(&b.parse().unwrap()).unwrap(),
        };
        assert_eq!(ordering, exact);
        assert_eq!(read(&b).compare(read(&a)), exact.reverse());
        let whole = read(&a).saturating_i64();
        if let Ok(n) = a.parse::<i64>() {
            assert_eq!(whole, n);
        }
    });
}

// --- claims -----------------------------------------------------------------------------------

/// The documented rule: the exact name first, then the longest part that names a member.
fn find<'v>(value: &'v serde_json::Value, path: &str) -> Option<&'v serde_json::Value> {
    let object = value.as_object()?;
    object.get(path).or_else(|| {
        path.rmatch_indices('.')
            .find_map(|(dot, _)| find(object.get(&path[..dot])?, &path[dot + 1..]))
    })
}

fn path() -> impl Strategy<Value = String> {
    let names = select(vec!["a", "b", "c", "a.b", "", "é", "b.c", "\"", "."]);
    let short = select(vec!["a", "b", "c"]);
    prop_oneof![
        16 => vec(short, 1..4).prop_map(|names| names.join(".")),
        4 => vec(names, 1..6).prop_map(|names| names.join(".")),
        1 => any::<String>(),
        1 => (0_usize..30).prop_map(|dots| "a".to_owned() + &".".repeat(dots)),
    ]
}

fn claims() -> impl Strategy<Value = String> {
    let name = select(vec!["a", "b", "c", "a.b", "b.c", "", "é"]);
    let leaf = prop_oneof![
        select(vec!["x", "x y", "true", "null", "1", "", "read write"])
            .prop_map(|text| serde_json::json!(text)),
        any::<bool>().prop_map(|b| serde_json::json!(b)),
        (-3_i64..8).prop_map(|n| serde_json::json!(n)),
        Just(serde_json::json!(1.5)),
        Just(serde_json::Value::Null),
    ];
    let value = leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            2 => vec((name.clone(), inner.clone()), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
            1 => vec(inner, 0..4).prop_map(serde_json::Value::Array),
        ]
    });
    vec((select(vec!["a", "a", "b", "c", "a.b", "", "é"]), value), 1..6).prop_map(|members| {
        let object: serde_json::Map<_, _> =
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        serde_json::Value::Object(object).to_string()
    })
}

#[test]
fn a_claim_path_finds_what_the_documented_rule_finds() {
    let found = Cell::new(0);
    check(4_000, (path(), claims()), |(path, claims)| {
        let document = Document::parse(claims.clone().into_bytes()).unwrap();
        let allowed = !path.is_empty() && path.matches('.').count() <= 16;
        let Some(claim) = ClaimPath::new(&path) else { return assert!(!allowed, "{path:?}") };
        assert!(allowed, "{path:?}");
        let value: serde_json::Value = serde_json::from_str(&claims).unwrap();
        let ours = claim.find(document.root()).map(as_serde);
        assert_eq!(ours.as_ref(), find(&value, &path), "{path:?} in {claims}");
        found.set(found.get() + u32::from(ours.is_some()));
    });
    println!("{} found", found.get());
}

/// What the documentation of `jwt_claim` says of an operator that has no pattern.
fn holds(claim: Option<&serde_json::Value>, operator: &str, values: &[String]) -> bool {
    use serde_json::Value as V;
    let equals = |value: &V, text: &str| match value {
        V::String(string) => string == text,
        V::Number(number) => text
            .parse::<f64>()
            .is_ok_and(|other| is_json_number(text) && number.as_f64() == Some(other)),
        V::Bool(bool) => bool.to_string() == text,
        V::Null => text == "null",
        _ => false,
    };
    let Some(claim) = claim else { return operator == "!exists" };
    let mut values = values.iter().map(String::as_str);
    let in_set = |text: &str| match claim {
        V::String(words) => !text.is_empty() && words.split(' ').any(|word| word == text),
        V::Array(items) => items.iter().any(|item| equals(item, text)),
        _ => false,
    };
    let contains = |text: &str| match claim {
        V::Array(items) => items.iter().any(|item| equals(item, text)),
        other => equals(other, text),
    };
    let starts =
        |text: &str| !text.is_empty() && claim.as_str().is_some_and(|c| c.starts_with(text));
    let is_set = claim.is_string() || claim.is_array();
    let mut compared = |accepts: fn(f64, f64) -> bool| {
        let text = values.next().unwrap();
        match (claim.as_f64(), text.parse::<f64>()) {
            (Some(claim), Ok(value)) if is_json_number(text) => accepts(claim, value),
            _ => false,
        }
    };
    match operator {
        "exists" => true,
        "<" => compared(|a, b| a < b),
        "<=" => compared(|a, b| a <= b),
        ">" => compared(|a, b| a > b),
        ">=" => compared(|a, b| a >= b),
        "=" => values.any(contains),
        "!=" => !claim.is_object() && !values.any(contains),
        "^~" => values.any(starts),
        "!^~" => claim.is_string() && !values.any(starts),
        "any" => is_set && values.any(in_set),
        "all" => is_set && values.all(in_set),
        "none" => is_set && !values.any(in_set),
        _ => false, // !exists
    }
}

fn is_json_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok()
}

#[test]
fn a_rule_holds_when_the_documentation_says_so() {
    let operators = "= != ^~ !^~ exists !exists any all none < <= > >=";
    let operator = select(operators.split(' ').collect::<Vec<_>>());
    let value = prop_oneof![
        8 => select(vec!["x", "y", "true", "null", "1", "1.0", "1.5", "", "read", "+1", "nan", "7"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let (held, not) = (Cell::new(0), Cell::new(0));
    check(
        12_000,
        (path(), operator, vec(value, 0..3), claims()),
        |(path, name, values, claims)| {
            let operator = Operator::from_name(name).unwrap();
            // Values that a request brings are never refused beforehand.
            let unknown = vec![None; values.len()];
            let Ok(rule) = ClaimRule::new(&path, operator, &unknown) else { return };
            let document = Document::parse(claims.clone().into_bytes()).unwrap();
            let value: serde_json::Value = serde_json::from_str(&claims).unwrap();
            let ours = rule.holds(&document, &values);
            let theirs = holds(find(&value, &path), name, &values);
            assert_eq!(ours, theirs, "{path:?} {name} {values:?} in {claims}");
            let counter = if ours { &held } else { &not };
            counter.set(counter.get() + 1);
        },
    );
    println!("{} held, {} did not", held.get(), not.get());
    assert!(held.get() > 100 && not.get() > 100);
}

#[test]
fn rules_never_panic() {
    let operator = select(Operator::names().split(' ').map(str::to_owned).collect::<Vec<_>>());
    let values = vec(prop_oneof!["[a-z.*+?()|^$\\\\\\[\\]{}0-9]{0,12}", any::<String>()], 0..4);
    check(2_000, (path(), operator, values, claims()), |(path, operator, values, claims)| {
        let operator = Operator::from_name(&operator).unwrap();
        let known: Vec<_> = values.iter().map(|value| Some(value.as_str())).collect();
        if let Ok(rule) = ClaimRule::new(&path, operator, &known) {
            let document = Document::parse(claims.into_bytes()).unwrap();
            assert_eq!(rule.path(), path);
            rule.holds(&document, &values);
            rule.holds(&document, &[&b"\xff"[..], b""]);
            rule.holds::<&str>(&document, &[]);
        }
    });
}

// --- links ------------------------------------------------------------------------------------

fn link_policy(secrets: &[Vec<u8>], accepted: &[LinkAlgorithm]) -> LinkPolicy {
    LinkPolicy::Secrets {
        secrets: secrets.iter().map(|secret| LinkSecret::new(secret).unwrap()).collect(),
        accepted: accepted.into(),
    }
}

fn judge(policy: &LinkPolicy, st: &str, e: &str, value: &[u8], now: i64) -> Result<(), Reject> {
    policy.check(Link::new(st.as_bytes(), e.as_bytes())?, value, now)
}

const FIRST: i64 = 1_000_000_000;
const LAST: i64 = 9_999_999_999;

#[test]
fn a_link_holds_as_it_was_signed_and_no_other() {
    let secret = || vec(any::<u8>(), 1..80);
    let value =
        prop_oneof!["/[a-z0-9/]{0,20}".prop_map(String::into_bytes), vec(any::<u8>(), 0..40),];
    let algorithm = select(LinkAlgorithm::ALL.to_vec());
    let parameters = (secret(), secret(), value.clone(), value, algorithm, FIRST..=LAST);
    let other = (FIRST..=LAST, any::<prop::sample::Index>(), 1_u8..);
    check(3_000, (parameters, other), |(parameters, (other_expires, at, bits))| {
        let (secret, other_secret, value, other_value, algorithm, expires) = parameters;
        let signer = LinkSecret::new(&secret).unwrap();
        let e = expires.to_string();
        let st = signer.sign(algorithm, &value, e.as_bytes());
        let both = [other_secret.clone(), secret.clone()];
        let policy = link_policy(&both, &[]);
        assert_eq!(judge(&policy, &st, &e, &value, expires), Ok(()));
        assert_eq!(judge(&policy, &st, &e, &value, FIRST.min(expires)), Ok(()));
        assert_eq!(judge(&policy, &st, &e, &value, expires + 1), Err(Reject::Expired));
        assert_eq!(judge(&link_policy(&both, &[algorithm]), &st, &e, &value, 0), Ok(()));

        let wrong = Err(Reject::BadSignature);
        if other_secret != secret {
            // An HMAC key shorter than a block is filled up with zeros: such keys are the same.
            let padded = |key: &[u8]| [key, &vec![0; 64_usize.saturating_sub(key.len())]].concat();
            if algorithm == LinkAlgorithm::Md5 || padded(&other_secret) != padded(&secret) {
                let others = link_policy(&[other_secret], &[]);
                assert_eq!(judge(&others, &st, &e, &value, 0), wrong);
            }
        }
        if other_expires != expires {
            let e = other_expires.to_string();
            assert_eq!(judge(&policy, &st, &e, &value, 0), wrong);
        }
        if other_value != value {
            assert_eq!(judge(&policy, &st, &e, &other_value, 0), wrong);
        }
        let mut changed = st.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] ^= bits;
        let judged = Link::new(&changed, e.as_bytes()).and_then(|it| policy.check(it, &value, 0));
        assert!(matches!(judged, Err(Reject::BadSignature | Reject::Malformed)), "{judged:?}");
        // Digits that move between the value and the expiry.
        let (moved, kept) = e.split_at(1);
        let longer = [&value, moved.as_bytes()].concat();
        assert_eq!(judge(&policy, &st, kept, &longer, 0), Err(Reject::Malformed));
        let pinned: Vec<_> = LinkAlgorithm::ALL.into_iter().filter(|it| *it != algorithm).collect();
        let pinned = link_policy(&both, &pinned);
        assert_eq!(judge(&pinned, &st, &e, &value, 0), Err(Reject::Malformed));
    });
}

#[test]
fn the_form_of_a_link_is_exact() {
    let secret = LinkSecret::new(b"secret").unwrap();
    let policy = link_policy(&[b"secret".to_vec()], &[]);
    let expires = prop_oneof!["[0-9]{8,12}", "[-+ 0-9a-f.]{10}", any::<String>()];
    let signature = prop_oneof!["[A-Za-z0-9_-]{20,46}", "[A-Za-z0-9_=+/-]{22}", any::<String>()];
    check(3_000, (expires, signature), |(e, st)| {
        let ten = e.len() == 10 && e.bytes().all(|b| b.is_ascii_digit()) && !e.starts_with('0');
        assert_eq!(Link::new(st.as_bytes(), e.as_bytes()).is_ok(), ten, "{e:?}");
        if ten {
            assert!(judge(&policy, &st, &e, b"/", 0).is_err());
            let st = secret.sign(LinkAlgorithm::Md5, b"/", e.as_bytes());
            assert_eq!(judge(&policy, &st, &e, b"/", 0), Ok(()));
        }
    });
}

// --- credentials ------------------------------------------------------------------------------

fn of<'r>(values: &[&'r [u8]]) -> Found<'r> {
    match values {
        [] => Found::Absent,
        [one] => Found::One(one),
        _ => Found::Unusable,
    }
}

/// The token after `Bearer` and at least one space.
fn after_bearer(line: &[u8]) -> Option<&[u8]> {
    let mut rest = line;
    for want in b"bearer " {
        let (first, others) = rest.split_first()?;
        if first.to_ascii_lowercase() != *want {
            return None;
        }
        rest = others;
    }
    while let Some((b' ', others)) = rest.split_first() {
        rest = others;
    }
    Some(rest)
}

fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let words =
        select(vec!["Bearer", "bearer", "BEARER", " ", "  ", "\t", "x", "a.b.c", "Basic", ",", ""]);
    let line = prop_oneof![
        6 => vec(words, 0..6).prop_map(|words| words.concat().into_bytes()),
        1 => vec(any::<u8>(), 0..20),
    ];
    prop_oneof![6 => line.clone().prop_map(|it| vec![it]), 1 => vec(line, 0..4)]
}

#[test]
fn bearer_tokens_are_found_as_the_rule_says() {
    check(6_000, lines(), |lines| {
        let slices: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let bearer = match of(&slices) {
            Found::One(line) => match after_bearer(line) {
                Some(b"") => Found::Unusable,
                Some(token) => Found::One(token),
                None if line.eq_ignore_ascii_case(b"bearer") => Found::Unusable,
                None => Found::Absent,
            },
            other => other,
        };
        assert_eq!(credential::bearer(slices.iter().copied()), bearer);
        let header = match of(&slices) {
            Found::One(line) => match after_bearer(line).unwrap_or(line) {
                b"" => Found::Absent,
                token => Found::One(token),
            },
            other => other,
        };
        assert_eq!(credential::header(slices.iter().copied()), header);
    });
}

#[test]
fn cookies_and_arguments_are_found_as_the_rule_says() {
    let word = select(vec!["tok", "to", "tokx", "=", "=", ";", "&", " ", "x", "\t", "%74", "T"]);
    let line = vec(word, 0..10).prop_map(|words| words.concat());
    check(8_000, vec(line, 0..3), |lines| {
        let mut cookies: Vec<&[u8]> = Vec::new();
        for pair in lines.iter().flat_map(|line| line.split(';')) {
            if let Some(("tok", value)) = pair.trim_matches([' ', '\t']).split_once('=') {
                cookies.push(value.as_bytes());
            }
        }
        let want = if cookies == [b""] { Found::Absent } else { of(&cookies) };
        assert_eq!(credential::cookie(lines.iter().map(String::as_bytes), b"tok"), want);
        for line in &lines {
            let arguments: Vec<&[u8]> = line
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .filter_map(|(name, value)| (name == "tok").then_some(value.as_bytes()))
                .collect();
            assert_eq!(credential::argument(line.as_bytes(), b"tok"), of(&arguments));
        }
    });
}

// --- files ------------------------------------------------------------------------------------

#[test]
fn a_list_holds_its_lines_and_nothing_else() {
    let line = select(vec!["a", "b", " a ", "", "#", "# a", "a b", "\u{a0}c", "\t", "\u{feff}d"]);
    let text =
        (vec(line, 0..12), select(vec!["\n", "\r\n"])).prop_map(|(lines, end)| lines.join(end));
    check(3_000, text, |text| {
        let list = RevokedList::parse(text.clone().into_bytes()).unwrap();
        let naive: Vec<&str> = text
            .split('\n')
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        assert_eq!(list.len(), naive.len());
        for value in ["a", "b", "a b", "c", "\u{feff}d", "", "#", "# a", "d", " a"] {
            assert_eq!(list.contains(value), naive.contains(&value), "{value:?} in {text:?}");
        }
    });
}

#[test]
fn a_long_list_holds_what_a_sorted_set_does() {
    // Few enough that many are there twice, and that what is looked up is often there.
    let value = (0..3_000_u32).prop_map(|value| format!("id-{value}"));
    let values = vec(value.clone(), 0..2_000);
    check(60, (values, vec(value, 200), select(vec!["\n", "\r\n", " \n\n"])), |it| {
        let (values, others, end) = it;
        let list = RevokedList::parse(values.join(end).into_bytes()).unwrap();
        let naive: BTreeSet<&String> = values.iter().collect();
        assert_eq!(list.len(), values.len());
        for value in values.iter().chain(&others) {
            assert_eq!(list.contains(value), naive.contains(value), "{value}");
        }
    });
}

#[test]
fn what_loads_a_key_file_never_panics() {
    let files: Vec<&str> = vec![
        include_str!("../../tests/keys/rsa2048.jwk.json"),
        include_str!("../../tests/keys/p256.jwk.json"),
        include_str!("../../tests/keys/ed25519.jwk.json"),
        include_str!("../../tests/keys/p384.pub.pem"),
        include_str!("../../tests/keys/rsa2048.crt.pem"),
        include_str!("../../tests/keys/rsa2048.pkcs1.pem"),
        include_str!("../../tests/keys/p256.crt.pem"),
        r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"a","alg":"HS256","use":"sig","key_ops":["verify"]}]}"#,
        r#"[{"kids":{"a":"b","c":"d"}}]"#,
    ];
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    check(4_000, (select(files), vec(change, 0..6)), |(file, changes)| {
        let mut text = file.as_bytes().to_vec();
        for (at, byte, how) in changes {
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                2 => drop(text.drain(at..(at + usize::from(byte)).min(text.len() - 1).max(at))),
                _ => {
                    let other = usize::from(byte) % text.len();
                    text.swap(at, other);
                }
            }
        }
        for kid in [None, Some("kid")] {
            if let Ok(loaded) = load_keys(&text, kid) {
                assert!(!loaded.keys.is_empty());
                assert!(loaded.keys.iter().all(|key| !key.algorithms().is_empty()));
            }
        }
        drop(load_kids(&text));
    });
    let options = select(vec![
        "encoding=hex",
        "encoding=base64",
        "encoding=base64url",
        "encoding=x",
        "alg=HS256",
        "=",
        "alg=RS256",
        "expires=2027-01-31T00:00:00Z",
        "expires=-999999-01-01T00:00:00Z",
        "expires=",
        "\u{0}=",
        "alg",
    ]);
    let secret = vec(any::<u8>(), 0..40);
    check(3_000, (vec(any::<u8>(), 0..6), secret, vec(options, 0..3)), |(kid, secret, options)| {
        let options: Vec<&[u8]> = options.iter().map(|option| option.as_bytes()).collect();
        let mut loaded = Loaded::default();
        if let Err(error) = loaded.add_secret(&kid, &secret, &options) {
            assert!(loaded.keys.is_empty());
            drop(error.to_string());
        }
    });
}
