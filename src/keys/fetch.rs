//! Fetches keys: a subrequest to the location that the URI names, so that nginx's own proxy, TLS,
//! upstreams and cache do the work.
//!
//! The subrequest's parent is no client's request but one of the module's own, which has neither
//! headers nor a body and a connection without a socket. So nothing of a client travels to the
//! provider, no client that goes away ends the fetch, and none has to wait for it to end.

use core::ffi::c_void;
use core::{mem, ptr};
use std::rc::Rc;

use ngx::ffi::{
    NGX_HTTP_LOG_UNSAFE, NGX_HTTP_SUBREQUEST_WAITED, NGX_LOG_ERR, NGX_LOG_WARN, ngx_add_timer,
    ngx_buf_t, ngx_chain_t, ngx_connection_t, ngx_create_pool, ngx_del_timer,
    ngx_delete_posted_event, ngx_destroy_pool, ngx_event_t, ngx_exiting, ngx_http_log_ctx_t,
    ngx_http_output_body_filter_pt, ngx_http_parse_unsafe_uri, ngx_http_request_t,
    ngx_http_run_posted_requests, ngx_http_subrequest, ngx_int_t, ngx_log_t, ngx_post_event,
    ngx_posted_events, ngx_str_t, ngx_uint_t, u_char,
};
use zeroize::Zeroizing;

use super::parent::{Hooks, Parent, REFERENCES};
use crate::ffi;
use crate::nginx::{self, Server};

const OK: ngx_int_t = ngx::ffi::NGX_OK as ngx_int_t;

/// The largest key set that is taken.
const MAX_ANSWER: usize = 1 << 20;

/// How often a fetch that is under way is looked at, at least.
const LOOK_MS: u64 = 500;

/// How soon a fetch that is over is looked at again, where nginx still works on a part of it.
const LINGER_MS: usize = 100;

/// Who keys are fetched for.
pub(super) trait Asker {
    /// The URI that they are fetched from.
    fn uri(&self) -> &[u8];

    /// Whether a request waits for them.
    fn is_waited_for(&self) -> bool;

    /// Takes in what came of the fetch, and gives what there is to say of it.
    fn done(&self, answer: Answer, now: u64) -> Option<Word>;
}

/// What came of a fetch.
pub(super) enum Answer {
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
pub(super) enum Word {
    Warning(String),
    Error(String),
}

/// A fetch.
#[repr(C)]
struct Fetch {
    /// First, so that a pointer to the parent request is a pointer to the fetch.
    parent: Parent,
    server_log: *mut ngx_log_t,
    subrequest: *mut ngx_http_request_t,
    asker: Rc<dyn Asker>,
    /// How long it may take, and until when, in milliseconds.
    timeout: u64,
    deadline: u64,
    stage: Stage,
    /// What the subrequest was last finalized with.
    code: ngx_int_t,
    body: Zeroizing<Vec<u8>>,
    too_large: bool,
    /// Whether the end of the answer has come.
    complete: bool,
}

/// What nginx calls for a fetch's parent request. No other request has these.
static HOOKS: Hooks = Hooks { finished, on_connection, on_event, describe };

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Beginning,
    UnderWay,
    Finished,
    GivenUp,
}

/// Begins to fetch for `asker` by one of the server's locations; false when out of memory. What comes
/// of it goes to [`Asker::done`], never before this call has returned.
pub(super) fn start(server: Server<'_>, asker: Rc<dyn Asker>, timeout: u64) -> bool {
    // SAFETY: the server's configuration is that of a request that is being served, and so outlives
    // the worker's requests. Everything that is allocated is in the fetch's own pool.
    unsafe {
        let log = server.log();
        let pool = ngx_create_pool(server.conf.request_pool_size, log);
        if pool.is_null() {
            return false;
        }
        let fetch = ffi::allocate(pool, Fetch::new(asker, timeout, log));
        let prepare = || Parent::prepare(fetch.cast(), pool, server.conf, &HOOKS);
        if fetch.is_null() || prepare().is_none() {
            ngx_destroy_pool(pool);
            return false;
        }
        ngx_post_event(&raw mut (*fetch).parent.event, &raw mut ngx_posted_events);
    }
    true
}

