//! Keeps two nginx busy with good, bad, huge and malformed requests for a chosen time, and compares
//! every answer with the expected one. The test reloads one nginx again and again, each time with
//! different key files and sometimes with a broken one. The other nginx keeps its workers. The
//! memory of masters and workers must stay flat, and no process may die or log an alert.
//!
//! `./build.sh soak [SECONDS]` and `./build.sh soak --reloads COUNT` run this test. Other runs are
//! `./build.sh soak --keys [SECONDS]`, with a provider that rotates its keys (`rotation.rs`), and
//! `./build.sh soak --hostile [SECONDS]`, with providers that do everything wrong (`hostile.rs`).

mod hostile;
mod memory;
mod rotation;
mod traffic;
mod villain;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use module_tests::{Nginx, until};

use crate::memory::Series;
use crate::traffic::Tally;

/// The number of clients that ask each nginx, one request after the other.
const CLIENTS: u64 = 2;
const WORKERS: u32 = 2;
/// One of this many reloads has a broken key file, and nginx must refuse it.
const BROKEN: usize = 10;

/// Which test runs and how long: for a time, or for a number of reloads.
#[derive(Clone, Copy)]
struct Plan {
    time: Option<Duration>,
    reloads: Option<usize>,
    /// Whether to run the test with a provider that rotates its keys.
    keys: bool,
    /// Whether to run the test with providers that do everything wrong.
    hostile: bool,
    /// Whether the run with such providers fails when memory grows.
    memory: bool,
}

impl Plan {
    fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut plan =
            Self { time: None, reloads: None, keys: false, hostile: false, memory: true };
        while let Some(arg) = args.next() {
            let mut number = || -> Result<u64> {
                let text = args.next().with_context(|| format!("{arg} wants a number"))?;
                text.parse().with_context(|| format!("{arg} {text}"))
            };
            match arg.as_str() {
                "--seconds" => plan.time = Some(Duration::from_secs(number()?)),
                "--reloads" => plan.reloads = Some(usize::try_from(number()?)?),
                "--keys" => plan.keys = true,
                "--hostile" => plan.hostile = true,
                "--no-memory" => plan.memory = false,
                _ => bail!(
                    "usage: soak [--keys | --hostile [--no-memory]] [--seconds SECONDS] [--reloads COUNT]"
                ),
            }
        }
        let timed = plan.keys || plan.hostile;
        ensure!(!timed || plan.reloads.is_none(), "--keys and --hostile go by seconds");
        if plan.time.is_none() && plan.reloads.is_none() {
            plan.time = Some(Duration::from_secs(if plan.keys { 60 } else { 600 }));
        }
        Ok(plan)
    }

    fn is_done(self, began: Instant, reloads: usize) -> bool {
        self.time.is_some_and(|time| began.elapsed() >= time)
            || self.reloads.is_some_and(|wanted| reloads >= wanted)
    }

    /// The time between two reloads: a little over half a second, or almost none if the run is for
    /// a number of reloads.
    fn pause(self) -> Duration {
        if self.reloads.is_some() { Duration::from_millis(20) } else { Duration::from_millis(600) }
    }
}

