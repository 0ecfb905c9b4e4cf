//! A reload under load: how many answers there are in each tenth of a second before and after it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Args, MANY, Tokens, first::CACHE, start, target};
use crate::load::Requests;
use crate::pipeline::{BATCH, GOOD, length};
use crate::results::median;
use crate::server::Server;
use crate::tokens::ALGORITHMS;

const RELOADS: usize = 9;
const FEW_RELOADS: usize = 2;
const MEASURED: [&str; 2] = ["RS256", "ES256"];
/// Enough connections that the worker has requests of one of them while the load reads the answers of another.
const LINES: usize = 4;
pub(super) const SLICE: Duration = Duration::from_millis(100);
/// How many slices there are before the reload, and after it.
pub(super) const BEFORE: usize = 10;
pub(super) const AFTER: usize = 30;
/// The rate is back when so much of it is there.
const BACK: f64 = 0.98;
/// Over so many slices, since each of them varies by some percent.
const STEADY: usize = 10;
/// A connection without an answer for so long is an error.
const PATIENCE: Duration = Duration::from_secs(10);

/// The rate of answers around a reload.
pub(super) struct Curve {
    pub(super) algorithm: &'static str,
    pub(super) memo: &'static str,
    pub(super) reloads: usize,
    /// Answers per second before it, the median of all reloads.
    pub(super) rate: u64,
    /// For each slice before and after, the part of that rate: the median of all reloads.
    pub(super) slices: Vec<f64>,
}

pub(super) fn measure(args: &Args, keys: &Path, tokens: &Tokens) -> Result<Vec<Curve>> {
    let reloads = if args.small { FEW_RELOADS } else { RELOADS };
    eprintln!("{reloads} reloads under load, four times");
    let servers = CACHE
        .iter()
        .map(|(memo, cache)| Ok((*memo, start(args, keys, 1, cache)?)))
        .collect::<Result<Vec<_>>>()?;
    let mut all = Vec::new();
    for algorithm in MEASURED {
        for (memo, server) in &servers {
            all.push((algorithm, *memo, server, Vec::new()));
        }
    }
    for _ in 0..reloads {
        for (algorithm, _, server, runs) in &mut all {
            let of_it = ALGORITHMS.iter().zip(&tokens.many).find(|(name, _)| *name == algorithm);
            let requests = of_it.map(|(_, requests)| requests.to(&target(algorithm)));
            runs.push(reload(server, requests.as_ref())?);
        }
    }
    Ok(all
        .into_iter()
        .map(|(algorithm, memo, _, runs)| Curve::of(algorithm, memo, &runs))
        .collect())
}

/// How many answers there are in each slice.
fn reload(server: &Server, requests: Option<&Requests>) -> Result<Vec<u64>> {
    let mut load = Load::connect(server.place.port, requests)?;
    // All the tokens are active: the worker has seen each of them.
    while load.answered < u64::try_from(2 * MANY)? {
        load.turn()?;
    }
    let mut slices = Vec::with_capacity(BEFORE + AFTER);
    let began = Instant::now();
    for number in 1..=BEFORE + AFTER {
        if number == BEFORE + 1 {
            server.reload()?;
        }
        let (before, end) = (load.answered, began + SLICE * u32::try_from(number)?);
        while Instant::now() < end {
            load.turn()?;
        }
        slices.push(load.answered - before);
    }
    Ok(slices)
}

/// Connections that are opened again when a worker that goes closes them.
struct Load<'r> {
    port: u16,
    requests: &'r Requests,
    lines: Vec<Line>,
    next: usize,
    answered: u64,
}

struct Line {
    stream: TcpStream,
    /// The requests that have no answer yet.
    open: Range<usize>,
    text: Vec<u8>,
    sent: usize,
    answers: Vec<u8>,
    since: Instant,
}

impl<'r> Load<'r> {
    fn connect(port: u16, requests: Option<&'r Requests>) -> Result<Self> {
        let requests = requests.ok_or_else(|| anyhow::anyhow!("no tokens"))?;
        let lines = (0..LINES).map(|_| Line::connect(port)).collect::<Result<_>>()?;
        Ok(Self { port, requests, lines, next: 0, answered: 0 })
    }

    /// Has each connection send and receive what it can at once.
    fn turn(&mut self) -> Result<()> {
        for line in &mut self.lines {
            if line.open.is_empty() {
                line.ask(self.requests, self.next..self.next + BATCH);
                self.next += BATCH;
            }
            match line.exchange()? {
                Some(answers) => self.answered += answers,
                None => {
                    let open = line.open.clone();
                    *line = Line::connect(self.port)?;
                    line.ask(self.requests, open);
                }
            }
        }
        Ok(())
    }
}

