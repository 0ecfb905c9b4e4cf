//! An answer that is used where it is, in shared memory.

use core::sync::atomic::AtomicU64;
use std::fmt;

use super::kind::Shared;
use crate::nginx::{Block, Zone};

/// How often a look-up is tried. Each further time another worker has replaced the answer meanwhile, which
/// happens at most once in a fetch.
const TRIES: usize = 8;

/// The words of a source's answer in shared memory. When they are replaced, those of the new answer are
/// read.
pub(crate) struct SharedWords {
    block: Block,
    zone: Zone,
    name: Box<[u8]>,
}

impl SharedWords {
    pub(crate) fn new(shared: Shared<'_>) -> Self {
        let Shared { block, zone, name } = shared;
        Self { block, zone, name: name.into() }
    }

    /// Calls `read` with the words, and again if they were replaced meanwhile: only the last call counts.
    /// `None` if there is no answer any more.
    pub(crate) fn read<R>(&self, mut read: impl FnMut(&[AtomicU64]) -> R) -> Option<R> {
        let mut block = self.block;
        for _ in 0..TRIES {
            if let Some(value) = block.read(&mut read) {
                return Some(value);
            }
            (block, _) = self.zone.read(&self.name, 0, true)?.answer?;
        }
        None
    }
}

impl fmt::Debug for SharedWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWords").finish_non_exhaustive()
    }
}
