//! Three nginx and one store of revocation lists, in containers: what is revoked once is refused by all of
//! them soon, and what fails, the way to the store, the store or a worker, changes no verdict before its time.
//! `build/fleet.sh` makes the images, and removes the containers.

mod docker;
mod machines;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use serde_json::json;

use self::docker::Docker;
use self::machines::{Fleet, Machine, Parts, until};
use crate::demo::is_wrong;

/// As in tests/fleet/nginx.conf: while there is no list, one refuses, and the other lets pass.
const REFUSE: &str = "/api/refuse";
const PASS: &str = "/api/pass";
/// `stale=` there.
const STALE: Duration = Duration::from_secs(8);
/// A revocation has reached every machine by then.
const SOON: Duration = Duration::from_secs(2);
/// After a failure it takes up to a second (`valid=`) until the next attempt, and up to one more until nginx
/// gives up one that hangs.
const CATCH_UP: Duration = Duration::from_secs(4);
/// How often the time of a revocation is measured.
const ROUNDS: u32 = 10;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(90);

/// The lists in Redis.
const TOKENS: &str = "revoked:tokens";
const USERS: &str = "revoked:users";

const SECRET: &str = "the-secret-of-the-fleet-test-0123456789";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The image of nginx with the module
    #[arg(long)]
    image: String,
    /// An image with Redis, webdis and socat
    #[arg(long)]
    store: String,
    /// A label for all containers: NAME=VALUE
    #[arg(long)]
    label: String,
    /// Where configurations may be written
    #[arg(long)]
    folder: PathBuf,
    /// The network of the containers; without it, a private one if the engine has such
    #[arg(long)]
    network: Option<Network>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Network {
    Private,
    Host,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let fleet = start(args)?;
    let done = drive(&fleet);
    let logs: Vec<String> = fleet.machines.iter().map(Machine::log).collect::<Result<_>>()?;
    if done.is_err() {
        for (machine, log) in fleet.machines.iter().zip(&logs) {
            let lines: Vec<&str> = log.lines().collect();
            let end = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
            eprintln!("the end of the log of {}:\n{}", machine.name(), end.join("\n"));
        }
    }
    done?;
    // nginx's master tells of the workers that were killed.
    let killed = |line: &str| line.contains("exited on signal 9");
    let lines = logs.iter().flat_map(|log| log.lines());
    let wrong: Vec<&str> = lines.filter(|line| is_wrong(line) && !killed(line)).collect();
    ensure!(wrong.is_empty(), "alarms or secrets in the logs:\n{}", wrong.join("\n"));
    Ok(())
}

fn start(args: &Args) -> Result<Fleet> {
    let parts = Parts {
        image: &args.image,
        store: &args.store,
        docker: Docker { label: args.label.clone() },
        folder: &args.folder,
        secret: SECRET,
    };
    if !matches!(args.network, Some(Network::Host)) {
        match Fleet::private(&parts) {
            Ok(fleet) => {
                println!("three nginx and the store are on a network of their own");
                return Ok(fleet);
            }
            Err(error) if matches!(args.network, Some(Network::Private)) => return Err(error),
            Err(error) => {
                println!("note: no private network ({error:#}); going on with --network=host");
            }
        }
    }
    Fleet::of_the_host(&parts)
}

fn drive(fleet: &Fleet) -> Result<()> {
    let revoked = Token::new("revoked-from-the-start");
    fleet.store.add(TOKENS, &revoked.jti)?;
    // nginx may have asked for its lists before its line was there.
    for machine in &fleet.machines {
        for path in [REFUSE, PASS] {
            until(SOON, "a token that is listed is refused", || {
                Ok(machine.status(path, &revoked.jwt)? == 401)
            })?;
        }
    }
    let good = Token::new("good");
    let pair = Pair { good, revoked };
    for machine in &fleet.machines {
        pair.judged_as_ever(machine)?;
    }
    revoke_one_after_another(fleet)?;
    log_out_everywhere(fleet)?;
    cut_one_off(fleet, &pair)?;
    take_the_store_away(fleet, &pair)?;
    kill_workers(fleet, &pair)
}

/// A token, and its id.
struct Token {
    jti: String,
    jwt: String,
}

impl Token {
    fn new(jti: impl Into<String>) -> Self {
        Self::issued(jti, "bob", now())
    }

    fn issued(jti: impl Into<String>, sub: &str, iat: u64) -> Self {
        let jti = jti.into();
        let claims = json!({ "jti": jti, "sub": sub, "iat": iat, "exp": now() + 3600 });
        let header = json!({ "alg": "HS256", "kid": "fleet" });
        let text = format!("{}.{}", url64(header.to_string()), url64(claims.to_string()));
        let key = hmac::Key::new(HMAC_SHA256, SECRET.as_bytes());
        let signature = url64(hmac::sign(&key, text.as_bytes()));
        Self { jti, jwt: format!("{text}.{signature}") }
    }
}

