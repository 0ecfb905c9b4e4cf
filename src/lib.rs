//! The nginx module: its tables, as nginx reads them, and the hooks that fill them in.
//!
//! Everything unsafe is in this file, `hooks.rs`, `ffi.rs`, `nginx.rs`, `request.rs`, `captures.rs`,
//! `conf/setting.rs` and, for keys that are fetched, `conf/servers.rs` and
//! `keys/{fetch,parent,zone}.rs`; the decision (`access.rs`), the keys that it is reached by
//! (`lend.rs`) and what variables show (`variables.rs`) are safe code over them, and all
//! cryptography is in the `token` crate.

mod access;
mod captures;
mod conf;
mod ffi;
mod hooks;
mod judging;
mod keys;
mod lend;
mod memory;
mod nginx;
mod request;
mod state;
mod tokens;
mod value;
mod variables;

use core::ffi::{c_char, c_void};
use core::ptr;

use ngx::core::{NGX_CONF_ERROR, Status};
use ngx::ffi::{
    NGX_HTTP_MODULE, NGX_LOG_EMERG, ngx_array_push, ngx_conf_t, ngx_http_add_variable,
    ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_handler_pt, ngx_http_module_t,
    ngx_http_phases_NGX_HTTP_ACCESS_PHASE, ngx_int_t, ngx_module_t, ngx_uint_t,
};
use ngx::http::HttpModuleConfExt as _;

use crate::conf::{LocationConf, MainConf};

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

    /// In front of which module ours goes, so that its body filter comes after this one's: the
    /// order that nginx's build gives to filters (auto/module).
    #[unsafe(no_mangle)]
    pub(crate) static mut ngx_module_order: [*const c_char; 3] = [
        c"ngx_http_token_auth_module".as_ptr(),
        c"ngx_http_copy_filter_module".as_ptr(),
        ptr::null(),
    ];
}

/// The module, as `load_module` finds it through `ngx_modules`.
#[allow(non_upper_case_globals)] // nginx's own naming, which its error messages show
pub static mut ngx_http_token_auth_module: ngx_module_t = ngx_module_t {
    ctx: (&raw const MODULE_CONTEXT).cast_mut().cast(),
    commands: conf::COMMANDS.as_ptr().cast_mut().cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    ..ngx_module_t::default()
};

static MODULE_CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(add_variables),
    postconfiguration: Some(add_handlers),
    create_main_conf: Some(create_main_conf),
    init_main_conf: None,
    create_srv_conf: None,
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

/// Registers the variables; nginx wants them known before it reads the `http` block.
unsafe extern "C" fn add_variables(cf: *mut ngx_conf_t) -> ngx_int_t {
    ffi::guard_conf(cf, Status::NGX_ERROR.0, || {
        for row in hooks::variable_table() {
            let mut name = row.name();
            // SAFETY: `cf` is the configuration being read, and nginx copies the name into its
            // own memory.
            let variable = unsafe { ngx_http_add_variable(cf, &raw mut name, row.flags) };
            if variable.is_null() {
                return Status::NGX_ERROR.0; // nginx has logged why
            }
            // SAFETY: just returned by nginx, not null, and ours to fill in.
            unsafe { (*variable).get_handler = row.handler };
        }
        Status::NGX_OK.0
    })
}

/// Puts the handler into the access phase and, where keys are fetched, the filter that reads them.
unsafe extern "C" fn add_handlers(cf: *mut ngx_conf_t) -> ngx_int_t {
    ffi::guard_conf(cf, Status::NGX_ERROR.0, || {
        // SAFETY: `create_main_conf` made the module's configuration of this `http` block, the core
        // module its own, and nginx calls this once for it.
        unsafe {
            let core = &*ptr::addr_of!(ngx_http_core_module);
            if let Some(main) = (*cf).http_main_conf_unchecked::<MainConf>(module())
                && let Some(core) =
                    (*cf).http_main_conf_unchecked::<ngx_http_core_main_conf_t>(core)
                && main.as_ref().has_requests.get()
            {
                main.as_ref().key_requests.describe(conf::descriptions(core.as_ref()));
                keys::install_filter();
            }
        }
        // SAFETY: `cf` is valid and, in postconfiguration, its context is that of `http`, where
        // the core module keeps a structure of this type and the phases are initialised.
        let handler = unsafe {
            (*cf)
                .http_main_conf_unchecked::<ngx_http_core_main_conf_t>(&*ptr::addr_of!(
                    ngx_http_core_module
                ))
                .map(|mut core| {
                    let phase = ngx_http_phases_NGX_HTTP_ACCESS_PHASE as usize;
                    let phases = &mut core.as_mut().phases;
                    match phases.get_mut(phase) {
                        Some(access) => ngx_array_push(&raw mut access.handlers),
                        None => ptr::null_mut(),
                    }
                })
        };
        match handler.map(<*mut c_void>::cast::<ngx_http_handler_pt>) {
            Some(slot) if !slot.is_null() => {
                // SAFETY: the new element of the array of handlers.
                unsafe { slot.write(Some(hooks::access_handler)) };
                Status::NGX_OK.0
            }
            _ => Status::NGX_ERROR.0,
        }
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
        let (parent, child, main) = unsafe {
            let main = (*cf).http_main_conf_unchecked::<MainConf>(module());
            (&*parent.cast::<LocationConf>(), &mut *child.cast::<LocationConf>(), main)
        };
        // SAFETY: only shared references to the main configuration are ever made.
        let Some(main) = main.map(|main| unsafe { main.as_ref() }) else {
            return NGX_CONF_ERROR;
        };
        match child.merge(parent, main) {
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
