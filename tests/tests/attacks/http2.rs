//! HTTP/2 without TLS, by prior knowledge: the answers are the same as for HTTP/1.1.

use anyhow::{Result, bail, ensure};
use module_tests::{
    End, Field, Http2, Jwt, Nginx, OTHER_SECRET, SECRET, SERVE, http2_request, link, now, until,
};

fn start() -> Result<Option<Nginx>> {
    let Some(listen) = Http2::listen()? else { return Ok(None) };
    Nginx::builder()
        .http("large_client_header_buffers 4 256k;")
        .server(format!(
            "{listen} jwt_kids {{ k1 {SECRET}; }}
            location / {{ {SERVE} }}
            location /open {{ jwt off; {SERVE} }}
            location /cookie {{ jwt_token cookie:tok; {SERVE} }}
            location /header {{ jwt_token header:X-Token; {SERVE} }}
            location /arg {{ jwt_token arg:tok; {SERVE} }}
            location /link {{ jwt off; secure_token_secret {SECRET}; {SERVE} }}"
        ))
        .start()
        .map(Some)
}

/// The headers that a request has in addition to those of every request.
type Extra<'f> = Vec<(&'f str, &'f str)>;

fn auth(value: &str) -> Extra<'_> {
    vec![("authorization", value)]
}

#[test]
fn http_2_is_judged_as_http_1_is() -> Result<()> {
    let Some(nginx) = start()? else { return Ok(()) };
    let good = Jwt::live().kid("k1").hs("HS256", SECRET)?;
    let bad = Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)?;
    let bearer = |token: &str| format!("Bearer {token}");
    let (good_bearer, bad_bearer) = (bearer(&good), bearer(&bad));
    let cookie = format!("tok={good}");
    let (argument, signed) = (format!("/arg?tok={good}"), link(SECRET, "/link", now() + 300));
    let (expired, forged) =
        (link(SECRET, "/link", now() - 300), link("wrong", "/link", now() + 300));
    let large = "A".repeat(100_000);
    let cases: Vec<(&str, &str, Extra<'_>, u16, &str, &str)> = vec![
        ("GET", "/", vec![], 401, "missing", "off"),
        ("GET", "/", auth(&good_bearer), 200, "ok", "off"),
        ("GET", "/", auth(&bad_bearer), 401, "bad_signature", "off"),
        ("GET", "/", auth("Bearer"), 401, "malformed", "off"),
        ("GET", "/", auth("Bearer a.b.c"), 401, "malformed", "off"),
        ("GET", "/", auth(&large), 401, "missing", "off"),
        ("HEAD", "/", vec![], 401, "missing", "off"),
        ("HEAD", "/", auth(&good_bearer), 200, "ok", "off"),
        ("OPTIONS", "/", vec![], 401, "missing", "off"),
        ("POST", "/", vec![], 401, "missing", "off"),
        ("DELETE", "/", auth(&bad_bearer), 401, "bad_signature", "off"),
        ("GET", "/open", vec![], 200, "off", "off"),
        ("GET", "/open/../protected", vec![], 401, "missing", "off"),
        ("GET", "/open/%2e%2e/protected", vec![], 401, "missing", "off"),
        ("GET", "//protected", vec![], 401, "missing", "off"),
        ("GET", "/protected%2f..%2fopen", vec![], 200, "off", "off"),
        ("GET", "/cookie", vec![("cookie", &cookie)], 200, "ok", "off"),
        // HTTP/2 lets a client split its cookies into fields, but the same cookie twice is refused.
        ("GET", "/cookie", vec![("cookie", "a=1"), ("cookie", &cookie)], 200, "ok", "off"),
        ("GET", "/cookie", vec![("cookie", &cookie), ("cookie", &cookie)], 401, "malformed", "off"),
        ("GET", "/header", vec![("x-token", &good)], 200, "ok", "off"),
        ("GET", "/header", vec![("x-token", &good), ("x-token", &good)], 401, "malformed", "off"),
        ("GET", "/header", vec![("x_token", &good)], 401, "missing", "off"),
        ("GET", &argument, vec![], 200, "ok", "off"),
        ("GET", "/link", vec![], 403, "off", "missing"),
        ("GET", &signed, vec![], 200, "off", "ok"),
        ("GET", &forged, vec![], 403, "off", "bad_signature"),
        ("GET", &expired, vec![], 410, "off", "expired"),
    ];
    println!("attack cases: {}", cases.len());
    let mut connection = Http2::connect(&nginx)?;
    for (at, (method, path, extra, wanted, jwt, link)) in cases.iter().enumerate() {
        let mut fields = http2_request(method, path);
        fields.extend(extra.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let refused = nginx.refusals().len();
        let stream = connection.begin(&fields)?;
        let ends = connection.ends(&[stream])?;
        let what = format!("{method} {path:.40} {at}");
        let Some(End::Status(status, body)) = ends.first() else { bail!("{what}: {ends:?}") };
        assert_eq!(status, wanted, "{what}");
        assert_eq!(body == b"ok\n", *wanted == 200 && *method != "HEAD", "{what}");
        let lines = nginx.refusals().len() - refused;
        assert_eq!(lines, usize::from(*wanted != 200), "{what}: lines in the log");
        // The test client reads no header but the status; the access log has the other values.
        let line = until("a line of the access log", || {
            Ok(nginx.access_log().lines().nth(at).map(str::to_owned))
        })?;
        assert!(line.starts_with(&format!("{wanted} jwt={jwt} link={link} ")), "{what}: {line}");
    }
    drop(connection);
    nginx.finish()
}

