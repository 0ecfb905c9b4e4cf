//! Waiting for a condition, never for a length of time.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};

use crate::env::patience;

/// Asks `condition` again and again, at first every millisecond and then every ten, until it gives
/// something.
///
/// # Errors
/// When `condition` fails, or when it has given nothing for ten seconds; `what` then tells what did
/// not happen.
pub fn until<T>(what: &str, condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    until_within(Duration::from_secs(10), what, condition)
}

/// [`until`] with another limit, for what takes longer.
///
/// # Errors
/// As [`until`].
pub fn until_within<T>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let limit = patience(limit);
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(found) = condition()? {
            return Ok(found);
        }
        if start.elapsed() > limit {
            bail!("{what}: not within {limit:?}");
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Runs each case in a thread of its own, because most of them wait, and reports all that fail.
///
/// # Errors
/// Lists them.
pub fn at_once<C: Debug + Sync>(cases: &[C], run: impl Fn(&C) -> Result<()> + Sync) -> Result<()> {
    let run = &run;
    let wrong: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> =
            cases.iter().map(|case| (case, scope.spawn(move || run(case)))).collect();
        let outcome = |(case, thread): (&C, thread::ScopedJoinHandle<'_, Result<()>>)| {
            let ended = thread.join().unwrap_or_else(|_| Err(anyhow!("panicked")));
            Some(format!("{case:.200?}: {:#}", ended.err()?))
        };
        threads.into_iter().filter_map(outcome).collect()
    });
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    Ok(())
}
