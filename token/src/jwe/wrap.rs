//! Keys that are wrapped with AES (RFC 3394, RFC 7518 section 4.4). The library has no wrapping with keys of
//! 192 bits: that is RustCrypto's.

use aes_kw::{KeyInit as _, KwAes192};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::key_wrap::{AES_128, AES_256, AesBlockCipher, AesKek, KeyWrap as _};

use super::algorithm::AesSize;
use super::cek::Cek;

/// How much longer a wrapped key is, in bytes.
const LONGER: usize = 8;

/// The key that `wrapped` is. `None` if it was not wrapped with `key`.
pub(super) fn unwrap(size: AesSize, key: &[u8], wrapped: &[u8]) -> Option<Cek> {
    Cek::filled(wrapped.len().checked_sub(LONGER)?, |out| match kek(size) {
        Some(cipher) => AesKek::new(cipher, key)?.unwrap(wrapped, out).map(drop),
        None => aes_192(key)?.unwrap_key(wrapped, out).map(drop).map_err(|_| Unspecified),
    })
}

/// `cek`, wrapped with `key`.
pub(super) fn wrap(size: AesSize, key: &[u8], cek: &Cek) -> Option<Vec<u8>> {
    let plain = cek.bytes();
    let mut out = vec![0; plain.len() + LONGER];
    match kek(size) {
        Some(cipher) => AesKek::new(cipher, key).ok()?.wrap(plain, &mut out).map(drop).ok()?,
        None => aes_192(key).ok()?.wrap_key(plain, &mut out).map(drop).ok()?,
    }
    Some(out)
}

/// The library's, if it has one.
fn kek(size: AesSize) -> Option<&'static AesBlockCipher> {
    match size {
        AesSize::Aes128 => Some(&AES_128),
        AesSize::Aes192 => None,
        AesSize::Aes256 => Some(&AES_256),
    }
}

fn aes_192(key: &[u8]) -> Result<KwAes192, Unspecified> {
    KwAes192::new_from_slice(key).map_err(|_| Unspecified)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3394 sections 4.1 to 4.6: for each size of the wrapping key the longest key that is wrapped.
    #[test]
    fn rfc_3394() {
        let key = hex::decode("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
        let data = hex::decode("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F");
        let (key, data) = (key.unwrap(), data.unwrap());
        for (size, len, want) in [
            (AesSize::Aes128, 16, "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"),
            (
                AesSize::Aes192,
                24,
                "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2",
            ),
            (
                AesSize::Aes256,
                32,
                "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21",
            ),
        ] {
            let cek = Cek::copied(&data[..len]).unwrap();
            let wrapped = wrap(size, &key[..size.len()], &cek).unwrap();
            assert_eq!(wrapped, hex::decode(want).unwrap(), "{size:?}");
            let opened = unwrap(size, &key[..size.len()], &wrapped).unwrap();
            assert_eq!(opened.bytes(), cek.bytes());
            for at in 0..wrapped.len() {
                let mut other = wrapped.clone();
                other[at] ^= 1;
                assert!(unwrap(size, &key[..size.len()], &other).is_none());
                assert!(unwrap(size, &key[..size.len()], &wrapped[..at]).is_none());
            }
            assert!(unwrap(size, &data[..size.len()], &wrapped).is_none());
            assert!(unwrap(size, &key[1..size.len()], &wrapped).is_none());
            assert!(unwrap(size, &key[..size.len()], &[0; 200]).is_none());
        }
    }
}
