//! The algorithms of encrypted tokens (RFC 7518 sections 4 and 5, RFC 8037 section 3.2), in two tables. A
//! new one needs a variant, a row, and its place in `ALL`.
//!
//! RSA1_5 and PBES2 are not among them, on purpose: the first tells an attacker by its padding, the
//! second has the token say how much work it is.

use std::fmt;

use aws_lc_rs::aead;
use aws_lc_rs::cipher;
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm,
};

/// How a token brings the key of its content: an accepted value of `alg` (RFC 7518 section 4.1,
/// <https://www.iana.org/assignments/jose> for RSA-OAEP-384 and -512).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the documentation
pub enum KeyManagement {
    RsaOaep,
    RsaOaep256,
    RsaOaep384,
    RsaOaep512,
    A128Kw,
    A192Kw,
    A256Kw,
    A128GcmKw,
    A192GcmKw,
    A256GcmKw,
    Dir,
    EcdhEs,
    EcdhEsA128Kw,
    EcdhEsA192Kw,
    EcdhEsA256Kw,
}

/// What an algorithm does with the key of the content.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    /// It is encrypted with RSA.
    Oaep(&'static OaepAlgorithm),
    /// It is wrapped with a shared secret (RFC 3394).
    Wrap(AesSize),
    /// It is encrypted with a shared secret.
    GcmWrap(AesSize),
    /// It is the shared secret.
    Direct,
    /// It is what both sides agree on, or wrapped with that.
    Agree(Option<AesSize>),
}

/// The size of a key of AES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AesSize {
    Aes128,
    Aes192,
    Aes256,
}

impl AesSize {
    pub(super) const ALL: [Self; 3] = [Self::Aes128, Self::Aes192, Self::Aes256];

    /// In bytes.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// AES-GCM with keys of this size.
    pub(super) fn gcm(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128 => &aead::AES_128_GCM,
            Self::Aes192 => &aead::AES_192_GCM,
            Self::Aes256 => &aead::AES_256_GCM,
        }
    }

    /// AES with keys of this size.
    pub(super) fn cipher(self) -> &'static cipher::Algorithm {
        match self {
            Self::Aes128 => &cipher::AES_128,
            Self::Aes192 => &cipher::AES_192,
            Self::Aes256 => &cipher::AES_256,
        }
    }
}

impl KeyManagement {
    /// Every algorithm, in the order of its bit in a [`KeyManagementSet`].
    pub const ALL: [Self; 15] = [
        Self::RsaOaep,
        Self::RsaOaep256,
        Self::RsaOaep384,
        Self::RsaOaep512,
        Self::A128Kw,
        Self::A192Kw,
        Self::A256Kw,
        Self::A128GcmKw,
        Self::A192GcmKw,
        Self::A256GcmKw,
        Self::Dir,
        Self::EcdhEs,
        Self::EcdhEsA128Kw,
        Self::EcdhEsA192Kw,
        Self::EcdhEsA256Kw,
    ];

    fn row(self) -> (&'static str, Mode) {
        use AesSize::{Aes128, Aes192, Aes256};
        use Mode::{Agree, Direct, GcmWrap, Oaep, Wrap};
        match self {
            Self::RsaOaep => ("RSA-OAEP", Oaep(&OAEP_SHA1_MGF1SHA1)),
            Self::RsaOaep256 => ("RSA-OAEP-256", Oaep(&OAEP_SHA256_MGF1SHA256)),
            Self::RsaOaep384 => ("RSA-OAEP-384", Oaep(&OAEP_SHA384_MGF1SHA384)),
            Self::RsaOaep512 => ("RSA-OAEP-512", Oaep(&OAEP_SHA512_MGF1SHA512)),
            Self::A128Kw => ("A128KW", Wrap(Aes128)),
            Self::A192Kw => ("A192KW", Wrap(Aes192)),
            Self::A256Kw => ("A256KW", Wrap(Aes256)),
            Self::A128GcmKw => ("A128GCMKW", GcmWrap(Aes128)),
            Self::A192GcmKw => ("A192GCMKW", GcmWrap(Aes192)),
            Self::A256GcmKw => ("A256GCMKW", GcmWrap(Aes256)),
            Self::Dir => ("dir", Direct),
            Self::EcdhEs => ("ECDH-ES", Agree(None)),
            Self::EcdhEsA128Kw => ("ECDH-ES+A128KW", Agree(Some(Aes128))),
            Self::EcdhEsA192Kw => ("ECDH-ES+A192KW", Agree(Some(Aes192))),
            Self::EcdhEsA256Kw => ("ECDH-ES+A256KW", Agree(Some(Aes256))),
        }
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub(super) fn mode(self) -> Mode {
        self.row().1
    }

    /// The algorithm of that name; names are case-sensitive (RFC 7516 section 4.1.1).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

impl fmt::Display for KeyManagement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of [`KeyManagement`] algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyManagementSet(u16);

impl KeyManagementSet {
    /// Whether `algorithm` is in the set.
    pub fn contains(self, algorithm: KeyManagement) -> bool {
        self.0 & (1 << algorithm as u16) != 0
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The algorithms that are in both sets.
    pub(super) fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The algorithms in the order of [`KeyManagement::ALL`].
    pub fn iter(self) -> impl Iterator<Item = KeyManagement> {
        KeyManagement::ALL.into_iter().filter(move |algorithm| self.contains(*algorithm))
    }

    /// The algorithms for whose mode `accepts` is true.
    pub(super) fn of(accepts: impl Fn(Mode) -> bool) -> Self {
        KeyManagement::ALL.into_iter().filter(|one| accepts(one.mode())).collect()
    }
}

impl FromIterator<KeyManagement> for KeyManagementSet {
    fn from_iter<I: IntoIterator<Item = KeyManagement>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |bits, algorithm| bits | 1 << algorithm as u16))
    }
}

