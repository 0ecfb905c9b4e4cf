//! The harness itself, against a plain nginx: what it must catch, and what it must wait for.

mod provider;

use crate::Nginx;
use anyhow::Result;

#[test]
fn a_plain_nginx_starts_serves_and_stops() -> Result<()> {
    let nginx = Nginx::builder().without_module().server("location / { }").start()?;
    let response = nginx.get("/")?;
    assert_eq!((response.status, response.text().as_ref()), (200, "welcome\n"));
    nginx.finish()
}

#[test]
fn one_connection_carries_several_requests() -> Result<()> {
    let nginx = Nginx::builder().without_module().single_process().start()?;
    let mut connection = nginx.connect()?;
    for _ in 0..3 {
        assert_eq!(
            connection.send(&nginx.request().target("/ok.txt").keep_alive())?.text(),
            "ok\n"
        );
    }
    assert_eq!(connection.send(&nginx.request().method("HEAD").keep_alive())?.body, b"");
    drop(connection);
    nginx.finish()
}

#[test]
fn a_reload_returns_when_only_new_workers_serve() -> Result<()> {
    let nginx = Nginx::builder().without_module().workers(2).server("return 200 a;").start()?;
    let old = nginx.workers();
    nginx.configure(|builder| builder.server("return 200 b;"))?;
    nginx.reload()?;
    assert_eq!(nginx.get("/")?.text(), "b");
    assert_eq!((old.len(), nginx.workers().len()), (2, 2));
    assert!(nginx.workers().iter().all(|pid| !old.contains(pid)));
    nginx.finish()
}

#[test]
fn a_refused_reload_is_told_and_expected() -> Result<()> {
    let nginx = Nginx::builder().without_module().server("return 200 a;").start()?;
    nginx.configure(|builder| builder.server("no_such_directive;"))?;
    assert!(nginx.reload_refused()?.contains("no_such_directive"));
    assert_eq!(nginx.get("/")?.text(), "a");
    nginx.finish()
}

#[test]
fn a_refused_reload_fails_a_test_that_did_not_expect_it() -> Result<()> {
    let nginx = Nginx::builder().without_module().start()?;
    nginx.configure(|builder| builder.server("no_such_directive;"))?;
    assert!(nginx.reload().is_err());
    assert!(format!("{:?}", nginx.stop()).contains("no_such_directive"));
    Ok(())
}

#[test]
fn a_worker_that_dies_fails_the_test() -> Result<()> {
    let nginx = Nginx::builder().without_module().start()?;
    let worker = nginx.workers().first().and_then(|pid| i32::try_from(*pid).ok()).unwrap();
    let worker = rustix::process::Pid::from_raw(worker).unwrap();
    rustix::process::kill_process(worker, rustix::process::Signal::SEGV)?;
    nginx.wait_log(|line| line.contains("exited on signal 11"))?;
    assert!(nginx.stop().is_err());
    Ok(())
}

#[test]
fn a_configuration_that_nginx_refuses_is_told_with_its_line() -> Result<()> {
    let checked = Nginx::builder().without_module().server("no_such_directive;").check()?;
    checked.refused_with(&["no_such_directive", "PREFIX/nginx.conf:"])?;
    let refused = Nginx::builder().without_module().server("no_such_directive;").start();
    assert!(format!("{:?}", refused.err()).contains("no_such_directive"));
    Nginx::builder().without_module().check()?.accepted()
}
