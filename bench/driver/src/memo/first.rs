//! The first time that a worker meets each of many tokens: none has seen them, another worker has, or a worker before a
//! reload.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Args, MANY, Tokens, start, target, to_each};
use crate::lane::beyond;
use crate::load::Requests;
use crate::pipeline::Pipeline;
use crate::results::Cpu as Both;
use crate::run::settle;
use crate::server::Server;
use crate::tokens::ALGORITHMS;

/// The server starts anew in each round.
const ROUNDS: usize = 5;
/// Holds all the tokens of an algorithm.
pub(super) const CACHE: [(&str, &str); 2] =
    [("shared=4m", "jwt_cache 64m shared=4m;"), ("shared=off", "jwt_cache 64m shared=off;")];
const WHO: [&str; 3] = ["none", "another worker", "a worker before the reload"];

/// Nanoseconds that the check adds, for each algorithm.
pub(super) struct Row {
    pub(super) memo: &'static str,
    /// Who has seen the tokens.
    pub(super) who: &'static str,
    pub(super) cpu: [Option<Both>; ALGORITHMS.len()],
}

/// Nanoseconds of a request in each round, for each of [`WHO`]: without the check, and with it.
type Passes = [[Vec<i64>; 2]; WHO.len()];

pub(super) fn measure(args: &Args, keys: &Path, tokens: &Tokens) -> Result<Vec<Row>> {
    let rounds = if args.small { 1 } else { ROUNDS };
    eprintln!("{rounds} rounds of first passes");
    let mut passes = [(); CACHE.len()].map(|()| [(); ALGORITHMS.len()].map(|()| Passes::default()));
    for _ in 0..rounds {
        for ((_, cache), passes) in CACHE.iter().zip(&mut passes) {
            for ((algorithm, requests), passes) in ALGORITHMS.iter().zip(&tokens.many).zip(passes) {
                round(args, keys, cache, algorithm, requests, passes)?;
            }
        }
    }
    let mut rows = Vec::new();
    for ((memo, _), passes) in CACHE.into_iter().zip(&passes) {
        for (number, who) in WHO.into_iter().enumerate() {
            let cpu = passes.each_ref().map(|it| {
                let [without, with] = it.get(number)?;
                Some(beyond(with, without, 1))
            });
            rows.push(Row { memo, who, cpu });
        }
    }
    Ok(rows)
}

/// Two workers, one after the other, and then one of those that come with a reload.
fn round(
    args: &Args,
    keys: &Path,
    cache: &str,
    algorithm: &str,
    requests: &Requests,
    [none, another, before]: &mut Passes,
) -> Result<()> {
    let server = start(args, keys, 2, cache)?;
    let sides = ["/plain", &target(algorithm)].map(|path| requests.to(path));
    let mut workers = to_each(&server, 2)?.into_iter();
    pass(&server, workers.next().context("no worker")?, &sides, none)?;
    pass(&server, workers.next().context("no second worker")?, &sides, another)?;
    server.reloaded()?;
    let new = to_each(&server, 2)?.into_iter().next().context("no new worker")?;
    pass(&server, new, &sides, before)
}

/// Sends all requests once, without the check and with it. The worker sees each token for the first time.
fn pass(
    server: &Server,
    mut worker: Pipeline,
    sides: &[Requests; 2],
    passes: &mut [Vec<i64>; 2],
) -> Result<()> {
    for (requests, cpu) in sides.iter().zip(passes) {
        settle();
        let before = server.cpu()?;
        worker.pass(requests)?;
        settle();
        cpu.push(i64::try_from(server.cpu()? - before)? / i64::try_from(MANY)?);
    }
    Ok(())
}
