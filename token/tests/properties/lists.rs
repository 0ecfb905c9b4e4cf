//! Lists of revoked values: read in pieces, kept as a table of hashes, compared with a model that keeps
//! the lines and looks at all of them.

use std::fmt::Write as _;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use token::json::Number;
use token::{Finding, ListError, ListReader, ListRecords, RevokedList, Times, Words, fingerprint};

use crate::property::check;

/// Texts of which some are numbers, some of those the same number, and some have spaces or look like
/// an option.
const VALUES: [&str; 22] = [
    "a",
    "b c",
    "é",
    "x=y",
    "3f2c9a7e-5d41-4a86-9c0e-1b7d2f6a8e35",
    "7",
    "7.0",
    "70e-1",
    "0.7e1",
    "-7",
    "0",
    "-0",
    "0e5",
    "07",
    "100",
    "1e2",
    "1e400",
    "12345678901234567890123",
    "12345678901234567890123.0",
    "12345678901234567890124",
    "0.5",
    "5e-1",
];

/// Values that only a quoted line can have.
const QUOTED: [&str; 5] = ["", " a", "#a", "a before=5", "a\"\\\n"];

/// A line as the model keeps it.
#[derive(Debug, Clone)]
struct Line {
    value: String,
    is_quoted: bool,
    before: Option<i64>,
    until: Option<i64>,
    text: String,
}

fn time() -> impl Strategy<Value = (i64, String)> {
    let second = prop_oneof![1..60_i64, 4_294_967_290..4_294_967_296_i64];
    (second, any::<bool>()).prop_map(|(second, is_number)| {
        let time = Timestamp::from_second(second).unwrap();
        (second, if is_number { second.to_string() } else { time.to_string() })
    })
}

fn line() -> impl Strategy<Value = Line> {
    let value = prop_oneof![
        3 => (select(VALUES.to_vec()), Just(false)),
        1 => (select([&VALUES[..], &QUOTED].concat()), Just(true)),
    ];
    let spaces = || select(vec![" ", "  ", "\t", "\u{a0}"]);
    let ends = select(vec!["\n", "\r\n", " \n", "\n\n# a comment\n", "\n\u{feff}"]);
    (value, option::of(time()), option::of(time()), any::<bool>(), (spaces(), spaces()), ends)
        .prop_map(|((value, is_quoted), before, until, turned, spaces, end)| {
            let mut text = match is_quoted {
                true => serde_json::to_string(value).unwrap(),
                false => value.to_owned(),
            };
            let options = [("before=", &before, spaces.0), ("until=", &until, spaces.1)];
            let order = if turned { [1, 0] } else { [0, 1] };
            for (name, time, space) in order.map(|at| options[at]) {
                if let Some((_, time)) = time {
                    write!(text, "{space}{name}{time}").unwrap();
                }
            }
            text.push_str(end);
            let (before, until) = (before.map(|it| it.0), until.map(|it| it.0));
            Line { value: value.to_owned(), is_quoted, before, until, text }
        })
}

/// Whether lines of one value revoke a token.
fn revoke<'l>(lines: impl Iterator<Item = &'l Line>, now: i64, iat: Option<Number<'_>>) -> bool {
    let (dated, plain): (Vec<_>, Vec<_>) = lines.partition(|line| line.before.is_some());
    let ends = |line: &&Line| line.until.unwrap_or(i64::MAX);
    if plain.iter().any(|line| now < ends(line)) {
        return true;
    }
    let before = dated.iter().filter_map(|line| line.before).max();
    let until = dated.iter().map(ends).max();
    let was_issued = |before| iat.is_none_or(|iat| iat.cmp_int(before).is_lt());
    before.is_some_and(was_issued) && until.is_some_and(|until| now < until)
}

/// Words of a list that others write.
#[derive(Debug)]
struct Shared(Arc<[AtomicU64]>);

impl Words for Shared {
    fn with(&self, read: &mut dyn FnMut(&[AtomicU64])) {
        // As if the words had been replaced meanwhile.
        read(&[]);
        read(&self.0);
    }
}

fn words(values: impl IntoIterator<Item = u64>) -> Arc<[AtomicU64]> {
    values.into_iter().map(AtomicU64::new).collect()
}

