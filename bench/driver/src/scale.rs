//! Measures large configurations: the time to test and to start, memory, and CPU per request.

mod scenes;
mod table;

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::load::Requests;
use crate::peers::user;
use crate::record::Record;
use crate::run::measure;
use crate::server::{Place, Server, leave_their_core};
use scenes::{Made, SCENES, Scene};
use table::{judge, row};

/// How often starts are measured; the shortest one counts.
const STARTS: usize = 3;
const ROUNDS: usize = 5;
const SLICE: Duration = Duration::from_millis(200);
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
    /// Only the scenes whose name has this in it
    #[arg(long, default_value = "")]
    only: String,
}

/// The cost of a scene at one size.
struct Row {
    size: usize,
    test: Duration,
    start: Duration,
    /// KiB of all processes, without files, which every other nginx shares.
    memory: u64,
    /// Nanoseconds more than the same request without a check: all requests in turns, and the last
    /// one alone. There is one pair for each way of caching tokens.
    cpu: Vec<[i64; 2]>,
}

/// A server for one size of a scene, and the requests to it.
struct Subject {
    server: Server,
    /// The same locations without a check, for scenes with many locations: the time to find a
    /// location is nginx's own work and must not count.
    bare: Option<Server>,
    /// All requests in turns, and the last one alone; each without a check, and with it.
    lanes: [[Lane; 2]; 2],
}

struct Lane {
    requests: Requests,
    next: usize,
    least: i64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    leave_their_core()?;
    // The cache hides the cost of a token's first check, so it is also measured without a cache.
    let ways: &[(&str, &str)] = if knows_jwt_cache(args)? {
        &[("never seen", "jwt_cache off;"), ("seen before", "jwt_cache 64m;")]
    } else {
        &[("each", "")]
    };
    let mut text = format!(
        "{}. CPU: microseconds more than the same request without a check, HS256, minimum of \
         {ROUNDS} slices of {} ms.\n\n| what | how many | nginx -t, s | start, s | memory, MiB |",
        args.record.heading()?,
        SLICE.as_millis(),
    );
    for (way, _) in ways {
        write!(text, " CPU, token {way}: in turns | the last one |")?;
    }
    let columns = 5 + 2 * ways.len();
    write!(text, "\n| --- |{}\n", " --: |".repeat(columns - 1))?;
    let empty = empty(args, ways.len())?;
    row(&mut text, "none of these", &empty)?;
    let mut verdicts = String::new();
    for scene in SCENES.iter().filter(|scene| scene.name.contains(&args.only)) {
        eprintln!("{}", scene.name);
        let rows = measure_scene(args, scene, ways)?;
        for one in &rows {
            row(&mut text, scene.name, one)?;
        }
        judge(&mut verdicts, scene.name, ways, &empty, &rows)?;
    }
    text += "\n";
    text += if verdicts.is_empty() { "Nothing grows faster than linearly.\n" } else { &verdicts };
    args.record.publish("scale.md", &text)
}

fn measure_scene(args: &Args, scene: &Scene, ways: &[(&str, &str)]) -> Result<Vec<Row>> {
    let sizes = [scene.full / 100, scene.full / 10, scene.full];
    let mut rows = Vec::new();
    let mut subjects = Vec::new();
    for size in sizes.iter().take(if args.small { 2 } else { 3 }) {
        for (number, (_, cache)) in ways.iter().enumerate() {
            let (place, made) = place(args, scene, *size, cache)?;
            // The cost of a start does not depend on the way of caching.
            let server = if number == 0 {
                let (row, server) = starts(args, *size, place)?;
                rows.push(row);
                server
            } else {
                started(args, place)?
            };
            let bare = scene.of_locations.then(|| {
                let place = Place::new()?;
                configure(args, &place, &scenes::unchecked(*size)?, "")?;
                started(args, place)
            });
            subjects.push((rows.len() - 1, Subject::new(server, bare.transpose()?, &made)));
        }
    }
    for _ in 0..ROUNDS {
        for (_, subject) in &mut subjects {
            subject.measure()?;
        }
    }
    for (row, subject) in subjects {
        let added = subject.lanes.map(|[without, with]| with.least - without.least);
        rows.get_mut(row).context("a row")?.cpu.push(added);
    }
    Ok(rows)
}

