//! The only reader of nginx's request: lends the access check and the variables what they need.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::{ptr, slice};

use ngx::ffi::{
    NGX_HTTP_SATISFY_ANY, NGX_LOG_ERR, NGX_LOG_INFO, NGX_OK, ngx_add_timer, ngx_del_timer,
    ngx_handle_read_event, ngx_http_block_reading, ngx_http_complex_value,
    ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_http_core_run_phases,
    ngx_http_core_srv_conf_t, ngx_http_request_t, ngx_http_test_reading, ngx_int_t, ngx_list_push,
    ngx_log_t, ngx_pnalloc, ngx_str_t, ngx_table_elt_t, ngx_time, ngx_uint_t,
};
use ngx::http::HttpModuleConfExt as _;
use token::credential::is_header;

use crate::conf::{LocationConf, MainConf};
use crate::ffi::{self, ComplexValue};
use crate::nginx::{self, Server, Waker, header_list};
use crate::state::{Place, State};

/// A request, for the time of one call from nginx.
#[derive(Clone, Copy)]
pub(crate) struct Request<'r> {
    raw: NonNull<ngx_http_request_t>,
    lives: PhantomData<&'r ngx_http_request_t>,
}

impl<'r> Request<'r> {
    /// # Safety
    /// `raw` must be a request that nginx passes to a hook, and `'r` must end with that call.
    pub(crate) unsafe fn new(raw: *mut ngx_http_request_t) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { raw, lives: PhantomData })
    }

    pub(crate) fn log(self) -> *mut ngx_log_t {
        // SAFETY: a request always has a connection with a log.
        unsafe { (*(*self.raw.as_ptr()).connection).log }
    }

    /// What the location that serves the request now is configured with.
    pub(crate) fn conf(self) -> &'r LocationConf {
        // SAFETY: `create_location_conf` made the module's configuration of every location, of
        // this type, and nginx frees none while a request uses it.
        unsafe {
            let conf = *(*self.raw.as_ptr()).loc_conf.add(crate::module().ctx_index);
            &*conf.cast::<LocationConf>()
        }
    }

    /// What the `http` block is configured with.
    pub(crate) fn main_conf(self) -> &'r MainConf {
        // SAFETY: `create_main_conf` made it, of this type; only shared references are ever made.
        unsafe {
            let conf = *(*self.raw.as_ptr()).main_conf.add(crate::module().ctx_index);
            &*conf.cast::<MainConf>()
        }
    }

    fn core_conf(self) -> Option<&'r ngx_http_core_loc_conf_t> {
        // SAFETY: the core module keeps a structure of this type for every location.
        unsafe {
            let module = &*ptr::addr_of!(ngx_http_core_module);
            let conf = (*self.raw.as_ptr()).http_location_conf_unchecked(module);
            conf.map(|conf| conf.as_ref())
        }
    }

    /// The location's name, or regular expression, or `@name`.
    pub(crate) fn location_name(self) -> &'r [u8] {
        // SAFETY: the name lives as long as the configuration.
        self.core_conf().map(|conf| unsafe { ffi::bytes(conf.name) }).unwrap_or_default()
    }

    /// Whether the location says `satisfy any`.
    pub(crate) fn satisfies_any(self) -> bool {
        self.core_conf().is_some_and(|conf| conf.satisfy == NGX_HTTP_SATISFY_ANY as ngx_uint_t)
    }

    /// Seconds since the epoch, as nginx last looked at the clock.
    #[allow(clippy::unused_self)] // the time of a request
    pub(crate) fn now(self) -> i64 {
        ngx_time()
    }

    /// Milliseconds of a clock that only goes forward and that all workers share.
    #[allow(clippy::unused_self)] // the time of a request
    pub(crate) fn clock(self) -> u64 {
        nginx::clock()
    }

    /// The server that serves the request.
    pub(crate) fn server(self) -> Server<'r> {
        // SAFETY: the core module keeps a structure of this type for every server.
        unsafe {
            let servers = (*self.raw.as_ptr()).srv_conf;
            let conf = *servers.add((*ptr::addr_of!(ngx_http_core_module)).ctx_index);
            Server { conf: &*conf.cast::<ngx_http_core_srv_conf_t>() }
        }
    }

    /// The path, decoded and normalised (`$uri`).
    pub(crate) fn uri(self) -> &'r [u8] {
        // SAFETY: nginx replaces the string at a redirect but keeps its bytes in the pool.
        unsafe { ffi::bytes((*self.raw.as_ptr()).uri) }
    }

    /// The query string, as it came (`$args`).
    pub(crate) fn query(self) -> &'r [u8] {
        // SAFETY: as in `uri`.
        unsafe { ffi::bytes((*self.raw.as_ptr()).args) }
    }

    /// Where the request stands now.
    pub(crate) fn place(self) -> Place {
        // SAFETY: the request is valid; the counter is one of its bit fields.
        let changes = unsafe { (*self.raw.as_ptr()).uri_changes() };
        Place { changes, uri: self.uri(), args: self.query() }
    }

    /// The values of every header line called `name`, in whatever spelling of it that some readers
    /// take for the same.
    pub(crate) fn header_lines(self, name: &'r [u8]) -> impl Iterator<Item = &'r [u8]> {
        // SAFETY: nginx has filled the list before any phase, and does not change it.
        unsafe { header_list::<'r>(&raw const (*self.raw.as_ptr()).headers_in.headers) }
            .filter(move |line| {
                if line.key.len != name.len() || line.lowcase_key.is_null() {
                    return false;
                }
                // SAFETY: nginx sets the lower-case name of every client header, of the length of
                // its name; of one that another module has added it may be null.
                let found = unsafe { slice::from_raw_parts(line.lowcase_key, line.key.len) };
                is_header(found, name)
            })
            // SAFETY: a header's value lives as long as the request.
            .map(|line| unsafe { ffi::bytes(line.value) })
    }

    /// Evaluates a value with variables; `None` when out of memory.
    pub(crate) fn evaluate(self, value: &ComplexValue) -> Option<&'r [u8]> {
        let mut result = ngx_str_t { len: 0, data: ptr::null_mut() };
        // SAFETY: the value was compiled for a configuration that the request uses; the result is
        // in the request's pool or the configuration's.
        unsafe {
            let rc = ngx_http_complex_value(self.raw.as_ptr(), value.0.as_ptr(), &raw mut result);
            (rc == NGX_OK as ngx_int_t).then(|| ffi::bytes(result))
        }
    }

    /// The module's state of this request, shared by its subrequests and kept over internal
    /// redirects; `None` when out of memory.
    ///
    /// nginx clears a module's context at an internal redirect; as its realip module does, the
    /// state is then found among the pool's cleanups.
    pub(crate) fn state(self) -> Option<&'r State> {
        if let Some(state) = self.existing_state() {
            return Some(state);
        }
        // SAFETY: the main request outlives its subrequests and shares its pool with them; the
        // context slot is ours alone. Nothing frees the state before the request ends, and only
        // shared references to it are ever made.
        unsafe {
            let main = (*self.raw.as_ptr()).main;
            let state: *mut State = ffi::allocate((*main).pool, State::default());
            *(*main).ctx.add(crate::module().ctx_index) = state.cast();
            state.as_ref()
        }
    }

    /// The state, if there is one.
    pub(crate) fn existing_state(self) -> Option<&'r State> {
        // SAFETY: as in `state`; the slot holds null or what `state` has put there.
        unsafe {
            let main = (*self.raw.as_ptr()).main;
            let slot = (*main).ctx.add(crate::module().ctx_index);
            if (*slot).is_null() && ((*main).internal() != 0 || (*main).filter_finalize() != 0) {
                *slot = ffi::find::<State>((*(*main).pool).cleanup).cast();
            }
            (*slot).cast::<State>().as_ref()
        }
    }

    /// Writes a line to the error log at level `info`.
    pub(crate) fn log_info(self, message: core::fmt::Arguments<'_>) {
        self.write_log(NGX_LOG_INFO, message);
    }

    /// Writes a line to the error log at level `error`.
    pub(crate) fn log_error(self, message: core::fmt::Arguments<'_>) {
        self.write_log(NGX_LOG_ERR, message);
    }

    /// Not through the connection's log handler, which would add the request line: its query may
    /// hold a token or a signature.
    fn write_log(self, level: u32, message: core::fmt::Arguments<'_>) {
        // SAFETY: the log is valid; the copy keeps its files and number and drops the handler.
        let mut log = unsafe { *self.log() };
        log.handler = None;
        let log = &raw mut log;
        // SAFETY: a connection's address text lives as long as the connection.
        let client = unsafe { ffi::bytes((*(*self.raw.as_ptr()).connection).addr_text) };
        // SAFETY: the method's name is a part of the request's buffer or a static.
        let method = unsafe { ffi::bytes((*self.raw.as_ptr()).method_name) };
        ngx::ngx_log_error!(
            level,
            log,
            "{message}, location \"{}\", client: {}, request: \"{} {}\"",
            self.location_name().escape_ascii(),
            client.escape_ascii(),
            method.escape_ascii(),
            self.uri().escape_ascii()
        );
    }

    /// What wakes the request while it waits.
    pub(crate) fn waker(self) -> Waker {
        // SAFETY: a connection always has its write event.
        unsafe { Waker(NonNull::new_unchecked((*(*self.raw.as_ptr()).connection).write)) }
    }

    /// Has nginx hold the request in the access phase until it is woken, or for `poll`
    /// milliseconds; `None` when it cannot. As nginx's limit_req module does.
    pub(crate) fn hold(self, poll: Option<usize>) -> Option<()> {
        // SAFETY: the request and its connection's events are valid. nginx runs the phases again
        // on any event, and this one again asks whether there still is something to wait for.
        unsafe {
            let r = self.raw.as_ptr();
            let connection = (*r).connection;
            if ngx_handle_read_event((*connection).read, 0) != NGX_OK as ngx_int_t {
                return None;
            }
            (*r).read_event_handler = Some(ngx_http_test_reading);
            (*r).write_event_handler = Some(ngx_http_core_run_phases);
            if let Some(time) = poll {
                (*(*connection).write).set_delayed(1);
                ngx_add_timer((*connection).write, time);
            }
        }
        Some(())
    }

    /// Ends what [`Request::hold`] has begun.
    pub(crate) fn resume(self) -> Option<()> {
        // SAFETY: as in `hold`.
        unsafe {
            let r = self.raw.as_ptr();
            let write = (*(*r).connection).write;
            if (*write).timer_set() != 0 {
                ngx_del_timer(write);
            }
            (*write).set_delayed(0);
            (*r).read_event_handler = Some(ngx_http_block_reading);
            let read = ngx_handle_read_event((*(*r).connection).read, 0);
            (read == NGX_OK as ngx_int_t).then_some(())
        }
    }

    /// Has nginx answer `code` unless a later check passes: with `satisfy any`, nginx goes on to
    /// the next check after 401 and 403 only, and declining with the code already set gives the
    /// others their say after any other.
    pub(crate) fn answer_unless_satisfied(self, code: ngx_uint_t) {
        // SAFETY: the field is what the access phase itself keeps the code in.
        unsafe { (*self.raw.as_ptr()).access_code = code };
    }

    /// Adds `WWW-Authenticate`, where `satisfy any` finds it to take it back.
    pub(crate) fn add_challenge(self, value: &[u8]) -> Option<()> {
        let value = self.copy(value)?;
        // SAFETY: the output headers are valid; the new element is zeroed first, since `next`
        // exists from nginx 1.23 on only, and then filled as nginx's auth_basic does.
        unsafe {
            let headers = &raw mut (*self.raw.as_ptr()).headers_out;
            let line = ngx_list_push(&raw mut (*headers).headers).cast::<ngx_table_elt_t>();
            if line.is_null() {
                return None;
            }
            line.write_bytes(0, 1);
            (*line).hash = 1;
            (*line).key = ngx::ngx_string!("WWW-Authenticate");
            (*line).value = value;
            (*headers).www_authenticate = line;
        }
        Some(())
    }

    /// Copies bytes into the request's pool.
    pub(crate) fn copy(self, bytes: &[u8]) -> Option<ngx_str_t> {
        // SAFETY: the pool is valid; the memory is fresh and of the length asked for.
        unsafe {
            let data = ngx_pnalloc((*self.raw.as_ptr()).pool, bytes.len()).cast::<u8>();
            if data.is_null() {
                return None;
            }
            ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
            Some(ngx_str_t { len: bytes.len(), data })
        }
    }
}
