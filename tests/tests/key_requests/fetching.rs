//! The first fetch, the places of the directive, and every way in which a provider can send keys.

use std::time::Duration;

use anyhow::Result;
use module_tests::{
    Behaviour, Jwt, Nginx, P256, P256_OTHER, Provider, RSA, SECP256K1_JWK, SECRET, SERVE, jwk_set,
};
use serde_json::{Value, json};

use crate::{
    LARGEST, NEW, OLD, all_get, all_wait, ask_all, at_once, builder, framed, key_set, keys, padded,
    server, settled,
};

#[test]
fn the_worker_fetches_when_it_starts_and_all_requests_use_what_it_got() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "").start()?;
    let forged = NEW.sign(&OLD.jwt())?;
    for (token, verdict) in [
        (OLD.token()?, (200, "ok")),
        (OLD.token()?, (200, "ok")),
        (forged, (401, "bad_signature")),
        (OLD.sign(&OLD.jwt().with(&json!({ "exp": 1 })))?, (401, "expired")),
        ("rubbish".to_owned(), (401, "malformed")),
    ] {
        assert_eq!(nginx.bearer("/", &token)?.verdict(), verdict);
    }
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    assert_eq!(settled(&nginx, &provider)?, 1);
    nginx.finish()
}

#[test]
fn what_needs_no_keys_fetches_none() -> Result<()> {
    let provider = Provider::start(Behaviour::Hang)?;
    let nginx = builder(&provider, "").start()?;
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    assert_eq!(nginx.bearer("/", "rubbish")?.verdict(), (401, "malformed"));
    assert_eq!(nginx.bearer("/open", &OLD.token()?)?.verdict(), (200, "off"));
    // The location is internal, so clients cannot read it.
    assert_eq!(nginx.bearer("/_jwks", &OLD.token()?)?.status, 404);
    // Only the worker itself has asked, when it started.
    assert_eq!(settled(&nginx, &provider)?, 1);
    nginx.finish()
}

#[test]
fn all_that_come_while_the_first_fetch_is_under_way_wait_for_it() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    provider.hold();
    let nginx = builder(&provider, "").start()?;
    let forged = NEW.sign(&OLD.jwt())?;
    let mut good = ask_all(&nginx, &vec![OLD.token()?; 40])?;
    let mut bad = ask_all(&nginx, &vec![forged; 10])?;
    provider.wait_count(1)?;
    all_wait(&nginx, &mut good)?;
    all_wait(&nginx, &mut bad)?;
    provider.release();
    all_get(good, (200, "ok"))?;
    all_get(bad, (401, "bad_signature"))?;
    assert_eq!(settled(&nginx, &provider)?, 1);
    nginx.finish()
}

#[test]
fn it_may_stand_wherever_a_key_source_may() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let fetch = format!("location = /_jwks {{ internal; {} }}", provider.pass());
    let request = "jwks_request /_jwks valid=5m stale=1h timeout=5s;";
    let issued = OLD.sign(&OLD.jwt().with(&json!({ "iss": "me" })))?;
    let plus = "auth_jwt site; auth_jwt_key_cache 5m; auth_jwt_key_request /_jwks;";
    for (name, http, server) in [
        ("http", request, format!("location / {{ {SERVE} }}")),
        ("server", "", format!("{request} location / {{ {SERVE} }}")),
        ("location", "", format!("location / {{ {request} {SERVE} }}")),
        ("if", "", format!("location / {{ if ($http_authorization) {{ {request} }} {SERVE} }}")),
        ("limit_except", "", format!("location / {{ limit_except POST {{ {request} }} {SERVE} }}")),
        (
            "jwt_provider",
            "jwt_provider p { jwt_issuer me; jwks_request /_jwks; }",
            format!("jwt on provider=p; location / {{ {SERVE} }}"),
        ),
        ("NGINX Plus names", "", format!("location / {{ {plus} {SERVE} }}")),
    ] {
        let before = provider.count();
        let nginx = Nginx::builder().http(http).server(format!("{fetch} {server}")).start()?;
        assert_eq!(nginx.bearer("/", &issued)?.verdict(), (200, "ok"), "{name}");
        let forged = NEW.sign(&OLD.jwt().with(&json!({ "iss": "me" })))?;
        assert_eq!(nginx.bearer("/", &forged)?.verdict(), (401, "bad_signature"), "{name}");
        assert_eq!(provider.settle()? - before, 1, "{name}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn the_name_of_nginx_plus_alone_does_not_switch_the_check_on() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = Nginx::start(format!(
        "location = /_jwks {{ internal; {} }} auth_jwt_key_request /_jwks;
        location /off {{ {SERVE} }} location / {{ auth_jwt site; {SERVE} }}",
        provider.pass()
    ))?;
    assert_eq!(nginx.get("/off")?.verdict(), (200, "off"));
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"));
    assert_eq!(provider.settle()?, 1);
    nginx.finish()
}

