//! Expired keys: a fetch in the background renews them, and no request waits; rotation; the effect
//! of `Cache-Control`; the end of `stale`.

use std::time::Duration;

use anyhow::{Result, ensure};
use module_tests::{
    Behaviour, Jwt, P256, P256_OTHER, Provider, RSA, RSA_OTHER, SERVE, jwk_set, until,
    until_verdict,
};
use serde_json::json;

use crate::{
    NEW, OLD, Signer, all_get, ask_all, ask_until_count, at_once, builder, framed, key_set, keys,
    settled,
};

#[test]
fn nobody_waits_for_a_refresh() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=1s").start()?;
    let (old, new) = (OLD.token()?, NEW.token()?);
    assert_eq!(nginx.bearer("/", &old)?.verdict(), (200, "ok"));
    provider.hold();
    provider.set(keys(&[NEW])?);
    ask_until_count(&nginx, &provider, &old, (200, "ok"), 2)?;
    // While the refresh runs, the old keys still verify tokens, and no second refresh begins.
    all_get(ask_all(&nginx, &vec![old.clone(); 60])?, (200, "ok"))?;
    assert_eq!((settled(&nginx, &provider)?, provider.answered()), (2, 1));
    provider.release();
    until_verdict(&nginx, &new, (200, "ok"))?;
    assert_eq!(nginx.bearer("/", &old)?.verdict(), (401, "unknown_key"));
    nginx.finish()
}

#[test]
fn a_token_is_refused_as_soon_as_its_key_is_gone() -> Result<()> {
    // The test repeats a token, because a token that was once verified must end with its key.
    let provider = Provider::start(keys(&[OLD, NEW])?)?;
    let nginx = builder(&provider, "valid=1s").start()?;
    let (old, new) = (OLD.token()?, NEW.token()?);
    for _ in 0..5 {
        assert_eq!(nginx.bearer("/", &old)?.verdict(), (200, "ok"));
        assert_eq!(nginx.bearer("/", &new)?.verdict(), (200, "ok"));
    }
    provider.set(keys(&[NEW])?);
    until_verdict(&nginx, &old, (401, "unknown_key"))?;
    for _ in 0..3 {
        assert_eq!(nginx.bearer("/", &old)?.verdict(), (401, "unknown_key"));
        assert_eq!(nginx.bearer("/", &new)?.verdict(), (200, "ok"));
    }
    nginx.finish()
}

#[test]
fn a_kid_that_gets_another_key_is_judged_by_that() -> Result<()> {
    let changed = Signer { kid: OLD.kid, key: &P256_OTHER };
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=1s").start()?;
    let (before, after) = (OLD.token()?, changed.token()?);
    assert_eq!(nginx.bearer("/", &before)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &after)?.verdict(), (401, "bad_signature"));
    provider.set(keys(&[changed])?);
    until_verdict(&nginx, &after, (200, "ok"))?;
    assert_eq!(nginx.bearer("/", &before)?.verdict(), (401, "bad_signature"));
    // The first key returns under the same kid.
    provider.set(keys(&[OLD])?);
    until_verdict(&nginx, &before, (200, "ok"))?;
    assert_eq!(nginx.bearer("/", &after)?.verdict(), (401, "bad_signature"));
    nginx.finish()
}

#[test]
fn a_kid_may_become_a_key_of_another_kind() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(RSA.jwks("k")?))?;
    let nginx = builder(&provider, "valid=1s").start()?;
    let rsa = Jwt::live().kid("k").sign("RS256", &RSA)?;
    let ec = Jwt::live().kid("k").sign("ES256", &P256)?;
    assert_eq!(nginx.bearer("/", &rsa)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &ec)?.verdict(), (401, "bad_algorithm"));
    provider.set(Behaviour::Keys(P256.jwks("k")?));
    until_verdict(&nginx, &ec, (200, "ok"))?;
    assert_eq!(nginx.bearer("/", &rsa)?.verdict(), (401, "bad_algorithm"));
    nginx.finish()
}

#[test]
fn keys_under_no_kid_are_exchanged_too() -> Result<()> {
    let set = |key: &module_tests::Key| -> Result<Behaviour> {
        Ok(Behaviour::Keys(jwk_set(&[key.jwk(&json!({}))?])))
    };
    let provider = Provider::start(set(&RSA)?)?;
    let nginx = builder(&provider, "valid=1s").start()?;
    let (one, two) = (Jwt::live().sign("RS256", &RSA)?, Jwt::live().sign("RS256", &RSA_OTHER)?);
    assert_eq!(nginx.bearer("/", &one)?.verdict(), (200, "ok"));
    provider.set(set(&RSA_OTHER)?);
    until_verdict(&nginx, &two, (200, "ok"))?;
    assert_eq!(nginx.bearer("/", &one)?.status, 401);
    nginx.finish()
}

