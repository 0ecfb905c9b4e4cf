//! Counts are exact.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use module_tests::{
    Jwt, Nginx, OTHER_SECRET, P256, SECRET, SERVE, at_once, link, now, resident, until_within,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{STATUS, check, get, status, token, until_counted};

/// Requests of known results for location `/`: target and token, and the result of the token check.
fn known() -> Result<Vec<(&'static str, Option<String>, &'static str)>> {
    let good = token(&json!({ "role": "admin" }))?;
    let forged = Jwt::live_with(&json!({ "role": "admin" })).kid("k1").hs("HS256", OTHER_SECRET)?;
    Ok(vec![
        ("/", Some(good.clone()), "ok"),
        ("/", Some(good), "ok"),
        ("/", None, "missing"),
        ("/", Some(forged), "bad_signature"),
        ("/", Some(token(&json!({ "role": "admin", "exp": 1_000_000_000 }))?), "expired"),
        ("/", Some(token(&json!({ "role": "user" }))?), "denied"),
        ("/", Some("a.b".into()), "malformed"),
        ("/", Some(Jwt::live().kid("k2").hs("HS256", SECRET)?), "unknown_key"),
    ])
}

/// Sends `count` of the known requests from four clients at once, the same number of each.
fn send(nginx: &Nginx, count: usize) -> Result<()> {
    let known = known()?;
    ensure!(count.is_multiple_of(4 * known.len()), "{count} requests are not of all kinds");
    let request = nginx.request().keep_alive();
    at_once(&[(); 4], |()| {
        let mut connection = request.connect()?;
        for number in 0..count / 4 {
            let (target, token, expected) = &known[number % known.len()];
            let mut request = request.clone().target(target);
            if let Some(token) = token {
                request = request.bearer(token);
            }
            let answer = connection.send(&request)?;
            assert_eq!(answer.verdict().1, *expected);
            if answer.header("Connection") != Some("keep-alive") {
                connection = request.connect()?;
            }
        }
        Ok(())
    })
}

/// The numbers after so many of the known requests.
fn numbers(sent: usize) -> Value {
    let each = sent / 8;
    json!({ "passed": 2 * each, "refused": {
        "missing": each, "bad_signature": each, "expired": each, "denied": each, "malformed": each,
        "unknown_key": each
    }})
}

#[test]
fn ten_thousand_requests_over_workers_reloads_and_a_killed_worker_add_up() -> Result<()> {
    let nginx = Nginx::builder()
        .workers(4)
        .quiet_log()
        .server(format!(
            "{STATUS} location / {{ jwt_kids {{ k1 {SECRET}; }} jwt_claim role = admin; {SERVE} }}"
        ))
        .expect_log("exited on signal 9")
        .start()?;
    let counted = |sent| until_counted(&nginx, "/", "jwt", &numbers(sent));
    send(&nginx, 3_200)?;
    nginx.reload()?;
    send(&nginx, 3_200)?;
    nginx.reload()?;
    send(&nginx, 1_600)?;
    counted(8_000)?;
    // Killed when it has added up all that it has counted: nothing is lost.
    let kill = || -> Result<()> {
        let worker = *nginx.workers().last().context("no worker")?;
        let pid = Pid::from_raw(worker.try_into()?).context("no process")?;
        kill_process(pid, Signal::KILL)?;
        nginx.wait_log(|line| line.contains(&format!("{worker} exited on signal 9")))?;
        Ok(())
    };
    kill()?;
    send(&nginx, 2_000 - 16)?;
    counted(10_000 - 16)?;
    let workers = status(&nginx)?["workers"].as_u64();
    ensure!(workers.is_some_and(|count| (1..=4).contains(&count)), "{workers:?}");
    // Killed before that: at most what was counted since is lost.
    send(&nginx, 320)?;
    kill()?;
    send(&nginx, 320)?;
    let at_least = 10_000 - 16 + 320;
    let requests = || -> Result<u64> {
        let total = &check(&status(&nginx)?, "/", "jwt")?["total"];
        let refused = total["refused"].as_object().context("nothing refused")?;
        let refused: u64 = refused.values().filter_map(Value::as_u64).sum();
        Ok(total["passed"].as_u64().context("nothing passed")? + refused)
    };
    let found = until_within(Duration::from_secs(5), "the last counts", || {
        Ok(Some(requests()?).filter(|found| *found >= at_least))
    })?;
    ensure!(found <= at_least + 320, "{found}");
    nginx.finish()
}

