//! Reloads, shutdown, clients that leave, HTTP/2: every request that waits for keys is answered,
//! and fetched keys stay.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use module_tests::{
    Behaviour, End, Field, Http2, Nginx, Provider, SERVE, http2_request, open_files, until,
    until_verdict,
};
use rustix::process::Signal;

use crate::{
    NEW, OLD, all_get, all_wait, ask_all, builder, framed, keys, server, settled, stray, worker,
};

#[test]
fn a_reload_keeps_the_keys() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "").workers(2).start()?;
    let (token, forged) = (OLD.token()?, NEW.sign(&OLD.jwt())?);
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    provider.leave()?;
    for round in 0..5 {
        nginx.reload()?;
        for _ in 0..6 {
            assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "reload {round}");
            assert_eq!(nginx.bearer("/", &forged)?.verdict(), (401, "bad_signature"));
        }
    }
    assert_eq!(provider.count(), 1);
    nginx.finish()
}

#[test]
fn a_reload_that_changes_the_configuration_keeps_the_keys_that_it_still_names() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "").start()?;
    let token = OLD.token()?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    provider.leave()?;
    let more = format!(
        "location /more {{ jwks_request /_jwks valid=1h; jwks_request /_other; {SERVE} }}
        location /other {{ jwks_request /_other; {SERVE} }}
        location = /_other {{ internal; {} }}",
        provider.pass()
    );
    nginx
        .configure(|builder| builder.server(format!("{more} {}", server(&provider, "valid=2h"))))?;
    nginx.reload()?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/more", &token)?.verdict(), (200, "ok"));
    // Another URI is another source, and it never uses keys that were fetched for the first one.
    assert_eq!(nginx.bearer("/other", &token)?.verdict(), (503, "no_keys"));
    nginx.finish()
}

#[test]
fn keys_of_a_source_that_a_reload_took_away_judge_nothing() -> Result<()> {
    let (one, two) = (Provider::start(keys(&[OLD])?)?, Provider::start(keys(&[NEW])?)?);
    let nginx = builder(&one, "").start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    let locations = format!(
        "location = /_jwks/2 {{ internal; {} }}
        location / {{ jwks_request /_jwks/2; {SERVE} }}",
        two.pass()
    );
    nginx.configure(|builder| builder.server(locations))?;
    nginx.reload()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (401, "unknown_key"));
    assert_eq!(nginx.bearer("/", &NEW.token()?)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn after_a_reload_nobody_waits_and_no_more_than_one_fetch_is_made() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "").workers(2).start()?;
    let token = OLD.token()?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    provider.hold();
    nginx.reload()?;
    // The URI may now lead elsewhere, so a new fetch is allowed, but no request may wait for it.
    all_get(ask_all(&nginx, &vec![token; 60])?, (200, "ok"))?;
    assert!(settled(&nginx, &provider)? <= 2);
    provider.release();
    nginx.finish()
}

#[test]
fn a_reload_that_leads_a_uri_elsewhere_brings_the_keys_from_there() -> Result<()> {
    let (one, two) = (Provider::start(keys(&[OLD])?)?, Provider::start(keys(&[NEW])?)?);
    let nginx = builder(&one, "valid=10m").start()?;
    let (old, new) = (OLD.token()?, NEW.token()?);
    assert_eq!(nginx.bearer("/", &old)?.verdict(), (200, "ok"));
    nginx.configure(|builder| builder.server(server(&two, "valid=10m")))?;
    nginx.reload()?;
    until_verdict(&nginx, &new, (200, "ok"))?;
    assert_eq!(nginx.bearer("/", &old)?.verdict(), (401, "unknown_key"));
    assert_eq!(one.settle()?, 1);
    nginx.finish()
}

#[test]
fn a_start_from_nothing_fetches() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    for starts in 1..=2 {
        let nginx = builder(&provider, "").start()?;
        assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
        assert_eq!(settled(&nginx, &provider)?, starts);
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_single_process_fetches_and_refreshes_too() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=1s").single_process().start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    provider.set(keys(&[NEW])?);
    until_verdict(&nginx, &NEW.token()?, (200, "ok"))?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (401, "unknown_key"));
    nginx.finish()
}

#[test]
fn keys_past_their_time_are_refreshed_after_a_reload_too() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=1s").start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    nginx.reload()?;
    provider.set(keys(&[OLD, NEW])?);
    until("a refresh", || {
        ensure!(nginx.bearer("/", &OLD.token()?)?.verdict() == (200, "ok"), "meanwhile");
        Ok((provider.answered() >= 2).then_some(()))
    })?;
    until_verdict(&nginx, &NEW.token()?, (200, "ok"))?;
    nginx.finish()
}

