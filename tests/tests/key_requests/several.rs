//! Several sources, several servers, and checks that need no key.

use std::time::{Duration, Instant};

use anyhow::Result;
use module_tests::{Behaviour, Nginx, Provider, SERVE, link, now};

use crate::{NEW, OLD, ask_all, builder, framed, keys};

const SECRET: &str = "0123456789abcdef";

#[test]
fn a_source_that_fails_does_not_hide_one_that_is_slow() -> Result<()> {
    for order in [["/_slow", "/_none"], ["/_none", "/_slow"]] {
        let provider = Provider::start(keys(&[OLD])?)?;
        provider.hold();
        let [first, second] = order;
        let nginx = Nginx::start(format!(
            "location = /_slow {{ internal; {} }} location = /_none {{ internal; return 404; }}
            location / {{ jwks_request {first}; jwks_request {second}; {SERVE} }}",
            provider.pass()
        ))?;
        let mut waiting = ask_all(&nginx, &[OLD.token()?])?;
        provider.wait_count(1)?;
        nginx.wait_log(|line| line.contains("\"/_none\"") && line.contains("status 404"))?;
        provider.release();
        let answer = waiting.remove(0).read_response(false)?;
        assert_eq!(answer.verdict(), (200, "ok"), "{order:?}");
        nginx.finish()?;
    }
    Ok(())
}

/// Two servers without names use the same URI in one file; a reload swaps their order.
#[test]
fn servers_that_change_places_keep_their_own_keys() -> Result<()> {
    let (one, two) = (Provider::start(keys(&[OLD])?)?, Provider::start(keys(&[NEW])?)?);
    let server = |socket: &str, provider: &Provider| {
        format!(
            "server {{ listen unix:{socket}; location = /_jwks {{ internal; {} }}
            location / {{ jwks_request /_jwks; {SERVE} }} }}",
            provider.pass()
        )
    };
    let nginx = Nginx::builder().server("location / { }").start()?;
    let [a, b] = ["a.sock", "b.sock"].map(|name| nginx.socket(name).display().to_string());
    let ask = |socket: &str, token: &str| -> Result<u16> {
        let request = nginx.request().socket(nginx.socket(socket)).bearer(token);
        Ok(request.send()?.status)
    };
    nginx.configure(|it| it.http([server(&a, &one), server(&b, &two)].concat()))?;
    nginx.reload()?;
    let (old, new) = (OLD.token()?, NEW.token()?);
    for at_a in [&old, &new] {
        assert_eq!(ask("a.sock", at_a)?, if *at_a == old { 200 } else { 401 });
    }
    assert_eq!([ask("b.sock", &new)?, ask("b.sock", &old)?], [200, 401]);
    one.leave()?;
    two.leave()?;
    nginx.configure(|it| it.http([server(&b, &two), server(&a, &one)].concat()))?;
    nginx.reload()?;
    assert_eq!([ask("a.sock", &old)?, ask("a.sock", &new)?], [200, 401]);
    assert_eq!([ask("b.sock", &new)?, ask("b.sock", &old)?], [200, 401]);
    nginx.finish()
}

#[test]
fn a_link_that_is_enough_waits_for_no_keys() -> Result<()> {
    let provider = Provider::start(Behaviour::Hang)?;
    let nginx = Nginx::start(format!(
        "location = /_jwks {{ internal; {} }}
        location / {{ satisfy any; jwks_request /_jwks; secure_token_secret {SECRET}; {SERVE} }}",
        provider.pass()
    ))?;
    let good = link(SECRET, "/", now() + 60);
    assert_eq!(nginx.bearer(good, &OLD.token()?)?.status, 200);
    provider.set(keys(&[OLD])?);
    nginx.finish()
}

