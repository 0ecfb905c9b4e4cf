//! `jwt_revoked`: lists of tokens to refuse although their signature and times are valid.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use module_tests::{
    Jwt, Nginx, OTHER_SECRET, P256, SECRET, SERVE, base64url, mistake, mistake_in, refuse_all,
};
use serde_json::{Value, json};

fn token(claims: &Value) -> Result<String> {
    Jwt::live_with(claims).kid("k1").hs("HS256", SECRET)
}

/// An nginx whose location `/` has `jwt_revoked CLAIM list.txt`.
fn start(claim: &str, list: impl Into<Vec<u8>>) -> Result<Nginx> {
    Nginx::builder()
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; k2 {OTHER_SECRET}; }}
                jwt_revoked {claim} list.txt; {SERVE} }}"
        ))
        .file("list.txt", list)
        .start()
}

#[test]
fn any_claim_may_be_listed() -> Result<()> {
    for (claim, list, revoked, others) in [
        ("jti", "t-1\nt-2\n", vec![json!({ "jti": "t-2" })], vec![json!({ "jti": "t-3" })]),
        ("sub", "alice\n", vec![json!({})], vec![json!({ "sub": "bob" }), json!({ "sub": null })]),
        (
            "sid",
            "7\n-2\n1.5\n18446744073709551615\n",
            vec![
                json!({ "sid": 7 }),
                json!({ "sid": "7" }),
                json!({ "sid": -2 }),
                json!({ "sid": 1.5 }),
                json!({ "sid": u64::MAX }),
            ],
            vec![json!({ "sid": 8 }), json!({ "sid": true }), json!({ "sid": { "7": 7 } })],
        ),
        (
            "groups",
            "red\n",
            vec![json!({ "groups": ["blue", "red"] }), json!({ "groups": "red" })],
            vec![json!({ "groups": ["blue"] }), json!({ "groups": [["red"]] }), json!({})],
        ),
        (
            "device.id",
            "d1\n",
            vec![json!({ "device": { "id": "d1" } }), json!({ "device.id": "d1" })],
            vec![json!({ "device": { "id": "d2" } }), json!({ "device": "d1" })],
        ),
        (
            "https://example.com/tenant",
            "t1",
            vec![json!({ "https://example.com/tenant": "t1" })],
            vec![json!({ "https://example.com/tenant": "t10" }), json!({ "tenant": "t1" })],
        ),
    ] {
        let nginx = start(claim, list)?;
        for claims in revoked {
            let response = nginx.bearer("/", &token(&claims)?)?;
            assert_eq!(response.verdict(), (401, "revoked"), "{claim}: {claims}");
            let description =
                "error=\"invalid_token\", error_description=\"The token was revoked\"";
            assert_eq!(response.challenge(), format!("Bearer {description}"));
        }
        for claims in others {
            assert_eq!(nginx.bearer("/", &token(&claims)?)?.verdict(), (200, "ok"), "{claims}");
        }
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_list_may_hold_comments_empty_lines_and_ends_of_any_system() -> Result<()> {
    let list = "# stolen in May\r\n\r\n  t-1  \r\n#t-2\nt-3\n\n\t t 4\t\nt-\u{fc}\nt-5";
    let nginx = start("jti", list)?;
    for (jti, verdict) in [
        ("t-1", (401, "revoked")),
        ("t-2", (200, "ok")),
        ("#t-2", (200, "ok")),
        ("t-3", (401, "revoked")),
        ("t 4", (401, "revoked")),
        ("t-\u{fc}", (401, "revoked")),
        ("t-5", (401, "revoked")),
        ("t-", (200, "ok")),
        ("T-1", (200, "ok")),
        ("t-1\r", (200, "ok")),
        ("", (200, "ok")),
    ] {
        assert_eq!(nginx.bearer("/", &token(&json!({ "jti": jti }))?)?.verdict(), verdict, "{jti}");
    }
    nginx.finish()?;
    let nginx = start("jti", "")?;
    assert_eq!(nginx.bearer("/", &token(&json!({ "jti": "" }))?)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn numbers_are_revoked_by_their_value_and_strings_as_they_are() -> Result<()> {
    let list = "12345678901234567890123\n7.0\n\"8\"\n-0\n18446744073709551616\n";
    let nginx = start("id", list)?;
    let signed = |id: &str| {
        let payload = format!("{{\"id\":{id},\"exp\":{}}}", module_tests::now() + 300);
        module_tests::raw_token(r#"{"alg":"HS256","kid":"k1"}"#, payload, |input| {
            module_tests::hmac("HS256", SECRET.as_bytes(), input)
        })
    };
    for id in [
        "12345678901234567890123",
        "12345678901234567890123.0",
        "1.2345678901234567890123e22",
        "\"12345678901234567890123\"",
        "7",
        "7.00",
        "70e-1",
        "\"7.0\"",
        "\"8\"",
        "0",
        "-0.0",
        "\"-0\"",
        "18446744073709551616",
        "[1,7]",
    ] {
        assert_eq!(nginx.bearer("/", &signed(id)?)?.verdict(), (401, "revoked"), "{id}");
    }
    for id in [
        "12345678901234567890124",
        "12345678901234567890122",
        "12345678901234567890123.5",
        "1.2345678901234567e22",
        "\"7\"",
        "8",
        "\"0\"",
        "-7",
        "18446744073709551615",
        "18446744073709551617",
    ] {
        assert_eq!(nginx.bearer("/", &signed(id)?)?.verdict(), (200, "ok"), "{id}");
    }
    nginx.finish()
}

#[test]
fn every_value_can_be_listed() -> Result<()> {
    // Editors on Windows save a list in this form: byte order mark and CRLF.
    let list = "\u{feff}first\r\n\"#1\"\r\n  \"  spaces  \"\r\n\"line\\nbreak\"\r\n\"\\\"quoted\\\"\"\r\n\"\"\r\n";
    let nginx = start("jti", list)?;
    for jti in ["first", "#1", "  spaces  ", "line\nbreak", "\"quoted\"", ""] {
        let response = nginx.bearer("/", &token(&json!({ "jti": jti }))?)?;
        assert_eq!(response.verdict(), (401, "revoked"), "{jti:?}");
    }
    for jti in ["\u{feff}first", "\"#1\"", "spaces", "line", "quoted"] {
        assert_eq!(nginx.bearer("/", &token(&json!({ "jti": jti }))?)?.verdict(), (200, "ok"));
    }
    nginx.finish()
}

#[test]
fn a_revoked_key_vouches_for_nothing_whatever_kid_its_tokens_name() -> Result<()> {
    let nginx = start("kid", "k1\n")?;
    let stolen = |jwt: Jwt| jwt.hs("HS256", SECRET);
    assert_eq!(nginx.bearer("/", &stolen(Jwt::live().kid("k1"))?)?.verdict(), (401, "revoked"));
    // An attacker who has the key would leave out the kid.
    assert_eq!(nginx.bearer("/", &stolen(Jwt::live())?)?.verdict(), (401, "revoked"));
    assert_eq!(nginx.bearer("/", &stolen(Jwt::live().kid("k2"))?)?.status, 401);
    assert_eq!(nginx.bearer("/", &stolen(Jwt::live().kid(""))?)?.status, 401);
    for other in [Jwt::live().kid("k2"), Jwt::live()] {
        let other = other.hs("HS256", OTHER_SECRET)?;
        assert_eq!(nginx.bearer("/", &other)?.verdict(), (200, "ok"));
    }
    // Only the kid in the header counts, not a claim of that name.
    let claim = Jwt::live_with(&json!({ "kid": "k1" })).kid("k2").hs("HS256", OTHER_SECRET)?;
    assert_eq!(nginx.bearer("/", &claim)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn a_token_is_revoked_however_it_is_spelt() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; jwt_revoked jti list.txt; {SERVE} }}"))
        .file("keys.json", P256.jwks("ec")?)
        .file("list.txt", "stolen\n")
        .start()?;
    let jwt = |jti: &str| Jwt::live_with(&json!({ "jti": jti })).kid("ec");
    let good = jwt("mine").sign("ES256", &P256)?;
    let stolen = jwt("stolen").sign("ES256", &P256)?;
    assert_eq!(nginx.bearer("/", &good)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &mirrored(&good)?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &stolen)?.verdict(), (401, "revoked"));
    assert_eq!(nginx.bearer("/", &mirrored(&stolen)?)?.verdict(), (401, "revoked"));
    // Another header and another signature do not change the claims.
    let again = jwt("stolen").header("x", json!(1)).sign("ES256", &P256)?;
    assert_eq!(nginx.bearer("/", &again)?.verdict(), (401, "revoked"));
    for tail in ["=", "==", "A", "."] {
        assert_eq!(nginx.bearer("/", &format!("{stolen}{tail}"))?.status, 401, "{tail}");
    }
    nginx.finish()
}

/// The same ES256 token, whose signature has n-s instead of s and is valid too.
fn mirrored(token: &str) -> Result<String> {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (input, signature) = token.rsplit_once('.').unwrap_or_default();
    let mut signature = URL_SAFE_NO_PAD.decode(signature)?;
    let mut borrow = false;
    for (s, n) in signature.iter_mut().skip(32).zip(N).rev() {
        let (difference, under) = n.overflowing_sub(*s);
        let (difference, again) = difference.overflowing_sub(u8::from(borrow));
        (*s, borrow) = (difference, under || again);
    }
    Ok(format!("{input}.{}", base64url(signature)))
}

#[test]
fn several_lists_count_and_a_level_that_names_one_inherits_none() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt_revoked jti ids.txt; jwt_revoked sub users.txt;
            location / {{ {SERVE} }}
            location /own {{ jwt_revoked jti other.txt; {SERVE} }}
            location /rule {{ jwt_claim role exists; {SERVE} }}"
        ))
        .file("ids.txt", "t-1\n")
        .file("users.txt", "mallory\n")
        .file("other.txt", "t-9\n")
        .start()?;
    for (path, claims, status) in [
        ("/", json!({ "jti": "t-1" }), 401),
        ("/", json!({ "sub": "mallory", "jti": "t-2" }), 401),
        ("/", json!({ "jti": "t-9" }), 200),
        ("/own", json!({ "jti": "t-1", "sub": "mallory" }), 200),
        ("/own", json!({ "jti": "t-9" }), 401),
        // Revocation comes before the rules.
        ("/rule", json!({ "jti": "t-1" }), 401),
        ("/rule", json!({ "jti": "t-2" }), 403),
        ("/rule", json!({ "jti": "t-2", "role": "x" }), 200),
    ] {
        assert_eq!(nginx.bearer(path, &token(&claims)?)?.status, status, "{path} {claims}");
    }
    nginx.finish()
}

