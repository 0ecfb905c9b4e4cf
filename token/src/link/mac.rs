//! Hashes over the text of a link, with and without a key.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::secret::LinkSecret;

/// A hash, alone or as an HMAC (RFC 2104).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the documentation
pub enum HashAlgorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
    HmacMd5,
    HmacSha1,
    HmacSha256,
    HmacSha512,
}

impl HashAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 8] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::HmacMd5,
        Self::HmacSha1,
        Self::HmacSha256,
        Self::HmacSha512,
    ];

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::HmacMd5 => "hmac-md5",
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    /// The algorithm of that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().as_bytes() == name)
    }

    /// Whether it has a key.
    pub fn is_keyed(self) -> bool {
        matches!(self, Self::HmacMd5 | Self::HmacSha1 | Self::HmacSha256 | Self::HmacSha512)
    }

    /// The length of its result, in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::Md5 | Self::HmacMd5 => 16,
            Self::Sha1 | Self::HmacSha1 => 20,
            Self::Sha256 | Self::HmacSha256 => 32,
            Self::Sha512 | Self::HmacSha512 => 64,
        }
    }
}

/// The largest result of a hash, in bytes.
pub(super) const LONGEST: usize = 64;

/// The result of a hash.
#[derive(Clone, Copy)]
pub(super) struct Hash {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Hash {
    fn of(result: &[u8]) -> Self {
        let mut bytes = [0; LONGEST];
        bytes.iter_mut().zip(result).for_each(|(to, from)| *to = *from);
        Self { bytes, len: result.len() }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Compares in a time that depends on the lengths only.
    pub(super) fn is(&self, other: &[u8]) -> bool {
        verify_slices_are_equal(self.bytes(), other).is_ok()
    }
}

/// A hash that has taken its key, if it has one. What it holds is wiped when it is dropped.
#[derive(Clone)]
pub(super) enum Hasher {
    Md5,
    Sha1,
    Sha256,
    Sha512,
    HmacMd5(Hmac<Md5>),
    HmacSha1(Hmac<Sha1>),
    HmacSha256(Hmac<Sha256>),
    HmacSha512(Box<Hmac<Sha512>>),
}

impl Hasher {
    /// The hash; with `secret` as its key if it takes one. `None` only if the library refuses the key, which it
    /// does for no length.
    pub(super) fn new(algorithm: HashAlgorithm, secret: &LinkSecret) -> Option<Self> {
        let key = secret.bytes();
        Some(match algorithm {
            HashAlgorithm::Md5 => Self::Md5,
            HashAlgorithm::Sha1 => Self::Sha1,
            HashAlgorithm::Sha256 => Self::Sha256,
            HashAlgorithm::Sha512 => Self::Sha512,
            HashAlgorithm::HmacMd5 => Self::HmacMd5(Hmac::new_from_slice(key).ok()?),
            HashAlgorithm::HmacSha1 => Self::HmacSha1(Hmac::new_from_slice(key).ok()?),
            HashAlgorithm::HmacSha256 => Self::HmacSha256(Hmac::new_from_slice(key).ok()?),
            HashAlgorithm::HmacSha512 => {
                Self::HmacSha512(Box::new(Hmac::new_from_slice(key).ok()?))
            }
        })
    }

    /// A hash that takes no key; `None` for the others.
    pub(super) fn without_key(algorithm: HashAlgorithm) -> Option<Self> {
        match algorithm {
            HashAlgorithm::Md5 => Some(Self::Md5),
            HashAlgorithm::Sha1 => Some(Self::Sha1),
            HashAlgorithm::Sha256 => Some(Self::Sha256),
            HashAlgorithm::Sha512 => Some(Self::Sha512),
            _ => None,
        }
    }

    /// The hash over the parts, one after the other.
    pub(super) fn hash(&self, parts: &[&[u8]]) -> Hash {
        macro_rules! over {
            ($state:expr) => {{
                let mut state = $state;
                parts.iter().for_each(|part| state.update(part));
                state
            }};
        }
        match self {
            Self::Md5 => Hash::of(&over!(Md5::new()).finalize()),
            Self::Sha1 => Hash::of(&over!(Sha1::new()).finalize()),
            Self::Sha256 => Hash::of(&over!(Sha256::new()).finalize()),
            Self::Sha512 => Hash::of(&over!(Sha512::new()).finalize()),
            Self::HmacMd5(keyed) => Hash::of(&over!(keyed.clone()).finalize().into_bytes()),
            Self::HmacSha1(keyed) => Hash::of(&over!(keyed.clone()).finalize().into_bytes()),
            Self::HmacSha256(keyed) => Hash::of(&over!(keyed.clone()).finalize().into_bytes()),
            Self::HmacSha512(keyed) => Hash::of(&over!((**keyed).clone()).finalize().into_bytes()),
        }
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hash_is_that_of_its_name() {
        // `printf 'ab' | openssl dgst -NAME [-hmac k]`, the first four bytes.
        let secret = LinkSecret::new(b"k").unwrap();
        for (name, start) in [
            ("md5", "187ef443"),
            ("sha1", "da23614e"),
            ("sha256", "fb8e20fc"),
            ("sha512", "2d408a07"),
        ] {
            let algorithm = HashAlgorithm::from_name(name.as_bytes()).unwrap();
            let hash = Hasher::without_key(algorithm).unwrap().hash(&[b"a", b"b"]);
            assert_eq!(hash.bytes().len(), algorithm.size(), "{name}");
            assert!(hex::encode(hash.bytes()).starts_with(start), "{name}");
        }
        for algorithm in HashAlgorithm::ALL {
            let hash = Hasher::new(algorithm, &secret).unwrap().hash(&[b"ab"]);
            assert_eq!(hash.bytes().len(), algorithm.size());
            assert!(hash.is(hash.bytes()) && !hash.is(b"") && !hash.is(&[0; LONGEST]));
            assert_eq!(Hasher::without_key(algorithm).is_none(), algorithm.is_keyed());
        }
    }
}
