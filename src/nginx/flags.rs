//! Flags and counters of a request, accessed by C code (`request_flags.c`).

use ngx::ffi::{ngx_http_request_t, ngx_uint_t};

// SAFETY: the functions are defined in request_flags.c, with these types. Each needs a valid request.
unsafe extern "C" {
    pub(super) fn token_auth_internal(r: *mut ngx_http_request_t) -> ngx_uint_t;
    pub(super) fn token_auth_set_internal(r: *mut ngx_http_request_t, internal: ngx_uint_t);
    pub(super) fn token_auth_set_logged(r: *mut ngx_http_request_t, logged: ngx_uint_t);
    pub(super) fn token_auth_filter_finalize(r: *mut ngx_http_request_t) -> ngx_uint_t;
    pub(super) fn token_auth_uri_changes(r: *mut ngx_http_request_t) -> ngx_uint_t;
    pub(super) fn token_auth_header_only(r: *mut ngx_http_request_t) -> ngx_uint_t;
    pub(super) fn token_auth_need_in_memory(r: *mut ngx_http_request_t);
    pub(super) fn token_auth_clear_ranges(r: *mut ngx_http_request_t);
    pub(super) fn token_auth_forget_caching(r: *mut ngx_http_request_t);
    pub(super) fn token_auth_close_after(r: *mut ngx_http_request_t);
    pub(super) fn token_auth_answer_with_header(r: *mut ngx_http_request_t);
    pub(super) fn token_auth_upstream_status(r: *mut ngx_http_request_t) -> ngx_uint_t;
    pub(super) fn token_auth_upstream_ended(r: *mut ngx_http_request_t) -> ngx_uint_t;
    pub(super) fn token_auth_count(r: *mut ngx_http_request_t) -> ngx_uint_t;
}
