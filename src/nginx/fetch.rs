//! Fetches keys: sends a GET to the location that the URI names, over a connection of the module's own
//! to its own nginx ([`loopback`]). So nginx's proxy, TLS, upstreams and cache do the work.
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
    NGX_LOG_ERR, NGX_LOG_INFO, NGX_LOG_WARN, ngx_add_timer, ngx_close_connection, ngx_connection_t,
    ngx_event_t, ngx_exiting, ngx_get_connection, ngx_handle_read_event, ngx_int_t, ngx_io,
    ngx_log_t, ngx_post_event, ngx_posted_next_events,
};
use token::http::{self, AnswerError, AnswerReader};
use zeroize::Zeroizing;

use super::event::clock;
use super::guard::guard;
use super::loopback::{self, RequestState};
use super::server::Server;

const AGAIN: isize = ngx::ffi::NGX_AGAIN as isize;
const OK: ngx_int_t = ngx::ffi::NGX_OK as ngx_int_t;

/// The largest key set that is accepted, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// The longest time between two checks of a running fetch, in milliseconds.
const CHECK_MS: u64 = 500;

/// How many bytes are read at once, and how many times before other events have their turn.
const PIECE: usize = 16 << 10;
const PIECES: usize = 8;

/// What firewalls and Envoy refuse: nginx's proxy speaks HTTP/1.0 by default, and an example may keep the
/// headers of the fetch back.
const WANTS_MORE: &str = "some providers want HTTP/1.1 and a User-Agent: does the location say \
                          \"proxy_http_version 1.1\" and \"proxy_set_header User-Agent ...\"?";

/// What keys are fetched for.
pub(crate) trait Asker {
    /// The URI to fetch from.
    fn uri(&self) -> &[u8];

    /// Whether a request waits for the keys.
    fn is_waited_for(&self) -> bool;

    /// Receives the result of the fetch, and returns what to log.
    fn done(&self, answer: Answer, now: u64) -> Option<LogLine>;
}

/// The result of a fetch.
pub(crate) enum Answer {
    Keys {
        body: Zeroizing<Vec<u8>>,
        /// How long the provider allows to keep it, in milliseconds.
        max_age: Option<u64>,
    },
    /// Nothing is at this URI (404, 410); the text says so.
    NotFound(String),
    /// Why there is no answer.
    Failed(String),
    /// The fetch was given up, since the worker exits.
    Unwanted,
}

/// A line for the error log.
pub(crate) enum LogLine {
    Info(String),
    Warning(String),
    Error(String),
}

/// A fetch, from [`start`] to [`end`].
struct Fetch {
    asker: Rc<dyn Asker>,
    /// The core module's configuration of the server, which lives as long as the configuration.
    server: ptr::NonNull<ngx::ffi::ngx_http_core_srv_conf_t>,
    log: *mut ngx_log_t,
    /// The time limit, and the time at which it ends, in milliseconds.
    timeout: u64,
    deadline: u64,
    /// Begins the fetch, after nginx has handled the current event.
    begin: ngx_event_t,
    answer: AnswerReader,
    request_state: Rc<RequestState>,
    /// Whether the result was delivered, and the connection stays open only for nginx's other work.
    lingers: bool,
    buffer: Box<[u8]>,
}