#[test]
fn each_result_counts_where_it_belongs() -> Result<()> {
    let nginx = Nginx::builder()
        .http("map $arg_switch $switch { default on; bad never; off off; }")
        .server(format!(
            "{STATUS}
            jwt_kids {{ k1 {SECRET}; }}
            location / {{ {SERVE} }}
            location /optional {{ jwt optional; {SERVE} }}
            location /permissive {{ jwt permissive; {SERVE} }}
            location /switch {{ jwt $switch; {SERVE} }}
            location /any {{ satisfy any; secure_token_secret s; {SERVE} }}
            location /both {{ secure_token_secret s; {SERVE} }}
            location /open {{ jwt off; {SERVE} }}
            location /redirected {{ try_files /none /optional; }}
            location /if {{ if ($arg_if) {{ set $one 1; }} {SERVE} }}
            location /page {{ error_page 401 /optional; {SERVE} }}"
        ))
        .expect_log("invalid value \"never\"")
        .start()?;
    let good = token(&json!({}))?;
    let expires = now() + 100;
    let bad = format!("{good}A");
    let signed = |path: &str| link("s", path, expires);
    let late = link("s", "/both", 1_470_055_000);
    for (target, token, status) in [
        ("/", Some(&good), 200),
        ("/none", Some(&good), 200),
        ("/optional", None, 200),
        ("/optional", Some(&good), 200),
        ("/optional", Some(&bad), 401),
        ("/permissive", None, 200),
        ("/permissive", Some(&bad), 200),
        ("/permissive", Some(&good), 200),
        ("/switch?switch=bad", Some(&good), 500),
        ("/switch?switch=off", None, 200),
        ("/switch", None, 401),
        (&*signed("/any"), None, 200),
        ("/any", Some(&good), 200),
        ("/any", None, 401),
        (&*signed("/both"), Some(&good), 200),
        ("/both", Some(&good), 403),
        (&*late, Some(&good), 410),
        (&*signed("/both"), None, 401),
        ("/open", None, 200),
        ("/redirected", Some(&good), 200),
        ("/if?if=1", None, 401),
        ("/if", None, 401),
        ("/page", None, 401),
    ] {
        let mut request = nginx.request().target(target);
        if let Some(token) = token {
            request = request.bearer(token);
        }
        let answer = request.send()?;
        assert_eq!(answer.status, status, "{target} {token:?}");
    }
    for (location, check, numbers) in [
        ("/", "jwt", json!({ "passed": 2 })),
        // Once by its redirect, once by an error page.
        (
            "/optional",
            "jwt",
            json!({ "passed": 2, "absent": 2, "refused": { "bad_signature": 1 } }),
        ),
        (
            "/permissive",
            "jwt",
            json!({ "passed": 1, "let_through": { "missing": 1, "bad_signature": 1 } }),
        ),
        ("/switch", "jwt", json!({ "failed": 1, "refused": { "missing": 1 } })),
        (
            "/any",
            "jwt",
            json!({ "passed": 1, "refused": { "missing": 1 }, "let_through": { "missing": 1 } }),
        ),
        ("/any", "secure_token", json!({ "passed": 1, "refused": { "missing": 1 } })),
        ("/both", "jwt", json!({ "passed": 3, "refused": { "missing": 1 } })),
        (
            "/both",
            "secure_token",
            json!({ "passed": 1, "refused": { "missing": 1, "expired": 1 } }),
        ),
        ("/redirected", "jwt", json!({ "passed": 1 })),
        ("/if", "jwt", json!({ "refused": { "missing": 2 } })),
        ("/page", "jwt", json!({ "refused": { "missing": 1 } })),
    ] {
        until_counted(&nginx, location, check, &numbers)?;
    }
    let status = status(&nginx)?;
    assert!(check(&status, "/open", "jwt").is_err());
    // The recent numbers and those of the minutes are the same ones.
    assert_eq!(check(&status, "/both", "jwt")?["recent"], check(&status, "/both", "jwt")?["total"]);
    let minutes = status["minutes"].as_array().context("no minutes")?;
    assert_eq!(minutes.len(), 60);
    let passed: u64 = minutes.iter().filter_map(|minute| minute["passed"].as_u64()).sum();
    assert_eq!(passed, 12);
    nginx.finish()
}

#[test]
fn caches_and_signatures_are_counted() -> Result<()> {
    let nginx = Nginx::start(format!(
        "{STATUS} location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}
        location /other {{ jwt_kids {{ k1 {OTHER_SECRET}; }} {SERVE} }}"
    ))?;
    let good = token(&json!({}))?;
    for _ in 0..5 {
        assert_eq!(nginx.bearer("/", &good)?.status, 200);
    }
    assert_eq!(nginx.bearer("/other", &good)?.status, 401);
    assert_eq!(nginx.bearer("/", &Jwt::live().kid("k1").hs("HS384", SECRET)?)?.status, 200);
    let status = status(&nginx)?;
    let cache = &status["cache"];
    let part = |name: &str| cache[name].as_u64();
    assert_eq!((part("hits"), part("misses"), part("evictions")), (Some(4), Some(3), Some(0)));
    assert_eq!(part("entries"), Some(2));
    ensure!(part("bytes").is_some_and(|bytes| bytes > 1_000), "{cache}");
    assert_eq!(status["signatures"], json!({ "HS256": 2, "HS384": 1 }));
    assert_eq!(status["reloads"], 0);
    nginx.finish()
}

