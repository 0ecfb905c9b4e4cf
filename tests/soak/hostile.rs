//! `--hostile`: the providers of keys misbehave half of the time (`villain.rs`). Locations fetch
//! through every kind of `proxy_cache`. The test reloads one nginx, also with reloads that fail
//! early or late, and kills its workers. A second nginx keeps its workers, which shows any growth.
//!
//! - A token passes only if a published key has signed it, whatever the providers do.
//! - A good token passes once its provider has been good again for some seconds.
//! - No request waits longer than the longest `timeout` of its sources; old workers leave.

use std::collections::HashMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use module_tests::{
    Connection, Jwt, Nginx, P256, P256_OTHER, RSA, Request, SERVE, nginx_configured, patience,
    until, until_within,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::WORKERS;
use crate::memory::{self, Series};
use crate::traffic::{CLOSED, Random, Tally};
use crate::villain::Villain;

const CLIENTS: u64 = 12;
/// A busy machine may add this to the time that a request may wait; a sanitizer, three times this.
const SLACK: Duration = Duration::from_secs(2);
/// A provider that is good again for this long must have its keys in nginx. In this time an earlier
/// fetch ends, nginx's cached or pending answer expires, and the next fetch brings the keys.
const SETTLED: Duration = Duration::from_secs(14);
/// How long an old worker may stay: nginx itself may need this long to fill its cache.
const LEAVES: Duration = Duration::from_secs(14);
const PAUSE: Duration = Duration::from_secs(1);

/// A location, its provider, its sources' longest `timeout`, and whether nginx caches the keys.
struct Place {
    path: &'static str,
    provider: usize,
    limit: Duration,
    cached: bool,
}

const fn place(path: &'static str, provider: usize, seconds: u64, cached: bool) -> Place {
    Place { path, provider, limit: Duration::from_secs(seconds), cached }
}

const PLACES: [Place; 7] = [
    place("/plain", 0, 1, false),
    place("/direct", 0, 2, false),
    place("/kept", 1, 1, false),
    place("/two", 2, 2, true),
    place("/lock", 2, 1, true),
    place("/stale", 3, 1, true),
    place("/threads", 1, 1, true),
];

/// The internal locations that ask the providers, and the locations that check tokens.
fn server(villains: &[Villain]) -> Result<String> {
    let pass = |number: usize| -> Result<String> {
        let path = villains.get(number).context("a provider")?.path().display();
        Ok(format!(
            "internal; error_log logs/error.log crit; proxy_connect_timeout 1s; proxy_read_timeout 2s;
            proxy_pass http://unix:{path}:/"
        ))
    };
    let cache = "proxy_cache c; proxy_cache_valid 200 1s;";
    let stale = "proxy_cache_use_stale updating error timeout invalid_header http_500 http_503;
        proxy_cache_background_update on;";
    let lock = "proxy_cache_lock on; proxy_cache_lock_timeout 3s; proxy_cache_lock_age 1s;";
    let threads = if nginx_configured("--with-threads")? {
        "aio threads; aio_write on; sendfile on;"
    } else {
        ""
    };
    Ok(format!(
        "keepalive_requests 500;
        location = /_plain {{ {plain}plain; }}
        location = /_direct {{ {plain}direct; proxy_buffering off; }}
        location = /_kept {{ internal; error_log logs/error.log crit; proxy_http_version 1.1;
            proxy_set_header Connection \"\"; proxy_read_timeout 2s; proxy_pass http://kept/kept; }}
        location = /_one {{ {second}same; {cache} {lock} proxy_cache_key same; }}
        location = /_other {{ {second}same; {cache} {lock} proxy_cache_key same; }}
        location = /_lock {{ {second}lock; {cache} {lock} proxy_cache_key lock; }}
        location = /_stale {{ {third}stale; {cache} {stale} {lock} proxy_cache_key stale; }}
        location = /_threads {{ {first}threads; {cache} {stale} {threads} proxy_cache_key threads; }}
        location = /trap.json {{ internal; access_log logs/inner.log harness; }}
        location = /denied.json {{ deny all; access_log logs/inner.log harness; }}
        location = /big {{ internal; access_log logs/inner.log harness; }}
        location /plain {{ jwks_request /_plain valid=1s timeout=1s; {SERVE} }}
        location /direct {{ jwks_request /_direct valid=1s timeout=2s stale=3s; {SERVE} }}
        location /kept {{ jwks_request /_kept valid=1s timeout=1s; {SERVE} }}
        location /two {{ jwks_request /_one valid=1s timeout=1s; jwks_request /_other valid=2s timeout=2s; {SERVE} }}
        location /lock {{ jwks_request /_lock valid=1s timeout=1s stale=0; {SERVE} }}
        location /stale {{ jwks_request /_stale valid=1s timeout=1s; {SERVE} }}
        location /threads {{ jwks_request /_threads valid=1s timeout=1s; {SERVE} }}",
        plain = pass(0)?,
        first = pass(1)?,
        second = pass(2)?,
        third = pass(3)?,
    ))
}

/// What the test does to an nginx.
#[derive(Default)]
struct Trouble {
    /// Whether the test reloads this nginx and kills its workers.
    any: bool,
    /// When workers were killed: a request to such a worker gets no answer.
    kills: Mutex<Vec<Instant>>,
}

impl Trouble {
    fn kills(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.kills.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn killed_since(&self, began: Instant) -> bool {
        let slack = Duration::from_millis(200);
        self.kills().iter().any(|killed| *killed + slack >= began)
    }
}

struct Victim<'v> {
    nginx: Nginx,
    server: &'v str,
    trouble: &'v Trouble,
}

impl<'v> Victim<'v> {
    fn start(villains: &[Villain], server: &'v str, trouble: &'v Trouble) -> Result<Self> {
        let kept = villains.get(1).context("a provider")?.path().display();
        let trap = RSA.jwks("trap")?;
        let nginx = Nginx::builder()
            .workers(WORKERS)
            .quiet_log()
            .without_verdict()
            .expect_log("no_such_directive")
            .expect_log("bind() to 127.0.0.1")
            .expect_log("still could not bind()")
            .expect_log("exited on signal 9")
            .http(format!(
                "access_log off; proxy_cache_path cache keys_zone=c:1m inactive=60m;
                upstream kept {{ server unix:{kept}; keepalive 4; }}"
            ))
            .server(server)
            .html("trap.json", trap.as_str())
            .html("denied.json", trap.as_str())
            .html("big", "")
            .start()?;
        // A sparse file: twenty gigabytes that take no space on the disk.
        File::options().write(true).open(nginx.prefix().join("html/big"))?.set_len(20 << 30)?;
        Ok(Self { nginx, server, trouble })
    }
}

/// Runs the test for `time`. `memory` says whether growth of memory is a failure; it is `false`
/// with a sanitizer, which does not give memory back.
pub(crate) fn soak(time: Duration, memory: bool) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("nta-villains-").tempdir_in("/tmp")?;
    let villains = (0..4).map(|n| Villain::new(folder.path(), n)).collect::<Result<Vec<_>>>()?;
    let server = server(&villains)?;
    let tokens = Tokens::new()?;
    let (none, trouble) = (Trouble::default(), Trouble { any: true, ..Trouble::default() });
    let (stop, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let began = Instant::now();
    thread::scope(|scope| {
        let stopped = Stop(&stop);
        for villain in &villains {
            villain.serve(scope, &stop)?;
        }
        let victims = [
            Victim::start(&villains, &server, &none)?,
            Victim::start(&villains, &server, &trouble)?,
        ];
        let (watched, tally) = thread::scope(|inner| {
            let over = &over;
            let clients: Vec<_> = victims
                .iter()
                .flat_map(|victim| (0..CLIENTS).map(move |seed| (victim, seed)))
                .map(|(victim, seed)| {
                    let (villains, tokens, trouble) = (&villains[..], &tokens, victim.trouble);
                    let socket = victim.nginx.socket("s.sock");
                    inner.spawn(move || {
                        Client::new(socket, trouble, villains, tokens, seed).ask_until(over)
                    })
                })
                .collect();
            let watched = make_trouble(began, time, &victims);
            over.store(true, Ordering::Relaxed);
            let mut tally = Counted::default();
            for client in clients {
                match client.join() {
                    Ok(one) => tally.add(one),
                    Err(_) => tally.all.fail("a client panicked".to_owned()),
                }
            }
            (watched, tally)
        });
        tell(&villains, began.elapsed(), &tally);
        let judged = watched.and_then(|watched| judge(&victims, &watched, memory));
        // The providers stop first, so that no fetch hangs when nginx has to stop.
        drop(stopped);
        let all = &tally.all;
        let mut wrong: Vec<String> =
            judged.err().iter().map(|error| format!("{error:#}")).collect();
        if all.failures > 0 {
            let first = all.examples.iter().take(30).map(String::as_str).collect::<Vec<_>>();
            wrong.push(format!("{} failures:\n{}", all.failures, first.join("\n")));
        }
        // `finish` judges the logs: no alert, no sanitizer's report, no worker that died by itself.
        for victim in victims {
            let name = if victim.trouble.any { "the troubled nginx" } else { "the steady nginx" };
            wrong.extend(victim.nginx.finish().err().map(|error| format!("{name}: {error}")));
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    })
}

/// Stops the providers, however the run ends.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Watched {
    reloads: usize,
    refused: usize,
    late: usize,
    killed: usize,
    master: Series,
    master_files: Series,
    steady: Series,
    steady_files: Series,
    /// The time at which each leaving worker was first seen.
    leaving: HashMap<u32, Instant>,
    stayed: Vec<String>,
}

/// Reloads one nginx, with good and bad configurations, kills its workers, and measures both nginx.
fn make_trouble(began: Instant, time: Duration, victims: &[Victim<'_>; 2]) -> Result<Watched> {
    let [steady, troubled] = victims;
    let mut watched = Watched::default();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (calm, master) = (memory::master(&steady.nginx)?, memory::master(&troubled.nginx)?);
    let steady_workers = memory::workers(calm)?;
    // The test holds this port, so that nginx cannot bind to it.
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    while began.elapsed() < time {
        thread::sleep(PAUSE);
        match random.below(6) {
            0 | 1 => {
                troubled.nginx.configure(|builder| builder.server(troubled.server))?;
                crate::reload(&troubled.nginx, master)?;
                watched.reloads += 1;
            }
            2 => {
                fail_reload(troubled, "no_such_directive;", "no_such_directive")?;
                watched.refused += 1;
            }
            3 => {
                let listen = format!("listen 127.0.0.1:{port};");
                fail_reload(troubled, &listen, "still could not bind()")?;
                watched.late += 1;
            }
            _ => watched.killed += usize::from(kill_one(troubled, master, &mut random)?),
        }
        watched.master.extend(Some(memory::resident(master)?));
        watched.master_files.extend(Some(memory::open_files(master)?));
        for worker in &steady_workers {
            watched.steady.extend(Some(memory::resident(*worker).context("a worker")?));
            watched.steady_files.extend(Some(memory::open_files(*worker)?));
        }
        watch_leaving(&mut watched, master)?;
    }
    ensure!(memory::workers(calm)? == steady_workers, "a worker of the steady nginx was replaced");
    Ok(watched)
}

/// Reloads with a server that nginx must refuse, and waits until nginx logs the refusal.
fn fail_reload(victim: &Victim<'_>, more: &str, told: &str) -> Result<()> {
    let server = format!("{} {more}", victim.server);
    victim.nginx.configure(|builder| builder.server(server))?;
    let before = victim.nginx.error_log().len();
    victim.nginx.signal(Signal::HUP)?;
    until("a reload that fails", || {
        let log = victim.nginx.error_log();
        Ok(log.get(before..).unwrap_or_default().contains(told).then_some(()))
    })
}

/// Kills a worker, whatever it is doing, and waits until nginx has replaced it.
fn kill_one(victim: &Victim<'_>, master: u32, random: &mut Random) -> Result<bool> {
    let serving: Vec<u32> = memory::workers(master)?
        .into_iter()
        .filter(|pid| !memory::title(*pid).contains("shutting down"))
        .collect();
    let Some(&pid) = serving.get(random.below(serving.len())) else { return Ok(false) };
    let pid = Pid::from_raw(pid.try_into()?).context("a process id")?;
    // The time is noted before the kill, because a client may see its connection end before this
    // thread goes on, and after it, because this thread may be held up in between.
    victim.trouble.kills().push(Instant::now());
    kill_process(pid, Signal::KILL).context("killing a worker")?;
    victim.trouble.kills().push(Instant::now());
    until("another worker", || {
        let fresh = memory::workers(master)?.into_iter().filter(|pid| !serving.contains(pid));
        Ok((fresh.count() > 0).then_some(()))
    })?;
    Ok(true)
}

fn watch_leaving(watched: &mut Watched, master: u32) -> Result<()> {
    let leaving: Vec<u32> = memory::workers(master)?
        .into_iter()
        .filter(|pid| memory::title(*pid).contains("shutting down"))
        .collect();
    watched.leaving.retain(|pid, _| leaving.contains(pid));
    for pid in leaving {
        let since = watched.leaving.entry(pid).or_insert_with(Instant::now);
        if since.elapsed() > patience(LEAVES) {
            watched.stayed.push(format!("worker {pid} has been leaving for {:?}", since.elapsed()));
            // Each worker is reported only once.
            *since = Instant::now() + Duration::from_secs(3600);
        }
    }
    Ok(())
}

fn tell(villains: &[Villain], elapsed: Duration, tally: &Counted) {
    let all = &tally.all;
    let per_second = all.requests as f64 / elapsed.as_secs_f64();
    println!("requests: {} in {elapsed:.0?}, {per_second:.0} a second", all.requests);
    println!("answers as they may be: {}", all.statuses());
    println!("good tokens while the provider is good and settled: {}", tally.strict);
    println!("lost with a killed worker: {}", tally.lost);
    println!("connections that closed between two requests, asked again: {}", all.reopened);
    println!("slowest answer: {:.1?}", tally.slowest);
    println!("wrong answers, and requests beyond their time: {}", all.failures);
    for (number, villain) in villains.iter().enumerate() {
        let (answers, bad, taken) = villain.told();
        println!(
            "provider {number}: {answers} requests, {bad} answered badly; \
             {taken} bytes were taken of one answer without end"
        );
    }
}

fn judge(victims: &[Victim<'_>; 2], watched: &Watched, memory: bool) -> Result<()> {
    let Watched { reloads, refused, late, killed, .. } = watched;
    println!(
        "reloads: {reloads}; refused: {refused}; failed late: {late}; workers killed: {killed}"
    );
    let grown: Vec<String> = [
        ("master that reloads, KiB", &watched.master, memory::KIB),
        ("master that reloads, open files", &watched.master_files, memory::FILES),
        ("workers that stay, KiB each", &watched.steady, memory::KIB),
        ("workers that stay, open files", &watched.steady_files, memory::FILES),
    ]
    .into_iter()
    .filter_map(|(name, series, tolerance)| series.judge(name, tolerance))
    .collect();
    for victim in victims {
        let master = memory::master(&victim.nginx)?;
        until_within(LEAVES, "the old workers' end", || {
            Ok((memory::workers(master)?.len() == usize::try_from(WORKERS)?).then_some(()))
        })?;
        let inner = victim.nginx.read("logs/inner.log");
        let got = inner.lines().find(|line| line.starts_with("200 "));
        ensure!(got.is_none(), "X-Accel-Redirect of a provider was followed: {got:?}");
    }
    ensure!(watched.stayed.is_empty(), "{}", watched.stayed.join("\n"));
    ensure!(!memory || grown.is_empty(), "{}", grown.join("; "));
    Ok(())
}

/// The tokens that clients send; a bad one has a name for the report.
struct Tokens {
    good: Vec<String>,
    bad: Vec<(&'static str, String)>,
}

impl Tokens {
    fn new() -> Result<Self> {
        // The tokens must not expire during a run.
        let exp = module_tests::now() + 24 * 60 * 60;
        let one = |n: usize, kid: &str| {
            let fill = "x".repeat(n % 5 * 1000);
            Jwt::live_with(&json!({ "sub": format!("{n}"), "fill": fill, "exp": exp })).kid(kid)
        };
        let good = (0..40).map(|n| one(n, "good").sign("ES256", &P256)).collect::<Result<_>>()?;
        let mut bad = vec![("no token", String::new())];
        for n in 0..10 {
            bad.push(("a forged token", one(n, "good").sign("ES256", &P256_OTHER)?));
            bad.push(("another's kid", one(n, "trap").sign("RS256", &RSA)?));
            bad.push((
                "an unknown kid",
                one(n, &format!("unknown-{n}")).sign("ES256", &P256_OTHER)?,
            ));
        }
        Ok(Self { good, bad })
    }
}

/// The results of the requests of one client, or of all clients.
#[derive(Default)]
struct Counted {
    all: Tally,
    strict: u64,
    lost: u64,
    slowest: Duration,
}

impl Counted {
    fn add(&mut self, other: Self) {
        self.all.add(other.all);
        self.strict += other.strict;
        self.lost += other.lost;
        self.slowest = self.slowest.max(other.slowest);
    }
}

struct Client<'c> {
    socket: PathBuf,
    trouble: &'c Trouble,
    villains: &'c [Villain],
    tokens: &'c Tokens,
    kept: Option<Connection>,
    random: Random,
    counted: Counted,
}

impl<'c> Client<'c> {
    fn new(
        socket: PathBuf,
        trouble: &'c Trouble,
        villains: &'c [Villain],
        tokens: &'c Tokens,
        seed: u64,
    ) -> Self {
        let random = Random(seed + 0x9e37_79b9_7f4a_7c15);
        let counted = Counted::default();
        Self { socket, trouble, villains, tokens, kept: None, random, counted }
    }

    fn ask_until(mut self, over: &AtomicBool) -> Counted {
        while !over.load(Ordering::Relaxed) {
            if self.ask().is_none() {
                self.counted.all.fail("a client has nothing to ask".to_owned());
                break;
            }
            thread::sleep(Duration::from_millis(5 + self.random.below(25) as u64));
        }
        self.counted
    }

    fn ask(&mut self) -> Option<()> {
        let place = PLACES.get(self.random.below(PLACES.len()))?;
        let villain = self.villains.get(place.provider)?;
        let is_good = self.random.below(3) != 0;
        let (what, token) = if is_good {
            ("a good token", self.tokens.good.get(self.random.below(self.tokens.good.len()))?)
        } else {
            let (what, token) = self.tokens.bad.get(self.random.below(self.tokens.bad.len()))?;
            (*what, token)
        };
        let mut request = Request::new(self.socket.clone()).target(place.path);
        if !token.is_empty() {
            request = request.bearer(token);
        }
        if self.random.below(2) == 0 {
            request = request.keep_alive();
        }
        // When a worker is killed while it updates a cache entry, nginx does not finish the update:
        // its cache may then give the old answer until nginx drops the entry.
        let judged = !(self.trouble.any && place.cached);
        let settled = || villain.good_for().is_some_and(|time| time >= SETTLED);
        let before = settled();
        self.counted.all.requests += 1;
        let began = Instant::now();
        let answer = self.answer(&request);
        let took = began.elapsed();
        let strict = before && settled() && judged;
        self.counted.slowest = self.counted.slowest.max(took);
        self.counted.strict += u64::from(strict && is_good);
        let asked = || {
            format!("{what} for {}{}", place.path, if self.trouble.any { ", troubled" } else { "" })
        };
        let all = &mut self.counted.all;
        match answer {
            Ok(200) if is_good => all.predicted(200),
            Ok(401) if !is_good || !strict => all.predicted(401),
            Ok(503) if !strict => all.predicted(503),
            Ok(status) => all.fail(format!("{}: {status}, strict: {strict}", asked())),
            Err(_) if self.trouble.killed_since(began) => self.counted.lost += 1,
            Err(error) => all.fail(format!("{}: {error:#}", asked())),
        }
        if took > place.limit + patience(SLACK).min(SLACK * 3) {
            self.counted.all.fail(format!("{}: an answer after {took:.1?}", asked()));
        }
        Some(())
    }

    /// Gives the status. If nginx has closed an idle connection, the client opens a new one, once.
    fn answer(&mut self, request: &Request) -> Result<u16> {
        let kept = self.kept.take().filter(|_| request.keeps_alive());
        let reused = kept.is_some();
        let mut connection = kept.map_or_else(|| Connection::open(&self.socket), Ok)?;
        let response = match connection.send(request) {
            Err(error) if reused && error.to_string().starts_with(CLOSED) => {
                self.counted.all.reopened += 1;
                connection = Connection::open(&self.socket)?;
                connection.send(request)
            }
            response => response,
        }?;
        if request.keeps_alive() && response.header("Connection") != Some("close") {
            self.kept = Some(connection);
        }
        Ok(response.status)
    }
}
