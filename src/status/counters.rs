//! Counting: each worker counts for itself, and adds its counts to those of all workers once a second,
//! when it is asked for them, and when it exits. A worker that is killed takes with it what it has not
//! yet added: the counts of about a second.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use token::{Algorithm, SignatureCounts};

use super::board::{Board, Work, Worker};
use super::labels::{CheckRows, Label, Labels};
use super::tally::{Counts, Event, Tally};
use crate::check::{Opinion, Trial};
use crate::jwt::{Meter, TriedRule};
use crate::live::Rows;
use crate::nginx::{Level, SharedMemory, Ticker, is_alive, now, process_slot};

/// How often a worker adds up, in milliseconds.
const PAUSE: usize = 1_000;

/// When the master has first had a configuration in force, in seconds since the epoch. Workers are copies
/// of the master, so they know it, too.
static STARTED: OnceLock<i64> = OnceLock::new();

/// How many configurations have come into force.
static CONFIGURATIONS: AtomicU64 = AtomicU64::new(0);

/// The counters of a configuration.
#[derive(Default)]
pub(crate) struct Counters {
    /// Whether any location shows them: otherwise nothing is counted.
    wanted: Cell<bool>,
    shared: Rc<Shared>,
    /// When the configuration has come into force, in seconds since the epoch.
    loaded: Cell<i64>,
    /// What this worker has counted, and what has it added up.
    worker: OnceCell<(Rc<Counting>, Ticker)>,
}

/// The counters of all workers.
#[derive(Default)]
struct Shared {
    labels: Labels,
    board: Rows<Board>,
}

/// What one worker has counted since it last added it up.
struct Counting {
    shared: Rc<Shared>,
    meter: Rc<Meter>,
    /// The tokens that this worker has signed, and whether there are some that were not added up.
    signed: SignatureCounts,
    has_signed: Cell<bool>,
    counted: RefCell<Counted>,
    /// What was told of the worker's work.
    told: Cell<Work>,
}

struct Counted {
    rows: Vec<CountedRow>,
    /// The rows that have counts.
    changed: Vec<usize>,
}

#[derive(Clone, Default)]
struct CountedRow {
    counts: Counts<u32>,
    has_counts: bool,
}

impl Counters {
    /// A location shows the counters.
    pub(super) fn want(&self) {
        self.wanted.set(true);
    }

    /// Whether anything is counted.
    pub(crate) fn are_wanted(&self) -> bool {
        self.wanted.get()
    }

    /// The rows of the checks of a level that is being merged, after all directives have been read.
    pub(crate) fn rows(&self, level: &Level<'_>, token: bool, link: bool) -> CheckRows {
        let counts = self.wanted.get() && level.serves();
        let row = |has_check: bool, check| {
            (has_check && counts).then(|| self.shared.labels.check(level, check))
        };
        CheckRows { token: row(token, "jwt"), link: row(link, "secure_token") }
    }

    /// Declares the memory. `trials` are the rules that are only tried.
    pub(crate) fn declare(&self, trials: &[TriedRule], memory: &SharedMemory<'_>) -> Option<()> {
        self.shared.labels.declare(trials, memory)?;
        self.shared.board.add(b"board");
        self.shared.board.declare(memory)
    }

    /// To be called by the master when the configuration has come into force.
    pub(crate) fn in_force(&self) {
        let now = now();
        STARTED.get_or_init(|| now);
        CONFIGURATIONS.fetch_add(1, Ordering::Relaxed);
        self.loaded.set(now);
        self.shared.labels.tallies.assign();
        self.shared.board.assign();
    }

    /// To be called when a worker starts: what is allocated later would lie among what requests allocate.
    pub(crate) fn worker_starts(&self, meter: &Rc<Meter>) {
        if self.wanted.get() {
            self.worker(meter);
        }
    }

    /// Counts what a check has said of a request in its location. `refused` says whether the request is
    /// refused.
    pub(crate) fn count(
        &self,
        meter: &Rc<Meter>,
        row: Option<usize>,
        opinion: &Opinion,
        refused: bool,
    ) {
        let (Some(row), Some(event)) = (row, event(opinion, refused)) else { return };
        self.count_event(meter, row, event);
        if let Opinion::Passes(trials) = opinion {
            self.count_trials(meter, row, trials);
        }
    }

    fn count_trials(&self, meter: &Rc<Meter>, row: usize, trials: &[Trial]) {
        if trials.iter().any(|trial| trial.why.is_some()) {
            self.count_event(meter, row, Event::Tried);
        }
        for trial in trials {
            let event = if trial.why.is_some() { Event::Tried } else { Event::Passed };
            if let Some(row) = self.shared.labels.rule(trial.rule) {
                self.count_event(meter, row, event);
            }
        }
    }

    /// Counts a request that the checks could not decide on.
    pub(crate) fn count_failure(&self, meter: &Rc<Meter>, rows: CheckRows) {
        if let Some(row) = rows.token.or(rows.link) {
            self.count_event(meter, row, Event::Failed);
        }
    }

