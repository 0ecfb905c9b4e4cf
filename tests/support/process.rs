//! A running nginx: its start, reloads and end, and its logs.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::{Connection, Request, Response};
use crate::config::{Builder, write_file};
use crate::env;
use crate::log::{leaving_workers, problems, started_workers};
use crate::wait::until;

/// A real nginx of the test's own, stopped and judged when it is dropped.
#[derive(Debug)]
pub struct Nginx {
    prefix: TempDir,
    builder: RefCell<Builder>,
    child: RefCell<Option<Child>>,
    finished: Cell<bool>,
}

impl Nginx {
    /// Starts to describe an nginx.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts nginx with `server` in its server block.
    ///
    /// # Errors
    /// When nginx does not start; the message holds what it wrote.
    pub fn start(server: impl Into<String>) -> Result<Self> {
        Self::builder().server(server).start()
    }

    pub(crate) fn launch(builder: Builder) -> Result<Self> {
        let prefix = new_prefix()?;
        builder.write(prefix.path())?;
        let stderr = File::create(prefix.path().join("logs/stderr.log"))?;
        let mut command = env::nginx_command()?;
        command
            .current_dir(prefix.path())
            .arg("-p")
            .arg(prefix.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let child = command.spawn().context("starting nginx")?;
        let nginx = Self {
            prefix,
            builder: RefCell::new(builder),
            child: RefCell::new(Some(child)),
            finished: Cell::new(false),
        };
        if let Err(error) = nginx.wait_ready() {
            let stderr = nginx.read("logs/stderr.log");
            // What it wrote is in the error already: the drop must not judge it again.
            nginx.kill();
            nginx.finished.set(true);
            return Err(error.context(format!("nginx did not start: {stderr}")));
        }
        Ok(nginx)
    }

    fn wait_ready(&self) -> Result<()> {
        let (master, workers) = {
            let builder = self.builder.borrow();
            (builder.master, usize::try_from(builder.workers)?)
        };
        until("nginx starting", || {
            if let Some(child) = self.child.borrow_mut().as_mut()
                && let Some(status) = child.try_wait()?
            {
                bail!("it exited at once: {status}");
            }
            let ready = if master {
                // The sockets are open and signals are handled before the first worker is started.
                started_workers(&self.error_log()).len() >= workers
            } else {
                self.sockets().iter().any(|socket| UnixStream::connect(socket).is_ok())
            };
            Ok(ready.then_some(()))
        })
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.prefix()).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "sock"))
            .collect()
    }

    /// The directory in which this nginx lives.
    pub fn prefix(&self) -> &Path {
        self.prefix.path()
    }

    /// The path of a socket in the prefix; the test's own server listens on `s.sock`.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.prefix().join(name)
    }

    /// Begins a request, to which headers and other bytes can be added.
    pub fn request(&self) -> Request {
        Request::new(self.socket("s.sock"))
    }

    /// GETs `target`.
    ///
    /// # Errors
    /// When no complete answer arrives.
    pub fn get(&self, target: impl AsRef<[u8]>) -> Result<Response> {
        self.request().target(target).send()
    }

    /// GETs `target` with `Authorization: Bearer TOKEN`.
    ///
    /// # Errors
    /// When no complete answer arrives.
    pub fn bearer(&self, target: impl AsRef<[u8]>, token: &str) -> Result<Response> {
        self.request().target(target).bearer(token).send()
    }

    /// Sends exactly `bytes` and reads one answer.
    ///
    /// # Errors
    /// When no complete answer arrives.
    pub fn raw(&self, bytes: &[u8]) -> Result<Response> {
        let mut connection = self.connect()?;
        connection.write(bytes)?;
        connection.read_response(false)
    }

    /// Opens a connection for several requests.
    ///
    /// # Errors
    /// When nginx does not accept it.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(&self.socket("s.sock"))
    }

    /// Puts or replaces a file in the prefix, by rename.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.builder.borrow_mut().replace_file(name, bytes.as_ref());
        write_file(self.prefix(), name, bytes.as_ref())
    }

    /// Writes a file of the prefix in place, as an editor might: it stays the same file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn rewrite(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.builder.borrow_mut().replace_file(name, bytes.as_ref());
        fs::write(self.prefix().join(name), bytes).with_context(|| format!("writing {name}"))
    }

    /// Changes the permissions of a file of the prefix.
    ///
    /// # Errors
    /// When they cannot be changed.
    pub fn chmod(&self, name: &str, mode: u32) -> Result<()> {
        fs::set_permissions(self.prefix().join(name), fs::Permissions::from_mode(mode))
            .with_context(|| format!("chmod {name}"))
    }

    /// Changes the configuration on disk; a reload puts it in force.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, change: impl FnOnce(Builder) -> Builder) -> Result<()> {
        let changed = change(self.builder.borrow().clone());
        changed.write(self.prefix())?;
        *self.builder.borrow_mut() = changed;
        Ok(())
    }

    /// Reloads, and returns when new workers serve and no old one accepts any more.
    ///
    /// # Errors
    /// When nginx refuses the configuration, with what it wrote.
    pub fn reload(&self) -> Result<()> {
        match self.signal_reload()? {
            None => Ok(()),
            Some(emerg) => bail!("the reload failed: {emerg}"),
        }
    }

    /// Reloads, and returns what nginx wrote when it refused the configuration.
    ///
    /// # Errors
    /// When the reload succeeds.
    pub fn reload_refused(&self) -> Result<String> {
        let emerg = self.signal_reload()?.context("the reload succeeded")?;
        self.builder.borrow_mut().expected.extend(emerg.lines().map(str::to_owned));
        Ok(emerg)
    }

    fn signal_reload(&self) -> Result<Option<String>> {
        let before = self.error_log();
        let known = started_workers(&before);
        let leaving = leaving_workers(&before);
        let old: Vec<u32> = known.iter().copied().filter(|pid| !leaving.contains(pid)).collect();
        let wanted = usize::try_from(self.builder.borrow().workers)?;
        self.signal(Signal::HUP)?;
        until("the reload", || {
            let log = self.error_log();
            let fresh = log.get(before.len()..).unwrap_or_default();
            let refused = problems(fresh, &[]);
            if refused.iter().any(|line| line.contains("[emerg]")) {
                return Ok(Some(Some(refused.join("\n"))));
            }
            let leaving = leaving_workers(fresh);
            let done = started_workers(fresh).len() >= wanted
                && old.iter().all(|pid| leaving.contains(pid));
            Ok(done.then_some(None))
        })
    }

    /// Sends a signal to the master (or to the single process).
    ///
    /// # Errors
    /// When it is no longer there.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.child.borrow();
        let pid = Pid::from_child(child.as_ref().context("nginx was stopped")?);
        kill_process(pid, signal).context("signalling nginx")
    }

    /// The process ids of the workers that accept requests now: those that were started, without those that leave or
    /// were killed.
    pub fn workers(&self) -> Vec<u32> {
        let log = self.error_log();
        let leaving = leaving_workers(&log);
        started_workers(&log).into_iter().filter(|pid| !leaving.contains(pid)).collect()
    }

    /// Everything in the error log so far.
    pub fn error_log(&self) -> String {
        self.read("logs/error.log")
    }

    /// Everything in the access log so far: `STATUS jwt=… link=… METHOD URI` a line.
    pub fn access_log(&self) -> String {
        self.read("logs/access.log")
    }

    /// What a file of the prefix holds, or nothing.
    pub fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.prefix().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The lines that the module wrote about refused requests: those at `info` that name one of its
    /// checks.
    pub fn refusals(&self) -> Vec<String> {
        let log = self.error_log();
        log.lines()
            .filter(|line| line.contains("[info]") && is_refusal(line))
            .map(str::to_owned)
            .collect()
    }

    /// Waits for a line of the error log that `wanted` accepts, and returns it.
    ///
    /// # Errors
    /// When none comes; the message holds the log.
    pub fn wait_log(&self, wanted: impl Fn(&str) -> bool) -> Result<String> {
        until("a line of the error log", || {
            let log = self.error_log();
            Ok(log.lines().find(|line| wanted(line)).map(str::to_owned))
        })
        .with_context(|| format!("error log:\n{}", self.error_log()))
    }

    /// Fails when any log holds one of `secrets`, or the payload or the signature of
    /// a token among them.
    ///
    /// # Errors
    /// Names the log and the line.
    pub fn assert_no_secret(&self, secrets: &[&str]) -> Result<()> {
        for name in fs::read_dir(self.prefix().join("logs"))?.flatten() {
            let path = format!("logs/{}", name.file_name().to_string_lossy());
            let log = self.read(&path);
            for secret in secrets.iter().flat_map(|secret| secret_parts(secret)) {
                if let Some(line) = log.lines().find(|line| line.contains(secret)) {
                    bail!("{path} tells a secret, {secret:?}:\n{line}");
                }
            }
        }
        Ok(())
    }

    /// Stops nginx and judges its logs.
    ///
    /// # Errors
    /// When it did not stop, stopped with a failure, or wrote what [`problems`] names.
    pub fn finish(self) -> Result<()> {
        self.finished.set(true);
        self.stop()
    }

    /// Stops nginx gracefully; the logs stay readable.
    ///
    /// # Errors
    /// When it did not stop, stopped with a failure, or wrote what [`problems`] names.
    pub fn stop(&self) -> Result<()> {
        let Some(mut child) = self.child.borrow_mut().take() else { return Ok(()) };
        let graceful = kill_process(Pid::from_child(&child), Signal::QUIT)
            .context("signalling nginx")
            .and_then(|()| until("nginx stopping", || Ok(child.try_wait()?)));
        if graceful.is_err() {
            child.kill().context("killing nginx")?;
            child.wait().context("waiting for nginx")?;
        }
        let status = graceful?;
        let expected = self.builder.borrow().expected.clone();
        let found: Vec<String> = ["logs/stderr.log", "logs/error.log"]
            .into_iter()
            .flat_map(|name| problems(&self.read(name), &expected))
            .collect();
        ensure!(found.is_empty(), "nginx wrote:\n{}", found.join("\n"));
        ensure!(status.success(), "nginx ended with {status}: {}", self.read("logs/stderr.log"));
        Ok(())
    }

    fn kill(&self) {
        if let Some(mut child) = self.child.borrow_mut().take() {
            // It may have ended already: no error matters here.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let stopped = self.stop();
        self.kill();
        // A test that did not reach its end has failed: show what nginx had to say.
        if !self.finished.get() || stopped.is_err() {
            eprintln!("--- error log ---\n{}{}", self.error_log(), self.read("logs/stderr.log"));
        }
        if !std::thread::panicking() {
            assert!(stopped.is_ok(), "{stopped:?}");
        }
    }
}

