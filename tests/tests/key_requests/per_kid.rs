//! `per=kid` and `per=kid-sha256`: a key for each kid at a URI of its own. Whoever sends tokens decides
//! which of these URIs are asked for.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use module_tests::{
    Behaviour, Connection, Jwt, Nginx, P256, P256_OTHER, Provider, RSA, SERVE, mistake, nginx_t,
    refuse_all, until,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{framed, stray};

/// `/` checks tokens with the key of their kid, from the provider's `/keys/`, and what follows it.
fn server(provider: &Provider, per: &str, rest: &str) -> String {
    format!(
        "location /_k/ {{ internal; rewrite ^/_k/(.*)$ /keys/$1{rest} break; proxy_pass http://unix:{}:; }}
         location /open {{ {SERVE} }}
         location / {{ jwks_request /_k/ per={per}; {SERVE} }}",
        provider.socket().display()
    )
}

fn missing() -> Behaviour {
    Behaviour::Status(404, "no such key".to_owned())
}

fn by(kid: &str) -> Result<String> {
    Jwt::live().kid(kid).sign("ES256", &P256)
}

#[test]
fn aws_load_balancers_publish_each_key_as_pem_under_its_kid() -> Result<()> {
    let provider = Provider::start(missing())?;
    let kid = "12345678-1234-1234-1234-123456789012";
    provider.set_for(&format!("/keys/{kid}"), Behaviour::Keys(P256.public.to_owned()));
    provider.set_for("/keys/other", Behaviour::Keys(P256_OTHER.public.to_owned()));
    let nginx = framed(server(&provider, "kid", "")).start()?;
    assert_eq!(nginx.bearer("/", &by(kid)?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &by(kid)?)?.verdict(), (200, "ok"));
    assert_eq!(provider.count(), 1);
    // The key of another kid verifies nothing of this one.
    assert_eq!(nginx.bearer("/", &by("other")?)?.verdict(), (401, "bad_signature"));
    let other = Jwt::live().kid("other").sign("ES256", &P256_OTHER)?;
    assert_eq!(nginx.bearer("/", &other)?.verdict(), (200, "ok"));
    let crossed = Jwt::live().kid(kid).sign("ES256", &P256_OTHER)?;
    assert_eq!(nginx.bearer("/", &crossed)?.verdict(), (401, "bad_signature"));
    assert_eq!(provider.count(), 2);
    nginx.finish()
}

#[test]
fn atlassian_asap_and_a_key_set_at_the_uri_of_a_kid() -> Result<()> {
    let provider = Provider::start(missing())?;
    let set = json!({ "keys": [
        P256_OTHER.jwk(&json!({ "kid": "else" }))?, P256.jwk(&json!({ "kid": "issuer.v1" }))?,
    ]});
    provider.set_for("/keys/issuer.v1", Behaviour::Keys(set.to_string()));
    let nginx = framed(server(&provider, "kid", "")).start()?;
    assert_eq!(nginx.bearer("/", &by("issuer.v1")?)?.verdict(), (200, "ok"));
    // Another key of that set is not one of this kid.
    let crossed = Jwt::live().kid("issuer.v1").sign("ES256", &P256_OTHER)?;
    assert_eq!(nginx.bearer("/", &crossed)?.verdict(), (401, "bad_signature"));
    nginx.finish()
}

#[test]
fn jitsi_names_each_key_by_the_hash_of_its_kid() -> Result<()> {
    let provider = Provider::start(missing())?;
    let kid = "vpaas/a key with spaces";
    let digits: String = Sha256::digest(kid).iter().map(|byte| format!("{byte:02x}")).collect();
    provider.set_for(&format!("/keys/{digits}.pem"), Behaviour::Keys(RSA.public.to_owned()));
    let nginx = framed(server(&provider, "kid-sha256", ".pem")).start()?;
    let token = Jwt::live().kid(kid).sign("RS256", &RSA)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    assert_eq!(provider.received()[0].target(), format!("/keys/{digits}.pem"));
    nginx.finish()
}

