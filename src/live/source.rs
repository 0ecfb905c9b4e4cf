//! A fetched source (`jwks_request`, `jwt_revoked_request`, `jwt_status_list`): what a worker stores of it,
//! and when it fetches.
//!
//! A source is a URI of a server. It holds the last good value. Its [`Record`] decides what a request gets:
//! the value, even while a new one is being fetched, or nothing while the first fetch runs.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use token::schedule::{Age, FetchDecision, FetchReason, Record, Terms};

use super::health::{Repeats, SourceState};
use super::held::{About, Held};
use super::intake::{Finished, Intake, NO_ROOM};
use super::kind::{Burden, Kind, Shared, Step, Wording};
use super::origin::Origin;
use super::wait::Awaited;
use crate::nginx::{
    Answer, Asker, Log, LogLine, Question, Rank, Server, Waker, Zone, clock, in_steps, is_alive,
    now, start_fetch,
};

/// How many bytes of a URI the log shows.
const SHOWN: usize = 200;

/// A URI that something is fetched from.
pub(crate) struct Source<K: Kind> {
    kind: K,
    /// [`Rank::Rationed`]: a kid in a token is a part of the URI. A source that is not there (404, 410) has
    /// an empty answer, which stays for a while; fetches of sources that have no other are rationed.
    rank: Rank,
    origin: Origin,
    held: RefCell<Held<K::Value>>,
    /// The answer that this worker is fetching.
    arriving: RefCell<Option<K::Arriving>>,
    intake: RefCell<Option<Intake<K>>>,
    waiting: RefCell<Vec<Waker>>,
    /// When it was last used: sources that were not used for long are dropped first.
    used: Cell<u64>,
}

/// What a source gives to a request.
pub(crate) struct Current<T> {
    pub(crate) value: Option<Arc<T>>,
    /// Whether a fetch is running, if the value is missing or due.
    pub(crate) under_way: bool,
    /// How long ago the value should have been fetched again, in milliseconds.
    pub(crate) overdue: u64,
}

impl<K: Kind> Source<K> {
    pub(super) fn new(kind: K, rank: Rank, origin: Origin) -> Self {
        Self {
            kind,
            rank,
            origin,
            held: RefCell::default(),
            arriving: RefCell::default(),
            intake: RefCell::default(),
            waiting: RefCell::default(),
            used: Cell::default(),
        }
    }

    /// What the source is.
    pub(crate) fn kind(&self) -> &K {
        &self.kind
    }

    pub(super) fn last_used(&self) -> u64 {
        self.used.get()
    }

    /// The value for a request. Starts a fetch if the value is missing or old enough.
    pub(crate) fn get(
        self: &Rc<Self>,
        server: Server<'_>,
        terms: &Terms,
        now: u64,
    ) -> Current<K::Value> {
        self.used.set(now);
        self.catch_up();
        if let Some(current) = self.fresh(terms, now) {
            return current;
        }
        match self.age(terms, now) {
            Age::Fresh => {}
            Age::Never | Age::Due | Age::Expired => {
                self.fetch(server, FetchReason::Age, terms, now);
            }
        }
        let usable = !matches!(self.age(terms, now), Age::Never | Age::Expired);
        let mut held = self.held.borrow_mut();
        held.usable = usable;
        let refresh_in = held.record.times(terms, now).map_or(0, |times| times.refresh_in);
        let overdue = u64::try_from(refresh_in.saturating_neg()).unwrap_or(0);
        Current {
            overdue,
            value: held.value.clone().filter(|_| usable),
            // Nobody waits for a value that is fresh enough.
            under_way: (!usable || overdue > 0) && self.is_under_way_for(&held, now),
        }
    }

