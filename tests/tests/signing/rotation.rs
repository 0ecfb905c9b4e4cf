//! A new key, without a refusal: two nginx, one that signs, one that verifies by what the first publishes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use module_tests::{Behaviour, Nginx, P256, P256_OTHER, P384, Provider, Request, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{KEY, section, text};

/// A signer with these options of its key, and a verifier.
fn pair(provider: &Provider, options: &str, valid: &str) -> Result<(Nginx, Nginx)> {
    let signer = Nginx::builder()
        .workers(2)
        .quiet_log()
        .expect_log("exited on signal 9")
        .expect_log("its kid is the same")
        .file(KEY, P256.private)
        .server(format!(
            "location = /login {{ jwt_sign_key {KEY} {options}; jwt_sign t; {} }}
            location = /jwks {{ jwks_publish valid=1s; }}",
            provider.pass()
        ))
        .start()?;
    let verifier = Nginx::builder()
        .workers(2)
        .server(format!(
            "location = /api {{ jwks_request /_jwks valid={valid}; try_files /ok.txt =404; }}
            location = /_jwks {{ internal; proxy_pass http://unix:{}:/jwks; }}",
            signer.socket("s.sock").display()
        ))
        .start()?;
    Ok((signer, verifier))
}

/// A token of the signer, and its kid.
fn token(signer: &Nginx) -> Result<(String, String)> {
    token_of(signer.request())
}

fn token_of(signer: Request) -> Result<(String, String)> {
    let answer = signer.target("/login").send()?;
    ensure!(answer.status == 200, "{}", answer.text());
    let answer: Value = serde_json::from_slice(&answer.body)?;
    let token = text(&answer, "t")?.to_owned();
    let header: Value = serde_json::from_str(&section(&token, 0)?)?;
    Ok((token, text(&header, "kid")?.to_owned()))
}

/// How many keys the signer publishes.
fn published(signer: &Nginx) -> Result<BTreeSet<String>> {
    let set: Value = serde_json::from_slice(&signer.get("/jwks")?.body)?;
    let keys = set["keys"].as_array().context("keys")?;
    Ok(keys.iter().filter_map(|key| key["kid"].as_str().map(str::to_owned)).collect())
}

#[test]
fn two_rotations_under_load_refuse_nobody() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{"sub":"alice"}}"#.into()))?;
    let (signer, verifier) = pair(&provider, "check=100ms lead=2s", "1s")?;
    let over = AtomicBool::new(false);
    let (sent, kids) = thread::scope(|scope| {
        let users: Vec<_> = (0..4)
            .map(|_| {
                let (signer, verifier, over) = (signer.request(), verifier.request(), &over);
                scope.spawn(move || -> Result<(u32, BTreeSet<String>)> {
                    let (mut sent, mut kids) = (0, BTreeSet::new());
                    let mut first = None;
                    while !over.load(Ordering::Relaxed) {
                        let (fresh, kid) = token_of(signer.clone())?;
                        let first = first.get_or_insert_with(|| fresh.clone());
                        // A token of a moment ago, and the oldest one.
                        for token in [&fresh, &*first] {
                            let answer = verifier.clone().target("/api").bearer(token).send()?;
                            ensure!(answer.status == 200, "kid {kid}: {:?}", answer.verdict());
                            sent += 1;
                        }
                        kids.insert(kid);
                    }
                    Ok((sent, kids))
                })
            })
            .collect();
        for key in [P256_OTHER.private, P384.private] {
            let before = token(&signer)?.1;
            signer.put(KEY, key)?;
            let put = Instant::now();
            until("the new key to sign", || Ok((token(&signer)?.1 != before).then_some(())))?;
            assert!(put.elapsed() > Duration::from_millis(1900), "{:?}", put.elapsed());
            // All workers sign with it.
            thread::sleep(Duration::from_millis(500));
        }
        over.store(true, Ordering::Relaxed);
        let mut all = (0, BTreeSet::new());
        for user in users {
            let (sent, kids) = user.join().ok().context("panicked")??;
            all.0 += sent;
            all.1.extend(kids);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    println!("{sent} requests with {} keys, none refused", kids.len());
    assert!(sent > 500 && kids.len() == 3, "{sent} {kids:?}");
    assert_eq!(published(&signer)?, kids);
    assert!(verifier.refusals().is_empty());
    signer.finish()?;
    verifier.finish()
}

#[test]
fn a_new_key_is_published_before_it_signs_and_the_old_one_after() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{}}"#.into()))?;
    let (signer, verifier) = pair(&provider, "check=10ms lead=1500ms keep=3s", "1s")?;
    let old = token(&signer)?.1;
    signer.put(KEY, P256_OTHER.private)?;
    until("the new key to be published", || Ok((published(&signer)?.len() == 2).then_some(())))?;
    assert_eq!(token(&signer)?.1, old, "it signs too early");
    let new = until("the new key to sign", || {
        let kid = token(&signer)?.1;
        Ok((kid != old).then_some(kid))
    })?;
    assert_eq!(published(&signer)?, BTreeSet::from([old.clone(), new.clone()]));
    until("the old one to be gone", || Ok((published(&signer)?.len() == 1).then_some(())))?;
    assert_eq!(published(&signer)?, BTreeSet::from([new]));
    signer.finish()?;
    verifier.finish()
}

#[test]
fn reloads_and_killed_workers_change_nothing_of_it() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{}}"#.into()))?;
    let (signer, verifier) = pair(&provider, "check=10ms lead=2s keep=1m", "1s")?;
    let first = token(&signer)?.1;
    signer.put(KEY, P256_OTHER.private)?;
    // The reload reads the new file itself: it is a new key all the same.
    signer.reload()?;
    assert_eq!(token(&signer)?.1, first);
    assert_eq!(published(&signer)?.len(), 2);
    let second = until("the second key to sign", || {
        let kid = token(&signer)?.1;
        Ok((kid != first).then_some(kid))
    })?;
    // Workers that are killed come back from the master, which knows the second key only.
    signer.put(KEY, P384.private)?;
    until("the third key to be published", || Ok((published(&signer)?.len() == 3).then_some(())))?;
    let before = signer.workers();
    for worker in &before {
        let pid = Pid::from_raw(i32::try_from(*worker)?).context("a process")?;
        kill_process(pid, Signal::KILL)?;
    }
    until("new workers", || {
        let now = signer.workers();
        let are_new = now.iter().all(|worker| !before.contains(worker));
        Ok((are_new && now.len() == before.len()).then_some(()))
    })?;
    assert_eq!(published(&signer)?.len(), 3);
    let third = until("the third key to sign", || {
        let kid = token(&signer)?.1;
        Ok((kid != second).then_some(kid))
    })?;
    assert_ne!(third, first);
    // A reload much later, too: the master has never heard of the key before.
    let started = |signer: &Nginx| signer.error_log().matches("start worker process ").count();
    let wanted = started(&signer) + 2;
    signer.signal(Signal::HUP)?;
    until("workers of the new configuration", || Ok((started(&signer) == wanted).then_some(())))?;
    assert_eq!(token(&signer)?.1, third);
    assert_eq!(published(&signer)?.len(), 3);
    signer.finish()?;
    verifier.finish()
}

