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
    NGX_HTTP_GET, NGX_HTTP_LOG_UNSAFE, NGX_HTTP_MAX_SUBREQUESTS, NGX_HTTP_MAX_URI_CHANGES,
    NGX_HTTP_MODULE, NGX_HTTP_SUBREQUEST_WAITED, NGX_HTTP_VERSION_11, NGX_LOG_ERR,
    NGX_USE_CLEAR_EVENT, ngx_add_timer, ngx_buf_t, ngx_chain_t, ngx_connection_t,
    ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED, ngx_create_pool, ngx_del_timer,
    ngx_delete_posted_event, ngx_destroy_pool, ngx_event_flags, ngx_event_t,
    ngx_http_block_reading, ngx_http_connection_t, ngx_http_core_get_method,
    ngx_http_core_srv_conf_t, ngx_http_log_ctx_t, ngx_http_max_module,
    ngx_http_output_body_filter_pt, ngx_http_parse_unsafe_uri, ngx_http_post_subrequest_t,
    ngx_http_request_t, ngx_http_run_posted_requests, ngx_http_subrequest, ngx_int_t, ngx_list_t,
    ngx_log_t, ngx_palloc, ngx_pcalloc, ngx_pool_t, ngx_post_event, ngx_posted_events, ngx_str_t,
    ngx_table_elt_t, ngx_uint_t, sockaddr, time_t, u_char,
};
use zeroize::Zeroizing;

use super::remote::{Answer, Source};
use crate::ffi;
use crate::request::{self, Request};

const OK: ngx_int_t = ngx::ffi::NGX_OK as ngx_int_t;

/// The largest key set that is taken.
const MAX_ANSWER: usize = 1 << 20;

/// How soon a fetch that is over is looked at again, where nginx still works on a part of it.
const LINGER_MS: usize = 100;

/// References to the parent request beside the subrequest's: more than nginx ever gives back, so
/// that it is ended here and nowhere else.
const REFERENCES: u32 = 2;

/// A fetch.
#[repr(C)]
struct Fetch {
    /// First, so that a pointer to the parent request is a pointer to the fetch.
    nginx: Nginx,
    server_log: *mut ngx_log_t,
    subrequest: *mut ngx_http_request_t,
    source: Rc<Source>,
    /// How long it may take, in milliseconds.
    timeout: u64,
    stage: Stage,
    /// What the subrequest was last finalized with.
    code: ngx_int_t,
    body: Zeroizing<Vec<u8>>,
    too_large: bool,
    /// Whether the end of the answer has come.
    complete: bool,
}

/// The parent request, with what nginx wants of one.
#[repr(C)]
struct Nginx {
    main: ngx_http_request_t,
    connection: ngx_connection_t,
    read: ngx_event_t,
    write: ngx_event_t,
    /// Begins the fetch, ends it when it takes too long, and clears away what is left.
    event: ngx_event_t,
    http: ngx_http_connection_t,
    address: sockaddr,
    log: ngx_log_t,
    log_context: ngx_http_log_ctx_t,
    post: ngx_http_post_subrequest_t,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Beginning,
    UnderWay,
    Finished,
    GivenUp,
}

/// Begins to fetch for `source` by the server of `request`; false when out of memory. What comes
/// of it goes to [`Source::done`], never before this call has returned.
pub(super) fn start(request: Request<'_>, source: Rc<Source>, timeout: u64) -> bool {
    let server = request.server();
    // SAFETY: the server's configuration is that of a request that is being served, and so outlives
    // the worker's requests. Everything that is allocated is in the fetch's own pool.
    unsafe {
        let log = server.log();
        let pool = ngx_create_pool(server.conf().request_pool_size, log);
        if pool.is_null() {
            return false;
        }
        let fetch = ffi::allocate(pool, Fetch::new(source, timeout, log));
        if fetch.is_null() || Fetch::prepare(fetch, pool, server.conf()).is_none() {
            ngx_destroy_pool(pool);
            return false;
        }
        ngx_post_event(&raw mut (*fetch).nginx.event, &raw mut ngx_posted_events);
    }
    true
}