#[test]
fn sources_of_every_kind_add_up() -> Result<()> {
    let (one, two) = (Provider::start(keys(&[OLD])?)?, Provider::start(keys(&[NEW])?)?);
    let nginx = framed(format!(
        "location = /_jwks/1 {{ internal; {} }} location = /_jwks/2 {{ internal; {} }}
        location /open {{ {SERVE} }}
        location / {{ jwks_request /_jwks/1; jwks_request /_jwks/2; jwks_file keys.json;
            jwt_kids {{ k1 {SECRET}; }} {SERVE} }}",
        one.pass(),
        two.pass()
    ))
    .file("keys.json", RSA.jwks("file")?)
    .start()?;
    let tokens = [
        OLD.token()?,
        NEW.token()?,
        Jwt::live().kid("file").sign("RS256", &RSA)?,
        Jwt::live().kid("k1").hs("HS256", SECRET)?,
    ];
    for token in tokens.iter().cycle().take(8) {
        assert_eq!(nginx.bearer("/", token)?.verdict(), (200, "ok"));
    }
    assert_eq!((settled(&nginx, &one)?, two.settle()?), (1, 1));
    nginx.finish()
}

#[test]
fn what_is_wrong_with_the_directive_is_told() -> Result<()> {
    use module_tests::{mistake, refuse_all};
    refuse_all(&[
        mistake("no URI", "jwks_request;", &[]),
        mistake("an empty URI", "jwks_request \"\";", &[]),
        mistake("no path", "jwks_request https://idp.example/jwks;", &[]),
        mistake("valid of nothing", "jwks_request /_jwks valid=;", &["invalid value"]),
        mistake("valid of 0", "jwks_request /_jwks valid=0;", &["invalid value"]),
        mistake("a senseless valid", "jwks_request /_jwks valid=soon;", &["invalid value"]),
        mistake("a negative stale", "jwks_request /_jwks stale=-1s;", &["invalid value"]),
        mistake("a senseless timeout", "jwks_request /_jwks timeout=1y1;", &["invalid value"]),
        mistake("a timeout of 0", "jwks_request /_jwks timeout=0;", &["invalid value"]),
        mistake("an unknown option", "jwks_request /_jwks colour=blue;", &["colour"]),
        mistake("valid twice", "jwks_request /_jwks valid=1s valid=2s;", &["duplicate"]),
        mistake("two URIs", "jwks_request /_jwks /_more;", &["/_more"]),
        mistake("no URI for Plus", "auth_jwt_key_request;", &[]),
        mistake("a senseless cache time", "auth_jwt_key_cache never;", &["never"]),
    ])
}

/// A JWK Set of `count` keys; the key of the tests is the last.
fn crowded(count: usize) -> Result<String> {
    let other = |at| P256_OTHER.jwk(&json!({ "kid": format!("other-{at}"), "use": "sig" }));
    let mut keys = (1..count).map(other).collect::<Result<Vec<_>>>()?;
    keys.push(P256.jwk(&json!({ "kid": OLD.kid }))?);
    Ok(jwk_set(&keys))
}

const SMALL_BUFFERS: &str = "proxy_buffers 4 1k; proxy_buffer_size 1k; proxy_busy_buffers_size 2k;";

