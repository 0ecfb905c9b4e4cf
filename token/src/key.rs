//! A key that verifies signatures. Its type and algorithms are fixed when it is loaded.
//!
//! The header of a token can only choose among the algorithms of its key (RFC 8725 section 3.1), so a
//! public key can never be used as an HMAC secret.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use hmac::{Hmac, KeyInit as _};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::alg::{Algorithm, AlgorithmSet, Curve, Hash, Scheme};
use crate::identity::without_leading_zeros;

/// Smallest RSA modulus, in bits (RFC 7518 section 3.3).
pub const RSA_MIN_BITS: usize = 2048;
/// Largest RSA modulus, in bits: the cost of a verification grows with its square.
pub const RSA_MAX_BITS: usize = 8192;
/// Smallest RSA public exponent (NIST SP 800-56B section 6.2).
const RSA_MIN_EXPONENT: u64 = 65_537;
/// Largest RSA public exponent, 33 bits, the limit of BoringSSL and ring.
const RSA_MAX_EXPONENT: u64 = (1 << 33) - 1;

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum KeyError {
    #[error("the secret is empty")]
    EmptySecret,
    #[error("RSA modulus of {0} bits; {RSA_MIN_BITS} to {RSA_MAX_BITS} are accepted")]
    RsaSize(usize),
    #[error("RSA modulus is even")]
    RsaEven,
    #[error("RSA exponent must be odd and from {RSA_MIN_EXPONENT} to {RSA_MAX_EXPONENT}")]
    RsaExponent,
    #[error("coordinate of {got} bytes; {curve} has {want}")]
    Coordinate { curve: &'static str, got: usize, want: usize },
    #[error("not a point of {0}")]
    Point(&'static str),
    #[error("Ed25519 public key of {0} bytes; it has 32")]
    Ed25519Size(usize),
    #[error("Ed25519 public key of low order or not in canonical form")]
    Ed25519Point,
    #[error("{algorithm} public key of {got} bytes; it has {want}")]
    MlDsaSize { algorithm: Algorithm, got: usize, want: usize },
    #[error("algorithm {algorithm} does not go with a key of type {kind}")]
    Mismatch { algorithm: String, kind: &'static str },
    #[error("the library refuses the key")]
    Library,
}

/// A hash of the DER certificate that a key came with (RFC 7517 sections 4.8 and 4.9).
///
/// It only chooses a key: it vouches for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Thumbprint {
    /// `x5t`.
    Sha1([u8; 20]),
    /// `x5t#S256`.
    Sha256([u8; 32]),
}

impl Thumbprint {
    /// Both thumbprints of a certificate in DER.
    pub(crate) fn of_certificate(der: &[u8]) -> Vec<Self> {
        let hash = |algorithm| digest::digest(algorithm, der);
        let sha1 = hash(&digest::SHA1_FOR_LEGACY_USE_ONLY).as_ref().try_into().map(Self::Sha1);
        let sha256 = hash(&digest::SHA256).as_ref().try_into().map(Self::Sha256);
        sha256.into_iter().chain(sha1).collect()
    }
}

/// A key that verifies signatures.
pub struct Key {
    kid: Option<Box<str>>,
    algorithms: AlgorithmSet,
    expires: Option<i64>,
    thumbprints: Box<[Thumbprint]>,
    for_any_kid: bool,
    /// Of a public key.
    fingerprint: Option<[u8; 32]>,
    material: Material,
}

enum Material {
    Hmac(Box<HmacKeys>),
    /// The key, parsed once for each algorithm: parsing costs more than some verifications.
    Public(Vec<(Algorithm, ParsedPublicKey)>),
}

/// HMAC states that have already processed the key, which saves time at each use. They are zeroised on
/// drop.
pub(crate) struct HmacKeys {
    sha256: Option<Hmac<Sha256>>,
    sha384: Option<Hmac<Sha384>>,
    sha512: Option<Hmac<Sha512>>,
}

impl Key {
    /// An HMAC key. Of `algorithms`, it verifies those that are HMACs.
    pub fn hmac(secret: &[u8], algorithms: AlgorithmSet) -> Result<Self, KeyError> {
        if secret.is_empty() {
            return Err(KeyError::EmptySecret);
        }
        let fitting = AlgorithmSet::of(|scheme| matches!(scheme, Scheme::Hmac(_)));
        let algorithms = narrow("oct", fitting, algorithms)?;
        let keys = HmacKeys::new(secret, algorithms);
        Ok(Self::new(algorithms, Material::Hmac(Box::new(keys))))
    }

    /// An RSA public key from its modulus and exponent, big-endian.
    pub fn rsa(n: &[u8], e: &[u8], algorithms: AlgorithmSet) -> Result<Self, KeyError> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !(RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits) {
            return Err(KeyError::RsaSize(bits));
        }
        if n.last().is_some_and(|last| last % 2 == 0) {
            return Err(KeyError::RsaEven);
        }
        let exponent = match e.len() {
            1..=8 => e.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
            _ => 0,
        };
        if exponent % 2 == 0 || !(RSA_MIN_EXPONENT..=RSA_MAX_EXPONENT).contains(&exponent) {
            return Err(KeyError::RsaExponent);
        }
        let fitting = AlgorithmSet::of(|scheme| matches!(scheme, Scheme::Rsa(_)));
        Self::public(narrow("RSA", fitting, algorithms)?, |scheme| match scheme {
            Scheme::Rsa(parameters) => {
                PublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok()
            }
            _ => None,
        })
        .ok_or(KeyError::Library)
    }

    /// An elliptic curve public key from its affine coordinates, big-endian, each of exactly the
    /// curve's length (RFC 7518 section 6.2.1.2).
    pub fn ec(
        curve: Curve,
        x: &[u8],
        y: &[u8],
        algorithms: AlgorithmSet,
    ) -> Result<Self, KeyError> {
        let want = curve.coordinate_len();
        for got in [x.len(), y.len()] {
            if got != want {
                return Err(KeyError::Coordinate { curve: curve.name(), got, want });
            }
        }
        Self::ec_point(curve, &[&[4], x, y].concat(), algorithms)
    }

    /// An elliptic curve public key from its uncompressed point (SEC 1 section 2.3.3).
    pub fn ec_point(
        curve: Curve,
        point: &[u8],
        algorithms: AlgorithmSet,
    ) -> Result<Self, KeyError> {
        let fitting = AlgorithmSet::of(|scheme| matches!(scheme, Scheme::Ec(c, _) if c == curve));
        Self::public(narrow(curve.name(), fitting, algorithms)?, |scheme| match scheme {
            Scheme::Ec(_, verifier) => ParsedPublicKey::new(verifier, point).ok(),
            _ => None,
        })
        .ok_or(KeyError::Point(curve.name()))
    }

    /// An Ed25519 public key (RFC 8032 section 5.1.5).
    pub fn ed25519(public: &[u8], algorithms: AlgorithmSet) -> Result<Self, KeyError> {
        let bytes = public.try_into().map_err(|_| KeyError::Ed25519Size(public.len()))?;
        if is_low_order_or_not_canonical(bytes) {
            return Err(KeyError::Ed25519Point);
        }
        let fitting = AlgorithmSet::of(|scheme| matches!(scheme, Scheme::Ed25519));
        Self::public(narrow("Ed25519", fitting, algorithms)?, |scheme| match scheme {
            Scheme::Ed25519 => ParsedPublicKey::new(&ED25519, public).ok(),
            _ => None,
        })
        .ok_or(KeyError::Point("Ed25519"))
    }

    /// An ML-DSA public key (FIPS 204 section 7.2). A key is for one algorithm, which RFC 9964 section 3
    /// has each key name: `algorithm`.
    pub fn ml_dsa(public: &[u8], algorithm: Algorithm) -> Result<Self, KeyError> {
        let Scheme::MlDsa(want, verifier) = algorithm.scheme() else {
            return Err(KeyError::Mismatch { algorithm: algorithm.to_string(), kind: "AKP" });
        };
        // The library would take a SubjectPublicKeyInfo too.
        if public.len() != want {
            return Err(KeyError::MlDsaSize { algorithm, got: public.len(), want });
        }
        Self::public(AlgorithmSet::from_iter([algorithm]), |_| {
            ParsedPublicKey::new(verifier, public).ok()
        })
        .ok_or(KeyError::Library)
    }

    fn public(
        algorithms: AlgorithmSet,
        parse: impl Fn(Scheme) -> Option<ParsedPublicKey>,
    ) -> Option<Self> {
        let parsed = algorithms
            .iter()
            .map(|algorithm| Some((algorithm, parse(algorithm.scheme())?)))
            .collect::<Option<Vec<_>>>()?;
        Some(Self::new(algorithms, Material::Public(parsed)))
    }

    fn new(algorithms: AlgorithmSet, material: Material) -> Self {
        let mut key = Self {
            kid: None,
            algorithms,
            expires: None,
            thumbprints: Box::default(),
            for_any_kid: false,
            fingerprint: None,
            material,
        };
        key.fingerprint = key.public_bytes().map(|bytes| Sha256::digest(bytes).into());
        key
    }

    /// Gives the key its identifier.
    #[must_use]
    pub fn with_kid(mut self, kid: Option<&str>) -> Self {
        self.kid = kid.map(Into::into);
        self
    }

    /// Sets the time (seconds since the epoch) from which on the key is not accepted any more.
    #[must_use]
    pub fn with_expires(mut self, time: Option<i64>) -> Self {
        self.expires = time;
        self
    }

    /// Gives the key the thumbprints of its certificate.
    #[must_use]
    pub(crate) fn with_thumbprints(
        mut self,
        thumbprints: impl IntoIterator<Item = Thumbprint>,
    ) -> Self {
        self.thumbprints = thumbprints.into_iter().collect();
        self
    }

    pub(crate) fn set_thumbprints(&mut self, thumbprints: Vec<Thumbprint>) {
        self.thumbprints = thumbprints.into();
    }

    /// Makes it the key of tokens without a kid, or with a kid that no other key has. It has no kid of
    /// its own.
    #[must_use]
    pub(crate) fn for_any_kid(mut self) -> Self {
        (self.kid, self.for_any_kid) = (None, true);
        self
    }

    /// The thumbprints of the certificate that it came with.
    pub(crate) fn thumbprints(&self) -> &[Thumbprint] {
        &self.thumbprints
    }

    /// Whether it is for tokens without a kid, or with a kid that no other key has.
    pub(crate) fn is_for_any_kid(&self) -> bool {
        self.for_any_kid
    }

    /// The key's identifier.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithms that it verifies.
    pub fn algorithms(&self) -> AlgorithmSet {
        self.algorithms
    }

    /// Whether it is still accepted at `now`, in seconds since the epoch.
    pub fn is_current(&self, now: i64) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// The first second in which it is not valid any more, since the epoch.
    pub(crate) fn expires(&self) -> Option<i64> {
        self.expires
    }

    /// Whether this is a shared secret rather than a public key.
    pub fn is_secret(&self) -> bool {
        matches!(self.material, Material::Hmac(_))
    }

    /// The bytes of a public key: of an RSA key its SubjectPublicKeyInfo in DER (RFC 5280 section 4.1). `None`
    /// for a secret.
    pub(crate) fn public_bytes(&self) -> Option<&[u8]> {
        match &self.material {
            Material::Public(keys) => keys.first().map(|(_, key)| key.as_ref()),
            Material::Hmac(_) => None,
        }
    }

    /// A hash of the bytes of a public key, which tells it from all others. `None` for a secret.
    pub(crate) fn fingerprint(&self) -> Option<&[u8; 32]> {
        self.fingerprint.as_ref()
    }

    /// Whether `signature` is this key's signature of `message` with `algorithm`. False if `algorithm`
    /// is not one of the key's. HMACs are compared in constant time.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (&self.material, algorithm.scheme()) {
            (Material::Hmac(keys), Scheme::Hmac(hash)) => keys.verify(hash, message, signature),
            (Material::Public(keys), _) => keys
                .iter()
                .find(|(of, _)| *of == algorithm)
                .is_some_and(|(_, key)| key.verify_sig(message, signature).is_ok()),
            _ => false,
        }
    }
}