#[test]
fn a_kid_that_could_lead_elsewhere_is_not_asked_for() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(P256.public.to_owned()))?;
    let nginx = framed(server(&provider, "kid", "")).start()?;
    let long = "k".repeat(129);
    for kid in ["..", ".", "", "a/b", "../secret", "a%2fb", "a?b=c", "a#b", "a b", "\u{e9}", &long]
    {
        let response = nginx.bearer("/", &by(kid)?)?;
        assert_eq!(response.verdict(), (401, "unknown_key"), "{kid:?}");
    }
    let told = "unknown_key: the token's kid is none that is asked for as it is (per=kid)";
    assert!(nginx.error_log().contains(told), "{}", nginx.error_log());
    let none = Jwt::live().sign("ES256", &P256)?;
    assert_eq!(nginx.bearer("/", &none)?.verdict(), (401, "unknown_key"));
    assert_eq!(provider.count(), 0);
    let longest = "k".repeat(128);
    assert_eq!(nginx.bearer("/", &by(&longest)?)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn a_kid_that_was_not_found_is_not_asked_for_again_soon() -> Result<()> {
    for status in [404, 410] {
        let provider = Provider::start(Behaviour::Status(status, String::new()))?;
        let nginx = framed(server(&provider, "kid", "")).workers(2).start()?;
        for _ in 0..20 {
            assert_eq!(nginx.bearer("/", &by("nobody")?)?.verdict(), (401, "unknown_key"));
        }
        assert_eq!(provider.count(), 1, "{status}");
        let log = nginx.error_log();
        let told = format!("/_k/nobody\" of server \"localhost\": the answer has status {status}");
        assert!(log.contains(&told), "{log}");
        assert!(!log.contains("[error]"), "{log}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_provider_that_is_down_says_nothing_about_a_kid() -> Result<()> {
    let provider = Provider::start(Behaviour::Status(500, String::new()))?;
    let nginx = framed(server(&provider, "kid", "")).start()?;
    assert_eq!(nginx.bearer("/", &by("one")?)?.verdict(), (503, "no_keys"));
    provider.set(Behaviour::Keys(P256.public.to_owned()));
    until("the key", || {
        Ok((nginx.bearer("/", &by("one")?)?.verdict() == (200, "ok")).then_some(()))
    })?;
    nginx.finish()
}

/// Kids that nobody has, from many clients and for seconds: they cost as many fetches as the ration allows,
/// and do no harm to keys that are there or to other sources.
#[test]
fn a_flood_of_kids_is_rationed_for_all_workers() -> Result<()> {
    let provider = Provider::start(missing())?;
    provider.set_for("/keys/good", Behaviour::Keys(P256.public.to_owned()));
    provider.set_for("/jwks", Behaviour::Keys(RSA.jwks("rsa")?));
    let set = format!(
        "location = /_jwks {{ internal; {} }} location /set {{ jwks_request /_jwks; {SERVE} }}",
        provider.pass()
    );
    let nginx = framed(server(&provider, "kid", "") + &set).workers(2).start()?;
    let good = by("good")?;
    assert_eq!(nginx.bearer("/", &good)?.verdict(), (200, "ok"));
    let set_token = Jwt::live().kid("rsa").sign("RS256", &RSA)?;
    assert_eq!(nginx.bearer("/set", &set_token)?.verdict(), (200, "ok"));
    let began = Instant::now();
    let (request, socket) = (nginx.request().keep_alive(), nginx.socket("s.sock"));
    let flood = |thread: usize| -> Result<()> {
        let mut connection = Connection::open(&socket)?;
        for at in 0..750 {
            let token = stray(&format!("x-{thread}-{at}"))?;
            let response = connection.send(&request.clone().bearer(&token))?;
            ensure!(response.verdict() == (401, "unknown_key"), "{:?}", response.verdict());
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|at| {
                scope.spawn({
                    let flood = &flood;
                    move || flood(at)
                })
            })
            .collect();
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        Ok::<_, anyhow::Error>(())
    })?;
    assert!(
        nginx.error_log().contains("unknown_key: the key of the token's kid is not asked for now")
    );
    let asked = provider.received().iter().filter(|one| one.target().contains("/x-")).count();
    let allowed = 10 + usize::try_from(began.elapsed().as_secs())? + 1;
    assert!((1..=allowed).contains(&asked), "{asked} fetches, {allowed} are allowed");
    // What was there is there, without another fetch.
    assert_eq!(nginx.bearer("/", &good)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/set", &set_token)?.verdict(), (200, "ok"));
    assert_eq!(provider.count_for("/keys/good"), 1);
    // A second later one more new kid is asked for.
    provider.set_for("/keys/late", Behaviour::Keys(P256.public.to_owned()));
    let late = by("late")?;
    until("the ration", || {
        thread::sleep(Duration::from_millis(100));
        Ok((nginx.bearer("/", &late)?.verdict() == (200, "ok")).then_some(()))
    })?;
    nginx.finish()
}

#[test]
fn workers_share_the_key_of_a_kid_and_a_reload_keeps_it() -> Result<()> {
    let provider = Provider::start(missing())?;
    provider.set_for("/keys/one", Behaviour::Keys(P256.public.to_owned()));
    let nginx = framed(server(&provider, "kid", "")).workers(2).start()?;
    let token = by("one")?;
    let mut workers = std::collections::HashSet::new();
    until("both workers", || {
        let response = nginx.bearer("/", &token)?;
        ensure!(response.verdict() == (200, "ok"), "{:?}", response.verdict());
        workers.insert(response.header("X-Worker").unwrap_or_default().to_owned());
        Ok((workers.len() == 2).then_some(()))
    })?;
    assert_eq!(provider.count(), 1);
    provider.hold();
    nginx.reload()?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    provider.release();
    nginx.finish()
}

#[test]
fn a_variable_of_the_token_in_the_uri_is_told_to_be_per_kid() -> Result<()> {
    refuse_all(&[
        mistake(
            "the kid",
            "jwks_request /_k/$jwt_header_kid;",
            &["jwks_request", "$jwt_header_kid", "per=kid"],
        ),
        mistake("a claim", "jwks_request /_k/$jwt_claim_tid;", &["$jwt_claim_tid", "per=kid"]),
        mistake("another form", "jwks_request /_k/ per=sub;", &["per=sub", "per=kid-sha256"]),
        mistake("twice", "jwks_request /_k/ per=kid per=kid;", &["per=kid", "duplicate"]),
    ])?;
    nginx_t("location / { jwks_request /_k/$host/ per=kid; }")?.accepted()
}

/// The variable reads as empty while the key is looked for: nothing is asked for by half of a URI.
#[test]
fn a_uri_that_depends_on_the_check_by_a_map_is_not_asked_for() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(P256.jwks("one")?))?;
    let nginx = Nginx::builder()
        .http("map $jwt_header_kid $place { default /_k/$jwt_header_kid; }")
        .server(format!(
            "location /_k/ {{ internal; {} }} location / {{ jwks_request $place; {SERVE} }}",
            provider.pass()
        ))
        .expect_log("depends on")
        .start()?;
    assert_eq!(nginx.bearer("/", &by("one")?)?.status, 500);
    assert_eq!(provider.settle()?, 0);
    nginx.finish()
}
