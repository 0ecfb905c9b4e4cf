//! A list that values are looked up in.

use std::cmp::Ordering;
use std::fmt;
use std::iter;
use std::sync::atomic::AtomicU64;

use super::hash::Hash;
use super::line::{FOR_EVER, ListError};
use super::reader::ListReader;
use super::table::{Found, Table};
use crate::json::Number;
use crate::number::Rounded;

/// Words that hold the table of a list, and may be replaced by those of another one.
///
/// They must be those that a [`ListRecords`] has written, all of them at one time. Whatever else they are,
/// a look-up in them ends, without a panic; but what it finds is then not known.
pub trait Words: fmt::Debug + Send + Sync {
    /// Calls `read` with the words. It may be called again, if the words were replaced meanwhile: only the
    /// last call counts. If it is not called, there is no list.
    fn with(&self, read: &mut dyn FnMut(&[AtomicU64]));
}

/// The values of one list, as [`ListReader`] reads them. Of each value there is only a keyed hash of 96
/// bits: no value can be read from it, and that another value has the same one does not happen.
///
/// A claim that is a string is compared with the values as text. A claim that is a number is compared
/// by value with those that are numbers and not quoted.
///
/// A value may stand on several lines. If one of them has no `before=`, all tokens with the value are
/// revoked, until the latest `until=` of such lines. The lines with `before=` count together, as one with
/// the latest `before=` and the latest `until=`. So a line that is added never revokes less.
#[derive(Debug)]
pub struct RevokedList(Box<dyn Words>);

/// When a token is judged, and when it was issued.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    now: i64,
    issued_at: Option<Rounded>,
}

impl Times {
    /// `now` is in seconds since the epoch, `issued_at` is the token's claim `iat`.
    pub fn new(now: i64, issued_at: Option<Number<'_>>) -> Self {
        Self::at(now, issued_at.map(Number::rounded))
    }

    pub(crate) fn at(now: i64, issued_at: Option<Rounded>) -> Self {
        Self { now, issued_at }
    }
}

/// What a list says of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is not in the list, or not for this token.
    Clean,
    /// It is in the list.
    Revoked,
    /// The list is not there, so that nothing is known.
    Missing,
}

impl RevokedList {
    /// Parses a list that is there as a whole.
    ///
    /// # Errors
    /// [`ListError`].
    pub fn parse(text: Vec<u8>) -> Result<Self, ListError> {
        Self::parse_with_warnings(text).map(|(list, _)| list)
    }

    /// As [`RevokedList::parse`], with what the person who writes the list should know although it is no
    /// error.
    ///
    /// # Errors
    /// [`ListError`].
    pub fn parse_with_warnings(text: Vec<u8>) -> Result<(Self, Vec<String>), ListError> {
        let mut reader = ListReader::new();
        reader.push(&text)?;
        drop(text);
        let mut records = reader.finish()?;
        let warnings = records.warnings().to_vec();
        let own = OwnWords::new(records.words());
        while records.write(own.words()) {}
        Ok((Self(Box::new(own)), warnings))
    }

    /// The list that is in `words` when something is looked up.
    pub fn shared(words: Box<dyn Words>) -> Self {
        Self(words)
    }

    /// A list that is not there.
    pub fn missing() -> Self {
        Self(Box::new(NoWords))
    }

    /// Whether a claim with this string is in the list.
    pub fn find(&self, value: &str, times: Times) -> Finding {
        self.look(times, |asked| asked.lists(value))
    }

    /// Whether a claim with this number is in the list.
    pub fn find_number(&self, number: Number<'_>, times: Times) -> Finding {
        self.look(times, |asked| asked.lists_number(number))
    }

    /// How many values there are; repeated ones count each time.
    pub fn len(&self) -> usize {
        self.read(|table| table.lines).map_or(0, |lines| lines.try_into().unwrap_or(usize::MAX))
    }

    /// Whether there is no value, or no list.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For several look-ups in one and the same table.
    pub(super) fn look(
        &self,
        times: Times,
        mut is_revoked: impl FnMut(Asked<'_>) -> bool,
    ) -> Finding {
        match self.read(|table| is_revoked(Asked { table, times })) {
            None => Finding::Missing,
            Some(true) => Finding::Revoked,
            Some(false) => Finding::Clean,
        }
    }

    /// What `of` says of the table in the words; `None` if there is none.
    fn read<R>(&self, mut of: impl FnMut(Table<'_>) -> R) -> Option<R> {
        let mut said = None;
        self.0.with(&mut |words| said = Table::of(words).map(&mut of));
        said
    }
}

/// The table of a list, asked about one token.
#[derive(Clone, Copy)]
pub(super) struct Asked<'w> {
    table: Table<'w>,
    times: Times,
}

impl Asked<'_> {
    /// Whether a claim with this string is in the list.
    pub(super) fn lists(self, value: &str) -> bool {
        self.revokes(self.table.key.for_text(value))
    }

