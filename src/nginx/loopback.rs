//! Requests that the module sends to its own nginx. One end of a socket pair is handed to nginx as
//! the connection of an ordinary client; nginx reads, runs, times and closes the request with its
//! usual code. All exceptions for such a request are in this file: it may enter `internal` locations,
//! skips the access phase, is not in the access log, and follows no `X-Accel-Redirect`.

use core::cell::Cell;
use core::{mem, ptr};
use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ngx::ffi::{
    AF_UNIX, NGX_HTTP_BAD_GATEWAY, NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT, NGX_USE_EPOLL_EVENT,
    ngx_close_connection, ngx_connection_counter, ngx_connection_t,
    ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED,
    ngx_connection_tcp_nopush_e_NGX_TCP_NOPUSH_DISABLED, ngx_create_pool, ngx_current_msec,
    ngx_destroy_pool, ngx_event_actions, ngx_event_flags, ngx_get_connection, ngx_http_addr_conf_t,
    ngx_http_core_access_phase, ngx_http_in_addr_t, ngx_http_init_connection,
    ngx_http_phase_handler_t, ngx_http_port_t, ngx_http_request_t, ngx_int_t, ngx_io,
    ngx_listening_t, ngx_log_t, ngx_palloc, ngx_str_t, ngx_uint_t, sa_family_t, sockaddr_un,
    socklen_t,
};

use super::conf::{core_location, core_main};
use super::flags;
use super::pool::allocate;
use super::server::Server;
use super::string::bytes;

const ERROR: ngx_int_t = ngx::ffi::NGX_ERROR as ngx_int_t;
const DECLINED: ngx_int_t = ngx::ffi::NGX_DECLINED as ngx_int_t;

/// The client address of such requests in logs and variables: nginx shows the same for clients of
/// unix sockets. Only such requests have this pointer, so it identifies them.
static ADDRESS: [u8; 5] = *b"unix:";

/// What nginx expects of the socket that has accepted a connection, and what belongs to the
/// connection.
#[repr(C)]
struct Listener {
    /// First, so that a connection's `listening` also is a pointer to this structure.
    listening: ngx_listening_t,
    port: ngx_http_port_t,
    address: ngx_http_in_addr_t,
    socket_address: sockaddr_un,
    state: Rc<RequestState>,
}

/// What the fetching end of the connection can see of the request at the other end.
pub(super) struct RequestState {
    /// Whether the upstream has sent an `X-Accel-Redirect` that nginx would follow.
    accel_redirect: Cell<bool>,
    /// Whether the upstream has not said where its answer ends.
    unmarked: Cell<bool>,
    /// The request; null before it begins and after it is freed.
    request: Cell<*mut ngx_http_request_t>,
}

impl Default for RequestState {
    fn default() -> Self {
        Self {
            accel_redirect: Cell::new(false),
            unmarked: Cell::new(false),
            request: Cell::new(ptr::null_mut()),
        }
    }
}

impl RequestState {
    /// Whether the upstream has sent an `X-Accel-Redirect` that nginx would follow.
    pub(super) fn has_accel_redirect(&self) -> bool {
        self.accel_redirect.get()
    }

    /// Whether the upstream's answer, which has begun, ends with its connection only. nginx takes such an
    /// answer for complete, whatever has closed the connection, and sends it on in chunks.
    pub(super) fn may_be_cut_off(&self) -> bool {
        self.note_end();
        self.unmarked.get()
    }

    /// Notes whether the upstream says where its answer ends, as long as the request is there.
    fn note_end(&self) {
        // SAFETY: the pointer is null after the request is gone; a request's upstream is as long there.
        unsafe {
            let Some(request) = self.request.get().as_ref() else { return };
            let Some(upstream) = request.upstream.as_ref() else { return };
            // Other protocols have marks of their own.
            let is_http = bytes(upstream.schema).starts_with(b"http");
            let headers = &upstream.headers_in;
            let has_mark = headers.content_length_n >= 0 || headers.chunked() != 0;
            let has_body = !matches!(headers.status_n, 204 | 304);
            self.unmarked.set(is_http && !has_mark && has_body);
        }
    }

    /// Whether nginx does more than answer the request, such as a cache update in the background.
    /// nginx would abort that work if the connection were closed.
    pub(super) fn has_other_work(&self) -> bool {
        let request = self.request.get();
        // SAFETY: the pointer is null after the request is gone.
        !request.is_null() && unsafe { flags::token_auth_count(request) } > 1
    }
}

/// Kept in the request's pool: clears the pointer in [`RequestState`] when the request is freed.
struct ClearWhenFreed(Rc<RequestState>);

impl Drop for ClearWhenFreed {
    fn drop(&mut self) {
        // The request and its upstream are in the pool that is about to be freed.
        self.0.note_end();
        self.0.request.set(ptr::null_mut());
    }
}

