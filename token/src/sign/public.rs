//! Public halves as JWK members (RFC 7517, RFC 7518 section 6, RFC 8037, RFC 9964).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use serde_json::{Map, Value};
use x509_cert::der::Error as DerError;

use super::fault::KeyFileError;
use super::members::{Json, Members};
use crate::alg::{Algorithm, Curve};
use crate::base64url;
use crate::jwk::members::private_member;
use crate::pem::{self, EC, ED25519, RSA, Spki};

/// The members of a JWK. Whether they keep their order is up to the features of `serde_json`: nothing
/// here rests on it.
pub type Jwk = Map<String, Value>;

/// Why there is no public half.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum PublicError {
    #[error("a shared secret has no public half")]
    Secret,
    #[error("is a shared secret (kty oct), which has no public half")]
    SecretJwk,
    #[error("is not an uncompressed point of {0}")]
    Point(&'static str),
    #[error("is not an RSA public key")]
    NotRsa,
    #[error("has a curve other than P-256, P-384, P-521")]
    Curve,
    #[error("has a key of unknown type {0}")]
    UnknownType(String),
    #[error("not DER: {0}")]
    NotDer(DerError),
    #[error("holds no key")]
    NoKey,
    #[error(transparent)]
    Private(#[from] KeyFileError),
}

/// Why a key has no thumbprint.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum ThumbprintError {
    #[error("kty: unknown value {0:?}")]
    UnknownType(String),
    #[error("{0} is missing")]
    Absent(&'static str),
}

/// The public members of a JWK; all others are dropped.
const PUBLIC_MEMBERS: [&str; 14] =
    ["kty", "kid", "alg", "use", "crv", "n", "e", "x", "y", "pub", "x5u", "x5c", "x5t", "x5t#S256"];

/// The required members of each type, in the order of RFC 7638 section 3; RFC 9964 section 6 for AKP.
const REQUIRED: [(&str, &[&str]); 5] = [
    ("AKP", &["alg", "kty", "pub"]),
    ("EC", &["crv", "kty", "x", "y"]),
    ("OKP", &["crv", "kty", "x"]),
    ("RSA", &["e", "kty", "n"]),
    ("oct", &["k", "kty"]),
];

/// A JWK of these text members.
pub(super) fn jwk<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> Jwk {
    members.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text))).collect()
}

/// An RSA key from modulus and exponent.
pub(super) fn rsa(key: &RsaPublicKey) -> Jwk {
    let (n, e) = (key.modulus(), key.exponent());
    jwk([
        ("kty", "RSA".to_owned()),
        ("n", base64url::encode(n.big_endian_without_leading_zero())),
        ("e", base64url::encode(e.big_endian_without_leading_zero())),
    ])
}

/// An elliptic curve key from its uncompressed point (SEC 1 section 2.3.3).
pub(super) fn ec(curve: Curve, point: &[u8]) -> Result<Jwk, PublicError> {
    let coordinates = point.strip_prefix(&[4]).filter(|xy| xy.len() == 2 * curve.coordinate_len());
    let (x, y) = coordinates
        .and_then(|xy| xy.split_at_checked(curve.coordinate_len()))
        .ok_or(PublicError::Point(curve.name()))?;
    Ok(jwk([
        ("kty", "EC".to_owned()),
        ("crv", curve.name().to_owned()),
        ("x", base64url::encode(x)),
        ("y", base64url::encode(y)),
    ]))
}

/// An Ed25519 key.
pub(super) fn ed25519(public: &[u8]) -> Jwk {
    jwk([
        ("kty", "OKP".to_owned()),
        ("crv", "Ed25519".to_owned()),
        ("x", base64url::encode(public)),
    ])
}

/// An ML-DSA key.
pub(super) fn ml_dsa(algorithm: Algorithm, public: &[u8]) -> Jwk {
    jwk([
        ("kty", "AKP".to_owned()),
        ("alg", algorithm.name().to_owned()),
        ("pub", base64url::encode(public)),
    ])
}

