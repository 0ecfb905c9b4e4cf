//! The rules of the location that serves a request decide, however the request got there.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, SECRET, SERVE, nginx_has};

use crate::{Case, Want, withstand};

fn good() -> Result<String> {
    Jwt::live().kid("k1").hs("HS256", SECRET)
}

/// An open server with a few protected locations.
fn start(extra: &str) -> Result<Nginx> {
    Nginx::builder()
        .http(
            "server { listen unix:up.sock;
                location /file/ { add_header X-Accel-Redirect /protected/x; return 200 leaked; }
                location /internal/ { add_header X-Accel-Redirect /internal/x; return 200 leaked; }
                location /named/ { add_header X-Accel-Redirect @named; return 200 leaked; }
                location /open/ { add_header X-Accel-Redirect /open/x; return 200 leaked; }
                location /dots/ { add_header X-Accel-Redirect /open/../protected/x; return 200 leaked; } }",
        )
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt off; {extra}
            location / {{ {SERVE} }}
            location /open {{ {SERVE} }}
            location /protected {{ jwt on; {SERVE} }}
            location = /exact {{ jwt on; {SERVE} }}
            location ^~ /first {{ jwt on; {SERVE} }}
            location ~ \\.secret$ {{ jwt on; {SERVE} }}
            location ~* ^/any.?case$ {{ jwt on; {SERVE} }}
            location /both {{ jwt on; location /both/open {{ jwt off; {SERVE} }} {SERVE} }}
            location @named {{ jwt on; {SERVE} }}
            location /internal {{ internal; jwt on; {SERVE} }}
            location /last {{ rewrite ^ /protected/x last; }}
            location /break {{ jwt on; rewrite ^ /open/x break; {SERVE} }}
            location /open-last {{ jwt on; rewrite ^ /open/x last; }}
            location /try {{ try_files /nope /protected/x; }}
            location /try-named {{ try_files /nope @named; }}
            location /try-open {{ jwt on; try_files /nope /open/x; }}
            location /error {{ try_files /nope =404; error_page 404 = /protected/x; }}
            location /error-named {{ try_files /nope =404; error_page 404 = @named; }}
            location /error-open {{ jwt on; try_files /nope =404; error_page 404 = /open/x; }}
            location /accel/ {{ proxy_pass http://unix:up.sock:/; }}
            location /index/ {{ index ../exact; }}
            location = /if {{ if ($arg_on) {{ jwt on; }} }}
            location /limit {{ limit_except GET {{ jwt on; }} {SERVE} }}"
        ))
        .html("index/exact", "x")
        .html("if", "ok\n")
        .start()
}

/// Three cases for one target: without a token, with a forged token, and with a good one.
fn three(nginx: &Nginx, target: &str, protected: bool) -> Result<Vec<Case>> {
    let bad = Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)?;
    let ask = || nginx.request().target(target);
    let off = Want::Jwt(200, "off");
    let want = |word| if protected { Want::Jwt(401, word) } else { off };
    Ok(vec![
        Case::new(target, ask(), want("missing")),
        Case::new(format!("{target}, forged"), ask().bearer(&bad), want("bad_signature")),
        Case::new(
            format!("{target}, good"),
            ask().bearer(&good()?),
            if protected { Want::Jwt(200, "ok") } else { off },
        ),
    ])
}