#[test]
fn a_new_key_under_the_old_kid_is_not_taken() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{}}"#.into()))?;
    let jwk = |secret: &str| {
        let k = module_tests::base64url(secret);
        serde_json::json!({ "kty": "oct", "kid": "same", "k": k }).to_string()
    };
    let signer = Nginx::builder()
        .file(KEY, jwk(module_tests::SECRET))
        .server(format!(
            "location = /login {{ jwt_sign_key {KEY} check=10ms; jwt_sign t; {} }}
            location = /api {{ jwt_kids {{ same {}; }} try_files /ok.txt =404; }}",
            provider.pass(),
            module_tests::SECRET
        ))
        .expect_log("another key under the same kid")
        .start()?;
    signer.put(KEY, jwk(module_tests::OTHER_SECRET))?;
    until("the fault to be told", || {
        let (token, _) = token(&signer)?;
        assert_eq!(signer.bearer("/api", &token)?.status, 200);
        Ok(signer.error_log().contains("another key under the same kid").then_some(()))
    })?;
    signer.finish()
}

/// Each reload takes the next key, also when the lead of the one before has been over for long.
#[test]
fn each_reload_rotates() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{}}"#.into()))?;
    let (signer, verifier) = pair(&provider, "lead=1s keep=1500ms", "1s")?;
    let mut before = token(&signer)?.1;
    for (at, key) in [P256_OTHER.private, P384.private, P256.private].into_iter().enumerate() {
        signer.put(KEY, key)?;
        let put = Instant::now();
        signer.reload()?;
        let next = until("the new key to sign", || {
            let (token, kid) = token(&signer)?;
            assert_eq!(verifier.bearer("/api", &token)?.verdict(), (200, "ok"), "rotation {at}");
            ensure!(kid == before || put.elapsed() > Duration::from_millis(900), "{at}: too early");
            Ok((kid != before).then_some(kid))
        })?;
        // The key before signs no more, and is gone after its time.
        until("the key before to be gone", || Ok((published(&signer)?.len() == 1).then_some(())))?;
        assert_eq!(token(&signer)?.1, next);
        before = next;
    }
    signer.finish()?;
    verifier.finish()
}

