//! `kid` only selects a key by its exact value. Without a `kid`, the module tries few keys.

use anyhow::Result;
use module_tests::{
    Jwt, Nginx, OTHER_SECRET, RSA, RSA_OTHER, SECRET, SERVE, jwk_set, mistake_in, refuse_all,
};
use serde_json::{Value, json};

use crate::{Case, signed, withstand};

const PAYLOAD: &str = r#"{"sub":"alice"}"#;

/// A header with this kid, written as JSON.
fn with(kid: &str) -> String {
    format!(r#"{{"alg":"HS256","kid":{kid}}}"#)
}

#[test]
fn a_kid_is_compared_after_unescaping_and_never_interpreted() -> Result<()> {
    let kids = json!({
        "k1": SECRET, "": SECRET, "../keys/k2": SECRET, "gr\u{fc}n": SECRET, "nul\u{0}": SECRET,
        "a\"b\\c": SECRET, "space kid": SECRET, "\u{1f511}": SECRET, "null": SECRET, "7": SECRET,
        "' OR '1'='1": SECRET, "L".repeat(300): SECRET,
    });
    let nginx = Nginx::builder()
        .http("client_header_buffer_size 2m; large_client_header_buffers 4 2m;")
        .server(format!("location / {{ jwt_kids_file kids.json; {SERVE} }}"))
        .file("kids.json", kids.to_string())
        .start()?;
    let mut cases = Vec::new();
    let mut add = |kid: &str, word| -> Result<()> {
        let shown: String = kid.chars().take(40).collect();
        let request = nginx.request().bearer(&signed(with(kid), PAYLOAD)?);
        cases.push(Case::token(format!("kid {shown}"), request, word));
        Ok(())
    };
    let long = format!("\"{}\"", "L".repeat(300));
    for kid in [
        r#""k1""#,
        r#""k\u0031""#,
        r#""\u006b\u0031""#,
        r#""\u006B1""#,
        r#""""#,
        r#""..\/keys\/k2""#,
        r#""../keys/k2""#,
        "\"gr\u{fc}n\"",
        r#""gr\u00fcn""#,
        r#""gr\u00FCn""#,
        r#""nul\u0000""#,
        r#""a\"b\\c""#,
        r#""a\u0022b\u005cc""#,
        r#""space kid""#,
        r#""space\u0020kid""#,
        "\"\u{1f511}\"",
        r#""\ud83d\udd11""#,
        r#""null""#,
        r#""7""#,
        r#""' OR '1'='1""#,
        &long,
    ] {
        add(kid, "ok")?;
    }
    for kid in [
        r#""K1""#,
        r#""k1 ""#,
        r#"" k1""#,
        r#""k1\u0000""#,
        r#""\u0000k1""#,
        r#""k1\n""#,
        r#""k1/""#,
        r#""./k1""#,
        r#""k""#,
        r#""k11""#,
        r#""k\u2081""#,
        "\"\u{43a}1\"",
        "\"k\u{ff11}\"",
        "\"\u{feff}k1\"",
        "\"k1\u{200b}\"",
        r#""nul""#,
        r#""nul\u0000\u0000""#,
        "\"gru\u{308}n\"",
        r#""\u0000""#,
        r#""k\\u0031""#,
        r#""%6b1""#,
        r#""../../../../etc/passwd""#,
        r#""/dev/null""#,
        r#""/proc/self/environ""#,
        r#""file:///etc/passwd""#,
        r#""..\\..\\windows\\win.ini""#,
        r#""http://127.0.0.1/k1""#,
        r#""k1' OR '1'='1""#,
        r#""x' UNION SELECT 'secret'--""#,
        r#""k1; DROP TABLE keys""#,
        r#""$(id)""#,
        r#""`id`""#,
        r#""|id""#,
        r#""${jndi:ldap://127.0.0.1/a}""#,
        r#""{{7*7}}""#,
        r#""%s%s%s%n""#,
        r#""%00""#,
        r#""*""#,
        r#"".*""#,
        r#""undefined""#,
        r#""__proto__""#,
        r#""constructor""#,
        r#""k1,k2""#,
        r#""[\"k1\"]""#,
        "\"\u{202e}1k\"",
        r#""\ud83d\udd12""#,
    ] {
        add(kid, "unknown_key")?;
    }
    // Null and empty are no kid, and a number is its text.
    add("null", "ok")?;
    add("7", "ok")?;
    for kid in ["0", "-1", "1.5", "7.0", "07e0"] {
        add(kid, if kid == "07e0" { "malformed" } else { "unknown_key" })?;
    }
    for kid in [
        "true",
        "false",
        "[]",
        "[\"k1\"]",
        "{}",
        "{\"k1\":1}",
        r#""\ud800""#,
        r#""\udc00k1""#,
        r#""k1"#,
        "'k1'",
        "k1",
        "",
        "NaN",
        "1e400",
        "\"k\n1\"",
        "\"k1\0\"",
        r#""k1","kid":"k1""#,
        r#""k2","k\u0069d":"k1""#,
        r#""k1","\u006b\u0069\u0064":"k1""#,
    ] {
        add(kid, "malformed")?;
    }
    for size in [1024, 5 * 1024] {
        add(&format!("\"{}\"", "k".repeat(size)), "unknown_key")?;
    }
    // The module parses no header above 8 KiB, because its signature is not verified yet.
    for size in [8 * 1024, 64 * 1024, 1024 * 1024] {
        add(&format!("\"{}\"", "k".repeat(size)), "malformed")?;
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn a_kid_stays_on_its_line_of_the_log() -> Result<()> {
    let nginx = Nginx::start(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"))?;
    let forged = "2026/01/01 00:00:00 [error] 1#1: forged";
    let kids = [
        format!("a\n{forged}"),
        format!("a\r\n{forged}"),
        format!("a\u{85}{forged}"),
        format!("a\u{2028}{forged}"),
        "\u{1b}[2J\u{1b}]0;title\u{7}".to_owned(),
        "\u{9b}31m".to_owned(),
        "a\u{0}b".to_owned(),
        "a\", client: 1.2.3.4".to_owned(),
        "\u{202e}desrever".to_owned(),
        "k".repeat(4000),
    ];
    let cases = kids.iter().map(|kid| {
        let token = Jwt::live().kid(kid).hs("HS256", SECRET).unwrap();
        Case::token(format!("{kid:.30?}"), nginx.request().bearer(&token), "unknown_key")
    });
    withstand(&nginx, cases)?;
    let log = std::fs::read(nginx.socket("logs/error.log"))?;
    let stray = log.iter().find(|byte| **byte != b'\n' && !matches!(**byte, b' '..=b'~'));
    assert_eq!(stray, None, "a byte that is no printable ASCII in the log");
    assert!(!nginx.error_log().lines().any(|line| line.starts_with("2026/01/01")));
    assert!(nginx.refusals().iter().all(|line| line.len() < 1024));
    nginx.finish()
}

#[test]
fn without_a_kid_few_keys_are_tried() -> Result<()> {
    let secret = |i: usize| format!("secret-number-{i:03}-secret-number-{i:03}-secret-number");
    let pairs: serde_json::Map<_, _> =
        (0..200).map(|i| (format!("kid-{i:03}"), json!(secret(i)))).collect();
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}
            location /two {{ jwt_kids {{ k1 {SECRET}; k2 {OTHER_SECRET}; }} {SERVE} }}
            location /many {{ jwt_kids_file kids.json; {SERVE} }}
            location /rsa {{ jwks_file rsa.json; {SERVE} }}"
        ))
        .file("kids.json", Value::Object(pairs).to_string())
        .file("rsa.json", RSA.jwks("rsa")?)
        .start()?;
    let mut cases = Vec::new();
    let mut add = |path: &str, name: &str, token: &str, word| {
        let request = nginx.request().target(path).bearer(token);
        cases.push(Case::token(format!("{path} {name}"), request, word));
    };
    let unnamed = |secret: &str| Jwt::live().hs("HS256", secret);
    add("/", "the only key", &unnamed(SECRET)?, "ok");
    add("/", "another key", &unnamed(OTHER_SECRET)?, "bad_signature");
    add("/two", "the first", &unnamed(SECRET)?, "ok");
    add("/two", "the second", &unnamed(OTHER_SECRET)?, "ok");
    add("/rsa", "the only key", &Jwt::live().sign("PS256", &RSA)?, "ok");
    add("/rsa", "another key", &Jwt::live().sign("PS256", &RSA_OTHER)?, "bad_signature");
    add("/rsa", "of another type", &unnamed(SECRET)?, "bad_algorithm");
    // Without a kid, only the first two keys of the algorithm are tried.
    for i in 0..200 {
        let word = if i < 2 { "ok" } else { "bad_signature" };
        add("/many", &format!("no kid, key {i}"), &unnamed(&secret(i))?, word);
    }
    // With its kid, every key verifies its own tokens.
    for i in (0..200).step_by(7) {
        let kid = format!("kid-{i:03}");
        let good = Jwt::live().kid(&kid).hs("HS256", secret(i))?;
        let bad = Jwt::live().kid(&kid).hs("HS256", secret(i + 1))?;
        add("/many", &kid, &good, "ok");
        add("/many", &format!("{kid}, by the next"), &bad, "bad_signature");
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn a_kid_twice_in_a_file_is_a_mistake_or_told() -> Result<()> {
    let rsa = |kid: &str| RSA.jwk(&json!({ "kid": kid }));
    let other = |kid: &str| RSA_OTHER.jwk(&json!({ "kid": kid }));
    let text = |keys: &[Value]| jwk_set(keys);
    let directive = "jwks_file keys.json;";
    let mistakes = [
        mistake_in(
            "two RSA keys",
            directive,
            "keys.json",
            text(&[rsa("a")?, other("a")?]),
            &["duplicate kid", "\"a\""],
        ),
        mistake_in(
            "equal after unescaping",
            directive,
            "keys.json",
            text(&[rsa("a")?, other("a")?]).replacen("\"kid\":\"a\"", "\"kid\":\"\\u0061\"", 1),
            &["duplicate kid"],
        ),
        mistake_in(
            "a member twice",
            directive,
            "keys.json",
            rsa("a")?.to_string().replacen("{", "{\"kid\":\"b\",", 1),
            &["\"kid\" stands twice"],
        ),
        mistake_in(
            "two secrets",
            "jwt_kids_file kids.json;",
            "kids.json",
            format!("{{\"a\":\"{SECRET}\",\"\\u0061\":\"{OTHER_SECRET}\"}}"),
            &["\"a\" stands twice"],
        ),
    ];
    println!("attack cases: {}", mistakes.len());
    refuse_all(&mistakes)
}
