//! Arguments of a query.

use super::found::Found;
use super::pairs::one_reading;

/// The value of argument `name` in a query string, not decoded. base64url and digits need no encoding,
/// so an encoded value is not the one that was signed.
pub fn argument<'r>(query: &'r [u8], name: &[u8]) -> Found<'r> {
    let pairs = query.split(|byte| *byte == b'&');
    one_reading(pairs, b';', name)
}

/// The value of argument `name`, not decoded, as nginx's `$arg_name` has it, if all programs find the
/// same value.
///
/// `None` if the argument occurs more than once (in any case, with an encoded name, as `name[]`, or
/// after a semicolon), if it occurs once but not as `name=value` between ampersands, or if its value
/// contains a semicolon, where some programs end it.
pub fn single_argument<'r>(query: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    match argument(query, name) {
        Found::One(value) => Some(value),
        Found::Absent | Found::Unusable => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let of = |query: &'static str| argument(query.as_bytes(), b"st");
        assert_eq!(of("a=1&st=x&e=2"), Found::One(b"x"));
        assert_eq!(of("st=x+y%20z"), Found::One(b"x+y%20z"));
        assert_eq!(of("st=&e=2"), Found::One(b""));
        for absent in ["", "st", "st&xst=1&st1=2", "a=st", "a=1;xst=2", "st.=1", "redirect=%26st=1"]
        {
            assert_eq!(of(absent), Found::Absent, "{absent:?}");
        }
        for unusable in [
            "st=1&a&st=1",
            "st=1&st",
            "st=1&ST=2",
            "ST=2&st=1",
            "%73t=2&st=1",
            "st=1&s%74=2",
            "st=1;st=2",
            "st=1&a=2;st=3",
            "st=1&st[]=2",
            "st=1&st%5b%5d=2",
            "st=1&+st=2",
            "st=1&st%20=2",
            "st=1&st%00=2",
            "ST=1",
            "s%74=1",
            "?st=1",
            "?st=1&st=2",
            "a=1;st=1",
            "st=1;a=2",
            "st[]=1",
        ] {
            assert_eq!(of(unusable), Found::Unusable, "{unusable:?}");
        }
    }

    #[test]
    fn an_argument_is_single_where_all_readers_find_the_same() {
        let of = |query: &'static str| single_argument(query.as_bytes(), b"tenant");
        assert_eq!(of("tenant=mine"), Some(&b"mine"[..]));
        assert_eq!(of("a=1&tenant=a%20b+c=d&b"), Some(&b"a%20b+c=d"[..]));
        assert_eq!(of("tenant="), Some(&b""[..]));
        for none in [
            "",
            "tenant",
            "a=1",
            "tenants=x",
            "tenant=mine&tenant=mine",
            "tenant=mine&tenant",
            "tenant=mine&TENANT=other",
            "tenant=mine&ten%61nt=other",
            "tenant=mine&tenant[]=other",
            "tenant=mine;tenant=other",
            "tenant=mine;a=1",
            "a=1;tenant=mine",
            "ten%61nt=mine",
            "Tenant=mine",
            "TENANT=mine",
            "?tenant=mine",
            "?tenant=other&tenant=mine",
            "tenant[]=mine",
            "+tenant=mine",
        ] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