fn main() -> ExitCode {
    let run = |plan: Plan| match plan.time {
        Some(time) if plan.keys => rotation::soak(time),
        Some(time) if plan.hostile => hostile::soak(time, plan.memory),
        _ => soak(plan),
    };
    match Plan::from_args(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn soak(plan: Plan) -> Result<()> {
    let steady = traffic::start(WORKERS)?;
    let reloaded = traffic::start(WORKERS)?;
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    let (series, tally) = thread::scope(|scope| {
        let clients: Vec<_> = [&steady, &reloaded]
            .into_iter()
            .flat_map(|nginx| (0..CLIENTS).map(move |seed| (nginx.socket("s.sock"), seed)))
            .map(|(socket, seed)| {
                let stop = &stop;
                scope.spawn(move || traffic::ask_until(stop, &socket, seed))
            })
            .collect();
        let series = reload_and_watch(plan, began, &steady, &reloaded);
        stop.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for client in clients {
            match client.join() {
                Ok(one) => tally.add(one),
                Err(_) => tally.fail("a client panicked".to_owned()),
            }
        }
        (series, tally)
    });
    let seconds = began.elapsed();
    let series = series?;

    let per_second = tally.requests as f64 / seconds.as_secs_f64();
    println!("requests: {} in {:.0?}, {per_second:.0} a second", tally.requests, seconds);
    println!("answers as predicted: {}", tally.statuses());
    println!("given up by the client half-way: {}", tally.abandoned);
    println!("connections that a worker closed between two requests: {}", tally.reopened);
    println!("reloads: {}, and {} refused as they should be", series.reloads, series.refused);
    println!("wrong answers: {}", tally.failures);
    let grown = series.report();

    for (name, nginx) in [("the steady nginx", &steady), ("the reloaded nginx", &reloaded)] {
        let master = memory::master(nginx)?;
        until("the old workers' end", || {
            Ok((memory::children(master)?.len() == usize::try_from(WORKERS)?).then_some(()))
        })
        .with_context(|| name.to_owned())?;
    }
    ensure!(tally.failures == 0, "wrong answers:\n{}", tally.examples.join("\n"));
    ensure!(grown.is_empty(), "{}", grown.join("; "));
    // `finish` judges the logs: no alert, no emergency, no worker that died.
    steady.finish().context("the steady nginx")?;
    reloaded.finish().context("the reloaded nginx")
}

/// What was measured during the run.
#[derive(Default)]
struct Watched {
    reloads: usize,
    refused: usize,
    reloaded_master: Series,
    reloaded_workers: Series,
    steady_master: Series,
    steady_workers: Series,
    reloaded_files: Series,
    steady_files: Series,
}

impl Watched {
    /// Prints the figures, and returns those that grew.
    fn report(&self) -> Vec<String> {
        [
            ("master that reloads, KiB", &self.reloaded_master, memory::KIB),
            ("its workers, KiB each", &self.reloaded_workers, memory::KIB),
            ("master that does not, KiB", &self.steady_master, memory::KIB),
            ("its workers, KiB each", &self.steady_workers, memory::KIB),
            ("master that reloads, open files", &self.reloaded_files, memory::FILES),
            ("workers that stay, open files", &self.steady_files, memory::FILES),
        ]
        .into_iter()
        .filter_map(|(name, series, tolerance)| series.judge(name, tolerance))
        .collect()
    }
}

fn reload_and_watch(
    plan: Plan,
    began: Instant,
    steady: &Nginx,
    reloaded: &Nginx,
) -> Result<Watched> {
    let mut watched = Watched::default();
    let (master, other) = (memory::master(reloaded)?, memory::master(steady)?);
    let steady_workers = memory::children(other)?;
    while !plan.is_done(began, watched.reloads) {
        let round = watched.reloads + watched.refused;
        thread::sleep(plan.pause());
        for worker in memory::children(master)? {
            // A worker that is just ending has no figures, which is no error.
            watched.reloaded_workers.extend(memory::resident(worker).ok());
        }
        if round % BROKEN == BROKEN - 1 {
            refuse(reloaded, round)?;
            watched.refused += 1;
        } else {
            traffic::write_keys(reloaded, round)?;
            reload(reloaded, master)?;
            watched.reloads += 1;
        }
        watched.reloaded_master.extend(Some(memory::resident(master)?));
        watched.reloaded_files.extend(Some(memory::open_files(master)?));
        watched.steady_master.extend(Some(memory::resident(other)?));
        for worker in &steady_workers {
            watched.steady_workers.extend(Some(memory::resident(*worker).context("a worker")?));
            watched.steady_files.extend(Some(memory::open_files(*worker)?));
        }
    }
    ensure!(
        memory::children(other)? == steady_workers,
        "a worker of the steady nginx was replaced"
    );
    Ok(watched)
}

/// Reloads, and returns when all new workers have started. nginx starts them before it asks the old
/// workers to leave.
fn reload(nginx: &Nginx, master: u32) -> Result<()> {
    let before = memory::workers(master)?;
    nginx.signal(rustix::process::Signal::HUP)?;
    until("new workers", || {
        let fresh = memory::workers(master)?.into_iter().filter(|pid| !before.contains(pid));
        Ok((fresh.count() >= usize::try_from(WORKERS)?).then_some(()))
    })
}

/// Reloads with a broken key file, waits until nginx refuses it, and restores the old file.
fn refuse(nginx: &Nginx, round: usize) -> Result<()> {
    let good = nginx.read(traffic::KIDS);
    nginx.put(traffic::KIDS, format!("{{\"k1\": \"round {round}"))?;
    let told = nginx.error_log().len();
    nginx.signal(rustix::process::Signal::HUP)?;
    until("a refused reload", || {
        let log = nginx.error_log();
        let fresh = log.get(told..).unwrap_or_default();
        Ok(fresh.contains(traffic::REFUSED).then_some(()))
    })?;
    nginx.put(traffic::KIDS, good)
}
