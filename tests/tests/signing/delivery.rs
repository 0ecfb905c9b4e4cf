//! How an answer comes and goes: chunks, HEAD, ranges, caches, files, subrequests, HTTP/2, error pages.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use module_tests::{Behaviour, End, Http2, Nginx, P256, Provider, http2_request, nginx_leaves_out};
use serde_json::Value;

use super::{KEY, api, claims, login, login_builder, text};

const CLAIMS: &str = r#"{"access_token":{"sub":"alice"},"x":1}"#;

#[test]
fn an_answer_may_come_in_any_pieces() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(CLAIMS.into()))?;
    for more in ["", "proxy_buffering off;", "proxy_buffers 4 1k; proxy_buffer_size 1k;"] {
        let more = format!("jwt_sign access_token; proxy_http_version 1.1; {more}");
        let nginx = login_builder(&provider, &more).start()?;
        let pieces = CLAIMS.chars().map(String::from).collect();
        let long = CLAIMS.replace('1', &format!("\"{}\"", "y".repeat(20_000)));
        for behaviour in [
            Behaviour::Chunked(CLAIMS.into(), 1),
            Behaviour::Chunked(long.clone(), 7),
            Behaviour::Keys(long),
            Behaviour::Slow(pieces, Duration::from_millis(2)),
            Behaviour::Unsized(CLAIMS.into()),
        ] {
            provider.set(behaviour);
            let answer = nginx.get("/login")?;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let json: Value = serde_json::from_slice(&answer.body)?;
            assert_eq!(api(&nginx, text(&json, "access_token")?)?.verdict(), (200, "ok"));
            assert_eq!(answer.header("Content-Length"), Some(&*answer.body.len().to_string()));
        }
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn connections_stay_usable() -> Result<()> {
    let (provider, nginx) = login(CLAIMS)?;
    let mut connection = nginx.connect()?;
    let request = nginx.request().target("/login").keep_alive();
    for _ in 0..20 {
        let answer = connection.send(&request)?;
        assert_eq!(
            (answer.status, answer.text().starts_with(r#"{"access_token":"ey"#)),
            (200, true)
        );
    }
    provider.set(Behaviour::Keys("[]".into()));
    let answer = request.clone().send()?;
    assert_eq!(answer.status, 502);
    nginx.finish()
}

#[test]
fn head_and_ranges() -> Result<()> {
    let provider = Provider::start(Behaviour::Headers(
        vec![
            ("Content-Type", "application/json".into()),
            ("ETag", "\"claims\"".into()),
            ("Accept-Ranges", "bytes".into()),
        ],
        CLAIMS.into(),
    ))?;
    let nginx =
        login_builder(&provider, "jwt_sign access_token; proxy_force_ranges on;").start()?;
    let request = || nginx.request().target("/login");
    let whole = request().header("Range", "bytes=0-20").send()?;
    assert_eq!((whole.status, whole.header("Content-Range")), (200, None));
    assert!(whole.text().starts_with(r#"{"access_token":"ey"#), "{}", whole.text());
    let head = request().method("HEAD").send()?;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["Content-Length", "ETag", "Accept-Ranges"] {
        assert_eq!(head.header(name), None, "{name}");
    }
    nginx.finish()
}

#[test]
fn a_cached_answer_is_signed_anew() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(CLAIMS.into()))?;
    let more = "jwt_sign access_token; proxy_cache c; proxy_cache_valid 200 1h;
        add_header X-Cache $upstream_cache_status;";
    let nginx =
        login_builder(&provider, more).http("proxy_cache_path cache keys_zone=c:1m;").start()?;
    let mut ids = Vec::new();
    for cache in ["MISS", "HIT", "HIT"] {
        let answer = nginx.get("/login")?;
        assert_eq!((answer.status, answer.header("X-Cache")), (200, Some(cache)));
        let json: Value = serde_json::from_slice(&answer.body)?;
        let token = text(&json, "access_token")?;
        assert_eq!(api(&nginx, token)?.verdict(), (200, "ok"));
        ids.push(claims(token)?["jti"].to_string());
    }
    let part = nginx.request().target("/login").header("Range", "bytes=0-9").send()?;
    assert_eq!((part.status, part.header("X-Cache")), (200, Some("HIT")));
    let head = nginx.request().target("/login").method("HEAD").send()?;
    assert_eq!((head.status, head.header("Content-Length")), (200, None));
    ids.dedup();
    assert_eq!((ids.len(), provider.count()), (3, 1));
    nginx.finish()
}

#[test]
fn files_and_fixed_texts_are_signed_too() -> Result<()> {
    let nginx = Nginx::builder()
        .file(KEY, P256.private)
        .html("claims.json", CLAIMS)
        .html("large.json", CLAIMS.replace('1', &format!("\"{}\"", "z".repeat(50_000))))
        .server(format!(
            "jwt_sign_key {KEY}; jwt_sign access_token;
            location = /text {{ return 200 '{CLAIMS}'; }}
            location = /file {{ try_files /claims.json =404; }}
            location = /large {{ sendfile on; try_files /large.json =404; }}
            location = /direct {{ directio 1; directio_alignment 512; try_files /large.json =404; }}"
        ))
        .start()?;
    for target in ["/text", "/file", "/large", "/direct"] {
        for range in [None, Some("bytes=0-3")] {
            let request = nginx.request().target(target);
            let request = match range {
                Some(range) => request.header("Range", range),
                None => request,
            };
            let answer = request.send()?;
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
            let json: Value = serde_json::from_slice(&answer.body)?;
            assert!(text(&json, "access_token")?.starts_with("ey"), "{target}");
            assert_eq!(answer.header("ETag"), None);
        }
    }
    nginx.finish()
}

#[test]
fn a_compressing_nginx_compresses_what_is_signed() -> Result<()> {
    if nginx_leaves_out("gzip")? {
        return Ok(());
    }
    let provider = Provider::start(Behaviour::Keys(CLAIMS.into()))?;
    let more = "jwt_sign access_token; gzip on; gzip_types *; gzip_min_length 1;
        proxy_set_header Accept-Encoding '';";
    let nginx = login_builder(&provider, more).start()?;
    let answer = nginx.request().target("/login").header("Accept-Encoding", "gzip").send()?;
    assert_eq!((answer.status, answer.header("Content-Encoding")), (200, Some("gzip")));
    let mut child = std::process::Command::new("gzip")
        .arg("-dc")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("stdin")?, &answer.body)?;
    let plain = child.wait_with_output()?.stdout;
    assert!(plain.starts_with(br#"{"access_token":"ey"#));
    nginx.finish()
}

#[test]
fn a_subrequest_is_signed_or_left_out() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(CLAIMS.into()))?;
    let nginx = login_builder(&provider, "jwt_sign access_token;")
        .html(
            "page.html",
            r#"[<!--# include virtual="/login" -->][<!--# include virtual="/login" -->]"#,
        )
        .http("ssi on; ssi_types *;")
        .start()?;
    let answer = nginx.get("/page.html")?;
    let page = answer.text();
    assert_eq!(
        (answer.status, page.matches(r#"[{"access_token":"ey"#).count()),
        (200, 2),
        "{page}"
    );
    // A part that is refused takes nothing else with it.
    for bad in [
        Behaviour::Chunked(r#"["alice"]"#.into(), 3),
        Behaviour::Keys(r#"{"access_token":"alice"}"#.into()),
        Behaviour::Status(206, "alice".into()),
        Behaviour::Unsized(format!("alice{}", "x".repeat(100_000))),
    ] {
        provider.set(bad);
        let answer = nginx.get("/page.html")?;
        let page = answer.text();
        assert_eq!(
            (answer.status, page.matches("502 Bad Gateway</title>").count()),
            (200, 2),
            "{page}"
        );
        assert!(page.starts_with('[') && page.ends_with(']') && !page.contains("alice"), "{page}");
    }
    nginx.finish()
}

#[test]
fn http2_gets_the_same() -> Result<()> {
    let Some(listen) = Http2::listen()? else { return Ok(()) };
    let provider = Provider::start(Behaviour::Keys(CLAIMS.into()))?;
    let pass = provider.pass();
    let nginx = Nginx::builder()
        .file(KEY, P256.private)
        .expect_log("upstream")
        .server(format!(
            "{listen}
            location = /login {{ jwt_sign_key {KEY}; jwt_sign access_token; {pass} }}"
        ))
        .start()?;
    let ask = || -> Result<(u16, Vec<u8>)> {
        let mut connection = Http2::connect(&nginx)?;
        let stream = connection.begin(&http2_request("GET", "/login"))?;
        match connection.ends(&[stream])?.pop() {
            Some(End::Status(status, body)) => Ok((status, body)),
            other => bail!("{other:?}"),
        }
    };
    let (status, body) = ask()?;
    assert_eq!(status, 200);
    assert!(body.starts_with(br#"{"access_token":"ey"#));
    for bad in [
        Behaviour::Chunked(r#"["alice"]"#.into(), 1),
        Behaviour::Unsized(format!("alice{}", "x".repeat(100_000))),
        Behaviour::CloseMidway(CLAIMS.into()),
    ] {
        provider.set(bad);
        let (status, body) = ask()?;
        assert_eq!(status, 502);
        assert!(!String::from_utf8_lossy(&body).contains("alice"));
    }
    nginx.finish()
}

#[test]
fn error_pages_are_nginxs() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys("[]".into()))?;
    let pass = provider.pass();
    let nginx = Nginx::builder()
        .file(KEY, P256.private)
        .html("sorry.json", r#"{"error":"later"}"#)
        .server(format!(
            "jwt_sign_key {KEY}; jwt_sign access_token;
            location = /file {{ error_page 502 /sorry.json; {pass} }}
            location = /ok {{ error_page 502 =200 /sorry.json; {pass} }}
            location = /leak {{ error_page 502 =200 /claims; {pass} }}
            location = /named {{ error_page 502 = @named; {pass} }}
            location @named {{ return 503 '{{\"error\":\"named\"}}'; }}
            location = /claims {{ internal; {} }}",
            provider.pass_to("/claims")
        ))
        .start()?;
    provider.set_for("/claims", Behaviour::Keys(CLAIMS.into()));
    // Refused with its header (206), and with its body.
    for behaviour in [Behaviour::Status(206, "{}".into()), Behaviour::Keys("[]".into())] {
        provider.set(behaviour);
        let file = nginx.get("/file")?;
        assert_eq!((file.status, &*file.text()), (502, r#"{"error":"later"}"#));
        let ok = nginx.get("/ok")?;
        assert_eq!((ok.status, &*ok.text()), (200, r#"{"error":"later"}"#));
        let named = nginx.get("/named")?;
        assert_eq!((named.status, &*named.text()), (503, r#"{"error":"named"}"#));
        // The page is an answer like any other: it is signed, too, or not there.
        let page = nginx.get("/leak");
        assert!(!page.is_ok_and(|page| page.text().contains("alice")), "claims as an error page");
    }
    nginx.finish()
}

#[test]
fn one_worker_signs_many_answers_at_once() -> Result<()> {
    let (provider, nginx) = login(CLAIMS)?;
    provider.hold();
    let request = nginx.request().target("/login");
    let mut connections = Vec::new();
    for _ in 0..40 {
        let mut connection = request.connect()?;
        connection.write(&request.bytes())?;
        connections.push(connection);
    }
    provider.wait_count(40)?;
    provider.release();
    for mut connection in connections {
        let answer = connection.read_response(false)?;
        assert!(answer.text().starts_with(r#"{"access_token":"ey"#));
    }
    nginx.finish()
}

#[test]
fn an_answer_with_the_status_of_an_error_page_is_signed_all_the_same() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(CLAIMS.into()))?;
    let pass = provider.pass();
    let nginx = Nginx::builder()
        .file(KEY, P256.private)
        .server(format!(
            "jwt_sign_key {KEY};
            location = /ok {{ jwt_sign access_token; {pass} }}
            location = /deny {{ jwt_kids {{ k {}; }} error_page 401 /ok; try_files /ok.txt =404; }}
            location = /missing {{ error_page 404 /ok; try_files /none.txt =404; }}",
            module_tests::SECRET
        ))
        .start()?;
    for (target, status) in [("/ok", 200), ("/deny", 401), ("/missing", 404)] {
        let answer = nginx.get(target)?;
        assert_eq!(answer.status, status);
        assert!(answer.text().starts_with(r#"{"access_token":"ey"#), "{target}: {}", answer.text());
    }
    // An answer that is an error of the upstream passes.
    provider.set(Behaviour::Status(403, "no".into()));
    let answer = nginx.get("/deny")?;
    assert_eq!(&*answer.text(), "no");
    nginx.finish()
}

#[test]
fn nothing_tells_the_tag_of_the_claims() -> Result<()> {
    let nginx = Nginx::builder()
        .file(KEY, P256.private)
        .html("claims.json", CLAIMS)
        .server(format!(
            "jwt_sign_key {KEY}; jwt_sign access_token; location = /file {{ try_files /claims.json =404; }}"
        ))
        .start()?;
    let answer = nginx.request().target("/file").header("If-None-Match", "*").send()?;
    for name in ["ETag", "Last-Modified"] {
        assert_eq!(answer.header(name), None, "{name} with {}", answer.status);
    }
    nginx.finish()
}

/// A part that is refused in the middle may be behind one that has not ended yet.
#[test]
fn parts_that_are_refused_out_of_turn_do_not_hold_the_page() -> Result<()> {
    let pieces = |last: &str, more: usize| {
        let start = ["{\"access_token\":".to_owned(), last.to_owned()];
        start.into_iter().chain((0..more).map(|_| " ".to_owned())).collect()
    };
    let pause = Duration::from_millis(100);
    let provider = Provider::start(Behaviour::Close)?;
    // The first part ends after the others are refused, and before they end.
    provider.set_for("/slow", Behaviour::SlowUnsized(pieces("{}}", 1), pause));
    provider.set_for("/large", Behaviour::SlowUnsized(pieces(&"y".repeat(3000), 4), pause));
    let locations: String = ["slow", "large"]
        .map(|name| {
            let pass = provider.pass_to(&format!("/{name}"));
            format!(
                "location = /{name} {{ jwt_sign_key {KEY}; jwt_sign access_token; jwt_sign_buffer 1000;
                    proxy_buffering off; {pass} }}"
            )
        })
        .concat();
    let nginx = Nginx::builder()
        .file(KEY, P256.private)
        .html("page.html", r#"[<!--# include virtual="/slow" -->|<!--# include virtual="/large" -->|<!--# include virtual="/large" -->]"#)
        .http("ssi on; ssi_types *;")
        .server(locations)
        .start()?;
    for _ in 0..3 {
        let answer = nginx.get("/page.html")?;
        let page = answer.text();
        assert!(page.starts_with(r#"[{"access_token":"ey"#) && page.ends_with(']'), "{page}");
        assert_eq!(page.matches("502 Bad Gateway</title>").count(), 2, "{page}");
    }
    nginx.finish()
}