/// Base64 for URLs.
fn url64(bytes: impl AsRef<[u8]>) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |value: u32| LETTERS.get(value as usize & 63).map_or('_', |it| char::from(*it));
    let of_three = |three: &[u8]| {
        let value = (0..3).fold(0, |all, at| all << 8 | u32::from(*three.get(at).unwrap_or(&0)));
        let letters = [18, 12, 6, 0].map(|shift| letter(value >> shift));
        letters.into_iter().take(three.len() + 1).collect::<String>()
    };
    bytes.as_ref().chunks(3).map(of_three).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Two tokens whose verdicts stay the same all the time.
struct Pair {
    good: Token,
    revoked: Token,
}

impl Pair {
    fn judged_as_ever(&self, machine: &Machine) -> Result<()> {
        for path in [REFUSE, PASS] {
            machine.expect(path, &self.good.jwt, 200, "a good token")?;
            machine.expect(path, &self.revoked.jwt, 401, "a token that was revoked before")?;
        }
        Ok(())
    }
}

/// Adds a line, and measures until each of `machines` refuses the token: from before the line is sent.
fn refused_by(
    machines: &[&Machine],
    limit: Duration,
    token: &Token,
    add: impl FnOnce() -> Result<()>,
) -> Result<Vec<Duration>> {
    let began = Instant::now();
    thread::scope(|scope| {
        let wait = |machine: &Machine| {
            let refused = || Ok(machine.status(REFUSE, &token.jwt)? == 401);
            until(limit, &format!("{} refuses {}", machine.name(), token.jti), refused)?;
            Ok(began.elapsed())
        };
        let waits: Vec<_> =
            machines.iter().map(|machine| scope.spawn(move || wait(machine))).collect();
        add()?;
        let joined = waits.into_iter().map(|one| one.join().unwrap_or_else(|_| bail!("a thread")));
        joined.collect()
    })
}

fn revoke_one_after_another(fleet: &Fleet) -> Result<()> {
    println!("\n-- a token is revoked: ms until each machine refuses it");
    let machines: Vec<&Machine> = fleet.machines.iter().collect();
    let mut all = Vec::new();
    for round in 1..=ROUNDS {
        // The round before has ended with a refresh: this one begins at another moment between two.
        thread::sleep(BETWEEN_ROUNDS * round);
        let token = Token::new(format!("round-{round}"));
        for machine in &machines {
            machine.expect(REFUSE, &token.jwt, 200, "not revoked yet")?;
        }
        let took = refused_by(&machines, SOON, &token, || fleet.store.add(TOKENS, &token.jti))?;
        println!("  {round:2}: {}", milliseconds(&took));
        all.extend(took);
    }
    all.sort_unstable();
    let middle = all.get(all.len() / 2).context("no times")?.as_millis();
    let most = all.last().context("no times")?.as_millis();
    println!("  median {middle}, max {most} of {} (allowed: {})", all.len(), SOON.as_millis());
    Ok(())
}

fn milliseconds(times: &[Duration]) -> String {
    let each: Vec<String> = times.iter().map(|time| format!("{:5}", time.as_millis())).collect();
    each.join(" ")
}

fn log_out_everywhere(fleet: &Fleet) -> Result<()> {
    println!("\n-- alice is logged out everywhere");
    let machines: Vec<&Machine> = fleet.machines.iter().collect();
    let before = now();
    let old = Token::issued("alice-old", "alice", before - 10);
    for machine in &machines {
        machine.expect(REFUSE, &old.jwt, 200, "alice has not logged out")?;
    }
    let line = format!("alice before={before}");
    let took = refused_by(&machines, SOON, &old, || fleet.store.add(USERS, &line))?;
    let new = Token::issued("alice-new", "alice", before);
    for machine in &machines {
        machine.expect(REFUSE, &new.jwt, 200, "alice has logged in again")?;
    }
    println!("  her old token is refused after {} ms, a new one is good", milliseconds(&took));
    Ok(())
}

/// How a machine's own metrics show that it cannot read a list.
fn is_in_trouble(machine: &Machine, list: &str) -> Result<bool> {
    let labels = ["kind=\"list\"", &format!("source=\"{list}\"")];
    let up = machine.metric("source_up", &labels)?.context("no source_up of a list")?;
    let failures = machine.metric("source_failures_total", &labels)?.unwrap_or(0.0);
    Ok(up == 0.0 && failures > 0.0)
}

