//! What the page shows, in each of its formats: gathered from the counters of all workers and the state of
//! the sources.

use std::collections::BTreeMap;

use serde::Serialize;
use token::{Algorithm, Reject};

use super::board::{Board, MINUTES};
use super::counters::Counters;
use super::labels::Label;
use super::tally::{Counts, Event, RECENT, Tally};
use crate::live::{SourceKind, SourceState};
use crate::nginx::{VERSION, now};

/// A format of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Json,
    Prometheus,
}

impl Format {
    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"html" => Some(Self::Html),
            b"json" => Some(Self::Json),
            b"prometheus" => Some(Self::Prometheus),
            _ => None,
        }
    }
}

/// Everything that the page shows; also the members of its JSON. Times are in seconds since the epoch,
/// counts are since the start.
#[derive(Serialize)]
pub(super) struct Report {
    /// The versions of the module and of nginx.
    pub(super) version: &'static str,
    pub(super) nginx: &'static str,
    pub(super) time: i64,
    /// When the counters began, when the configuration came into force, and how often it was loaded again.
    pub(super) started: i64,
    pub(super) loaded: i64,
    pub(super) reloads: u64,
    /// How many workers are alive and have judged a request.
    pub(super) workers: usize,
    pub(super) checks: Vec<CheckReport>,
    pub(super) trials: Vec<TrialReport>,
    pub(super) sources: Vec<SourceReport>,
    pub(super) cache: CacheReport,
    /// How many signatures were verified, by algorithm; those of algorithms that have occurred.
    pub(super) signatures: BTreeMap<&'static str, u64>,
    /// How many tokens were signed, in the same way.
    pub(super) signed: BTreeMap<&'static str, u64>,
    /// How many tokens were let through although a list was not there (`missing=pass`).
    pub(super) unchecked: u64,
    /// All checks together, minute by minute; the minute that runs is the last one.
    pub(super) minutes: Vec<MinuteReport>,
}

/// A check in a location.
#[derive(Serialize)]
pub(super) struct CheckReport {
    /// The name of the server or, if it has none, the address at which it listens.
    pub(super) server: String,
    /// The name of the location, or its regular expression; empty for requests that no location takes.
    pub(super) location: String,
    /// `jwt` or `secure_token`.
    pub(super) check: &'static str,
    pub(super) total: Numbers,
    /// The last five minutes, and what has passed of the one that runs.
    pub(super) recent: Numbers,
}

/// How many requests have got which result.
#[derive(Serialize, Default, Clone)]
pub(super) struct Numbers {
    pub(super) passed: u64,
    /// `optional`, and there was no credential.
    pub(super) absent: u64,
    /// No verdict: the answer was 500.
    pub(super) failed: u64,
    /// Of those that have passed: how many a rule that is only tried would have refused.
    pub(super) tried: u64,
    /// Refused, by `$jwt_status` or `$secure_token_status`.
    pub(super) refused: BTreeMap<&'static str, u64>,
    /// Not refused though the check would have: `permissive`, or `satisfy any`.
    pub(super) let_through: BTreeMap<&'static str, u64>,
}

impl Numbers {
    fn of<N: Copy + Default + Into<u64>>(counts: &Counts<N>) -> Self {
        let get = |event| counts.get(event).into();
        let by_reason = |event: fn(Reject) -> Event| {
            let all = Reject::ALL.into_iter().map(|reason| (reason.status(), get(event(reason))));
            all.filter(|(_, count)| *count > 0).collect()
        };
        Self {
            passed: get(Event::Passed),
            absent: get(Event::Absent),
            failed: get(Event::Failed),
            tried: get(Event::Tried),
            refused: by_reason(Event::Refused),
            let_through: by_reason(Event::LetThrough),
        }
    }

    /// Adds other numbers.
    pub(super) fn add(&mut self, other: &Self) {
        let Self { passed, absent, failed, tried, refused, let_through } = other;
        self.passed += passed;
        self.absent += absent;
        self.failed += failed;
        self.tried += tried;
        for (sum, more) in [(&mut self.refused, refused), (&mut self.let_through, let_through)] {
            more.iter().for_each(|(reason, count)| *sum.entry(reason).or_default() += count);
        }
    }

    /// How many were refused.
    pub(super) fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// How many would have been refused, but were not.
    pub(super) fn lenient(&self) -> u64 {
        self.let_through.values().sum()
    }

    /// How many requests there were.
    pub(super) fn requests(&self) -> u64 {
        self.passed + self.absent + self.failed + self.refusals() + self.lenient()
    }
}

/// A rule that is only tried.
#[derive(Serialize)]
pub(super) struct TrialReport {
    /// The file and line.
    pub(super) rule: String,
    pub(super) holds: u64,
    pub(super) would_refuse: u64,
    pub(super) recent_would_refuse: u64,
}

/// A source of keys, or a list.
#[derive(Serialize)]
pub(super) struct SourceReport {
    /// `keys` or `list`.
    pub(super) kind: &'static str,
    pub(super) directive: String,
    /// The file and line of the directive.
    pub(super) position: String,
    /// The file or URI; empty for keys that the directive itself has.
    pub(super) name: String,
    /// The server that has the URI.
    pub(super) server: String,
    /// `ok`, `failing` (the last attempt has failed), `down` (and there are no keys, or no list), or `expired` (it was
    /// not asked for so long that its keys are too old; the next request has to wait for new ones).
    pub(super) state: &'static str,
    /// How many keys or values there are; null if that depends on requests.
    pub(super) entries: Option<usize>,
    pub(super) kids: Vec<String>,
    pub(super) last_good: Option<i64>,
    /// When the next use reads the source again.
    pub(super) next_refresh: Option<i64>,
    /// When the keys will no longer be used if no refresh succeeds.
    pub(super) expires: Option<i64>,
    pub(super) failures: u64,
    pub(super) last_failure: Option<i64>,
    /// Why it failed last.
    pub(super) reason: Option<String>,
}

