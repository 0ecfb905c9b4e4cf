//! The table of a list: words that may lie in memory which several processes share.
//!
//! | words | what |
//! | --- | --- |
//! | 0 | [`LAYOUT`], the last word to be written |
//! | 1, 2 | the key of the hashes |
//! | 3, 4 | how many groups the two parts have |
//! | 5 | how many lines the list has |
//! | 6, 7 | nothing yet |
//! | 8 … | the part of lines without `before=`, then that of lines with it |
//!
//! A part is a hash table of groups of four records, with linear probing from group to group. A record
//! of the first part has two words: a hash of 96 bits, and 32 bits for the second from which on it
//! counts no more. So a group is a line of the processor's cache, and most searches read one. A record
//! of the second part has one word more, for `before=`. A record that is empty is all zeros.
//!
//! Whatever the words hold, reading them ends soon and in order. That they belong together is the
//! business of whoever shares them.

use std::sync::atomic::{AtomicU64, Ordering};

use super::hash::{Hash, HashKey};
use super::line::FOR_EVER;

/// What the first word of a table is. Another layout has another number.
const LAYOUT: u64 = u64::from_be_bytes(*b"revoked1");

/// The words before the first record.
const HEADER: usize = 8;

/// Records of one group.
const GROUP: usize = 4;

/// The words of a record without and with `before=`.
pub(super) const PLAIN: usize = 2;
pub(super) const DATED: usize = 3;

/// How many groups are searched. In a table that is filled so far a search never comes so far;
/// among words that are no table it ends here.
const MOST_GROUPS: usize = 1_024;

/// How large the parts of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    plain_groups: usize,
    dated_groups: usize,
}

impl Size {
    /// For so many records. At most 11 of 16 places are taken, so that searches are short. With what the
    /// allocator of shared memory notes of each page, a record then needs less than 24 bytes.
    pub(super) fn of(plain: usize, dated: usize) -> Self {
        let groups = |records: usize| records.saturating_mul(16).div_ceil(11 * GROUP);
        Self { plain_groups: groups(plain), dated_groups: groups(dated) }
    }

    /// All words of the table; `None` if there is no memory of that size.
    fn checked_words(self) -> Option<usize> {
        let plain = self.plain_groups.checked_mul(GROUP * PLAIN)?;
        let dated = self.dated_groups.checked_mul(GROUP * DATED)?;
        plain.checked_add(dated)?.checked_add(HEADER)
    }

    /// All words of the table.
    pub(super) fn words(self) -> usize {
        self.checked_words().unwrap_or(usize::MAX)
    }
}

/// The words of one table.
#[derive(Clone, Copy)]
pub(super) struct Table<'w> {
    pub(super) key: HashKey,
    pub(super) lines: u64,
    plain: Part<'w, PLAIN>,
    dated: Part<'w, DATED>,
}

/// What a table says of one value.
#[derive(Clone, Copy, Default)]
pub(super) struct Found {
    /// The second until which all tokens with the value are revoked.
    pub(super) plain: Option<u32>,
    /// The same for tokens that were issued before a second, which is the other number.
    pub(super) dated: Option<(u32, i64)>,
}

impl<'w> Table<'w> {
    /// The table in these words; `None` if there is none.
    pub(super) fn of(words: &'w [AtomicU64]) -> Option<Self> {
        let [layout, first, second, plain, dated, lines, ..] = words else { return None };
        if layout.load(Ordering::Relaxed) != LAYOUT {
            return None;
        }
        let number = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let groups = |word| usize::try_from(number(word)).ok();
        let size = Size { plain_groups: groups(plain)?, dated_groups: groups(dated)? };
        let key = HashKey([number(first), number(second)]);
        Self::within(words, size, key, number(lines))
    }

    fn within(words: &'w [AtomicU64], size: Size, key: HashKey, lines: u64) -> Option<Self> {
        let records = words.get(HEADER..size.checked_words()?)?;
        let (plain, dated) =
            records.split_at_checked(size.plain_groups.checked_mul(GROUP * PLAIN)?)?;
        Some(Self { key, lines, plain: Part::of(plain), dated: Part::of(dated) })
    }

    /// The table of this size in words that are all zeros behind their header. It can be found only once
    /// it is [published](Table::publish).
    pub(super) fn new(
        words: &'w [AtomicU64],
        size: Size,
        key: HashKey,
        lines: u64,
    ) -> Option<Self> {
        if let Some(layout) = words.first() {
            layout.store(0, Ordering::Relaxed);
        }
        Self::within(words, size, key, lines)
    }

    /// Writes the header into `words`, from which the table was made.
    pub(super) fn publish(self, words: &[AtomicU64]) {
        let [layout, first, second, plain, dated, lines, ..] = words else { return };
        let HashKey([key, key_too]) = self.key;
        let groups = [self.plain.groups() as u64, self.dated.groups() as u64];
        for (word, value) in [first, second, plain, dated, lines]
            .into_iter()
            .zip([key, key_too].into_iter().chain(groups).chain([self.lines]))
        {
            word.store(value, Ordering::Relaxed);
        }
        layout.store(LAYOUT, Ordering::Relaxed);
    }

