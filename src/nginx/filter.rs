//! Answers that the module rewrites: nginx's header and body filters. An answer is held back until its body
//! is complete, then sent with another body or with the same, or refused as a whole. nginx's own xslt filter
//! (`ngx_http_xslt_filter_module.c`) does the same. An answer that turns out to be none to be rewritten goes on
//! as if it had not been held.
//!
//! While a body is still coming, nginx's modules need what they keep with the request. So an answer that is
//! refused then gets a page of our own; only at its end nginx is asked for its error page.

use core::cell::Cell;
use core::{ptr, slice};

use ngx::core::Status;
use ngx::ffi::{
    NGX_HTTP_BAD_GATEWAY, ngx_buf_t, ngx_chain_t, ngx_http_clean_header,
    ngx_http_filter_finalize_request, ngx_http_output_body_filter_pt,
    ngx_http_output_header_filter_pt, ngx_http_request_t, ngx_http_top_body_filter,
    ngx_http_top_header_filter, ngx_int_t, ngx_table_elt_t, off_t,
};

use super::content::{Last, body_buffer};
use super::flags;
use super::guard::guard;
use super::head::Head;
use super::held::{Held, State};
use super::kept::Own;
use super::request::Request;
use super::string::string;

const OK: ngx_int_t = Status::NGX_OK.0;
const ERROR: ngx_int_t = Status::NGX_ERROR.0;
const BAD_GATEWAY: ngx_int_t = NGX_HTTP_BAD_GATEWAY as ngx_int_t;

/// What is sent in place of an answer that is refused while it comes.
const PAGE: &[u8] = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";

/// What rewrites answers.
pub(crate) trait Rewriter: 'static {
    /// What the module keeps with a request.
    type Context: Default + 'static;

    /// Called before the header of the answer to a request, and to no part of a page, is sent.
    fn header_begins(request: Request<'_>);

    /// Whether answers are rewritten in the request's location: otherwise nothing of what follows is called.
    fn rewrites(request: Request<'_>) -> bool;

    /// What to do with an answer whose header is about to be sent.
    fn answer_begins(request: Request<'_>, head: &Head<'_>) -> Plan;

    /// What is sent in place of a body that was held back.
    fn rewrite(request: Request<'_>, body: Vec<u8>) -> Rewritten;

    /// Called if a body that is held back cannot be rewritten. Says what is sent.
    fn cannot_rewrite(request: Request<'_>, why: Unsent) -> Instead;
}

/// What is sent in place of a body that was held back.
pub(crate) enum Rewritten {
    /// Another body.
    New(Vec<u8>),
    /// The same body, with its header as it was.
    Same(Vec<u8>),
    /// The answer is 502.
    Refused,
}

/// What is sent in place of an answer that cannot be rewritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Instead {
    /// 502.
    Error,
    /// What has come of it, and what comes, as if it had not been held.
    AsItIs,
}

/// What to do with an answer whose header is about to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Plan {
    /// Send it as it is.
    Pass,
    /// It has no body: send its header without what tells of the body.
    WithoutBody,
    /// Hold it back until its body is complete, but no more than so many bytes of it; then ask for another
    /// body ([`Rewriter::rewrite`]).
    Hold(usize),
    /// Answer 502 in its place.
    Refuse,
}

/// Why an answer that is held back cannot be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// Its body has more bytes than are held.
    TooLarge,
    /// The upstream has not sent its end.
    CutOff,
    /// nginx has not read it into memory.
    NotInMemory,
}

/// The first filters of nginx's chains.
#[derive(Clone, Copy)]
struct Chains {
    header: ngx_http_output_header_filter_pt,
    body: ngx_http_output_body_filter_pt,
}

/// The filters after these, and those that were first when the configuration in force was read. nginx keeps
/// its chains in globals, which a configuration that fails leaves behind in the master.
struct Filters {
    next: Cell<Chains>,
    in_force: Cell<(Chains, Chains)>,
}

// SAFETY: nginx's processes have one thread that serves requests and reads configurations.
unsafe impl Sync for Filters {}

const NONE: Chains = Chains { header: None, body: None };
static FILTERS: Filters = Filters { next: Cell::new(NONE), in_force: Cell::new((NONE, NONE)) };

