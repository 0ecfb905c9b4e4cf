//! Checks that the nginx that loads the module has the structures that the module was built with.
//!
//! nginx compares only the version and the signature of its build options. A distribution's patch may
//! add a field without changing either, and then the module would read and write the wrong fields. So
//! this file compares what is visible of the running nginx's structures, before any of them is used:
//! the offsets of fields in its tables of directives and variables, the sizes of array elements, and
//! what nginx's functions do to a structure. What nginx shows nowhere (a bit between two unchecked
//! ones, for example) cannot be found here; the build makes sure that the headers belong to the binary
//! (`build/nginx.sh`).

use core::mem::offset_of;
use core::{ptr, slice};

use ngx::ffi::{
    NGX_LOG_EMERG, ngx_conf_t, ngx_connection_t, ngx_cycle, ngx_cycle_t, ngx_hash_key_t,
    ngx_http_core_loc_conf_t, ngx_http_core_main_conf_t, ngx_http_core_module,
    ngx_http_core_srv_conf_t, ngx_http_request_t, ngx_http_variable_t, ngx_listening_t, ngx_log_t,
    ngx_reusable_connection,
};
use ngx::http::HttpModuleConfExt as _;

use super::string::bytes;

/// Variables of nginx whose row has the offset of their field in the request.
const REQUEST: [(&str, usize); 7] = [
    ("http_host", offset_of!(ngx_http_request_t, headers_in.host)),
    ("content_type", offset_of!(ngx_http_request_t, headers_in.content_type)),
    ("server_protocol", offset_of!(ngx_http_request_t, http_protocol)),
    ("request_uri", offset_of!(ngx_http_request_t, unparsed_uri)),
    ("uri", offset_of!(ngx_http_request_t, uri)),
    ("query_string", offset_of!(ngx_http_request_t, args)),
    ("limit_rate", offset_of!(ngx_http_request_t, limit_rate)),
];

/// Directives of nginx whose row has the offset of their field in the configuration of `http`, of a
/// server or of a location.
const CONFIGURATION: [(&str, usize); 9] = [
    ("variables_hash_max_size", offset_of!(ngx_http_core_main_conf_t, variables_hash_max_size)),
    ("connection_pool_size", offset_of!(ngx_http_core_srv_conf_t, connection_pool_size)),
    ("merge_slashes", offset_of!(ngx_http_core_srv_conf_t, merge_slashes)),
    ("underscores_in_headers", offset_of!(ngx_http_core_srv_conf_t, underscores_in_headers)),
    ("satisfy", offset_of!(ngx_http_core_loc_conf_t, satisfy)),
    ("resolver_timeout", offset_of!(ngx_http_core_loc_conf_t, resolver_timeout)),
    ("read_ahead", offset_of!(ngx_http_core_loc_conf_t, read_ahead)),
    ("open_file_cache_events", offset_of!(ngx_http_core_loc_conf_t, open_file_cache_events)),
    ("types_hash_max_size", offset_of!(ngx_http_core_loc_conf_t, types_hash_max_size)),
];

/// Compares what is visible when the configuration is read, and logs a difference. `None` if there is
/// one.
///
/// # Safety
/// `cf` must be what nginx passes to a module's `preconfiguration`.
pub(super) unsafe fn check(cf: *mut ngx_conf_t) -> Option<()> {
    // SAFETY: by the contract of this function.
    let (log, differs) = unsafe {
        let differs = request(cf)
            .or_else(configuration)
            .or_else(|| listening((*cf).cycle))
            .or_else(|| connection((*cf).cycle, (*cf).log));
        ((*cf).log, differs)
    };
    agree(log, differs)
}

/// Logs what differs. `None` if something does.
pub(super) fn agree(log: *mut ngx_log_t, differs: Option<&str>) -> Option<()> {
    let Some(what) = differs else { return Some(()) };
    ngx::ngx_log_error!(
        NGX_LOG_EMERG,
        log,
        "ngx_http_token_auth_module was built with the headers of another nginx, which has {what} \
         elsewhere: build it again with the headers that belong to this one"
    );
    None
}

/// Compares the offsets of a request's fields with the rows of nginx's variables.
unsafe fn request(cf: *mut ngx_conf_t) -> Option<&'static str> {
    // SAFETY: before any other module's `preconfiguration` nginx has put its own variables into this
    // array, whose elements and their values have these types.
    let keys: &[ngx_hash_key_t] = unsafe {
        let core = &*ptr::addr_of!(ngx_http_core_module);
        let Some(main) = (*cf).http_main_conf_unchecked::<ngx_http_core_main_conf_t>(core) else {
            return Some("ngx_http_conf_ctx_t");
        };
        let Some(keys) = main.as_ref().variables_keys.as_ref() else {
            return Some("ngx_http_core_main_conf_t.variables_keys");
        };
        if keys.keys.size != size_of::<ngx_hash_key_t>() {
            return Some("ngx_hash_keys_arrays_t");
        }
        slice::from_raw_parts(keys.keys.elts.cast(), keys.keys.nelts)
    };
    let differs = REQUEST.iter().any(|(name, offset)| {
        keys.iter().any(|key| {
            // SAFETY: names and rows live as long as the configuration.
            let (found, row) =
                unsafe { (bytes(key.key), &*key.value.cast::<ngx_http_variable_t>()) };
            found == name.as_bytes() && row.data != *offset
        })
    });
    differs.then_some("ngx_http_request_t")
}

