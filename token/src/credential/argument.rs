//! Arguments of a query.

use super::found::Found;
use super::pairs::{one_reading_of_each, pieces, split_pair};
use super::spelling::Name;

/// The value of argument `name` in a query string, not decoded. base64url and digits need no encoding,
/// so an encoded value is not the one that was signed.
pub fn argument<'r>(query: &'r [u8], name: &[u8]) -> Found<'r> {
    let [found] = arguments(query, [name]);
    found
}

/// As [`argument`] of each of the names. The query is read once.
pub fn arguments<'r, const COUNT: usize>(
    query: &'r [u8],
    names: [&[u8]; COUNT],
) -> [Found<'r>; COUNT] {
    let further = memchr::memchr(b';', query).map(|_| b';');
    one_reading_of_each(pieces(query, b'&'), further, names)
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

/// The query without every argument that some program takes for one of `names`. The bytes of the others
/// stay as they are; `None` if nothing is to be removed.
///
/// Where a name is spelt so between ampersands, the argument goes up to the next ampersand. After a
/// semicolon, where only some programs begin an argument, it goes up to the next semicolon.
pub fn without_arguments<'n>(
    query: &[u8],
    names: impl Iterator<Item = &'n [u8]>,
) -> Option<Vec<u8>> {
    let names: Vec<_> = names.map(Name::new).collect();
    let goes = |part: &[u8]| {
        let (name, _) = split_pair(part);
        let name = Name::new(name);
        names.iter().any(|one| name.text == one.text || name.is_spelling_of(one))
    };
    let mut removed = false;
    // Most queries are removed whole.
    let mut kept = Vec::new();
    let mut is_first = true;
    for pair in pieces(query, b'&') {
        let mut parts = pieces(pair, b';');
        let first = parts.next().unwrap_or_default();
        if goes(first) {
            removed = true;
            continue;
        }
        match std::mem::take(&mut is_first) {
            true => kept.reserve(query.len()),
            false => kept.push(b'&'),
        }
        kept.extend_from_slice(first);
        for part in parts {
            if goes(part) {
                removed = true;
            } else {
                kept.push(b';');
                kept.extend_from_slice(part);
            }
        }
    }
    removed.then_some(kept)
}

/// The arguments of a query that are spelt exactly as one of `names`, as they came and in their order.
pub fn only_arguments(query: &[u8], names: &[&[u8]]) -> Vec<u8> {
    let is_named = |pair: &&[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        pair.contains(&b'=') && names.contains(&name)
    };
    let found: Vec<&[u8]> = query.split(|byte| *byte == b'&').filter(is_named).collect();
    found.join(&b'&')
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
    fn several_arguments_are_found_as_each_is() {
        for query in ["", "a=1&st=2", "ST=1&e=2&e=3", "st=1;e=2", "st&e=&a", "%65=1&st[]=2", "st=1"]
        {
            let query = query.as_bytes();
            let names = [&b"st"[..], b"e", b"a", b"st"];
            assert_eq!(super::arguments(query, names), names.map(|name| argument(query, name)));
        }
        assert_eq!(super::arguments(b"a=1", []), []);
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

    #[test]
    fn named_arguments_are_taken_out_as_they_came() {
        let of = |query: &str| {
            let only = only_arguments(query.as_bytes(), &[b"st", b"e"]);
            String::from_utf8(only).unwrap()
        };
        for (query, only) in [
            ("", ""),
            ("a=1&b", ""),
            ("e=2&a=1&st=x%2f=y", "e=2&st=x%2f=y"),
            ("&st=x&&e=", "st=x&e="),
            ("ST=x&est=1&st&st[]=2&%73t=3&e;st=4", ""),
        ] {
            assert_eq!(of(query), only, "{query:?}");
        }
    }

    #[test]
    fn arguments_are_removed_in_every_spelling() {
        let of = |query: &'static str| {
            let names = [&b"access_token"[..], b"t"];
            without_arguments(query.as_bytes(), names.into_iter())
                .map(|rest| String::from_utf8(rest).unwrap())
        };
        for same in ["", "a=1", "a=1&&b", "x=access_token&tt=1", "a;b=%20+", "&", "access_tokens=1"]
        {
            assert_eq!(of(same), None, "{same:?}");
        }
        for (query, rest) in [
            ("access_token=x", ""),
            ("access_token=x&a=%20b+c", "a=%20b+c"),
            ("a=1&access_token=x&b=2", "a=1&b=2"),
            ("a=1&t=x", "a=1"),
            ("t=1&a&access_token=2&t=3", "a"),
            ("&t=x&&a", "&&a"),
            // A value that some programs end at the semicolon goes whole.
            ("t=x;y&a=1", "a=1"),
            ("a=1;t=x;b=2&c", "a=1;b=2&c"),
            ("T=x&%74=y&t[]=z&?t=v&access.token=w&b", "b"),
            ("t", ""),
        ] {
            assert_eq!(of(query).as_deref(), Some(rest), "{query:?}");
        }
    }
}
