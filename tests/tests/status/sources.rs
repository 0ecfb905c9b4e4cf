//! Key sources and lists: when they were last good, and what failed last, with the reason that the log
//! has.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use module_tests::{Behaviour, Jwt, Nginx, P256, Provider, SECRET, SERVE, now, until};
use serde_json::{Value, json};

use crate::{STATUS, get, source, status};

fn until_source(nginx: &Nginx, name: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut last = Value::Null;
    until("the state of a source", || {
        last = source(&status(nginx)?, name)?;
        Ok(wanted(&last).then(|| last.clone()))
    })
    .with_context(|| last.to_string())
}

fn is_now(time: &Value) -> bool {
    time.as_i64().is_some_and(|time| (now() - 20..=now()).contains(&time))
}

#[test]
fn fetched_keys_show_their_age_and_what_failed_last() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(P256.jwks("one")?))?;
    let nginx = Nginx::builder()
        .workers(3)
        .server(format!(
            "{STATUS}
            location = /_jwks {{ {} }}
            location / {{ jwks_request /_jwks valid=1s stale=1h; {SERVE} }}",
            provider.pass()
        ))
        .expect_log("the last good keys stay")
        .expect_log("there are no keys")
        .start()?;
    let good = until_source(&nginx, "/_jwks", |it| it["entries"] == 1)?;
    assert_eq!(good["state"], "ok");
    assert_eq!(good["kind"], "keys");
    assert_eq!(good["server"], "localhost");
    assert_eq!(good["directive"], "jwks_request");
    assert_eq!(good["kids"], json!(["one"]));
    assert_eq!((&good["failures"], &good["reason"]), (&json!(0), &Value::Null));
    ensure!(is_now(&good["last_good"]), "{good}");
    let expires = good["expires"].as_i64().context("it does not expire")?;
    ensure!((now() + 3_500..now() + 3_700).contains(&expires), "{good}");

    provider.set(Behaviour::Status(503, "busy".into()));
    let token = Jwt::live().kid("one").sign("ES256", &P256)?;
    let failing = until_source(&nginx, "/_jwks", |it| {
        nginx.bearer("/", &token).is_ok_and(|it| it.status == 200) && it["state"] == "failing"
    })?;
    let line = nginx.wait_log(|line| line.contains("the last good keys stay"))?;
    let reason = failing["reason"].as_str().context("no reason")?;
    ensure!(line.contains(&format!(": {reason}; the last good keys stay")), "{reason}: {line}");
    assert_eq!((&failing["entries"], &failing["failures"]), (&json!(1), &json!(1)));
    ensure!(is_now(&failing["last_failure"]) && is_now(&failing["last_good"]), "{failing}");

    // Kept over a reload, in all workers; then good again, and the last failure stays.
    nginx.reload()?;
    for _ in 0..6 {
        assert_eq!(
            source(&status(&nginx)?, "/_jwks")?["failures"].as_u64().map(|it| it >= 1),
            Some(true)
        );
    }
    provider.set(Behaviour::Keys(P256.jwks("one")?));
    let again = until_source(&nginx, "/_jwks", |it| {
        nginx.bearer("/", &token).is_ok() && it["state"] == "ok"
    })?;
    ensure!(again["reason"].as_str().is_some_and(|it| it.contains("503")), "{again}");
    nginx.finish()
}

#[test]
fn keys_that_never_came_are_down() -> Result<()> {
    let provider = Provider::start(Behaviour::Html)?;
    let nginx = Nginx::builder()
        .server(format!(
            "{STATUS}
            location = /_jwks {{ {} }}
            location / {{ jwks_request /_jwks; {SERVE} }}",
            provider.pass()
        ))
        .expect_log("there are no keys")
        .start()?;
    let down = until_source(&nginx, "/_jwks", |it| it["state"] == "down")?;
    assert_eq!((&down["last_good"], &down["entries"]), (&Value::Null, &json!(0)));
    let page = get(&nginx, "html")?;
    ensure!(page.contains("1 source down") && page.contains("(1) Token checks"), "{page}");
    ensure!(
        page.contains("never good yet; <strong>there are no keys, so tokens get 503"),
        "{page}"
    );
    let text = get(&nginx, "prometheus")?;
    let up = text.lines().find(|line| line.starts_with("ngx_token_auth_source_up{"));
    ensure!(up.is_some_and(|line| line.ends_with("} 0")), "{text}");
    ensure!(!text.contains("\nngx_token_auth_source_last_success_timestamp_seconds{"), "{text}");
    nginx.finish()
}

