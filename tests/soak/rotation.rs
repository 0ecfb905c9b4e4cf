//! `--keys`: nginx fetches keys from a provider that rotates them every two seconds, with 64
//! connections, two workers, and a reload every second. No answer may be wrong, no request may be
//! lost, and memory must stay flat.
//!
//! The provider rotates correctly: it publishes a key one rotation before the key signs tokens, and
//! removes it when the next key starts to sign.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use module_tests::{
    Behaviour, Connection, ED25519, Jwt, Key, Nginx, P256, P256_OTHER, P384, Provider, Request,
    SERVE, jwk_set, until,
};
use serde_json::{Value, json};

use crate::WORKERS;
use crate::memory::{self, Series};
use crate::traffic::{CLOSED, Random, Tally};

const CONNECTIONS: u64 = 64;
const RELOAD: Duration = Duration::from_secs(1);
const ROTATION: Duration = Duration::from_secs(2);
/// The provider answers at once, so no request has a reason to wait longer than this.
const LIMIT: Duration = Duration::from_secs(3);

static KEYS: [(&str, &Key); 4] =
    [("ES256", &P256), ("EdDSA", &ED25519), ("ES256", &P256_OTHER), ("ES384", &P384)];

/// The key pair of a rotation; each has its own kid.
fn key(rotation: usize) -> Result<(&'static str, &'static Key, String)> {
    let (alg, key) = KEYS.get(rotation % KEYS.len()).context("a key")?;
    Ok((alg, key, format!("k-{rotation}")))
}

fn jwk(rotation: usize) -> Result<Value> {
    let (_, key, kid) = key(rotation)?;
    key.jwk(&json!({ "kid": kid }))
}

/// What the provider publishes: the key that signs now, and the next one.
fn published(rotation: usize) -> Result<Behaviour> {
    Ok(Behaviour::Keys(jwk_set(&[jwk(rotation)?, jwk(rotation + 1)?])))
}

/// Tokens of one rotation.
struct Round {
    rotation: usize,
    /// Signed by the current key.
    good: String,
    /// Names the current key, but is signed by another.
    forged: String,
    /// Signed by a key that was removed at least one rotation ago.
    gone: Option<String>,
}

impl Round {
    fn new(rotation: usize) -> Result<Self> {
        let (alg, current, kid) = key(rotation)?;
        let good = Jwt::live().kid(&kid).sign(alg, current)?;
        let (_, _, next) = key(rotation + 1)?;
        let forged = Jwt::live().kid(&next).sign(alg, current)?;
        let gone = rotation.checked_sub(2).map(|before| {
            let (alg, key, kid) = key(before)?;
            Jwt::live().kid(&kid).sign(alg, key)
        });
        Ok(Self { rotation, good, forged, gone: gone.transpose()? })
    }
}

fn read(round: &RwLock<Round>) -> RwLockReadGuard<'_, Round> {
    round.read().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the test for `time`.
pub(crate) fn soak(time: Duration) -> Result<()> {
    let provider = Provider::start(published(0)?)?;
    let nginx = Nginx::builder()
        .workers(WORKERS)
        .quiet_log()
        .server(format!(
            "keepalive_requests 1000;
            location = /_jwks {{ internal; {} }}
            location / {{ jwks_request /_jwks valid=1s; {SERVE} }}",
            provider.pass()
        ))
        .start()?;
    let round = RwLock::new(Round::new(0)?);
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    let (watched, rotations, tally) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|seed| {
                let (request, round, stop) = (nginx.request(), &round, &stop);
                scope.spawn(move || Client::new(request, seed).ask_until(stop, round))
            })
            .collect();
        let rotating = scope.spawn(|| rotate_until(&stop, &provider, &round));
        let watched = reload_and_watch(began, time, &nginx);
        stop.store(true, Ordering::Relaxed);
        let mut tally = Counted::default();
        for client in clients {
            match client.join() {
                Ok(one) => tally.add(one),
                Err(_) => tally.all.fail("a client panicked".to_owned()),
            }
        }
        (watched, rotating.join(), tally)
    });
    let rotations = rotations.ok().context("the rotation panicked")??;
    let fetches = provider.count();
    judge(&nginx, began.elapsed(), watched?, rotations, fetches, tally)?;
    nginx.finish()
}

