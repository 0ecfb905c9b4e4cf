//! `auth_jwt_key_file` with variables: nginx reads the file when a request needs it, and again
//! when it changes.

use std::fs;

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, SECRET, SERVE, base64url, now};
use serde_json::json;

fn secret(kid: &str, secret: &str) -> String {
    json!({ "keys": [{ "kty": "oct", "kid": kid, "k": base64url(secret) }] }).to_string()
}

fn of_a() -> Result<String> {
    Jwt::live().kid("k1").hs("HS256", SECRET)
}

fn of_b() -> Result<String> {
    Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)
}

/// The hosts `a.example` and `b.example` have different secrets under the same kid.
fn start() -> Result<Nginx> {
    Nginx::builder()
        .http("map $host $tenant { ~^(?<name>[a-z]+)\\.example$ $name; default nobody; }")
        .server(format!(
            "auth_jwt tenant; auth_jwt_key_file keys/$tenant.json; server_name *.example;
            location / {{ {SERVE} }}"
        ))
        .file("keys/a.json", secret("k1", SECRET))
        .file("keys/b.json", secret("k1", OTHER_SECRET))
        .start()
}

fn ask(nginx: &Nginx, host: &str, token: &str) -> Result<(u16, String)> {
    let response = nginx.request().host(host).bearer(token).send()?;
    Ok((response.status, response.verdict().1.to_owned()))
}

fn ok() -> (u16, String) {
    (200, "ok".to_owned())
}

#[test]
fn the_request_names_the_file() -> Result<()> {
    let nginx = start()?;
    let (a, b) = (of_a()?, of_b()?);
    for _ in 0..3 {
        assert_eq!(ask(&nginx, "a.example", &a)?, ok());
        assert_eq!(ask(&nginx, "b.example", &b)?, ok());
        assert_eq!(ask(&nginx, "a.example", &b)?, (401, "bad_signature".to_owned()));
        assert_eq!(ask(&nginx, "b.example", &a)?, (401, "bad_signature".to_owned()));
    }
    nginx.finish()
}

#[test]
fn a_name_from_a_variable_may_be_absolute() -> Result<()> {
    let place = tempfile::Builder::new().prefix("nta-keys-").tempdir_in("/tmp")?;
    fs::write(place.path().join("a.json"), secret("k1", SECRET))?;
    let file = place.path().join("a.json");
    let nginx = Nginx::builder()
        .http(format!("map $arg_f $file {{ 1 {}; 2 b.json; }}", file.display()))
        .server(format!("location / {{ auth_jwt x; auth_jwt_key_file $file; {SERVE} }}"))
        .file("b.json", secret("k1", OTHER_SECRET))
        .start()?;
    assert_eq!(nginx.bearer("/?f=2", &of_b()?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/?f=1", &of_a()?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/?f=1", &of_b()?)?.verdict(), (401, "bad_signature"));
    nginx.finish()
}

#[test]
fn a_change_of_the_file_is_taken_up_without_a_reload() -> Result<()> {
    let nginx = start()?;
    let (a, b) = (of_a()?, of_b()?);
    assert_eq!(ask(&nginx, "a.example", &a)?, ok());
    nginx.put("keys/a.json", secret("k1", OTHER_SECRET))?;
    assert_eq!(ask(&nginx, "a.example", &a)?, (401, "bad_signature".to_owned()));
    assert_eq!(ask(&nginx, "a.example", &b)?, ok());
    // The file is rewritten in place.
    fs::write(nginx.prefix().join("keys/a.json"), secret("another", OTHER_SECRET))?;
    assert_eq!(ask(&nginx, "a.example", &b)?, (401, "unknown_key".to_owned()));
    // This file did not exist when nginx started.
    let c = Jwt::live().kid("new").hs("HS256", SECRET)?;
    assert_eq!(ask(&nginx, "c.example", &c)?.0, 503);
    nginx.put("keys/c.json", secret("new", SECRET))?;
    assert_eq!(ask(&nginx, "c.example", &c)?, ok());
    nginx.finish()
}

