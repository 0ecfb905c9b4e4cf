//! One request after the other, and what each of them costs the worker.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::load::content_length;

/// A connection that stays.
pub(super) struct Probe {
    stream: TcpStream,
}

impl Probe {
    pub(super) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream })
    }

    /// Sends a request, and returns the status of its answer.
    pub(super) fn ask(&mut self, target: &str, header: &str) -> Result<u16> {
        let line = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        let request = format!("GET {target} HTTP/1.1\r\nHost: bench.example\r\n{line}\r\n");
        self.stream.write_all(request.as_bytes())?;
        let mut answer = Vec::with_capacity(4096);
        let mut buffer = [0; 4096];
        loop {
            let read = self.stream.read(&mut buffer)?;
            if read == 0 {
                bail!("the connection was closed: {}", answer.escape_ascii());
            }
            answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
            let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else { continue };
            let (head, body) = answer.split_at(end + 4);
            if body.len() >= content_length(head)? {
                let status = std::str::from_utf8(head.get(9..12).context("a short head")?)?;
                return status.parse().with_context(|| format!("status {status:?}"));
            }
        }
    }
}

/// How long a process, and this one, were ready to run while something else did.
#[derive(Clone, Copy)]
pub(super) struct Waits {
    process: u32,
}

impl Waits {
    pub(super) fn of(process: u32) -> Self {
        Self { process }
    }

    fn now(self) -> Result<Duration> {
        let of = |file: &str| -> Result<u64> {
            let text = std::fs::read_to_string(file)?;
            Ok(text.split(' ').nth(1).context("a short schedstat")?.parse()?)
        };
        let waited = of(&format!("/proc/{}/schedstat", self.process))?;
        Ok(Duration::from_nanos(waited + of("/proc/thread-self/schedstat")?))
    }
}

/// For how long requests were held, each beside others that are answered at once.
#[derive(Clone, Default)]
pub(super) struct Holds {
    /// From the request to its answer.
    passed: Vec<Duration>,
    /// The same without the time in which something else ran in the place of the worker, or of this
    /// process.
    held: Vec<Duration>,
}

impl Holds {
    /// Sends a request. The next one is to follow at once, so that one is under way at any time: it has
    /// come while the worker did something else, and waits for the end of that.
    pub(super) fn add(&mut self, probe: &mut Probe, waits: Waits) -> Result<()> {
        let before = waits.now()?;
        let began = Instant::now();
        let status = probe.ask("/plain", "")?;
        let passed = began.elapsed();
        let waited = waits.now()?.saturating_sub(before);
        ensure!(status == 200, "status {status} to /plain");
        self.passed.push(passed);
        self.held.push(passed.saturating_sub(waited));
        Ok(())
    }

    /// The longest hold, that of all but a thousandth of the requests, and the time that has passed for
    /// these.
    pub(super) fn worst(&self) -> [Duration; 3] {
        let share = |list: &[Duration], part: usize| {
            let mut list = list.to_vec();
            list.sort_unstable();
            let last = list.len().saturating_sub(1);
            list.get(last * part / 1000).copied().unwrap_or_default()
        };
        [share(&self.held, 1000), share(&self.held, 999), share(&self.passed, 999)]
    }
}
