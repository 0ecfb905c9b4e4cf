//! Which issuer, audience, type, times and lifetime a token must have.

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, SECRET, SERVE, hmac, now, raw_token};
use serde_json::{Value, json};

/// An nginx whose location `/` has a key and these directives.
fn with(directives: &str) -> Result<Nginx> {
    Nginx::builder()
        .http("large_client_header_buffers 4 128k;")
        .server(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {directives} {SERVE} }}"))
        .start()
}

fn token(claims: &Value) -> Result<String> {
    Jwt::live_with(claims).kid("k1").hs("HS256", SECRET)
}

/// Sends a token with each of `claims` and compares the verdicts.
fn expect(directives: &str, cases: &[(Value, u16, &str)]) -> Result<()> {
    let nginx = with(directives)?;
    for (claims, status, word) in cases {
        assert_eq!(
            nginx.bearer("/", &token(claims)?)?.verdict(),
            (*status, *word),
            "{directives} {claims}"
        );
    }
    nginx.finish()
}

#[test]
fn the_issuer_must_be_one_of_those_named() -> Result<()> {
    expect(
        "jwt_issuer https://a.example https://b.example;",
        &[
            (json!({ "iss": "https://a.example" }), 200, "ok"),
            (json!({ "iss": "https://b.example" }), 200, "ok"),
            (json!({ "iss": "https://a.example/" }), 401, "bad_issuer"),
            (json!({ "iss": "https://A.example" }), 401, "bad_issuer"),
            (json!({ "iss": "https://a.exampl" }), 401, "bad_issuer"),
            (json!({ "iss": "" }), 401, "bad_issuer"),
            (json!({}), 401, "bad_issuer"),
            (json!({ "iss": ["https://a.example"] }), 401, "malformed"),
            (json!({ "iss": 1 }), 401, "malformed"),
        ],
    )
}

#[test]
fn the_audience_must_contain_one_of_those_named() -> Result<()> {
    expect(
        "jwt_audience api web;",
        &[
            (json!({ "aud": "api" }), 200, "ok"),
            (json!({ "aud": ["x", "web"] }), 200, "ok"),
            (json!({ "aud": ["api", "web"] }), 200, "ok"),
            (json!({ "aud": "API" }), 401, "bad_audience"),
            (json!({ "aud": "api web" }), 401, "bad_audience"),
            (json!({ "aud": ["x"] }), 401, "bad_audience"),
            (json!({ "aud": [] }), 401, "bad_audience"),
            (json!({ "aud": "" }), 401, "bad_audience"),
            (json!({}), 401, "bad_audience"),
            (json!({ "aud": ["api", 1] }), 401, "malformed"),
            (json!({ "aud": [["api"]] }), 401, "malformed"),
            (json!({ "aud": 1 }), 401, "malformed"),
            (json!({ "aud": { "api": true } }), 401, "malformed"),
        ],
    )
}

#[test]
fn without_a_rule_any_issuer_and_audience_pass_whatever_their_type() -> Result<()> {
    expect(
        "",
        &[
            (json!({ "iss": "x", "aud": ["y"], "sub": "z", "jti": "1" }), 200, "ok"),
            (json!({ "iss": null, "sub": null }), 200, "ok"),
            (json!({ "iss": true }), 200, "ok"),
            (json!({ "aud": 1.5 }), 200, "ok"),
            (json!({ "sub": 7, "jti": [1] }), 200, "ok"),
        ],
    )
}

#[test]
fn the_type_must_be_one_of_those_named_without_case_and_prefix() -> Result<()> {
    let nginx = with("jwt_typ at+jwt application/secevent+jwt;")?;
    let cases = [
        (json!("at+jwt"), 200, "ok"),
        (json!("AT+JWT"), 200, "ok"),
        (json!("application/at+jwt"), 200, "ok"),
        (json!("Application/At+Jwt"), 200, "ok"),
        (json!("secevent+jwt"), 200, "ok"),
        (json!("JWT"), 401, "bad_type"),
        (json!("text/at+jwt"), 401, "bad_type"),
        (json!(""), 401, "bad_type"),
        (Value::Null, 401, "bad_type"),
        (json!(1), 401, "malformed"),
    ];
    for (typ, status, word) in cases {
        let token = Jwt::live().kid("k1").header("typ", typ.clone()).hs("HS256", SECRET)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (status, word), "{typ}");
    }
    nginx.finish()
}

#[test]
fn a_token_is_good_until_exp_and_from_nbf_on() -> Result<()> {
    let now = now();
    expect(
        "",
        &[
            (json!({ "exp": null }), 200, "ok"),
            (json!({ "exp": now + 20 }), 200, "ok"),
            (json!({ "exp": now }), 401, "expired"),
            (json!({ "exp": now - 1 }), 401, "expired"),
            (json!({ "nbf": now - 1 }), 200, "ok"),
            (json!({ "nbf": now + 60 }), 401, "not_yet_valid"),
            (json!({ "iat": now + 100_000 }), 200, "ok"),
            (json!({ "exp": now - 10, "nbf": now + 60 }), 401, "expired"),
        ],
    )
}

