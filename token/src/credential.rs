//! Finding a credential in what a client sent: header lines, cookies, query arguments.
//!
//! One rule for all of them: what another reader of the same request could read otherwise is
//! refused. nginx's own variables and the libraries of applications do not agree on where a cookie
//! or an argument ends, on the case of its name, on spaces around it, on its encoding. So a name
//! counts in every spelling that some reader takes for it, and there must be one of them, in the
//! spelling that all agree on.

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

/// A token from the lines of header `name`, in whatever spelling [`is_header`] takes for it, with the
/// names that they have there. A leading `Bearer ` is dropped.
pub fn header<'r>(mut lines: impl Iterator<Item = (&'r [u8], &'r [u8])>, name: &[u8]) -> Found<'r> {
    match (lines.next(), lines.next()) {
        (None, _) => Found::Absent,
        (Some((found, line)), None) if found.eq_ignore_ascii_case(name) => {
            Found::One(strip_bearer(line).unwrap_or(line)).or_absent()
        }
        _ => Found::Unusable,
    }
}

/// The value of cookie `name` from the `Cookie` lines: `name=value` between semicolons (RFC 6265
/// section 5.4), which is what nginx's `$cookie_name` shows then.
///
/// nginx takes a comma for a separator, too, allows spaces before `=` and ignores case; others trim
/// more than spaces, decode names, take white space for a separator, or honour quotes.
pub fn cookie<'r>(lines: impl Iterator<Item = &'r [u8]> + Clone, name: &[u8]) -> Found<'r> {
    let pairs = lines.clone().flat_map(|line| {
        line.split(|byte| *byte == b';').enumerate().map(|(place, pair)| {
            // nginx skips spaces behind a separator, but not at the beginning of a line.
            let spaces = pair.iter().take_while(|byte| place > 0 && **byte == b' ').count();
            pair.get(spaces..).unwrap_or_default()
        })
    });
    let found = one_reading(pairs, b',', name);
    match (found, places(lines, name)) {
        (Found::One(_), Places::One) => found.or_absent(),
        (Found::Absent, Places::None) => Found::Absent,
        _ => Found::Unusable,
    }
}

/// Where some reader may find a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Places {
    None,
    One,
    /// Several, or one that may be in the quoted value of another cookie.
    Many,
}

/// The places of cookie `name`, for a reader that separates by anything that may be a separator.
fn places<'r>(lines: impl Iterator<Item = &'r [u8]>, name: &[u8]) -> Places {
    let mut found = Places::None;
    // Lines may be joined before they are read.
    let mut quotes = Quotes::default();
    for line in lines {
        quotes.pass(b';');
        let mut rest = line;
        while !rest.is_empty() {
            let len = rest.iter().take_while(|byte| !ends_name(**byte)).count();
            let (word, after) = rest.split_at_checked(len).unwrap_or_default();
            let blanks = after.iter().take_while(|byte| len > 0 && is_blank(**byte)).count();
            let has_value = len > 0 && after.get(blanks) == Some(&b'=');
            if has_value && may_be_called(word, name) {
                if found != Places::None || quotes.held_semicolon {
                    return Places::Many;
                }
                found = Places::One;
            }
            // What follows an `=` is a value up to the next separator.
            let len = match after.first() {
                Some(b'=') => len + after.iter().take_while(|byte| !separates(**byte)).count(),
                _ => len,
            };
            let (passed, next) = rest.split_at_checked(len.max(1)).unwrap_or_default();
            passed.iter().for_each(|byte| quotes.pass(*byte));
            rest = next;
        }
    }
    found
}

fn separates(byte: u8) -> bool {
    matches!(byte, b';' | b',' | b'"') || is_blank(byte)
}

fn ends_name(byte: u8) -> bool {
    byte == b'=' || separates(byte)
}

/// Notices a semicolon that is inside a quoted string for some reader: for one that knows escapes, or
/// for one that does not.
#[derive(Default)]
struct Quotes {
    plain: bool,
    escaping: bool,
    is_escaped: bool,
    held_semicolon: bool,
}

