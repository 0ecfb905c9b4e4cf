//! Tokens, signed by RustCrypto through `jsonwebtoken` (`p521` for ES512, `ml-dsa`), or made by hand.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Map, Value, json};
use sha2::{Sha256, Sha384, Sha512};

use crate::keys::Key;

/// A secret long enough for every HMAC, in characters that nginx.conf needs no quotes for.
pub const SECRET: &str = "correct-horse-battery-staple-correct-horse-battery-staple-0123456789";
/// Another secret.
pub const OTHER_SECRET: &str =
    "a-wholly-different-secret-a-wholly-different-secret-a-wholly-different";

/// base64url without padding.
#[must_use]
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// HMAC over `input` with the hash of HS256, HS384 or HS512.
///
/// # Errors
/// When `alg` is none of the three.
pub fn hmac(alg: &str, secret: &[u8], input: &[u8]) -> Result<Vec<u8>> {
    macro_rules! tag {
        ($hash:ty) => {
            Ok(Hmac::<$hash>::new_from_slice(secret)?
                .chain_update(input)
                .finalize()
                .into_bytes()
                .to_vec())
        };
    }
    match alg {
        "HS256" => tag!(Sha256),
        "HS384" => tag!(Sha384),
        "HS512" => tag!(Sha512),
        _ => bail!("no HMAC algorithm: {alg}"),
    }
}

/// `base64url(header).base64url(payload)`, whatever the bytes are.
#[must_use]
pub fn unsigned_part(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}", base64url(header), base64url(payload))
}

/// A token made by hand: `sign` is given the signing input and returns the signature's bytes.
///
/// # Errors
/// What `sign` fails with.
pub fn raw_token(
    header: impl AsRef<[u8]>,
    payload: impl AsRef<[u8]>,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
) -> Result<String> {
    let input = unsigned_part(header, payload);
    let signature = sign(input.as_bytes())?;
    Ok(format!("{input}.{}", base64url(signature)))
}

/// A token to be signed: a header and claims.
#[derive(Clone, Debug)]
#[must_use]
pub struct Jwt {
    header: Map<String, Value>,
    claims: Value,
}

impl Jwt {
    /// A token with these claims and nothing else.
    pub fn new(claims: Value) -> Self {
        let header = Map::from_iter([("typ".to_owned(), json!("JWT"))]);
        Self { header, claims }
    }

    /// A token for `alice` that lives another five minutes.
    pub fn live() -> Self {
        Self::new(json!({ "sub": "alice", "exp": now() + 300 }))
    }

    /// [`live`](Self::live), with the members of `claims` added or replaced; null takes one away.
    pub fn live_with(claims: &Value) -> Self {
        Self::live().with(claims)
    }

    /// Adds or replaces the members of `claims`; null takes one away.
    pub fn with(mut self, claims: &Value) -> Self {
        if let (Some(all), Some(more)) = (self.claims.as_object_mut(), claims.as_object()) {
            for (name, value) in more {
                all.remove(name);
                if !value.is_null() {
                    all.insert(name.clone(), value.clone());
                }
            }
        }
        self
    }

    /// Sets the key id.
    pub fn kid(self, kid: &str) -> Self {
        self.header("kid", json!(kid))
    }

    /// Sets a member of the header; null takes it away.
    pub fn header(mut self, name: &str, value: Value) -> Self {
        self.header.shift_remove(name);
        if !value.is_null() {
            self.header.insert(name.to_owned(), value);
        }
        self
    }

    /// Signs with a secret, by HS256, HS384 or HS512.
    ///
    /// # Errors
    /// When `alg` is none of the three.
    pub fn hs(&self, alg: &str, secret: impl AsRef<[u8]>) -> Result<String> {
        self.signed(alg, |input| hmac(alg, secret.as_ref(), input))
    }