impl fmt::Debug for Key {
    // The key material is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

impl HmacKeys {
    /// The states for those of `algorithms` that are HMACs.
    pub(crate) fn new(secret: &[u8], algorithms: AlgorithmSet) -> Self {
        let has = |algorithm| algorithms.contains(algorithm);
        Self {
            sha256: has(Algorithm::HS256).then(|| Hmac::new_from_slice(secret).ok()).flatten(),
            sha384: has(Algorithm::HS384).then(|| Hmac::new_from_slice(secret).ok()).flatten(),
            sha512: has(Algorithm::HS512).then(|| Hmac::new_from_slice(secret).ok()).flatten(),
        }
    }

    /// The HMAC of `message`; `None` if there is no state for this hash.
    pub(crate) fn sign(&self, hash: Hash, message: &[u8]) -> Option<Vec<u8>> {
        fn tag<M: hmac::Mac + Clone>(key: Option<&M>, message: &[u8]) -> Option<Vec<u8>> {
            Some(key?.clone().chain_update(message).finalize().into_bytes().to_vec())
        }
        match hash {
            Hash::Sha256 => tag(self.sha256.as_ref(), message),
            Hash::Sha384 => tag(self.sha384.as_ref(), message),
            Hash::Sha512 => tag(self.sha512.as_ref(), message),
        }
    }

