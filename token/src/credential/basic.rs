//! Tokens as the password of HTTP Basic (RFC 7617), as git, docker and npm send them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::found::Found;
use super::header::of_scheme;

/// The base64 text of the `Authorization` lines' scheme `Basic`, for [`password`].
pub fn basic<'r>(lines: impl Iterator<Item = &'r [u8]>) -> Found<'r> {
    of_scheme(lines, b"Basic")
}

/// The password in `text`, base64 of `user:password`; an empty one if there is none. The user cannot hold
/// a colon, the password can.
///
/// `None` if programs may read the text in different ways: where the padding is missing, other characters
/// or set trailing bits occur, there is no colon, or there are control characters, which neither part may
/// hold and at which some programs stop.
pub fn password(text: &[u8]) -> Option<Vec<u8>> {
    let mut pair = STANDARD.decode(text).ok()?;
    if pair.iter().any(u8::is_ascii_control) {
        return None;
    }
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair.split_off(colon + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_what_follows_the_first_colon() {
        let of = |pair: &str| password(STANDARD.encode(pair).as_bytes());
        assert_eq!(of("oauth2:a.b.c"), Some(b"a.b.c".to_vec()));
        assert_eq!(of(":a.b.c"), Some(b"a.b.c".to_vec()));
        assert_eq!(of("user:a:b"), Some(b"a:b".to_vec()));
        assert_eq!(of("user:"), Some(Vec::new()));
        for bad in ["", "user", "user\0:a", "user:a\n", "user:\ta"] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_the_canonical_base64_is_read() {
        assert_eq!(password(b"dTphYg=="), Some(b"ab".to_vec()));
        for bad in
            ["dTphYg", "dTphYg=", "dTphYh==", "dTphYg== ", "dTph Yg==", "dTphYg==,", "dTo-_w=="]
        {
            assert_eq!(password(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn another_scheme_has_none() {
        let of = |line: &'static str| basic([line.as_bytes()].into_iter());
        assert_eq!(of("basic dTph"), Found::One(b"dTph"));
        assert_eq!(of("Bearer dTph"), Found::Absent);
        for unusable in ["Basic", "Basic ", "Basic\tdTph"] {
            assert_eq!(of(unusable), Found::Unusable, "{unusable:?}");
        }
    }
}
