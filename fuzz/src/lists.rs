//! The targets `revoked` and `table`: lists of revoked values, and the words in which they are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use token::json::Number;
use token::{
    AlgorithmSet, ClaimPath, Finding, Key, KeySet, ListError, ListReader, ListRecords,
    MAX_TOKEN_LEN, Policy, Reject, Revocation, RevokedList, Times, Words, fingerprint,
};

use crate::{NOW, SECRET, parts};

/// A line, read in a naive way.
struct Line {
    value: String,
    is_quoted: bool,
    before: Option<i64>,
    until: Option<i64>,
}

/// Why the naive way comes to no result.
enum Naive {
    Faulty,
    /// A time that is not in seconds.
    Unknown,
}

/// The options in these words, of which each must be one.
fn options<'w>(words: impl Iterator<Item = &'w str>) -> Result<[Option<i64>; 2], Naive> {
    let mut found = [None; 2];
    for word in words {
        let (name, time) = word.split_once('=').ok_or(Naive::Faulty)?;
        let at = ["before", "until"].iter().position(|it| *it == name).ok_or(Naive::Faulty)?;
        let is_number = time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if !is_number {
            return Err(Naive::Unknown);
        }
        let time: i64 = time.parse().map_err(|_| Naive::Faulty)?;
        // After 2106: milliseconds.
        if time > u32::MAX.into() {
            return Err(Naive::Faulty);
        }
        if at == 1 && time <= 0 || found[at].replace(time).is_some() {
            return Err(Naive::Faulty);
        }
    }
    Ok(found)
}

fn naive_line(line: &str) -> Result<Line, Naive> {
    let is_quoted = line.starts_with('"');
    let (value, rest) = if is_quoted {
        let mut strings = serde_json::Deserializer::from_str(line).into_iter::<String>();
        let value = strings.next().and_then(Result::ok).ok_or(Naive::Faulty)?;
        let (_, rest) = line.split_at(strings.byte_offset());
        if rest.starts_with(|char: char| !char.is_whitespace()) {
            return Err(Naive::Faulty);
        }
        (value, rest)
    } else {
        let is_option = |word: &&str| word.starts_with("before=") || word.starts_with("until=");
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut value = line;
        for word in words.iter().rev().take_while(|word| is_option(word)) {
            value = value.trim_end().strip_suffix(word).expect("its last word");
        }
        let value = value.trim_end();
        if value.is_empty() {
            return Err(Naive::Faulty);
        }
        (value.to_owned(), line.split_at(value.len()).1)
    };
    let [before, until] = options(rest.split_whitespace())?;
    Ok(Line { value, is_quoted, before, until })
}

fn naive(text: &[u8]) -> Result<Vec<Line>, Naive> {
    let text = std::str::from_utf8(text).map_err(|_| Naive::Faulty)?;
    if text.split('\n').any(|line| line.len() > 65_536) {
        return Err(Naive::Faulty);
    }
    let lines = text.split('\n').map(|line| line.trim_start_matches('\u{feff}').trim());
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(naive_line).collect()
}

/// Whether these lines, all of one value, revoke a token without `iat` now.
fn revoke<'l>(lines: impl Iterator<Item = &'l Line>) -> bool {
    let mut lines = lines;
    // Without iat it makes no difference before which second tokens are revoked.
    lines.any(|line| line.until.is_none_or(|until| NOW < until))
}

fn read<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Result<ListRecords, ListError> {
    let mut reader = ListReader::new();
    for piece in pieces {
        reader.push(piece)?;
    }
    reader.finish()
}

/// The input is a list of revoked values, a value to look up, and the sizes of the pieces in which the
/// list is read.
pub fn revoked(input: &[u8]) {
    let [text, payload, sizes] = parts(input);
    let list = RevokedList::parse(text.to_vec());
    let mut sizes = sizes.iter().map(|size| usize::from(*size)).chain(std::iter::repeat(4_096));
    let mut rest = text;
    let pieces = std::iter::from_fn(|| {
        let at = sizes.next()?.min(rest.len());
        let (piece, after) = rest.split_at(at);
        let is_end = rest.is_empty();
        rest = after;
        (!is_end).then_some(piece)
    });
    match (&list, read(pieces)) {
        (Ok(list), Ok(records)) => {
            assert_eq!(list.len() as u64, records.lines());
            assert_eq!(records.digest(), fingerprint(text));
            let table = zeros(records.words());
            write(records, &table);
            let other = RevokedList::shared(Box::new(Shared(table)));
            agree(list, &other, payload);
        }
        (Err(error), Err(other)) => assert_eq!(*error, other),
        (list, cut) => panic!("{list:?}, but in pieces {cut:?}"),
    }
    let lines = match naive(text) {
        Ok(lines) => lines,
        Err(Naive::Faulty) => return assert!(list.is_err()),
        Err(Naive::Unknown) => return,
    };
    let list = list.expect("a good list");
    assert!(lines.len() == list.len() && list.is_empty() == lines.is_empty());
    let times = Times::new(NOW, None);
    let said = |revoked| if revoked { Finding::Revoked } else { Finding::Clean };
    for value in lines.iter().map(|line| &line.value).take(20) {
        let revoked = revoke(lines.iter().filter(|line| line.value == *value));
        assert_eq!(list.find(value, times), said(revoked));
    }
    if let Some(number) = Number::parse(payload) {
        let same = lines.iter().filter(|line| {
            let value = Number::parse(line.value.as_bytes());
            !line.is_quoted && value.is_some_and(|value| value.compare(number).is_eq())
        });
        assert_eq!(list.find_number(number, times), said(revoke(same)));
    }
    let Ok(payload) = std::str::from_utf8(payload) else { return };
    let revoked = revoke(lines.iter().filter(|line| line.value == payload));
    assert_eq!(list.find(payload, times), said(revoked));
    // One without iat is revoked if any other is.
    let before = lines.iter().filter_map(|line| line.before).max().unwrap_or_default().to_string();
    let dated = Times::new(NOW, Number::parse(before.as_bytes()));
    assert!(list.find(payload, dated) == Finding::Clean || revoked);
    judged(list, payload, revoked);
}