impl Chains {
    fn first() -> Self {
        // SAFETY: only the thread that reads configurations and serves requests uses nginx's chains.
        unsafe { Self { header: ngx_http_top_header_filter, body: ngx_http_top_body_filter } }
    }

    fn set_first(self) {
        // SAFETY: as in `first`; nginx's modules set them, too.
        unsafe {
            ngx_http_top_header_filter = self.header;
            ngx_http_top_body_filter = self.body;
        }
    }
}

/// Puts the filters before those that there are. To be called in `postconfiguration`, once for a
/// configuration, whatever it says: the master may fork workers of the configuration before afterwards.
pub(super) fn install<R: Rewriter>() {
    FILTERS.next.set(Chains::first());
    Chains { header: Some(header_filter::<R>), body: Some(body_filter::<R>) }.set_first();
}

/// The configuration has come into force: its chains are complete.
pub(super) fn in_force() {
    FILTERS.in_force.set((Chains::first(), FILTERS.next.get()));
}

/// A worker starts: puts back the chains of its configuration, since another one may have failed meanwhile.
pub(super) fn worker_starts() {
    let (first, next) = FILTERS.in_force.get();
    if first.header.is_some() {
        first.set_first();
        FILTERS.next.set(next);
    }
}

/// # Safety
/// `r` must be valid.
unsafe fn next_header(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: by the contract of this function; nginx's own filters are last in the chain.
    FILTERS.next.get().header.map_or(ERROR, |next| unsafe { next(r) })
}

/// # Safety
/// `r` and `chain` must be what nginx passes to a body filter.
unsafe fn next_body(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: as in `next_header`.
    FILTERS.next.get().body.map_or(ERROR, |next| unsafe { next(r, chain) })
}

unsafe extern "C" fn header_filter<R: Rewriter>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a valid request to a filter, for the time of the call.
    let Some(request) = (unsafe { Request::new(r) }) else { return ERROR };
    // SAFETY: as above; `main` is set as long as the request is valid.
    if unsafe { ptr::eq(r, (*r).main) } {
        guard(request.log(), (), || R::header_begins(request));
    }
    let plan = guard(request.log(), Plan::Refuse, || plan::<R>(request));
    // SAFETY: as above.
    unsafe {
        match plan {
            Plan::Pass => next_header(r),
            Plan::WithoutBody => {
                forget_body(r);
                (*r).headers_out.content_length_n = -1;
                next_header(r)
            }
            Plan::Hold(_) => {
                // The header follows with the body.
                flags::token_auth_need_in_memory(r);
                OK
            }
            Plan::Refuse => {
                // Whoever sends the header then sends this status, as after nginx's image filter. Nothing of
                // the header must stay: neither an encoding nor a status line.
                ngx_http_clean_header(r);
                flags::token_auth_answer_with_header(r);
                BAD_GATEWAY
            }
        }
    }
}

/// What to do with an answer; notes what is held back.
fn plan<R: Rewriter>(request: Request<'_>) -> Plan {
    if !R::rewrites(request) {
        return Plan::Pass;
    }
    let Some(own) = own::<R>(request) else { return Plan::Refuse };
    // What was held of an answer that an error page, or a redirect, has replaced.
    let before = own.take_held(request.raw());
    let is_error_page = before.is_some_and(|held| matches!(held.state, State::Refused));
    let head = request.head(is_error_page);
    let plan = R::answer_begins(request, &head);
    match plan {
        Plan::Hold(limit) => {
            own.hold(Held::new(request.raw(), limit, head.length.unwrap_or(0)));
        }
        Plan::Refuse => own.hold(Held::refused(request.raw())),
        Plan::Pass | Plan::WithoutBody => {}
    }
    plan
}

/// The boundary's own data about a request; `None` when out of memory.
fn own<R: Rewriter>(request: Request<'_>) -> Option<&Own> {
    request.context::<R::Context>()?;
    request.kept()
}

/// What becomes of a part of a body.
enum Step {
    /// It is not held back.
    Pass,
    /// There is more to come.
    Wait,
    /// The rest of an answer that was refused.
    Drop,
    /// Everything is there, and this is the new body.
    Send(Vec<u8>),
    /// The header as it was, this body, and the rest of what has come; whether this is the end.
    Release(Vec<u8>, *mut ngx_chain_t, Last),
    /// The answer is refused at its end.
    Refuse,
    /// The answer is refused, and more of it may come.
    RefuseMidway,
}

