//! The records of a list that was read, on their way into a table.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapMut;

use super::hash::HashKey;
use super::table::{DATED, PLAIN, Size, Table};

/// Records of one block.
const BLOCK: usize = 4_096;

/// Records that one call of [`ListRecords::write`] writes: each may have to wait for memory.
const WRITTEN: usize = 1_024;

/// Words that one call of [`ListRecords::write`] clears.
const CLEARED: usize = 64 << 10;

/// Blocks that one call of [`Blocks::release`] frees.
const RELEASED: usize = 16;

/// Records of `N` words, in blocks: nothing is copied when there are more, and they can be freed one
/// after the other.
pub(super) struct Blocks<const N: usize> {
    blocks: Vec<Block<N>>,
    len: usize,
}

/// Up to [`BLOCK`] records.
struct Block<const N: usize> {
    memory: Memory,
    len: usize,
}

/// Memory that goes back to the system when it is freed. An allocator would collect it, and give all of it
/// back at once, which takes long.
enum Memory {
    Mapped(MmapMut),
    /// If the system has no mapping.
    Allocated(Box<[u8]>),
}

impl<const N: usize> Block<N> {
    const RECORD: usize = N * size_of::<u64>();

    fn new() -> Self {
        let len = BLOCK * Self::RECORD;
        let allocated = |_| Memory::Allocated(vec![0; len].into());
        Self { memory: MmapMut::map_anon(len).map_or_else(allocated, Memory::Mapped), len: 0 }
    }

    /// Returns false if the block is full.
    fn push(&mut self, record: [u64; N]) -> bool {
        let memory = match &mut self.memory {
            Memory::Mapped(memory) => &mut **memory,
            Memory::Allocated(memory) => memory,
        };
        let (words, _) = memory.as_chunks_mut();
        let Some(place) = words.get_mut(self.len * N..(self.len + 1) * N) else { return false };
        place.iter_mut().zip(record).for_each(|(to, word)| *to = word.to_ne_bytes());
        self.len += 1;
        true
    }

    /// Takes the last [`WRITTEN`] records.
    fn take(&mut self) -> impl Iterator<Item = [u64; N]> {
        let end = self.len;
        self.len = end.saturating_sub(WRITTEN);
        let memory = match &self.memory {
            Memory::Mapped(memory) => &**memory,
            Memory::Allocated(memory) => memory,
        };
        let (words, _) = memory.as_chunks();
        let (records, _) = words.as_chunks::<N>();
        let last = records.get(self.len..end).unwrap_or_default();
        last.iter().map(|record| record.map(u64::from_ne_bytes))
    }
}

impl<const N: usize> Blocks<N> {
    pub(super) fn new() -> Self {
        Self { blocks: Vec::new(), len: 0 }
    }

    pub(super) fn push(&mut self, record: [u64; N]) {
        self.len += 1;
        if !self.blocks.last_mut().is_some_and(|block| block.push(record)) {
            let mut block = Block::new();
            block.push(record);
            self.blocks.push(block);
        }
    }

    /// Frees some blocks. Returns whether there are more.
    pub(super) fn release(&mut self) -> bool {
        self.blocks.truncate(self.blocks.len().saturating_sub(RELEASED));
        !self.blocks.is_empty()
    }
}

/// A list that was read: the hashes of its values, not yet in a table.
///
/// They are freed while they are [written](ListRecords::write). What is given up before should be
/// [released](ListRecords::release) piece by piece: freeing a large list at once takes a while.
pub struct ListRecords {
    key: HashKey,
    lines: u64,
    digest: [u8; 32],
    size: Size,
    plain: Blocks<PLAIN>,
    dated: Blocks<DATED>,
    /// How many words of the table are clear.
    cleared: usize,
    /// Whether there is nothing more to write.
    done: bool,
    warnings: Vec<String>,
}

impl ListRecords {
    pub(super) fn new(
        key: HashKey,
        lines: u64,
        digest: [u8; 32],
        plain: Blocks<PLAIN>,
        dated: Blocks<DATED>,
    ) -> Self {
        let size = Size::of(plain.len, dated.len);
        Self {
            key,
            lines,
            digest,
            size,
            plain,
            dated,
            cleared: 0,
            done: false,
            warnings: Vec::new(),
        }
    }

    pub(super) fn with_warnings(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }

    /// What the person who writes the list should know although it is no error.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How many values the list has; repeated ones count each time.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// How many words its table needs.
    pub fn words(&self) -> usize {
        self.size.words()
    }

    /// The SHA-256 of the text, as [`fingerprint`](crate::fingerprint) gives it.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Does a bounded piece of writing the table into the first [`words`](ListRecords::words) of `table`,
    /// which must be the same in each call, and may hold anything before. Returns whether more is left.
    ///
    /// Meanwhile, and if `table` is too short, the words hold no table, and whoever reads them has no
    /// list. The records are gone when they are written.
    pub fn write(&mut self, table: &[AtomicU64]) -> bool {
        if self.done {
            return false;
        }
        if self.clear(table) {
            return true;
        }
        let made = Table::new(table, self.size, self.key, self.lines);
        let written = made.is_some_and(|made| self.add_records(made));
        if written && !self.is_empty() {
            return true;
        }
        if let Some(made) = made.filter(|_| written) {
            made.publish(table);
        }
        self.done = true;
        false
    }

    /// Clears some words. Returns whether more of them are left.
    fn clear(&mut self, table: &[AtomicU64]) -> bool {
        let left = table.get(self.cleared..self.words()).unwrap_or_default();
        let now = left.get(..CLEARED).unwrap_or(left);
        for word in now {
            word.store(0, Ordering::Relaxed);
        }
        self.cleared += now.len();
        // A call does one of the two pieces of work; but a short list is done in one.
        now.len() == CLEARED
    }

    /// Adds some records to the table. Returns false if one has no place.
    fn add_records(&mut self, table: Table<'_>) -> bool {
        let added = match (self.plain.blocks.last_mut(), self.dated.blocks.last_mut()) {
            (Some(block), _) => block.take().all(|record| table.add_plain(record)),
            (None, Some(block)) => block.take().all(|record| table.add_dated(record)),
            (None, None) => true,
        };
        self.plain.blocks.pop_if(|block| block.len == 0);
        self.dated.blocks.pop_if(|block| block.len == 0);
        added
    }

    fn is_empty(&self) -> bool {
        self.plain.blocks.is_empty() && self.dated.blocks.is_empty()
    }

    /// Frees a piece of records that are not wanted any more. Returns whether more is left.
    pub fn release(&mut self) -> bool {
        self.done = true;
        self.plain.release() || self.dated.release()
    }
}

impl fmt::Debug for ListRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListRecords").field("lines", &self.lines).finish_non_exhaustive()
    }
}
