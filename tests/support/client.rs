//! An HTTP/1.1 client that sends exactly the bytes it is given.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::env::patience;

/// A request. Only the request line, `Host` and `Connection: close` are added; nothing is checked or
/// escaped.
#[derive(Clone, Debug)]
#[must_use]
pub struct Request {
    socket: PathBuf,
    method: Vec<u8>,
    target: Vec<u8>,
    host: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    keep: bool,
}

impl Request {
    /// `GET /` to the server on `socket`.
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            method: b"GET".to_vec(),
            target: b"/".to_vec(),
            host: b"localhost".to_vec(),
            headers: Vec::new(),
            body: Vec::new(),
            keep: false,
        }
    }

    /// Sets the method.
    pub fn method(mut self, method: impl AsRef<[u8]>) -> Self {
        self.method = method.as_ref().to_vec();
        self
    }

    /// Sets the target: path and query, as they go into the request line.
    pub fn target(mut self, target: impl AsRef<[u8]>) -> Self {
        self.target = target.as_ref().to_vec();
        self
    }

    /// Sets the `Host` header.
    pub fn host(mut self, host: impl AsRef<[u8]>) -> Self {
        self.host = host.as_ref().to_vec();
        self
    }

    /// Adds a header; a name may come more than once.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Adds `Authorization: Bearer TOKEN`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// Sets a body, sent with its `Content-Length`.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Does not ask nginx to close the connection.
    pub fn keep_alive(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Whether it leaves the connection open.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.keep
    }

    /// Changes the socket that it is sent to.
    pub fn socket(mut self, socket: PathBuf) -> Self {
        self.socket = socket;
        self
    }

    /// The bytes that go over the connection.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = [
            self.method.as_slice(),
            b" ",
            &self.target,
            b" HTTP/1.1\r\nHost: ",
            &self.host,
            b"\r\n",
        ]
        .concat();
        for (name, value) in &self.headers {
            out.extend([name.as_slice(), b": ", value, b"\r\n"].concat());
        }
        if !self.body.is_empty() {
            out.extend(format!("Content-Length: {}\r\n", self.body.len()).into_bytes());
        }
        if !self.keep {
            out.extend(b"Connection: close\r\n");
        }
        out.extend(b"\r\n");
        out.extend(&self.body);
        out
    }

    /// Opens a connection to its socket.
    ///
    /// # Errors
    /// When it is not accepted.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(&self.socket)
    }

    /// Sends it over a connection of its own.
    ///
    /// # Errors
    /// When no complete answer arrives.
    pub fn send(self) -> Result<Response> {
        self.connect()?.send(&self)
    }
}