    /// Counts tokens that were signed.
    pub(crate) fn count_signed(&self, meter: &Rc<Meter>, algorithm: Algorithm, tokens: usize) {
        if !self.wanted.get() || tokens == 0 {
            return;
        }
        let (counting, ticker) = self.worker(meter);
        (0..tokens).for_each(|_| counting.signed.count(algorithm));
        counting.has_signed.set(true);
        ticker.start();
    }

    fn count_event(&self, meter: &Rc<Meter>, row: usize, event: Event) {
        let (counting, ticker) = self.worker(meter);
        if counting.count(row, event) {
            ticker.start();
        }
    }

    fn worker(&self, meter: &Rc<Meter>) -> &(Rc<Counting>, Ticker) {
        self.worker.get_or_init(|| {
            let rows = vec![CountedRow::default(); self.shared.labels.len()];
            let changed = Vec::with_capacity(rows.len());
            let counting = Rc::new(Counting {
                shared: Rc::clone(&self.shared),
                meter: Rc::clone(meter),
                signed: SignatureCounts::default(),
                has_signed: Cell::default(),
                counted: RefCell::new(Counted { rows, changed }),
                told: Cell::default(),
            });
            let ticking = Rc::clone(&counting);
            (counting, Ticker::of_worker(PAUSE, Box::new(move || ticking.add_up())))
        })
    }

    /// Adds up what this worker has counted: now, because somebody asks or the worker exits.
    pub(crate) fn add_up(&self) {
        if let Some((counting, _)) = self.worker.get() {
            counting.add_up();
        }
    }

    /// What all workers have counted of each check and rule.
    pub(super) fn tallies(&self) -> Vec<(Label, Tally)> {
        self.shared.labels.read()
    }

    /// What all workers have counted together, with those workers that are alive. `None` if there is no
    /// shared memory.
    pub(super) fn board(&self) -> Option<Board> {
        let mut board = self.shared.board.get(0)?;
        for worker in &mut board.workers {
            let process = u32::try_from(worker.process).unwrap_or(0);
            if process == 0 || !is_alive(process) {
                *worker = Worker { process: 0, cached: 0, used: 0 };
            }
        }
        Some(board)
    }

    /// When the master has started, and when the configuration has come into force, in seconds since the
    /// epoch; and how often the configuration was loaded again.
    pub(super) fn life(&self) -> (i64, i64, u64) {
        let loaded = self.loaded.get();
        let started = STARTED.get().copied().unwrap_or(loaded);
        (started, loaded, CONFIGURATIONS.load(Ordering::Relaxed).saturating_sub(1))
    }
}

/// What an opinion counts as; `None` for one that is no verdict.
fn event(opinion: &Opinion, refused: bool) -> Option<Event> {
    Some(match opinion {
        Opinion::Passes(_) => Event::Passed,
        Opinion::Absent => Event::Absent,
        Opinion::Refuses(refusal) if refused => Event::Refused(refusal.reason),
        Opinion::Refuses(refusal) | Opinion::LetsThrough(refusal) => {
            Event::LetThrough(refusal.reason)
        }
        Opinion::Abstains | Opinion::Waits => return None,
    })
}

impl Counting {
    /// Returns whether there was no count before, so that somebody has to have it added up.
    fn count(&self, row: usize, event: Event) -> bool {
        let Ok(mut counted) = self.counted.try_borrow_mut() else { return false };
        let Counted { rows, changed } = &mut *counted;
        let Some(CountedRow { counts, has_counts }) = rows.get_mut(row) else { return false };
        counts.count(event);
        if std::mem::replace(has_counts, true) {
            return false;
        }
        changed.push(row);
        changed.len() == 1
    }

    /// Adds the counts to those of all workers. Returns whether there were any.
    fn add_up(&self) -> bool {
        let Ok(mut counted) = self.counted.try_borrow_mut() else { return true };
        let Counted { rows, changed } = &mut *counted;
        let has_signed = self.has_signed.take();
        if changed.is_empty() && !has_signed {
            return false;
        }
        let minute = now().unsigned_abs() / 60;
        let mut checks = Counts::default();
        for row in changed.drain(..) {
            let CountedRow { counts, .. } =
                rows.get_mut(row).map(std::mem::take).unwrap_or_default();
            if self.shared.labels.is_check(row) {
                checks.add(&counts);
            }
            self.shared.labels.tallies.with(row, |tally| tally.add(minute, &counts));
        }
        let (cache, cached, used) = self.meter.cache_state();
        let meter = &self.meter;
        let signatures = meter.signatures();
        let signed = self.signed.counts();
        let work = Work::new(cache, meter.spared(), meter.unchecked(), signatures, signed);
        let before = self.told.replace(work);
        let process = u64::from(std::process::id());
        self.shared.board.with(0, |board| {
            board.minutes.add(minute, &checks);
            board.work.add(&work, &before);
            if let Some(worker) = board.workers.get_mut(process_slot()) {
                *worker = Worker { process, cached: cached as u64, used: used as u64 };
            }
        });
        true
    }
}
