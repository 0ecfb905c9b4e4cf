//! Requests that wait in the access phase.

use core::ptr::NonNull;

use ngx::ffi::{
    NGX_OK, ngx_add_timer, ngx_del_timer, ngx_event_t, ngx_handle_read_event,
    ngx_http_block_reading, ngx_http_core_run_phases, ngx_http_test_reading, ngx_int_t,
    ngx_post_event, ngx_posted_events,
};

use super::request::Request;

/// Wakes a request that waits in the access phase.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waker(NonNull<ngx_event_t>);

impl Waker {
    /// Makes nginx run the request's phases again, soon.
    pub(crate) fn wake(self) {
        // SAFETY: nobody keeps a waker after the request's pool is destroyed, which happens before its
        // connection is gone. The wait belongs to what is kept with the request (`Request::context`);
        // when that is dropped, all holders forget the waker.
        unsafe { ngx_post_event(self.0.as_ptr(), &raw mut ngx_posted_events) };
    }
}

impl Request<'_> {
    /// The waker of the request.
    pub(crate) fn waker(self) -> Waker {
        // SAFETY: a connection always has its write event.
        unsafe { Waker(NonNull::new_unchecked((*(*self.raw()).connection).write)) }
    }

    /// Makes nginx hold the request in the access phase until it is woken, for at most `time`
    /// milliseconds; `None` if nginx cannot. nginx's limit_req module does the same.
    pub(crate) fn hold(self, time: u64) -> Option<()> {
        let time = usize::try_from(time).unwrap_or(usize::MAX);
        // SAFETY: the request and its connection's events are valid. nginx runs the phases again on any
        // event; the access phase then checks again whether the request has to wait.
        unsafe {
            let r = self.raw();
            let connection = (*r).connection;
            if ngx_handle_read_event((*connection).read, 0) != NGX_OK as ngx_int_t {
                return None;
            }
            (*r).read_event_handler = Some(ngx_http_test_reading);
            (*r).write_event_handler = Some(ngx_http_core_run_phases);
            (*(*connection).write).set_delayed(1);
            ngx_add_timer((*connection).write, time);
        }
        Some(())
    }

    /// Ends [`Request::hold`].
    pub(crate) fn resume(self) -> Option<()> {
        // SAFETY: as in `hold`.
        unsafe {
            let r = self.raw();
            let write = (*(*r).connection).write;
            if (*write).timer_set() != 0 {
                ngx_del_timer(write);
            }
            (*write).set_delayed(0);
            (*r).read_event_handler = Some(ngx_http_block_reading);
            let read = ngx_handle_read_event((*(*r).connection).read, 0);
            (read == NGX_OK as ngx_int_t).then_some(())
        }
    }
}
