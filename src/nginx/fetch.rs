//! Fetches keys and lists: sends a GET to the location that the URI names, over a connection of the module's
//! own to its own nginx ([`loopback`]). So nginx's proxy, TLS, upstreams and cache do the work.
//!
//! The two ends share only a socket and a [`RequestState`], so neither end uses freed memory of the
//! other. To give up, this end closes its connection; nginx then ends and frees the request, as for a
//! client that went away. But nginx would also abort a cache update in the background, and would give
//! the same faulty answer to every later fetch. So while such an update runs, a faulty answer does not
//! end the connection.

use core::ptr;
use std::io::Write as _;
use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use ngx::ffi::{
    ngx_add_timer, ngx_close_connection, ngx_connection_t, ngx_event_t, ngx_exiting,
    ngx_get_connection, ngx_handle_read_event, ngx_int_t, ngx_io, ngx_post_event,
    ngx_posted_next_events,
};
use token::http::{self, AnswerError, AnswerReader, Validators};

use super::event::clock;
use super::guard::guard;
use super::log::Log;
use super::loopback::{self, RequestState};
use super::server::Server;

const AGAIN: isize = ngx::ffi::NGX_AGAIN as isize;
const OK: ngx_int_t = ngx::ffi::NGX_OK as ngx_int_t;

/// The longest time between two checks of a running fetch, in milliseconds.
const CHECK_MS: u64 = 500;

/// How many bytes are read at once, and how many times before other events have their turn: they may be
/// thousands of lines of a list.
const PIECE: usize = 16 << 10;
const PIECES: usize = 2;

/// What firewalls and Envoy refuse: nginx's proxy speaks HTTP/1.0 by default, and an example may keep the
/// headers of the fetch back.
const WANTS_MORE: &str = "some providers want HTTP/1.1 and a User-Agent: does the location say \
                          \"proxy_http_version 1.1\" and \"proxy_set_header User-Agent ...\"?";

/// What nginx cannot tell from an answer that was cut off.
const NO_END: &str = "nothing marks the end of the store's answer, so it may be cut off: it must have a \
                      Content-Length, or chunks (proxy_http_version 1.1)";

/// What is fetched for.
pub(crate) trait Asker {
    /// The URI to fetch from.
    fn uri(&self) -> &[u8];

    /// How the answer is asked for.
    fn question(&self) -> Question;

    /// Whether a request waits for the answer.
    fn is_waited_for(&self) -> bool;

    /// Receives the next bytes of the answer, at most [`PIECE`] at once. The error says why the rest is of
    /// no use.
    fn receive(&self, piece: &[u8]) -> Result<(), String>;

    /// Receives the result of the fetch.
    fn done(self: Rc<Self>, answer: Answer, now: u64, log: Log);
}

/// How an answer is asked for.
#[derive(Default)]
pub(crate) struct Question {
    /// The largest answer that is accepted, in bytes.
    pub(crate) limit: usize,
    /// Whether the answer of an upstream must say where it ends.
    pub(crate) needs_end: bool,
    /// The value of `Accept`.
    pub(crate) accept: Option<&'static str>,
    /// The version that is there already, if there is one.
    pub(crate) known: Validators,
}

/// The result of a fetch.
pub(crate) enum Answer {
    /// All of it was received.
    Complete {
        /// How long the provider allows to keep it, in milliseconds.
        max_age: Option<u64>,
        validators: Validators,
    },
    /// The version that is there already is still the last one.
    NotModified { max_age: Option<u64> },
    /// Nothing is at this URI (404, 410); the text says so.
    NotFound(String),
    /// Why there is no answer.
    Failed(String),
    /// The fetch was given up, since the worker exits.
    Unwanted,
}

