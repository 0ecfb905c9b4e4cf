//! Fetches keys: a GET to the location that the URI names, over a connection of the module's own to
//! its own nginx ([`loopback`]), so that nginx's proxy, TLS, upstreams and cache do the work.
//!
//! Nothing of nginx's outlives its owner here: the two ends share a socket and what the other end tells
//! ([`Told`]). To give up is to close this end; nginx then treats the other as a client that went away,
//! ends what it has begun, and frees it. So an answer that is at fault does not end the connection while
//! nginx updates its cache in the background: nginx would drop the update, and give the same answer to the
//! next fetch, and to all after it.

use core::ptr;
use std::io::Write as _;
use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use ngx::ffi::{
    NGX_LOG_ERR, NGX_LOG_WARN, ngx_add_timer, ngx_close_connection, ngx_connection_t, ngx_event_t,
    ngx_exiting, ngx_get_connection, ngx_handle_read_event, ngx_int_t, ngx_io, ngx_log_t,
    ngx_post_event, ngx_posted_events, ngx_posted_next_events,
};
use token::http::{self, AnswerReader};
use zeroize::Zeroizing;

use super::event::clock;
use super::guard::guard;
use super::loopback::{self, Told};
use super::server::Server;

const AGAIN: isize = ngx::ffi::NGX_AGAIN as isize;
const OK: ngx_int_t = ngx::ffi::NGX_OK as ngx_int_t;

/// The largest key set that is taken.
const MAX_ANSWER: usize = 1 << 20;

/// How often a fetch that is under way is checked, at least, in milliseconds.
const CHECK_MS: u64 = 500;

/// How much is read at once, and how often before other events have their turn.
const PIECE: usize = 16 << 10;
const PIECES: usize = 8;

/// Who keys are fetched for.
pub(crate) trait Asker {
    /// The URI that they are fetched from.
    fn uri(&self) -> &[u8];

    /// Whether a request waits for them.
    fn is_waited_for(&self) -> bool;

    /// Takes in what came of the fetch, and gives what there is to say of it.
    fn done(&self, answer: Answer, now: u64) -> Option<Word>;
}

/// What came of a fetch.
pub(crate) enum Answer {
    Keys {
        body: Zeroizing<Vec<u8>>,
        /// How long the provider lets it be kept, in milliseconds.
        max_age: Option<u64>,
    },
    /// Why there is none.
    Failed(String),
    /// The worker leaves, and nobody waits.
    Unwanted,
}

/// What there is to say in the log.
pub(crate) enum Word {
    Warning(String),
    Error(String),
}

/// A fetch, from when it is wanted to its end.
struct Fetch {
    asker: Rc<dyn Asker>,
    /// The core module's configuration of the server, which lives as long as the configuration.
    server: ptr::NonNull<ngx::ffi::ngx_http_core_srv_conf_t>,
    log: *mut ngx_log_t,
    /// How long it may take, and until when, in milliseconds.
    timeout: u64,
    deadline: u64,
    /// Begins the fetch, once nginx is done with the event that it is wanted in.
    begin: ngx_event_t,
    answer: AnswerReader,
    told: Rc<Told>,
    /// Whether the asker has been told, and only nginx's work keeps the connection open.
    lingers: bool,
    buffer: Box<[u8]>,
}

/// Begins to fetch for `asker` by one of the server's locations. What comes of it goes to
/// [`Asker::done`], never before this call has returned.
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
        told: Rc::default(),
        lingers: false,
        buffer: vec![0; PIECE].into(),
    }));
    // SAFETY: the fetch stays where it is until `end` frees it, which its own events alone lead to.
    unsafe {
        (*fetch).begin.data = fetch.cast();
        (*fetch).begin.log = log;
        (*fetch).begin.handler = Some(on_begin);
        ngx_post_event(&raw mut (*fetch).begin, &raw mut ngx_posted_events);
    }
}

/// Connects to nginx, with the request sent already; `Err` tells what is in the way.
///
/// # Safety
/// `fetch` must be one that `start` has made; what comes of it leads to `end`.
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
    // SAFETY: the descriptor is open and this function's; the events of the connection that nginx
    // makes of it lead to the fetch, which closes it before it is freed.
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
        let told = Rc::clone(&(*fetch).told);
        if !loopback::connect(theirs.into(), server, told) {
            ngx_close_connection(connection);
            return Err("no connection is left; see worker_connections".to_owned());
        }
    }
    Ok(())
}

