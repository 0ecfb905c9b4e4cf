//! `jwt_uri_signing`: tokens that say which URIs they open (RFC 9246), and their renewal by cookie.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use module_tests::{
    Jwt, Nginx, OTHER_SECRET, P256, Request, Response, SECRET, SERVE, base64url, mistake, now,
    refuse_all,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const SOURCES: &str = "jwt_token arg:URISigningPackage cookie:URISigningPackage;";

fn start(server: &str) -> Result<Nginx> {
    Nginx::builder()
        .file("renew.pem", P256.private)
        .file("renew.json", P256.public)
        .html("pub/x.ts", "x")
        .server(format!(
            "server_name localhost h; jwt_kids {{ k1 {SECRET}; }} jwks_file renew.json kid=edge;
            jwt_uri_signing on; {SOURCES} {server}"
        ))
        .start()
}

/// A token with these claims and no others.
fn token(claims: Value) -> Result<String> {
    Jwt::new(claims).kid("k1").hs("HS256", SECRET)
}

/// A token for the URIs that match a pattern.
fn regex(pattern: &str) -> Result<String> {
    token(json!({ "cdniuc": format!("regex:{pattern}") }))
}

fn get(nginx: &Nginx, target: &str, token: &str) -> Result<Response> {
    let mark = if target.contains('?') { '&' } else { '?' };
    nginx.get(format!("{target}{mark}URISigningPackage={token}"))
}

