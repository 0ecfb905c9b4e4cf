//! `jwt_revoked_request`: when a list is fetched, what it says, and what happens while it is not there.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use module_tests::{Behaviour, Jwt, Nginx, Provider, SECRET, SERVE, now, until, until_verdict};
use serde_json::{Value, json};

use crate::{GOOD, NO_LIST, REVOKED, STATUS, builder, list, source, status, token, token_with};

#[test]
fn a_token_in_the_list_is_refused() -> Result<()> {
    let store = Provider::start(list("# stolen\nt-1\r\n\n\"t 2\"\n7\n"))?;
    let nginx = builder(&store, "").start()?;
    for jti in [json!("t-1"), json!("t 2"), json!(7), json!("7"), json!(["x", "t-1"])] {
        let answer = nginx.bearer("/", &token_with(&json!({ "jti": jti }))?)?;
        assert_eq!(answer.verdict(), REVOKED, "{jti}");
        ensure!(answer.challenge().contains("The token was revoked"), "{}", answer.challenge());
    }
    for jti in [json!("t-3"), json!("# stolen"), json!(8), Value::Null] {
        assert_eq!(
            nginx.bearer("/", &token_with(&json!({ "jti": jti }))?)?.verdict(),
            GOOD,
            "{jti}"
        );
    }
    assert_eq!(store.count(), 1);
    nginx.finish()
}

#[test]
fn the_first_request_waits_for_the_list() -> Result<()> {
    let store = Provider::start(list("t-1"))?;
    store.hold();
    let nginx = builder(&store, "").start()?;
    let mut waiting = nginx.connect()?;
    waiting.write(&nginx.request().bearer(&token("t-1")?).bytes())?;
    store.wait_count(1)?;
    assert_eq!(nginx.get("/open")?.status, 200);
    ensure!(!waiting.has_answer()?, "it did not wait");
    // A token that is no good anyway need not.
    assert_eq!(nginx.bearer("/", "x.y.z")?.verdict(), (401, "malformed"));
    store.release();
    assert_eq!(waiting.read_response(false)?.verdict(), REVOKED);
    nginx.finish()
}

#[test]
fn a_change_counts_soon_without_any_request() -> Result<()> {
    let store = Provider::start(list("t-1"))?;
    let nginx = builder(&store, "valid=1s").workers(2).start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    store.set(list("t-2"));
    // Nobody asks meanwhile: a timer fetches.
    let before = store.answered();
    store.wait_answered(before + 1)?;
    let began = Instant::now();
    until_verdict(&nginx, &token("t-2")?, REVOKED)?;
    ensure!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
    assert_eq!(nginx.bearer("/", &token("t-1")?)?.verdict(), GOOD);
    nginx.finish()
}

/// Waits until the store is asked whether its list is another than that with this `ETag`.
fn until_asked_with(store: &Provider, tag: &str) -> Result<()> {
    until("the ETag", || {
        let received = store.received();
        let last = received.last().and_then(|one| one.header("If-None-Match"));
        Ok((last == Some(tag)).then_some(()))
    })
}

#[test]
fn the_store_is_asked_whether_the_list_has_changed() -> Result<()> {
    let headers = |tag: &str| {
        vec![
            ("ETag", tag.to_owned()),
            ("Last-Modified", "Thu, 26 Nov 2026 00:00:00 GMT".to_owned()),
        ]
    };
    let store = Provider::start(Behaviour::Headers(headers("\"one\""), "t-1".into()))?;
    let nginx = builder(&store, "valid=200ms stale=0").workers(2).start()?;
    store.wait_answered(1)?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    store.set(Behaviour::Status(304, String::new()));
    // With stale=0 the list is gone unless the answers renew it.
    let before = store.count();
    store.wait_count(before + 6)?;
    for _ in 0..4 {
        assert_eq!(nginx.bearer("/", &token("t-1")?)?.verdict(), REVOKED);
    }
    let conditional = |one: &&module_tests::Received| {
        one.header("If-None-Match") == Some("\"one\"")
            && one.header("If-Modified-Since") == Some("Thu, 26 Nov 2026 00:00:00 GMT")
    };
    let received = store.received();
    assert_eq!(received[0].header("If-None-Match"), None);
    assert_eq!(received[1..].iter().filter(conditional).count(), received.len() - 1);
    store.set(Behaviour::Headers(headers("\"two\""), "t-2".into()));
    until_verdict(&nginx, &token("t-2")?, REVOKED)?;
    until_asked_with(&store, "\"two\"")?;
    nginx.finish()
}