#[test]
fn a_path_is_judged_by_the_location_that_it_comes_to() -> Result<()> {
    let nginx = start("")?;
    let mut cases = Vec::new();
    for target in [
        "/protected",
        "/protected/",
        "/protected/x",
        "/open/../protected",
        "/open/x/../../protected",
        "//protected",
        "///protected//x",
        "/./protected",
        "/open/..//protected",
        "/%70rotected",
        "/%70%72%6f%74%65%63%74%65%64",
        "/protected%2fx",
        "/%2fprotected",
        "/open/%2e%2e/protected",
        "/open/%2E%2E/protected",
        "/open/.%2e/protected",
        "/open%2f..%2fprotected",
        "/open%2f%2e%2e%2fprotected",
        "/%2e/protected",
        "/x/%2e%2e/protected",
        "/protected;x=1",
        "/protected%3b",
        "/protected?a=/open",
        "/protected/../protected",
        "/protected%20",
        "/protected%00x".split("%00").next().unwrap(),
        "/protected.",
        "/protected%c0%ae",
        "http://localhost/protected",
        "http://other/open/../protected",
        "HTTP://localhost//protected",
        "/exact",
        "//exact",
        "/open/../exact",
        "/%65xact",
        "/first",
        "/first.txt",
        "/open/../first/x.txt",
        "/x.secret",
        "/open/x.secret",
        "/x%2esecret",
        "/x.%73ecret",
        "/anycase",
        "/ANYCASE",
        "/any-Case",
        "/both",
        "/both/x",
        "/both/open/../x",
        "/both/opem",
        "/last",
        "/last/x",
        "/last?a=1",
        "/break",
        "/try",
        "/try/x",
        "/try-named",
        "/try-open",
        "/error",
        "/error/x",
        "/error-named",
        "/error-open",
        "/accel/file/",
        "/accel/internal/",
        "/accel/named/",
        "/accel/open/../file/",
        "/if?on=1",
    ] {
        cases.extend(three(&nginx, target, true)?);
    }
    for target in [
        "/",
        "/open",
        "/open/x",
        "/protected/../open",
        "/protected/%2e%2e/open",
        "/both/open",
        "/both/open/x",
        "/open/protected",
        "/open%2fprotected",
        "/x?/protected",
        "/Protected",
        "/PROTECTED",
        "/open/..%5cprotected",
        "/%252e%252e/protected",
        "/open/%252e%252e/protected",
        "/protecte",
        "/exact/",
        "/exactly",
        "/x.secret/",
        "/x.secrets",
        "/accel/open/",
        "/if",
        "/if?on=",
        "/if?on=0",
        "/limit",
        "/open#/protected",
        // `rewrite` runs before the access phase, so only the last location judges the request.
        "/open-last",
    ] {
        cases.extend(three(&nginx, target, false)?);
    }
    for (target, status) in [
        ("/protected%00", 400),
        ("/open/../../protected", 400),
        ("/../protected", 400),
        ("/%2e%2e/protected", 400),
        ("protected", 400),
        ("*", 400),
        ("/accel/dots/", 404),
        ("/internal", 404),
        ("/internal/x", 404),
        ("/open/../internal", 404),
        ("/protected%", 400),
        ("/protected%zz", 400),
        ("", 400),
    ] {
        for request in [nginx.request(), nginx.request().bearer(&good()?)] {
            cases.push(Case::new(target, request.target(target), Want::Nginx(status)));
        }
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn without_merging_slashes_another_location_serves_and_judges() -> Result<()> {
    let nginx = Nginx::start(format!(
        "merge_slashes off; jwt_kids {{ k1 {SECRET}; }}
        location / {{ {SERVE} }}
        location /open {{ jwt off; {SERVE} }}
        location //open {{ {SERVE} }}
        location //free {{ jwt off; {SERVE} }}"
    ))?;
    let mut cases = Vec::new();
    for target in [
        "/",
        "//",
        "/x",
        "//x",
        "/x//open",
        "//open",
        "///open",
        "/%2fopen",
        "/./%2fopen",
        "/open/..//x",
        "//free/../x",
        "/free",
        "/x/..//open",
        "//open/../open",
        "/open//../../x",
    ] {
        cases.extend(three(&nginx, target, true)?);
    }
    for target in ["/open", "/open//x", "//free", "//free//..//x", "/open/x/../y", "//x/../free"] {
        cases.extend(three(&nginx, target, false)?);
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn every_method_and_every_kind_of_request_is_judged() -> Result<()> {
    let nginx = start("")?;
    let good = good()?;
    let mut cases = Vec::new();
    for method in [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "MKCOL", "COPY",
        "MOVE", "LOCK", "UNLOCK", "SEARCH", "FOO", "GETS", "X-GET",
    ] {
        let ask = || nginx.request().method(method).target("/protected");
        cases.push(Case::new(method, ask(), Want::Jwt(401, "missing")));
        cases.push(Case::new(method, ask().bearer("a.b.c"), Want::Jwt(401, "malformed")));
        // `/limit` is open for GET and HEAD only, and a file can be read with these two only.
        if matches!(method, "GET" | "HEAD") {
            cases.push(Case::new(method, ask().bearer(&good), Want::Jwt(200, "ok")));
            cases.push(Case::new(method, ask().target("/limit"), Want::Jwt(200, "off")));
        } else {
            cases.push(Case::token(method, ask().target("/limit"), "missing"));
        }
    }
    for (name, value) in [
        ("Range", "bytes=0-1"),
        ("Range", "bytes=0-0,1-1"),
        ("Range", "bytes=-1"),
        ("Range", "bytes=9-"),
        ("If-Range", "\"x\""),
        ("If-None-Match", "*"),
        ("If-Match", "*"),
        ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ("If-Unmodified-Since", "Fri, 01 Jan 1971 00:00:00 GMT"),
        ("Expect", "100-continue"),
        ("Upgrade", "h2c"),
        ("Upgrade", "websocket"),
        ("X-HTTP-Method-Override", "GET"),
        ("X-Original-URL", "/open"),
        ("X-Rewrite-URL", "/open"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Accel-Redirect", "/open"),
        ("X-Jwt-Status", "ok"),
        ("Connection", "Authorization"),
        ("Accept-Encoding", "gzip"),
        ("Referer", "http://localhost/open"),
    ] {
        let ask = || nginx.request().target("/protected").header(name, value);
        cases.push(Case::token(format!("{name}: {value}"), ask(), "missing"));
        cases.push(Case::token(format!("{name}: {value}"), ask().bearer("a.b.c"), "malformed"));
    }
    let part = nginx.request().target("/protected").header("Range", "bytes=0-0").bearer(&good);
    cases.push(Case::new("Range, good", part, Want::Jwt(206, "ok")));
    let chunked =
        nginx.request().method("POST").target("/protected").header("Transfer-Encoding", "chunked");
    cases.push(Case::token("chunked", chunked, "missing"));
    withstand(&nginx, cases)?;
    nginx.finish()
}

/// Sends these bytes and returns all that nginx answers until it closes the connection.
fn answer(nginx: &Nginx, bytes: &[u8]) -> Result<String> {
    let mut stream = UnixStream::connect(nginx.socket("s.sock"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn old_versions_pipelines_and_bodies() -> Result<()> {
    let nginx = start("lingering_timeout 50ms;")?;
    let good = good()?;
    // An HTTP/0.9 request has no headers, so it cannot carry a token.
    let old = answer(&nginx, b"GET /protected\r\n")?;
    assert!(old.contains("401") && !old.starts_with("HTTP") && !old.contains("ok\n"), "{old}");
    let old = answer(&nginx, b"GET /protected HTTP/1.0\r\n\r\n")?;
    assert!(old.starts_with("HTTP/1.1 401 "), "{old}");
    let old = answer(
        &nginx,
        format!("GET /protected HTTP/1.0\r\nAuthorization: Bearer {good}\r\n\r\n").as_bytes(),
    )?;
    assert!(old.starts_with("HTTP/1.1 200 ") && old.ends_with("ok\n"), "{old}");
    // nginx must not ask for the body of a request that it refuses.
    let expecting = answer(
        &nginx,
        b"POST /protected HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
    )?;
    assert!(expecting.starts_with("HTTP/1.1 401 "), "{expecting}");
    // Each request of a connection is judged alone, even if a body looks like a request.
    let ask = |token: Option<&str>, path: &str| {
        let token =
            token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        format!("GET {path} HTTP/1.1\r\nHost: a\r\n{token}")
    };
    let inner = format!("{}\r\n", ask(Some(&good), "/protected"));
    let pipeline = [
        format!("{}\r\n", ask(Some(&good), "/protected")),
        format!("{}\r\n", ask(None, "/protected")),
        format!("{}\r\n", ask(Some("a.b.c"), "/protected")),
        format!("{}Content-Length: {}\r\n\r\n{inner}", ask(None, "/protected"), inner.len()),
        format!("{}\r\n", ask(Some(&good), "/protected")),
        format!("{}\r\n", ask(None, "/open")),
        format!("{}Connection: close\r\n\r\n", ask(None, "/protected")),
    ]
    .concat();
    let answers = answer(&nginx, pipeline.as_bytes())?;
    let statuses: Vec<&str> =
        answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    assert_eq!(statuses, ["200", "401", "401", "401", "200", "200", "401"], "{answers}");
    println!("attack cases: 11");
    nginx.finish()
}

#[test]
fn the_server_that_serves_is_the_one_whose_keys_count() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!(
            "server {{ listen unix:s.sock; server_name other; root html;
                jwt_kids {{ k1 {OTHER_SECRET}; }} location / {{ {SERVE} }} }}"
        ))
        .server(format!("jwt_kids {{ k1 {SECRET}; }} location / {{ {SERVE} }}"))
        .start()?;
    let (ours, theirs) = (good()?, Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)?);
    let mut cases = Vec::new();
    for (host, target, served_by_other) in [
        ("localhost", "/", false),
        ("other", "/", true),
        ("OTHER", "/", true),
        ("other.", "/", true),
        ("other:8080", "/", true),
        ("localhost", "http://other/", true),
        ("other", "http://localhost/", false),
    ] {
        for (name, token, is_theirs) in [("ours", &ours, false), ("theirs", &theirs, true)] {
            let word = if is_theirs == served_by_other { "ok" } else { "bad_signature" };
            let request = nginx.request().host(host).target(target).bearer(token);
            cases.push(Case::token(format!("{host} {target} with {name}"), request, word));
        }
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn the_access_phase_is_that_of_the_main_request() -> Result<()> {
    let auth_request = nginx_has("auth_request")?;
    let locations = if auth_request {
        format!(
            "location /asked {{ jwt on; auth_request /allow; {SERVE} }}
            location /denied {{ jwt on; auth_request /deny; {SERVE} }}
            location = /allow {{ jwt off; return 204; }}
            location = /deny {{ return 403; }}"
        )
    } else {
        String::new()
    };
    let nginx = Nginx::builder()
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt off;
            location = /page.html {{ jwt on; ssi on; ssi_types *; }}
            location = /open.html {{ ssi on; ssi_types *; }}
            location = /part {{ jwt on; {SERVE} }}
            {locations}"
        ))
        .html("page.html", "page <!--#include virtual=\"/part\" -->")
        .html("open.html", "open <!--#include virtual=\"/part\" -->")
        .start()?;
    let mut cases = Vec::new();
    let mut add = |target: &str, request: module_tests::Request, want| {
        cases.push(Case::new(target, request.target(target), want));
    };
    add("/page.html", nginx.request(), Want::Jwt(401, "missing"));
    add("/page.html", nginx.request().bearer("a.b.c"), Want::Jwt(401, "malformed"));
    add("/page.html", nginx.request().bearer(&good()?), Want::Jwt(200, "ok"));
    add("/part", nginx.request(), Want::Jwt(401, "missing"));
    if auth_request {
        add("/asked", nginx.request(), Want::Jwt(401, "missing"));
        add("/asked", nginx.request().bearer(&good()?), Want::Jwt(200, "ok"));
        add("/denied", nginx.request(), Want::Jwt(401, "missing"));
        assert_eq!(nginx.bearer("/denied", &good()?)?.status, 403);
    }
    withstand(&nginx, cases)?;
    // As the directive reference says, nginx runs no access phase for an SSI subrequest.
    assert_eq!(nginx.get("/open.html")?.text(), "open ok\n");
    nginx.finish()
}
