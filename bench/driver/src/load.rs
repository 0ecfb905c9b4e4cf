//! The load: a few connections, each of which waits for one answer at a time.

use std::io::{ErrorKind, IoSlice, Read as _, Write as _};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

/// Enough connections to keep a server busy, and few enough that requests do not queue for long.
pub(crate) const CONNECTIONS: usize = 8;
/// An answer that takes longer is an error.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests that differ only in their ends. They are sent one after the other, again and again.
#[derive(Clone)]
pub(crate) struct Requests {
    pub(crate) head: Vec<u8>,
    pub(crate) tails: Rc<[Vec<u8>]>,
}

impl Requests {
    /// One GET request for `target` for each of `headers`, which are whole lines.
    pub(crate) fn new(target: &str, headers: &[String]) -> Self {
        let head = format!("GET {target} HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\n");
        let tails = headers.iter().map(|line| format!("{line}\r\n").into_bytes()).collect();
        Self { head: head.into_bytes(), tails }
    }

    /// One GET request for each target and its header line.
    pub(crate) fn to_targets(list: &[(String, String)]) -> Self {
        let tails = list.iter().map(|(target, line)| {
            let host = "Host: bench.example\r\nUser-Agent: bench";
            format!("{target} HTTP/1.1\r\n{host}\r\n{line}\r\n").into_bytes()
        });
        Self { head: b"GET ".to_vec(), tails: tails.collect() }
    }

    /// The text of `count` requests, beginning with this one; after the last one the first one follows.
    pub(crate) fn text(&self, from: usize, count: usize) -> Vec<u8> {
        let tails = (from..from + count).filter_map(|at| self.tails.get(at % self.tails.len()));
        tails.flat_map(|tail| [&*self.head, tail, b"\r\n"]).flatten().copied().collect()
    }

    /// The same requests for another target.
    pub(crate) fn to(&self, target: &str) -> Self {
        Self { tails: Rc::clone(&self.tails), ..Self::new(target, &[]) }
    }
}

/// Connections to one server.
pub(crate) struct Load {
    connections: Vec<Connection>,
    epoll: rustix::fd::OwnedFd,
}

struct Connection {
    stream: TcpStream,
    sent: Instant,
    answer: Vec<u8>,
}

/// The results of a slice of time.
pub(crate) struct Slice {
    pub(crate) requests: u64,
    pub(crate) time: Duration,
    /// Nanoseconds from the first byte sent to the last one read.
    pub(crate) latency: Histogram<u64>,
}

impl Load {
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let connections = (0..CONNECTIONS)
            .map(|number| {
                let stream = TcpStream::connect(("127.0.0.1", port))?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                let number = epoll::EventData::new_u64(u64::try_from(number)?);
                epoll::add(&epoll, &stream, number, epoll::EventFlags::IN)?;
                Ok(Connection { stream, sent: Instant::now(), answer: Vec::with_capacity(4096) })
            })
            .collect::<Result<_>>()?;
        Ok(Self { connections, epoll })
    }

    /// Sends one request after the other on every connection until the time is over and `at_least`
    /// requests have been sent, then waits for all answers. `next` counts on from slice to slice.
    /// A status other than 200 is an error, because a refusal is less work than what is measured.
    pub(crate) fn run(
        &mut self,
        requests: &Requests,
        next: &mut usize,
        time: Duration,
        at_least: usize,
    ) -> Result<Slice> {
        let began = Instant::now();
        let enough = next.saturating_add(at_least);
        let mut slice = Slice {
            requests: 0,
            time,
            latency: Histogram::new_with_bounds(100, 10_000_000_000, 3)?,
        };
        for connection in &mut self.connections {
            connection.send(requests, next)?;
        }
        let mut waiting = self.connections.len();
        let mut events = Vec::with_capacity(CONNECTIONS);
        let patience = rustix::event::Timespec::try_from(PATIENCE)?;
        while waiting > 0 {
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&patience))?;
            ensure!(!events.is_empty(), "no answer within {PATIENCE:?}");
            for event in &events {
                let number = usize::try_from(event.data.u64())?;
                let connection = self.connections.get_mut(number).context("an unknown event")?;
                let Some(status) = connection.receive()? else { continue };
                ensure!(status == *b"200", "status {} to a good request", status.escape_ascii());
                let now = Instant::now();
                slice.requests += 1;
                let nanoseconds = u64::try_from((now - connection.sent).as_nanos())?;
                slice.latency.saturating_record(nanoseconds);
                if now - began < time || *next < enough {
                    connection.send(requests, next)?;
                } else {
                    waiting -= 1;
                }
            }
        }
        slice.time = began.elapsed();
        Ok(slice)
    }
}

impl Connection {
    fn send(&mut self, requests: &Requests, next: &mut usize) -> Result<()> {
        let tail = requests.tails.get(*next % requests.tails.len()).context("no requests")?;
        *next += 1;
        self.sent = Instant::now();
        self.answer.clear();
        let parts = [IoSlice::new(&requests.head), IoSlice::new(tail), IoSlice::new(b"\r\n")];
        let written = self.stream.write_vectored(&parts)?;
        let length: usize = parts.iter().map(|part| part.len()).sum();
        ensure!(written == length, "a request was cut");
        Ok(())
    }

    /// Gives the status when the whole answer has arrived, and `None` before.
    fn receive(&mut self) -> Result<Option<[u8; 3]>> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                bail!("the connection was closed: {:?}", self.answer.escape_ascii().to_string())
            }
            Ok(read) => self.answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let Some(end) = self.answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let (head, body) = self.answer.split_at(end + 4);
        if body.len() < content_length(head)? {
            return Ok(None);
        }
        Ok(head.get(9..12).and_then(|status| status.try_into().ok()))
    }
}

/// How long the body is, by the head of an answer.
pub(crate) fn content_length(head: &[u8]) -> Result<usize> {
    const NAME: &[u8] = b"\ncontent-length:";
    let at = head.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME));
    let value = at.and_then(|at| head.get(at + NAME.len()..)).unwrap_or_default();
    let line = value.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let text = std::str::from_utf8(line)?.trim();
    text.parse()
        .with_context(|| format!("no Content-Length in {:?}", head.escape_ascii().to_string()))
}

/// Sends a single request on its own connection, and returns the status.
pub(crate) fn status(port: u16, target: &str, header: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let line = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    let close = "Host: bench.example\r\nConnection: close\r\n";
    write!(stream, "GET {target} HTTP/1.1\r\n{close}{line}\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).context("no status")?;
    status.parse().with_context(|| format!("status {status:?}"))
}
