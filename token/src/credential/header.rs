//! Tokens in header lines.

use super::found::Found;
use super::spelling::is_blank;

/// What follows `scheme` in the `Authorization` lines (RFC 9110 section 11.4; for bearer tokens RFC 6750
/// section 2.1): the scheme in any case, spaces, the credential. With another scheme there is none. The
/// scheme without a credential is unusable, and so is one with a tab or another blank before or after it:
/// nginx passes the line on as it is, and many programs trim it and split it at any white space.
pub fn of_scheme<'r>(lines: impl Iterator<Item = &'r [u8]>, scheme: &[u8]) -> Found<'r> {
    match Found::of(lines) {
        Found::One(line) => after_scheme(line, scheme),
        other => other,
    }
}

/// The bearer token in the `Authorization` lines.
pub fn bearer<'r>(lines: impl Iterator<Item = &'r [u8]>) -> Found<'r> {
    of_scheme(lines, b"Bearer")
}

/// The token in header `name`. `lines` are the names and values of all lines whose name
/// [is a spelling](super::is_header_spelling) of it. With `scheme` the token follows this word, as in
/// [`of_scheme`]; without, the whole value is the token, but for a leading `Bearer `.
pub fn header<'r>(
    lines: impl Iterator<Item = (&'r [u8], &'r [u8])>,
    name: &[u8],
    scheme: Option<&[u8]>,
) -> Found<'r> {
    match (header_value(lines, name), scheme) {
        (Found::One(line), Some(scheme)) => after_scheme(line, scheme),
        (Found::One(line), None) => Found::One(strip(line, b"Bearer").unwrap_or(line)).or_absent(),
        (other, _) => other,
    }
}

/// The whole value of header `name`, of lines as for [`header`].
pub fn header_value<'r>(
    mut lines: impl Iterator<Item = (&'r [u8], &'r [u8])>,
    name: &[u8],
) -> Found<'r> {
    match (lines.next(), lines.next()) {
        (None, _) => Found::Absent,
        (Some((found, line)), None) if found.eq_ignore_ascii_case(name) => Found::One(line),
        _ => Found::Unusable,
    }
}

fn after_scheme<'r>(line: &'r [u8], scheme: &[u8]) -> Found<'r> {
    match strip(line, scheme) {
        Some(b"") => Found::Unusable,
        Some(credential) => Found::One(credential),
        None if others_read(line, scheme) => Found::Unusable,
        None => Found::Absent,
    }
}

/// Whether some program finds this scheme in the line.
fn others_read(line: &[u8], scheme: &[u8]) -> bool {
    let blanks = line.iter().take_while(|byte| is_blank(**byte)).count();
    let rest = line.get(blanks..).unwrap_or_default();
    rest.split_at_checked(scheme.len()).is_some_and(|(found, rest)| {
        found.eq_ignore_ascii_case(scheme) && rest.first().is_none_or(|byte| is_blank(*byte))
    })
}

/// The line after the scheme and its spaces.
fn strip<'r>(line: &'r [u8], scheme: &[u8]) -> Option<&'r [u8]> {
    let (found, rest) = line.split_at_checked(scheme.len())?;
    if found != scheme && !found.eq_ignore_ascii_case(scheme) {
        return None;
    }
    let mut rest = rest.strip_prefix(b" ")?;
    while let Some(more) = rest.strip_prefix(b" ") {
        rest = more;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bearer_scheme_is_exact_but_for_case() {
        let of = |line: &'static str| bearer([line.as_bytes()].into_iter());
        assert_eq!(of("Bearer abc"), Found::One(b"abc"));
        assert_eq!(of("bEARER   abc"), Found::One(b"abc"));
        assert_eq!(of("Bearer abc def"), Found::One(b"abc def"));
        for empty in ["Bearer", "bearer", "Bearer ", "Bearer   "] {
            assert_eq!(of(empty), Found::Unusable, "{empty:?}");
        }
        for others in [
            "\tBearer abc",
            " \t bearer abc",
            "Bearer\tabc",
            "Bearer\u{b}abc",
            "Bearer\u{a0}abc",
            "\u{feff}Bearer abc",
            "\tBearer",
        ] {
            assert_eq!(of(others), Found::Unusable, "{others:?}");
        }
        for other in ["", "Basic abc", "xxBearer abc", "Bearerabc", "Bearer=abc", "abc", "Beare"] {
            assert_eq!(of(other), Found::Absent, "{other:?}");
        }
        assert_eq!(bearer([&b"Bearer a"[..], b"Bearer a"].into_iter()), Found::Unusable);
        assert_eq!(bearer(std::iter::empty()), Found::Absent);
    }

    #[test]
    fn a_header_may_hold_the_raw_token() {
        let of = |lines: &[(&'static str, &'static str)]| {
            let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            header(lines, b"x-token", None)
        };
        assert_eq!(of(&[("X-Token", "abc")]), Found::One(b"abc"));
        assert_eq!(of(&[("x-token", "bearer abc")]), Found::One(b"abc"));
        for absent in ["", "Bearer "] {
            assert_eq!(of(&[("X-Token", absent)]), Found::Absent);
        }
        assert_eq!(of(&[]), Found::Absent);
        // Only some programs read another spelling, so it is unusable even alone.
        for other in ["X_Token", "x.token"] {
            assert_eq!(of(&[(other, "a")]), Found::Unusable);
            assert_eq!(of(&[("X-Token", "a"), (other, "b")]), Found::Unusable);
        }
        assert_eq!(of(&[("X-Token", "a"), ("x-token", "b")]), Found::Unusable);
    }

    #[test]
    fn each_scheme_is_read_for_itself() {
        let of = |line: &'static str| of_scheme([line.as_bytes()].into_iter(), b"Token");
        assert_eq!(of("Token abc"), Found::One(b"abc"));
        assert_eq!(of("token  abc"), Found::One(b"abc"));
        for unusable in ["Token", "TOKEN ", "Token\tabc", "\tToken abc"] {
            assert_eq!(of(unusable), Found::Unusable, "{unusable:?}");
        }
        for absent in ["Bearer abc", "Tokenabc", "Token=abc", "Tokens abc", "", "abc"] {
            assert_eq!(of(absent), Found::Absent, "{absent:?}");
        }
        let of = |line: &'static str| {
            let lines = [(&b"X-Token"[..], line.as_bytes())];
            header(lines.into_iter(), b"x-token", Some(b"JWT"))
        };
        assert_eq!(of("jwt abc"), Found::One(b"abc"));
        assert_eq!(of("JWT"), Found::Unusable);
        for absent in ["abc", "Bearer abc", ""] {
            assert_eq!(of(absent), Found::Absent, "{absent:?}");
        }
    }
}
