//! The encryption of the content (RFC 7518 section 5).

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::algorithm::{AesSize, Cipher, ContentEncryption};

/// What stands in a token beside the key of its content, decoded.
#[derive(Clone, Copy)]
pub(super) struct Sealed<'s> {
    /// What is authenticated too: the encoded header (RFC 7516 section 5.1, step 14).
    pub(super) aad: &'s [u8],
    pub(super) iv: &'s [u8],
    pub(super) ciphertext: &'s [u8],
    pub(super) tag: &'s [u8],
}

/// A content that was encrypted.
pub(super) struct Made {
    pub(super) iv: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: Vec<u8>,
}

/// Decrypts the content. `None` if it is not authentic; what was wrong shows in nothing.
pub(super) fn open(
    encryption: ContentEncryption,
    key: &[u8],
    sealed: Sealed<'_>,
) -> Option<Zeroizing<Vec<u8>>> {
    match encryption.cipher() {
        Cipher::Gcm(size) => open_gcm(&gcm_key(size, key)?, sealed),
        Cipher::Cbc(size, hash) => open_cbc(size, hash, key, sealed),
    }
}

/// Encrypts a content. `None` if the library or the system fails, or the key has another length.
pub(super) fn seal(
    encryption: ContentEncryption,
    key: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Option<Made> {
    match encryption.cipher() {
        Cipher::Gcm(size) => seal_gcm(size, key, aad, plaintext),
        Cipher::Cbc(size, hash) => seal_cbc(size, hash, key, aad, plaintext),
    }
}

/// A key for AES-GCM. `None` if it does not have the length.
pub(super) fn gcm_key(size: AesSize, key: &[u8]) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(size.gcm(), key).ok()?))
}

/// AES-GCM (RFC 7518 section 5.3): an IV of 96 bits, and always a tag of 128.
pub(super) fn open_gcm(key: &LessSafeKey, sealed: Sealed<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let Sealed { aad, iv, ciphertext, tag } = sealed;
    if tag.len() != key.algorithm().tag_len() {
        return None;
    }
    let nonce = Nonce::try_assume_unique_for_key(iv).ok()?;
    let mut plaintext = Zeroizing::new(vec![0; ciphertext.len()]);
    key.open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, &mut plaintext).ok()?;
    Some(plaintext)
}

/// As [`open_gcm`], the other way.
pub(super) fn seal_gcm(size: AesSize, key: &[u8], aad: &[u8], plaintext: &[u8]) -> Option<Made> {
    let mut iv = vec![0; size.gcm().nonce_len()];
    rand::fill(&mut iv).ok()?;
    let nonce = Nonce::try_assume_unique_for_key(&iv).ok()?;
    let key = gcm_key(size, key)?;
    let mut ciphertext = plaintext.to_vec();
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut ciphertext).ok()?;
    Some(Made { iv, ciphertext, tag: tag.as_ref().to_vec() })
}

/// AES-CBC with HMAC (RFC 7518 section 5.2): nothing is decrypted unless the tag is right.
fn open_cbc(
    size: AesSize,
    hash: &'static hmac::Algorithm,
    key: &[u8],
    sealed: Sealed<'_>,
) -> Option<Zeroizing<Vec<u8>>> {
    let Sealed { aad, iv, ciphertext, tag } = sealed;
    let (mac_key, cipher_key) = halves(size, key)?;
    let right = mac(hash, mac_key, [aad, iv, ciphertext]);
    verify_slices_are_equal(right.as_ref().get(..size.len())?, tag).ok()?;
    let context = DecryptionContext::Iv128(FixedLength::try_from(iv).ok()?);
    let key = UnboundCipherKey::new(size.cipher(), cipher_key).ok()?;
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
    let len = key.decrypt(&mut plaintext, context).ok()?.len();
    plaintext.truncate(len);
    Some(plaintext)
}

