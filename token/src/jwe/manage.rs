//! How a token brings the key of its content (RFC 7518 section 4).

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{OaepAlgorithm, OaepPrivateDecryptingKey};
use zeroize::Zeroizing;

use super::agree::{Purpose, agree};
use super::algorithm::{AesSize, Mode};
use super::cek::Cek;
use super::content::{Sealed, open_gcm};
use super::header::Header;
use super::key::{DecryptionKey, Material};
use super::wrap::unwrap;

/// The key of the content of a token that `key` is for, or a random one if it cannot be had: then the content
/// is not authentic, like that of a token with another key. So nobody can tell by the answer or its time which
/// of the two was wrong (RFC 7516 section 11.5). `None` if the system has no random numbers.
pub(super) fn recover(
    key: &DecryptionKey,
    header: &Header<'_>,
    encrypted_key: &[u8],
) -> Option<Cek> {
    let encryption = header.encryption;
    // Made in any case, as making it takes time.
    let random = Cek::random(encryption)?;
    let found = found(key, header, encrypted_key);
    Some(found.filter(|cek| cek.bytes().len() == encryption.key_len()).unwrap_or(random))
}

fn found(key: &DecryptionKey, header: &Header<'_>, encrypted_key: &[u8]) -> Option<Cek> {
    // RFC 7516 section 5.2, step 10: a key that is not encrypted has no place in the token.
    let nothing = encrypted_key.is_empty();
    match (header.management.mode(), &key.material) {
        (Mode::Direct, Material::Secret(secret)) if nothing => Cek::copied(secret),
        (Mode::Wrap(size), Material::Secret(secret)) => unwrap(size, secret, encrypted_key),
        (Mode::GcmWrap(size), Material::Secret(secret)) => {
            unwrap_gcm(size, secret, header, encrypted_key)
        }
        (Mode::Oaep(algorithm), Material::Rsa(key, _)) => decrypt(algorithm, key, encrypted_key),
        (Mode::Agree(wrapping), Material::Agreement(curve, key)) => {
            let peer = curve.public_key(header.epk()?)?;
            let parties = ["apu", "apv"].map(|name| header.decoded(name));
            let purpose = purpose(header, wrapping, [&parties[0], &parties[1]]);
            let agreed = agree(key, &peer, purpose)?;
            match wrapping {
                Some(size) => unwrap(size, agreed.bytes(), encrypted_key),
                None => Some(agreed).filter(|_| nothing),
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
fn unwrap_gcm(
    size: AesSize,
    secret: &[u8],
    header: &Header<'_>,
    encrypted_key: &[u8],
) -> Option<Cek> {
    let (iv, tag) = (header.decoded("iv"), header.decoded("tag"));
    let sealed = Sealed { aad: &[], iv: &iv, ciphertext: encrypted_key, tag: &tag };
    Cek::copied(&open_gcm(size, secret, sealed)?)
}

/// RFC 7518 section 4.3.
fn decrypt(
    algorithm: &'static OaepAlgorithm,
    key: &OaepPrivateDecryptingKey,
    encrypted_key: &[u8],
) -> Option<Cek> {
    let mut plaintext = Zeroizing::new(vec![0; key.min_output_size()]);
    let decrypted: Result<&mut [u8], Unspecified> =
        key.decrypt(algorithm, encrypted_key, &mut plaintext, None);
    Cek::copied(decrypted.ok()?)
}
