//! Tokens of each algorithm and a policy for them, for the benchmark of the stages and the count of
//! instructions.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use token::base64url::{decode, encode};
use token::{Algorithm, ClaimRule, Key, KeySet, Operator, Policy, Requirements, Trust, load_keys};

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const SECRET: &[u8] = b"the secret of the benchmark, long enough for HS256";
#[allow(dead_code)] // not all that use these take every algorithm
pub(crate) const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

pub(crate) fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let base64 = base64.trim_end_matches('=').replace('+', "-").replace('/', "_");
    decode(base64.as_bytes()).unwrap()
}

/// The `n`th token of an algorithm: issuer, audience, subject, scope, times.
pub(crate) fn token(algorithm: Algorithm, n: usize) -> Vec<u8> {
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":"k-{algorithm}"}}"#);
    let payload = format!(
        r#"{{"iss":"https://issuer.example","aud":"api","sub":"user-{n:06}","scope":"read write","iat":{},"exp":{}}}"#,
        NOW - 60,
        NOW + 86_400
    );
    let message = format!("{}.{}", encode(header), encode(payload));
    let bytes = message.as_bytes();
    let random = SystemRandom::new();
    let signature = match algorithm {
        Algorithm::HS256 => {
            let mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap().chain_update(bytes);
            mac.finalize().into_bytes().to_vec()
        }
        Algorithm::RS256 => {
            let key = der(include_str!("../../../tests/keys/rsa2048.pem"));
            let key = RsaKeyPair::from_pkcs8(&key).unwrap();
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).unwrap();
            signature
        }
        Algorithm::ES256 => {
            let key = der(include_str!("../../../tests/keys/p256.pem"));
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key).unwrap();
            key.sign(&random, bytes).unwrap().as_ref().to_vec()
        }
        _ => {
            let key = der(include_str!("../../../tests/keys/ed25519.pem"));
            Ed25519KeyPair::from_pkcs8(&key).unwrap().sign(bytes).as_ref().to_vec()
        }
    };
    format!("{message}.{}", encode(signature)).into_bytes()
}

/// The key of an algorithm.
pub(crate) fn key(algorithm: Algorithm) -> Key {
    let kid = format!("k-{algorithm}");
    let file = match algorithm {
        Algorithm::HS256 => {
            let only = [Algorithm::HS256].into_iter().collect();
            return Key::hmac(SECRET, only).unwrap().with_kid(Some(&kid));
        }
        Algorithm::RS256 => include_str!("../../../tests/keys/rsa2048.jwk.json"),
        Algorithm::ES256 => include_str!("../../../tests/keys/p256.jwk.json"),
        _ => include_str!("../../../tests/keys/ed25519.jwk.json"),
    };
    load_keys(file.as_bytes(), Some(&kid)).unwrap().keys.remove(0)
}

/// Accepts tokens of these algorithms: their keys, an issuer and an audience.
pub(crate) fn trust(algorithms: &[Algorithm]) -> Trust {
    let keys = vec![Arc::new(KeySet::new(algorithms.iter().copied().map(key).collect()))];
    let requirements = Requirements {
        issuers: token::Issuers::new(["https://issuer.example"]).unwrap(),
        audiences: [Box::from("api")].into(),
        ..Requirements::default()
    };
    Trust::Keys(Policy { keys, requirements: vec![requirements], ..Policy::default() })
}

/// The rule that the tokens satisfy, for the value `read`.
pub(crate) fn rule() -> ClaimRule {
    let any = Operator::from_name("any").unwrap();
    ClaimRule::new("scope", any, &[Some("read")]).unwrap()
}