impl Fetch {
    /// # Safety
    /// `server_log` must be valid.
    unsafe fn new(asker: Rc<dyn Asker>, timeout: u64, server_log: *mut ngx_log_t) -> Self {
        // SAFETY: zero is a valid value of each of nginx's structures, and the log is valid.
        let parent = unsafe {
            let mut parent: Parent = mem::zeroed();
            parent.log = *server_log;
            parent
        };
        Self {
            parent,
            server_log,
            subrequest: ptr::null_mut(),
            asker,
            timeout,
            deadline: nginx::clock().saturating_add(timeout),
            stage: Stage::Beginning,
            code: OK,
            body: Zeroizing::default(),
            too_large: false,
            complete: false,
        }
    }

    /// Makes the subrequest and lets nginx work on it.
    ///
    /// # Safety
    /// `fetch` must be valid and prepared; it may be over when this returns, but it is there still.
    unsafe fn begin(fetch: *mut Self) {
        // SAFETY: by the contract of this function; the URI lives as long as the asker does, which
        // the fetch holds.
        unsafe {
            (*fetch).stage = Stage::UnderWay;
            let main = &raw mut (*fetch).parent.main;
            let asker = &(*fetch).asker;
            let mut uri = ffi::string(asker.uri());
            let mut args = ngx_str_t { len: 0, data: ptr::null_mut() };
            let mut flags = NGX_HTTP_LOG_UNSAFE as ngx_uint_t;
            (*fetch).parent.post.handler = Some(answered);
            (*fetch).parent.post.data = fetch.cast();
            let wait = NGX_HTTP_SUBREQUEST_WAITED as ngx_uint_t;
            let made = ngx_http_parse_unsafe_uri(main, &raw mut uri, &raw mut args, &raw mut flags)
                == OK
                && ngx_http_subrequest(
                    main,
                    &raw mut uri,
                    &raw mut args,
                    &raw mut (*fetch).subrequest,
                    &raw mut (*fetch).parent.post,
                    wait,
                ) == OK;
            if !made {
                let why = "the URI cannot be requested".to_owned();
                Self::end(fetch, Stage::GivenUp, Answer::Failed(why));
                return;
            }
            Self::look_later(fetch);
            ngx_http_run_posted_requests(&raw mut (*fetch).parent.connection);
        }
    }

    /// Gives the answer to who wants it; the fetch itself is cleared away a little later, when
    /// nothing of nginx's is at work on it any more.
    ///
    /// # Safety
    /// `fetch` must be valid.
    unsafe fn end(fetch: *mut Self, stage: Stage, answer: Answer) {
        // SAFETY: by the contract of this function.
        unsafe {
            (*fetch).stage = stage;
            let event = &raw mut (*fetch).parent.event;
            if (*event).timer_set() != 0 {
                ngx_del_timer(event);
            }
            ngx_post_event(event, &raw mut ngx_posted_events);
            let log = &raw mut (*fetch).parent.log;
            (*log).handler = None;
            let asker = &(*fetch).asker;
            match asker.done(answer, nginx::clock()) {
                Some(Word::Error(text)) => {
                    ngx::ngx_log_error!(NGX_LOG_ERR, log, "{text}");
                }
                Some(Word::Warning(text)) => {
                    ngx::ngx_log_error!(NGX_LOG_WARN, log, "{text}");
                }
                None => {}
            }
        }
    }

    /// Has [`Fetch::look`] called in a while.
    ///
    /// # Safety
    /// `fetch` must be valid and under way.
    unsafe fn look_later(fetch: *mut Self) {
        // SAFETY: by the contract of this function.
        unsafe {
            let left = (*fetch).deadline.saturating_sub(nginx::clock()).clamp(1, LOOK_MS);
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            ngx_add_timer(&raw mut (*fetch).parent.event, left);
        }
    }

