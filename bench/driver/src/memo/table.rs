//! Tables and charts of what was measured, and a line for each goal that was missed.

use std::fmt::Write as _;

use anyhow::Result;

use super::lanes::{Row, State, Turns};
use super::reload::{AFTER, BEFORE, SLICE};
use super::workers::WORKERS;
use super::{MANY, MOST_ALGORITHM, Measured, first, lanes};
use crate::chart::{Bar, Chart, Group, thousands};
use crate::curve::{Curves, Line};
use crate::record::{Record, today};
use crate::results::Cpu as Both;
use crate::tokens::ALGORITHMS;

/// Microseconds that a check may add where the signature need not be verified: one token that the worker has seen, many
/// of them, and those that another worker has seen.
const SEEN: f64 = 0.3;
const SEEN_MANY: f64 = 0.8;
const ELSEWHERE: f64 = 2.2;
/// With an HMAC; and what else is added to a signature of a public key.
const HMAC: f64 = 1.6;
const ABOVE_SIGNATURE: f64 = 1.5;

/// If the load has its core for less of the time, in percent, the machine does other work.
const BUSY: i64 = 95;
const DOUBT: &str = " **The machine was busy with other work: do not rely on these figures, and expect less CPU time and \
                     quicker reloads on an idle machine.**";

pub(super) fn text(record: &Record, measured: &Measured) -> Result<String> {
    let mut text = format!(
        "{}: {} rounds of {} ms. Microseconds of CPU that the check adds to a request, minimum / \
         median.{}\n\n",
        record.heading()?,
        measured.lanes.rounds,
        lanes::SLICE.as_millis(),
        if measured.lanes.own < BUSY { DOUBT } else { "" },
    );
    states(&mut text, measured)?;
    firsts(&mut text, &measured.first)?;
    goals(&mut text, measured)?;
    memory(&mut text, measured)?;
    reloads(&mut text, measured)?;
    workers(&mut text, measured)?;
    Ok(text)
}

fn heading(text: &mut String, first: &str) -> Result<()> {
    writeln!(text, "| {first} | {} |", ALGORITHMS.join(" | "))?;
    let columns = first.matches('|').count() + 1;
    Ok(writeln!(text, "|{}{}", " --- |".repeat(columns), " --: |".repeat(ALGORITHMS.len()))?)
}

fn cells(cpu: &[Option<Both>]) -> String {
    let cells = cpu.iter().map(|cell| cell.map_or("-".to_owned(), both));
    cells.collect::<Vec<_>>().join(" | ")
}

fn states(text: &mut String, measured: &Measured) -> Result<()> {
    heading(text, "who has seen the token | tokens in turns | server")?;
    for row in &measured.lanes.rows {
        let (state, turns) = (state(row.state), turns(row.turns, measured.most));
        writeln!(text, "| {state} | {turns} | {} | {} |", row.server, cells(&row.cpu))?;
    }
    let lanes = &measured.lanes;
    for (how, cpu) in [("between two answers", lanes.served), ("in a loop", lanes.looped)] {
        writeln!(text, "| - | a signature alone, {how} | AWS-LC | {} |", cells(&cpu))?;
    }
    text.push('\n');
    Ok(())
}

fn state(state: State) -> &'static str {
    match state {
        State::Seen => "this worker",
        State::Elsewhere => "another worker, or this one, which has forgotten it",
        State::Never => "nobody",
        State::Peer => "as the server remembers it",
    }
}

fn turns(turns: Turns, most: usize) -> String {
    match turns {
        Turns::One => "one".to_owned(),
        Turns::Many => thousands(MANY as f64),
        Turns::Most => thousands(most as f64),
    }
}

fn firsts(text: &mut String, rows: &[first::Row]) -> Result<()> {
    writeln!(
        text,
        "The first time that a worker gets each of {} tokens:\n",
        thousands(MANY as f64)
    )?;
    heading(text, "who has seen them | memo")?;
    for row in rows {
        writeln!(text, "| {} | {} | {} |", row.who, row.memo, cells(&row.cpu))?;
    }
    text.push('\n');
    Ok(())
}

