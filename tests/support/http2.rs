//! HTTP/2 without TLS, by prior knowledge: just enough of RFC 9113 and RFC 7541 to send any header
//! and read a status.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::env::{nginx_has, nginx_version, patience};
use crate::process::Nginx;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

/// A header field: name and value.
pub type Field<'f> = (&'f [u8], &'f [u8]);

/// A connection.
#[derive(Debug)]
pub struct Http2 {
    stream: UnixStream,
    next: u32,
}

/// The end of one stream.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// A status and a body.
    Status(u16, Vec<u8>),
    /// nginx closed the stream or the connection, as it does when it receives no valid HTTP/2.
    Reset,
}

impl Http2 {
    /// The directives with which a server listens on `h2.sock`. None, with a printed note,
    /// where this nginx is built without HTTP/2.
    ///
    /// # Errors
    /// When nginx cannot be run.
    pub fn listen() -> Result<Option<&'static str>> {
        if !nginx_has("v2")? {
            println!("this nginx is built without HTTP/2");
            return Ok(None);
        }
        Ok(Some(match nginx_version()? {
            version if version >= (1, 25, 1) => "listen unix:h2.sock; http2 on;",
            _ => "listen unix:h2.sock http2;",
        }))
    }

    /// Opens a connection to `h2.sock`.
    ///
    /// # Errors
    /// When it is not accepted.
    pub fn connect(nginx: &Nginx) -> Result<Self> {
        let mut stream = UnixStream::connect(nginx.socket("h2.sock"))?;
        stream.set_read_timeout(Some(patience(Duration::from_secs(20))))?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let mut http2 = Self { stream, next: 1 };
        http2.frame(SETTINGS, 0, 0, &[])?;
        Ok(http2)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<()> {
        let length = u32::try_from(payload.len())?.to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        match self.stream.write_all(&[&head, payload].concat()) {
            // nginx has closed it already: what it sent before is still read.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            result => result.context("writing a frame"),
        }
    }

    /// Begins a request; a block that is too long for one frame is continued.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn begin(&mut self, fields: &[Field<'_>]) -> Result<u32> {
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
    ///
    /// # Errors
    /// When what comes is no HTTP/2.
    pub fn ends(&mut self, streams: &[u32]) -> Result<Vec<End>> {
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
            let at = streams.iter().position(|stream| *stream == id);
            let Some(end) = at.and_then(|at| found.get_mut(at)) else { continue };
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
            let known = [200, 204, 206, 304, 400, 404, 500];
            *known.get(usize::from(*indexed - 0x88)).context("a status")?
        }
        [_, 3, digits @ ..] => {
            std::str::from_utf8(digits.get(..3).context("digits")?)?.parse().context("status")?
        }
        _ => bail!("no status in {block:02x?}"),
    })
}

/// The pseudo-headers of a request.
#[must_use]
pub fn http2_request<'f>(method: &'f str, path: &'f str) -> Vec<Field<'f>> {
    vec![
        (b":method", method.as_bytes()),
        (b":scheme", b"http"),
        (b":path", path.as_bytes()),
        (b":authority", b"localhost"),
    ]
}