    /// Gives up when it takes too long, or when the worker is about to exit and nobody waits.
    ///
    /// # Safety
    /// `fetch` must be valid and under way.
    unsafe fn look(fetch: *mut Self) {
        // SAFETY: by the contract of this function; nginx sets the flag between events.
        unsafe {
            let asker = &(*fetch).asker;
            if nginx::clock() >= (*fetch).deadline {
                let why = format!("timed out after {} ms", (*fetch).timeout);
                Self::give_up(fetch, Answer::Failed(why));
            } else if ngx_exiting != 0 && !asker.is_waited_for() {
                Self::give_up(fetch, Answer::Unwanted);
            } else {
                Self::look_later(fetch);
            }
        }
    }

    /// Gives up: has nginx close what it has opened for the subrequest.
    ///
    /// # Safety
    /// `fetch` must be valid and under way.
    unsafe fn give_up(fetch: *mut Self, answer: Answer) {
        // SAFETY: by the contract of this function; as ngx_http_terminate_request does, and what
        // that leaves of the references is what `REFERENCES` keeps.
        unsafe {
            let main = &raw mut (*fetch).parent.main;
            let mut cleanup = mem::replace(&mut (*main).cleanup, ptr::null_mut());
            while !cleanup.is_null() {
                if let Some(handler) = (*cleanup).handler {
                    handler((*cleanup).data);
                }
                cleanup = (*cleanup).next;
            }
            Self::end(fetch, Stage::GivenUp, answer);
        }
    }

    /// Frees the fetch, unless nginx is still at work on it: reading a file in a thread or, where
    /// it was not given up, updating its cache in the background.
    ///
    /// # Safety
    /// `fetch` must be over, and not be used after this.
    unsafe fn clear_away(fetch: *mut Self) {
        // SAFETY: by the contract of this function; nothing points to the fetch once its events
        // are gone.
        unsafe {
            let main = &raw mut (*fetch).parent.main;
            let updating = (*fetch).stage == Stage::Finished && (*main).count() > REFERENCES;
            if updating || (*main).blocked() != 0 {
                ngx_add_timer(&raw mut (*fetch).parent.event, LINGER_MS);
                return;
            }
            for event in [&raw mut (*fetch).parent.read, &raw mut (*fetch).parent.write] {
                if (*event).timer_set() != 0 {
                    ngx_del_timer(event);
                }
                if (*event).posted() != 0 {
                    ngx_delete_posted_event(event);
                }
            }
            let pool = (*main).pool;
            // The fetch's own log is in that pool.
            (*pool).log = (*fetch).server_log;
            ngx_destroy_pool(pool);
        }
    }

    /// What the answer is, once the subrequest is done.
    ///
    /// # Safety
    /// `fetch` must be valid, with its subrequest.
    unsafe fn answer(fetch: *mut Self) -> Answer {
        // SAFETY: by the contract of this function; the subrequest is in the fetch's pool, and
        // nginx has filled in its headers.
        let (code, headers) = unsafe { ((*fetch).code, &(*(*fetch).subrequest).headers_out) };
        let status = if code > OK { code.unsigned_abs() } else { headers.status };
        // SAFETY: as above; nothing else refers to the fetch now.
        let (body, complete, too_large) =
            unsafe { (mem::take(&mut (*fetch).body), (*fetch).complete, (*fetch).too_large) };
        let header = |name: &[u8]| {
            // SAFETY: a header's name and value live as long as the subrequest.
            unsafe { nginx::header_list(&raw const headers.headers) }
                .find(|line| unsafe { ffi::bytes(line.key) }.eq_ignore_ascii_case(name))
                .map(|line| unsafe { ffi::bytes(line.value) })
        };
        let encoding =
            header(b"content-encoding").filter(|it| !it.eq_ignore_ascii_case(b"identity"));
        let failed = |why: String| Answer::Failed(why);
        if status != 200 {
            failed(format!("the answer has status {status}"))
        } else if too_large {
            failed(format!("the answer is larger than {MAX_ANSWER} bytes"))
        } else if code != OK || !complete {
            failed("the answer is not complete".to_owned())
        } else if let Some(encoding) = encoding {
            let encoding = encoding.escape_ascii();
            failed(format!("the answer has Content-Encoding {encoding}, which was not asked for"))
        } else {
            let control = header(b"cache-control").unwrap_or_default();
            let age = header(b"age").unwrap_or_default();
            Answer::Keys { body, max_age: token::schedule::max_age(control, age) }
        }
    }
}