#[test]
fn keys_arrive_whatever_their_size_and_the_way_they_are_sent() -> Result<()> {
    let pieces = |text: &str| {
        let (a, b) = text.split_at(text.len() / 2);
        Behaviour::Slow(vec![a.into(), b.into()], Duration::from_millis(20))
    };
    let sets = [key_set(&[OLD])?, padded(5000)?, crowded(1500)?, padded(LARGEST)?];
    let ways = [
        "",
        "proxy_buffering off;",
        SMALL_BUFFERS,
        "proxy_http_version 1.1;",
        "subrequest_output_buffer_size 1;",
        "proxy_max_temp_file_size 0; subrequest_output_buffer_size 2m;",
        "gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;",
    ];
    let mut cases = Vec::new();
    for way in ways {
        for set in &sets {
            cases.extend([
                (way, Behaviour::Keys(set.clone())),
                (way, Behaviour::Chunked(set.clone(), 1000)),
                (way, Behaviour::Unsized(set.clone())),
                (way, pieces(set)),
            ]);
        }
    }
    let token = OLD.token()?;
    for (way, behaviour) in cases {
        let what = format!("{way} {behaviour:.60?}");
        let provider = Provider::start(behaviour)?;
        let nginx = framed(format!("{way} {}", server(&provider, ""))).start()?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "{what}");
        // The subrequest's answer must not become the body of a refusal either.
        let refused = nginx.get("/")?;
        assert!(refused.status == 401 && !refused.text().contains("kty"), "{what}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn keys_may_come_from_whatever_a_location_serves() -> Result<()> {
    let set = padded(40_000)?;
    let inline = key_set(&[OLD])?.replace('"', "\\\"");
    let provider = Provider::start(Behaviour::Keys(set.clone()))?;
    for (name, location) in [
        ("a file", "try_files /keys.json =404;".to_owned()),
        ("return", format!("return 200 \"{inline}\";")),
        ("another location", "rewrite ^ /_other last;".to_owned()),
        ("a backup", "proxy_pass http://unix:gone.sock; error_page 502 = /_other;".to_owned()),
        ("an upstream's second server", "proxy_pass http://idp/jwks;".to_owned()),
    ] {
        let nginx = Nginx::builder()
            .http(format!(
                "upstream idp {{ server unix:gone.sock; server unix:{}; }}",
                provider.socket().display()
            ))
            .html("keys.json", set.clone())
            .server(format!(
                "location = /_jwks {{ internal; {location} }}
                location = /_other {{ internal; {} }}
                location / {{ jwks_request /_jwks; {SERVE} }}",
                provider.pass()
            ))
            .start()?;
        assert_eq!(nginx.bearer("/", &OLD.token()?)?.verdict(), (200, "ok"), "{name}");
        assert_eq!(nginx.get("/")?.verdict(), (401, "missing"), "{name}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn keys_may_come_from_nginx_s_own_cache() -> Result<()> {
    at_once(&[1_000, 40_000, 1_000_000], |size| {
        let provider = Provider::start(Behaviour::Keys(padded(*size)?))?;
        // All sources share one entry in the cache.
        let nginx = Nginx::builder()
            .http("proxy_cache_path cache keys_zone=idp:1m;")
            .server(format!(
                "location /_jwks/ {{ internal; proxy_cache idp; proxy_cache_key jwks;
                    proxy_cache_valid 200 10m; {} }}
                location / {{ jwks_request /_jwks/$arg_s; {SERVE} }}",
                provider.pass()
            ))
            .start()?;
        for source in ["a", "b", "c"] {
            let response = nginx.bearer(format!("/?s={source}"), &OLD.token()?)?;
            anyhow::ensure!(response.verdict() == (200, "ok"), "{:?}", response.verdict());
        }
        anyhow::ensure!(provider.settle()? == 1, "the cache was passed by");
        nginx.finish()
    })
}

#[test]
fn no_header_of_the_answer_matters_as_long_as_it_is_keys() -> Result<()> {
    let header = |name, value: &str| vec![(name, value.to_owned())];
    let cases = [
        vec![],
        header("Content-Type", "application/jwk-set+json"),
        header("Content-Type", "text/html; charset=utf-8"),
        header("Content-Type", "application/octet-stream"),
        header("Content-Encoding", "identity"),
        header("Content-Disposition", "attachment"),
        header("ETag", "\"1\""),
        header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
        header("Accept-Ranges", "bytes"),
        header("Cache-Control", "no-store"),
        header("WWW-Authenticate", "Bearer"),
        header("Refresh", "1; url=/"),
    ];
    at_once(&cases, |headers| {
        let provider = Provider::start(Behaviour::Headers(headers.clone(), key_set(&[OLD])?))?;
        let nginx = builder(&provider, "").start()?;
        let response = nginx.bearer("/", &OLD.token()?)?;
        anyhow::ensure!(response.verdict() == (200, "ok"), "{:?}", response.verdict());
        nginx.finish()
    })
}

#[test]
fn keys_of_other_kinds_and_uses_do_not_spoil_a_set() -> Result<()> {
    let good = P256.jwk(&json!({ "kid": OLD.kid }))?;
    let strange: [Value; 4] = [
        RSA.jwk(&json!({ "kid": "e", "use": "enc", "alg": "RSA-OAEP" }))?,
        serde_json::from_str(SECP256K1_JWK)?,
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "kid": "pq", "pub": "AAAA" }),
        json!({ "kty": "OKP", "crv": "X25519", "kid": "x", "x": "AAAA" }),
    ];
    at_once(&strange, |strange| {
        for set in [[strange.clone(), good.clone()], [good.clone(), strange.clone()]] {
            let provider = Provider::start(Behaviour::Keys(jwk_set(&set)))?;
            let nginx = builder(&provider, "").start()?;
            let response = nginx.bearer("/", &OLD.token()?)?;
            anyhow::ensure!(response.verdict() == (200, "ok"), "{:?}", response.verdict());
            nginx.finish()?;
        }
        Ok(())
    })
}

#[test]
fn a_body_that_waits_for_keys_arrives_whole() -> Result<()> {
    let (provider, upstream) =
        (Provider::start(keys(&[OLD])?)?, Provider::start(Behaviour::Status(201, "up".into()))?);
    provider.hold();
    let nginx = framed(format!(
        "{} location /up {{ jwks_request /_jwks; client_body_buffer_size 1k; {} }}",
        server(&provider, ""),
        upstream.pass_to("/up")
    ))
    .start()?;
    let body: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
    let post = nginx.request().method("POST").target("/up").bearer(&OLD.token()?).body(&body);
    let mut connection = nginx.connect()?;
    connection.write(&post.bytes()[..1000])?;
    provider.wait_count(1)?;
    provider.release();
    connection.write(&post.bytes()[1000..])?;
    assert_eq!(connection.read_response(false)?.verdict(), (201, "ok"));
    let received = upstream.received();
    assert_eq!((received.len(), received[0].method()), (1, "POST"));
    assert!(received[0].body == body, "the body came in another shape");
    nginx.finish()
}
