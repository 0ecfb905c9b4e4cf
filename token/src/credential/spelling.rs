//! Different spellings that some program takes for the same name.

/// Whether some program takes `found` for `name`. Programs ignore case (nginx, ASP.NET), decode names,
/// trim everything but visible ASCII, take `.` or a space for `_`, end a name at a NUL or at the `[` of
/// an array (PHP, Rails, Express), take a `[` that is not closed for `_` (PHP), or drop a `?` at the
/// beginning of the query.
pub fn is_spelling(found: &[u8], name: &[u8]) -> bool {
    Name::new(found).is_spelling_of(&Name::new(name))
}

/// A name that is compared with several others.
#[derive(Clone, Copy)]
pub(super) struct Name<'n> {
    pub(super) text: &'n [u8],
    /// Whether every program reads it as it stands, but for the case: most names.
    is_plain: bool,
}

/// Whether every program reads this byte of a name as it stands, but for the case. Names are compared for each
/// request, so this is a table.
#[allow(clippy::indexing_slicing)] // checked when it is compiled
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        plain[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        byte += 1;
    }
    plain
};

impl<'n> Name<'n> {
    pub(super) fn new(text: &'n [u8]) -> Self {
        let is_plain = |byte: &u8| PLAIN.get(usize::from(*byte)) == Some(&true);
        // Without a branch for each of them.
        Self { text, is_plain: text.iter().fold(true, |all, byte| all & is_plain(byte)) }
    }

    /// As [`is_spelling`].
    #[inline]
    pub(super) fn is_spelling_of(&self, name: &Name<'_>) -> bool {
        match self.is_plain && name.is_plain {
            true => self.text == name.text || self.text.eq_ignore_ascii_case(name.text),
            false => self.may_be_read_as(name),
        }
    }

    fn may_be_read_as(&self, name: &Name<'_>) -> bool {
        let letters = |text, ends| Letters { rest: text, ends };
        let reads = |ends| is_reading(letters(self.text, ends), letters(name.text, ends));
        let may_have_bracket = |text: &[u8]| text.iter().any(|byte| matches!(byte, b'[' | b'%'));
        // Most names have none, and are read once.
        reads(b"\0[")
            || (may_have_bracket(self.text) || may_have_bracket(name.text)) && reads(b"\0")
    }
}

/// Whether the letters are the same for some program.
fn is_reading(found: Letters<'_>, name: Letters<'_>) -> bool {
    let is_before = |byte: &u8| is_blank(*byte) || *byte == b'?';
    let mut found = found.skip_while(is_before);
    let mut name = name.skip_while(is_before);
    let same = |a: u8, b: u8| {
        let fold = |byte| if matches!(byte, b'.' | b' ' | b'[') { b'_' } else { byte };
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

/// Whether this is a token of RFC 9110 section 5.6.2, as the names of headers and schemes are.
pub fn is_token(text: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_allowed)
}

pub(super) fn is_blank(byte: u8) -> bool {
    !byte.is_ascii_graphic()
}

/// The decoded bytes of a name in lower case, up to one that `ends` it.
struct Letters<'n> {
    rest: &'n [u8],
    ends: &'static [u8],
}

impl Iterator for Letters<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let hex = |digit: u8| Some(char::from(digit).to_digit(16)? as u8);
        let pair = |high, low| Some(hex(high)? << 4 | hex(low)?);
        let (byte, len) = match *self.rest {
            [] => return None,
            [b'%', high, low, ..] if pair(high, low).is_some() => (pair(high, low)?, 3),
            // ASP's `%u0041`.
            [b'%', b'u' | b'U', b'0', b'0', high, low, ..] if pair(high, low).is_some() => {
                (pair(high, low)?, 6)
            }
            [b'+', ..] => (b' ', 1),
            [byte, ..] => (byte, 1),
        };
        if self.ends.contains(&byte) {
            self.rest = b"";
            return None;
        }
        self.rest = self.rest.get(len..).unwrap_or_default();
        Some(byte.to_ascii_lowercase())
    }
}

/// Whether some program takes a header line named `found` for header `name`. With CGI or WSGI `X-Token`
/// and `X_Token` are the same, with some programs any other character instead of the dash is as well.
pub fn is_header_spelling(found: &[u8], name: &[u8]) -> bool {
    let same = |a: &u8, b: &u8| {
        let is_dash = |byte: &u8| !byte.is_ascii_alphanumeric();
        a.eq_ignore_ascii_case(b) || is_dash(a) && is_dash(b)
    };
    // Most are the name itself.
    found == name || found.len() == name.len() && found.iter().zip(name).all(|(a, b)| same(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_in_every_spelling_that_some_reader_takes_for_it() {
        let called = |found: &str| is_spelling(found.as_bytes(), b"a_Tok");
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
            "a[tok",
            "a%5Btok",
            "A[TOK%00",
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
        for other in [
            "", "a", "a_to", "a_toks", "xa_tok", "a-tok", "a[to", "a[[tok", "a__tok", "a_tok x",
            "%",
        ] {
            assert!(!called(other), "{other:?}");
        }
        for any in ["", "%", "%4", "%zz", "%u00", "é", "a b", "[", "tok"] {
            assert!(is_spelling(any.as_bytes(), any.as_bytes()), "{any:?}");
        }
    }

    #[test]
    fn headers_are_told_apart_by_letters_and_digits_only() {
        for same in ["x-tok2", "X-Tok2", "x_tok2", "x.tok2"] {
            assert!(is_header_spelling(same.as_bytes(), b"x-tok2"), "{same}");
        }
        for other in ["x-tok", "xtok2", "x-tok3", "x-tok2-", "xatok2"] {
            assert!(!is_header_spelling(other.as_bytes(), b"x-tok2"), "{other}");
        }
    }
}
