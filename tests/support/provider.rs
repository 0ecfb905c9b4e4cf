//! A provider of keys that a test controls: an HTTP/1.1 server on a unix socket, which answers rightly or
//! wrongly, as the test says, and holds its answers back until the test lets them go.
//!
//! ```text
//! let provider = Provider::start(Behaviour::Keys(RSA.jwks("one")?))?;
//! let nginx = Nginx::start(format!("location = /_jwks {{ internal; {} }} …", provider.pass()))?;
//! provider.hold();
//! … requests that need keys …
//! provider.wait_count(1)?;
//! provider.release();
//! ```

use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::wait::until;

/// How requests are answered.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// 200 with this body, as JSON, with its `Content-Length`.
    Keys(String),
    /// This status and this body.
    Status(u16, String),
    /// Nothing: the connection stays open until nginx gives it up.
    Hang,
    /// The head of a good answer and a part of its body, then nothing, as [`Self::Hang`].
    HangMidway(String),
    /// 200, with the pieces of the body so long apart.
    Slow(Vec<String>, Duration),
    /// The same without a length.
    SlowUnsized(Vec<String>, Duration),
    /// The connection closes in the middle of this body.
    CloseMidway(String),
    /// The connection closes without an answer.
    Close,
    /// 200 with a page that is no JSON.
    Html,
    /// 200 with these bytes under `Content-Encoding: gzip`.
    Gzip(Vec<u8>),
    /// 200 with this body in chunks of so many bytes.
    Chunked(String, usize),
    /// 200 with this body and no length: the body ends with the connection.
    Unsized(String),
    /// 200 with this body and these headers beside `Content-Length`; none is `Content-Type`, unless
    /// named.
    Headers(Vec<(&'static str, String)>, String),
    /// Exactly these bytes, then the connection closes.
    Raw(Vec<u8>),
    /// Exactly these pieces of bytes, so long apart, then the connection closes.
    RawSlow(Vec<Vec<u8>>, Duration),
    /// 200 and a body without end.
    Endless,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request line and the headers, without the empty line.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
    /// When its head was complete.
    pub at: Instant,
}

impl Received {
    /// The target of the request line.
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The method of the request line.
    #[must_use]
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    /// The first header of this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// The server. It is gone when it is dropped.
#[derive(Debug)]
pub struct Provider {
    place: TempDir,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    usual: Option<Behaviour>,
    /// Behaviours of targets that have their own.
    targets: HashMap<String, Behaviour>,
    received: Vec<Received>,
    answered: usize,
    given_up: usize,
    /// How many bytes of bodies without end were sent.
    streamed: usize,
    held: bool,
    /// How many requests may pass although the gate is shut.
    permits: usize,
    over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// The target that [`Provider::settle`] asks for; it is neither counted nor held.
const PROBE: &str = "/settle";

impl Provider {
    /// Starts a provider that answers as it is told here, until it is told otherwise.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(behaviour: Behaviour) -> Result<Self> {
        let place = tempfile::Builder::new().prefix("nta-idp-").tempdir_in("/tmp")?;
        // Workers may run as another user.
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755))?;
        let path = place.path().join("p.sock");
        let listener = UnixListener::bind(&path).context("listening")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        let shared = Arc::new(Shared::default());
        shared.change(|state| state.usual = Some(behaviour));
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self { place, shared, accepting: Some(accepting) })
    }

    /// The path of its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.place.path().join("p.sock")
    }

    /// `proxy_pass` to its `/jwks`, whatever the location is.
    #[must_use]
    pub fn pass(&self) -> String {
        self.pass_to("/jwks")
    }

    /// `proxy_pass` to `target`, which may hold variables.
    #[must_use]
    pub fn pass_to(&self, target: &str) -> String {
        format!("proxy_pass http://unix:{}:{target};", self.socket().display())
    }

    /// Changes how it answers from now on. Requests that are held get the new answer.
    pub fn set(&self, behaviour: Behaviour) {
        self.shared.change(|state| state.usual = Some(behaviour));
    }

    /// Answers requests for one target (path and query) in a way of its own.
    pub fn set_for(&self, target: &str, behaviour: Behaviour) {
        self.shared.change(|state| {
            state.targets.insert(target.to_owned(), behaviour);
        });
    }

    /// Shuts the gate: requests are received and counted, but not answered.
    pub fn hold(&self) {
        self.shared.change(|state| (state.held, state.permits) = (true, 0));
    }

    /// Lets one request through the gate: one that waits there, or the next.
    pub fn let_one(&self) {
        self.shared.change(|state| state.permits += 1);
    }

    /// Opens the gate.
    pub fn release(&self) {
        self.shared.change(|state| state.held = false);
    }

    /// Takes the socket away: nginx cannot connect.
    ///
    /// # Errors
    /// When it is away already.
    pub fn leave(&self) -> Result<()> {
        fs::rename(self.socket(), self.place.path().join("away")).context("leaving")
    }

    /// Puts the socket back.
    ///
    /// # Errors
    /// When it is not away.
    pub fn come_back(&self) -> Result<()> {
        fs::rename(self.place.path().join("away"), self.socket()).context("coming back")
    }

    /// What has been asked so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().received.clone()
    }

    /// How many requests have come.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.lock().received.len()
    }

    /// How many bytes it has sent of bodies without end.
    #[must_use]
    pub fn streamed(&self) -> usize {
        self.shared.lock().streamed
    }

    /// How many requests have come for one target.
    #[must_use]
    pub fn count_for(&self, target: &str) -> usize {
        self.shared.lock().received.iter().filter(|one| one.target() == target).count()
    }

    /// How many answers have been sent to their end, whatever they were.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.shared.lock().answered
    }

    /// How many connections nginx has closed before it had its answer.
    #[must_use]
    pub fn given_up(&self) -> usize {
        self.shared.lock().given_up
    }

    /// Waits until at least so many requests have come.
    ///
    /// # Errors
    /// When they do not come.
    pub fn wait_count(&self, count: usize) -> Result<()> {
        until("requests at the provider", || Ok((self.count() >= count).then_some(())))
            .with_context(|| format!("{} of {count} requests came", self.count()))
    }

    /// Waits until at least so many answers have been sent.
    ///
    /// # Errors
    /// When they are not.
    pub fn wait_answered(&self, count: usize) -> Result<()> {
        until("answers of the provider", || Ok((self.answered() >= count).then_some(())))
            .with_context(|| format!("{} of {count} answers went", self.answered()))
    }

    /// Waits until nginx has closed at least so many connections before it had its answer.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_given_up(&self, count: usize) -> Result<()> {
        until("nginx giving up", || Ok((self.given_up() >= count).then_some(())))
            .with_context(|| format!("{} of {count} were given up", self.given_up()))
    }

    /// How many requests have come, those included that are on their way: connections are taken in
    /// the order in which they were made, and one more has been answered behind them.
    ///
    /// # Errors
    /// When the provider is away.
    pub fn settle(&self) -> Result<usize> {
        let mut stream = UnixStream::connect(self.socket()).context("settling")?;
        stream.write_all(format!("GET {PROBE} HTTP/1.0\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "settling: {answer}");
        Ok(self.count())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.shared.change(|state| state.over = true);
        // Wakes the thread that accepts; a provider that has left is reached where it went.
        let woken = ["p.sock", "away"]
            .into_iter()
            .any(|name| UnixStream::connect(self.place.path().join(name)).is_ok());
        if let (true, Some(accepting)) = (woken, self.accepting.take()) {
            // The thread returns nothing.
            let _ = accepting.join();
        }
    }
}

/// Reads requests one after the other, so that they are counted in the order in which they came, and
/// answers each in a thread of its own.
fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.lock().over {
            return;
        }
        let Ok(mut stream) = stream else { continue };
        let Ok(received) = receive(&mut stream) else { continue };
        if received.target() == PROBE {
            // The test may have ended: nobody waits for the answer then.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            continue;
        }
        let target = received.target().to_owned();
        shared.change(|state| state.received.push(received));
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let Some(behaviour) = pass_gate(&shared, &target) else { return };
            let given_up = behaviour.answer(&mut stream, &shared).is_err();
            drop(stream);
            shared.change(|state| {
                state.answered += usize::from(!given_up);
                state.given_up += usize::from(given_up);
            });
        });
    }
}

