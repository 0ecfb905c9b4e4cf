//! Refusing a token costs at most twice as much as accepting a good one of the same algorithm, size and
//! shape, whatever is wrong with it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

#[path = "common/refused.rs"]
mod refused;

use refused::Case;

/// The median time of one judgement.
fn median(case: &Case, is_refused: bool, runs: usize) -> Duration {
    let mut times: Vec<_> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            case.judge(is_refused);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[runs / 2]
}

#[test]
fn refusing_costs_no_more_than_twice_accepting() {
    let mut dear = Vec::new();
    for case in refused::cases(10_000) {
        // Other load on the machine disturbs the measurement, so it is repeated before it fails.
        let mut best = f64::INFINITY;
        for attempt in 0..6 {
            let runs = 21 + 20 * attempt;
            let (good, refused) = (median(&case, false, runs), median(&case, true, runs));
            // Shorter times are mostly the cost of the clock itself.
            let floor = Duration::from_micros(2);
            let ratio = refused.as_secs_f64() / good.max(floor).as_secs_f64();
            best = best.min(ratio);
            if best <= case.bound {
                break;
            }
        }
        println!("{best:6.2} of {:4.2}  {}", case.bound, case.name);
        if best > case.bound {
            dear.push(format!("{}: {best:.2} times a good one", case.name));
        }
    }
    assert!(dear.is_empty(), "{}", dear.join("\n"));
}