#[test]
fn those_that_wait_when_a_reload_comes_are_answered() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    provider.hold();
    let nginx = builder(&provider, "").start()?;
    let old_worker = worker(&nginx)?;
    let mut waiting = ask_all(&nginx, &vec![OLD.token()?; 20])?;
    provider.wait_count(1)?;
    all_wait(&nginx, &mut waiting)?;
    nginx.reload()?;
    // Requests at the new worker wait too, for the fetch of the old worker or for their own.
    let mut later = ask_all(&nginx, &vec![OLD.token()?; 20])?;
    all_wait(&nginx, &mut later)?;
    all_unanswered(&mut waiting)?;
    provider.release();
    all_get(waiting, (200, "ok"))?;
    all_get(later, (200, "ok"))?;
    until_gone(old_worker)?;
    assert!(settled(&nginx, &provider)? <= 2);
    nginx.finish()
}

fn all_unanswered(waiting: &mut [module_tests::Connection]) -> Result<()> {
    for connection in waiting {
        ensure!(!connection.has_answer()?, "answered, or closed");
    }
    Ok(())
}

pub(crate) fn until_gone(pid: u32) -> Result<()> {
    until("the old worker's end", || {
        Ok(fs::metadata(format!("/proc/{pid}")).is_err().then_some(()))
    })
}

#[test]
fn those_that_wait_for_an_unknown_kid_when_a_reload_comes_are_answered() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "").start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    provider.hold();
    provider.set(keys(&[OLD, NEW])?);
    let old_worker = worker(&nginx)?;
    let known_soon = ask_all(&nginx, &vec![NEW.token()?; 5])?;
    let unknown = ask_all(&nginx, &[stray("a")?, stray("b")?])?;
    provider.wait_count(2)?;
    nginx.reload()?;
    provider.release();
    all_get(known_soon, (200, "ok"))?;
    all_get(unknown, (401, "unknown_key"))?;
    until_gone(old_worker)?;
    // The new worker has the keys that the old one has fetched.
    assert_eq!(nginx.bearer("/", &NEW.token()?)?.verdict(), (200, "ok"));
    // At most three fetches: the first, one for the unknown kid, one for the new configuration.
    assert!(settled(&nginx, &provider)? <= 3);
    nginx.finish()
}

#[test]
fn a_background_refresh_does_not_keep_an_old_worker() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=1s timeout=3s").start()?;
    let token = OLD.token()?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    provider.set(Behaviour::Hang);
    crate::ask_until_count(&nginx, &provider, &token, (200, "ok"), 2)?;
    let old_worker = worker(&nginx)?;
    nginx.reload()?;
    for _ in 0..5 {
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    }
    // The old worker stays no longer than the timeout of its fetch.
    until_gone(old_worker)?;
    provider.set(keys(&[OLD, NEW])?);
    until_verdict(&nginx, &NEW.token()?, (200, "ok"))?;
    nginx.finish()
}

/// Requires that a request for new keys does not wait for a fetch whose worker is gone.
fn is_not_held_up(nginx: &Nginx, token: &str) -> Result<()> {
    let began = Instant::now();
    assert_eq!(nginx.bearer("/", token)?.verdict(), (200, "ok"));
    assert!(began.elapsed() < Duration::from_secs(5), "after {:?}", began.elapsed());
    Ok(())
}

#[test]
fn a_refresh_that_went_with_its_worker_holds_nobody_up() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=1s timeout=60s").start()?;
    let (old, new) = (OLD.token()?, NEW.token()?);
    assert_eq!(nginx.bearer("/", &old)?.verdict(), (200, "ok"));
    provider.hold();
    provider.set(keys(&[OLD, NEW])?);
    crate::ask_until_count(&nginx, &provider, &old, (200, "ok"), 2)?;
    let old_worker = worker(&nginx)?;
    nginx.reload()?;
    until_gone(old_worker)?;
    provider.release();
    is_not_held_up(&nginx, &new)?;
    nginx.finish()
}

#[test]
fn a_refresh_that_a_worker_began_on_its_way_out_holds_nobody_up() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "timeout=60s").start()?;
    let (old, new) = (OLD.token()?, NEW.token()?);
    assert_eq!(nginx.bearer("/", &old)?.verdict(), (200, "ok"));
    provider.hold();
    provider.set(keys(&[OLD, NEW])?);
    // The old worker has read half a request when the reload shuts it down.
    let old_worker = worker(&nginx)?;
    let mut connection = nginx.connect()?;
    let request = nginx.request().bearer(&old).bytes();
    let (head, tail) = request.split_at(request.len() / 2);
    connection.write(head)?;
    nginx.get("/open")?;
    nginx.reload()?;
    connection.write(tail)?;
    assert_eq!(connection.read_response(false)?.verdict(), (200, "ok"));
    until_gone(old_worker)?;
    provider.release();
    is_not_held_up(&nginx, &new)?;
    nginx.finish()
}