/// A worker that starts knows the keys of the last reload only: one that was replaced since must not sign.
#[test]
fn a_worker_without_a_good_key_signs_nothing() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{}}"#.into()))?;
    let pass = provider.pass();
    let signer = Nginx::builder()
        .file(KEY, P256.private)
        .server(format!(
            "location = /login {{ jwt_sign_key {KEY} check=10ms keep=100ms; jwt_sign t; {pass} }}
            location = /jwks {{ jwks_publish; }}"
        ))
        .expect_log("exited on signal 9")
        .expect_log("its last good content stays in force")
        .start()?;
    let first = token(&signer)?.1;
    signer.put(KEY, P256_OTHER.private)?;
    let second = until("the second key", || {
        let kid = token(&signer)?.1;
        Ok((kid != first).then_some(kid))
    })?;
    signer.put(KEY, "half of a k")?;
    until("the fault to be told", || {
        assert_eq!(token(&signer)?.1, second, "the last good key");
        Ok(signer.error_log().contains("its last good content").then_some(()))
    })?;
    let worker = *signer.workers().last().context("a worker")?;
    kill_process(Pid::from_raw(worker.try_into()?).context("a process")?, Signal::KILL)?;
    signer.wait_log(|line| line.contains(&format!("{worker} exited on signal 9")))?;
    until("a new worker", || Ok(signer.get("/jwks").is_ok().then_some(())))?;
    let answer = signer.get("/login")?;
    assert_eq!(answer.status, 502, "{}", answer.text());
    super::logged(&signer, "nothing is signed")?;
    // What others know, and nothing else.
    let known = BTreeSet::from([second.clone()]);
    until("the first key to be gone", || Ok((published(&signer)? == known).then_some(())))?;
    signer.put(KEY, P256_OTHER.private)?;
    until("the key to sign again", || {
        let answer = signer.get("/login")?;
        Ok((answer.status == 200).then_some(()))
    })?;
    assert_eq!(token(&signer)?.1, second);
    signer.finish()
}

#[test]
fn a_stolen_key_is_gone_at_once() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{}}"#.into()))?;
    let (signer, verifier) = pair(&provider, "lead=1h keep=1d", "1s")?;
    let stolen = token(&signer)?.1;
    signer.put(KEY, P384.private)?;
    let conf = signer.read("nginx.conf").replace("lead=1h keep=1d", "lead=0 keep=0");
    signer.put("nginx.conf", conf)?;
    signer.signal(Signal::HUP)?;
    let new = until("the new key", || {
        let kid = token(&signer)?.1;
        Ok((kid != stolen).then_some(kid))
    })?;
    until("the stolen one to be gone", || {
        Ok((published(&signer)? == BTreeSet::from([new.clone()])).then_some(()))
    })?;
    signer.finish()?;
    verifier.finish()
}

#[test]
fn a_reload_refuses_another_key_under_the_same_kid() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{}}"#.into()))?;
    let (signer, verifier) = pair(&provider, "kid=fix", "1s")?;
    let (token_before, _) = token(&signer)?;
    signer.put(KEY, P256_OTHER.private)?;
    signer.signal(Signal::HUP)?;
    super::logged(&signer, "its kid is the same")?;
    assert_eq!(verifier.bearer("/api", &token(&signer)?.0)?.status, 200);
    assert_eq!(verifier.bearer("/api", &token_before)?.status, 200);
    // The harness knows of the refusal.
    signer.stop()?;
    verifier.finish()
}

/// The key that signs goes on while others come and go.
#[test]
fn a_second_new_key_has_its_lead_too() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{}}"#.into()))?;
    for how in ["check=10ms", ""] {
        let (signer, verifier) = pair(&provider, &format!("{how} lead=2s"), "1s")?;
        let first = token(&signer)?.1;
        let mut put = Instant::now();
        for (at, key) in [P256_OTHER.private, P384.private].into_iter().enumerate() {
            signer.put(KEY, key)?;
            put = Instant::now();
            if how.is_empty() {
                signer.reload()?;
            }
            until("the new key to be published", || {
                assert_eq!(token(&signer)?.1, first, "too early");
                Ok((published(&signer)?.len() == at + 2).then_some(()))
            })?;
        }
        let third = until("the third key to sign", || {
            let (token, kid) = token(&signer)?;
            assert_eq!(verifier.bearer("/api", &token)?.status, 200);
            Ok((kid != first).then_some(kid))
        })?;
        assert!(put.elapsed() > Duration::from_millis(1900), "{how}: {:?}", put.elapsed());
        until("all workers", || {
            thread::sleep(Duration::from_millis(300));
            Ok((token(&signer)?.1 == third).then_some(()))
        })?;
        signer.finish()?;
        verifier.finish()?;
    }
    Ok(())
}

/// The master knows the keys of its reloads only; those that workers have found since are newer.
#[test]
fn a_reload_brings_no_old_key_back() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{}}"#.into()))?;
    let (signer, verifier) = pair(&provider, "check=10ms lead=200ms keep=300ms", "1s")?;
    let first = token(&signer)?.1;
    for key in [P256_OTHER.private, P384.private] {
        let before = token(&signer)?.1;
        signer.put(KEY, key)?;
        until("the new key to sign", || Ok((token(&signer)?.1 != before).then_some(())))?;
        until("the old ones to be gone", || Ok((published(&signer)?.len() == 1).then_some(())))?;
    }
    let third = token(&signer)?.1;
    signer.reload()?;
    assert_eq!(published(&signer)?, BTreeSet::from([third.clone()]));
    signer.put(KEY, P256.private.replace('\n', "\r\n"))?;
    signer.reload()?;
    // The first key again: it is as new as any.
    until("the first key to sign", || Ok((token(&signer)?.1 == first).then_some(())))?;
    signer.finish()?;
    verifier.finish()
}
