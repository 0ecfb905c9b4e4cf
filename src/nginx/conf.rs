//! Configurations: the module's own, in nginx's slots, and those of nginx's core.

use core::any::TypeId;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use ngx::ffi::{
    ngx_conf_t, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t,
    ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_http_module,
    ngx_http_request_t, ngx_module_t, ngx_pool_t,
};

use super::pool::allocate;

/// The module as nginx knows it, and the index of its slot among those of `http` modules; set when nginx
/// makes the first configuration.
static MODULE: AtomicPtr<ngx_module_t> = AtomicPtr::new(ptr::null_mut());
static SLOT: AtomicUsize = AtomicUsize::new(0);

/// Stores the address of this module and the index of its slot. The first of all hooks calls this.
///
/// # Safety
/// `module` must be a static of this module, which nginx has loaded.
pub(super) unsafe fn set_module(module: *const ngx_module_t) {
    MODULE.store(module.cast_mut(), Ordering::Relaxed);
    // SAFETY: by the contract of this function; nginx sets the number before it calls any hook.
    SLOT.store(unsafe { (*module).ctx_index }, Ordering::Relaxed);
}

/// The module that [`set_module`] has stored.
pub(super) fn module() -> *const ngx_module_t {
    MODULE.load(Ordering::Relaxed)
}

/// The index of the module's slot among those of `http` modules.
pub(super) fn slot() -> usize {
    SLOT.load(Ordering::Relaxed)
}

/// A value in one of nginx's slots, with its type, so safe code can ask for it by type.
#[repr(C)]
pub(super) struct Stored<T> {
    of: TypeId,
    pub(super) value: T,
}

impl<T: 'static> Stored<T> {
    pub(super) fn new(value: T) -> Self {
        Self { of: TypeId::of::<T>(), value }
    }
}

/// Moves `value` into memory of `pool`, for a slot. Null if out of memory.
///
/// # Safety
/// As [`allocate`].
pub(super) unsafe fn store<T: 'static>(pool: *mut ngx_pool_t, value: T) -> *mut c_void {
    // SAFETY: by the contract of this function.
    unsafe { allocate(pool, Stored::new(value)) }.cast()
}

/// The value in a slot, if it is of this type.
///
/// # Safety
/// `slot` must be null, what [`store`] returned, or a pointer to a [`Stored`], and the value must live
/// for `'a`.
pub(super) unsafe fn load<'a, T: 'static>(slot: *mut c_void) -> Option<&'a T> {
    // SAFETY: by the contract of this function. The type is the first member, whatever type the value
    // has.
    unsafe {
        let is_it = *slot.cast::<TypeId>().as_ref()? == TypeId::of::<T>();
        is_it.then(|| &(*slot.cast::<Stored<T>>()).value)
    }
}

/// [`load`] as a mutable reference.
///
/// # Safety
/// As [`load`], and nothing else may refer to the value during `'a`.
pub(super) unsafe fn load_mut<'a, T: 'static>(slot: *mut c_void) -> Option<&'a mut T> {
    // SAFETY: as in `load`.
    unsafe {
        let is_it = *slot.cast::<TypeId>().as_ref()? == TypeId::of::<T>();
        is_it.then(|| &mut (*slot.cast::<Stored<T>>()).value)
    }
}

/// The module's configuration of the `http` block that is being read.
///
/// # Safety
/// `cf` must be what nginx passes to a hook within `http`. Only shared references to the value may ever
/// be made.
pub(super) unsafe fn main_of<'c, T: 'static>(cf: *const ngx_conf_t) -> Option<&'c T> {
    // SAFETY: by the contract of this function; the slot has what the module stored there.
    unsafe {
        let context = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        load(*(*context).main_conf.add(slot()))
    }
}

/// The module's configuration of the `http` block of the configuration before the one that is being read.
///
/// # Safety
/// As [`main_of`]; the result must not be used after the configuration has been read.
pub(super) unsafe fn main_before<'c, T: 'static>(cf: *const ngx_conf_t) -> Option<&'c T> {
    // SAFETY: nginx keeps the cycle before until the new one is in force. If that one had the module, its
    // slots have what the module stored there; nginx gives a module the same slot in both.
    unsafe {
        let before = (*(*cf).cycle).old_cycle.as_ref()?;
        if before.conf_ctx.is_null() || before.modules.is_null() {
            return None;
        }
        let modules = core::slice::from_raw_parts(before.modules, before.modules_n);
        modules.iter().find(|one| ptr::eq(one.cast_const(), module()))?;
        main_of_cycle(before)
    }
}

/// The module's configuration of the `http` block of a cycle, if there is such a block.
///
/// # Safety
/// `cycle` must be a configuration that nginx has read, with the module.
pub(super) unsafe fn main_of_cycle<'c, T: 'static>(cycle: *const ngx_cycle_t) -> Option<&'c T> {
    // SAFETY: the configuration of `http`, if there is such a block, is a context. Its slot of this
    // module has what the module stored there.
    unsafe {
        let http = *(*cycle).conf_ctx.add((*ptr::addr_of!(ngx_http_module)).index);
        let http = http.cast::<ngx_http_conf_ctx_t>().as_ref()?;
        load(*http.main_conf.add(slot()))
    }
}

/// The core module's configuration of the `http` block that is being read.
///
/// # Safety
/// `cf` must be what nginx passes to a hook within `http`.
pub(super) unsafe fn core_main_of<'c>(cf: *const ngx_conf_t) -> &'c ngx_http_core_main_conf_t {
    // SAFETY: by the contract of this function; the core module's slot has a structure of this type.
    unsafe {
        let context = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        &*(*(*context).main_conf.add(core_slot())).cast()
    }
}

/// The index of the core module's slot.
pub(super) fn core_slot() -> usize {
    // SAFETY: the module is nginx's own; its index is set before any other module is loaded.
    unsafe { (*ptr::addr_of!(ngx_http_core_module)).ctx_index }
}

/// The core module's configuration of the `http` block.
///
/// # Safety
/// `r` must be valid, with its configurations.
pub(super) unsafe fn core_main<'r>(
    r: *mut ngx_http_request_t,
) -> Option<&'r ngx_http_core_main_conf_t> {
    // SAFETY: by the contract of this function; the core module's slot has a structure of this type.
    unsafe { (*(*r).main_conf.add(core_slot())).cast::<ngx_http_core_main_conf_t>().as_ref() }
}

/// The core module's configuration of the server that serves a request.
///
/// # Safety
/// As [`core_main`].
pub(super) unsafe fn core_server<'r>(r: *mut ngx_http_request_t) -> &'r ngx_http_core_srv_conf_t {
    // SAFETY: as in `core_main`; every request has a server.
    unsafe { &*(*(*r).srv_conf.add(core_slot())).cast() }
}

/// The core module's configuration of the location that serves a request.
///
/// # Safety
/// As [`core_main`].
pub(super) unsafe fn core_location<'r>(
    r: *mut ngx_http_request_t,
) -> Option<&'r ngx_http_core_loc_conf_t> {
    // SAFETY: as in `core_main`.
    unsafe { (*(*r).loc_conf.add(core_slot())).cast::<ngx_http_core_loc_conf_t>().as_ref() }
}