/// Publishes the next keys every two seconds, and signs the tokens with them from then on. Returns
/// the number of rotations.
fn rotate_until(stop: &AtomicBool, provider: &Provider, round: &RwLock<Round>) -> Result<usize> {
    let began = Instant::now();
    let mut rotation = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = ROTATION * u32::try_from(rotation + 1)?;
        if began.elapsed() < due {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        rotation += 1;
        let fresh = Round::new(rotation)?;
        // The lock makes readers wait, so that tokens and published keys change together.
        let mut round = round.write().unwrap_or_else(PoisonError::into_inner);
        provider.set(published(rotation)?);
        *round = fresh;
    }
    Ok(rotation)
}

#[derive(Default)]
struct Watched {
    reloads: usize,
    master: Series,
    workers: Series,
    files: Series,
    worker_files: Series,
}

fn reload_and_watch(began: Instant, time: Duration, nginx: &Nginx) -> Result<Watched> {
    let mut watched = Watched::default();
    let master = memory::master(nginx)?;
    while began.elapsed() < time {
        let due = RELOAD * u32::try_from(watched.reloads + 1)?;
        thread::sleep(due.saturating_sub(began.elapsed()));
        for worker in memory::children(master)? {
            // A worker that is just ending has no figures, which is no error.
            watched.workers.extend(memory::resident(worker).ok());
            watched.worker_files.extend(memory::open_files(worker).ok());
        }
        crate::reload(nginx, master)?;
        watched.reloads += 1;
        watched.master.extend(Some(memory::resident(master)?));
        watched.files.extend(Some(memory::open_files(master)?));
    }
    Ok(watched)
}

/// Prints the figures, and fails if one is not as expected.
fn judge(
    nginx: &Nginx,
    elapsed: Duration,
    watched: Watched,
    rotations: usize,
    fetches: usize,
    tally: Counted,
) -> Result<()> {
    let master = memory::master(nginx)?;
    until("the old workers' end", || {
        Ok((memory::children(master)?.len() == usize::try_from(WORKERS)?).then_some(()))
    })?;
    nginx.stop()?;
    let answers = tally.answers;
    let logged = u64::try_from(nginx.access_log().lines().count())?;
    let all = tally.all;
    let per_second = all.requests as f64 / elapsed.as_secs_f64();
    println!("requests: {} in {elapsed:.0?}, {per_second:.0} a second", all.requests);
    println!("answers as predicted: {}", all.statuses());
    println!("answers to which a rotation came in between: {}", tally.between);
    println!("wrong answers: {}", all.failures);
    println!("requests that nginx took and did not answer: {}", logged.abs_diff(answers));
    println!("connections that closed between two requests, asked again: {}", all.reopened);
    println!("slowest answer: {:.0?}", tally.slowest);
    println!("reloads: {}, rotations: {rotations}, fetches: {fetches}", watched.reloads);
    let grown: Vec<String> = [
        ("master, KiB", &watched.master, memory::KIB),
        ("workers, KiB each", &watched.workers, memory::KIB),
        ("master, open files", &watched.files, memory::FILES),
        ("workers, open files each", &watched.worker_files, memory::FILES),
    ]
    .into_iter()
    .filter_map(|(name, series, tolerance)| series.judge(name, tolerance))
    .collect();
    ensure!(all.failures == 0, "wrong answers:\n{}", all.examples.join("\n"));
    ensure!(logged == answers, "nginx logged {logged} requests, and answered {answers}");
    ensure!(grown.is_empty(), "{}", grown.join("; "));
    // Only a fetch takes long here, and only the first request has to wait for one.
    ensure!(tally.slowest < Duration::from_secs(5), "an answer took {:.0?}", tally.slowest);
    // One fetch a second, one for each new configuration, one for each leaving worker, because it
    // no longer shares keys, and sometimes one for an unknown kid.
    let seconds = usize::try_from(elapsed.as_secs())?;
    let leaving = watched.reloads * usize::try_from(WORKERS)?;
    let expected = seconds + watched.reloads + leaving + seconds / 5;
    ensure!(fetches <= expected, "{fetches} fetches in {seconds} seconds");
    ensure!(rotations + 1 >= seconds / 2 && watched.reloads + 5 >= seconds / 2, "it was too slow");
    Ok(())
}

