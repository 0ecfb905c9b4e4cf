//! Where a token is found in a request.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use token::credential::{self, Found};

use crate::property::check;

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
