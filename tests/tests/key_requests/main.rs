//! `jwks_request`: nginx fetches keys from a provider that the test controls.
//!
//! | module | what |
//! | --- | --- |
//! | `fetching` | the first fetch, places of the directive, every way to send keys |
//! | `faults` | answers without keys: the last good keys stay, the log says why, fetches recover |
//! | `hostile` | providers that truncate, stream or redirect; nginx's cache and access rules |
//! | `deadlines` | how long requests wait at most, and what waiting costs |
//! | `refresh` | expired keys, rotation, `Cache-Control` |
//! | `unknown_kid` | kids that are not in the set, one or thousands |
//! | `sharing` | two workers and one set of keys |
//! | `per_kid` | a key for each kid at a URI of its own |
//! | `life` | reloads, shutdown, clients that leave, HTTP/2 |
//! | `phases` | variables read early, `satisfy`, modes |
//! | `several` | several sources, several servers, checks that need no key |
//! | `isolation` | what the module sends to the provider and takes from it; sources stay apart |
//! | `oidc` | a real OpenID Connect server |

// The helpers are part of the tests: a panic in a helper fails the test and names its place.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod deadlines;
mod faults;
mod fetching;
mod hostile;
mod isolation;
mod life;
mod oidc;
mod per_kid;
mod phases;
mod refresh;
mod several;
mod sharing;
mod unknown_kid;

use anyhow::{Context as _, Result, ensure};
use module_tests::{
    Behaviour, Builder, Connection, Jwt, Key, Nginx, P256, P256_OTHER, Provider, SERVE, at_once,
    jwk_set, raw_token, until,
};
use serde_json::json;

/// A key pair and its kid.
#[derive(Clone, Copy, Debug)]
struct Signer {
    kid: &'static str,
    key: &'static Key,
}

const OLD: Signer = Signer { kid: "old", key: &P256 };
const NEW: Signer = Signer { kid: "new", key: &P256_OTHER };

impl Signer {
    fn jwt(self) -> Jwt {
        Jwt::live().kid(self.kid)
    }

    fn sign(self, jwt: &Jwt) -> Result<String> {
        jwt.sign("ES256", self.key)
    }

    /// A token that expires in five minutes.
    fn token(self) -> Result<String> {
        self.sign(&self.jwt())
    }
}

/// The public keys of `signers`, as a JWK Set.
fn key_set(signers: &[Signer]) -> Result<String> {
    let keys = signers.iter().map(|one| one.key.jwk(&json!({ "kid": one.kid })));
    Ok(jwk_set(&keys.collect::<Result<Vec<_>>>()?))
}

fn keys(signers: &[Signer]) -> Result<Behaviour> {
    Ok(Behaviour::Keys(key_set(signers)?))
}

/// The size in bytes of the largest answer that the module accepts as keys.
const LARGEST: usize = 1 << 20;

/// A JWK Set of exactly `size` bytes; its filler comes first, the key of the tests last.
fn padded(size: usize) -> Result<String> {
    let set = key_set(&[OLD])?;
    let fill = "x".repeat(size.saturating_sub(set.len() + 10));
    let padded = set.replacen('{', &format!("{{\"fill\":\"{fill}\","), 1);
    ensure!(padded.len() == size, "{} instead of {size} bytes", padded.len());
    Ok(padded)
}

/// A token with a kid that no provider has. Its signature is made up, because the module looks for
/// the key before it checks the signature.
fn stray(kid: &str) -> Result<String> {
    let claims = json!({ "sub": "mallory", "exp": module_tests::now() + 300 }).to_string();
    let header = json!({ "alg": "ES256", "kid": kid }).to_string();
    raw_token(header, claims, |_| Ok(vec![7; 64]))
}

/// `/` checks tokens with the keys from `/_jwks`; `/open` checks nothing.
fn server(provider: &Provider, options: &str) -> String {
    format!(
        "location = /_jwks {{ internal; {} }}
        location /open {{ {SERVE} }}
        location / {{ jwks_request /_jwks {options}; {SERVE} }}",
        provider.pass()
    )
}

/// An nginx with [`server`]; the header `X-Worker` names the worker that answered.
fn builder(provider: &Provider, options: &str) -> Builder {
    framed(server(provider, options))
}

fn framed(server: impl Into<String>) -> Builder {
    Nginx::builder().http("add_header X-Worker $pid always;").server(server)
}

/// Asks `/` with each token over a connection of its own, and leaves the answers unread.
fn ask_all<T: AsRef<str>>(nginx: &Nginx, tokens: &[T]) -> Result<Vec<Connection>> {
    let ask = |token: &T| {
        let mut connection = nginx.connect()?;
        connection.write(&nginx.request().bearer(token.as_ref()).bytes())?;
        Ok(connection)
    };
    tokens.iter().map(ask).collect()
}

/// Requires that the only worker has answered none of `waiting`. It reads requests in the order of
/// arrival, so it has seen them all when it answers `/open`.
fn all_wait(nginx: &Nginx, waiting: &mut [Connection]) -> Result<()> {
    let served = nginx.get("/open")?;
    ensure!(served.status == 200, "/open: {}", served.status);
    for (at, connection) in waiting.iter_mut().enumerate() {
        ensure!(!connection.has_answer()?, "request {at} did not wait");
    }
    Ok(())
}

/// Reads the answers of `waiting`, each of which must be `verdict`.
fn all_get(waiting: Vec<Connection>, verdict: (u16, &str)) -> Result<()> {
    for (at, mut connection) in waiting.into_iter().enumerate() {
        let response = connection.read_response(false)?;
        ensure!(response.verdict() == verdict, "request {at}: {:?}", response.verdict());
    }
    Ok(())
}

/// Asks `/` until the provider has been asked `count` times; every answer must be `verdict`.
fn ask_until_count(
    nginx: &Nginx,
    provider: &Provider,
    token: &str,
    verdict: (u16, &str),
    count: usize,
) -> Result<()> {
    until(&format!("fetch {count}"), || {
        let response = nginx.bearer("/", token)?;
        ensure!(response.verdict() == verdict, "meanwhile: {:?}", response.verdict());
        Ok((provider.count() >= count).then_some(()))
    })
}

/// Returns how many requests the provider has received, after the only worker has started every
/// fetch of earlier requests. A fetch begun in one round of events is under way in the next.
fn settled(nginx: &Nginx, provider: &Provider) -> Result<usize> {
    for _ in 0..2 {
        nginx.get("/open")?;
    }
    provider.settle()
}

/// The log lines of level `error` that contain the URI and `reason`.
fn told(nginx: &Nginx, reason: &str) -> Vec<String> {
    let log = nginx.error_log();
    let lines = log.lines().filter(|line| is_told(line, reason));
    lines.map(str::to_owned).collect()
}

fn is_told(line: &str, reason: &str) -> bool {
    line.contains("[error]") && line.contains("/_jwks") && line.contains(reason)
}

/// The process id of the only worker.
fn worker(nginx: &Nginx) -> Result<u32> {
    nginx.workers().first().copied().context("a worker")
}
