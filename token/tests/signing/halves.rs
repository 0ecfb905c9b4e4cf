//! A private key whose public members are another key's is refused: verifiers would refuse its tokens, and
//! signing with mixed halves can give a key away.

use aws_lc_rs::encoding::{AsDer, Pkcs8V2Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use token::Algorithm;
use token::sign::{KeyFile, KeySize, PrivateKey};

use crate::{jwk, openssl_key, refused};

/// The key of a PEM file.
fn openssl(name: &str) -> PrivateKey {
    KeyFile::read(openssl_key(name).as_bytes()).unwrap().key
}

/// PEM of PKCS#8 in which some bytes are replaced by as many others.
fn pem_with(der: &[u8], old: &[u8], new: &[u8]) -> String {
    let at = der.windows(old.len()).position(|part| part == old).unwrap();
    let mut changed = der.to_vec();
    changed[at..at + old.len()].copy_from_slice(new);
    pem::encode(&pem::Pem::new("PRIVATE KEY", changed))
}

fn member(key: &PrivateKey, name: &str) -> Vec<u8> {
    token::base64url::decode(key.jwk().unwrap()[name].as_str().unwrap().as_bytes()).unwrap()
}

fn der(key: &PrivateKey) -> Vec<u8> {
    pem::parse(key.pem().unwrap().unwrap().0).unwrap().into_contents()
}

#[test]
fn the_halves_of_a_jwk_belong_together() {
    let ed25519 = PrivateKey::generate(Algorithm::EdDSA, KeySize::Rsa2048).unwrap();
    for (key, other, names) in [
        (openssl("p256.pem"), openssl("p256-other.pem"), &["x", "y"][..]),
        (openssl("ed25519.pem"), ed25519, &["x"]),
        (openssl("rsa2048.pem"), openssl("rsa2048-other.pem"), &["n"]),
    ] {
        let other = other.jwk().unwrap();
        let more: Value = names.iter().map(|name| (*name, other[*name].clone())).collect();
        let error = refused(&jwk(&key, more));
        assert!(error.starts_with("is not a usable private key: "), "{error}");
    }
    // Neither do the parts of an RSA key that are not public.
    let other = openssl("rsa2048-other.pem").jwk().unwrap();
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        let error = refused(&jwk(&openssl("rsa2048.pem"), json!({ name: other[name] })));
        assert!(error.starts_with("is not a usable private key: "), "{name}: {error}");
    }
}

#[test]
fn the_halves_in_pem_belong_together() {
    let (key, other) = (openssl("p256.pem"), openssl("p256-other.pem"));
    let point = |key| [member(key, "x"), member(key, "y")].concat();
    let error = refused(&pem_with(&der(&key), &point(&key), &point(&other)));
    assert_eq!(error, "is not a private key of P-256, P-384 or P-521");

    let (key, other) = (openssl("rsa2048.pem"), openssl("rsa2048-other.pem"));
    let error = refused(&pem_with(&der(&key), &member(&key, "n"), &member(&other, "n")));
    assert!(error.starts_with("is not a usable RSA private key ("), "{error}");

    let (key, other) = (Ed25519KeyPair::generate().unwrap(), Ed25519KeyPair::generate().unwrap());
    let both = AsDer::<Pkcs8V2Der<'_>>::as_der(&key).unwrap();
    let public = key.public_key().as_ref();
    let good = pem_with(both.as_ref(), public, public);
    assert_eq!(KeyFile::read(good.as_bytes()).unwrap().key.kind(), "an Ed25519 key");
    let error = refused(&pem_with(both.as_ref(), public, other.public_key().as_ref()));
    assert!(error.starts_with("is not a usable Ed25519 private key ("), "{error}");
}
