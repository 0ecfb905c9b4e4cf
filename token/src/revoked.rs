//! Lists of revoked tokens: by token identifier, subject, key, or any other claim.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use crate::json::{Document, Number, Value};
use crate::path::ClaimPath;

/// The values of one list file: one on each line, without the white space around it. Empty lines and
/// lines that begin with `#` are ignored. A line that begins with a double quote is a JSON string, so
/// that every value can be written.
///
/// A claim that is a string is compared with the values as text. A claim that is a number is compared
/// by value with those that are numbers and not quoted.
pub struct RevokedList {
    text: Box<str>,
    /// A hash table with linear probing. Each place has the offset in the text where a value begins, or
    /// [`EMPTY`]. It needs eight bytes for each value in addition to the text. Searching a million
    /// values reads a few places that are not in the processor's cache; a sorted list would read
    /// twenty.
    places: Box<[u32]>,
    hasher: RandomState,
    len: usize,
}

/// Why a list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum ListError {
    #[error("line {0} is not UTF-8")]
    Utf8(usize),
    #[error("is UTF-16: save it as UTF-8")]
    Utf16,
    #[error("is larger than 4 GiB")]
    TooLarge,
    #[error(
        "line {0} begins with a double quote, but is no JSON string: a value that begins with one \
         is written \"\\\"so\""
    )]
    Quoted(usize),
}

/// A place without a value. No text is long enough for a value to begin at this offset.
const EMPTY: u32 = u32::MAX;

/// Places for each value: half of them are empty, so that a search ends soon.
const PLACES: usize = 2;

/// A value of the list.
struct Entry<'l> {
    /// The value that is compared, without quotes and escapes.
    value: Cow<'l, str>,
    is_quoted: bool,
}

impl<'l> Entry<'l> {
    /// Parses a line without white space around it; `None` if it begins with a double quote and is no
    /// JSON string.
    fn read(line: &'l str) -> Option<Self> {
        let Some(inner) = line.strip_prefix('"') else {
            return Some(Self { value: Cow::Borrowed(line), is_quoted: false });
        };
        let plain = inner.strip_suffix('"').filter(|inner| {
            !inner.contains(|char: char| matches!(char, '"' | '\\' | '\0'..='\x1f'))
        });
        let value = match plain {
            Some(plain) => Cow::Borrowed(plain),
            None => Cow::Owned(serde_json::from_str(line).ok()?),
        };
        Some(Self { value, is_quoted: true })
    }

    fn is_number(&self, number: Number<'_>) -> bool {
        let value = (!self.is_quoted).then(|| Number::parse(self.value.as_bytes())).flatten();
        value.is_some_and(|value| value.compare(number).is_eq())
    }
}

/// Removes white space around a value, and a byte order mark before it: some editors write one at the
/// beginning of a file, and concatenated files have it in the middle.
fn trim(line: &str) -> &str {
    line.trim_start_matches('\u{feff}').trim()
}

impl RevokedList {
    /// Parses a list.
    ///
    /// # Errors
    /// [`ListError`].
    pub fn parse(text: Vec<u8>) -> Result<Self, ListError> {
        if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
            return Err(ListError::Utf16);
        }
        let text = String::from_utf8(text).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let before = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
            ListError::Utf8(1 + before)
        })?;
        u32::try_from(text.len()).map_err(|_| ListError::TooLarge)?;
        let start = text.as_ptr() as usize;
        let mut values: Vec<u32> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = trim(line);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            Entry::read(line).ok_or(ListError::Quoted(1 + number))?;
            // It fits, since the length of the text does.
            values.push((line.as_ptr() as usize - start) as u32);
        }
        let mut list = Self {
            text: text.into(),
            places: vec![EMPTY; values.len() * PLACES].into(),
            hasher: RandomState::new(),
            len: values.len(),
        };
        for value in values {
            let Some(entry) = list.entry(value) else { continue };
            // A value that occurs again is not added: a search would pass every copy.
            let is_same =
                |it: &Entry<'_>| it.value == entry.value && it.is_quoted == entry.is_quoted;
            if let Err(Some(place)) = list.find(list.hash(&entry.value), is_same)
                && let Some(place) = list.places.get_mut(place)
            {
                *place = value;
            }
        }
        Ok(list)
    }

    /// Whether a claim with this string is in the list.
    pub fn contains(&self, value: &str) -> bool {
        self.find(self.hash(value), |entry| entry.value == value).is_ok()
    }

    /// Whether a claim with this number is in the list.
    pub fn contains_number(&self, number: Number<'_>) -> bool {
        self.find(self.hash_number(number), |entry| entry.is_number(number)).is_ok()
    }

    /// How many values there are; repeated ones count each time.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hash of a text. If the text is a number, it is the hash of its value.
    fn hash(&self, value: &str) -> u64 {
        match Number::parse(value.as_bytes()) {
            Some(number) => self.hash_number(number),
            None => self.hasher.hash_one(value),
        }
    }

    fn hash_number(&self, number: Number<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        number.hash_value(&mut hasher);
        hasher.finish()
    }

    /// Searches for an entry with this hash for which `is_it` is true. If there is none, the error has
    /// the place where it would be added.
    fn find(&self, hash: u64, is_it: impl Fn(&Entry<'_>) -> bool) -> Result<(), Option<usize>> {
        let places = self.places.len();
        // Scales the hash to the number of places, which need not be a power of two.
        let home = ((u128::from(hash) * places as u128) >> u64::BITS) as usize;
        for place in (home..places).chain(0..home) {
            match self.places.get(place) {
                Some(&EMPTY) => return Err(Some(place)),
                Some(&start) if self.entry(start).is_some_and(|entry| is_it(&entry)) => {
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(None)
    }

    /// The value that begins at offset `start` and ends with its line.
    fn entry(&self, start: u32) -> Option<Entry<'_>> {
        let rest = self.text.get(start as usize..)?;
        Entry::read(rest.split('\n').next()?.trim_end())
    }
}

impl fmt::Debug for RevokedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokedList").field("values", &self.len).finish_non_exhaustive()
    }
}

