//! How long requests wait at most, whether or not their fetches ever end, and how much processor
//! time the waiting costs.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use module_tests::{Behaviour, Jwt, Nginx, Provider, SERVE, processor_time};
use serde_json::json;

use super::life::until_gone;
use crate::{NEW, OLD, ask_all, builder, framed, keys, stray, worker};

/// Requires an answer after at least `least`, and not much later.
fn answered_after(nginx: &Nginx, token: &str, verdict: (u16, &str), least: Duration) -> Result<()> {
    let began = Instant::now();
    let response = nginx.bearer("/", token)?;
    let took = began.elapsed();
    ensure!(response.verdict() == verdict, "{:?} after {took:?}", response.verdict());
    ensure!(took >= least.mul_f32(0.9), "{verdict:?} after {took:?} already");
    ensure!(took < least + Duration::from_millis(2_500), "{verdict:?} after {took:?} only");
    Ok(())
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_unknown_kid_waits_for_a_provider_that_hangs_no_longer_than_its_timeout() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "timeout=1s").start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    provider.set(Behaviour::Hang);
    answered_after(&nginx, &stray("x")?, (401, "unknown_key"), SECOND)?;
    // No request waits during the pause, which starts at the end of that fetch.
    answered_after(&nginx, &stray("y")?, (401, "unknown_key"), Duration::ZERO)?;
    assert_eq!(provider.settle()?, 2);
    nginx.finish()
}

#[test]
fn an_unknown_kid_waits_for_one_fetch_also_where_that_takes_longer_than_the_pause() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "timeout=30s").start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    let pieces = vec![crate::key_set(&[OLD])?, " ".to_owned()];
    provider.set(Behaviour::Slow(pieces, Duration::from_millis(5_500)));
    answered_after(&nginx, &stray("x")?, (401, "unknown_key"), SECOND * 11)?;
    assert_eq!(provider.settle()?, 2);
    nginx.finish()
}

/// Two sources that hang, with timeouts of one and of two seconds.
fn two_that_hang(one: &Provider, two: &Provider) -> Result<Nginx> {
    framed(format!(
        "location = /_1 {{ internal; {} }} location = /_2 {{ internal; {} }}
        location /open {{ {SERVE} }}
        location / {{ jwks_request /_1 timeout=1s; jwks_request /_2 timeout=2s; {SERVE} }}",
        one.pass(),
        two.pass()
    ))
    .start()
}

#[test]
fn two_cold_sources_that_hang_do_not_take_turns() -> Result<()> {
    let (one, two) = (Provider::start(Behaviour::Hang)?, Provider::start(Behaviour::Hang)?);
    let nginx = two_that_hang(&one, &two)?;
    answered_after(&nginx, &OLD.token()?, (503, "no_keys"), SECOND * 2)?;
    nginx.finish()
}

#[test]
fn an_old_worker_leaves_although_its_requests_wait_for_what_never_comes() -> Result<()> {
    let (one, two) = (Provider::start(Behaviour::Hang)?, Provider::start(Behaviour::Hang)?);
    let nginx = two_that_hang(&one, &two)?;
    let mut waiting = ask_all(&nginx, &[OLD.token()?, OLD.token()?])?;
    crate::all_wait(&nginx, &mut waiting)?;
    let (old_worker, began) = (worker(&nginx)?, Instant::now());
    nginx.reload()?;
    crate::all_get(waiting, (503, "no_keys"))?;
    until_gone(old_worker)?;
    assert!(began.elapsed() < SECOND * 4, "after {:?}", began.elapsed());
    nginx.finish()
}

#[test]
fn a_request_may_wait_anew_for_the_keys_of_the_next_location() -> Result<()> {
    let (one, two) = (Provider::start(Behaviour::Hang)?, Provider::start(keys(&[NEW])?)?);
    two.hold();
    let nginx = framed(format!(
        "location = /_1 {{ internal; {} }} location = /_2 {{ internal; {} }}
        location / {{ jwks_request /_1 timeout=1s; error_page 503 = /next; {SERVE} }}
        location = /next {{ jwks_request /_2 timeout=5s; {SERVE} }}",
        one.pass(),
        two.pass()
    ))
    .start()?;
    let mut waiting = ask_all(&nginx, &[NEW.token()?])?;
    // The request reaches the second source only after it has given up the first.
    two.wait_count(1)?;
    two.release();
    let response = waiting.remove(0).read_response(false)?;
    assert_eq!(response.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn requests_that_wait_cost_nothing() -> Result<()> {
    let provider = Provider::start(Behaviour::Hang)?;
    let nginx = framed(format!(
        "large_client_header_buffers 4 64k; {}",
        crate::server(&provider, "timeout=6s")
    ))
    .workers(2)
    .connections(2048)
    .start()?;
    // About half of the requests wait for a fetch that the other worker makes.
    let bulky = Jwt::live().kid("x").with(&json!({ "bulk": "x".repeat(5_000) }));
    let waiting = ask_all(&nginx, &vec![OLD.sign(&bulky)?; 1_000])?;
    provider.wait_count(1)?;
    // All requests have arrived when the workers have been idle for a while.
    let used = || nginx.workers().iter().map(|pid| processor_time(*pid)).sum::<Result<Duration>>();
    let mut last = used()?;
    let began = Instant::now();
    module_tests::until("all requests to wait", || {
        std::thread::sleep(Duration::from_millis(100));
        let now = used()?;
        let idle = now == last;
        last = now;
        Ok(idle.then_some(()))
    })?;
    assert!(began.elapsed() < Duration::from_secs(3), "the machine is too busy to measure");
    let (before, began) = (used()?, Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    let (spent, time) = (used()? - before, began.elapsed());
    // The processor time of each worker is counted in hundredths of a second.
    assert!(spent <= time.mul_f32(0.01) + Duration::from_millis(20), "{spent:?} in {time:?}");
    for (at, mut connection) in waiting.into_iter().enumerate() {
        let response = connection.read_response(false)?;
        assert_eq!(response.verdict(), (503, "no_keys"), "request {at}");
    }
    assert_eq!(nginx.get("/open")?.status, 200);
    nginx.finish()
}
