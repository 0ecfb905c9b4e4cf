/*
 * The flags and counters of a request that the module reads or sets. In recent nginx (1.31.5, not yet
 * 1.28.3) they begin in the middle of a word, and the bindings that bindgen makes then take those behind
 * the first words to be two bits before where the C compiler has put them: so the C compiler is asked.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN ngx_uint_t
token_auth_internal(ngx_http_request_t *r)
{
    return r->internal;
}

HIDDEN void
token_auth_set_internal(ngx_http_request_t *r, ngx_uint_t internal)
{
    r->internal = internal;
}

HIDDEN void
token_auth_set_logged(ngx_http_request_t *r, ngx_uint_t logged)
{
    r->logged = logged;
}

HIDDEN ngx_uint_t
token_auth_filter_finalize(ngx_http_request_t *r)
{
    return r->filter_finalize;
}

HIDDEN ngx_uint_t
token_auth_uri_changes(ngx_http_request_t *r)
{
    return r->uri_changes;
}

HIDDEN ngx_uint_t
token_auth_header_only(ngx_http_request_t *r)
{
    return r->header_only;
}

HIDDEN ngx_uint_t
token_auth_count(ngx_http_request_t *r)
{
    return r->main->count;
}

HIDDEN void
token_auth_need_in_memory(ngx_http_request_t *r)
{
    r->filter_need_in_memory = 1;
}

HIDDEN void
token_auth_clear_ranges(ngx_http_request_t *r)
{
    ngx_http_clear_accept_ranges(r);
}

/* The lines that these point to are not sent any more. From 1.23.0 on Cache-Control is a list, not an array. */
HIDDEN void
token_auth_forget_caching(ngx_http_request_t *r)
{
    r->headers_out.expires = NULL;
#if (nginx_version >= 1023000)
    r->headers_out.cache_control = NULL;
#else
    ngx_memzero(&r->headers_out.cache_control, sizeof(ngx_array_t));
#endif
}

HIDDEN void
token_auth_close_after(ngx_http_request_t *r)
{
    r->keepalive = 0;
}

/* nginx takes what has no status line for an answer of HTTP/0.9, and would then send no header itself. */
HIDDEN void
token_auth_answer_with_header(ngx_http_request_t *r)
{
    if (r->http_version < NGX_HTTP_VERSION_10) {
        r->http_version = NGX_HTTP_VERSION_10;
    }
}

/* The status of an upstream's answer whose header has not been sent yet; 0 if there is none. */
HIDDEN ngx_uint_t
token_auth_upstream_status(ngx_http_request_t *r)
{
    return r->upstream != NULL && !r->upstream->header_sent ? r->upstream->headers_in.status_n : 0;
}

/* Whether the upstream's answer is over: nginx then flushes what it has, also if an end is missing. */
HIDDEN ngx_uint_t
token_auth_upstream_ended(ngx_http_request_t *r)
{
    return r->upstream != NULL && r->upstream->header_sent && r->upstream->cleanup == NULL;
}
