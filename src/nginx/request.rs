//! The only reader of nginx's request: gives the checks and the variables what they need of it.

use core::marker::PhantomData;
use core::net::IpAddr;
use core::ptr::NonNull;
use core::{ptr, slice};

use ngx::ffi::{
    NGX_HTTP_SATISFY_ANY, NGX_LOG_ERR, NGX_LOG_INFO, NGX_LOG_NOTICE, NGX_LOG_WARN,
    ngx_http_core_loc_conf_t, ngx_http_request_t, ngx_http_variable_value_t, ngx_list_push,
    ngx_log_t, ngx_pnalloc, ngx_str_t, ngx_table_elt_t, ngx_time, ngx_uint_t,
};
use token::credential::{self, Found, is_header_spelling};

use super::conf::{self, core_location, core_main, core_server};
use super::event;
use super::flags;
use super::headers::header_list;
use super::log::LogLine;
use super::server::Server;
use super::string::{bytes, string};

/// The place of a request: how many redirects and rewrites it has had, and the addresses of its path
/// and query. Every change of path or query changes these addresses.
///
/// A verdict may depend on any of this, so it holds for one place only. After an internal redirect the
/// request is judged again, even in a location that shares the check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) changes: usize,
    pub(crate) uri: *const [u8],
    pub(crate) args: *const [u8],
}

/// The name of the header with the challenge. Its address tells the module's own lines from those of
/// others.
static CHALLENGE: &[u8] = b"WWW-Authenticate";

/// A request, for the time of one call from nginx.
#[derive(Clone, Copy)]
pub(crate) struct Request<'r> {
    raw: NonNull<ngx_http_request_t>,
    lives: PhantomData<&'r ngx_http_request_t>,
}

