//! Reads from /proc how much memory and how many files nginx holds, and judges whether that grew.

use std::fs;

use anyhow::{Context, Result};
use module_tests::Nginx;
pub(crate) use module_tests::{open_files, resident};

/// How far a median may be above an earlier one: a fixed amount plus a percentage of the earlier.
#[derive(Clone, Copy)]
pub(crate) struct Tolerance {
    fixed: u64,
    percent: u64,
}

/// Memory: what an allocator keeps varies by about this much with the sizes of the key files.
pub(crate) const KIB: Tolerance = Tolerance { fixed: 1024, percent: 3 };
/// Open files: a connection stays for some seconds after its client left (`lingering_timeout`).
pub(crate) const FILES: Tolerance = Tolerance { fixed: 64, percent: 0 };

/// Measurements in the order in which they were made.
#[derive(Default)]
pub(crate) struct Series(Vec<u64>);

impl Series {
    pub(crate) fn extend(&mut self, measured: Option<u64>) {
        self.0.extend(measured);
    }

    /// Leaves out the first tenth as a warm-up, and compares the medians of the first and the last
    /// quarter of the rest. Prints both, and returns a message if the later median is above the
    /// earlier one by more than the tolerance.
    pub(crate) fn judge(&self, name: &str, tolerance: Tolerance) -> Option<String> {
        let warm = self.0.get(self.0.len() / 10..).unwrap_or_default();
        let quarter = warm.len().div_ceil(4);
        let first = median(warm.get(..quarter).unwrap_or_default());
        let last = median(warm.get(warm.len() - quarter..).unwrap_or_default());
        let limit = first + tolerance.fixed + first * tolerance.percent / 100;
        println!("{name}: {first} -> {last}, at most {limit} ({} measurements)", self.0.len());
        (last > limit).then(|| format!("{name}: grew from {first} to {last}"))
    }
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The process id of an nginx's master.
pub(crate) fn master(nginx: &Nginx) -> Result<u32> {
    nginx.read("nginx.pid").trim().parse().context("nginx.pid")
}

/// The process ids of the children of `pid`.
pub(crate) fn children(pid: u32) -> Result<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    text.split_whitespace().map(|pid| pid.parse().context("a process id")).collect()
}

/// The process ids of a master's workers, including those that are leaving, but without the cache
/// processes of nginx.
pub(crate) fn workers(master: u32) -> Result<Vec<u32>> {
    let children = children(master)?.into_iter();
    Ok(children.filter(|pid| title(*pid).contains("worker process")).collect())
}

/// The command line of a process; empty if the process is gone.
pub(crate) fn title(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