impl Line {
    fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let since = Instant::now();
        Ok(Self { stream, open: 0..0, text: Vec::new(), sent: 0, answers: Vec::new(), since })
    }

    fn ask(&mut self, requests: &Requests, open: Range<usize>) {
        self.text = requests.text(open.start, open.len());
        (self.sent, self.open, self.since) = (0, open, Instant::now());
    }

    /// Returns how many answers have come; `None` if the connection was closed.
    fn exchange(&mut self) -> Result<Option<u64>> {
        ensure!(self.since.elapsed() < PATIENCE, "no answers within {PATIENCE:?}");
        let rest = self.text.get(self.sent..).unwrap_or_default();
        if !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // What was answered before it was closed is read all the same.
                Err(error) if is_closed(error.kind()) => self.sent = self.text.len(),
                Err(error) => return Err(error.into()),
            }
        }
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(read) => self.answers.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Some(0)),
            Err(error) if is_closed(error.kind()) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        self.count().map(Some)
    }

    /// Takes whole answers off. Their length differs: the last one of a worker that goes says that it closes.
    fn count(&mut self) -> Result<u64> {
        let (mut rest, mut count) = (self.answers.as_slice(), 0);
        while !rest.is_empty() {
            let Some((answer, after)) = rest.split_at_checked(length(rest)?) else { break };
            ensure!(answer.starts_with(GOOD), "a good request was refused");
            (rest, count) = (after, count + 1);
        }
        self.answers = rest.to_vec();
        self.open.start += usize::try_from(count)?;
        Ok(count)
    }
}

fn is_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

impl Curve {
    fn of(algorithm: &'static str, memo: &'static str, runs: &[Vec<u64>]) -> Self {
        let rate = |run: &Vec<u64>| {
            let before: u64 = run.iter().take(BEFORE).sum();
            before as f64 / (SLICE.as_secs_f64() * BEFORE as f64)
        };
        let part = |run: &Vec<u64>, at: usize| {
            let count = run.get(at).copied().unwrap_or_default() as f64;
            // Whole millionths, which have an order.
            (count / SLICE.as_secs_f64() / rate(run).max(1.0) * 1e6) as u64
        };
        let slices = (0..BEFORE + AFTER).map(|at| {
            let parts: Vec<u64> = runs.iter().map(|run| part(run, at)).collect();
            median(&parts) as f64 / 1e6
        });
        let rates: Vec<u64> = runs.iter().map(|run| rate(run) as u64).collect();
        let (slices, rate) = (slices.collect(), median(&rates));
        Self { algorithm, memo, reloads: runs.len(), rate, slices }
    }

    /// After which slice the rate is back: it has come back within it, and stays so on average. `None` if it never
    /// does.
    pub(super) fn back(&self) -> Option<Duration> {
        let after = self.slices.get(BEFORE..)?;
        let is_back = |at: &usize| {
            let steady = after.get(*at..*at + STEADY).unwrap_or_default();
            let average = steady.iter().sum::<f64>() / STEADY as f64;
            average >= BACK && steady.first().is_some_and(|first| *first >= BACK)
        };
        let at = (0..after.len()).find(is_back)?;
        Some(SLICE * u32::try_from(at).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(after: &[f64]) -> Curve {
        let mut slices = vec![1.0; BEFORE];
        slices.extend(after);
        slices.resize(BEFORE + AFTER, 1.0);
        Curve { algorithm: "RS256", memo: "", reloads: 1, rate: 1, slices }
    }

    #[test]
    fn the_rate_is_back_when_it_stays() {
        assert_eq!(curve(&[]).back(), Some(Duration::ZERO));
        assert_eq!(curve(&[0.5, 0.9]).back(), Some(2 * SLICE));
        assert_eq!(curve(&[0.5, 1.0, 0.5]).back(), Some(3 * SLICE));
        assert_eq!(curve(&[0.9; AFTER]).back(), None);
    }

    #[test]
    fn a_curve_is_the_median_of_its_reloads() {
        let runs = [[100; BEFORE + AFTER].to_vec(), [200; BEFORE + AFTER].to_vec()];
        let curve = Curve::of("RS256", "", &runs);
        assert_eq!((curve.rate, curve.slices.first()), (1000, Some(&1.0)));
    }
}
