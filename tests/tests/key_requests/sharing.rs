//! Two workers share one key set: both use the keys that one has fetched.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use module_tests::{Connection, Nginx, Provider, Response, until};
use rustix::process::{Pid, Signal, kill_process};

use crate::{NEW, OLD, builder, is_told, keys, stray};

/// Open connections, grouped by the worker that accepted them: at least `count` for each of two.
struct Lines<'n> {
    nginx: &'n Nginx,
    of: BTreeMap<String, Vec<Connection>>,
}

impl<'n> Lines<'n> {
    fn open(nginx: &'n Nginx, count: usize) -> Result<Self> {
        let mut lines = Self { nginx, of: BTreeMap::new() };
        // The test opens many at once, so that one worker cannot accept all while the other sleeps.
        until("connections to both workers", || {
            let request = nginx.request().target("/open").keep_alive();
            let mut fresh = (0..8).map(|_| nginx.connect()).collect::<Result<Vec<_>>>()?;
            fresh.iter_mut().try_for_each(|connection| connection.write(&request.bytes()))?;
            for mut connection in fresh {
                let worker = who(&connection.read_response(false)?)?;
                lines.of.entry(worker).or_default().push(connection);
            }
            let enough = |of: &Vec<Connection>| of.len() >= count;
            Ok((lines.of.values().filter(|of| enough(of)).count() == 2).then_some(()))
        })?;
        Ok(lines)
    }

    fn workers(&self) -> [String; 2] {
        let mut names = self.of.keys().cloned();
        [names.next().unwrap(), names.next().unwrap()]
    }

    /// Sends a request for `target` to one worker, and leaves the answer unread.
    fn begin(&mut self, worker: &str, target: &str, token: &str) -> Result<Connection> {
        let free = self.of.get_mut(worker).context("a worker")?;
        let mut connection = free.pop().context("no connection left")?;
        let request = self.nginx.request().target(target).bearer(token).keep_alive();
        connection.write(&request.bytes())?;
        Ok(connection)
    }

    /// Reads an answer, and keeps the connection for the next request.
    fn end(&mut self, worker: &str, mut connection: Connection) -> Result<Response> {
        let response = connection.read_response(false)?;
        ensure!(who(&response)? == worker, "answered by {}", who(&response)?);
        self.of.get_mut(worker).context("a worker")?.push(connection);
        Ok(response)
    }

    fn ask(&mut self, worker: &str, token: &str) -> Result<(u16, String)> {
        let connection = self.begin(worker, "/", token)?;
        let response = self.end(worker, connection)?;
        Ok((response.status, response.verdict().1.to_owned()))
    }

    /// Waits until a worker has handled all requests that were sent to it.
    fn settle(&mut self, worker: &str) -> Result<()> {
        for _ in 0..2 {
            let connection = self.begin(worker, "/open", "")?;
            ensure!(self.end(worker, connection)?.status == 200, "/open");
        }
        Ok(())
    }
}

fn who(response: &Response) -> Result<String> {
    Ok(response.header("X-Worker").context("X-Worker")?.to_owned())
}

fn start(provider: &Provider, options: &str) -> Result<Nginx> {
    builder(provider, options).workers(2).start()
}

fn ok() -> (u16, String) {
    (200, "ok".to_owned())
}

fn unknown() -> (u16, String) {
    (401, "unknown_key".to_owned())
}

#[test]
fn what_one_worker_has_fetched_the_other_uses() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = start(&provider, "")?;
    let mut lines = Lines::open(&nginx, 2)?;
    let [one, two] = lines.workers();
    assert_eq!(lines.ask(&one, &OLD.token()?)?, ok());
    provider.leave()?;
    assert_eq!(lines.ask(&two, &OLD.token()?)?, ok());
    assert_eq!(lines.ask(&one, &OLD.token()?)?, ok());
    provider.come_back()?;
    assert_eq!(provider.settle()?, 1);
    drop(lines);
    nginx.finish()
}

