//! Memory, files and processor time of a process, from /proc.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The resident memory of a process, in KiB.
///
/// # Errors
/// When there is no such process.
pub fn resident(pid: u32) -> Result<u64> {
    field(pid, "VmRSS:")
}

/// The resident memory of a process that is its own, without files and shared memory, in KiB.
///
/// # Errors
/// When there is no such process.
pub fn resident_private(pid: u32) -> Result<u64> {
    field(pid, "RssAnon:")
}

fn field(pid: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context(name.to_owned())?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// How many files a process has open.
///
/// # Errors
/// When there is no such process.
pub fn open_files(pid: u32) -> Result<u64> {
    Ok(u64::try_from(fs::read_dir(format!("/proc/{pid}/fd"))?.count())?)
}

/// The processor time that a process has used so far, of its own and of the kernel for it.
///
/// # Errors
/// When there is no such process.
pub fn processor_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name before may hold anything; the state is the first field behind it, utime and stime
    // the 12th and 13th (proc(5)), in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}