#[test]
fn a_missing_file_is_503_and_logged() -> Result<()> {
    let nginx = start()?;
    let response = nginx.request().host("z.example").bearer(&of_a()?).send()?;
    assert_eq!((response.verdict(), response.challenge()), ((503, "no_keys"), ""));
    let told = |line: &str| line.contains("[error]") && line.contains("keys/z.json");
    let line = nginx.wait_log(told)?;
    assert!(line.contains("No such file"), "{line}");
    assert_eq!(nginx.refusals().len(), 1, "{:?}", nginx.refusals());
    // A request without a token is refused even though there are no keys.
    assert_eq!(nginx.request().host("z.example").send()?.verdict(), (401, "missing"));
    // So is a request whose token is malformed.
    assert_eq!(ask(&nginx, "z.example", "rubbish")?, (401, "malformed".to_owned()));
    // If a file is deleted, its keys are no longer used.
    assert_eq!(ask(&nginx, "a.example", &of_a()?)?, ok());
    fs::remove_file(nginx.prefix().join("keys/a.json"))?;
    assert_eq!(ask(&nginx, "a.example", &of_a()?)?.0, 503);
    nginx.assert_no_secret(&[&of_a()?, SECRET])?;
    nginx.finish()
}

#[test]
fn a_file_that_breaks_keeps_its_last_good_keys() -> Result<()> {
    let nginx = start()?;
    let (a, b) = (of_a()?, of_b()?);
    assert_eq!(ask(&nginx, "a.example", &a)?, ok());
    for broken in ["", "{", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"\"}]}", "\u{0}"] {
        nginx.put("keys/a.json", broken)?;
        for _ in 0..3 {
            assert_eq!(ask(&nginx, "a.example", &a)?, ok(), "{broken}");
        }
        assert_eq!(ask(&nginx, "a.example", &b)?.0, 401, "{broken}");
    }
    let log = nginx.error_log();
    let told = log.lines().filter(|l| l.contains("[error]") && l.contains("keys/a.json")).count();
    assert_eq!(told, 5, "once for each change: {log}");
    nginx.put("keys/a.json", secret("k1", OTHER_SECRET))?;
    assert_eq!(ask(&nginx, "a.example", &a)?.0, 401);
    assert_eq!(ask(&nginx, "a.example", &b)?, ok());
    // A file that has never been good provides no keys.
    nginx.put("keys/d.json", "{")?;
    assert_eq!(ask(&nginx, "d.example", &a)?.0, 503);
    nginx.finish()
}

#[test]
fn each_worker_takes_a_change_up_and_a_reload_forgets_nothing_good() -> Result<()> {
    let nginx = start()?;
    nginx.configure(|builder| builder.workers(2))?;
    nginx.reload()?;
    let (a, b) = (of_a()?, of_b()?);
    for _ in 0..8 {
        assert_eq!(ask(&nginx, "a.example", &a)?, ok());
    }
    nginx.put("keys/a.json", secret("k1", OTHER_SECRET))?;
    for _ in 0..8 {
        assert_eq!(ask(&nginx, "a.example", &a)?.0, 401);
        assert_eq!(ask(&nginx, "a.example", &b)?, ok());
    }
    nginx.reload()?;
    assert_eq!(ask(&nginx, "a.example", &b)?, ok());
    nginx.finish()
}

#[test]
fn names_that_clients_make_up_find_nothing_and_keep_nothing() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!("location / {{ auth_jwt x; auth_jwt_key_file keys/$arg_f.json; {SERVE} }}"))
        .file("keys/a.json", secret("k1", SECRET))
        .start()?;
    let a = of_a()?;
    for i in 0..1200 {
        if i % 100 == 0 {
            assert_eq!(nginx.bearer("/?f=a", &a)?.verdict(), (200, "ok"));
        }
        assert_eq!(nginx.bearer(format!("/?f=none-{i}"), &a)?.status, 503);
    }
    for name in ["", "a%00", "%2e%2e/keys/a", &"x".repeat(5000)] {
        assert_eq!(nginx.bearer(format!("/?f={name}"), &a)?.verdict(), (503, "no_keys"), "{name}");
    }
    nginx.finish()
}

#[test]
fn a_key_that_is_read_late_expires_and_leeway_and_rules_hold_as_ever() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "auth_jwt x; auth_jwt_key_file $arg_f; auth_jwt_leeway 30s; jwt_claim role = admin;
            location / {{ {SERVE} }}"
        ))
        .file("a.json", secret("k1", SECRET))
        .start()?;
    for (claims, verdict) in [
        (json!({ "role": "admin" }), (200, "ok")),
        (json!({ "role": "admin", "exp": now() - 10 }), (200, "ok")),
        (json!({ "role": "admin", "exp": now() - 60 }), (401, "expired")),
        (json!({ "role": "guest" }), (403, "denied")),
    ] {
        let token = Jwt::live_with(&claims).kid("k1").hs("HS256", SECRET)?;
        assert_eq!(nginx.bearer("/?f=a.json", &token)?.verdict(), verdict, "{claims}");
    }
    nginx.finish()
}
