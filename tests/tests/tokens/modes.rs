//! The switch `jwt`: what each mode does, and variables that choose the mode of each request.

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, Request, SECRET, SERVE, link, now};
use serde_json::json;

const LINK_SECRET: &str = "a-secret-for-links-a-secret-for-links";

fn admin() -> Result<String> {
    Jwt::live_with(&json!({ "role": "admin" })).kid("k1").hs("HS256", SECRET)
}

/// A valid token that the rule `role = admin` denies.
fn guest() -> Result<String> {
    Jwt::live_with(&json!({ "role": "guest" })).kid("k1").hs("HS256", SECRET)
}

fn forged() -> Result<String> {
    Jwt::live_with(&json!({ "role": "admin" })).kid("k1").hs("HS256", OTHER_SECRET)
}

/// The verdicts of a mode on: no token, a forged one, one that a rule denies, and a good one.
type Verdicts = [(u16, &'static str); 4];

const ON: Verdicts = [(401, "missing"), (401, "bad_signature"), (403, "denied"), (200, "ok")];
const OFF: Verdicts = [(200, "off"); 4];
const OPTIONAL: Verdicts = [(200, "missing"), (401, "bad_signature"), (403, "denied"), (200, "ok")];
const PERMISSIVE: Verdicts =
    [(200, "missing"), (200, "bad_signature"), (200, "denied"), (200, "ok")];

/// Sends a request for each of these four cases, and requires these verdicts.
fn expect(target: &str, ask: impl Fn() -> Request, verdicts: Verdicts) -> Result<()> {
    let tokens = [None, Some(forged()?), Some(guest()?), Some(admin()?)];
    for (token, verdict) in tokens.iter().zip(verdicts) {
        let request = ask().target(target);
        let response = match token {
            Some(token) => request.bearer(token),
            None => request,
        }
        .send()?;
        assert_eq!(response.verdict(), verdict, "{target}");
        assert_eq!(response.challenge().is_empty(), verdict.0 == 200, "{target}");
    }
    Ok(())
}

#[test]
fn each_mode_answers_as_it_says() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} jwt_claim role = admin;
        location /default {{ {SERVE} }}
        location /on {{ jwt on; {SERVE} }}
        location /off {{ jwt off; {SERVE} }}
        location /optional {{ jwt optional; {SERVE} }}
        location /permissive {{ jwt permissive; {SERVE} }}
        location /shouted {{ jwt OPTIONAL; {SERVE} }}"
    ))?;
    for (target, verdicts) in [
        ("/default", ON),
        ("/on", ON),
        ("/off", OFF),
        ("/optional", OPTIONAL),
        ("/permissive", PERMISSIVE),
        ("/shouted", OPTIONAL),
    ] {
        expect(target, || nginx.request(), verdicts)?;
    }
    nginx.finish()
}

#[test]
fn a_variable_gives_the_mode_of_each_request() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} jwt_claim role = admin; jwt $arg_mode;
        location / {{ {SERVE} }}
        location /mixed {{ jwt \"$arg_a$arg_b\"; {SERVE} }}"
    ))?;
    for (target, verdicts) in [
        ("/?mode=on", ON),
        ("/?mode=1", ON),
        ("/?mode=off", OFF),
        ("/?mode=0", OFF),
        // An empty value means on: a forgotten variable must not open the location.
        ("/?mode=", ON),
        ("/", ON),
        ("/?mode=optional", OPTIONAL),
        ("/?mode=permissive", PERMISSIVE),
        ("/mixed?a=o&b=n", ON),
        ("/mixed?a=optio&b=nal", OPTIONAL),
        ("/mixed", ON),
    ] {
        expect(target, || nginx.request(), verdicts)?;
    }
    nginx.finish()
}

