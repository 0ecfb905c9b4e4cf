//! The boundary itself: panics stopped, nginx strings lent as slices, Rust values owned by pools.

use core::ffi::c_void;
use core::ptr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ngx::ffi::{
    NGX_LOG_ALERT, ngx_conf_t, ngx_http_get_variable_index, ngx_log_t, ngx_pool_cleanup_add,
    ngx_pool_cleanup_t, ngx_pool_t, ngx_str_t, ngx_uint_t,
};
use ngx::ngx_log_error;
use zeroize::Zeroizing;

use crate::value::{Part, split};

/// Flags of a request, by the C compiler (request_flags.c).
pub(crate) mod flags {
    use ngx::ffi::{ngx_http_request_t, ngx_uint_t};

    // SAFETY: the functions are those of request_flags.c, with these types. Each wants a valid
    // request.
    unsafe extern "C" {
        pub(crate) fn token_auth_internal(r: *mut ngx_http_request_t) -> ngx_uint_t;
        pub(crate) fn token_auth_set_internal(r: *mut ngx_http_request_t, internal: ngx_uint_t);
        pub(crate) fn token_auth_set_logged(r: *mut ngx_http_request_t, logged: ngx_uint_t);
        pub(crate) fn token_auth_filter_finalize(r: *mut ngx_http_request_t) -> ngx_uint_t;
        pub(crate) fn token_auth_uri_changes(r: *mut ngx_http_request_t) -> ngx_uint_t;
    }
}

/// Runs `body` and gives its result, or `failed` should it panic: a panic that crossed into nginx
/// would abort the worker.
///
/// A configuration ends with that, a request does not: `error_page` and the variables of a log go
/// on with its [`State`](crate::state::State). What is set there for the time of a judgement is
/// therefore taken back by guards, whose `drop` a panic runs, and a judgement that panics has no
/// verdict and fails those that it was a part of.
pub(crate) fn guard<R>(log: *mut ngx_log_t, failed: R, body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        ngx_log_error!(NGX_LOG_ALERT, log, "token_auth: internal error, please report it");
        failed
    })
}

/// [`guard`] for a hook that is called while the configuration is read.
pub(crate) fn guard_conf<R>(cf: *mut ngx_conf_t, failed: R, body: impl FnOnce() -> R) -> R {
    // SAFETY: nginx passes a valid structure to every configuration hook.
    let log = unsafe { (*cf).log };
    guard(log, failed, body)
}

/// The bytes of an nginx string.
///
/// # Safety
/// `string` must hold a valid pointer and length, and its bytes must live, unchanged, for `'a`.
pub(crate) unsafe fn bytes<'a>(string: ngx_str_t) -> &'a [u8] {
    if string.len == 0 || string.data.is_null() {
        return &[];
    }
    // SAFETY: by the contract of this function.
    unsafe { core::slice::from_raw_parts(string.data, string.len) }
}

/// An nginx string over `bytes`, for functions of nginx's that take one and do not write to it.
pub(crate) fn string(bytes: &[u8]) -> ngx_str_t {
    // Some of them look at the first byte whatever the length: an empty slice of Rust's may point
    // to no memory at all, an empty string of nginx's points to its end.
    let data = if bytes.is_empty() { c"".as_ptr().cast() } else { bytes.as_ptr() };
    ngx_str_t { len: bytes.len(), data: data.cast_mut() }
}

/// Moves `value` into memory of `pool`, to be dropped when the pool is destroyed. Null when out of
/// memory.
///
/// # Safety
/// `pool` must be valid. The value must not be used after the pool is destroyed.
pub(crate) unsafe fn allocate<T>(pool: *mut ngx_pool_t, value: T) -> *mut T {
    // SAFETY: by the contract of this function; the handler drops exactly this type.
    unsafe { allocate_with(pool, value, drop_value::<T>) }
}

/// What nginx calls when a pool is destroyed.
pub(crate) type Cleanup = unsafe extern "C" fn(*mut c_void);

