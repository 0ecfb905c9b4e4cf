//! The tables of the costs of lists, and what misses its goal.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use super::{Row, SLICE};
use crate::chart::thousands;
use crate::record::Record;
use crate::results::Cpu as Both;

/// The goals: bytes of shared memory for an id, nanoseconds of a look-up, time of an event loop.
const EACH: f64 = 24.0;
const LOOK_UP: i64 = 100;
const HOLD: Duration = Duration::from_millis(5);
/// Smaller lists say nothing about bytes for an id: memory has pages.
const MANY: usize = 100_000;

pub(super) fn text(record: &Record, rounds: usize, rows: &[Row]) -> Result<String> {
    let mut text = format!("{}.\n\n", record.heading()?);
    memory(&mut text, rows)?;
    text.push('\n');
    changes(&mut text, rows)?;
    writeln!(text, "\nNanoseconds of a request, {rounds} slices of {} ms:\n", SLICE.as_millis())?;
    lookups(&mut text, rows)?;
    text.push('\n');
    verdicts(&mut text, rows)?;
    Ok(text)
}

fn head(text: &mut String, columns: &[&str]) -> Result<()> {
    writeln!(text, "| {} |", columns.join(" | "))?;
    writeln!(text, "|{}", " --: |".repeat(columns.len()))?;
    Ok(())
}

fn memory(text: &mut String, rows: &[Row]) -> Result<()> {
    head(
        text,
        &[
            "ids",
            "text, MiB",
            "shared memory with 1, 2, 4 workers, MiB",
            "for each id, bytes",
            "private memory of a worker before, meanwhile, after, MiB",
        ],
    )?;
    for row in rows {
        let [one, two, four] = row.shared.map(mebibytes);
        let [before, most, after] =
            [row.private.before, row.private.most, row.private.after].map(mebibytes);
        let each = each(row).map_or("-".to_owned(), |each| format!("{each:.2}"));
        writeln!(
            text,
            "| {} | {:.1} | {one:.1}, {two:.1}, {four:.1} | {each} | {before:.1}, {most:.1}, {after:.1} |",
            thousands(row.size.ids as f64),
            row.bytes as f64 / f64::from(1 << 20),
        )?;
    }
    Ok(())
}

fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Bytes of shared memory for an id.
fn each(row: &Row) -> Option<f64> {
    let most = row.shared.iter().max().copied().unwrap_or_default();
    (row.size.ids >= MANY).then(|| most as f64 * 1024.0 / row.size.ids as f64)
}

fn changes(text: &mut String, rows: &[Row]) -> Result<()> {
    head(
        text,
        &[
            "ids",
            "from the change to the first refusal, s",
            "CPU of it and of the requests, s",
            "requests meanwhile were held for, in the best of three changes: longest, 99.9 %, ms",
            "while nothing happens",
            "with what else the machine did, 99.9 %, ms",
            "while nothing happens",
        ],
    )?;
    for row in rows {
        let [most, share, passed] = row.holds.worst().map(milliseconds);
        let [idle_most, idle_share, idle_passed] = row.idle.worst().map(milliseconds);
        writeln!(
            text,
            "| {} | {:.2} | {:.2} | {most:.2}, {share:.2} | {idle_most:.2}, {idle_share:.2} | {passed:.2} | \
             {idle_passed:.2} |",
            thousands(row.size.ids as f64),
            row.change.passed.as_secs_f64(),
            row.change.cpu.as_secs_f64(),
        )?;
    }
    Ok(())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn lookups(text: &mut String, rows: &[Row]) -> Result<()> {
    head(
        text,
        &["ids", "without a list", "more: a token not listed", "a listed one", "each further id"],
    )?;
    let both = |cost: Both| format!("{} / {}", cost.min, cost.median);
    for row in rows {
        let lookups = &row.lookups;
        writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            thousands(row.size.ids as f64),
            both(lookups.without),
            both(lookups.unlisted),
            lookups.listed.map_or("-".to_owned(), both),
            both(lookups.further),
        )?;
    }
    Ok(())
}

fn verdicts(text: &mut String, rows: &[Row]) -> Result<()> {
    let mut missed = false;
    for row in rows {
        let ids = thousands(row.size.ids as f64);
        if let Some(each) = each(row).filter(|each| *each > EACH) {
            writeln!(text, "- MORE than {EACH} bytes for an id: {each:.2} with {ids} ids.")?;
            missed = true;
        }
        let [most, ..] = row.holds.worst();
        if most > HOLD {
            let most = milliseconds(most);
            writeln!(
                text,
                "- LONGER than {} ms at a time: {most:.2} ms with {ids} ids.",
                HOLD.as_millis()
            )?;
            missed = true;
        }
        let further = row.lookups.further.min;
        if further > LOOK_UP {
            writeln!(text, "- MORE than {LOOK_UP} ns for a look-up: {further} ns with {ids} ids.")?;
            missed = true;
        }
    }
    if !missed {
        text.push_str("All goals are met.\n");
    }
    Ok(())
}