    /// Signs with a private key, by an algorithm of its kind.
    ///
    /// # Errors
    /// When the algorithm is unknown or not for this key.
    pub fn sign(&self, alg: &str, key: &Key) -> Result<String> {
        self.signed(alg, |input| signature(alg, key, input))
    }

    /// Names `alg` in the header and takes the signature from `sign`, whatever it is.
    ///
    /// # Errors
    /// What `sign` fails with.
    pub fn signed(&self, alg: &str, sign: impl FnOnce(&[u8]) -> Result<Vec<u8>>) -> Result<String> {
        let mut header = Map::from_iter([("alg".to_owned(), json!(alg))]);
        header.extend(self.header.clone());
        raw_token(Value::Object(header).to_string(), self.claims.to_string(), sign)
    }
}

/// The signature of `input` by `alg` with a private key.
///
/// # Errors
/// When the algorithm is unknown or not for this key.
pub fn signature(alg: &str, key: &Key, input: &[u8]) -> Result<Vec<u8>> {
    match alg {
        "ES512" => return sign_es512(key, input),
        "ML-DSA-44" => return sign_ml_dsa::<ml_dsa::MlDsa44>(key, input),
        "ML-DSA-65" => return sign_ml_dsa::<ml_dsa::MlDsa65>(key, input),
        "ML-DSA-87" => return sign_ml_dsa::<ml_dsa::MlDsa87>(key, input),
        _ => {}
    }
    let algorithm: Algorithm = alg.parse().with_context(|| format!("algorithm {alg}"))?;
    let pem = key.private.as_bytes();
    let encoding = match alg.get(..2) {
        Some("RS" | "PS") => EncodingKey::from_rsa_pem(pem),
        Some("ES") => EncodingKey::from_ec_pem(pem),
        _ => EncodingKey::from_ed_pem(pem),
    };
    let signature = crypto::sign(input, &encoding.context("private key")?, algorithm)?;
    Ok(URL_SAFE_NO_PAD.decode(signature)?)
}

fn sign_es512(key: &Key, input: &[u8]) -> Result<Vec<u8>> {
    use p521::ecdsa::signature::Signer as _;
    use p521::pkcs8::DecodePrivateKey as _;

    let secret = p521::SecretKey::from_pkcs8_pem(key.private).context("private key on P-521")?;
    let signing = p521::ecdsa::SigningKey::from_bytes(&secret.to_bytes()).context("signing key")?;
    let signature: p521::ecdsa::Signature = signing.sign(input);
    Ok(signature.to_bytes().to_vec())
}

fn sign_ml_dsa<P>(key: &Key, input: &[u8]) -> Result<Vec<u8>>
where
    P: ml_dsa::MlDsaParams,
    ml_dsa::SigningKey<P>: ml_dsa::pkcs8::DecodePrivateKey,
{
    use ml_dsa::pkcs8::DecodePrivateKey as _;

    let base64: String = key.private.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(base64).context("private key in PEM")?;
    let key = ml_dsa::SigningKey::<P>::from_pkcs8_der(&der);
    let key = key.map_err(|error| anyhow!("not a private key of this ML-DSA: {error}"))?;
    let signature = key.expanded_key().sign_deterministic(input, b"");
    Ok(signature.map_err(|_| anyhow!("ML-DSA could not sign"))?.encode().to_vec())
}

#[cfg(test)]
mod tests {
    use super::{Jwt, hmac};
    use crate::keys::{ED25519, P521, RSA};

    #[test]
    fn a_token_has_three_parts_whatever_signs_it() {
        for (alg, key, length) in
            [("RS256", &RSA, 256), ("ES512", &P521, 132), ("EdDSA", &ED25519, 64)]
        {
            let token = Jwt::live().sign(alg, key).unwrap();
            let signature = token.split('.').nth(2).unwrap();
            assert_eq!(signature.len(), (length * 4_usize).div_ceil(3), "{alg}");
        }
    }

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let tag = hmac("HS256", b"Jefe", b"what do ya want for nothing?").unwrap();
        assert_eq!(tag[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    }
}
