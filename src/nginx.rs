//! What nginx has beside requests: servers, the clock, events that wake, lists of headers.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use ngx::ffi::{
    ngx_current_msec, ngx_event_t, ngx_http_core_loc_conf_t, ngx_http_core_main_conf_t,
    ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_http_request_t, ngx_list_part_t,
    ngx_list_t, ngx_log_t, ngx_post_event, ngx_posted_events, ngx_table_elt_t,
};

/// Wakes a request that waits in the access phase.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waker(pub(crate) NonNull<ngx_event_t>);

impl Waker {
    /// Has nginx run the request's phases again, soon.
    pub(crate) fn wake(self) {
        // SAFETY: whoever holds a waker gives it up when the request's pool is destroyed
        // (`keys::Waiting`), which is before its connection is gone.
        unsafe { ngx_post_event(self.0.as_ptr(), &raw mut ngx_posted_events) };
    }
}

/// A server of the configuration.
#[derive(Clone, Copy)]
pub(crate) struct Server<'r> {
    pub(crate) conf: &'r ngx_http_core_srv_conf_t,
}

impl Server<'_> {
    /// Another for each server of a configuration.
    pub(crate) fn id(self) -> usize {
        ptr::from_ref(self.conf) as usize
    }

    /// The log that the server writes to.
    pub(crate) fn log(self) -> *mut ngx_log_t {
        // SAFETY: the core module keeps a structure of this type for every location, the server's
        // own included, and gives each its log when it merges them.
        unsafe {
            let locations = (*self.conf.ctx).loc_conf;
            let conf = *locations.add((*ptr::addr_of!(ngx_http_core_module)).ctx_index);
            (*conf.cast::<ngx_http_core_loc_conf_t>()).error_log
        }
    }
}

/// Milliseconds of a clock that only goes forward and that all workers share.
pub(crate) fn clock() -> u64 {
    // SAFETY: nginx writes it between events, in the same thread.
    unsafe { ngx_current_msec as u64 }
}

/// The core module's configuration of the `http` block.
///
/// # Safety
/// `r` must be valid, with its configurations.
pub(crate) unsafe fn core_main_conf<'r>(
    r: *mut ngx_http_request_t,
) -> Option<&'r ngx_http_core_main_conf_t> {
    // SAFETY: by the contract of this function; the core module keeps a structure of this type.
    unsafe {
        let conf = *(*r).main_conf.add((*ptr::addr_of!(ngx_http_core_module)).ctx_index);
        conf.cast::<ngx_http_core_main_conf_t>().as_ref()
    }
}

/// The lines of a list of headers.
///
/// # Safety
/// `list` must be one of nginx's lists of headers, which does not change during `'r`.
pub(crate) unsafe fn header_list<'r>(
    list: *const ngx_list_t,
) -> impl Iterator<Item = &'r ngx_table_elt_t> {
    // SAFETY: by the contract of this function.
    let part = unsafe { &raw const (*list).part };
    HeaderLines { part, at: 0, lives: PhantomData::<&'r ngx_http_request_t> }
}

/// The lines of nginx's header list.
struct HeaderLines<'r> {
    part: *const ngx_list_part_t,
    at: usize,
    lives: PhantomData<&'r ngx_http_request_t>,
}

impl<'r> Iterator for HeaderLines<'r> {
    type Item = &'r ngx_table_elt_t;

    fn next(&mut self) -> Option<&'r ngx_table_elt_t> {
        loop {
            // SAFETY: the parts of a list are valid, the last one's `next` is null, and each has
            // `nelts` elements.
            let part = unsafe { self.part.as_ref()? };
            if self.at < part.nelts {
                // SAFETY: as above, and `at` is below `nelts`.
                let line = unsafe { &*part.elts.cast::<ngx_table_elt_t>().add(self.at) };
                self.at += 1;
                return Some(line);
            }
            self.part = part.next;
            self.at = 0;
        }
    }
}
