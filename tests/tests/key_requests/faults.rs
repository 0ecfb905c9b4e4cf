//! Answers that hold no keys: the last good keys stay in use, the log has the reason, and the
//! module recovers without a reload.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use module_tests::{Behaviour, P256, Provider, jwk_set, until, until_verdict};
use serde_json::json;

use crate::{
    LARGEST, NEW, OLD, ask_until_count, at_once, builder, is_told, key_set, keys, padded, settled,
    told,
};

/// A fault, and the text that the log line must contain in addition to the URI.
type Fault = (Behaviour, &'static str);

fn faults() -> Result<Vec<Fault>> {
    let set = key_set(&[OLD])?;
    let page = || "<html>no</html>".to_owned();
    let large = padded(LARGEST + 1)?;
    let drops = set.chars().map(String::from).collect();
    let location = vec![("Location", "https://idp.example/".to_owned())];
    let weak = jwk_set(&[P256.jwk(&json!({ "use": "enc" }))?]);
    Ok(vec![
        (Behaviour::Status(500, String::new()), "500"),
        // The status decides, even if the body is a valid key set.
        (Behaviour::Status(500, set.clone()), "500"),
        (Behaviour::Status(404, page()), "404"),
        (Behaviour::Status(401, set.clone()), "401"),
        (Behaviour::Status(403, set.clone()), "403"),
        (Behaviour::Status(429, page()), "429"),
        (Behaviour::Status(503, set.clone()), "503"),
        (Behaviour::Status(206, set.clone()), "206"),
        (Behaviour::Raw(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()), "204"),
        (Behaviour::Raw(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()), "304"),
        (Behaviour::Raw(moved(&location, &set)), "302"),
        (Behaviour::Html, "neither JSON nor PEM"),
        (Behaviour::Keys(String::new()), ""),
        (Behaviour::Keys("{\"keys\":[]}".into()), ""),
        (Behaviour::Keys("{\"keys\":{}}".into()), "keys"),
        (Behaviour::Keys("{}".into()), "keys"),
        (Behaviour::Keys("null".into()), ""),
        (Behaviour::Keys(weak), "no usable key"),
        (Behaviour::Keys(set[..set.len() - 1].into()), "line 1"),
        (Behaviour::Keys("\0".repeat(3000)), ""),
        (Behaviour::Keys("[".repeat(100_000)), ""),
        (Behaviour::Close, "502"),
        (Behaviour::Raw(b"HTTP/1.1 200 OK\r\nX".to_vec()), "502"),
        (Behaviour::CloseMidway(set.clone()), ""),
        (
            Behaviour::Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{".into()),
            "",
        ),
        (Behaviour::Hang, "timed out after 1000 ms"),
        (Behaviour::HangMidway(set.clone()), "timed out after 1000 ms"),
        // Bytes keep arriving, but the whole answer takes longer than the timeout.
        (Behaviour::Slow(drops, Duration::from_millis(50)), "timed out after 1000 ms"),
        (Behaviour::Keys(large.clone()), "larger than"),
        (Behaviour::Chunked(large.clone(), 5000), "larger than"),
        (Behaviour::Unsized(large), "larger than"),
        (Behaviour::Gzip(b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()), "Content-Encoding"),
        // The keys are plain text, but the header claims gzip, so the answer is not taken.
        (Behaviour::Gzip(set.into_bytes()), "Content-Encoding"),
    ])
}

fn moved(headers: &[(&str, String)], body: &str) -> Vec<u8> {
    let mut head = "HTTP/1.1 302 Found\r\n".to_owned();
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Runs only eight faults at a time, because each starts its own nginx.
fn in_turns(run: impl Fn(&Fault) -> Result<()> + Sync) -> Result<()> {
    faults()?.chunks(8).try_for_each(|some| at_once(some, &run))
}

#[test]
fn without_keys_the_answer_is_503_until_there_are_some() -> Result<()> {
    let token = OLD.token()?;
    in_turns(|(fault, reason)| {
        let provider = Provider::start(fault.clone())?;
        let nginx = builder(&provider, "timeout=1s").start()?;
        let response = nginx.bearer("/", &token)?;
        ensure!(response.verdict() == (503, "no_keys"), "{:?}", response.verdict());
        ensure!(response.challenge().is_empty(), "a challenge: {}", response.challenge());
        ensure!(!response.text().contains("kty"), "the provider's answer came through");
        nginx.wait_log(|line| is_told(line, reason))?;
        ensure!(nginx.refusals().len() == 1, "{:?}", nginx.refusals());
        provider.set(keys(&[OLD])?);
        until_verdict(&nginx, &token, (200, "ok"))?;
        nginx.finish()
    })
}

#[test]
fn the_last_good_keys_stay() -> Result<()> {
    let token = OLD.token()?;
    in_turns(|(fault, reason)| {
        let provider = Provider::start(keys(&[OLD])?)?;
        let nginx = builder(&provider, "valid=1s timeout=1s").start()?;
        ensure!(nginx.bearer("/", &token)?.verdict() == (200, "ok"), "at first");
        provider.set(fault.clone());
        // Two refreshes must fail: the second shows that the first did no harm.
        ask_until_count(&nginx, &provider, &token, (200, "ok"), 3)?;
        nginx.wait_log(|line| is_told(line, reason))?;
        ensure!(nginx.refusals().is_empty(), "{:?}", nginx.refusals());
        provider.set(keys(&[OLD, NEW])?);
        until_verdict(&nginx, &NEW.token()?, (200, "ok"))?;
        ensure!(nginx.bearer("/", &token)?.verdict() == (200, "ok"), "in the end");
        nginx.finish()
    })
}

#[test]
fn a_provider_that_is_not_there_is_found_when_it_comes() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    provider.leave()?;
    let nginx = builder(&provider, "valid=1s").start()?;
    let token = OLD.token()?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (503, "no_keys"));
    nginx.wait_log(|line| is_told(line, "502"))?;
    provider.come_back()?;
    until_verdict(&nginx, &token, (200, "ok"))?;
    provider.leave()?;
    // Expired keys still verify tokens, and the log gets another line.
    let before = told(&nginx, "").len();
    until("a refresh in vain", || {
        ensure!(nginx.bearer("/", &token)?.verdict() == (200, "ok"), "while it was away");
        Ok((told(&nginx, "").len() > before).then_some(()))
    })?;
    provider.come_back()?;
    provider.set(keys(&[OLD, NEW])?);
    until_verdict(&nginx, &NEW.token()?, (200, "ok"))?;
    nginx.finish()
}

#[test]
fn a_first_fetch_that_failed_is_not_repeated_within_a_second() -> Result<()> {
    let provider = Provider::start(Behaviour::Status(500, String::new()))?;
    let nginx = builder(&provider, "").start()?;
    let token = OLD.token()?;
    let mut answers = 0;
    until("four tries", || {
        ensure!(nginx.bearer("/", &token)?.verdict() == (503, "no_keys"), "answer {answers}");
        answers += 1;
        Ok((provider.count() >= 4).then_some(()))
    })?;
    assert!(answers > 20, "answers in between come at once: {answers}");
    apart(&provider, Duration::from_millis(950))?;
    // The log has at most one line for each fetch, not one for each request.
    assert!(told(&nginx, "500").len() <= provider.count(), "{:?}", told(&nginx, "500"));
    nginx.finish()
}

#[test]
fn those_that_waited_for_a_fetch_in_vain_are_answered_together() -> Result<()> {
    let provider = Provider::start(Behaviour::Status(500, String::new()))?;
    provider.hold();
    let nginx = builder(&provider, "").start()?;
    let mut waiting = crate::ask_all(&nginx, &vec![OLD.token()?; 30])?;
    provider.wait_count(1)?;
    crate::all_wait(&nginx, &mut waiting)?;
    provider.release();
    crate::all_get(waiting, (503, "no_keys"))?;
    assert_eq!(settled(&nginx, &provider)?, 1, "those that waited asked again");
    nginx.finish()
}

#[test]
fn a_refresh_that_failed_is_repeated_after_valid() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=2s").start()?;
    let token = OLD.token()?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    provider.set(Behaviour::Html);
    ask_until_count(&nginx, &provider, &token, (200, "ok"), 4)?;
    apart(&provider, Duration::from_millis(1900))?;
    nginx.finish()
}