#[test]
fn a_variable_without_sense_is_a_failure_and_never_a_pass() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location ~ \"(?s)^/jwt/(?<word>.*)$\" {{ jwt $word; {SERVE} }}
        location ~ \"(?s)^/link/(?<word>.*)$\" {{ jwt off; secure_token $word; {SERVE}
            secure_token_secret {LINK_SECRET}; }}"
    ))?;
    let words = ["yes", "true", "2", "00", "on%20", "%20off", "of", "offf", "on%0a", "%ff"];
    for word in words {
        for request in [nginx.request(), nginx.request().bearer(&admin()?)] {
            let response = request.target(format!("/jwt/{word}")).send()?;
            assert_eq!((response.status, response.challenge()), (500, ""), "jwt {word}");
        }
        let path = format!("/link/{word}");
        assert_eq!(nginx.get(link(LINK_SECRET, &path, now() + 300))?.status, 500, "link {word}");
        // The log escapes a client's text, so that the message stays on one line.
        let word = word.replace("%20", " ").replace("%0a", r"\n").replace("%ff", r"\xff");
        for directive in ["jwt", "secure_token"] {
            let told = format!("\"{directive}\" has the invalid value \"{word}\"");
            let log = nginx.error_log();
            let mut lines = log.lines().filter(|line| line.contains("[error]"));
            assert!(lines.any(|line| line.contains(&told)), "{told}: {log}");
        }
    }
    nginx.finish()
}

#[test]
fn the_link_has_a_variable_for_its_switch_too() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ secure_token $arg_mode; secure_token_secret {LINK_SECRET}; {SERVE} }}"
    ))?;
    let (good, bad) =
        (link(LINK_SECRET, "/", now() + 300), link("another secret", "/", now() + 300));
    let past = link(LINK_SECRET, "/", now() - 300);
    for mode in ["mode=on", "mode=1", "mode=", "other=1"] {
        for (target, verdict) in [
            (format!("/?{mode}"), (403, "missing")),
            (format!("{bad}&{mode}"), (403, "bad_signature")),
            (format!("{past}&{mode}"), (410, "expired")),
            (format!("{good}&{mode}"), (200, "ok")),
        ] {
            assert_eq!(nginx.get(&target)?.link_verdict(), verdict, "{target}");
        }
    }
    for mode in ["mode=off", "mode=0"] {
        for start in ["/?a=1", &bad, &past, &good] {
            let target = format!("{start}&{mode}");
            assert_eq!(nginx.get(&target)?.link_verdict(), (200, "off"), "{target}");
        }
    }
    // Only the token check has these modes.
    for mode in ["optional", "permissive"] {
        for start in ["/?a=1", &good] {
            assert_eq!(nginx.get(format!("{start}&mode={mode}"))?.status, 500, "{mode}: {start}");
        }
    }
    nginx.finish()
}

#[test]
fn optional_refuses_every_token_that_is_not_good() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ jwt optional; jwt_kids {{ k1 {SECRET}; }} jwt_issuer me; {SERVE} }}"
    ))?;
    let with = |claims| Jwt::live_with(&claims).kid("k1").hs("HS256", SECRET);
    for (token, word) in [
        ("rubbish".to_owned(), "malformed"),
        (Jwt::live().kid("k2").hs("HS256", SECRET)?, "unknown_key"),
        (with(json!({ "iss": "me", "exp": now() - 5 }))?, "expired"),
        (with(json!({ "iss": "him" }))?, "bad_issuer"),
        (forged()?, "bad_signature"),
        (Jwt::live().kid("k1").signed("none", |_| Ok(Vec::new()))?, "bad_algorithm"),
    ] {
        let verdict = nginx.bearer("/", &token)?;
        let verdict = (verdict.status, verdict.header("X-Jwt-Status").unwrap_or_default());
        assert_eq!(verdict.0, 401, "{word}");
        assert!(word == verdict.1 || word == "bad_algorithm", "{word}: {}", verdict.1);
    }
    // `Bearer` without a token is a malformed token; another scheme is no token.
    for (value, verdict) in [("Bearer", (401, "malformed")), ("Basic Ym9i", (200, "missing"))] {
        let response = nginx.request().header("Authorization", value).send()?;
        assert_eq!(response.verdict(), verdict, "{value}");
    }
    nginx.finish()
}