fn claims(token: &str) -> Result<Value> {
    let payload = token.split('.').nth(1).context("three sections")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

/// The token in the answer's one cookie, and the cookie's attributes.
fn cookie(answer: &Response) -> Result<(String, String)> {
    let [cookie] = answer.all("Set-Cookie")[..] else {
        anyhow::bail!("{} cookies: {:?}", answer.all("Set-Cookie").len(), answer.headers);
    };
    let (name, rest) = cookie.split_once('=').context("a name")?;
    ensure!(name == "URISigningPackage", "{cookie}");
    let (token, attributes) = rest.split_once("; ").context("attributes")?;
    Ok((token.to_owned(), attributes.to_owned()))
}

#[test]
fn a_token_opens_what_it_covers_and_nothing_else() -> Result<()> {
    let nginx = start(&format!("location / {{ {SERVE} }}"))?;
    let pattern = regex(r"http://localhost/pub/[^/?]*(\?q=[0-9]+)?")?;
    for target in ["/pub/x", "/pub/x?q=12", "/pub/", "/%70ub/x", "/other/../pub/x"] {
        assert_eq!(get(&nginx, target, &pattern)?.verdict(), (200, "ok"), "{target}");
    }
    for target in [
        "/",
        "/pubx",
        "/pub/x/y",
        "/pub/x?q=",
        "/pub/x?q=1&r",
        "/pub/../secret",
        "/pub/%2e%2e/secret",
        "/pub/..%2fsecret",
        "/pub//../secret",
        "/pub/x%2Fy",
        "/pub/..;/secret",
        "//pub/x",
    ] {
        assert_eq!(get(&nginx, target, &pattern)?.verdict(), (403, "not_covered"), "{target}");
    }
    let uri = "http://localhost/a/b?c=d";
    let hash = format!("hash:sha-256;{}", base64url(Sha256::digest(uri)));
    let hash = token(json!({ "cdniuc": hash }))?;
    for target in ["/a/b?c=d", "/a/./b?%63=d", "/a/x/../b?c=d"] {
        assert_eq!(get(&nginx, target, &hash)?.verdict(), (200, "ok"), "{target}");
    }
    for target in ["/a/b", "/a/b?c=e", "/a/b?c=d&", "/A/b?c=d", "/a//b?c=d"] {
        assert_eq!(get(&nginx, target, &hash)?.verdict(), (403, "not_covered"), "{target}");
    }
    let refused = get(&nginx, "/a/c", &hash)?;
    assert!(refused.challenge().contains("insufficient_scope"), "{}", refused.challenge());
    assert!(refused.challenge().contains("The token does not cover this address"));
    nginx.wait_log(|line| {
        line.contains("jwt refused: not_covered: cdniuc does not cover the URI, which begins with \"http://localhost/\"")
    })?;
    nginx.assert_no_secret(&[SECRET, &hash, &pattern])?;
    nginx.finish()
}

#[test]
fn a_token_without_what_the_rfc_wants_opens_nothing() -> Result<()> {
    let nginx = start(&format!(
        "location / {{ jwt_leeway 60s; {SERVE} }} location /exp/ {{ jwt_require_exp on; {SERVE} }}"
    ))?;
    let all = "regex:.*";
    for (more, verdict) in [
        (json!({}), (200, "ok")),
        (json!({ "cdniuc": null }), (401, "malformed")),
        (json!({ "cdniuc": 1 }), (401, "malformed")),
        (json!({ "cdniuc": "all" }), (401, "malformed")),
        (json!({ "cdniuc": "regex:(" }), (401, "malformed")),
        (json!({ "cdniv": 1 }), (200, "ok")),
        (json!({ "cdniv": 2 }), (401, "malformed")),
        (json!({ "cdnicrit": "x", "x": 1 }), (401, "malformed")),
        (json!({ "exp": now() + 300 }), (200, "ok")),
        // The leeway of a minute is not for these tokens.
        (json!({ "exp": now() - 10 }), (401, "expired")),
        (json!({ "nbf": now() + 30 }), (401, "not_yet_valid")),
        (json!({ "sub": "alice" }), (403, "denied")),
        (json!({ "jti": "1" }), (403, "denied")),
        (json!({ "cdniip": "127.0.0.1" }), (403, "denied")),
        (json!({ "cdnistt": 1 }), (401, "malformed")),
        // No key is in force that could sign the next one.
        (json!({ "cdnistt": 1, "cdniets": 60 }), (403, "denied")),
        (json!({ "cdnistt": 3, "cdniets": 60 }), (401, "malformed")),
    ] {
        let token = Jwt::new(json!({ "cdniuc": all })).with(&more).kid("k1").hs("HS256", SECRET)?;
        assert_eq!(get(&nginx, "/x", &token)?.verdict(), verdict, "{more}");
    }
    assert_eq!(get(&nginx, "/exp/x", &regex(".*")?)?.verdict(), (401, "bad_lifetime"));
    // The signature comes first.
    let forged = Jwt::new(json!({ "sub": "x" })).kid("k1").hs("HS256", OTHER_SECRET)?;
    assert_eq!(get(&nginx, "/x", &forged)?.verdict(), (401, "bad_signature"));
    // Without the directive these claims mean nothing.
    assert_eq!(nginx.get("/x")?.verdict(), (401, "missing"));
    nginx.finish()
}

#[test]
fn the_token_does_not_count_wherever_it_comes_from() -> Result<()> {
    let nginx = start(&format!(
        "location / {{ {SERVE} }}
        location ~ ^/t/(?<tok>[^/]+)/ {{ jwt_token $tok; {SERVE} }}
        location /cookie/ {{ jwt_token cookie:URISigningPackage arg:URISigningPackage; {SERVE} }}"
    ))?;
    let good = regex("http://localhost/(cookie/)?a")?;
    let by_cookie = |target: String, token: &str| {
        let cookie = format!("x=1; URISigningPackage={token}");
        nginx.request().header("Cookie", cookie).target(target).send()
    };
    assert_eq!(by_cookie("/a".into(), &good)?.verdict(), (200, "ok"));
    assert_eq!(by_cookie("/b".into(), &good)?.verdict(), (403, "not_covered"));
    // The first source that holds something decides.
    assert_eq!(by_cookie("/a?URISigningPackage=x".into(), &good)?.verdict(), (401, "malformed"));
    let other = regex("http://localhost/b")?;
    let both = by_cookie(format!("/a?URISigningPackage={other}"), &good)?;
    assert_eq!(both.verdict(), (403, "not_covered"));
    // An old argument does not count where the cookie comes first.
    let old = by_cookie(format!("/cookie/a?URISigningPackage={other}"), &good)?;
    assert_eq!(old.verdict(), (200, "ok"));
    // Twice is unusable.
    let twice = format!("/a?URISigningPackage={good}&URISigningPackage={good}");
    assert_eq!(nginx.get(twice)?.verdict(), (401, "malformed"));
    // In the path; and it is no segment that dots take away.
    let path = regex("http://localhost/t/a")?;
    assert_eq!(nginx.get(format!("/t/{path}/a"))?.verdict(), (200, "ok"));
    assert_eq!(nginx.get(format!("/t/{path}/b"))?.verdict(), (403, "not_covered"));
    assert_eq!(nginx.get(format!("/t/{path}/x/../a"))?.verdict(), (200, "ok"));
    assert_eq!(by_cookie(format!("/cookie/{good}/../../a"), &good)?.verdict(), (200, "ok"));
    assert_eq!(by_cookie(format!("/secret/{good}/../../cookie/a"), &good)?.verdict(), (200, "ok"));
    assert_eq!(by_cookie(format!("/secret/{good}/../a"), &good)?.verdict(), (403, "not_covered"));
    nginx.finish()
}

#[test]
fn the_uri_is_the_one_of_the_client() -> Result<()> {
    let nginx = start(&format!(
        "location / {{ {SERVE} }}
        location /said/ {{ jwt_uri_signing on uri=https://$http_x_host$request_uri; {SERVE} }}
        location /old/ {{ rewrite ^ /new last; }}
        location /named/ {{ try_files /none @new; }}
        location @new {{ {SERVE} }}
        location /page/ {{ ssi on; ssi_types *; try_files /page.txt =404; }}
        location /off/ {{ jwt_uri_signing off; {SERVE} }}"
    ))?;
    let ask = |request: Request, target: &str, token: &str| {
        request.target(format!("{target}?URISigningPackage={token}")).send()
    };
    let verdict = |request: Request, target: &str, pattern: &str| {
        anyhow::Ok(ask(request, target, &regex(pattern)?)?.status)
    };
    let request = || nginx.request();
    for (host, pattern, status) in [
        ("localhost", "http://localhost/a", 200),
        ("LOCALHOST", "http://localhost/a", 200),
        ("localhost.", "http://localhost/a", 200),
        ("localhost:80", "http://localhost/a", 200),
        ("localhost:8080", "http://localhost:8080/a", 200),
        ("localhost:8080", "http://localhost/a", 403),
        ("localhost", "https://localhost/a", 403),
        ("h", "http://localhost/a", 403),
        ("[::1]:81", r"http://\[::1]:81/a", 200),
    ] {
        assert_eq!(verdict(request().host(host), "/a", pattern)?, status, "{host} {pattern}");
    }
    // A request line with a host of its own must agree with the header.
    let whole = "http://localhost/a";
    assert_eq!(verdict(request(), whole, whole)?, 200);
    assert_eq!(verdict(request().host("evil"), whole, ".*")?, 403);
    // Behind something that ends TLS the operator says what the URI is.
    let said = |host: &str| request().header("X-Host", host);
    assert_eq!(verdict(said("cdn.example"), "/said/a", "https://cdn.example/said/a")?, 200);
    assert_eq!(verdict(said("cdn.example"), "/said/a", "http://localhost/said/a")?, 403);
    assert_eq!(verdict(said(""), "/said/a", ".*")?, 403);
    // After a redirect within nginx it is still what the client has asked for.
    assert_eq!(verdict(request(), "/old/a", "http://localhost/old/a")?, 200);
    assert_eq!(verdict(request(), "/old/a", "http://localhost/new")?, 403);
    assert_eq!(verdict(request(), "/named/a", "http://localhost/named/a")?, 200);
    assert_eq!(verdict(request().method("HEAD"), "/a", "http://localhost/a")?, 200);
    assert_eq!(verdict(request().method("HEAD"), "/b", "http://localhost/a")?, 403);
    let subject = token(json!({ "sub": "alice" }))?;
    assert_eq!(ask(request(), "/off/x", &subject)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn the_cache_knows_tokens_and_not_uris() -> Result<()> {
    let nginx = start(&format!(
        "location / {{ {SERVE} }} location /off/ {{ jwt_uri_signing off; {SERVE} }}"
    ))?;
    let token = regex("http://localhost/a")?;
    for _ in 0..3 {
        assert_eq!(get(&nginx, "/a", &token)?.verdict(), (200, "ok"));
        assert_eq!(get(&nginx, "/b", &token)?.verdict(), (403, "not_covered"));
        assert_eq!(get(&nginx, "/off/b", &token)?.verdict(), (200, "ok"));
    }
    nginx.reload()?;
    assert_eq!(get(&nginx, "/b", &token)?.verdict(), (403, "not_covered"));
    nginx.finish()
}

/// Locations whose tokens are renewed.
const RENEWED: &str = "jwt_sign_key renew.pem kid=edge;
    location /pub/ { }
    location /moved/ { try_files /none @moved; }
    location @moved { return 302 /pub/x.ts; }
    location = /free { jwt off; try_files /pub/x.ts =404; }
    location /kept/ { error_page 404 =200 /free; }
    location /ruled/ { jwt_claim scope = x; error_page 403 =200 /free; }
    location /linked/ {
        secure_token_secret 0123456789abcdef0123456789abcdef; error_page 403 =200 /free;
    }
    location /internal/ { try_files /none @app; }
    location @app { jwt off; try_files /pub/x.ts =404; }
    location /page/ { ssi on; ssi_types *; try_files /page.txt =404; }
    location /deny/ { deny all; }
    location /named/ { jwt_token cookie:next; try_files /pub/x.ts =404; }
    location /rule/ { jwt_claim scope = x; try_files /pub/x.ts =404; }
    location /optional/ { jwt optional; try_files /pub/x.ts =404; }";

/// The claims of a token that is renewed by cookie.
fn renewed(more: &Value) -> Result<String> {
    let claims = json!({
        "iss": "me", "iat": 5, "exp": now() + 5, "cdniuc": "regex:http://localhost/.*", "cdnistt": 1,
        "cdniets": 100, "cdnistd": 1, "other": ["kept", 12_345_678_901_234_567_890_u64]
    });
    Jwt::new(claims).with(more).kid("k1").hs("HS256", SECRET)
}

#[test]
fn a_token_is_renewed_by_a_cookie() -> Result<()> {
    let nginx = start(RENEWED)?;
    let first = renewed(&json!({}))?;
    let answer = get(&nginx, "/pub/x.ts", &first)?;
    assert_eq!(answer.verdict(), (200, "ok"));
    let (next, attributes) = cookie(&answer)?;
    assert_eq!(attributes, "Path=/pub; Max-Age=100; Secure; HttpOnly");
    let (old, new) = (claims(&first)?, claims(&next)?);
    let lives = new["exp"].as_i64().context("exp")? - now();
    assert!((98..=100).contains(&lives), "{new}");
    let issued = now() - new["iat"].as_i64().context("iat")?;
    assert!((0..=2).contains(&issued), "{new}");
    for name in ["iss", "cdniuc", "cdnistt", "cdniets", "cdnistd", "other"] {
        assert_eq!(new[name], old[name], "{name}");
    }
    // The next token is good, and is renewed in turn.
    let by_cookie = |target: &str, method: &str| {
        let cookie = format!("URISigningPackage={next}");
        nginx.request().method(method).header("Cookie", cookie).target(target).send()
    };
    for (target, method) in [("/pub/x.ts", "GET"), ("/pub/x.ts", "HEAD")] {
        let answer = by_cookie(target, method)?;
        assert_eq!(answer.verdict(), (200, "ok"));
        cookie(&answer)?;
    }
    let part = nginx
        .request()
        .header("Range", "bytes=0-0")
        .target(format!("/pub/x.ts?URISigningPackage={next}"));
    let part = part.send()?;
    assert_eq!(part.status, 206);
    cookie(&part)?;
    nginx.reload()?;
    cookie(&get(&nginx, "/pub/x.ts", &first)?)?;
    nginx.assert_no_secret(&[&first, &next, SECRET])?;
    nginx.finish()
}

#[test]
fn a_playlist_that_carries_its_query_on_has_the_next_token() -> Result<()> {
    let nginx = start(
        "jwt_sign_key renew.pem kid=edge;
        location /pub/ { types { application/vnd.apple.mpegurl m3u8; } secure_token_forward query; }",
    )?;
    nginx.put("html/pub/a.m3u8", "#EXTM3U\nx.ts\n/pub/x.ts?a=b\n")?;
    let first = renewed(&json!({ "cdnistt": 2 }))?;
    let answer = get(&nginx, "/pub/a.m3u8?c=d", &first)?;
    assert_eq!((answer.status, answer.all("Set-Cookie").len()), (200, 0), "{}", nginx.error_log());
    let body = answer.text().into_owned();
    let next = body.lines().nth(1).and_then(|line| line.strip_prefix("x.ts?URISigningPackage="));
    let next = next.with_context(|| body.clone())?.to_owned();
    assert_ne!(next, first);
    assert!(body.contains(&format!("/pub/x.ts?a=b&URISigningPackage={next}\n")), "{body}");
    let lives = claims(&next)?["exp"].as_i64().context("exp")? - now();
    assert!((98..=100).contains(&lives), "{lives}");
    assert_eq!(get(&nginx, "/pub/x.ts", &next)?.status, 200);
    // Another answer has none, and one that is not renewed carries its own.
    let same = token(json!({ "cdniuc": "regex:http://localhost/.*" }))?;
    let body = get(&nginx, "/pub/a.m3u8", &same)?.text().into_owned();
    assert!(body.contains(&format!("x.ts?URISigningPackage={same}\n")), "{body}");
    nginx.finish()
}

#[test]
fn only_an_answer_that_the_token_has_opened_has_the_next_one() -> Result<()> {
    let nginx = start(RENEWED)?;
    let token = renewed(&json!({}))?;
    for (target, status, cookies) in [
        ("/pub/x.ts", 200, 1),
        ("/pub/none", 404, 0),
        ("/pub", 301, 0),
        ("/moved/x", 302, 0),
        ("/internal/x", 200, 1),
        ("/deny/x", 403, 0),
        ("/rule/x", 403, 0),
        ("/kept/x", 200, 1),
        ("/ruled/x", 200, 0),
        ("/linked/x", 200, 0),
        ("/optional/x", 200, 1),
    ] {
        let answer = get(&nginx, target, &token)?;
        let found = (answer.status, answer.all("Set-Cookie").len());
        assert_eq!(found, (status, cookies), "{target}: {}", nginx.error_log());
    }
    let etag = get(&nginx, "/pub/x.ts", &token)?.header("ETag").context("a tag")?.to_owned();
    let same = nginx.request().header("If-None-Match", etag);
    let same = same.target(format!("/pub/x.ts?URISigningPackage={token}")).send()?;
    assert_eq!((same.status, same.all("Set-Cookie").len()), (304, 0));
    // Without a token, or with one that is not to be renewed, or cannot be.
    assert_eq!(nginx.get("/optional/x")?.all("Set-Cookie").len(), 0);
    for more in [json!({ "cdnistt": 0 }), json!({ "cdnistt": null }), json!({ "cdnistd": 3 })] {
        let answer = get(&nginx, "/pub/x.ts", &renewed(&more)?)?;
        assert_eq!((answer.status, answer.all("Set-Cookie").len()), (200, 0), "{more}");
    }
    for (depth, path) in [(0, "/"), (1, "/pub"), (2, "/pub/x.ts")] {
        let (_, attributes) =
            cookie(&get(&nginx, "/pub/x.ts", &renewed(&json!({ "cdnistd": depth }))?)?)?;
        assert_eq!(attributes, format!("Path={path}; Max-Age=100; Secure; HttpOnly"));
    }
    // The cookie has the name that is looked for.
    let named =
        nginx.request().header("Cookie", format!("next={token}")).target("/named/x").send()?;
    assert!(named.header("Set-Cookie").is_some_and(|it| it.starts_with("next=")), "{named:?}");
    // One that no browser would keep is not sent.
    let large = get(&nginx, "/pub/x.ts", &renewed(&json!({ "large": "x".repeat(4000) }))?)?;
    assert_eq!((large.status, large.all("Set-Cookie").len()), (200, 0));
    nginx.wait_log(|line| {
        line.contains("the next token is not sent: a cookie with it has more than 4096 bytes")
    })?;
    nginx.finish()
}

#[test]
fn a_page_of_several_parts_has_one_cookie() -> Result<()> {
    let nginx = Nginx::builder()
        .file("renew.pem", P256.private)
        .html("page.txt", "<!--# include virtual=\"/part\" --><!--# include virtual=\"/pub/x.ts\" -->")
        .html("part", "part")
        .html("pub/x.ts", "x")
        .server(format!("jwt_kids {{ k1 {SECRET}; }} jwt_uri_signing on; {SOURCES} {RENEWED} location = /part {{ add_header Set-Cookie a=b; }}"))
        .start()?;
    let answer = get(&nginx, "/page/x", &renewed(&json!({}))?)?;
    assert_eq!((answer.status, &*answer.text()), (200, "partx"));
    cookie(&answer)?;
    nginx.finish()
}

#[test]
fn mistakes_are_told() -> Result<()> {
    refuse_all(&[
        mistake("no flag", "jwt_uri_signing maybe;", &["must be \"on\" or \"off\""]),
        mistake(
            "another parameter",
            "jwt_uri_signing on url=$x;",
            &["invalid parameter \"url=$x\""],
        ),
        mistake(
            "one URI for all",
            "jwt_uri_signing on uri=https://cdn.example/;",
            &["is the same for all requests", "uri=https://cdn.example.com$request_uri"],
        ),
        mistake("off with a URI", "jwt_uri_signing off uri=$uri;", &["means nothing with \"off\""]),
        mistake("twice", "jwt_uri_signing on; jwt_uri_signing off;", &["is duplicate"]),
        mistake("no keys", "jwt_uri_signing on;", &["has no keys"]),
    ])?;
    let checked = Nginx::builder().server("jwt_uri_signing off;").check()?;
    ensure!(checked.ok, "{}", checked.stderr);
    Ok(())
}