#[test]
fn the_etag_of_the_last_answer_counts_even_if_its_bytes_are_the_same() -> Result<()> {
    let answer = |tag: &str| Behaviour::Headers(vec![("ETag", tag.to_owned())], "t-1\n".into());
    let store = Provider::start(answer("\"one\""))?;
    let nginx = builder(&store, "valid=200ms").start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    store.set(answer("\"two\""));
    until_asked_with(&store, "\"two\"")?;
    nginx.finish()
}

#[test]
fn a_static_file_of_nginx_itself_is_a_store() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location = /_list {{ internal; alias list.txt; }}
            location / {{ jwt_kids {{ k1 {SECRET}; }} jwt_revoked_request jti /_list valid=200ms; {SERVE} }}"
        ))
        .file("list.txt", "t-1\n")
        .start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    nginx.put("list.txt", "t-1\nt-22\n")?;
    until_verdict(&nginx, &token("t-22")?, REVOKED)?;
    nginx.put("list.txt", "")?;
    until_verdict(&nginx, &token("t-1")?, GOOD)?;
    nginx.finish()
}

#[test]
fn while_there_is_no_list_tokens_are_refused_or_pass() -> Result<()> {
    let store = Provider::start(Behaviour::Status(500, "oops".into()))?;
    let nginx = Nginx::builder()
        .server(format!(
            "location = /_list {{ internal; {} }}
            {STATUS}
            jwt_kids {{ k1 {SECRET}; }}
            location /refuse {{ jwt_revoked_request jti /_list; {SERVE} }}
            location /pass {{ jwt_revoked_request jti /_list missing=pass; {SERVE} }}",
            store.pass_to("/list")
        ))
        .expect_log("there is no list")
        .start()?;
    store.wait_answered(1)?;
    let token = token("t-1")?;
    let answer = nginx.bearer("/refuse", &token)?;
    assert_eq!(answer.verdict(), NO_LIST);
    assert_eq!(answer.challenge(), "");
    assert_eq!(nginx.bearer("/pass", &token)?.verdict(), GOOD);
    // Whatever the list would say, a bad token is a bad token.
    for at in ["/refuse", "/pass"] {
        assert_eq!(nginx.bearer(at, &format!("{token}x"))?.status, 401);
        assert_eq!(nginx.get(at)?.verdict(), (401, "missing"));
    }
    let refused = nginx.wait_log(|line| line.contains("jwt refused: no_list"))?;
    ensure!(refused.contains("the list \"/_list\" is not there"), "{refused}");
    let passed = nginx.wait_log(|line| line.contains("missing=pass"))?;
    ensure!(passed.contains("[warn]") && passed.contains("\"/_list\" is not there"), "{passed}");
    let failed = nginx.wait_log(|line| line.contains("there is no list"))?;
    ensure!(
        failed.contains("[error]")
            && failed.contains("revocation list from \"/_list\"")
            && failed.contains("the answer has status 500"),
        "{failed}"
    );
    let source = source(&nginx, "/_list")?;
    assert_eq!((&source["state"], &source["kind"]), (&json!("down"), &json!("list")), "{source}");
    ensure!(source["failures"].as_i64() >= Some(1), "{source}");
    until("the count", || Ok((status(&nginx)?["unchecked"] == 1).then_some(())))?;
    let metrics = nginx.get("/status?format=prometheus")?.text().into_owned();
    ensure!(metrics.contains("\nngx_token_auth_tokens_unchecked_total 1\n"), "{metrics}");
    ensure!(metrics.contains("reason=\"no_list\""), "{metrics}");
    nginx.finish()
}

