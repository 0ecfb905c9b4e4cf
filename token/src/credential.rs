//! Finding a credential in what a client sent: header lines, cookies, query arguments.
//!
//! One rule for all of them: a name that occurs more than once is ambiguous, and an ambiguous
//! credential is refused, since whoever else reads the request might read another of them.

/// What was found under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'r> {
    /// Nothing, or nothing but an empty value.
    Absent,
    /// One value.
    One(&'r [u8]),
    /// Several, or one that cannot be a credential.
    Unusable,
}

impl<'r> Found<'r> {
    fn of(mut values: impl Iterator<Item = &'r [u8]>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Unusable,
        }
    }

    /// Takes an empty value for none.
    #[must_use]
    pub fn or_absent(self) -> Self {
        if self == Self::One(b"") { Self::Absent } else { self }
    }
}

/// A bearer token from the `Authorization` lines (RFC 6750 section 2.1): the scheme in any case,
/// spaces, the token. Another scheme is no token; the scheme alone is an unusable one.
pub fn bearer<'r>(lines: impl Iterator<Item = &'r [u8]>) -> Found<'r> {
    match Found::of(lines) {
        Found::One(line) => match strip_bearer(line) {
            Some(b"") => Found::Unusable,
            Some(token) => Found::One(token),
            None if line.eq_ignore_ascii_case(b"bearer") => Found::Unusable,
            None => Found::Absent,
        },
        other => other,
    }
}

/// A token from the lines of any header, where a leading `Bearer ` is dropped.
pub fn header<'r>(lines: impl Iterator<Item = &'r [u8]>) -> Found<'r> {
    match Found::of(lines) {
        Found::One(line) => Found::One(strip_bearer(line).unwrap_or(line)).or_absent(),
        other => other,
    }
}

/// The value of cookie `name` from the `Cookie` lines (RFC 6265 section 5.4).
pub fn cookie<'r>(lines: impl Iterator<Item = &'r [u8]>, name: &[u8]) -> Found<'r> {
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    Found::of(pairs.filter_map(|pair| value_of(pair.trim_ascii(), name))).or_absent()
}

/// The value of argument `name` from a query string, as it stands there: base64url and digits
/// need no decoding, so an encoded one is not the one that was signed.
pub fn argument<'r>(query: &'r [u8], name: &[u8]) -> Found<'r> {
    Found::of(query.split(|byte| *byte == b'&').filter_map(|pair| value_of(pair, name)))
}

/// The value of `name=value`, if that is the name.
fn value_of<'r>(pair: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    pair.strip_prefix(name)?.strip_prefix(b"=")
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
        for other in ["", "Basic abc", "xxBearer abc", "Bearer\tabc", "Bearerabc", "abc", "Beare"] {
            assert_eq!(of(other), Found::Absent, "{other:?}");
        }
        assert_eq!(bearer([&b"Bearer a"[..], b"Bearer a"].into_iter()), Found::Unusable);
        assert_eq!(bearer(std::iter::empty()), Found::Absent);
    }

    #[test]
    fn a_header_may_hold_the_raw_token() {
        let of = |line: &'static str| header([line.as_bytes()].into_iter());
        assert_eq!(of("abc"), Found::One(b"abc"));
        assert_eq!(of("bearer abc"), Found::One(b"abc"));
        assert_eq!(of(""), Found::Absent);
        assert_eq!(of("Bearer "), Found::Absent);
        assert_eq!(header([&b"a"[..], b"b"].into_iter()), Found::Unusable);
    }

    #[test]
    fn cookies() {
        let of =
            |lines: &'static [&'static str]| cookie(lines.iter().map(|l| l.as_bytes()), b"tok");
        assert_eq!(of(&["a=1; tok=x.y.z; b=2"]), Found::One(b"x.y.z"));
        assert_eq!(of(&["a=1", "tok=x"]), Found::One(b"x"));
        assert_eq!(of(&["xtok=1;tokx=2; tok"]), Found::Absent);
        assert_eq!(of(&["tok="]), Found::Absent);
        assert_eq!(of(&["tok=a; tok=a"]), Found::Unusable);
        assert_eq!(of(&["tok=a", "tok=b"]), Found::Unusable);
        assert_eq!(of(&["TOK=a"]), Found::Absent);
    }

    #[test]
    fn arguments() {
        assert_eq!(argument(b"a=1&st=x&e=2", b"st"), Found::One(b"x"));
        assert_eq!(argument(b"st=&e=2", b"st"), Found::One(b""));
        assert_eq!(argument(b"st&xst=1&st1=2", b"st"), Found::Absent);
        assert_eq!(argument(b"st=1&a&st=1", b"st"), Found::Unusable);
        assert_eq!(argument(b"", b"st"), Found::Absent);
    }
}
