//! What the module sends to the provider and takes from it; sources, hosts, servers and providers
//! stay apart from each other.

use anyhow::{Context, Result, ensure};
use module_tests::{
    Behaviour, Connection, Nginx, P256, P256_OTHER, Provider, Request, SERVE, resident_private,
};
use serde_json::json;

use crate::{NEW, OLD, Signer, framed, key_set, keys, server, settled, stray, worker};

/// Adds everything that a client may send and that the provider must not see.
fn loaded(request: Request, token: &str) -> Request {
    request
        .bearer(token)
        .header("Cookie", "session=secret")
        .header("Range", "bytes=0-0")
        .header("If-Range", "\"1\"")
        .header("If-None-Match", "*")
        .header("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")
        .header("If-Match", "\"1\"")
        .header("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")
        .header("Accept-Encoding", "gzip, br")
        .header("Accept", "text/html")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("User-Agent", "secret-agent")
        .header("Referer", "https://app.example/?secret")
        .header("X-Forwarded-For", "192.0.2.1")
        .header("X-Secret", "secret")
        .header("X-HTTP-Method-Override", "DELETE")
        .header("Proxy-Authorization", "Basic secret")
        .header("Upgrade", "websocket")
        .header("Cache-Control", "no-cache")
        .header("Pragma", "no-cache")
        .header("Expect", "100-continue")
        .header("TE", "trailers")
}

/// Requires that the provider received the module's own plain GET.
fn is_bare(received: &module_tests::Received, target: &str) -> Result<()> {
    let head = &received.head;
    ensure!(received.method() == "GET" && received.target() == target, "{head}");
    ensure!(received.body.is_empty(), "a body: {:?}", received.body);
    for line in head.lines().skip(1) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let usual = ["host", "connection"].contains(&name.as_str());
        let own = name == "user-agent" && line.contains(": ngx-token-auth/");
        ensure!(usual || own, "{line:?} came along:\n{head}");
    }
    Ok(())
}

#[test]
fn nothing_of_the_client_travels_to_the_provider() -> Result<()> {
    let token = OLD.token()?;
    for way in [
        "",
        "proxy_http_version 1.1;",
        "proxy_request_buffering off; proxy_http_version 1.1;",
        "proxy_buffering off;",
        "proxy_pass_request_headers on; proxy_pass_request_body on;",
    ] {
        for (method, body) in [
            ("GET", ""),
            ("HEAD", ""),
            ("POST", "secret=1"),
            ("PUT", "secret"),
            ("DELETE", ""),
            ("OPTIONS", ""),
            ("PROPFIND", "<secret/>"),
        ] {
            let provider = Provider::start(keys(&[OLD])?)?;
            let nginx = framed(format!("{way} {}", server(&provider, ""))).start()?;
            let request = nginx.request().method(method).target("/?secret=1&expires=2");
            let response = loaded(request, &token).body(body).send()?;
            // The check has let the request pass; the status that nginx then gives does not matter.
            assert!(![401, 403, 500, 503].contains(&response.status), "{way} {method}");
            let received = provider.received();
            assert_eq!(received.len(), 1, "{way} {method}");
            is_bare(&received[0], "/jwks").with_context(|| format!("{way} {method}"))?;
            nginx.finish()?;
        }
    }
    Ok(())
}

#[test]
fn nor_does_it_with_a_refresh_or_an_unknown_kid() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = framed(server(&provider, "valid=1s")).start()?;
    let token = OLD.token()?;
    let ask = |token: &str| loaded(nginx.request().method("POST"), token).body("secret").send();
    ask(&token)?;
    ask(&stray("x")?)?;
    module_tests::until("a refresh", || {
        ask(&token)?;
        Ok((provider.count() >= 3).then_some(()))
    })?;
    provider.received().iter().try_for_each(|received| is_bare(received, "/jwks"))?;
    nginx.finish()
}

