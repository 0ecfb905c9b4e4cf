//! The key pairs that sign here.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as lc, RsaKeyPair};
use jsonwebtoken as second;
use proptest::prelude::*;
use token::base64url::{decode, encode};
use token::{Algorithm, Key, KeySet, load_keys};

pub(crate) type Sign = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;
pub(crate) type Verify = Box<dyn Fn(&[u8], &[u8]) -> bool + Send + Sync>;

/// The key pair that signs for an algorithm here.
pub(crate) struct Pair {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: &'static str,
    pub(crate) jwk: String,
    pub(crate) sign: Sign,
    pub(crate) verify: Verify,
    /// `jsonwebtoken`'s name for the algorithm, and its key; it has no ES512 and no ML-DSA.
    pub(crate) second: Option<(second::Algorithm, second::DecodingKey)>,
}

pub(crate) const SECRET: &[u8] =
    b"a secret of sixty-four bytes, so that HS512 gives no warning .....";

pub(crate) static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let hmac = |algorithm, name| {
        let key = second::EncodingKey::from_secret(SECRET);
        let jwk = format!(r#"{{"kty":"oct","k":"{}"}}"#, encode(SECRET));
        Pair::new(algorithm, name, "hmac", jwk, key, second::DecodingKey::from_secret(SECRET))
    };
    let ec = |algorithm, name, kid, pem: &str, public: &str, jwk: &str| {
        let key = second::EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
        let public = second::DecodingKey::from_ec_pem(public.as_bytes()).unwrap();
        Pair::new(algorithm, name, kid, jwk.into(), key, public)
    };
    let (ed, ed_public) = (key_file!("ed25519.pem"), key_file!("ed25519.pub.pem"));
    let mut pairs = vec![
        hmac(Algorithm::HS256, second::Algorithm::HS256),
        hmac(Algorithm::HS384, second::Algorithm::HS384),
        hmac(Algorithm::HS512, second::Algorithm::HS512),
        ec(
            Algorithm::ES256,
            second::Algorithm::ES256,
            "p256",
            key_file!("p256.pem"),
            key_file!("p256.pub.pem"),
            key_file!("p256.jwk.json"),
        ),
        ec(
            Algorithm::ES384,
            second::Algorithm::ES384,
            "p384",
            key_file!("p384.pem"),
            key_file!("p384.pub.pem"),
            key_file!("p384.jwk.json"),
        ),
        Pair::new(
            Algorithm::EdDSA,
            second::Algorithm::EdDSA,
            "ed25519",
            key_file!("ed25519.jwk.json").into(),
            second::EncodingKey::from_ed_pem(ed.as_bytes()).unwrap(),
            second::DecodingKey::from_ed_pem(ed_public.as_bytes()).unwrap(),
        ),
        p521_pair(),
        ml_dsa_pair::<ml_dsa::MlDsa44>(Algorithm::MlDsa44, "ml-dsa-44"),
        ml_dsa_pair::<ml_dsa::MlDsa65>(Algorithm::MlDsa65, "ml-dsa-65"),
        ml_dsa_pair::<ml_dsa::MlDsa87>(Algorithm::MlDsa87, "ml-dsa-87"),
    ];
    pairs.extend([
        rsa_pair(Algorithm::RS256, second::Algorithm::RS256, &lc::RSA_PKCS1_SHA256),
        rsa_pair(Algorithm::RS384, second::Algorithm::RS384, &lc::RSA_PKCS1_SHA384),
        rsa_pair(Algorithm::RS512, second::Algorithm::RS512, &lc::RSA_PKCS1_SHA512),
        rsa_pair(Algorithm::PS256, second::Algorithm::PS256, &lc::RSA_PSS_SHA256),
        rsa_pair(Algorithm::PS384, second::Algorithm::PS384, &lc::RSA_PSS_SHA384),
        rsa_pair(Algorithm::PS512, second::Algorithm::PS512, &lc::RSA_PSS_SHA512),
    ]);
    assert_eq!(pairs.len(), Algorithm::ALL.len());
    pairs
});

impl Pair {
    /// A pair whose signatures `jsonwebtoken` makes and verifies.
    pub(crate) fn new(
        algorithm: Algorithm,
        name: second::Algorithm,
        kid: &'static str,
        jwk: String,
        key: second::EncodingKey,
        public: second::DecodingKey,
    ) -> Self {
        let sign = move |message: &[u8]| {
            decode(second::crypto::sign(message, &key, name).unwrap().as_bytes()).unwrap()
        };
        Self::signing(algorithm, name, kid, jwk, Box::new(sign), public)
    }