/// A fetch, from [`start`] to [`end`].
struct Fetch {
    asker: Rc<dyn Asker>,
    /// The core module's configuration of the server, which lives as long as the configuration.
    server: ptr::NonNull<ngx::ffi::ngx_http_core_srv_conf_t>,
    log: Log,
    /// The time limit, and the time at which it ends, in milliseconds.
    timeout: u64,
    deadline: u64,
    /// Begins the fetch, after nginx has handled the current event.
    begin: ngx_event_t,
    answer: AnswerReader,
    needs_end: bool,
    request_state: Rc<RequestState>,
    /// Whether the result was delivered, and the connection stays open only for nginx's other work.
    lingers: bool,
    buffer: Box<[u8]>,
}

/// Begins a fetch for `asker` from one of the server's locations. [`Asker::done`] receives the result,
/// never before this call has returned.
pub(crate) fn start(server: Server<'_>, asker: Rc<dyn Asker>, timeout: u64) {
    // SAFETY: the log lives as long as the configuration, and so longer than the fetch.
    let log = unsafe { Log::new(server.log()) };
    // SAFETY: zero is a valid value of nginx's event.
    let begin = unsafe { core::mem::zeroed() };
    let fetch = Box::into_raw(Box::new(Fetch {
        asker,
        server: ptr::NonNull::from(server.conf),
        log,
        timeout,
        deadline: clock().saturating_add(timeout),
        begin,
        answer: AnswerReader::new(0),
        needs_end: false,
        request_state: Rc::default(),
        lingers: false,
        buffer: vec![0; PIECE].into(),
    }));
    // SAFETY: the fetch stays where it is until `end` frees it; only the fetch's own events lead to
    // `end`.
    unsafe {
        (*fetch).begin.data = fetch.cast();
        (*fetch).begin.log = log.as_ptr();
        (*fetch).begin.handler = Some(on_begin);
        // Also where a process starts: nginx handles these events before it waits for others.
        ngx_post_event(&raw mut (*fetch).begin, &raw mut ngx_posted_next_events);
    }
}

/// Connects to nginx, and sends the request. `Err` says why this is not possible.
///
/// # Safety
/// `fetch` must be made by `start`. On `Err` the caller must call `end`; else the connection's events
/// do.
unsafe fn begin(fetch: *mut Fetch) -> Result<(), String> {
    // SAFETY: by the contract of this function; the server's configuration outlives the fetch.
    let (server, uri) = unsafe { ((*fetch).server.as_ref(), (*fetch).asker.uri()) };
    // SAFETY: as above.
    let Question { limit, needs_end, accept, known } = unsafe { (*fetch).asker.question() };
    let reader = AnswerReader::new(limit);
    let reader = if known.is_empty() { reader } else { reader.conditional() };
    // SAFETY: as above; nothing has been read yet.
    unsafe { ((*fetch).answer, (*fetch).needs_end) = (reader, needs_end) };
    let server = Server { conf: server };
    let target = http::request_target(uri).ok_or(
        "the URI cannot be requested: it must be a path that begins with a slash, without \"..\" and NUL",
    )?;
    let socket = |error: std::io::Error| format!("no connection to nginx itself: {error}");
    let (mut ours, theirs) = UnixStream::pair().map_err(socket)?;
    ours.set_nonblocking(true).map_err(socket)?;
    theirs.set_nonblocking(true).map_err(socket)?;
    let accept = accept.map(|accept| format!("\r\nAccept: {accept}")).unwrap_or_default();
    let request = [
        &b"GET "[..],
        &target,
        b" HTTP/1.1\r\nHost: ",
        server.host(),
        b"\r\nUser-Agent: ",
        concat!("ngx-token-auth/", env!("CARGO_PKG_VERSION")).as_bytes(),
        accept.as_bytes(),
        b"\r\nConnection: close\r\n",
        &known.conditions(),
        b"\r\n",
    ]
    .concat();
    ours.write_all(&request).map_err(|_| "the URI is too long")?;
    let fd = ours.into_raw_fd();
    // SAFETY: the descriptor is open and owned here. nginx makes a connection of it, whose events lead
    // to the fetch; the fetch closes the connection before the fetch is freed.
    unsafe {
        let connection = ngx_get_connection(fd, (*fetch).log.as_ptr());
        if connection.is_null() {
            drop(OwnedFd::from_raw_fd(fd));
            return Err("no connection is left; see worker_connections".to_owned());
        }
        (*connection).data = fetch.cast();
        (*connection).recv = ngx_io.recv;
        for event in [(*connection).read, (*connection).write] {
            (*event).log = (*fetch).log.as_ptr();
            (*event).handler = Some(on_event);
        }
        if ngx_handle_read_event((*connection).read, 0) != OK {
            ngx_close_connection(connection);
            return Err("the connection to nginx itself cannot be watched".to_owned());
        }
        check_later(fetch, connection);
        let request_state = Rc::clone(&(*fetch).request_state);
        if !loopback::connect(theirs.into(), server, request_state) {
            ngx_close_connection(connection);
            return Err("no connection is left; see worker_connections".to_owned());
        }
    }
    Ok(())
}