/// One connection to nginx.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens a connection to the server on `socket`.
    ///
    /// # Errors
    /// When it is not accepted.
    pub fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("connecting to {}", socket.display()))?;
        let limit = patience(Duration::from_secs(20));
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When no complete answer arrives.
    pub fn send(&mut self, request: &Request) -> Result<Response> {
        self.write(&request.bytes())?;
        self.read_response(request.method == b"HEAD")
    }

    /// Writes bytes. A server that has already answered may have closed its side; the answer then
    /// is still read.
    ///
    /// # Errors
    /// When the connection breaks in another way.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self.stream.write_all(bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            result => result.context("writing the request"),
        }
    }

    /// Reads one answer, passing over interim ones (1xx); `head` says that it has no body whatever
    /// it claims.
    ///
    /// # Errors
    /// When what comes is no complete HTTP/1.1 answer.
    pub fn read_response(&mut self, head: bool) -> Result<Response> {
        loop {
            let end = loop {
                if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                    break at + 4;
                }
                ensure!(
                    self.fill()?,
                    "the connection closed before an answer: {:?}",
                    lossy(&self.buffer)
                );
            };
            let header: Vec<u8> = self.buffer.drain(..end).collect();
            let mut response = Response::parse(&header)?;
            if (100..200).contains(&response.status) && response.status != 101 {
                continue;
            }
            if !head && !matches!(response.status, 101 | 204 | 304) {
                response.body = self.read_body(&response)?;
            }
            return Ok(response);
        }
    }

    /// Whether anything of an answer, or the connection's end, has come that has not been read.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn has_answer(&mut self) -> Result<bool> {
        if !self.buffer.is_empty() {
            return Ok(true);
        }
        self.stream.set_nonblocking(true)?;
        let filled = self.fill();
        self.stream.set_nonblocking(false)?;
        match filled {
            Ok(_) => Ok(true),
            Err(error) if would_block(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read_body(&mut self, response: &Response) -> Result<Vec<u8>> {
        if response
            .header("Transfer-Encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            return self.read_chunks();
        }
        if let Some(length) = response.header("Content-Length") {
            let length: usize = length.parse().context("Content-Length")?;
            return self.take(length);
        }
        while self.fill()? {}
        Ok(std::mem::take(&mut self.buffer))
    }

    fn read_chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    break at;
                }
                ensure!(self.fill()?, "the connection closed within a chunk");
            };
            let line = self.take(end + 2)?;
            let size = usize::from_str_radix(lossy(&line).trim(), 16).context("chunk size")?;
            let chunk = self.take(size + 2)?;
            if size == 0 {
                return Ok(body);
            }
            body.extend(chunk.get(..size).unwrap_or_default());
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < length {
            ensure!(self.fill()?, "the connection closed within a body: {:?}", lossy(&self.buffer));
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// Reads more; false at the end of the stream.
    fn fill(&mut self) -> Result<bool> {
        let mut chunk = [0; 16 * 1024];
        let got = loop {
            match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break 0,
                // By a signal, such as that of a child that has ended.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                result => break result.context("reading the answer")?,
            }
        };
        self.buffer.extend(chunk.get(..got).unwrap_or_default());
        Ok(got > 0)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers in their order, names as nginx wrote them.
    pub headers: Vec<(String, String)>,
    /// The body, without transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    fn parse(header: &[u8]) -> Result<Self> {
        let text = lossy(header);
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let Some((_, rest)) = line.split_once("HTTP/1.1 ") else {
            bail!("no status line: {line:?}")
        };
        let status = rest
            .get(..3)
            .unwrap_or_default()
            .parse()
            .with_context(|| format!("status in {line:?}"))?;
        let headers = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let (name, value) =
                    line.split_once(':').with_context(|| format!("no header: {line:?}"))?;
                Ok((name.to_owned(), value.trim().to_owned()))
            })
            .collect::<Result<_>>()?;
        Ok(Self { status, headers, body: Vec::new() })
    }

    /// The first header of this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All headers of this name, whatever its case.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        lossy(&self.body)
    }

    /// `WWW-Authenticate`, or nothing.
    #[must_use]
    pub fn challenge(&self) -> &str {
        self.header("WWW-Authenticate").unwrap_or_default()
    }

    /// The status code and `$jwt_status`.
    #[must_use]
    pub fn verdict(&self) -> (u16, &str) {
        (self.status, self.header("X-Jwt-Status").unwrap_or_default())
    }

    /// The status code and `$secure_token_status`.
    #[must_use]
    pub fn link_verdict(&self) -> (u16, &str) {
        (self.status, self.header("X-Link-Status").unwrap_or_default())
    }
}

fn would_block(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::{Request, Response};

    #[test]
    fn a_request_is_sent_byte_for_byte() {
        let request = Request::new("/nowhere".into()).target(b"/\xff").header("A", b"\x01");
        assert_eq!(
            request.bytes(),
            b"GET /\xff HTTP/1.1\r\nHost: localhost\r\nA: \x01\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn headers_are_found_whatever_their_case() {
        let response =
            Response::parse(b"HTTP/1.1 401 Unauthorized\r\nA: 1\r\na: 2\r\n\r\n").unwrap();
        assert_eq!((response.status, response.all("a")), (401, vec!["1", "2"]));
    }
}
