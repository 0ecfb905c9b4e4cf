//! A key that decrypts. Its type and algorithms are fixed when it is loaded, as those of keys that verify.

use std::fmt;

use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::agreement::PrivateKey as AgreementKey;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{OaepPrivateDecryptingKey, PrivateDecryptingKey, PublicEncryptingKey};
use zeroize::Zeroizing;

use super::agree::AgreementCurve;
use super::algorithm::{
    AesSize, ContentEncryption, KeyManagement, KeyManagementSet, MAX_KEY_LEN, Mode,
};
use super::content;
use crate::identity::Identity;

/// A key that decrypts: a secret that is shared with the issuer, or a private key. A secret is wiped on drop,
/// and the library wipes the private keys that it holds.
pub struct DecryptionKey {
    kid: Option<Box<str>>,
    algorithms: KeyManagementSet,
    /// Of a secret that is the key of the content: the only `enc` that its JWK names.
    only: Option<ContentEncryption>,
    pub(super) identity: Identity,
    pub(super) material: Material,
    /// What takes the place of a token's key that cannot be had (`manage`). Nothing is ever encrypted with it, so it
    /// may be the same for all tokens.
    pub(super) spare: Zeroizing<[u8; MAX_KEY_LEN]>,
}

pub(super) enum Material {
    Secret(Secret),
    /// The key, and its public half.
    Rsa(Box<OaepPrivateDecryptingKey>, PublicEncryptingKey),
    Agreement(AgreementCurve, Box<AgreementKey>),
}

/// A shared secret.
pub(super) struct Secret {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// The same, prepared for AES-GCM, if it has the length for it.
    pub(super) gcm: Option<LessSafeKey>,
}

/// What a key is for, as its JWK says (RFC 7517 section 4.4): `alg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedUse {
    /// Nothing is said.
    Any,
    /// `alg` is that of key management.
    Managing(KeyManagement),
    /// A secret with the `alg` of a content encryption, as in RFC 7520 section 5.6.1: it is for `dir`.
    Encrypting(ContentEncryption),
}

/// Why a key does not decrypt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum DecryptionKeyError {
    #[error(
        "the secret has {0} bytes; 16, 24 or 32 are wanted for AES, 32, 48 or 64 for AES-CBC with HMAC"
    )]
    SecretSize(usize),
    #[error("alg {algorithm} does not go with {kind}")]
    Mismatch { algorithm: &'static str, kind: &'static str },
    #[error("is no usable private key: its numbers do not belong together, or one is wrong")]
    Library,
}

impl From<Unspecified> for DecryptionKeyError {
    fn from(_: Unspecified) -> Self {
        Self::Library
    }
}

impl DecryptionKey {
    /// A shared secret.
    pub(super) fn secret(secret: &[u8], named: NamedUse) -> Result<Self, DecryptionKeyError> {
        let fitting = KeyManagementSet::of(|mode| match mode {
            Mode::Wrap(size) | Mode::GcmWrap(size) => secret.len() == size.len(),
            Mode::Direct => ContentEncryption::ALL.iter().any(|it| it.key_len() == secret.len()),
            Mode::Oaep(_) | Mode::Agree(_) => false,
        });
        if fitting.is_empty() {
            return Err(DecryptionKeyError::SecretSize(secret.len()));
        }
        let bytes = Zeroizing::new(secret.to_vec());
        let gcm = AesSize::ALL.into_iter().find_map(|size| content::gcm_key(size, secret));
        let material = Material::Secret(Secret { bytes, gcm });
        let key = Self::new(fitting, Identity::of("oct", &[secret]), material)?;
        match named {
            NamedUse::Encrypting(enc) if enc.key_len() == secret.len() => {
                let dir = [KeyManagement::Dir].into_iter().collect();
                Ok(Self { algorithms: dir, only: Some(enc), ..key })
            }
            named => key.narrowed(named),
        }
    }

