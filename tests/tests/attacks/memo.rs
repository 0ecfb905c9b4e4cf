//! The memo of signatures that workers share: what one of them has verified no other one verifies again, and all
//! else is judged as without it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use module_tests::{
    Builder, ED25519, Jwt, Key, Nginx, P256, P256_OTHER, RSA, Request, SERVE, now, until,
    until_verdict,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Case, withstand};

const STATUS: &str = "location = /_status { token_auth_status format=json; }";

fn builder(cache: &str) -> Result<Builder> {
    Ok(Nginx::builder()
        .workers(4)
        .http(cache)
        .server(format!(
            "{STATUS}
            location / {{ jwks_file rsa.json; jwks_file p256.json; jwks_file ed.json; {SERVE} }}
            location /same {{ jwks_file p256.json; {SERVE} }}
            location /other {{ jwks_file other.json; {SERVE} }}
            location /algorithm {{ jwks_file p256.json; jwt_algorithms RS256; {SERVE} }}
            location /issuer {{ jwks_file p256.json; jwt_issuer you; {SERVE} }}
            location /revoked {{ jwks_file p256.json; jwt_revoked jti gone.txt; {SERVE} }}"
        ))
        .file("gone.txt", "t-1\n")
        .file("rsa.json", RSA.jwks("rsa")?)
        .file("p256.json", P256.jwks("p256")?)
        .file("other.json", P256_OTHER.jwks("p256")?)
        .file("ed.json", ED25519.jwks("ed")?))
}

fn tokens() -> Result<Vec<String>> {
    let keys = [("RS256", "rsa", &RSA), ("ES256", "p256", &P256), ("EdDSA", "ed", &ED25519)];
    keys.iter().map(|(alg, kid, key)| Jwt::live().kid(kid).sign(alg, key)).collect()
}

fn status(nginx: &Nginx) -> Result<Value> {
    serde_json::from_str(&nginx.get("/_status")?.text()).context("the status")
}

/// Sends each token often enough that more than one worker has it.
fn send(nginx: &Nginx, tokens: &[String]) -> Result<()> {
    for token in tokens.iter().cycle().take(60) {
        ensure!(nginx.bearer("/", token)?.status == 200, "refused");
    }
    Ok(())
}

/// What the workers have told of so far.
struct Counts {
    /// Tokens that were looked for in a worker's cache.
    asked: u64,
    /// Signatures.
    verified: u64,
}

fn counts(nginx: &Nginx) -> Result<Counts> {
    let status = status(nginx)?;
    let count = |name: &str| status["cache"][name].as_u64().context("no count");
    let counts = status["signatures"].as_object().context("no signatures")?;
    let verified = counts.values().filter_map(Value::as_u64).sum();
    Ok(Counts { asked: count("hits")? + count("misses")?, verified })
}

/// The counts when all workers have told of all that were `sent`.
fn counted(nginx: &Nginx, sent: u64) -> Result<Counts> {
    until("every request is counted", || {
        Ok(Some(counts(nginx)?).filter(|counts| counts.asked == sent))
    })
}

/// How many signatures were verified by then.
fn verified(nginx: &Nginx, sent: u64) -> Result<u64> {
    Ok(counted(nginx, sent)?.verified)
}

#[test]
fn one_worker_verifies_for_all_of_them_and_over_reloads() -> Result<()> {
    let tokens = tokens()?;
    let nginx = builder("")?.start()?;
    for round in 1..4 {
        send(&nginx, &tokens)?;
        // The caches of new workers begin empty.
        assert_eq!(verified(&nginx, 60 * round)?, 3);
        nginx.reload()?;
    }
    nginx.finish()?;

    let nginx = builder("jwt_cache 8m shared=off;")?.start()?;
    for round in 1..3 {
        send(&nginx, &tokens)?;
        ensure!(verified(&nginx, 60 * round)? >= 3 * round, "round {round}");
        nginx.reload()?;
    }
    nginx.finish()
}