/// Hands `socket` to nginx as a client's connection to `server`, whatever name the request has in
/// `Host`. nginx may run the request before this returns. False if nginx has no room for the
/// connection.
///
/// To be called between events, never from within a request.
pub(super) fn connect(socket: OwnedFd, server: Server<'_>, state: Rc<RequestState>) -> bool {
    let log = server.log();
    let fd = socket.into_raw_fd();
    // SAFETY: the log is the server's, which lives as long as the configuration; the descriptor is
    // open, non-blocking, and owned here. The rest does what ngx_event_accept does with a descriptor
    // that it has accepted.
    unsafe {
        let connection = ngx_get_connection(fd, log);
        if connection.is_null() {
            drop(OwnedFd::from_raw_fd(fd));
            return false;
        }
        (*connection).type_ = ngx::ffi::__socket_type_SOCK_STREAM as _;
        count_client();
        let pool = ngx_create_pool(server.conf.connection_pool_size, log);
        let listener = match pool.is_null() {
            true => ptr::null_mut(),
            false => allocate(pool, Listener::new(state)),
        };
        if listener.is_null() || !prepare(connection, pool, listener, server) {
            discount_client();
            ngx_close_connection(connection);
            if !pool.is_null() {
                (*pool).log = log;
                ngx_destroy_pool(pool);
            }
            return false;
        }
        // From here on nginx owns the connection, and may have closed it already.
        ngx_http_init_connection(connection);
    }
    true
}

impl Listener {
    fn new(state: Rc<RequestState>) -> Self {
        // SAFETY: zero is a valid value of each of nginx's structures.
        unsafe {
            Self {
                listening: mem::zeroed(),
                port: mem::zeroed(),
                address: mem::zeroed(),
                socket_address: mem::zeroed(),
                state,
            }
        }
    }
}

/// Fills in the same members as ngx_event_accept.
///
/// # Safety
/// `connection` must be new from nginx, `pool` its pool, and `listener` allocated in that pool.
unsafe fn prepare(
    connection: *mut ngx_connection_t,
    pool: *mut ngx::ffi::ngx_pool_t,
    listener: *mut Listener,
    server: Server<'_>,
) -> bool {
    // SAFETY: by the contract of this function. The listener is freed with the pool, which nginx
    // destroys after the connection. The listener points only to itself and to the server's
    // configuration, which lives longer than the worker's connections.
    unsafe {
        let log = ngx_palloc(pool, size_of::<ngx_log_t>()).cast::<ngx_log_t>();
        if log.is_null() {
            return false;
        }
        *log = *server.log();
        (*log).data = ptr::null_mut();
        (*log).handler = None;

        (*listener).socket_address.sun_family = AF_UNIX as sa_family_t;
        (*listener).address.conf = ngx_http_addr_conf_t {
            default_server: ptr::from_ref(server.conf).cast_mut(),
            ..mem::zeroed()
        };
        (*listener).port.naddrs = 1;
        (*listener).port.addrs = (&raw mut (*listener).address).cast();
        let listening = &raw mut (*listener).listening;
        (*listening).fd = -1;
        (*listening).sockaddr = (&raw mut (*listener).socket_address).cast();
        // An address without a path, as sockets of a pair have.
        (*listening).socklen = mem::offset_of!(sockaddr_un, sun_path) as socklen_t;
        (*listening).addr_text =
            ngx_str_t { len: ADDRESS.len(), data: ADDRESS.as_ptr().cast_mut() };
        (*listening).addr_text_max_len = ADDRESS.len();
        (*listening).type_ = (*connection).type_;
        (*listening).handler = Some(ngx_http_init_connection);
        (*listening).servers = (&raw mut (*listener).port).cast();
        (*listening).log = *log;
        (*listening).pool_size = server.conf.connection_pool_size;

        (*connection).pool = pool;
        (*pool).log = log;
        (*connection).log = log;
        (*connection).listening = listening;
        (*connection).sockaddr = (*listening).sockaddr;
        (*connection).socklen = (*listening).socklen;
        (*connection).local_sockaddr = (*listening).sockaddr;
        (*connection).local_socklen = (*listening).socklen;
        (*connection).addr_text = (*listening).addr_text;
        (*connection).recv = ngx_io.recv;
        (*connection).send = ngx_io.send;
        (*connection).recv_chain = ngx_io.recv_chain;
        (*connection).send_chain = ngx_io.send_chain;
        (*connection).set_tcp_nopush(ngx_connection_tcp_nopush_e_NGX_TCP_NOPUSH_DISABLED);
        (*connection).set_tcp_nodelay(ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED);

        let (read, write) = ((*connection).read, (*connection).write);
        (*read).log = log;
        (*write).log = log;
        (*write).set_ready(1);
        // The request has been written already. So the connection counts as ready, as with a deferred
        // accept: it is never idle, and nginx closes it neither when connections run out nor when the
        // worker exits.
        (*read).set_ready(1);
        (*read).available = 1;
        (*connection).number = counter(ngx_connection_counter).fetch_add(1, Ordering::Relaxed) as _;
        (*connection).start_time = ngx_current_msec;

        match ngx_event_actions.add_conn {
            Some(add) if ngx_event_flags & NGX_USE_EPOLL_EVENT as ngx_uint_t == 0 => {
                add(connection) != ERROR
            }
            _ => true,
        }
    }
}

