//! What is at the beginning of a zone, and what it has of each source.

use core::sync::atomic::{AtomicPtr, AtomicU64};

use token::schedule::Record;

use super::block::Head as AnswerHead;

// The layout consists of these structures, and of that of an answer. Whoever has to change a size here
// must change the numbers, too.
const _: () = assert!(size_of::<Head>() == 32 && size_of::<Record>() == 56);
const _: () = assert!(size_of::<Node>() == 104);

/// The beginning of the zone; `data` of the slab pool points to it. All processes refer to it at the
/// same time, so each member changes through a shared reference.
#[repr(C)]
pub(super) struct Head {
    /// Grows each time that a fetch ends.
    pub(super) changes: AtomicU64,
    /// Grows each time that a configuration comes into force.
    pub(super) epoch: AtomicU64,
    /// The list of sources, read and written only under the lock.
    pub(super) first: AtomicPtr<Node>,
    /// Limits the fetches that clients cause by naming kids. Used only under the lock.
    pub(super) ration: AtomicU64,
}

/// One source, followed by the bytes of its name. Used only under the lock.
#[repr(C)]
pub(super) struct Node {
    pub(super) next: *mut Node,
    pub(super) record: Record,
    /// The number of the answer: the value of `changes` when it was put into force.
    pub(super) generation: u64,
    pub(super) answer: *mut AnswerHead,
    /// The answer that is being written, and the process that writes it.
    pub(super) unfinished: *mut AnswerHead,
    pub(super) writer: u32,
    /// 1 if the source stays, even if the zone is full ([`Rank::Kept`](super::Rank)).
    pub(super) is_kept: u32,
    pub(super) name_len: usize,
}
