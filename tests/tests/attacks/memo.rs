//! The memo of signatures that workers share: what one of them has verified no other one verifies again, and all
//! else is judged as without it.

use anyhow::{Context as _, Result, ensure};
use module_tests::{
    Builder, ED25519, Jwt, Nginx, P256, P256_OTHER, RSA, SERVE, now, until, until_verdict,
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

/// How many signatures were verified, when all workers have told of all that were `sent`.
fn verified(nginx: &Nginx, sent: u64) -> Result<u64> {
    until("every request is counted", || {
        let status = status(nginx)?;
        let cache = &status["cache"];
        let asked = cache["hits"].as_u64().zip(cache["misses"].as_u64());
        let counts = status["signatures"].as_object().context("no signatures")?;
        let sum = counts.values().filter_map(Value::as_u64).sum();
        Ok(asked.is_some_and(|(hits, misses)| hits + misses == sent).then_some(sum))
    })
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