/// Starts the timer that leads to [`check`].
///
/// # Safety
/// `fetch` and its `connection` must be valid.
unsafe fn check_later(fetch: *mut Fetch, connection: *mut ngx_connection_t) {
    // SAFETY: by the contract of this function.
    unsafe {
        let left = (*fetch).deadline.saturating_sub(clock()).clamp(1, CHECK_MS);
        ngx_add_timer((*connection).read, usize::try_from(left).unwrap_or(usize::MAX));
    }
}

/// Gives up when the time limit is over, when the worker is about to exit and no request waits, or when
/// nginx closes all open connections (`worker_shutdown_timeout`). A fetch with a faulty answer also
/// ends when nginx has done its other work.
///
/// # Safety
/// `fetch` and its `connection` must be valid. Neither is valid any more if this returns true.
unsafe fn check(fetch: *mut Fetch, connection: *mut ngx_connection_t) -> bool {
    // SAFETY: by the contract of this function; nginx sets the flag between events.
    unsafe {
        let answer = if clock() >= (*fetch).deadline {
            Answer::Failed(format!("timed out after {} ms", (*fetch).timeout))
        } else if (*connection).close() != 0
            || ngx_exiting != 0 && !(*fetch).asker.is_waited_for()
            || (*fetch).lingers && !(*fetch).request_state.has_other_work()
        {
            Answer::Unwanted
        } else {
            return false;
        };
        ngx_close_connection(connection);
        end(fetch, answer);
    }
    true
}

/// Reads the bytes that have arrived.
///
/// # Safety
/// `fetch` and its `connection` must be valid. Neither is valid afterwards if the answer was complete
/// or faulty.
unsafe fn read(fetch: *mut Fetch, connection: *mut ngx_connection_t) {
    // SAFETY: by the contract of this function; nginx writes at most `buffer.len()` bytes to the
    // buffer.
    unsafe {
        let event = (*connection).read;
        for _ in 0..PIECES {
            let buffer = &mut (*fetch).buffer;
            let got = (*connection)
                .recv
                .map_or(0, |recv| recv(connection, buffer.as_mut_ptr(), buffer.len()));
            if got == AGAIN && ngx_handle_read_event(event, 0) == OK {
                return;
            }
            // An empty piece is the end of the connection; so is an error, which nginx has logged.
            let piece = usize::try_from(got).ok().and_then(|got| buffer.get(..got));
            let piece = piece.unwrap_or_default();
            let read = take(fetch, piece);
            match read {
                Ok(false) if !piece.is_empty() => {}
                Err(_)
                    if (*fetch).request_state.has_other_work()
                        && ngx_handle_read_event(event, 0) == OK =>
                {
                    let answer = answer_of(fetch, read.map(drop));
                    deliver(&*fetch, answer);
                    (*fetch).lingers = true;
                    return;
                }
                _ => {
                    ngx_close_connection(connection);
                    let answer = answer_of(fetch, read.map(drop));
                    end(fetch, answer);
                    return;
                }
            }
        }
        // Now other events have their turn.
        ngx_post_event(event, &raw mut ngx_posted_next_events);
    }
}

/// Why an answer is of no use.
enum Fault {
    Answer(AnswerError),
    /// The asker says so.
    Content(String),
}