/// Compares the offsets of fields in configurations with the rows of nginx's directives.
fn configuration() -> Option<&'static str> {
    // SAFETY: the module is nginx's own.
    let mut row = unsafe { (*ptr::addr_of!(ngx_http_core_module)).commands };
    // SAFETY: a table of directives ends with an empty name, and nothing behind it is read.
    while let Some(command) = unsafe { row.as_ref() }.filter(|command| command.name.len > 0) {
        // SAFETY: names are constants of nginx.
        let name = unsafe { bytes(command.name) };
        if CONFIGURATION.iter().any(|(known, at)| name == known.as_bytes() && command.offset != *at)
        {
            return Some("the configuration of ngx_http_core_module");
        }
        row = row.wrapping_add(1);
    }
    None
}

/// Compares the size of nginx's listening sockets.
unsafe fn listening(cycle: *const ngx_cycle_t) -> Option<&'static str> {
    // SAFETY: this is the configuration that is being read; nginx made the array before it began to
    // read.
    let size = unsafe { (*cycle).listening.size };
    (size != size_of::<ngx_listening_t>()).then_some("ngx_listening_t")
}

/// Memory for a connection, whatever size nginx's connections have.
#[repr(C, align(16))]
#[derive(PartialEq)]
struct Memory([u64; 256]);

impl Memory {
    /// Zeroes, except before the queue: there an nginx built for debugging reads the log, and only the
    /// log. So every word there is the log, wherever nginx expects it.
    fn new(log: *mut ngx_log_t) -> Self {
        const { assert!(size_of::<ngx_connection_t>() <= size_of::<Self>() / 2) };
        let mut words = [0; 256];
        words
            .iter_mut()
            .take(offset_of!(ngx_connection_t, queue) / size_of::<u64>())
            .for_each(|word| *word = log as u64);
        Self(words)
    }

    fn connection(&mut self) -> *mut ngx_connection_t {
        self.0.as_mut_ptr().cast()
    }
}

/// Compares where a connection has its queue and its flags: nginx marks a connection as reusable, and
/// must write the same bytes that this module would write. (Debian's nginx 1.22.1 has one flag more
/// before this one than the release of that version.)
unsafe fn connection(cycle: *mut ngx_cycle_t, log: *mut ngx_log_t) -> Option<&'static str> {
    let (mut real, mut expected) = (Memory::new(log), Memory::new(log));
    // SAFETY: nginx marks connections in the configuration that is in force. The one that is being read
    // has such a queue, too, still empty, and replaces it during these calls, which use nothing else of
    // it. The memory is larger than any connection. nginx itself takes out again what it has put into
    // the queue, with the same offsets.
    unsafe {
        let queue = &raw mut (*cycle).reusable_connections_queue;
        let flagged = expected.connection();
        (*flagged).queue.prev = queue;
        (*flagged).queue.next = (*queue).next;
        (*flagged).set_reusable(1);

        let in_force = ngx_cycle;
        ngx_cycle = cycle;
        ngx_reusable_connection(real.connection(), 1);
        let same = real == expected;
        ngx_reusable_connection(real.connection(), 0);
        ngx_cycle = in_force;
        (!same).then_some("ngx_connection_t")
    }
}

/// Compares the sizes of connections and events: each connection refers to the events with the same
/// index.
pub(super) unsafe fn arrays(cycle: *const ngx_cycle_t) -> Option<&'static str> {
    // SAFETY: the arrays have `connection_n` elements, here at least four. So what this module takes
    // for the second element is within them even if nginx's elements are only half as large. Events are
    // not read.
    unsafe {
        let cycle = &*cycle;
        if cycle.connections.is_null() || cycle.connection_n < 4 {
            return None;
        }
        let second = cycle.connections.wrapping_add(1);
        if (*second).read != cycle.read_events.wrapping_add(1)
            || (*second).write != cycle.write_events.wrapping_add(1)
        {
            return Some("ngx_connection_t or ngx_event_t");
        }
    }
    None
}

// bindgen places bit fields by the offset of their group, and is wrong if that is in the middle of a
// word. A request's flags are such a group (request_flags.c); none of these may become one.
const _: () = {
    assert!(offset_of!(ngx_connection_t, _bitfield_1) % 4 == 0);
    assert!(offset_of!(ngx::ffi::ngx_event_t, _bitfield_1) % 4 == 0);
    assert!(offset_of!(ngx::ffi::ngx_http_variable_value_t, _bitfield_1) % 4 == 0);
    assert!(offset_of!(ngx_http_core_loc_conf_t, _bitfield_1) % 4 == 0);
};
