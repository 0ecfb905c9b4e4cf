//! A level of the configuration while nginx merges it: its name in messages, and whether it serves
//! requests.

use core::ffi::CStr;
use core::ptr;

use ngx::ffi::{
    NGX_LOG_WARN, ngx_conf_t, ngx_http_complex_value_t, ngx_http_conf_ctx_t,
    ngx_http_core_loc_conf_t, ngx_http_core_module, ngx_http_core_srv_conf_t,
    ngx_http_location_queue_t, ngx_module_t, ngx_queue_t,
};
use ngx::http::HttpModuleConfExt as _;

use super::conf::core_main_of;
use super::server::{Server, ServerRef, listens};
use super::string::bytes;

/// nginx's modules that refuse requests in the access phase. The first members of their configurations of a
/// location are `rules`, `realm` and `uri.len`.
const ACCESS_MODULES: [&CStr; 3] =
    [c"ngx_http_access_module", BASIC, c"ngx_http_auth_request_module"];
const BASIC: &CStr = c"ngx_http_auth_basic_module";

/// A server, a location, or a block in one.
pub(crate) struct Level<'c> {
    cf: *const ngx_conf_t,
    pub(super) core: &'c ngx_http_core_loc_conf_t,
    server: &'c ngx_http_core_srv_conf_t,
}

impl<'c> Level<'c> {
    /// The level whose configuration is being merged.
    ///
    /// # Safety
    /// `cf` must be what nginx passes to `merge_loc_conf`, and outlive `'c`.
    pub(super) unsafe fn merged(cf: *mut ngx_conf_t) -> Option<Self> {
        // SAFETY: the context is that of the level, for which the core module keeps both
        // configurations. nginx merges the core module before any other.
        unsafe {
            let module = &*ptr::addr_of!(ngx_http_core_module);
            let core = (*cf).http_location_conf_unchecked(module)?;
            let server = (*cf).http_server_conf_unchecked(module)?;
            Some(Self { cf, core: core.as_ref(), server: server.as_ref() })
        }
    }

    /// The server that the level belongs to.
    pub(crate) fn server(&self) -> ServerRef {
        ServerRef::new(self.server)
    }

    fn is_server(&self) -> bool {
        self.core.name.len == 0 && self.core.noname() == 0
    }

    /// Whether a request can be served here. A server itself serves requests only if none of its
    /// locations takes all the rest. An `if` of a server, which is a level without a name, only sets
    /// variables or answers.
    pub(crate) fn serves(&self) -> bool {
        match self.core.name.len {
            0 => self.is_server() && !self.has_location_for_all(),
            _ => true,
        }
    }

    /// Whether one of the locations takes all paths.
    fn has_location_for_all(&self) -> bool {
        // SAFETY: the server's locations are those that it has while levels are merged.
        let mut locations = unsafe { locations(self.core) };
        locations.any(|one| matches!(one, Location::Prefix(b"/" | b"")))
    }

    /// Whether a location of the server, other than `/`, takes a request for `path`, or may do so by
    /// its regular expression. Also true for a server without locations, such as one that only
    /// redirects.
    pub(crate) fn has_location_for(&self, path: &[u8]) -> bool {
        let server = Server { conf: self.server };
        // SAFETY: the server's locations are those that it has while levels are merged.
        let mut locations = unsafe { locations(server.location()) }.peekable();
        locations.peek().is_none()
            || locations.any(|one| match one {
                Location::Prefix(name) => !matches!(name, b"/" | b"") && path.starts_with(name),
                Location::Exact(name) => path == name,
                Location::Pattern => true,
            })
    }

    /// The name of the level in messages.
    pub(crate) fn shown(&self) -> String {
        let server = self.shown_server();
        if self.is_server() {
            return format!("{server} where no location matches");
        }
        // SAFETY: names live as long as the configuration.
        let name = unsafe { bytes(self.core.name) }.escape_ascii();
        format!("location \"{name}\" of {server}")
    }

    /// The server by its name or, if it has none, by its address.
    pub(crate) fn shown_server(&self) -> String {
        // SAFETY: names live as long as the configuration. `cf` has the configuration of the core
        // module, and where servers listen is known until all levels are merged.
        let (name, listens) = unsafe {
            (bytes(self.server.server_name), listens(core_main_of(self.cf), self.server))
        };
        match (name, listens.first()) {
            (b"", None) => "a server without a name".to_owned(),
            (b"", Some(address)) => {
                format!("the server without a name at {}", address.escape_ascii())
            }
            (name, _) => format!("server \"{}\"", name.escape_ascii()),
        }
    }

