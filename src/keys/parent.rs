//! The parent of a fetch's subrequest: a request of the module's own, with a connection that has no
//! socket, made as nginx makes those of its clients.

use ngx::ffi::{
    NGX_HTTP_GET, NGX_HTTP_MAX_SUBREQUESTS, NGX_HTTP_MAX_URI_CHANGES, NGX_HTTP_MODULE,
    NGX_HTTP_VERSION_11, NGX_USE_CLEAR_EVENT, ngx_connection_t,
    ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED, ngx_event_flags, ngx_event_t,
    ngx_http_block_reading, ngx_http_connection_t, ngx_http_core_get_method,
    ngx_http_core_srv_conf_t, ngx_http_log_ctx_t, ngx_http_max_module, ngx_http_post_subrequest_t,
    ngx_http_request_t, ngx_list_t, ngx_log_t, ngx_palloc, ngx_pcalloc, ngx_pool_t,
    ngx_table_elt_t, ngx_uint_t, sockaddr, time_t, u_char,
};

use crate::nginx;

/// References to the parent request beside the subrequest's: more than nginx ever gives back, so
/// that it is ended by the fetch and by nothing else.
pub(super) const REFERENCES: u32 = 2;

/// A request with all that nginx wants of one.
///
/// The fetch begins with it, so that a pointer to the request is a pointer to the fetch.
#[repr(C)]
pub(super) struct Parent {
    pub(super) main: ngx_http_request_t,
    pub(super) connection: ngx_connection_t,
    pub(super) read: ngx_event_t,
    pub(super) write: ngx_event_t,
    /// Begins the fetch, ends it when it takes too long, and clears away what is left.
    pub(super) event: ngx_event_t,
    pub(super) http: ngx_http_connection_t,
    pub(super) address: sockaddr,
    pub(super) log: ngx_log_t,
    pub(super) log_context: ngx_http_log_ctx_t,
    pub(super) post: ngx_http_post_subrequest_t,
}

/// What nginx calls for the parent.
pub(super) struct Hooks {
    /// When the subrequest is done.
    pub(super) finished: unsafe extern "C" fn(*mut ngx_http_request_t),
    /// On an event of the connection.
    pub(super) on_connection: unsafe extern "C" fn(*mut ngx_event_t),
    /// On the event of its own.
    pub(super) on_event: unsafe extern "C" fn(*mut ngx_event_t),
    /// For what is to be added to a message in the log.
    pub(super) describe: unsafe extern "C" fn(*mut ngx_log_t, *mut u_char, usize) -> *mut u_char,
}

impl Parent {
    /// Fills in what nginx wants of a request and its connection; `None` when out of memory.
    ///
    /// # Safety
    /// `parent` must be zeroed but for its log, at its final place and in `pool`; what is behind it
    /// must be what `hooks` take it for.
    pub(super) unsafe fn prepare(
        parent: *mut Self,
        pool: *mut ngx_pool_t,
        server: &ngx_http_core_srv_conf_t,
        hooks: &Hooks,
    ) -> Option<()> {
        // SAFETY: by the contract of this function; each pointer is to a part of the parent or into
        // its pool, or to the server's configuration, which outlives both.
        unsafe {
            Self::prepare_connection(parent, pool, hooks);
            (*parent).http.conf_ctx = server.ctx;
            let main = &raw mut (*parent).main;
            // As ngx_http_alloc_request does.
            (*main).signature = NGX_HTTP_MODULE;
            (*main).connection = &raw mut (*parent).connection;
            (*main).http_connection = &raw mut (*parent).http;
            (*main).main_conf = (*server.ctx).main_conf;
            (*main).srv_conf = (*server.ctx).srv_conf;
            (*main).loc_conf = (*server.ctx).loc_conf;
            (*main).pool = pool;
            init_list(&raw mut (*main).headers_in.headers, pool)?;
            init_list(&raw mut (*main).headers_out.headers, pool)?;
            init_list(&raw mut (*main).headers_out.trailers, pool)?;
            (*main).ctx = zeroed_array(pool, ngx_http_max_module)?;
            let variables = nginx::core_main_conf(main)?.variables.nelts;
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
            (*main).write_event_handler = Some(hooks.finished);
        }
        Some(())
    }

    /// # Safety
    /// As [`Parent::prepare`].
    unsafe fn prepare_connection(parent: *mut Self, pool: *mut ngx_pool_t, hooks: &Hooks) {
        // SAFETY: by the contract of this function.
        unsafe {
            let log = &raw mut (*parent).log;
            (*parent).log_context.connection = &raw mut (*parent).connection;
            (*parent).log_context.request = &raw mut (*parent).main;
            (*log).handler = Some(hooks.describe);
            (*log).data = (&raw mut (*parent).log_context).cast();
            (*log).action = c"fetching keys".as_ptr().cast_mut().cast();
            (*pool).log = log;

            let connection = &raw mut (*parent).connection;
            // Not ready to be read, ready to be written to, and known to the event module already,
            // if it is of the kind that adds a descriptor once: it must never be given this one.
            let adds_once = ngx_event_flags & NGX_USE_CLEAR_EVENT as ngx_uint_t != 0;
            for event in [&raw mut (*parent).read, &raw mut (*parent).write] {
                (*event).data = connection.cast();
                (*event).log = log;
                (*event).handler = Some(hooks.on_connection);
            }
            (*parent).read.set_active(1);
            (*parent).write.set_active(u32::from(adds_once));
            (*parent).write.set_ready(1);
            (*parent).write.set_write(1);
            (*parent).event.data = parent.cast();
            (*parent).event.log = log;
            (*parent).event.handler = Some(hooks.on_event);

            (*parent).address.sa_family = ngx::ffi::AF_UNIX as _;
            (*connection).data = parent.cast();
            (*connection).read = &raw mut (*parent).read;
            (*connection).write = &raw mut (*parent).write;
            (*connection).fd = -1;
            (*connection).log = log;
            (*connection).pool = pool;
            (*connection).sockaddr = &raw mut (*parent).address;
            (*connection).socklen = size_of::<ngx::ffi::sa_family_t>() as _;
            (*connection).local_sockaddr = (*connection).sockaddr;
            (*connection).local_socklen = (*connection).socklen;
            (*connection).addr_text = ngx::ngx_string!("unix:");
            // nginx sets no options of a socket that is not there.
            (*connection).set_tcp_nodelay(ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED);
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