impl Quotes {
    fn pass(&mut self, byte: u8) {
        let is_escaped = std::mem::take(&mut self.is_escaped);
        match byte {
            b'"' => {
                self.plain = !self.plain;
                self.escaping = self.escaping == is_escaped;
            }
            b'\\' => self.is_escaped = self.escaping && !is_escaped,
            b';' => self.held_semicolon |= self.plain || self.escaping,
            _ => {}
        }
    }
}

/// The value of argument `name` from a query string, as it stands there: base64url and digits
/// need no decoding, so an encoded one is not the one that was signed.
pub fn argument<'r>(query: &'r [u8], name: &[u8]) -> Found<'r> {
    let pairs = query.split(|byte| *byte == b'&');
    one_reading(pairs, b';', name)
}

/// The value of argument `name` as it stands in the query, as nginx's `$arg_name` shows it, if all
/// readers find this one and no other.
///
/// There is none where the argument occurs more than once (in whatever case, with an encoded name, as
/// `name[]`, behind a semicolon), where it occurs once but not as `name=value` between ampersands, and
/// where its value holds a semicolon, at which some readers end it.
pub fn single_argument<'r>(query: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    match argument(query, name) {
        Found::One(value) => Some(value),
        Found::Absent | Found::Unusable => None,
    }
}

/// The value of the one pair called `name`, if that is how it is spelt. `further` is a separator that
/// some readers know and some do not.
fn one_reading<'r>(pairs: impl Iterator<Item = &'r [u8]>, further: u8, name: &[u8]) -> Found<'r> {
    let (mut count, mut has_value, mut plain) = (0, false, None);
    for pair in pairs {
        for (place, part) in pair.split(|byte| *byte == further).enumerate() {
            let (found, value) = split_pair(part);
            if !may_be_called(found, name) {
                continue;
            }
            count += 1;
            has_value |= value.is_some();
            if place == 0 && found == name && !pair.contains(&further) {
                plain = value;
            }
        }
    }
    match (count, plain) {
        (1, Some(value)) => Found::One(value),
        // The name alone gives nobody a value.
        (0, _) | (1, None) if !has_value => Found::Absent,
        _ => Found::Unusable,
    }
}

/// Name and value; no value where there is no `=`.
fn split_pair(pair: &[u8]) -> (&[u8], Option<&[u8]>) {
    let at = pair.iter().position(|byte| *byte == b'=');
    match at.and_then(|at| pair.split_at_checked(at)) {
        Some((name, value)) => (name, value.get(1..)),
        None => (pair, None),
    }
}

/// Whether some reader would take `found` for `name`: without case (nginx, ASP.NET), decoded, with
/// anything but visible ASCII around it trimmed, with `.` or a space for `_`, and up to a NUL or to
/// the `[` of an array (PHP, Rails, Express). Of a query that begins with a `?` some drop that.
pub fn may_be_called(found: &[u8], name: &[u8]) -> bool {
    let is_before = |byte: &u8| is_blank(*byte) || *byte == b'?';
    let mut found = Letters(found).skip_while(is_before);
    let mut name = Letters(name).skip_while(is_before);
    let same = |a: u8, b: u8| {
        let fold = |byte| if matches!(byte, b'.' | b' ') { b'_' } else { byte };
        fold(a) == fold(b)
    };
    loop {
        match (found.next(), name.next()) {
            (Some(a), Some(b)) if same(a, b) => {}
            (None, None) => return true,
            (Some(a), None) => return is_blank(a) && found.all(is_blank),
            _ => return false,
        }
    }
}

fn is_blank(byte: u8) -> bool {
    !byte.is_ascii_graphic()
}

/// The bytes of a name in lower case, decoded as those do who decode names, up to a NUL or a `[`.
struct Letters<'n>(&'n [u8]);

