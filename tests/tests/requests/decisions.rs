//! The answer to each verdict: status, challenge, variable, and one line in the log that contains
//! no secret.

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, SECRET, SERVE, link, link_hmac, link_md5, now};
use serde_json::json;

const LINK_SECRET: &str = "a-secret-for-links-a-secret-for-links";

/// Each kind of token that is refused, with its `$jwt_status`.
fn refused() -> Result<Vec<(&'static str, String)>> {
    let live = |claims| Jwt::live_with(&claims).kid("key-one");
    let good = json!({ "iss": "me", "aud": "you" });
    let typ = |typ: &str| live(json!({ "iss": "me", "aud": "you" })).header("typ", json!(typ));
    let hs = |jwt: Jwt| jwt.header("typ", json!("at+jwt")).hs("HS256", SECRET);
    Ok(vec![
        ("malformed", "no.token".to_owned()),
        (
            "unknown_key",
            Jwt::live_with(&good)
                .kid("nobody")
                .header("typ", json!("at+jwt"))
                .hs("HS256", SECRET)?,
        ),
        ("bad_algorithm", live(good.clone()).hs("HS512", SECRET)?),
        ("bad_signature", live(good.clone()).hs("HS256", OTHER_SECRET)?),
        ("expired", hs(live(json!({ "iss": "me", "aud": "you", "exp": now() - 77 })))?),
        ("not_yet_valid", hs(live(json!({ "iss": "me", "aud": "you", "nbf": now() + 99 })))?),
        ("bad_issuer", hs(live(json!({ "iss": "him", "aud": "you" })))?),
        ("bad_audience", hs(live(json!({ "iss": "me", "aud": "them" })))?),
        ("bad_type", typ("JWT").hs("HS256", SECRET)?),
        ("bad_lifetime", hs(live(json!({ "iss": "me", "aud": "you", "exp": null })))?),
    ])
}

const DEMANDS: &str =
    "jwt_issuer me; jwt_audience you; jwt_typ at+jwt; jwt_require_exp on; jwt_algorithms HS256;";

