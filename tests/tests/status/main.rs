//! `token_auth_status`: what is counted and shown.
//!
//! | module | what |
//! | --- | --- |
//! | `counts` | each result counts where it belongs, once, over workers, reloads and kills |
//! | `formats` | which format is sent, mistakes of the directive, who can read the page |
//! | `sources` | key sources and lists: when they were good, and what failed last |
//! | `trials` | rules with `error=none` |
//! | `page` | the page in a browser |

// The helpers are part of the tests: a panic in a helper fails the test and names its place.
#![allow(clippy::indexing_slicing)]

mod counts;
mod formats;
mod page;
mod sources;
mod trials;

use anyhow::{Context as _, Result, ensure};
use module_tests::{Jwt, Nginx, SECRET, until};
use serde_json::{Value, json};

/// The location of the page, which all tests use.
const STATUS: &str = "location = /status { token_auth_status; jwt off; }";

/// The page in a format.
fn get(nginx: &Nginx, format: &str) -> Result<String> {
    let answer = nginx.get(format!("/status?format={format}"))?;
    ensure!(answer.status == 200, "{format}: {}", answer.text());
    Ok(answer.text().into_owned())
}

/// The page as JSON.
fn status(nginx: &Nginx) -> Result<Value> {
    Ok(serde_json::from_str(&get(nginx, "json")?)?)
}

/// The check of a location, of server `localhost`.
fn check(status: &Value, location: &str, check: &str) -> Result<Value> {
    let all = status["checks"].as_array().context("no checks")?;
    let is_it = |one: &&Value| {
        one["server"] == "localhost" && one["location"] == location && one["check"] == check
    };
    all.iter().find(is_it).cloned().with_context(|| format!("no {check} of {location}: {status}"))
}

/// The source with this end of its name.
fn source(status: &Value, name: &str) -> Result<Value> {
    let all = status["sources"].as_array().context("no sources")?;
    let is_it = |one: &&Value| one["name"].as_str().is_some_and(|it| it.ends_with(name));
    all.iter().find(is_it).cloned().with_context(|| format!("no {name}: {status}"))
}

/// Waits until the total numbers of a check are these; the others must be 0.
fn until_counted(nginx: &Nginx, location: &str, kind: &str, numbers: &Value) -> Result<()> {
    let mut expected = json!({
        "passed": 0, "absent": 0, "failed": 0, "tried": 0, "refused": {}, "let_through": {}
    });
    let (all, some) = (expected.as_object_mut(), numbers.as_object());
    all.context("no object")?.extend(some.context("no object")?.clone());
    let mut last = Value::Null;
    until("the counts", || {
        last = check(&status(nginx)?, location, kind)?["total"].clone();
        Ok((last == expected).then_some(()))
    })
    .with_context(|| format!("{kind} of {location}: {last}, not {expected}"))
}

/// A token with these claims, signed with the secret of kid k1.
fn token(claims: &Value) -> Result<String> {
    Jwt::live_with(claims).kid("k1").hs("HS256", SECRET)
}