    /// The server's name, or the first address at which it listens: a short text for tables.
    pub(crate) fn server_label(&self) -> String {
        // SAFETY: as in `shown_server`.
        let (name, listens) = unsafe {
            (bytes(self.server.server_name), listens(core_main_of(self.cf), self.server))
        };
        let label = if name.is_empty() { listens.first().copied() } else { Some(name) };
        String::from_utf8_lossy(label.unwrap_or_default()).into_owned()
    }

    /// The location's name, such as `/api/`, or its regular expression; empty for the server itself.
    pub(crate) fn location_label(&self) -> String {
        // SAFETY: names live as long as the configuration.
        String::from_utf8_lossy(unsafe { bytes(self.core.name) }).into_owned()
    }

    /// Whether a stranger's request may come here, as far as nginx's own directives say: the location is
    /// not `internal`, the server listens where others than this machine can connect, and there is no
    /// allow, deny, auth_basic or auth_request.
    pub(crate) fn is_public(&self) -> bool {
        // SAFETY: as in `shown_server`.
        let addresses = unsafe { listens(core_main_of(self.cf), self.server) };
        let is_local = |address: &[u8]| {
            [&b"unix:"[..], b"127.", b"[::1]"].iter().any(|start| address.starts_with(start))
        };
        self.core.internal == 0
            && !addresses.iter().all(|address| is_local(address))
            && !ACCESS_MODULES.iter().any(|name| self.is_configured(name))
    }

    /// Whether one of [`ACCESS_MODULES`] has something to do here: the first member of its configuration
    /// is set, and is not the realm `off`. nginx has merged these modules before this one.
    fn is_configured(&self, name: &CStr) -> bool {
        // SAFETY: nginx's list of modules is valid. The slot of an `http` module in the context of the
        // level has its structure, which begins with a pointer or a length in each of these modules; with
        // that of a complex value in [`BASIC`].
        unsafe {
            let cycle = &*(*self.cf).cycle;
            let modules = core::slice::from_raw_parts(cycle.modules, cycle.modules_n);
            let named = |module: &&*mut ngx_module_t| {
                !(***module).name.is_null() && CStr::from_ptr((***module).name) == name
            };
            let Some(module) = modules.iter().find(named) else { return false };
            let context = (*self.cf).ctx.cast::<ngx_http_conf_ctx_t>();
            let conf = *(*context).loc_conf.add((**module).ctx_index);
            let is_set = conf.cast::<usize>().as_ref().is_some_and(|first| *first != 0);
            if !is_set || name != BASIC {
                return is_set;
            }
            let realm = *conf.cast::<*const ngx_http_complex_value_t>();
            realm.as_ref().is_some_and(|realm| bytes(realm.value) != b"off")
        }
    }

    /// What to write if this level is open on purpose.
    pub(crate) fn opened(&self, switch: &str) -> String {
        if self.is_server() {
            format!(
                "move it into the locations that need it, or add \"location / {{ {switch} off; }}\""
            )
        } else {
            format!("or say \"{switch} off\" there")
        }
    }

    /// Logs a warning, which must contain its own file and line.
    pub(crate) fn warn(&self, message: &str) {
        // SAFETY: by the contract of `merged`.
        let log = unsafe { (*self.cf).log };
        ngx::ngx_log_error!(NGX_LOG_WARN, log, "{message}");
    }
}

/// Which paths a location takes.
enum Location<'c> {
    Prefix(&'c [u8]),
    Exact(&'c [u8]),
    Pattern,
}

/// The locations of a server that a client's request can enter.
///
/// # Safety
/// Levels must still be merged: nginx takes the list apart afterwards.
unsafe fn locations(server: &ngx_http_core_loc_conf_t) -> impl Iterator<Item = Location<'_>> {
    let head: *const ngx_queue_t = server.locations;
    let next = move |at: *const ngx_queue_t| {
        // SAFETY: the list is null, or a ring through its head.
        let next: *const ngx_queue_t = unsafe { at.as_ref() }?.next;
        (!ptr::eq(next, head)).then_some(next)
    };
    std::iter::successors(next(head), move |at| next(*at)).filter_map(|at| {
        // SAFETY: the elements have this type, whose first field is the link. One of the two
        // locations is set, and names live as long as the configuration.
        unsafe {
            let element = &*at.cast::<ngx_http_location_queue_t>();
            if let Some(location) = element.inclusive.as_ref() {
                return Some(Location::Prefix(bytes(location.name)));
            }
            let location = element.exact.as_ref()?;
            match (location.named() | location.noname(), location.exact_match()) {
                (0, 0) => Some(Location::Pattern),
                (0, _) => Some(Location::Exact(bytes(location.name))),
                _ => None,
            }
        }
    })
}
