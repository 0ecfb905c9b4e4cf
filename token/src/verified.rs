//! A token that was accepted.

use std::ops::Deref;
use std::rc::Rc;

use crate::cache::{Cache, Known, Slot, Standing, Steady};
use crate::content::Content;

/// A token that was accepted.
#[derive(Debug, Clone)]
pub struct Verified {
    content: Rc<Content>,
    /// The number of its provider among those of a [`Trust`](crate::Trust); 0 if it has none.
    pub provider: usize,
    /// Its place in the cache, if that has it now.
    slot: Option<Slot>,
    /// The first second in which it may be judged in another way by the same policy with the same keys and lists.
    until: i64,
}

impl Verified {
    pub(crate) fn new(
        content: Rc<Content>,
        provider: usize,
        slot: Option<Slot>,
        until: i64,
    ) -> Self {
        Self { content, provider, slot, until }
    }

    /// A token that the cache knows, if the verdict of `by` on it still stands.
    pub fn standing(cache: &Cache, known: &Known, by: Steady, now: i64) -> Option<Self> {
        let provider = cache.standing(known, by, now)?;
        let content = Rc::clone(&known.content);
        Some(Self { content, provider, slot: Some(known.slot), until: now })
    }

    /// Lets the verdict stand: `by` has let this token pass at `now`, by the policy that has accepted it and by
    /// nothing else that can change.
    pub fn let_stand(&self, cache: &Cache, by: Steady, now: i64) {
        if let Some(slot) = self.slot.filter(|_| now < self.until) {
            let standing = Standing::new(by, self.provider, now, self.until);
            cache.let_stand(slot, &self.content, standing);
        }
    }

    /// Whether the cache has it now, so that its signature need not be verified again.
    pub fn is_cached(&self) -> bool {
        self.slot.is_some()
    }

    /// Takes the content of `same`, a token of exactly the same bytes, so that one copy is kept. Not if other
    /// keys have decrypted something else.
    pub fn share(&mut self, same: &Self) {
        if self.content.is_same(&same.content) {
            self.content = Rc::clone(&same.content);
        }
    }
}

impl Deref for Verified {
    type Target = Content;

    /// The token's header and claims.
    fn deref(&self) -> &Content {
        &self.content
    }
}
