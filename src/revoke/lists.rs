//! The fetched lists of the `http` block, and what a worker keeps of them.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use token::Revocation;

use super::list::FetchedList;
use super::request::{RevokedRequest, StatusListRequest};
use super::status_list::FetchedStatusList;
use crate::check::once;
use crate::live::{
    Awaited as _, Fetching, HealthTable, Source, SourceAt, SourceKind, SourceState, Sources,
};
use crate::nginx::{
    Level, Rank, Request, Result, Server, ServerNames, ServerRef, SharedMemory, Ticker, Zone, clock,
};

/// The default of `jwt_revoked_zone`, in bytes.
const ZONE: usize = 32 << 20;

/// How often, compared with `valid=`, a worker looks whether a list has to be fetched; and the bounds of
/// this time, in milliseconds.
const CHECKS: u64 = 5;
const CHECK_EVERY: (u64, u64) = (20, 1_000);

/// The fetched lists of the `http` block.
pub(crate) struct Lists {
    is_wanted: Cell<bool>,
    size: RefCell<Option<usize>>,
    zone: Cell<Option<Zone>>,
    revoked: Sources<FetchedList>,
    statuses: Sources<FetchedStatusList>,
    /// The lists of each server, by the numbers of server and list.
    noted: RefCell<HashSet<(usize, usize)>>,
    of_servers: RefCell<Vec<OfServer>>,
    /// One for each of those, in a worker.
    tickers: RefCell<Vec<Ticker>>,
}

/// A list, and the server that uses it.
#[derive(Clone)]
struct OfServer {
    server: ServerRef,
    list: Rc<RevokedRequest>,
}

impl OfServer {
    /// The server that has the location.
    fn server(&self) -> Server<'_> {
        self.list.at.server(self.server.get())
    }
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            is_wanted: Cell::default(),
            size: RefCell::default(),
            zone: Cell::default(),
            revoked: Sources::new(Rank::Kept),
            statuses: Sources::new(Rank::Usual),
            noted: RefCell::default(),
            of_servers: RefCell::default(),
            tickers: RefCell::default(),
        }
    }
}

/// The source of a list. What one directive takes for a list, another may not.
fn source_at<'s>(server: Server<'s>, list: &'s RevokedRequest) -> SourceAt<'s> {
    let distinction = list.first.as_deref().unwrap_or_default();
    SourceAt { server, uri: &list.at.uri, distinction }
}

/// What a list says now.
pub(crate) struct CurrentList {
    /// `None` if the list is not there, and tokens pass without it.
    pub(crate) list: Option<Arc<Revocation>>,
    /// The fetch to wait for, if the list is not there yet.
    pub(crate) fetching: Option<Fetching>,
}

impl Lists {
    pub(super) fn are_wanted(&self) {
        self.is_wanted.set(true);
    }

    pub(super) fn set_size(&self, size: usize) -> Result {
        once(&mut *self.size.borrow_mut(), size)
    }

    /// Notes a list that `level` uses.
    pub(crate) fn note(&self, list: &Rc<RevokedRequest>, level: &Level<'_>) {
        let server = level.server();
        let number = (server.get().id(), Rc::as_ptr(list) as usize);
        if self.noted.borrow_mut().insert(number) {
            list.at.warn_without_location(b"", level);
            self.of_servers.borrow_mut().push(OfServer { server, list: Rc::clone(list) });
        }
    }

    /// Notes status lists that `level` uses.
    pub(crate) fn note_status(&self, lists: &Rc<StatusListRequest>, level: &Level<'_>) {
        let number = (level.server().get().id(), Rc::as_ptr(lists) as usize);
        if self.noted.borrow_mut().insert(number) {
            lists.at.warn_without_location(b"1", level);
        }
    }

