//! Variables: the rows of the module's table, and those that a directive defines.

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

/// A variable of the module's: the name that nginx knows it by, or the prefix of many, and how to get
/// its value. `None` is a variable that is not found.
pub(crate) enum Variable {
    Named(&'static CStr, fn(Request<'_>) -> Option<Vec<u8>>),
    /// Its function is given what follows the prefix.
    Prefix(&'static CStr, fn(Request<'_>, &[u8]) -> Option<Vec<u8>>),
}

/// The module's table of variables, as it was registered.
static TABLE: OnceLock<&'static [Variable]> = OnceLock::new();

/// Notes the table, in which prefixes are then looked for.
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

    /// What nginx is told of it. Never cacheable: the answer changes when an internal redirect enters
    /// another location, and nginx caches a prefix variable that was read early as not found.
    pub(super) fn flags(&self) -> ngx_uint_t {
        let prefix = if self.is_prefix() { NGX_HTTP_VAR_PREFIX | NGX_HTTP_VAR_NOHASH } else { 0 };
        (NGX_HTTP_VAR_NOCACHEABLE | prefix) as ngx_uint_t
    }

    /// What nginx calls for its value, and what it passes then. Of a variable with a prefix nginx
    /// passes the whole name instead.
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
    // SAFETY: `r` and `value` are what nginx passes to a variable's handler; `data` is a row of the
    // table, which is a static.
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
    // SAFETY: `r` and `value` are what nginx passes to a variable's handler; for one with a prefix
    // `data` points to the whole name of the one asked for.
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

/// Defines a variable called `name`, whose value `get` makes of `data`. `None` when nginx refuses it,
/// and has logged why.
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
    // SAFETY: as nginx's own `map` registers its variable; the pool owns what the variable's data
    // points to, and outlives every request of this configuration.
    unsafe {
        // Not changeable: two definitions of one name are a mistake that nginx then reports.
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
    // SAFETY: `r` and `value` are what nginx passes to a variable's handler; `data` is what `define`
    // registered with this function, which lives as long as the configuration.
    unsafe {
        show(r, value, |request| {
            let defined = &*(data as *const Defined<T>);
            (defined.get)(request, &defined.data)
        })
    }
}

/// Fills in a variable's value with what `get` gives.
///
/// # Safety
/// `r` and `value` must be what nginx passes to a variable's handler.
unsafe fn show(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    get: impl FnOnce(Request<'_>) -> Option<Vec<u8>>,
) -> ngx_int_t {
    // SAFETY: by the contract of this function, for the time of the call.
    let Some(request) = (unsafe { Request::new(r) }) else { return ERROR };
    let shown = guard(request.log(), ERROR, || {
        let text = get(request);
        // SAFETY: the value is nginx's to be filled in, with bytes that live as long as the pool.
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
        // A `map` takes the variable for an empty one.
        kept.has_failed.set(true);
    }
    shown
}