    fn verify(&self, hash: Hash, message: &[u8], tag: &[u8]) -> bool {
        fn matches<M: hmac::Mac + Clone>(key: Option<&M>, message: &[u8], tag: &[u8]) -> bool {
            key.is_some_and(|key| key.clone().chain_update(message).verify_slice(tag).is_ok())
        }
        match hash {
            Hash::Sha256 => matches(self.sha256.as_ref(), message, tag),
            Hash::Sha384 => matches(self.sha384.as_ref(), message, tag),
            Hash::Sha512 => matches(self.sha512.as_ref(), message, tag),
        }
    }
}

/// The algorithms that are both possible for the key's type (`fitting`) and `wanted`.
fn narrow(
    kind: &'static str,
    fitting: AlgorithmSet,
    wanted: AlgorithmSet,
) -> Result<AlgorithmSet, KeyError> {
    let both = fitting.intersection(wanted);
    if both.is_empty() {
        let names: Vec<_> = wanted.iter().map(Algorithm::name).collect();
        return Err(KeyError::Mismatch { algorithm: names.join(", "), kind });
    }
    Ok(both)
}

/// Whether the y coordinate belongs to a point of order 1, 2, 4 or 8, or is not below 2^255 - 19.
///
/// For a public key of low order there are signatures that are valid for every message.
fn is_low_order_or_not_canonical(mut point: [u8; 32]) -> bool {
    /// The y coordinates of the two pairs of points of order 8, little-endian.
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let [first, middle @ .., last] = &mut point;
    *last &= 0x7f; // the sign of x
    let (first, last) = (*first, *last);
    let low = last == 0 && first <= 1 && middle.iter().all(|byte| *byte == 0); // y = 0, 1
    let high = last == 0x7f && first >= 0xec && middle.iter().all(|byte| *byte == 0xff); // p-1, ≥p
    low || high || ORDER_8.contains(&point)
}

#[cfg(test)]
mod tests {
    use hmac::Mac as _;