/// Reads a text in pieces that end at `cuts`.
fn read(text: &[u8], cuts: &[Index]) -> Result<ListRecords, ListError> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    let mut reader = ListReader::new();
    for piece in cuts.windows(2) {
        if let Err(error) = reader.push(&text[piece[0]..piece[1]]) {
            // It does not forget.
            assert_eq!(reader.push(b"good\n"), Err(error.clone()));
            assert_eq!(reader.finish().unwrap_err(), error);
            return Err(error);
        }
    }
    reader.finish()
}

/// The list in a table whose memory had something else before.
fn written(mut records: ListRecords) -> RevokedList {
    let more = 5;
    let table = words(iter::repeat_n(0x5555_5555_5555_5555, records.words() + more));
    while records.write(&table) {}
    assert!(!records.write(&table));
    let after = &table[table.len() - more..];
    assert!(after.iter().all(|word| word.load(Ordering::Relaxed) == 0x5555_5555_5555_5555));
    RevokedList::shared(Box::new(Shared(table)))
}

#[test]
fn a_table_says_what_the_lines_say() {
    let iats = [None, Some("0"), Some("29.5"), Some("30"), Some("3e1"), Some("59"), Some("1e300")];
    let text = (vec(line(), 0..30), vec(any::<Index>(), 0..6));
    check(1_500, text, |(lines, cuts)| {
        let text: String = lines.iter().map(|line| &*line.text).collect();
        let records = read(text.as_bytes(), &cuts).unwrap();
        assert_eq!(records.lines(), lines.len() as u64);
        assert_eq!(records.digest(), fingerprint(text.as_bytes()));
        let lists = [written(records), RevokedList::parse(text.clone().into_bytes()).unwrap()];
        for list in &lists {
            assert_eq!((list.len(), list.is_empty()), (lines.len(), lines.is_empty()));
        }
        for now in [0, 5, 30, 59, 60, 4_294_967_294, 4_294_967_300] {
            for iat in iats {
                let iat = iat.map(|iat| Number::parse(iat.as_bytes()).unwrap());
                let times = Times::new(now, iat);
                let said = |revoked| if revoked { Finding::Revoked } else { Finding::Clean };
                for value in VALUES.iter().chain(&QUOTED) {
                    let same = lines.iter().filter(|line| line.value == *value);
                    let want = said(revoke(same, now, iat));
                    for list in &lists {
                        let at = || format!("{value:?} at {now}, iat {iat:?}, in {text:?}");
                        assert_eq!(list.find(value, times), want, "{}", at());
                    }
                    let Some(number) = Number::parse(value.as_bytes()) else { continue };
                    let same = lines.iter().filter(|line| {
                        let of_line = Number::parse(line.value.as_bytes());
                        !line.is_quoted && of_line.is_some_and(|it| it.compare(number).is_eq())
                    });
                    let want = said(revoke(same, now, iat));
                    for list in &lists {
                        let at = || format!("number {value} at {now}, iat {iat:?}, in {text:?}");
                        assert_eq!(list.find_number(number, times), want, "{}", at());
                    }
                }
            }
        }
    });
}

#[test]
fn a_text_says_the_same_however_it_is_cut() {
    let long: &str = "x".repeat(65_536).leak();
    let parts: Vec<&[u8]> = vec![
        b"a",
        b"\n",
        b"\r\n",
        b"\n\n",
        "é\u{1f600}".as_bytes(),
        "\u{feff}".as_bytes(),
        b"\"a\\u0061\"",
        b"\"",
        b" before=5",
        b" until=2030-01-01T00:00:00Z",
        b" before=x",
        b"\xff",
        b"\xfe",
        b"\xc3",
        b"7.0",
        long.as_bytes(),
    ];
    let text = vec(select(parts), 0..12).prop_map(|parts| parts.concat());
    check(6_000, (text, vec(any::<Index>(), 0..8)), |(text, cuts)| {
        let (cut, whole) = (read(&text, &cuts), read(&text, &[]));
        let parsed = RevokedList::parse(text.clone());
        match (cut, whole) {
            (Ok(cut), Ok(whole)) => {
                assert_eq!((cut.lines(), cut.words()), (whole.lines(), whole.words()));
                assert_eq!((cut.digest(), cut.digest()), (whole.digest(), fingerprint(&text)));
                assert_eq!(parsed.unwrap().len() as u64, cut.lines());
            }
            (cut, whole) => {
                let error = whole.unwrap_err();
                assert_eq!(cut.unwrap_err(), error);
                assert_eq!(parsed.unwrap_err(), error);
            }
        }
    });
}

