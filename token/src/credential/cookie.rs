//! Tokens in cookies.

use super::found::Found;
use super::pairs::{one_reading_of_each, pieces};
use super::spelling::{Name, is_blank};

/// The value of cookie `name` in the `Cookie` lines: `name=value` between semicolons (RFC 6265 section
/// 5.4). If there is one, nginx's `$cookie_name` has the same value.
///
/// nginx also separates cookies by commas, allows spaces before `=` and ignores case. Other programs
/// trim more than spaces, decode names, separate cookies by white space, or respect quotes.
pub fn cookie<'r>(lines: impl Iterator<Item = &'r [u8]> + Clone, name: &[u8]) -> Found<'r> {
    let [found] = cookies(lines, [name]);
    found
}

/// As [`cookie`] of each of the names. The lines are read once.
pub fn cookies<'r, const COUNT: usize>(
    lines: impl Iterator<Item = &'r [u8]> + Clone,
    names: [&[u8]; COUNT],
) -> [Found<'r>; COUNT] {
    let pairs = lines.clone().flat_map(|line| {
        pieces(line, b';').enumerate().map(|(place, pair)| {
            // nginx skips spaces after a separator, but not at the beginning of a line.
            let spaces = pair.iter().take_while(|byte| place > 0 && **byte == b' ').count();
            pair.get(spaces..).unwrap_or_default()
        })
    });
    let mut found = one_reading_of_each(pairs.clone(), Some(b','), names);
    // Where nothing but semicolons may separate cookies, all programs find the same ones.
    let mut pairs = pairs;
    if pairs.all(separates_nothing) {
        return found.map(Found::or_absent);
    }
    for (found, occurrences) in found.iter_mut().zip(occurrences(lines, names)) {
        *found = match (*found, occurrences) {
            (Found::One(_), Occurrences::One) => found.or_absent(),
            (Found::Absent, Occurrences::None) => Found::Absent,
            _ => Found::Unusable,
        };
    }
    found
}

/// How often some program may find a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occurrences {
    None,
    One,
    /// Several times, or once, but perhaps inside the quoted value of another cookie.
    Many,
}

/// How often each cookie occurs if everything that may be a separator is one.
fn occurrences<'r, const COUNT: usize>(
    lines: impl Iterator<Item = &'r [u8]>,
    names: [&[u8]; COUNT],
) -> [Occurrences; COUNT] {
    let names = names.map(Name::new);
    let mut found = [Occurrences::None; COUNT];
    // Some programs join the lines before they parse them.
    let mut quotes = Quotes::default();
    for line in lines {
        quotes.pass(b";");
        let mut rest = line;
        while !rest.is_empty() {
            let len = length_until(rest, ends_name);
            let (word, after) = rest.split_at_checked(len).unwrap_or_default();
            let blanks = after.iter().take_while(|byte| len > 0 && is_blank(**byte)).count();
            if len > 0 && after.get(blanks) == Some(&b'=') {
                let word = Name::new(word);
                for (found, name) in found.iter_mut().zip(&names) {
                    if word.is_spelling_of(name) {
                        let is_first = *found == Occurrences::None && !quotes.held_semicolon;
                        *found = if is_first { Occurrences::One } else { Occurrences::Many };
                    }
                }
            }
            // After `=` there is a value, up to the next separator.
            let len = match after.first() {
                Some(b'=') => len + length_until(after, separates),
                _ => len,
            };
            let (passed, next) = rest.split_at_checked(len.max(1)).unwrap_or_default();
            quotes.pass(passed);
            rest = next;
        }
    }
    found
}

/// How many bytes there are before the first that `ends` them.
fn length_until(bytes: &[u8], ends: impl Fn(u8) -> bool) -> usize {
    // Many at once, without a branch for each of them: some cookies are long.
    let has_end = |chunk: &&[u8]| chunk.iter().fold(false, |any, byte| any | ends(*byte));
    let passed = bytes.chunks(16).take_while(|chunk| !has_end(chunk)).count() * 16;
    let rest = bytes.get(passed..).unwrap_or_default();
    passed.min(bytes.len()) + rest.iter().take_while(|byte| !ends(**byte)).count()
}

/// Whether no byte of a cookie may separate it from another one, or hide that.
fn separates_nothing(pair: &[u8]) -> bool {
    // Without a branch for each of them.
    pair.iter().fold(true, |all, byte| all & !separates(*byte))
}

fn separates(byte: u8) -> bool {
    (byte == b';') | (byte == b',') | (byte == b'"') | is_blank(byte)
}

fn ends_name(byte: u8) -> bool {
    (byte == b'=') | separates(byte)
}

/// Detects a semicolon inside a quoted string, both for programs that know escapes in quotes and for
/// those that do not.
#[derive(Default)]
struct Quotes {
    plain: bool,
    escaping: bool,
    is_escaped: bool,
    held_semicolon: bool,
}

impl Quotes {
    fn pass(&mut self, bytes: &[u8]) {
        // Outside of quotes nothing counts but a quote.
        let is_outside = !self.plain && !self.escaping && !self.is_escaped;
        if !is_outside || bytes.contains(&b'"') {
            bytes.iter().for_each(|byte| self.pass_byte(*byte));
        }
    }

    fn pass_byte(&mut self, byte: u8) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_one_that_all_readers_agree_on() {
        let of = |line: &str| match cookie(line.split('\n').map(str::as_bytes), b"tok") {
            Found::Absent => "-".to_owned(),
            Found::Unusable => "?".to_owned(),
            Found::One(value) => String::from_utf8(value.to_vec()).unwrap(),
        };
        let (absent, unusable) = ("-", "?");
        for (line, found) in [
            // All programs agree.
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
            // The value is taken literally; a token has neither spaces nor quotes.
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
            // nginx stops searching a line at the name without a value.
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
            // Some programs respect quotes around a semicolon, with or without escapes, some do not.
            ("x=\"a; tok=a; b\"", unusable),
            ("x=\"a;b\"; tok=a", unusable),
            ("x=\"a\\\"; tok=a; y=\"b\"", unusable),
            ("x=a\"; y=\"; tok=a; z=1\"", unusable),
            ("x=\"a\ntok=a\ny=\"", unusable),
            ("x=\"; tok=a", unusable),
            ("x=\"a\\\"b\"; tok=a", unusable),
            // Some programs find it, some do not.
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
}
