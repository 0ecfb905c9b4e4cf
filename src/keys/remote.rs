//! Keys that are fetched (`jwks_request`): what a worker holds of each source, when it has it
//! fetched, and which requests wait for it.
//!
//! A source is a URI of a server. It holds the last good keys and decides by its
//! [`Record`](token::schedule::Record) what a request gets: the keys, or the keys while they are
//! refreshed behind its back, or the word that it has to wait.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use token::KeySet;
use token::schedule::{Age, FetchDecision, FetchReason, Record, Terms};

use super::fetch::{self, Answer, Asker, Word};
use super::zone::Zone;
use crate::nginx::{self, Server, Ticker, Waker};

/// How many sources a worker holds; a URI may be made from what clients send.
const KEPT: usize = 1024;

/// How often a worker looks whether keys have come that another one fetches, in milliseconds.
const TICK: usize = 20;

/// How much of a URI is shown in the log, in bytes.
const SHOWN: usize = 200;

/// By the [id](Server::id) of the server, and the URI.
type ByServer = HashMap<usize, HashMap<Box<[u8]>, Rc<Source>>>;

/// The sources of a worker, by server and URI.
#[derive(Default)]
pub(crate) struct Sources {
    by_server: RefCell<ByServer>,
    count: Cell<usize>,
    /// What tells the servers apart, also after a reload.
    descriptions: RefCell<HashMap<usize, Box<[u8]>>>,
    elsewhere: Rc<Elsewhere>,
    /// Looks at those; made when it is first needed.
    ticker: OnceCell<Ticker>,
}

/// The sources that requests wait for while another worker fetches them: nobody here hears of it
/// when that fetch ends, so one look at a time serves all who wait.
#[derive(Default)]
struct Elsewhere(RefCell<Vec<Awaited>>);

/// One of them, and what was known of it when the first request began to wait.
struct Awaited {
    source: Rc<Source>,
    record: Record,
    generation: u64,
}

/// A URI that keys are fetched from.
pub(crate) struct Source {
    uri: Box<[u8]>,
    /// What it is called in the zone: the server and the URI.
    name: Box<[u8]>,
    /// `None` where there is no memory for one.
    zone: Option<Zone>,
    held: RefCell<Held>,
    waiting: RefCell<Vec<Waker>>,
    /// When it was last asked, for making room.
    used: Cell<u64>,
}

/// What a worker holds of a source.
#[derive(Default)]
struct Held {
    keys: Option<Arc<KeySet>>,
    /// The answer that they are from, hashed: the same answer again is no new key set.
    digest: Option<[u8; 32]>,
    record: Record,
    /// The generation of the answer.
    generation: u64,
    /// The number of changes in the zone when it was last looked at.
    looked: u64,
    /// Whether the keys served when they were last asked for.
    usable: bool,
    /// Whether this worker is the one that fetches.
    fetching: bool,
}

/// What a source has to say to a request.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) keys: Option<Arc<KeySet>>,
    /// Whether keys are on their way.
    pub(crate) under_way: bool,
}

impl Sources {
    /// Has the servers known, each by its [id](Server::id) and by what stays the same when the
    /// configuration is read anew.
    pub(crate) fn describe(&self, servers: HashMap<usize, Box<[u8]>>) {
        self.descriptions.replace(servers);
    }

    /// The source at `uri` of a server.
    pub(crate) fn get(&self, server: Server<'_>, zone: Option<Zone>, uri: &[u8]) -> Rc<Source> {
        let mut by_server = self.by_server.borrow_mut();
        if let Some(source) = by_server.get(&server.id()).and_then(|sources| sources.get(uri)) {
            return Rc::clone(source);
        }
        if self.count.get() >= KEPT {
            self.count.set(self.count.get() - make_room(&mut by_server));
        }
        let descriptions = self.descriptions.borrow();
        let description = descriptions.get(&server.id()).map(|name| &**name).unwrap_or_default();
        let name = [description, b" ", uri].concat().into();
        let source = Rc::new(Source {
            uri: uri.into(),
            name,
            zone,
            held: RefCell::default(),
            waiting: RefCell::default(),
            used: Cell::default(),
        });
        by_server.entry(server.id()).or_default().insert(uri.into(), Rc::clone(&source));
        self.count.set(self.count.get() + 1);
        source
    }
}

