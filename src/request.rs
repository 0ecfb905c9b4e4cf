//! The only reader of nginx's request: lends the access check and the variables what they need.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::{ptr, slice};

use ngx::ffi::{
    NGX_HTTP_SATISFY_ANY, NGX_LOG_ERR, NGX_LOG_INFO, NGX_OK, ngx_add_timer, ngx_del_timer,
    ngx_handle_read_event, ngx_http_block_reading, ngx_http_core_loc_conf_t, ngx_http_core_module,
    ngx_http_core_run_phases, ngx_http_core_srv_conf_t, ngx_http_get_flushed_variable,
    ngx_http_request_t, ngx_http_test_reading, ngx_http_variable_t, ngx_http_variable_value_t,
    ngx_int_t, ngx_list_push, ngx_log_t, ngx_pnalloc, ngx_str_t, ngx_table_elt_t, ngx_time,
    ngx_uint_t,
};
use ngx::http::HttpModuleConfExt as _;
use token::credential::is_header_spelling;

use crate::captures::Captures;
use crate::conf::{LocationConf, MainConf};
use crate::ffi::{self, ComplexValue, ValuePart, flags};
use crate::memory::Place;
use crate::nginx::{self, Server, Waker, header_list};
use crate::state::State;
use crate::value::Part;

