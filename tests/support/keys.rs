//! The committed key pairs of `tests/keys/`.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// A key pair: what a test signs with, and the forms in which it is given to nginx.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The private key, PKCS#8 PEM.
    pub private: &'static str,
    /// The public key, PEM.
    pub public: &'static str,
    /// A self-signed certificate over it, where there is one.
    pub certificate: Option<&'static str>,
    jwk: &'static str,
}

macro_rules! key {
    ($name:literal, $certificate:expr) => {
        Key {
            private: include_str!(concat!("../keys/", $name, ".pem")),
            public: include_str!(concat!("../keys/", $name, ".pub.pem")),
            certificate: $certificate,
            jwk: include_str!(concat!("../keys/", $name, ".jwk.json")),
        }
    };
}

/// RSA, 2048 bits.
pub static RSA: Key = key!("rsa2048", Some(include_str!("../keys/rsa2048.crt.pem")));
/// Another of 2048 bits.
pub static RSA_OTHER: Key = key!("rsa2048-other", None);
/// RSA of 1024 bits: too weak.
pub static RSA_WEAK: Key = key!("rsa1024", None);
/// RSA of 2048 bits with the public exponent 3: too small.
pub static RSA_E3: Key = key!("rsa2048-e3", None);
/// P-256.
pub static P256: Key = key!("p256", Some(include_str!("../keys/p256.crt.pem")));
/// Another on P-256.
pub static P256_OTHER: Key = key!("p256-other", None);
/// P-384.
pub static P384: Key = key!("p384", None);
/// P-521.
pub static P521: Key = key!("p521", None);
/// Ed25519.
pub static ED25519: Key = key!("ed25519", None);
/// ML-DSA-44.
pub static ML_DSA_44: Key = key!("ml-dsa-44", None);
/// ML-DSA-65.
pub static ML_DSA_65: Key = key!("ml-dsa-65", None);
/// ML-DSA-87.
pub static ML_DSA_87: Key = key!("ml-dsa-87", None);
/// A public key on secp256k1, which no supported algorithm uses.
pub static SECP256K1_JWK: &str = include_str!("../keys/secp256k1.jwk.json");

impl Key {
    /// The public key as a JWK with the members of `more` added, such as `kid`, `alg` and `use`.
    ///
    /// # Errors
    /// When `more` is no object.
    pub fn jwk(&self, more: &Value) -> Result<Value> {
        let mut jwk: Map<String, Value> = serde_json::from_str(self.jwk)?;
        let more = more.as_object().context("members of a JWK")?;
        jwk.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok(Value::Object(jwk))
    }

    /// A JWK Set of this key alone, under `kid`.
    ///
    /// # Errors
    /// Never, for a committed key.
    pub fn jwks(&self, kid: &str) -> Result<String> {
        Ok(jwk_set(&[self.jwk(&json!({ "kid": kid }))?]))
    }

    /// The bytes of the public key's modulus (or x coordinate), as the JWK has them.
    ///
    /// # Errors
    /// Never, for a committed key.
    pub fn public_number(&self) -> Result<Vec<u8>> {
        use base64::Engine as _;
        let jwk: Value = serde_json::from_str(self.jwk)?;
        let number =
            jwk.get("n").or_else(|| jwk.get("x")).and_then(Value::as_str).context("n or x")?;
        Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(number)?)
    }
}

/// A JWK Set.
#[must_use]
pub fn jwk_set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}
