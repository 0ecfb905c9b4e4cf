//! Providers that truncate answers, stream without end or redirect; how fetches get along with
//! nginx's cache, access rules and counters; a configuration that fails late.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use module_tests::{
    Behaviour, Builder, Nginx, Provider, SERVE, nginx_has, open_files, until, until_verdict,
};

use crate::{
    LARGEST, NEW, OLD, ask_all, ask_until_count, builder, framed, is_told, key_set, keys, told,
    worker,
};

/// The key location with nginx's own cache in front of the provider.
fn cached(provider: &Provider, cache: &str, options: &str) -> Builder {
    framed(format!(
        "location /_jwks {{ internal; proxy_cache keys; proxy_cache_key one; {cache} {} }}
        location /open {{ {SERVE} }}
        location /one {{ jwks_request /_jwks/1 {options}; {SERVE} }}
        location /two {{ jwks_request /_jwks/2 {options}; {SERVE} }}
        location / {{ jwks_request /_jwks {options}; {SERVE} }}",
        provider.pass_to("/jwks")
    ))
    .http("proxy_cache_path cache keys_zone=keys:1m;")
}

const STALE: &str = "proxy_cache_valid 200 1s; proxy_cache_use_stale updating error timeout;
    proxy_cache_background_update on;";

#[test]
fn a_truncated_answer_under_a_background_update_of_the_cache_harms_nothing() -> Result<()> {
    for lock in ["", "proxy_cache_lock on;"] {
        let provider = Provider::start(keys(&[OLD])?)?;
        let nginx = cached(&provider, &format!("{STALE} {lock}"), "valid=1s").start()?;
        let (token, before) = (OLD.token()?, worker(&nginx)?);
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
        let set = key_set(&[OLD])?;
        let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{".to_vec();
        for truncated in [Behaviour::CloseMidway(set), Behaviour::Raw(chunk), Behaviour::Close] {
            let count = provider.count();
            provider.set(truncated);
            ask_until_count(&nginx, &provider, &token, (200, "ok"), count + 2)?;
        }
        provider.set(keys(&[NEW])?);
        until_verdict(&nginx, &NEW.token()?, (200, "ok"))?;
        assert_eq!(worker(&nginx)?, before, "{lock}: another worker");
        nginx.finish()?;
    }
    Ok(())
}

/// nginx's cache holds a faulty answer, gives it to every fetch, and updates it in the background.
/// When the module gives up the fetch, it must not end the background update.
#[test]
fn an_answer_in_the_cache_that_is_too_large_is_replaced_in_the_background() -> Result<()> {
    let large = format!("{{\"keys\":[]}}{}", " ".repeat(8 << 20));
    let gzip = vec![("Content-Encoding", "gzip".to_owned())];
    for bad in [Behaviour::Keys(large.clone()), Behaviour::Headers(gzip, large.clone())] {
        let provider = Provider::start(keys(&[OLD])?)?;
        let nginx = cached(&provider, STALE, "valid=1s").start()?;
        let (old, new) = (OLD.token()?, NEW.token()?);
        assert_eq!(nginx.bearer("/", &old)?.verdict(), (200, "ok"));
        let count = provider.count();
        provider.set(bad);
        ask_until_count(&nginx, &provider, &old, (200, "ok"), count + 1)?;
        // The answer is slow, because the update takes time on a real network too.
        let set = key_set(&[NEW])?;
        let (one, other) = set.split_at(set.len() / 2);
        provider.set(Behaviour::Slow(vec![one.into(), other.into()], Duration::from_millis(700)));
        until_verdict(&nginx, &new, (200, "ok"))?;
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_fetch_may_be_given_up_while_it_waits_for_the_lock_of_the_cache() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    provider.hold();
    let nginx = cached(&provider, "proxy_cache_lock on; proxy_cache_valid 1m;", "timeout=1s");
    let (nginx, token) = (nginx.start()?, OLD.token()?);
    let before = worker(&nginx)?;
    for round in 0..3 {
        let ask = |target: &str| {
            let mut connection = nginx.connect()?;
            connection.write(&nginx.request().target(target).bearer(&token).bytes())?;
            anyhow::Ok(connection)
        };
        let waiting = vec![ask("/one")?, ask("/two")?];
        provider.wait_count(round + 1)?;
        crate::all_get(waiting, (503, "no_keys"))?;
        // nginx decides how long the upstream request of a given-up fetch goes on.
        provider.wait_given_up(0)?;
        std::thread::sleep(Duration::from_millis(1_100));
    }
    provider.release();
    for target in ["/one", "/two"] {
        until("keys", || {
            Ok((nginx.bearer(target, &token)?.verdict() == (200, "ok")).then_some(()))
        })?;
    }
    assert_eq!(worker(&nginx)?, before, "another worker");
    nginx.finish()
}

#[test]
fn an_answer_without_end_is_cut_off_at_the_limit() -> Result<()> {
    for buffering in ["proxy_buffering on;", "proxy_buffering off;", "proxy_max_temp_file_size 0;"]
    {
        let provider = Provider::start(Behaviour::Endless)?;
        let nginx =
            framed(format!("{buffering} {}", crate::server(&provider, "timeout=20s"))).start()?;
        let began = Instant::now();
        assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (503, "no_keys"));
        assert!(began.elapsed() < Duration::from_secs(5), "{buffering}: {:?}", began.elapsed());
        nginx.wait_log(|line| is_told(line, &format!("larger than {LARGEST} bytes")))?;
        provider.wait_given_up(1)?;
        // nginx and the sockets buffer bytes beyond the limit.
        assert!(provider.streamed() < 8 << 20, "{buffering}: {}", provider.streamed());
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn where_a_provider_leads_it_is_not_followed() -> Result<()> {
    let good = key_set(&[OLD])?;
    let elsewhere = "location = /closed/keys.json { deny all; alias html/keys.json; }
        location /closed/dir/ { internal; alias html/; }
        location /closed/says { return 200 KEYS; }
        location @closed { try_files /keys.json =404; }
        location = /closed/other { internal; proxy_pass http://unix:other.sock; }"
        .replace("KEYS", &format!("'{good}'"));
    for to in
        ["/closed/keys.json", "/closed/dir/keys.json", "/closed/says", "@closed", "/closed/other"]
    {
        for way in
            ["", "proxy_buffering off;", "error_page 502 = /backup;", "proxy_intercept_errors on;"]
        {
            let headers = vec![("X-Accel-Redirect", to.to_owned())];
            let provider = Provider::start(Behaviour::Headers(headers, good.clone()))?;
            let nginx = framed(format!(
                "location = /backup {{ root html; try_files /keys.json =404; }}
                {elsewhere} {way} {}",
                crate::server(&provider, "")
            ))
            .html("keys.json", good.clone())
            .start()?;
            let response = nginx.bearer("/", &OLD.token()?)?;
            assert_eq!(response.verdict(), (503, "no_keys"), "{to} {way}");
            nginx.wait_log(|line| is_told(line, "X-Accel-Redirect, which is not followed"))?;
            nginx.finish()?;
        }
    }
    Ok(())
}

#[test]
fn other_internal_headers_of_a_provider_change_nothing_but_the_fetch() -> Result<()> {
    for (name, value) in [
        ("X-Accel-Buffering", "no"),
        ("X-Accel-Expires", "0"),
        ("X-Accel-Charset", "utf-8"),
        ("X-Accel-Limit-Rate", "100000"),
    ] {
        let headers = vec![(name, value.to_owned())];
        let provider = Provider::start(Behaviour::Headers(headers, key_set(&[OLD])?))?;
        let nginx = builder(&provider, "").start()?;
        assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"), "{name}");
        nginx.finish()?;
    }
    // nginx does not follow the header when the configuration ignores it, so the keys are taken.
    let headers = vec![("X-Accel-Redirect", "/x".to_owned())];
    let provider = Provider::start(Behaviour::Headers(headers, key_set(&[OLD])?))?;
    let ignore = "proxy_ignore_headers X-Accel-Redirect;";
    let nginx = framed(format!("{ignore} {}", crate::server(&provider, ""))).start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn access_rules_of_the_server_do_not_end_the_keys() -> Result<()> {
    for rules in [
        "deny all;",
        "allow unix:; deny all; satisfy any; auth_basic closed; auth_basic_user_file users;",
        "auth_basic closed; auth_basic_user_file users;",
        "auth_request /no; location = /no { internal; return 403; }",
        "jwks_request /_jwks; jwt on;",
        "secure_token_secret x;",
        "limit_except PUT { deny all; }",
    ] {
        let provider = Provider::start(keys(&[OLD])?)?;
        let (rules, inside) = match rules.strip_prefix("limit_except") {
            Some(_) => ("", rules),
            None => (rules, ""),
        };
        let nginx = framed(format!(
            "{rules}
            location = /_jwks {{ internal; {inside} {} }}
            location / {{ allow all; auth_basic off; secure_token off; {} jwks_request /_jwks; {SERVE} }}",
            provider.pass(),
            if nginx_has("auth_request")? { "auth_request off;" } else { "" },
        ))
        .file("users", "nobody:x\n");
        if rules.contains("auth_request") && !nginx_has("auth_request")? {
            continue;
        }
        let nginx = nginx.start()?;
        assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"), "{rules}{inside}");
        // The location stays closed to clients.
        assert_eq!(nginx.get("/_jwks")?.status, 404, "{rules}{inside}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_fetch_is_in_the_access_log_only_where_the_location_says_so() -> Result<()> {
    for (location, lines) in [("", 0), ("log_subrequest off;", 0), ("log_subrequest on;", 1)] {
        let provider = Provider::start(keys(&[OLD])?)?;
        let nginx = framed(format!(
            "server_name api.example www.example;
            location = /_jwks {{ internal; {location} proxy_set_header X-Host $host; {} }}
            location / {{ jwks_request /_jwks; {SERVE} }}",
            provider.pass()
        ))
        .start()?;
        assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"), "{location}");
        assert_eq!(provider.received()[0].header("X-Host"), Some("localhost"), "{location}");
        nginx.stop()?;
        let log = nginx.access_log();
        let fetches = log.lines().filter(|line| line.contains("/_jwks"));
        assert_eq!(fetches.count(), lines, "{location}: {log}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn limits_on_clients_do_not_count_fetches() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = framed(format!(
        "limit_req zone=few; limit_conn conns 1; {}",
        crate::server(&provider, "valid=1s")
    ))
    .http(
        "limit_req_zone $server_name zone=few:1m rate=1r/m; limit_req_status 429;
        limit_conn_zone $server_name zone=conns:1m; limit_conn_status 429;",
    )
    .start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.status, 429);
    nginx.finish()
}

#[test]
fn an_answer_whose_end_nothing_marks_is_not_taken() -> Result<()> {
    let provider = Provider::start(Behaviour::Unsized(key_set(&[OLD])?))?;
    let nginx = framed(format!("chunked_transfer_encoding off; {}", crate::server(&provider, "")))
        .start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (503, "no_keys"));
    assert_eq!(told(&nginx, "nothing marks the end of the answer").len(), 1);
    nginx.finish()
}

#[test]
fn nginx_counts_its_connections_as_before() -> Result<()> {
    if !nginx_has("stub_status")? {
        return Ok(());
    }
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = framed(format!(
        "location = /status {{ stub_status; }} {}",
        crate::server(&provider, "valid=1s")
    ))
    .start()?;
    ask_until_count(&nginx, &provider, &OLD.token()?, (200, "ok"), 3)?;
    provider.wait_answered(3)?;
    until("one active connection", || {
        let status = nginx.get("/status")?.text().into_owned();
        ensure!(!status.contains("connections: 0"), "{status}");
        Ok(status.starts_with("Active connections: 1 \n").then_some(()))
    })?;
    nginx.finish()
}

#[test]
fn fetches_leave_no_descriptors_behind() -> Result<()> {
    let provider = Provider::start(Behaviour::Close)?;
    provider.set_for("/good", keys(&[OLD])?);
    provider.set_for("/hang", Behaviour::Hang);
    provider.set_for("/endless", Behaviour::Endless);
    let nginx = framed(format!(
        "location ~ ^/_jwks/([a-z]+) {{ internal; {} }}
        location /open {{ {SERVE} }}
        location / {{ jwks_request /_jwks/$arg_of/$arg_no timeout=500ms; {SERVE} }}",
        provider.pass_to("/$1")
    ))
    .quiet_log()
    .start()?;
    let (token, pid) = (OLD.token()?, worker(&nginx)?);
    let round = |no: usize| {
        for of in ["good", "close", "hang", "endless"] {
            let status = nginx.bearer(format!("/?of={of}&no={no}"), &token)?.status;
            ensure!(status == if of == "good" { 200 } else { 503 }, "{of}: {status}");
        }
        anyhow::Ok(())
    };
    round(0)?;
    let open = open_files(pid)?;
    (1..8).try_for_each(round)?;
    until("descriptors to be closed", || Ok((open_files(pid)? <= open).then_some(())))?;
    nginx.finish()
}

#[test]
fn a_worker_without_connections_fails_the_fetch_and_goes_on() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "").connections(8);
    let nginx = nginx.expect_log("worker_connections are not enough").start()?;
    let held = (0..4).map(|_| nginx.connect()).collect::<Result<Vec<_>>>()?;
    let mut waiting = ask_all(&nginx, &[OLD.token()?])?;
    let response = waiting.remove(0).read_response(false)?;
    ensure!([200, 503].contains(&response.status), "{}", response.status);
    drop(held);
    until_verdict(&nginx, &OLD.token()?, (200, "ok"))?;
    nginx.finish()
}

/// Asks `/` until the provider gets one more request; every answer must be `ok`.
fn refreshes(nginx: &Nginx, provider: &Provider) -> Result<()> {
    let count = provider.count();
    ask_until_count(nginx, provider, &OLD.token()?, (200, "ok"), count + 1)
}

#[test]
fn a_reload_that_fails_late_changes_nothing_for_the_workers_that_stay() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=1s").workers(2).start()?;
    refreshes(&nginx, &provider)?;
    // The reload fails late: nginx binds addresses after it has set up the shared memory.
    nginx.configure(|builder| {
        builder.http("add_header X-Worker $pid always; server { listen unix:no/such/folder.sock; }")
    })?;
    let emerg = nginx.reload_refused()?;
    ensure!(emerg.contains("bind()"), "{emerg}");
    // Both workers still share the keys, so the provider does not get twice the requests.
    provider.set(keys(&[OLD, NEW])?);
    let (count, began) = (provider.count(), Instant::now());
    let token = OLD.token()?;
    while began.elapsed() < Duration::from_millis(3_500) {
        let some = (0..4).map(|_| nginx.bearer("/", &token)).collect::<Result<Vec<_>>>()?;
        ensure!(some.iter().all(|response| response.status == 200), "a refusal");
    }
    let asked = provider.count() - count;
    ensure!((2..=4).contains(&asked), "asked {asked} times in {:?}", began.elapsed());
    let workers = nginx.workers();
    ensure!(workers.len() == 2, "{workers:?}");
    nginx.finish().context("the end")
}