#[test]
fn those_that_wait_at_a_graceful_shutdown_are_answered() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    provider.hold();
    let nginx = builder(&provider, "").start()?;
    let mut waiting = ask_all(&nginx, &vec![OLD.token()?; 20])?;
    provider.wait_count(1)?;
    all_wait(&nginx, &mut waiting)?;
    nginx.signal(Signal::QUIT)?;
    nginx.wait_log(|line| line.ends_with(": gracefully shutting down"))?;
    all_unanswered(&mut waiting)?;
    provider.release();
    all_get(waiting, (200, "ok"))?;
    nginx.finish()
}

#[test]
fn a_graceful_shutdown_ends_although_the_provider_hangs() -> Result<()> {
    let provider = Provider::start(Behaviour::Hang)?;
    let nginx = builder(&provider, "timeout=2s").start()?;
    let mut waiting = ask_all(&nginx, &vec![OLD.token()?; 10])?;
    provider.wait_count(1)?;
    all_wait(&nginx, &mut waiting)?;
    nginx.signal(Signal::QUIT)?;
    all_get(waiting, (503, "no_keys"))?;
    nginx.finish()
}

#[test]
fn the_longest_time_that_a_worker_may_take_to_leave_counts_for_fetches_too() -> Result<()> {
    let provider = Provider::start(Behaviour::Hang)?;
    let nginx = builder(&provider, "timeout=60s").main("worker_shutdown_timeout 1s;").start()?;
    let mut waiting = ask_all(&nginx, &[OLD.token()?])?;
    provider.wait_count(1)?;
    let (old_worker, began) = (worker(&nginx)?, Instant::now());
    nginx.reload()?;
    until_gone(old_worker)?;
    assert!(began.elapsed() < Duration::from_secs(4), "after {:?}", began.elapsed());
    assert!(waiting.remove(0).read_response(false).is_err());
    nginx.finish()
}

#[test]
fn a_fast_shutdown_while_requests_wait_leaves_no_complaint() -> Result<()> {
    for background in [false, true] {
        let provider = Provider::start(keys(&[OLD])?)?;
        let nginx = builder(&provider, "valid=1s timeout=30s").start()?;
        let token = OLD.token()?;
        let wanted = if background {
            assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
            provider.hold();
            crate::ask_until_count(&nginx, &provider, &token, (200, "ok"), 2)?;
            2
        } else {
            provider.hold();
            1
        };
        let waiting = ask_all(&nginx, &[token, stray("a")?])?;
        provider.wait_count(wanted)?;
        nginx.signal(Signal::TERM)?;
        nginx.wait_log(|line| line.ends_with(": exit"))?;
        drop(waiting);
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_client_that_leaves_takes_nothing_with_it() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    provider.hold();
    let nginx = builder(&provider, "").start()?;
    let token = OLD.token()?;
    // The client whose request began the fetch is one of those that leave.
    let leaving = ask_all(&nginx, &vec![token.clone(); 10])?;
    provider.wait_count(1)?;
    let mut staying = ask_all(&nginx, &vec![token.clone(); 10])?;
    all_wait(&nginx, &mut staying)?;
    drop(leaving);
    all_wait(&nginx, &mut staying)?;
    provider.release();
    all_get(staying, (200, "ok"))?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    assert!(settled(&nginx, &provider)? <= 2);
    nginx.finish()
}

#[test]
fn the_only_client_may_leave() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "timeout=5s").start()?;
    let token = OLD.token()?;
    provider.hold();
    let alone = ask_all(&nginx, std::slice::from_ref(&token))?;
    provider.wait_count(1)?;
    drop(alone);
    nginx.get("/open")?;
    provider.release();
    until_verdict(&nginx, &token, (200, "ok"))?;
    nginx.finish()
}

/// Returns the only worker and the number of its open files. It answers a request first, because
/// it has then opened all files that it needs for itself.
fn at_rest(nginx: &Nginx) -> Result<(u32, u64)> {
    nginx.get("/open")?;
    let pid = worker(nginx)?;
    Ok((pid, open_files(pid)?))
}

#[test]
fn clients_that_leave_leave_no_descriptors_behind() -> Result<()> {
    let provider = Provider::start(Behaviour::Hang)?;
    let nginx = builder(&provider, "timeout=1s").start()?;
    let token = OLD.token()?;
    let (pid, before) = at_rest(&nginx)?;
    for _ in 0..5 {
        let mut waiting = ask_all(&nginx, &vec![token.clone(); 30])?;
        drop(waiting.split_off(10));
        all_get(waiting, (503, "no_keys"))?;
    }
    until("the end of all connections", || Ok((open_files(pid)? <= before).then_some(())))?;
    provider.set(keys(&[OLD])?);
    until_verdict(&nginx, &token, (200, "ok"))?;
    nginx.finish()
}