/// A line for each row that has figures of which both numbers are above the goal.
fn goals(text: &mut String, measured: &Measured) -> Result<()> {
    let mut is_met = true;
    for row in &measured.lanes.rows {
        let cells = ALGORITHMS.iter().zip(row.cpu).zip(measured.lanes.served);
        let missed = cells.filter_map(|((algorithm, cell), alone)| {
            let (goal, cell) = goal(row, alone).zip(cell)?;
            let is_missed = micro(cell.min) > goal && micro(cell.median) > goal;
            is_missed.then(|| format!("{algorithm} {} (goal {goal:.1})", both(cell)))
        });
        let missed: Vec<_> = missed.collect();
        if !missed.is_empty() {
            let turns = turns(row.turns, measured.most);
            writeln!(
                text,
                "- MORE than the goal: `{}`, {turns}: {}.",
                row.server,
                missed.join(", ")
            )?;
            is_met = false;
        }
    }
    if is_met {
        text.push_str("All figures of the first table are within their goals.\n");
    }
    text.push('\n');
    Ok(())
}

/// Microseconds. `alone` is the library's part of a token that nobody has seen: none for an HMAC, which is never noted
/// in the memo.
fn goal(row: &Row, alone: Option<Both>) -> Option<f64> {
    let never = alone.map_or(HMAC, |alone| micro(alone.median) + ABOVE_SIGNATURE);
    match (row.state, row.turns) {
        (State::Seen, Turns::One) => Some(SEEN),
        (State::Seen, _) => Some(SEEN_MANY),
        (State::Elsewhere, _) => Some(ELSEWHERE),
        (State::Never, _) => Some(never),
        (State::Peer, _) => None,
    }
}

fn memory(text: &mut String, measured: &Measured) -> Result<()> {
    writeln!(text, "| server | memory before, after, MiB |\n| --- | --: |")?;
    for (name, [idle, after]) in &measured.lanes.memory {
        writeln!(text, "| {name} | {:.1}, {:.1} |", mebi(idle.pss), mebi(after.pss))?;
    }
    text.push('\n');
    Ok(())
}

fn reloads(text: &mut String, measured: &Measured) -> Result<()> {
    let curves = &measured.curves;
    let reloads = curves.first().map_or(0, |curve| curve.reloads);
    writeln!(
        text,
        "Answers after a reload, in percent of those before it, with {} active tokens; median of {reloads} reloads:\n",
        thousands(MANY as f64),
    )?;
    write!(text, "| ms after it |")?;
    for curve in curves {
        write!(text, " {}, {} |", curve.algorithm, curve.memo)?;
    }
    writeln!(text, "\n| --- |{}", " --: |".repeat(curves.len()))?;
    let mut line = |name: String, cell: &dyn Fn(&super::reload::Curve) -> String| {
        let cells: Vec<_> = curves.iter().map(cell).collect();
        writeln!(text, "| {name} | {} |", cells.join(" | "))
    };
    line("before it, per second".to_owned(), &|curve| thousands(curve.rate as f64))?;
    for at in BEFORE..BEFORE + AFTER {
        let from = SLICE.as_millis() * (at - BEFORE) as u128;
        line(format!("{from} to {}", from + SLICE.as_millis()), &|curve| {
            format!("{:.1}", curve.slices.get(at).copied().unwrap_or_default() * 100.0)
        })?;
    }
    line("back within 2 % after, ms".to_owned(), &|curve| {
        curve.back().map_or("-".to_owned(), |back| back.as_millis().to_string())
    })?;
    text.push('\n');
    Ok(())
}

fn workers(text: &mut String, measured: &Measured) -> Result<()> {
    let tokens = measured.workers.first().map_or(0, |row| row.tokens);
    writeln!(
        text,
        "{WORKERS} workers, each of which gets the same {} RS256 and {0} ES256 tokens:\n\n\
         | jwt_cache | signatures verified for each token | also by {WORKERS} workers after a reload | CPU, s | memory \
         before, after, MiB | of it shared by all |\n| --- | --: | --: | --: | --: | --: |",
        thousands(tokens as f64),
    )?;
    for row in &measured.workers {
        let [once, twice] = row.verified;
        writeln!(
            text,
            "| {} | {once:.3} | {twice:.3} | {:.2} | {:.1}, {:.1} | {:.1}, {:.1} |",
            row.cache,
            row.cpu.as_secs_f64(),
            mebi(row.before.pss),
            mebi(row.after.pss),
            mebi(row.before.shared),
            mebi(row.after.shared),
        )?;
    }
    Ok(())
}