/// Waits until the gate lets this request through, and tells how it is to be answered; nothing when
/// the test is over.
fn pass_gate(shared: &Shared, target: &str) -> Option<Behaviour> {
    let shut = |state: &mut State| state.held && state.permits == 0 && !state.over;
    let mut state =
        shared.changed.wait_while(shared.lock(), shut).unwrap_or_else(PoisonError::into_inner);
    if state.over {
        return None;
    }
    if state.held {
        state.permits -= 1;
    }
    state.targets.get(target).or(state.usual.as_ref()).cloned()
}

/// Reads a request: its head, and as much of a body as it announces.
fn receive(stream: &mut UnixStream) -> Result<Received> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        read_some(stream, &mut bytes)?;
    };
    let body = bytes.split_off(end + 4);
    bytes.truncate(end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let mut received = Received { head, body, at: Instant::now() };
    let length = received.header("Content-Length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while received.body.len() < length {
        read_some(stream, &mut received.body)?;
    }
    Ok(received)
}

fn read_some(stream: &mut UnixStream, bytes: &mut Vec<u8>) -> Result<()> {
    let mut buffer = [0; 4096];
    let got = stream.read(&mut buffer)?;
    ensure!(got > 0, "closed within a request");
    bytes.extend(buffer.get(..got).unwrap_or_default());
    Ok(())
}