impl Sources {
    /// Has a request woken when the fetch that is under way is over, whoever makes it.
    pub(crate) fn wait(&self, source: &Rc<Source>, waker: Waker, server: Server<'_>) -> Waiting {
        source.waiting.borrow_mut().push(waker);
        if !source.held.borrow().fetching {
            self.elsewhere.add(source);
            let tick = || {
                let elsewhere = Rc::clone(&self.elsewhere);
                Ticker::new(TICK, server.log(), Box::new(move || elsewhere.look(nginx::clock())))
            };
            self.ticker.get_or_init(tick).start();
        }
        Waiting { source: Rc::downgrade(source), waker }
    }
}

impl Elsewhere {
    fn add(&self, source: &Rc<Source>) {
        let mut awaited = self.0.borrow_mut();
        if !awaited.iter().any(|one| Rc::ptr_eq(&one.source, source)) {
            let (record, generation) = source.known();
            awaited.push(Awaited { source: Rc::clone(source), record, generation });
        }
    }

    /// Wakes those whose source has changed, and tells whether others still wait.
    fn look(&self, now: u64) -> bool {
        let mut awaited = self.0.borrow_mut();
        awaited.retain(|one| {
            one.source.look();
            let same = one.source.known() == (one.record, one.generation);
            if same && one.source.is_under_way(&one.source.held.borrow(), now) {
                return !one.source.waiting.borrow().is_empty();
            }
            one.source.wake_all();
            false
        });
        !awaited.is_empty()
    }
}

