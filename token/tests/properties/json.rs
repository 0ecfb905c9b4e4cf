//! JSON, and the numbers in it.

use std::cell::Cell;
use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use token::json::{Document, MAX_DEPTH, Number, Value};

use crate::property::check;

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

pub(crate) fn as_serde(value: Value<'_>) -> serde_json::Value {
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