#[test]
fn variables_of_the_location_see_nothing_of_the_client_either() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = framed(format!(
        "location = /_jwks {{ internal; proxy_set_header X-Auth \"<$http_authorization>\";
            proxy_set_header X-Cookie \"<$http_cookie>\"; proxy_set_header X-Args \"<$args>\";
            proxy_set_header X-Body \"<$content_length>\"; proxy_set_header X-Method $request_method;
            proxy_set_header Authorization \"Basic of-the-configuration\"; {} }}
        location / {{ jwks_request /_jwks; {SERVE} }}",
        provider.pass_to("/jwks$is_args$args")
    ))
    .start()?;
    let request = nginx.request().method("POST").target("/?secret=1").body("secret");
    loaded(request, &OLD.token()?).send()?;
    let received = provider.received();
    let head = &received[0].head;
    assert_eq!(received[0].target(), "/jwks", "{head}");
    for (name, value) in [
        ("X-Auth", "<>"),
        ("X-Cookie", "<>"),
        ("X-Args", "<>"),
        ("X-Body", "<>"),
        ("Authorization", "Basic of-the-configuration"),
    ] {
        assert_eq!(received[0].header(name), Some(value), "{head}");
    }
    assert!(!head.contains("secret"), "{head}");
    nginx.finish()
}

#[test]
fn the_client_s_own_request_is_what_it_was_before_the_fetch() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let upstream = Provider::start(Behaviour::Status(200, "upstream".into()))?;
    let nginx = framed(format!(
        "{} location /up {{ jwks_request /_jwks valid=1s; {} }}",
        server(&provider, "valid=1s"),
        upstream.pass_to("/up")
    ))
    .html("long.txt", "0123456789".repeat(100))
    .start()?;
    let token = OLD.token()?;
    // The first round has to wait for keys, the second does not.
    for round in 0..2 {
        let range = nginx.request().bearer(&token).header("Range", "bytes=0-0").send()?;
        assert_eq!((range.status, range.text().as_ref()), (206, "o"), "{round}");
        let etag = nginx.bearer("/", &token)?.header("ETag").context("ETag")?.to_owned();
        let same = nginx.request().bearer(&token).header("If-None-Match", etag).send()?;
        assert_eq!(same.status, 304, "{round}");
        let head = nginx.connect()?.send(&nginx.request().method("HEAD").bearer(&token))?;
        assert_eq!((head.status, head.header("Content-Length")), (200, Some("3")), "{round}");
        let put = nginx.request().method("PUT").target("/up?a=b").bearer(&token).body("the body");
        let sent = put.header("X-Secret", "mine").send()?;
        assert_eq!((sent.status, sent.text().as_ref()), (200, "upstream"));
        let received = upstream.received();
        let last = received.last().context("a request upstream")?;
        assert_eq!((last.method(), last.body.as_slice()), ("PUT", &b"the body"[..]));
        assert_eq!(last.header("X-Secret"), Some("mine"));
        assert_eq!(last.header("Authorization"), Some(format!("Bearer {token}").as_str()));
    }
    // Each of these requests is the first at its own nginx, so it has to wait for keys.
    for (name, value, status) in
        [("Range", "bytes=1-1", 206), ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT", 200)]
    {
        let provider = Provider::start(keys(&[OLD])?)?;
        let nginx = framed(server(&provider, "")).start()?;
        let response = nginx.request().bearer(&token).header(name, value).send()?;
        assert_eq!(response.status, status, "{name}");
        nginx.finish()?;
    }
    nginx.finish()
}

#[test]
fn nothing_of_the_provider_s_answer_reaches_the_client() -> Result<()> {
    let headers = vec![
        ("Set-Cookie", "provider=1".to_owned()),
        ("X-Provider", "1".to_owned()),
        ("Server", "provider".to_owned()),
        ("Link", "</x>; rel=preload".to_owned()),
        ("Content-Type", "application/json".to_owned()),
    ];
    let provider = Provider::start(Behaviour::Headers(headers, key_set(&[OLD])?))?;
    let nginx = framed(server(&provider, "")).start()?;
    for token in [OLD.token()?, stray("x")?, NEW.sign(&OLD.jwt())?] {
        let response = nginx.bearer("/", &token)?;
        for name in ["Set-Cookie", "X-Provider", "Link"] {
            assert_eq!(response.header(name), None, "{name}");
        }
        assert_ne!(response.header("Content-Type"), Some("application/json"));
        assert!(!response.text().contains("kty"));
    }
    // The access log has one line for each request of a client and none for a fetch.
    nginx.stop()?;
    assert_eq!(nginx.access_log().lines().count(), 3, "{}", nginx.access_log());
    nginx.finish()
}