    /// What most requests get: the value, if it need not be fetched yet.
    fn fresh(&self, terms: &Terms, now: u64) -> Option<Current<K::Value>> {
        let held = self.held.borrow();
        let is_fresh = held.usable && held.record.age(&held.terms(terms), now) == Age::Fresh;
        let value = held.value.as_ref().filter(|_| is_fresh)?;
        Some(Current { value: Some(Arc::clone(value)), under_way: false, overdue: 0 })
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
        if self.is_under_way_for(&self.held.borrow(), now) {
            return true;
        }
        let (terms, rank) = {
            let held = self.held.borrow();
            let is_known = held.value.is_some() && !held.is_absent;
            let is_rationed = self.rank == Rank::Rationed && !is_known;
            let rank = if self.rank == Rank::Kept || is_rationed { self.rank } else { Rank::Usual };
            (held.terms(terms), rank)
        };
        let claim = |zone: Zone| zone.claim(&self.origin.name, rank, purpose, &terms, now);
        let claim = match self.origin.zone.and_then(claim) {
            Some(claim) => {
                self.load_shared();
                claim
            }
            // Without the zone nothing counts for all workers.
            None if rank == Rank::Rationed => FetchDecision::NotNow,
            None if K::IN_ZONE => {
                self.has_no_place(server, &terms, now);
                FetchDecision::NotNow
            }
            None => {
                let mut held = self.held.borrow_mut();
                // What another worker fetches does not reach this one any more.
                held.record.given_up();
                held.record.try_begin(purpose, &terms, now)
            }
        };
        if claim == FetchDecision::Fetch {
            self.held.borrow_mut().fetching = true;
            self.arriving.replace(Some(self.kind.begin()));
            start_fetch(server, Rc::clone(self) as Rc<dyn Asker>, terms.timeout);
        }
        claim != FetchDecision::NotNow
    }

    /// The zone has no room even for the name of the source: that is told as a fetch that has failed.
    fn has_no_place(&self, server: Server<'_>, terms: &Terms, now: u64) {
        let mut held = self.held.borrow_mut();
        // Workers of an older configuration have no place, either, and need none.
        let is_ours = self.origin.zone.is_some_and(Zone::is_current);
        if is_ours && held.record.try_begin(FetchReason::Age, terms, now) == FetchDecision::Fetch {
            drop(held);
            server.log_line(self.failed(NO_ROOM, now));
        }
    }

    /// Whether a fetch is running: of this worker, or of another one that is alive and shares its
    /// answers.
    fn is_under_way_for(&self, held: &Held<K::Value>, now: u64) -> bool {
        let shared = || self.origin.zone.is_some_and(Zone::is_current);
        let alive = || held.record.fetcher().is_some_and(is_alive);
        held.fetching || (held.record.is_under_way(now) && shared() && alive())
    }

    /// Takes over what other workers have fetched, if the zone has changed.
    fn catch_up(&self) {
        let Some(zone) = self.origin.zone else { return };
        let changes = zone.changes();
        if self.held.borrow().changes != changes {
            self.load_shared();
            self.held.borrow_mut().changes = changes;
        }
    }

    fn load_shared(&self) {
        let mut held = self.held.borrow_mut();
        let Some(zone) = self.origin.zone else { return };
        let name = &self.origin.name;
        let Some(shared) = zone.read(name, held.generation, K::IN_ZONE) else {
            if K::IN_ZONE {
                *held = Held { changes: held.changes, fetching: held.fetching, ..Held::default() };
            }
            return;
        };
        if let Some((block, about)) = shared.answer {
            let about = About::from_bytes(&about);
            let is_same = about.as_ref().is_some_and(|about| held.is_of(&about.digest));
            // A list of the same text is another table.
            if is_same && !K::IN_ZONE {
                held.generation = shared.generation;
            } else if let Some(value) = self.kind.open(Shared { block, zone, name }) {
                held.value = Some(Arc::new(value));
                held.is_absent = block.is_empty();
                (held.about, held.generation) = (about, shared.generation);
            }
        }
        // The zone may have no entry for this worker's value: it had no room, or has removed it.
        let same = shared.generation != 0 && held.generation == shared.generation;
        if held.value.is_none() || same {
            held.record = shared.record;
        }
    }

    /// The fetch has brought an answer that is taken in from now on, in steps if it is large.
    fn take_in(self: &Rc<Self>, intake: Intake<K>, log: Log) {
        self.intake.replace(Some(intake));
        let mut next = self.step(log);
        while next == Step::More && !K::IN_ZONE {
            next = self.step(log);
        }
        if next == Step::More {
            let source = Rc::clone(self);
            in_steps(log, Box::new(move || source.step(log) == Step::More));
        }
    }

