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

/// The first word of a line, for a program that splits at whatever is no visible ASCII.
fn lenient_scheme(line: &[u8]) -> String {
    let visible = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { ' ' };
    let line: String = line.iter().map(visible).collect();
    line.split_whitespace().next().unwrap_or_default().to_owned()
}

#[test]
fn bearer_tokens_are_found_as_the_rule_says() {
    check(6_000, lines(), |lines| {
        let slices: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let bearer = match of(&slices) {
            Found::One(line) => match after_bearer(line) {
                Some(b"") => Found::Unusable,
                Some(token) => Found::One(token),
                None if lenient_scheme(line).eq_ignore_ascii_case("bearer") => Found::Unusable,
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
        let named = slices.iter().map(|line| (&b"X-Token"[..], *line));
        assert_eq!(credential::header(named.clone(), b"x-token", None), header);
        // With a word of its own the header is read as `Authorization` is.
        let basic = credential::basic(slices.iter().copied());
        assert_eq!(credential::header(named.clone(), b"x-token", Some(b"Basic")), basic);
        assert_eq!(credential::header(named, b"x-token", Some(b"bearer")), bearer);
        // One line has one scheme.
        assert!(!matches!((bearer, basic), (Found::One(_), Found::One(_))));
    });
}

/// `text` as RFC 7617 has it, if every program reads the same: decoded by hand.
fn basic_password(text: &[u8]) -> Option<Vec<u8>> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bits = String::new();
    for byte in &text[..text.len() - padding] {
        let value = LETTERS.iter().position(|letter| letter == byte)?;
        bits.push_str(&format!("{value:06b}"));
    }
    let whole = bits.len() / 8 * 8;
    if bits[whole..].contains('1') {
        return None;
    }
    let bytes: Vec<u8> =
        (0..whole).step_by(8).map(|at| u8::from_str_radix(&bits[at..at + 8], 2).unwrap()).collect();
    if bytes.iter().any(|byte| *byte < 0x20 || *byte == 0x7f) {
        return None;
    }
    let at = bytes.iter().position(|byte| *byte == b':')?;
    Some(bytes[at + 1..].to_vec())
}

#[test]
fn passwords_are_found_as_the_rule_says() {
    let piece = select(vec![
        "dTphLmIuYw==",
        "dTph",
        "OmE=",
        "dTo=",
        "dQ==",
        "OjpiOg==",
        "AAAA",
        "=",
        "==",
        "A",
        " ",
        "\n",
        "-_",
        "+/",
        "B",
        ":",
        "OgA=",
    ]);
    check(20_000, vec(piece, 0..4), |pieces| {
        let text = pieces.concat();
        assert_eq!(
            credential::password(text.as_bytes()),
            basic_password(text.as_bytes()),
            "{text:?}"
        );
    });
}

#[test]
fn a_query_without_its_tokens_has_none_for_any_reader() {
    let word = select(vec![
        "tok", "tok=a", "to", "tokx", "=", "&", ";", "x=1", "%74ok=b", "TOK=", "[]", "+", "%00",
        "?", "a=b&", "t.k=",
    ]);
    check(20_000, vec(word, 0..10), |words| {
        let query = words.concat();
        let Some(rest) = credential::without_arguments(query.as_bytes(), [&b"tok"[..]].into_iter())
        else {
            assert_eq!(credential::argument(query.as_bytes(), b"tok"), Found::Absent, "{query:?}");
            return;
        };
        let rest = String::from_utf8(rest).unwrap();
        let readings = [nginx_argument(&rest), plain_arguments(&rest), lax_arguments(&rest)];
        assert!(readings.iter().all(Vec::is_empty), "{query:?} {rest:?}");
        // What is left was there, in the same order.
        let mut parts = query.split(['&', ';']);
        assert!(rest.split(['&', ';']).all(|part| part.is_empty() || parts.any(|one| one == part)));
        let again = credential::without_arguments(rest.as_bytes(), [&b"tok"[..]].into_iter());
        assert_eq!(again, None, "{query:?} {rest:?}");
    });
}

#[test]
fn cookies_and_arguments_are_found_as_the_rule_says() {
    let word = select(vec![
        "tok", "tok=a", "to", "tokx", "=", "=", ";", "; ", "&", " ", "x", "\t", "%74", "T", ",",
        "TOK", "[]", "+", "%00",
    ]);
    let line = vec(word, 0..10).prop_map(|words| words.concat());
    check(20_000, vec(line, 0..3), |lines| {
        let cookie = credential::cookie(lines.iter().map(String::as_bytes), b"tok");
        let readings = [nginx_cookie(&lines), plain_cookies(&lines), lax_cookies(&lines)];
        agree(cookie, &readings);
        for line in &lines {
            let argument = credential::argument(line.as_bytes(), b"tok").or_absent();
            let readings = [nginx_argument(line), plain_arguments(line), lax_arguments(line)];
            agree(argument, &readings);
            let single = credential::single_argument(line.as_bytes(), b"tok");
            if let Some(value) = single {
                assert!(readings[0] == [String::from_utf8(value.to_vec()).unwrap()], "{line:?}");
                assert!(readings[2].len() == 1 && readings[0] == readings[2], "{line:?}");
            }
        }
    });
}

/// If there is a value, each of these readers finds it; if there is none, none of them finds one.
fn agree(found: Found<'_>, readings: &[Vec<String>]) {
    match found {
        Found::One(value) => {
            let value = std::str::from_utf8(value).unwrap();
            // Characters that a token cannot contain are refused later, by its form.
            let is_token = !value.contains(|char: char| " \t=,;[]+%".contains(char));
            assert!(!is_token || readings.iter().all(|it| *it == [value]), "{value} {readings:?}");
        }
        Found::Absent => {
            let is_there = readings.iter().flatten().any(|value| !value.is_empty());
            assert!(!is_there, "{readings:?}");
        }
        Found::Unusable => {}
    }
}

/// The value of `$cookie_tok`: nginx takes the first.
fn nginx_cookie(lines: &[String]) -> Vec<String> {
    for line in lines {
        let mut rest = line.as_str();
        while !rest.is_empty() {
            if rest.get(..3).is_some_and(|name| name.eq_ignore_ascii_case("tok")) {
                rest = rest[3..].trim_start_matches(' ');
                if let Some(value) = rest.strip_prefix('=') {
                    return vec![value.trim_start_matches(' ').split(';').next().unwrap().into()];
                }
                // It continues after the character that it has compared, which may be a separator.
                rest = rest.get(1..).unwrap_or_default();
            }
            rest = rest.find([';', ',']).map_or("", |at| rest[at + 1..].trim_start_matches(' '));
        }
    }
    Vec::new()
}

/// RFC 6265 as other servers parse it: all values.
fn plain_cookies(lines: &[String]) -> Vec<String> {
    let pairs = lines.iter().flat_map(|line| line.split(';'));
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| name.trim() == "tok").map(|(_, it)| it.trim().to_owned()).collect()
}

fn lax_name(name: &str) -> bool {
    let name = name.replace("%74", "t").replace('+', " ");
    let name = name.split("%00").next().unwrap_or_default();
    let name = name.split('[').next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case("tok")
}

/// Also behind commas, in any case, encoded, as an array.
fn lax_cookies(lines: &[String]) -> Vec<String> {
    let pairs = lines.iter().flat_map(|line| line.split([';', ',']));
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| lax_name(name)).map(|(_, it)| it.trim().to_owned()).collect()
}

/// The value of `$arg_tok`: the first.
fn nginx_argument(query: &str) -> Vec<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("tok"));
    values.next().map(|(_, value)| value.to_owned()).into_iter().collect()
}

fn plain_arguments(query: &str) -> Vec<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == "tok").map(|(_, value)| value.to_owned()).collect()
}

fn lax_arguments(query: &str) -> Vec<String> {
    let pairs = query.split(['&', ';']).filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| lax_name(name)).map(|(_, value)| value.to_owned()).collect()
}