#[test]
fn neither_token_nor_keys_are_told_in_the_log() -> Result<()> {
    let secret = module_tests::base64url(module_tests::SECRET);
    let token = OLD.token()?;
    // The fault in the key set comes after the secret, before it, or inside it.
    for set in [
        json!({ "keys": [{ "kty": "oct", "kid": "o", "k": secret, "alg": "ES256" }] }).to_string(),
        json!({ "keys": [{ "kty": "oct", "kid": [7], "k": secret }] }).to_string(),
        format!("{{\"keys\":[{{\"kty\":\"oct\",\"k\":\"{secret}\nx\"}}]}}"),
        secret.clone(),
    ] {
        let provider = Provider::start(Behaviour::Keys(set.clone()))?;
        let nginx = framed(server(&provider, "")).start()?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (503, "no_keys"), "{set}");
        nginx.wait_log(|line| crate::is_told(line, ""))?;
        nginx.assert_no_secret(&[&token, &secret])?;
        nginx.finish()?;
    }
    Ok(())
}

/// Starts nginx with two providers; each has its own issuer and its own location for keys.
fn two_issuers(one: &Provider, two: &Provider) -> Result<Nginx> {
    Nginx::builder()
        .http(
            "jwt_provider one { jwt_issuer one; jwks_request /_jwks/1; }
            jwt_provider two { jwt_issuer two; jwks_request /_jwks/2; }",
        )
        .server(format!(
            "location = /_jwks/1 {{ internal; {} }} location = /_jwks/2 {{ internal; {} }}
            location /open {{ {SERVE} }}
            location / {{ jwt on provider=one provider=two; {SERVE} }}",
            one.pass(),
            two.pass()
        ))
        .start()
}

#[test]
fn keys_of_one_provider_never_vouch_for_another_s_issuer() -> Result<()> {
    let same = Signer { kid: OLD.kid, key: &P256_OTHER };
    let (one, two) = (Provider::start(keys(&[OLD])?)?, Provider::start(keys(&[same, NEW])?)?);
    let nginx = two_issuers(&one, &two)?;
    let issued =
        |signer: Signer, issuer: &str| signer.sign(&signer.jwt().with(&json!({ "iss": issuer })));
    for _ in 0..2 {
        for (signer, issuer, verdict) in [
            (OLD, "one", (200, "ok")),
            (same, "one", (401, "bad_signature")),
            (OLD, "two", (401, "bad_signature")),
            (same, "two", (200, "ok")),
            (NEW, "two", (200, "ok")),
            (NEW, "one", (401, "unknown_key")),
            (OLD, "three", (401, "bad_issuer")),
        ] {
            let response = nginx.bearer("/", &issued(signer, issuer)?)?;
            assert_eq!(response.verdict(), verdict, "{} for {issuer}", signer.kid);
        }
    }
    // The token of NEW for issuer one has caused one more fetch, from that issuer's provider only.
    assert_eq!((settled(&nginx, &one)?, two.settle()?), (2, 1));
    nginx.finish()
}

#[test]
fn a_provider_is_asked_only_for_tokens_of_its_issuer() -> Result<()> {
    let (one, two) = (Provider::start(Behaviour::Hang)?, Provider::start(keys(&[NEW])?)?);
    let nginx = two_issuers(&one, &two)?;
    let issued = |issuer: &str| NEW.sign(&NEW.jwt().with(&json!({ "iss": issuer })));
    // The first provider hangs, but tokens of the second issuer do not wait for it.
    assert_eq!(nginx.bearer("/", &issued("two")?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &issued("three")?)?.status, 401);
    // Each was asked when the worker started, and not again.
    assert_eq!((settled(&nginx, &one)?, two.settle()?), (1, 1));
    nginx.finish()
}