#[test]
fn a_line_has_a_largest_length() {
    for (length, last, want) in [
        (65_536, "\n", Ok(2)),
        (65_536, "", Ok(2)),
        (65_537, "\n", Err(ListError::TooLong(2))),
        (65_537, "", Err(ListError::TooLong(2))),
    ] {
        let text = format!("a\n{}{last}", "x".repeat(length));
        for size in [1, 7, 65_535, 65_536, 65_537, text.len()] {
            let mut reader = ListReader::new();
            let mut pieces = text.as_bytes().chunks(size);
            let pushed = pieces.try_for_each(|piece| reader.push(piece));
            let read = pushed.and_then(|()| reader.finish()).map(|records| records.lines());
            assert_eq!(read, want, "{length} in pieces of {size}");
        }
    }
    // What is not UTF-8 is told where the line is not too long as well.
    let utf16 = [&b"\xff\xfe"[..], &[0; 70_000]].concat();
    let long = [&b"a\n\xff"[..], &[b'x'; 70_000]].concat();
    for (text, want) in [(utf16, ListError::Utf16), (long, ListError::TooLong(2))] {
        for size in [1, 1_000, text.len()] {
            let mut reader = ListReader::new();
            let error = text.chunks(size).find_map(|piece| reader.push(piece).err());
            assert_eq!(error, Some(want.clone()), "in pieces of {size}");
        }
    }
}

