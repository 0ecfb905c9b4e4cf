//! Starts the servers under load on a core of their own, and reads from /proc what they cost.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::load;

/// The core of the servers. The load uses the next core.
const CORE: usize = 0;
/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// A server that has not ended this long after SIGTERM is killed. A loaded Envoy can need a minute.
const FAREWELL: Duration = Duration::from_secs(10);

/// Keeps the load off the servers' core.
pub(crate) fn leave_their_core() -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(CORE + 1);
    sched_setaffinity(None, &cores).context("this takes two cores")
}

/// A server's own folder, and a free port.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
}

impl Place {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench.").tempdir()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        Ok(Self { folder, port })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a configuration from a template, with each `@NAME@` replaced by its value.
    pub(crate) fn fill(
        &self,
        name: &str,
        template: &str,
        values: &[(&str, &str)],
    ) -> Result<String> {
        let file = self.path().join(name);
        let (dir, port) = (self.path().display().to_string(), self.port.to_string());
        let mut text = template.replace("@DIR@", &dir).replace("@PORT@", &port);
        for (name, value) in values {
            text = text.replace(&format!("@{name}@"), value);
        }
        fs::write(&file, text)?;
        Ok(file.display().to_string())
    }
}

/// A running server. It ends when this value is dropped or when this process ends.
pub(crate) struct Server {
    process: Process,
    pub(crate) place: Place,
    /// The time from the start to the first answer.
    pub(crate) started_in: Duration,
}

/// KiB: resident; proportional, with shared pages divided; and of the latter the anonymous part, and the part in
/// memory that processes share.
#[derive(Serialize, Deserialize, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) rss: u64,
    pub(crate) pss: u64,
    pub(crate) anonymous: u64,
    #[serde(default)]
    pub(crate) shared: u64,
}

impl Server {
    pub(crate) fn start(command: &[&str], place: Place) -> Result<Self> {
        Self::start_on(&CORE.to_string(), command, place)
    }

    /// Starts it on these cores, as `taskset` has them.
    pub(crate) fn start_on(cores: &str, command: &[&str], place: Place) -> Result<Self> {
        let began = Instant::now();
        let log = fs::File::create(place.path().join("output"))?;
        let child = Command::new("taskset")
            .args(["-c", cores, "setpriv", "--pdeathsig", "TERM", "--"])
            .args(command)
            .env_remove("NGINX") // nginx reads it as a list of inherited sockets
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("taskset, setpriv (both are in util-linux)")?;
        let mut server = Self { process: Process(child), place, started_in: Duration::ZERO };
        while TcpStream::connect(("127.0.0.1", server.place.port)).is_err() {
            if server.process.0.try_wait()?.is_some() || began.elapsed() > PATIENCE {
                let log = fs::read_to_string(server.place.path().join("output"))?;
                bail!("{} did not start:\n{log}", command.join(" "));
            }
            thread::sleep(Duration::from_millis(1));
        }
        // A connection succeeds before a process accepts it; only an answer shows that one runs.
        let status = load::status(server.place.port, "/plain", "")?;
        ensure!(status == 200, "{} answers {status} to /plain", command.join(" "));
        server.started_in = began.elapsed();
        Ok(server)
    }

    /// The process ids of the first process and its children.
    pub(crate) fn processes(&self) -> Result<Vec<u32>> {
        let first = self.process.0.id();
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children"))?;
        let children = children.split_whitespace().map(|pid| pid.parse().context("a process id"));
        std::iter::once(Ok(first)).chain(children).collect()
    }

    /// Has nginx read its configuration again. The workers go when they have answered what they have.
    pub(crate) fn reload(&self) -> Result<()> {
        Ok(kill_process(self.process.pid()?, Signal::HUP)?)
    }

    /// Reloads, and waits until only new workers are there. Connections must have been closed.
    pub(crate) fn reloaded(&self) -> Result<()> {
        let old = self.processes()?;
        self.reload()?;
        let began = Instant::now();
        loop {
            let now = self.processes()?;
            let is_new = |pid: &u32| !old.contains(pid);
            if now.len() == old.len() && now.iter().skip(1).all(is_new) {
                return Ok(());
            }
            ensure!(began.elapsed() < PATIENCE, "the old workers do not go");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The CPU time of all threads of the server, in nanoseconds.
    pub(crate) fn cpu(&self) -> Result<u64> {
        let mut sum = 0;
        for pid in self.processes()? {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                let text = fs::read_to_string(task?.path().join("schedstat"))?;
                let time = text.split(' ').next().context("an empty schedstat")?;
                sum += time.parse::<u64>()?;
            }
        }
        Ok(sum)
    }

    /// The memory of all processes of the server.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let each = self.processes()?.into_iter().map(memory).collect::<Result<Vec<_>>>()?;
        Ok(each.iter().fold(Memory::default(), |sum, one| Memory {
            rss: sum.rss + one.rss,
            pss: sum.pss + one.pss,
            anonymous: sum.anonymous + one.anonymous,
            shared: sum.shared + one.shared,
        }))
    }

    /// Stops the server, and returns its place for another one.
    pub(crate) fn ended(self) -> Result<Place> {
        let Self { mut process, place, .. } = self;
        process.stop()?;
        Ok(place)
    }
}

/// A process that is stopped when this value is dropped.
struct Process(Child);

impl Process {
    fn pid(&self) -> Result<Pid> {
        Pid::from_raw(i32::try_from(self.0.id())?).context("a process id")
    }

    fn stop(&mut self) -> Result<()> {
        if self.0.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(self.pid()?, Signal::TERM)?;
        let began = Instant::now();
        while self.0.try_wait()?.is_none() {
            if began.elapsed() > FAREWELL {
                self.0.kill()?;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("bench: a server that cannot be stopped: {error:#}");
        }
    }
}

fn memory(pid: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = |name: &str| -> Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).context("smaps_rollup")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    Ok(Memory {
        rss: kib("Rss:")?,
        pss: kib("Pss:")?,
        anonymous: kib("Pss_Anon:")?,
        shared: kib("Pss_Shmem:")?,
    })
}
