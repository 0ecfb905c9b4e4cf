//! The nginx module: its tables, as nginx reads them, and the hooks that fill them in.
//!
//! Everything unsafe is in this file, `captures.rs`, `ffi.rs`, `hooks.rs`, `layout.rs`, `nginx.rs`,
//! `register.rs`, `request.rs`, `conf/{level,setting}.rs` and, for keys that are fetched,
//! `conf/servers.rs` and `keys/{fetch,loopback,zone}.rs`; the decision (`access.rs`), the keys that it
//! is reached by (`lend.rs`) and what variables show (`variables.rs`) are safe code over them, and all
//! cryptography is in the `token` crate.

mod access;
mod captures;
mod conf;
mod ffi;
mod hooks;
mod judging;
mod keys;
mod layout;
mod lend;
mod memory;
mod nginx;
mod register;
mod request;
mod state;
mod tokens;
mod value;
mod variables;

use core::ffi::{c_char, c_void};
use core::ptr;

use ngx::core::{NGX_CONF_ERROR, Status};
use ngx::ffi::{
    NGX_HTTP_MODULE, NGX_LOG_EMERG, ngx_array_push, ngx_conf_t, ngx_cycle_t, ngx_http_conf_ctx_t,
    ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_handler_pt, ngx_http_module,
    ngx_http_module_t, ngx_http_phases_NGX_HTTP_ACCESS_PHASE,
    ngx_http_phases_NGX_HTTP_POST_READ_PHASE, ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
    ngx_http_phases_NGX_HTTP_REWRITE_PHASE, ngx_http_phases_NGX_HTTP_SERVER_REWRITE_PHASE,
    ngx_http_request_t, ngx_int_t, ngx_module_t, ngx_uint_t,
};
use ngx::http::HttpModuleConfExt as _;

use crate::conf::{Level, LocationConf, MainConf};
use crate::keys::loopback;

/// What `load_module` looks for (ngx_load_module in src/core/nginx.c).
#[allow(missing_docs, non_upper_case_globals)] // the names are nginx's
mod exports {
    use core::ffi::c_char;
    use core::ptr;

    use ngx::ffi::ngx_module_t;

    #[unsafe(no_mangle)]
    pub(crate) static mut ngx_modules: [*const ngx_module_t; 2] =
        [&raw const super::ngx_http_token_auth_module, ptr::null()];

    #[unsafe(no_mangle)]
    pub(crate) static mut ngx_module_names: [*const c_char; 2] =
        [c"ngx_http_token_auth_module".as_ptr(), ptr::null()];
}

/// The module, as `load_module` finds it through `ngx_modules`.
#[allow(non_upper_case_globals)] // nginx's own naming, which its error messages show
pub static mut ngx_http_token_auth_module: ngx_module_t = ngx_module_t {
    ctx: (&raw const MODULE_CONTEXT).cast_mut().cast(),
    commands: conf::COMMANDS.as_ptr().cast_mut().cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_module: Some(init_module),
    init_process: Some(layout::init_process),
    ..ngx_module_t::default()
};

static MODULE_CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(add_variables),
    postconfiguration: Some(add_handlers),
    create_main_conf: Some(create_main_conf),
    init_main_conf: None,
    create_srv_conf: Some(register::create_server_conf),
    merge_srv_conf: None,
    create_loc_conf: Some(create_location_conf),
    merge_loc_conf: Some(merge_location_conf),
};

/// The module, for looking up its configuration and context.
fn module() -> &'static ngx_module_t {
    // SAFETY: nginx writes to the structure while it loads the module, before it calls any of our
    // functions, and not while one of them runs.
    unsafe { &*ptr::addr_of!(ngx_http_token_auth_module) }
}

/// Registers the variables; nginx wants them known before it reads the `http` block. Nothing of nginx's
/// is touched before it is known to be what the module was built for.
unsafe extern "C" fn add_variables(cf: *mut ngx_conf_t) -> ngx_int_t {
    ffi::guard_conf(cf, Status::NGX_ERROR.0, || {
        // SAFETY: nginx passes the configuration that is being read, at the beginning of `http`.
        match unsafe { layout::check(cf).and_then(|()| register::add_variables(cf)) } {
            Some(()) => Status::NGX_OK.0,
            None => Status::NGX_ERROR.0, // and the log says why
        }
    })
}

