//! What nginx has beside requests: servers, the clock, events that wake, lists of headers.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use ngx::ffi::{
    ngx_add_timer, ngx_current_msec, ngx_del_timer, ngx_event_t, ngx_http_core_loc_conf_t,
    ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_http_request_t,
    ngx_int_t, ngx_list_part_t, ngx_list_t, ngx_log_t, ngx_post_event, ngx_posted_events,
    ngx_table_elt_t,
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

impl<'r> Server<'r> {
    /// Another for each server of a configuration.
    pub(crate) fn id(self) -> usize {
        ptr::from_ref(self.conf) as usize
    }

    /// What a request that asks for this server says in `Host`: its first name, unless that is a
    /// pattern or missing.
    pub(crate) fn host(self) -> &'r [u8] {
        // SAFETY: the name lives as long as the configuration does.
        let name: &'r [u8] = unsafe { crate::ffi::bytes(self.conf.server_name) };
        let usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        match name {
            [b'.', ..] | [] => b"localhost",
            name if name.iter().all(usual) => name,
            _ => b"localhost",
        }
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

/// A clock that ticks while somebody waits for it: calls a function again and again.
pub(crate) struct Ticker(Box<Tick>);

/// What nginx's event refers to.
#[repr(C)]
struct Tick {
    /// In debug logs nginx takes the data of any event for a connection and shows its descriptor,
    /// which is behind three pointers.
    unused: [*mut c_void; 3],
    ident: ngx_int_t,
    event: UnsafeCell<ngx_event_t>,
    pause: usize,
    /// Called at each tick; the next one comes as long as it gives true.
    tick: Box<dyn Fn() -> bool>,
}

impl Ticker {
    /// A ticker that calls `tick` every `pause` milliseconds, as long as that gives true. It does
    /// not keep a worker from leaving.
    pub(crate) fn new(pause: usize, log: *mut ngx_log_t, tick: Box<dyn Fn() -> bool>) -> Self {
        // SAFETY: zero is a valid value of nginx's event.
        let event = UnsafeCell::new(unsafe { core::mem::zeroed::<ngx_event_t>() });
        let new = Box::new(Tick { unused: [ptr::null_mut(); 3], ident: -1, event, pause, tick });
        // SAFETY: nobody else knows of the event yet; its data stays where it is until `drop` has
        // taken the event away.
        unsafe {
            let event = new.event.get();
            (*event).data = ptr::from_ref(&*new).cast_mut().cast();
            (*event).handler = Some(on_tick);
            (*event).log = log;
            (*event).set_cancelable(1);
        }
        Self(new)
    }

    /// Has it tick, if it does not yet.
    pub(crate) fn start(&self) {
        let event = self.0.event.get();
        // SAFETY: nginx reads and writes the event between calls of ours only, in the same thread.
        unsafe {
            if (*event).timer_set() == 0 {
                ngx_add_timer(event, self.0.pause);
            }
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        let event = self.0.event.get();
        // SAFETY: as in `start`.
        unsafe {
            if (*event).timer_set() != 0 {
                ngx_del_timer(event);
            }
        }
    }
}

unsafe extern "C" fn on_tick(event: *mut ngx_event_t) {
    // SAFETY: `Ticker::new` has set the event's data, and `drop` takes the event away before it is
    // freed.
    unsafe {
        let tick = &*(*event).data.cast::<Tick>();
        crate::ffi::guard((*event).log, (), || {
            if (tick.tick)() && (*event).timer_set() == 0 {
                ngx_add_timer(event, tick.pause);
            }
        });
    }
}

/// Whether there still is a process of this number.
pub(crate) fn is_alive(process: u32) -> bool {
    let Ok(process) = libc::pid_t::try_from(process) else { return false };
    // SAFETY: no signal is sent; the call only looks whether one could be.
    let found = unsafe { libc::kill(process, 0) } == 0;
    found || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// Whether the location that serves the request says `log_subrequest on`.
///
/// # Safety
/// `r` must be valid, with its configurations.
pub(crate) unsafe fn logs_subrequests(r: *mut ngx_http_request_t) -> bool {
    // SAFETY: by the contract of this function; the core module keeps a structure of this type.
    unsafe {
        let conf = *(*r).loc_conf.add((*ptr::addr_of!(ngx_http_core_module)).ctx_index);
        let conf = conf.cast::<ngx_http_core_loc_conf_t>();
        conf.as_ref().is_some_and(|conf| conf.log_subrequest == 1)
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
) -> impl Iterator<Item = &'r ngx_table_elt_t> + Clone {
    // SAFETY: by the contract of this function.
    let part = unsafe { &raw const (*list).part };
    HeaderLines { part, at: 0, lives: PhantomData::<&'r ngx_http_request_t> }
}

/// The lines of nginx's header list.
#[derive(Clone)]
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
