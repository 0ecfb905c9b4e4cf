//! nginx's strings as slices, and slices as nginx's strings.

use ngx::ffi::ngx_str_t;

/// The bytes of an nginx string.
///
/// # Safety
/// `string` must hold a valid pointer and length, and its bytes must live, unchanged, for `'a`.
pub(super) unsafe fn bytes<'a>(string: ngx_str_t) -> &'a [u8] {
    if string.len == 0 || string.data.is_null() {
        return &[];
    }
    // SAFETY: by the contract of this function.
    unsafe { core::slice::from_raw_parts(string.data, string.len) }
}

/// An nginx string for `bytes`, for nginx's functions that read a string and do not write to it.
pub(super) fn string(bytes: &[u8]) -> ngx_str_t {
    // Some of them read the first byte whatever the length. An empty slice of Rust may point to no
    // memory, so an empty string points to a NUL instead.
    let data = if bytes.is_empty() { c"".as_ptr().cast() } else { bytes.as_ptr() };
    ngx_str_t { len: bytes.len(), data: data.cast_mut() }
}
