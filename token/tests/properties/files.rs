//! Key files and lists.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use token::json::Number;
use token::{Finding, Loaded, RevokedList, Times, load_keys, load_kids};

use crate::property::check;

fn contains(list: &RevokedList, value: &str) -> bool {
    list.find(value, Times::new(0, None)) == Finding::Revoked
}

#[test]
fn a_list_holds_its_lines_and_nothing_else() {
    let line = select(vec![
        "a",
        "b",
        " a ",
        "",
        "#",
        "# a",
        "a b",
        "\u{a0}c",
        "\t",
        "\u{feff}d",
        "\"#\"",
        "\"a\"",
        " \" a\"",
        "\"\"",
        "\"\\\"\"",
        "7",
        "7.0",
        "\"7\"",
        "70e-1",
        "0",
        "\u{feff}# a",
        "\"\\ufeffd\"",
    ]);
    let text =
        (vec(line, 0..12), select(vec!["\n", "\r\n"])).prop_map(|(lines, end)| lines.join(end));
    check(6_000, text, |text| {
        let list = RevokedList::parse(text.clone().into_bytes()).unwrap();
        let lines = text.split('\n').map(|line| line.trim_start_matches('\u{feff}').trim());
        let naive: Vec<&str> =
            lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert_eq!(list.len(), naive.len());
        let texts: Vec<String> = naive
            .iter()
            .map(|line| match line.starts_with('"') {
                true => serde_json::from_str(line).unwrap(),
                false => (*line).to_owned(),
            })
            .collect();
        for value in [
            "a",
            "b",
            "a b",
            "c",
            "\u{feff}d",
            "",
            "#",
            "# a",
            "d",
            " a",
            "\"",
            "7",
            "7.0",
            "\"a\"",
        ] {
            let listed = texts.iter().any(|text| text == value);
            assert_eq!(contains(&list, value), listed, "{value:?} in {text:?}");
        }
        for (number, lines) in [
            ("7", &["7", "7.0", "70e-1"][..]),
            ("7.00", &["7", "7.0", "70e-1"]),
            ("-0", &["0"]),
            ("70", &[]),
        ] {
            let listed = naive.iter().any(|line| lines.contains(line));
            let number = Number::parse(number.as_bytes()).unwrap();
            let found = list.find_number(number, Times::new(0, None));
            assert_eq!(found == Finding::Revoked, listed, "{number} in {text:?}");
        }
    });
}

#[test]
fn every_value_can_be_written_into_a_list() {
    check(3_000, vec(any::<String>(), 1..6), |values| {
        let lines: Vec<String> =
            values.iter().map(|value| serde_json::to_string(value).unwrap()).collect();
        let list = RevokedList::parse(lines.join("\n").into_bytes()).unwrap();
        assert!(values.iter().all(|value| contains(&list, value)));
        assert_eq!(list.len(), values.len());
    });
}

#[test]
fn a_long_list_holds_what_a_sorted_set_does() {
    // Few different values, so that many are repeated and searches often succeed.
    let value = (0..3_000_u32).prop_map(|value| format!("id-{value}"));
    let values = vec(value.clone(), 0..2_000);
    check(60, (values, vec(value, 200), select(vec!["\n", "\r\n", " \n\n"])), |it| {
        let (values, others, end) = it;
        let list = RevokedList::parse(values.join(end).into_bytes()).unwrap();
        let naive: BTreeSet<&String> = values.iter().collect();
        assert_eq!(list.len(), values.len());
        for value in values.iter().chain(&others) {
            assert_eq!(contains(&list, value), naive.contains(value), "{value}");
        }
    });
}

#[test]
fn what_loads_a_key_file_never_panics() {
    let certificate = include_str!("../../../tests/keys/p256.crt.pem");
    let by_kid = serde_json::json!({ "a": certificate, "b": certificate }).to_string();
    let files: Vec<&str> = vec![
        include_str!("../../../tests/keys/rsa2048.jwk.json"),
        include_str!("../../../tests/keys/p256.jwk.json"),
        include_str!("../../../tests/keys/ed25519.jwk.json"),
        include_str!("../../../tests/keys/p384.pub.pem"),
        include_str!("../../../tests/keys/rsa2048.crt.pem"),
        include_str!("../../../tests/keys/rsa2048.pkcs1.pem"),
        include_str!("../../../tests/keys/p256.crt.pem"),
        r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"a","alg":"HS256","use":"sig","key_ops":["verify"]}]}"#,
        r#"[{"kids":{"a":"b","*":"d"}}]"#,
        r#"{"keys":[{"kty":"oct","k":"AA==","kid":7,"use":"jwt-svid","alg":null,"key_ops":"verify"},{"kty":"oct","k":"AA","kid":7}]}"#,
        by_kid.leak(),
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
