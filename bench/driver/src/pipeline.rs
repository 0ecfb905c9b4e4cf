//! Requests that are sent many at once, and answers for which the client never sleeps: so the server is woken once for
//! many requests, and wakes nobody. What the kernel and the machine take for that differs from machine to machine, and
//! grows with the time that a check takes; it is no part of the check.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::load::Requests;
use crate::run::settle;
use crate::server::Server;

/// How many requests are sent at once.
pub(crate) const BATCH: usize = 64;
/// A batch that takes longer is an error.
const PATIENCE: Duration = Duration::from_secs(10);
/// A warm-up of one part in this many of a slice is not counted.
const WARM_UP: u32 = 10;

/// Runs a slice of load. Returns how many requests it had, and the nanoseconds of CPU that the server spent on them.
/// `next` counts on from slice to slice. All answers must have the same length.
pub(crate) fn measure(
    server: &Server,
    requests: &Requests,
    each: usize,
    next: &mut usize,
    time: Duration,
) -> Result<(u64, u64)> {
    let mut pipeline = Pipeline::connect(server.place.port, each)?;
    pipeline.run(requests, next, time / WARM_UP)?;
    settle();
    let before = server.cpu()?;
    let count = pipeline.run(requests, next, time)?;
    settle();
    Ok((count, server.cpu()? - before))
}

/// Connections for many requests at once.
pub(crate) struct Pipeline {
    lines: Vec<Line>,
    /// How many of them go over one connection.
    each: usize,
}

struct Line {
    stream: TcpStream,
    /// The text of `count` requests, and what has been sent of it.
    text: Vec<u8>,
    count: usize,
    sent: usize,
    answers: Vec<u8>,
}

impl Pipeline {
    /// Connections that share a batch: each takes so many requests of it.
    pub(crate) fn connect(port: u16, each: usize) -> Result<Self> {
        let lines =
            (0..BATCH.div_ceil(each)).map(|_| Line::connect(port)).collect::<Result<_>>()?;
        Ok(Self { lines, each })
    }

    /// Sends requests until the time is over. Returns how many.
    fn run(&mut self, requests: &Requests, next: &mut usize, time: Duration) -> Result<u64> {
        let (began, mut count) = (Instant::now(), 0);
        while count == 0 || began.elapsed() < time {
            self.batch(requests, *next, BATCH)?;
            *next += BATCH;
            count += u64::try_from(BATCH)?;
        }
        Ok(count)
    }

    /// Sends each of the requests once.
    pub(crate) fn pass(&mut self, requests: &Requests) -> Result<()> {
        let all = requests.tails.len();
        (0..all).step_by(BATCH).try_for_each(|at| self.batch(requests, at, BATCH.min(all - at)))
    }

    /// The body of the answer to a single request.
    pub(crate) fn ask(&mut self, target: &str) -> Result<String> {
        self.batch(&Requests::new(target, &[String::new()]), 0, 1)?;
        let answer = self.lines.first().map(|line| line.answers.as_slice()).unwrap_or_default();
        let body = answer.windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4);
        Ok(String::from_utf8(answer.get(body.unwrap_or_default()..).unwrap_or_default().to_vec())?)
    }

    /// Sends so many requests, beginning with this one, and receives their answers.
    fn batch(&mut self, requests: &Requests, from: usize, count: usize) -> Result<()> {
        for (number, line) in self.lines.iter_mut().enumerate() {
            let at = count.min(number * self.each);
            let count = self.each.min(count - at);
            (line.text, line.count, line.sent) = (requests.text(from + at, count), count, 0);
            line.answers.clear();
        }
        let began = Instant::now();
        loop {
            let mut is_answered = true;
            for line in &mut self.lines {
                is_answered &= line.exchange()?;
            }
            if is_answered {
                return self.lines.iter().try_for_each(Line::judge);
            }
            ensure!(began.elapsed() < PATIENCE, "no answers within {PATIENCE:?}");
        }
    }
}

impl Line {
    fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, text: Vec::new(), count: 0, sent: 0, answers: Vec::new() })
    }

    /// Whether all answers are there. The end of the last one is not looked for: the first one says how long each of
    /// them is.
    fn is_answered(&self) -> Result<bool> {
        let some = !self.answers.is_empty();
        Ok(self.count == 0 || some && self.answers.len() >= self.count * length(&self.answers)?)
    }

    /// Sends and receives what it can at once. Returns whether all answers are there.
    fn exchange(&mut self) -> Result<bool> {
        if self.is_answered()? {
            return Ok(true);
        }
        let rest = self.text.get(self.sent..).unwrap_or_default();
        if !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => bail!("the connection was closed"),
            Ok(read) => self.answers.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        self.is_answered()
    }

    fn judge(&self) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let each = length(&self.answers)?;
        let are_good = self.answers.chunks(each).all(|answer| answer.starts_with(GOOD));
        ensure!(
            are_good && self.answers.len() == self.count * each,
            "not every answer is a good one"
        );
        Ok(())
    }
}

/// How a good answer begins.
pub(crate) const GOOD: &[u8] = b"HTTP/1.1 200 ";

/// The length of the first answer; more than there is while its head is not whole.
pub(crate) fn length(answers: &[u8]) -> Result<usize> {
    let Some(end) = answers.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(answers.len().max(1) + 1);
    };
    let head = answers.get(..end + 4).unwrap_or_default();
    Ok(head.len() + crate::load::content_length(head)?)
}
