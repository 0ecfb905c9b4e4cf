//! The module as nginx sees it: its tables, and the hooks that nginx calls.

use core::ffi::{c_char, c_void};
use core::ptr;

use ngx::core::{NGX_CONF_ERROR, Status};
use ngx::ffi::{
    NGX_HTTP_MODULE, NGX_LOG_EMERG, NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER, ngx_array_push,
    ngx_conf_t, ngx_cycle_t, ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_handler_pt,
    ngx_http_module_t, ngx_http_phases_NGX_HTTP_ACCESS_PHASE,
    ngx_http_phases_NGX_HTTP_POST_READ_PHASE, ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
    ngx_http_phases_NGX_HTTP_REWRITE_PHASE, ngx_http_phases_NGX_HTTP_SERVER_REWRITE_PHASE,
    ngx_http_request_t, ngx_int_t, ngx_module_t, ngx_process, ngx_uint_t,
};
use ngx::http::HttpModuleConfExt as _;

use super::conf::{self, load, load_mut, main_of, main_of_cycle, set_module};
use super::directive::Commands;
use super::filter::Rewriter;
use super::guard::{guard, guard_conf};
use super::level::Level;
use super::request::Request;
use super::server::Servers;
use super::shared::SharedMemory;
use super::variable::Variable;
use super::{filter, layout, loopback, names};

/// The parts of a module.
pub(crate) trait Module: Rewriter {
    /// The configuration of the `http` block, and that of each level within.
    type Main: Default + 'static;
    type Location: Default + 'static;

    /// The table of its directives, and that of its variables.
    const COMMANDS: Commands;
    const VARIABLES: &'static [Variable];

    /// The module, as nginx knows it.
    fn module() -> *const ngx_module_t;

    /// Inherits from the level above what `location` does not set itself. The error says what is wrong,
    /// with file and line.
    fn merge(
        location: &mut Self::Location,
        parent: &Self::Location,
        main: &Self::Main,
        level: &Level<'_>,
    ) -> Result<(), String>;

