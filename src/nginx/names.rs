//! Registers the module's variables in nginx, and handles names that another module defines, too.
//!
//! An nginx may bring its own token checks, with `auth_jwt` and `$jwt_claim_NAME`. Each name that
//! both modules have then belongs to one of them; names that only this module has work as usual.
//! nginx decides in which order it calls modules, so the other one may come before or after this one.

use core::ffi::{c_char, c_void};
use core::{ptr, slice};
use std::sync::{Mutex, PoisonError};

use ngx::ffi::{
    NGX_HTTP_MAIN_CONF, NGX_HTTP_MODULE, NGX_HTTP_VAR_CHANGEABLE, NGX_LOG_WARN, ngx_array_t,
    ngx_command_t, ngx_conf_t, ngx_hash_key_t, ngx_http_add_variable, ngx_http_core_main_conf_t,
    ngx_http_core_module, ngx_http_variable_t, ngx_module_t, ngx_uint_t,
};
use ngx::http::HttpModuleConfExt as _;

use super::conf::module;
use super::guard::guard_conf;
use super::string::{bytes, string};
use super::variable::{Variable, set_table};

/// The variables that can still be changed: registered at the start of `http`, and closed by
/// [`freeze_variables`]. Only the process that reads the configuration uses this.
static UNFROZEN: Mutex<Vec<&'static Variable>> = Mutex::new(Vec::new());

const CHANGEABLE: ngx_uint_t = NGX_HTTP_VAR_CHANGEABLE as ngx_uint_t;

/// Registers the variables of `table`, except those that another module has defined already. `None`
/// when nginx refuses one; nginx has then logged why.
///
/// They stay changeable while modules register theirs. Otherwise nginx would not start if a later
/// module defines the same name.
///
/// # Safety
/// `cf` must be what nginx passes to a module's `preconfiguration`.
pub(super) unsafe fn add_variables(cf: *mut ngx_conf_t, table: &'static [Variable]) -> Option<()> {
    set_table(table);
    let mut unfrozen = Vec::new();
    for row in table {
        // SAFETY: by the contract of this function; nginx copies the name into its own memory, and
        // the variable that it returns is ours to fill in.
        unsafe {
            if variable(cf, row).is_some_and(|known| known.get_handler.is_some()) {
                warn_of_variable(cf, row);
                continue;
            }
            let mut name = string(row.name());
            let added =
                ngx_http_add_variable(cf, &raw mut name, row.flags() | CHANGEABLE).as_mut()?;
            (added.get_handler, added.data) = row.handler();
        }
        unfrozen.push(row);
    }
    *UNFROZEN.lock().unwrap_or_else(PoisonError::into_inner) = unfrozen;
    // SAFETY: by the contract of this function.
    unsafe { warn_of_directives(cf) };
    Some(())
}

/// nginx calls this at the start of each server block. By then every module has registered its
/// variables, and no `set` has been read. The result is a placeholder that nobody uses.
pub(super) unsafe extern "C" fn create_server_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    static NOTHING: u8 = 0;
    let nothing = (&raw const NOTHING).cast_mut().cast();
    guard_conf(cf, ptr::null_mut(), || {
        // nginx calls this for the `http` block, too, but there the variables are not registered yet.
        // SAFETY: nginx passes a valid structure.
        if unsafe { (*cf).cmd_type } == NGX_HTTP_MAIN_CONF as ngx_uint_t {
            // SAFETY: within `http` the structure is as in `preconfiguration`.
            unsafe { freeze_variables(cf) };
        }
        nothing
    })
}

/// Makes the variables unchangeable, once for each configuration: at the first directive of this
/// module, or at the first server.
///
/// # Safety
/// `cf` must be what nginx passes to a directive within `http`.
pub(super) unsafe fn freeze_variables(cf: *mut ngx_conf_t) {
    let unfrozen = core::mem::take(&mut *UNFROZEN.lock().unwrap_or_else(PoisonError::into_inner));
    for row in unfrozen {
        // SAFETY: as in `add_variables`.
        let Some(variable) = (unsafe { variable(cf, row) }) else { continue };
        variable.flags &= !CHANGEABLE;
        let (ours, _) = row.handler();
        if variable.get_handler.map(|one| one as usize) != ours.map(|one| one as usize) {
            // SAFETY: as above.
            unsafe { warn_of_variable(cf, row) };
        }
    }
}