    fn step(&self, log: Log) -> Step {
        let Some(mut intake) = self.intake.take() else { return Step::Last };
        let outcome = match intake.step(&self.kind, &self.origin, &self.held) {
            Ok(Step::More) => {
                self.intake.replace(Some(intake));
                return Step::More;
            }
            Ok(Step::Last) => self.taken_in(intake),
            Err(why) => {
                release(intake, log);
                Some(self.failed(&why, clock()))
            }
        };
        self.ended(outcome, log);
        Step::Last
    }

    /// An answer was read. Puts it into force, unless it is the one that is there already, and returns a
    /// line for the log.
    fn taken_in(&self, intake: Intake<K>) -> Option<LogLine> {
        let mut held = self.held.borrow_mut();
        let had_failed = held.record.has_failed();
        held.record.succeeded(intake.max_age(&self.kind), clock());
        let not_found = intake.not_found.clone();
        let finished = intake.finish(&self.kind, &self.origin, &mut held);
        let record = held.record;
        drop(held);
        let warnings = match finished {
            Finished::InForce(warnings) => warnings,
            Finished::Unchanged => {
                self.note(&record);
                Vec::new()
            }
            // There is no room for the answer: each worker has to fetch for itself.
            Finished::Alone(warnings) => {
                self.note(&Record::default());
                warnings
            }
            Finished::Lost(why) => return Some(self.failed(why, clock())),
        };
        self.origin.health.good();
        if K::IN_ZONE {
            self.load_shared();
        }
        if let Some(why) = not_found {
            return Some(LogLine::Info(self.about(&why)));
        }
        match warnings.is_empty() {
            true => self.good_again(had_failed),
            false => Some(LogLine::Warning(self.about(&warnings.join("; ")))),
        }
    }

    /// A line for the log if the fetch before has failed.
    fn good_again(&self, had_failed: bool) -> Option<LogLine> {
        had_failed.then(|| LogLine::Notice(self.about("good again")))
    }

    /// The fetch has brought that the answer is still the one that is there.
    fn not_modified(&self, max_age: Option<u64>, now: u64) -> Option<LogLine> {
        let mut held = self.held.borrow_mut();
        let had_failed = held.record.has_failed();
        held.record.succeeded(max_age, now);
        self.origin.health.good();
        self.note(&held.record);
        self.good_again(had_failed)
    }

    fn given_up(&self) {
        let mut held = self.held.borrow_mut();
        held.record.given_up();
        self.note(&held.record);
    }

    /// The fetch has brought nothing that can be used. Returns a line for the log.
    fn failed(&self, why: &str, now: u64) -> LogLine {
        let mut held = self.held.borrow_mut();
        held.record.failed(now);
        self.note(&held.record);
        let about = || format!("\"{}\": {why}", self.shown_uri());
        let reason = if self.origin.has_own_health { why.to_owned() } else { about() };
        self.origin.health.failed(&reason, Repeats::Count);
        let Wording { stays, lacks, .. } = K::WORDS;
        let consequence = if held.usable { stays } else { lacks };
        LogLine::Error(self.about(&format!("{why}; {consequence}")))
    }

    fn ended(&self, line: Option<LogLine>, log: Log) {
        self.held.borrow_mut().fetching = false;
        if let Some(line) = line {
            log.write(line);
        }
        self.wake_all();
    }

    /// The beginning of the URI: a line of nginx's log has at most 2 KB, and the reason is at its end.
    fn shown_uri(&self) -> String {
        let uri = &self.origin.uri;
        let shown = uri.get(..SHOWN).unwrap_or(uri).escape_ascii();
        let more = if uri.len() > SHOWN { "..." } else { "" };
        format!("{shown}{more}")
    }

    fn about(&self, what: &str) -> String {
        let shown = self.shown_uri();
        let server = match &*self.origin.server {
            [] => String::new(),
            name => format!(" of server \"{}\"", name.escape_ascii()),
        };
        let of = K::WORDS.what;
        format!("token_auth: {of} from \"{shown}\"{server}: {what}")
    }

