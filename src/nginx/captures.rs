//! Captures of a request (`$1` and so on), preserved while a variable is evaluated.
//!
//! A `map` with a pattern stores its captures in the request. Every later `$1` then has them: in other
//! directives, and in a value that nginx is assembling and has measured before. So evaluation by this
//! module must not change the captures.

use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::ptr;

use ngx::ffi::{ngx_http_request_t, ngx_uint_t, u_char};

use super::conf::core_main;

/// Enough for patterns with fifteen groups.
const FEW: usize = 32;

/// The saved captures of a request.
pub(super) struct Captures {
    /// How many numbers are valid for nginx: two for each capture, its begin and its end.
    count: ngx_uint_t,
    /// How many of them are saved below.
    kept: usize,
    few: [MaybeUninit<c_int>; FEW],
    /// Used instead of `few` if there are more.
    many: Vec<MaybeUninit<c_int>>,
    text: *mut u_char,
}

impl Captures {
    /// # Safety
    /// `r` must be a valid request.
    pub(super) unsafe fn of(r: *mut ngx_http_request_t) -> Self {
        // SAFETY: by the contract of this function. An array of captures has room for the
        // configuration's largest pattern (ngx_http_regex_exec); `ncaptures` of its numbers are valid.
        // Numbers that nginx has not written are copied as uninitialised memory.
        unsafe {
            let (count, numbers) = ((*r).ncaptures, (*r).captures);
            let room = core_main(r).map_or(0, |conf| conf.ncaptures);
            let kept = if numbers.is_null() { 0 } else { count.min(room) };
            let mut captures = Self {
                count,
                kept,
                few: [const { MaybeUninit::uninit() }; FEW],
                many: Vec::new(),
                text: (*r).captures_data,
            };
            if kept > FEW {
                captures.many.resize(kept, MaybeUninit::uninit());
            }
            if kept > 0 {
                ptr::copy_nonoverlapping(numbers.cast(), captures.numbers_mut(), kept);
            }
            captures
        }
    }

    /// Restores the captures in the request's current array: nginx makes a new array if subrequests
    /// share the old one.
    ///
    /// # Safety
    /// `r` must be the request that they were saved from.
    pub(super) unsafe fn restore(&mut self, r: *mut ngx_http_request_t) {
        // SAFETY: by the contract of this function. The request's current array has the same room as
        // the old one, and does not overlap with the memory here.
        unsafe {
            if self.kept > 0 && !(*r).captures.is_null() {
                let numbers = (*r).captures.cast();
                ptr::copy_nonoverlapping(self.numbers_mut().cast_const(), numbers, self.kept);
            }
            (*r).ncaptures = self.count;
            (*r).captures_data = self.text;
        }
    }

    fn numbers_mut(&mut self) -> *mut MaybeUninit<c_int> {
        if self.kept > FEW { self.many.as_mut_ptr() } else { self.few.as_mut_ptr() }
    }
}
