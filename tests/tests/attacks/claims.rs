//! Registered claims of every wrong type and size, other issuers' tokens, and ways around a list of
//! revoked tokens.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use module_tests::{
    Jwt, Nginx, OTHER_SECRET, P256, RSA, RSA_OTHER, Request, SECRET, SERVE, base64url, now,
};
use serde_json::json;

use crate::signatures::{order, subtract};
use crate::{Case, HEADER, signed, withstand};

/// `/` requires no claim, `/iss` and `/aud` require one, `/slack` has the largest leeway.
fn start() -> Result<Nginx> {
    Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location / {{ {SERVE} }}
        location /iss {{ jwt_issuer me; {SERVE} }}
        location /aud {{ jwt_audience you; {SERVE} }}
        location /must {{ jwt_require_exp on; {SERVE} }}
        location /short {{ jwt_max_lifetime 1h; {SERVE} }}
        location /minute {{ jwt_leeway 1m; {SERVE} }}
        location /slack {{ jwt_leeway 9223372036854775807s; {SERVE} }}"
    ))
}

/// Values that are not numbers, written as JSON.
const NO_NUMBERS: [&str; 12] = [
    "\"1\"",
    "\"4102444800\"",
    "\"\"",
    "true",
    "false",
    "null",
    "[]",
    "[4102444800]",
    "{}",
    "{\"$numberLong\":\"4102444800\"}",
    "\"Infinity\"",
    "\"2099-01-01T00:00:00Z\"",
];

/// Texts that the JSON parser refuses in the place of a number.
const NO_JSON: [&str; 13] = [
    "1e400",
    "-1e400",
    "1e99999999999",
    "NaN",
    "Infinity",
    "-Infinity",
    "0x7fffffff",
    "+4102444800",
    "04102444800",
    "4102444800.",
    ".5",
    "4_102_444_800",
    "",
];