    /// An RSA key in PKCS#8 (RFC 5958). Its size has been judged before.
    pub(super) fn rsa(
        pkcs8: &[u8],
        identity: Identity,
        named: NamedUse,
    ) -> Result<Self, DecryptionKeyError> {
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8);
        let key = key.map_err(|_| DecryptionKeyError::Library)?;
        let public = key.public_key();
        let key = OaepPrivateDecryptingKey::new(key)?;
        let algorithms = KeyManagementSet::of(|mode| matches!(mode, Mode::Oaep(_)));
        let material = Material::Rsa(Box::new(key), public);
        Self::new(algorithms, identity, material)?.narrowed(named)
    }

    /// A key of a curve, from its number or what X25519 takes.
    pub(super) fn agreement(
        curve: AgreementCurve,
        private: &[u8],
        named: NamedUse,
    ) -> Result<Self, DecryptionKeyError> {
        let key = AgreementKey::from_private_key(curve.algorithm(), private);
        let key = key.map_err(|_| DecryptionKeyError::Library)?;
        let identity = Identity::of(curve.names().1, &[key.compute_public_key()?.as_ref()]);
        let algorithms = KeyManagementSet::of(|mode| matches!(mode, Mode::Agree(_)));
        let material = Material::Agreement(curve, Box::new(key));
        Self::new(algorithms, identity, material)?.narrowed(named)
    }

    fn new(
        algorithms: KeyManagementSet,
        identity: Identity,
        material: Material,
    ) -> Result<Self, DecryptionKeyError> {
        let mut spare = Zeroizing::new([0; MAX_KEY_LEN]);
        rand::fill(spare.as_mut())?;
        Ok(Self { kid: None, algorithms, only: None, identity, material, spare })
    }

    /// The key, for the algorithm only that its JWK names.
    fn narrowed(self, named: NamedUse) -> Result<Self, DecryptionKeyError> {
        let mismatch = |algorithm| DecryptionKeyError::Mismatch { algorithm, kind: self.kind() };
        let wanted = match named {
            NamedUse::Any => return Ok(self),
            NamedUse::Encrypting(one) => return Err(mismatch(one.name())),
            NamedUse::Managing(one) => one,
        };
        let algorithms = self.algorithms.intersection([wanted].into_iter().collect());
        match algorithms.is_empty() {
            true => Err(mismatch(wanted.name())),
            false => Ok(Self { algorithms, ..self }),
        }
    }

    /// Gives the key its identifier.
    #[must_use]
    pub fn with_kid(mut self, kid: Option<&str>) -> Self {
        self.kid = kid.map(Into::into);
        self
    }

    /// The key's identifier.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What its JWK says that it is for, as far as that shows.
    pub(super) fn named_use(&self) -> NamedUse {
        let mut algorithms = self.algorithms.iter();
        match (self.only, algorithms.next(), algorithms.next()) {
            (Some(only), ..) => NamedUse::Encrypting(only),
            (None, Some(one), None) => NamedUse::Managing(one),
            _ => NamedUse::Any,
        }
    }

    /// The algorithms that it is for.
    pub fn algorithms(&self) -> KeyManagementSet {
        self.algorithms
    }

    /// Whether it is a secret that is shared with the issuer: only who has it can have encrypted. To a public
    /// key anybody encrypts.
    pub fn is_secret(&self) -> bool {
        matches!(self.material, Material::Secret(_))
    }

    /// Whether it is for tokens with this `alg` and `enc`.
    pub fn is_for(&self, management: KeyManagement, encryption: ContentEncryption) -> bool {
        let is_direct = matches!(management.mode(), Mode::Direct);
        let has_length = match &self.material {
            Material::Secret(secret) => !is_direct || secret.bytes.len() == encryption.key_len(),
            Material::Rsa(..) | Material::Agreement(..) => true,
        };
        self.algorithms.contains(management)
            && has_length
            && self.only.is_none_or(|only| only == encryption)
    }

    /// Whether a token with the kid of both could mean either: they are different keys with an algorithm in
    /// common.
    pub(super) fn is_ambiguous_with(&self, other: &Self) -> bool {
        self.kid.is_some()
            && self.kid == other.kid
            && self.identity != other.identity
            && !self.algorithms.intersection(other.algorithms).is_empty()
    }

    /// What kind of key it is, for messages.
    fn kind(&self) -> &'static str {
        match &self.material {
            Material::Secret(_) => "a secret of this length",
            Material::Rsa(..) => "an RSA key",
            Material::Agreement(..) => "a key of an elliptic curve",
        }
    }
}

impl fmt::Debug for DecryptionKey {
    // The key material is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptionKey")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(secret: &[u8], named: NamedUse) -> Vec<&'static str> {
        let key = DecryptionKey::secret(secret, named).unwrap();
        key.algorithms().iter().map(KeyManagement::name).collect()
    }

    #[test]
    fn a_secret_is_for_what_has_its_length() {
        assert_eq!(names(&[1; 16], NamedUse::Any), ["A128KW", "A128GCMKW", "dir"]);
        assert_eq!(names(&[1; 24], NamedUse::Any), ["A192KW", "A192GCMKW", "dir"]);
        assert_eq!(names(&[1; 32], NamedUse::Any), ["A256KW", "A256GCMKW", "dir"]);
        assert_eq!(names(&[1; 48], NamedUse::Any), ["dir"]);
        assert_eq!(names(&[1; 64], NamedUse::Any), ["dir"]);
        for len in [0, 1, 15, 17, 31, 33, 63, 65, 100] {
            let error = DecryptionKey::secret(&vec![1; len], NamedUse::Any).unwrap_err();
            assert_eq!(error, DecryptionKeyError::SecretSize(len));
        }
    }

    #[test]
    fn a_key_is_for_the_algorithm_that_it_names() {
        use ContentEncryption::{A128CbcHs256, A128Gcm, A256Gcm};
        let only_wraps = NamedUse::Managing(KeyManagement::A256Kw);
        assert_eq!(names(&[1; 32], only_wraps), ["A256KW"]);
        let direct = DecryptionKey::secret(&[1; 32], NamedUse::Managing(KeyManagement::Dir));
        let direct = direct.unwrap();
        assert!(direct.is_for(KeyManagement::Dir, A256Gcm));
        assert!(direct.is_for(KeyManagement::Dir, A128CbcHs256));
        assert!(!direct.is_for(KeyManagement::Dir, A128Gcm));
        assert!(!direct.is_for(KeyManagement::A256Kw, A256Gcm));
        let one = DecryptionKey::secret(&[1; 32], NamedUse::Encrypting(A256Gcm)).unwrap();
        assert!(one.is_for(KeyManagement::Dir, A256Gcm));
        assert!(!one.is_for(KeyManagement::Dir, A128CbcHs256));
        for bad in [
            NamedUse::Encrypting(A128Gcm),
            NamedUse::Managing(KeyManagement::A128Kw),
            NamedUse::Managing(KeyManagement::RsaOaep),
        ] {
            assert!(DecryptionKey::secret(&[1; 32], bad).is_err(), "{bad:?}");
        }
    }
}
