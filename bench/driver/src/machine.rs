//! What machine this is.

use std::fs;

use anyhow::Result;

/// Processor, cores, kernel: one line.
pub(crate) fn describe() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let named = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = named.unwrap_or_default().trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cores = cores.max(cpu.lines().filter(|line| line.starts_with("processor")).count());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    // What follows the number is the builder's own.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    Ok(format!("{model}, {cores} cores, Linux {kernel}"))
}
