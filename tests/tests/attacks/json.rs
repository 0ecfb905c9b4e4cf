//! The JSON parser is strict: no text has two readings, and its length limits its cost.

use std::iter::repeat_n;

use anyhow::Result;
use module_tests::{Nginx, SECRET, SERVE};

use crate::{Case, HEADER, signed, withstand};

const PAYLOAD: &str = r#"{"sub":"alice"}"#;

fn start() -> Result<Nginx> {
    Nginx::builder()
        .http("client_header_buffer_size 2m; large_client_header_buffers 4 2m;")
        .server(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"))
        .start()
}

#[test]
fn critical_extensions_and_unencoded_payloads() -> Result<()> {
    let nginx = start()?;
    let mut cases = Vec::new();
    for (members, word) in [
        (r#""crit":["exp"]"#, "malformed"),
        (r#""crit":["unknown"],"unknown":1"#, "malformed"),
        (
            r#""crit":["http://example.com/UNDEFINED"],"http://example.com/UNDEFINED":true"#,
            "malformed",
        ),
        (r#""crit":[]"#, "malformed"),
        (r#""crit":null"#, "malformed"),
        (r#""crit":"exp""#, "malformed"),
        (r#""crit":{}"#, "malformed"),
        (r#""crit":false"#, "malformed"),
        (r#""crit":0"#, "malformed"),
        (r#""crit":["alg"]"#, "malformed"),
        (r#""crit":["kid","kid"]"#, "malformed"),
        (r#""crit":["b64"],"b64":true"#, "malformed"),
        (r#""crit":["b64"],"b64":false"#, "malformed"),
        (r#""c\u0072it":["exp"]"#, "malformed"),
        (r#""b64":false"#, "malformed"),
        (r#""b64":null"#, "malformed"),
        (r#""b64":0"#, "malformed"),
        (r#""b64":"true""#, "malformed"),
        (r#""b64":"false""#, "malformed"),
        (r#""b\u00364":false"#, "malformed"),
        // `true` is the default value (RFC 7797 section 3).
        (r#""b64":true"#, "ok"),
        // A member with another name is an unknown extension and is ignored (RFC 7515 section 4).
        (r#""Crit":["exp"]"#, "ok"),
        (r#""zip":"DEF""#, "ok"),
        (r#""x":{"crit":["exp"]}"#, "ok"),
    ] {
        let header = format!(r#"{{"alg":"HS256","kid":"k1",{members}}}"#);
        let request = nginx.request().bearer(&signed(&header, PAYLOAD)?);
        cases.push(Case::token(members, request, word));
    }
    // RFC 7797: first an unencoded payload, then a detached one.
    let header = r#"{"alg":"HS256","kid":"k1","b64":false,"crit":["b64"]}"#;
    let detached = crate::signed_sections(&module_tests::base64url(header), "$.02")?;
    cases.push(Case::token("unencoded", nginx.request().bearer(&detached), "malformed"));
    let mut sections = detached.split('.');
    let without = format!("{}..{}", sections.next().unwrap(), sections.next_back().unwrap());
    cases.push(Case::token("detached", nginx.request().bearer(&without), "malformed"));
    withstand(&nginx, cases)?;
    nginx.finish()
}

/// Headers or payloads that are not strict JSON objects. In the texts below, `@` stands for the
/// members `good`, which alone would make a valid object.
fn loose(good: &str) -> Vec<(String, Vec<u8>)> {
    let texts = [
        "",
        " ",
        "@",
        "{@",
        "@}",
        "{@}}",
        "{{@}}",
        "{@},",
        "{@}.",
        "{@} x",
        "{@}{}",
        "{@}null",
        "{@}\0",
        "\0{@}",
        "{@,}",
        "{,@}",
        "{@,,\"a\":1}",
        "{@ \"a\":1}",
        "{@;\"a\":1}",
        "{@,\"a\"=1}",
        "{@,\"a\" 1}",
        "{@,\"a\":}",
        "{@,\"a\"}",
        "{@,:1}",
        "{@,a:1}",
        "{@,'a':1}",
        "{@,\"a\":'b'}",
        "{@,\"a\":b}",
        "{@,1:1}",
        "{@,null:1}",
        "{@,\"a\":[1,]}",
        "{@,\"a\":[,1]}",
        "{@,\"a\":[1 2]}",
        "{@,\"a\":[}",
        "{@,\"a\":]}",
        "{@,\"a\":NaN}",
        "{@,\"a\":-NaN}",
        "{@,\"a\":Infinity}",
        "{@,\"a\":-Infinity}",
        "{@,\"a\":undefined}",
        "{@,\"a\":True}",
        "{@,\"a\":TRUE}",
        "{@,\"a\":nul}",
        "{@,\"a\":01}",
        "{@,\"a\":-01}",
        "{@,\"a\":+1}",
        "{@,\"a\":1.}",
        "{@,\"a\":.1}",
        "{@,\"a\":1e}",
        "{@,\"a\":0x1}",
        "{@,\"a\":1_000}",
        "{@,\"a\":--1}",
        "{@,\"a\":1e400}",
        "{@,\"a\":-1e400}",
        "//c\n{@}",
        "/*c*/{@}",
        "{@}//c",
        "{@/*c*/}",
        "{/*c*/@}",
        "#c\n{@}",
        "{@,\"a\":1//c\n}",
        "<!--c-->{@}",
        "{@,\"a\":\"\t\"}",
        "{@,\"a\":\"\n\"}",
        "{@,\"a\":\"\0\"}",
        "{@,\"a\":\"\u{1f}\"}",
        "{@,\"a\nb\":1}",
        "{@,\"a\":\"\\x41\"}",
        "{@,\"a\":\"\\'\"}",
        "{@,\"a\":\"\\0\"}",
        "{@,\"a\":\"\\u00g0\"}",
        "{@,\"a\":\"\\u123\"}",
        "{@,\"a\":\"\\U00000041\"}",
        "{@,\"a\":\"\\u{41}\"}",
        "{@,\"a\":\"\\\"}",
        "{@,\"a\":\"\\ud800\"}",
        "{@,\"a\":\"\\udc00\"}",
        "{@,\"a\":\"\\ud800\\u0041\"}",
        "{@,\"a\":\"\\udc00\\ud800\"}",
        "{@,\"a\":\"\\ud800x\"}",
        "{@,\"\\ud800\":1}",
        "{@,\"a\":\"\\uD83D\"}",
        "{@,\"a\":1,\"a\":2}",
        "{@,\"a\":1,\"\\u0061\":1}",
        "{@,\"\\u0061\":1,\"\\u0061\":1}",
        "{@,\"\":1,\"\":2}",
        "{@,\"x\":{\"a\":1,\"a\":1}}",
        "{@,\"x\":[{\"a\":1,\"\\u0061\":1}]}",
        "{@,\"a/b\":1,\"a\\/b\":1}",
        "{@,\"\u{e9}\":1,\"\\u00e9\":1}",
        "{@,\"\u{1f600}\":1,\"\\ud83d\\ude00\":1}",
        "[@]",
        "[{@}]",
        "\"{@}\"",
        "null",
        "true",
        "1",
        "[]",
        "\"\"",
        "\u{feff}{@}",
        "{@}\u{feff}",
        "{\u{feff}@}",
        "{\u{a0}@}",
        "{\u{2028}@}",
        "{\u{b}@}",
        "{\u{c}@}",
        "{@}\u{1a}",
        "\u{201c}{@}\u{201d}",
    ];
    let mut out: Vec<(String, Vec<u8>)> = texts
        .iter()
        .map(|text| (format!("{text:?}"), text.replace('@', good).into_bytes()))
        .collect();
    let around = |bytes: &[u8]| [b"{", good.as_bytes(), b",\"a\":\"", bytes, b"\"}"].concat();
    // Invalid by RFC 3629: bytes that never occur, overlong forms, surrogates, values above
    // U+10FFFF, sequences cut short, and continuation bytes without a start.
    for bytes in [
        &b"\xff"[..],
        b"\xfe",
        b"\xc0\x80",
        b"\xc1\xa1",
        b"\xe0\x80\x80",
        b"\xe0\x81\xa1",
        b"\xed\xa0\x80",
        b"\xed\xb0\x80",
        b"\xed\xa0\xbd\xed\xb8\x80",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf0\x80\x80\x80",
        b"\xc3",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\x80",
        b"\xbf",
        b"\xc3\x28",
        b"\xf8\x88\x80\x80\x80",
    ] {
        out.push((format!("{bytes:02x?} in a string"), around(bytes)));
    }
    let good = format!("{{{good}}}");
    for (name, bytes) in [
        ("UTF-16 LE", good.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()),
        ("UTF-16 BE", good.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ("UTF-16 with its mark", [b"\xff\xfe", good.as_bytes()].concat()),
        ("invalid UTF-8 before", [b"\xff", good.as_bytes()].concat()),
        ("invalid UTF-8 after", [good.as_bytes(), b"\x80"].concat()),
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00".to_vec()),
        ("CBOR", b"\xa1\x63alg\x65HS256".to_vec()),
    ] {
        out.push((name.to_owned(), bytes));
    }
    out
}

#[test]
fn only_strict_json_is_read() -> Result<()> {
    let nginx = start()?;
    let ask = |token: &str| nginx.request().bearer(token);
    let mut cases = Vec::new();
    for (name, header) in loose(r#""alg":"HS256","kid":"k1""#) {
        let token = signed(header, PAYLOAD)?;
        cases.push(Case::token(format!("header {name}"), ask(&token), "malformed"));
    }
    for (name, payload) in loose(r#""sub":"alice""#) {
        let token = signed(HEADER, payload)?;
        cases.push(Case::token(format!("payload {name}"), ask(&token), "malformed"));
    }
    // These payloads are unusual, but they are strict JSON.
    for payload in [
        "{}",
        " \t\r\n{ \"sub\" : \"alice\" } \n",
        r#"{"":1}"#,
        r#"{"a":"\ud83d\ude00\u0000\"\\\/\b\f\n\r\t"}"#,
        "{\"a\":\"\u{1f600}\u{7f}\u{feff}\"}",
        r#"{"a":1,"A":1,"a ":1," a":1}"#,
        r#"{"a":{"a":{"a":1}},"b":[1,1,1]}"#,
        r#"{"a":-0,"b":0.0e+10,"c":1E-400}"#,
        r#"{"\u00e9":1,"e\u0301":1}"#,
        r#"{"__proto__":{"admin":true},"constructor":1}"#,
    ] {
        cases.push(Case::token(payload, ask(&signed(HEADER, payload)?), "ok"));
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn nesting_and_numbers_of_members_cost_no_stack_and_no_time() -> Result<()> {
    let nginx = start()?;
    let ask = |token: &str| nginx.request().bearer(token);
    let arrays =
        |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let open = |depth: usize| format!("{{\"a\":{}", "[".repeat(depth));
    let both =
        |depth: usize| format!("{}1{}", "{\"a\":[".repeat(depth / 2), "]}".repeat(depth / 2));
    let mut cases = Vec::new();
    for depth in [2, 10, 30] {
        for payload in [arrays(depth), objects(depth), both(depth)] {
            let name = format!("depth {depth}: {payload:.9}");
            cases.push(Case::token(name, ask(&signed(HEADER, payload)?), "ok"));
        }
    }
    for depth in [34, 50, 64, 100, 127, 128, 129, 500, 1000, 5000, 20_000, 100_000] {
        for text in [arrays(depth), objects(depth), both(depth), open(depth)] {
            let name = format!("depth {depth}: {text:.9}");
            let token = signed(HEADER, &text)?;
            cases.push(Case::token(format!("payload, {name}"), ask(&token), "malformed"));
            let header = format!(r#"{{"alg":"HS256","kid":"k1","a":{text}}}"#);
            let token = signed(header, PAYLOAD)?;
            cases.push(Case::token(format!("header, {name}"), ask(&token), "malformed"));
        }
    }
    for count in [100, 1000, 3000] {
        let members: Vec<String> = (0..count).map(|i| format!("\"m{i}\":{i}")).collect();
        let members = members.join(",");
        let text = format!("{{{members}}}");
        cases.push(Case::token(format!("{count} members"), ask(&signed(HEADER, text)?), "ok"));
        let last = format!("{{{members},\"m{}\":0}}", count - 1);
        let token = signed(HEADER, last)?;
        cases.push(Case::token(
            format!("{count} members, the last twice"),
            ask(&token),
            "malformed",
        ));
        let first = format!("{{{members},\"\\u006d0\":0}}");
        let token = signed(HEADER, first)?;
        cases.push(Case::token(
            format!("{count} members, the first twice"),
            ask(&token),
            "malformed",
        ));
    }
    // Long strings, long names, long numbers, many elements.
    for (name, text, word) in [
        ("a long string", format!("{{\"a\":\"{}\"}}", "x".repeat(40_000)), "ok"),
        ("a long name", format!("{{\"{}\":1}}", "x".repeat(40_000)), "ok"),
        ("escapes", format!("{{\"a\":\"{}\"}}", "\\u0000".repeat(7000)), "ok"),
        ("digits", format!("{{\"a\":{}}}", "9".repeat(300)), "ok"),
        ("more digits", format!("{{\"a\":{}}}", "9".repeat(40_000)), "malformed"),
        ("decimals", format!("{{\"a\":0.{}}}", "9".repeat(40_000)), "ok"),
        ("elements", format!("{{\"a\":[{}0]}}", "0,".repeat(20_000)), "ok"),
        ("white space", format!("{}{{}}", " ".repeat(40_000)), "ok"),
        ("quotes", "\"".repeat(40_000), "malformed"),
        ("backslashes", format!("{{\"a\":\"{}", "\\".repeat(40_000)), "malformed"),
        ("commas", repeat_n(',', 40_000).collect(), "malformed"),
    ] {
        cases.push(Case::token(name, ask(&signed(HEADER, text)?), word));
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}