/// Puts the handler into the access phase and, where keys are fetched, those that see to the
/// module's own requests into the phases before it.
unsafe extern "C" fn add_handlers(cf: *mut ngx_conf_t) -> ngx_int_t {
    ffi::guard_conf(cf, Status::NGX_ERROR.0, || {
        // SAFETY: `create_main_conf` made the module's configuration of this `http` block, the core
        // module its own, in which the phases are initialised, and nginx calls this once for it.
        let (main, mut core) = unsafe {
            let core = &*ptr::addr_of!(ngx_http_core_module);
            let main = (*cf).http_main_conf_unchecked::<MainConf>(module());
            let core = (*cf).http_main_conf_unchecked::<ngx_http_core_main_conf_t>(core);
            let (Some(main), Some(core)) = (main, core) else { return Status::NGX_ERROR.0 };
            (main.as_ref(), core)
        };
        let mut handlers: Vec<(u32, PhaseHandler)> =
            vec![(ngx_http_phases_NGX_HTTP_ACCESS_PHASE, hooks::access_handler)];
        if main.has_requests.get() {
            // SAFETY: in postconfiguration nginx still knows where servers listen.
            let servers = unsafe { conf::descriptions(core.as_ref()) };
            main.key_requests.describe(servers);
            handlers.extend([
                (ngx_http_phases_NGX_HTTP_POST_READ_PHASE, loopback::post_read as PhaseHandler),
                (ngx_http_phases_NGX_HTTP_SERVER_REWRITE_PHASE, loopback::rewrite),
                (ngx_http_phases_NGX_HTTP_REWRITE_PHASE, loopback::rewrite),
                (ngx_http_phases_NGX_HTTP_PREACCESS_PHASE, loopback::preaccess),
            ]);
        }
        // SAFETY: nothing else refers to the core module's configuration meanwhile.
        let phases = unsafe { &mut core.as_mut().phases };
        for (phase, handler) in handlers {
            let Some(phase) = phases.get_mut(phase as usize) else { return Status::NGX_ERROR.0 };
            // SAFETY: the array of the phase's handlers, whose new element is filled in at once.
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

type PhaseHandler = unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t;

/// Once a configuration has come into force, before its workers are started.
unsafe extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx passes the new cycle, which has a log.
    ffi::guard(unsafe { (*cycle).log }, Status::NGX_ERROR.0, || {
        // SAFETY: the configuration of `http`, if there is such a block, is a context whose slot of
        // this module is what `create_main_conf` made.
        let main = unsafe {
            let http = *(*cycle).conf_ctx.add((*ptr::addr_of!(ngx_http_module)).index);
            let http = http.cast::<ngx_http_conf_ctx_t>();
            http.as_ref().and_then(|http| {
                (*http.main_conf.add(module().ctx_index)).cast::<MainConf>().as_ref()
            })
        };
        if let Some(zone) = main.and_then(|main| main.key_zone.get()) {
            zone.take_over();
        }
        Status::NGX_OK.0
    })
}

unsafe extern "C" fn create_main_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    ffi::guard_conf(cf, ptr::null_mut(), || {
        // SAFETY: as in `create_location_conf`.
        unsafe { ffi::allocate((*cf).pool, MainConf::default()) }.cast()
    })
}

unsafe extern "C" fn create_location_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    ffi::guard_conf(cf, ptr::null_mut(), || {
        // SAFETY: `cf` and its pool are valid while the configuration is read.
        let pool = unsafe { (*cf).pool };
        // SAFETY: as above; the pool lives as long as the configuration.
        unsafe { ffi::allocate(pool, LocationConf::default()) }.cast()
    })
}

unsafe extern "C" fn merge_location_conf(
    cf: *mut ngx_conf_t,
    parent: *mut c_void,
    child: *mut c_void,
) -> *mut c_char {
    ffi::guard_conf(cf, NGX_CONF_ERROR, || {
        // SAFETY: both were made by `create_location_conf`, are of different levels, and nginx
        // merges one pair at a time; the main configuration is that of the same `http` block.
        let (parent, child, main, level) = unsafe {
            let main = (*cf).http_main_conf_unchecked::<MainConf>(module());
            let (parent, child) = (&*parent.cast(), &mut *child.cast::<LocationConf>());
            (parent, child, main, Level::merged(cf))
        };
        // SAFETY: only shared references to the main configuration are ever made.
        let (Some(main), Some(level)) = (main.map(|main| unsafe { main.as_ref() }), level) else {
            return NGX_CONF_ERROR;
        };
        match child.merge(parent, main, &level) {
            Ok(()) => ptr::null_mut(),
            Err(error) => {
                // SAFETY: `cf` is valid. The level that is at fault was read long ago, so the
                // message brings its own position and the log is written to directly.
                let log = unsafe { (*cf).log };
                ngx::ngx_log_error!(NGX_LOG_EMERG, log, "{error}");
                NGX_CONF_ERROR
            }
        }
    })
}
