//! Time and events: nginx's clock, a repeated timer, work in steps, and which processes are alive.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr;

use ngx::ffi::{
    ngx_add_timer, ngx_current_msec, ngx_cycle, ngx_del_timer, ngx_event_t, ngx_int_t, ngx_log_t,
    ngx_post_event, ngx_posted_next_events, ngx_process_slot, ngx_time,
};

use super::guard::guard;
use super::log::Log;
use super::server::Server;

/// A timer that calls a function again and again, as long as the function wants it.
pub(crate) struct Ticker(Box<Tick>);

/// The data of nginx's event.
#[repr(C)]
struct Tick {
    /// For debug logs nginx treats the data of any event as a connection, and shows its descriptor,
    /// which comes after three pointers.
    unused: [*mut c_void; 3],
    ident: ngx_int_t,
    event: UnsafeCell<ngx_event_t>,
    pause: usize,
    /// Called at each tick; the timer stops when it returns false.
    tick: Box<dyn Fn() -> bool>,
}

impl Ticker {
    /// A ticker that calls `tick` every `pause` milliseconds, as long as `tick` returns true. It logs
    /// to the server's log, and does not keep a worker from exiting.
    pub(crate) fn new(pause: usize, server: Server<'_>, tick: Box<dyn Fn() -> bool>) -> Self {
        Self::with_log(pause, server.log(), tick)
    }

    /// [`Ticker::new`] for what belongs to no server. To be called in a process that serves requests.
    pub(crate) fn of_worker(pause: usize, tick: Box<dyn Fn() -> bool>) -> Self {
        // SAFETY: nginx has a cycle, with a log, before it calls any hook of such a process. The log
        // lives as long as the configuration, to which the ticker belongs.
        Self::with_log(pause, unsafe { (*ngx_cycle).log }, tick)
    }

    fn with_log(pause: usize, log: *mut ngx_log_t, tick: Box<dyn Fn() -> bool>) -> Self {
        // SAFETY: zero is a valid value of nginx's event.
        let event = UnsafeCell::new(unsafe { core::mem::zeroed::<ngx_event_t>() });
        let new = Box::new(Tick { unused: [ptr::null_mut(); 3], ident: -1, event, pause, tick });
        // SAFETY: nobody else knows the event yet. Its data stays where it is until `drop` has removed
        // the event.
        unsafe {
            let event = new.event.get();
            (*event).data = ptr::from_ref(&*new).cast_mut().cast();
            (*event).handler = Some(on_tick);
            (*event).log = log;
            (*event).set_cancelable(1);
        }
        Self(new)
    }

    /// Starts the ticker, if it does not run yet.
    pub(crate) fn start(&self) {
        let event = self.0.event.get();
        // SAFETY: nginx reads and writes the event only between calls of ours, in the same thread.
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
    // SAFETY: `Ticker::new` has set the event's data, and `drop` removes the event before the data is
    // freed.
    unsafe {
        let tick = &*(*event).data.cast::<Tick>();
        guard((*event).log, (), || {
            if (tick.tick)() && (*event).timer_set() == 0 {
                ngx_add_timer(event, tick.pause);
            }
        });
    }
}

/// Work that is done in steps, so that other events have their turn in between.
struct Steps {
    event: ngx_event_t,
    log: Log,
    /// Does a step, and returns whether there is more to do.
    step: Box<dyn FnMut() -> bool>,
}

/// Calls `step` once in each round of nginx's events, as long as it returns true. A worker that exits does
/// not wait for that.
pub(crate) fn in_steps(log: Log, step: Box<dyn FnMut() -> bool>) {
    // SAFETY: zero is a valid value of nginx's event.
    let event = unsafe { core::mem::zeroed() };
    let steps = Box::into_raw(Box::new(Steps { event, log, step }));
    // SAFETY: the value stays where it is until `on_step` frees it, which only its own event calls.
    unsafe {
        (*steps).event.data = steps.cast();
        (*steps).event.log = log.as_ptr();
        (*steps).event.handler = Some(on_step);
        ngx_post_event(&raw mut (*steps).event, &raw mut ngx_posted_next_events);
    }
}

unsafe extern "C" fn on_step(event: *mut ngx_event_t) {
    // SAFETY: `in_steps` has set the event's data, and made it with `Box::into_raw`. nginx has taken the
    // event out of its queue.
    unsafe {
        let steps = (*event).data.cast::<Steps>();
        let log = (*steps).log.as_ptr();
        if guard(log, false, || ((*steps).step)()) {
            ngx_post_event(event, &raw mut ngx_posted_next_events);
        } else {
            guard(log, (), || drop(Box::from_raw(steps)));
        }
    }
}

/// Whether a process with this id still exists.
pub(crate) fn is_alive(process: u32) -> bool {
    let Ok(process) = libc::pid_t::try_from(process) else { return false };
    // SAFETY: no signal is sent; the call only checks whether one could be sent.
    let found = unsafe { libc::kill(process, 0) } == 0;
    found || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// Milliseconds of a clock that never goes back and that all workers share.
pub(crate) fn clock() -> u64 {
    // SAFETY: nginx writes it between events, in the same thread.
    unsafe { ngx_current_msec as u64 }
}

/// Seconds since the epoch, when nginx last read the clock.
pub(crate) fn now() -> i64 {
    ngx_time()
}

/// The place of this process among the living processes of its master: a small number.
pub(crate) fn process_slot() -> usize {
    // SAFETY: nginx sets it before a process serves requests, and never changes it afterwards.
    usize::try_from(unsafe { ngx_process_slot }).unwrap_or(0)
}
