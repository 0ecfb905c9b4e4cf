//! Lists of revoked tokens that are fetched.
//!
//! | module | what |
//! | --- | --- |
//! | `requested` | `jwt_revoked_request`: when a list is fetched, what it says, and while it is not there |
//! | `shared` | one copy for all workers: reloads, killed workers, room in the shared memory |
//! | `hostile` | stores that send what is no list |
//! | `large` | lists of many megabytes: time of the event loop, memory |
//! | `status_lists` | `jwt_status_list`: Token Status Lists |
//! | `mistakes` | what `nginx -t` says of these directives |

// The helpers are part of the tests: a panic in a helper fails the test and names its place.
#![allow(clippy::indexing_slicing)]

mod hostile;
mod large;
mod mistakes;
mod requested;
mod shared;
mod status_lists;

use anyhow::{Context as _, Result};
use module_tests::{Behaviour, Builder, Jwt, Nginx, Provider, SECRET, SERVE};
use serde_json::{Value, json};

/// The answers for a token that is good, listed, and not checked for want of the list.
const GOOD: (u16, &str) = (200, "ok");
const REVOKED: (u16, &str) = (401, "revoked");
const NO_LIST: (u16, &str) = (503, "no_list");

/// The location of the status page.
const STATUS: &str = "location = /status { token_auth_status; jwt off; }";

/// 200 with this list.
fn list(text: impl Into<String>) -> Behaviour {
    Behaviour::Headers(vec![("Content-Type", "text/plain".to_owned())], text.into())
}

/// A token with this `jti`.
fn token(jti: &str) -> Result<String> {
    token_with(&json!({ "jti": jti }))
}

fn token_with(claims: &Value) -> Result<String> {
    Jwt::live_with(claims).kid("k1").hs("HS256", SECRET)
}

/// `/` checks tokens with the list of their `jti` from `/_list`; `/open` checks nothing.
fn server(store: &Provider, options: &str) -> String {
    format!(
        "location = /_list {{ internal; {} }}
        location /open {{ {SERVE} }}
        {STATUS}
        location / {{ jwt_kids {{ k1 {SECRET}; }} jwt_revoked_request jti /_list {options}; {SERVE} }}",
        store.pass_to("/list")
    )
}

/// An nginx with [`server`].
fn builder(store: &Provider, options: &str) -> Builder {
    Nginx::builder().server(server(store, options))
}

/// The status page as JSON.
fn status(nginx: &Nginx) -> Result<Value> {
    let page = nginx.get("/status?format=json")?;
    serde_json::from_str(&page.text()).with_context(|| page.text().into_owned())
}

/// What the status page says of the source with this name.
fn source(nginx: &Nginx, name: &str) -> Result<Value> {
    let status = status(nginx)?;
    let all = status["sources"].as_array().context("no sources")?;
    let found = all.iter().find(|one| one["name"] == name);
    found.cloned().with_context(|| format!("no {name}: {status}"))
}
