//! Measures what a token costs that this worker has seen, another one, a worker before a reload, or none: the memo of
//! verified signatures that all workers share (`jwt_cache shared=`), beside HAProxy and Envoy.

mod first;
mod lanes;
mod reload;
mod table;
mod workers;

use std::path::Path;

use anyhow::Result;

use crate::load::Requests;
use crate::peers::{Programs, user};
use crate::pipeline::{BATCH, Pipeline};
use crate::record::Record;
use crate::server::{Place, Server, leave_their_core};
use crate::tokens::{ALGORITHMS, SECRET, Signer, headers};

/// How many tokens take turns where there are many of them.
const MANY: usize = 20_000;
/// How many where they are more than any worker's cache holds: ES256, since signing that many RSA tokens takes long.
const MOST: usize = 1_000_000;
const MOST_IN_SHORT: usize = 60_000;
const MOST_ALGORITHM: &str = "ES256";

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    programs: Programs,
    /// Few rounds and fewer tokens, to see that it works
    #[arg(long)]
    small: bool,
    #[command(flatten)]
    record: Record,
}

/// Requests with good tokens, each of another user.
struct Tokens {
    /// One of each algorithm, and many.
    one: [Requests; ALGORITHMS.len()],
    many: [Requests; ALGORITHMS.len()],
    /// Very many of [`MOST_ALGORITHM`].
    most: Requests,
}

/// What was measured.
struct Measured {
    most: usize,
    lanes: lanes::Lanes,
    first: Vec<first::Row>,
    curves: Vec<reload::Curve>,
    workers: Vec<workers::Row>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    leave_their_core()?;
    let keys = tempfile::tempdir()?;
    args.programs.make_keys(keys.path())?;
    let most = if args.small { MOST_IN_SHORT } else { MOST };
    eprintln!("signing {MANY} tokens of each algorithm, and {most} of {MOST_ALGORITHM}");
    let tokens = Tokens::sign(keys.path(), most)?;
    let measured = Measured {
        most,
        lanes: lanes::measure(args, keys.path(), &tokens)?,
        first: first::measure(args, keys.path(), &tokens)?,
        curves: reload::measure(args, keys.path(), &tokens)?,
        workers: workers::measure(args, keys.path())?,
    };
    let record = &args.record;
    record.publish("memo.md", &table::text(record, &measured)?)?;
    let foot = table::foot(record)?;
    record.write("memo.svg", &table::chart(&measured, &foot).to_string())?;
    record.write("reload.svg", &table::curves(&measured, &foot).to_string())
}

impl Tokens {
    fn sign(keys: &Path, most: usize) -> Result<Self> {
        let requests = |algorithm: &str, users: usize| {
            let lines = headers(&Signer::load(keys, algorithm)?, users)?;
            Ok::<_, anyhow::Error>(Requests::new("/", &lines))
        };
        let each = |users: usize| {
            let all: Result<Vec<_>> =
                ALGORITHMS.iter().map(|algorithm| requests(algorithm, users)).collect();
            all?.try_into().map_err(|_| anyhow::anyhow!("not one of each algorithm"))
        };
        Ok(Self { one: each(1)?, many: each(MANY)?, most: requests(MOST_ALGORITHM, most)? })
    }
}

/// Starts nginx with the module, so that its workers can be told apart.
fn start(args: &Args, keys: &Path, workers: usize, cache: &str) -> Result<Server> {
    let place = Place::new()?;
    let values = [
        ("MODULE", args.programs.module.as_str()),
        ("USER", user()),
        ("SECRET", SECRET),
        ("KEYS", &keys.display().to_string()),
        ("WORKERS", &workers.to_string()),
        ("CACHE", cache),
    ];
    let conf = place.fill("nginx.conf", include_str!("memo/nginx.conf"), &values)?;
    Server::start(&[&args.programs.nginx, "-c", &conf], place)
}

/// A connection to each of the workers.
fn to_each(server: &Server, workers: usize) -> Result<Vec<Pipeline>> {
    /// The kernel chooses the worker by chance: so many connections have met all of them but in one of 10^10 runs.
    const TRIES: usize = 30;
    let mut all = std::collections::BTreeMap::new();
    for _ in 0..TRIES * workers {
        let mut pipeline = Pipeline::connect(server.place.port, BATCH)?;
        all.entry(pipeline.ask("/worker")?).or_insert(pipeline);
        if all.len() == workers {
            return Ok(all.into_values().collect());
        }
    }
    anyhow::bail!("{} of {workers} workers answer", all.len())
}

fn target(algorithm: &str) -> String {
    format!("/{algorithm}")
}