impl<'r> Request<'r> {
    /// # Safety
    /// `raw` must be a request that nginx passes to a hook, and `'r` must end with that call.
    pub(super) unsafe fn new(raw: *mut ngx_http_request_t) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { raw, lives: PhantomData })
    }

    /// nginx's pointer.
    pub(super) fn raw(self) -> *mut ngx_http_request_t {
        self.raw.as_ptr()
    }

    pub(super) fn log(self) -> *mut ngx_log_t {
        // SAFETY: a request always has a connection with a log.
        unsafe { (*(*self.raw()).connection).log }
    }

    /// The module's configuration of the location that serves the request now.
    pub(crate) fn location<T: 'static>(self) -> Option<&'r T> {
        // SAFETY: the slot has what the module stored for every location, and nginx frees none while a
        // request uses it. After the configuration has been read, all references to it are shared ones.
        unsafe { conf::load(*(*self.raw()).loc_conf.add(conf::slot())) }
    }

    /// The module's configuration of the `http` block.
    pub(crate) fn main<T: 'static>(self) -> Option<&'r T> {
        // SAFETY: as in `location`.
        unsafe { conf::load(*(*self.raw()).main_conf.add(conf::slot())) }
    }

    fn core_location(self) -> Option<&'r ngx_http_core_loc_conf_t> {
        // SAFETY: the request is valid, with its configurations.
        unsafe { core_location(self.raw()) }
    }

    /// The location's name, or regular expression, or `@name`.
    pub(crate) fn location_name(self) -> &'r [u8] {
        // SAFETY: the name lives as long as the configuration.
        self.core_location().map(|conf| unsafe { bytes(conf.name) }).unwrap_or_default()
    }

    /// Whether the location has `satisfy any`.
    pub(crate) fn satisfies_any(self) -> bool {
        self.core_location().is_some_and(|conf| conf.satisfy == NGX_HTTP_SATISFY_ANY as ngx_uint_t)
    }

    /// Seconds since the epoch, when nginx last read the clock.
    #[allow(clippy::unused_self)] // the time of a request
    pub(crate) fn now(self) -> i64 {
        ngx_time()
    }

    /// Milliseconds of a clock that never goes back and that all workers share.
    #[allow(clippy::unused_self)] // the time of a request
    pub(crate) fn clock(self) -> u64 {
        event::clock()
    }

    /// The server that serves the request.
    pub(crate) fn server(self) -> Server<'r> {
        // SAFETY: the request is valid, with its configurations.
        Server { conf: unsafe { core_server(self.raw()) } }
    }

    /// The path, decoded and normalised (`$uri`).
    pub(crate) fn uri(self) -> &'r [u8] {
        // SAFETY: nginx replaces the string at a redirect, but its bytes stay in the pool.
        unsafe { bytes((*self.raw()).uri) }
    }

    /// The query string, as it came (`$args`).
    pub(crate) fn query(self) -> &'r [u8] {
        // SAFETY: as in `uri`.
        unsafe { bytes((*self.raw()).args) }
    }

    /// The query string, if an upstream receives the same one. nginx ends `$args` at a `#`, but passes
    /// on the client's whole request target, and many servers also read what follows the `#`.
    pub(crate) fn agreed_query(self) -> Option<&'r [u8]> {
        memchr::memchr(b'#', self.sent_target()).is_none().then(|| self.query())
    }

    /// An argument of the query; unusable unless all readers find the same query.
    pub(crate) fn argument(self, name: &[u8]) -> Found<'r> {
        self.agreed_query().map_or(Found::Unusable, |query| credential::argument(query, name))
    }

    /// The target in the client's request line (`$request_uri`), also in a subrequest and after a
    /// redirect.
    pub(crate) fn sent_target(self) -> &'r [u8] {
        // SAFETY: nginx sets the string after it has read the request line, to bytes of the request's
        // buffer, which stay; a subrequest has its parent's. Before that it is empty.
        unsafe { bytes((*self.raw()).unparsed_uri) }
    }

    /// The request that this one is a part of; itself, unless it is a subrequest.
    pub(crate) fn main_request(self) -> Self {
        // SAFETY: the main request outlives its subrequests.
        unsafe { Self::new((*self.raw()).main) }.unwrap_or(self)
    }

    /// The place of the request now.
    pub(crate) fn place(self) -> Place {
        // SAFETY: the request is valid.
        let changes = unsafe { flags::token_auth_uri_changes(self.raw()) };
        Place { changes, uri: self.uri(), args: self.query() }
    }

    /// The values of all header lines called `name`, which must have only letters.
    pub(crate) fn header_values(self, name: &'r [u8]) -> impl Iterator<Item = &'r [u8]> + Clone {
        self.header_lines(name).map(|(_, value)| value)
    }

    /// The names and values of all header lines called `name`, in any spelling that some readers treat
    /// as the same name.
    pub(crate) fn header_lines<'n>(
        self,
        name: &'n [u8],
    ) -> impl Iterator<Item = (&'r [u8], &'r [u8])> + Clone + use<'r, 'n> {
        // SAFETY: nginx has filled the list before the first phase, and does not change it.
        unsafe { header_list::<'r>(&raw const (*self.raw()).headers_in.headers) }.filter_map(
            move |line| {
                if line.key.len != name.len() || line.lowcase_key.is_null() {
                    return None;
                }
                // SAFETY: nginx sets the lower-case name of every client header, in the length of its
                // name. In a line that another module has added it may be null.
                let found = unsafe { slice::from_raw_parts(line.lowcase_key, line.key.len) };
                // SAFETY: a header's value lives as long as the request.
                is_header_spelling(found, name).then(|| (found, unsafe { bytes(line.value) }))
            },
        )
    }

    /// The client's address (`$remote_addr`), also as the realip module has set it; `None` for a unix socket.
    pub(crate) fn client_address(self) -> Option<IpAddr> {
        // SAFETY: a request always has a connection, whose address text lives as long as it.
        let text = unsafe { bytes((*(*self.raw()).connection).addr_text) };
        core::str::from_utf8(text).ok()?.parse().ok()
    }

    /// The values that nginx stores for the variables, one after the other.
    pub(super) fn values(self) -> impl Iterator<Item = &'r mut ngx_http_variable_value_t> {
        // SAFETY: the request has a value for each variable of the configuration. No two of the
        // references are to the same one, and each ends before the next call of nginx.
        unsafe {
            let values = (*self.raw()).variables;
            let conf = core_main(self.raw());
            let count = conf.map_or(0, |conf| conf.variables.nelts);
            (0..count).map(move |index| &mut *values.add(index))
        }
    }

    /// Writes a line to the error log at level `info`.
    pub(crate) fn log_info(self, message: core::fmt::Arguments<'_>) {
        self.write_log(NGX_LOG_INFO, message);
    }

    /// Writes a line to the error log at level `notice`.
    pub(crate) fn log_notice(self, message: core::fmt::Arguments<'_>) {
        self.write_log(NGX_LOG_NOTICE, message);
    }

    /// Writes a line to the error log at level `warn`.
    pub(crate) fn log_warning(self, message: core::fmt::Arguments<'_>) {
        self.write_log(NGX_LOG_WARN, message);
    }

    /// Writes a line to the error log at level `error`.
    pub(crate) fn log_error(self, message: core::fmt::Arguments<'_>) {
        self.write_log(NGX_LOG_ERR, message);
    }

    /// Writes a line about a thing `of` some kind.
    pub(crate) fn log_line(self, of: &str, line: Option<LogLine>) {
        match line {
            Some(LogLine::Info(text)) => self.log_info(format_args!("{of} {text}")),
            Some(LogLine::Notice(text)) => self.log_notice(format_args!("{of} {text}")),
            Some(LogLine::Warning(text)) => self.log_warning(format_args!("{of} {text}")),
            Some(LogLine::Error(text)) => self.log_error(format_args!("{of} {text}")),
            None => {}
        }
    }

    /// The connection's log handler is not used: it would add the request line, whose query may hold a
    /// token or a signature.
    fn write_log(self, level: u32, message: core::fmt::Arguments<'_>) {
        // SAFETY: the log is valid; the copy has the same files and number, but no handler.
        let mut log = unsafe { *self.log() };
        log.handler = None;
        let log = &raw mut log;
        // SAFETY: a connection's address text lives as long as the connection.
        let client = unsafe { bytes((*(*self.raw()).connection).addr_text) };
        // SAFETY: the method's name is part of the request's buffer, or a static.
        let method = unsafe { bytes((*self.raw()).method_name) };
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

    /// Makes nginx answer `status` unless a later check passes. With `satisfy any`, nginx asks the next
    /// check only after 401 and 403. For other codes the module declines with the code already set, so
    /// the other checks are asked, too.
    pub(crate) fn answer_unless_satisfied(self, status: u16) {
        // SAFETY: the access phase itself stores the code in this field.
        unsafe { (*self.raw()).access_code = ngx_uint_t::from(status) };
    }

    /// The status of the error that the answer has so far, whatever page it gets; 0 if it has none.
    pub(crate) fn error_status(self) -> usize {
        // SAFETY: the request is valid.
        unsafe { (*self.raw()).err_status }
    }

    /// Takes back the challenge that [`Request::add_challenge`] has added, if there is one: nginx keeps it
    /// over internal redirects. Challenges of others stay.
    pub(crate) fn withdraw_challenge(self) {
        // SAFETY: the output headers are valid: the parts of a list are valid, `next` of the last one is
        // null, and each has `nelts` elements. A line with the hash 0 is not sent.
        unsafe {
            let headers = &raw mut (*self.raw()).headers_out;
            let last = (*headers).www_authenticate;
            if last.is_null() {
                return;
            }
            let is_ours =
                |line: *mut ngx_table_elt_t| ptr::eq((*line).key.data, CHALLENGE.as_ptr());
            let mut part = &raw mut (*headers).headers.part;
            while !part.is_null() {
                let lines = (*part).elts.cast::<ngx_table_elt_t>();
                (0..(*part).nelts)
                    .map(|at| lines.add(at))
                    .filter(|line| is_ours(*line))
                    .for_each(|line| (*line).hash = 0);
                part = (*part).next;
            }
            if is_ours(last) {
                (*headers).www_authenticate = ptr::null_mut();
            }
        }
    }

    /// Adds `WWW-Authenticate` where `satisfy any` can find and remove it.
    pub(crate) fn add_challenge(self, value: &[u8]) -> Option<()> {
        let line = self.push_header(CHALLENGE, value)?;
        // SAFETY: the output headers are valid.
        unsafe { (*self.raw()).headers_out.www_authenticate = line.as_ptr() };
        Some(())
    }

    /// Adds a header to the answer, beside others of its name.
    pub(crate) fn add_header(self, name: &'static [u8], value: &[u8]) -> Option<()> {
        self.push_header(name, value).map(drop)
    }

    fn push_header(self, name: &'static [u8], value: &[u8]) -> Option<NonNull<ngx_table_elt_t>> {
        let value = self.copy(value)?;
        // SAFETY: the output headers are valid. The new element is zeroed first, since `next` exists
        // only from nginx 1.23 on, and then filled as nginx's auth_basic does.
        unsafe {
            let headers = &raw mut (*self.raw()).headers_out;
            let line = ngx_list_push(&raw mut (*headers).headers).cast::<ngx_table_elt_t>();
            let line = NonNull::new(line)?;
            line.write_bytes(0, 1);
            (*line.as_ptr()).hash = 1;
            (*line.as_ptr()).key = string(name);
            (*line.as_ptr()).value = value;
            Some(line)
        }
    }

    /// Copies bytes into the request's pool.
    pub(super) fn copy(self, bytes: &[u8]) -> Option<ngx_str_t> {
        self.copy_all(&[bytes])
    }

    /// Copies `values`, joined, into the request's pool.
    pub(super) fn copy_all(self, values: &[&[u8]]) -> Option<ngx_str_t> {
        let len = values.iter().map(|value| value.len()).sum();
        // SAFETY: the pool is valid. The memory is fresh and has the length of all values, which are
        // copied to it one after the other.
        unsafe {
            let data = ngx_pnalloc((*self.raw()).pool, len).cast::<u8>();
            if data.is_null() {
                return None;
            }
            let mut end = data;
            for value in values {
                ptr::copy_nonoverlapping(value.as_ptr(), end, value.len());
                end = end.add(value.len());
            }
            Some(ngx_str_t { len, data })
        }
    }
}
