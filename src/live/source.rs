//! Fetched sources (`jwks_request`): what a worker stores of each source, when it fetches, and which
//! requests wait.
//!
//! A source is a URI of a server. It holds the last good value. Its [`Record`](token::schedule::Record)
//! decides what a request gets: the value, even while a new one is being fetched, or nothing while the
//! first fetch runs.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use token::schedule::{Age, FetchDecision, FetchReason, Record, Terms, Times};
use zeroize::Zeroizing;

use super::health::{Health, HealthReport, HealthTable, Repeats};
use super::held::{Held, Parse};
use crate::nginx::{
    Answer, Asker, LogLine, Server, ServerNames, Ticker, Waker, Zone, clock, is_alive, start_fetch,
};

/// How many sources a worker holds. There must be a limit, since clients may influence a URI.
const KEPT: usize = 1024;

/// How often a worker checks whether another worker's fetch has ended, in milliseconds.
const TICK: usize = 20;

/// How many bytes of a URI the log shows.
const SHOWN: usize = 200;

/// Sources by the [id](Server::id) of the server, and by URI.
type ByServer<T> = HashMap<usize, HashMap<Box<[u8]>, Rc<Source<T>>>>;

/// Whether clients may name sources as they like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// The configuration names them.
    ByOperator,
    /// A kid in a token is a part of the URI. A source that is not there (404, 410) has an empty answer,
    /// which stays for a while; fetches of sources that have no other answer are rationed.
    ByKid,
}

/// The sources of a worker, by server and URI.
pub(crate) struct Sources<T> {
    parse: Parse<T>,
    named: Named,
    by_server: RefCell<ByServer<T>>,
    count: Cell<usize>,
    /// Describes each server in a way that stays the same over a reload.
    descriptions: RefCell<ServerNames>,
    /// How those sources are doing that have a fixed URI, by their names.
    health: RefCell<HashMap<Box<[u8]>, Health>>,
    elsewhere: Rc<FetchedElsewhere<T>>,
    /// Polls `elsewhere`; made when first needed.
    ticker: OnceCell<Ticker>,
}

/// Sources that another worker fetches while requests of this worker wait. Nothing tells this worker
/// when such a fetch ends, so one timer polls for all requests that wait.
struct FetchedElsewhere<T>(RefCell<Vec<Polled<T>>>);

/// Such a source, and its state when the first request began to wait.
struct Polled<T> {
    source: Rc<Source<T>>,
    record: Record,
    generation: u64,
}

/// A URI that keys are fetched from.
pub(crate) struct Source<T> {
    parse: Parse<T>,
    named: Named,
    uri: Box<[u8]>,
    /// The first name of the server, for messages; empty if it has none.
    server: Box<[u8]>,
    /// Its name in the zone: the server and the URI.
    name: Box<[u8]>,
    /// `None` if there is no memory for a zone.
    zone: Option<Zone>,
    health: Health,
    /// Whether other sources do not share it.
    has_own_health: bool,
    held: RefCell<Held<T>>,
    waiting: RefCell<Vec<Waker>>,
    /// When it was last used: sources that were not used for long are dropped first.
    used: Cell<u64>,
}

/// What a source gives to a request.
pub(crate) struct Current<T> {
    pub(crate) value: Option<Arc<T>>,
    /// Whether a fetch is running.
    pub(crate) under_way: bool,
}

