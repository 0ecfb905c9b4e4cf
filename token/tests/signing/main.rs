//! Keys that sign: what they sign is verified by this crate's own keys and by RustCrypto.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod answer;
mod configured;
mod files;
mod halves;

use std::fs;
use std::path::Path;

use serde_json::Value;
use token::Algorithm;
use token::sign::{KeyFile, KeySize, PrivateKey};

/// A file of the keys that OpenSSL has made.
fn openssl_key(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/keys");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// A private key for the algorithm. RSA keys are not made anew, which takes long.
fn key(algorithm: Algorithm) -> PrivateKey {
    match algorithm.name().get(..2) {
        Some("RS" | "PS") => KeyFile::read(openssl_key("rsa2048.pem").as_bytes()).unwrap().key,
        _ => PrivateKey::generate(algorithm, KeySize::Rsa2048).unwrap(),
    }
}

/// The text of a private JWK with these members too; null removes one.
fn jwk(key: &PrivateKey, more: Value) -> String {
    let mut members = key.jwk().unwrap();
    for (name, value) in more.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
    }
    Value::Object(members).to_string()
}

/// Why a text is no key that signs.
fn refused(text: &str) -> String {
    KeyFile::read(text.as_bytes()).unwrap_err().to_string()
}
