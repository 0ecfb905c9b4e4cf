//! Token Status Lists (draft-ietf-oauth-status-list): lists of others, every refusal, and memory that
//! holds anything.

// Helpers of tests, though outside #[test] functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/property.rs"]
mod property;
#[path = "../common/zeros.rs"]
mod zeros;

mod lists;
mod memory;
mod others;
mod references;
mod steps;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use miniz_oxide::deflate::compress_to_vec_zlib;
use serde_json::{Value, json};
use token::base64url::encode;
use token::sign::PrivateKey;
use token::status::{StatusList, StatusListError, StatusTable};
use token::{Algorithm, KeySet, LiveInputs, Policy, load_keys};

const NOW: i64 = 1_800_000_000;
const URI: &str = "https://issuer.example/lists/1";
const SECRET: &[u8] = b"a secret of the tests, long enough for HS256";

/// A policy whose only key is the secret.
fn policy() -> Policy {
    let jwk = json!({"kty": "oct", "kid": "k", "alg": "HS256", "k": encode(SECRET)});
    policy_of(&jwk.to_string())
}

fn policy_of(keys: &str) -> Policy {
    let keys = load_keys(keys.as_bytes(), None).unwrap().keys;
    Policy { keys: vec![Arc::new(KeySet::new(keys))], ..Policy::default() }
}

/// A token with this header and payload, signed with the secret.
fn signed(header: &Value, payload: &str) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(payload));
    let key = PrivateKey::from_secret(SECRET).unwrap();
    let signature = key.sign(Algorithm::HS256, message.as_bytes()).unwrap();
    format!("{message}.{}", encode(signature))
}

fn header() -> Value {
    json!({"alg": "HS256", "typ": "statuslist+jwt", "kid": "k"})
}

/// The claims of a list of these bytes.
fn claims(bits: u64, bytes: &[u8]) -> Value {
    let lst = encode(compress_to_vec_zlib(bytes, 6));
    json!({"sub": URI, "iat": NOW - 10, "status_list": {"bits": bits, "lst": lst}})
}

fn open(token: &str) -> Result<StatusList, StatusListError> {
    StatusList::open(token.as_bytes(), URI, &policy(), None, &LiveInputs::default(), NOW)
}

/// Opens a list and decompresses it.
fn inflated(token: &str) -> Result<StatusList, StatusListError> {
    let mut list = open(token)?;
    while list.inflate()? {}
    Ok(list)
}

fn words(count: usize) -> Vec<AtomicU64> {
    // Memory that has something else in it.
    (0..count).map(|_| AtomicU64::new(0xdead_beef_dead_beef)).collect()
}

/// The memory of a list that is decompressed.
fn written(list: &mut StatusList) -> Vec<AtomicU64> {
    let memory = words(list.words());
    while list.write(&memory) {
        assert!(StatusTable::read(&memory).is_none(), "a table that is not complete");
    }
    memory
}
