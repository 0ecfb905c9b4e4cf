//! Which tokens are kept whole.
//!
//! What identifies a token is kept in as little room as there is ([`Identity`](super::identity::Identity)), and its
//! payload has to be encoded before it can be compared. Those few that come again and again are worth all of their
//! bytes. One of [`EVERY`] tokens that are found is chosen: most likely one that comes often. It stays whole until as
//! many others were chosen after it as are kept whole.

use std::collections::VecDeque;

use super::index::{Slot, room_for};

/// Of so many tokens that are found, one is chosen.
const EVERY: u32 = 64;

/// Of so many tokens that there is room for, one may be kept whole.
const PART: usize = 16;

/// The slots of the tokens that are kept whole, from the oldest choice to the newest. Some may have another token since.
pub(super) struct Whole {
    slots: VecDeque<Slot>,
    most: usize,
    found: u32,
}

impl Whole {
    /// For a cache with so many slots. `None` if there is not enough memory.
    pub(super) fn new(slots: usize) -> Option<Self> {
        let most = slots / PART;
        Some(Self { slots: room_for(most)?.into(), most, found: 0 })
    }

    /// Counts a token that was found. Whether it is chosen, if it is not kept whole yet.
    pub(super) fn chooses(&mut self) -> bool {
        self.found = self.found.wrapping_add(1);
        self.found.is_multiple_of(EVERY) && self.most > 0
    }

    /// Notes that the token in `slot` is kept whole. Returns the slot of one that is not any more.
    pub(super) fn note(&mut self, slot: Slot) -> Option<Slot> {
        let oldest = if self.slots.len() < self.most { None } else { self.slots.pop_front() };
        self.slots.push_back(slot);
        oldest
    }
}
