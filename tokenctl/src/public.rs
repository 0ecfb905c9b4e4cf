//! Public keys as JWK members (RFC 7517, RFC 7518 section 6, RFC 8037, RFC 9964).

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use serde_json::{Map, Value};
use token::{Algorithm, Curve, base64url, private_member};
use x509_cert::der::Any;
use x509_cert::der::asn1::{BitString, ObjectIdentifier};
use x509_cert::spki::SubjectPublicKeyInfo;

/// The members of a JWK in their order.
pub(crate) type Jwk = Map<String, Value>;

// RFC 3279 section 2.3, RFC 5480 section 2.1, RFC 8410 section 3.
pub(crate) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(crate) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(crate) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
// RFC 9881 section 2.
const ML_DSA_44: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17");
const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");
const ML_DSA_87: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19");

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
pub(crate) fn jwk<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> Jwk {
    members.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text))).collect()
}

/// An RSA key from modulus and exponent.
pub(crate) fn rsa(key: &RsaPublicKey) -> Jwk {
    let (n, e) = (key.modulus(), key.exponent());
    jwk([
        ("kty", "RSA".to_owned()),
        ("n", base64url::encode(n.big_endian_without_leading_zero())),
        ("e", base64url::encode(e.big_endian_without_leading_zero())),
    ])
}

/// An elliptic curve key from its uncompressed point (SEC 1 section 2.3.3).
pub(crate) fn ec(curve: Curve, point: &[u8]) -> Result<Jwk> {
    let coordinates = point.strip_prefix(&[4]).filter(|xy| xy.len() == 2 * curve.coordinate_len());
    let (x, y) = coordinates
        .and_then(|xy| xy.split_at_checked(curve.coordinate_len()))
        .with_context(|| format!("is not an uncompressed point of {}", curve.name()))?;
    Ok(jwk([
        ("kty", "EC".to_owned()),
        ("crv", curve.name().to_owned()),
        ("x", base64url::encode(x)),
        ("y", base64url::encode(y)),
    ]))
}

/// An Ed25519 key.
pub(crate) fn ed25519(public: &[u8]) -> Jwk {
    jwk([
        ("kty", "OKP".to_owned()),
        ("crv", "Ed25519".to_owned()),
        ("x", base64url::encode(public)),
    ])
}

/// An ML-DSA key.
pub(crate) fn ml_dsa(algorithm: Algorithm, public: &[u8]) -> Jwk {
    jwk([
        ("kty", "AKP".to_owned()),
        ("alg", algorithm.name().to_owned()),
        ("pub", base64url::encode(public)),
    ])
}

/// The ML-DSA algorithm with that identifier.
pub(crate) fn ml_dsa_of(oid: ObjectIdentifier) -> Option<Algorithm> {
    match oid {
        ML_DSA_44 => Some(Algorithm::MlDsa44),
        ML_DSA_65 => Some(Algorithm::MlDsa65),
        ML_DSA_87 => Some(Algorithm::MlDsa87),
        _ => None,
    }
}

/// The public half of a JWK.
pub(crate) fn of_jwk(key: &Jwk) -> Result<Jwk> {
    let kty = key.get("kty").and_then(Value::as_str).unwrap_or_default();
    if kty == "oct" {
        bail!("is a shared secret (kty oct), which has no public half");
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
pub(crate) fn thumbprint(key: &Jwk) -> Result<String> {
    let kty = key.get("kty").and_then(Value::as_str).context("kty is missing")?;
    let (_, names) = REQUIRED
        .iter()
        .find(|(name, _)| *name == kty)
        .with_context(|| format!("kty: unknown value {kty:?}"))?;
    let mut hashed = Jwk::new();
    for name in *names {
        let value = key.get(*name).with_context(|| format!("{name} is missing"))?;
        hashed.insert((*name).to_owned(), value.clone());
    }
    let text = Value::Object(hashed).to_string();
    Ok(base64url::encode(digest(&SHA256, text.as_bytes())))
}

/// The key of a SubjectPublicKeyInfo (RFC 5280 section 4.1).
pub(crate) fn spki(info: &SubjectPublicKeyInfo<Any, BitString>) -> Result<Jwk> {
    let bits = info.subject_public_key.as_bytes().unwrap_or_default();
    match info.algorithm.oid {
        RSA => pkcs1(bits),
        EC => {
            let name = info.algorithm.parameters.as_ref().and_then(|p| p.decode_as().ok());
            ec(curve(name)?, bits)
        }
        ED25519 => Ok(ed25519(bits)),
        other => match ml_dsa_of(other) {
            Some(algorithm) => Ok(ml_dsa(algorithm, bits)),
            None => bail!("has a key of unknown type {other}"),
        },
    }
}

/// The curve with that identifier.
pub(crate) fn curve(name: Option<ObjectIdentifier>) -> Result<Curve> {
    match name {
        Some(P256) => Ok(Curve::P256),
        Some(P384) => Ok(Curve::P384),
        Some(P521) => Ok(Curve::P521),
        _ => bail!("has a curve other than P-256, P-384, P-521"),
    }
}

/// The key of an RSAPublicKey (RFC 8017 appendix A.1.1).
pub(crate) fn pkcs1(der: &[u8]) -> Result<Jwk> {
    RsaPublicKey::from_der(der).map(|key| rsa(&key)).ok().context("is not an RSA public key")
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
        let public = of_jwk(&serde_json::from_str(key).unwrap()).unwrap();
        let text = Value::Object(public).to_string();
        assert_eq!(text, r#"{"kty":"EC","kid":"k","crv":"P-256","x":"a","y":"b"}"#);
        let secret = r#"{"kty":"oct","k":"c2VjcmV0"}"#;
        let error = of_jwk(&serde_json::from_str(secret).unwrap()).unwrap_err().to_string();
        assert!(error.contains("no public half") && !error.contains("c2Vj"), "{error}");
    }
}
