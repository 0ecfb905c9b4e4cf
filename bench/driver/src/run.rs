//! Measures all servers in one pass. Short slices take turns, so that a machine that becomes slower
//! affects all servers alike.

use std::collections::HashMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;

use crate::load::{CONNECTIONS, Load, Requests, Slice, status};
use crate::peers::{Kind, Peer, Programs};
use crate::record::{Record, today};
use crate::results::{self, Cpu, Figures, Results, median};
use crate::server::{Server, leave_their_core};
use crate::tokens::{self, ALGORITHMS, Signer};

/// How many different tokens take turns.
const ROTATING: usize = 20_000;
/// A warm-up of one part in this many of a slice is not counted.
const WARM_UP: u32 = 10;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    programs: Programs,
    /// For about how long
    #[arg(long, default_value_t = 900)]
    seconds: u64,
    /// Milliseconds of each slice
    #[arg(long, default_value_t = 500)]
    slice: u64,
    #[command(flatten)]
    record: Record,
}

/// A path with a check, measured against the same request without a check.
struct Lane {
    peer: usize,
    case: &'static str,
    rotating: bool,
    /// The requests without the check, and those with it.
    sides: [Side; 2],
}

struct Side {
    requests: Requests,
    next: usize,
    cpu: Vec<i64>,
    per_second: Vec<u64>,
    busy: Vec<u64>,
    latency: Histogram<u64>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    leave_their_core()?;
    let keys = tempfile::tempdir()?;
    args.programs.make_keys(keys.path())?;
    let peers = args.programs.start(keys.path())?;
    let passes = peers.iter().map(|peer| judge(peer, keys.path())).collect::<Result<Vec<_>>>()?;
    eprintln!("minting {ROTATING} tokens of each algorithm");
    let tokens = mint(keys.path())?;
    let mut lanes = lanes(&args.programs, &peers, &tokens)?;

    let idle = peers.iter().map(|peer| peer.server.memory()).collect::<Result<Vec<_>>>()?;
    eprintln!("sending every token once");
    for lane in lanes.iter_mut().filter(|lane| lane.rotating) {
        let port = peers.get(lane.peer).context("a peer")?.server.place.port;
        let [_, with] = &mut lane.sides;
        Load::connect(port)?.run(&with.requests, &mut with.next, Duration::ZERO, ROTATING)?;
    }

    let slice = Duration::from_millis(args.slice);
    let one_round = u64::try_from(lanes.len())? * 2 * (args.slice + args.slice / 10);
    let rounds = usize::try_from((args.seconds * 1000 / one_round).max(3))?;
    eprintln!("{rounds} rounds of {} x 2 slices of {} ms", lanes.len(), args.slice);
    for round in 0..rounds {
        for lane in &mut lanes {
            let server = &peers.get(lane.peer).context("a peer")?.server;
            // The order alternates, so that the caches do not always favour the same side.
            for turn in [round % 2, (round + 1) % 2] {
                let side = lane.sides.get_mut(turn).context("a side")?;
                side.measure(server, slice).with_context(|| lane.case)?;
            }
        }
        eprintln!("round {} of {rounds}", round + 1);
    }

    let mut measured = Vec::new();
    for (number, ((peer, passes), idle)) in peers.iter().zip(passes).zip(idle).enumerate() {
        let memory = peer.server.memory()?;
        let of_it = lanes.iter().filter(|lane| lane.peer == number);
        measured.push(results::Peer {
            name: peer.name.to_owned(),
            version: peer.version.clone(),
            idle,
            memory,
            passes,
            cases: of_it.map(Lane::result).collect(),
        });
    }
    let results = Results {
        commit: args.record.commit.clone(),
        date: today(),
        machine: crate::machine::describe()?,
        rounds,
        slice_ms: args.slice,
        connections: CONNECTIONS,
        rotating: ROTATING,
        peers: measured,
    };
    args.record.write("results.json", &(serde_json::to_string_pretty(&results)? + "\n"))
}

/// Fails if a peer refuses a good token. Returns the bad requests that the peer lets pass.
fn judge(peer: &Peer, keys: &Path) -> Result<Vec<String>> {
    let mut passes: Vec<String> = Vec::new();
    for case in &peer.cases {
        let Kind::Token(algorithm) = case.kind else { continue };
        let good = tokens::bearer(&Signer::load(keys, algorithm)?.token(&tokens::claims(0))?);
        let got = status(peer.server.place.port, case.path, &good)?;
        ensure!(got == 200, "{} answers {got} to a good {algorithm} token", peer.name);
        for (what, header) in tokens::bad(keys, algorithm)? {
            let got = status(peer.server.place.port, case.path, &header)?;
            ensure!(matches!(got, 200 | 401 | 403), "{} answers {got} to {what}", peer.name);
            if got == 200 && !passes.iter().any(|known| known == what) {
                passes.push(what.to_owned());
            }
        }
    }
    Ok(passes)
}

