//! An nginx that this process starts and stops.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;

/// A start that takes longer has failed. Under valgrind it takes some seconds.
const START: Duration = Duration::from_secs(60);
/// An nginx that was told to end and has not by then is killed.
const END: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// A running nginx, which ends with this value.
pub(crate) struct Server {
    child: Child,
    kept: bool,
    pub(crate) port: u16,
}

impl Server {
    /// Starts what `command` makes for a port that is free, and waits until it answers. It must run in
    /// the foreground and write `nginx.pid` into `folder`; what it prints is in `error.log` there.
    ///
    /// # Errors
    /// When it does not start; the error holds what it wrote.
    pub(crate) fn start(folder: &Path, command: impl Fn(u16) -> Result<Command>) -> Result<Self> {
        // Somebody else may take the port before nginx does, hence the loop.
        for _ in 0..20 {
            let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            let log = File::create(folder.join("error.log"))?;
            let child = command(port)?
                .env_remove("NGINX") // nginx reads it as a list of inherited sockets
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .spawn()
                .context("starting nginx")?;
            let mut server = Self { child, kept: false, port };
            if server.answers(&folder.join("nginx.pid"))? {
                return Ok(server);
            }
            server.stop()?;
            let log = fs::read_to_string(folder.join("error.log"))?;
            if !log.contains("Address already in use") {
                bail!("nginx did not start:\n{log}");
            }
        }
        bail!("no free port was found on 127.0.0.1")
    }

    /// Waits for an answer; false when it ends instead. Its own file tells it from another server on the
    /// same port.
    fn answers(&mut self, pid_file: &Path) -> Result<bool> {
        let (client, began) = (Client::new(), Instant::now());
        while began.elapsed() < START && self.child.try_wait()?.is_none() {
            if pid_file.exists() && client.get(&self.base(), None).is_ok() {
                return Ok(true);
            }
            thread::sleep(PAUSE);
        }
        Ok(false)
    }

    /// The address of its first page, without the slash.
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Leaves it running, and tells its process.
    pub(crate) fn keep(mut self) -> u32 {
        self.kept = true;
        self.child.id()
    }

    /// Has it finish what it does and end.
    ///
    /// # Errors
    /// When it cannot be told so.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::QUIT).context("stopping nginx")?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > END {
                self.child.kill()?;
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = self.stop() {
            eprintln!("xtask: nginx cannot be stopped: {error:#}");
        }
    }
}
