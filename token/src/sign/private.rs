//! Keys that sign: secrets and private keys.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
pub use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair,
    PqdsaSigningAlgorithm, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use zeroize::Zeroizing;

use super::public::{self, Jwk, PublicError};
use crate::alg::{Algorithm, AlgorithmSet, Curve, Scheme};
use crate::base64url;
use crate::key::{HmacKeys, Key, KeyError};

/// A key that signs. A secret is wiped on drop, and the library wipes the private keys that it holds.
pub struct PrivateKey {
    pub(crate) material: Material,
}

pub(crate) enum Material {
    Secret(Box<Secret>),
    Rsa(Box<RsaKeyPair>),
    Ec(Curve, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    MlDsa(Algorithm, Box<PqdsaKeyPair>),
}

/// A secret, and what HMACs prepare of it.
pub(crate) struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    keys: HmacKeys,
}

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum GenerateError {
    #[error("the library could not make a key for {0}")]
    Library(Algorithm),
    #[error("no randomness from the system")]
    Randomness,
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum SignError {
    #[error("{algorithm} does not go with {kind}; {fitting} does")]
    Mismatch { algorithm: Algorithm, kind: &'static str, fitting: Algorithm },
    #[error("the library could not sign")]
    Library,
}

/// The algorithm of the library that signs with keys of a curve.
pub(super) fn ecdsa(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

/// The algorithm of the library that signs for one of ML-DSA.
pub(super) fn ml_dsa(algorithm: Algorithm) -> Option<&'static PqdsaSigningAlgorithm> {
    match algorithm {
        Algorithm::MlDsa44 => Some(&ML_DSA_44_SIGNING),
        Algorithm::MlDsa65 => Some(&ML_DSA_65_SIGNING),
        Algorithm::MlDsa87 => Some(&ML_DSA_87_SIGNING),
        _ => None,
    }
}

/// The hash and the padding of an RSA signature (RFC 7518 sections 3.3 and 3.5).
fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::RS256 => Some(&RSA_PKCS1_SHA256),
        Algorithm::RS384 => Some(&RSA_PKCS1_SHA384),
        Algorithm::RS512 => Some(&RSA_PKCS1_SHA512),
        Algorithm::PS256 => Some(&RSA_PSS_SHA256),
        Algorithm::PS384 => Some(&RSA_PSS_SHA384),
        Algorithm::PS512 => Some(&RSA_PSS_SHA512),
        _ => None,
    }
}

impl From<Material> for PrivateKey {
    fn from(material: Material) -> Self {
        Self { material }
    }
}