#[test]
fn a_worker_waits_for_the_fetch_of_another() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    provider.hold();
    let nginx = start(&provider, "")?;
    let mut lines = Lines::open(&nginx, 6)?;
    let [one, two] = lines.workers();
    let token = OLD.token()?;
    let mut waiting = vec![(one.clone(), lines.begin(&one, "/", &token)?)];
    provider.wait_count(1)?;
    for worker in [&two, &two, &one, &two] {
        waiting.push((worker.clone(), lines.begin(worker, "/", &token)?));
    }
    lines.settle(&one)?;
    lines.settle(&two)?;
    for (_, connection) in &mut waiting {
        assert!(!connection.has_answer()?);
    }
    assert_eq!(provider.settle()?, 1);
    provider.release();
    for (worker, connection) in waiting {
        assert_eq!(lines.end(&worker, connection)?.verdict(), (200, "ok"));
    }
    assert_eq!(provider.settle()?, 1);
    drop(lines);
    nginx.finish()
}

#[test]
fn both_workers_learn_of_a_failure_and_of_the_recovery() -> Result<()> {
    let provider = Provider::start(module_tests::Behaviour::Status(500, String::new()))?;
    let nginx = start(&provider, "")?;
    let mut lines = Lines::open(&nginx, 2)?;
    let [one, two] = lines.workers();
    let token = OLD.token()?;
    provider.hold();
    let waiting = [
        (one.clone(), lines.begin(&one, "/", &token)?),
        (two.clone(), lines.begin(&two, "/", &token)?),
    ];
    provider.wait_count(1)?;
    provider.release();
    for (worker, connection) in waiting {
        assert_eq!(lines.end(&worker, connection)?.verdict(), (503, "no_keys"));
    }
    nginx.wait_log(|line| is_told(line, "500"))?;
    provider.set(keys(&[OLD])?);
    for worker in [&one, &two] {
        until("keys", || Ok((lines.ask(worker, &token)? == ok()).then_some(())))?;
    }
    drop(lines);
    nginx.finish()
}

#[test]
fn keys_past_their_time_are_fetched_by_one_for_both() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = start(&provider, "valid=2s")?;
    let mut lines = Lines::open(&nginx, 2)?;
    let [one, two] = lines.workers();
    let (old, new) = (OLD.token()?, NEW.token()?);
    for worker in [&one, &two] {
        assert_eq!(lines.ask(worker, &old)?, ok());
    }
    provider.hold();
    provider.set(keys(&[NEW])?);
    until("a refresh", || {
        for worker in [&one, &two] {
            ensure!(lines.ask(worker, &old)? == ok(), "meanwhile");
        }
        Ok((provider.count() >= 2).then_some(()))
    })?;
    for worker in [&one, &two, &one, &two] {
        assert_eq!(lines.ask(worker, &old)?, ok());
        lines.settle(worker)?;
    }
    assert_eq!(provider.settle()?, 2);
    provider.release();
    until("new keys", || Ok((lines.ask(&one, &new)? == ok()).then_some(())))?;
    // When one worker has the new keys, the other uses them from its next request on.
    assert_eq!(lines.ask(&two, &new)?, ok());
    for worker in [&one, &two] {
        assert_eq!(lines.ask(worker, &old)?, unknown());
    }
    drop(lines);
    nginx.finish()
}