/// Requires a gap of at least `least` between the requests that the provider received.
fn apart(provider: &Provider, least: Duration) -> Result<()> {
    let received = provider.received();
    for pair in received.windows(2) {
        let gap = pair[1].at - pair[0].at;
        ensure!(gap >= least, "two fetches within {gap:?}");
    }
    Ok(())
}

#[test]
fn a_provider_that_hangs_holds_nobody_longer_than_the_timeout() -> Result<()> {
    let provider = Provider::start(Behaviour::Hang)?;
    let nginx = builder(&provider, "timeout=1s").start()?;
    let began = Instant::now();
    let waiting = crate::ask_all(&nginx, &vec![OLD.token()?; 20])?;
    crate::all_get(waiting, (503, "no_keys"))?;
    assert!(began.elapsed() >= Duration::from_millis(950), "{:?}", began.elapsed());
    // nginx must close its connection to the provider.
    provider.wait_given_up(1)?;
    assert_eq!(settled(&nginx, &provider)?, 1);
    nginx.finish()
}

#[test]
fn the_location_s_own_timeout_counts_when_it_is_shorter() -> Result<()> {
    let provider = Provider::start(Behaviour::Hang)?;
    let server = crate::server(&provider, "timeout=60s");
    let nginx = crate::framed(format!("proxy_read_timeout 300ms; {server}")).start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (503, "no_keys"));
    nginx.wait_log(|line| is_told(line, "504"))?;
    provider.set(keys(&[OLD])?);
    until_verdict(&nginx, &OLD.token()?, (200, "ok"))?;
    nginx.finish()
}

#[test]
fn one_source_in_vain_does_not_take_the_other_away() -> Result<()> {
    let (good, bad) =
        (Provider::start(keys(&[OLD])?)?, Provider::start(Behaviour::Status(500, String::new()))?);
    let nginx = crate::framed(format!(
        "location = /_jwks/good {{ internal; {} }} location = /_jwks/bad {{ internal; {} }}
        location / {{ jwks_request /_jwks/bad; jwks_request /_jwks/good; {} }}",
        good.pass(),
        bad.pass(),
        module_tests::SERVE
    ))
    .start()?;
    let token = OLD.token()?;
    for _ in 0..3 {
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    }
    bad.set(keys(&[NEW])?);
    until_verdict(&nginx, &NEW.token()?, (200, "ok"))?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    nginx.finish()
}
