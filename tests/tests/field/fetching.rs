//! Keys that are fetched. Keys by kid (AWS ALB, Atlassian ASAP, Jitsi) are in `key_requests::per_kid`.

use anyhow::Result;
use module_tests::{Behaviour, Builder, Jwt, Nginx, P256, Provider, SERVE, nginx_t, until};

fn token() -> Result<String> {
    Jwt::live().kid("one").sign("ES256", &P256)
}

/// A server at a socket of its own.
fn site(name: &str, inside: &str) -> String {
    format!("server {{ listen unix:{name}.sock; server_name {name}; {inside} }}")
}

#[test]
fn the_first_token_does_not_wait_for_keys() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(P256.jwks("one")?))?;
    let nginx = Nginx::builder()
        .workers(2)
        .server(format!(
            "location = /_jwks {{ internal; {} }} jwks_request /_jwks;
             location /a {{ {SERVE} }} location /b {{ jwt_claim sub exists; {SERVE} }}",
            provider.pass()
        ))
        .start()?;
    // No request has come yet: one of the workers asks for all of them.
    until("the fetch at the start", || Ok((provider.answered() >= 1).then_some(())))?;
    provider.hold();
    assert_eq!(nginx.bearer("/a", &token()?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/b", &token()?)?.verdict(), (200, "ok"));
    assert_eq!(provider.count(), 1);
    nginx.finish()
}

#[test]
fn a_provider_that_is_down_at_the_start_delays_nothing() -> Result<()> {
    let provider = Provider::start(Behaviour::Close)?;
    let nginx = Nginx::builder()
        .server(format!(
            "location = /_jwks {{ internal; {} }} location /open {{ {SERVE} }}
             location / {{ jwks_request /_jwks; {SERVE} }}",
            provider.pass()
        ))
        .start()?;
    assert_eq!(nginx.get("/open")?.status, 200);
    provider.set(Behaviour::Keys(P256.jwks("one")?));
    until("the keys", || {
        Ok((nginx.bearer("/", &token()?)?.verdict() == (200, "ok")).then_some(()))
    })?;
    nginx.finish()
}

#[test]
fn what_is_only_tested_or_off_fetches_nothing() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(P256.jwks("one")?))?;
    let server = format!(
        "location = /_jwks {{ internal; {} }} jwks_request /_jwks; jwt off; location / {{ {SERVE} }}",
        provider.pass()
    );
    nginx_t(server.replace("jwt off;", ""))?.accepted()?;
    let nginx = Nginx::start(server)?;
    assert_eq!(nginx.get("/")?.status, 200);
    assert_eq!(provider.settle()?, 0);
    nginx.finish()
}

#[test]
fn ten_servers_share_one_key_location() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(P256.jwks("one")?))?;
    let uses = format!("location / {{ jwks_request /_jwks server=Keys.Example; {SERVE} }}");
    let sites: String = (0..10).map(|at| site(&format!("s{at}"), &uses)).collect();
    let keys = format!("location = /_jwks {{ internal; {} }}", provider.pass());
    let nginx = Nginx::builder()
        // Half of the servers come before the one that they name.
        .http(sites + &site("keys.example", &keys))
        .workers(2)
        .start()?;
    for at in 0..10 {
        let request = nginx.request().socket(nginx.socket(&format!("s{at}.sock")));
        assert_eq!(request.bearer(&token()?).send()?.verdict(), (200, "ok"), "s{at}");
    }
    assert_eq!(provider.count(), 1);
    // The fetch names the server that has the location.
    assert_eq!(provider.received()[0].header("host"), Some("localhost"));
    nginx.finish()
}

#[test]
fn a_server_that_does_not_exist_or_is_not_the_only_one_is_told() -> Result<()> {
    let http = |more: &str| -> Builder {
        let uses = format!("location / {{ jwks_request /_jwks server=keys; {SERVE} }}");
        Nginx::builder().http(site("user", &uses) + more)
    };
    http("").check()?.refused_with(&["server=keys", "names no server_name", "nginx.conf:"])?;
    let two = site("keys", "") + &site("b", "").replace("server_name b", "server_name keys");
    http(&two).check()?.refused_with(&["server=keys", "several servers", "nginx.conf:"])?;
    http(&site("keys", "location = /_jwks { internal; return 404; }")).check()?.accepted()
}

#[test]
fn a_provider_behind_a_firewall_wants_http_1_1_and_a_user_agent() -> Result<()> {
    for status in [403, 426] {
        let provider = Provider::start(Behaviour::Status(status, String::new()))?;
        let nginx = Nginx::start(format!(
            "location = /_jwks {{ internal; {} }} location / {{ jwks_request /_jwks; {SERVE} }}",
            provider.pass()
        ))?;
        assert_eq!(nginx.bearer("/", &token()?)?.verdict(), (503, "no_keys"));
        let line = nginx.wait_log(|line| line.contains("[error]") && line.contains("/_jwks"))?;
        for part in [
            "of server \"localhost\"",
            &format!("status {status}"),
            "proxy_http_version 1.1",
            "User-Agent",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        nginx.finish()?;
    }
    Ok(())
}
