//! The measured values, in the form of results.json.

use serde::{Deserialize, Serialize};

use crate::server::Memory;

#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    /// The commit that was measured.
    pub(crate) commit: String,
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) rounds: usize,
    pub(crate) slice_ms: u64,
    pub(crate) connections: usize,
    pub(crate) rotating: usize,
    pub(crate) peers: Vec<Peer>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The memory of all its processes: `idle` before the load, `memory` after the run.
    pub(crate) idle: Memory,
    pub(crate) memory: Memory,
    /// Bad requests that the server lets pass with the configuration of this benchmark.
    pub(crate) passes: Vec<String>,
    pub(crate) cases: Vec<Case>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) rotating: bool,
    pub(crate) plain: Figures,
    pub(crate) with: Figures,
    /// Nanoseconds of CPU that the check adds: the difference of the two minima, and the median of
    /// the differences of all rounds.
    pub(crate) check: Cpu,
}

/// The figures of one request.
#[derive(Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) cpu: Cpu,
    /// Medians over the rounds.
    pub(crate) per_second: u64,
    /// How much of the time the server used its core, in percent.
    pub(crate) busy: u64,
    /// Nanoseconds, over all rounds.
    pub(crate) p50: u64,
    pub(crate) p99: u64,
}

/// Nanoseconds.
#[derive(Serialize, Deserialize, Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) min: i64,
    pub(crate) median: i64,
}

impl Cpu {
    pub(crate) fn of(values: &[i64]) -> Self {
        Self { min: values.iter().copied().min().unwrap_or_default(), median: median(values) }
    }
}

/// The median; of an even number of values, the lower of the two middle ones.
pub(crate) fn median<N: Copy + Ord + Default>(values: &[N]) -> N {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3, 1, 2]), 2);
        assert_eq!(median(&[4, 1, 2, 3]), 2);
        assert_eq!(median::<u64>(&[]), 0);
    }
}
