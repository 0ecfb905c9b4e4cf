//! Lists of many megabytes: what they cost the event loop and the memory of the workers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use module_tests::{Connection, Nginx, Provider, resident_private, until_within};

use crate::{GOOD, REVOKED, list, server, source, token};

/// How many values the list has, and their length with the end of the line.
const VALUES: usize = 1_500_000;
const LEN: usize = 20;

fn values(first: &str) -> String {
    let mut text = String::with_capacity(VALUES * LEN + first.len());
    text.push_str(first);
    for at in 0..VALUES {
        text.push_str(&format!("{at:019x}\n"));
    }
    text
}

/// How long a request takes, over a connection that stays.
fn latency(connection: &mut Connection, nginx: &Nginx) -> Result<Duration> {
    let began = Instant::now();
    let answer = connection.send(&nginx.request().target("/open").keep_alive())?;
    ensure!(answer.status == 200, "{}", answer.status);
    Ok(began.elapsed())
}

#[test]
fn a_large_list_does_not_hold_up_the_requests_and_is_there_once() -> Result<()> {
    let store = Provider::start(list("t-1\n"))?;
    // 36 MB in memory, and as much while it is replaced.
    let nginx = Nginx::builder()
        .workers(1)
        .http("jwt_revoked_zone 96m; keepalive_requests 1000000; keepalive_time 1h;")
        .server(server(&store, "valid=1s timeout=60s"))
        .start()?;
    let worker = *nginx.workers().first().context("no worker")?;
    let mut connection = nginx.connect()?;
    for _ in 0..200 {
        latency(&mut connection, &nginx)?;
    }
    for first in ["t-2\n", "t-3\n"] {
        store.set(list(values(first)));
        let before = store.answered();
        let mut latencies = Vec::new();
        let listed = token(first.trim())?;
        until_within(Duration::from_secs(60), "the list", || {
            for _ in 0..50 {
                latencies.push(latency(&mut connection, &nginx)?);
            }
            Ok((nginx.bearer("/", &listed)?.verdict() == REVOKED).then_some(()))
        })?;
        ensure!(store.answered() > before);
        latencies.sort_unstable();
        let share = |part: usize| latencies[latencies.len() * part / 1000];
        let all = format!(
            "{} requests: median {:?}, 99 % {:?}, most {:?}",
            latencies.len(),
            share(500),
            share(990),
            share(999)
        );
        // The machine does other things, too; that holds up a request now and then.
        ensure!(share(990) < Duration::from_millis(20), "{all}");
    }
    for (jti, verdict) in [
        (format!("{:019x}", 0), REVOKED),
        (format!("{:019x}", VALUES - 1), REVOKED),
        (format!("{VALUES:019x}"), GOOD),
        ("t-2".to_owned(), GOOD),
    ] {
        assert_eq!(nginx.bearer("/", &token(&jti)?)?.verdict(), verdict, "{jti}");
    }
    assert_eq!(source(&nginx, "/_list")?["entries"], VALUES + 1);
    // What was read on the way was given back.
    let private = resident_private(worker)?;
    ensure!(private < 40 << 20, "{} MB", private >> 20);
    nginx.finish()
}