#[test]
fn signatures_that_workers_before_have_verified_are_counted() -> Result<()> {
    let nginx = Nginx::builder()
        .file("p256.json", P256.jwks("p256")?)
        .server(format!("{STATUS} location / {{ jwks_file p256.json; {SERVE} }}"))
        .start()?;
    let good = Jwt::live().kid("p256").sign("ES256", &P256)?;
    for (misses, shared_hits) in [(1, 0), (2, 1)] {
        for _ in 0..2 {
            assert_eq!(nginx.bearer("/", &good)?.status, 200);
        }
        let status = status(&nginx)?;
        let cache = &status["cache"];
        assert_eq!(
            (&cache["misses"], &cache["shared_hits"]),
            (&json!(misses), &json!(shared_hits))
        );
        assert_eq!(
            (&cache["hits"], &status["signatures"]),
            (&json!(misses), &json!({ "ES256": 1 }))
        );
        nginx.reload()?;
    }
    nginx.finish()
}

/// The configuration with these locations, as many directives beside.
fn many(locations: std::ops::Range<usize>) -> String {
    let mut server = format!("{STATUS} jwt_kids {{ k1 {SECRET}; }}\n");
    for number in locations {
        let _ = writeln!(server, "location = /{number} {{ {SERVE} }}");
    }
    server
}

#[test]
fn counts_stay_with_their_locations_when_others_come_and_go() -> Result<()> {
    let nginx = Nginx::builder().server(many(0..300)).start()?;
    let good = token(&json!({}))?;
    for target in ["/3", "/120", "/150", "/299"] {
        assert_eq!(nginx.bearer(target, &good)?.status, 200);
    }
    let counted = |location: &str, passed: u64| {
        until_counted(&nginx, location, "jwt", &json!({ "passed": passed }))
    };
    counted("/299", 1)?;
    // Fewer, in another order of rows; then many more; then the first ones again.
    for range in [100..300, 100..900, 0..300] {
        nginx.configure(|builder| builder.server(many(range)))?;
        nginx.reload()?;
        counted("/150", 1)?;
        counted("/299", 1)?;
    }
    assert_eq!(nginx.bearer("/150", &good)?.status, 200);
    counted("/150", 2)?;
    // Its row may have been given to another location meanwhile: then it begins anew.
    let before = check(&status(&nginx)?, "/3", "jwt")?["total"]["passed"].as_u64();
    ensure!(before.is_some_and(|passed| passed <= 1), "{before:?}");
    assert_eq!(status(&nginx)?["reloads"], 3);
    nginx.finish()
}

#[test]
fn ten_thousand_locations_are_counted_in_bounded_memory() -> Result<()> {
    let nginx = Nginx::builder().server(many(0..10_000)).start()?;
    let good = token(&json!({}))?;
    let worker = *nginx.workers().first().context("no worker")?;
    let round = || -> Result<()> {
        let mut connection = nginx.connect()?;
        for number in (0..10_000).step_by(7) {
            let request = nginx.request().target(format!("/{number}")).keep_alive().bearer(&good);
            let answer = connection.send(&request)?;
            assert_eq!(answer.status, 200);
            if answer.header("Connection") != Some("keep-alive") {
                connection = nginx.connect()?;
            }
        }
        Ok(())
    };
    round()?;
    until_counted(&nginx, "/7", "jwt", &json!({ "passed": 1 }))?;
    let page = get(&nginx, "html")?;
    ensure!(page.len() < 200_000 && page.contains("more locations are in the other formats"));
    let text = get(&nginx, "prometheus")?;
    // The locations, and the server for requests that none of them takes.
    assert_eq!(text.matches("outcome=\"passed\"").count(), 10_001);
    let before = resident(worker)?;
    for _ in 0..3 {
        round()?;
        get(&nginx, "json")?;
    }
    let after = resident(worker)?;
    ensure!(after < before + (8 << 20), "{before} then {after}");
    until_counted(&nginx, "/9996", "jwt", &json!({ "passed": 4 }))?;
    nginx.finish()
}

#[test]
fn a_single_process_counts_too() -> Result<()> {
    let nginx = Nginx::builder()
        .single_process()
        .server(format!("{STATUS} location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"))
        .start()?;
    assert_eq!(nginx.get("/")?.status, 401);
    until_counted(&nginx, "/", "jwt", &json!({ "refused": { "missing": 1 } }))?;
    nginx.finish()
}
