//! How the sources of keys and the lists are doing: when each was last good, and what failed last. All
//! workers tell it to each other, so that each can show it.

use std::cell::Cell;
use std::rc::Rc;

use token::jwe::DecryptionKeys;
use token::{KeySet, Revocation};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::rows::{Row, Rows};
use crate::nginx::{SharedMemory, now};

/// The longest reason, in bytes.
const REASON: usize = 968;

/// What is kept of a source. Times are in seconds since the epoch; 0 means never.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Standing {
    good: i64,
    failed: i64,
    failures: u64,
    /// 1 if the last attempt has failed.
    is_failing: u64,
    reason_len: u64,
    reason: [u8; REASON],
}

impl Row for Standing {
    const TABLE: &'static str = "health";
    const AT_ONCE: usize = 64;
}

impl Standing {
    fn reason(&self) -> &[u8] {
        let len = usize::try_from(self.reason_len).unwrap_or(REASON).min(REASON);
        self.reason.get(..len).unwrap_or_default()
    }
}

/// The table of all sources.
#[derive(Default)]
pub(crate) struct HealthTable(Rc<Rows<Standing>>);

impl HealthTable {
    /// The row of the source with this name.
    pub(crate) fn add(&self, name: &[u8]) -> Health {
        Health { rows: Rc::clone(&self.0), number: self.0.add(name), told: Cell::new(0) }
    }

    /// [`Rows::declare`].
    pub(crate) fn declare(&self, memory: &SharedMemory<'_>) -> Option<()> {
        self.0.declare(memory)
    }

    /// [`Rows::assign`].
    pub(crate) fn assign(&self) {
        self.0.assign();
    }
}

/// How one source is doing. Telling it does nothing unless the table is in force.
#[derive(Clone)]
pub(crate) struct Health {
    rows: Rc<Rows<Standing>>,
    number: usize,
    /// The second in which this worker last told that the source is good.
    told: Cell<i64>,
}

/// Whether failures with the same reason, one after the other, are one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// Each is one more: somebody has asked again.
    Count,
    /// They are one: each worker reads the same file.
    AreOne,
}

/// What is known of a source.
#[derive(Default, Clone)]
pub(crate) struct HealthReport {
    /// When it was last good, in seconds since the epoch.
    pub(crate) good: Option<i64>,
    /// When it last failed, and why.
    pub(crate) failure: Option<(i64, String)>,
    pub(crate) failures: u64,
    /// Whether the last attempt has failed.
    pub(crate) is_failing: bool,
}

impl Health {
    /// The source is good now.
    pub(crate) fn good(&self) {
        let now = now();
        if self.told.replace(now) != now {
            self.rows.with(self.number, |row| (row.good, row.is_failing) = (now, 0));
        }
    }

    /// An attempt to read the source has failed.
    pub(crate) fn failed(&self, reason: &str, repeats: Repeats) {
        let now = now();
        self.told.set(0);
        let mut end = reason.len().min(REASON);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let reason = reason.get(..end).unwrap_or_default().as_bytes();
        self.rows.with(self.number, |row| {
            let same = row.is_failing != 0 && row.reason() == reason;
            if !same || repeats == Repeats::Count {
                row.failures += 1;
            }
            (row.failed, row.is_failing, row.reason_len) = (now, 1, reason.len() as u64);
            row.reason.iter_mut().zip(reason).for_each(|(to, from)| *to = *from);
        });
    }

    /// What is known of the source.
    pub(crate) fn report(&self) -> HealthReport {
        let Some(row) = self.rows.get(self.number) else { return HealthReport::default() };
        let reason = || String::from_utf8_lossy(row.reason()).into_owned();
        HealthReport {
            good: Some(row.good).filter(|time| *time != 0),
            failure: (row.failed != 0).then(|| (row.failed, reason())),
            failures: row.failures,
            is_failing: row.is_failing != 0,
        }
    }
}

/// A source of keys or a list, for a report. Times are in seconds since the epoch.
#[derive(Default, Clone)]
pub(crate) struct SourceState {
    pub(crate) kind: SourceKind,
    /// The directive, and its file and line.
    pub(crate) directive: String,
    pub(crate) position: String,
    /// The file or the URI; empty for keys that the directive itself has.
    pub(crate) name: String,
    /// The server that has the URI; empty if it has no name, and for files.
    pub(crate) server: String,
    /// How many keys or values there are now; `None` if that depends on requests.
    pub(crate) entries: Option<usize>,
    pub(crate) kids: Vec<String>,
    /// Whether it is a list that is not there.
    pub(crate) is_missing: bool,
    /// When the next use of the source reads it again, and when its keys will no longer be used if no
    /// refresh succeeds.
    pub(crate) refresh: Option<i64>,
    pub(crate) expires: Option<i64>,
    pub(crate) health: HealthReport,
}

impl SourceState {
    /// Takes what a watched file reports: how it is doing, and for how many milliseconds its last check counts.
    /// If no check has been good yet, the last good content is the one that was known before.
    pub(crate) fn watched(&mut self, (health, left): (HealthReport, u64)) {
        let good = health.good.or(self.health.good);
        self.health = HealthReport { good, ..health };
        self.refresh = Some(now().saturating_add_unsigned(left / 1000));
    }
}

/// What a source brings.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceKind {
    #[default]
    Keys,
    List,
}

/// What a source holds, for a report.
pub(crate) trait Contents {
    /// How many keys or values it has.
    fn entries(&self) -> usize;

    /// The kids of its keys.
    fn kids(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Contents for KeySet {
    fn entries(&self) -> usize {
        self.len()
    }

    fn kids(&self) -> Vec<String> {
        self.kids().map(str::to_owned).collect()
    }
}

impl Contents for DecryptionKeys {
    fn entries(&self) -> usize {
        self.keys().len()
    }

    fn kids(&self) -> Vec<String> {
        self.keys().iter().filter_map(|key| key.kid().map(str::to_owned)).collect()
    }
}

impl Contents for Revocation {
    fn entries(&self) -> usize {
        self.len()
    }
}
