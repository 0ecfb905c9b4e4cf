//! The `WWW-Authenticate` challenge of RFC 6750 section 3.

use crate::credential::is_token;
use crate::reject::Reject;

/// The value of the header: the realm if one is configured, `parameters` whose values are not empty
/// (such as the `scope` of RFC 6750, the `resource_metadata` of RFC 9728), and an error only if there was
/// a token (RFC 6750 section 3.1). The error is `insufficient_scope` if `forbidden` (status 403),
/// otherwise `invalid_token`.
///
/// Values become quoted-strings (RFC 9110 section 5.6.4); control characters are left out. The names of
/// parameters must be [parameter names](is_parameter).
pub fn bearer(
    realm: Option<&[u8]>,
    parameters: &[(&str, &[u8])],
    reject: Reject,
    forbidden: bool,
) -> Vec<u8> {
    let mut value = b"Bearer".to_vec();
    let mut separator = " ";
    let mut add = |name: &str, text: &[u8]| {
        value.extend_from_slice(separator.as_bytes());
        value.extend_from_slice(name.as_bytes());
        value.extend_from_slice(b"=\"");
        for byte in text.iter().copied().filter(|byte| !byte.is_ascii_control()) {
            if matches!(byte, b'"' | b'\\') {
                value.push(b'\\');
            }
            value.push(byte);
        }
        value.push(b'"');
        separator = ", ";
    };
    if let Some(realm) = realm {
        add("realm", realm);
    }
    parameters.iter().filter(|(_, text)| !text.is_empty()).for_each(|(name, text)| add(name, text));
    if reject != Reject::Missing {
        let error = if forbidden { "insufficient_scope" } else { "invalid_token" };
        add("error", error.as_bytes());
        add("error_description", reject.description().as_bytes());
    }
    value
}

/// Whether a parameter of this name may be added to the challenge: a token (RFC 9110 section 5.6.2), but
/// none of those that [`bearer`] itself writes.
pub fn is_parameter(name: &str) -> bool {
    const OWN: [&str; 3] = ["realm", "error", "error_description"];
    is_token(name.as_bytes()) && !OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use super::bearer as any_bearer;
    use super::*;

    fn bearer(realm: Option<&[u8]>, reject: Reject) -> Vec<u8> {
        any_bearer(realm, &[], reject, reject == Reject::Denied)
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

    #[test]
    fn parameters_stand_between_the_realm_and_the_error() {
        let told = |parameters: &[(&str, &[u8])]| {
            let value = any_bearer(Some(b"api"), parameters, Reject::Expired, false);
            let value = String::from_utf8(value).unwrap();
            value
                .strip_suffix(", error=\"invalid_token\", error_description=\"The token expired\"")
                .unwrap()
                .to_owned()
        };
        assert_eq!(told(&[]), "Bearer realm=\"api\"");
        assert_eq!(
            told(&[("scope", b"a b"), ("acr_values", b""), ("x", b"\"\\\r\n")]),
            r#"Bearer realm="api", scope="a b", x="\"\\""#
        );
        assert_eq!(
            any_bearer(None, &[("max_age", b"5")], Reject::Missing, false),
            b"Bearer max_age=\"5\""
        );
    }

    #[test]
    fn names_of_parameters_are_tokens_and_not_the_challenges_own() {
        for name in ["scope", "resource_metadata", "error_uri", "max-age", "a.b"] {
            assert!(is_parameter(name), "{name}");
        }
        for name in
            ["", "realm", "Realm", "ERROR", "error_description", "a b", "a=", "a\"", "\u{e4}"]
        {
            assert!(!is_parameter(name), "{name}");
        }
    }
}