#[test]
fn a_watched_file_that_goes_bad_is_one_failure_for_all_workers() -> Result<()> {
    let kids = json!({ "k1": SECRET }).to_string();
    let nginx = Nginx::builder()
        .workers(3)
        .server(format!(
            "{STATUS}
            location / {{
                jwt_kids_file kids.json check=1s;
                jwt_revoked jti list.txt check=1s;
                {SERVE}
            }}
            location /fixed {{ jwks_file keys.json; {SERVE} }}"
        ))
        .file("kids.json", kids.clone())
        .file("list.txt", "a\nb\n")
        .file("keys.json", P256.jwks("one")?)
        .expect_log("its last good content stays in force")
        .start()?;
    let loaded = status(&nginx)?["loaded"].clone();
    let fixed = source(&status(&nginx)?, "keys.json")?;
    assert_eq!((&fixed["state"], &fixed["last_good"]), (&json!("ok"), &loaded));
    let list = source(&status(&nginx)?, "list.txt")?;
    assert_eq!(
        (&list["kind"], &list["entries"], &list["state"]),
        (&json!("list"), &json!(2), &json!("ok"))
    );

    nginx.put("kids.json", "{ nonsense")?;
    let bad = until_source(&nginx, "kids.json", |it| it["state"] == "failing")?;
    let reason = bad["reason"].as_str().context("no reason")?;
    let line = nginx.wait_log(|line| line.contains("its last good content stays in force"))?;
    ensure!(
        line.contains(&format!("kids.json\": {reason}; its last good content")),
        "{reason}: {line}"
    );
    assert_eq!(bad["entries"], 1);
    // Each worker notices, also by requests, and says so in the log; it stays one failure.
    let lines = || nginx.error_log().matches("its last good content stays in force").count();
    until("all workers to notice", || {
        nginx.get("/")?;
        status(&nginx)?;
        Ok((lines() == 3).then_some(()))
    })?;
    let bad = source(&status(&nginx)?, "kids.json")?;
    assert_eq!((&bad["state"], &bad["failures"]), (&json!("failing"), &json!(1)));

    nginx.put("kids.json", kids)?;
    let good = until_source(&nginx, "kids.json", |it| it["state"] == "ok")?;
    assert_eq!((&good["failures"], good["reason"].as_str()), (&json!(1), Some(reason)));
    // A list that is gone, and comes back with one entry more.
    fs::remove_file(nginx.prefix().join("list.txt"))?;
    let gone = until_source(&nginx, "list.txt", |it| it["state"] == "failing")?;
    ensure!(gone["reason"].as_str().is_some_and(|it| it.contains("No such file")), "{gone}");
    nginx.put("list.txt", "a\nb\nc\n")?;
    until_source(&nginx, "list.txt", |it| it["state"] == "ok" && it["entries"] == 3)?;
    nginx.finish()
}

