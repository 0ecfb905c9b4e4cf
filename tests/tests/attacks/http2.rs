//! HTTP/2 without TLS, by prior knowledge: just enough of RFC 9113 and RFC 7541 to send any header
//! and read a status.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use module_tests::{
    Jwt, Nginx, OTHER_SECRET, SECRET, SERVE, link, nginx_has, nginx_version, now, until,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

type Field<'f> = (&'f [u8], &'f [u8]);

struct Http2 {
    stream: UnixStream,
    next: u32,
}

/// The end of one stream.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Status(u16, Vec<u8>),
    /// The stream or the connection was given up, as nginx does with what is no HTTP/2.
    Reset,
}

impl Http2 {
    fn connect(nginx: &Nginx) -> Result<Self> {
        let mut stream = UnixStream::connect(nginx.socket("h2.sock"))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let mut http2 = Self { stream, next: 1 };
        http2.frame(SETTINGS, 0, 0, &[])?;
        Ok(http2)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<()> {
        let length = u32::try_from(payload.len())?.to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        match self.stream.write_all(&[&head, payload].concat()) {
            // Given up already: what has been sent before is still read.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            result => result.context("writing a frame"),
        }
    }

    /// Begins a request; a block that is too long for one frame is continued.
    fn begin(&mut self, fields: &[Field<'_>]) -> Result<u32> {
        let stream = self.next;
        self.next += 2;
        let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
        let mut chunks = block.chunks(16 * 1024).peekable();
        let mut kind = HEADERS;
        while let Some(chunk) = chunks.next() {
            let end_headers = if chunks.peek().is_none() { 0x4 } else { 0 };
            let end_stream = if kind == HEADERS { 0x1 } else { 0 };
            self.frame(kind, end_headers | end_stream, stream, chunk)?;
            kind = CONTINUATION;
        }
        Ok(stream)
    }

    /// Reads until all of `streams` have ended, and gives their ends in that order.
    fn ends(&mut self, streams: &[u32]) -> Result<Vec<End>> {
        let mut found: Vec<Option<End>> = streams.iter().map(|_| None).collect();
        while found.iter().any(|end| !matches!(end, Some(End::Reset)) && !is_done(end)) {
            let mut head = [0; 9];
            if self.stream.read_exact(&mut head).is_err() {
                found
                    .iter_mut()
                    .filter(|end| !is_done(end))
                    .for_each(|end| *end = Some(End::Reset));
                break;
            }
            let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]]))?;
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload)?;
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let (kind, flags) = (head[3], head[4]);
            if kind == GOAWAY {
                found
                    .iter_mut()
                    .filter(|end| !is_done(end))
                    .for_each(|end| *end = Some(End::Reset));
            }
            if kind == SETTINGS && flags & 1 == 0 {
                self.frame(SETTINGS, 1, 0, &[])?;
            }
            let Some(at) = streams.iter().position(|stream| *stream == id) else { continue };
            let end = &mut found[at];
            match kind {
                HEADERS => *end = Some(End::Status(status(&payload)?, Vec::new())),
                DATA => match end {
                    Some(End::Status(_, body)) => body.extend(&payload),
                    _ => bail!("a body before its headers"),
                },
                RST_STREAM => *end = Some(End::Reset),
                _ => {}
            }
            if matches!(kind, HEADERS | DATA)
                && flags & 1 == 1
                && let Some(End::Status(_, body)) = end
            {
                body.push(0); // marks the end of the stream
            }
        }
        Ok(found.into_iter().flatten().map(without_mark).collect())
    }
}

fn is_done(end: &Option<End>) -> bool {
    match end {
        None => false,
        Some(End::Reset) => true,
        Some(End::Status(_, body)) => body.last() == Some(&0),
    }
}

fn without_mark(end: End) -> End {
    match end {
        End::Status(status, mut body) => {
            body.pop();
            End::Status(status, body)
        }
        End::Reset => End::Reset,
    }
}

/// A literal header field without indexing, with a new name (RFC 7541 section 6.2.2).
fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0][..], &string(name), &string(value)].concat()
}

/// A string without Huffman coding; its length has a prefix of seven bits (section 5.1).
fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if bytes.len() < 127 {
        out.extend(u8::try_from(bytes.len()));
    } else {
        out.push(127);
        let mut rest = bytes.len() - 127;
        while rest >= 128 {
            out.extend(u8::try_from(rest % 128 + 128));
            rest /= 128;
        }
        out.extend(u8::try_from(rest));
    }
    [out, bytes.to_vec()].concat()
}

/// The status, which nginx writes first: one of the static table, or three digits.
fn status(block: &[u8]) -> Result<u16> {
    let block = match block {
        [0x20..=0x3f, rest @ ..] => rest, // the dynamic table's size
        block => block,
    };
    Ok(match block {
        [indexed @ 0x88..=0x8e, ..] => {
            [200, 204, 206, 304, 400, 404, 500][usize::from(*indexed - 0x88)]
        }
        [_, 3, digits @ ..] => {
            std::str::from_utf8(digits.get(..3).context("digits")?)?.parse().context("status")?
        }
        _ => bail!("no status in {block:02x?}"),
    })
}

fn start() -> Result<Option<Nginx>> {
    if !nginx_has("v2")? {
        println!("this nginx is built without HTTP/2");
        return Ok(None);
    }
    let listen = match nginx_version()? {
        version if version >= (1, 25, 1) => "listen unix:h2.sock; http2 on;",
        _ => "listen unix:h2.sock http2;",
    };
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

/// The headers of a request beside those that every one has.
type Extra<'f> = Vec<(&'f str, &'f str)>;

fn auth(value: &str) -> Extra<'_> {
    vec![("authorization", value)]
}

fn request<'f>(method: &'f str, path: &'f str) -> Vec<Field<'f>> {
    vec![
        (b":method", method.as_bytes()),
        (b":scheme", b"http"),
        (b":path", path.as_bytes()),
        (b":authority", b"localhost"),
    ]
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
        // HTTP/2 lets a client split its cookies; one twice is still one too many.
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
        let mut fields = request(method, path);
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
        // The access log has what the compressed headers hide.
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
        let mut fields = request("GET", "/");
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
        let mut fields = request("GET", "/");
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
