//! Captures of a request (`$1` and its like), kept as they are while a variable is evaluated.
//!
//! A `map` with a pattern leaves what its pattern has captured with the request, where every later
//! `$1` finds it: that of another directive, and that of a value of nginx's own which is being put
//! together and has been measured before. So what this module evaluates has to leave no trace.

use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::ptr;

use ngx::ffi::{ngx_http_request_t, ngx_uint_t, u_char};

use super::conf::core_main;

/// Enough for patterns with fifteen groups.
const FEW: usize = 32;

/// The captures that a request had.
pub(super) struct Captures {
    /// How many numbers nginx takes for valid: two for each capture, where it begins and ends.
    count: ngx_uint_t,
    /// How many of them are kept below.
    kept: usize,
    few: [MaybeUninit<c_int>; FEW],
    /// In place of `few`, where they are more.
    many: Vec<MaybeUninit<c_int>>,
    text: *mut u_char,
}

impl Captures {
    /// # Safety
    /// `r` must be a valid request.
    pub(super) unsafe fn of(r: *mut ngx_http_request_t) -> Self {
        // SAFETY: by the contract of this function. An array of captures has room for as many as
        // the configuration's largest pattern needs (ngx_http_regex_exec), of which nginx says
        // `ncaptures` are valid; what it has not written is copied as what it is.
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

    /// Gives the captures back to the request, in whatever array it has now: nginx makes a new one
    /// where subrequests share it.
    ///
    /// # Safety
    /// `r` must be the request that they are from.
    pub(super) unsafe fn restore(&mut self, r: *mut ngx_http_request_t) {
        // SAFETY: by the contract of this function; the array that the request has now has the
        // room that the former had, and is another than the one here.
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