impl PrivateKey {
    /// A shared secret (RFC 7518 section 3.2).
    ///
    /// # Errors
    /// [`KeyError::EmptySecret`].
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.is_empty() {
            return Err(KeyError::EmptySecret);
        }
        let keys = HmacKeys::new(secret, AlgorithmSet::ALL);
        let bytes = Zeroizing::new(secret.to_vec());
        Ok(Material::Secret(Box::new(Secret { bytes, keys })).into())
    }

    /// Makes a new key for `algorithm`; `bits` is the size of an RSA modulus.
    ///
    /// # Errors
    /// The library or the system refuses.
    pub fn generate(algorithm: Algorithm, bits: KeySize) -> Result<Self, GenerateError> {
        use Algorithm as A;
        let ec = |curve| EcdsaKeyPair::generate(ecdsa(curve)).map(|key| Material::Ec(curve, key));
        let made = match algorithm {
            A::HS256 => return secret::<32>(),
            A::HS384 => return secret::<48>(),
            A::HS512 => return secret::<64>(),
            A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512 => {
                RsaKeyPair::generate(bits).map(|key| Material::Rsa(Box::new(key)))
            }
            A::ES256 => ec(Curve::P256),
            A::ES384 => ec(Curve::P384),
            A::ES512 => ec(Curve::P521),
            A::EdDSA => Ed25519KeyPair::generate().map(Material::Ed25519),
            A::MlDsa44 | A::MlDsa65 | A::MlDsa87 => ml_dsa(algorithm)
                .ok_or(Unspecified)
                .and_then(PqdsaKeyPair::generate)
                .map(|key| Material::MlDsa(algorithm, Box::new(key))),
        };
        made.map(Self::from).map_err(|_| GenerateError::Library(algorithm))
    }

    /// The type of the key, for messages.
    pub fn kind(&self) -> &'static str {
        match self.material {
            Material::Secret(_) => "a secret",
            Material::Rsa(_) => "an RSA key",
            Material::Ec(Curve::P256, _) => "a P-256 key",
            Material::Ec(Curve::P384, _) => "a P-384 key",
            Material::Ec(Curve::P521, _) => "a P-521 key",
            Material::Ed25519(_) => "an Ed25519 key",
            Material::MlDsa(..) => "an ML-DSA key",
        }
    }

    /// The algorithm that it signs with by default.
    pub fn default_algorithm(&self) -> Algorithm {
        match self.material {
            Material::Secret(_) => Algorithm::HS256,
            Material::Rsa(_) => Algorithm::RS256,
            Material::Ec(Curve::P256, _) => Algorithm::ES256,
            Material::Ec(Curve::P384, _) => Algorithm::ES384,
            Material::Ec(Curve::P521, _) => Algorithm::ES512,
            Material::Ed25519(_) => Algorithm::EdDSA,
            Material::MlDsa(algorithm, _) => algorithm,
        }
    }

    /// Whether it can sign with `algorithm`.
    pub fn goes_with(&self, algorithm: Algorithm) -> bool {
        match (&self.material, algorithm.scheme()) {
            (Material::Secret(_), Scheme::Hmac(_))
            | (Material::Rsa(_), Scheme::Rsa(_))
            | (Material::Ed25519(_), Scheme::Ed25519) => true,
            (Material::Ec(of, _), Scheme::Ec(curve, _)) => *of == curve,
            (Material::MlDsa(of, _), Scheme::MlDsa(..)) => *of == algorithm,
            _ => false,
        }
    }

    /// The error of an algorithm that does not go with the key.
    pub(super) fn check(&self, algorithm: Algorithm) -> Result<(), SignError> {
        let (kind, fitting) = (self.kind(), self.default_algorithm());
        match self.goes_with(algorithm) {
            true => Ok(()),
            false => Err(SignError::Mismatch { algorithm, kind, fitting }),
        }
    }

    /// The signature of `algorithm` over `message` (RFC 7518 section 3, RFC 8037 section 3.1, RFC 9964).
    ///
    /// # Errors
    /// An algorithm that does not go with the key, or the library fails.
    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.check(algorithm)?;
        let signed = match (&self.material, algorithm.scheme()) {
            (Material::Secret(secret), Scheme::Hmac(hash)) => secret.keys.sign(hash, message),
            (Material::Rsa(key), _) => rsa_encoding(algorithm).and_then(|encoding| {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &SystemRandom::new(), message, &mut signature).ok()?;
                Some(signature)
            }),
            (Material::Ec(_, key), _) => {
                key.sign(&SystemRandom::new(), message).ok().map(|it| it.as_ref().to_vec())
            }
            (Material::Ed25519(key), _) => {
                key.try_sign(message).ok().map(|it| it.as_ref().to_vec())
            }
            (Material::MlDsa(_, key), _) => {
                let mut signature = vec![0; key.algorithm().signature_len()];
                key.sign(message, &mut signature).ok().map(|_| signature)
            }
            (Material::Secret(_), _) => None,
        };
        signed.ok_or(SignError::Library)
    }

    /// The bytes of a secret.
    pub fn secret(&self) -> Option<&[u8]> {
        match &self.material {
            Material::Secret(secret) => Some(&secret.bytes),
            _ => None,
        }
    }

    /// The public half as a JWK.
    ///
    /// # Errors
    /// A secret has none.
    pub fn public(&self) -> Result<Jwk, PublicError> {
        match &self.material {
            Material::Secret(_) => Err(PublicError::Secret),
            Material::Rsa(key) => Ok(public::rsa(key.public_key())),
            Material::Ec(curve, key) => public::ec(*curve, key.public_key().as_ref()),
            Material::Ed25519(key) => Ok(public::ed25519(key.public_key().as_ref())),
            Material::MlDsa(algorithm, key) => {
                Ok(public::ml_dsa(*algorithm, key.public_key().as_ref()))
            }
        }
    }

    /// The key that verifies what this one signs with any of `algorithms`.
    ///
    /// # Errors
    /// As for a key that is read to verify: both must keep to the same limits.
    pub fn verifying_key(&self, algorithms: AlgorithmSet) -> Result<Key, KeyError> {
        match &self.material {
            Material::Secret(secret) => Key::hmac(&secret.bytes, algorithms),
            Material::Rsa(key) => {
                let (n, e) = (key.public_key().modulus(), key.public_key().exponent());
                let (n, e) =
                    (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
                Key::rsa(n, e, algorithms)
            }
            Material::Ec(curve, key) => {
                Key::ec_point(*curve, key.public_key().as_ref(), algorithms)
            }
            Material::Ed25519(key) => Key::ed25519(key.public_key().as_ref(), algorithms),
            Material::MlDsa(algorithm, key) => Key::ml_dsa(key.public_key().as_ref(), *algorithm),
        }
    }

    /// Whether both are the same key. Secrets are compared in constant time.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self.secret(), other.secret()) {
            (Some(one), Some(other)) => verify_slices_are_equal(one, other).is_ok(),
            (None, None) => match (self.public(), other.public()) {
                (Ok(one), Ok(other)) => one == other,
                _ => false,
            },
            _ => false,
        }
    }
}

impl fmt::Debug for PrivateKey {
    // The key material is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.kind()).finish()
    }
}

/// A secret that is text: `BYTES` random bytes in base64url. The characters themselves are the secret.
fn secret<const BYTES: usize>() -> Result<PrivateKey, GenerateError> {
    let mut random = Zeroizing::new([0; BYTES]);
    rand::fill(&mut *random).map_err(|_| GenerateError::Randomness)?;
    let text = Zeroizing::new(base64url::encode(random.as_slice()));
    PrivateKey::from_secret(text.as_bytes()).map_err(|_| GenerateError::Randomness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_of_another_type_is_refused() {
        let key = PrivateKey::generate(Algorithm::ES256, KeySize::Rsa2048).unwrap();
        for algorithm in Algorithm::ALL.into_iter().filter(|one| *one != Algorithm::ES256) {
            let error = key.sign(algorithm, b"x").unwrap_err().to_string();
            assert!(error.ends_with("does not go with a P-256 key; ES256 does"), "{error}");
        }
    }
}