    /// What is said of the value that has one of these hashes, or both: the times that are latest.
    pub(super) fn find(self, (first, second): (Hash, Option<Hash>)) -> Found {
        let mut found = Found::default();
        for hash in [first].into_iter().chain(second) {
            if let Some(record) = self.plain.find(hash) {
                let until = until_of(record);
                found.plain = Some(found.plain.map_or(until, |other| later(until, other)));
            }
            if let Some(record) = self.dated.find(hash) {
                let (until, before) = (until_of(record), before_of(record));
                found.dated = Some(match found.dated {
                    None => (until, before),
                    Some((until_too, before_too)) => {
                        (later(until, until_too), before.max(before_too))
                    }
                });
            }
        }
        found
    }

    /// Adds a record without `before=`. Returns false if there is no place for it, which does not happen
    /// to as many records as the table was made for.
    pub(super) fn add_plain(self, record: [u64; PLAIN]) -> bool {
        let Some(place) = self.plain.place(hash_of(&record)) else { return false };
        let [hash, until] = record;
        add(place, hash, until);
        true
    }

    /// Adds a record with `before=`; as [`Table::add_plain`].
    pub(super) fn add_dated(self, record: [u64; DATED]) -> bool {
        let Some(place) = self.dated.place(hash_of(&record)) else { return false };
        let [hash, until, before] = record;
        let before =
            if is_empty(place) { before } else { before_of(place).max(before as i64) as u64 };
        add(place, hash, until);
        let [_, _, word] = place;
        word.store(before, Ordering::Relaxed);
        true
    }
}

/// The record of a value whose lines have no `before=`.
pub(super) fn plain_record(hash: Hash, until: u32) -> [u64; PLAIN] {
    [hash.low, u64::from(hash.high) << 32 | u64::from(until)]
}

/// The record of a value whose lines have a `before=`.
pub(super) fn dated_record(hash: Hash, until: u32, before: i64) -> [u64; DATED] {
    let [low, high] = plain_record(hash, until);
    // The bits stay the same.
    [low, high, before as u64]
}

fn hash_of(record: &[u64]) -> Hash {
    let [low, high, ..] = record else { return Hash { low: 0, high: 0 } };
    Hash { low: *low, high: (high >> 32) as u32 }
}

/// Writes hash and time into an empty place, or the later time into that of the same hash.
fn add(place: &[AtomicU64], hash: u64, until: u64) {
    let [low, high, ..] = place else { return };
    let latest = match is_empty(place) {
        true => until as u32,
        false => later(until as u32, until_of(place)),
    };
    high.store(until >> 32 << 32 | u64::from(latest), Ordering::Relaxed);
    low.store(hash, Ordering::Relaxed);
}

fn is_empty(record: &[AtomicU64]) -> bool {
    record.first().is_none_or(|low| low.load(Ordering::Relaxed) == 0)
}

fn until_of(record: &[AtomicU64]) -> u32 {
    record.get(1).map_or(FOR_EVER, |high| high.load(Ordering::Relaxed) as u32)
}

fn before_of(record: &[AtomicU64]) -> i64 {
    // The bits of a number that may be negative.
    record.get(2).map_or(i64::MAX, |before| before.load(Ordering::Relaxed) as i64)
}

/// The later of two ends.
fn later(a: u32, b: u32) -> u32 {
    if a == FOR_EVER || b == FOR_EVER { FOR_EVER } else { a.max(b) }
}

/// A hash table whose records have `N` words.
#[derive(Clone, Copy)]
struct Part<'w, const N: usize> {
    records: &'w [[AtomicU64; N]],
}

impl<'w, const N: usize> Part<'w, N> {
    fn of(words: &'w [AtomicU64]) -> Self {
        let (records, _) = words.as_chunks();
        Self { records }
    }

    fn groups(self) -> usize {
        self.records.len() / GROUP
    }

    /// The record with this hash.
    fn find(self, hash: Hash) -> Option<&'w [AtomicU64; N]> {
        self.place(hash).filter(|record| !is_empty(*record))
    }

    /// The record with this hash or, if there is none, the empty one where it belongs.
    fn place(self, hash: Hash) -> Option<&'w [AtomicU64; N]> {
        let groups = self.groups();
        // Scales the hash to the number of groups, which need not be a power of two.
        let home = ((u128::from(hash.low) * groups as u128) >> u64::BITS) as usize;
        for group in (home..groups).chain(0..home).take(MOST_GROUPS) {
            let start = group * GROUP;
            for record in self.records.get(start..start + GROUP)? {
                let [low, high, ..] = record.as_slice() else { return None };
                let low = low.load(Ordering::Relaxed);
                let is_it = || {
                    low == hash.low && high.load(Ordering::Relaxed) >> 32 == u64::from(hash.high)
                };
                if low == 0 || is_it() {
                    return Some(record);
                }
            }
        }
        None
    }
}