/// The results of the requests of one client, or of all clients.
#[derive(Default)]
struct Counted {
    all: Tally,
    answers: u64,
    between: u64,
    slowest: Duration,
}

impl Counted {
    fn add(&mut self, other: Self) {
        self.all.add(other.all);
        self.answers += other.answers;
        self.between += other.between;
        self.slowest = self.slowest.max(other.slowest);
    }
}

struct Client {
    request: Request,
    /// The connection that stays open, until nginx closes it.
    kept: Option<Connection>,
    random: Random,
    counted: Counted,
}

impl Client {
    fn new(request: Request, seed: u64) -> Self {
        let random = Random(seed + 0x9e37_79b9_7f4a_7c15);
        Self { request: request.keep_alive(), kept: None, random, counted: Counted::default() }
    }

    fn ask_until(mut self, stop: &AtomicBool, round: &RwLock<Round>) -> Counted {
        while !stop.load(Ordering::Relaxed) {
            self.ask(round);
        }
        self.counted
    }

    fn ask(&mut self, round: &RwLock<Round>) {
        let (rotation, request, wanted, what) = {
            let now = read(round);
            let (token, wanted, what) = match (self.random.below(10), &now.gone) {
                (0, _) => (None, 401, "no token"),
                (1, _) => (Some(&now.forged), 401, "a forged token"),
                (2, Some(gone)) => (Some(gone), 401, "a token of a key that is gone"),
                _ => (Some(&now.good), 200, "a good token"),
            };
            let request = self.request.clone();
            let request = match token {
                Some(token) => request.bearer(token),
                None => request,
            };
            (now.rotation, request, wanted, what)
        };
        self.counted.all.requests += 1;
        let began = Instant::now();
        let answer = self.answer(&request);
        let took = began.elapsed();
        self.counted.slowest = self.counted.slowest.max(took);
        let (counted, later) = (&mut self.counted, read(round).rotation);
        match answer {
            Ok(got) if got == wanted => counted.all.predicted(got),
            // The provider rotated while the request was under way.
            Ok(401) if wanted == 200 && later != rotation => counted.between += 1,
            Ok(got) => counted.all.fail(format!("{what} of {rotation}: {got}, not {wanted}")),
            Err(error) => counted.all.fail(format!("{what} of {rotation}: {error:#}")),
        }
        if took > LIMIT {
            counted.all.fail(format!("{what} of {rotation}: an answer after {took:?}"));
        }
    }

    /// Gives the status. If a connection ends before any part of an answer, nginx closed it as
    /// idle, and the client sends the request once more over a new connection. If nginx had taken
    /// the first request after all, its log has one more line than there were answers.
    fn answer(&mut self, request: &Request) -> Result<u16> {
        match self.send(request) {
            Err(error) if error.to_string().starts_with(CLOSED) => {
                self.counted.all.reopened += 1;
                self.send(request).context("asked again")
            }
            answer => answer,
        }
    }

    fn send(&mut self, request: &Request) -> Result<u16> {
        let mut connection = match self.kept.take() {
            Some(connection) => connection,
            None => request.connect()?,
        };
        let response = connection.send(request)?;
        self.counted.answers += 1;
        if response.header("Connection") != Some("close") {
            self.kept = Some(connection);
        }
        Ok(response.status)
    }
}