/// Begins a fetch for `asker` from one of the server's locations. [`Asker::done`] receives the result,
/// never before this call has returned.
pub(crate) fn start(server: Server<'_>, asker: Rc<dyn Asker>, timeout: u64) {
    let log = server.log();
    // SAFETY: zero is a valid value of nginx's event.
    let begin = unsafe { core::mem::zeroed() };
    let fetch = Box::into_raw(Box::new(Fetch {
        asker,
        server: ptr::NonNull::from(server.conf),
        log,
        timeout,
        deadline: clock().saturating_add(timeout),
        begin,
        answer: AnswerReader::new(MAX_ANSWER),
        request_state: Rc::default(),
        lingers: false,
        buffer: vec![0; PIECE].into(),
    }));
    // SAFETY: the fetch stays where it is until `end` frees it; only the fetch's own events lead to
    // `end`.
    unsafe {
        (*fetch).begin.data = fetch.cast();
        (*fetch).begin.log = log;
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
    let server = Server { conf: server };
    let target = http::request_target(uri).ok_or(
        "the URI cannot be requested: it must be a path that begins with a slash, without \"..\" and NUL",
    )?;
    let socket = |error: std::io::Error| format!("no connection to nginx itself: {error}");
    let (mut ours, theirs) = UnixStream::pair().map_err(socket)?;
    ours.set_nonblocking(true).map_err(socket)?;
    theirs.set_nonblocking(true).map_err(socket)?;
    let request = [
        &b"GET "[..],
        &target,
        b" HTTP/1.1\r\nHost: ",
        server.host(),
        b"\r\nUser-Agent: ",
        concat!("ngx-token-auth/", env!("CARGO_PKG_VERSION")).as_bytes(),
        b"\r\nConnection: close\r\n\r\n",
    ]
    .concat();
    ours.write_all(&request).map_err(|_| "the URI is too long")?;
    let fd = ours.into_raw_fd();
    // SAFETY: the descriptor is open and owned here. nginx makes a connection of it, whose events lead
    // to the fetch; the fetch closes the connection before the fetch is freed.
    unsafe {
        let connection = ngx_get_connection(fd, (*fetch).log);
        if connection.is_null() {
            drop(OwnedFd::from_raw_fd(fd));
            return Err("no connection is left; see worker_connections".to_owned());
        }
        (*connection).data = fetch.cast();
        (*connection).recv = ngx_io.recv;
        for event in [(*connection).read, (*connection).write] {
            (*event).log = (*fetch).log;
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
            let read = (*fetch).answer.push(piece);
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

/// The result of a fetch whose answer is complete or faulty.
///
/// # Safety
/// `fetch` must be valid.
unsafe fn answer_of(fetch: *mut Fetch, read: Result<(), AnswerError>) -> Answer {
    // SAFETY: by the contract of this function.
    unsafe {
        let reader = core::mem::replace(&mut (*fetch).answer, AnswerReader::new(0));
        match read.and_then(|()| reader.finish()) {
            _ if (*fetch).request_state.has_accel_redirect() => {
                Answer::Failed("the answer has X-Accel-Redirect, which is not followed".to_owned())
            }
            Ok(answer) => Answer::Keys { body: answer.body, max_age: answer.max_age },
            Err(error @ AnswerError::Status(404 | 410)) => Answer::NotFound(error.to_string()),
            Err(error @ AnswerError::Status(403 | 426)) => {
                Answer::Failed(format!("{error}; {WANTS_MORE}"))
            }
            Err(error) => Answer::Failed(error.to_string()),
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

/// Gives the result to the asker, and logs what it returns.
fn deliver(fetch: &Fetch, answer: Answer) {
    match fetch.asker.done(answer, clock()) {
        Some(LogLine::Error(text)) => {
            ngx::ngx_log_error!(NGX_LOG_ERR, fetch.log, "{text}");
        }
        Some(LogLine::Warning(text)) => {
            ngx::ngx_log_error!(NGX_LOG_WARN, fetch.log, "{text}");
        }
        Some(LogLine::Info(text)) => {
            ngx::ngx_log_error!(NGX_LOG_INFO, fetch.log, "{text}");
        }
        None => {}
    }
}

/// The posted event that begins a fetch.
unsafe extern "C" fn on_begin(event: *mut ngx_event_t) {
    // SAFETY: `start` has set the event's data to the fetch, which is not freed yet.
    unsafe {
        let fetch = (*event).data.cast::<Fetch>();
        guard((*fetch).log, (), || {
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
        guard((*fetch).log, (), || {
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