/// The public half of a JWK; all other members are dropped (RFC 7517 section 4).
///
/// # Errors
/// A secret.
pub fn public_jwk(key: &Jwk) -> Result<Jwk, PublicError> {
    let kty = key.get("kty").and_then(Value::as_str).unwrap_or_default();
    if kty == "oct" {
        return Err(PublicError::SecretJwk);
    }
    let mut public: Jwk = PUBLIC_MEMBERS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), key.get(name)?.clone())))
        .collect();
    // The operations of a private key are not those of its public key.
    if let Some(operations) = key.get("key_ops").filter(|_| !key.contains_key(private_member(kty)))
    {
        public.insert("key_ops".to_owned(), operations.clone());
    }
    Ok(public)
}

/// The JWK thumbprint (RFC 7638), with SHA-256.
///
/// # Errors
/// An unknown type of key, or a member of its type that is missing.
pub fn thumbprint(key: &Jwk) -> Result<String, ThumbprintError> {
    let kty = key.get("kty").and_then(Value::as_str).ok_or(ThumbprintError::Absent("kty"))?;
    let (_, names) = REQUIRED
        .iter()
        .find(|(name, _)| *name == kty)
        .ok_or_else(|| ThumbprintError::UnknownType(kty.to_owned()))?;
    let mut hashed = Vec::new();
    for name in *names {
        let value = key.get(*name).ok_or(ThumbprintError::Absent(name))?;
        hashed.push(format!("\"{name}\":{value}"));
    }
    let text = format!("{{{}}}", hashed.join(","));
    Ok(base64url::encode(digest(&SHA256, text.as_bytes())))
}

/// The text of a public key with what is said of it (RFC 7517 section 4) after its type. The order is
/// always the same, so that the text changes only with the key.
pub(super) fn published(key: &Jwk, kid: Option<&str>, algorithm: Algorithm) -> String {
    let of_key = |name: &str| key.get(name).and_then(Value::as_str).map(Json::string);
    let mut members = Members::default();
    let mut add =
        |name, value: Option<Json>| value.into_iter().for_each(|it| members.set(name, it));
    add("kty", of_key("kty"));
    add("kid", kid.map(Json::string));
    add("alg", Some(Json::string(algorithm.name())));
    add("use", Some(Json::string("sig")));
    for name in ["crv", "n", "e", "x", "y", "pub"] {
        add(name, of_key(name));
    }
    members.to_string()
}

/// The key of a SubjectPublicKeyInfo (RFC 5280 section 4.1).
pub(super) fn spki(info: &Spki) -> Result<Jwk, PublicError> {
    let bits = info.subject_public_key.as_bytes().unwrap_or_default();
    match info.algorithm.oid {
        RSA => pkcs1(bits),
        EC => ec(pem::curve(info).ok_or(PublicError::Curve)?, bits),
        ED25519 => Ok(ed25519(bits)),
        other => match pem::ml_dsa(other) {
            Some(algorithm) => Ok(ml_dsa(algorithm, bits)),
            None => Err(PublicError::UnknownType(other.to_string())),
        },
    }
}

/// The key of an RSAPublicKey (RFC 8017 appendix A.1.1).
pub(super) fn pkcs1(der: &[u8]) -> Result<Jwk, PublicError> {
    RsaPublicKey::from_der(der).map(|key| rsa(&key)).map_err(|_| PublicError::NotRsa)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprint_of_rfc_7638() {
        let key = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
        let key: Jwk = serde_json::from_str(key).unwrap();
        assert_eq!(thumbprint(&key).unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_public_half_of_a_jwk() {
        let key = r#"{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"c","key_ops":["sign"],"kid":"k","other":1}"#;
        let public = public_jwk(&serde_json::from_str(key).unwrap()).unwrap();
        let want = r#"{"kty":"EC","kid":"k","crv":"P-256","x":"a","y":"b"}"#;
        assert_eq!(public, serde_json::from_str(want).unwrap());
        let secret = r#"{"kty":"oct","k":"c2VjcmV0"}"#;
        let error = public_jwk(&serde_json::from_str(secret).unwrap()).unwrap_err().to_string();
        assert!(error.contains("no public half") && !error.contains("c2Vj"), "{error}");
    }
}
