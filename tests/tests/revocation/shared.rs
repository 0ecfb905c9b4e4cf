//! One copy of a list for all workers: reloads, killed workers, and room in the shared memory.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use module_tests::{Behaviour, Nginx, Provider, SECRET, SERVE, until, until_verdict, until_within};
use rustix::process::{Pid, Signal, kill_process};

use crate::{GOOD, NO_LIST, REVOKED, builder, list, server, source, token};

/// A list of so many values `x-0`, `x-1`, ...
fn values(count: usize) -> String {
    (0..count).map(|at| format!("x-{at}\n")).collect()
}

#[test]
fn workers_fetch_a_list_once_for_all() -> Result<()> {
    let store = Provider::start(list("t-1"))?;
    let nginx = builder(&store, "valid=1m").workers(4).start()?;
    for _ in 0..40 {
        assert_eq!(nginx.bearer("/", &token("t-1")?)?.verdict(), REVOKED);
        assert_eq!(nginx.bearer("/", &token("t-2")?)?.verdict(), GOOD);
    }
    assert_eq!(store.settle()?, 1);
    nginx.finish()
}

#[test]
fn a_reload_keeps_the_list() -> Result<()> {
    let store = Provider::start(list("t-1"))?;
    let nginx = builder(&store, "valid=1m")
        .workers(2)
        .expect_log("connect() to unix:")
        .expect_log("the last good list stays")
        .start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    store.leave()?;
    for _ in 0..5 {
        nginx.reload()?;
        for _ in 0..6 {
            assert_eq!(nginx.bearer("/", &token("t-1")?)?.verdict(), REVOKED);
            assert_eq!(nginx.bearer("/", &token("t-2")?)?.verdict(), GOOD);
        }
    }
    nginx.finish()
}

#[test]
fn a_reload_that_leads_the_uri_elsewhere_brings_the_list_from_there() -> Result<()> {
    let (one, two) = (Provider::start(list("t-1"))?, Provider::start(list("t-2"))?);
    let nginx = builder(&one, "valid=1m").workers(2).start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    nginx.configure(|builder| builder.server(server(&two, "valid=1m")))?;
    nginx.reload()?;
    until_verdict(&nginx, &token("t-2")?, REVOKED)?;
    until_verdict(&nginx, &token("t-1")?, GOOD)?;
    assert_eq!((one.settle()?, two.settle()?), (1, 1));
    nginx.finish()
}

#[test]
fn workers_that_are_killed_while_they_fetch_and_store_leave_the_last_list() -> Result<()> {
    let store = Provider::start(list(format!("t-1\n{}", values(60_000))))?;
    let nginx = builder(&store, "valid=200ms")
        .workers(2)
        .expect_log("exited on signal 9")
        // nginx says so when it unlocks the memory for a worker that it finds dead.
        .expect_log("was locked by")
        .start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    for round in 0..24 {
        // Each list is another one, so that it is written each time.
        store.set(list(format!("t-1\nr-{round}\n{}", values(60_000))));
        let before = store.answered();
        store.wait_answered(before + 1)?;
        let workers = nginx.workers();
        let victim = *workers.get(round % workers.len().max(1)).context("no worker")?;
        let pid = Pid::from_raw(i32::try_from(victim)?).context("no pid")?;
        kill_process(pid, Signal::KILL)?;
        nginx.wait_log(|line| line.contains(&format!("{victim} exited on signal 9")))?;
        until("a worker", || {
            let Ok(answer) = nginx.bearer("/", &token("t-1")?) else { return Ok(None) };
            ensure!(answer.verdict() == REVOKED, "{:?}", answer.verdict());
            Ok(Some(()))
        })?;
        assert_eq!(nginx.bearer("/", &token("t-2")?)?.verdict(), GOOD);
    }
    // Whatever was left unfinished did not fill the memory: the last list still finds its place.
    store.set(list("t-2"));
    until_verdict(&nginx, &token("t-2")?, REVOKED)?;
    until_verdict(&nginx, &token("t-1")?, GOOD)?;
    nginx.finish()
}

#[test]
fn a_list_that_has_no_room_leaves_the_last_one_in_force() -> Result<()> {
    let store = Provider::start(list("t-1"))?;
    let nginx = builder(&store, "valid=200ms")
        .http("jwt_revoked_zone 256k;")
        .expect_log("there is no room")
        .start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    store.set(list(values(100_000)));
    let line = nginx.wait_log(|line| line.contains("there is no room"))?;
    ensure!(
        line.contains("jwt_revoked_zone") && line.contains("the last good list stays"),
        "{line}"
    );
    assert_eq!(nginx.bearer("/", &token("t-1")?)?.verdict(), REVOKED);
    assert_eq!(nginx.bearer("/", &token("x-5")?)?.verdict(), GOOD);
    store.set(list("t-2"));
    until_verdict(&nginx, &token("t-2")?, REVOKED)?;
    nginx.finish()
}

#[test]
fn a_list_that_is_too_old_gives_its_room_to_the_new_one() -> Result<()> {
    let store = Provider::start(list(values(8_000)))?;
    let nginx = builder(&store, "valid=200ms stale=1s")
        .http("jwt_revoked_zone 300k;")
        .expect_log("there is no room")
        .start()?;
    until_verdict(&nginx, &token("x-5")?, REVOKED)?;
    store.set(list(format!("t-1\n{}", values(7_500))));
    nginx
        .wait_log(|line| line.contains("it needs") && line.contains("the last good list stays"))?;
    // As soon as the old one may not be used any more, it makes way.
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    assert_eq!(nginx.bearer("/", &token("x-5")?)?.verdict(), REVOKED);
    assert_eq!(nginx.bearer("/", &token("t-2")?)?.verdict(), GOOD);
    nginx.finish()
}