    /// Whether a claim with this number is in the list.
    pub(super) fn lists_number(self, number: Number<'_>) -> bool {
        self.revokes(self.table.key.for_number(number))
    }

    /// Whether a value with these hashes is revoked.
    fn revokes(self, hashes: (Hash, Option<Hash>)) -> bool {
        let Self { table, times } = self;
        let Found { plain, dated } = table.find(hashes);
        let counts = |until| until == FOR_EVER || times.now < i64::from(until);
        let was_issued = |before| {
            times.issued_at.is_none_or(|issued_at| issued_at.cmp_int(before) == Ordering::Less)
        };
        plain.is_some_and(counts)
            || dated.is_some_and(|(until, before)| counts(until) && was_issued(before))
    }
}

/// Words of this process alone.
struct OwnWords {
    words: Box<[AtomicU64]>,
    /// The words before the first one that begins a line of the processor's cache.
    skip: usize,
}

/// Words in a line of the processor's cache.
const CACHE_LINE: usize = 8;

impl OwnWords {
    fn new(count: usize) -> Self {
        let zero = || AtomicU64::new(0);
        let words: Box<[_]> = iter::repeat_with(zero).take(count + CACHE_LINE - 1).collect();
        let begin = words.as_ptr() as usize / size_of::<AtomicU64>();
        Self { words, skip: begin.wrapping_neg() % CACHE_LINE }
    }

    fn words(&self) -> &[AtomicU64] {
        self.words.get(self.skip..).unwrap_or_default()
    }
}

impl Words for OwnWords {
    fn with(&self, read: &mut dyn FnMut(&[AtomicU64])) {
        read(self.words());
    }
}

impl fmt::Debug for OwnWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnWords").field("count", &self.words.len()).finish_non_exhaustive()
    }
}

/// No words at all.
#[derive(Debug)]
struct NoWords;

impl Words for NoWords {
    fn with(&self, _: &mut dyn FnMut(&[AtomicU64])) {}
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    /// A moment, and a token that does not say when it was issued.
    const TIMES: Times = Times { now: 1_800_000_000, issued_at: None };

    impl RevokedList {
        fn contains(&self, value: &str) -> bool {
            self.find(value, TIMES) == Finding::Revoked
        }

        fn contains_number(&self, number: Number<'_>) -> bool {
            self.find_number(number, TIMES) == Finding::Revoked
        }
    }

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
        let mut records = 0;
        list.0.with(&mut |words| {
            let words: Vec<_> = words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
            records = words[8..].chunks(2).filter(|record| record[0] != 0).count();
        });
        assert_eq!(records, 3);
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
        assert_eq!(format!("{list:?}"), "RevokedList(OwnWords { count: 23, .. })");
    }

    #[test]
    fn before_and_until_say_which_tokens_and_how_long() {
        let list = b"a before=100\nb until=50\nc before=100 until=50\nd before=1\nd\n\
            e before=100 until=10\ne before=90 until=50\nf until=10\nf until=50\nf until=5\n\
            g until=10\ng\n8 before=100 until=10\n\"8\" before=90 until=50\n";
        let list = RevokedList::parse(list.to_vec()).unwrap();
        let (clean, revoked) = (Finding::Clean, Finding::Revoked);
        for (value, iat, now, want) in [
            ("a", Some("99"), 1_000, revoked),
            ("a", Some("99.999"), 1_000, revoked),
            ("a", Some("999e-1"), 1_000, revoked),
            ("a", Some("100"), 1_000, clean),
            ("a", Some("100.0000000000000000001"), 1_000, clean),
            ("a", Some("1e300"), 1_000, clean),
            ("a", Some("-1e300"), 1_000, revoked),
            ("a", None, 1_000, revoked),
            ("b", Some("0"), 49, revoked),
            ("b", None, 49, revoked),
            ("b", Some("0"), 50, clean),
            ("c", Some("99"), 49, revoked),
            ("c", Some("99"), 50, clean),
            ("c", Some("100"), 49, clean),
            ("c", None, 50, clean),
            // The line without before= is for all tokens.
            ("d", Some("5000"), 1_000, revoked),
            // Of several lines the latest times.
            ("e", Some("99"), 49, revoked),
            ("e", Some("99"), 50, clean),
            ("f", None, 49, revoked),
            ("f", None, 50, clean),
            ("g", None, 1_000, revoked),
            // A text that two kinds of lines list.
            ("8", Some("99"), 49, revoked),
            ("8", Some("99"), 50, clean),
            ("8", Some("100"), 9, clean),
        ] {
            let iat = iat.map(|iat| Number::parse(iat.as_bytes()).unwrap());
            let found = list.find(value, Times::new(now, iat));
            assert_eq!(found, want, "{value} at {now}, issued at {iat:?}");
        }
        let number = |now, iat: &str| {
            let times = Times::new(now, Number::parse(iat.as_bytes()));
            list.find_number(Number::parse(b"8.0").unwrap(), times)
        };
        assert_eq!([number(9, "99"), number(10, "99")], [revoked, clean]);
    }
}
