//! A request that waits for a fetch.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};

use token::schedule::Record;

use crate::nginx::{Request, Server, Ticker, Waker, clock};

/// How often a worker checks whether another worker's fetch has ended, in milliseconds.
const TICK: usize = 20;

/// A source that a request can wait for.
pub(crate) trait Awaited {
    /// The requests that wait.
    fn waiting(&self) -> &RefCell<Vec<Waker>>;

    /// Whether the last completed fetch has failed.
    fn has_failed(&self) -> bool;

    /// Whether this worker fetches.
    fn is_fetched_here(&self) -> bool;

    /// The state of the source as all workers know it.
    fn state(&self) -> (Record, u64);

    /// Whether any worker fetches.
    fn is_under_way(&self, now: u64) -> bool;

    /// Wakes the requests that wait.
    fn wake(&self);
}

/// A source that is being fetched.
pub(crate) struct Fetching {
    pub(crate) source: Rc<dyn Awaited>,
    /// How long a request waits for the source, in milliseconds.
    pub(crate) timeout: u64,
}

impl Fetching {
    /// Whether it is this source.
    pub(crate) fn is_of<S: Awaited>(&self, source: &Rc<S>) -> bool {
        core::ptr::addr_eq(Rc::as_ptr(&self.source), Rc::as_ptr(source))
    }
}

/// Sources that another worker fetches while requests of this worker wait. Nothing tells this worker
/// when such a fetch ends, so one timer polls for all requests that wait.
#[derive(Default)]
pub(crate) struct FetchedElsewhere {
    polled: Rc<RefCell<Vec<Polled>>>,
    /// Made when first needed.
    ticker: OnceCell<Ticker>,
}

/// Such a source, and its state when the first request began to wait.
struct Polled {
    source: Rc<dyn Awaited>,
    state: (Record, u64),
}

impl FetchedElsewhere {
    /// Wakes a request when the running fetch of `source` ends, whichever worker fetches.
    fn wait(&self, source: &Rc<dyn Awaited>, waker: Waker, server: Server<'_>) -> Waiting {
        source.waiting().borrow_mut().push(waker);
        if !source.is_fetched_here() {
            let mut polled = self.polled.borrow_mut();
            if !polled.iter().any(|one| Rc::ptr_eq(&one.source, source)) {
                polled.push(Polled { source: Rc::clone(source), state: source.state() });
            }
            let tick = || {
                let polled = Rc::clone(&self.polled);
                Ticker::new(TICK, server, Box::new(move || poll(&polled, clock())))
            };
            self.ticker.get_or_init(tick).start();
        }
        Waiting { source: Rc::downgrade(source), waker }
    }
}

/// Wakes the requests whose source has changed. Returns whether other requests still wait.
fn poll(polled: &RefCell<Vec<Polled>>, now: u64) -> bool {
    let mut polled = polled.borrow_mut();
    polled.retain(|one| {
        if one.source.state() == one.state && one.source.is_under_way(now) {
            return !one.source.waiting().borrow().is_empty();
        }
        one.source.wake();
        false
    });
    !polled.is_empty()
}

/// A request that waits. Dropping this ends the wait.
struct Waiting {
    source: Weak<dyn Awaited>,
    waker: Waker,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(source) = self.source.upgrade() {
            source.waiting().borrow_mut().retain(|waker| *waker != self.waker);
        }
    }
}

/// The sources that a request waits for, and how long it waits.
///
/// The request has a deadline of its own, which a later fetch does not move: the longest `timeout` of
/// the sources that it has waited for, counted from when it began to wait. After that it is judged with
/// what is there.
#[derive(Default)]
pub(crate) struct Wait(OnceCell<Box<Waits>>);

/// Most requests never wait, and need no room for this.
#[derive(Default)]
struct Waits {
    /// The fetches that the last judgement needs.
    needed: RefCell<Vec<Fetching>>,
    /// One for each of those: the first fetch that ends wakes the request.
    waiting: RefCell<Vec<Waiting>>,
    /// When the request began to wait, and the longest of the timeouts, in milliseconds.
    since: Cell<Option<u64>>,
    longest: Cell<u64>,
}

impl Wait {
    /// Notes the fetches that a judgement needs. False if there are none, or if the request has waited
    /// long enough.
    pub(crate) fn needs(&self, fetches: Vec<Fetching>, now: u64) -> bool {
        !fetches.is_empty() && self.0.get_or_init(Box::default).needs(fetches, now)
    }

    /// After a judgement: resumes the request if it was held, and holds it if its verdict is `pending`.
    /// `None` if nginx cannot do so.
    pub(crate) fn settle(
        &self,
        request: Request<'_>,
        elsewhere: &FetchedElsewhere,
        pending: bool,
    ) -> Option<()> {
        match self.0.get() {
            Some(waits) => waits.settle(request, elsewhere, pending),
            None if !pending => Some(()),
            None => self.0.get_or_init(Box::default).settle(request, elsewhere, pending),
        }
    }
}

impl Waits {
    /// As [`Wait::needs`].
    fn needs(&self, fetches: Vec<Fetching>, now: u64) -> bool {
        let since = self.since.get().unwrap_or(now);
        if now.saturating_sub(since) >= self.longest_of(&fetches) {
            return false;
        }
        self.needed.replace(fetches);
        true
    }

    /// As [`Wait::settle`].
    fn settle(
        &self,
        request: Request<'_>,
        elsewhere: &FetchedElsewhere,
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
        let wait = |one: &Fetching| elsewhere.wait(&one.source, request.waker(), request.server());
        self.waiting.replace(needed.iter().map(wait).collect());
        request.hold(left)
    }

    /// The request begins to wait, or continues. Returns how long it may wait from now on, in
    /// milliseconds.
    fn begin(&self, fetches: &[Fetching], now: u64) -> u64 {
        let since = self.since.get().unwrap_or(now);
        self.since.set(Some(since));
        self.longest.set(self.longest_of(fetches));
        self.longest.get().saturating_sub(now.saturating_sub(since)).max(1)
    }

    fn longest_of(&self, fetches: &[Fetching]) -> u64 {
        fetches.iter().map(|one| one.timeout).fold(self.longest.get(), u64::max)
    }
}
