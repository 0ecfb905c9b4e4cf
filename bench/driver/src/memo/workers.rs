//! As many workers as a large machine has, each of which gets all the tokens: how many signatures are verified, and
//! how much memory there is.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Args, start, target, to_each};
use crate::load::Requests;
use crate::pipeline::{BATCH, Pipeline};
use crate::server::{Memory, Server};
use crate::tokens::{Signer, headers};

/// The workers of a machine with so many cores.
pub(super) const WORKERS: usize = 64;
const TOKENS: usize = 2000;
const FEW_TOKENS: usize = 400;
const CACHES: [&str; 2] = ["8m shared=off", "8m shared=4m"];
const ALGORITHMS: [&str; 2] = ["RS256", "ES256"];
/// Each worker tells of what it has done once a second.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Row {
    pub(super) cache: &'static str,
    /// Of each algorithm.
    pub(super) tokens: usize,
    pub(super) before: Memory,
    pub(super) after: Memory,
    /// Signatures for each token: when all workers have had it, and when all of those after a reload have had it,
    /// too.
    pub(super) verified: [f64; 2],
    /// CPU of all workers until all of them have had all tokens.
    pub(super) cpu: Duration,
}

pub(super) fn measure(args: &Args, keys: &Path) -> Result<Vec<Row>> {
    let tokens = if args.small { FEW_TOKENS } else { TOKENS };
    eprintln!("{tokens} tokens for each of {WORKERS} workers");
    let requests = ALGORITHMS
        .iter()
        .map(|name| Ok(Requests::new(&target(name), &headers(&Signer::load(keys, name)?, tokens)?)))
        .collect::<Result<Vec<_>>>()?;
    CACHES.into_iter().map(|cache| row(args, keys, cache, tokens, &requests)).collect()
}

fn row(
    args: &Args,
    keys: &Path,
    cache: &'static str,
    tokens: usize,
    requests: &[Requests],
) -> Result<Row> {
    let server = start(args, keys, WORKERS, &format!("jwt_cache {cache};"))?;
    let workers = to_each(&server, WORKERS)?;
    // A worker makes its cache when it needs it: these have had no token.
    let before = server.memory()?;
    let began = server.cpu()?;
    send(workers, requests)?;
    let cpu = Duration::from_nanos(server.cpu()? - began);
    let after = server.memory()?;
    let each = tokens * ALGORITHMS.len();
    let once = verified(&server, each * WORKERS)? as f64 / each as f64;
    server.reloaded()?;
    send(to_each(&server, WORKERS)?, requests)?;
    let twice = verified(&server, 2 * each * WORKERS)? as f64 / each as f64;
    Ok(Row { cache, tokens, before, after, verified: [once, twice], cpu })
}

/// Sends all tokens to each worker, and closes the connections to them.
fn send(workers: Vec<Pipeline>, requests: &[Requests]) -> Result<()> {
    workers
        .into_iter()
        .try_for_each(|mut worker| requests.iter().try_for_each(|requests| worker.pass(requests)))
}

/// How many signatures were verified, when the workers have told of all that were `sent`.
fn verified(server: &Server, sent: usize) -> Result<u64> {
    let began = Instant::now();
    loop {
        let text = Pipeline::connect(server.place.port, BATCH)?.ask("/status")?;
        let status: Value = serde_json::from_str(&text)?;
        let count = |name: &str| status.pointer(name).and_then(Value::as_u64).context("a count");
        if count("/cache/hits")? + count("/cache/misses")? == u64::try_from(sent)? {
            return ALGORITHMS.iter().map(|name| count(&format!("/signatures/{name}"))).sum();
        }
        ensure!(began.elapsed() < PATIENCE, "not every token is counted: {text}");
        thread::sleep(Duration::from_millis(50));
    }
}