/// Hands the next bytes to the asker; true when the answer is complete.
///
/// # Safety
/// `fetch` must be valid.
unsafe fn take(fetch: *mut Fetch, piece: &[u8]) -> Result<bool, Fault> {
    // SAFETY: by the contract of this function.
    let Fetch { answer, asker, needs_end, request_state, .. } = unsafe { &mut *fetch };
    let complete = answer.push(piece).map_err(Fault::Answer)?;
    if complete && *needs_end && request_state.may_be_cut_off() {
        return Err(Fault::Content(NO_END.to_owned()));
    }
    let body = answer.take_body();
    if !body.is_empty() {
        asker.receive(&body).map_err(Fault::Content)?;
    }
    Ok(complete)
}

/// The result of a fetch whose answer is complete or faulty.
///
/// # Safety
/// `fetch` must be valid.
unsafe fn answer_of(fetch: *mut Fetch, read: Result<(), Fault>) -> Answer {
    // SAFETY: by the contract of this function.
    unsafe {
        let reader = core::mem::replace(&mut (*fetch).answer, AnswerReader::new(0));
        match read.and_then(|()| reader.finish().map_err(Fault::Answer)) {
            _ if (*fetch).request_state.has_accel_redirect() => {
                Answer::Failed("the answer has X-Accel-Redirect, which is not followed".to_owned())
            }
            Ok(answer) if answer.is_not_modified => Answer::NotModified { max_age: answer.max_age },
            Ok(answer) => {
                Answer::Complete { max_age: answer.max_age, validators: answer.validators }
            }
            Err(Fault::Answer(error @ AnswerError::Status(404 | 410))) => {
                Answer::NotFound(error.to_string())
            }
            Err(Fault::Answer(error @ AnswerError::Status(403 | 426))) => {
                Answer::Failed(format!("{error}; {WANTS_MORE}"))
            }
            Err(Fault::Answer(error)) => Answer::Failed(error.to_string()),
            Err(Fault::Content(why)) => Answer::Failed(why),
        }
    }
}

/// Delivers the result, unless that was done before, and frees the fetch.
///
/// # Safety
/// `fetch` must be made by `start`, have no connection any more, and not be used after this.
unsafe fn end(fetch: *mut Fetch, answer: Answer) {
    // SAFETY: by the contract of this function; `Box::into_raw` made the pointer.
    let fetch = unsafe { Box::from_raw(fetch) };
    if !fetch.lingers {
        deliver(&fetch, answer);
    }
}

/// Gives the result to the asker.
fn deliver(fetch: &Fetch, answer: Answer) {
    Rc::clone(&fetch.asker).done(answer, clock(), fetch.log);
}

/// The posted event that begins a fetch.
unsafe extern "C" fn on_begin(event: *mut ngx_event_t) {
    // SAFETY: `start` has set the event's data to the fetch, which is not freed yet.
    unsafe {
        let fetch = (*event).data.cast::<Fetch>();
        guard((*fetch).log.as_ptr(), (), || {
            if let Err(why) = begin(fetch) {
                end(fetch, Answer::Failed(why));
            }
        });
    }
}

/// An event of this end of the connection: bytes to read, or the timer.
unsafe extern "C" fn on_event(event: *mut ngx_event_t) {
    // SAFETY: nginx has set the event's data to the connection, and `begin` the connection's data to
    // the fetch. Both exist until the connection is closed; a closed connection has no events.
    unsafe {
        let connection = (*event).data.cast::<ngx_connection_t>();
        let fetch = (*connection).data.cast::<Fetch>();
        guard((*fetch).log.as_ptr(), (), || {
            if (*event).write() != 0 {
                return; // nothing is sent any more
            }
            let timed_out = (*event).timedout() != 0;
            (*event).set_timedout(0);
            let wants_check = timed_out || (*connection).close() != 0 || (*fetch).lingers;
            if wants_check && check(fetch, connection) {
                return;
            }
            if timed_out {
                check_later(fetch, connection);
            } else if !(*fetch).lingers {
                read(fetch, connection);
            }
        });
    }
}
