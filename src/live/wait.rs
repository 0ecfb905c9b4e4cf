//! A request that waits for a fetch.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::source::{Source, Sources, Waiting};
use crate::nginx::Request;

/// A source that is being fetched.
pub(crate) struct Fetching<T> {
    pub(crate) source: Rc<Source<T>>,
    /// How long a request waits for the source, in milliseconds.
    pub(crate) timeout: u64,
}

/// The sources that a request waits for, and how long it waits.
///
/// The request has a deadline of its own, which a later fetch does not move: the longest `timeout` of
/// the sources that it has waited for, counted from when it began to wait. After that it is judged with
/// the keys that are there.
pub(crate) struct Wait<T> {
    /// The fetches that the last judgement needs.
    needed: RefCell<Vec<Fetching<T>>>,
    /// One for each of those: the first fetch that ends wakes the request.
    waiting: RefCell<Vec<Waiting<T>>>,
    /// When the request began to wait, and the longest of the timeouts, in milliseconds.
    since: Cell<Option<u64>>,
    longest: Cell<u64>,
}

impl<T> Default for Wait<T> {
    fn default() -> Self {
        Self {
            needed: RefCell::default(),
            waiting: RefCell::default(),
            since: Cell::default(),
            longest: Cell::default(),
        }
    }
}

impl<T: 'static> Wait<T> {
    /// Notes the fetches that a judgement needs. False if there are none, or if the request has waited
    /// long enough.
    pub(crate) fn needs(&self, fetches: Vec<Fetching<T>>, now: u64) -> bool {
        let since = self.since.get().unwrap_or(now);
        if fetches.is_empty() || now.saturating_sub(since) >= self.longest_of(&fetches) {
            return false;
        }
        self.needed.replace(fetches);
        true
    }

    /// After a judgement: resumes the request if it was held, and holds it if its verdict is `pending`.
    /// `None` if nginx cannot do so.
    pub(crate) fn settle(
        &self,
        request: Request<'_>,
        sources: &Sources<T>,
        pending: bool,
    ) -> Option<()> {
        if !self.waiting.take().is_empty() {
            request.resume()?;
        }
        if !pending {
            self.since.set(None);
            self.longest.set(0);
            return Some(());
        }
        let needed = self.needed.take();
        let left = self.begin(&needed, request.clock());
        let wait = |one: &Fetching<T>| sources.wait(&one.source, request.waker(), request.server());
        self.waiting.replace(needed.iter().map(wait).collect());
        request.hold(left)
    }

    /// The request begins to wait, or continues. Returns how long it may wait from now on, in
    /// milliseconds.
    fn begin(&self, fetches: &[Fetching<T>], now: u64) -> u64 {
        let since = self.since.get().unwrap_or(now);
        self.since.set(Some(since));
        self.longest.set(self.longest_of(fetches));
        self.longest.get().saturating_sub(now.saturating_sub(since)).max(1)
    }

    fn longest_of(&self, fetches: &[Fetching<T>]) -> u64 {
        fetches.iter().map(|one| one.timeout).fold(self.longest.get(), u64::max)
    }
}