/// The same check through a policy, with a token whose jti is that text.
fn judged(list: RevokedList, jti: &str, revoked: bool) {
    let key = || Key::hmac(SECRET, AlgorithmSet::ALL).expect("a key");
    let claims = serde_json::json!({"jti": jti}).to_string();
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("a key").chain_update(&message);
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    let path = ClaimPath::new("jti").expect("a path");
    let policy = Policy {
        keys: vec![Arc::new(KeySet::new(vec![key()]))],
        revoked: vec![Arc::new(Revocation::new(path, list))],
        ..Policy::default()
    };
    match policy.check(token.as_bytes(), NOW) {
        Ok(_) => assert!(!revoked),
        Err(refusal) => assert!(
            refusal.reason == Reject::Revoked && revoked
                || token.len() > MAX_TOKEN_LEN && refusal.reason == Reject::Malformed
        ),
    }
}

// --- the words of a table ---------------------------------------------------------------------

#[derive(Debug)]
struct Shared(Arc<[AtomicU64]>);

impl Words for Shared {
    fn with(&self, read: &mut dyn FnMut(&[AtomicU64])) {
        read(&self.0);
    }
}

fn zeros(count: usize) -> Arc<[AtomicU64]> {
    std::iter::repeat_with(|| AtomicU64::new(0)).take(count).collect()
}

fn write(mut records: ListRecords, table: &[AtomicU64]) {
    while records.write(table) {}
}

/// Two lists of the same text say the same.
fn agree(list: &RevokedList, other: &RevokedList, value: &[u8]) {
    for iat in [None, Number::parse(b"1700000000.5"), Number::parse(b"5")] {
        let times = Times::new(NOW, iat);
        if let Ok(text) = std::str::from_utf8(value) {
            assert_eq!(list.find(text, times), other.find(text, times));
        }
        if let Some(number) = Number::parse(value) {
            assert_eq!(list.find_number(number, times), other.find_number(number, times));
        }
    }
}

/// The input are places in a good table and what is written there, then words for a table of their own.
/// Whatever the words are, a search among them must end; that fuzzing ends is the check.
pub fn table(input: &[u8]) {
    let [changes, words] = parts(input);
    let text = b"a\n7\n1.0\nb before=5\nc until=9\n8 before=7 until=2000000000\n";
    let records = read([&text[..]].into_iter()).expect("a good list");
    let good = zeros(records.words());
    write(records, &good);
    let layout = good[0].load(Ordering::Relaxed);
    let list = RevokedList::shared(Box::new(Shared(Arc::clone(&good))));
    for change in changes.chunks(10) {
        let mut value = [0; 8];
        for (to, from) in value.iter_mut().zip(change.iter().skip(2)) {
            *to = *from;
        }
        let place = change.iter().take(2).fold(0, |place, byte| place << 8 | usize::from(*byte));
        if let Some(word) = good.get(place % (good.len() + 1)) {
            word.store(u64::from_le_bytes(value), Ordering::Relaxed);
        }
        searched(&list);
    }
    let (words, _) = words.as_chunks();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let words: Arc<[_]> = std::iter::once(layout).chain(words).map(AtomicU64::new).collect();
    searched(&RevokedList::shared(Box::new(Shared(words))));
}

fn searched(list: &RevokedList) {
    let times = Times::new(NOW, Number::parse(b"6"));
    let mut found = Vec::new();
    for value in ["a", "7", "b", "8", "x"] {
        found.push(list.find(value, times));
        found.extend(Number::parse(value.as_bytes()).map(|it| list.find_number(it, times)));
    }
    // Whether there is a table does not depend on the value.
    let missing = found.iter().filter(|found| **found == Finding::Missing).count();
    assert!(missing == 0 || missing == found.len());
    assert_eq!(list.is_empty(), matches!(list.len(), 0));
}