/// [`allocate`], with a handler by which [`find`] knows the value.
///
/// # Safety
/// As [`allocate`]. The handler must be [`drop_value`] of the type, or call it.
pub(crate) unsafe fn allocate_with<T>(pool: *mut ngx_pool_t, value: T, handler: Cleanup) -> *mut T {
    const { assert!(align_of::<T>() <= ngx::ffi::NGX_ALIGNMENT) };
    // SAFETY: the pool is valid; nginx allocates the size asked for beside the cleanup record,
    // aligned to NGX_ALIGNMENT.
    let cleanup = unsafe { ngx_pool_cleanup_add(pool, size_of::<T>()) };
    if cleanup.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: not null; `data` is fresh memory of that size, and the handler drops exactly this
    // type.
    unsafe {
        let data = (*cleanup).data.cast::<T>();
        data.write(value);
        (*cleanup).handler = Some(handler);
        data
    }
}

/// The first value in the list that begins at `cleanup` whose handler is `handler`. That must be a
/// function that is not generic: of a generic one there may be several, at an address each, or one
/// for several types.
///
/// # Safety
/// `cleanup` must be null or the list of a valid pool.
pub(crate) unsafe fn find(mut cleanup: *mut ngx_pool_cleanup_t, handler: Cleanup) -> *mut c_void {
    // SAFETY: each record of the list is valid, and the last one's `next` is null.
    while let Some(record) = unsafe { cleanup.as_ref() } {
        if record.handler.is_some_and(|one| ptr::fn_addr_eq(one, handler)) {
            return record.data;
        }
        cleanup = record.next;
    }
    ptr::null_mut()
}

/// Drops a value that [`allocate`] has moved into a pool.
pub(crate) unsafe extern "C" fn drop_value<T>(data: *mut c_void) {
    // A destructor that panics must not unwind into nginx; the value is lost, nothing else.
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: nginx runs each cleanup once, with the `data` that `allocate` wrote a T to.
        unsafe { ptr::drop_in_place(data.cast::<T>()) }
    }));
    drop(dropped);
}

/// A value with variables, read when the configuration is.
///
/// nginx's own (`ngx_http_complex_value_t`) evaluates each variable twice, once for its length and
/// once for its bytes, and lets a `map` in the value change what a `$1` beside it stands for. Here
/// each is evaluated once, by [`Request::evaluate`](crate::request::Request::evaluate).
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComplexValue(ptr::NonNull<[ValuePart]>);

/// A part of a value: text, which may be a secret (`secure_token_md5`), or a variable's index.
pub(crate) type ValuePart = Part<Zeroizing<Box<[u8]>>, ngx_uint_t>;

impl ComplexValue {
    /// A value in which nginx has found no mistake. `None` when nginx is out of memory.
    ///
    /// # Safety
    /// `cf` must be what nginx passes to a directive. The value must not be used after the
    /// configuration is gone.
    pub(crate) unsafe fn new(cf: *mut ngx_conf_t, value: &[u8]) -> Option<Self> {
        let index = |name| {
            let mut name = string(name);
            // SAFETY: by the contract of this function; nginx copies the name.
            let index = unsafe { ngx_http_get_variable_index(cf, &raw mut name) };
            ngx_uint_t::try_from(index).ok()
        };
        let parts = split(value).into_iter().map(|part| {
            Some(match part {
                Part::Text(text) => Part::Text(Zeroizing::new(text.into())),
                Part::Variable(name) => Part::Variable(index(name)?),
                Part::Capture(group) => Part::Capture(group),
            })
        });
        let parts: Box<[ValuePart]> = parts.collect::<Option<_>>()?;
        // SAFETY: the pool is valid, and lives as long as the configuration.
        let parts = unsafe { allocate((*cf).pool, parts).as_mut() }?;
        Some(Self(ptr::NonNull::from(&mut **parts)))
    }

    /// The parts, none of them for the empty value.
    pub(crate) fn parts<'c>(self) -> &'c [ValuePart] {
        // SAFETY: `new` allocated them, nothing writes to them, and its contract is that nobody has
        // the value when the configuration is gone.
        unsafe { self.0.as_ref() }
    }

    /// Whether it has to be evaluated for each request.
    pub(crate) fn has_variables(&self) -> bool {
        self.parts().iter().any(|part| !matches!(part, Part::Text(_)))
    }
}
