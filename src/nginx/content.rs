//! Locations that the module itself answers.

use core::ptr;
use std::borrow::Cow;

use ngx::core::Status;
use ngx::ffi::{
    NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_HTTP_NOT_ALLOWED, ngx_buf_t,
    ngx_chain_t, ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_http_discard_request_body,
    ngx_http_output_filter, ngx_http_request_t, ngx_http_send_header, ngx_int_t, ngx_list_push,
    ngx_pcalloc, ngx_str_t, ngx_table_elt_t, ngx_uint_t, off_t,
};
use ngx::http::HttpModuleConfExt as _;

use super::directive::{ConfError, Result, Setting};
use super::flags;
use super::guard::guard;
use super::level::Level;
use super::pool::allocate;
use super::request::Request;
use super::string::string;

const FAILED: ngx_int_t = NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;

/// What is wrong where two directives of a location answer its requests.
pub(crate) const ANSWERED: &str =
    "has no effect here: another directive of the location answers its requests";

/// What answers the requests of a location.
pub(crate) trait Content: 'static {
    /// The answer to a GET or HEAD request.
    fn answer(request: Request<'_>) -> Reply;
}

/// An answer. nginx leaves its body out for a HEAD request.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    /// Names and values of further headers.
    pub(crate) headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The value of `ETag`, with its quotes: nginx then answers 304 where the client has the same.
    pub(crate) etag: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// 500, without a body.
    pub(crate) fn failed() -> Self {
        let (headers, body) = (Vec::new(), Vec::new());
        Self { status: 500, content_type: "text/plain", headers, etag: None, body }
    }
}

impl Setting<'_> {
    /// Makes `C` answer the requests of the location whose directive this is, unless a later directive of
    /// the location does ([`Level::is_served_by`]).
    pub(crate) fn serve<C: Content>(&self) -> Result {
        // SAFETY: nginx passes a valid structure to a directive of a location, for which the core module
        // keeps a configuration; nothing else refers to it during the call.
        let location = unsafe {
            let core = &*ptr::addr_of!(ngx_http_core_module);
            (*self.cf.as_ptr())
                .http_location_conf_unchecked::<ngx_http_core_loc_conf_t>(core)
                .map(|mut location| location.as_mut())
        };
        let Some(location) = location else { return Err(ConfError::Logged) };
        if location.handler.is_some() {
            return Err(ConfError::mistake(ANSWERED));
        }
        location.handler = Some(handler::<C>);
        Ok(())
    }
}

impl Level<'_> {
    /// Whether `C` answers the requests of the location, and not what a later directive has set.
    pub(crate) fn is_served_by<C: Content>(&self) -> bool {
        let answers: unsafe extern "C" fn(_) -> _ = handler::<C>;
        self.core.handler.is_some_and(|found| ptr::fn_addr_eq(found, answers))
    }
}

/// The handler of the location (as `ngx_http_stub_status_handler`).
unsafe extern "C" fn handler<C: Content>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a valid request to a content handler, for the time of the call.
    let Some(request) = (unsafe { Request::new(r) }) else { return FAILED };
    guard(request.log(), FAILED, || {
        // SAFETY: as above.
        unsafe {
            if (*r).method & (NGX_HTTP_GET | NGX_HTTP_HEAD) as ngx_uint_t == 0 {
                return NGX_HTTP_NOT_ALLOWED as ngx_int_t;
            }
            let discarded = ngx_http_discard_request_body(r);
            if discarded != Status::NGX_OK.0 {
                return discarded;
            }
            send(request, C::answer(request)).unwrap_or(FAILED)
        }
    })
}

/// Sends an answer; `None` when out of memory.
///
/// # Safety
/// The request must be what nginx has passed to a content handler.
unsafe fn send(request: Request<'_>, reply: Reply) -> Option<ngx_int_t> {
    let Reply { status, content_type, headers, etag, body } = reply;
    let r = request.raw();
    // SAFETY: the request and its pool are valid. The pool owns the body, which nginx only reads, and all
    // other texts are copied into it or are static.
    unsafe {
        let out = &raw mut (*r).headers_out;
        (*out).status = ngx_uint_t::from(status);
        (*out).content_type = string(content_type.as_bytes());
        (*out).content_type_len = content_type.len();
        (*out).content_type_lowcase = ptr::null_mut();
        (*out).content_length_n = off_t::try_from(body.len()).ok()?;
        for (name, value) in headers {
            add_header(r, string(name.as_bytes()), request.copy(value.as_bytes())?)?;
        }
        if let Some(etag) = etag {
            (*out).etag = add_header(r, string(b"ETag"), request.copy(etag.as_bytes())?)?;
        }
        let sent = ngx_http_send_header(r);
        let done = sent == Status::NGX_ERROR.0 || sent > Status::NGX_OK.0;
        if done || flags::token_auth_header_only(r) != 0 {
            return Some(sent);
        }
        let buffer = body_buffer(r, body, Last::Yes)?;
        let mut chain = ngx_chain_t { buf: buffer, next: ptr::null_mut() };
        Some(ngx_http_output_filter(r, &raw mut chain))
    }
}

/// Whether a buffer is the last one of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Yes,
    /// More may follow; what there is so far is sent at once.
    No,
}

/// A buffer of an answer, with this body, which the request's pool owns from now on. `None` when out of
/// memory.
///
/// # Safety
/// `r` must be valid.
pub(super) unsafe fn body_buffer(
    r: *mut ngx_http_request_t,
    body: Vec<u8>,
    last: Last,
) -> Option<*mut ngx_buf_t> {
    // SAFETY: by the contract of this function. nginx's structure is zeroed, which is valid for it.
    unsafe {
        let body = allocate((*r).pool, body).as_mut()?;
        let buffer = ngx_pcalloc((*r).pool, size_of::<ngx_buf_t>()).cast::<ngx_buf_t>().as_mut()?;
        let range = body.as_mut_ptr_range();
        (buffer.start, buffer.pos) = (range.start, range.start);
        (buffer.end, buffer.last) = (range.end, range.end);
        let is_main = ptr::eq(r, (*r).main);
        buffer.set_memory(u32::from(!body.is_empty()));
        if last == Last::No {
            buffer.set_flush(1);
            return Some(buffer);
        }
        buffer.set_last_buf(u32::from(is_main));
        // nginx takes a buffer with nothing in it and no purpose for a mistake.
        buffer.set_sync(u32::from(body.is_empty() && !is_main));
        buffer.set_last_in_chain(1);
        Some(buffer)
    }
}

/// # Safety
/// `r` must be valid, and the strings must live as long as the request.
pub(super) unsafe fn add_header(
    r: *mut ngx_http_request_t,
    name: ngx_str_t,
    value: ngx_str_t,
) -> Option<*mut ngx_table_elt_t> {
    // SAFETY: by the contract of this function. The new element is zeroed first, since `next` exists only
    // from nginx 1.23 on.
    unsafe {
        let headers = &raw mut (*r).headers_out.headers;
        let line = ngx_list_push(headers).cast::<ngx_table_elt_t>();
        if line.is_null() {
            return None;
        }
        line.write_bytes(0, 1);
        (*line).hash = 1;
        (*line).key = name;
        (*line).value = value;
        Some(line)
    }
}