fn cut_one_off(fleet: &Fleet, pair: &Pair) -> Result<()> {
    println!("\n-- one machine is cut off from the store");
    let [near @ .., cut] = &*fleet.machines else { bail!("no machines") };
    let near: Vec<&Machine> = near.iter().collect();
    cut.cut_off()?;
    let began = Instant::now();
    let later = Token::new("revoked-behind-the-cut");
    let took = refused_by(&near, SOON, &later, || fleet.store.add(TOKENS, &later.jti))?;
    println!("  the others refuse what is revoked now after {} ms", milliseconds(&took));
    ensure!(!cut.reaches_the_store(), "it still reaches the store");
    pair.judged_as_ever(cut)?;
    cut.expect(REFUSE, &later.jwt, 200, "its last list does not have this one")?;

    let told = until(STALE / 2, "its log says that the last list stays", || {
        Ok(cut.log()?.contains("the last good list stays"))
    })?;
    until(STALE / 2, "its metrics show the trouble", || is_in_trouble(cut, "/_tokens"))?;
    ensure!(
        began.elapsed() < STALE - Duration::from_secs(2),
        "no time is left to look at its verdicts"
    );
    pair.judged_as_ever(cut)?;
    println!(
        "  it keeps its last list, and says so in its log (after {told:?}) and in its metrics"
    );

    // Until then each answer is the one that it was.
    until(STALE + SOON, "without a list nobody gets in", || {
        match cut.status(REFUSE, &pair.good.jwt)? {
            503 => Ok(true),
            200 => Ok(false),
            other => bail!("a good token gets {other}"),
        }
    })?;
    let refuses = began.elapsed();
    // The last list may have come almost a second before the cut.
    ensure!(refuses > STALE - SOON, "it refuses after {refuses:?} already");
    until(SOON, "with missing=pass whoever has a good token gets in", || {
        Ok(cut.status(PASS, &pair.revoked.jwt)? == 200)
    })?;
    cut.expect(PASS, &pair.good.jwt, 200, "a good token")?;
    cut.expect(REFUSE, &pair.revoked.jwt, 503, "without a list")?;
    println!(
        "  without a list it answers 503 (after {refuses:?}), or lets pass where missing=pass says so"
    );
    both_are_told(cut)?;

    cut.reconnect()?;
    let began = Instant::now();
    until(CATCH_UP, "it has caught up", || Ok(cut.status(REFUSE, &later.jwt)? == 401))?;
    let took = began.elapsed();
    until(CATCH_UP, "it has caught up there, too", || Ok(cut.status(PASS, &later.jwt)? == 401))?;
    pair.judged_as_ever(cut)?;
    println!("  connected again, it has caught up after {took:?}");
    Ok(())
}

/// What was refused and what was let through without a list is in the log, and is counted.
fn both_are_told(machine: &Machine) -> Result<()> {
    let log = machine.log()?;
    for words in ["there is no list", "tokens pass without it"] {
        ensure!(log.contains(words), "its log does not say: {words}");
    }
    let labels = [&*format!("location=\"{REFUSE}\""), "reason=\"no_list\""];
    for (family, labels) in [("refusals_total", &labels[..]), ("tokens_unchecked_total", &[])] {
        until(SOON, &format!("{family} counts what happened without a list"), || {
            Ok(machine.metric(family, labels)?.is_some_and(|count| count > 0.0))
        })?;
    }
    Ok(())
}

fn take_the_store_away(fleet: &Fleet, pair: &Pair) -> Result<()> {
    println!("\n-- the store is down");
    fleet.store.stop()?;
    let began = Instant::now();
    let mut asked = 0;
    while began.elapsed() < STALE / 2 {
        for machine in &fleet.machines {
            pair.judged_as_ever(machine)?;
            asked += 4;
        }
        thread::sleep(Duration::from_millis(50));
    }
    for machine in &fleet.machines {
        ensure!(is_in_trouble(machine, "/_tokens")?, "{} does not notice", machine.name());
    }
    println!("  in {:?} not one of {asked} verdicts has changed", began.elapsed());
    fleet.store.start_again()?;
    let machines: Vec<&Machine> = fleet.machines.iter().collect();
    for machine in &machines {
        until(Duration::from_secs(20), "the store is back", || Ok(machine.reaches_the_store()))?;
    }
    let token = Token::new("revoked-after-the-store-was-down");
    let took = refused_by(&machines, CATCH_UP, &token, || fleet.store.add(TOKENS, &token.jti))?;
    for machine in &machines {
        pair.judged_as_ever(machine)?;
    }
    println!(
        "  it is back, with what it had, and what is revoked now is refused after {} ms",
        milliseconds(&took)
    );
    Ok(())
}

fn kill_workers(fleet: &Fleet, pair: &Pair) -> Result<()> {
    println!("\n-- workers are killed");
    let machine = fleet.machines.first().context("no machines")?;
    // One of them fetches the lists for both.
    for round in 1..=2 {
        machine.kill_a_worker()?;
        for _ in 0..20 {
            pair.judged_as_ever(machine)?;
        }
        let token = Token::new(format!("revoked-after-a-kill-{round}"));
        let took =
            refused_by(&[machine], 2 * CATCH_UP, &token, || fleet.store.add(TOKENS, &token.jti))?;
        pair.judged_as_ever(machine)?;
        println!(
            "  no verdict has changed, and what is revoked now is refused after {} ms",
            milliseconds(&took)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::url64;

    #[test]
    fn base64_for_urls_as_in_rfc_4648() {
        for (text, encoded) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")]
        {
            assert_eq!(url64(text), encoded);
        }
        assert_eq!(url64([0xfb, 0xff]), "-_8");
    }
}