impl Fetch {
    /// # Safety
    /// `server_log` must be valid.
    unsafe fn new(source: Rc<Source>, timeout: u64, server_log: *mut ngx_log_t) -> Self {
        // SAFETY: zero is a valid value of each of nginx's structures, and the log is valid.
        let nginx = unsafe {
            let mut nginx: Nginx = mem::zeroed();
            nginx.log = *server_log;
            nginx
        };
        Self {
            nginx,
            server_log,
            subrequest: ptr::null_mut(),
            source,
            timeout,
            stage: Stage::Beginning,
            code: OK,
            body: Zeroizing::default(),
            too_large: false,
            complete: false,
        }
    }

    /// Fills in what nginx wants of a request and its connection; `None` when out of memory.
    ///
    /// # Safety
    /// `fetch` must be valid, at its final place and in `pool`.
    unsafe fn prepare(
        fetch: *mut Self,
        pool: *mut ngx_pool_t,
        server: &ngx_http_core_srv_conf_t,
    ) -> Option<()> {
        // SAFETY: by the contract of this function; each pointer is to a part of the fetch or into
        // its pool, or to the server's configuration, which outlives both.
        unsafe {
            Self::prepare_connection(fetch, pool);
            (*fetch).nginx.http.conf_ctx = server.ctx;
            let main = &raw mut (*fetch).nginx.main;
            // As ngx_http_alloc_request does.
            (*main).signature = NGX_HTTP_MODULE;
            (*main).connection = &raw mut (*fetch).nginx.connection;
            (*main).http_connection = &raw mut (*fetch).nginx.http;
            (*main).main_conf = (*server.ctx).main_conf;
            (*main).srv_conf = (*server.ctx).srv_conf;
            (*main).loc_conf = (*server.ctx).loc_conf;
            (*main).pool = pool;
            init_list(&raw mut (*main).headers_in.headers, pool)?;
            init_list(&raw mut (*main).headers_out.headers, pool)?;
            init_list(&raw mut (*main).headers_out.trailers, pool)?;
            (*main).ctx = zeroed_array(pool, ngx_http_max_module)?;
            let variables = request::core_main_conf(main)?.variables.nelts;
            (*main).variables = zeroed_array(pool, variables)?;
            (*main).main = main;
            (*main).set_count(REFERENCES);
            (*main).start_sec = ngx::ffi::ngx_time() as time_t;
            (*main).method = NGX_HTTP_GET as ngx_uint_t;
            (*main).method_name = ngx_http_core_get_method;
            (*main).http_version = NGX_HTTP_VERSION_11 as ngx_uint_t;
            (*main).headers_in.content_length_n = -1;
            (*main).headers_in.keep_alive_n = -1;
            (*main).headers_out.content_length_n = -1;
            (*main).headers_out.last_modified_time = -1;
            (*main).set_uri_changes(NGX_HTTP_MAX_URI_CHANGES + 1);
            (*main).set_subrequests(NGX_HTTP_MAX_SUBREQUESTS + 1);
            (*main).uri = ngx::ngx_string!("/");
            (*main).set_internal(1);
            (*main).set_logged(1);
            // The answer is read from memory, also one that comes from a file.
            (*main).set_main_filter_need_in_memory(1);
            (*main).read_event_handler = Some(ngx_http_block_reading);
            (*main).write_event_handler = Some(finished);
        }
        Some(())
    }