impl Iterator for Letters<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let hex = |digit: u8| Some(char::from(digit).to_digit(16)? as u8);
        let pair = |high, low| Some(hex(high)? << 4 | hex(low)?);
        let (byte, len) = match *self.0 {
            [] => return None,
            [b'%', high, low, ..] if pair(high, low).is_some() => (pair(high, low)?, 3),
            // As ASP has it.
            [b'%', b'u' | b'U', b'0', b'0', high, low, ..] if pair(high, low).is_some() => {
                (pair(high, low)?, 6)
            }
            [b'+', ..] => (b' ', 1),
            [byte, ..] => (byte, 1),
        };
        if matches!(byte, b'\0' | b'[') {
            self.0 = b"";
            return None;
        }
        self.0 = self.0.get(len..).unwrap_or_default();
        Some(byte.to_ascii_lowercase())
    }
}

/// Whether a header line called `found` is one of header `name`: a reader by way of CGI or WSGI
/// knows `X-Token` and `X_Token` as one, and some whatever stands there for the dash.
pub fn is_header(found: &[u8], name: &[u8]) -> bool {
    let same = |a: &u8, b: &u8| {
        let is_dash = |byte: &u8| !byte.is_ascii_alphanumeric();
        a.eq_ignore_ascii_case(b) || is_dash(a) && is_dash(b)
    };
    found.len() == name.len() && found.iter().zip(name).all(|(a, b)| same(a, b))
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
        // Another spelling is one that some read and some do not, also by itself.
        for other in ["X_Token", "x.token"] {
            assert_eq!(of(&[(other, "a")]), Found::Unusable);
            assert_eq!(of(&[("X-Token", "a"), (other, "b")]), Found::Unusable);
        }
        assert_eq!(of(&[("X-Token", "a"), ("x-token", "b")]), Found::Unusable);
    }

    #[test]
    fn a_cookie_is_one_that_all_readers_agree_on() {
        let of = |line: &str| match cookie(line.split('\n').map(str::as_bytes), b"tok") {
            Found::Absent => "-".to_owned(),
            Found::Unusable => "?".to_owned(),
            Found::One(value) => String::from_utf8(value.to_vec()).unwrap(),
        };
        let (absent, unusable) = ("-", "?");
        for (line, found) in [
            // What everybody reads in the same way.
            ("tok=a", "a"),
            ("a=1; tok=x.y.z; b=2", "x.y.z"),
            // Cookies of others, as analytics and shops set them.
            ("tok=a; pref={\"a\":\"b c\"}; x=\"quoted value\"", "a"),
            ("pref={\"a\":\"b c\"}; x=\"quoted value\"; tok=a", "a"),
            ("a=b c d; tok=a; _ga=GA1.2.3=4==; e=f=g", "a"),
            ("x=\"a\\\"b\\\"\"; tok=a", "a"),
            ("x={\"tok\":\"b\"}; tok=a; y=tok b", "a"),
            ("tok=a; x=\"a;b\"", "a"),
            ("tok=a; x=\"", "a"),
            ("a=1;tok=a;b=2", "a"),
            ("a=1;   tok=a", "a"),
            ("a=1\ntok=a", "a"),
            ("a=1, b=2; tok=a", "a"),
            ("a=\"1\"; tok=a; $Path=/", "a"),
            ("tok=", absent),
            ("", absent),
            ("xtok=1;tokx=2; to=3; tok%=4; t.ok=5", absent),
            ("tok; a=1", absent),
            ("a=tok; b=x=tok", absent),
            // A value is what stands there, and a token has neither space nor quote.
            ("tok= a", " a"),
            ("tok=a ; b=1", "a "),
            ("tok=\"a\"", "\"a\""),
            // More than one.
            ("tok=a; tok=a", unusable),
            ("tok=a; tok=", unusable),
            ("tok=; tok=a", unusable),
            ("tok=a\ntok=b", unusable),
            ("tok =a; tok=b", unusable),
            ("TOK=a; tok=b", unusable),
            ("tok=b; Tok=a", unusable),
            ("x=1, tok=a; tok=b", unusable),
            ("tok=b; x=1,tok=a", unusable),
            ("x=\"; tok=a; y=\"; tok=b", unusable),
            ("\ttok=a; tok=b", unusable),
            ("x=1;\u{a0}tok=a; tok=b", unusable),
            ("%74ok=a; tok=b", unusable),
            ("tok[]=a; tok=b", unusable),
            ("tok%00x=a; tok=b", unusable),
            // nginx looks for no more in a line where the name stands without a value.
            ("tok; tok=a", unusable),
            ("tok , tok=a", unusable),
            // White space and quotes are separators for some.
            ("tok=a; x=1 tok=b", unusable),
            ("tok=a; x=1\ttok=b", unusable),
            ("tok=a; x=1 TOK = b", unusable),
            ("tok=a; x=1 %74ok=b", unusable),
            ("tok=a; x=\"1\" tok=b", unusable),
            ("tok=a; x=\"1\"tok=b", unusable),
            ("tok=a; x=\"tok=b\"", unusable),
            ("tok=a\nx=1 tok=b", unusable),
            ("x=1 tok=b\ntok=a", unusable),
            ("tok=a; b= tok=c", unusable),
            ("tok=a tok=b", unusable),
            // Some honour quotes around a semicolon, with or without escapes, and some do not.
            ("x=\"a; tok=a; b\"", unusable),
            ("x=\"a;b\"; tok=a", unusable),
            ("x=\"a\\\"; tok=a; y=\"b\"", unusable),
            ("x=a\"; y=\"; tok=a; z=1\"", unusable),
            ("x=\"a\ntok=a\ny=\"", unusable),
            ("x=\"; tok=a", unusable),
            ("x=\"a\\\"b\"; tok=a", unusable),
            // One that somebody reads and somebody does not.
            ("x=1 tok=a", unusable),
            ("x=\"tok=a\"", unusable),
            ("?tok=a", unusable),
            ("tok =a", unusable),
            ("tok\t=a", unusable),
            ("TOK=a", unusable),
            ("x=1, tok=a", unusable),
            ("tok=a, x=1", unusable),
            (" tok=a", unusable),
            ("x=1;\ttok=a", unusable),
            ("t%6fk=a", unusable),
            ("tok[x]=a", unusable),
        ] {
            assert_eq!(of(line), found, "{line:?}");
        }
    }

    #[test]
    fn a_name_counts_in_every_spelling_that_some_reader_takes_for_it() {
        let called = |found: &str| may_be_called(found.as_bytes(), b"a_Tok");
        for it in [
            "a_Tok",
            "A_TOK",
            " a_tok",
            "a_tok\t",
            "a.tok",
            "a tok",
            "a+tok",
            "a%20tok",
            "a%2Etok",
            "%61_tok",
            "%u0061_tok",
            "a_tok[",
            "a_tok[]",
            "a_tok%5B1%5D",
            "a_tok%00",
            "+a_tok",
            "a_tok%20",
            "a_tok\u{200b}",
            "\u{feff}a_tok",
            "?a_tok",
            "??a_tok",
            "%3Fa_tok",
        ] {
            assert!(called(it), "{it:?}");
        }
        for other in ["", "a", "a_to", "a_toks", "xa_tok", "a-tok", "a__tok", "a_tok x", "%"] {
            assert!(!called(other), "{other:?}");
        }
        for any in ["", "%", "%4", "%zz", "%u00", "é", "a b", "[", "tok"] {
            assert!(may_be_called(any.as_bytes(), any.as_bytes()), "{any:?}");
        }
    }

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

    #[test]
    fn headers_are_told_apart_by_letters_and_digits_only() {
        for same in ["x-tok2", "X-Tok2", "x_tok2", "x.tok2"] {
            assert!(is_header(same.as_bytes(), b"x-tok2"), "{same}");
        }
        for other in ["x-tok", "xtok2", "x-tok3", "x-tok2-", "xatok2"] {
            assert!(!is_header(other.as_bytes(), b"x-tok2"), "{other}");
        }
    }
}
