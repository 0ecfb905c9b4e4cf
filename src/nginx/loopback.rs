//! The module's own requests to its own nginx: one end of a socket pair is handed to nginx as the
//! connection of an ordinary client, and nginx opens, runs, times and closes a request on it by its
//! own code. What is special about such a request is all here: it may enter `internal` locations,
//! passes the access phase, is not in the access log, and follows no `X-Accel-Redirect`.

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

const ERROR: ngx_int_t = ngx::ffi::NGX_ERROR as ngx_int_t;
const DECLINED: ngx_int_t = ngx::ffi::NGX_DECLINED as ngx_int_t;

/// What clients of this kind are called in logs and variables, as nginx calls those of unix
/// sockets. Its address, which nothing else has, tells them from all others.
static ADDRESS: [u8; 5] = *b"unix:";

/// What nginx asks of the socket that a connection came by, and what goes with the connection.
#[repr(C)]
struct Front {
    /// First, so that a connection's `listening` is a pointer to this.
    listening: ngx_listening_t,
    port: ngx_http_port_t,
    address: ngx_http_in_addr_t,
    socket_address: sockaddr_un,
    told: Rc<Told>,
}

/// What the one end is told of the request at the other.
pub(super) struct Told {
    /// Whether the upstream has tried to lead the request elsewhere.
    led_astray: Cell<bool>,
    /// The request, as long as there is one.
    request: Cell<*mut ngx_http_request_t>,
}

impl Default for Told {
    fn default() -> Self {
        Self { led_astray: Cell::new(false), request: Cell::new(ptr::null_mut()) }
    }
}

impl Told {
    /// Whether the upstream has tried to lead the request elsewhere.
    pub(super) fn is_led_astray(&self) -> bool {
        self.led_astray.get()
    }

    /// Whether nginx does something beside answering the request, such as an update of its cache in the
    /// background, which it would give up with the connection.
    pub(super) fn is_at_work(&self) -> bool {
        let request = self.request.get();
        // SAFETY: the pointer is null once the request is gone.
        !request.is_null() && unsafe { flags::token_auth_count(request) } > 1
    }
}

/// In the request's pool: has [`Told`] know that the request is gone.
struct UntilGone(Rc<Told>);

impl Drop for UntilGone {
    fn drop(&mut self) {
        self.0.request.set(ptr::null_mut());
    }
}

/// Hands `socket` to nginx as a client's connection to `server`, whatever name its request asks
/// for. nginx may run the request before this returns. `led_astray` is set should the upstream send
/// an `X-Accel-Redirect`. False when nginx has no room for it.
///
/// To be called between events, not from within a request.
pub(super) fn connect(socket: OwnedFd, server: Server<'_>, told: Rc<Told>) -> bool {
    let log = server.log();
    let fd = socket.into_raw_fd();
    // SAFETY: the log is the server's, which lives as long as the configuration; the descriptor is
    // open, not blocking, and nobody else's. What follows is what ngx_event_accept does with a
    // descriptor that it has accepted.
    unsafe {
        let connection = ngx_get_connection(fd, log);
        if connection.is_null() {
            drop(OwnedFd::from_raw_fd(fd));
            return false;
        }
        (*connection).type_ = ngx::ffi::__socket_type_SOCK_STREAM as _;
        count_client();
        let pool = ngx_create_pool(server.conf.connection_pool_size, log);
        let front = match pool.is_null() {
            true => ptr::null_mut(),
            false => allocate(pool, Front::new(told)),
        };
        if front.is_null() || !prepare(connection, pool, front, server) {
            discount_client();
            ngx_close_connection(connection);
            if !pool.is_null() {
                (*pool).log = log;
                ngx_destroy_pool(pool);
            }
            return false;
        }
        // The connection is nginx's from here on, and may be gone already.
        ngx_http_init_connection(connection);
    }
    true
}

impl Front {
    fn new(told: Rc<Told>) -> Self {
        // SAFETY: zero is a valid value of each of nginx's structures.
        unsafe {
            Self {
                listening: mem::zeroed(),
                port: mem::zeroed(),
                address: mem::zeroed(),
                socket_address: mem::zeroed(),
                told,
            }
        }
    }
}

