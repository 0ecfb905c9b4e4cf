//! Answers in shared memory, as they are stored, read and replaced.

use core::mem::offset_of;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicU64, Ordering, fence};

/// How many bytes a word has.
const WORD: usize = size_of::<u64>();

/// The beginning of an answer: its words follow, and behind them what the worker that fetched it notes
/// [about](Locked) it. It is as long as a line of the processor's cache, so that a table's first group of
/// records is in one line, too.
///
/// [about]: super::Entry::about
#[repr(C, align(64))]
pub(super) struct Head {
    /// The number of the answer among all of the zone; 0 while it is being written, and once another has
    /// taken its place. Whoever reads the words without the lock looks at it afterwards.
    generation: AtomicU64,
    /// How many bytes the answer has, and the note about it. They do not change while it exists.
    len: usize,
    about: usize,
}

// A part of the zone's layout, see `NAME`.
const _: () = assert!(size_of::<Head>() == 64 && offset_of!(Head, generation) == 0);

impl Head {
    /// How much memory an answer needs.
    pub(super) fn size(len: usize, about: usize) -> usize {
        size_of::<Self>() + len.div_ceil(WORD) * WORD + about
    }

    /// Makes a new answer of `memory`, which is not in force yet.
    ///
    /// # Safety
    /// The memory must be fresh, of [`Head::size`], and aligned to 64.
    pub(super) unsafe fn write(memory: NonNull<Self>, len: usize, about: &[u8]) {
        // The memory may be that of an answer that some process still reads: what is written from here on
        // comes after the 0 that `retire` has stored there.
        fence(Ordering::Release);
        // SAFETY: by the contract of this function.
        unsafe {
            memory.write(Self { generation: AtomicU64::new(0), len, about: about.len() });
            let behind = memory.add(1).cast::<u8>().add(len.div_ceil(WORD) * WORD);
            ptr::copy_nonoverlapping(about.as_ptr(), behind.as_ptr(), about.len());
        }
    }

    /// The note about an answer.
    ///
    /// # Safety
    /// `answer` must be in force, and the zone locked.
    pub(super) unsafe fn about<'a>(answer: NonNull<Self>) -> &'a [u8] {
        // SAFETY: by the contract of this function; `write` has written so many bytes there.
        unsafe {
            let Self { len, about, .. } = *answer.as_ref();
            let behind = answer.add(1).cast::<u8>().add(len.div_ceil(WORD) * WORD);
            slice::from_raw_parts(behind.as_ptr(), about)
        }
    }

    /// Puts an answer into force, whose words have been written.
    ///
    /// # Safety
    /// `answer` must be made by `write`.
    pub(super) unsafe fn put_into_force(answer: NonNull<Self>, generation: u64) {
        // SAFETY: by the contract of this function.
        unsafe { answer.as_ref().generation.store(generation, Ordering::Release) };
    }

    /// Tells those who read the answer without the lock that it is not the one that they believe.
    ///
    /// # Safety
    /// `answer` must be made by `write`.
    pub(super) unsafe fn retire(answer: NonNull<Self>) {
        // SAFETY: by the contract of this function.
        unsafe { answer.as_ref().generation.store(0, Ordering::Relaxed) };
        fence(Ordering::Release);
    }

    /// The words of an answer.
    ///
    /// # Safety
    /// `answer` must be made by `write`, and its memory stay mapped for `'a`. Whoever is not the only one
    /// to know the answer must check the generation after each use.
    pub(super) unsafe fn words<'a>(answer: NonNull<Self>, len: usize) -> &'a [AtomicU64] {
        // SAFETY: by the contract of this function. The words are aligned to 64; any bytes are a valid
        // value of an atomic, and other processes change them only as such.
        unsafe { slice::from_raw_parts(answer.add(1).cast().as_ptr(), len.div_ceil(WORD)) }
    }
}

/// An answer in force, which any process may replace at any time. It is read without a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    head: NonNull<Head>,
    len: usize,
    generation: u64,
}

// SAFETY: the words are shared by processes, and are read by atomic loads only; the rest does not change.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// # Safety
    /// `head` must be in force, and the zone locked. The block must not be used after the configuration
    /// to which the zone belongs is gone: until then its memory stays mapped.
    pub(super) unsafe fn new(head: NonNull<Head>, generation: u64) -> Self {
        // SAFETY: by the contract of this function.
        Self { head, len: unsafe { head.as_ref().len }, generation }
    }

    /// How many bytes the answer has.
    pub(super) fn len(self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Calls `read` with the words of the answer. `None` if another answer has taken its place meanwhile:
    /// `read` has then seen anything.
    pub(crate) fn read<R>(self, read: impl FnOnce(&[AtomicU64]) -> R) -> Option<R> {
        // SAFETY: the memory stays mapped, by the contract of `new`. If the answer was freed, its memory
        // may be anything's by now; only atomic loads look at it.
        let (generation, words) = unsafe {
            let generation = &*self.head.as_ptr().cast::<AtomicU64>();
            (generation, Head::words(self.head, self.len))
        };
        let value = read(words);
        // Pairs with the fences of `retire` and `write`: whoever has read a word of another answer sees
        // that this one is retired.
        fence(Ordering::Acquire);
        (generation.load(Ordering::Relaxed) == self.generation).then_some(value)
    }

    /// A copy of the answer's bytes; `None` as in [`Block::read`].
    pub(crate) fn bytes(self) -> Option<Vec<u8>> {
        self.read(|words| {
            let mut bytes = Vec::with_capacity(words.len() * WORD);
            for word in words {
                bytes.extend_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
            }
            bytes.truncate(self.len);
            bytes
        })
    }
}

/// Stores bytes as the words of an answer.
pub(crate) fn store_bytes(words: &[AtomicU64], bytes: &[u8]) {
    for (word, piece) in words.iter().zip(bytes.chunks(WORD)) {
        let mut whole = [0; WORD];
        whole.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
        word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
    }
}