/// From how many bytes on a text is long, and how many of those are known that were shown lately.
const LONG: usize = 512;
const SHOWN: usize = 8;

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

    /// The query string, if what an upstream is sent has the same one. nginx ends `$args` at a `#`,
    /// but passes on the whole target of the client's request, and many servers read what follows.
    pub(crate) fn agreed_query(self) -> Option<&'r [u8]> {
        (!self.raw_target().contains(&b'#')).then(|| self.query())
    }

    /// What stands in the client's request line (`$request_uri`), also in a subrequest and after a
    /// redirect.
    fn raw_target(self) -> &'r [u8] {
        // SAFETY: nginx sets the string when it has read the request line, to bytes of the request's
        // buffer, which stay; a subrequest has that of its parent. Before, it is empty.
        unsafe { ffi::bytes((*self.raw.as_ptr()).unparsed_uri) }
    }

    /// Where the request stands now.
    pub(crate) fn place(self) -> Place {
        // SAFETY: the request is valid.
        let changes = unsafe { flags::token_auth_uri_changes(self.raw.as_ptr()) };
        Place { changes, uri: self.uri(), args: self.query() }
    }

    /// The values of every header line called `name`, which has letters only.
    pub(crate) fn header_values(self, name: &'r [u8]) -> impl Iterator<Item = &'r [u8]> + Clone {
        self.header_lines(name).map(|(_, value)| value)
    }

    /// The names and values of every header line called `name`, in whatever spelling of it that some
    /// readers take for the same.
    pub(crate) fn header_lines(
        self,
        name: &'r [u8],
    ) -> impl Iterator<Item = (&'r [u8], &'r [u8])> + Clone {
        // SAFETY: nginx has filled the list before any phase, and does not change it.
        unsafe { header_list::<'r>(&raw const (*self.raw.as_ptr()).headers_in.headers) }.filter_map(
            move |line| {
                if line.key.len != name.len() || line.lowcase_key.is_null() {
                    return None;
                }
                // SAFETY: nginx sets the lower-case name of every client header, of the length of
                // its name; of one that another module has added it may be null.
                let found = unsafe { slice::from_raw_parts(line.lowcase_key, line.key.len) };
                // SAFETY: a header's value lives as long as the request.
                is_header_spelling(found, name).then(|| (found, unsafe { ffi::bytes(line.value) }))
            },
        )
    }

    /// What a value with variables is for this request; `None` when one of them cannot be evaluated,
    /// or nginx is out of memory. The request's captures are afterwards what they were before, and
    /// each `$1` of the value is one of them, whatever variables stand beside it.
    pub(crate) fn evaluate(self, value: &ComplexValue) -> Option<&'r [u8]> {
        let part = |part: &'r ValuePart| match part {
            Part::Text(text) => Some(&***text),
            Part::Variable(index) => self.variable(*index),
            Part::Capture(group) => Some(self.capture(*group)),
        };
        match value.parts() {
            [] => Some(b""),
            [only] => part(only),
            parts => {
                let values = parts.iter().map(part).collect::<Option<Vec<_>>>()?;
                // SAFETY: the copy is in the request's pool, and nobody else has it.
                self.copy_all(&values).map(|copy| unsafe { ffi::bytes(copy) })
            }
        }
    }

    /// The value of a variable of the configuration, by its index; empty for one that is not found.
    fn variable(self, index: ngx_uint_t) -> Option<&'r [u8]> {
        if let Some(state) = self.existing_state()
            && !state.judging.is_idle()
            && let Ok(mut valued) = state.valued.try_borrow_mut()
        {
            valued.get_or_insert_with(|| Valued(self.values().map(has_value).collect()));
        }
        let r = self.raw.as_ptr();
        // SAFETY: the index is of this configuration, and the request has room for the values of
        // all its variables. A value's bytes are in the pool, in what the client has sent or in the
        // configuration; nginx replaces the value, never the bytes.
        unsafe {
            let mut captures = Captures::of(r);
            let value = ngx_http_get_flushed_variable(r, index).as_ref();
            captures.restore(r);
            let Some(value) = value else {
                // nginx would take it for one that is not found when it is read again.
                (*(*r).variables.add(index)).set_not_found(0);
                return None;
            };
            let len = if value.not_found() == 0 { value.len() as usize } else { 0 };
            Some(ffi::bytes(ngx_str_t { len, data: value.data }))
        }
    }

    /// What a group of the pattern that the request has matched last has captured.
    fn capture(self, group: usize) -> &'r [u8] {
        // SAFETY: nginx says how many numbers of the array are valid; those of a group that took
        // part in the match are places in the text that it matched, which is in the pool or in
        // what the client has sent, and those of one that did not are negative.
        unsafe {
            let r = self.raw.as_ptr();
            if 2 * group >= (*r).ncaptures || (*r).captures.is_null() {
                return &[];
            }
            let numbers = (*r).captures.add(2 * group);
            let ends = (usize::try_from(*numbers), usize::try_from(*numbers.add(1)));
            let (Ok(start), Ok(end)) = ends else { return &[] };
            let len = end.saturating_sub(start);
            ffi::bytes(ngx_str_t { len, data: (*r).captures_data.add(start) })
        }
    }

    /// The values that nginx keeps of the variables, each in turn.
    fn values(self) -> impl Iterator<Item = &'r mut ngx_http_variable_value_t> {
        // SAFETY: the request has a value for each variable of the configuration. No two of the
        // references are to the same, and each is given up before the next call of nginx's.
        unsafe {
            let values = (*self.raw.as_ptr()).variables;
            let conf = nginx::core_main_conf(self.raw.as_ptr());
            let count = conf.map_or(0, |conf| conf.variables.nelts);
            (0..count).map(move |index| &mut *values.add(index))
        }
    }

    /// Has nginx evaluate the variable called `name` again wherever it is read next, also in a value
    /// that nginx is putting together.
    pub(crate) fn forget_variable(self, name: &[u8]) {
        // SAFETY: the array has the configuration's variables, whose names live as long as it does.
        let names = unsafe {
            let Some(conf) = nginx::core_main_conf(self.raw.as_ptr()) else { return };
            let known = conf.variables.elts.cast::<ngx_http_variable_t>();
            (0..conf.variables.nelts).map(move |index| ffi::bytes((*known.add(index)).name))
        };
        names
            .zip(self.values())
            .filter(|(one, _)| *one == name)
            .for_each(|(_, value)| forget(value));
    }

    /// Has nginx evaluate all variables again that had no value before.
    pub(crate) fn forget_variables_since(self, before: &Valued) {
        let had_none = before.0.iter().zip(self.values()).filter(|(had_one, _)| !**had_one);
        had_none.for_each(|(_, value)| forget(value));
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
            let state = ffi::allocate_with((*main).pool, State::default(), drop_state);
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
            let redirected = flags::token_auth_internal(main) != 0
                || flags::token_auth_filter_finalize(main) != 0;
            if (*slot).is_null() && redirected {
                *slot = ffi::find((*(*main).pool).cleanup, drop_state);
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

    /// Has nginx hold the request in the access phase until it is woken, for `time` milliseconds at
    /// most; `None` when it cannot. As nginx's limit_req module does.
    pub(crate) fn hold(self, time: usize) -> Option<()> {
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
            (*(*connection).write).set_delayed(1);
            ngx_add_timer((*connection).write, time);
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
        self.copy_all(&[bytes])
    }

    /// [`Request::copy`] for what a variable shows. A long text that was shown lately is not copied
    /// again: a page may show it thousands of times.
    pub(crate) fn copy_shown(self, text: &[u8]) -> Option<ngx_str_t> {
        let state = self.existing_state().filter(|_| text.len() >= LONG);
        let Some(mut shown) = state.and_then(|state| state.shown.try_borrow_mut().ok()) else {
            return self.copy(text);
        };
        // SAFETY: what is in the list is in the pool that the state is of, and nginx does not write
        // to the value of a variable.
        if let Some(known) = shown.iter().find(|one| unsafe { ffi::bytes(**one) } == text) {
            return Some(*known);
        }
        let copy = self.copy(text)?;
        if shown.len() >= SHOWN {
            shown.pop_front();
        }
        shown.push_back(copy);
        Some(copy)
    }

    /// Copies what `values` are together into the request's pool.
    fn copy_all(self, values: &[&[u8]]) -> Option<ngx_str_t> {
        let len = values.iter().map(|value| value.len()).sum();
        // SAFETY: the pool is valid; the memory is fresh and of the length of all values, which
        // are copied to it one behind the other.
        unsafe {
            let data = ngx_pnalloc((*self.raw.as_ptr()).pool, len).cast::<u8>();
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

/// The cleanup of a request's state, by which it is found after an internal redirect.
unsafe extern "C" fn drop_state(data: *mut c_void) {
    // SAFETY: nginx passes what `Request::state` has allocated, once.
    unsafe { ffi::drop_value::<State>(data) }
}

/// Whether each variable had a value at some time.
pub(crate) struct Valued(Box<[bool]>);

fn has_value(value: &mut ngx_http_variable_value_t) -> bool {
    value.valid() != 0 || value.not_found() != 0
}

fn forget(value: &mut ngx_http_variable_value_t) {
    value.set_valid(0);
    value.set_not_found(0);
}
