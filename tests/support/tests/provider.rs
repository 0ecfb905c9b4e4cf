//! The provider of keys that tests control, behind a plain nginx: it answers as it is told, and reports
//! what it was asked.

use std::time::Duration;

use crate::{Behaviour, Nginx, Provider, until};
use anyhow::Result;

const KEYS: &str = "{\"keys\":[]}";

fn start(behaviour: Behaviour) -> Result<(Provider, Nginx)> {
    let provider = Provider::start(behaviour)?;
    let nginx = Nginx::builder()
        .without_module()
        .server(format!(
            "proxy_read_timeout 200ms; location / {{ {} }}
            location /same {{ proxy_pass http://unix:{}:; }}",
            provider.pass(),
            provider.socket().display()
        ))
        .start()?;
    Ok((provider, nginx))
}

#[test]
fn whatever_way_keys_are_sent_they_arrive() -> Result<()> {
    let (provider, nginx) = start(Behaviour::Keys(KEYS.into()))?;
    let typed = vec![("Content-Type", "text/plain".to_owned())];
    for behaviour in [
        Behaviour::Keys(KEYS.into()),
        Behaviour::Chunked(KEYS.into(), 3),
        Behaviour::Unsized(KEYS.into()),
        Behaviour::Headers(typed, KEYS.into()),
        Behaviour::Slow(vec!["{\"keys\"".into(), ":[]}".into()], Duration::from_millis(20)),
        Behaviour::Raw(format!("HTTP/1.0 200 OK\r\n\r\n{KEYS}").into_bytes()),
    ] {
        provider.set(behaviour.clone());
        let response = nginx.get("/")?;
        assert_eq!((response.status, response.text().as_ref()), (200, KEYS), "{behaviour:?}");
    }
    assert_eq!((provider.settle()?, provider.given_up()), (6, 0));
    nginx.finish()
}

#[test]
fn whatever_goes_wrong_is_seen() -> Result<()> {
    let (provider, nginx) = start(Behaviour::Hang)?;
    for (behaviour, status) in [
        (Behaviour::Hang, 504),
        (Behaviour::Status(500, KEYS.into()), 500),
        (Behaviour::Close, 502),
        (Behaviour::Raw(b"HTTP/1.1 200 OK\r\nX".to_vec()), 502),
        (Behaviour::Html, 200),
    ] {
        provider.set(behaviour.clone());
        assert_eq!(nginx.get("/")?.status, status, "{behaviour:?}");
    }
    assert!(nginx.get("/")?.text().starts_with("<!DOCTYPE"));
    provider.set(Behaviour::Gzip(b"\x1f\x8b".to_vec()));
    assert_eq!(nginx.get("/")?.header("Content-Encoding"), Some("gzip"));
    for behaviour in [Behaviour::CloseMidway(KEYS.into()), Behaviour::HangMidway(KEYS.into())] {
        provider.set(behaviour.clone());
        assert!(nginx.get("/").is_err(), "{behaviour:?}");
    }
    // Both that hang.
    provider.wait_given_up(2)?;
    provider.leave()?;
    assert_eq!(nginx.get("/")?.status, 502);
    provider.come_back()?;
    provider.set(Behaviour::Keys(KEYS.into()));
    assert_eq!(nginx.get("/")?.status, 200);
    nginx.finish()
}

#[test]
fn what_was_asked_is_told_as_it_came() -> Result<()> {
    let (provider, nginx) = start(Behaviour::Keys(KEYS.into()))?;
    provider.set_for("/same/b?c=d", Behaviour::Status(404, String::new()));
    let post = nginx.request().method("POST").target("/same/a").header("X-A", "1").body("body");
    assert_eq!(post.send()?.status, 200);
    assert_eq!(nginx.get("/same/b?c=d")?.status, 404);
    let received = provider.received();
    let [first, second] = &received[..] else { anyhow::bail!("{received:?}") };
    assert_eq!((first.method(), first.target()), ("POST", "/same/a"));
    assert_eq!((first.header("x-a"), first.body.as_slice()), (Some("1"), &b"body"[..]));
    assert_eq!((second.method(), second.target()), ("GET", "/same/b?c=d"));
    assert_eq!((second.header("x-a"), provider.count_for("/same/b?c=d")), (None, 1));
    nginx.finish()
}

#[test]
fn answers_wait_at_the_gate() -> Result<()> {
    let (provider, nginx) = start(Behaviour::Hang)?;
    nginx.configure(|builder| builder.server(format!("location / {{ {} }}", provider.pass())))?;
    nginx.reload()?;
    provider.hold();
    let mut waiting = (0..3)
        .map(|_| {
            let mut connection = nginx.connect()?;
            connection.write(&nginx.request().bytes())?;
            Ok(connection)
        })
        .collect::<Result<Vec<_>>>()?;
    provider.wait_count(3)?;
    assert_eq!((provider.settle()?, provider.answered()), (3, 0));
    for connection in &mut waiting {
        assert!(!connection.has_answer()?);
    }
    provider.set(Behaviour::Keys(KEYS.into()));
    provider.let_one();
    provider.wait_answered(1)?;
    until("one answer", || {
        let mut answered = 0;
        for connection in &mut waiting {
            answered += usize::from(connection.has_answer()?);
        }
        Ok((answered == 1).then_some(()))
    })?;
    assert_eq!(provider.answered(), 1);
    provider.release();
    for mut connection in waiting {
        assert_eq!(connection.read_response(false)?.text(), KEYS);
    }
    nginx.finish()
}

#[test]
fn workers_may_run_as_another_user() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(KEYS.into()))?;
    let builder = Nginx::builder()
        .without_module()
        .file("html/hidden.txt", "hidden")
        .server(format!("location / {{ }} location /jwks {{ {} }}", provider.pass()));
    let Some(builder) = builder.unprivileged_workers()? else { return Ok(()) };
    let nginx = builder.start()?;
    assert_eq!(nginx.get("/ok.txt")?.text(), "ok\n");
    assert_eq!(nginx.get("/jwks")?.text(), KEYS);
    nginx.chmod("html/hidden.txt", 0o000)?;
    assert_eq!(nginx.get("/hidden.txt")?.status, 403);
    nginx.chmod("html/hidden.txt", 0o644)?;
    assert_eq!(nginx.get("/hidden.txt")?.text(), "hidden");
    nginx.finish()
}