#[test]
fn sources_by_request_share_the_state_of_their_directive() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(P256.jwks("one")?))?;
    provider.set_for("/keys/bad", Behaviour::Status(500, String::new()));
    let nginx = Nginx::builder()
        .server(format!(
            "{STATUS}
            location /keys/ {{ {} }}
            location / {{ jwks_request /keys/$arg_tenant; {SERVE} }}
            location /file {{ auth_jwt x; auth_jwt_key_file keys-$arg_tenant.json; {SERVE} }}",
            provider.pass_to("/keys/")
        ))
        .expect_log("there are no keys")
        .expect_log("No such file")
        .expect_log("is a directory")
        .file("keys-a.json", P256.jwks("one")?)
        .start()?;
    let token = Jwt::live().kid("one").sign("ES256", &P256)?;
    let name = "/keys/$arg_tenant";
    assert_eq!(source(&status(&nginx)?, name)?["last_good"], Value::Null);
    assert_eq!(nginx.bearer("/?tenant=a", &token)?.status, 200);
    let good = source(&status(&nginx)?, name)?;
    assert_eq!((&good["state"], &good["entries"]), (&json!("ok"), &Value::Null));
    assert_eq!(nginx.bearer("/?tenant=bad", &token)?.status, 503);
    let bad = source(&status(&nginx)?, name)?;
    assert_eq!(bad["state"], "failing");
    let reason = bad["reason"].as_str().context("no reason")?;
    ensure!(reason.starts_with("\"/keys/bad\": ") && reason.contains("500"), "{reason}");
    let file = "keys-$arg_tenant.json";
    assert_eq!(nginx.bearer("/file?tenant=b", &token)?.status, 503);
    assert_eq!(source(&status(&nginx)?, file)?["state"], "failing");
    assert_eq!(nginx.bearer("/file?tenant=a", &token)?.status, 200);
    assert_eq!(source(&status(&nginx)?, file)?["state"], "ok");
    // Unreadable for a while, and then the very same file again.
    let (path, aside) = (nginx.prefix().join("keys-a.json"), nginx.prefix().join("aside"));
    fs::rename(&path, &aside)?;
    fs::create_dir(&path)?;
    assert_eq!(nginx.bearer("/file?tenant=a", &token)?.status, 200);
    assert_eq!(source(&status(&nginx)?, file)?["state"], "failing");
    fs::remove_dir(&path)?;
    fs::rename(&aside, &path)?;
    assert_eq!(nginx.bearer("/file?tenant=a", &token)?.status, 200);
    assert_eq!(source(&status(&nginx)?, file)?["state"], "ok");
    nginx.finish()
}

#[test]
fn keys_that_nobody_asked_for_in_time_are_expired() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(P256.jwks("one")?))?;
    let nginx = Nginx::builder()
        .server(format!(
            "{STATUS}
            location = /_jwks {{ {} }}
            location / {{ jwks_request /_jwks valid=1s stale=1s; {SERVE} }}",
            provider.pass()
        ))
        .start()?;
    let expired = until_source(&nginx, "/_jwks", |it| it["state"] == "expired")?;
    assert_eq!((&expired["entries"], &expired["failures"]), (&json!(0), &json!(0)));
    ensure!(expired["expires"].as_i64().is_some_and(|time| time <= now()), "{expired}");
    ensure!(get(&nginx, "html")?.contains("Keys and lists are good"));
    let token = Jwt::live().kid("one").sign("ES256", &P256)?;
    assert_eq!(nginx.bearer("/", &token)?.status, 200);
    assert_eq!(source(&status(&nginx)?, "/_jwks")?["state"], "ok");
    nginx.finish()
}

#[test]
fn blocks_of_secrets_in_one_line_are_one_source_with_all_of_their_keys() -> Result<()> {
    let block = |kids: &str| format!("jwt_kids {{ {kids} }} {SERVE}");
    let (one, two) = (block(&format!("a {SECRET};")), block(&format!("b {SECRET}; c {SECRET};")));
    let nginx = Nginx::start(format!("{STATUS}\nlocation /a {{ {one} }} location /b {{ {two} }}"))?;
    let status = status(&nginx)?;
    let sources = status["sources"].as_array().context("no sources")?;
    assert_eq!(sources.len(), 1);
    assert_eq!((&sources[0]["entries"], &sources[0]["kids"]), (&json!(3), &json!(["a", "b", "c"])));
    nginx.finish()
}
