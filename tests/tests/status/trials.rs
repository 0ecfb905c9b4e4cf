//! Rules with `error=none`: judged, logged and counted, and not enforced.

use anyhow::{Context as _, Result, ensure};
use module_tests::{Nginx, SECRET, SERVE, mistake, refuse_all};
use serde_json::{Value, json};

use crate::{STATUS, check, get, status, token, until_counted};

#[test]
fn a_rule_that_is_tried_is_told_and_not_enforced() -> Result<()> {
    let nginx = Nginx::builder()
        .http("map $arg_ok $wanted { default 1; no 0; }")
        .server(format!(
            "{STATUS}
            jwt_kids {{ k1 {SECRET}; }}
            location / {{
                jwt_claim role = admin error=none;
                jwt_claim level > 3;
                {SERVE}
            }}
            location /require {{ jwt_require $wanted error=none; {SERVE} }}
            location /plus {{ auth_jwt_require $wanted error=none; {SERVE} }}
            location /any {{ jwt_any error=none {{ jwt_claim a = 1; jwt_claim b = 1; }} {SERVE} }}
            location /permissive {{ jwt permissive; jwt_claim role = admin error=none; {SERVE} }}"
        ))
        .start()?;
    let with = |claims: Value| token(&claims);
    let (admin, user) =
        (with(json!({ "role": "admin", "level": 5 }))?, with(json!({ "level": 5 }))?);
    let low = with(json!({ "role": "user", "level": 1 }))?;
    for (target, token, verdict, told) in [
        ("/", &admin, (200, "ok"), false),
        ("/", &user, (200, "ok"), true),
        // Refused by another rule: what is tried does not matter.
        ("/", &low, (403, "denied"), false),
        ("/require", &admin, (200, "ok"), false),
        ("/require?ok=no", &admin, (200, "ok"), true),
        ("/plus?ok=no", &admin, (200, "ok"), true),
        ("/any", &admin, (200, "ok"), true),
        ("/any", &with(json!({ "b": 1 }))?, (200, "ok"), false),
        ("/permissive", &user, (200, "ok"), true),
    ] {
        let lines = || {
            let log = nginx.error_log();
            log.matches("jwt let through (error=none): denied by the rule in ").count()
        };
        let before = lines();
        assert_eq!(nginx.bearer(target, token)?.verdict(), verdict, "{target}");
        assert_eq!(lines() - before, usize::from(told), "{target}");
    }
    until_counted(
        &nginx,
        "/",
        "jwt",
        &json!({ "passed": 2, "tried": 1, "refused": { "denied": 1 } }),
    )?;
    until_counted(&nginx, "/any", "jwt", &json!({ "passed": 2, "tried": 1 }))?;
    let status = status(&nginx)?;
    assert_eq!(check(&status, "/require", "jwt")?["total"]["tried"], 1);
    // By rule: the first one holds for one token, and would refuse another.
    let trials = status["trials"].as_array().context("no trials")?;
    assert_eq!(trials.len(), 5);
    assert_eq!((&trials[0]["holds"], &trials[0]["would_refuse"]), (&json!(1), &json!(1)));
    let rule = trials[0]["rule"].as_str().context("no rule")?;
    ensure!(rule.contains("nginx.conf:"), "{rule}");
    let text = get(&nginx, "prometheus")?;
    let sample = format!("rule_trials_total{{rule=\"{rule}\",result=\"would_refuse\"}} 1\n");
    ensure!(text.contains(&sample), "{text}");
    ensure!(get(&nginx, "html")?.contains("Rules that are tried"));
    nginx.finish()
}

#[test]
fn a_provider_s_rule_in_many_locations_is_one_rule() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!(
            "jwt_provider one {{
                jwt_issuer one;
                jwt_kids {{ k1 {SECRET}; }}
                jwt_claim role = admin error=none;
            }}"
        ))
        .server(format!(
            "{STATUS} jwt on provider=one; location /a {{ {SERVE} }} location /b {{ {SERVE} }}"
        ))
        .start()?;
    let user = token(&json!({ "iss": "one" }))?;
    for target in ["/a", "/b"] {
        assert_eq!(nginx.bearer(target, &user)?.verdict(), (200, "ok"));
    }
    until_counted(&nginx, "/b", "jwt", &json!({ "passed": 1, "tried": 1 }))?;
    let status = status(&nginx)?;
    assert_eq!(status["trials"].as_array().map(Vec::len), Some(1));
    assert_eq!(status["trials"][0]["would_refuse"], 2);
    nginx.finish()
}

#[test]
fn another_rule_in_the_same_line_is_another_rule() -> Result<()> {
    let with = |rules: &str| {
        format!("{STATUS} jwt_kids {{ k1 {SECRET}; }} location / {{ {SERVE}\n{rules}\n}}")
    };
    let alice = "jwt_claim sub = alice error=none;";
    let bob = "jwt_claim sub = bob error=none;";
    let nginx = Nginx::builder().server(with(&format!("{alice}\n{bob}"))).start()?;
    assert_eq!(nginx.bearer("/", &token(&json!({ "sub": "alice" }))?)?.status, 200);
    until_counted(&nginx, "/", "jwt", &json!({ "passed": 1, "tried": 1 }))?;
    let counts = || -> Result<Vec<(u64, u64)>> {
        let status = status(&nginx)?;
        let trials = status["trials"].as_array().context("no trials")?;
        let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
        Ok(trials.iter().map(|it| (number(&it["holds"]), number(&it["would_refuse"]))).collect())
    };
    assert_eq!(counts()?, [(1, 0), (0, 1)]);
    for (rules, expected) in [
        (format!("\n{alice}\n{bob}"), [(0, 0), (0, 0)]),
        (format!("{alice}\njwt_any error=none {{ jwt_claim sub = bob; }}"), [(1, 0), (0, 0)]),
        (format!("{alice}\njwt_any error=none {{ jwt_claim sub = eve; }}"), [(1, 0), (0, 0)]),
        // Two in one line are told apart, too.
        (format!("{alice} {bob}"), [(1, 0), (0, 0)]),
        (format!("{alice}\n{bob}"), [(1, 0), (0, 1)]),
    ] {
        nginx.configure(|builder| builder.server(with(&rules)))?;
        nginx.reload()?;
        assert_eq!(counts()?, expected, "{rules}");
    }
    nginx.finish()
}

#[test]
fn mistakes() -> Result<()> {
    refuse_all(&[
        mistake(
            "another word",
            "jwt_claim a = 1 error=never;",
            &["error=400 to error=599, or error=none"],
        ),
        mistake(
            "inside a block",
            "jwt_any { jwt_claim a = 1 error=none; }",
            &["the answer is that of the outermost block"],
        ),
    ])
}