    /// # Safety
    /// As [`Fetch::prepare`].
    unsafe fn prepare_connection(fetch: *mut Self, pool: *mut ngx_pool_t) {
        // SAFETY: by the contract of this function.
        unsafe {
            let log = &raw mut (*fetch).nginx.log;
            (*fetch).nginx.log_context.connection = &raw mut (*fetch).nginx.connection;
            (*fetch).nginx.log_context.request = &raw mut (*fetch).nginx.main;
            (*log).handler = Some(describe);
            (*log).data = (&raw mut (*fetch).nginx.log_context).cast();
            (*log).action = c"fetching keys".as_ptr().cast_mut().cast();
            (*pool).log = log;

            let connection = &raw mut (*fetch).nginx.connection;
            // Not ready to be read, ready to be written to, and known to the event module already,
            // if it is of the kind that adds a descriptor once: it must never be given this one.
            let adds_once = ngx_event_flags & NGX_USE_CLEAR_EVENT as ngx_uint_t != 0;
            for event in [&raw mut (*fetch).nginx.read, &raw mut (*fetch).nginx.write] {
                (*event).data = connection.cast();
                (*event).log = log;
                (*event).handler = Some(on_connection);
            }
            (*fetch).nginx.read.set_active(1);
            (*fetch).nginx.write.set_active(u32::from(adds_once));
            (*fetch).nginx.write.set_ready(1);
            (*fetch).nginx.write.set_write(1);
            (*fetch).nginx.event.data = fetch.cast();
            (*fetch).nginx.event.log = log;
            (*fetch).nginx.event.handler = Some(on_event);

            (*fetch).nginx.address.sa_family = ngx::ffi::AF_UNIX as _;
            (*connection).data = fetch.cast();
            (*connection).read = &raw mut (*fetch).nginx.read;
            (*connection).write = &raw mut (*fetch).nginx.write;
            (*connection).fd = -1;
            (*connection).log = log;
            (*connection).pool = pool;
            (*connection).sockaddr = &raw mut (*fetch).nginx.address;
            (*connection).socklen = size_of::<ngx::ffi::sa_family_t>() as _;
            (*connection).local_sockaddr = (*connection).sockaddr;
            (*connection).local_socklen = (*connection).socklen;
            (*connection).addr_text = ngx::ngx_string!("unix:");
            // nginx sets no options of a socket that is not there.
            (*connection).set_tcp_nodelay(ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED);
        }
    }

    /// Makes the subrequest and lets nginx work on it.
    ///
    /// # Safety
    /// `fetch` must be valid and prepared; it may be over when this returns, but it is there still.
    unsafe fn begin(fetch: *mut Self) {
        // SAFETY: by the contract of this function; the URI lives as long as the source does, which
        // the fetch holds.
        unsafe {
            (*fetch).stage = Stage::UnderWay;
            let main = &raw mut (*fetch).nginx.main;
            let source = &(*fetch).source;
            let mut uri = ffi::string(&source.uri);
            let mut args = ngx_str_t { len: 0, data: ptr::null_mut() };
            let mut flags = NGX_HTTP_LOG_UNSAFE as ngx_uint_t;
            (*fetch).nginx.post.handler = Some(answered);
            (*fetch).nginx.post.data = fetch.cast();
            let wait = NGX_HTTP_SUBREQUEST_WAITED as ngx_uint_t;
            let made = ngx_http_parse_unsafe_uri(main, &raw mut uri, &raw mut args, &raw mut flags)
                == OK
                && ngx_http_subrequest(
                    main,
                    &raw mut uri,
                    &raw mut args,
                    &raw mut (*fetch).subrequest,
                    &raw mut (*fetch).nginx.post,
                    wait,
                ) == OK;
            if !made {
                let why = "the URI cannot be requested".to_owned();
                Self::end(fetch, Stage::GivenUp, Answer::Failed(why));
                return;
            }
            let timeout = usize::try_from((*fetch).timeout).unwrap_or(usize::MAX);
            ngx_add_timer(&raw mut (*fetch).nginx.event, timeout);
            ngx_http_run_posted_requests(&raw mut (*fetch).nginx.connection);
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
            let event = &raw mut (*fetch).nginx.event;
            if (*event).timer_set() != 0 {
                ngx_del_timer(event);
            }
            ngx_post_event(event, &raw mut ngx_posted_events);
            if let Some(complaint) = (*fetch).source.done(answer, request::clock()) {
                let log = &raw mut (*fetch).nginx.log;
                (*log).handler = None;
                ngx::ngx_log_error!(NGX_LOG_ERR, log, "token_auth: {complaint}");
            }
        }
    }