#[test]
fn servers_do_not_share_a_uri() -> Result<()> {
    let (one, two) = (Provider::start(keys(&[OLD])?)?, Provider::start(keys(&[NEW])?)?);
    let nginx = framed(server(&one, ""))
        .http(format!("server {{ listen unix:two.sock; root html; {} }}", server(&two, "")))
        .start()?;
    let other = |token: &str| nginx.request().socket(nginx.socket("two.sock")).bearer(token).send();
    for _ in 0..2 {
        assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
        assert_eq!(other(&NEW.token()?)?.verdict(), (200, "ok"));
    }
    assert_eq!((one.settle()?, two.settle()?), (1, 1));
    assert_eq!(nginx.bearer("/", &NEW.token()?)?.verdict(), (401, "unknown_key"));
    assert_eq!(other(&OLD.token()?)?.verdict(), (401, "unknown_key"));
    nginx.finish()
}

#[test]
fn locations_of_a_server_share_a_uri() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = framed(format!(
        "{} location /a {{ jwks_request /_jwks valid=5m; {SERVE} }}
        location /b {{ jwks_request /_$arg_x; {SERVE} }}",
        server(&provider, "")
    ))
    .start()?;
    for target in ["/", "/a", "/b?x=jwks", "/"] {
        assert_eq!(nginx.bearer(target, &OLD.token()?)?.verdict(), (200, "ok"), "{target}");
    }
    assert_eq!(settled(&nginx, &provider)?, 1);
    nginx.finish()
}

/// Each host has its own keys: `/_jwks/HOST` leads to `/HOST` of the provider.
fn hosts(provider: &Provider) -> Result<Nginx> {
    framed(format!(
        "server_name ~.; location ~ ^/_jwks/(?<tenant>.*)$ {{ internal; {} }}
        location /open {{ {SERVE} }}
        location / {{ jwks_request /_jwks/$host; {SERVE} }}",
        provider.pass_to("/$tenant")
    ))
    .quiet_log()
    .start()
}

#[test]
fn each_value_of_a_variable_has_its_own_keys() -> Result<()> {
    let provider = Provider::start(Behaviour::Status(404, String::new()))?;
    provider.set_for("/a.example", keys(&[OLD])?);
    provider.set_for("/b.example", keys(&[NEW])?);
    let nginx = hosts(&provider)?;
    for _ in 0..2 {
        for (host, signer, verdict) in [
            ("a.example", OLD, (200, "ok")),
            ("b.example", NEW, (200, "ok")),
            ("a.example", NEW, (401, "unknown_key")),
            ("b.example", OLD, (401, "unknown_key")),
            ("c.example", OLD, (503, "no_keys")),
            ("A.EXAMPLE", OLD, (200, "ok")),
        ] {
            let response = nginx.request().host(host).bearer(&signer.token()?).send()?;
            assert_eq!(response.verdict(), verdict, "{} at {host}", signer.kid);
        }
    }
    assert_eq!((provider.count_for("/a.example"), provider.count_for("/b.example")), (2, 2));
    nginx.finish()
}

#[test]
fn a_uri_may_have_arguments_of_its_own() -> Result<()> {
    let provider = Provider::start(Behaviour::Status(404, String::new()))?;
    provider.set_for("/jwks?tenant=a", keys(&[OLD])?);
    provider.set_for("/jwks?tenant=b", keys(&[NEW])?);
    let nginx = framed(format!(
        "location = /_jwks {{ internal; {} }} location /open {{ {SERVE} }}
        location / {{ jwks_request /_jwks?tenant=$arg_t; {SERVE} }}",
        provider.pass_to("/jwks$is_args$args")
    ))
    .start()?;
    assert_eq!(nginx.bearer("/?t=a&secret=1", &OLD.token()?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/?t=b", &NEW.token()?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/?t=b", &OLD.token()?)?.verdict(), (401, "unknown_key"));
    assert_eq!(settled(&nginx, &provider)?, 3);
    nginx.finish()
}