#[test]
fn the_time_that_a_client_has_to_send_does_not_count_while_it_waits() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    provider.hold();
    let times = "client_header_timeout 1s; client_body_timeout 1s; send_timeout 1s;
        keepalive_timeout 1s;";
    let nginx = framed(format!("{times} {}", server(&provider, ""))).start()?;
    let began = Instant::now();
    let mut waiting = ask_all(&nginx, &vec![OLD.token()?; 3])?;
    provider.wait_count(1)?;
    until("all those times", || Ok((began.elapsed() > Duration::from_secs(2)).then_some(())))?;
    all_wait(&nginx, &mut waiting)?;
    provider.release();
    all_get(waiting, (200, "ok"))?;
    nginx.finish()
}

#[test]
fn requests_of_one_connection_are_answered_in_their_order() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    provider.hold();
    let nginx = builder(&provider, "").start()?;
    let request = nginx.request().keep_alive();
    let mut connection = nginx.connect()?;
    let (token, forged) = (OLD.token()?, NEW.sign(&OLD.jwt())?);
    let pipeline = [
        request.clone().bearer(&token),
        request.clone().target("/open"),
        request.clone().bearer(&forged),
        request.clone(),
    ];
    let bytes: Vec<u8> = pipeline.iter().flat_map(module_tests::Request::bytes).collect();
    connection.write(&bytes)?;
    provider.wait_count(1)?;
    nginx.get("/open")?;
    assert!(!connection.has_answer()?);
    provider.release();
    for verdict in [(200, "ok"), (200, "off"), (401, "bad_signature"), (401, "missing")] {
        assert_eq!(connection.read_response(false)?.verdict(), verdict);
    }
    drop(connection);
    nginx.finish()
}

#[test]
fn http_2_waits_too() -> Result<()> {
    let Some(listen) = Http2::listen()? else { return Ok(()) };
    let provider = Provider::start(keys(&[OLD])?)?;
    provider.hold();
    let nginx = framed(format!("{listen} {}", server(&provider, ""))).start()?;
    let good = format!("Bearer {}", OLD.token()?);
    let bad = format!("Bearer {}", NEW.sign(&OLD.jwt())?);
    let mut connection = Http2::connect(&nginx)?;
    let mut begin = |method, path, value: &str| -> Result<u32> {
        let mut fields: Vec<Field<'_>> = http2_request(method, path);
        fields.push((b"authorization", value.as_bytes()));
        connection.begin(&fields)
    };
    let waiting = [
        (begin("GET", "/", &good)?, 200),
        (begin("GET", "/", &bad)?, 401),
        (begin("HEAD", "/", &good)?, 200),
        (begin("GET", "/", &good)?, 200),
    ];
    provider.wait_count(1)?;
    // Another stream of the same connection does not wait.
    let open = begin("GET", "/open", &bad)?;
    let ends = connection.ends(&[open])?;
    assert!(matches!(&ends[..], [End::Status(200, _)]), "{ends:?}");
    provider.release();
    let streams: Vec<u32> = waiting.iter().map(|(stream, _)| *stream).collect();
    for (end, (stream, status)) in connection.ends(&streams)?.iter().zip(waiting) {
        let End::Status(got, _) = end else { bail!("{stream}: {end:?}") };
        assert_eq!(*got, status, "{stream}");
    }
    drop(connection);
    assert_eq!(provider.settle()?, 1);
    nginx.finish()
}

#[test]
fn http_2_that_breaks_off_while_it_waits_leaves_nothing() -> Result<()> {
    let Some(listen) = Http2::listen()? else { return Ok(()) };
    let provider = Provider::start(keys(&[OLD])?)?;
    provider.hold();
    let nginx: Nginx = framed(format!("{listen} {}", server(&provider, ""))).start()?;
    let (pid, before) = at_rest(&nginx)?;
    let good = format!("Bearer {}", OLD.token()?);
    for _ in 0..5 {
        let mut connection = Http2::connect(&nginx)?;
        for _ in 0..10 {
            let mut fields = http2_request("GET", "/");
            fields.push((b"authorization", good.as_bytes()));
            connection.begin(&fields)?;
        }
        provider.wait_count(1)?;
    }
    nginx.get("/open")?;
    provider.release();
    until_verdict(&nginx, &OLD.token()?, (200, "ok"))?;
    until("the end of all connections", || Ok((open_files(pid)? <= before).then_some(())))?;
    nginx.finish()
}