/// The fetch that a request belongs to, if it is one of a fetch's subrequests.
///
/// # Safety
/// `r` must be a request that nginx passes to a hook.
unsafe fn fetch_of(r: *mut ngx_http_request_t) -> Option<*mut Fetch> {
    // SAFETY: a request's main request is valid, and no other than a fetch's has that handler.
    unsafe {
        let main = (*r).main;
        let ours: unsafe extern "C" fn(*mut ngx_http_request_t) = finished;
        let is_ours = |handler| ptr::fn_addr_eq(handler, ours);
        (main != r && (*main).write_event_handler.is_some_and(is_ours)).then(|| main.cast())
    }
}

/// The timer or posting of a fetch's own event.
unsafe extern "C" fn on_event(event: *mut ngx_event_t) {
    // SAFETY: `Parent::prepare` has set the event's data to the fetch, which is there until its
    // events are gone.
    unsafe {
        let fetch = (*event).data.cast::<Fetch>();
        let log = (*fetch).server_log;
        ffi::guard(log, (), || match (*fetch).stage {
            Stage::Beginning => Fetch::begin(fetch),
            Stage::UnderWay => Fetch::look(fetch),
            Stage::Finished | Stage::GivenUp => Fetch::clear_away(fetch),
        });
    }
}

/// An event of the connection that is none: a timer that some module has set there to go on with
/// its subrequest. As nginx's ngx_http_request_handler.
unsafe extern "C" fn on_connection(event: *mut ngx_event_t) {
    // SAFETY: the event's data is the fetch's connection, whose data is the request that is active.
    unsafe {
        let connection = (*event).data.cast::<ngx_connection_t>();
        let request = (*connection).data.cast::<ngx_http_request_t>();
        if (*event).delayed() != 0 && (*event).timedout() != 0 {
            (*event).set_delayed(0);
            (*event).set_timedout(0);
        }
        let handler = match (*event).write() {
            0 => (*request).read_event_handler,
            _ => (*request).write_event_handler,
        };
        if let Some(handler) = handler {
            handler(request);
        }
        ngx_http_run_posted_requests(connection);
    }
}

/// nginx has finalized the subrequest, with `code`; it may do so more than once.
unsafe extern "C" fn answered(
    r: *mut ngx_http_request_t,
    data: *mut c_void,
    code: ngx_int_t,
) -> ngx_int_t {
    const REQUEST_TIME_OUT: ngx_int_t = ngx::ffi::NGX_HTTP_REQUEST_TIME_OUT as ngx_int_t;
    const CLOSE: ngx_int_t = ngx::ffi::NGX_HTTP_CLOSE as ngx_int_t;
    const CLIENT_CLOSED: ngx_int_t = ngx::ffi::NGX_HTTP_CLIENT_CLOSED_REQUEST as ngx_int_t;
    // SAFETY: `begin` has set the data to the fetch.
    unsafe {
        (*data.cast::<Fetch>()).code = code;
        (*(*r).connection).set_error(0);
    }
    match code {
        // nginx would end the parent at once, which is to hear of it in the ordinary way.
        REQUEST_TIME_OUT | CLOSE | CLIENT_CLOSED => OK,
        // The location may have an error_page for it.
        300.. => code,
        _ => OK,
    }
}