impl Behaviour {
    /// Sends the answer. Fails when nginx closes the connection first.
    fn answer(&self, stream: &mut UnixStream, shared: &Shared) -> Result<()> {
        let json = &[("Content-Type", "application/json".to_owned())][..];
        let mut whole = |status, headers: &[(&str, String)], body: &[u8]| -> Result<()> {
            stream.write_all(&head(status, headers, Some(body.len())))?;
            Ok(stream.write_all(body)?)
        };
        match self {
            Self::Keys(body) => whole(200, json, body.as_bytes()),
            Self::Status(status, body) => whole(*status, json, body.as_bytes()),
            Self::Html => whole(
                200,
                &[("Content-Type", "text/html".to_owned())],
                b"<!DOCTYPE html><title>Sign in</title><p>Please sign in.</p>\n",
            ),
            Self::Gzip(bytes) => {
                let encoding = ("Content-Encoding", "gzip".to_owned());
                whole(200, &[json, &[encoding]].concat(), bytes)
            }
            Self::Headers(headers, body) => whole(200, headers, body.as_bytes()),
            Self::Raw(bytes) => Ok(stream.write_all(bytes)?),
            Self::RawSlow(pieces, pause) => pieces.iter().try_for_each(|piece| {
                thread::sleep(*pause);
                Ok(stream.write_all(piece)?)
            }),
            Self::Endless => {
                stream.write_all(&head(200, json, None))?;
                while !shared.lock().over {
                    stream.write_all(&[b' '; 1 << 16])?;
                    shared.change(|state| state.streamed += 1 << 16);
                }
                Ok(())
            }
            Self::Hang => hang(stream, shared),
            Self::HangMidway(body) => {
                send_half(stream, json, body)?;
                hang(stream, shared)
            }
            Self::CloseMidway(body) => send_half(stream, json, body),
            Self::Close => Ok(()),
            Self::Unsized(body) => {
                stream.write_all(&head(200, json, None))?;
                Ok(stream.write_all(body.as_bytes())?)
            }
            Self::Slow(pieces, pause) | Self::SlowUnsized(pieces, pause) => {
                let length = pieces.iter().map(String::len).sum();
                let length = matches!(self, Self::Slow(..)).then_some(length);
                stream.write_all(&head(200, json, length))?;
                pieces.iter().try_for_each(|piece| {
                    thread::sleep(*pause);
                    Ok(stream.write_all(piece.as_bytes())?)
                })
            }
            Self::Chunked(body, size) => {
                let coding = ("Transfer-Encoding", "chunked".to_owned());
                stream.write_all(&head(200, &[json, &[coding]].concat(), None))?;
                for chunk in body.as_bytes().chunks((*size).max(1)) {
                    let line = format!("{:x}\r\n", chunk.len());
                    stream.write_all(&[line.as_bytes(), chunk, b"\r\n"].concat())?;
                }
                Ok(stream.write_all(b"0\r\n\r\n")?)
            }
        }
    }
}

fn head(status: u16, headers: &[(&str, String)], length: Option<usize>) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = length {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn send_half(stream: &mut UnixStream, headers: &[(&str, String)], body: &str) -> Result<()> {
    stream.write_all(&head(200, headers, Some(body.len())))?;
    Ok(stream.write_all(body.as_bytes().get(..body.len() / 2).unwrap_or_default())?)
}

/// Stays until nginx closes the connection, which is an error, or the test is over.
fn hang(stream: &mut UnixStream, shared: &Shared) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(10)))?;
    while !shared.lock().over {
        match stream.read(&mut [0; 64]) {
            Ok(got) => ensure!(got > 0, "given up"),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