#[test]
fn a_store_that_is_down_changes_no_verdict_until_the_list_is_stale() -> Result<()> {
    let store = Provider::start(list("t-1"))?;
    let nginx = builder(&store, "valid=1s stale=3s")
        .expect_log("the last good list stays")
        .expect_log("there is no list")
        .expect_log("connect() to unix:")
        .start()?;
    let (listed, good) = (token("t-1")?, token("t-2")?);
    until_verdict(&nginx, &listed, REVOKED)?;
    store.leave()?;
    let began = Instant::now();
    let mut while_stale = 0;
    until("the end of the list", || {
        let (one, other) = (nginx.bearer("/", &listed)?, nginx.bearer("/", &good)?);
        if other.verdict() == NO_LIST {
            return Ok(Some(()));
        }
        while_stale += 1;
        ensure!(one.verdict() == REVOKED || one.verdict() == NO_LIST, "{:?}", one.verdict());
        ensure!(other.verdict() == GOOD, "{:?}", other.verdict());
        Ok(None)
    })?;
    ensure!(began.elapsed() > Duration::from_millis(2_500), "{:?}", began.elapsed());
    ensure!(while_stale > 10);
    assert_eq!(nginx.bearer("/", &listed)?.verdict(), NO_LIST);
    nginx.wait_log(|line| line.contains("the last good list stays"))?;
    assert_eq!(source(&nginx, "/_list")?["state"], "down");
    store.come_back()?;
    until_verdict(&nginx, &good, GOOD)?;
    assert_eq!(nginx.bearer("/", &listed)?.verdict(), REVOKED);
    until("the state", || Ok((source(&nginx, "/_list")?["state"] == "ok").then_some(())))?;
    nginx.finish()
}

#[test]
fn nobody_waits_for_a_store_that_hangs_once_it_has_failed() -> Result<()> {
    let store = Provider::start(Behaviour::Hang)?;
    let nginx = builder(&store, "timeout=300ms").expect_log("there is no list").start()?;
    let token = token("t-1")?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), NO_LIST);
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(nginx.bearer("/", &token)?.verdict(), NO_LIST);
        ensure!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
    }
    store.set(list("t-1"));
    until_verdict(&nginx, &token, REVOKED)?;
    nginx.finish()
}

#[test]
fn a_list_that_cannot_be_used_leaves_the_last_one_in_force() -> Result<()> {
    let store = Provider::start(list("t-1\n"))?;
    let nginx = builder(&store, "valid=1s").expect_log("the last good list stays").start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    let cases = [
        (
            Behaviour::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\na\nb\n\xff\n".to_vec()),
            "line 3 is not UTF-8",
        ),
        (list("x\n\"y\n"), "line 2 begins with a double quote"),
        (list("x before=yesterday\n"), "line 1"),
        (Behaviour::CloseMidway("t-2\n".repeat(100)), "the answer is not complete"),
        (Behaviour::HangMidway("t-2\n".repeat(100)), "timed out"),
        (Behaviour::Status(404, "none".into()), "the answer has status 404"),
        (Behaviour::Status(304, String::new()), "the answer has status 304"),
        (Behaviour::Gzip(vec![1, 2, 3]), "Content-Encoding gzip"),
        (
            Behaviour::Headers(vec![("X-Accel-Redirect", "/open".into())], "t-2\n".into()),
            "X-Accel-Redirect",
        ),
    ];
    for (behaviour, reason) in cases {
        nginx
            .configure(|builder| builder.server(crate::server(&store, "valid=1s timeout=500ms")))?;
        nginx.reload()?;
        store.set(behaviour);
        let line = nginx.wait_log(|line| line.contains(reason) && line.contains("[error]"))?;
        ensure!(line.contains("the last good list stays"), "{line}");
        assert_eq!(nginx.bearer("/", &token("t-1")?)?.verdict(), REVOKED, "{reason}");
        assert_eq!(nginx.bearer("/", &token("t-2")?)?.verdict(), GOOD, "{reason}");
    }
    nginx.finish()
}

