//! Signing: `jwt_sign`, `jwks_publish`, `jwt_mint`.
//!
//! | module | what |
//! | --- | --- |
//! | `answers` | which members become tokens, and what else of an answer changes |
//! | `refused` | answers that cannot be signed are 502 as a whole |
//! | `delivery` | chunks, HEAD, ranges, caches, files, subrequests, HTTP/2, error pages |
//! | `keys` | keys of every kind, and mistakes |
//! | `secrecy` | private keys are not published, not logged, and wiped |
//! | `publish` | the key set |
//! | `rotation` | a new key, without a refusal |
//! | `mint` | tokens of nginx's own |
//! | `interop` | other implementations read what is signed here |

// The helpers are part of the tests: a panic in a helper fails the test and names its place.
#![allow(clippy::indexing_slicing)]

mod answers;
mod delivery;
mod interop;
mod keys;
mod mint;
mod publish;
mod refused;
mod rotation;
mod secrecy;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use module_tests::{Behaviour, Builder, Nginx, P256, Provider, Response};
use serde_json::Value;

/// The key file of most tests.
const KEY: &str = "login.pem";

/// A location that publishes, and one that checks tokens by what is published.
const CHECKED: &str = "location = /jwks { jwks_publish; }
    location /api { jwks_request /jwks; try_files /ok.txt =404; }";

/// An nginx with the location `/login`, whose upstream is `provider`; `more` are directives of the
/// location.
fn login_builder(provider: &Provider, more: &str) -> Builder {
    let pass = provider.pass();
    let login = format!("location = /login {{ jwt_sign_key {KEY} kid=one; {more} {pass} }}");
    Nginx::builder().file(KEY, P256.private).server(format!("{login} {CHECKED}"))
}

/// An nginx that signs `access_token` and `refresh_token`, whose upstream answers with this body.
fn login(answer: &str) -> Result<(Provider, Nginx)> {
    let provider = Provider::start(Behaviour::Keys(answer.to_owned()))?;
    let nginx = login_builder(&provider, "jwt_sign access_token refresh_token;").start()?;
    Ok((provider, nginx))
}

/// The answer of `/login` as JSON, which must have status 200.
fn signed(nginx: &Nginx) -> Result<Value> {
    let answer = nginx.get("/login")?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
    Ok(serde_json::from_slice(&answer.body)?)
}

/// Waits until the error log has this text.
fn logged(nginx: &Nginx, wanted: &str) -> Result<()> {
    let found = nginx.wait_log(|log| log.contains(wanted));
    found.map(drop).with_context(|| format!("{wanted:?} is not in the log: {}", nginx.error_log()))
}

/// A text member.
fn text<'v>(value: &'v Value, member: &str) -> Result<&'v str> {
    value[member].as_str().with_context(|| format!("no text {member}: {value}"))
}

/// A section of a token, decoded: 0 is the header, 1 the payload.
fn section(token: &str, at: usize) -> Result<String> {
    let section = token.split('.').nth(at).context("too few sections")?;
    Ok(String::from_utf8(URL_SAFE_NO_PAD.decode(section)?)?)
}

/// The claims of a token.
fn claims(token: &str) -> Result<Value> {
    Ok(serde_json::from_str(&section(token, 1)?)?)
}

/// The answer to a request for `/api` with this token.
fn api(nginx: &Nginx, token: &str) -> Result<Response> {
    nginx.request().target("/api").bearer(token).send()
}
