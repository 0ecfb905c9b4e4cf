//! The lines of a list: a value, and for which tokens and until when it is revoked.

use std::borrow::Cow;

use jiff::Timestamp;

/// Why a list is refused. The numbers are those of lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum ListError {
    #[error("line {0} is not UTF-8")]
    Utf8(usize),
    #[error("is UTF-16: save it as UTF-8")]
    Utf16,
    #[error("line {0} is longer than 64 KiB")]
    TooLong(usize),
    #[error(
        "line {0} begins with a double quote, but is no JSON string: a value that begins with one \
         is written \"\\\"so\""
    )]
    Quoted(usize),
    #[error(
        "line {line} has {option} without a good time: write seconds since 1970, or as in \
         {option}2027-01-31T12:00:00Z; a value that ends so itself is written as a JSON string, \
         in double quotes"
    )]
    Time { line: usize, option: &'static str },
    #[error(
        "line {line} has {option} with a time after 2106: write seconds, not milliseconds, or leave \
         it out"
    )]
    TooLate { line: usize, option: &'static str },
    #[error(
        "line {line} has {option} twice: remove one; a value that ends so itself is written as a \
         JSON string, in double quotes"
    )]
    Twice { line: usize, option: &'static str },
    #[error(
        "line {0} has no value before its options: write VALUE before=TIME; a value that begins so \
         itself is written as a JSON string, in double quotes"
    )]
    NoValue(usize),
    #[error("cannot be kept: the system gives no random numbers")]
    Random,
    #[error("was not read to its end")]
    GivenUp,
}

const BEFORE: &str = "before=";
const UNTIL: &str = "until=";

/// Until when a line counts: for ever.
pub(super) const FOR_EVER: u32 = 0;

/// A line that has a value.
pub(super) struct Line<'l> {
    /// The value that is compared, without quotes and escapes.
    pub(super) value: Cow<'l, str>,
    pub(super) is_quoted: bool,
    pub(super) options: Options,
}

/// What follows a value.
#[derive(Clone, Copy, Default)]
pub(super) struct Options {
    /// Only tokens that were issued before this second are revoked, and those that do not say when
    /// they were.
    pub(super) before: Option<i64>,
    /// From this second on the line counts no more.
    until: Option<i64>,
}