#[test]
fn log_out_everywhere_does_not_lock_the_user_out() -> Result<()> {
    let now = now();
    let store = Provider::start(list(format!(
        "alice before={now}\nbob\ncarol before={now} until={}\ndave until={}\n",
        now - 1,
        now + 3600
    )))?;
    let nginx = Nginx::builder()
        .server(format!(
            "location = /_list {{ internal; {} }}
            location / {{ jwt_kids {{ k1 {SECRET}; }} jwt_revoked_request sub /_list; {SERVE} }}",
            store.pass_to("/list")
        ))
        .start()?;
    let token = |sub: &str, iat: Value| token_with(&json!({ "sub": sub, "iat": iat }));
    for (sub, iat, verdict) in [
        ("alice", json!(now - 1), REVOKED),
        ("alice", json!(now as f64 - 0.5), REVOKED),
        ("alice", Value::Null, REVOKED),
        ("alice", json!(now), GOOD),
        ("alice", json!(now + 1), GOOD),
        ("bob", json!(now + 1), REVOKED),
        ("carol", json!(now - 10), GOOD),
        ("dave", json!(now), REVOKED),
        ("erin", Value::Null, GOOD),
    ] {
        assert_eq!(nginx.bearer("/", &token(sub, iat.clone())?)?.verdict(), verdict, "{sub} {iat}");
    }
    nginx.finish()
}

#[test]
fn a_provider_and_a_location_may_each_have_lists() -> Result<()> {
    let store = Provider::start(list("nobody"))?;
    store.set_for("/subs", list("bob"));
    store.set_for("/jtis", list("t-1"));
    store.set_for("/kids", list("k2"));
    let nginx = Nginx::builder()
        .http(format!(
            "jwt_provider login {{ jwt_issuer login; jwt_kids {{ k1 {SECRET}; k2 {SECRET}; }}
                jwt_revoked_request sub /_subs; jwt_revoked_request kid /_kids server=lists.local; }}"
        ))
        .server(format!(
            "location = /_subs {{ internal; {} }}
            location = /_jtis {{ internal; {} }}
            location / {{ jwt on provider=login; jwt_revoked_request jti /_jtis; {SERVE} }}
            location /open {{ jwt on provider=login; {SERVE} }}
            }}
            server {{ listen unix:other.sock; server_name lists.local;
            location = /_kids {{ internal; {} }}",
            store.pass_to("/subs"),
            store.pass_to("/jtis"),
            store.pass_to("/kids"),
        ))
        .start()?;
    let token = |kid: &str, sub: &str, jti: &str| {
        let claims = json!({ "iss": "login", "sub": sub, "jti": jti });
        Jwt::live_with(&claims).kid(kid).hs("HS256", SECRET)
    };
    for (kid, sub, jti, at_root, at_open) in [
        ("k1", "alice", "t-2", GOOD, GOOD),
        ("k1", "bob", "t-2", REVOKED, REVOKED),
        ("k1", "alice", "t-1", REVOKED, GOOD),
        ("k2", "alice", "t-2", REVOKED, REVOKED),
    ] {
        let token = token(kid, sub, jti)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), at_root, "{kid} {sub} {jti}");
        assert_eq!(nginx.bearer("/open", &token)?.verdict(), at_open, "{kid} {sub} {jti}");
    }
    nginx.finish()
}

#[test]
fn a_remembered_token_is_revoked_as_any() -> Result<()> {
    let store = Provider::start(list(""))?;
    let nginx = builder(&store, "valid=1s").start()?;
    let token = token("t-1")?;
    for _ in 0..3 {
        assert_eq!(nginx.bearer("/", &token)?.verdict(), GOOD);
    }
    let hits = status(&nginx)?["cache"]["hits"].as_i64().context("no hits")?;
    ensure!(hits >= 2, "{hits}");
    store.set(list("t-1"));
    until_verdict(&nginx, &token, REVOKED)?;
    store.set(list(""));
    until_verdict(&nginx, &token, GOOD)?;
    nginx.finish()
}

#[test]
fn only_an_answer_that_begins_as_it_must_is_a_list() -> Result<()> {
    let store = Provider::start(list("#revoked\nt-1\n"))?;
    let nginx = builder(&store, "valid=200ms first=#revoked")
        .expect_log("the last good list stays")
        .start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    for no_list in
        ["", "-LOADING Redis is loading\n", "#revoke", "#revoked2\nx\n", "x\n#revoked\n", "\n"]
    {
        store.set(list(no_list));
        let before = nginx.error_log().matches("does not begin with the line \"#revoked\"").count();
        until("the failure", || {
            let now =
                nginx.error_log().matches("does not begin with the line \"#revoked\"").count();
            Ok((now > before).then_some(()))
        })?;
        assert_eq!(nginx.bearer("/", &token("t-1")?)?.verdict(), REVOKED, "{no_list:?}");
        assert_eq!(nginx.bearer("/", &token("x")?)?.verdict(), GOOD, "{no_list:?}");
    }
    for (at, good) in ["#revoked", "\u{feff}#revoked\r\n", " #revoked \n"].iter().enumerate() {
        let listed = format!("g-{at}");
        store.set(Behaviour::Chunked(format!("{good}\n{listed}"), 1));
        until_verdict(&nginx, &token(&listed)?, REVOKED)?;
    }
    store.set(list("#revoked"));
    until_verdict(&nginx, &token("g-2")?, GOOD)?;
    nginx.finish()
}