    pub(crate) fn signing(
        algorithm: Algorithm,
        name: second::Algorithm,
        kid: &'static str,
        jwk: String,
        sign: Sign,
        public: second::DecodingKey,
    ) -> Self {
        let key = public.clone();
        let verify = Box::new(move |message: &[u8], signature: &[u8]| {
            second::crypto::verify(&encode(signature), message, &key, name).unwrap_or(false)
        });
        Self { algorithm, kid, jwk, sign, verify, second: Some((name, public)) }
    }

    pub(crate) fn key(&self) -> Key {
        let key = load_keys(self.jwk.as_bytes(), Some(self.kid)).unwrap().keys.remove(0);
        assert!(key.algorithms().contains(self.algorithm));
        key
    }
}

/// Signed by aws-lc-rs, as the private operation of `rsa` takes seconds without optimisation.
pub(crate) fn rsa_pair(
    algorithm: Algorithm,
    name: second::Algorithm,
    encoding: &'static dyn lc::RsaEncoding,
) -> Pair {
    let key = rsa_key(key_file!("rsa2048.pem"));
    let sign = move |message: &[u8]| {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    };
    let public = key_file!("rsa2048.pub.pem");
    let public = second::DecodingKey::from_rsa_pem(public.as_bytes()).unwrap();
    let jwk = key_file!("rsa2048.jwk.json").into();
    Pair::signing(algorithm, name, "rsa", jwk, Box::new(sign), public)
}

pub(crate) fn rsa_key(pem: &str) -> RsaKeyPair {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let base64 = base64.trim_end_matches('=').replace('+', "-").replace('/', "_");
    RsaKeyPair::from_pkcs8(&decode(base64.as_bytes()).unwrap()).unwrap()
}

pub(crate) fn p521_pair() -> Pair {
    use p521::ecdsa::signature::{Signer as _, Verifier as _};
    use p521::ecdsa::{Signature, SigningKey, VerifyingKey};
    use p521::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
    let secret = p521::SecretKey::from_pkcs8_pem(key_file!("p521.pem")).unwrap();
    let key = SigningKey::from_slice(&secret.to_bytes()).unwrap();
    let public = p521::PublicKey::from_public_key_pem(key_file!("p521.pub.pem")).unwrap();
    let public = VerifyingKey::from_affine(*public.as_affine()).unwrap();
    Pair {
        algorithm: Algorithm::ES512,
        kid: "p521",
        jwk: key_file!("p521.jwk.json").into(),
        sign: Box::new(move |message| {
            let signature: Signature = key.sign(message);
            signature.to_bytes().to_vec()
        }),
        verify: Box::new(move |message, signature| {
            Signature::from_slice(signature)
                .is_ok_and(|signature| public.verify(message, &signature).is_ok())
        }),
        second: None,
    }
}

/// The pair of a seed of zeros, which serves the examples of RFC 9964 too.
pub(crate) fn ml_dsa_pair<P: ml_dsa::MlDsaParams + 'static>(
    algorithm: Algorithm,
    kid: &'static str,
) -> Pair {
    use ml_dsa::{EncodedSignature, Keypair as _, Seed, Signature, SigningKey};
    let key = SigningKey::<P>::from_seed(&Seed::default());
    let public = key.verifying_key();
    let encoded = encode(public.encode());
    Pair {
        algorithm,
        kid,
        jwk: format!(r#"{{"kty":"AKP","alg":"{algorithm}","pub":"{encoded}"}}"#),
        sign: Box::new(move |message| {
            let signature = key.expanded_key().sign_deterministic(message, b"").unwrap();
            signature.encode().to_vec()
        }),
        verify: Box::new(move |message, signature| {
            let encoded = EncodedSignature::<P>::try_from(signature).ok();
            let signature = encoded.and_then(|it| Signature::<P>::decode(&it));
            signature.is_some_and(|it| public.verify_with_context(message, b"", &it))
        }),
        second: None,
    }
}

pub(crate) fn pair(algorithm: Algorithm) -> &'static Pair {
    PAIRS.iter().find(|pair| pair.algorithm == algorithm).unwrap()
}

pub(crate) fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    proptest::sample::select(Algorithm::ALL.to_vec())
}

/// One key of each pair under its kid, and two that have none.
pub(crate) static KEYS: LazyLock<Arc<KeySet>> = LazyLock::new(|| {
    let mut keys = Vec::new();
    for pair in PAIRS.iter() {
        if keys.iter().all(|key: &Key| key.kid() != Some(pair.kid)) {
            keys.push(pair.key());
        }
    }
    for unnamed in [key_file!("p256-other.jwk.json"), key_file!("rsa2048-other.pub.pem")] {
        keys.extend(load_keys(unnamed.as_bytes(), None).unwrap().keys);
    }
    Arc::new(KeySet::new(keys))
});