#[test]
fn a_connection_that_stays_is_not_held_up_by_a_refresh_that_hangs() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=1s timeout=60s").start()?;
    let request = nginx.request().bearer(&OLD.token()?).keep_alive();
    let mut connection = nginx.connect()?;
    assert_eq!(connection.send(&request)?.verdict(), (200, "ok"));
    provider.hold();
    until("a refresh", || {
        let verdict = connection.send(&request)?.verdict() == (200, "ok");
        ensure!(verdict, "meanwhile");
        Ok((provider.count() == 2).then_some(()))
    })?;
    for _ in 0..20 {
        assert_eq!(connection.send(&request)?.verdict(), (200, "ok"));
    }
    // The client sends two requests in one write, then a request with a body.
    connection.write(&[request.bytes(), request.bytes()].concat())?;
    for _ in 0..2 {
        assert_eq!(connection.read_response(false)?.verdict(), (200, "ok"));
    }
    let post = request.method("POST").body("a body");
    assert_eq!(connection.send(&post)?.status, 405);
    assert_eq!((provider.settle()?, provider.answered()), (2, 1), "the refresh still hangs");
    drop(connection);
    provider.release();
    nginx.finish()
}

#[test]
fn max_age_shortens_the_time_and_never_lengthens_it() -> Result<()> {
    let cases = [
        ("valid=10m", "max-age=1"),
        ("valid=10m", "public, max-age=1, must-revalidate"),
        ("valid=10m", "MAX-AGE=1"),
        ("valid=10m", "no-transform,max-age=1"),
        ("valid=10m", "max-age=0"),
        ("valid=1s", "max-age=3600"),
        ("valid=1s", "max-age=99999999999999999999999"),
        ("valid=1s", "max-age=-1"),
        ("valid=1s", "no-cache"),
    ];
    at_once(&cases, |(options, value)| {
        let headers = vec![("Cache-Control", (*value).to_owned())];
        let provider = Provider::start(Behaviour::Headers(headers, key_set(&[OLD])?))?;
        let nginx = builder(&provider, options).start()?;
        ask_until_count(&nginx, &provider, &OLD.token()?, (200, "ok"), 3)?;
        for pair in provider.received().windows(2) {
            let gap = pair[1].at - pair[0].at;
            ensure!(gap > Duration::from_millis(950), "less than a second: {gap:?}");
        }
        nginx.finish()
    })
}

#[test]
fn what_is_no_max_age_changes_nothing() -> Result<()> {
    let cases = [
        "max-age=5000",
        "max-age=",
        "max-age",
        "max-age=x",
        "xmax-age=1",
        "s-max-age=1",
        "private, community=\"max-age=1\"",
    ];
    at_once(&cases, |value| {
        let headers = |value: &str| vec![("Cache-Control", value.to_owned())];
        let keys = key_set(&[OLD])?;
        let provider = Provider::start(Behaviour::Headers(headers(value), keys.clone()))?;
        // The keys of a second source expire once a second, so its fetches measure the time.
        let clock = Provider::start(Behaviour::Headers(headers("max-age=1"), keys))?;
        let nginx = framed(format!(
            "location = /_jwks {{ internal; {} }} location = /_clock {{ internal; {} }}
            location /open {{ {SERVE} }}
            location /clock {{ jwks_request /_clock; {SERVE} }}
            location / {{ jwks_request /_jwks valid=10m; {SERVE} }}",
            provider.pass(),
            clock.pass()
        ))
        .start()?;
        let token = OLD.token()?;
        until("three seconds", || {
            ensure!(nginx.bearer("/", &token)?.status == 200, "keys");
            ensure!(nginx.bearer("/clock", &token)?.status == 200, "the clock's keys");
            Ok((clock.count() >= 3).then_some(()))
        })?;
        let count = settled(&nginx, &provider)?;
        ensure!(count == 1, "{count} fetches");
        nginx.finish()
    })
}

#[test]
fn keys_end_when_stale_has_run_out() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=1s stale=2s").start()?;
    let token = OLD.token()?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    let fetched = provider.received()[0].at;
    provider.leave()?;
    until("the end of the keys", || {
        let response = nginx.bearer("/", &token)?;
        let known = matches!(response.verdict(), (200, "ok") | (503, "no_keys"));
        ensure!(known, "{:?}", response.verdict());
        Ok((response.status == 503).then_some(()))
    })?;
    assert!(fetched.elapsed() > Duration::from_millis(2900), "after {:?}", fetched.elapsed());
    provider.come_back()?;
    until_verdict(&nginx, &token, (200, "ok"))?;
    nginx.finish()
}

#[test]
fn keys_that_nobody_asked_for_in_a_long_time_are_fetched_before_they_are_used() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=1s stale=0s").start()?;
    let (old, new) = (OLD.token()?, NEW.token()?);
    assert_eq!(nginx.bearer("/", &old)?.verdict(), (200, "ok"));
    let fetched = provider.received()[0].at;
    provider.set(keys(&[NEW])?);
    // Only time passes here: no event shows that the keys have expired.
    until("two seconds", || Ok((fetched.elapsed() > Duration::from_secs(2)).then_some(())))?;
    // The request gets neither the old keys nor 503, but waits for new keys.
    assert_eq!(nginx.bearer("/", &new)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &old)?.verdict(), (401, "unknown_key"));
    nginx.finish()
}

#[test]
fn keys_that_do_not_change_cost_nothing_but_the_fetch() -> Result<()> {
    // A verified token stays valid when a refresh brings the same keys.
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=1s").start()?;
    ask_until_count(&nginx, &provider, &OLD.token()?, (200, "ok"), 3)?;
    assert!(nginx.refusals().is_empty() && !nginx.error_log().contains("[error]"));
    nginx.finish()
}
