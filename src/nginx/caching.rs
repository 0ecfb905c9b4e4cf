//! Who may keep an answer: the headers that tell caches.

use ngx::ffi::{ngx_http_request_t, ngx_table_elt_t};

use super::content::add_header;
use super::flags;
use super::request::Request;
use super::string::{bytes, string};

static CACHE_CONTROL: &[u8] = b"Cache-Control";

impl Request<'_> {
    /// Makes the answer one that is kept by its client at most (RFC 9111 section 5.2.2.7), in place of what its
    /// headers say. What they say that is stricter, or for the client alone, stays. `None` when out of memory.
    ///
    /// nginx's own `expires` and `add_header` come later, and add to it.
    pub(crate) fn make_private(self) -> Option<()> {
        let r = self.raw();
        let mut value = b"private".to_vec();
        // SAFETY: the request is valid, and its header lines are; nothing else uses them meanwhile. A line with the
        // hash 0 is not sent.
        unsafe {
            for line in caching_lines(r) {
                if bytes((*line).key).eq_ignore_ascii_case(CACHE_CONTROL) {
                    let kept = bytes((*line).value).split(|byte| *byte == b',');
                    for directive in kept.map(<[u8]>::trim_ascii).filter(|one| stays(one)) {
                        value.extend_from_slice(b", ");
                        value.extend_from_slice(directive);
                    }
                }
                (*line).hash = 0;
            }
            flags::token_auth_forget_caching(r);
            add_header(r, string(CACHE_CONTROL), self.copy(&value)?)?;
        }
        Some(())
    }
}

/// The lines that tell how long an answer may be kept, and by whom, and those with a hash of its body.
///
/// # Safety
/// `r` must be valid.
unsafe fn caching_lines(r: *mut ngx_http_request_t) -> Vec<*mut ngx_table_elt_t> {
    let is_one = |name: &[u8]| {
        let names: [&[u8]; 9] = [
            CACHE_CONTROL,
            b"Expires",
            b"X-Accel-Expires",
            b"Surrogate-Control",
            b"Edge-Control",
            // The body is another one (RFC 9530 section 2).
            b"Content-MD5",
            b"Digest",
            b"Content-Digest",
            b"Repr-Digest",
        ];
        names.iter().any(|one| name.eq_ignore_ascii_case(one)) || is_targeted(name)
    };
    let mut found = Vec::new();
    // SAFETY: by the contract of this function. The parts of a list are valid, `next` of the last one is null,
    // and each has `nelts` elements.
    unsafe {
        let mut part = &raw mut (*r).headers_out.headers.part;
        while !part.is_null() {
            let lines = (*part).elts.cast::<ngx_table_elt_t>();
            let lines = (0..(*part).nelts).map(|at| lines.add(at));
            found.extend(lines.filter(|line| (**line).hash != 0 && is_one(bytes((**line).key))));
            part = (*part).next;
        }
    }
    found
}

/// Whether it is `Cache-Control` for some caches only, which they follow in place of it (RFC 9213 section 3):
/// `CDN-Cache-Control` and the like.
fn is_targeted(name: &[u8]) -> bool {
    let end = name.len().checked_sub(b"-Cache-Control".len()).and_then(|at| name.get(at..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(b"-Cache-Control"))
}

/// Whether a directive of `Cache-Control` stays beside `private`.
fn stays(directive: &[u8]) -> bool {
    let is = |name: &str| directive.eq_ignore_ascii_case(name.as_bytes());
    let age = directive.split_at_checked(b"max-age=".len());
    is("no-store")
        || is("no-cache")
        || is("must-revalidate")
        || is("no-transform")
        || age.is_some_and(|(name, age)| {
            name.eq_ignore_ascii_case(b"max-age=")
                && !age.is_empty()
                && age.iter().all(u8::is_ascii_digit)
        })
}

#[cfg(test)]
mod tests {
    use super::stays;

    #[test]
    fn only_what_is_no_looser_than_private_stays() {
        for one in ["no-store", "No-Cache", "max-age=5", "MAX-AGE=0", "must-revalidate"] {
            assert!(stays(one.as_bytes()), "{one}");
        }
        for one in
            ["", "public", "private", "s-maxage=5", "max-age=", "max-age=a", "immutable", "x"]
        {
            assert!(!stays(one.as_bytes()), "{one}");
        }
    }
}