#[test]
fn permissive_refuses_nothing_and_vouches_for_nothing() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "jwt permissive; jwt_kids {{ k1 {SECRET}; }} add_header X-Sub $jwt_claim_sub always;
            add_header X-Jwt-Status $jwt_status always;
            location /rule {{ jwt_claim role = admin error=401; {SERVE} }}
            location /require {{ jwt_require $arg_x; {SERVE} }}
            location /revoked {{ jwt_revoked sub list.txt; {SERVE} }}
            location /issuer {{ jwt_issuer me; {SERVE} }}
            location /keys {{ auth_jwt_key_file $arg_x.json; {SERVE} }}"
        ))
        .file("list.txt", "alice\n")
        .start()?;
    for (target, word, sub) in [
        ("/rule", "denied", Some("alice")),
        ("/require", "denied", Some("alice")),
        ("/require?x=1", "ok", Some("alice")),
        ("/revoked", "revoked", None),
        ("/issuer", "bad_issuer", None),
        ("/keys", "no_keys", None),
    ] {
        let response = nginx.bearer(target, &guest()?)?;
        assert_eq!(response.verdict(), (200, word), "{target}");
        assert_eq!((response.header("X-Sub"), response.challenge()), (sub, ""), "{target}");
    }
    assert_eq!(nginx.bearer("/rule", "rubbish")?.verdict(), (200, "malformed"));
    nginx.finish()
}

#[test]
fn satisfy_any_asks_the_others_where_a_mode_lets_through() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "satisfy any; auth_basic site; auth_basic_user_file users;
            jwt_kids {{ k1 {SECRET}; }} jwt_claim role = admin; jwt_token header:X-Token;
            location /optional {{ jwt optional; {SERVE} }}
            location /permissive {{ jwt permissive; {SERVE} }}
            location /off {{ jwt off; {SERVE} }}
            location /variable {{ jwt $arg_mode; {SERVE} }}"
        ))
        .file("users", "bob:{PLAIN}pw\n")
        .start()?;
    let tokens = [None, Some(forged()?), Some(guest()?), Some(admin()?)];
    for (target, statuses) in [
        ("/optional", [401, 401, 401, 200]),
        ("/permissive", [401, 401, 401, 200]),
        ("/off", [401; 4]),
        ("/variable?mode=off", [401; 4]),
        ("/variable", [401, 401, 401, 200]),
        ("/variable?mode=on", [401, 401, 401, 200]),
        ("/variable?mode=optional", [401, 401, 401, 200]),
        ("/variable?mode=permissive", [401, 401, 401, 200]),
    ] {
        for (token, status) in tokens.iter().zip(statuses) {
            let ask = |password: &str| {
                let request = nginx.request().target(target).header("Authorization", password);
                match token {
                    Some(token) => request.header("X-Token", token),
                    None => request,
                }
                .send()
            };
            assert_eq!(ask("Basic Ym9iOnh5")?.status, status, "{target} {token:?}");
            // The right password is enough, whatever the token is.
            assert_eq!(ask("Basic Ym9iOnB3")?.status, 200, "{target} {token:?}");
        }
    }
    nginx.finish()
}

#[test]
fn satisfy_all_wants_the_others_as_well() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} secure_token_secret {LINK_SECRET};
        location /optional {{ jwt optional; {SERVE} }}
        location /permissive {{ jwt permissive; {SERVE} }}
        location /off {{ jwt off; {SERVE} }}
        location /denied {{ jwt permissive; deny all; {SERVE} }}"
    ))?;
    for path in ["/optional", "/permissive", "/off"] {
        let signed = link(LINK_SECRET, path, now() + 300);
        assert_eq!(nginx.get(&signed)?.status, 200, "{path}");
        assert_eq!(nginx.get(path)?.link_verdict(), (403, "missing"), "{path}");
        assert_eq!(nginx.bearer(path, &admin()?)?.link_verdict(), (403, "missing"), "{path}");
        let forged = nginx.bearer(&signed, &forged()?)?;
        assert_eq!(forged.status, if path == "/optional" { 401 } else { 200 }, "{path}");
    }
    assert_eq!(nginx.bearer(link(LINK_SECRET, "/denied", now() + 9), &admin()?)?.status, 403);
    nginx.finish()
}

/// `error_page` makes a GET of what was an OPTIONS, so the switch of a preflight must not stay off.
#[test]
fn a_preflight_that_becomes_another_request_is_judged_again() -> Result<()> {
    let nginx = Nginx::builder()
        .http("map $request_method $jwt_switch { volatile; default on; OPTIONS off; }")
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} jwt $jwt_switch; error_page 405 =200 $uri; }}"
        ))
        .start()?;
    assert_eq!(nginx.get("/ok.txt")?.status, 401);
    let preflight = nginx.request().method("OPTIONS").target("/ok.txt").send()?;
    assert_eq!((preflight.status, preflight.text().contains("ok\n")), (401, false));
    nginx.finish()
}
