//! The tests of the configurations that fetch lists of revoked tokens.

use std::fs;

use anyhow::Result;
use module_tests::{now, until};
use serde_json::json;

use super::guides::web;
use super::{ask, expect, folder, ready};

/// A list of tokens and one of users, at a store that has them at these URIs.
fn lists_at(name: &str, stand_in: &str, tokens: &str, users: Option<&str>) -> Result<()> {
    // The test asks the store more often than the guide does.
    let text = fs::read_to_string(folder().join(name))?.replacen("http {", stand_in, 1);
    let text = ["valid=1s", "valid=5s", "valid=15s"]
        .into_iter()
        .fold(text, |text, slow| text.replace(slow, "valid=50ms"));
    let mut builder = ready(name, &[])?.whole(text).file(tokens, "#revoked\nlost\n");
    if let Some(users) = users {
        builder = builder.file(users, "#revoked\nmallory\n");
    }
    let nginx = builder.start()?;
    let of = |jti: &str, sub: &str| web(&json!({ "jti": jti, "sub": sub, "iat": now() - 60 }));
    let (good, lost, other) = (of("one", "alice")?, of("lost", "alice")?, of("two", "alice")?);
    expect(
        &nginx,
        &[
            ("/api/", None, 401),
            ("/api/", Some(&good), 200),
            ("/api/", Some(&lost), 401),
            ("/api/", Some(&web(&json!({ "jti": null }))?), 401),
            ("/_revoked/tokens.txt", None, 404),
            ("/_revoked/tokens", None, 404),
        ],
    )?;
    let becomes = |token: &str, status: u16| {
        until("a change of a list", || {
            Ok((ask(&nginx, "/api/", Some(token))?.status == status).then_some(()))
        })
    };
    nginx.put(tokens, "#revoked\ntwo\n")?;
    becomes(&other, 401)?;
    becomes(&lost, 200)?;
    if let Some(users) = users {
        assert_eq!(ask(&nginx, "/api/", Some(&of("three", "mallory")?))?.status, 401);
        // Logged out everywhere: what was issued before does not count, what is issued now does.
        nginx.put(users, format!("#revoked\nalice before={}\n", now() - 30))?;
        becomes(&good, 401)?;
        let new = web(&json!({ "jti": "four", "sub": "alice", "iat": now() }))?;
        expect(&nginx, &[("/api/", Some(&new), 200)])?;
    }
    nginx.finish()
}

pub(crate) fn files() -> Result<()> {
    let users = Some("html/revoked/users.txt");
    lists_at("revocation.conf", "http {", "html/revoked/tokens.txt", users)
}

pub(crate) fn object_store() -> Result<()> {
    lists_at("revocation-object-store.conf", "http {", "html/revoked/tokens.txt", None)
}

pub(crate) fn redis() -> Result<()> {
    // This server stands in for webdis; the fleet of docker-test has a real one.
    let webdis =
        "http {\n server {\n listen 127.0.0.1:7379;\n location / { root html/webdis; }\n }\n";
    let (tokens, users) =
        ("html/webdis/GET/revoked:tokens.txt", "html/webdis/GET/revoked:users.txt");
    lists_at("revocation-redis.conf", webdis, tokens, Some(users))
}
