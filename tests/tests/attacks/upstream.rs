//! An upstream receives each claim of the token in one header line, and never a value that the
//! client sends in a header of the same name.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use module_tests::{Jwt, Nginx, OTHER_SECRET, Request, SECRET};
use serde_json::{Value, json};

/// An upstream that records the header lines of each request unchanged.
struct Upstream(Receiver<Vec<String>>);

impl Upstream {
    fn listen(socket: &Path) -> Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let (send, receive) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut lines = Vec::new();
                let mut reader = BufReader::new(&stream);
                let mut line = Vec::new();
                while reader.read_until(b'\n', &mut line).is_ok_and(|got| got > 2) {
                    // Each byte becomes one character (Latin-1), so that none is lost.
                    lines.push(line.drain(..).map(char::from).collect::<String>());
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                if (&stream).write_all(answer).is_err() || send.send(lines).is_err() {
                    return;
                }
            }
        });
        Ok(Self(receive))
    }

    /// The header lines of the request that has just been answered.
    fn saw(&self) -> Result<Vec<String>> {
        self.0.recv_timeout(Duration::from_secs(20)).context("the upstream was not asked")
    }

    fn saw_nothing(&self) -> bool {
        self.0.try_recv().is_err()
    }
}

/// All locations pass the same claims to the upstream and differ only in their `jwt` mode.
fn start(http: &str, extra: &str) -> Result<(Nginx, Upstream)> {
    let pass = "proxy_pass http://unix:up.sock:/;";
    let nginx = Nginx::builder()
        .http(format!(
            "client_header_buffer_size 2m; large_client_header_buffers 4 2m; {http}
            jwt_claim_set $deep user id; jwt_claim_set $cased userId;"
        ))
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            proxy_set_header X-User $jwt_claim_sub;
            proxy_set_header X-Roles $jwt_claim_roles;
            proxy_set_header X-Deep $deep;
            proxy_set_header X-Cased $cased;
            proxy_set_header X-Status $jwt_status;
            proxy_set_header X-Payload $jwt_payload;
            proxy_set_header X-Kid $jwt_header_kid;
            proxy_set_header Authorization \"\";
            {extra}
            location / {{ {pass} }}
            location /optional {{ jwt optional; {pass} }}
            location /permissive {{ jwt permissive; {pass} }}
            location /off {{ jwt off; {pass} }}"
        ))
        .start()?;
    let upstream = Upstream::listen(&nginx.socket("up.sock"))?;
    Ok((nginx, upstream))
}

fn token(claims: &Value) -> Result<String> {
    Jwt::live_with(claims).kid("k1").hs("HS256", SECRET)
}

/// The values of all lines with this header name, which may be in upper or lower case.
fn values<'l>(lines: &'l [String], name: &str) -> Vec<&'l str> {
    lines
        .iter()
        .filter_map(|line| line.trim_end_matches("\r\n").split_once(": "))
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

/// Checks that each header is one line and that no value starts a new line.
fn well_formed(lines: &[String]) -> Result<()> {
    for line in lines.iter().skip(1) {
        let name = line.split(':').next().unwrap_or_default();
        ensure!(!name.contains("Injected"), "a value began a line: {line:?}");
        ensure!(line.ends_with("\r\n"), "a bare newline: {line:?}");
        let inside = line.trim_end_matches("\r\n");
        ensure!(!inside.contains(|c: char| c.is_ascii_control()), "a control character: {line:?}");
    }
    Ok(())
}