#[test]
fn values_that_clients_make_up_open_nothing() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    // The file holds an attacker's keys, which a fetch could reach only by a trick with the URI.
    let attacker = key_set(&[Signer { kid: "evil", key: &P256_OTHER }])?;
    let nginx = framed(format!(
        "location /_jwks/ {{ internal; {} }} location /open {{ {SERVE} }}
        location /uploads/ {{ jwt off; }}
        location / {{ jwks_request /_jwks/$arg_t; {SERVE} }}",
        provider.pass()
    ))
    .html("uploads/evil.json", attacker)
    .start()?;
    let evil = Signer { kid: "evil", key: &P256_OTHER }.token()?;
    for value in [
        "../uploads/evil.json",
        "%2e%2e/uploads/evil.json",
        "..%2fuploads%2fevil.json",
        "x/../../uploads/evil.json",
        "%00",
        "a%20b",
        "a%0d%0aX-Injected:%201",
        "?",
        "%3fa=b",
        "%23",
        "\u{e9}",
        "",
        &"x".repeat(6000),
    ] {
        let response = nginx.bearer(format!("/?t={value}"), &evil)?;
        assert!([400, 401, 503].contains(&response.status), "{value:.40}: {}", response.status);
    }
    assert!(provider.received().iter().all(|one| one.header("X-Injected").is_none()));
    assert_eq!(nginx.bearer("/?t=fine", &OLD.token()?)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn thousands_of_hosts_do_not_grow_a_worker() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = hosts(&provider)?;
    let token = OLD.token()?;
    visit(&nginx, &token, "first", 2000)?;
    let before = resident_private(worker(&nginx)?)?;
    visit(&nginx, &token, "second", 2000)?;
    let after = resident_private(worker(&nginx)?)?;
    assert!(after < before + 1024, "the worker grew from {before} to {after} KiB");
    // The worker still has the latest keys, and fetches again those that it dropped.
    let count = settled(&nginx, &provider)?;
    let last = nginx.request().host("second-1999.example").bearer(&token).send()?;
    assert_eq!((last.verdict(), settled(&nginx, &provider)?), ((200, "ok"), count));
    let first = nginx.request().host("first-0.example").bearer(&token).send()?;
    assert_eq!(first.verdict(), (200, "ok"));
    nginx.finish()
}

fn visit(nginx: &Nginx, token: &str, name: &str, count: usize) -> Result<()> {
    let mut connection = Connection::open(&nginx.socket("s.sock"))?;
    for at in 0..count {
        let host = format!("{name}-{at}.example");
        let request = nginx.request().host(&host).bearer(token).keep_alive();
        let response = connection.send(&request).with_context(|| host.clone())?;
        ensure!(response.verdict() == (200, "ok"), "{host}: {:?}", response.verdict());
        if response.header("Connection") == Some("close") {
            connection = Connection::open(&nginx.socket("s.sock"))?;
        }
    }
    Ok(())
}

#[test]
fn made_up_hosts_without_keys_do_not_push_out_those_that_have_some() -> Result<()> {
    let provider = Provider::start(Behaviour::Status(404, String::new()))?;
    provider.set_for("/a.example", Behaviour::Keys(P256.jwks(OLD.kid)?));
    let nginx = hosts(&provider)?;
    let token = OLD.token()?;
    let ask = |host: &str| nginx.request().host(host).bearer(&token).send();
    assert_eq!(ask("a.example")?.verdict(), (200, "ok"));
    for at in 0..3000 {
        assert_eq!(ask(&format!("none-{at}.example"))?.verdict(), (503, "no_keys"));
        if at % 100 == 0 {
            // The keys of this host stay because requests keep using them.
            assert_eq!(ask("a.example")?.verdict(), (200, "ok"), "{at}");
        }
    }
    provider.leave()?;
    assert_eq!(ask("a.example")?.verdict(), (200, "ok"));
    nginx.finish()
}
