//! The body of an answer, while it is held back.

use core::ptr;

use ngx::ffi::ngx_http_request_t;

/// An answer whose header is held back until its body is complete.
pub(super) struct Held {
    /// The request, or the subrequest, that is answered.
    of: *const ngx_http_request_t,
    pub(super) state: State,
    /// How many bytes are held at most.
    limit: usize,
}

/// What has become of it so far.
pub(super) enum State {
    /// These bytes of the body are there.
    Holds(Vec<u8>),
    /// It cannot be sent, and an error was sent in its place: what is still to come is dropped.
    Refused,
}

impl Held {
    /// Holds up to `limit` bytes of the answer to this request, of which so many are expected.
    pub(super) fn new(of: *const ngx_http_request_t, limit: usize, expected: usize) -> Self {
        Self { of, state: State::Holds(Vec::with_capacity(expected.min(limit))), limit }
    }

    /// The same for an answer that is refused before its body.
    pub(super) fn refused(of: *const ngx_http_request_t) -> Self {
        Self { of, state: State::Refused, limit: 0 }
    }

    /// Appends bytes; `None` if that would be too many.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Option<()> {
        let State::Holds(body) = &mut self.state else { return Some(()) };
        if bytes.len() > self.limit.saturating_sub(body.len()) {
            return None;
        }
        body.extend_from_slice(bytes);
        Some(())
    }

    /// Whether it is the answer to this request.
    pub(super) fn is_of(&self, r: *const ngx_http_request_t) -> bool {
        ptr::eq(self.of, r)
    }
}
