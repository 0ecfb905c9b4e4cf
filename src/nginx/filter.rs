//! Answers that the module rewrites: nginx's header and body filters. An answer is held back until its body
//! is complete, then sent with another body, or refused as a whole. nginx's own xslt filter
//! (`ngx_http_xslt_filter_module.c`) does the same.
//!
//! While a body is still coming, nginx's modules need what they keep with the request. So an answer that is
//! refused then gets a page of our own; only at its end nginx is asked for its error page.

use core::cell::Cell;
use core::{ptr, slice};

use ngx::core::Status;
use ngx::ffi::{
    NGX_HTTP_BAD_GATEWAY, NGX_HTTP_HEAD, ngx_buf_t, ngx_chain_t, ngx_http_clean_header,
    ngx_http_filter_finalize_request, ngx_http_output_body_filter_pt,
    ngx_http_output_header_filter_pt, ngx_http_request_t, ngx_http_top_body_filter,
    ngx_http_top_header_filter, ngx_int_t, ngx_table_elt_t, ngx_uint_t, off_t,
};

use super::content::body_buffer;
use super::flags;
use super::guard::guard;
use super::headers::header_list;
use super::held::{Held, State};
use super::kept::Own;
use super::request::Request;
use super::string::{bytes, string};

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

    /// Whether answers are rewritten in the request's location: otherwise nothing else here is called.
    fn rewrites(request: Request<'_>) -> bool;

    /// What to do with an answer whose header is about to be sent.
    fn answer_begins(request: Request<'_>, head: &Head<'_>) -> Plan;

    /// The body to be sent in place of one that was held back; `None` to answer 502.
    fn rewrite(request: Request<'_>, body: Vec<u8>) -> Option<Vec<u8>>;

    /// Called if a body that is held back cannot be rewritten. The answer is 502.
    fn cannot_rewrite(request: Request<'_>, why: Unsent);
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

/// Why an answer that is held back cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// Its body has more bytes than are held.
    TooLarge,
    /// The upstream has not sent its end.
    CutOff,
    /// nginx has not read it into memory.
    NotInMemory,
}

/// What is known of an answer before its body.
pub(crate) struct Head<'r> {
    /// The status that nginx sends.
    pub(crate) status: usize,
    /// The status of the upstream's answer, if this is one: nginx sends another one with an error page.
    pub(crate) upstream_status: usize,
    /// Whether the answer before this one was refused here, so that this is the error page.
    pub(crate) is_error_page: bool,
    /// Whether the request wants no body.
    pub(crate) is_for_head: bool,
    /// The first `Content-Encoding` that is one; empty if there is none.
    pub(crate) encoding: &'r [u8],
    /// The length of the body, in bytes, if it is known.
    pub(crate) length: Option<usize>,
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
    match (taken, held.state) {
        (Ok(true), State::Refused) => Step::Drop,
        (_, State::Refused) => {
            own.hold(Held::refused(r));
            Step::Drop
        }
        (Ok(false), State::Holds(body)) => {
            held.state = State::Holds(body);
            own.hold(held);
            Step::Wait
        }
        (Ok(true), State::Holds(body)) => match R::rewrite(request, body) {
            Some(body) => Step::Send(body),
            None => {
                // The header of the error page comes next.
                own.hold(Held::refused(r));
                Step::Refuse
            }
        },
        (Err(why), State::Holds(_)) => {
            R::cannot_rewrite(request, why);
            own.hold(Held::refused(r));
            if why == Unsent::CutOff { Step::Refuse } else { Step::RefuseMidway }
        }
    }
}

/// Takes over the bytes of the buffers. Returns whether the body is complete.
///
/// # Safety
/// `r` and `chain` must be what nginx passes to a body filter.
unsafe fn take(
    held: &mut Held,
    r: *mut ngx_http_request_t,
    mut chain: *mut ngx_chain_t,
) -> Result<bool, Unsent> {
    let (mut fault, mut is_complete) = (None, false);
    // SAFETY: the links and buffers of the chain are valid, and nothing else uses them during the call. A
    // buffer in memory has its bytes between `pos` and `last`.
    unsafe {
        while let Some(link) = chain.as_ref().filter(|_| !is_complete) {
            let Some(buffer) = link.buf.as_mut() else { break };
            let is_in_memory = buffer.temporary() | buffer.memory() | buffer.mmap() != 0;
            if is_in_memory {
                let len = usize::try_from(buffer.last.offset_from(buffer.pos)).unwrap_or(0);
                if len > 0 && held.append(slice::from_raw_parts(buffer.pos, len)).is_none() {
                    fault = fault.or(Some(Unsent::TooLarge));
                }
            } else if buffer.in_file() != 0 && buffer.file_last > buffer.file_pos {
                fault = fault.or(Some(Unsent::NotInMemory));
            } else if buffer.flush() != 0 && flags::token_auth_upstream_ended(r) != 0 {
                fault = fault.or(Some(Unsent::CutOff));
            }
            // All of it is taken, so that nginx uses the buffer again and goes on reading.
            buffer.pos = buffer.last;
            buffer.file_pos = buffer.file_last;
            is_complete = match ptr::eq(r, (*r).main) {
                true => buffer.last_buf() != 0,
                false => buffer.last_buf() | buffer.last_in_chain() != 0,
            };
            chain = link.next;
        }
    }
    match fault {
        // The end of an answer may be flushed, too.
        Some(Unsent::CutOff) if is_complete => Ok(true),
        Some(why) => Err(why),
        None => Ok(is_complete),
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
        let buffer: *mut ngx_buf_t = body_buffer(r, body)?;
        let sent = next_header(r);
        if sent == ERROR || sent > OK || flags::token_auth_header_only(r) != 0 {
            return Some(sent);
        }
        let mut chain = ngx_chain_t { buf: buffer, next: ptr::null_mut() };
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

impl<'r> Request<'r> {
    /// What is known of the answer before its body.
    fn head(self, is_error_page: bool) -> Head<'r> {
        // SAFETY: the request is valid; the bytes of a header live as long as it. A line with the hash 0 is
        // not sent.
        unsafe {
            let r = self.raw();
            let out = &raw const (*r).headers_out;
            let mut encodings = header_list(&raw const (*out).headers)
                .filter(|line| line.hash != 0)
                .filter(|line| bytes(line.key).eq_ignore_ascii_case(b"Content-Encoding"))
                .map(|line| bytes(line.value))
                .filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity"));
            Head {
                status: (*out).status,
                upstream_status: flags::token_auth_upstream_status(r),
                is_error_page,
                is_for_head: (*r).method & NGX_HTTP_HEAD as ngx_uint_t != 0,
                encoding: encodings.next().unwrap_or_default(),
                length: usize::try_from((*out).content_length_n).ok(),
            }
        }
    }

    /// The status of the answer, as far as it is known.
    pub(crate) fn answer_status(self) -> usize {
        // SAFETY: the request is valid.
        unsafe { (*self.raw()).headers_out.status }
    }
}