    /// Gives up: has nginx close what it has opened for the subrequest.
    ///
    /// # Safety
    /// `fetch` must be valid and under way.
    unsafe fn give_up(fetch: *mut Self) {
        // SAFETY: by the contract of this function; as ngx_http_terminate_request does, and what
        // that leaves of the references is what `REFERENCES` keeps.
        unsafe {
            let main = &raw mut (*fetch).nginx.main;
            let mut cleanup = mem::replace(&mut (*main).cleanup, ptr::null_mut());
            while !cleanup.is_null() {
                if let Some(handler) = (*cleanup).handler {
                    handler((*cleanup).data);
                }
                cleanup = (*cleanup).next;
            }
            let why = format!("no answer within {} ms", (*fetch).timeout);
            Self::end(fetch, Stage::GivenUp, Answer::Failed(why));
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
            let main = &raw mut (*fetch).nginx.main;
            let updating = (*fetch).stage == Stage::Finished && (*main).count() > REFERENCES;
            if updating || (*main).blocked() != 0 {
                ngx_add_timer(&raw mut (*fetch).nginx.event, LINGER_MS);
                return;
            }
            for event in [&raw mut (*fetch).nginx.read, &raw mut (*fetch).nginx.write] {
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
            unsafe { request::header_list(&raw const headers.headers) }
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

/// Room for an array of `len` elements that are all zero.
///
/// # Safety
/// `pool` must be valid, and zero a valid value of the element.
unsafe fn zeroed_array<T>(pool: *mut ngx_pool_t, len: usize) -> Option<*mut T> {
    // SAFETY: by the contract of this function.
    let array = unsafe { ngx_pcalloc(pool, len * size_of::<T>()) }.cast::<T>();
    (!array.is_null()).then_some(array)
}

/// As ngx_list_init, for a list of headers.
///
/// # Safety
/// `list` must be zeroed, at its final place, and `pool` valid.
unsafe fn init_list(list: *mut ngx_list_t, pool: *mut ngx_pool_t) -> Option<()> {
    const LINES: usize = 4;
    // SAFETY: by the contract of this function.
    unsafe {
        let elements = ngx_palloc(pool, LINES * size_of::<ngx_table_elt_t>());
        if elements.is_null() {
            return None;
        }
        (*list).part.elts = elements;
        (*list).last = &raw mut (*list).part;
        (*list).size = size_of::<ngx_table_elt_t>();
        (*list).nalloc = LINES;
        (*list).pool = pool;
    }
    Some(())
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
    // SAFETY: `prepare_connection` has set the event's data to the fetch, which is there until its
    // events are gone.
    unsafe {
        let fetch = (*event).data.cast::<Fetch>();
        let log = (*fetch).server_log;
        ffi::guard(log, (), || match (*fetch).stage {
            Stage::Beginning => Fetch::begin(fetch),
            Stage::UnderWay => Fetch::give_up(fetch),
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
    // SAFETY: `begin` has set the data to the fetch.
    unsafe {
        (*data.cast::<Fetch>()).code = code;
        // Whatever went wrong, the parent is to hear of it in the ordinary way.
        (*(*r).connection).set_error(0);
    }
    OK
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
    // SAFETY: the log is a fetch's, as `prepare_connection` has set it up; nginx lends a buffer of
    // `len` bytes at `text`.
    unsafe {
        let context = (*log).data.cast::<ngx_http_log_ctx_t>();
        let fetch = (*context).request.cast::<Fetch>();
        let action = match (*log).action.is_null() {
            true => c"fetching keys",
            false => core::ffi::CStr::from_ptr((*log).action.cast()),
        };
        let source = &(*fetch).source;
        let uri = source.uri.escape_ascii();
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
