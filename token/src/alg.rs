//! The signature algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864, RFC 9964) in one table.
//! A new one needs a variant, a row, and its place in [`Algorithm::ALL`].

use std::cell::Cell;
use std::fmt;

use aws_lc_rs::rsa::RsaParameters;
use aws_lc_rs::signature as lc;

/// An accepted value of the `alg` header; `none` is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the documentation
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// How an algorithm verifies signatures, and which type of key it needs.
#[derive(Clone, Copy)]
pub(crate) enum Scheme {
    Hmac(Hash),
    Rsa(&'static RsaParameters),
    /// A signature is r followed by s, each of fixed length (RFC 7518 section 3.4).
    Ec(Curve, &'static lc::EcdsaVerificationAlgorithm),
    Ed25519,
    /// The length of a public key, in bytes, and what verifies (FIPS 204 section 4, RFC 9964).
    MlDsa(usize, &'static lc::PqdsaVerificationAlgorithm),
}

/// The curves of ES256, ES384 and ES512.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    /// The JWK `crv` (RFC 7518 section 6.2.1.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The curve of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::P256, Self::P384, Self::P521].into_iter().find(|curve| curve.name() == name)
    }

    /// The length of one coordinate, in bytes.
    pub fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

impl Algorithm {
    /// Every algorithm, in the order of its bit in an [`AlgorithmSet`].
    pub const ALL: [Self; 16] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    fn row(self) -> (&'static str, Scheme) {
        use Scheme::{Ec, Ed25519, Hmac, MlDsa, Rsa};
        match self {
            Self::HS256 => ("HS256", Hmac(Hash::Sha256)),
            Self::HS384 => ("HS384", Hmac(Hash::Sha384)),
            Self::HS512 => ("HS512", Hmac(Hash::Sha512)),
            Self::RS256 => ("RS256", Rsa(&lc::RSA_PKCS1_2048_8192_SHA256)),
            Self::RS384 => ("RS384", Rsa(&lc::RSA_PKCS1_2048_8192_SHA384)),
            Self::RS512 => ("RS512", Rsa(&lc::RSA_PKCS1_2048_8192_SHA512)),
            Self::PS256 => ("PS256", Rsa(&lc::RSA_PSS_2048_8192_SHA256)),
            Self::PS384 => ("PS384", Rsa(&lc::RSA_PSS_2048_8192_SHA384)),
            Self::PS512 => ("PS512", Rsa(&lc::RSA_PSS_2048_8192_SHA512)),
            Self::ES256 => ("ES256", Ec(Curve::P256, &lc::ECDSA_P256_SHA256_FIXED)),
            Self::ES384 => ("ES384", Ec(Curve::P384, &lc::ECDSA_P384_SHA384_FIXED)),
            Self::ES512 => ("ES512", Ec(Curve::P521, &lc::ECDSA_P521_SHA512_FIXED)),
            Self::EdDSA => ("EdDSA", Ed25519),
            Self::MlDsa44 => ("ML-DSA-44", MlDsa(1312, &lc::ML_DSA_44)),
            Self::MlDsa65 => ("ML-DSA-65", MlDsa(1952, &lc::ML_DSA_65)),
            Self::MlDsa87 => ("ML-DSA-87", MlDsa(2592, &lc::ML_DSA_87)),
        }
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub(crate) fn scheme(self) -> Scheme {
        self.row().1
    }

    /// The algorithm of that name; names are case-sensitive (RFC 7515 section 4.1.1). `Ed25519`
    /// (RFC 9864 section 2.2) is another name of what `EdDSA` means here: there is no key of another
    /// curve.
    pub fn from_name(name: &str) -> Option<Self> {
        let named = Self::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        named.or((name == "Ed25519").then_some(Self::EdDSA))
    }

    /// Its index in [`Algorithm::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlgorithmSet(u16);

impl AlgorithmSet {
    /// The set of all algorithms.
    pub const ALL: Self = Self(u16::MAX >> (16 - Algorithm::ALL.len()));

    /// Whether `algorithm` is in the set.
    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & (1 << algorithm.index()) != 0
    }

    /// The algorithms that are in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The algorithms that are in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The algorithms in the order of [`Algorithm::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(move |algorithm| self.contains(*algorithm))
    }

    /// The algorithms for whose scheme `accepts` is true.
    pub(crate) fn of(accepts: impl Fn(Scheme) -> bool) -> Self {
        Algorithm::ALL.into_iter().filter(|algorithm| accepts(algorithm.scheme())).collect()
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |bits, algorithm| bits | 1 << algorithm.index()))
    }
}

/// How many signatures were made or verified, of each algorithm: those that were wrong, too.
#[derive(Debug, Default)]
pub struct SignatureCounts {
    of: [Cell<u64>; Algorithm::ALL.len()],
    spared: Cell<u64>,
}

impl SignatureCounts {
    /// Counts one more.
    pub fn count(&self, algorithm: Algorithm) {
        if let Some(count) = self.of.get(algorithm.index()) {
            count.set(count.get() + 1);
        }
    }

    /// Counts one that need not be verified, since the memo of all workers had it.
    pub(crate) fn count_spared(&self) {
        self.spared.set(self.spared.get() + 1);
    }

    /// How many need not be verified, since the memo of all workers had them.
    pub fn spared(&self) -> u64 {
        self.spared.get()
    }

    /// The counts, in the order of [`Algorithm::ALL`].
    pub fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        self.of.iter().map(Cell::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bits_are_one_to_one() {
        for (i, algorithm) in Algorithm::ALL.into_iter().enumerate() {
            assert_eq!(algorithm.index(), i);
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
            assert!(AlgorithmSet::ALL.contains(algorithm));
            assert!(!AlgorithmSet::default().contains(algorithm));
        }
        assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDSA));
        for bad in [
            "none",
            "None",
            "ed25519",
            "Ed448",
            "hs256",
            "HS256 ",
            "",
            "ES521",
            "ES256K",
            "RS1",
            "ML-DSA",
            "ml-dsa-44",
        ] {
            assert_eq!(Algorithm::from_name(bad), None);
        }
    }
}
