//! Private keys to JWKs and to PEM, for whoever writes the files of new keys. What is made here is not
//! wiped.

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::der::{pkcs8, rsa_numbers};
use super::private::{Material, PrivateKey};
use super::public::{Jwk, PublicError, jwk};
use crate::base64url;

/// Why a key cannot be written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum ExportError {
    #[error("the library does not export the key")]
    Library,
    #[error("the library wrote a key that is not PKCS#8: {0}")]
    NotPkcs8(x509_cert::der::Error),
    #[error("the library wrote an RSA key that is not PKCS#8: {0}")]
    NotRsa(x509_cert::der::Error),
    #[error("holds no seed, which a JWK needs")]
    NoSeed,
    #[error(transparent)]
    Public(#[from] PublicError),
}

impl From<Unspecified> for ExportError {
    fn from(_: Unspecified) -> Self {
        Self::Library
    }
}

impl PrivateKey {
    /// The whole key as a JWK (RFC 7517, RFC 7518 section 6).
    ///
    /// # Errors
    /// The library refuses.
    pub fn jwk(&self) -> Result<Jwk, ExportError> {
        if let Material::Secret(_) = &self.material {
            let k = base64url::encode(self.secret().unwrap_or_default());
            return Ok(jwk([("kty", "oct".to_owned()), ("k", k)]));
        }
        let mut members = self.public()?;
        members.extend(match &self.material {
            Material::Rsa(key) => rsa_members(AsDer::<Pkcs8V1Der<'_>>::as_der(&**key)?.as_ref())?,
            Material::Ec(_, key) => {
                jwk([("d", base64url::encode(key.private_key().as_be_bytes()?.as_ref()))])
            }
            Material::Ed25519(key) => {
                jwk([("d", base64url::encode(key.seed()?.as_be_bytes()?.as_ref()))])
            }
            Material::MlDsa(_, key) => {
                let pkcs8 = key.private_key().as_der()?;
                jwk([("priv", base64url::encode(ml_dsa_seed(pkcs8.as_ref())?))])
            }
            Material::Secret(_) => Jwk::new(),
        });
        Ok(members)
    }

    /// The private key (PKCS#8, RFC 5958) and the public key (SubjectPublicKeyInfo) in PEM; `None` for a
    /// secret.
    ///
    /// # Errors
    /// The library refuses.
    pub fn pem(&self) -> Result<Option<(String, String)>, ExportError> {
        let x509 = |key: &dyn AsDer<PublicKeyX509Der<'static>>| key.as_der();
        // Version 1 of PKCS#8, which every OpenSSL can read.
        let (private, public) = match &self.material {
            Material::Secret(_) => return Ok(None),
            Material::Rsa(key) => (
                armored("PRIVATE KEY", AsDer::<Pkcs8V1Der<'_>>::as_der(&**key)?.as_ref()),
                x509(key.public_key())?,
            ),
            Material::Ec(_, key) => {
                (armored("PRIVATE KEY", key.to_pkcs8v1()?.as_ref()), x509(key.public_key())?)
            }
            Material::Ed25519(key) => (
                armored("PRIVATE KEY", AsDer::<Pkcs8V1Der<'_>>::as_der(key)?.as_ref()),
                x509(key.public_key())?,
            ),
            Material::MlDsa(_, key) => (
                armored("PRIVATE KEY", key.private_key().as_der()?.as_ref()),
                x509(key.public_key())?,
            ),
        };
        Ok(Some((private, armored("PUBLIC KEY", public.as_ref()))))
    }
}

/// PEM (RFC 7468 section 3).
fn armored(label: &str, der: &[u8]) -> String {
    /// The bytes of a line of 64 characters.
    const LINE: usize = 48;
    let lines = der.chunks(LINE).map(|line| STANDARD.encode(line) + "\n");
    format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", lines.collect::<String>())
}

/// The seed of an ML-DSA key in PKCS#8 (RFC 9881 section 6), which the library gives in no other form.
fn ml_dsa_seed(pkcs8_der: &[u8]) -> Result<&[u8], ExportError> {
    match pkcs8(pkcs8_der).map_err(ExportError::NotPkcs8)? {
        (_, [0x80, 32, seed @ ..]) if seed.len() == 32 => Ok(seed),
        _ => Err(ExportError::NoSeed),
    }
}

/// The private members of an RSA JWK (RFC 7518 section 6.3.2).
fn rsa_members(pkcs8_der: &[u8]) -> Result<Jwk, ExportError> {
    let numbers = pkcs8(pkcs8_der).and_then(|(_, key)| rsa_numbers(key));
    let [_, _, private @ ..] = numbers.map_err(ExportError::NotRsa)?;
    let names = ["d", "p", "q", "dp", "dq", "qi"];
    Ok(jwk(names.into_iter().zip(private.map(base64url::encode))))
}
