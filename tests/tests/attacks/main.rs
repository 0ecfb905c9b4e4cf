//! The attacks that the validator must withstand, sent as requests to a real nginx. Each case has
//! the expected status and the expected `$jwt_status` or `$secure_token_status`. A refused request
//! must write exactly one line to the log.
//!
//! | module | attacks |
//! | --- | --- |
//! | `algorithms` | `alg`, keys of another kind, contradictory keys, keys in the header |
//! | `cache` | the cache of verified tokens |
//! | `claims` | registered claims of every wrong type and size, issuers, providers, revocation |
//! | `encrypted` | encrypted tokens that were changed, and what they may hold |
//! | `encoding` | base64url, sections, JWE, JSON serialisation, sizes |
//! | `json` | `crit`, strictness of JSON, nesting |
//! | `kids` | `kid` in every shape, none, twice |
//! | `links` | signed URLs |
//! | `memo` | signatures that another worker has verified |
//! | `places` | path tricks, redirects, subrequests, methods, HTTP/2 |
//! | `signatures` | ECDSA, Ed25519 and RSA signatures that are almost right, weak keys |
//! | `sources` | where the token comes from, the scheme |
//! | `upstream` | what claims and clients can put into the headers of an upstream |
//!
//! Other tests cover a flood of unknown kids and the requests to a provider (`key_requests`), and
//! files that change without a reload (`file_changes` in `configuration`).
//!
//! Each test prints its number of cases: `cargo nextest run -p module-tests --test attacks
//! --success-output final | grep 'attack cases'`.

// The helpers may panic, because a panic fails the test and names its place.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod algorithms;
mod cache;
mod claims;
mod encoding;
mod encrypted;
mod http2;
mod json;
mod kids;
mod links;
mod memo;
mod places;
mod signatures;
mod sources;
mod upstream;

use std::time::Instant;

use anyhow::{Result, ensure};
use module_tests::{Nginx, Request, SECRET, base64url, hmac, raw_token};

/// The header of a good token of these tests.
const HEADER: &str = r#"{"alg":"HS256","kid":"k1"}"#;

/// One attack: the request, and the answer that it must get.
struct Case {
    name: String,
    request: Request,
    want: Want,
}

#[derive(Clone, Copy, Debug)]
enum Want {
    /// This status, and `$jwt_status`.
    Jwt(u16, &'static str),
    /// This status, and `$secure_token_status`.
    Link(u16, &'static str),
    /// This status, from nginx itself: the module never sees the request.
    Nginx(u16),
}

impl Case {
    fn new(name: impl Into<String>, request: Request, want: Want) -> Self {
        Self { name: name.into(), request, want }
    }

    /// A case with a token that passes if the word is `ok`, or else gets 401 with this status word.
    fn token(name: impl Into<String>, request: Request, word: &'static str) -> Self {
        let status = if word == "ok" { 200 } else { 401 };
        Self::new(name, request, Want::Jwt(status, word))
    }

    /// Sends the request and checks the answer and the log; the error shows the difference.
    fn run(&self, nginx: &Nginx) -> Result<()> {
        let before = nginx.refusals().len();
        let response = self.request.clone().send()?;
        let (verdict, want, line) = match self.want {
            Want::Jwt(status, word) => (response.verdict(), (status, word), "jwt"),
            Want::Link(status, word) => (response.link_verdict(), (status, word), "secure token"),
            Want::Nginx(status) => ((response.status, ""), (status, ""), ""),
        };
        ensure!(verdict == want, "{verdict:?} instead of {want:?}");
        let lines = nginx.refusals();
        let lines = lines.get(before..).unwrap_or_default();
        if line.is_empty() || want.0 < 400 {
            ensure!(lines.is_empty(), "the log says {lines:?}");
            return Ok(());
        }
        let told = format!("{line} refused: {}", want.1);
        ensure!(lines.len() == 1, "not one line in the log: {lines:?}");
        ensure!(lines.iter().all(|line| line.contains(&told)), "the log says {lines:?}");
        let challenged = !response.challenge().is_empty();
        ensure!(challenged == (want.0 == 401), "the challenge is {:?}", response.challenge());
        ensure!(response.text() != "ok\n", "the document was served");
        Ok(())
    }
}

/// Runs all cases against one nginx and reports every failed case. The only worker must survive
/// them all.
fn withstand(nginx: &Nginx, cases: impl IntoIterator<Item = Case>) -> Result<()> {
    let (workers, began) = (nginx.workers(), Instant::now());
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases {
        count += 1;
        if let Err(error) = case.run(nginx) {
            wrong.push(format!("{}: {error:#}", case.name));
        }
    }
    println!("attack cases: {count} in {:?}", began.elapsed());
    ensure!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    ensure!(nginx.workers() == workers, "a worker was replaced: {}", nginx.error_log());
    Ok(())
}

/// A token of exactly these bytes, with a valid signature by the secret of `k1`.
fn signed(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Result<String> {
    raw_token(header, payload, |input| hmac("HS256", SECRET.as_bytes(), input))
}

/// A token of two encoded sections, unchanged, with a valid signature by the secret of `k1`.
fn signed_sections(header: &str, payload: &str) -> Result<String> {
    let input = format!("{header}.{payload}");
    let tag = hmac("HS256", SECRET.as_bytes(), input.as_bytes())?;
    Ok(format!("{input}.{}", base64url(tag)))
}