/// What is wrong with a line, whose number is known elsewhere.
pub(super) enum Fault {
    Quoted,
    Time(&'static str),
    TooLate(&'static str),
    Twice(&'static str),
    NoValue,
}

impl Fault {
    pub(super) fn at(self, line: usize) -> ListError {
        match self {
            Self::Quoted => ListError::Quoted(line),
            Self::Time(option) => ListError::Time { line, option },
            Self::TooLate(option) => ListError::TooLate { line, option },
            Self::Twice(option) => ListError::Twice { line, option },
            Self::NoValue => ListError::NoValue(line),
        }
    }
}

impl<'l> Line<'l> {
    /// Reads a line; `None` if it has no value, but is empty or a comment.
    pub(super) fn read(line: &'l str) -> Result<Option<Self>, Fault> {
        let line = trim(line);
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let bare = |value, options| Self { value: Cow::Borrowed(value), is_quoted: false, options };
        let line = match () {
            () if line.starts_with('"') => Self::quoted(line)?,
            // Most lines are seen to have no options at once.
            () if line.as_bytes().contains(&b'=') => {
                let (value, options) = Options::behind(line)?;
                bare(value, options)
            }
            () => bare(line, Options::default()),
        };
        Ok(Some(line))
    }

    /// Reads a JSON string, and nothing but options behind it.
    fn quoted(line: &'l str) -> Result<Self, Fault> {
        let end = end_of_string(line.as_bytes()).ok_or(Fault::Quoted)?;
        let (string, rest) = line.split_at_checked(end).ok_or(Fault::Quoted)?;
        if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
            return Err(Fault::Quoted);
        }
        let mut options = Options::default();
        for word in rest.split_whitespace() {
            let (name, time) = option(word).ok_or(Fault::Quoted)?;
            options.add(name, time)?;
        }
        let inner = string.strip_prefix('"').and_then(|string| string.strip_suffix('"'));
        let plain = inner
            .filter(|inner| !inner.contains(|char: char| matches!(char, '\\' | '\0'..='\x1f')));
        let value = match plain {
            Some(plain) => Cow::Borrowed(plain),
            None => Cow::Owned(serde_json::from_str(string).map_err(|_| Fault::Quoted)?),
        };
        Ok(Self { value, is_quoted: true, options })
    }
}

/// What looks like an option or a comment in a value, but is a part of it; `None` in most lines.
pub(super) fn doubtful(line: &Line<'_>) -> Option<&'static str> {
    let value = &*line.value;
    if line.is_quoted || !value.contains(char::is_whitespace) {
        return None;
    }
    let has_word = |name: &str| {
        value.split_whitespace().skip(1).any(|word| {
            word.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        })
    };
    [("before", "before"), ("until", "until"), ("#", "#")]
        .into_iter()
        .find_map(|(name, shown)| has_word(name).then_some(shown))
}

/// Removes white space around a line, and a byte order mark before it: some editors write one at the
/// beginning of a file, and concatenated files have it in the middle.
fn trim(line: &str) -> &str {
    line.trim_start_matches('\u{feff}').trim()
}

/// Where the string ends with which a line begins: behind the next double quote that has no backslash
/// before it.
fn end_of_string(line: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let closes = |byte: &u8| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    };
    Some(line.iter().skip(1).position(closes)? + 2)
}

/// The name of an option, with its sign of equality, and its time.
fn option(word: &str) -> Option<(&'static str, &str)> {
    [BEFORE, UNTIL].into_iter().find_map(|name| Some((name, word.strip_prefix(name)?)))
}

impl Options {
    /// The options at the end of a line that is not quoted, and the value before them, which may have
    /// spaces.
    fn behind(line: &str) -> Result<(&str, Self), Fault> {
        let mut options = Self::default();
        let mut value = line;
        loop {
            let word = value.rsplit(char::is_whitespace).next().unwrap_or_default();
            let Some((name, time)) = option(word) else { return Ok((value, options)) };
            options.add(name, time)?;
            value = value.strip_suffix(word).unwrap_or_default().trim_end();
            if value.is_empty() {
                return Err(Fault::NoValue);
            }
        }
    }

    fn add(&mut self, name: &'static str, time: &str) -> Result<(), Fault> {
        let time = seconds(time).ok_or(Fault::Time(name))?;
        // Milliseconds, most likely: a user would be locked out for ever.
        if time > i64::from(u32::MAX) {
            return Err(Fault::TooLate(name));
        }
        // A program may write `until=0` for "no end". Such a line must not be one that never counts.
        if name == UNTIL && time <= 0 {
            return Err(Fault::Time(name));
        }
        let option = if name == BEFORE { &mut self.before } else { &mut self.until };
        match option.replace(time) {
            None => Ok(()),
            Some(_) => Err(Fault::Twice(name)),
        }
    }

    /// The second from which on the line counts no more, or [`FOR_EVER`].
    pub(super) fn until(self) -> u32 {
        self.until.and_then(|until| u32::try_from(until).ok()).unwrap_or(FOR_EVER)
    }
}

/// A time in seconds since the epoch, or as RFC 3339 has it. A fraction counts as a whole second: this
/// revokes rather more than less.
fn seconds(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let time: Timestamp = text.parse().ok()?;
    let up = i64::from(time.subsec_nanosecond() > 0);
    Some(time.as_second().saturating_add(up))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line says: value, before=, until=.
    fn read(line: &str) -> Result<(String, Option<i64>, Option<i64>), ListError> {
        let line = Line::read(line).map_err(|fault| fault.at(3))?.expect("a value");
        Ok((line.value.into_owned(), line.options.before, line.options.until))
    }

    #[test]
    fn options_follow_the_value_in_any_order() {
        let noon = 1_801_310_400;
        for (line, value, before, until) in [
            ("a", "a", None, None),
            ("a before=5", "a", Some(5), None),
            ("a\tuntil=5  ", "a", None, Some(5)),
            ("a \u{a0} before=5 until=6", "a", Some(5), Some(6)),
            (" a until=6 before=-5", "a", Some(-5), Some(6)),
            ("c d before=0", "c d", Some(0), None),
            ("a before=2027-01-30T12:00:00Z", "a", Some(noon), None),
            ("a before=2027-01-30T14:00:00+02:00", "a", Some(noon), None),
            ("a until=2027-01-30T12:00:00.001Z", "a", None, Some(noon + 1)),
            ("a before=1969-12-31T23:59:58.5Z", "a", Some(-1), None),
            ("\"a\" before=5 until=6", "a", Some(5), Some(6)),
            ("\"a b\"\u{3000}until=6", "a b", None, Some(6)),
            (r#""\"" before=5"#, "\"", Some(5), None),
            (r#""\\" before=5"#, "\\", Some(5), None),
            (r#""a before=5""#, "a before=5", None, None),
            (r#""a before=x" before=7"#, "a before=x", Some(7), None),
            (r#""before=5""#, "before=5", None, None),
            // Only the last words are options, and only with these names.
            ("a before=x b", "a before=x b", None, None),
            ("a after=5", "a after=5", None, None),
            ("a Before=5", "a Before=5", None, None),
            ("a xbefore=5", "a xbefore=5", None, None),
            ("a=b", "a=b", None, None),
            ("a before =5", "a before =5", None, None),
            ("a before=x c until=9", "a before=x c", None, Some(9)),
        ] {
            assert_eq!(read(line), Ok((value.to_owned(), before, until)), "{line}");
        }
    }

    #[test]
    fn faulty_options_are_named_with_their_line() {
        let time = |option| ListError::Time { line: 3, option };
        let twice = |option| ListError::Twice { line: 3, option };
        for (line, want) in [
            ("a before=", time("before=")),
            ("a before=-", time("before=")),
            ("a before=x", time("before=")),
            ("a before=+5", time("before=")),
            ("a before=5s", time("before=")),
            ("a before=1.5", time("before=")),
            ("a before=2027-01-30", time("before=")),
            ("a before=2027-01-30T12:00:00", time("before=")),
            ("a before=9223372036854775808", time("before=")),
            ("a until=tomorrow", time("until=")),
            ("a until=0", time("until=")),
            ("a until=-1", time("until=")),
            ("a until=1970-01-01T00:00:00Z", time("until=")),
            ("a before=x until=5", time("before=")),
            ("a before=5 before=5", twice("before=")),
            ("a until=5 before=1 until=6", twice("until=")),
            ("\"a\" until=5 until=6", twice("until=")),
            ("\"a\" until=", time("until=")),
            ("before=5", ListError::NoValue(3)),
            ("until=5 before=5", ListError::NoValue(3)),
            ("\u{feff} before=5", ListError::NoValue(3)),
            ("\"a\" b", ListError::Quoted(3)),
            ("\"a\"before=5", ListError::Quoted(3)),
            ("\"a\" before=5 b", ListError::Quoted(3)),
            ("\"a\" # c", ListError::Quoted(3)),
            ("\"a before=5", ListError::Quoted(3)),
        ] {
            let error = read(line).unwrap_err();
            assert_eq!(error, want, "{line}");
            assert!(error.to_string().starts_with("line 3 "), "{error}");
            let says = ["is written", "written as a JSON string, in double quotes"];
            assert!(says.iter().any(|cure| error.to_string().contains(cure)), "{error}");
        }
    }

    #[test]
    fn a_value_with_something_like_an_option_or_a_comment_is_doubtful() {
        let doubt = |line: &str| Line::read(line).ok().flatten().and_then(|line| doubtful(&line));
        for (line, what) in [
            ("a before=2026-11-26 09:30:00Z", "before"),
            ("a Before=5", "before"),
            ("a before = 5", "before"),
            ("a UNTIL=5", "until"),
            ("a before=5 x", "before"),
            ("a # stolen", "#"),
            ("a #1", "#"),
        ] {
            assert_eq!(doubt(line), Some(what), "{line}");
        }
        for line in
            ["a", "a b", "before", "a#b", "a before=5", "\"a before = 5\"", "c d until=9", "# x"]
        {
            assert_eq!(doubt(line), None, "{line}");
        }
        let text = "a before=2026-11-26 09:30:00Z\nb\n".repeat(9);
        let (list, warnings) = crate::RevokedList::parse_with_warnings(text.into_bytes()).unwrap();
        assert_eq!((list.len(), warnings.len()), (18, 5));
        assert!(warnings[1].starts_with("line 3: \"before\""), "{warnings:?}");
    }

    #[test]
    fn a_line_ends_in_the_bits_that_are_kept_or_never() {
        let until = |line: &str| Line::read(line).ok().flatten().unwrap().options.until();
        assert_eq!(until("a"), FOR_EVER);
        assert_eq!(until("a until=1"), 1);
        assert_eq!(until("a until=4294967295"), u32::MAX);
        for late in ["a until=4294967296", "a before=1795651200000", "a until=9223372036854775807"]
        {
            let error = read(late).unwrap_err();
            assert!(matches!(error, ListError::TooLate { line: 3, .. }), "{error}");
            assert!(error.to_string().contains("not milliseconds"), "{error}");
        }
    }
}
