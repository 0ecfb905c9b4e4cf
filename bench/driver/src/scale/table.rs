//! The table of the costs of large configurations, and the warnings about them.

use std::fmt::Write as _;

use anyhow::Result;

use super::Row;
use crate::chart::thousands;

/// A request's cost has grown if it is this many times as high, and higher by `NANOSECONDS`.
const GROWTH: f64 = 1.5;
const NANOSECONDS: i64 = 1000;
/// The same limit for the cost of each entry of a configuration. A factor of two is normal, because
/// more entries fit less well into the processor's caches.
const EACH: f64 = 2.0;

pub(super) fn row(text: &mut String, what: &str, row: &Row) -> Result<()> {
    write!(
        text,
        "| {what} | {} | {:.3} | {:.3} | {:.1} |",
        thousands(row.size as f64),
        row.test.as_secs_f64(),
        row.start.as_secs_f64(),
        row.memory as f64 / 1024.0,
    )?;
    for [turns, last] in &row.cpu {
        write!(text, " {:.2} | {:.2} |", *turns as f64 / 1000.0, *last as f64 / 1000.0)?;
    }
    text.push('\n');
    Ok(())
}

/// Reports each cost that grows faster than the configuration, and each cost of a request that
/// grows at all. The cost of an empty configuration is subtracted before sizes are compared.
pub(super) fn judge(
    text: &mut String,
    name: &str,
    ways: &[(&str, &str)],
    empty: &Row,
    rows: &[Row],
) -> Result<()> {
    for pair in rows.windows(2) {
        let [small, large] = pair else { continue };
        let ratio = large.size as f64 / small.size as f64;
        let beyond = |of: fn(&Row) -> f64, noise: f64| {
            let (small, large) = (of(small) - of(empty), of(large) - of(empty));
            large > noise && large > ratio * EACH * small.max(noise / ratio)
        };
        let grown = [
            ("nginx -t", beyond(|row| row.test.as_secs_f64(), 0.05)),
            ("start", beyond(|row| row.start.as_secs_f64(), 0.05)),
            ("memory", beyond(|row| row.memory as f64, 4096.0)),
        ];
        for (what, _) in grown.iter().filter(|(_, grown)| *grown) {
            let (from, to) = (thousands(small.size as f64), thousands(large.size as f64));
            writeln!(text, "- NOT linear: {what} of {name}, from {from} to {to}.")?;
        }
    }
    let (Some(small), Some(large)) = (rows.first(), rows.last()) else { return Ok(()) };
    for ((way, _), (from, to)) in ways.iter().zip(small.cpu.iter().zip(&large.cpu)) {
        for (asked, (from, to)) in ["in turns", "the last one"].into_iter().zip(from.iter().zip(to))
        {
            if *to as f64 > *from as f64 * GROWTH && to - from > NANOSECONDS {
                writeln!(
                    text,
                    "- NOT constant: CPU per request with {name}, token {way}, {asked}: {:.2} µs with {}, \
                     {:.2} µs with {}.",
                    *from as f64 / 1000.0,
                    thousands(small.size as f64),
                    *to as f64 / 1000.0,
                    thousands(large.size as f64),
                )?;
            }
        }
    }
    Ok(())
}