    /// Whether the module sends requests of its own. Called after the configuration has been read. The
    /// error says what is wrong, with file and line.
    fn sends_requests(main: &Self::Main, servers: &Servers<'_>) -> Result<bool, String>;

    /// Declares the shared memory that the module needs, after [`Module::sends_requests`]. `None` if nginx
    /// refuses it.
    fn shares(main: &Self::Main, memory: &SharedMemory<'_>) -> Option<()>;

    /// Called in the master after the configuration has come into force, before workers start.
    fn in_force(main: &Self::Main);

    /// Called in each process that serves requests, before its first one.
    fn worker_starts(main: &Self::Main);

    /// Called in such a process before it exits.
    fn worker_exits(main: &Self::Main);

    /// The access phase's result for a request.
    fn access(request: Request<'_>) -> Phase;
}

/// The result of a phase for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The module has no say.
    Declined,
    /// The request may pass.
    Passed,
    /// The request waits ([`Request::hold`]).
    Waits,
    /// The answer is this status.
    Answered(u16),
}

/// 500, for failures that are not the client's fault.
pub(crate) const FAILED: Phase = Phase::Answered(500);

impl Phase {
    /// The return code for nginx.
    fn code(self) -> ngx_int_t {
        match self {
            Self::Declined => ngx::ffi::NGX_DECLINED as ngx_int_t,
            Self::Passed => ngx::ffi::NGX_OK as ngx_int_t,
            Self::Waits => ngx::ffi::NGX_AGAIN as ngx_int_t,
            Self::Answered(status) => status as ngx_int_t,
        }
    }
}

/// Defines the symbols that `load_module` looks for (`ngx_load_module` in src/core/nginx.c): the module
/// `$name`, implemented by `$module`.
macro_rules! module {
    ($name:ident, $module:ty) => {
        impl $module {
            /// The module, for [`Module::module`](crate::nginx::Module::module).
            fn nginx_module() -> *const ngx::ffi::ngx_module_t {
                &raw const $name
            }
        }

        /// The module, as `load_module` finds it through `ngx_modules`.
        #[allow(non_upper_case_globals)] // nginx's own naming, which its error messages show
        pub static mut $name: ngx::ffi::ngx_module_t =
            crate::nginx::module::definition::<$module>(&CONTEXT);

        static CONTEXT: ngx::ffi::ngx_http_module_t = crate::nginx::module::context::<$module>();

        #[allow(missing_docs, non_upper_case_globals, unsafe_code)] // the names are nginx's
        mod exports {
            #[unsafe(no_mangle)]
            pub(crate) static mut ngx_modules: [*const ngx::ffi::ngx_module_t; 2] =
                [&raw const super::$name, core::ptr::null()];

            #[unsafe(no_mangle)]
            pub(crate) static mut ngx_module_names: [*const core::ffi::c_char; 2] =
                [concat!(stringify!($name), "\0").as_ptr().cast(), core::ptr::null()];

            /// The module comes before this one, so its filters run after those that read bodies into
            /// memory and answer conditional requests: the place of all third-party filters (auto/module).
            #[unsafe(no_mangle)]
            pub(crate) static mut ngx_module_order: [*const core::ffi::c_char; 3] = [
                concat!(stringify!($name), "\0").as_ptr().cast(),
                c"ngx_http_copy_filter_module".as_ptr(),
                core::ptr::null(),
            ];
        }
    };
}
pub(crate) use module;

/// The structure that describes a module to nginx.
pub(crate) const fn definition<M: Module>(context: &'static ngx_http_module_t) -> ngx_module_t {
    ngx_module_t {
        ctx: ptr::from_ref(context).cast_mut().cast(),
        commands: M::COMMANDS.0.cast_mut(),
        type_: NGX_HTTP_MODULE as ngx_uint_t,
        init_module: Some(init_module::<M>),
        init_process: Some(init_process::<M>),
        exit_process: Some(exit_process::<M>),
        ..ngx_module_t::default()
    }
}

/// The hooks of an `http` module.
pub(crate) const fn context<M: Module>() -> ngx_http_module_t {
    ngx_http_module_t {
        preconfiguration: Some(preconfiguration::<M>),
        postconfiguration: Some(postconfiguration::<M>),
        create_main_conf: Some(create_main_conf::<M>),
        init_main_conf: None,
        create_srv_conf: Some(names::create_server_conf),
        merge_srv_conf: None,
        create_loc_conf: Some(create_location_conf::<M>),
        merge_loc_conf: Some(merge_location_conf::<M>),
    }
}

/// Registers the variables, since nginx must know them before it reads the `http` block. Before that it
/// checks nginx's structures; nothing of nginx is used before this check.
unsafe extern "C" fn preconfiguration<M: Module>(cf: *mut ngx_conf_t) -> ngx_int_t {
    guard_conf(cf, Status::NGX_ERROR.0, || {
        // SAFETY: nginx passes the configuration that is being read, at the beginning of `http`.
        let done =
            unsafe { layout::check(cf).and_then(|()| names::add_variables(cf, M::VARIABLES)) };
        match done {
            Some(()) => Status::NGX_OK.0,
            None => Status::NGX_ERROR.0, // and the log says why
        }
    })
}

type PhaseHandler = unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t;

/// Adds the handler of the access phase and, if the module sends requests of its own, the handlers of
/// earlier phases for these.
unsafe extern "C" fn postconfiguration<M: Module>(cf: *mut ngx_conf_t) -> ngx_int_t {
    guard_conf(cf, Status::NGX_ERROR.0, || {
        // First of all: whatever fails later, the chains of this process have the filters.
        filter::install::<M>();
        // SAFETY: `create_main_conf` made the module's configuration of this `http` block, and the core
        // module its own, with initialised phases. nginx calls this once for the block.
        let (main, mut core) = unsafe {
            let core = &*ptr::addr_of!(ngx_http_core_module);
            let core = (*cf).http_main_conf_unchecked::<ngx_http_core_main_conf_t>(core);
            let (Some(main), Some(core)) = (main_of::<M::Main>(cf), core) else {
                return Status::NGX_ERROR.0;
            };
            (main, core)
        };
        let mut handlers: Vec<(u32, PhaseHandler)> =
            vec![(ngx_http_phases_NGX_HTTP_ACCESS_PHASE, access::<M>)];
        // SAFETY: in postconfiguration nginx still knows where servers listen.
        let servers = unsafe { Servers::new(core.as_ref()) };
        let sends_requests = match M::sends_requests(main, &servers) {
            Ok(sends) => sends,
            Err(error) => {
                // SAFETY: `cf` is valid.
                let log = unsafe { (*cf).log };
                ngx::ngx_log_error!(NGX_LOG_EMERG, log, "{error}");
                return Status::NGX_ERROR.0;
            }
        };
        // SAFETY: nginx passes `cf`, which is valid during this call.
        let memory = unsafe { SharedMemory::new(cf) };
        if memory.and_then(|memory| M::shares(main, &memory)).is_none() {
            return Status::NGX_ERROR.0;
        }
        if sends_requests {
            handlers.extend([
                (ngx_http_phases_NGX_HTTP_POST_READ_PHASE, loopback::post_read as PhaseHandler),
                (ngx_http_phases_NGX_HTTP_SERVER_REWRITE_PHASE, loopback::rewrite),
                (ngx_http_phases_NGX_HTTP_REWRITE_PHASE, loopback::rewrite),
                (ngx_http_phases_NGX_HTTP_PREACCESS_PHASE, loopback::preaccess),
            ]);
        }
        // SAFETY: nothing else refers to the core module's configuration during this call.
        let phases = unsafe { &mut core.as_mut().phases };
        for (phase, handler) in handlers {
            let Some(phase) = phases.get_mut(phase as usize) else { return Status::NGX_ERROR.0 };
            // SAFETY: this is the array of the phase's handlers; its new element is set at once.
            unsafe {
                let slot = ngx_array_push(&raw mut phase.handlers).cast::<ngx_http_handler_pt>();
                if slot.is_null() {
                    return Status::NGX_ERROR.0;
                }
                slot.write(Some(handler));
            }
        }
        Status::NGX_OK.0
    })
}

/// nginx calls this after a configuration has come into force, before workers start.
unsafe extern "C" fn init_module<M: Module>(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx passes the new cycle, which has a log.
    guard(unsafe { (*cycle).log }, Status::NGX_ERROR.0, || {
        // SAFETY: nginx has read the whole configuration.
        if let Some(main) = unsafe { main_of_cycle::<M::Main>(cycle) } {
            filter::in_force();
            M::in_force(main);
        }
        Status::NGX_OK.0
    })
}

/// nginx calls this at the beginning of each process but the master.
unsafe extern "C" fn init_process<M: Module>(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx passes the configuration that is in force, which has a log; it sets the kind of the
    // process before it calls this.
    let (log, differs, process) = unsafe { ((*cycle).log, layout::arrays(cycle), ngx_process) };
    guard(log, Status::NGX_ERROR.0, || {
        if layout::agree(log, differs).is_none() {
            return Status::NGX_ERROR.0;
        }
        // Other processes, such as the cache manager, serve no requests.
        let serves = [NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER].contains(&(process as u32));
        // SAFETY: nginx has read the whole configuration.
        if let Some(main) = unsafe { main_of_cycle::<M::Main>(cycle) }.filter(|_| serves) {
            filter::worker_starts();
            M::worker_starts(main);
        }
        Status::NGX_OK.0
    })
}

/// nginx calls this at the end of a process that serves requests, when there are none any more or nginx
/// stops at once.
unsafe extern "C" fn exit_process<M: Module>(cycle: *mut ngx_cycle_t) {
    // SAFETY: nginx passes the configuration of the process, which has a log.
    guard(unsafe { (*cycle).log }, (), || {
        // SAFETY: nginx has read the whole configuration.
        if let Some(main) = unsafe { main_of_cycle::<M::Main>(cycle) } {
            M::worker_exits(main);
        }
    });
}

unsafe extern "C" fn create_main_conf<M: Module>(cf: *mut ngx_conf_t) -> *mut c_void {
    guard_conf(cf, ptr::null_mut(), || {
        // SAFETY: this is the first hook that nginx calls: it has loaded the module, which is a static.
        // `cf` and its pool are valid while the configuration is read; the pool lives as long as the
        // configuration.
        unsafe {
            set_module(M::module());
            conf::store((*cf).pool, M::Main::default())
        }
    })
}

unsafe extern "C" fn create_location_conf<M: Module>(cf: *mut ngx_conf_t) -> *mut c_void {
    guard_conf(cf, ptr::null_mut(), || {
        // SAFETY: as in `create_main_conf`.
        unsafe { conf::store((*cf).pool, M::Location::default()) }
    })
}

unsafe extern "C" fn merge_location_conf<M: Module>(
    cf: *mut ngx_conf_t,
    parent: *mut c_void,
    child: *mut c_void,
) -> *mut c_char {
    guard_conf(cf, NGX_CONF_ERROR, || {
        // SAFETY: `create_location_conf` made both, for different levels, and nginx merges one pair at
        // a time. The main configuration is that of the same `http` block.
        let (parent, child, main, level) = unsafe {
            let (parent, child) = (load::<M::Location>(parent), load_mut::<M::Location>(child));
            (parent, child, main_of::<M::Main>(cf), Level::merged(cf))
        };
        let (Some(parent), Some(child), Some(main), Some(level)) = (parent, child, main, level)
        else {
            return NGX_CONF_ERROR;
        };
        match M::merge(child, parent, main, &level) {
            Ok(()) => ptr::null_mut(),
            Err(error) => {
                // SAFETY: `cf` is valid. The faulty level was read long ago, so the message has its own
                // position, and is written to the log directly.
                let log = unsafe { (*cf).log };
                ngx::ngx_log_error!(NGX_LOG_EMERG, log, "{error}");
                NGX_CONF_ERROR
            }
        }
    })
}

/// The handler of the access phase.
unsafe extern "C" fn access<M: Module>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a valid request to a phase handler, for the time of the call.
    let Some(request) = (unsafe { Request::new(r) }) else { return FAILED.code() };
    guard(request.log(), FAILED, || M::access(request)).code()
}