#[test]
fn control_characters_of_a_claim_begin_no_line() -> Result<()> {
    let (nginx, upstream) = start("", "")?;
    let mut count = 0;
    let mut check = |claims: Value, header: &str, wanted: &str| -> Result<()> {
        count += 1;
        let response = nginx.bearer("/", &token(&claims)?)?;
        ensure!(response.status == 200, "{claims}: {}", response.status);
        let lines = upstream.saw()?;
        well_formed(&lines).with_context(|| claims.to_string())?;
        let wanted: String = wanted.bytes().map(char::from).collect();
        let expected: Vec<&str> = if wanted.is_empty() { Vec::new() } else { vec![&wanted] };
        ensure!(values(&lines, header) == expected, "{claims}: {:?}", values(&lines, header));
        Ok(())
    };
    // A claim with a control character is left out as a whole.
    for sub in [
        "alice\r\nInjected: 1",
        "alice\nInjected: 1",
        "alice\rInjected: 1",
        "\r\n\r\nGET / HTTP/1.1\r\nInjected: 1\r\n\r\n",
        "\r\n",
        "alice\r\n",
        "\nalice",
        "alice\u{0}",
        "\u{0}",
        "al\u{0}ice\u{0}\u{0}",
        "a\u{b}b\u{c}c\td\u{8}e\u{1b}[2Jf\u{7f}",
        "alice\r\n Injected: folded",
        "alice\u{85}Injected",
    ] {
        check(json!({ "sub": sub }), "X-User", "")?;
        check(json!({ "userId": sub }), "X-Cased", "")?;
        check(json!({ "user": { "id": sub } }), "X-Deep", "")?;
        check(json!({ "roles": [sub] }), "X-Roles", "")?;
        check(json!({ "roles": ["a", sub, "b"] }), "X-Roles", "")?;
    }
    for (sub, wanted) in [
        // No byte here is an ASCII newline, so a parser of bytes sees no end of a line.
        ("alice\u{2028}Injected\u{2029}x", "alice\u{2028}Injected\u{2029}x"),
        ("\u{560a}\u{560d}Injected", "\u{560a}\u{560d}Injected"),
        ("gr\u{fc}n \u{1f600}", "gr\u{fc}n \u{1f600}"),
        (
            "$jwt_claim_role ${x} %0d%0a &#13;&#10; \\r\\n",
            "$jwt_claim_role ${x} %0d%0a &#13;&#10; \\r\\n",
        ),
    ] {
        check(json!({ "sub": sub }), "X-User", wanted)?;
        check(json!({ "userId": sub }), "X-Cased", wanted)?;
        check(json!({ "user": { "id": sub } }), "X-Deep", wanted)?;
        check(json!({ "roles": [sub] }), "X-Roles", wanted)?;
        check(json!({ "roles": ["a", sub, "b"] }), "X-Roles", &format!("a,{wanted},b"))?;
    }
    for control in (0..=0x1f).chain([0x7f]).filter_map(char::from_u32) {
        let sub = format!("a{control}Injected: 1{control}");
        check(json!({ "sub": sub }), "X-User", "")?;
        check(json!({ "roles": { "k\n": control.to_string() } }), "X-Other", "")?;
    }
    for (claims, wanted) in [
        (json!({ "roles": [] }), ""),
        (json!({ "roles": [""] }), ""),
        (json!({ "roles": 7 }), "7"),
        (json!({ "roles": ["a", ["b", "c"]] }), "a,b,c"),
    ] {
        check(claims, "X-Roles", wanted)?;
    }
    println!("attack cases: {count}");
    nginx.finish()
}

#[test]
fn a_large_claim_is_passed_on_whole_or_not_at_all() -> Result<()> {
    let (nginx, upstream) = start("", "")?;
    for size in [1000, 10_000, 20_000] {
        let name = "x".repeat(size);
        let response = nginx.bearer("/", &token(&json!({ "sub": name }))?)?;
        assert_eq!(response.status, 200, "{size}");
        assert_eq!(values(&upstream.saw()?, "X-User"), [name.as_str()], "{size}");
    }
    for size in [64 * 1024, 1024 * 1024] {
        let response = nginx.bearer("/", &token(&json!({ "sub": "x".repeat(size) }))?)?;
        assert_eq!(response.verdict(), (401, "malformed"), "{size}");
        assert!(upstream.saw_nothing(), "{size}: the upstream was asked");
    }
    println!("attack cases: 5");
    nginx.finish()
}

/// Headers that only the token may set, and that a client may try to forge.
const NAMES: [&str; 9] = [
    "X-User",
    "x-user",
    "X-USER",
    "X-Roles",
    "X-Deep",
    "X-Cased",
    "X-Status",
    "X-Payload",
    "X-Kid",
];