    /// To be called after the configuration has been read.
    pub(crate) fn describe(&self, names: &ServerNames, health: &HealthTable) {
        self.revoked.describe(names.clone());
        self.statuses.describe(names.clone());
        for one in &*self.of_servers.borrow() {
            self.revoked.watch_health(source_at(one.server(), &one.list), health);
        }
    }

    /// Declares the shared memory. `None` if nginx refuses it.
    pub(crate) fn declare(&self, memory: &SharedMemory<'_>) -> Option<()> {
        if self.is_wanted.get() {
            self.zone.set(Some(memory.lists(self.size.borrow().unwrap_or(ZONE))?));
        }
        Some(())
    }

    /// To be called after the configuration has come into force, before workers start.
    pub(crate) fn in_force(&self) {
        if let Some(zone) = self.zone.get() {
            zone.take_over();
        }
    }

    /// Fetches the lists from now on, whether there are requests or not. The workers agree on one that
    /// does.
    pub(crate) fn worker_starts(&self) {
        for one in &*self.of_servers.borrow() {
            let source = self.source(one.server(), &one.list);
            source.get(one.server(), &one.list.at.terms, clock());
            let (low, high) = CHECK_EVERY;
            let pause = (one.list.at.terms.valid / CHECKS).clamp(low, high);
            let pause = usize::try_from(pause).unwrap_or(usize::MAX);
            let fetched = one.clone();
            let tick = move || {
                source.get(fetched.server(), &fetched.list.at.terms, clock());
                true
            };
            let ticker = Ticker::new(pause, one.server.get(), Box::new(tick));
            ticker.start();
            self.tickers.borrow_mut().push(ticker);
        }
    }

    fn source(&self, server: Server<'_>, list: &RevokedRequest) -> Rc<Source<FetchedList>> {
        // Most lists are used by one server.
        if let Some((id, source)) = &*list.source.borrow()
            && *id == server.id()
        {
            return Rc::clone(source);
        }
        let kind = || FetchedList { first: list.first.clone() };
        let at = source_at(server, list);
        let source = self.revoked.get(at, self.zone.get(), &list.at.health, kind);
        list.source.replace(Some((server.id(), Rc::clone(&source))));
        source
    }

    /// The list for a request.
    pub(crate) fn current(&self, request: Request<'_>, list: &RevokedRequest) -> CurrentList {
        let server = list.at.server(request.server());
        let source = self.source(server, list);
        let current = source.get(server, &list.at.terms, request.clock());
        if let Some(words) = &current.value {
            return CurrentList { list: Some(list.revocation(words)), fetching: None };
        }
        // After a failure nobody waits: the store may be down for long.
        let waits = current.under_way && !source.has_failed();
        let timeout = list.at.terms.timeout;
        let fetching = waits.then(|| Fetching { source, timeout });
        CurrentList { list: list.absent(), fetching }
    }

    /// The source of the status list that a token names, one of `lists`. Lists that the keys of different
    /// policies verify are different, which `policy` tells.
    pub(crate) fn status(
        &self,
        request: Request<'_>,
        lists: &StatusListRequest,
        uri: &str,
        policy: &[u8],
    ) -> Rc<Source<FetchedStatusList>> {
        let distinction = [uri.as_bytes(), b" ", policy].concat();
        let at = SourceAt {
            server: lists.server(request),
            uri: &lists.uri_of(uri),
            distinction: &distinction,
        };
        self.statuses.get(at, self.zone.get(), &lists.at.health, FetchedStatusList::default)
    }

    /// The state of each list that is fetched from a URI of its own, as this worker knows it.
    pub(crate) fn states(&self) -> Vec<SourceState> {
        let state = |one: &OfServer| {
            let place = &one.list.at;
            let (state, words) =
                self.source(one.server(), &one.list).report(&place.place, &place.terms);
            let entries = words.map(|words| one.list.revocation(&words).len());
            SourceState { kind: SourceKind::List, is_missing: entries.is_none(), entries, ..state }
        };
        self.of_servers.borrow().iter().map(state).collect()
    }
}
