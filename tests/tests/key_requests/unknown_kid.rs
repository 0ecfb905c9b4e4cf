//! Kids that are not in the key set: one refresh in ten seconds, however many tokens name them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use module_tests::{
    Behaviour, Connection, Jwt, Nginx, P256, P256_OTHER, Provider, SERVE, resident, until_within,
};
use serde_json::json;

use crate::{
    NEW, OLD, all_get, all_wait, ask_all, builder, framed, is_told, keys, settled, stray, worker,
};

/// Starts an nginx that has already fetched a key set, with the key of OLD only.
fn warm(provider: &Provider, options: &str) -> Result<Nginx> {
    let nginx = builder(provider, options).start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    assert_eq!(settled(&nginx, provider)?, 1);
    Ok(nginx)
}

#[test]
fn all_that_name_an_unknown_kid_wait_for_one_refresh() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = warm(&provider, "")?;
    provider.hold();
    provider.set(keys(&[OLD, NEW])?);
    let mut known_soon = ask_all(&nginx, &vec![NEW.token()?; 20])?;
    let strays = (0..20).map(|at| stray(&format!("x-{at}"))).collect::<Result<Vec<_>>>()?;
    let mut unknown = ask_all(&nginx, &strays)?;
    provider.wait_count(2)?;
    all_wait(&nginx, &mut known_soon)?;
    all_wait(&nginx, &mut unknown)?;
    // Tokens whose kid is in the key set do not wait.
    all_get(ask_all(&nginx, &vec![OLD.token()?; 10])?, (200, "ok"))?;
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    provider.release();
    all_get(known_soon, (200, "ok"))?;
    all_get(unknown, (401, "unknown_key"))?;
    assert_eq!(settled(&nginx, &provider)?, 2);
    nginx.finish()
}

#[test]
fn within_ten_seconds_the_next_is_refused_at_once() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = warm(&provider, "")?;
    assert_eq!(nginx.bearer("/", &stray("a")?)?.verdict(), (401, "unknown_key"));
    assert_eq!(settled(&nginx, &provider)?, 2);
    provider.hold();
    provider.set(keys(&[OLD, NEW])?);
    for token in [stray("a")?, stray("b")?, NEW.token()?] {
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "unknown_key"));
    }
    assert_eq!(settled(&nginx, &provider)?, 2);
    nginx.finish()
}

#[test]
fn the_first_fetch_is_no_such_refresh() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "").start()?;
    // The first key set may be older than the token, so nginx looks for the kid once more.
    assert_eq!(nginx.bearer("/", &stray("a")?)?.verdict(), (401, "unknown_key"));
    assert_eq!(settled(&nginx, &provider)?, 2);
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    assert_eq!(settled(&nginx, &provider)?, 2);
    nginx.finish()
}

#[test]
fn after_ten_seconds_it_is_looked_for_again() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = warm(&provider, "")?;
    assert_eq!(nginx.bearer("/", &NEW.token()?)?.verdict(), (401, "unknown_key"));
    provider.set(keys(&[OLD, NEW])?);
    let token = NEW.token()?;
    until_within(Duration::from_secs(20), "the new key", || {
        let response = nginx.bearer("/", &token)?;
        let known = matches!(response.verdict(), (200, "ok") | (401, "unknown_key"));
        ensure!(known, "{:?}", response.verdict());
        Ok((response.status == 200).then_some(()))
    })?;
    let received = provider.received();
    assert_eq!(received.len(), 3);
    let gap = received[2].at - received[1].at;
    assert!(gap > Duration::from_millis(9900), "after {gap:?}");
    nginx.finish()
}

#[test]
fn a_token_without_a_kid_asks_for_no_refresh() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = warm(&provider, "")?;
    assert_eq!(nginx.bearer("/", &Jwt::live().sign("ES256", &P256)?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &Jwt::live().sign("ES256", &P256_OTHER)?)?.status, 401);
    assert_eq!(settled(&nginx, &provider)?, 1);
    nginx.finish()
}