#[test]
fn one_list_does_not_take_the_room_of_another() -> Result<()> {
    let store = Provider::start(list("t-1"))?;
    store.set_for("/other", list(values(100_000)));
    let nginx = Nginx::builder()
        .http("jwt_revoked_zone 1m;")
        .server(format!(
            "{}
            location = /_other {{ internal; {} }}
            location /other {{ jwt_kids {{ k1 {SECRET}; }} jwt_revoked_request jti /_other valid=200ms; {SERVE} }}",
            server(&store, "valid=200ms"),
            store.pass_to("/other"),
        ))
        .expect_log("there is no room")
        .expect_log("there is no list")
        .start()?;
    nginx.wait_log(|line| line.contains("there is no room"))?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    assert_eq!(nginx.bearer("/other", &token("x-5")?)?.verdict(), NO_LIST);
    assert_eq!(nginx.bearer("/", &token("x-5")?)?.verdict(), GOOD);
    nginx.finish()
}

#[test]
fn a_list_whose_name_has_no_room_is_told_of() -> Result<()> {
    let store = Provider::start(list("t-1"))?;
    let locations: String = (0..600)
        .map(|at| {
            format!(
                "location /{at} {{ jwt_kids {{ k1 {SECRET}; }} jwt_revoked_request jti /_lists/{at}; {SERVE} }}"
            )
        })
        .collect();
    let nginx = Nginx::builder()
        .http("jwt_revoked_zone 64k;")
        .server(format!("location /_lists/ {{ internal; {} }} {locations}", store.pass_to("/list")))
        .connections(4096)
        .expect_log("there is no room")
        .start()?;
    let line = nginx.wait_log(|line| line.contains("there is no room"))?;
    ensure!(line.contains("[error]") && line.contains("there is no list"), "{line}");
    let verdicts = (0..600).map(|at| nginx.bearer(format!("/{at}"), &token("t-1")?));
    let verdicts: Vec<_> = verdicts.collect::<Result<_>>()?;
    let count = |wanted| verdicts.iter().filter(|one| one.verdict() == wanted).count();
    ensure!(count(NO_LIST) > 20, "{}", count(NO_LIST));
    assert_eq!(count(REVOKED) + count(NO_LIST), 600);
    nginx.finish()
}

#[test]
fn lists_that_change_all_the_time_are_looked_up_rightly() -> Result<()> {
    let store = Provider::start(list(format!("t-1\n{}", values(5_000))))?;
    let nginx = builder(&store, "valid=20ms").workers(2).start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    let (listed, good) = (token("t-1")?, token("t-2")?);
    for round in 0..400 {
        store.set(list(format!("t-1\nr-{round}\n{}", values(5_000 + round % 7))));
        assert_eq!(nginx.bearer("/", &listed)?.verdict(), REVOKED);
        assert_eq!(nginx.bearer("/", &good)?.verdict(), GOOD);
    }
    ensure!(store.answered() > 5, "{}", store.answered());
    nginx.finish()
}

#[test]
fn one_process_does_all_of_it_as_well() -> Result<()> {
    let store = Provider::start(list("t-1"))?;
    let nginx = builder(&store, "valid=200ms").single_process().start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    store.set(list("t-2"));
    until_verdict(&nginx, &token("t-2")?, REVOKED)?;
    nginx.finish()
}

#[test]
fn another_size_of_the_memory_begins_anew() -> Result<()> {
    let store = Provider::start(list("t-1"))?;
    let nginx = builder(&store, "valid=1m").http("jwt_revoked_zone 1m;").start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    let before = nginx.workers();
    nginx.configure(|_| builder(&store, "valid=1m").http("jwt_revoked_zone 2m;"))?;
    nginx.reload()?;
    for _ in 0..5 {
        assert_eq!(nginx.bearer("/", &token("t-1")?)?.verdict(), REVOKED);
    }
    until_within(Duration::from_secs(10), "the new workers", || {
        Ok(nginx.workers().iter().all(|one| !before.contains(one)).then_some(()))
    })?;
    assert_eq!(store.settle()?, 2);
    nginx.finish()
}

#[test]
fn the_status_page_shows_how_the_list_is_doing() -> Result<()> {
    let store = Provider::start(list(values(1_000)))?;
    let nginx = builder(&store, "valid=1s stale=1h")
        .workers(3)
        .expect_log("the last good list stays")
        .start()?;
    let entries = |count: i64| {
        until("the entries", || Ok((source(&nginx, "/_list")?["entries"] == count).then_some(())))
    };
    entries(1_000)?;
    store.set(list(values(500)));
    entries(500)?;
    store.set(Behaviour::Status(502, String::new()));
    until("the failure", || Ok((source(&nginx, "/_list")?["state"] == "failing").then_some(())))?;
    let failing = source(&nginx, "/_list")?;
    assert_eq!(failing["entries"], 500);
    assert_eq!(failing["directive"], "jwt_revoked_request");
    ensure!(failing["reason"].as_str().is_some_and(|it| it.contains("502")), "{failing}");
    nginx.finish()
}