#[test]
fn leeway_moves_both_ends() -> Result<()> {
    let now = now();
    expect(
        "jwt_leeway 60s;",
        &[
            (json!({ "exp": now - 30 }), 200, "ok"),
            (json!({ "exp": now - 61 }), 401, "expired"),
            (json!({ "nbf": now + 30 }), 200, "ok"),
            (json!({ "nbf": now + 90 }), 401, "not_yet_valid"),
        ],
    )?;
    expect(
        "jwt_leeway 1h;",
        &[(json!({ "exp": now - 3500 }), 200, "ok"), (json!({ "exp": 0 }), 401, "expired")],
    )
}

#[test]
fn times_are_numbers_of_any_size_and_nothing_else() -> Result<()> {
    let nginx = with("")?;
    let past = ["0", "-1", "1", "0.5", "-9223372036854775808", "-1e300", "1e-400", "1.5e9"];
    let future = [
        "4102444800",
        "4102444800.5",
        "4.1024448e9",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1e300",
        "99999999999999999999999999999999",
    ];
    let wrong = ["\"4102444800\"", "true", "false", "[4102444800]", "{}", "[]", "\"\""];
    let null = ["null"];
    for (values, exp, nbf, iat) in [
        (&past[..], (401, "expired"), (200, "ok"), (200, "ok")),
        (&future[..], (200, "ok"), (401, "not_yet_valid"), (200, "ok")),
        (&wrong[..], (401, "malformed"), (401, "malformed"), (401, "malformed")),
        (&null[..], (401, "malformed"), (200, "ok"), (200, "ok")),
    ] {
        for value in values {
            for (claim, verdict) in [("exp", exp), ("nbf", nbf), ("iat", iat)] {
                let token = by_hand(format!(r#"{{"{claim}":{value}}}"#))?;
                assert_eq!(nginx.bearer("/", &token)?.verdict(), verdict, "{claim} {value}");
            }
        }
    }
    nginx.finish()
}

#[test]
fn a_number_beyond_every_size_is_either_far_away_or_malformed() -> Result<()> {
    let nginx = with("")?;
    for value in ["1e400", "1e999999999999", &format!("1{}", "0".repeat(5000))] {
        let token = by_hand(format!(r#"{{"exp":{value}}}"#))?;
        let response = nginx.bearer("/", &token)?;
        assert!(
            [(200, "ok"), (401, "malformed")].contains(&response.verdict()),
            "{:?}",
            response.verdict()
        );
        let token = by_hand(format!(r#"{{"nbf":{value}}}"#))?;
        assert_eq!(nginx.bearer("/", &token)?.status, 401, "{value}");
        let token = by_hand(format!(r#"{{"exp":-{value}}}"#))?;
        assert_eq!(nginx.bearer("/", &token)?.status, 401, "{value}");
    }
    nginx.finish()
}

#[test]
fn leeway_does_not_wrap_at_the_ends_of_numbers() -> Result<()> {
    let nginx = with("jwt_leeway 3650d;")?;
    for (payload, verdict) in [
        (r#"{"exp":-9223372036854775808}"#, (401, "expired")),
        (r#"{"exp":9223372036854775807}"#, (200, "ok")),
        (r#"{"exp":18446744073709551615}"#, (200, "ok")),
        (r#"{"nbf":9223372036854775807}"#, (401, "not_yet_valid")),
        (r#"{"nbf":-9223372036854775808}"#, (200, "ok")),
    ] {
        assert_eq!(nginx.bearer("/", &by_hand(payload)?)?.verdict(), verdict, "{payload}");
    }
    nginx.finish()
}

/// A token with exactly this payload.
fn by_hand(payload: impl AsRef<[u8]>) -> Result<String> {
    raw_token(r#"{"alg":"HS256","kid":"k1"}"#, payload, |input| {
        hmac("HS256", SECRET.as_bytes(), input)
    })
}

#[test]
fn a_token_that_never_expires_may_be_refused() -> Result<()> {
    expect(
        "jwt_require_exp on;",
        &[
            (json!({}), 200, "ok"),
            (json!({ "exp": null }), 401, "bad_lifetime"),
            (json!({ "exp": null, "iat": 1 }), 401, "bad_lifetime"),
        ],
    )?;
    expect("jwt_require_exp off;", &[(json!({ "exp": null }), 200, "ok")])
}

#[test]
fn a_token_that_lives_too_long_may_be_refused() -> Result<()> {
    let now = now();
    expect(
        "jwt_max_lifetime 1h;",
        &[
            (json!({ "exp": now + 3500 }), 200, "ok"),
            (json!({ "exp": now + 3700 }), 401, "bad_lifetime"),
            (json!({ "iat": now - 100, "exp": now + 3400 }), 200, "ok"),
            (json!({ "iat": now - 1000, "exp": now + 3400 }), 401, "bad_lifetime"),
            (json!({ "iat": now - 7200, "exp": now - 3700 }), 401, "expired"),
            (json!({ "exp": null }), 401, "bad_lifetime"),
            (json!({ "iat": "x", "exp": now + 10 }), 401, "malformed"),
        ],
    )
}

#[test]
fn the_signature_is_judged_before_any_claim() -> Result<()> {
    let nginx =
        with("jwt_issuer a; jwt_audience b; jwt_typ c; jwt_require_exp on; jwt_max_lifetime 1m;")?;
    for claims in [
        json!({ "exp": 1 }),
        json!({ "nbf": 9e9 }),
        json!({ "exp": null }),
        json!({ "exp": "x" }),
        json!({}),
    ] {
        let token = Jwt::live_with(&claims).kid("k1").hs("HS256", OTHER_SECRET)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "bad_signature"), "{claims}");
    }
    nginx.finish()
}

#[test]
fn a_payload_must_be_one_json_object() -> Result<()> {
    let nginx = with("")?;
    assert_eq!(nginx.bearer("/", &by_hand("{}")?)?.verdict(), (200, "ok"));
    assert_eq!(
        nginx.bearer("/", &by_hand(" {\n\"a\" : [1, {\"b\":null}] }\t")?)?.verdict(),
        (200, "ok")
    );
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let open = "[".repeat(20_000);
    let bad = [
        "",
        " ",
        "1",
        "\"a\"",
        "null",
        "[]",
        "[{}]",
        "{",
        "}",
        "{}{}",
        "{} x",
        "{}\u{0}",
        "\u{feff}{}",
        "{'a':1}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{/**/}",
        "{\"a\":NaN}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"exp\":1,\"exp\":9999999999}",
        deep.as_str(),
        open.as_str(),
    ];
    for payload in bad {
        let shown: String = payload.chars().take(40).collect();
        assert_eq!(nginx.bearer("/", &by_hand(payload)?)?.verdict(), (401, "malformed"), "{shown}");
    }
    let invalid = by_hand(b"{\"a\":\"\xff\"}")?;
    assert_eq!(nginx.bearer("/", &invalid)?.verdict(), (401, "malformed"));
    nginx.finish()
}

#[test]
fn a_header_must_be_one_json_object_without_extensions() -> Result<()> {
    let nginx = with("")?;
    let bad = [
        "",
        "1",
        "[]",
        "null",
        "{",
        r#"{"alg":"HS256","kid":"k1"}x"#,
        r#"{"alg":"HS256","alg":"HS256","kid":"k1"}"#,
        r#"{"alg":"HS256","\u0061lg":"HS256","kid":"k1"}"#,
        r#"{"alg":"HS256","kid":"k1","kid":"k1"}"#,
        r#"{"alg":"HS256","kid":"k1","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","kid":"k1","crit":[]}"#,
        r#"{"alg":"HS256","kid":"k1","crit":"b64","b64":true}"#,
        r#"{"alg":"HS256","kid":"k1","crit":null}"#,
        r#"{"alg":"HS256","kid":"k1","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","kid":"k1","b64":false}"#,
        "\u{feff}{\"alg\":\"HS256\",\"kid\":\"k1\"}",
        r#"{'alg':'HS256'}"#,
    ];
    for header in bad {
        let token =
            raw_token(header, r#"{"sub":"a"}"#, |input| hmac("HS256", SECRET.as_bytes(), input))?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "malformed"), "{header}");
    }
    nginx.finish()
}

#[test]
fn the_compact_form_is_strict() -> Result<()> {
    let nginx = with("")?;
    let good = token(&json!({}))?;
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("{good}")
    };
    let bad = [
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!(".{good}"),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!("{good}.{signature}.{signature}"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        format!("{header}.{payload}.{signature}%3D"),
        format!("{header}.+{payload}.{signature}"),
        format!("{header}.{payload}./{signature}"),
        format!("{header}.{payload}.{signature}A"),
        format!("{header}. {payload}.{signature}"),
        "...".to_owned(),
        "..".to_owned(),
        ".".to_owned(),
        "a".to_owned(),
    ];
    for token in bad {
        let response = nginx.bearer("/", &token)?;
        let verdict = response.verdict();
        // A signature that is only too short or too long is well-formed, but wrong.
        assert!(
            verdict.0 == 401 && ["malformed", "bad_signature"].contains(&verdict.1),
            "{token}: {verdict:?}"
        );
    }
    // The last character of a 32-byte signature has two unused bits, which must be zero.
    let last = signature.bytes().last().unwrap();
    let twin = char::from(if last == b'A' { b'B' } else { last + 1 });
    let twin = format!("{header}.{payload}.{}{twin}", &signature[..signature.len() - 1]);
    assert_eq!(nginx.bearer("/", &twin)?.status, 401);
    assert_eq!(nginx.bearer("/", &good)?.verdict(), (200, "ok"));
    nginx.finish()
}
