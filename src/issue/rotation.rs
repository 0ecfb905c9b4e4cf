//! Which key of a file signs: a new one is published first, and signs after its lead.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use token::sign::SigningKey;

use super::seen::Seen;

/// The key that signs, while a file may have a newer one.
pub(super) struct Rotation {
    signs: RefCell<Arc<SigningKey>>,
    /// Whether this process has made sure that no newer key has signed: a worker starts with the keys of the
    /// last reload.
    is_confirmed: Cell<bool>,
    /// How long a new key is published before it signs, in milliseconds.
    lead: u64,
    /// How long a key is published after it has signed last, in milliseconds.
    keep: u64,
}

impl Rotation {
    pub(super) fn new(signs: Arc<SigningKey>, lead: u64, keep: u64) -> Self {
        Self { signs: RefCell::new(signs), is_confirmed: Cell::new(false), lead, keep }
    }

    /// The key that signed last.
    pub(super) fn last(&self) -> Arc<SigningKey> {
        Arc::clone(&self.signs.borrow())
    }

    /// The key that signs now, if the file has `newest`; `None` if the file is not good (`is_good`), and what
    /// this process has of it is so old that nobody may know the key any more.
    pub(super) fn signing(
        &self,
        newest: &Arc<SigningKey>,
        is_good: bool,
        seen: &Seen,
        now: u64,
    ) -> Option<Arc<SigningKey>> {
        if self.is_confirmed.get() && Arc::ptr_eq(&self.signs.borrow(), newest) {
            return Some(Arc::clone(newest));
        }
        if !is_good && seen.is_over(newest) {
            return None;
        }
        // What cannot be read may have newer keys, which others have seen.
        let first = match is_good {
            true => seen.note(newest, now, self.lead.saturating_add(self.keep)),
            false => seen.first(newest).unwrap_or(now),
        };
        self.replace(newest, first, seen, now);
        Some(self.last())
    }

    /// Lets `newest` sign if its time has come. For a process that signs nothing, and hands its keys on.
    pub(super) fn settle(&self, newest: &Arc<SigningKey>, seen: &Seen, now: u64) {
        if let Some(first) = seen.first(newest) {
            self.replace(newest, first, seen, now);
        }
        self.is_confirmed.set(false);
    }

    /// Lets `newest`, which was first seen then, sign if its lead is over, or if a newer key than the one that
    /// signs here has signed already. The key before is dropped, and so wiped.
    fn replace(&self, newest: &Arc<SigningKey>, first: u64, seen: &Seen, now: u64) {
        let mut signs = self.signs.borrow_mut();
        let is_over = seen.is_over(&signs);
        if !Arc::ptr_eq(&signs, newest) {
            if now < first.saturating_add(self.lead) && !is_over {
                return;
            }
            if !is_over {
                seen.keep(&signs, now.saturating_add(self.keep));
            }
            *signs = Arc::clone(newest);
        }
        seen.signs(newest);
        self.is_confirmed.set(true);
    }
}
