//! The lines of nginx's lists of headers.

use core::marker::PhantomData;

use ngx::ffi::{ngx_http_request_t, ngx_list_part_t, ngx_list_t, ngx_table_elt_t};
/// The lines of a header list.
///
/// # Safety
/// `list` must be one of nginx's lists of headers, which does not change during `'r`.
pub(super) unsafe fn header_list<'r>(
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
            // SAFETY: the parts of a list are valid, `next` of the last one is null, and each has
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