/// The write handler of the parent request: nginx calls it when the subrequest is done.
unsafe extern "C" fn finished(r: *mut ngx_http_request_t) {
    // SAFETY: only a fetch's parent request has this handler, and it is the fetch's first part.
    unsafe {
        let fetch = r.cast::<Fetch>();
        if (*fetch).stage == Stage::UnderWay && (*(*fetch).subrequest).done() != 0 {
            let log = (*fetch).server_log;
            ffi::guard(log, (), || Fetch::end(fetch, Stage::Finished, Fetch::answer(fetch)));
        }
    }
}

/// What nginx adds to its own messages about the fetch, as ngx_http_log_error does to those about
/// a client's request.
unsafe extern "C" fn describe(log: *mut ngx_log_t, text: *mut u_char, len: usize) -> *mut u_char {
    // SAFETY: the log is a fetch's, as `Parent::prepare` has set it up; nginx lends a buffer of
    // `len` bytes at `text`.
    unsafe {
        let context = (*log).data.cast::<ngx_http_log_ctx_t>();
        let fetch = (*context).request.cast::<Fetch>();
        let action = match (*log).action.is_null() {
            true => c"fetching keys",
            false => core::ffi::CStr::from_ptr((*log).action.cast()),
        };
        let asker = &(*fetch).asker;
        let uri = asker.uri().escape_ascii();
        let message = format!(" while {}, keys \"{uri}\"", action.to_string_lossy());
        let len = len.min(message.len());
        ptr::copy_nonoverlapping(message.as_ptr(), text, len);
        text.add(len)
    }
}

/// The body filter that was at the top before ours.
static mut NEXT_BODY_FILTER: ngx_http_output_body_filter_pt = None;

/// Puts the filter in front of nginx's, which read the answer from there on.
///
/// # Safety
/// Must be called once in the postconfiguration of a configuration.
pub(crate) unsafe fn install_filter() {
    // SAFETY: nginx reads configurations and filters one thing at a time, in one thread.
    unsafe {
        NEXT_BODY_FILTER = ngx::ffi::ngx_http_top_body_filter;
        ngx::ffi::ngx_http_top_body_filter = Some(body_filter);
    }
}

/// Takes the answer of a fetch, which goes nowhere else; passes on what is of any other request.
unsafe extern "C" fn body_filter(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: nginx passes a valid request and chain; the next filter is as nginx has set it up.
    unsafe {
        let Some(fetch) = fetch_of(r) else {
            let next = NEXT_BODY_FILTER;
            return next.map_or(ngx::ffi::NGX_ERROR as ngx_int_t, |next| next(r, chain));
        };
        // A subrequest of the subrequest, such as a cache's update, is not what was asked for.
        let asked = r == (*fetch).subrequest;
        ffi::guard((*fetch).server_log, ngx::ffi::NGX_ERROR as ngx_int_t, || {
            let mut link = chain;
            while !link.is_null() {
                take(fetch, (*link).buf, asked);
                link = (*link).next;
            }
            OK
        })
    }
}

/// Takes what a buffer holds, if it was `asked` for, and marks it as sent.
///
/// # Safety
/// `fetch` and `buffer` must be valid.
unsafe fn take(fetch: *mut Fetch, buffer: *mut ngx_buf_t, asked: bool) {
    // SAFETY: by the contract of this function; `pos` to `last` is what a buffer in memory holds.
    unsafe {
        let in_memory =
            (*buffer).temporary() != 0 || (*buffer).memory() != 0 || (*buffer).mmap() != 0;
        if asked && in_memory {
            let len = (*buffer).last.offset_from((*buffer).pos).unsigned_abs();
            let text = core::slice::from_raw_parts((*buffer).pos, len);
            let body = &mut (*fetch).body;
            if body.len() + len > MAX_ANSWER {
                (*fetch).too_large = true;
            } else {
                body.extend_from_slice(text);
            }
        }
        (*fetch).complete |= asked && ((*buffer).last_in_chain() != 0 || (*buffer).last_buf() != 0);
        (*buffer).pos = (*buffer).last;
        (*buffer).file_pos = (*buffer).file_last;
    }
}
