//! JSON, and the numbers in it.

use std::cell::Cell;
use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use token::json::{Document, MAX_DEPTH, Number, Value};

use crate::property::check;

/// A JSON text that is valid, except perhaps for the stricter rules of this parser.
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
        literal(),
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

pub(crate) fn as_serde(value: Value<'_>) -> serde_json::Value {
    use serde_json::Value as Serde;
    if let Some(text) = value.as_str() {
        Serde::from(text)
    } else if let Some(number) = value.as_number() {
        serde_json::from_str(number.as_str()).unwrap()
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

/// A number in any spelling, also of more digits than a double has.
fn literal() -> impl Strategy<Value = String> {
    let fraction = prop_oneof![Just(String::new()), "\\.[0-9]{1,30}", "\\.0{1,3}"];
    let exponent = prop_oneof![2 => Just(String::new()), 1 => "[eE][+-]?[0-9]{1,2}"];
    ("-?(0|[1-9][0-9]{0,30})", fraction, exponent).prop_map(|(a, b, c)| format!("{a}{b}{c}"))
}

/// The numbers of a text, found without a parser, by removing strings.
fn literals(text: &str) -> Vec<String> {
    let mut outside = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('"') {
        outside.push_str(before);
        outside.push(' ');
        let mut end = 0;
        while from.as_bytes()[end] != b'"' {
            end += if from.as_bytes()[end] == b'\\' { 2 } else { 1 };
        }
        rest = &from[end + 1..];
    }
    outside.push_str(rest);
    let words = outside.split(|char: char| ",:[]{} \r\n\t".contains(char));
    words.filter(|it| it.contains(|c: char| c.is_ascii_digit())).map(str::to_owned).collect()
}

fn numbers(value: Value<'_>, found: &mut Vec<String>) {
    found.extend(value.as_number().map(|number| number.to_string()));
    value.items().into_iter().flatten().for_each(|item| numbers(item, found));
    value.members().into_iter().flatten().for_each(|(_, value)| numbers(value, found));
}

/// Whether a JSON text nests too deeply or has a repeated member; by counting, independently of the
/// parser.
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
                // The written text is read back as the same value.
                let mut written = String::new();
                document.root().write_json(&mut written);
                assert!(!written.contains(char::is_control));
                let again = Document::parse(written.into_bytes()).unwrap();
                assert_eq!(as_serde(again.root()), value);
                let (mut here, mut there) = (Vec::new(), Vec::new());
                numbers(document.root(), &mut here);
                numbers(again.root(), &mut there);
                assert_eq!(here, literals(std::str::from_utf8(&text).unwrap()));
                assert_eq!(there, here);
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

/// A list of digits that compares like the value of the number: enough digits on both sides of the point
/// for every exponent in these tests, each digit negated if the number is negative.
fn naive(literal: &str) -> Vec<i8> {
    const ROOM: i32 = 450;
    let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
    let exponent: i32 = exponent.parse().unwrap();
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => (-1, mantissa),
        None => (1, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = vec![0; 2 * ROOM as usize];
    let first = ROOM - whole.len() as i32 - exponent;
    for (at, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
        if digit != b'0' {
            digits[usize::try_from(first).unwrap() + at] = sign * (digit - b'0') as i8;
        }
    }
    digits
}

#[test]
fn numbers_compare_as_their_values_do() {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        (-50_i64..50).prop_map(|n| n.to_string()),
        (-50_i64..50, 0..100_u32).prop_map(|(n, f)| format!("{n}.{f}")),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        literal(),
    ];
    // The same value written differently, and numbers that differ only far after the point.
    let near = (literal(), 0..9_usize).prop_map(|(a, how)| {
        let (mantissa, exponent) = a.split_at(a.find(['e', 'E']).unwrap_or(a.len()));
        let point = if mantissa.contains('.') { "" } else { "." };
        let b = match how {
            0 => format!("{mantissa}{point}000{exponent}"),
            1 => format!("{mantissa}{point}0001{exponent}"),
            2 if exponent.is_empty() => format!("{a}e0"),
            3 if exponent.is_empty() => format!("{a}E-00"),
            _ => a.clone(),
        };
        (a, b)
    });
    let pairs = prop_oneof![2 => (number.clone(), number), 1 => near];
    check(8_000, pairs, |(a, b)| {
        let read = |text| Number::parse(str::as_bytes(text)).unwrap();
        let ordering = read(&a).compare(read(&b));
        let exact = naive(&a).cmp(&naive(&b));
        assert_eq!(ordering, exact, "{a} and {b}");
        assert_eq!(read(&b).compare(read(&a)), exact.reverse());
        let whole = read(&a).saturating_i64();
        if let Ok(n) = a.parse::<i64>() {
            assert_eq!(whole, n);
        }
    });
}