#[test]
fn times_of_the_wrong_type_are_refused_and_extreme_ones_compare() -> Result<()> {
    let nginx = start()?;
    let mut cases = Vec::new();
    let mut add = |path: &str, claims: String, word| -> Result<()> {
        let token = signed(HEADER, format!("{{\"sub\":\"alice\",{claims}}}"))?;
        let request = nginx.request().target(path).bearer(&token);
        cases.push(Case::token(format!("{path} {claims}"), request, word));
        Ok(())
    };
    for claim in ["exp", "nbf", "iat"] {
        for value in NO_NUMBERS.into_iter().chain(NO_JSON) {
            // Null is as good as no claim, except for `exp`.
            let word = if value == "null" && claim != "exp" { "ok" } else { "malformed" };
            for path in ["/", "/slack"] {
                add(path, format!("\"{claim}\":{value}"), word)?;
            }
        }
    }
    let (max, over) = ("9223372036854775807", "9223372036854775808");
    let past = [
        "0",
        "-0",
        "-0.0",
        "1",
        "-1",
        "0.5",
        "1e0",
        "1E9",
        "-9223372036854775808",
        "-9223372036854775809",
        "-18446744073709551616",
        "-1e300",
        "1e-300",
        "5e-324",
        "1.9999999999",
        "946684799.999",
    ];
    let future = [
        max,
        over,
        "18446744073709551615",
        "18446744073709551616",
        "1e18",
        "1e300",
        "99999999999999999999999999999999999999",
        "4102444800",
        "4102444800.5",
        "4.1024448e9",
        "1.7976931348623157e308",
    ];
    for value in past {
        add("/", format!("\"exp\":{value}"), "expired")?;
        add("/minute", format!("\"exp\":{value}"), "expired")?;
        add("/", format!("\"nbf\":{value}"), "ok")?;
        add("/", format!("\"iat\":{value}"), "ok")?;
    }
    for value in future {
        for path in ["/", "/minute", "/must", "/slack"] {
            add(path, format!("\"exp\":{value}"), "ok")?;
        }
        add("/", format!("\"nbf\":{value}"), "not_yet_valid")?;
        add("/minute", format!("\"nbf\":{value}"), "not_yet_valid")?;
        // A future `iat` alone is no reason to refuse a token.
        add("/", format!("\"iat\":{value}"), "ok")?;
        // A huge `exp` must not overflow into a short lifetime.
        add("/short", format!("\"exp\":{value}"), "bad_lifetime")?;
        add("/short", format!("\"exp\":{value},\"iat\":0"), "bad_lifetime")?;
        add("/short", format!("\"exp\":{value},\"iat\":-{max}"), "bad_lifetime")?;
    }
    // Leeway is added and subtracted without overflow: a time beyond its reach stays refused.
    add("/slack", "\"exp\":0".to_owned(), "ok")?;
    add("/slack", format!("\"nbf\":{max}"), "ok")?;
    add("/slack", format!("\"nbf\":{over}"), "not_yet_valid")?;
    add("/slack", "\"nbf\":18446744073709551615".to_owned(), "not_yet_valid")?;
    add("/slack", "\"nbf\":1e300".to_owned(), "not_yet_valid")?;
    add("/slack", format!("\"exp\":-{over}"), "expired")?;
    add("/slack", "\"exp\":-1e300".to_owned(), "expired")?;
    let now = now();
    for (claims, word) in [
        (format!("\"exp\":{}", now + 300), "ok"),
        (format!("\"exp\":{}.5", now + 300), "ok"),
        (format!("\"exp\":{}", now - 1), "expired"),
        (format!("\"exp\":{}.999", now - 2), "expired"),
        (format!("\"nbf\":{}.5", now - 2), "ok"),
        (format!("\"nbf\":{}", now + 300), "not_yet_valid"),
        (format!("\"nbf\":{}.5", now + 300), "not_yet_valid"),
        (format!("\"exp\":{},\"nbf\":{}", now - 9, now + 300), "expired"),
        (format!("\"exp\":{},\"exp\":{}", now - 9, now + 300), "malformed"),
        (format!("\"exp\":{},\"e\\u0078p\":{}", now - 9, now + 300), "malformed"),
        (format!("\"Exp\":{},\"EXP\":1", now - 9), "ok"),
    ] {
        add("/", claims, word)?;
    }
    add("/must", "\"nbf\":1".to_owned(), "bad_lifetime")?;
    add("/must", "\"Exp\":4102444800".to_owned(), "bad_lifetime")?;
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn claims_are_not_looked_at_before_the_signature_holds() -> Result<()> {
    let nginx = start()?;
    let mut cases = Vec::new();
    for (path, claims) in [
        ("/", json!({ "exp": 1 })),
        ("/", json!({ "exp": "never" })),
        ("/", json!({ "nbf": 4_102_444_800_u64 })),
        ("/", json!({ "aud": 1 })),
        ("/iss", json!({ "iss": "him" })),
        ("/iss", json!({ "iss": 7 })),
        ("/aud", json!({ "aud": "them" })),
        ("/must", json!({ "exp": null })),
    ] {
        let bad = Jwt::live_with(&claims).kid("k1").hs("HS256", OTHER_SECRET)?;
        let unknown = Jwt::live_with(&claims).kid("k2").hs("HS256", SECRET)?;
        let ask = |token: &str| nginx.request().target(path).bearer(token);
        cases.push(Case::token(format!("{path} {claims}"), ask(&bad), "bad_signature"));
        cases.push(Case::token(format!("{path} {claims}, kid"), ask(&unknown), "unknown_key"));
    }
    // Before the signature is verified, the payload is not even parsed as JSON.
    for payload in ["", "{", "[]", "null", "\u{0}", "{\"a\":1,\"a\":2}"] {
        let good = signed(HEADER, payload)?;
        let input = good.rsplit_once('.').unwrap().0;
        let word = if payload.is_empty() { "malformed" } else { "bad_signature" };
        let request = nginx.request().bearer(&format!("{input}.{}", base64url([1; 32])));
        cases.push(Case::token(format!("payload {payload:?}"), request, word));
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn issuers_audiences_and_subjects_of_the_wrong_type() -> Result<()> {
    let nginx = start()?;
    let mut cases = Vec::new();
    let mut add = |path: &str, claims: &str, word| -> Result<()> {
        let request = nginx.request().target(path).bearer(&signed(HEADER, claims)?);
        cases.push(Case::token(format!("{path} {claims}"), request, word));
        Ok(())
    };
    let no_strings =
        ["1", "0", "true", "null", "{}", "[]", "[\"me\"]", "{\"me\":1}", "[[\"me\"]]", "1e300"];
    // Types matter only where the claim is asked for.
    for value in no_strings {
        for claim in ["sub", "jti"] {
            let claims = format!("{{\"{claim}\":{value},\"iss\":\"me\",\"aud\":\"you\"}}");
            for path in ["/", "/iss", "/aud"] {
                add(path, &claims, "ok")?;
            }
        }
        let claims = format!("{{\"iss\":{value},\"aud\":\"you\"}}");
        let word = if value == "null" { "bad_issuer" } else { "malformed" };
        for (path, word) in [("/", "ok"), ("/aud", "ok"), ("/iss", word)] {
            add(path, &claims, word)?;
        }
    }
    for value in [
        "1",
        "true",
        "null",
        "{}",
        "{\"you\":1}",
        "[1]",
        "[\"you\",1]",
        "[\"you\",null]",
        "[\"you\",[\"you\"]]",
        "[[\"you\"]]",
        "[{\"you\":1}]",
        "[\"you\",true]",
    ] {
        let word = if value == "null" { "bad_audience" } else { "malformed" };
        for (path, word) in [("/", "ok"), ("/aud", word)] {
            add(path, &format!("{{\"aud\":{value}}}"), word)?;
        }
    }
    for (path, claims, word) in [
        ("/aud", r#"{"aud":"you"}"#, "ok"),
        ("/aud", r#"{"aud":["you"]}"#, "ok"),
        ("/aud", r#"{"aud":["a","you","b"]}"#, "ok"),
        ("/aud", r#"{"aud":"\u0079ou"}"#, "ok"),
        ("/aud", "{}", "bad_audience"),
        ("/aud", r#"{"aud":[]}"#, "bad_audience"),
        ("/aud", r#"{"aud":""}"#, "bad_audience"),
        ("/aud", r#"{"aud":"YOU"}"#, "bad_audience"),
        ("/aud", r#"{"aud":"you "}"#, "bad_audience"),
        ("/aud", r#"{"aud":"you\u0000"}"#, "bad_audience"),
        ("/aud", r#"{"aud":"a,you"}"#, "bad_audience"),
        ("/aud", r#"{"aud":"a you"}"#, "bad_audience"),
        ("/aud", r#"{"aud":"yo"}"#, "bad_audience"),
        ("/aud", r#"{"aud":"*"}"#, "bad_audience"),
        ("/aud", r#"{"Aud":"you"}"#, "bad_audience"),
        ("/aud", r#"{"aud":"a","AUD":"you"}"#, "bad_audience"),
        ("/aud", r#"{"aud":"a","aud":"you"}"#, "malformed"),
        ("/iss", r#"{"iss":"me"}"#, "ok"),
        ("/iss", r#"{"iss":"m\u0065"}"#, "ok"),
        ("/iss", "{}", "bad_issuer"),
        ("/iss", r#"{"iss":""}"#, "bad_issuer"),
        ("/iss", r#"{"iss":"ME"}"#, "bad_issuer"),
        ("/iss", r#"{"iss":"me/"}"#, "bad_issuer"),
        ("/iss", r#"{"iss":" me"}"#, "bad_issuer"),
        ("/iss", r#"{"iss":"me\u0000"}"#, "bad_issuer"),
        ("/iss", r#"{"iss":"m\u00e9"}"#, "bad_issuer"),
        ("/iss", r#"{"iss":"m","sub":"e"}"#, "bad_issuer"),
        ("/iss", r#"{"a":{"iss":"me"}}"#, "bad_issuer"),
        ("/", r#"{"sub":""}"#, "ok"),
        ("/", "{}", "ok"),
    ] {
        add(path, claims, word)?;
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn a_key_of_one_provider_never_vouches_for_another() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!(
            "jwt_provider one {{ jwt_issuer one; jwks_file one.json; }}
            jwt_provider two {{ jwt_issuer two; jwks_file two.json; }}
            jwt_provider three {{ jwt_issuer three; jwt_kids {{ same {SECRET}; }} }}"
        ))
        .server(format!(
            "location / {{ jwt on provider=one provider=two provider=three; {SERVE} }}
            location /one {{ jwt on provider=one; {SERVE} }}"
        ))
        .file("one.json", RSA.jwks("same")?)
        .file("two.json", RSA_OTHER.jwks("same")?)
        .start()?;
    let sign = |signer: &str, claims: serde_json::Value, kid: Option<&str>| {
        let jwt = Jwt::live_with(&claims);
        let jwt = kid.map_or(jwt.clone(), |kid| jwt.kid(kid));
        match signer {
            "one" => jwt.sign("RS256", &RSA),
            "two" => jwt.sign("RS256", &RSA_OTHER),
            _ => jwt.hs("HS256", SECRET),
        }
    };
    let mut cases = Vec::new();
    let providers = ["one", "two", "three"];
    for signer in providers {
        for issuer in providers {
            for kid in [Some("same"), None] {
                let token = sign(signer, json!({ "iss": issuer }), kid)?;
                let (all, only_one) = match (signer == issuer, issuer) {
                    (true, "one") => ("ok", "ok"),
                    (true, _) => ("ok", "bad_issuer"),
                    // The signer has a secret where the issuer has a public key, or the reverse.
                    (false, _) if signer == "three" || issuer == "three" => (
                        "bad_algorithm",
                        if issuer == "one" { "bad_algorithm" } else { "bad_issuer" },
                    ),
                    (false, "one") => ("bad_signature", "bad_signature"),
                    (false, _) => ("bad_signature", "bad_issuer"),
                };
                for (path, word) in [("/", all), ("/one", only_one)] {
                    let name = format!("{path}: {signer} says {issuer}, kid {kid:?}");
                    let request = nginx.request().target(path).bearer(&token);
                    cases.push(Case::token(name, request, word));
                }
            }
        }
        for (claims, word) in [
            (json!({}), "bad_issuer"),
            (json!({ "iss": "" }), "bad_issuer"),
            (json!({ "iss": "ONE" }), "bad_issuer"),
            (json!({ "iss": "one\u{0}" }), "bad_issuer"),
            (json!({ "iss": "one two three" }), "bad_issuer"),
            (json!({ "iss": ["one", "two", "three"] }), "malformed"),
            (json!({ "iss": 1 }), "malformed"),
            (json!({ "iss": { "one": 1 } }), "malformed"),
        ] {
            let request = nginx.request().bearer(&sign(signer, claims.clone(), Some("same"))?);
            cases.push(Case::token(format!("{signer} says {claims}"), request, word));
        }
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn a_revoked_token_stays_revoked_however_it_is_written() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "jwks_file keys.json; jwt_kids {{ k1 {SECRET}; }}
            location / {{ {SERVE} }}
            location /jti {{ jwt_revoked jti list.txt; {SERVE} }}
            location /kid {{ jwt_revoked kid list.txt; {SERVE} }}
            location /sub {{ jwt_revoked sub list.txt; {SERVE} }}"
        ))
        .file("keys.json", P256.jwks("stolen")?)
        .file("list.txt", "stolen\n")
        .start()?;
    let es = Jwt::live_with(&json!({ "jti": "stolen", "sub": "stolen" }))
        .kid("stolen")
        .sign("ES256", &P256)?;
    let (input, signature) = es.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature)?;
    let (r, s) = signature.split_at(32);
    let other_s = format!("{input}.{}", base64url([r, &subtract(&order("ES256"), s)].concat()));
    let hs = |header: &str, payload: &str| signed(header, payload);
    let mut cases = Vec::new();
    let mut add = |name: &str, path: &str, token: &str, word| {
        let request: Request = nginx.request().target(path).bearer(token);
        cases.push(Case::token(format!("{path} {name}"), request, word));
    };
    for path in ["/jti", "/kid", "/sub"] {
        add("as it was", path, &es, "revoked");
        // ECDSA accepts n - s as well as s, so the changed token must be revoked, too.
        add("s as n - s", path, &other_s, "revoked");
        add("padded", path, &format!("{es}="), "malformed");
        add("other trailing bits", path, &with_other_trailing_bits(&es), "malformed");
    }
    add("s as n - s where nothing is revoked", "/", &other_s, "ok");
    for (name, path, header, payload, word) in [
        ("escapes", "/jti", HEADER, r#"{"jti":"\u0073tol\u0065n"}"#, "revoked"),
        ("an escaped name", "/jti", HEADER, r#"{"j\u0074i":"stolen"}"#, "revoked"),
        ("white space", "/jti", HEADER, "{ \"jti\" :\t\"stolen\" }\n", "revoked"),
        ("other members first", "/jti", HEADER, r#"{"a":1,"jti":"stolen"}"#, "revoked"),
        ("twice", "/jti", HEADER, r#"{"jti":"fine","jti":"stolen"}"#, "malformed"),
        ("in another case", "/jti", HEADER, r#"{"JTI":"stolen"}"#, "ok"),
        ("another", "/jti", HEADER, r#"{"jti":"fine"}"#, "ok"),
        ("an escaped kid", "/kid", r#"{"alg":"ES256","kid":"st\u006flen"}"#, "{}", "bad_signature"),
    ] {
        add(name, path, &hs(header, payload)?, word);
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

/// The same token with other unused bits in its last character.
fn with_other_trailing_bits(token: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = token.split_at(token.len() - 1);
    let next = ALPHABET.find(last).and_then(|at| ALPHABET.get(at + 1..at + 2));
    format!("{rest}{}", next.unwrap_or("A"))
}
