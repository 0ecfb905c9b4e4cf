//! Tokens in header lines.

use super::found::Found;
use super::spelling::is_blank;

/// The bearer token in the `Authorization` lines (RFC 6750 section 2.1): the scheme in any case, spaces,
/// the token. With another scheme there is no token. The scheme without a token is unusable, and so is one
/// with a tab or another blank before or after it: nginx passes the line on as it is, and many programs
/// trim it and split it at any white space.
pub fn bearer<'r>(lines: impl Iterator<Item = &'r [u8]>) -> Found<'r> {
    match Found::of(lines) {
        Found::One(line) => match strip_bearer(line) {
            Some(b"") => Found::Unusable,
            Some(token) => Found::One(token),
            None if others_read_bearer(line) => Found::Unusable,
            None => Found::Absent,
        },
        other => other,
    }
}

/// The token in header `name`. `lines` are the names and values of all lines whose name
/// [is a spelling](super::is_header_spelling) of it. A leading `Bearer ` is dropped.
pub fn header<'r>(mut lines: impl Iterator<Item = (&'r [u8], &'r [u8])>, name: &[u8]) -> Found<'r> {
    match (lines.next(), lines.next()) {
        (None, _) => Found::Absent,
        (Some((found, line)), None) if found.eq_ignore_ascii_case(name) => {
            Found::One(strip_bearer(line).unwrap_or(line)).or_absent()
        }
        _ => Found::Unusable,
    }
}

/// Whether some program takes the scheme of the line for `Bearer`.
fn others_read_bearer(line: &[u8]) -> bool {
    let blanks = line.iter().take_while(|byte| is_blank(**byte)).count();
    let rest = line.get(blanks..).unwrap_or_default();
    rest.split_at_checked("Bearer".len()).is_some_and(|(scheme, rest)| {
        scheme.eq_ignore_ascii_case(b"Bearer") && rest.first().is_none_or(|byte| is_blank(*byte))
    })
}

fn strip_bearer(line: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = line.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| {
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        rest.get(spaces..).unwrap_or_default()
    })
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
            header(lines, b"x-token")
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
}