    fn note(&self, record: &Record) {
        if let Some(zone) = self.origin.zone {
            zone.note(&self.origin.name, record);
        }
    }

    /// The state of the source, for a report of the directive that is so named and stands there, and the
    /// value, if it is usable. Fetches nothing.
    pub(crate) fn report(
        &self,
        (directive, position): &(Box<str>, Box<str>),
        terms: &Terms,
    ) -> (SourceState, Option<Arc<K::Value>>) {
        self.catch_up();
        let (clock, wall) = (clock(), now());
        let seconds = |ms: i64| wall.saturating_add(ms / 1000);
        let held = self.held.borrow();
        let usable = !matches!(held.record.age(terms, clock), Age::Never | Age::Expired);
        let times = held.record.times(terms, clock);
        let state = SourceState {
            directive: directive.to_string(),
            position: position.to_string(),
            name: String::from_utf8_lossy(&self.origin.uri).into_owned(),
            server: String::from_utf8_lossy(&self.origin.server).into_owned(),
            refresh: times.map(|times| seconds(times.refresh_in)),
            expires: times.map(|times| seconds(times.usable_for)),
            health: self.origin.health.report(),
            ..SourceState::default()
        };
        (state, held.value.clone().filter(|_| usable))
    }

    fn wake_all(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }
}

/// Drops what may need much memory, in steps.
fn release(mut burden: impl Burden, log: Log) {
    if burden.release() == Step::More {
        in_steps(log, Box::new(move || burden.release() == Step::More));
    }
}

impl<K: Kind> Awaited for Source<K> {
    fn waiting(&self) -> &RefCell<Vec<Waker>> {
        &self.waiting
    }

    fn has_failed(&self) -> bool {
        self.held.borrow().record.has_failed()
    }

    fn is_fetched_here(&self) -> bool {
        self.held.borrow().fetching
    }

    fn state(&self) -> (Record, u64) {
        self.catch_up();
        let held = self.held.borrow();
        (held.record, held.generation)
    }

    fn is_under_way(&self, now: u64) -> bool {
        self.is_under_way_for(&self.held.borrow(), now)
    }

    fn wake(&self) {
        self.wake_all();
    }
}

impl<K: Kind> Asker for Source<K> {
    fn uri(&self) -> &[u8] {
        &self.origin.uri
    }

    fn question(&self) -> Question {
        let held = self.held.borrow();
        let known = held.about.as_ref().filter(|_| K::IS_CONDITIONAL && held.value.is_some());
        let known = known.map(|about| about.validators.clone()).unwrap_or_default();
        Question { limit: K::LIMIT, needs_end: K::NEEDS_END, accept: K::ACCEPT, known }
    }

    fn is_waited_for(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    fn receive(&self, piece: &[u8]) -> Result<(), String> {
        let mut arriving = self.arriving.borrow_mut();
        let arriving = arriving.as_mut().ok_or("the answer is not expected")?;
        self.kind.receive(arriving, piece)
    }

    fn done(self: Rc<Self>, answer: Answer, now: u64, log: Log) {
        let Some(mut arriving) = self.arriving.take() else { return };
        let intake = match answer {
            Answer::Complete { max_age, validators } => {
                let arrived = self.kind.arrived(&mut arriving);
                arrived.map(|arrived| Intake::new(arrived, max_age, validators))
            }
            Answer::NotFound(why) if self.rank == Rank::Rationed => {
                let nothing = self.kind.arrived(&mut self.kind.begin());
                nothing.map(|nothing| Intake::not_found(nothing, why))
            }
            Answer::NotModified { max_age } => {
                let line = self.not_modified(max_age, now);
                return self.ended(line, log);
            }
            Answer::Failed(why) | Answer::NotFound(why) => Err(why),
            Answer::Unwanted => {
                release(arriving, log);
                self.given_up();
                return self.ended(None, log);
            }
        };
        release(arriving, log);
        match intake {
            Ok(intake) => self.take_in(intake, log),
            Err(why) => self.ended(Some(self.failed(&why, now)), log),
        }
    }
}