/// Drops the half of the sources that was asked longest ago, and tells how many that are. One that
/// is being fetched lives on until its fetch is over.
fn make_room(by_server: &mut ByServer) -> usize {
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

impl Source {
    /// The keys for a request, and whether others are on their way; has them fetched where their
    /// age wants it.
    pub(crate) fn keys(self: &Rc<Self>, server: Server<'_>, terms: &Terms, now: u64) -> Keys {
        self.used.set(now);
        self.look();
        match self.age(terms, now) {
            Age::Fresh => {}
            Age::Never | Age::Due | Age::Expired => {
                self.fetch(server, FetchReason::Age, terms, now);
            }
        }
        let usable = !matches!(self.age(terms, now), Age::Never | Age::Expired);
        let mut held = self.held.borrow_mut();
        held.usable = usable;
        Keys {
            keys: held.keys.clone().filter(|_| usable),
            under_way: self.is_under_way(&held, now),
        }
    }

    /// Has the keys fetched again, since a token names a kid that is not among them; tells whether
    /// it is worth waiting for.
    pub(crate) fn look_for_unknown_kid(
        self: &Rc<Self>,
        server: Server<'_>,
        terms: &Terms,
        now: u64,
    ) -> bool {
        self.fetch(server, FetchReason::UnknownKid, terms, now)
    }

    fn age(&self, terms: &Terms, now: u64) -> Age {
        self.held.borrow().record.age(terms, now)
    }

    /// Fetches, if it is time to and nobody does yet; tells whether a fetch is under way.
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
        let shared = self.zone.and_then(|zone| zone.claim(&self.name, purpose, terms, now));
        let claim = match shared {
            Some(claim) => {
                self.look_again();
                claim
            }
            None => {
                let mut held = self.held.borrow_mut();
                // What another worker fetches does not come here any more.
                held.record.given_up();
                held.record.try_begin(purpose, terms, now)
            }
        };
        if claim == FetchDecision::Fetch {
            self.held.borrow_mut().fetching = true;
            fetch::start(server, Rc::clone(self) as Rc<dyn Asker>, terms.timeout);
        }
        claim != FetchDecision::NotNow
    }

    /// Whether keys are on their way, to this worker or to another that shares them and lives.
    fn is_under_way(&self, held: &Held, now: u64) -> bool {
        let shared = || self.zone.is_some_and(Zone::is_current);
        let alive = || held.record.fetcher().is_some_and(nginx::is_alive);
        held.fetching || (held.record.is_under_way(now) && shared() && alive())
    }

    /// Takes over what another worker has fetched since.
    fn look(&self) {
        let Some(zone) = self.zone else { return };
        let changes = zone.changes();
        if self.held.borrow().looked != changes {
            self.look_again();
            self.held.borrow_mut().looked = changes;
        }
    }

    fn look_again(&self) {
        let mut held = self.held.borrow_mut();
        let Some(seen) = self.zone.and_then(|zone| zone.look(&self.name, held.generation)) else {
            return;
        };
        if let Some(answer) = seen.answer
            && held.take(&answer).is_ok()
        {
            held.generation = seen.generation;
        }
        // The zone may have had no room for what this worker has, or had to forget it.
        let same = seen.generation != 0 && held.generation == seen.generation;
        if held.keys.is_none() || same {
            held.record = seen.record;
        }
    }

    fn settle(&self, answer: Answer, now: u64) -> Option<Word> {
        let mut held = self.held.borrow_mut();
        held.fetching = false;
        let why = match answer {
            Answer::Failed(why) => why,
            Answer::Unwanted => {
                held.record.given_up();
                self.note(&held.record);
                return None;
            }
            Answer::Keys { body, max_age } => match held.take(&body) {
                Ok(warnings) => {
                    held.record.succeeded(max_age, now);
                    self.share(&mut held, &body, warnings.is_some());
                    let warnings = warnings.filter(|list| !list.is_empty())?;
                    return Some(Word::Warning(self.about(&warnings.join("; "))));
                }
                Err(why) => why,
            },
        };
        held.record.failed(now);
        self.note(&held.record);
        let consequence = match held.usable {
            true => "the last good keys stay",
            false => "there are no keys",
        };
        Some(Word::Error(self.about(&format!("{why}; {consequence}"))))
    }

    /// Tells the other workers what this one has fetched: an answer that is `news`, or that it is
    /// the one they have.
    fn share(&self, held: &mut Held, answer: &[u8], news: bool) {
        let Some(zone) = self.zone else { return };
        if news || held.generation == 0 {
            match zone.put(&self.name, answer, &held.record) {
                Some(generation) => held.generation = generation,
                // There is no room for it: each has to fetch for itself.
                None => zone.note(&self.name, &Record::default()),
            }
        } else {
            zone.note(&self.name, &held.record);
        }
    }

    fn about(&self, what: &str) -> String {
        // A line of nginx's log has 2 KB, and the reason is at its end.
        let shown = self.uri.get(..SHOWN).unwrap_or(&self.uri).escape_ascii();
        let more = if self.uri.len() > SHOWN { "..." } else { "" };
        format!("token_auth: keys from \"{shown}{more}\": {what}")
    }

    fn note(&self, record: &Record) {
        if let Some(zone) = self.zone {
            zone.note(&self.name, record);
        }
    }

    /// Whether the last fetch that ended has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.held.borrow().record.has_failed()
    }

    /// What this worker knows of it.
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

impl Asker for Source {
    fn uri(&self) -> &[u8] {
        &self.uri
    }

    fn is_waited_for(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    fn done(&self, answer: Answer, now: u64) -> Option<Word> {
        let word = self.settle(answer, now);
        self.wake_all();
        word
    }
}

impl Held {
    /// Takes the keys of `answer` over, whole; gives the warnings of one that is another than
    /// before.
    fn take(&mut self, answer: &[u8]) -> Result<Option<Vec<String>>, String> {
        let digest = token::fingerprint(answer);
        if self.digest == Some(digest) {
            return Ok(None);
        }
        let loaded = token::load_published_keys(answer)
            .map_err(|error| format!("the answer cannot be used: {error}"))?;
        self.keys = Some(Arc::new(KeySet::new(loaded.keys)));
        self.digest = Some(digest);
        Ok(Some(loaded.warnings))
    }
}

/// A request that waits, for as long as it does.
pub(crate) struct Waiting {
    source: Weak<Source>,
    waker: Waker,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(source) = self.source.upgrade() {
            source.waiting.borrow_mut().retain(|waker| *waker != self.waker);
        }
    }
}
