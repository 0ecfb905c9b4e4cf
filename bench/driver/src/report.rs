//! Makes tables and charts of the results.

use std::collections::BTreeMap;

use crate::chart::{Bar, Chart, Group, thousands};
use crate::results::{Case, Cpu, Peer, Results};
use crate::tokens::ALGORITHMS;

/// The length of a case's bar, and of the one behind it; `None` for a case that is not shown.
type Length<'f> = &'f dyn Fn(&Case) -> Option<(f64, Option<f64>)>;

/// Parts of a document, by name.
pub(crate) type Parts = BTreeMap<&'static str, String>;

pub(crate) fn parts(results: &Results) -> Parts {
    BTreeMap::from([
        ("about", about(results)),
        ("cpu", cpu(results)),
        ("throughput", throughput(results)),
        ("latency", latency(results)),
        ("others", others(results)),
        ("peers", peers(results)),
    ])
}

/// The charts, each with its file name.
pub(crate) fn charts(results: &Results) -> [(&'static str, Chart); 3] {
    let foot = foot(results);
    let chart = |title: &str, subtitle: String, bar: Length<'_>, label| Chart {
        title: title.to_owned(),
        subtitle,
        foot: foot.clone(),
        groups: groups(results, bar),
        label,
    };
    let many = thousands(results.rotating as f64);
    let added = |rotating| {
        move |case: &Case| (case.rotating == rotating).then(|| (micro(case.check.median), None))
    };
    let unit = "Microseconds of CPU per request above the same request without the check, median; less is better.";
    [
        (
            "cpu-one.svg",
            chart(
                "What a check adds: one token, again and again",
                unit.to_owned(),
                &added(false),
                label,
            ),
        ),
        (
            "cpu-many.svg",
            chart(
                &format!("What a check adds: {many} tokens taking turns"),
                unit.to_owned(),
                &added(true),
                label,
            ),
        ),
        (
            "throughput.svg",
            chart(
                "Requests per second on one core",
                format!(
                    "{many} tokens taking turns; pale: the same server without the check. More is better."
                ),
                &|case| {
                    case.rotating.then_some((
                        case.with.per_second as f64,
                        Some(case.plain.per_second as f64),
                    ))
                },
                thousands,
            ),
        ),
    ]
}

fn groups(results: &Results, bar: Length<'_>) -> Vec<Group> {
    let of = |algorithm: &str| {
        let cases =
            results.peers.iter().flat_map(|peer| peer.cases.iter().map(move |case| (peer, case)));
        cases
            .filter(|(_, case)| case.name == algorithm)
            .filter_map(|(peer, case)| {
                let (value, behind) = bar(case)?;
                let ours = peer.name.starts_with("ngx-token-auth");
                Some(Bar { name: peer.name.clone(), value, behind, ours })
            })
            .collect()
    };
    ALGORITHMS.map(|name| Group { title: name.to_owned(), bars: of(name) }).into()
}

/// A server that used less of its core, in percent, had to wait: for the load or other processes.
const BUSY: u64 = 90;

fn about(results: &Results) -> String {
    let cases = results.peers.iter().flat_map(|peer| &peer.cases);
    let busy = cases.map(|case| case.with.busy).min().unwrap_or_default();
    let doubt = if busy < BUSY {
        " **The machine was busy with other work: do not rely on requests per second and latency, and \
         expect less CPU time on an idle machine.**"
    } else {
        ""
    };
    format!(
        "{}. Commit {}, {}: {} rounds of {} ms for each case with and without the check, {} connections. The \
         servers used {busy} % of their core or more.{doubt}\n",
        results.machine,
        results.commit,
        results.date,
        results.rounds,
        results.slice_ms,
        results.connections,
    )
}

fn foot(results: &Results) -> String {
    format!(
        "{}; {}, commit {}; {} rounds of {} ms",
        results.machine, results.date, results.commit, results.rounds, results.slice_ms
    )
}

/// A row for each peer, with one token and with many; a column for each algorithm.
fn by_algorithm(results: &Results, cell: fn(&Case) -> String) -> String {
    let mut table =
        "| | tokens | HS256 | RS256 | ES256 | EdDSA |\n| --- | --- | --: | --: | --: | --: |\n"
            .to_owned();
    let many = thousands(results.rotating as f64);
    for peer in &results.peers {
        for rotating in [false, true] {
            let cells = ALGORITHMS.map(|name| {
                let case = peer.cases.iter().find(|c| c.name == name && c.rotating == rotating);
                case.map_or("-".to_owned(), cell)
            });
            let tokens = if rotating { &many } else { "one" };
            table += &format!("| {} | {tokens} | {} |\n", peer.name, cells.join(" | "));
        }
    }
    table
}

fn cpu(results: &Results) -> String {
    by_algorithm(results, |case| both(case.check))
}

fn throughput(results: &Results) -> String {
    by_algorithm(results, |case| {
        let [with, plain] =
            [&case.with, &case.plain].map(|figures| thousands(figures.per_second as f64));
        format!("{with} of {plain}")
    })
}

fn latency(results: &Results) -> String {
    by_algorithm(results, |case| {
        format!("{:.0} / {:.0}", case.with.p50 as f64 / 1000.0, case.with.p99 as f64 / 1000.0)
    })
}

/// The table of the cases that do not check a token.
fn others(results: &Results) -> String {
    let mut table = "| | without | with | added | requests per second | p50 / p99 |\n| --- | --: | --: | --: | --: | --: |\n".to_owned();
    let cases = results.peers.iter().flat_map(|peer| &peer.cases);
    for case in cases.filter(|case| !ALGORITHMS.contains(&case.name.as_str())) {
        table += &format!(
            "| {} | {} | {} | {} | {} | {:.0} / {:.0} |\n",
            case.name,
            both(case.plain.cpu),
            both(case.with.cpu),
            both(case.check),
            thousands(case.with.per_second as f64),
            case.with.p50 as f64 / 1000.0,
            case.with.p99 as f64 / 1000.0,
        );
    }
    table
}

fn peers(results: &Results) -> String {
    let mut table = "| | version | a request without the check | memory before, after | bad tokens that it lets pass |\n| --- | --- | --: | --: | --- |\n".to_owned();
    for peer in &results.peers {
        let plain: Vec<i64> = peer.cases.iter().map(|case| case.plain.cpu.min).collect();
        let passes =
            if peer.passes.is_empty() { "none".to_owned() } else { peer.passes.join(", ") };
        table += &format!(
            "| {} | {} | {} | {}, {} | {passes} |\n",
            peer.name,
            peer.version,
            label(micro(Cpu::of(&plain).min)),
            mebibytes(peer, |memory| memory.idle.pss),
            mebibytes(peer, |memory| memory.memory.pss),
        );
    }
    table
}

fn mebibytes(peer: &Peer, of: fn(&Peer) -> u64) -> String {
    format!("{:.1}", of(peer) as f64 / 1024.0)
}

fn micro(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1000.0
}

fn both(cpu: Cpu) -> String {
    format!("{} / {}", label(micro(cpu.min)), label(micro(cpu.median)))
}

/// The text of a value in microseconds.
fn label(value: f64) -> String {
    if value.abs() < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
}