/// A table of a good list, as numbers.
fn good_table(lines: u64) -> Vec<u64> {
    let text: String = (0..lines).map(|n| format!("id-{n}\nuser-{n} before=50\n")).collect();
    let mut records = read(text.as_bytes(), &[]).unwrap();
    let table = words(iter::repeat_n(0, records.words()));
    while records.write(&table) {}
    table.iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

/// Looks something up in whatever words.
fn look(values: Vec<u64>) -> [Finding; 3] {
    let list = RevokedList::shared(Box::new(Shared(words(values))));
    let times = Times::new(9, Number::parse(b"7"));
    let number = Number::parse(b"7.5").unwrap();
    [list.find("id-3", times), list.find("user-3", times), list.find_number(number, times)]
}

#[test]
fn words_that_are_no_table_do_no_harm() {
    let good = good_table(100);
    assert_eq!(look(good.clone()), [Finding::Revoked, Finding::Revoked, Finding::Clean]);
    let missing = [Finding::Missing; 3];
    let changed = |at: usize, value: u64| {
        let mut words = good.clone();
        words[at] = value;
        words
    };
    for (what, words, want) in [
        ("nothing", vec![], Some(missing)),
        ("zeros", vec![0; 5_000], Some(missing)),
        ("ones", vec![u64::MAX; 5_000], Some(missing)),
        ("another layout", changed(0, good[0] ^ 1), Some(missing)),
        ("no end", changed(3, u64::MAX), Some(missing)),
        ("no end of the other part", changed(4, u64::MAX), Some(missing)),
        ("a size that wraps", changed(3, 1 << 61), Some(missing)),
        ("one group too many", changed(4, good[4] + 1), Some(missing)),
        ("a header alone", good[..8].to_vec(), Some(missing)),
        ("half a header", good[..4].to_vec(), Some(missing)),
        ("cut off", good[..good.len() - 1].to_vec(), Some(missing)),
        ("another key", changed(1, 0), Some([Finding::Clean; 3])),
        ("no groups", [&good[..3], &[0, 0, 7, 0, 0]].concat(), Some([Finding::Clean; 3])),
        ("many lines", changed(5, u64::MAX), None),
    ] {
        let found = look(words);
        assert!(want.is_none_or(|want| found == want), "{what}: {found:?}");
    }
    for len in 0..good.len() {
        assert_eq!(look(good[..len].to_vec()), missing, "{len} words");
    }
}

#[test]
fn a_search_among_full_places_ends_soon() {
    let mut words_of_many = good_table(1);
    let groups = 500_000;
    (words_of_many[3], words_of_many[4]) = (groups, 0);
    words_of_many.resize(8 + 8 * groups as usize, u64::MAX);
    let list = RevokedList::shared(Box::new(Shared(words(words_of_many))));
    let begin = Instant::now();
    for n in 0..5_000 {
        let found = list.find(&n.to_string(), Times::new(0, None));
        assert_eq!(found, Finding::Clean);
    }
    // Searching all of it would take a minute.
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
}

#[test]
fn whatever_words_there_are_a_search_ends() {
    let good = good_table(20);
    let word = prop_oneof![
        any::<u64>(),
        Just(0),
        Just(u64::MAX),
        select(good.clone()),
        0..100_u64,
        any::<u32>().prop_map(u64::from),
    ];
    let changes = vec((any::<Index>(), word.clone()), 0..20);
    let header = vec(word.clone(), 7);
    check(500, (header, vec(word, 0..200), changes), |(header, rest, changes)| {
        // Behind the right first word anything may follow.
        look([&good[..1], &header, &rest].concat());
        look(rest);
        let mut words = good.clone();
        for (at, value) in changes {
            let at = at.index(words.len());
            words[at] = value;
        }
        look(words);
    });
}

#[test]
fn an_identifier_takes_24_bytes_and_no_step_takes_long() {
    let id = |n: u64| format!("{:08x}-0000-4000-8000-{n:012x}", n.wrapping_mul(0x9e37_79b9) >> 4);
    let count = 1_000_000;
    let mut reader = ListReader::new();
    for n in 0..count {
        let id = id(n);
        assert!(n != 0 || id.len() == 36, "{id}");
        reader.push(id.as_bytes()).unwrap();
        reader.push(b"\n").unwrap();
    }
    let mut records = reader.finish().unwrap();
    let bytes = records.words() * size_of::<u64>();
    assert!(bytes as u64 <= 24 * count + 100, "{bytes}");
    let table = words(iter::repeat_n(u64::MAX, records.words()));
    let list = RevokedList::shared(Box::new(Shared(Arc::clone(&table))));
    let mut steps = 1;
    while records.write(&table) {
        steps += 1;
        // Half a table is none.
        assert_eq!(list.find(&id(0), Times::new(0, None)), Finding::Missing);
    }
    assert!(steps > 250, "{steps}");
    assert_eq!(list.len() as u64, count);
    for n in (0..count).step_by(101) {
        assert_eq!(list.find(&id(n), Times::new(0, None)), Finding::Revoked);
        assert_eq!(list.find(&id(n + count), Times::new(0, None)), Finding::Clean);
    }
}

#[test]
fn what_is_given_up_is_freed_in_steps() {
    let text: String = (0..200_000).map(|n| format!("{n} before={n}\n{n}\n")).collect();
    let mut reader = ListReader::new();
    reader.push(text.as_bytes()).unwrap();
    let mut steps = 0;
    while reader.release() {
        steps += 1;
    }
    assert!(steps > 3, "{steps}");
    assert_eq!(reader.push(b"a\n"), Err(ListError::GivenUp));
    assert_eq!(reader.finish().unwrap_err(), ListError::GivenUp);
    let mut records = read(text.as_bytes(), &[]).unwrap();
    let table = words(iter::repeat_n(0, records.words()));
    for _ in 0..60 {
        assert!(records.write(&table));
    }
    while records.release() {}
    assert!(!records.write(&table));
    let list = RevokedList::shared(Box::new(Shared(table)));
    assert_eq!(list.find("1", Times::new(0, None)), Finding::Missing);
}

#[test]
fn a_table_that_is_too_short_is_none() {
    let mut records = read(b"a\nb\n", &[]).unwrap();
    let mut table = good_table(10);
    table.truncate(records.words() - 1);
    let table = words(table);
    assert!(!records.write(&table));
    let list = RevokedList::shared(Box::new(Shared(table)));
    assert_eq!(list.find("a", Times::new(0, None)), Finding::Missing);
}
