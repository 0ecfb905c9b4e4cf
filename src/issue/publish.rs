//! `jwks_publish`: the public halves of the keys that sign, as a JWK Set (RFC 7517 section 5).

use std::cell::Cell;

use super::http_level::IssueMain;
use crate::nginx::{Reply, Request};

/// How long a set may be kept by those who read it, in seconds.
pub(super) const VALID: i64 = 300;

/// A location that publishes.
pub(super) struct Publish {
    /// The file and line.
    pub(super) position: String,
    /// In seconds.
    pub(super) valid: i64,
    /// Its number among all such locations.
    number: Cell<usize>,
}

impl Publish {
    pub(super) fn new(position: String, valid: i64) -> Self {
        Self { position, valid, number: Cell::default() }
    }

    pub(super) fn set(&self, number: usize) {
        self.number.set(number);
    }
}

/// Answers a request for the public keys.
pub(super) fn answer(request: Request<'_>, publish: &Publish, main: &IssueMain) -> Reply {
    let mut jwks: Vec<String> = Vec::new();
    for key in main.published_by(publish.number.get()) {
        for jwk in key.published(request) {
            if !jwks.contains(&jwk) {
                jwks.push(jwk);
            }
        }
    }
    // All workers write the set in the same order, so that its tag stays the same.
    jwks.sort_unstable();
    let body = format!("{{\"keys\":[{}]}}\n", jwks.join(",")).into_bytes();
    let hash = token::fingerprint(&body);
    let etag = token::base64url::encode(hash.first_chunk::<12>().unwrap_or(&[0; 12]));
    Reply {
        status: 200,
        content_type: "application/jwk-set+json",
        headers: vec![("Cache-Control", format!("public, max-age={}", publish.valid).into())],
        etag: Some(format!("\"{etag}\"")),
        body,
    }
}