/// The variable that nginx has under the name of `row`.
unsafe fn variable<'c>(cf: *mut ngx_conf_t, row: &Variable) -> Option<&'c mut ngx_http_variable_t> {
    let is = |name: &[u8]| name.eq_ignore_ascii_case(row.name());
    // SAFETY: while `http` is read, nginx keeps the variables in these arrays, with elements of these
    // types; nothing else refers to a variable during the call.
    unsafe {
        let core = &*ptr::addr_of!(ngx_http_core_module);
        let main = (*cf).http_main_conf_unchecked::<ngx_http_core_main_conf_t>(core)?.as_ptr();
        if row.is_prefix() {
            let variables = elements::<ngx_http_variable_t>(&raw mut (*main).prefix_variables);
            return variables.iter_mut().find(|variable| is(bytes(variable.name)));
        }
        let keys = elements::<ngx_hash_key_t>(&raw mut (*(*main).variables_keys).keys);
        let key = keys.iter().find(|key| is(bytes(key.key)))?;
        key.value.cast::<ngx_http_variable_t>().as_mut()
    }
}

unsafe fn elements<'c, T>(array: *mut ngx_array_t) -> &'c mut [T] {
    // SAFETY: the callers pass an array of nginx's with elements of this type.
    unsafe {
        match (*array).nelts {
            0 => &mut [],
            count => slice::from_raw_parts_mut((*array).elts.cast(), count),
        }
    }
}

unsafe fn warn_of_variable(cf: *mut ngx_conf_t, row: &Variable) {
    let name = String::from_utf8_lossy(row.name());
    let prefix = row.is_prefix();
    let (all, instead) = match &*name {
        "jwt_claim_" => {
            ("NAME", "; for a claim that this module has verified write \"jwt_claim_set\"")
        }
        "jwt_header_" => {
            ("NAME", "; for a header that this module has verified write \"jwt_header_set\"")
        }
        _ if prefix => ("NAME", "; it tells nothing of this module"),
        _ => ("", "; it tells nothing of this module"),
    };
    // SAFETY: the log of the configuration that is being read.
    let log = unsafe { (*cf).log };
    ngx::ngx_log_error!(
        NGX_LOG_WARN,
        log,
        "token_auth: the variable \"${name}{all}\" is not this module's: another module, or the \
         configuration, has defined it{instead}"
    );
}

/// Warns about directives that another module has, too, and says which module reads them: nginx gives
/// a directive to the first module that has one of that name.
unsafe fn warn_of_directives(cf: *mut ngx_conf_t) {
    let ours: *const ngx_module_t = module();
    // SAFETY: nginx's list of modules is valid, and so are the modules' tables of directives.
    let (modules, log) = unsafe {
        let cycle = &*(*cf).cycle;
        (slice::from_raw_parts(cycle.modules, cycle.modules_n), (*cf).log)
    };
    // SAFETY: as above.
    let names = |module: *const ngx_module_t| unsafe { commands((*module).commands) };
    let mut first = true;
    for module in modules.iter().map(|module| module.cast_const()) {
        if ptr::eq(module, ours) {
            first = false;
            continue;
        }
        // SAFETY: as above.
        if unsafe { (*module).type_ } != NGX_HTTP_MODULE as ngx_uint_t {
            continue;
        }
        let both: Vec<String> = names(module)
            .filter(|name| names(ours).any(|our| our == *name))
            .map(|name| format!("\"{}\"", String::from_utf8_lossy(name)))
            .collect();
        if both.is_empty() {
            continue;
        }
        // SAFETY: the name of a module that nginx has loaded.
        let name = unsafe { name_of(module) };
        let both = both.join(", ");
        let who = if first {
            format!("{name} reads them; of this module write \"jwt\", \"jwks_file\" and so on")
        } else {
            format!("this module reads them, and {name} does not see them")
        };
        ngx::ngx_log_error!(
            NGX_LOG_WARN,
            log,
            "token_auth: {both}: two modules have this name; {who}"
        );
    }
}

/// The names in a table of directives. An empty name ends the table.
unsafe fn commands<'c>(table: *const ngx_command_t) -> impl Iterator<Item = &'c [u8]> {
    let rows = (0..).map(move |row| table.wrapping_add(row));
    // SAFETY: the callers pass a valid table; nothing behind the empty name is read.
    rows.map(|row| unsafe { row.as_ref() }.map(|command| unsafe { bytes(command.name) }))
        .map_while(|name| name.filter(|name| !name.is_empty()))
}

unsafe fn name_of(module: *const ngx_module_t) -> String {
    // SAFETY: the callers pass a valid module.
    let name: *const c_char = unsafe { (*module).name };
    if name.is_null() {
        return "the other".to_owned();
    }
    // SAFETY: nginx's module names end with a NUL.
    unsafe { core::ffi::CStr::from_ptr(name) }.to_string_lossy().into_owned()
}
