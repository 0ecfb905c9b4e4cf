//! The `WWW-Authenticate` challenge of RFC 6750 section 3.

use crate::reject::Reject;

/// The value of the header: the realm if one is configured, and an error only if there was a token
/// (RFC 6750 section 3.1). The error is `insufficient_scope` if `forbidden` (status 403), otherwise
/// `invalid_token`.
///
/// The realm becomes a quoted-string (RFC 9110 section 5.6.4); control characters are left out.
pub fn bearer(realm: Option<&[u8]>, reject: Reject, forbidden: bool) -> Vec<u8> {
    let mut value = b"Bearer".to_vec();
    let mut separator = " ";
    if let Some(realm) = realm {
        value.extend_from_slice(b" realm=\"");
        for byte in realm.iter().copied().filter(|byte| !byte.is_ascii_control()) {
            if matches!(byte, b'"' | b'\\') {
                value.push(b'\\');
            }
            value.push(byte);
        }
        value.push(b'"');
        separator = ", ";
    }
    if reject != Reject::Missing {
        value.extend_from_slice(separator.as_bytes());
        let error = if forbidden { "insufficient_scope" } else { "invalid_token" };
        value.extend_from_slice(b"error=\"");
        value.extend_from_slice(error.as_bytes());
        value.extend_from_slice(b"\", error_description=\"");
        value.extend_from_slice(reject.description().as_bytes());
        value.push(b'"');
    }
    value
}

#[cfg(test)]
mod tests {
    use super::bearer as any_bearer;
    use super::*;

    fn bearer(realm: Option<&[u8]>, reject: Reject) -> Vec<u8> {
        any_bearer(realm, reject, reject == Reject::Denied)
    }

    #[test]
    fn the_error_is_told_only_of_a_token_that_was_presented() {
        assert_eq!(bearer(None, Reject::Missing), b"Bearer");
        assert_eq!(bearer(Some(b"a"), Reject::Missing), b"Bearer realm=\"a\"");
        assert_eq!(
            bearer(None, Reject::Expired),
            b"Bearer error=\"invalid_token\", error_description=\"The token expired\""
        );
        assert!(bearer(None, Reject::Denied).starts_with(b"Bearer error=\"insufficient_scope\","));
        assert_eq!(
            bearer(Some(b"a\"\\\r\nb"), Reject::BadSignature),
            b"Bearer realm=\"a\\\"\\\\b\", error=\"invalid_token\", \
              error_description=\"The token's signature is wrong\""
        );
    }
}
