//! `jwks_request`: keys that nginx fetches from a provider that the test has in hand.
//!
//! | module | what |
//! | --- | --- |
//! | `fetching` | the first fetch, places of the directive, every way in which keys can be sent |
//! | `faults` | answers that are no keys: the last good ones stay, the log tells, all recovers |
//! | `hostile` | providers that truncate, stream and lead elsewhere, beside nginx's cache and access rules |
//! | `deadlines` | how long requests wait at most, and what their waiting costs |
//! | `refresh` | keys past their time, rotation, `Cache-Control` |
//! | `unknown_kid` | kids that are not in the set, one or thousands |
//! | `sharing` | two workers and one set of keys |
//! | `life` | reloads, shutdown, clients that leave, HTTP/2 |
//! | `phases` | variables read early, `satisfy`, modes |
//! | `several` | several sources, several servers, checks that need no key |
//! | `isolation` | what travels to the provider and what comes from it; sources beside each other |
//! | `oidc` | a real OpenID Connect server |

// The helpers are tests, too: a panic in one is a failure, told with its place.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod deadlines;
mod faults;
mod fetching;
mod hostile;
mod isolation;
mod life;
mod oidc;
mod phases;
mod refresh;
mod several;
mod sharing;
mod unknown_kid;

use anyhow::{Context as _, Result, anyhow, ensure};
use module_tests::{
    Behaviour, Builder, Connection, Jwt, Key, Nginx, P256, P256_OTHER, Provider, SERVE, at_once,
    jwk_set, raw_token, until,
};
use serde_json::json;

/// A key pair under a kid.
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

    /// A token that lives another five minutes.
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

/// The largest answer that is taken for keys, in bytes.
const LARGEST: usize = 1 << 20;

/// A JWK Set of exactly so many bytes, in which the key of the tests is the last member.
fn padded(size: usize) -> Result<String> {
    let set = key_set(&[OLD])?;
    let fill = "x".repeat(size.saturating_sub(set.len() + 10));
    let padded = set.replacen('{', &format!("{{\"fill\":\"{fill}\","), 1);
    ensure!(padded.len() == size, "{} instead of {size} bytes", padded.len());
    Ok(padded)
}

/// A token under a kid of any provider's none. Nothing has signed it: a key is looked for before the
/// signature is.
fn stray(kid: &str) -> Result<String> {
    let claims = json!({ "sub": "mallory", "exp": module_tests::now() + 300 }).to_string();
    let header = json!({ "alg": "ES256", "kid": kid }).to_string();
    raw_token(header, claims, |_| Ok(vec![7; 64]))
}

/// `/` is judged by the keys that `/_jwks` fetches, `/open` by none.
fn server(provider: &Provider, options: &str) -> String {
    format!(
        "location = /_jwks {{ internal; {} }}
        location /open {{ {SERVE} }}
        location / {{ jwks_request /_jwks {options}; {SERVE} }}",
        provider.pass()
    )
}

/// An nginx with [`server`], which says in `X-Worker` who has answered.
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

/// Requires that the only worker has been through all that has been sent, and answered none of
/// `waiting`: it reads in the order of arrival.
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

/// Asks `/` again and again until the answer is `verdict`.
fn until_verdict(nginx: &Nginx, token: &str, verdict: (u16, &str)) -> Result<()> {
    let mut last = String::new();
    until(&format!("{verdict:?}"), || {
        let response = nginx.bearer("/", token)?;
        last = format!("{:?}", response.verdict());
        Ok((response.verdict() == verdict).then_some(()))
    })
    .map_err(|error| anyhow!("{error:#}; the last answer was {last}"))
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

/// How often the provider has been asked, once the only worker has done all that the requests so far
/// made it do: what it began in one round of events is under way in the next.
fn settled(nginx: &Nginx, provider: &Provider) -> Result<usize> {
    for _ in 0..2 {
        nginx.get("/open")?;
    }
    provider.settle()
}

/// The lines at `error` that name the URI and `reason`.
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