    use super::*;

    const ALL: AlgorithmSet = AlgorithmSet::ALL;

    #[test]
    fn each_public_key_has_a_fingerprint_of_its_own_and_no_secret_has_one() {
        let files = [
            include_str!("../../tests/keys/rsa2048.pub.pem"),
            include_str!("../../tests/keys/rsa2048-other.pub.pem"),
            include_str!("../../tests/keys/p256.pub.pem"),
            include_str!("../../tests/keys/p256-other.pub.pem"),
            include_str!("../../tests/keys/p384.pub.pem"),
            include_str!("../../tests/keys/p521.pub.pem"),
            include_str!("../../tests/keys/ed25519.pub.pem"),
            include_str!("../../tests/keys/ml-dsa-44.pub.pem"),
            include_str!("../../tests/keys/ml-dsa-65.pub.pem"),
            include_str!("../../tests/keys/ml-dsa-87.pub.pem"),
        ];
        let mut known = Vec::new();
        for file in files {
            let keys = crate::load_keys(file.as_bytes(), None).unwrap().keys;
            let [key] = keys.as_slice() else { panic!("not one key") };
            assert!(key.public_bytes().unwrap().len() >= 32);
            let fingerprint = *key.fingerprint().unwrap();
            assert!(!known.contains(&fingerprint), "{file}");
            known.push(fingerprint);
        }
        assert_eq!(Key::hmac(b"secret", ALL).unwrap().fingerprint(), None);
    }

