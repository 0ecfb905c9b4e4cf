//! Rust values that nginx's pools own.

use core::ffi::c_void;
use core::ptr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ngx::ffi::{ngx_pool_cleanup_add, ngx_pool_cleanup_t, ngx_pool_t};

/// A function that nginx calls when a pool is destroyed.
pub(super) type Cleanup = unsafe extern "C" fn(*mut c_void);

/// Moves `value` into memory of `pool`; it is dropped when the pool is destroyed. Null if out of
/// memory.
///
/// # Safety
/// `pool` must be valid. The value must not be used after the pool is destroyed.
pub(super) unsafe fn allocate<T>(pool: *mut ngx_pool_t, value: T) -> *mut T {
    // SAFETY: by the contract of this function; the handler drops exactly this type.
    unsafe { allocate_with(pool, || value, drop_value::<T>) }
}

/// [`allocate`] with a given handler, by which [`find`] finds the value. The value is made where it belongs rather than
/// moved there.
///
/// # Safety
/// As [`allocate`]. The handler must drop a value of type `T`.
pub(super) unsafe fn allocate_with<T>(
    pool: *mut ngx_pool_t,
    make: impl FnOnce() -> T,
    handler: Cleanup,
) -> *mut T {
    const { assert!(align_of::<T>() <= ngx::ffi::NGX_ALIGNMENT) };
    // SAFETY: the pool is valid. nginx allocates memory of the requested size with the cleanup record,
    // aligned to NGX_ALIGNMENT.
    let cleanup = unsafe { ngx_pool_cleanup_add(pool, size_of::<T>()) };
    if cleanup.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: not null; `data` is fresh memory of that size, and the handler drops exactly this type. It is set when
    // there is a value: if `make` panics, nginx finds none.
    unsafe {
        let data = (*cleanup).data.cast::<T>();
        data.write(make());
        (*cleanup).handler = Some(handler);
        data
    }
}

/// The first value with this `handler` in the list that begins at `cleanup`. The handler must not be
/// generic: one generic function may have several addresses, and functions for several types may share
/// one.
///
/// # Safety
/// `cleanup` must be null or the list of a valid pool.
pub(super) unsafe fn find(mut cleanup: *mut ngx_pool_cleanup_t, handler: Cleanup) -> *mut c_void {
    // SAFETY: each record of the list is valid, and `next` of the last one is null.
    while let Some(record) = unsafe { cleanup.as_ref() } {
        if record.handler.is_some_and(|one| ptr::fn_addr_eq(one, handler)) {
            return record.data;
        }
        cleanup = record.next;
    }
    ptr::null_mut()
}

/// Drops the value at `data`. If its destructor panics, the panic does not reach nginx; only the value
/// is lost.
///
/// # Safety
/// `data` must point to a valid `T` that nobody uses afterwards.
pub(super) unsafe fn drop_in_place<T>(data: *mut c_void) {
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: by the contract of this function.
        unsafe { ptr::drop_in_place(data.cast::<T>()) }
    }));
    drop(dropped);
}

/// The cleanup of a value that [`allocate`] has moved into a pool.
unsafe extern "C" fn drop_value<T>(data: *mut c_void) {
    // SAFETY: nginx runs each cleanup once, with the `data` where `allocate` has written a `T`.
    unsafe { drop_in_place::<T>(data) }
}