/// A claim and the list of its revoked values. Tokens are revoked by their claims, never by their
/// bytes: many different tokens can have the same claims.
#[derive(Debug)]
pub struct Revocation {
    claim: ClaimPath,
    list: RevokedList,
}

impl Revocation {
    /// Revokes the tokens whose `claim` is in `list`. For `kid`, both the kid in the header and the
    /// kid of the key that verified the token are checked: somebody with a stolen key would leave it
    /// out of the header.
    pub fn new(claim: ClaimPath, list: RevokedList) -> Self {
        Self { claim, list }
    }

    /// How many values the list has.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether the list has no value.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the token is revoked. If the claim is an array, or the path leads to several values, one
    /// that is listed is enough.
    pub(crate) fn revokes(
        &self,
        header: &Document,
        payload: &Document,
        key_kid: Option<&str>,
    ) -> bool {
        let is_kid = self.claim.as_str() == "kid";
        if is_kid && key_kid.is_some_and(|kid| self.list.contains(kid)) {
            return true;
        }
        let of = if is_kid { header } else { payload };
        let listed = |value: Value<'_>| match value.as_str() {
            Some(text) => self.list.contains(text),
            None => value.as_number().is_some_and(|number| self.list.contains_number(number)),
        };
        let mut revoked = false;
        self.claim.any(of.root(), |value| {
            revoked = match value.items() {
                Some(mut items) => items.any(listed),
                None => listed(value),
            };
            revoked
        });
        revoked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_lines_without_comments() {
        let list = RevokedList::parse(b"b\r\n# a\n\n  c d \na-1\n".to_vec()).unwrap();
        assert_eq!(list.len(), 3);
        for good in ["b", "c d", "a-1"] {
            assert!(list.contains(good), "{good}");
        }
        for bad in ["a", "", "# a", "c", "B"] {
            assert!(!list.contains(bad), "{bad}");
        }
        assert!(RevokedList::parse(Vec::new()).unwrap().is_empty());
        let error = |text: &[u8]| RevokedList::parse(text.to_vec()).unwrap_err();
        assert_eq!(error(b"a\nb\n\xff\n"), ListError::Utf8(3));
        assert_eq!(error(b"\xff\xfea\0\n\0"), ListError::Utf16);
        assert_eq!(error(b"\xfe\xff\0a"), ListError::Utf16);
    }

    #[test]
    fn a_byte_order_mark_spoils_no_value() {
        let text = "\u{feff}first\nsecond\n\u{feff}of another file\n\u{feff}\n\u{feff}# no\n";
        let list = RevokedList::parse(text.as_bytes().to_vec()).unwrap();
        assert_eq!(list.len(), 3);
        assert!(["first", "second", "of another file"].iter().all(|value| list.contains(value)));
        let list = RevokedList::parse("\"\u{feff}x\"".as_bytes().to_vec()).unwrap();
        assert!(list.contains("\u{feff}x") && !list.contains("x"));
    }

