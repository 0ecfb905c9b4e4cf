//! What nginx calls for a request: the handler of the access phase and those of the variables. Each
//! puts the answer of safe code into nginx's structures.

use core::ffi::{CStr, c_void};

use ngx::ffi::{
    NGX_HTTP_VAR_NOCACHEABLE, NGX_HTTP_VAR_NOHASH, NGX_HTTP_VAR_PREFIX, ngx_http_get_variable_pt,
    ngx_http_request_t, ngx_http_variable_value_t, ngx_int_t, ngx_str_t, ngx_uint_t,
};

use crate::access::{self, Decision};
use crate::conf::{NamedClaim, Status};
use crate::ffi;
use crate::judging::Failed;
use crate::request::Request;
use crate::variables::{self, VARIABLES, Variable};

const OK: ngx_int_t = ngx::ffi::NGX_OK as ngx_int_t;
const DECLINED: ngx_int_t = ngx::ffi::NGX_DECLINED as ngx_int_t;
const AGAIN: ngx_int_t = ngx::ffi::NGX_AGAIN as ngx_int_t;
const ERROR: ngx_int_t = ngx::ffi::NGX_ERROR as ngx_int_t;
/// 500, for what is not the client's doing.
const FAILED: ngx_int_t = ngx::ffi::NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;

/// The handler of the access phase.
pub(crate) unsafe extern "C" fn access_handler(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a valid request to a phase handler, for the time of the call.
    let Some(request) = (unsafe { Request::new(r) }) else { return FAILED };
    ffi::guard(request.log(), FAILED, || match access::decide(request) {
        Decision::Decline => DECLINED,
        Decision::Pass => OK,
        Decision::Refuse { status, challenge } => refuse(request, status, challenge.as_deref()),
        Decision::Wait => AGAIN,
        Decision::Fail => FAILED,
    })
}

/// Answers `status`, with a challenge where there is one.
fn refuse(request: Request<'_>, status: Status, challenge: Option<&[u8]>) -> ngx_int_t {
    if let Some(challenge) = challenge
        && request.add_challenge(challenge).is_none()
    {
        return FAILED;
    }
    let goes_on = matches!(status, Status::Unauthorized | Status::Forbidden);
    if request.satisfies_any() && !goes_on {
        request.answer_unless_satisfied(status as ngx_uint_t);
        return DECLINED;
    }
    status as ngx_int_t
}

/// A variable as nginx wants it registered.
pub(crate) struct VariableRow {
    name: &'static CStr,
    pub(crate) flags: ngx_uint_t,
    pub(crate) handler: ngx_http_get_variable_pt,
}

impl VariableRow {
    pub(crate) fn name(&self) -> ngx_str_t {
        ffi::string(self.name.to_bytes())
    }
}

/// The variables, each with the handler that knows its row.
pub(crate) fn variable_table() -> impl Iterator<Item = VariableRow> {
    let handlers: [ngx_http_get_variable_pt; VARIABLES.len()] = [
        Some(get_variable::<0>),
        Some(get_variable::<1>),
        Some(get_variable::<2>),
        Some(get_variable::<3>),
        Some(get_variable::<4>),
        Some(get_variable::<5>),
        Some(get_variable::<6>),
        Some(get_variable::<7>),
    ];
    VARIABLES.iter().zip(handlers).map(|(variable, handler)| {
        // Never cacheable: the answer changes when an internal redirect enters another location,
        // and nginx caches a prefix variable that was read early as not found.
        let (name, prefix) = match variable {
            Variable::Named(name, _) => (*name, 0),
            Variable::Prefix(name, _) => (*name, NGX_HTTP_VAR_PREFIX | NGX_HTTP_VAR_NOHASH),
        };
        let flags = (NGX_HTTP_VAR_NOCACHEABLE | prefix) as ngx_uint_t;
        VariableRow { name, flags, handler }
    })
}

unsafe extern "C" fn get_variable<const ROW: usize>(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    data: usize,
) -> ngx_int_t {
    // SAFETY: `r` and `value` are what nginx passes to a variable's handler.
    unsafe {
        show(r, value, |request| match VARIABLES.get(ROW) {
            Some(Variable::Named(_, get)) => get(request),
            Some(Variable::Prefix(prefix, get)) => {
                // For a prefix variable `data` points to the whole name of the one asked for.
                let name = ffi::bytes(*(data as *const c_void).cast::<ngx_str_t>());
                name.get(prefix.count_bytes()..).and_then(|name| get(request, name))
            }
            None => None,
        })
    }
}

/// The handler of a variable that `jwt_claim_set` or `jwt_header_set` has named.
pub(crate) unsafe extern "C" fn get_named_claim(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    data: usize,
) -> ngx_int_t {
    // SAFETY: `r` and `value` are what nginx passes to a variable's handler; `data` is what
    // `Setting::add_variable` registered with it, which lives as long as the configuration.
    unsafe {
        show(r, value, |request| {
            let claim = &*(data as *const NamedClaim);
            variables::named_claim(request, claim)
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
    let shown = ffi::guard(request.log(), ERROR, || {
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
    if shown == ERROR {
        // A `map` takes the variable for an empty one.
        access::fail(request, Failed::Value);
    }
    shown
}
