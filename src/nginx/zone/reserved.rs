//! Memory for an answer that is not in force yet.

use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;

use super::Zone;
use super::block::Head;

/// Memory of a zone that was [reserved](Zone::reserve) for an answer, and that nobody else knows.
/// Dropping it gives it back. If the worker is killed, the next one that reserves memory for the source
/// does so.
pub(crate) struct Reserved {
    pub(super) zone: Zone,
    pub(super) name: Box<[u8]>,
    pub(super) answer: NonNull<Head>,
    pub(super) len: usize,
}

impl Reserved {
    /// The words, for their first and only writer. They may hold anything before.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `Zone::reserve` made the answer for this value alone, and its memory stays mapped as
        // long as the configuration.
        unsafe { Head::words(self.answer, self.len) }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.zone.give_back(self);
    }
}
