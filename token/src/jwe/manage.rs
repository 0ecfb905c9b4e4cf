//! How a token brings the key of its content (RFC 7518 section 4).

use aws_lc_rs::rsa::{OaepAlgorithm, OaepPrivateDecryptingKey};
use zeroize::Zeroizing;

use super::agree::{Purpose, agree};
use super::algorithm::{AesSize, Cipher, Mode};
use super::cek::Cek;
use super::content::{self, Sealed, open_gcm};
use super::header::Header;
use super::key::{DecryptionKey, Material, Secret};
use super::wrap::unwrap;

/// The content of a token that `key` is for. `None` if it is not authentic.
///
/// A content whose key cannot be had is decrypted with another key, which nobody knows: then it is not authentic, like
/// one that was changed. So nobody can tell by the answer or its time which of the two was wrong (RFC 7516 section
/// 11.5).
pub(super) fn decrypt(
    key: &DecryptionKey,
    header: &Header<'_>,
    encrypted_key: &[u8],
    sealed: Sealed<'_>,
) -> Option<Zeroizing<Vec<u8>>> {
    let encryption = header.encryption;
    if let (Mode::Direct, Material::Secret(secret)) = (header.management.mode(), &key.material) {
        // RFC 7516 section 5.2, step 10: where the key is known, the token has none.
        return if encrypted_key.is_empty() { direct(secret, header, sealed) } else { None };
    }
    let found = recover(key, header, encrypted_key);
    let found = found.filter(|cek| cek.bytes().len() == encryption.key_len());
    let spare = key.spare.get(..encryption.key_len())?;
    content::open(encryption, found.as_ref().map_or(spare, Cek::bytes), sealed)
}

/// RFC 7518 section 4.5.
fn direct(secret: &Secret, header: &Header<'_>, sealed: Sealed<'_>) -> Option<Zeroizing<Vec<u8>>> {
    match (header.encryption.cipher(), &secret.gcm) {
        (Cipher::Gcm(_), Some(gcm)) => open_gcm(gcm, sealed),
        _ => content::open(header.encryption, &secret.bytes, sealed),
    }
}

/// The key of the content. `None` if it cannot be had.
fn recover(key: &DecryptionKey, header: &Header<'_>, encrypted_key: &[u8]) -> Option<Cek> {
    match (header.management.mode(), &key.material) {
        (Mode::Wrap(size), Material::Secret(secret)) => unwrap(size, &secret.bytes, encrypted_key),
        (Mode::GcmWrap(_), Material::Secret(secret)) => unwrap_gcm(secret, header, encrypted_key),
        (Mode::Oaep(algorithm), Material::Rsa(key, _)) => by_rsa(algorithm, key, encrypted_key),
        (Mode::Agree(wrapping), Material::Agreement(curve, key)) => {
            let peer = curve.public_key(header.epk()?)?;
            let parties = ["apu", "apv"].map(|name| header.decoded(name));
            let purpose = purpose(header, wrapping, [&parties[0], &parties[1]]);
            let agreed = agree(key, &peer, purpose)?;
            match wrapping {
                Some(size) => unwrap(size, agreed.bytes(), encrypted_key),
                None => Some(agreed).filter(|_| encrypted_key.is_empty()),
            }
        }
        _ => None,
    }
}

/// What a key is agreed for: the content itself, or to wrap the content's key (RFC 7518 section 4.6.2).
fn purpose<'p>(
    header: &Header<'_>,
    wrapping: Option<AesSize>,
    parties: [&'p [u8]; 2],
) -> Purpose<'p> {
    let (management, encryption) = (header.management, header.encryption);
    let (algorithm, key_len) = match wrapping {
        Some(size) => (management.name(), size.len()),
        None => (encryption.name(), encryption.key_len()),
    };
    Purpose { algorithm, parties, key_len }
}

/// RFC 7518 section 4.7.
fn unwrap_gcm(secret: &Secret, header: &Header<'_>, encrypted_key: &[u8]) -> Option<Cek> {
    let (iv, tag) = (header.decoded("iv"), header.decoded("tag"));
    let sealed = Sealed { aad: &[], iv: &iv, ciphertext: encrypted_key, tag: &tag };
    Cek::copied(&open_gcm(secret.gcm.as_ref()?, sealed)?)
}

/// RFC 7518 section 4.3.
fn by_rsa(
    algorithm: &'static OaepAlgorithm,
    key: &OaepPrivateDecryptingKey,
    encrypted_key: &[u8],
) -> Option<Cek> {
    let mut plaintext = Zeroizing::new(vec![0; key.min_output_size()]);
    Cek::copied(key.decrypt(algorithm, encrypted_key, &mut plaintext, None).ok()?)
}