/// Fills in what ngx_event_accept fills in.
///
/// # Safety
/// `connection` must be fresh from nginx, `pool` its pool, and `front` allocated there.
unsafe fn prepare(
    connection: *mut ngx_connection_t,
    pool: *mut ngx::ffi::ngx_pool_t,
    front: *mut Front,
    server: Server<'_>,
) -> bool {
    // SAFETY: by the contract of this function. The front is freed with the pool, which nginx
    // destroys after the connection; its pointers are to itself or to the server's configuration,
    // which outlives the worker's connections.
    unsafe {
        let log = ngx_palloc(pool, size_of::<ngx_log_t>()).cast::<ngx_log_t>();
        if log.is_null() {
            return false;
        }
        *log = *server.log();
        (*log).data = ptr::null_mut();
        (*log).handler = None;

        (*front).socket_address.sun_family = AF_UNIX as sa_family_t;
        (*front).address.conf = ngx_http_addr_conf_t {
            default_server: ptr::from_ref(server.conf).cast_mut(),
            ..mem::zeroed()
        };
        (*front).port.naddrs = 1;
        (*front).port.addrs = (&raw mut (*front).address).cast();
        let listening = &raw mut (*front).listening;
        (*listening).fd = -1;
        (*listening).sockaddr = (&raw mut (*front).socket_address).cast();
        // A socket without a path, as the unnamed ones of a pair are.
        (*listening).socklen = mem::offset_of!(sockaddr_un, sun_path) as socklen_t;
        (*listening).addr_text =
            ngx_str_t { len: ADDRESS.len(), data: ADDRESS.as_ptr().cast_mut() };
        (*listening).addr_text_max_len = ADDRESS.len();
        (*listening).type_ = (*connection).type_;
        (*listening).handler = Some(ngx_http_init_connection);
        (*listening).servers = (&raw mut (*front).port).cast();
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
        // The request has been written already: as with a deferred accept, so that the connection
        // is never idle, and nginx closes it neither for want of others nor on its way out.
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

/// One of nginx's shared counters.
///
/// # Safety
/// `counter` must point to one.
unsafe fn counter<'a, T>(counter: *mut T) -> &'a AtomicUsize {
    const { assert!(size_of::<T>() == size_of::<AtomicUsize>()) };
    // SAFETY: by the contract of this function; nginx changes it by atomic operations only.
    unsafe { AtomicUsize::from_ptr(counter.cast()) }
}

/// nginx takes one off the number of active connections whenever it closes one, so each has to be
/// counted first, as ngx_event_accept does.
fn count_client() {
    for name in [c"ngx_stat_accepted", c"ngx_stat_active", c"ngx_stat_handled"] {
        if let Some(counter) = stub_status(name) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What ngx_close_accepted_connection does.
fn discount_client() {
    if let Some(counter) = stub_status(c"ngx_stat_active") {
        counter.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A counter of nginx's stub_status, which not every nginx is built with: so it is looked for at
/// run time.
fn stub_status(name: &core::ffi::CStr) -> Option<&'static AtomicUsize> {
    // SAFETY: the name ends with NUL; the symbol, where there is one, is nginx's variable of type
    // `ngx_atomic_t *`, set before workers start.
    unsafe {
        let symbol = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()).cast::<*mut usize>();
        let at = *symbol.as_ref()?;
        (!at.is_null()).then(|| counter(at))
    }
}

/// What goes with the request's connection, if it is one of the module's own.
///
/// # Safety
/// `r` must be a request that nginx passes to a hook.
unsafe fn front_of<'r>(r: *mut ngx_http_request_t) -> Option<&'r Front> {
    // SAFETY: a request has a connection; `listening` is null or valid, and one with that very
    // address text is the first member of a front.
    unsafe {
        let listening = (*(*r).connection).listening;
        let is_own = !listening.is_null() && ptr::eq((*listening).addr_text.data, ADDRESS.as_ptr());
        is_own.then(|| &*listening.cast::<Front>())
    }
}

/// Handler of the post-read phase: makes an own request an internal one, which is not logged.
pub(super) unsafe extern "C" fn post_read(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a valid request to a phase handler.
    unsafe {
        if let Some(front) = front_of(r) {
            if !allocate((*r).pool, UntilGone(Rc::clone(&front.told))).is_null() {
                front.told.request.set(r);
            }
            flags::token_auth_set_internal(r, 1);
            flags::token_auth_set_logged(r, 1);
        }
    }
    DECLINED
}

/// Handler of both rewrite phases, one of which comes first after every redirect: ends an own request
/// that its upstream leads elsewhere, where no access rule would hold it up.
pub(super) unsafe extern "C" fn rewrite(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a valid request to a phase handler; the last upstream of a request stays
    // with it over redirects, with its headers and configuration.
    unsafe {
        let Some(front) = front_of(r) else { return DECLINED };
        let Some(upstream) = (*r).upstream.as_ref() else { return DECLINED };
        let ignored = !upstream.conf.is_null()
            && (*upstream.conf).ignore_headers & NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT as ngx_uint_t
                != 0;
        if upstream.headers_in.x_accel_redirect.is_null() || ignored {
            return DECLINED;
        }
        front.told.led_astray.set(true);
    }
    NGX_HTTP_BAD_GATEWAY as ngx_int_t
}

/// Handler of the pre-access phase: sends an own request past the access phase, as nginx does with
/// subrequests. It comes from nowhere and has no credentials; its location is the configuration's
/// choice.
pub(super) unsafe extern "C" fn preaccess(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a valid request to a phase handler; the table of phases ends with a
    // handler without a checker, and each access handler names the first that is behind them all.
    unsafe {
        if front_of(r).is_none() {
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
            // nginx goes on with the handler after this one.
            (*r).phase_handler = (access.next - 1) as ngx_int_t;
        }
    }
    DECLINED
}

fn is_access(handler: &ngx_http_phase_handler_t) -> bool {
    let access: unsafe extern "C" fn(_, _) -> _ = ngx_http_core_access_phase;
    handler.checker.is_some_and(|checker| ptr::fn_addr_eq(checker, access))
}