impl<T: 'static> Sources<T> {
    pub(crate) fn new(named: Named, parse: Parse<T>) -> Self {
        Self {
            parse,
            named,
            by_server: RefCell::default(),
            count: Cell::default(),
            descriptions: RefCell::default(),
            health: RefCell::default(),
            elsewhere: Rc::new(FetchedElsewhere(RefCell::default())),
            ticker: OnceCell::new(),
        }
    }

    /// Stores the description of each server, by its [id](Server::id). Descriptions stay the same when
    /// the configuration is read again.
    pub(crate) fn describe(&self, servers: ServerNames) {
        self.descriptions.replace(servers);
    }

    /// Gives the source at `uri` of a server a health of its own. To be called after
    /// [`Sources::describe`].
    pub(crate) fn watch_health(&self, server: Server<'_>, uri: &[u8], table: &HealthTable) {
        let name = self.name(server, uri);
        let health = table.add(&name);
        self.health.borrow_mut().insert(name, health);
    }

    /// The name of the source at `uri` of a server.
    fn name(&self, server: Server<'_>, uri: &[u8]) -> Box<[u8]> {
        let descriptions = self.descriptions.borrow();
        let description = descriptions.get(&server.id()).map(|name| &**name).unwrap_or_default();
        [description, b" ", uri].concat().into()
    }

    /// The source at `uri` of a server. `health` is told how it is doing, unless it has one of its own.
    pub(crate) fn get(
        &self,
        server: Server<'_>,
        zone: Option<Zone>,
        uri: &[u8],
        health: &Health,
    ) -> Rc<Source<T>> {
        let mut by_server = self.by_server.borrow_mut();
        if let Some(source) = by_server.get(&server.id()).and_then(|sources| sources.get(uri)) {
            return Rc::clone(source);
        }
        if self.count.get() >= KEPT {
            self.count.set(self.count.get() - make_room(&mut by_server));
        }
        let name = self.name(server, uri);
        let own_health = self.health.borrow().get(&name).cloned();
        let source = Rc::new(Source {
            parse: self.parse,
            named: self.named,
            uri: uri.into(),
            server: server.name().into(),
            name,
            zone,
            has_own_health: own_health.is_some(),
            health: own_health.unwrap_or_else(|| health.clone()),
            held: RefCell::default(),
            waiting: RefCell::default(),
            used: Cell::default(),
        });
        by_server.entry(server.id()).or_default().insert(uri.into(), Rc::clone(&source));
        self.count.set(self.count.get() + 1);
        source
    }

    /// Wakes a request when the running fetch ends, whichever worker fetches.
    pub(crate) fn wait(
        &self,
        source: &Rc<Source<T>>,
        waker: Waker,
        server: Server<'_>,
    ) -> Waiting<T> {
        source.waiting.borrow_mut().push(waker);
        if !source.held.borrow().fetching {
            self.elsewhere.add(source);
            let tick = || {
                let elsewhere = Rc::clone(&self.elsewhere);
                Ticker::new(TICK, server, Box::new(move || elsewhere.poll(clock())))
            };
            self.ticker.get_or_init(tick).start();
        }
        Waiting { source: Rc::downgrade(source), waker }
    }
}

impl<T: 'static> FetchedElsewhere<T> {
    fn add(&self, source: &Rc<Source<T>>) {
        let mut polled = self.0.borrow_mut();
        if !polled.iter().any(|one| Rc::ptr_eq(&one.source, source)) {
            let (record, generation) = source.known();
            polled.push(Polled { source: Rc::clone(source), record, generation });
        }
    }

    /// Wakes the requests whose source has changed. Returns whether other requests still wait.
    fn poll(&self, now: u64) -> bool {
        let mut polled = self.0.borrow_mut();
        polled.retain(|one| {
            one.source.catch_up();
            let same = one.source.known() == (one.record, one.generation);
            if same && one.source.is_under_way(&one.source.held.borrow(), now) {
                return !one.source.waiting.borrow().is_empty();
            }
            one.source.wake_all();
            false
        });
        !polled.is_empty()
    }
}

/// Drops the least recently used half of the sources, and returns how many were dropped. A source that
/// is being fetched exists until its fetch ends.
fn make_room<T>(by_server: &mut ByServer<T>) -> usize {
    let all = || by_server.values().flat_map(HashMap::values);
    let mut used: Vec<u64> = all().map(|source| source.used.get()).collect();
    let before = used.len();
    used.sort_unstable();
    let limit = used.get(before / 2).copied().unwrap_or_default();
    for sources in by_server.values_mut() {
        sources.retain(|_, source| source.used.get() > limit);
    }
    before - by_server.values().map(HashMap::len).sum::<usize>()
}