impl From<SourceState> for SourceReport {
    fn from(source: SourceState) -> Self {
        let SourceState { kind, directive, position, name, server, .. } = source;
        let health = source.health;
        let is_gone = source.is_missing || source.entries == Some(0);
        let is_over = is_gone && source.expires.is_some_and(|time| time <= now());
        let state = match (health.is_failing, kind, source.entries) {
            (false, ..) if is_over => "expired",
            (false, ..) => "ok",
            (true, SourceKind::Keys, Some(0)) => "down",
            (true, ..) if source.is_missing => "down",
            (true, ..) => "failing",
        };
        let (last_failure, reason) = health.failure.unzip();
        Self {
            kind: match kind {
                SourceKind::Keys => "keys",
                SourceKind::List => "list",
            },
            directive,
            position: plain(position),
            name: plain(name),
            server: plain(server),
            state,
            entries: source.entries,
            kids: source.kids.into_iter().map(plain).collect(),
            last_good: health.good,
            next_refresh: source.refresh,
            expires: source.expires,
            failures: health.failures,
            last_failure,
            reason: reason.map(plain),
        }
    }
}

/// A text that shows as it is: what is invisible, or changes the order in which a text is shown, is
/// escaped.
fn plain(text: String) -> String {
    let is_hidden = |char: char| {
        char.is_control()
            || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
    };
    if !text.contains(is_hidden) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match is_hidden(char) {
            true => out.extend(char.escape_unicode()),
            false => out.push(char),
        }
    }
    out
}

/// The caches of all workers.
#[derive(Serialize)]
pub(super) struct CacheReport {
    /// How often a signature need not be verified, and how often it had to be.
    pub(super) hits: u64,
    pub(super) misses: u64,
    /// How often it had not to be although the worker's cache did not know the token: the memo that workers share did.
    pub(super) shared_hits: u64,
    /// How many tokens have made room for others.
    pub(super) evictions: u64,
    /// How many tokens there are now, and how many bytes they take.
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// A minute of all checks together.
#[derive(Serialize)]
pub(super) struct MinuteReport {
    /// When it began.
    pub(super) time: u64,
    #[serde(flatten)]
    pub(super) numbers: Numbers,
}

impl Report {
    /// The report of what all workers have added up so far, and this one until now. `None` if there is no
    /// shared memory.
    pub(super) fn gather(counters: &Counters, sources: Vec<SourceState>) -> Option<Self> {
        counters.add_up();
        let board = counters.board()?;
        let time = now();
        let minute = time.unsigned_abs() / 60;
        let (mut checks, mut trials) = (Vec::new(), Vec::new());
        for (label, tally) in counters.tallies() {
            let recent = recent(&tally, minute);
            match label {
                Label::Check { server, location, check } => {
                    let total = Numbers::of(&tally.totals);
                    let (server, location) = (plain(server), plain(location));
                    checks.push(CheckReport { server, location, check, total, recent });
                }
                Label::Rule(rule) => trials.push(TrialReport {
                    rule: plain(rule),
                    holds: tally.totals.get(Event::Passed),
                    would_refuse: tally.totals.get(Event::Tried),
                    recent_would_refuse: recent.tried,
                }),
            }
        }
        let (started, loaded, reloads) = counters.life();
        Some(Self {
            version: env!("CARGO_PKG_VERSION"),
            nginx: VERSION,
            time,
            started,
            loaded,
            reloads,
            workers: board.workers.iter().filter(|worker| worker.process != 0).count(),
            checks,
            trials,
            sources: sources.into_iter().map(Into::into).collect(),
            cache: CacheReport::of(&board),
            signatures: by_algorithm(&board.work.signatures),
            signed: by_algorithm(&board.work.signed),
            unchecked: board.work.unchecked,
            minutes: minutes(&board, minute),
        })
    }
}

fn recent(tally: &Tally, minute: u64) -> Numbers {
    let mut sum = Counts::default();
    for back in 0..RECENT as u64 {
        sum.add(&tally.recent.of(minute.saturating_sub(back)));
    }
    Numbers::of(&sum)
}

impl CacheReport {
    fn of(board: &Board) -> Self {
        let work = &board.work;
        Self {
            hits: work.hits,
            misses: work.misses,
            shared_hits: work.shared_hits,
            evictions: work.evictions,
            entries: board.workers.iter().map(|worker| worker.cached).sum(),
            bytes: board.workers.iter().map(|worker| worker.used).sum(),
        }
    }
}

/// The counts of algorithms that have occurred.
fn by_algorithm(counts: &[u64]) -> BTreeMap<&'static str, u64> {
    let names = Algorithm::ALL.into_iter().map(Algorithm::name);
    names.zip(counts.iter().copied()).filter(|(_, count)| *count > 0).collect()
}

fn minutes(board: &Board, minute: u64) -> Vec<MinuteReport> {
    let of = |number| {
        let numbers = Numbers::of(&board.minutes.of(number));
        MinuteReport { time: number * 60, numbers }
    };
    (minute.saturating_sub(MINUTES as u64 - 1)..=minute).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        assert_eq!(plain("/a é <b>".to_owned()), "/a é <b>");
        assert_eq!(plain("a\r\0\u{202e}b".to_owned()), "a\\u{d}\\u{0}\\u{202e}b");
    }
}
