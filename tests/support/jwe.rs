//! Encrypted tokens, made by RustCrypto: what decrypts in the module is another implementation.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use anyhow::{Context as _, Result, anyhow};
use rsa::pkcs8::DecodePublicKey as _;
use rsa::{Oaep, RsaPublicKey};
use serde_json::{Map, Value, json};

use crate::jwt::base64url;
use crate::keys::Key;

/// A secret for `dir` with A256GCM, and for nothing else.
pub const ENCRYPTION_SECRET: &[u8; 32] = b"a secret for encryption alone...";

/// What is encrypted to.
#[derive(Clone, Copy, Debug)]
pub enum Recipient<'k> {
    /// A shared secret of 32 bytes: `dir`.
    Secret(&'k [u8; 32]),
    /// A public key: RSA-OAEP-256.
    Rsa(&'k Key),
}

/// The JWK of a secret, with the members of `more`.
#[must_use]
pub fn secret_jwk(secret: &[u8], more: &Value) -> Value {
    let mut jwk = Map::from_iter([("kty".to_owned(), json!("oct"))]);
    jwk.insert("k".to_owned(), json!(base64url(secret)));
    jwk.extend(more.as_object().cloned().unwrap_or_default());
    Value::Object(jwk)
}

/// A token with this content, by A256GCM. The members of `header` are added to `alg` and `enc`, or replace
/// them.
///
/// # Errors
/// The library fails.
pub fn encrypt(to: Recipient<'_>, header: &Value, content: impl AsRef<[u8]>) -> Result<String> {
    let alg = match to {
        Recipient::Secret(_) => "dir",
        Recipient::Rsa(_) => "RSA-OAEP-256",
    };
    let mut all = Map::from_iter([("alg".to_owned(), json!(alg))]);
    all.insert("enc".to_owned(), json!("A256GCM"));
    all.extend(header.as_object().cloned().unwrap_or_default());
    let header = base64url(Value::Object(all).to_string());
    // Each token of a test has its own key, or says something else: the nonce need not differ.
    let (nonce, random) = ([7; 12], [9; 32]);
    let (cek, encrypted_key) = match to {
        Recipient::Secret(secret) => (secret, Vec::new()),
        Recipient::Rsa(key) => {
            let key = RsaPublicKey::from_public_key_pem(key.public).context("public key")?;
            let oaep = Oaep::new::<rsa::sha2::Sha256>();
            (&random, key.encrypt(&mut rsa::rand_core::OsRng, oaep, &random)?)
        }
    };
    let cipher = Aes256Gcm::new_from_slice(cek).map_err(|_| anyhow!("length of the key"))?;
    let payload = Payload { msg: content.as_ref(), aad: header.as_bytes() };
    let sealed = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| anyhow!("AES-GCM"))?;
    let (ciphertext, tag) = sealed.split_at_checked(sealed.len() - 16).context("no tag")?;
    let sections = [&encrypted_key, &nonce[..], ciphertext, tag].map(base64url);
    Ok([&[header][..], &sections].concat().join("."))
}
