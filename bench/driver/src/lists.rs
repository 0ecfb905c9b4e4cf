//! Measures fetched lists of revoked ids: memory, the time to take a changed list in, how long it holds a
//! worker's event loop, and the cost of look-ups.

mod ids;
mod probe;
mod table;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::lane::{Lane, round};
use crate::load::Requests;
use crate::peers::user;
use crate::record::Record;
use crate::results::Cpu as Both;
use crate::server::{Place, Server, leave_their_core};
use crate::tokens::SECRET;
use ids::{List, Size, Tokens};
use probe::{Holds, Probe, Waits};

/// The sizes; without the full ones only the first [`FEW`] are measured. A list may have 256 MiB.
const SIZES: [Size; 6] = [
    Size { ids: 0, characters: 36 },
    Size { ids: 10_000, characters: 36 },
    Size { ids: 100_000, characters: 36 },
    Size { ids: 1_000_000, characters: 36 },
    Size { ids: 7_250_000, characters: 36 },
    Size { ids: 10_000_000, characters: 25 },
];
const FEW: usize = 4;
/// How many workers share a list.
const WORKERS: [usize; 3] = [1, 2, 4];
const ROUNDS: usize = 15;
const FEW_ROUNDS: usize = 5;
const SLICE: Duration = Duration::from_millis(100);
/// How long requests are sent while nothing happens.
const IDLE: Duration = Duration::from_secs(2);
/// A list that is not there after this time never comes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two looks at a worker that takes a list in.
const LOOK: Duration = Duration::from_millis(5);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    nginx: String,
    #[arg(long)]
    module: String,
    /// Leave the full sizes out
    #[arg(long)]
    small: bool,
    #[command(flatten)]
    record: Record,
    /// Only lists with so many ids
    #[arg(long)]
    only: Option<usize>,
}

/// What a list costs.
struct Row {
    size: Size,
    /// The length of its text.
    bytes: u64,
    /// KiB of shared memory for one list, with as many workers as in [`WORKERS`].
    shared: [u64; 3],
    private: Private,
    change: Change,
    /// Requests while nothing happens, and while lists are taken in.
    idle: Holds,
    holds: Holds,
    lookups: Lookups,
}

/// KiB of a worker's private memory.
struct Private {
    before: u64,
    /// While it takes a list in.
    most: u64,
    after: u64,
}

/// From the change of a list until a token that it names is refused.
struct Change {
    passed: Duration,
    cpu: Duration,
}

/// Nanoseconds of all workers for each request.
struct Lookups {
    without: Both,
    /// How much more requests cost with a token that is not in the list, and with one that is.
    unlisted: Both,
    listed: Option<Both>,
    /// The same for each further id that is looked up.
    further: Both,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    leave_their_core()?;
    let count = if args.small && args.only.is_none() { FEW } else { SIZES.len() };
    let sizes = SIZES.iter().take(count);
    let mut rows = Vec::new();
    for size in sizes.filter(|size| args.only.is_none_or(|only| only == size.ids)) {
        eprintln!("a list of {} ids", size.ids);
        rows.push(row(args, *size)?);
    }
    let rounds = if args.small { FEW_ROUNDS } else { ROUNDS };
    let text = table::text(&args.record, rounds, &rows)?;
    args.record.publish("lists.md", &text)
}

fn row(args: &Args, size: Size) -> Result<Row> {
    let folder = tempfile::Builder::new().prefix("bench.").tempdir()?;
    let mut list = List::write(size, folder.path())?;
    let tokens = Tokens::new(size)?;
    let start = |workers| started(args, size, &folder, workers, &tokens);
    let [one, two, four] = WORKERS;

    let server = start(one)?;
    let worker = *server.processes()?.get(1).context("no worker")?;
    let shared_by_one = shared(&server, size)?;
    let before = private(worker)?;
    let mut idle = Holds::default();
    let mut probe = Probe::connect(server.place.port)?;
    let (waits, began) = (Waits::of(worker), Instant::now());
    while began.elapsed() < IDLE {
        idle.add(&mut probe, waits)?;
    }
    // The first change writes to memory that was never used, later ones to that of the list before. What
    // the machine itself does counts, too, so the change with the shortest hold is shown.
    let mut changes = vec![held(&server, worker, &list.add()?)?];
    let (change, most) = change(&server, worker, &mut list)?;
    for _ in 0..2 {
        changes.push(held(&server, worker, &list.add()?)?);
    }
    let holds = changes.into_iter().min_by_key(|one| one.worst()[0]).context("no change")?;
    let after = private(worker)?;
    drop(server);

    let server = start(two)?;
    let shared_by_two = shared(&server, size)?;
    let rounds = if args.small { FEW_ROUNDS } else { ROUNDS };
    let lookups = lookups(&server, &tokens, rounds)?;
    drop(server);

    Ok(Row {
        size,
        bytes: list.bytes()?,
        shared: [shared_by_one, shared_by_two, shared(&start(four)?, size)?],
        private: Private { before, most, after },
        change,
        idle,
        holds,
        lookups,
    })
}

