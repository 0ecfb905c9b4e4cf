//! Describes this machine.

use std::fs;

use anyhow::Result;

/// One line with the processor, the cores and the kernel.
pub(crate) fn describe() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let named = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = named.unwrap_or_default().trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cores = cores.max(cpu.lines().filter(|line| line.starts_with("processor")).count());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    // The text after the version number is specific to the kernel's build.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    Ok(format!("{model}, {cores} cores, Linux {kernel}"))
}