    #[test]
    fn weak_keys_are_refused_by_name() {
        let modulus = |bits: usize| {
            let mut n = vec![0xff; bits / 8];
            n[0] = 0x80;
            n
        };
        let e = [1, 0, 1];
        let rsa = |n: &[u8], e: &[u8]| Key::rsa(n, e, ALL).map(|_| ()).unwrap_err();
        assert_eq!(rsa(&modulus(1024), &e), KeyError::RsaSize(1024));
        assert_eq!(rsa(&modulus(8200), &e), KeyError::RsaSize(8200));
        assert_eq!(rsa(&[], &e), KeyError::RsaSize(0));
        let mut even = modulus(2048);
        *even.last_mut().unwrap() = 0;
        assert_eq!(rsa(&even, &e), KeyError::RsaEven);
        for bad in [&[][..], &[0], &[1], &[3], &[1, 0, 0], &[0xff; 5], &[1; 9]] {
            assert_eq!(rsa(&modulus(2048), bad), KeyError::RsaExponent, "{bad:?}");
        }
        assert!(Key::rsa(&modulus(2048), &e, ALL).is_ok());
        assert_eq!(Key::hmac(b"", ALL).unwrap_err(), KeyError::EmptySecret);
        assert!(Key::ec(Curve::P256, &[1; 31], &[1; 32], ALL).is_err());
        assert_eq!(
            Key::ec(Curve::P256, &[1; 32], &[1; 32], ALL).unwrap_err(),
            KeyError::Point("P-256")
        );
    }

    #[test]
    fn ed25519_points_of_low_order_are_refused() {
        let mut one = [0; 32];
        one[0] = 1;
        let mut sign = one;
        sign[31] = 0x80;
        let mut p_minus_1 = [0xff; 32];
        p_minus_1[0] = 0xec;
        p_minus_1[31] = 0x7f;
        for bad in [[0; 32], one, sign, p_minus_1, [0xff; 32]] {
            assert_eq!(Key::ed25519(&bad, ALL).unwrap_err(), KeyError::Ed25519Point);
        }
        assert_eq!(Key::ed25519(&[1; 31], ALL).unwrap_err(), KeyError::Ed25519Size(31));
    }

    #[test]
    fn a_key_has_the_thumbprints_that_it_was_given() {
        let key = Key::hmac(b"secret", ALL).unwrap().with_kid(Some("a"));
        assert_eq!(key.thumbprints(), []);
        assert!(!key.is_for_any_kid());
        let key = key.with_thumbprints(Thumbprint::of_certificate(b"abc")).for_any_kid();
        let [Thumbprint::Sha256(sha256), Thumbprint::Sha1(sha1)] = key.thumbprints() else {
            panic!("{:?}", key.thumbprints());
        };
        assert!(hex::encode(sha256).starts_with("ba7816bf8f01cfea"));
        assert_eq!(hex::encode(sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(key.is_for_any_kid());
        assert_eq!(key.kid(), None);
    }

    #[test]
    fn a_key_verifies_only_what_it_was_loaded_for() {
        let key = Key::hmac(b"secret", [Algorithm::HS384].into_iter().collect()).unwrap();
        let tag = Hmac::<Sha256>::new_from_slice(b"secret").unwrap().chain_update(b"m").finalize();
        assert!(!key.verify(Algorithm::HS256, b"m", &tag.into_bytes()));
        let tag = Hmac::<Sha384>::new_from_slice(b"secret").unwrap().chain_update(b"m").finalize();
        assert!(key.verify(Algorithm::HS384, b"m", &tag.clone().into_bytes()));
        assert!(!key.verify(Algorithm::RS384, b"m", &tag.into_bytes()));
        let mismatch = Key::hmac(b"secret", [Algorithm::RS256].into_iter().collect());
        assert!(mismatch.unwrap_err().to_string().contains("RS256 does not go with"));
    }
}