fn start() -> Result<Nginx> {
    Nginx::start(format!(
        "jwt_kids {{ key-one {SECRET}; }} {DEMANDS}
        location /plain/ {{ {SERVE} }}
        location /realm/ {{ jwt_realm \"the api\"; {SERVE} }}"
    ))
}

#[test]
fn every_refused_token_gets_401_a_challenge_and_its_status_word() -> Result<()> {
    let nginx = start()?;
    for (word, token) in refused()? {
        for (path, realm) in [("/plain/", ""), ("/realm/", "realm=\"the api\", ")] {
            let response = nginx.bearer(path, &token)?;
            assert_eq!(response.verdict(), (401, word));
            assert_eq!(response.all("WWW-Authenticate").len(), 1, "{word}");
            let start = format!("Bearer {realm}error=\"invalid_token\", error_description=\"");
            let description =
                response.challenge().strip_prefix(&start).and_then(|rest| rest.strip_suffix('"'));
            let description =
                description.unwrap_or_else(|| panic!("{word}: {}", response.challenge()));
            assert!((1..80).contains(&description.len()), "{word}: {description}");
            // RFC 6750 section 3: no quote, no backslash, nothing outside printable ASCII.
            assert!(
                description.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\'),
                "{description}"
            );
        }
    }
    nginx.finish()
}

#[test]
fn without_a_token_the_challenge_has_no_error() -> Result<()> {
    let nginx = start()?;
    for (path, challenge) in [("/plain/", "Bearer"), ("/realm/", "Bearer realm=\"the api\"")] {
        let response = nginx.get(path)?;
        assert_eq!(response.verdict(), (401, "missing"));
        assert_eq!(response.all("WWW-Authenticate"), [challenge]);
    }
    nginx.finish()
}

#[test]
fn a_good_token_gets_no_challenge_and_no_line_in_the_log() -> Result<()> {
    let nginx = start()?;
    let good = Jwt::live_with(&json!({ "iss": "me", "aud": "you" }))
        .kid("key-one")
        .header("typ", json!("at+jwt"));
    let response = nginx.bearer("/realm/", &good.hs("HS256", SECRET)?)?;
    assert_eq!((response.verdict(), response.challenge()), ((200, "ok"), ""));
    assert_eq!(nginx.refusals(), Vec::<String>::new());
    nginx.finish()
}

#[test]
fn a_realm_is_quoted_and_may_hold_variables() -> Result<()> {
    let nginx = Nginx::start(format!(
        r#"jwt_kids {{ k1 {SECRET}; }}
        location /quotes {{ jwt_realm 'say "hi" \\ bye'; {SERVE} }}
        location /variable {{ jwt_realm "$arg_name at $host"; {SERVE} }}
        location /empty {{ jwt_realm ""; {SERVE} }}"#
    ))?;
    assert_eq!(nginx.get("/quotes")?.challenge(), r#"Bearer realm="say \"hi\" \\ bye""#);
    assert_eq!(nginx.get("/variable?name=it")?.challenge(), r#"Bearer realm="it at localhost""#);
    assert_eq!(
        nginx.get("/variable?name=a\"b")?.challenge(),
        r#"Bearer realm="a\"b at localhost""#
    );
    let empty = nginx.get("/empty")?;
    assert!(["Bearer", r#"Bearer realm="""#].contains(&empty.challenge()), "{}", empty.challenge());
    nginx.finish()
}

#[test]
fn control_characters_never_reach_the_challenge() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location ~ \"(?s)^/(?<name>.*)$\" {{ jwt_realm $name; {SERVE} }}"
    ))?;
    let response = nginx.get("/a%0d%0aX-Evil:%201%1f%7fb")?;
    assert_eq!((response.status, response.header("X-Evil")), (401, None));
    assert_eq!(response.challenge(), r#"Bearer realm="aX-Evil: 1b""#);
    nginx.finish()
}

#[test]
fn every_refusal_writes_one_line_with_reason_location_and_kid() -> Result<()> {
    let nginx = start()?;
    let refused = refused()?;
    for (i, (word, token)) in refused.iter().enumerate() {
        nginx.bearer("/plain/", token)?;
        let lines = nginx.refusals();
        assert_eq!(lines.len(), i + 1, "{word}: {lines:?}");
        let line = lines.last().unwrap();
        assert!(line.contains(word) && line.contains("/plain/"), "{word}: {line}");
        let kid = if *word == "unknown_key" { "nobody" } else { "key-one" };
        assert!(*word == "malformed" || line.contains(kid), "{word}: {line}");
    }
    let lines = nginx.refusals().join("\n");
    // The log gives the distance to `exp` or `nbf` in seconds, so that a wrong clock is noticed.
    assert!(lines.contains("77") || lines.contains("78"), "{lines}");
    assert!(lines.contains("99") || lines.contains("98"), "{lines}");
    nginx.get("/plain/")?;
    assert_eq!(nginx.refusals().len(), refused.len() + 1);
    let tokens: Vec<&str> =
        refused.iter().map(|(_, token)| token.as_str()).filter(|t| t.len() > 20).collect();
    nginx.assert_no_secret(&tokens)?;
    nginx.assert_no_secret(&[SECRET, OTHER_SECRET])?;
    nginx.finish()
}

#[test]
fn a_kid_cannot_forge_a_line_of_the_log() -> Result<()> {
    let nginx = start()?;
    let kid = "x\n2026/01/01 00:00:00 [emerg] 1#1: panicked at nothing\r\u{1b}[31m\u{0}\u{2028}\"";
    let token = Jwt::live().kid(kid).hs("HS256", SECRET)?;
    assert_eq!(nginx.bearer("/plain/", &token)?.verdict(), (401, "unknown_key"));
    let long = Jwt::live().kid(&"k".repeat(3000)).hs("HS256", SECRET)?;
    assert_eq!(nginx.bearer("/plain/", &long)?.verdict(), (401, "unknown_key"));
    let lines = nginx.refusals();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let log = nginx.error_log();
    assert!(!log.lines().any(|line| line.starts_with("2026/01/01 00:00:00 [emerg]")), "{log}");
    assert!(
        !log.contains('\u{1b}') && !log.contains('\u{0}') && !log.contains('\u{2028}'),
        "{log}"
    );
    nginx.configure(|builder| builder.expect_log("panicked at nothing"))?;
    nginx.finish()
}

#[test]
fn a_location_without_keys_is_off_and_untouched() -> Result<()> {
    let nginx = Nginx::start("location / { try_files /ok.txt =404; }")?;
    let response = nginx.bearer("/", "rubbish")?;
    assert_eq!((response.verdict(), response.link_verdict()), ((200, "off"), (200, "off")));
    assert_eq!(response.challenge(), "");
    nginx.finish()
}

#[test]
fn every_method_is_judged() -> Result<()> {
    let nginx = start()?;
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "FOO"] {
        let response = nginx.request().method(method).target("/plain/").send()?;
        assert_eq!(response.verdict(), (401, "missing"), "{method}");
        assert_eq!(response.challenge(), "Bearer", "{method}");
    }
    let response = nginx.request().target("/plain/").header("Range", "bytes=0-0").send()?;
    assert_eq!(response.verdict(), (401, "missing"));
    let response = nginx.raw(b"GET /plain/ HTTP/1.0\r\n\r\n")?;
    assert_eq!(response.verdict(), (401, "missing"));
    nginx.finish()
}

#[test]
fn a_body_is_read_or_dropped_but_never_taken_for_the_next_request() -> Result<()> {
    let nginx = start()?;
    let mut connection = nginx.connect()?;
    let smuggled = "GET /plain/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = nginx.request().method("POST").target("/plain/a").body(smuggled).keep_alive();
    assert_eq!(connection.send(&post)?.verdict(), (401, "missing"));
    assert_eq!(
        connection.send(&nginx.request().target("/plain/b").keep_alive())?.verdict(),
        (401, "missing")
    );
    drop(connection);
    nginx.stop()?; // The last line is written after the answer.
    let log = nginx.access_log();
    assert_eq!(log.lines().count(), 2, "{log}");
    nginx.finish()
}

#[test]
fn a_signed_link_gets_200_403_or_410_and_never_a_challenge() -> Result<()> {
    let nginx =
        Nginx::start(format!("location / {{ secure_token_secret {LINK_SECRET}; {SERVE} }}"))?;
    let (later, past) = (now() + 300, now() - 300);
    let st = link_md5(LINK_SECRET, "/a", later);
    let cases = [
        (link(LINK_SECRET, "/a", later), 200, "ok"),
        (format!("/a?st={}&e={later}", link_hmac(LINK_SECRET, "/a", later)?), 200, "ok"),
        ("/a".to_owned(), 403, "missing"),
        (format!("/a?st={st}"), 403, "missing"),
        (format!("/a?e={later}"), 403, "missing"),
        (format!("/a?st=x&e={later}"), 403, "malformed"),
        (format!("/a?st={st}&e=x"), 403, "malformed"),
        (format!("/b?st={st}&e={later}"), 403, "bad_signature"),
        (link("another secret", "/a", later), 403, "bad_signature"),
        (link(LINK_SECRET, "/a", past), 410, "expired"),
        (link("another secret", "/a", past), 403, "bad_signature"),
    ];
    for (target, status, word) in &cases {
        let response = nginx.get(target)?;
        assert_eq!(response.link_verdict(), (*status, *word), "{target}");
        assert_eq!(response.challenge(), "", "{target}");
        assert_eq!(response.verdict().1, "off", "{target}");
    }
    let refused: Vec<_> = cases.iter().filter(|(_, status, _)| *status != 200).collect();
    let lines = nginx.refusals();
    assert_eq!(lines.len(), refused.len(), "{lines:#?}");
    for (line, (target, _, word)) in lines.iter().zip(refused) {
        assert!(line.contains(word), "{target}: {line}");
    }
    nginx.assert_no_secret(&[LINK_SECRET, &st, &link_md5(LINK_SECRET, "/a", past)])?;
    nginx.finish()
}

#[test]
fn a_location_may_demand_both_a_token_and_a_link() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ jwt_kids {{ key-one {SECRET}; }} {SERVE}
            secure_token_secret {LINK_SECRET}; }}"
    ))?;
    let token = Jwt::live().kid("key-one").hs("HS256", SECRET)?;
    let good = link(LINK_SECRET, "/", now() + 300);
    let past = link(LINK_SECRET, "/", now() - 300);
    assert_eq!(nginx.bearer(&good, &token)?.verdict(), (200, "ok"));
    assert_eq!(nginx.get(&good)?.status, 401);
    assert_eq!(nginx.bearer("/", &token)?.status, 403);
    assert_eq!(nginx.bearer(&past, &token)?.status, 410);
    assert_ne!(nginx.get("/")?.status, 200);
    nginx.finish()
}