unsafe extern "C" fn body_filter<R: Rewriter>(
    r: *mut ngx_http_request_t,
    chain: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: nginx passes a valid request to a filter, for the time of the call.
    let Some(request) = (unsafe { Request::new(r) }) else { return ERROR };
    // SAFETY: the buffers of the chain are valid during this call.
    let step = guard(request.log(), Step::Drop, || unsafe { step::<R>(request, chain) });
    // SAFETY: as above.
    unsafe {
        let is_main = ptr::eq(r, (*r).main);
        match step {
            Step::Pass => next_body(r, chain),
            Step::Wait => OK,
            Step::Drop if is_main => ERROR,
            // What was sent of a part of a page may still wait for the parts before it.
            Step::Drop => next_body(r, ptr::null_mut()),
            Step::Send(body) => send(request, body).unwrap_or(ERROR),
            Step::Release(body, rest, last) => release(request, body, rest, last).unwrap_or(ERROR),
            Step::Refuse if is_main => {
                ngx_http_filter_finalize_request(r, ptr::null_mut(), BAD_GATEWAY)
            }
            Step::RefuseMidway if is_main => {
                ngx_http_clean_header(r);
                (*r).headers_out.status = BAD_GATEWAY.unsigned_abs();
                (*r).headers_out.content_type = string(b"text/html");
                (*r).headers_out.content_type_len = b"text/html".len();
                flags::token_auth_close_after(r);
                // The client has the page as far as it goes at once; nginx then gives up the rest.
                send(request, PAGE.to_vec());
                ERROR
            }
            // A part of a page: the rest of the page is sent all the same.
            Step::Refuse | Step::RefuseMidway => send(request, PAGE.to_vec()).unwrap_or(ERROR),
        }
    }
}

/// Takes over a part of a body.
///
/// # Safety
/// `chain` must be what nginx passes to a body filter, with this request.
unsafe fn step<R: Rewriter>(request: Request<'_>, chain: *mut ngx_chain_t) -> Step {
    if chain.is_null() || !R::rewrites(request) {
        return Step::Pass;
    }
    let r = request.raw();
    let Some(own) = request.kept() else { return Step::Pass };
    let Some(mut held) = own.take_held(r) else { return Step::Pass };
    // SAFETY: by the contract of this function.
    let taken = unsafe { take(&mut held, r, chain) };
    let State::Holds(body) = held.state else {
        if !matches!(taken, Taken::Everything) {
            own.hold(Held::refused(r));
        }
        return Step::Drop;
    };
    let (why, rest) = match taken {
        Taken::Part => {
            held.state = State::Holds(body);
            own.hold(held);
            return Step::Wait;
        }
        Taken::Everything => {
            return match R::rewrite(request, body) {
                Rewritten::New(body) => Step::Send(body),
                Rewritten::Same(body) => Step::Release(body, ptr::null_mut(), Last::Yes),
                Rewritten::Refused => {
                    // The header of the error page comes next.
                    own.hold(Held::refused(r));
                    Step::Refuse
                }
            };
        }
        Taken::Fault(why, rest) => (why, rest),
    };
    if R::cannot_rewrite(request, why) == Instead::AsItIs {
        return Step::Release(body, rest, Last::No);
    }
    // SAFETY: as above.
    unsafe { drop_rest(rest) };
    own.hold(Held::refused(r));
    if why == Unsent::CutOff { Step::Refuse } else { Step::RefuseMidway }
}

/// What was taken over of a part of a body.
enum Taken {
    /// All of it, and more is to come.
    Part,
    /// All of it, and it is the end.
    Everything,
    /// What is before this rest.
    Fault(Unsent, *mut ngx_chain_t),
}