#[test]
fn what_is_no_path_is_not_requested() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = Nginx::builder()
        .server(format!(
            "location = /_jwks {{ internal; {} }} location @named {{ try_files /_beside =404; }}
            location / {{ jwks_request $arg_uri; {SERVE} }}",
            provider.pass()
        ))
        .html("_beside", crate::key_set(&[OLD])?)
        .start()?;
    for uri in ["_beside", "@named", "", "http://localhost/_jwks", "../html/_beside"] {
        let answer = nginx.bearer(format!("/?uri={uri}"), &OLD.token()?)?;
        assert_eq!(answer.verdict(), (503, "no_keys"), "{uri}");
    }
    assert_eq!(nginx.bearer("/?uri=/_jwks", &OLD.token()?)?.verdict(), (200, "ok"));
    assert_eq!(provider.count(), 1);
    nginx.finish()
}

#[test]
fn keys_that_serve_no_longer_are_not_said_to_stay() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "valid=1s stale=0").start()?;
    let token = OLD.token()?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    provider.leave()?;
    module_tests::until_verdict(&nginx, &token, (503, "no_keys"))?;
    nginx.wait_log(|line| line.contains("there are no keys"))?;
    assert!(!nginx.error_log().contains("the last good keys stay"));
    provider.come_back()?;
    module_tests::until_verdict(&nginx, &token, (200, "ok"))?;
    nginx.finish()
}

/// Starts nginx with `sources` in their order; each is a path of the provider and its options.
fn in_order(provider: &Provider, sources: &[(&str, &str)]) -> Result<Nginx> {
    let named: String = sources
        .iter()
        .map(|(path, options)| format!("jwks_request /_k/{path} {options}; "))
        .collect();
    framed(format!(
        "location /_k/ {{ internal; {} }}
        location /open {{ {SERVE} }}
        location / {{ {named} {SERVE} }}",
        provider.pass_to("/")
    ))
    .start()
}

#[test]
fn a_source_that_is_down_does_not_keep_another_from_bringing_a_new_key() -> Result<()> {
    for sources in [
        [("good", ""), ("down", "")],
        [("down", ""), ("good", "")],
        [("good", ""), ("silent", "timeout=1s")],
        [("silent", "timeout=1s"), ("good", "")],
    ] {
        let provider = Provider::start(Behaviour::Close)?;
        provider.set_for("/silent", Behaviour::Hang);
        provider.set_for("/good", keys(&[OLD])?);
        let nginx = in_order(&provider, &sources)?;
        assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"), "{sources:?}");
        provider.set_for("/good", keys(&[OLD, NEW])?);
        assert_eq!(nginx.bearer("/", &NEW.token()?)?.verdict(), (200, "ok"), "{sources:?}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_request_waits_for_the_slow_source_although_others_fail_meanwhile() -> Result<()> {
    let slow = Duration::from_millis(2_500);
    for sources in [
        [("slow", ""), ("down", ""), ("silent", "timeout=1500ms")],
        [("silent", "timeout=1s"), ("slow", ""), ("quiet", "timeout=2s")],
        [("down", ""), ("silent", "timeout=1500ms"), ("slow", "")],
    ] {
        let provider = Provider::start(Behaviour::Close)?;
        provider.set_for("/silent", Behaviour::Hang);
        provider.set_for("/quiet", Behaviour::Hang);
        provider.set_for("/slow", Behaviour::Slow(vec![crate::key_set(&[OLD])?], slow));
        let began = Instant::now();
        let nginx = in_order(&provider, &sources)?;
        assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"), "{sources:?}");
        assert!(began.elapsed() >= slow && began.elapsed() < slow * 2, "{:?}", began.elapsed());
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn whichever_source_brings_the_key_ends_the_wait() -> Result<()> {
    for sources in [[("good", ""), ("silent", "")], [("silent", ""), ("good", "")]] {
        let provider = Provider::start(keys(&[OLD])?)?;
        provider.set_for("/silent", Behaviour::Hang);
        let nginx = in_order(&provider, &sources)?;
        let began = Instant::now();
        assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"), "{sources:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        nginx.finish()?;
    }
    Ok(())
}
