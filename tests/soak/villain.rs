//! A provider of keys that alternates between a bad phase and a good phase of the same length. In
//! the bad phase it hangs, or its answers are truncated, slow, endless, redirected or false.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use module_tests::{P256, P384, jwk_set};
use serde_json::json;

use crate::traffic::Random;

/// The length of a bad phase, and of the good phase after it.
const PHASE: Duration = Duration::from_secs(24);
/// The longest that any answer takes.
const LONGEST: Duration = Duration::from_secs(6);
/// The provider sends at most this many bytes of an endless answer.
const MOST: u64 = 64 << 20;

/// The paths that `X-Accel-Redirect` points at. nginx can reach them in spite of their access
/// directives, but must never use their content as keys.
const INNER: [&str; 4] = ["/trap.json", "/denied.json", "/big", "/_plain"];

/// All bad answers.
const BAD: [Bad; 25] = [
    Bad::Hang,
    Bad::HangMidway,
    Bad::Truncated,
    Bad::TruncatedChunks,
    Bad::Trickle,
    Bad::Endless,
    Bad::EndlessChunks,
    Bad::EndlessHead,
    Bad::Close,
    Bad::Interim,
    Bad::Status("206 Partial Content"),
    Bad::Status("304 Not Modified"),
    Bad::Status("404 Not Found"),
    Bad::Status("503 Unavailable"),
    Bad::Header("Content-Encoding: gzip"),
    Bad::HugeHead,
    Bad::Redirect,
    Bad::Accel,
    Bad::AccelSlow,
    Bad::WrongJson,
    Bad::Junk,
    Bad::OtherKeys,
    Bad::NoKeys,
    Bad::NoHttp,
    Bad::TwoAnswers,
];

#[derive(Clone, Copy, Debug)]
enum Bad {
    Hang,
    HangMidway,
    Truncated,
    TruncatedChunks,
    Trickle,
    Endless,
    EndlessChunks,
    EndlessHead,
    Close,
    Interim,
    Status(&'static str),
    Header(&'static str),
    HugeHead,
    Redirect,
    Accel,
    AccelSlow,
    WrongJson,
    Junk,
    OtherKeys,
    NoKeys,
    NoHttp,
    TwoAnswers,
}

/// The state of a provider, shared by its threads.
pub(crate) struct Villain {
    path: PathBuf,
    began: Instant,
    offset: Duration,
    good: String,
    other: String,
    answers: AtomicU64,
    bad: AtomicU64,
    /// The largest number of bytes that nginx took of an endless answer.
    taken: AtomicU64,
}

impl Villain {
    /// Makes provider `number`, with a socket in `folder`. No two providers change phase together.
    pub(crate) fn new(folder: &Path, number: u32) -> Result<Self> {
        Ok(Self {
            path: folder.join(format!("v{number}.sock")),
            began: Instant::now(),
            offset: Duration::from_secs(9) * number,
            good: jwk_set(&[P256.jwk(&json!({ "kid": "good" }))?]),
            other: jwk_set(&[P384.jwk(&json!({ "kid": "other" }))?]),
            answers: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            taken: AtomicU64::new(0),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How long the provider has been good; `None` while it is bad.
    pub(crate) fn good_for(&self) -> Option<Duration> {
        let at = (self.began.elapsed() + self.offset).as_millis() % (PHASE * 2).as_millis();
        u64::try_from(at).ok().map(Duration::from_millis)?.checked_sub(PHASE)
    }

    pub(crate) fn told(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.answers), read(&self.bad), read(&self.taken))
    }

    /// Answers until `stop` is set, each connection in its own thread.
    pub(crate) fn serve<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        stop: &'s AtomicBool,
    ) -> Result<()> {
        let listener = UnixListener::bind(&self.path).context("listening")?;
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o666))?;
        listener.set_nonblocking(true)?;
        scope.spawn(move || {
            let mut seed = 0x5851_f42d_4c95_7f2d ^ self.offset.as_secs();
            while !stop.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                scope.spawn(move || Answering::new(self, stream, stop, seed).run());
            }
        });
        Ok(())
    }
}

/// One connection.
struct Answering<'v> {
    villain: &'v Villain,
    stream: UnixStream,
    stop: &'v AtomicBool,
    random: Random,
    until: Instant,
}

/// `None` ends the connection: nginx has closed it, or time is up.
type Sent = Option<()>;

impl<'v> Answering<'v> {
    fn new(villain: &'v Villain, stream: UnixStream, stop: &'v AtomicBool, seed: u64) -> Self {
        Self { villain, stream, stop, random: Random(seed | 1), until: Instant::now() + LONGEST }
    }

    fn run(mut self) {
        // The thread must notice `stop` soon, so no read or write may block for long.
        let limit = Some(Duration::from_millis(500));
        if self.stream.set_nonblocking(false).is_err()
            || self.stream.set_read_timeout(limit).is_err()
            || self.stream.set_write_timeout(limit).is_err()
        {
            return;
        }
        if self.villain.good_for().is_none() && self.random.below(BAD.len()) == 0 {
            // Closing while the request is unread makes nginx see a reset, not a normal end.
            thread::sleep(Duration::from_millis(10));
            return;
        }
        while self.request().is_some() {
            self.until = Instant::now() + LONGEST;
            self.villain.answers.fetch_add(1, Ordering::Relaxed);
            let answered = if self.villain.good_for().is_some() {
                self.good()
            } else {
                self.villain.bad.fetch_add(1, Ordering::Relaxed);
                let bad = BAD.get(self.random.below(BAD.len())).copied().unwrap_or(Bad::Hang);
                self.bad(bad);
                None
            };
            if answered.is_none() {
                return;
            }
        }
    }

