//! Variables: those of the module's table, and those that a directive defines.

use core::ffi::{CStr, c_void};
use std::sync::OnceLock;

use ngx::ffi::{
    NGX_HTTP_VAR_NOCACHEABLE, NGX_HTTP_VAR_NOHASH, NGX_HTTP_VAR_PREFIX, ngx_conf_t,
    ngx_http_add_variable, ngx_http_get_variable_pt, ngx_http_request_t, ngx_http_variable_value_t,
    ngx_int_t, ngx_str_t, ngx_uint_t,
};

use super::guard::guard;
use super::pool::allocate;
use super::request::Request;
use super::string::{bytes, string};

const OK: ngx_int_t = ngx::ffi::NGX_OK as ngx_int_t;
const ERROR: ngx_int_t = ngx::ffi::NGX_ERROR as ngx_int_t;

/// A variable of the module: its name, or the prefix of many names, and the function that returns its
/// value. If that returns `None`, nginx treats the variable as not found.
pub(crate) enum Variable {
    Named(&'static CStr, fn(Request<'_>) -> Option<Vec<u8>>),
    /// The function's second argument is the rest of the name after the prefix.
    Prefix(&'static CStr, fn(Request<'_>, &[u8]) -> Option<Vec<u8>>),
}

/// The module's table of variables, as registered.
static TABLE: OnceLock<&'static [Variable]> = OnceLock::new();

/// Stores the table, for the lookup of prefixes.
pub(super) fn set_table(table: &'static [Variable]) {
    // nginx may read the configuration again, with the same table.
    let _ = TABLE.set(table);
}

impl Variable {
    pub(super) fn is_prefix(&self) -> bool {
        matches!(self, Self::Prefix(..))
    }

    /// The name or the prefix.
    pub(super) fn name(&self) -> &'static [u8] {
        match self {
            Self::Named(name, _) | Self::Prefix(name, _) => name.to_bytes(),
        }
    }

    /// The flags for nginx. Never cacheable: the value changes when an internal redirect enters another
    /// location, and nginx would cache a prefix variable that was read early as not found.
    pub(super) fn flags(&self) -> ngx_uint_t {
        let prefix = if self.is_prefix() { NGX_HTTP_VAR_PREFIX | NGX_HTTP_VAR_NOHASH } else { 0 };
        (NGX_HTTP_VAR_NOCACHEABLE | prefix) as ngx_uint_t
    }

    /// The function that nginx calls for the value, and the data that it passes. For a variable with a
    /// prefix nginx passes the whole name instead of the data.
    pub(super) fn handler(&'static self) -> (ngx_http_get_variable_pt, usize) {
        match self {
            Self::Named(..) => (Some(get_named), core::ptr::from_ref(self) as usize),
            Self::Prefix(..) => (Some(get_prefixed), 0),
        }
    }
}

unsafe extern "C" fn get_named(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    data: usize,
) -> ngx_int_t {
    // SAFETY: nginx passes `r` and `value` to a variable's handler; `data` is a row of the table, which
    // is static.
    unsafe {
        show(r, value, |request| match &*(data as *const Variable) {
            Variable::Named(_, get) => get(request),
            Variable::Prefix(..) => None,
        })
    }
}

unsafe extern "C" fn get_prefixed(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    data: usize,
) -> ngx_int_t {
    // SAFETY: nginx passes `r` and `value` to a variable's handler; for a variable with a prefix,
    // `data` points to the whole name.
    unsafe {
        show(r, value, |request| {
            let whole = bytes(*(data as *const c_void).cast::<ngx_str_t>());
            TABLE.get()?.iter().find_map(|row| match row {
                Variable::Prefix(prefix, get) => {
                    let name = whole.strip_prefix(prefix.to_bytes())?;
                    Some(get(request, name))
                }
                Variable::Named(..) => None,
            })?
        })
    }
}

/// A variable that a directive has defined.
struct Defined<T> {
    get: fn(Request<'_>, &T) -> Option<Vec<u8>>,
    data: T,
}

/// Defines a variable called `name`. `get` makes its value from `data`. `None` if nginx refuses the
/// variable; nginx has then logged why.
///
/// # Safety
/// `cf` must be what nginx passes to a directive.
pub(super) unsafe fn define<T: 'static>(
    cf: *mut ngx_conf_t,
    name: &[u8],
    get: fn(Request<'_>, &T) -> Option<Vec<u8>>,
    data: T,
) -> Option<()> {
    let mut name = string(name);
    // SAFETY: nginx's own `map` registers its variable in the same way. The pool owns what the
    // variable's data points to, and outlives every request of this configuration.
    unsafe {
        // Not changeable: nginx then reports a second definition of the same name as a mistake.
        let flags = NGX_HTTP_VAR_NOCACHEABLE as ngx_uint_t;
        let variable = ngx_http_add_variable(cf, &raw mut name, flags).as_mut()?;
        let defined = allocate((*cf).pool, Defined { get, data }).as_ref()?;
        variable.get_handler = Some(get_defined::<T>);
        variable.data = core::ptr::from_ref(defined) as usize;
    }
    Some(())
}

unsafe extern "C" fn get_defined<T: 'static>(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    data: usize,
) -> ngx_int_t {
    // SAFETY: nginx passes `r` and `value` to a variable's handler; `data` is what `define` registered
    // with this function, and lives as long as the configuration.
    unsafe {
        show(r, value, |request| {
            let defined = &*(data as *const Defined<T>);
            (defined.get)(request, &defined.data)
        })
    }
}

/// Sets a variable's value to the result of `get`.
///
/// # Safety
/// `r` and `value` must be what nginx passes to a variable's handler.
unsafe fn show(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    get: impl FnOnce(Request<'_>) -> Option<Vec<u8>>,
) -> ngx_int_t {
    // SAFETY: by the contract of this function; the request is valid for the time of the call.
    let Some(request) = (unsafe { Request::new(r) }) else { return ERROR };
    let shown = guard(request.log(), ERROR, || {
        let text = get(request);
        // SAFETY: nginx passes the value to be filled in; its bytes live as long as the pool.
        let value = unsafe { &mut *value };
        let Some(text) = text else {
            value.set_valid(0);
            value.set_not_found(1);
            return OK;
        };
        let Some(text) = request.copy_shown(&text) else { return ERROR };
        // The length is a bit field of 28 bits.
        let Ok(len @ ..0x1000_0000) = u32::try_from(text.len) else { return ERROR };
        value.set_len(len);
        value.set_valid(1);
        value.set_no_cacheable(1);
        value.set_not_found(0);
        value.data = text.data;
        OK
    });
    if shown == ERROR
        && let Some(kept) = request.kept()
    {
        // A `map` would use the variable as an empty one.
        kept.has_failed.set(true);
    }
    shown
}