fn with_forged_headers(request: Request, underscores: bool) -> Request {
    NAMES.iter().fold(request, |request, name| {
        let request = request.header(name, "admin").header(name, "root");
        if !underscores {
            return request;
        }
        request
            .header(name.replace('-', "_"), "admin")
            .header(format!("_{name}"), "admin")
            .header(name.replace('-', "_").to_uppercase(), "admin")
    })
}

#[test]
fn a_client_does_not_speak_for_a_token() -> Result<()> {
    let (nginx, upstream) = start("", "")?;
    let none = || nginx.request();
    let with = |secret: &str, claims: &Value| {
        Ok::<_, anyhow::Error>(
            nginx.request().bearer(&Jwt::live_with(claims).kid("k1").hs("HS256", secret)?),
        )
    };
    let mut count = 0;
    for (name, request, sub, status) in [
        ("/", with(SECRET, &json!({}))?, Some("alice"), "ok"),
        ("/", with(SECRET, &json!({ "sub": null }))?, None, "ok"),
        ("/", with(SECRET, &json!({ "sub": "" }))?, None, "ok"),
        ("/", with(SECRET, &json!({ "sub": "\r\n" }))?, None, "ok"),
        ("/optional", none(), None, "missing"),
        ("/optional", with(SECRET, &json!({}))?, Some("alice"), "ok"),
        ("/permissive", none(), None, "missing"),
        ("/permissive", with(OTHER_SECRET, &json!({ "sub": "eve" }))?, None, "bad_signature"),
        ("/permissive", with(SECRET, &json!({ "sub": "eve", "exp": 1 }))?, None, "expired"),
        ("/permissive", none().header("Authorization", "Bearer a.b.c"), None, "malformed"),
        ("/off", none(), None, "off"),
        ("/off", with(SECRET, &json!({}))?, None, "off"),
    ] {
        // nginx itself drops headers with underscores.
        for underscores in [false, true] {
            count += 1;
            let request = with_forged_headers(request.clone().target(name), underscores);
            assert_eq!(request.send()?.status, 200, "{name}");
            let lines = upstream.saw()?;
            well_formed(&lines)?;
            assert_eq!(values(&lines, "X-User"), sub.as_slice(), "{name} {status}");
            assert_eq!(values(&lines, "X-Status"), [status], "{name}");
            let payload = values(&lines, "X-Payload");
            assert_eq!(payload.len(), usize::from(status == "ok"), "{name} {status}: {payload:?}");
            let said = lines.iter().filter(|line| line.contains("admin") || line.contains("root"));
            assert_eq!(said.count(), 0, "{name} {status}: {lines:?}");
            assert!(values(&lines, "Authorization").is_empty(), "{name}");
        }
    }
    // A refused request never reaches the upstream.
    for request in [none(), with(OTHER_SECRET, &json!({}))?, with(SECRET, &json!({ "exp": 1 }))?] {
        count += 1;
        assert_eq!(with_forged_headers(request, true).send()?.status, 401);
        assert!(upstream.saw_nothing());
    }
    println!("attack cases: {count}");
    nginx.finish()
}

#[test]
fn with_underscores_on_the_other_spelling_is_another_header() -> Result<()> {
    // CGI and WSGI read `_` as `-`, so for them nginx must clear the other spelling, too.
    let clear: String =
        ["X_User", "X_Roles", "X_Deep", "X_Cased", "X_Status", "X_Payload", "X_Kid"]
            .iter()
            .map(|name| format!("proxy_set_header {name} \"\"; "))
            .collect();
    let (nginx, upstream) = start("underscores_in_headers on;", &clear)?;
    let good = token(&json!({}))?;
    for (request, user) in [
        (nginx.request().bearer(&good), Some("alice")),
        (nginx.request().target("/optional"), None),
        (nginx.request().target("/permissive").bearer("a.b.c"), None),
    ] {
        let forged = NAMES.iter().fold(request, |request, name| {
            let name = name.replace('-', "_");
            request.header(name.to_uppercase(), "admin").header(name, "admin")
        });
        assert_eq!(forged.send()?.status, 200);
        let lines = upstream.saw()?;
        assert_eq!(values(&lines, "X-User"), user.as_slice());
        assert!(!lines.iter().any(|line| line.contains("admin")), "{lines:?}");
    }
    println!("attack cases: 3");
    nginx.finish()
}