#[test]
fn an_unknown_kid_costs_one_refresh_for_both() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = start(&provider, "")?;
    let mut lines = Lines::open(&nginx, 4)?;
    let [one, two] = lines.workers();
    for worker in [&one, &two] {
        assert_eq!(lines.ask(worker, &OLD.token()?)?, ok());
    }
    provider.hold();
    provider.set(keys(&[OLD, NEW])?);
    let first = lines.begin(&one, "/", &NEW.token()?)?;
    provider.wait_count(2)?;
    let mut second = lines.begin(&two, "/", &NEW.token()?)?;
    let mut third = lines.begin(&two, "/", &stray("x")?)?;
    lines.settle(&two)?;
    assert!(!second.has_answer()? && !third.has_answer()?);
    assert_eq!(lines.ask(&two, &OLD.token()?)?, ok());
    provider.release();
    assert_eq!(lines.end(&one, first)?.verdict(), (200, "ok"));
    assert_eq!(lines.end(&two, second)?.verdict(), (200, "ok"));
    assert_eq!(lines.end(&two, third)?.verdict(), (401, "unknown_key"));
    for worker in [&one, &two, &one, &two] {
        assert_eq!(lines.ask(worker, &stray("y")?)?, unknown());
        lines.settle(worker)?;
    }
    assert_eq!(provider.settle()?, 2);
    drop(lines);
    nginx.finish()
}

#[test]
fn a_worker_that_waits_for_another_when_a_reload_comes_is_answered() -> Result<()> {
    // Both workers shut down; one ends its fetch soon, and the other must notice the result.
    for cold in [true, false] {
        let provider = Provider::start(keys(&[OLD])?)?;
        let nginx = start(&provider, "timeout=60s")?;
        let mut lines = Lines::open(&nginx, 2)?;
        let [one, two] = lines.workers();
        let before = usize::from(!cold);
        if !cold {
            for worker in [&one, &two] {
                assert_eq!(lines.ask(worker, &OLD.token()?)?, ok());
            }
        }
        provider.hold();
        provider.set(keys(&[OLD, NEW])?);
        let fetching = lines.begin(&one, "/", &NEW.token()?)?;
        provider.wait_count(before + 1)?;
        let mut waiting = lines.begin(&two, "/", &NEW.token()?)?;
        lines.settle(&two)?;
        assert!(!waiting.has_answer()?);
        nginx.reload()?;
        provider.release();
        assert_eq!(lines.end(&one, fetching)?.verdict(), (200, "ok"), "cold: {cold}");
        let began = Instant::now();
        assert_eq!(lines.end(&two, waiting)?.verdict(), (200, "ok"), "cold: {cold}");
        assert!(began.elapsed() < Duration::from_secs(5), "cold: {cold}: {:?}", began.elapsed());
        drop(lines);
        nginx.finish()?;
    }
    Ok(())
}

/// Kills a worker by SIGKILL, so that nginx has no chance to clean up in it.
fn kill(nginx: &Nginx, worker: &str) -> Result<()> {
    let pid = Pid::from_raw(worker.parse()?).context("a process id")?;
    kill_process(pid, Signal::KILL)?;
    nginx.wait_log(|line| line.contains(&format!("worker process {worker} exited on signal 9")))?;
    Ok(())
}

#[test]
fn a_worker_that_dies_while_it_fetches_stops_nobody() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    provider.hold();
    let nginx =
        builder(&provider, "timeout=2s").workers(2).expect_log("exited on signal 9").start()?;
    let mut lines = Lines::open(&nginx, 2)?;
    let [one, two] = lines.workers();
    let token = OLD.token()?;
    let lost = lines.begin(&one, "/", &token)?;
    provider.wait_count(1)?;
    let waiting = lines.begin(&two, "/", &token)?;
    lines.settle(&two)?;
    kill(&nginx, &one)?;
    drop(lost);
    provider.release();
    // Whichever worker fetches now, this request and all later ones are answered.
    assert_eq!(lines.end(&two, waiting)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    assert!(provider.settle()? <= 3);
    drop(lines);
    nginx.finish()
}

#[test]
fn a_worker_that_is_started_again_finds_the_keys() -> Result<()> {
    let provider = Provider::start(keys(&[OLD])?)?;
    let nginx = builder(&provider, "").expect_log("exited on signal 9").start()?;
    let token = OLD.token()?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    provider.leave()?;
    for round in 0..3 {
        let worker = nginx.workers().last().context("a worker")?.to_string();
        kill(&nginx, &worker)?;
        until("a new worker", || Ok((nginx.workers().len() == 1).then_some(())))?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "round {round}");
    }
    nginx.finish()
}