pub(super) fn foot(record: &Record) -> Result<String> {
    Ok(format!("{}; {}, commit {}", crate::machine::describe()?, today(), record.commit))
}

/// Bars for RSA and for the algorithm of the most tokens: who has seen them, and what the others take.
pub(super) fn chart(measured: &Measured, foot: &str) -> Chart {
    let many = thousands(MANY as f64);
    let shown = [
        ("one token, which this worker has seen".to_owned(), State::Seen, Turns::One),
        (format!("{many} tokens, which this worker has seen"), State::Seen, Turns::Many),
        (format!("{many} tokens, which another worker has seen"), State::Elsewhere, Turns::Many),
        (
            format!("{} tokens in turns", thousands(measured.most as f64)),
            State::Elsewhere,
            Turns::Most,
        ),
    ];
    let mut groups = Vec::new();
    for algorithm in ["RS256", MOST_ALGORITHM] {
        for (title, state, turns) in &shown {
            let bars = bars(&measured.lanes.rows, algorithm, *state, *turns);
            if !bars.is_empty() {
                groups.push(Group { title: format!("{algorithm}: {title}"), bars });
            }
        }
    }
    Chart {
        title: "One verification for all workers".to_owned(),
        subtitle: "Microseconds of CPU that the check adds to a request, median; less is better."
            .to_owned(),
        foot: foot.to_owned(),
        groups,
        label: |value| format!("{value:.2}"),
    }
}

/// Servers of which the chart shows the figures as those without the memo, or none.
const WITHOUT: &str = "jwt_cache 8m shared=off";
const UNKEPT: &str = "jwt_cache 4k shared=4m";

fn bars(rows: &[Row], algorithm: &str, state: State, turns: Turns) -> Vec<Bar> {
    let number = ALGORITHMS.iter().position(|name| *name == algorithm);
    let is_shown = |row: &&Row| {
        // What a worker pays that has not seen the token, and has nobody to ask.
        let alone = row.state == State::Never && row.server == WITHOUT;
        let is_state =
            row.state == state && row.server != UNKEPT || state == State::Elsewhere && alone;
        // A cache of tokens knows none of another worker's.
        let knows_none = state == State::Elsewhere && turns == Turns::Many;
        let is_peer = row.state == State::Peer && !(knows_none && row.server.contains("cache"));
        row.turns == turns && (is_state || is_peer)
    };
    rows.iter()
        .filter(is_shown)
        .filter_map(|row| {
            let value = micro(row.cpu.get(number?).copied()??.median);
            let name = match row.state {
                State::Peer => row.server.clone(),
                State::Never => "without the memo".to_owned(),
                State::Seen | State::Elsewhere => "ngx-token-auth".to_owned(),
            };
            Some(Bar { name, value, behind: None, ours: row.state != State::Peer })
        })
        .collect()
}

pub(super) fn curves(measured: &Measured, foot: &str) -> Curves {
    let lines = measured.curves.iter().map(|curve| {
        let back = curve.back().map_or("is not back".to_owned(), |back| {
            format!("is back within 2 % after {} ms", back.as_millis())
        });
        Line {
            name: format!("{}, {}: {back}", curve.algorithm, curve.memo),
            values: curve.slices.clone(),
            ours: curve.memo != "shared=off",
            dashed: curve.algorithm == MOST_ALGORITHM,
        }
    });
    Curves {
        title: format!("A reload with {} active tokens", thousands(MANY as f64)),
        subtitle: "Answers per second, of those before the reload at 0 s.".to_owned(),
        foot: foot.to_owned(),
        from: -(BEFORE as f64) * SLICE.as_secs_f64(),
        step: SLICE.as_secs_f64(),
        lines: lines.collect(),
    }
}

fn micro(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1000.0
}

fn mebi(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn both(cpu: Both) -> String {
    format!("{:.2} / {:.2}", micro(cpu.min), micro(cpu.median))
}