#[test]
fn streams_of_one_connection_share_no_verdict() -> Result<()> {
    let Some(nginx) = start()? else { return Ok(()) };
    let good = format!("Bearer {}", Jwt::live().kid("k1").hs("HS256", SECRET)?);
    let bad = format!("Bearer {}", Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)?);
    let mut connection = Http2::connect(&nginx)?;
    let kinds = [Some(&good), None, Some(&bad)];
    let mut streams = Vec::new();
    for at in 0..60 {
        let mut fields = http2_request("GET", "/");
        fields.extend(kinds[at % 3].map(|value| (&b"authorization"[..], value.as_bytes())));
        streams.push(connection.begin(&fields)?);
    }
    for (at, end) in connection.ends(&streams)?.iter().enumerate() {
        let wanted = if at % 3 == 0 { 200 } else { 401 };
        assert!(matches!(end, End::Status(status, _) if *status == wanted), "{at}: {end:?}");
    }
    drop(connection);
    println!("attack cases: {}", streams.len());
    nginx.finish()
}

#[test]
fn what_is_no_http_2_gets_nothing() -> Result<()> {
    let Some(nginx) = start()? else { return Ok(()) };
    let good = format!("Bearer {}", Jwt::live().kid("k1").hs("HS256", SECRET)?);
    let odd: [(&str, Vec<Field<'_>>); 9] = [
        (
            "authorization twice",
            vec![(b"authorization", good.as_bytes()), (b"authorization", good.as_bytes())],
        ),
        ("an upper-case name", vec![(b"Authorization", good.as_bytes())]),
        ("CRLF in a value", vec![(b"x-a", b"b\r\nauthorization: Bearer x")]),
        ("LF in a value", vec![(b"x-a", b"b\nc")]),
        ("NUL in a value", vec![(b"authorization", b"Bearer a\0b")]),
        ("a colon in a name", vec![(b"x:a", b"b")]),
        ("a pseudo-header behind", vec![(b"x-a", b"b"), (b":path", b"/open")]),
        ("a path twice", vec![(b":path", b"/open")]),
        ("an empty name", vec![(b"", b"b")]),
    ];
    for (name, extra) in &odd {
        let mut connection = Http2::connect(&nginx)?;
        let mut fields = http2_request("GET", "/");
        fields.extend(extra);
        let stream = connection.begin(&fields)?;
        let ends = connection.ends(&[stream])?;
        for end in &ends {
            let refused = match end {
                End::Reset => true,
                End::Status(status, body) => matches!(status, 400 | 401) && body != b"ok\n",
            };
            ensure!(refused, "{name}: {end:?}");
        }
    }
    println!("attack cases: {}", odd.len());
    nginx.finish()
}