/// How the content is encrypted: an accepted value of `enc` (RFC 7518 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the documentation
pub enum ContentEncryption {
    A128CbcHs256,
    A192CbcHs384,
    A256CbcHs512,
    A128Gcm,
    A192Gcm,
    A256Gcm,
}

/// What encrypts and authenticates.
#[derive(Clone, Copy)]
pub(super) enum Cipher {
    Gcm(AesSize),
    /// AES-CBC, then the HMAC. Half of the key is for each, and the tag has that length too.
    Cbc(AesSize, &'static hmac::Algorithm),
}

/// The longest key of a content, in bytes: that of A256CBC-HS512.
pub(super) const MAX_KEY_LEN: usize = 64;

impl ContentEncryption {
    /// Every algorithm.
    pub const ALL: [Self; 6] = [
        Self::A128CbcHs256,
        Self::A192CbcHs384,
        Self::A256CbcHs512,
        Self::A128Gcm,
        Self::A192Gcm,
        Self::A256Gcm,
    ];

    fn row(self) -> (&'static str, Cipher) {
        use AesSize::{Aes128, Aes192, Aes256};
        use Cipher::{Cbc, Gcm};
        match self {
            Self::A128CbcHs256 => ("A128CBC-HS256", Cbc(Aes128, &hmac::HMAC_SHA256)),
            Self::A192CbcHs384 => ("A192CBC-HS384", Cbc(Aes192, &hmac::HMAC_SHA384)),
            Self::A256CbcHs512 => ("A256CBC-HS512", Cbc(Aes256, &hmac::HMAC_SHA512)),
            Self::A128Gcm => ("A128GCM", Gcm(Aes128)),
            Self::A192Gcm => ("A192GCM", Gcm(Aes192)),
            Self::A256Gcm => ("A256GCM", Gcm(Aes256)),
        }
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub(super) fn cipher(self) -> Cipher {
        self.row().1
    }

    /// The length of its key, in bytes.
    pub fn key_len(self) -> usize {
        match self.cipher() {
            Cipher::Gcm(size) => size.len(),
            Cipher::Cbc(size, _) => 2 * size.len(),
        }
    }

    /// The algorithm of that name; names are case-sensitive (RFC 7516 section 4.1.2).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

impl fmt::Display for ContentEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bits_are_one_to_one() {
        for algorithm in KeyManagement::ALL {
            assert_eq!(KeyManagement::from_name(algorithm.name()), Some(algorithm));
            let set: KeyManagementSet = [algorithm].into_iter().collect();
            assert!(set.iter().eq([algorithm]));
        }
        for algorithm in ContentEncryption::ALL {
            assert_eq!(ContentEncryption::from_name(algorithm.name()), Some(algorithm));
            assert!(algorithm.key_len() <= MAX_KEY_LEN);
        }
        let refused = ["RSA1_5", "PBES2-HS256+A128KW", "none", "rsa-oaep", "RSA-OAEP-1", "HS256"];
        for bad in refused {
            assert_eq!(KeyManagement::from_name(bad), None, "{bad}");
        }
        for bad in ["A128CBC", "A256CBC-HS256", "a128gcm", "C20P", "XC20P"] {
            assert_eq!(ContentEncryption::from_name(bad), None, "{bad}");
        }
    }
}
