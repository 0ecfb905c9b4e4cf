//! The same state of a token again and again, in slices that take turns with those of all other states and servers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Args, MOST_ALGORITHM, Tokens, target};
use crate::alone::Alone;
use crate::lane::Lane;
use crate::load::Requests;
use crate::peers::Kind;
use crate::pipeline::{BATCH, Pipeline};
use crate::results::{Cpu as Both, median};
use crate::server::Memory;
use crate::tokens::ALGORITHMS;

const ROUNDS: usize = 21;
const FEW_ROUNDS: usize = 3;
pub(super) const SLICE: Duration = Duration::from_millis(100);
/// About as long as what the signature of a token covers.
const MESSAGE: usize = 330;

/// Which tokens take turns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turns {
    One,
    Many,
    Most,
}

/// What a worker knows of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is in the worker's own cache.
    Seen,
    /// Another worker has seen it, or this one, whose cache is too small for all of them.
    Elsewhere,
    /// No worker has seen it, or none that could tell.
    Never,
    /// The server decides: one that is no nginx with this module.
    Peer,
}

/// A `jwt_cache`, and what is measured with it.
struct Plan {
    cache: &'static str,
    state: State,
    turns: &'static [Turns],
}

/// A cache of 8 MB, the default, holds a fifth of the many tokens: in turns, each of them is gone when it comes again. One
/// of 4 KB holds none, and a memo of 4 KB has forgotten each of them, too.
const PLANS: [Plan; 6] = [
    Plan { cache: "256m shared=4m", state: State::Seen, turns: &[Turns::One, Turns::Many] },
    Plan { cache: "8m shared=32m", state: State::Elsewhere, turns: &[Turns::Many, Turns::Most] },
    Plan { cache: "4k shared=4m", state: State::Elsewhere, turns: &[Turns::Many] },
    Plan { cache: "8m shared=4k", state: State::Never, turns: &[Turns::Many] },
    Plan { cache: "8m shared=off", state: State::Never, turns: &[Turns::Many, Turns::Most] },
    Plan { cache: "off", state: State::Never, turns: &[Turns::Many] },
];

pub(super) struct Lanes {
    pub(super) rounds: usize,
    pub(super) rows: Vec<Row>,
    /// A signature by itself, for each algorithm with a public key: between two answers, and in a loop.
    pub(super) served: [Option<Both>; ALGORITHMS.len()],
    pub(super) looped: [Option<Both>; ALGORITHMS.len()],
    /// The part of the time, in percent, in which the load's core did nothing else: less on a busy machine.
    pub(super) own: i64,
    /// Each server, and its memory before and after.
    pub(super) memory: Vec<(String, [Memory; 2])>,
}

/// Nanoseconds that the check adds, for each algorithm that was measured.
pub(super) struct Row {
    pub(super) server: String,
    pub(super) state: State,
    pub(super) turns: Turns,
    pub(super) cpu: [Option<Both>; ALGORITHMS.len()],
}

/// A server, and what is asked of it.
struct Subject {
    name: String,
    server: crate::server::Server,
    idle: Memory,
    /// How many requests go over one connection at once.
    each: usize,
    asked: Vec<Asked>,
}

/// Requests of one row and algorithm: without the check, and with it.
struct Asked {
    state: State,
    turns: Turns,
    algorithm: &'static str,
    sides: [Lane; 2],
}

pub(super) fn measure(args: &Args, keys: &Path, tokens: &Tokens) -> Result<Lanes> {
    let mut subjects = own(args, keys, tokens)?;
    subjects.extend(peers(args, keys, tokens)?);
    eprintln!("sending every token once");
    for subject in &subjects {
        subject.send_all(tokens).with_context(|| subject.name.clone())?;
    }
    let mut alone = ALGORITHMS.map(|name| Alone::new(keys, name, MESSAGE).ok());
    let rounds = if args.small { FEW_ROUNDS } else { ROUNDS };
    let slices: usize = subjects.iter().map(|subject| 2 * subject.asked.len()).sum();
    eprintln!("{rounds} rounds of {slices} slices of {} ms", SLICE.as_millis());
    for number in 0..rounds {
        for subject in &mut subjects {
            subject.round(number).with_context(|| subject.name.clone())?;
        }
        for one in alone.iter_mut().flatten() {
            one.measure()?;
        }
    }
    let memory = subjects
        .iter()
        .map(|it| Ok((it.name.clone(), [it.idle, it.server.memory()?])))
        .collect::<Result<_>>()?;
    let own: Vec<i64> = alone.iter().flatten().flat_map(|one| one.own.iter().copied()).collect();
    let served = alone.each_ref().map(|one| one.as_ref().map(Alone::served));
    let looped = alone.each_ref().map(|one| one.as_ref().map(Alone::looped));
    let rows = subjects.iter().flat_map(Subject::rows).collect();
    Ok(Lanes { rounds, rows, served, looped, own: median(&own), memory })
}

