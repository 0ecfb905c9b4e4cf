//! Keys that sign: secrets and private keys.

use anyhow::{Result, anyhow, bail};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair,
    PqdsaSigningAlgorithm, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use aws_lc_rs::{hmac, rand};
use token::{Algorithm, Curve, base64url};

use crate::public::{self, Jwk};

/// A key that signs.
pub(crate) enum Private {
    Secret(Vec<u8>),
    Rsa(Box<RsaKeyPair>),
    Ec(Curve, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    MlDsa(Algorithm, Box<PqdsaKeyPair>),
}

/// The key of a file, with the kid and the algorithm that the file names.
pub(crate) struct KeyFile {
    pub(crate) key: Private,
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: Option<Algorithm>,
}

/// The algorithm of the library that signs with keys of a curve.
pub(crate) fn ecdsa(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

/// The algorithm of the library that signs for one of ML-DSA.
pub(crate) fn ml_dsa(algorithm: Algorithm) -> Option<&'static PqdsaSigningAlgorithm> {
    match algorithm {
        Algorithm::MlDsa44 => Some(&ML_DSA_44_SIGNING),
        Algorithm::MlDsa65 => Some(&ML_DSA_65_SIGNING),
        Algorithm::MlDsa87 => Some(&ML_DSA_87_SIGNING),
        _ => None,
    }
}

impl Private {
    /// Makes a new key for `algorithm`; `bits` is the size of an RSA modulus.
    pub(crate) fn generate(algorithm: Algorithm, bits: KeySize) -> Result<Self> {
        use Algorithm as A;
        let ec = |curve| EcdsaKeyPair::generate(ecdsa(curve)).map(|key| Self::Ec(curve, key));
        match algorithm {
            A::HS256 => return secret::<32>(),
            A::HS384 => return secret::<48>(),
            A::HS512 => return secret::<64>(),
            A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512 => {
                RsaKeyPair::generate(bits).map(|key| Self::Rsa(Box::new(key)))
            }
            A::ES256 => ec(Curve::P256),
            A::ES384 => ec(Curve::P384),
            A::ES512 => ec(Curve::P521),
            A::EdDSA => Ed25519KeyPair::generate().map(Self::Ed25519),
            A::MlDsa44 | A::MlDsa65 | A::MlDsa87 => ml_dsa(algorithm)
                .ok_or(Unspecified)
                .and_then(PqdsaKeyPair::generate)
                .map(|key| Self::MlDsa(algorithm, Box::new(key))),
        }
        .map_err(|_| anyhow!("the library could not make a key for {algorithm}"))
    }

    /// The type of the key, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "a secret",
            Self::Rsa(_) => "an RSA key",
            Self::Ec(Curve::P256, _) => "a P-256 key",
            Self::Ec(Curve::P384, _) => "a P-384 key",
            Self::Ec(Curve::P521, _) => "a P-521 key",
            Self::Ed25519(_) => "an Ed25519 key",
            Self::MlDsa(..) => "an ML-DSA key",
        }
    }

    /// The algorithm that it signs with by default.
    pub(crate) fn default_algorithm(&self) -> Algorithm {
        match self {
            Self::Secret(_) => Algorithm::HS256,
            Self::Rsa(_) => Algorithm::RS256,
            Self::Ec(Curve::P256, _) => Algorithm::ES256,
            Self::Ec(Curve::P384, _) => Algorithm::ES384,
            Self::Ec(Curve::P521, _) => Algorithm::ES512,
            Self::Ed25519(_) => Algorithm::EdDSA,
            Self::MlDsa(algorithm, _) => *algorithm,
        }
    }

    /// The signature of `algorithm` over `message`.
    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        use Algorithm as A;
        let failed = |_| anyhow!("the library could not sign");
        let mac = |secret: &[u8], with| {
            hmac::sign(&hmac::Key::new(with, secret), message).as_ref().to_vec()
        };
        let rsa = |key: &RsaKeyPair, padding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(padding, &SystemRandom::new(), message, &mut signature).map_err(failed)?;
            Ok(signature)
        };
        match (self, algorithm) {
            (Self::Secret(secret), A::HS256) => Ok(mac(secret, hmac::HMAC_SHA256)),
            (Self::Secret(secret), A::HS384) => Ok(mac(secret, hmac::HMAC_SHA384)),
            (Self::Secret(secret), A::HS512) => Ok(mac(secret, hmac::HMAC_SHA512)),
            (Self::Rsa(key), A::RS256) => rsa(key, &RSA_PKCS1_SHA256),
            (Self::Rsa(key), A::RS384) => rsa(key, &RSA_PKCS1_SHA384),
            (Self::Rsa(key), A::RS512) => rsa(key, &RSA_PKCS1_SHA512),
            (Self::Rsa(key), A::PS256) => rsa(key, &RSA_PSS_SHA256),
            (Self::Rsa(key), A::PS384) => rsa(key, &RSA_PSS_SHA384),
            (Self::Rsa(key), A::PS512) => rsa(key, &RSA_PSS_SHA512),
            (Self::Ec(Curve::P256, key), A::ES256)
            | (Self::Ec(Curve::P384, key), A::ES384)
            | (Self::Ec(Curve::P521, key), A::ES512) => key
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(failed),
            (Self::Ed25519(key), A::EdDSA) => Ok(key.sign(message).as_ref().to_vec()),
            (Self::MlDsa(of, key), _) if *of == algorithm => {
                let mut signature = vec![0; key.algorithm().signature_len()];
                key.sign(message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            _ => bail!(
                "{algorithm} does not go with {}; {} does",
                self.kind(),
                self.default_algorithm()
            ),
        }
    }

    /// The public half as a JWK.
    pub(crate) fn public(&self) -> Result<Jwk> {
        match self {
            Self::Secret(_) => bail!("a shared secret has no public half"),
            Self::Rsa(key) => Ok(public::rsa(key.public_key())),
            Self::Ec(curve, key) => public::ec(*curve, key.public_key().as_ref()),
            Self::Ed25519(key) => Ok(public::ed25519(key.public_key().as_ref())),
            Self::MlDsa(algorithm, key) => {
                Ok(public::ml_dsa(*algorithm, key.public_key().as_ref()))
            }
        }
    }
}

/// A secret that is text: `BYTES` random bytes in base64url. The characters themselves are the secret.
fn secret<const BYTES: usize>() -> Result<Private> {
    let mut random = [0; BYTES];
    rand::fill(&mut random).map_err(|_| anyhow!("no randomness from the system"))?;
    Ok(Private::Secret(base64url::encode(random).into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_of_another_type_is_refused() {
        let key = Private::generate(Algorithm::ES256, KeySize::Rsa2048).unwrap();
        for algorithm in Algorithm::ALL.into_iter().filter(|one| *one != Algorithm::ES256) {
            let error = key.sign(algorithm, b"x").unwrap_err().to_string();
            assert!(error.ends_with("does not go with a P-256 key; ES256 does"), "{error}");
        }
    }
}