#[test]
fn what_has_held_helps_no_other_token_and_no_other_place() -> Result<()> {
    // The smallest memory, too: it forgets all the time.
    for cache in ["", "jwt_cache 4k shared=4k;", "jwt_cache 8m shared=off;"] {
        let nginx = builder(cache)?.start()?;
        let good = Jwt::live_with(&json!({ "iss": "me", "jti": "t-1" })).kid("p256");
        let good = good.sign("ES256", &P256)?;
        for _ in 0..20 {
            assert_eq!(nginx.bearer("/", &good)?.status, 200);
        }
        // Workers that know no token, but what the others have noted.
        nginx.reload()?;
        let mut cases = Vec::new();
        let (message, signature) = good.rsplit_once('.').context("no signature")?;
        for at in [0, signature.len() / 2, signature.len() - 3] {
            let mut other = signature.as_bytes().to_vec();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let forged = format!("{message}.{}", String::from_utf8(other)?);
            cases.push(("/", forged, "bad_signature"));
        }
        let (header, payload) = message.split_once('.').context("no payload")?;
        let mut changed = payload.as_bytes().to_vec();
        let middle = changed.len() / 2;
        changed[middle] = if changed[middle] == b'x' { b'y' } else { b'x' };
        let changed = format!("{header}.{}.{signature}", String::from_utf8(changed)?);
        cases.push(("/", changed, "bad_signature"));
        cases.push(("/other", good.clone(), "bad_signature"));
        cases.push(("/same", good.clone(), "ok"));
        cases.push(("/algorithm", good.clone(), "bad_algorithm"));
        cases.push(("/issuer", good.clone(), "bad_issuer"));
        cases.push(("/revoked", good.clone(), "revoked"));
        cases.push(("/", good.clone(), "ok"));
        let mut all = Vec::new();
        for round in 0..3 {
            for (at, (path, token, word)) in cases.iter().enumerate() {
                let request = nginx.request().target(*path).bearer(token);
                all.push(Case::token(format!("{cache} {round} {at} {path}"), request, word));
            }
        }
        withstand(&nginx, all)?;
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_key_that_is_gone_and_a_token_that_has_expired_are_refused() -> Result<()> {
    let nginx = builder("")?.start()?;
    let short = Jwt::live_with(&json!({ "exp": now() + 2 })).kid("p256").sign("ES256", &P256)?;
    let long = Jwt::live().kid("p256").sign("ES256", &P256)?;
    assert_eq!(nginx.bearer("/", &short)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/same", &long)?.verdict(), (200, "ok"));
    until_verdict(&nginx, &short, (401, "expired"))?;
    nginx.reload()?;
    assert_eq!(nginx.bearer("/", &short)?.verdict(), (401, "expired"));
    assert_eq!(nginx.bearer("/same", &long)?.verdict(), (200, "ok"));
    // Another key of the same name, then none of that name, then the first one again.
    for (jwks, verdict) in [
        (P256_OTHER.jwks("p256")?, (401, "bad_signature")),
        (P256.jwks("renamed")?, (401, "unknown_key")),
        (P256.jwks("p256")?, (200, "ok")),
    ] {
        nginx.put("p256.json", jwks)?;
        nginx.reload()?;
        assert_eq!(nginx.bearer("/same", &long)?.verdict(), verdict);
    }
    nginx.finish()
}

#[test]
fn a_killed_worker_leaves_the_memo_as_it_is() -> Result<()> {
    let tokens = tokens()?;
    let nginx = builder("")?.expect_log("exited on signal 9").start()?;
    send(&nginx, &tokens)?;
    for worker in nginx.workers() {
        kill_process(Pid::from_raw(worker.try_into()?).context("no process")?, Signal::KILL)?;
        nginx.wait_log(|line| line.contains(&format!("{worker} exited on signal 9")))?;
    }
    send(&nginx, &tokens)?;
    nginx.finish()
}

/// How many workers are killed while they are under load.
const KILLS: usize = 25;

/// Clients that send ever new tokens, and how far they are.
#[derive(Default)]
struct Load {
    answered: AtomicUsize,
    ends: AtomicBool,
}

#[test]
fn workers_that_are_killed_while_they_write_let_nothing_forged_pass() -> Result<()> {
    // The workers cache nothing, so that each token is looked up in the memo: in one where new tokens take the places
    // of others all the time, so that what is half written is of two tokens, and in one that forgets nothing.
    for cache in ["jwt_cache 4k shared=4k;", "jwt_cache 4k;"] {
        let nginx = builder(cache)?.expect_log("exited on signal 9").start()?;
        let known = tokens()?;
        send(&nginx, &known)?;
        killed_under_load(&nginx)?;

        // A worker that exits has told of all that it has counted. Those before it that were killed have not.
        let old = nginx.workers();
        nginx.reload()?;
        for worker in old {
            nginx.wait_log(|line| line.contains(&format!("{worker} exited with code 0")))?;
        }
        let before = counts(&nginx)?;
        send(&nginx, &known)?;
        let after = counted(&nginx, before.asked + 60)?;
        if cache == "jwt_cache 4k;" {
            // The signatures of before the first kill.
            assert_eq!(after.verified, before.verified);
        }
        nginx.finish()?;
    }
    Ok(())
}

/// Kills workers, one after the other, at moments that the load chooses.
fn killed_under_load(nginx: &Nginx) -> Result<()> {
    let (socket, load) = (nginx.socket("s.sock"), Load::default());
    let (socket, load) = (&socket, &load);
    thread::scope(|scope| {
        let clients = [("RS256", "rsa", &RSA), ("ES256", "p256", &P256), ("ES256", "p256", &P256)];
        let clients: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, key)| scope.spawn(move || load.client(socket, number, key)))
            .collect();
        let killed = (0..KILLS).try_for_each(|kill| {
            // Another number of requests each time, also none.
            load.until_answered(load.answered() + kill * 7 % 40)?;
            let workers = nginx.workers();
            let worker = *workers.get(kill % workers.len().max(1)).context("no worker")?;
            kill_process(Pid::from_raw(worker.try_into()?).context("no process")?, Signal::KILL)?;
            nginx.wait_log(|line| line.contains(&format!("{worker} exited on signal 9")))?;
            Ok(())
        });
        load.ends.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        killed
    })
}

impl Load {
    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    fn until_answered(&self, count: usize) -> Result<()> {
        until("more answers", || {
            ensure!(!self.ends.load(Ordering::Relaxed), "a client has failed");
            Ok((self.answered() >= count).then_some(()))
        })
    }

    /// Sends tokens that nobody has seen before, and forged ones of the same content before and after them.
    fn client(&self, socket: &Path, number: usize, key: (&str, &str, &Key)) -> Result<()> {
        let sent = (0..)
            .take_while(|_| !self.ends.load(Ordering::Relaxed))
            .try_for_each(|turn| self.send(socket, &format!("{number}-{turn}"), key));
        self.ends.store(true, Ordering::Relaxed);
        sent
    }

    fn send(&self, socket: &Path, jti: &str, (alg, kid, key): (&str, &str, &Key)) -> Result<()> {
        let token = Jwt::live_with(&json!({ "jti": jti })).kid(kid);
        let good = token.sign(alg, key)?;
        let (message, signature) = good.rsplit_once('.').context("no signature")?;
        let (first, rest) = signature.split_at(1);
        let first = if first == "A" { "B" } else { "A" };
        let bent = format!("{message}.{first}{rest}");
        let of_another_key = Jwt::live_with(&json!({ "jti": jti })).kid("p256");
        let of_another_key = of_another_key.sign("ES256", &P256_OTHER)?;
        let (good, forged) = ((good.as_str(), (200, "ok")), (401, "bad_signature"));
        let [bent, of_another_key] = [&bent, &of_another_key].map(|it| (it.as_str(), forged));
        for (token, verdict) in [bent, good, of_another_key, bent, good, good] {
            let got = answer(socket, token)?;
            ensure!((got.0, got.1.as_str()) == verdict, "{got:?} instead of {verdict:?}: {jti}");
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The verdict on a token. A worker that is killed gives none: then another one is asked.
fn answer(socket: &Path, token: &str) -> Result<(u16, String)> {
    until("an answer", || {
        let answer = Request::new(socket.to_owned()).bearer(token).send();
        Ok(answer.ok().map(|it| (it.verdict().0, it.verdict().1.to_owned())))
    })
}