/// Takes over the bytes of the buffers, until one cannot be taken.
///
/// # Safety
/// `r` and `chain` must be what nginx passes to a body filter.
unsafe fn take(held: &mut Held, r: *mut ngx_http_request_t, mut chain: *mut ngx_chain_t) -> Taken {
    let mut is_cut_off = false;
    // SAFETY: the links and buffers of the chain are valid, and nothing else uses them during the call. A
    // buffer in memory has its bytes between `pos` and `last`.
    unsafe {
        while let Some(link) = chain.as_ref() {
            let Some(buffer) = link.buf.as_mut() else { break };
            let is_in_memory = buffer.temporary() | buffer.memory() | buffer.mmap() != 0;
            if is_in_memory {
                let len = usize::try_from(buffer.last.offset_from(buffer.pos)).unwrap_or(0);
                if len > 0 && held.append(slice::from_raw_parts(buffer.pos, len)).is_none() {
                    return Taken::Fault(Unsent::TooLarge, chain);
                }
            } else if buffer.in_file() != 0 && buffer.file_last > buffer.file_pos {
                if matches!(held.state, State::Holds(_)) {
                    return Taken::Fault(Unsent::NotInMemory, chain);
                }
            } else if buffer.flush() != 0 && flags::token_auth_upstream_ended(r) != 0 {
                is_cut_off = true;
            }
            take_buffer(buffer);
            if is_last(r, buffer) {
                return Taken::Everything;
            }
            chain = link.next;
        }
    }
    match is_cut_off {
        true => Taken::Fault(Unsent::CutOff, ptr::null_mut()),
        false => Taken::Part,
    }
}

/// Marks all bytes of a buffer as taken, so that nginx uses it again and goes on reading.
fn take_buffer(buffer: &mut ngx_buf_t) {
    buffer.pos = buffer.last;
    buffer.file_pos = buffer.file_last;
}

/// Whether a buffer is the last one of the answer to this request.
///
/// # Safety
/// `r` must be valid.
unsafe fn is_last(r: *mut ngx_http_request_t, buffer: &ngx_buf_t) -> bool {
    // SAFETY: by the contract of this function.
    match unsafe { ptr::eq(r, (*r).main) } {
        true => buffer.last_buf() != 0,
        false => buffer.last_buf() | buffer.last_in_chain() != 0,
    }
}

/// Takes the rest of a body that is not sent.
///
/// # Safety
/// `chain` must be null or what nginx passes to a body filter.
unsafe fn drop_rest(mut chain: *mut ngx_chain_t) {
    // SAFETY: the links and buffers of the chain are valid, and nothing else uses them during the call.
    unsafe {
        while let Some(link) = chain.as_ref() {
            if let Some(buffer) = link.buf.as_mut() {
                take_buffer(buffer);
            }
            chain = link.next;
        }
    }
}

/// Sends a header, with this body. `None` when out of memory.
///
/// # Safety
/// The request must be what nginx has passed to a filter.
unsafe fn send(request: Request<'_>, body: Vec<u8>) -> Option<ngx_int_t> {
    let r = request.raw();
    // SAFETY: the request is valid; the pool owns the body.
    unsafe {
        forget_body(r);
        (*r).headers_out.content_length_n = off_t::try_from(body.len()).ok()?;
        release(request, body, ptr::null_mut(), Last::Yes)
    }
}

/// Sends a header as it is, this body, and the rest of what has come. `None` when out of memory.
///
/// # Safety
/// The request and the rest must be what nginx has passed to a filter.
unsafe fn release(
    request: Request<'_>,
    body: Vec<u8>,
    rest: *mut ngx_chain_t,
    last: Last,
) -> Option<ngx_int_t> {
    let r = request.raw();
    // SAFETY: the request is valid; the pool owns the body.
    unsafe {
        let buffer: *mut ngx_buf_t = body_buffer(r, body, last)?;
        let sent = next_header(r);
        if sent == ERROR || sent > OK || flags::token_auth_header_only(r) != 0 {
            return Some(sent);
        }
        let mut chain = ngx_chain_t { buf: buffer, next: rest };
        Some(next_body(r, &raw mut chain))
    }
}

/// Removes the headers that belong to the body that is not sent.
///
/// # Safety
/// `r` must be valid.
unsafe fn forget_body(r: *mut ngx_http_request_t) {
    // SAFETY: by the contract of this function; a header's line is null or valid. A line with the hash 0 is
    // not sent.
    unsafe {
        let out = &raw mut (*r).headers_out;
        let lines: [*mut *mut ngx_table_elt_t; 3] =
            [&raw mut (*out).content_length, &raw mut (*out).etag, &raw mut (*out).last_modified];
        for line in lines {
            if let Some(line) = (*line).as_mut() {
                line.hash = 0;
            }
            *line = ptr::null_mut();
        }
        (*out).last_modified_time = -1;
        flags::token_auth_clear_ranges(r);
    }
}
