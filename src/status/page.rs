//! The report as a page for people.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Display;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::report::{CheckReport, MinuteReport, Numbers, Report, SourceReport};
use super::tally::RECENT;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How many locations and how many sources the page lists; the other formats have all of them.
const LISTED: usize = 100;

/// The value of `Content-Security-Policy`: the page may use its own style and script, and load itself
/// again.
pub(super) fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(token::fingerprint(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// The page: what `page.html` shows. Whatever comes from outside is escaped there.
#[derive(Template)]
#[template(path = "page.html")]
pub(super) struct Page<'r> {
    report: &'r Report,
    style: &'static str,
    script: &'static str,
    /// Whether the client may choose another format.
    has_choice: bool,
    /// The sources whose last attempt has failed, and how many of them are down.
    troubled: Vec<&'r SourceReport>,
    down: usize,
    /// The sources, those in trouble first, and how many are not listed.
    sources: Vec<&'r SourceReport>,
    more_sources: usize,
    /// The locations, those with most recent refusals first, how many are not listed, and those without
    /// requests.
    checks: Vec<&'r CheckReport>,
    more_checks: usize,
    idle: Vec<&'r CheckReport>,
    /// All checks together in the last minutes.
    recent: Numbers,
    columns: Vec<Column>,
    /// The most requests in a minute.
    peak: u64,
}

/// A minute in the chart. Heights are in thousandths of the chart's.
struct Column {
    x: usize,
    all: u64,
    refused: u64,
    title: String,
}

impl<'r> Page<'r> {
    /// `has_choice`: whether the client may choose another format.
    pub(super) fn new(report: &'r Report, has_choice: bool) -> Self {
        let mut sources: Vec<_> = report.sources.iter().collect();
        let is_troubled = |source: &SourceReport| matches!(source.state, "down" | "failing");
        sources.sort_by_key(|source| (source.state != "down", !is_troubled(source)));
        let down = sources.iter().filter(|source| source.state == "down").count();
        let troubled = sources.iter().copied().filter(|source| is_troubled(source)).collect();
        let more_sources = sources.len().saturating_sub(LISTED);
        sources.truncate(LISTED);
        let has_requests = |check: &&CheckReport| check.total.requests() > 0;
        let (mut checks, idle): (Vec<_>, Vec<_>) = report.checks.iter().partition(has_requests);
        checks.sort_by_key(|check| {
            let (recent, total) = (&check.recent, &check.total);
            Reverse((recent.refusals(), recent.requests(), total.refusals(), total.requests()))
        });
        let more_checks = checks.len().saturating_sub(LISTED);
        checks.truncate(LISTED);
        let mut recent = Numbers::default();
        report.minutes.iter().rev().take(RECENT).for_each(|minute| recent.add(&minute.numbers));
        let peak = report.minutes.iter().map(|minute| minute.numbers.requests()).max();
        let peak = peak.unwrap_or(0);
        Self {
            report,
            style: STYLE,
            script: SCRIPT,
            has_choice,
            troubled,
            down,
            sources,
            more_sources,
            checks,
            more_checks,
            idle,
            recent,
            columns: columns(&report.minutes, peak),
            peak,
        }
    }

    /// The page as HTML.
    pub(super) fn write(&self) -> String {
        // Writing to memory cannot fail.
        self.render().unwrap_or_default()
    }

    /// A time in words, such as `5 min ago`.
    fn ago(&self, time: &i64) -> String {
        format!("{} ago", duration(self.report.time - time))
    }

    /// A time to come in words, such as `in 5 min`.
    fn ahead(&self, time: &i64) -> String {
        match time - self.report.time {
            ..=0 => "at the next use".to_owned(),
            left => format!("in {}", duration(left)),
        }
    }
}

/// Counts by reason, the most frequent first, with the width of a bar in thousandths of the longest one.
fn by_count(reasons: &BTreeMap<&'static str, u64>) -> Vec<(&'static str, u64, u64)> {
    let most = reasons.values().copied().max().unwrap_or(1).max(1);
    let width = |count: u64| (count * 1000 / most).max(8);
    let mut all: Vec<_> =
        reasons.iter().map(|(reason, count)| (*reason, *count, width(*count))).collect();
    all.sort_by_key(|(_, count, _)| Reverse(*count));
    all
}

/// A whole number with thin spaces between groups of three digits.
fn grouped(number: impl Display) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A part of the whole in words, such as `12 %`. The template passes members by reference and results by
/// value.
fn percent(part: impl Borrow<u64>, whole: impl Borrow<u64>) -> String {
    let part = *part.borrow();
    match (part * 1000).checked_div(*whole.borrow()) {
        None => "–".to_owned(),
        Some(0) if part > 0 => "< 0.1 %".to_owned(),
        Some(tenths) if tenths < 100 => format!("{}.{} %", tenths / 10, tenths % 10),
        Some(tenths) => format!("{} %", tenths / 10),
    }
}

/// A number of seconds in words, in a unit that gives at least two.
fn duration(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7_200 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn columns(minutes: &[MinuteReport], peak: u64) -> Vec<Column> {
    let height = |count: u64| (count * 1000).checked_div(peak).unwrap_or(0);
    let last = minutes.len().saturating_sub(1);
    let column = |(at, minute): (usize, &MinuteReport)| {
        let (requests, refused) = (minute.numbers.requests(), minute.numbers.refusals());
        let when = match last - at {
            0 => "this minute".to_owned(),
            back => format!("{back} min ago"),
        };
        // Even a single refusal can be seen: refusals are what is looked for.
        let least = |count: u64| if count > 0 { 20 } else { 0 };
        Column {
            x: at * 10,
            all: height(requests).max(least(requests)),
            refused: height(refused).max(least(refused)),
            title: format!("{when}: {requests} requests, {refused} refused"),
        }
    };
    minutes.iter().enumerate().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(3_600), "60 min");
        assert_eq!(duration(400_000), "4 days");
        assert_eq!(percent(0, 0), "–");
        assert_eq!(percent(1, 10_000), "< 0.1 %");
        assert_eq!(percent(55, 1_000), "5.5 %");
        assert_eq!(percent(550, 1_000), "55 %");
        let reasons = BTreeMap::from([("expired", 5), ("missing", 10), ("denied", 0)]);
        let expected = [("missing", 10, 1000), ("expired", 5, 500), ("denied", 0, 8)];
        assert_eq!(by_count(&reasons), expected);
    }
}