/// As [`open_cbc`], the other way.
fn seal_cbc(
    size: AesSize,
    hash: &'static hmac::Algorithm,
    key: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Option<Made> {
    let (mac_key, cipher_key) = halves(size, key)?;
    let mut ciphertext = plaintext.to_vec();
    let mut iv = [0; 16];
    rand::fill(&mut iv).ok()?;
    let key = UnboundCipherKey::new(size.cipher(), cipher_key).ok()?;
    PaddedBlockEncryptingKey::cbc_pkcs7(key)
        .ok()?
        .less_safe_encrypt(&mut ciphertext, EncryptionContext::Iv128(FixedLength::from(iv)))
        .ok()?;
    let tag = mac(hash, mac_key, [aad, &iv, &ciphertext]);
    let tag = tag.as_ref().get(..size.len())?.to_vec();
    Some(Made { iv: iv.to_vec(), ciphertext, tag })
}

/// The half for the HMAC and the one for AES (RFC 7518 section 5.2.2.1, step 1).
fn halves(size: AesSize, key: &[u8]) -> Option<(&[u8], &[u8])> {
    key.split_at_checked(size.len()).filter(|(_, rest)| rest.len() == size.len())
}

/// The HMAC of the header, the IV, the ciphertext, and the header's length in bits (steps 4 and 5 there). Its
/// first half is the tag.
fn mac(hash: &'static hmac::Algorithm, key: &[u8], parts: [&[u8]; 3]) -> hmac::Tag {
    let [aad, ..] = parts;
    let mut context = hmac::Context::with_key(&hmac::Key::new(*hash, key));
    parts.into_iter().for_each(|part| context.update(part));
    context.update(&(aad.len() as u64 * 8).to_be_bytes());
    context.sign()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three cases of RFC 7518 appendix B, which have the keys, the IV and the content in common.
    #[test]
    fn rfc_7518_appendix_b() {
        let hex = |text: &str| hex::decode(text).unwrap();
        let plaintext =
            b"A cipher system must not be required to be secret, and it must be able to fall \
            into the hands of the enemy without inconvenience";
        let aad = b"The second principle of Auguste Kerckhoffs";
        let iv = hex("1af38c2dc2b96ffdd86694092341bc04");
        for (encryption, start, tag) in [
            (
                ContentEncryption::A128CbcHs256,
                "c80edfa32ddf39d5ef00c0b468834279",
                "652c3fa36b0a7c5b3219fab3a30bc1c4",
            ),
            (
                ContentEncryption::A192CbcHs384,
                "ea65da6b59e61edb419be62d19712ae5",
                "8490ac0e58949bfe51875d733f93ac2075168039ccc733d7",
            ),
            (
                ContentEncryption::A256CbcHs512,
                "4affaaadb78c31c5da4b1b590d10ffbd",
                "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5",
            ),
        ] {
            let key: Vec<u8> = (0..u8::try_from(encryption.key_len()).unwrap()).collect();
            let Cipher::Cbc(size, hash) = encryption.cipher() else { panic!() };
            let (mac_key, cipher_key) = halves(size, &key).unwrap();
            let mut ciphertext = plaintext.to_vec();
            let aes = UnboundCipherKey::new(size.cipher(), cipher_key).unwrap();
            let context = EncryptionContext::Iv128(FixedLength::try_from(&*iv).unwrap());
            let aes = PaddedBlockEncryptingKey::cbc_pkcs7(aes).unwrap();
            aes.less_safe_encrypt(&mut ciphertext, context).unwrap();
            assert!(ciphertext.starts_with(&hex(start)), "{encryption}");
            let made = mac(hash, mac_key, [aad, &iv, &ciphertext]);
            let made = made.as_ref().get(..size.len()).unwrap();
            assert_eq!(made, hex(tag), "{encryption}");
            let sealed = Sealed { aad, iv: &iv, ciphertext: &ciphertext, tag: made };
            assert_eq!(**open(encryption, &key, sealed).unwrap(), *plaintext);
        }
    }

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does() {
        for encryption in ContentEncryption::ALL {
            let key: Vec<u8> = (0..u8::try_from(encryption.key_len()).unwrap()).collect();
            for len in [0, 1, 15, 16, 17, 300] {
                let plaintext = vec![7; len];
                let made = seal(encryption, &key, b"aad", &plaintext).unwrap();
                let Made { iv, ciphertext, tag } = &made;
                let sealed = Sealed { aad: b"aad", iv, ciphertext, tag };
                assert_eq!(**open(encryption, &key, sealed).unwrap(), plaintext);
                let opens = |sealed: Sealed<'_>| open(encryption, &key, sealed).is_some();
                assert!(!opens(Sealed { aad: b"aae", ..sealed }));
                for end in 0..tag.len() {
                    assert!(!opens(Sealed { tag: &tag[..end], ..sealed }), "{encryption} {end}");
                }
                for end in 0..iv.len() {
                    assert!(!opens(Sealed { iv: &iv[..end], ..sealed }), "{encryption} {end}");
                }
                let longer = |part: &[u8]| [part, &[0]].concat();
                assert!(!opens(Sealed { tag: &longer(tag), ..sealed }));
                assert!(!opens(Sealed { iv: &longer(iv), ..sealed }));
                assert!(!opens(Sealed { ciphertext: &longer(ciphertext), ..sealed }));
                assert!(open(encryption, &key[1..], sealed).is_none());
                assert!(open(encryption, &longer(&key), sealed).is_none());
            }
        }
    }
}