/// A directory whose path leaves room for a socket's name in the 108 bytes that a unix address has.
pub(crate) fn new_prefix() -> Result<TempDir> {
    tempfile::Builder::new().prefix("nta-").tempdir_in("/tmp").context("making a prefix")
}

/// The message is what stands before `, client: `. In nginx's own `info` lines it never names a check of
/// this module.
fn is_refusal(line: &str) -> bool {
    let message = line.split(", client: ").next().unwrap_or_default();
    message.contains(" jwt refused: ") || message.contains(" secure token refused: ")
}

/// A token is secret as a whole and in its payload and signature; anything else only as a whole.
fn secret_parts(secret: &str) -> Vec<&str> {
    let mut parts = vec![secret];
    if secret.matches('.').count() == 2 {
        parts.extend(secret.split('.').skip(1).filter(|part| part.len() >= 8));
    }
    parts
}

/// Asks `/` with this token again and again until the answer is `verdict`.
///
/// # Errors
/// When it is not; the last answer is told.
pub fn until_verdict(nginx: &Nginx, token: &str, verdict: (u16, &str)) -> Result<()> {
    let mut last = String::new();
    until(&format!("{verdict:?}"), || {
        let response = nginx.bearer("/", token)?;
        last = format!("{:?}", response.verdict());
        Ok((response.verdict() == verdict).then_some(()))
    })
    .with_context(|| format!("the last answer was {last}"))
}