fn mint(keys: &Path) -> Result<HashMap<&'static str, Vec<String>>> {
    ALGORITHMS
        .into_iter()
        .map(|name| Ok((name, tokens::headers(&Signer::load(keys, name)?, ROTATING)?)))
        .collect()
}

fn lanes(
    programs: &Programs,
    peers: &[Peer],
    tokens: &HashMap<&'static str, Vec<String>>,
) -> Result<Vec<Lane>> {
    // All lanes of an algorithm share one copy of the tokens in memory.
    let mut shared = HashMap::new();
    for (name, lines) in tokens {
        let one = lines.get(..1).context("no token")?;
        shared.insert((*name, false), Requests::new("/", one));
        shared.insert((*name, true), Requests::new("/", lines));
    }
    let mut lanes = Vec::new();
    for (number, peer) in peers.iter().enumerate() {
        for case in &peer.cases {
            for rotating in [false, true] {
                let (query, requests) = match case.kind {
                    Kind::Token(algorithm) => (String::new(), shared.get(&(algorithm, rotating))),
                    _ if rotating => continue,
                    Kind::Inert => (String::new(), shared.get(&("HS256", false))),
                    Kind::Link(options) => {
                        let link = programs.link(case.path, options)?;
                        let query = link.split_once('?').context("a link without arguments")?.1;
                        (format!("?{query}"), None)
                    }
                };
                let side = |path: &str| {
                    let target = format!("{path}{query}");
                    let bare = || Requests::new(&target, &[String::new()]);
                    Side::new(requests.map_or_else(bare, |requests| requests.to(&target)))
                };
                let sides = [side("/plain")?, side(case.path)?];
                lanes.push(Lane { peer: number, case: case.name, rotating, sides });
            }
        }
    }
    Ok(lanes)
}

impl Lane {
    fn result(&self) -> results::Case {
        let [plain, with] = &self.sides;
        let both = plain.cpu.iter().zip(&with.cpu);
        let differences: Vec<i64> = both.map(|(plain, with)| with - plain).collect();
        let (plain, with) = (plain.figures(), with.figures());
        results::Case {
            name: self.case.to_owned(),
            rotating: self.rotating,
            check: Cpu { min: with.cpu.min - plain.cpu.min, median: median(&differences) },
            plain,
            with,
        }
    }
}

impl Side {
    fn new(requests: Requests) -> Result<Self> {
        Ok(Self {
            requests,
            next: 0,
            cpu: Vec::new(),
            per_second: Vec::new(),
            busy: Vec::new(),
            latency: Histogram::new_with_bounds(100, 10_000_000_000, 3)?,
        })
    }

    fn measure(&mut self, server: &Server, time: Duration) -> Result<()> {
        let (slice, cpu) = measure(server, &self.requests, &mut self.next, time)?;
        self.cpu.push(i64::try_from(cpu / slice.requests)?);
        let nanoseconds = u64::try_from(slice.time.as_nanos())?.max(1);
        self.per_second.push(slice.requests * 1_000_000_000 / nanoseconds);
        self.busy.push(cpu * 100 / nanoseconds);
        Ok(self.latency.add(&slice.latency)?)
    }

    fn figures(&self) -> Figures {
        Figures {
            cpu: Cpu::of(&self.cpu),
            per_second: median(&self.per_second),
            busy: median(&self.busy),
            p50: self.latency.value_at_quantile(0.5),
            p99: self.latency.value_at_quantile(0.99),
        }
    }
}

/// Runs a slice of load. Returns it with the nanoseconds of CPU that the server spent on it.
pub(crate) fn measure(
    server: &Server,
    requests: &Requests,
    next: &mut usize,
    time: Duration,
) -> Result<(Slice, u64)> {
    let mut load = Load::connect(server.place.port)?;
    load.run(requests, next, time / WARM_UP, 0)?;
    settle();
    let before = server.cpu()?;
    let slice = load.run(requests, next, time, 0)?;
    settle();
    Ok((slice, server.cpu()? - before))
}

/// Lets the server become idle: the kernel counts CPU time when a process leaves the core.
pub(crate) fn settle() {
    thread::sleep(Duration::from_millis(2));
}
