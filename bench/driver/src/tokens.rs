//! The tokens, which are the same for all servers.

use std::path::Path;

use anyhow::{Context as _, Result};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The secret for HS256 tokens and links: 256 bits, the least that RFC 7518 allows for HS256.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const ALGORITHMS: [&str; 4] = ["HS256", "RS256", "ES256", "EdDSA"];

/// A key that signs tokens.
pub(crate) struct Signer {
    algorithm: String,
    kid: String,
    key: Key,
}

enum Key {
    Hmac(Box<hmac::Key>),
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    /// An HS256 key.
    pub(crate) fn secret(kid: &str, secret: &str) -> Self {
        let key = Key::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())));
        Self { algorithm: "HS256".to_owned(), kid: kid.to_owned(), key }
    }

    /// Loads the key of an algorithm from the folder that `tokenctl keys` wrote it to.
    pub(crate) fn load(keys: &Path, algorithm: &str) -> Result<Self> {
        let kid = format!("k-{algorithm}");
        if algorithm == "HS256" {
            return Ok(Self::secret(&kid, SECRET));
        }
        let pkcs8 = der(&keys.join(format!("{algorithm}.pem")))?;
        let key = match algorithm {
            "RS256" => Key::Rsa(RsaKeyPair::from_pkcs8(&pkcs8)?),
            "ES256" => {
                Key::Ecdsa(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8)?)
            }
            _ => Key::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8)?),
        };
        Ok(Self { algorithm: algorithm.to_owned(), kid, key })
    }

    /// The same key with another kid.
    pub(crate) fn named(self, kid: &str) -> Self {
        Self { kid: kid.to_owned(), ..self }
    }

    /// Signs a token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> Result<String> {
        let header = json!({ "alg": self.algorithm, "typ": "JWT", "kid": self.kid });
        let [header, payload] =
            [&header, claims].map(|value| URL_SAFE_NO_PAD.encode(value.to_string()));
        let input = format!("{header}.{payload}");
        let signature = self.sign(input.as_bytes())?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    pub(crate) fn sign(&self, input: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        Ok(match &self.key {
            Key::Hmac(key) => hmac::sign(key, input).as_ref().to_vec(),
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, input, &mut signature)?;
                signature
            }
            Key::Ecdsa(key) => key.sign(&random, input)?.as_ref().to_vec(),
            Key::Ed25519(key) => key.sign(input).as_ref().to_vec(),
        })
    }
}

/// What a PEM file holds.
pub(crate) fn der(file: &Path) -> Result<Vec<u8>> {
    let pem = std::fs::read_to_string(file)?;
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    Ok(STANDARD.decode(text)?)
}

/// The claims of a good token of the user with this number.
pub(crate) fn claims(user: usize) -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({
        "iss": "https://issuer.example",
        "aud": "api",
        "sub": format!("user-{user:05}"),
        "scope": "read write",
        "iat": now,
        "exp": now + 86_400,
        "jti": format!("{:08x}-{user:04x}", user.wrapping_mul(0x9e37_79b1) & 0xffff_ffff),
    })
}

/// Header lines with good tokens, one for each of `users` users.
pub(crate) fn headers(signer: &Signer, users: usize) -> Result<Vec<String>> {
    (0..users).map(|user| Ok(bearer(&signer.token(&claims(user))?))).collect()
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// Header lines of requests that must be refused, and what is wrong with each.
pub(crate) fn bad(keys: &Path, algorithm: &str) -> Result<Vec<(&'static str, String)>> {
    let signer = Signer::load(keys, algorithm)?;
    let good = signer.token(&claims(0))?;
    let (signed, signature) = good.rsplit_once('.').context("a token without dots")?;
    let (header, _) = signed.split_once('.').context("a token without dots")?;
    let other = URL_SAFE_NO_PAD.encode(claims(1).to_string());
    let with = |name: &str, value: Value| -> Result<String> {
        let mut claims = claims(0);
        if let Some(claim) = claims.get_mut(name) {
            *claim = value;
        }
        Ok(bearer(&signer.token(&claims)?))
    };
    let an_hour_ago = jiff::Timestamp::now().as_second() - 3600;
    let mut bad = vec![
        ("no token", String::new()),
        ("another payload under the signature", bearer(&format!("{header}.{other}.{signature}"))),
        ("expired", with("exp", json!(an_hour_ago))?),
        ("another issuer", with("iss", json!("https://other.example"))?),
        ("another audience", with("aud", json!("other"))?),
        ("without the scope", with("scope", json!("readable write"))?),
    ];
    bad.push(("another kid", bearer(&signer.named("k-other").token(&claims(0))?)));
    Ok(bad)
}
