//! Statuses in words of memory, which processes may share.
//!
//! The memory may hold anything: it survives the programs that write it, and is read while it is being
//! written. So what is read proves nothing before it is checked, and each access is an atomic one of a
//! single word, without an order among them. Who shares the memory sees to it that a reader is told only
//! of tables that are complete.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The number of the layout, in the first word of a table that is complete. It changes with the layout.
const LAYOUT: u64 = u64::from_be_bytes(*b"status\0\x01");

/// The words before the statuses: layout, bits, entries, exp, ttl, iat, one that is not used, and a sum.
const HEADER: usize = 8;

/// `exp` of a list that has none.
const NEVER: i64 = i64::MAX;

/// What a list says beside its statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// Bits for each status: 1, 2, 4 or 8.
    pub(super) bits: u8,
    pub(super) entries: u64,
    pub(super) expires: Option<i64>,
    pub(super) ttl: Option<i64>,
    pub(super) issued_at: i64,
}

impl Facts {
    fn words(self) -> [u64; HEADER] {
        let Self { bits, entries, expires, ttl, issued_at } = self;
        let (expires, ttl) = (expires.unwrap_or(NEVER), ttl.unwrap_or(0));
        let facts = [bits.into(), entries, expires.cast_unsigned(), ttl.cast_unsigned()];
        let [bits, entries, expires, ttl] = facts;
        let issued_at = issued_at.cast_unsigned();
        let sum = sum([bits, entries, expires, ttl, issued_at]);
        [LAYOUT, bits, entries, expires, ttl, issued_at, 0, sum]
    }

    /// `None` unless these are the words of a list.
    fn read(words: [u64; HEADER]) -> Option<Self> {
        let [layout, bits, entries, expires, ttl, issued_at, unused, of_all] = words;
        let is_sum = of_all == sum([bits, entries, expires, ttl, issued_at]);
        if layout != LAYOUT || unused != 0 || !is_sum || !matches!(bits, 1 | 2 | 4 | 8) {
            return None;
        }
        let expires = expires.cast_signed();
        let ttl = ttl.cast_signed();
        Some(Self {
            bits: u8::try_from(bits).ok()?,
            entries,
            expires: (expires != NEVER).then_some(expires),
            ttl: (ttl != 0).then_some(ttl),
            issued_at: issued_at.cast_signed(),
        })
    }
}

/// Tells the header of one list from a mixture of two, and from memory with something else.
fn sum(words: [u64; 5]) -> u64 {
    let mix =
        |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    words.into_iter().fold(LAYOUT, mix)
}

/// How many words a table of so many bytes takes.
pub(super) const fn words(bytes: usize) -> usize {
    HEADER + bytes.div_ceil(8)
}

/// Makes the table one that is not complete.
pub(super) fn begin(table: &[AtomicU64]) {
    if let Some(first) = table.first() {
        first.store(0, Relaxed);
    }
}

/// Writes bytes of the list from offset `at` on, which is a multiple of 8.
pub(super) fn write_bytes(table: &[AtomicU64], at: usize, bytes: &[u8]) {
    let words = table.get(HEADER + at / 8..).unwrap_or_default();
    for (word, bytes) in words.iter().zip(bytes.chunks(8)) {
        let mut eight = [0; 8];
        eight.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        word.store(u64::from_le_bytes(eight), Relaxed);
    }
}

/// Writes what the list says beside its statuses: the table is complete.
pub(super) fn end(table: &[AtomicU64], facts: Facts) {
    // The layout, which comes first in memory, is written last.
    let head = table.get(..HEADER).unwrap_or_default();
    for (word, value) in head.iter().zip(facts.words()).rev() {
        word.store(value, Relaxed);
    }
}

/// A list in memory, as [`StatusList::write`](super::StatusList::write) has written it.
#[derive(Debug, Clone, Copy)]
pub struct StatusTable<'m> {
    facts: Facts,
    /// The words of the statuses.
    statuses: &'m [AtomicU64],
}

impl<'m> StatusTable<'m> {
    /// Reads the head of a table. `None` if it is not complete, or something else: whatever the memory
    /// holds, nothing fails, neither here nor when a status is read.
    pub fn read(table: &'m [AtomicU64]) -> Option<Self> {
        let (head, statuses) = table.split_at_checked(HEADER)?;
        let mut words = [0; HEADER];
        words.iter_mut().zip(head).for_each(|(to, from)| *to = from.load(Relaxed));
        let facts = Facts::read(words)?;
        let bits = facts.entries.checked_mul(facts.bits.into())?;
        let room = u64::try_from(statuses.len()).ok()?.checked_mul(64)?;
        (bits <= room).then_some(Self { facts, statuses })
    }

    /// The status at `index`: blocks of bits, from the least significant bit of the first byte on
    /// (section 4.1 of the draft). `None` if the list has no such entry.
    pub fn status_at(&self, index: u64) -> Option<u8> {
        let Facts { bits, entries, .. } = self.facts;
        if index >= entries {
            return None;
        }
        let at = index.checked_mul(bits.into())?;
        let word = self.statuses.get(usize::try_from(at / 64).ok()?)?.load(Relaxed);
        let [low, ..] = (word >> (at % 64)).to_le_bytes();
        // 1, 2, 4 and 8 divide 64, so no status lies in two words.
        Some(low & (u8::MAX >> (8 - bits)))
    }

    /// How many entries the list has. Bits that fill up the last byte count as entries.
    pub fn entries(&self) -> u64 {
        self.facts.entries
    }

    /// When the list expires (`exp`), in seconds since the epoch. Nobody but the caller looks at it after
    /// the list was opened.
    pub fn expires(&self) -> Option<i64> {
        self.facts.expires
    }

    /// For how many seconds the list may be kept before it is fetched again (`ttl`).
    pub fn ttl(&self) -> Option<i64> {
        self.facts.ttl
    }

    /// When the list was issued (`iat`), in seconds since the epoch.
    pub fn issued_at(&self) -> i64 {
        self.facts.issued_at
    }
}
