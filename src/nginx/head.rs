//! What is known of an answer when its header is about to be sent.

use ngx::ffi::{NGX_HTTP_HEAD, ngx_uint_t};

use super::flags;
use super::headers::header_list;
use super::request::Request;
use super::string::bytes;

/// What is known of an answer before its body.
pub(crate) struct Head<'r> {
    /// The status that nginx sends.
    pub(crate) status: usize,
    /// The status of the upstream's answer, if this is one: nginx sends another one with an error page.
    pub(crate) upstream_status: usize,
    /// Whether the answer before this one was refused here, so that this is the error page.
    pub(crate) is_error_page: bool,
    /// Whether the request wants no body.
    pub(crate) is_for_head: bool,
    /// The `Content-Type`; empty if there is none.
    pub(crate) content_type: &'r [u8],
    /// The first `Content-Encoding` that is one; empty if there is none.
    pub(crate) encoding: &'r [u8],
    /// The length of the body, in bytes, if it is known.
    pub(crate) length: Option<usize>,
}

impl<'r> Request<'r> {
    /// What is known of the answer before its body.
    pub(super) fn head(self, is_error_page: bool) -> Head<'r> {
        // SAFETY: the request is valid; the bytes of a header live as long as it. A line with the hash 0 is
        // not sent.
        unsafe {
            let r = self.raw();
            let out = &raw const (*r).headers_out;
            let mut encodings = header_list(&raw const (*out).headers)
                .filter(|line| line.hash != 0)
                .filter(|line| bytes(line.key).eq_ignore_ascii_case(b"Content-Encoding"))
                .map(|line| bytes(line.value))
                .filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity"));
            Head {
                status: (*out).status,
                upstream_status: flags::token_auth_upstream_status(r),
                is_error_page,
                is_for_head: (*r).method & NGX_HTTP_HEAD as ngx_uint_t != 0,
                content_type: self.answer_type(),
                encoding: encodings.next().unwrap_or_default(),
                length: usize::try_from((*out).content_length_n).ok(),
            }
        }
    }

    /// The status of the answer, as far as it is known.
    pub(crate) fn answer_status(self) -> usize {
        // SAFETY: the request is valid.
        unsafe { (*self.raw()).headers_out.status }
    }
    /// The `Content-Type` of the answer; empty if there is none.
    pub(crate) fn answer_type(self) -> &'r [u8] {
        // SAFETY: the request is valid, and a header's value lives as long as it.
        unsafe { bytes((*self.raw()).headers_out.content_type) }
    }
}
