//! The version of an answer, and the question whether it has changed.

/// The longest `ETag` and `Last-Modified` that are sent back, in bytes.
const MAX_LEN: usize = 512;

/// The version of an answer (RFC 9110 section 8.8), for a conditional request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// The value of `ETag`.
    pub etag: Option<Box<[u8]>>,
    /// The value of `Last-Modified`.
    pub last_modified: Option<Box<[u8]>>,
}

impl Validators {
    pub(super) fn new(etag: Option<&[u8]>, last_modified: Option<&[u8]>) -> Self {
        let kept = |value: Option<&[u8]>| {
            value.filter(|value| (1..=MAX_LEN).contains(&value.len())).map(Into::into)
        };
        Self { etag: kept(etag), last_modified: kept(last_modified) }
    }

    /// The lines of a request (RFC 9110 section 13.1) that wants an answer only if it is another one;
    /// empty if nothing is known.
    pub fn conditions(&self) -> Vec<u8> {
        let line = |name: &[u8], value: &Option<Box<[u8]>>| match value {
            Some(value) => [name, b": ", value, b"\r\n"].concat(),
            None => Vec::new(),
        };
        let mut lines = line(b"If-None-Match", &self.etag);
        lines.extend(line(b"If-Modified-Since", &self.last_modified));
        lines
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}