/// The size of the zone, in KiB: for the list twice, and for nginx's notes of the pages.
fn zone(size: Size) -> usize {
    1024 + size.ids / 20
}

/// A server that has the list.
fn started(
    args: &Args,
    size: Size,
    folder: &TempDir,
    workers: usize,
    tokens: &Tokens,
) -> Result<Server> {
    let place = Place::new()?;
    let (workers, zone) = (workers.to_string(), zone(size).to_string());
    let values = [
        ("MODULE", args.module.as_str()),
        ("USER", user()),
        ("WORKERS", &workers),
        ("ZONE", &zone),
        ("SECRET", SECRET),
        ("LIST", &folder.path().join("list").display().to_string()),
    ];
    let conf = place.fill("nginx.conf", include_str!("lists/nginx.conf"), &values)?;
    // One worker shares no core with the load. More of them use all cores.
    let cores = if workers == "1" { "0" } else { "0,1" };
    let server = Server::start_on(cores, &[&args.nginx, "-c", &conf], place)?;
    let header = tokens.unlisted.first().context("no token")?;
    let began = Instant::now();
    loop {
        match Probe::connect(server.place.port)?.ask("/with", header)? {
            200 => return Ok(server),
            503 if began.elapsed() < PATIENCE => thread::sleep(LOOK),
            status => bail!("status {status} to a token that is not listed: {}", log(&server)?),
        }
    }
}

fn log(server: &Server) -> Result<String> {
    Ok(std::fs::read_to_string(server.place.path().join("error.log"))?)
}

/// Sends requests one after the other until a token is refused: the list that names it is in force.
fn held(server: &Server, worker: u32, listed: &str) -> Result<Holds> {
    let (mut holds, waits) = (Holds::default(), Waits::of(worker));
    let mut probe = Probe::connect(server.place.port)?;
    let began = Instant::now();
    let mut looked = began;
    loop {
        holds.add(&mut probe, waits)?;
        if looked.elapsed() > LOOK {
            looked = Instant::now();
            if is_refused(&mut probe, listed)? {
                return Ok(holds);
            }
            ensure!(began.elapsed() < PATIENCE, "the list does not change: {}", log(server)?);
        }
    }
}

fn is_refused(probe: &mut Probe, header: &str) -> Result<bool> {
    match probe.ask("/with", header)? {
        401 => Ok(true),
        200 => Ok(false),
        status => bail!("status {status} to a token with a list"),
    }
}

/// Changes the list, and leaves the worker alone with it. Returns its largest private memory, too.
fn change(server: &Server, worker: u32, list: &mut List) -> Result<(Change, u64)> {
    let mut probe = Probe::connect(server.place.port)?;
    let listed = list.add()?;
    let (began, before) = (Instant::now(), server.cpu()?);
    let mut most = 0;
    while !is_refused(&mut probe, &listed)? {
        ensure!(began.elapsed() < PATIENCE, "the list does not change: {}", log(server)?);
        most = most.max(private(worker)?);
        thread::sleep(LOOK);
    }
    let passed = began.elapsed();
    Ok((Change { passed, cpu: Duration::from_nanos(server.cpu()? - before) }, most))
}

/// KiB of anonymous memory, which no other process has.
fn private(process: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    kib(&text, "RssAnon:")
}

fn kib(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context("no such memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// KiB of the zone that are in use, for all processes together: each page counts once.
fn shared(server: &Server, size: Size) -> Result<u64> {
    let wanted = u64::try_from(zone(size))?.next_multiple_of(4);
    let mut sum = 0;
    for process in server.processes()? {
        let text =
            std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("smaps"))?;
        let mut is_zone = false;
        for line in text.lines() {
            if line.starts_with("Size:") {
                is_zone = kib(line, "Size:")? == wanted;
            } else if is_zone && line.starts_with("Pss:") {
                sum += kib(line, "Pss:")?;
            }
        }
    }
    ensure!(sum > 0, "no zone");
    Ok(sum)
}

fn lookups(server: &Server, tokens: &Tokens, rounds: usize) -> Result<Lookups> {
    let lane = |target: &str, tokens: &[String]| Lane::new(Requests::new(target, tokens));
    let mut lanes = vec![
        lane("/without", &tokens.unlisted),
        lane("/with", &tokens.unlisted),
        lane("/without", &tokens.many),
        lane("/with", &tokens.many),
    ];
    if !tokens.listed.is_empty() {
        lanes.push(lane("/with", &tokens.listed));
    }
    for number in 0..rounds {
        round(&mut lanes, number, server, SLICE)?;
    }
    let [without, unlisted, many_without, many, listed @ ..] = lanes.as_slice() else {
        bail!("no lanes");
    };
    Ok(Lookups {
        without: Both::of(&without.cpu),
        unlisted: unlisted.beyond(without, 1),
        listed: listed.first().map(|listed| listed.beyond(without, 1)),
        further: many.beyond(many_without, i64::try_from(Tokens::MANY)?),
    })
}