#[test]
fn a_refresh_in_vain_refuses_the_token_and_spoils_nothing() -> Result<()> {
    for fault in [Behaviour::Status(500, String::new()), Behaviour::Html, Behaviour::Hang] {
        let provider = Provider::start(keys(&[OLD])?)?;
        let nginx = warm(&provider, "timeout=1s")?;
        provider.set(fault.clone());
        let waiting = ask_all(&nginx, &[stray("a")?, NEW.token()?, stray("b")?])?;
        all_get(waiting, (401, "unknown_key"))?;
        nginx.wait_log(|line| is_told(line, ""))?;
        assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"), "{fault:?}");
        assert_eq!(nginx.bearer("/", &stray("c")?)?.verdict(), (401, "unknown_key"), "{fault:?}");
        assert_eq!(settled(&nginx, &provider)?, 2, "{fault:?}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn each_source_has_its_own_ten_seconds() -> Result<()> {
    let (one, two) = (Provider::start(keys(&[OLD])?)?, Provider::start(keys(&[OLD])?)?);
    let nginx = framed(format!(
        "location = /_jwks/1 {{ internal; {} }} location = /_jwks/2 {{ internal; {} }}
        location /open {{ {SERVE} }}
        location /1 {{ jwks_request /_jwks/1; {SERVE} }}
        location /2 {{ jwks_request /_jwks/2; {SERVE} }}
        location /both {{ jwks_request /_jwks/1; jwks_request /_jwks/2; {SERVE} }}",
        one.pass(),
        two.pass()
    ))
    .start()?;
    assert_eq!(nginx.bearer("/1", &stray("a")?)?.verdict(), (401, "unknown_key"));
    // Each was asked when the worker started.
    assert_eq!((settled(&nginx, &one)?, two.settle()?), (2, 1));
    // The unknown kid at the first source does not delay a new key of the second.
    assert_eq!(nginx.bearer("/2", &OLD.token()?)?.verdict(), (200, "ok"));
    two.set(keys(&[OLD, NEW])?);
    assert_eq!(nginx.bearer("/2", &NEW.token()?)?.verdict(), (200, "ok"));
    assert_eq!((settled(&nginx, &one)?, two.settle()?), (2, 2));
    // All locations that name a source share its ten seconds.
    assert_eq!(nginx.bearer("/both", &NEW.token()?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/both", &stray("b")?)?.verdict(), (401, "unknown_key"));
    assert_eq!((settled(&nginx, &one)?, two.settle()?), (2, 2));
    nginx.finish()
}

#[test]
fn with_two_sources_the_kid_may_turn_up_in_either() -> Result<()> {
    let (one, two) = (Provider::start(keys(&[OLD])?)?, Provider::start(keys(&[OLD])?)?);
    let nginx = framed(format!(
        "location = /_jwks/1 {{ internal; {} }} location = /_jwks/2 {{ internal; {} }}
        location /open {{ {SERVE} }}
        location / {{ jwks_request /_jwks/1; jwks_request /_jwks/2; {SERVE} }}",
        one.pass(),
        two.pass()
    ))
    .start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    two.set(keys(&[NEW])?);
    assert_eq!(nginx.bearer("/", &NEW.token()?)?.verdict(), (200, "ok"));
    assert!(settled(&nginx, &one)? <= 2 && two.settle()? == 2);
    nginx.finish()
}

#[test]
fn other_kinds_of_bad_tokens_ask_for_no_refresh() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = warm(&provider, "")?;
    let forged = NEW.sign(&OLD.jwt())?;
    let header = json!({ "alg": "none", "kid": "x" }).to_string();
    let none = module_tests::raw_token(header, "{}", |_| Ok(Vec::new()))?;
    for token in [forged, OLD.sign(&OLD.jwt().with(&json!({ "exp": 1 })))?, none, "x.y".into()] {
        assert_eq!(nginx.bearer("/", &token)?.status, 401, "{token}");
    }
    assert_eq!(settled(&nginx, &provider)?, 1);
    nginx.finish()
}

const STORM: usize = 2000;
const CONNECTIONS: usize = 64;

#[test]
fn a_storm_of_unknown_kids_costs_one_refresh_and_no_memory() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "").quiet_log().start()?;
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    let began = Instant::now();
    storm(&nginx, "first")?;
    let before = resident(worker(&nginx)?)?;
    for round in ["second", "third"] {
        storm(&nginx, round)?;
    }
    let grown = resident(worker(&nginx)?)?.saturating_sub(before);
    // The first request costs one fetch, and each ten seconds that have begun cost one more.
    let allowed = 2 + usize::try_from(began.elapsed().as_secs() / 10)?;
    let count = settled(&nginx, &provider)?;
    assert!((2..=allowed).contains(&count), "{count} fetches in {:?}", began.elapsed());
    assert!(grown < 512, "the worker grew by {grown} KiB");
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    nginx.finish()
}

/// Sends 2000 requests over 64 connections at once; each token has its own kid.
fn storm(nginx: &Nginx, round: &str) -> Result<()> {
    let (request, socket) = (nginx.request().keep_alive(), nginx.socket("s.sock"));
    let next = AtomicUsize::new(0);
    let ask = || -> Result<()> {
        let mut connection = Connection::open(&socket)?;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= STORM {
                return Ok(());
            }
            let token = stray(&format!("{round}-{at}-{}", "k".repeat(at % 500)))?;
            let response = connection.send(&request.clone().bearer(&token))?;
            ensure!(response.verdict() == (401, "unknown_key"), "{:?}", response.verdict());
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(ask)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}