/// A shared counter of nginx.
///
/// # Safety
/// `counter` must point to such a counter.
unsafe fn counter<'a, T>(counter: *mut T) -> &'a AtomicUsize {
    const { assert!(size_of::<T>() == size_of::<AtomicUsize>()) };
    // SAFETY: by the contract of this function; nginx changes it only by atomic operations.
    unsafe { AtomicUsize::from_ptr(counter.cast()) }
}

/// nginx subtracts one from the active connections whenever it closes one. So each has to be counted
/// first, as in ngx_event_accept.
fn count_client() {
    for name in [c"ngx_stat_accepted", c"ngx_stat_active", c"ngx_stat_handled"] {
        if let Some(counter) = stub_status(name) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Does what ngx_close_accepted_connection does with the counter.
fn discount_client() {
    if let Some(counter) = stub_status(c"ngx_stat_active") {
        counter.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A counter of nginx's stub_status. Not every nginx is built with stub_status, so the symbol is
/// looked up at run time.
fn stub_status(name: &core::ffi::CStr) -> Option<&'static AtomicUsize> {
    // SAFETY: the name ends with NUL. The symbol, if there is one, is nginx's variable of type
    // `ngx_atomic_t *`, which is set before workers start.
    unsafe {
        let symbol = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()).cast::<*mut usize>();
        let at = *symbol.as_ref()?;
        (!at.is_null()).then(|| counter(at))
    }
}

/// The listener of the request's connection, if the module has sent the request.
///
/// # Safety
/// `r` must be a request that nginx passes to a hook.
unsafe fn listener_of<'r>(r: *mut ngx_http_request_t) -> Option<&'r Listener> {
    // SAFETY: a request has a connection, whose `listening` is null or valid. A `listening` whose
    // address text is `ADDRESS` is the first member of a listener.
    unsafe {
        let listening = (*(*r).connection).listening;
        let is_own = !listening.is_null() && ptr::eq((*listening).addr_text.data, ADDRESS.as_ptr());
        is_own.then(|| &*listening.cast::<Listener>())
    }
}

/// Handler of the post-read phase: makes the module's own request internal, and keeps it out of the
/// log.
pub(super) unsafe extern "C" fn post_read(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a valid request to a phase handler.
    unsafe {
        if let Some(listener) = listener_of(r) {
            if !allocate((*r).pool, ClearWhenFreed(Rc::clone(&listener.state))).is_null() {
                listener.state.request.set(r);
            }
            flags::token_auth_set_internal(r, 1);
            flags::token_auth_set_logged(r, 1);
        }
    }
    DECLINED
}

/// Handler of both rewrite phases, one of which runs first after every redirect. It ends the module's
/// own request if the upstream redirects it: no access rule would check it there.
pub(super) unsafe extern "C" fn rewrite(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a valid request to a phase handler. A request keeps its last upstream over
    // redirects, with the upstream's headers and configuration.
    unsafe {
        let Some(listener) = listener_of(r) else { return DECLINED };
        let Some(upstream) = (*r).upstream.as_ref() else { return DECLINED };
        let ignored = !upstream.conf.is_null()
            && (*upstream.conf).ignore_headers & NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT as ngx_uint_t
                != 0;
        if upstream.headers_in.x_accel_redirect.is_null() || ignored {
            return DECLINED;
        }
        listener.state.accel_redirect.set(true);
    }
    NGX_HTTP_BAD_GATEWAY as ngx_int_t
}

/// Handler of the pre-access phase: makes the module's own request skip the access phase, as nginx
/// does with subrequests. The request has no client and no credentials; the configuration has chosen
/// its location.
pub(super) unsafe extern "C" fn preaccess(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a valid request to a phase handler. The table of phases ends with a
    // handler that has no checker. `next` of an access handler is the first handler behind all access
    // handlers.
    unsafe {
        if listener_of(r).is_none() {
            return DECLINED;
        }
        if core_location(r).is_some_and(|conf| conf.log_subrequest == 1) {
            flags::token_auth_set_logged(r, 0);
        }
        let Some(main) = core_main(r) else { return DECLINED };
        let handlers = main.phase_engine.handlers;
        let here = usize::try_from((*r).phase_handler).unwrap_or(0);
        let steps = (here..).map(|at| &*handlers.add(at)).take_while(|it| it.checker.is_some());
        if let Some(access) = steps.skip(1).find(|it| is_access(it)) {
            // nginx continues with the handler after this one.
            (*r).phase_handler = (access.next - 1) as ngx_int_t;
        }
    }
    DECLINED
}

fn is_access(handler: &ngx_http_phase_handler_t) -> bool {
    let access: unsafe extern "C" fn(_, _) -> _ = ngx_http_core_access_phase;
    handler.checker.is_some_and(|checker| ptr::fn_addr_eq(checker, access))
}