    fn late(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() >= self.until
    }

    /// Reads the head of a request; no request has a body.
    fn request(&mut self) -> Sent {
        let mut head = Vec::new();
        let idle = Instant::now() + LONGEST;
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0; 512];
            match self.stream.read(&mut byte) {
                Ok(0) => return None,
                Ok(got) => head.extend(byte.get(..got)?),
                Err(_) if self.stop.load(Ordering::Relaxed) || Instant::now() >= idle => {
                    return None;
                }
                Err(error) if would_block(&error) => {}
                Err(_) => return None,
            }
        }
        Some(())
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) -> Sent {
        self.stream.write_all(bytes.as_ref()).ok()
    }

    fn whole(&mut self, status: &str, headers: &str, body: &str) -> Sent {
        let length = body.len();
        self.send(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"))
    }

    /// Sends a good answer in one of several forms. `None` if closing the connection ends it.
    fn good(&mut self) -> Sent {
        let body = self.villain.good.clone();
        match self.random.below(5) {
            0 => {
                self.send(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}"))?;
                None
            }
            1 => {
                let chunk = self.random.below(40) + 1;
                self.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                for piece in body.as_bytes().chunks(chunk) {
                    let line = format!("{:x}\r\n", piece.len());
                    self.send([line.as_bytes(), piece, b"\r\n"].concat())?;
                }
                self.send("0\r\n\r\n")
            }
            2 => {
                let length = body.len();
                self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))?;
                for piece in body.as_bytes().chunks(length / 3 + 1) {
                    thread::sleep(Duration::from_millis(20));
                    self.send(piece)?;
                }
                Some(())
            }
            _ => self.whole("200 OK", "", &body),
        }
    }

    fn bad(&mut self, how: Bad) -> Sent {
        let good = self.villain.good.clone();
        let half = good.get(..good.len() / 2).unwrap_or_default().to_owned();
        let length = good.len();
        match how {
            Bad::Hang => self.hang(),
            Bad::HangMidway => {
                self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{half}"))?;
                self.hang()
            }
            Bad::Truncated => {
                self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{half}"))
            }
            Bad::TruncatedChunks => self.send(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{half}"
            )),
            Bad::Trickle => {
                self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))?;
                self.repeat(b" ", Duration::from_millis(50))
            }
            Bad::Endless => {
                self.send("HTTP/1.1 200 OK\r\n\r\n")?;
                self.repeat(&[b' '; 1 << 16], Duration::ZERO)
            }
            Bad::EndlessChunks => {
                self.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                self.repeat(&[b"8000\r\n", &[b' '; 0x8000][..], b"\r\n"].concat(), Duration::ZERO)
            }
            Bad::EndlessHead => {
                self.send("HTTP/1.1 200 OK\r\n")?;
                self.repeat(b"X-More: and more\r\n", Duration::from_millis(1))
            }
            Bad::Close => None,
            Bad::Interim => {
                self.send(
                    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
                )?;
                self.whole("200 OK", "", &good)
            }
            Bad::Status(status) => self.whole(status, "Content-Range: bytes 0-9/10\r\n", &good),
            Bad::Header(line) => self.whole("200 OK", &format!("{line}\r\n"), &good),
            Bad::HugeHead => {
                let line = format!("X-Huge: {}\r\n", "x".repeat(60_000));
                self.whole("200 OK", &line, &good)
            }
            Bad::Redirect => self.whole("302 Found", "Location: /trap.json\r\n", &good),
            Bad::Accel => {
                let to = self.inner();
                self.whole("200 OK", &format!("X-Accel-Redirect: {to}\r\n"), &good)
            }
            Bad::AccelSlow => {
                // X-Accel-Expires is also how long nginx's cache keeps the 504 that results.
                let headers =
                    "X-Accel-Buffering: no\r\nX-Accel-Limit-Rate: 1\r\nX-Accel-Expires: 1\r\n";
                self.send(format!(
                    "HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\n\r\n{half}"
                ))?;
                self.hang()
            }
            Bad::WrongJson => self.whole("200 OK", "", &half),
            Bad::Junk => {
                self.whole("200 OK", "", &format!("{{\"keys\":[{}7]}}", "7,".repeat(500_000)))
            }
            Bad::OtherKeys => {
                let other = self.villain.other.clone();
                self.whole("200 OK", "", &other)
            }
            Bad::NoKeys => self.whole("200 OK", "", "{\"keys\":[]}"),
            Bad::NoHttp => self.send([0, 255, b'\n', b'H', b'T', b'T', b'P', b'\r', b'\n', b'\n']),
            Bad::TwoAnswers => {
                self.whole("200 OK", "Content-Length: 3\r\n", &good)?;
                self.whole("200 OK", "", &good)
            }
        }
    }

    fn inner(&mut self) -> &'static str {
        INNER.get(self.random.below(INNER.len())).copied().unwrap_or_default()
    }

    /// Sends nothing until nginx closes the connection or time is up.
    fn hang(&mut self) -> Sent {
        while !self.late() {
            match self.stream.read(&mut [0; 64]) {
                Err(error) if would_block(&error) => {}
                _ => return None,
            }
        }
        None
    }

    /// Sends the same bytes repeatedly until nginx closes the connection or time is up.
    fn repeat(&mut self, bytes: &[u8], pause: Duration) -> Sent {
        let mut sent = 0;
        while !self.late() && sent < MOST && self.send(bytes).is_some() {
            sent += u64::try_from(bytes.len()).unwrap_or_default();
            thread::sleep(pause);
        }
        self.villain.taken.fetch_max(sent, Ordering::Relaxed);
        None
    }
}

fn would_block(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