#[test]
fn what_a_revoked_token_says_is_not_shown_and_its_refusal_is_logged_once() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt_revoked sub list.txt;
            location / {{ add_header X-Sub \"<$jwt_claim_sub$jwt_payload>\" always; {SERVE}
                add_header X-Jwt-Status $jwt_status always; }}"
        ))
        .file("list.txt", "alice\n")
        .start()?;
    let revoked = token(&json!({}))?;
    let response = nginx.bearer("/", &revoked)?;
    assert_eq!((response.verdict(), response.header("X-Sub")), ((401, "revoked"), Some("<>")));
    let expired = token(&json!({ "exp": 1_000_000_000 }))?;
    assert_eq!(nginx.bearer("/", &expired)?.verdict(), (401, "expired"));
    let lines = nginx.refusals();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("revoked") && lines[0].contains("k1"), "{lines:?}");
    nginx.assert_no_secret(&[&revoked, &expired, SECRET])?;
    nginx.finish()
}

#[test]
fn a_reload_reads_the_lists_again() -> Result<()> {
    let nginx = start("jti", "t-1\n")?;
    let (one, two) = (token(&json!({ "jti": "t-1" }))?, token(&json!({ "jti": "t-2" }))?);
    assert_eq!(nginx.bearer("/", &one)?.verdict(), (401, "revoked"));
    assert_eq!(nginx.bearer("/", &two)?.verdict(), (200, "ok"));
    nginx.put("list.txt", "t-2\n")?;
    nginx.reload()?;
    assert_eq!(nginx.bearer("/", &one)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &two)?.verdict(), (401, "revoked"));
    nginx.put("list.txt", b"t-1\n\xff\n")?;
    assert!(nginx.reload_refused()?.contains("line 2"));
    assert_eq!(nginx.bearer("/", &two)?.verdict(), (401, "revoked"));
    nginx.finish()
}

#[test]
fn a_list_that_cannot_be_read_is_refused() -> Result<()> {
    refuse_all(&[
        mistake("no file", "jwt_revoked jti gone.txt;", &["gone.txt", "No such file"]),
        mistake("no name", "jwt_revoked jti \"\";", &["name of a file"]),
        mistake("no list", "jwt_revoked jti;", &["number of arguments"]),
        mistake("no claim", "jwt_revoked \"\" list.txt;", &["must name a claim"]),
        mistake("a directory", "jwt_revoked jti html;", &["html"]),
        mistake("too many dots", format!("jwt_revoked {} list.txt;", "a.".repeat(17)), &[]),
        mistake_in(
            "not UTF-8",
            "jwt_revoked jti list.txt;",
            "list.txt",
            *b"one\r\ntwo\r\n\r\nthr\xffee\r\nfour\r\n",
            &["line 4", "UTF-8"],
        ),
        mistake_in("UTF-16", "jwt_revoked jti list.txt;", "list.txt", *b"\xff\xfea\0", &["UTF-16"]),
        mistake_in(
            "no JSON string",
            "jwt_revoked jti list.txt;",
            "list.txt",
            *b"one\n\"two\" three\n",
            &["line 2", "double quote"],
        ),
    ])
}