/// Has [`check`] called in a while.
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

/// Gives up when it takes too long, when the worker is about to exit and nobody waits, or when
/// nginx closes all that is still open (`worker_shutdown_timeout`). A fetch whose answer was at fault
/// ends when nginx is done with its other work, too.
///
/// # Safety
/// `fetch` and its `connection` must be valid; neither is if this gives true.
unsafe fn check(fetch: *mut Fetch, connection: *mut ngx_connection_t) -> bool {
    // SAFETY: by the contract of this function; nginx sets the flag between events.
    unsafe {
        let answer = if clock() >= (*fetch).deadline {
            Answer::Failed(format!("timed out after {} ms", (*fetch).timeout))
        } else if (*connection).close() != 0
            || ngx_exiting != 0 && !(*fetch).asker.is_waited_for()
            || (*fetch).lingers && !(*fetch).told.is_at_work()
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

/// Reads what has arrived.
///
/// # Safety
/// `fetch` and its `connection` must be valid; neither is afterwards once the answer is whole or at
/// fault.
unsafe fn read(fetch: *mut Fetch, connection: *mut ngx_connection_t) {
    // SAFETY: by the contract of this function; nginx reads at most as much as the buffer holds.
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
            // Nothing is the end of the connection; so is an error, which nginx has logged.
            let piece = usize::try_from(got).ok().and_then(|got| buffer.get(..got));
            let piece = piece.unwrap_or_default();
            let read = (*fetch).answer.push(piece);
            match read {
                Ok(false) if !piece.is_empty() => {}
                Err(_) if (*fetch).told.is_at_work() && ngx_handle_read_event(event, 0) == OK => {
                    let answer = answer_of(fetch, read.map(drop));
                    tell(&*fetch, answer);
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
        // Other events have their turn.
        ngx_post_event(event, &raw mut ngx_posted_next_events);
    }
}

/// What came of a fetch whose answer is there, whole or at fault.
///
/// # Safety
/// `fetch` must be valid.
unsafe fn answer_of(fetch: *mut Fetch, read: Result<(), http::AnswerError>) -> Answer {
    // SAFETY: by the contract of this function.
    unsafe {
        let reader = core::mem::replace(&mut (*fetch).answer, AnswerReader::new(0));
        match read.and_then(|()| reader.finish()) {
            _ if (*fetch).told.is_led_astray() => {
                Answer::Failed("the answer has X-Accel-Redirect, which is not followed".to_owned())
            }
            Ok(answer) => Answer::Keys { body: answer.body, max_age: answer.max_age },
            Err(error) => Answer::Failed(error.to_string()),
        }
    }
}

/// Gives the answer to who wants it, and frees the fetch.
///
/// # Safety
/// `fetch` must be one that `start` has made, without a connection, and not be used after this.
unsafe fn end(fetch: *mut Fetch, answer: Answer) {
    // SAFETY: by the contract of this function; it was made by `Box::into_raw`.
    let fetch = unsafe { Box::from_raw(fetch) };
    if !fetch.lingers {
        tell(&fetch, answer);
    }
}

/// Gives the answer to who wants it, and logs what there is to say.
fn tell(fetch: &Fetch, answer: Answer) {
    match fetch.asker.done(answer, clock()) {
        Some(Word::Error(text)) => {
            ngx::ngx_log_error!(NGX_LOG_ERR, fetch.log, "{text}");
        }
        Some(Word::Warning(text)) => {
            ngx::ngx_log_error!(NGX_LOG_WARN, fetch.log, "{text}");
        }
        None => {}
    }
}

/// The posting that begins a fetch.
unsafe extern "C" fn on_begin(event: *mut ngx_event_t) {
    // SAFETY: `start` has set the event's data to the fetch, which nothing has freed yet.
    unsafe {
        let fetch = (*event).data.cast::<Fetch>();
        guard((*fetch).log, (), || {
            if let Err(why) = begin(fetch) {
                end(fetch, Answer::Failed(why));
            }
        });
    }
}

/// An event of this end of the connection: something to read, or the time.
unsafe extern "C" fn on_event(event: *mut ngx_event_t) {
    // SAFETY: nginx has set the event's data to the connection, and `begin` the connection's to the
    // fetch; both are there until the connection is closed, after which it has no events.
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