impl Subject {
    fn new(server: Server, bare: Option<Server>, made: &Made) -> Self {
        let last = std::slice::from_ref(&made.last);
        let lanes = [made.turns.as_slice(), last].map(|asked| {
            let plain = |(target, header): &(String, String)| {
                let target = if bare.is_some() { target } else { "/plain" };
                (target.to_owned(), header.clone())
            };
            let without: Vec<_> = asked.iter().map(plain).collect();
            [without.as_slice(), asked].map(|list| Lane {
                requests: Requests::to_targets(list),
                next: 0,
                least: i64::MAX,
            })
        });
        Self { server, bare, lanes }
    }

    fn measure(&mut self) -> Result<()> {
        for [without, with] in &mut self.lanes {
            without.measure(self.bare.as_ref().unwrap_or(&self.server))?;
            with.measure(&self.server)?;
        }
        Ok(())
    }
}

impl Lane {
    fn measure(&mut self, server: &Server) -> Result<()> {
        let (slice, cpu) = measure(server, &self.requests, &mut self.next, SLICE)?;
        self.least = self.least.min(i64::try_from(cpu / slice.requests)?);
        Ok(())
    }
}

/// Makes a place, and writes the configuration of a scene there.
fn place(args: &Args, scene: &Scene, size: usize, cache: &str) -> Result<(Place, Made)> {
    let place = Place::new()?;
    let made = (scene.make)(size, place.path())?;
    configure(args, &place, &made, cache)?;
    Ok((place, made))
}

fn configure(args: &Args, place: &Place, made: &Made, cache: &str) -> Result<()> {
    let values = [
        ("MODULE", args.module.as_str()),
        ("USER", user()),
        ("CACHE", cache),
        ("HTTP", &made.http),
        ("SERVER", &made.server),
    ];
    place.fill(CONF, include_str!("scale/nginx.conf"), &values)?;
    Ok(())
}

const CONF: &str = "nginx.conf";

fn started(args: &Args, place: Place) -> Result<Server> {
    let conf = place.path().join(CONF).display().to_string();
    Server::start(&[&args.nginx, "-c", &conf], place)
}

fn test(args: &Args, place: &Place) -> Result<Duration> {
    let mut least = Duration::MAX;
    for _ in 0..STARTS {
        let began = Instant::now();
        let output = Command::new(&args.nginx)
            .args(["-t", "-c"])
            .arg(place.path().join(CONF))
            .env_remove("NGINX")
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        least = least.min(began.elapsed());
    }
    Ok(least)
}

/// Measures all costs of a configuration except requests, and returns a server running with it.
fn starts(args: &Args, size: usize, place: Place) -> Result<(Row, Server)> {
    let test = test(args, &place)?;
    let mut server = started(args, place)?;
    let mut start = server.started_in;
    for _ in 1..STARTS {
        server = started(args, server.ended()?)?;
        start = start.min(server.started_in);
    }
    let memory = server.memory()?.anonymous;
    Ok((Row { size, test, start, memory, cpu: Vec::new() }, server))
}

/// Measures an empty configuration.
fn empty(args: &Args, ways: usize) -> Result<Row> {
    let place = Place::new()?;
    configure(args, &place, &Made::default(), "")?;
    let (row, _) = starts(args, 0, place)?;
    Ok(Row { cpu: vec![[0; 2]; ways], ..row })
}

fn knows_jwt_cache(args: &Args) -> Result<bool> {
    let place = Place::new()?;
    configure(args, &place, &Made::default(), "jwt_cache off;")?;
    Ok(test(args, &place).is_ok())
}