#[test]
fn files_and_fetched_lists_are_inherited_separately() -> Result<()> {
    let store = Provider::start(list("t-1\n"))?;
    let nginx = Nginx::builder()
        .server(format!(
            "location = /_list {{ internal; jwt off; {} }}
            jwt_kids {{ k1 {SECRET}; }}
            jwt_revoked_request jti /_list;
            jwt_revoked sub subs.txt;
            location /both {{ {SERVE} }}
            location /file {{ jwt_revoked sub others.txt; {SERVE} }}
            location /fetched {{ jwt_revoked_request sub /_list; {SERVE} }}",
            store.pass_to("/list")
        ))
        .file("subs.txt", "bob\n")
        .file("others.txt", "carol\n")
        .start()?;
    for (sub, jti, verdicts) in [
        ("alice", "t-1", [REVOKED, REVOKED, GOOD]),
        ("bob", "t-2", [REVOKED, GOOD, REVOKED]),
        ("carol", "t-2", [GOOD, REVOKED, GOOD]),
        ("t-1", "t-2", [GOOD, GOOD, REVOKED]),
    ] {
        let token = token_with(&json!({ "sub": sub, "jti": jti }))?;
        for (at, verdict) in ["/both", "/file", "/fetched"].into_iter().zip(verdicts) {
            assert_eq!(nginx.bearer(at, &token)?.verdict(), verdict, "{at}: {sub} {jti}");
        }
    }
    nginx.wait_log(|line| line.contains("jwt refused: revoked: jti is in the list \"/_list\""))?;
    nginx.wait_log(|line| {
        line.contains("revoked: sub is in the list \"") && line.contains("subs.txt")
    })?;
    nginx.finish()
}

#[test]
fn a_page_in_html_or_json_is_no_list() -> Result<()> {
    let store = Provider::start(list("t-1\n"))?;
    let nginx = builder(&store, "valid=200ms").expect_log("the last good list stays").start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    for page in ["<!DOCTYPE html><p>soon", "\u{feff}\n\n  {}", "[\"t-2\"]"] {
        let told = |log: String| log.matches("this is HTML or JSON").count();
        let before = told(nginx.error_log());
        store.set(list(page));
        until("the failure", || Ok((told(nginx.error_log()) > before).then_some(())))?;
        assert_eq!(nginx.bearer("/", &token("t-1")?)?.verdict(), REVOKED, "{page}");
    }
    store.set(list("\"<x>\"\n"));
    until_verdict(&nginx, &token("<x>")?, REVOKED)?;
    nginx.wait_log(|line| line.contains("[notice]") && line.contains("good again"))?;
    nginx.finish()
}

#[test]
fn a_list_that_has_shrunk_or_has_doubtful_lines_is_told_of() -> Result<()> {
    let values: String = (0..100).map(|at| format!("x-{at}\n")).collect();
    let store = Provider::start(list(values))?;
    let nginx = builder(&store, "valid=200ms").workers(2).start()?;
    until_verdict(&nginx, &token("x-1")?, REVOKED)?;
    store.set(list("x-1\n"));
    let line = nginx.wait_log(|line| line.contains("it has 1 values now, and had 100 before"))?;
    ensure!(line.contains("[warn]") && line.contains("revocation list from \"/_list\""), "{line}");
    store.set(list("x-1 before=2026-11-26 09:30:00Z\nx-2 # stolen\n"));
    let line =
        nginx.wait_log(|line| line.contains("line 1: \"before\" in it is a part of the value"))?;
    ensure!(line.contains("[warn]") && line.contains("line 2: \"#\" in it"), "{line}");
    nginx.finish()
}
