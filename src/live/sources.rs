//! The fetched sources of a worker.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::health::{Health, HealthTable};
use super::kind::Kind;
use super::origin::Origin;
use super::source::Source;
use crate::nginx::{Rank, Server, ServerNames, Zone};

/// How many sources a worker holds. There must be a limit, since clients may influence a URI.
const KEPT: usize = 1024;

/// Sources by the [id](Server::id) of the server, and by name.
type ByServer<K> = HashMap<usize, HashMap<Box<[u8]>, Rc<Source<K>>>>;

/// The sources of a worker, by server and name.
pub(crate) struct Sources<K: Kind> {
    rank: Rank,
    by_server: RefCell<ByServer<K>>,
    count: Cell<usize>,
    /// Describes each server in a way that stays the same over a reload.
    descriptions: RefCell<ServerNames>,
    /// How those sources are doing that have a fixed URI, by their names.
    health: RefCell<HashMap<Box<[u8]>, Health>>,
}

/// A source that is looked for: its URI, and what tells it from others with the same URI.
#[derive(Clone, Copy)]
pub(crate) struct SourceAt<'s> {
    pub(crate) server: Server<'s>,
    pub(crate) uri: &'s [u8],
    /// Empty, if the URI alone identifies the source in its server.
    pub(crate) distinction: &'s [u8],
}

impl<'s> SourceAt<'s> {
    /// The source with this URI.
    pub(crate) fn new(server: Server<'s>, uri: &'s [u8]) -> Self {
        Self { server, uri, distinction: b"" }
    }

    /// Its name among the sources of the server.
    fn name(&self) -> Box<[u8]> {
        match self.distinction {
            [] => self.uri.into(),
            distinction => [self.uri, b" ", distinction].concat().into(),
        }
    }
}

impl<K: Kind> Sources<K> {
    pub(crate) fn new(rank: Rank) -> Self {
        Self {
            rank,
            by_server: RefCell::default(),
            count: Cell::default(),
            descriptions: RefCell::default(),
            health: RefCell::default(),
        }
    }

    /// Stores the description of each server, by its [id](Server::id). Descriptions stay the same when
    /// the configuration is read again.
    pub(crate) fn describe(&self, servers: ServerNames) {
        self.descriptions.replace(servers);
    }

    /// Gives a source a health of its own. To be called after [`Sources::describe`].
    pub(crate) fn watch_health(&self, at: SourceAt<'_>, table: &HealthTable) {
        let name = self.full_name(at);
        let health = table.add(&name);
        self.health.borrow_mut().insert(name, health);
    }

    /// The name of a source among those of all servers.
    fn full_name(&self, at: SourceAt<'_>) -> Box<[u8]> {
        let descriptions = self.descriptions.borrow();
        let server = descriptions.get(&at.server.id());
        let server = server.map(|name| &**name).unwrap_or_default();
        [server, b" ", &at.name()].concat().into()
    }

    /// The source that is there, or a new one of the kind that `kind` gives. `health` is told how it is
    /// doing, unless it has one of its own.
    pub(crate) fn get(
        &self,
        at: SourceAt<'_>,
        zone: Option<Zone>,
        health: &Health,
        kind: impl FnOnce() -> K,
    ) -> Rc<Source<K>> {
        let mut by_server = self.by_server.borrow_mut();
        let name = at.name();
        let of_server = by_server.get(&at.server.id());
        if let Some(source) = of_server.and_then(|sources| sources.get(&name)) {
            return Rc::clone(source);
        }
        if self.count.get() >= KEPT {
            self.count.set(self.count.get() - make_room(&mut by_server));
        }
        let full_name = self.full_name(at);
        let own_health = self.health.borrow().get(&full_name).cloned();
        let source = Rc::new(Source::new(
            kind(),
            self.rank,
            Origin {
                uri: at.uri.into(),
                server: at.server.name().into(),
                name: full_name,
                zone,
                has_own_health: own_health.is_some(),
                health: own_health.unwrap_or_else(|| health.clone()),
            },
        ));
        by_server.entry(at.server.id()).or_default().insert(name, Rc::clone(&source));
        self.count.set(self.count.get() + 1);
        source
    }
}

/// Drops the least recently used half of the sources, and returns how many were dropped. A source that
/// is being fetched exists until its fetch ends.
fn make_room<K: Kind>(by_server: &mut ByServer<K>) -> usize {
    let all = || by_server.values().flat_map(HashMap::values);
    let mut used: Vec<u64> = all().map(|source| source.last_used()).collect();
    let before = used.len();
    used.sort_unstable();
    let limit = used.get(before / 2).copied().unwrap_or_default();
    for sources in by_server.values_mut() {
        sources.retain(|_, source| source.last_used() > limit);
    }
    before - by_server.values().map(HashMap::len).sum::<usize>()
}