impl<T: 'static> Source<T> {
    /// The value for a request. Starts a fetch if the value is missing or old enough.
    pub(crate) fn get(self: &Rc<Self>, server: Server<'_>, terms: &Terms, now: u64) -> Current<T> {
        self.used.set(now);
        self.catch_up();
        match self.age(terms, now) {
            Age::Fresh => {}
            Age::Never | Age::Due | Age::Expired => {
                self.fetch(server, FetchReason::Age, terms, now);
            }
        }
        let usable = !matches!(self.age(terms, now), Age::Never | Age::Expired);
        let mut held = self.held.borrow_mut();
        held.usable = usable;
        Current {
            value: held.value.clone().filter(|_| usable),
            under_way: self.is_under_way(&held, now),
        }
    }

    /// Starts a fetch because a token names an unknown key. Returns whether to wait for it.
    pub(crate) fn refresh_for_unknown_key(
        self: &Rc<Self>,
        server: Server<'_>,
        terms: &Terms,
        now: u64,
    ) -> bool {
        self.fetch(server, FetchReason::UnknownKid, terms, now)
    }

    fn age(&self, terms: &Terms, now: u64) -> Age {
        let held = self.held.borrow();
        held.record.age(&held.terms(terms), now)
    }

    /// Starts a fetch if one is due and no worker fetches yet. Returns whether a fetch is running.
    fn fetch(
        self: &Rc<Self>,
        server: Server<'_>,
        purpose: FetchReason,
        terms: &Terms,
        now: u64,
    ) -> bool {
        if self.is_under_way(&self.held.borrow(), now) {
            return true;
        }
        let (terms, rationed) = {
            let held = self.held.borrow();
            let is_known = held.value.is_some() && !held.is_absent;
            (held.terms(terms), self.named == Named::ByKid && !is_known)
        };
        let claim = |zone: Zone| zone.claim(&self.name, purpose, &terms, now, rationed);
        let shared = self.zone.and_then(claim);
        let claim = match shared {
            Some(claim) => {
                self.load_shared();
                claim
            }
            // Without the zone nothing counts for all workers.
            None if rationed => FetchDecision::NotNow,
            None => {
                let mut held = self.held.borrow_mut();
                // What another worker fetches does not reach this one any more.
                held.record.given_up();
                held.record.try_begin(purpose, &terms, now)
            }
        };
        if claim == FetchDecision::Fetch {
            self.held.borrow_mut().fetching = true;
            start_fetch(server, Rc::clone(self) as Rc<dyn Asker>, terms.timeout);
        }
        claim != FetchDecision::NotNow
    }

    /// Whether a fetch is running: of this worker, or of another one that is alive and shares its
    /// answers.
    fn is_under_way(&self, held: &Held<T>, now: u64) -> bool {
        let shared = || self.zone.is_some_and(Zone::is_current);
        let alive = || held.record.fetcher().is_some_and(is_alive);
        held.fetching || (held.record.is_under_way(now) && shared() && alive())
    }

    /// Takes over what other workers have fetched, if the zone has changed.
    fn catch_up(&self) {
        let Some(zone) = self.zone else { return };
        let changes = zone.changes();
        if self.held.borrow().changes != changes {
            self.load_shared();
            self.held.borrow_mut().changes = changes;
        }
    }

    fn load_shared(&self) {
        let mut held = self.held.borrow_mut();
        let Some(shared) = self.zone.and_then(|zone| zone.read(&self.name, held.generation)) else {
            return;
        };
        if let Some(answer) = shared.answer
            && held.take(&answer, self.parse).is_ok()
        {
            held.generation = shared.generation;
        }
        // The zone may have no entry for this worker's value: it had no room, or has removed it.
        let same = shared.generation != 0 && held.generation == shared.generation;
        if held.value.is_none() || same {
            held.record = shared.record;
        }
    }

    fn settle(&self, answer: Answer, now: u64) -> Option<LogLine> {
        let mut held = self.held.borrow_mut();
        held.fetching = false;
        let (answer, not_found) = match answer {
            Answer::NotFound(why) if self.named == Named::ByKid => {
                (Answer::Keys { body: Zeroizing::default(), max_age: None }, Some(why))
            }
            answer => (answer, None),
        };
        let why = match answer {
            Answer::Failed(why) | Answer::NotFound(why) => why,
            Answer::Unwanted => {
                held.record.given_up();
                self.note(&held.record);
                return None;
            }
            Answer::Keys { body, max_age } => match held.take(&body, self.parse) {
                Ok(warnings) => {
                    held.record.succeeded(max_age, now);
                    self.health.good();
                    self.share(&mut held, &body, warnings.is_some());
                    if let Some(why) = not_found {
                        return Some(LogLine::Info(self.about(&why)));
                    }
                    let warnings = warnings.filter(|list| !list.is_empty())?;
                    return Some(LogLine::Warning(self.about(&warnings.join("; "))));
                }
                Err(why) => why,
            },
        };
        held.record.failed(now);
        self.note(&held.record);
        let about = || format!("\"{}\": {why}", self.shown_uri());
        let reason = if self.has_own_health { why.clone() } else { about() };
        self.health.failed(&reason, Repeats::Count);
        let consequence = match held.usable {
            true => "the last good keys stay",
            false => "there are no keys",
        };
        Some(LogLine::Error(self.about(&format!("{why}; {consequence}"))))
    }

    /// Tells the other workers what this one has fetched: an answer that is `news`, or that the answer
    /// is still the one that they have.
    fn share(&self, held: &mut Held<T>, answer: &[u8], news: bool) {
        let Some(zone) = self.zone else { return };
        if news || held.generation == 0 {
            match zone.put(&self.name, answer, &held.record) {
                Some(generation) => held.generation = generation,
                // There is no room for the answer: each worker has to fetch for itself.
                None => zone.note(&self.name, &Record::default()),
            }
        } else {
            zone.note(&self.name, &held.record);
        }
    }

    /// The beginning of the URI: a line of nginx's log has at most 2 KB, and the reason is at its end.
    fn shown_uri(&self) -> String {
        let shown = self.uri.get(..SHOWN).unwrap_or(&self.uri).escape_ascii();
        let more = if self.uri.len() > SHOWN { "..." } else { "" };
        format!("{shown}{more}")
    }

    fn about(&self, what: &str) -> String {
        let shown = self.shown_uri();
        let server = match &*self.server {
            [] => String::new(),
            name => format!(" of server \"{}\"", name.escape_ascii()),
        };
        format!("token_auth: keys from \"{shown}\"{server}: {what}")
    }

    fn note(&self, record: &Record) {
        if let Some(zone) = self.zone {
            zone.note(&self.name, record);
        }
    }

    /// What the source holds now, for a report. Fetches nothing.
    pub(crate) fn report(&self, terms: &Terms, now: u64) -> SourceReport<T> {
        self.catch_up();
        let held = self.held.borrow();
        let usable = !matches!(held.record.age(terms, now), Age::Never | Age::Expired);
        SourceReport {
            value: held.value.clone().filter(|_| usable),
            times: held.record.times(terms, now),
            health: self.health.report(),
        }
    }

    /// The first name of the server; empty if it has none.
    pub(crate) fn server(&self) -> &[u8] {
        &self.server
    }

    /// Whether the last completed fetch has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.held.borrow().record.has_failed()
    }

    /// The state of the source as this worker knows it.
    fn known(&self) -> (Record, u64) {
        let held = self.held.borrow();
        (held.record, held.generation)
    }

    fn wake_all(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }
}

/// What a source holds.
pub(crate) struct SourceReport<T> {
    /// The value, if it is usable.
    pub(crate) value: Option<Arc<T>>,
    /// `None` if it was never fetched.
    pub(crate) times: Option<Times>,
    pub(crate) health: HealthReport,
}

impl<T: 'static> Asker for Source<T> {
    fn uri(&self) -> &[u8] {
        &self.uri
    }

    fn is_waited_for(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    fn done(&self, answer: Answer, now: u64) -> Option<LogLine> {
        let word = self.settle(answer, now);
        self.wake_all();
        word
    }
}

/// A request that waits. Dropping this ends the wait.
pub(crate) struct Waiting<T> {
    source: Weak<Source<T>>,
    waker: Waker,
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        if let Some(source) = self.source.upgrade() {
            source.waiting.borrow_mut().retain(|waker| *waker != self.waker);
        }
    }
}