    #[test]
    fn every_value_can_be_written() {
        for value in
            ["#1", " x", "x ", "\u{a0}", "a\nb", "\r", "", "\"", "\"a\"", "\\", "\0", "é", "a"]
        {
            let line = serde_json::to_string(value).unwrap();
            let list = RevokedList::parse(format!("x1\n  {line}\t\r\nx2").into_bytes()).unwrap();
            for good in ["x1", "x2", value] {
                assert!(list.contains(good), "{good:?} in {line}");
            }
            assert!(!list.contains(&line), "{line}");
            assert_eq!(list.len(), 3);
        }
        let list = RevokedList::parse(br#""\u0061\ud83d\ude00""#.to_vec()).unwrap();
        assert!(list.contains("a\u{1f600}"));
        for (line, text) in [
            (1, "\""),
            (2, "a\n\"a"),
            (3, "# c\n\n \"a\" b"),
            (1, "\"a\"\""),
            (1, "\"\\x\""),
            (1, "\"a\tb\""),
            (1, "\"\\ud800\""),
        ] {
            let error = RevokedList::parse(text.as_bytes().to_vec()).unwrap_err();
            assert_eq!(error, ListError::Quoted(line), "{text}");
        }
        let message = ListError::Quoted(3).to_string();
        assert!(message.ends_with(r#"is written "\"so""#), "{message}");
    }

    #[test]
    fn numbers_are_found_by_their_value_and_strings_as_they_are() {
        let text = "7.0\n-3\n12345678901234567890123\n\"5\"\n1e400\n6\n\"6\"\n\"8\"\n8\n01\n";
        let list = RevokedList::parse(text.as_bytes().to_vec()).unwrap();
        let number = |text: &str| list.contains_number(Number::parse(text.as_bytes()).unwrap());
        for listed in [
            "7",
            "7.0",
            "7e0",
            "70e-1",
            "-3",
            "-3.00",
            "6",
            "8",
            "8.0",
            "12345678901234567890123",
            "12345678901234567890123.0",
            "1234567890123456789012.3e1",
        ] {
            assert!(number(listed), "{listed}");
        }
        // Quoted values are strings.
        for other in [
            "3",
            "5",
            "70",
            "1",
            "12345678901234567890124",
            "12345678901234567890122",
            "12345678901234567000000",
            "1e300",
        ] {
            assert!(!number(other), "{other}");
        }
        for listed in ["7.0", "-3", "5", "6", "8", "1e400", "01", "12345678901234567890123"] {
            assert!(list.contains(listed), "{listed}");
        }
        for other in ["7", "7e0", "-3.0", "5.0", "1", "\"5\""] {
            assert!(!list.contains(other), "{other}");
        }
    }

    #[test]
    fn what_is_there_more_than_once_takes_one_place() {
        let list = RevokedList::parse("a\r\na \n b\nb".repeat(1_000).into_bytes()).unwrap();
        // "b" and "ba", where one copy ends and the next begins.
        assert_eq!(list.len(), 3_001);
        let taken = list.places.iter().filter(|place| **place != EMPTY).count();
        assert_eq!(taken, 3);
        for good in ["a", "b", "ba"] {
            assert!(list.contains(good), "{good}");
        }
    }

    #[test]
    fn what_reaches_beyond_a_line_is_not_there() {
        let list = RevokedList::parse(b"ab \ncd\r\nef".to_vec()).unwrap();
        for bad in ["ab ", "ab \ncd", "cd\r", "cd\r\nef", "a", "b", "abcd", "ef\n", " ab"] {
            assert!(!list.contains(bad), "{bad:?}");
        }
        assert!(!RevokedList::parse(b"# nothing\n".to_vec()).unwrap().contains(""));
    }

    #[test]
    fn nothing_is_shown_of_what_is_in_a_list() {
        let list = RevokedList::parse(b"somebody".to_vec()).unwrap();
        assert_eq!(format!("{list:?}"), "RevokedList { values: 1, .. }");
    }

    #[test]
    fn strings_numbers_and_arrays_are_looked_up_and_kid_in_the_header() {
        let document = |text: &str| Document::parse(text.as_bytes().to_vec()).unwrap();
        let header = document(r#"{"kid":"x"}"#);
        let revokes = |claim: &str, payload: &str| {
            let list = RevokedList::parse(b"x\n7\n".to_vec()).unwrap();
            let revocation = Revocation::new(ClaimPath::new(claim).unwrap(), list);
            revocation.revokes(&header, &document(payload), None)
        };
        assert!(revokes("jti", r#"{"jti":"x"}"#));
        assert!(revokes("sid", r#"{"sid":7}"#));
        assert!(revokes("groups", r#"{"groups":["a","x"]}"#));
        assert!(revokes("a.b", r#"{"a":{"b":"x"}}"#));
        assert!(revokes("kid", r#"{"kid":"y"}"#));
        assert!(!revokes("jti", r#"{"jti":"y"}"#));
        assert!(!revokes("jti", r#"{"sub":"x"}"#));
        assert!(!revokes("jti", r#"{"jti":{"x":"x"}}"#));
        let list = RevokedList::parse(b"stolen".to_vec()).unwrap();
        let revocation = Revocation::new(ClaimPath::new("kid").unwrap(), list);
        assert!(revocation.revokes(&document("{}"), &document("{}"), Some("stolen")));
        assert!(!revocation.revokes(&document("{}"), &document("{}"), Some("other")));
    }
}