/// This module, with each `jwt_cache`.
fn own(args: &Args, keys: &Path, tokens: &Tokens) -> Result<Vec<Subject>> {
    let plans = PLANS.iter().map(|plan| {
        let cache = format!("jwt_cache {};", plan.cache);
        let server = args.programs.module(keys, "ngx-token-auth", &cache)?.server;
        let mut asked = Vec::new();
        for turns in plan.turns {
            asked.extend(
                ALGORITHMS.iter().filter_map(|name| tokens.asked(plan.state, *turns, name, BATCH)),
            );
        }
        Ok(Subject {
            name: format!("jwt_cache {}", plan.cache),
            idle: server.memory()?,
            server,
            each: BATCH,
            asked,
        })
    });
    plans.collect()
}

/// The other servers that are installed. Lua has no cache, and no other figures here than in the run of everybody.
fn peers(args: &Args, keys: &Path, tokens: &Tokens) -> Result<Vec<Subject>> {
    let peers = args.programs.start_others(keys)?.into_iter();
    let peers = peers.filter(|peer| !peer.name.contains("Lua")).map(|peer| {
        // Envoy takes more than two unanswered requests of a connection for a flood.
        let each = if peer.name.starts_with("Envoy") { 1 } else { BATCH };
        let mut asked = Vec::new();
        for turns in [Turns::One, Turns::Many, Turns::Most] {
            for case in &peer.cases {
                let Kind::Token(algorithm) = case.kind else { continue };
                asked.extend(tokens.asked(State::Peer, turns, algorithm, each));
            }
        }
        let (name, server) = (peer.name.to_owned(), peer.server);
        Ok(Subject { name, idle: server.memory()?, server, each, asked })
    });
    peers.collect()
}

impl Tokens {
    /// `None` if there are no such tokens of this algorithm.
    fn asked(
        &self,
        state: State,
        turns: Turns,
        algorithm: &'static str,
        each: usize,
    ) -> Option<Asked> {
        let requests = self.of(turns, algorithm)?;
        let sides =
            ["/plain", &target(algorithm)].map(|path| Lane::pipelined(requests.to(path), each));
        Some(Asked { state, turns, algorithm, sides })
    }

    fn of(&self, turns: Turns, algorithm: &str) -> Option<&Requests> {
        let number = ALGORITHMS.iter().position(|name| *name == algorithm)?;
        match turns {
            Turns::One => self.one.get(number),
            Turns::Many => self.many.get(number),
            Turns::Most => (algorithm == MOST_ALGORITHM).then_some(&self.most),
        }
    }
}

impl Subject {
    /// Sends each token once, so that who remembers tokens has seen them. Who does not is spared the longest pass.
    fn send_all(&self, tokens: &Tokens) -> Result<()> {
        let mut pipeline = Pipeline::connect(self.server.place.port, self.each)?;
        for asked in &self.asked {
            let remembers = asked.state == State::Elsewhere || asked.turns != Turns::Most;
            if let Some(requests) = tokens.of(asked.turns, asked.algorithm).filter(|_| remembers) {
                pipeline.pass(&requests.to(&target(asked.algorithm)))?;
            }
        }
        Ok(())
    }

    fn round(&mut self, number: usize) -> Result<()> {
        for asked in &mut self.asked {
            // The order alternates, so that the caches do not always favour the same side.
            for turn in [number % 2, (number + 1) % 2] {
                let side = asked.sides.get_mut(turn).context("a side")?;
                side.measure(&self.server, SLICE).context(asked.algorithm)?;
            }
        }
        Ok(())
    }

    /// A row for each state and number of tokens.
    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for asked in &self.asked {
            let is_same = |row: &Row| row.state == asked.state && row.turns == asked.turns;
            let [without, with] = &asked.sides;
            let added = with.beyond(without, 1);
            if rows.last().is_none_or(|row| !is_same(row)) {
                let server = self.name.clone();
                rows.push(Row { server, state: asked.state, turns: asked.turns, cpu: [None; _] });
            }
            let number = ALGORITHMS.iter().position(|name| *name == asked.algorithm);
            let cells = rows.last_mut().map(|row| &mut row.cpu);
            if let Some(cell) = cells.zip(number).and_then(|(cells, at)| cells.get_mut(at)) {
                *cell = Some(added);
            }
        }
        rows
    }
}
