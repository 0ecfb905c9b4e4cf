//! Answers that cannot be signed are 502 as a whole: claims never leave without a signature.

use anyhow::{Context as _, Result};
use module_tests::{Behaviour, Nginx, P256, Provider, nginx_has, until};
use rustix::process::{Pid, Signal, kill_process};

use super::{KEY, logged, login, login_builder};

/// A claim by which a leak is known.
const CLAIM: &str = "alice-4711";

/// Sends a request, whose answer must be 502 without claims, and for this reason.
fn is_refused(nginx: &Nginx, why: &str) -> Result<()> {
    let answer = nginx.get("/login")?;
    assert_eq!(answer.status, 502, "{why}: {}", answer.text());
    assert!(!answer.text().contains(CLAIM), "{why}");
    assert!(answer.text().contains("502 Bad Gateway"), "{why}: {}", answer.text());
    logged(nginx, &format!("jwt_sign: {why}"))?;
    assert!(!nginx.error_log().contains(CLAIM), "the log shows a claim");
    Ok(())
}

#[test]
fn bodies_that_are_no_object_of_claims() -> Result<()> {
    let (provider, nginx) = login("{}")?;
    let json = "the answer is no JSON that can be signed";
    let claims = |rest: &str| format!(r#"{{"access_token":{{"sub":"{CLAIM}"{rest}}}}}"#);
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    for (body, why) in [
        (String::new(), json),
        (format!("<html>{CLAIM}"), json),
        (format!("\u{feff}{}", claims("")), json),
        (format!("{},", claims("")), json),
        (format!("{}{}", claims(""), claims("")), json),
        (claims(r#","a":1,"a":2"#), json),
        (claims(&format!(r#","a":{deep}"#)), json),
        (claims(r#","n":1e400"#), json),
        (format!(r#"{{"access_token":{{"sub":"{CLAIM}"}},"access_token":{{}}}}"#), json),
        (format!(r#"{{"access_token":{{"sub":"{CLAIM}"}},"acc\u0065ss_token":{{}}}}"#), json),
        (format!("[{}]", claims("")), "the answer is JSON, but no object"),
        (format!("\"{CLAIM}\""), "the answer is JSON, but no object"),
        (format!(r#"{{"access_token":"{CLAIM}"}}"#), "member \"access_token\" is no object"),
        (format!(r#"{{"access_token":["{CLAIM}"]}}"#), "member \"access_token\" is no object"),
        (
            format!(r#"{{"access_token":null,"x":"{CLAIM}"}}"#),
            "member \"access_token\" is no object",
        ),
        (
            format!(r#"{{"access_token":{{"sub":"{CLAIM}"}},"refresh_token":7}}"#),
            "member \"refresh_token\" is no",
        ),
        (claims(r#","exp":"4102444800""#), "member \"access_token\": exp is no number"),
        (claims(r#","exp":null"#), "member \"access_token\": exp is no number"),
        (claims(r#","iat":true"#), "member \"access_token\": iat is no number"),
        (claims(r#","nbf":[]"#), "member \"access_token\": nbf is no number"),
    ] {
        provider.set(Behaviour::Keys(body));
        is_refused(&nginx, why)?;
    }
    // An escaped name is the same name.
    provider.set(Behaviour::Keys(format!(r#"{{"\u0061ccess_token":{{"sub":"{CLAIM}"}}}}"#)));
    let answer = nginx.get("/login")?;
    assert!(answer.text().starts_with(r#"{"\u0061ccess_token":"ey"#), "{}", answer.text());
    nginx.finish()
}

#[test]
fn bodies_that_are_not_what_was_sent() -> Result<()> {
    let claims = format!(r#"{{"access_token":{{"sub":"{CLAIM}"}}}}"#);
    let headers = |name, value: &str| {
        let json = ("Content-Type", "application/json".to_owned());
        Behaviour::Headers(vec![json, (name, value.to_owned())], claims.clone())
    };
    let (provider, nginx) = login("{}")?;
    for encoding in ["gzip", "br", "identity, gzip"] {
        provider.set(headers("Content-Encoding", encoding));
        is_refused(&nginx, &format!("the answer is compressed (Content-Encoding: {encoding})"))?;
    }
    provider.set(headers("Content-Encoding", "identity"));
    assert_eq!(nginx.get("/login")?.status, 200);
    provider.set(Behaviour::Status(206, claims.clone()));
    is_refused(&nginx, "the answer is a part of one (status 206)")?;
    nginx.finish()
}

#[test]
fn bodies_larger_than_the_buffer() -> Result<()> {
    let body = |len: usize| {
        let start = format!(r#"{{"access_token":{{"sub":"{CLAIM}"}},"x":""#);
        format!("{start}{}\"}}", "x".repeat(len - start.len() - 2))
    };
    let (provider, nginx) = login("{}")?;
    let why = "the answer has more than 65536 bytes (jwt_sign_buffer)";
    for answer in [Behaviour::Keys, Behaviour::Unsized, |body| Behaviour::Chunked(body, 1000)] {
        provider.set(answer(body(65_536)));
        let signed = nginx.get("/login")?;
        assert_eq!(signed.status, 200);
        assert!(signed.text().starts_with(r#"{"access_token":"ey"#));
        provider.set(answer(body(65_537)));
        is_refused(&nginx, why)?;
    }
    provider.set(Behaviour::Endless);
    is_refused(&nginx, why)?;
    nginx.finish()?;
    let nginx = login_builder(&provider, "jwt_sign access_token; jwt_sign_buffer 1m;").start()?;
    provider.set(Behaviour::Keys(body(1 << 20)));
    assert_eq!(nginx.get("/login")?.status, 200);
    nginx.finish()
}

#[test]
fn bodies_without_an_end() -> Result<()> {
    let claims = format!(r#"{{"access_token":{{"sub":"{CLAIM}"}},"x":"{}"}}"#, "x".repeat(200));
    let provider = Provider::start(Behaviour::CloseMidway(claims.clone()))?;
    let chunk = format!("5\r\n{{\"a\":\r\n{:x}\r\n{claims}\r\n", claims.len());
    let cut = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
    for buffering in ["", "proxy_buffering off;", "proxy_http_version 1.1;"] {
        let more = format!("jwt_sign access_token; proxy_read_timeout 300ms; {buffering}");
        let builder = login_builder(&provider, &more).expect_log("upstream");
        let nginx = builder.start()?;
        for behaviour in [
            Behaviour::CloseMidway(claims.clone()),
            Behaviour::HangMidway(claims.clone()),
            Behaviour::Raw(cut.clone().into_bytes()),
        ] {
            provider.set(behaviour);
            is_refused(&nginx, "the answer ended before its end")?;
        }
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn other_content_handlers_too() -> Result<()> {
    let nginx = Nginx::builder()
        .file(KEY, P256.private)
        .html("claims.txt", format!("no JSON {CLAIM}"))
        .server(format!(
            "jwt_sign_key {KEY}; jwt_sign access_token;
            location = /login {{ return 200 'no JSON {CLAIM}'; }}
            location = /file {{ try_files /claims.txt =404; }}"
        ))
        .start()?;
    is_refused(&nginx, "the answer is no JSON")?;
    assert_eq!(nginx.get("/file")?.status, 502);
    nginx.finish()
}

/// The bytes that a client gets, whatever they are.
fn raw(nginx: &Nginx, target: &str) -> Result<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::os::unix::net::UnixStream::connect(nginx.socket("s.sock"))?;
    let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut bytes = Vec::new();
    // nginx may close the connection before it has read everything.
    let _ = stream.read_to_end(&mut bytes);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// nginx takes what comes after an interim answer, or after a status line that it cannot read, for a body.
#[test]
fn answers_that_nginx_takes_for_others() -> Result<()> {
    let body = format!(r#"{{"access_token":{{"sub":"{CLAIM}"}}}}"#);
    let provider = Provider::start(Behaviour::Close)?;
    let whole = |line: &str| {
        format!(
            "{line}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let good = whole("HTTP/1.1 200 OK");
    for more in ["", "proxy_buffering off;", "proxy_http_version 1.1;"] {
        let more = format!("jwt_sign access_token; {more}");
        let nginx = login_builder(&provider, &more).expect_log("upstream").start()?;
        for bytes in [
            format!("HTTP/1.1 103 Early Hints\r\n\r\n{good}"),
            format!("HTTP/1.1 100 Continue\r\n\r\n{good}"),
            format!("HTTP/1.1 101 Switching\r\n\r\n{good}"),
            whole("HTTP/2 200 OK"),
            whole("HTTP/1.1 200OK"),
            whole("http/1.1 200 OK"),
            whole("HTTP/1.1 000 OK"),
            whole("HTTP/1.1 999 OK"),
            body.clone(),
            format!("\r\n{good}"),
        ] {
            // nginx itself passes interim answers over in later versions: then the answer is signed.
            provider.set(Behaviour::Raw(bytes.clone().into_bytes()));
            let got = raw(&nginx, "/login")?;
            assert!(!got.contains(CLAIM), "{bytes:?}: {got}");
            assert!(
                got.starts_with("HTTP/1.1 502") || got.contains(r#""access_token":"ey"#),
                "{bytes:?}: {got}"
            );
        }
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_body_of_205_and_an_encoding_of_several() -> Result<()> {
    let body = format!(r#"{{"access_token":{{"sub":"{CLAIM}"}}}}"#);
    let (provider, nginx) = login("{}")?;
    provider.set(Behaviour::Status(205, body.clone()));
    assert!(!raw(&nginx, "/login")?.contains(CLAIM));
    for encodings in [["gzip", "identity"], ["identity", "gzip"], ["", "gzip"]] {
        let headers = encodings.map(|it| ("Content-Encoding", it.to_owned())).to_vec();
        provider.set(Behaviour::Headers(headers, body.clone()));
        is_refused(&nginx, "the answer is compressed (Content-Encoding: gzip)")?;
    }
    nginx.finish()
}

#[test]
fn slices_are_parts() -> Result<()> {
    if !nginx_has("slice")? {
        return Ok(());
    }
    let provider = Provider::start(Behaviour::Close)?;
    let first = format!(r#"{{"access_token":{{"sub":"{CLAIM}"}}}}{}"#, " ".repeat(4096));
    let part = format!(
        "HTTP/1.1 206 Part\r\nContent-Range: bytes 0-2047/4136\r\nContent-Length: 2048\r\n\r\n{}",
        &first[..2048]
    );
    provider.set(Behaviour::Raw(part.into_bytes()));
    let more = "jwt_sign access_token; slice 2k; proxy_set_header Range $slice_range;";
    let nginx = login_builder(&provider, more).start()?;
    is_refused(&nginx, "the answer is a part of one")?;
    nginx.finish()
}

/// The chains of filters are globals of the master: what fails must not take them away from workers that
/// start afterwards.
#[test]
fn a_reload_that_fails_late_leaves_the_filters_to_new_workers() -> Result<()> {
    let answer = format!(r#"{{"access_token":{{"sub":"{CLAIM}"}}}}"#);
    let provider = Provider::start(Behaviour::Keys(answer))?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    for (server, why) in [
        (format!("listen {}; location / {{ }}", taken.local_addr()?), "Address already in use"),
        ("location = /k { jwks_publish; }".to_owned(), "has no key to publish"),
    ] {
        let nginx = login_builder(&provider, "jwt_sign access_token;")
            .expect_log(why)
            .expect_log("still could not bind()")
            .expect_log("exited on signal 9")
            .start()?;
        let signed = || -> Result<()> {
            let answer = nginx.get("/login")?;
            assert!(answer.text().starts_with(r#"{"access_token":"ey"#), "{}", answer.text());
            Ok(())
        };
        signed()?;
        let said = nginx
            .configure(|builder| builder.server(server.clone()))
            .and_then(|()| nginx.reload_refused())?;
        assert!(said.contains(why), "{said}");
        let worker = *nginx.workers().last().context("a worker")?;
        let pid = Pid::from_raw(worker.try_into()?).context("a process")?;
        kill_process(pid, Signal::KILL)?;
        nginx.wait_log(|line| line.contains(&format!("{worker} exited on signal 9")))?;
        until("a new worker", || Ok(nginx.get("/login").is_ok().then_some(())))?;
        signed()?;
        nginx.finish()?;
    }
    Ok(())
}
