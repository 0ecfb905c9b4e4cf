//! The structures that private keys are in. What is read of them is borrowed, never copied.

use x509_cert::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef};
use x509_cert::der::{self, Reader as _, SliceReader};

/// The key type and the key of a PKCS#8 PrivateKeyInfo (RFC 5958 section 2).
pub(super) fn pkcs8(der: &[u8]) -> der::Result<(ObjectIdentifier, &[u8])> {
    SliceReader::new(der)?.sequence(|info| {
        info.decode::<UintRef<'_>>()?;
        let kind = info.sequence(|algorithm| {
            let kind = algorithm.decode::<ObjectIdentifier>()?;
            while !algorithm.is_finished() {
                algorithm.decode::<AnyRef<'_>>()?;
            }
            der::Result::Ok(kind)
        })?;
        let key = info.decode::<&OctetStringRef>()?.as_bytes();
        while !info.is_finished() {
            info.decode::<AnyRef<'_>>()?;
        }
        Ok((kind, key))
    })
}

/// The numbers of an RSAPrivateKey of two primes (RFC 8017 appendix A.1.2): n, e, d, p, q, and the three
/// for the Chinese remainder theorem.
pub(super) fn rsa_numbers(der: &[u8]) -> der::Result<[&[u8]; 8]> {
    SliceReader::new(der)?.sequence(|key| {
        key.decode::<UintRef<'_>>()?;
        let mut numbers: [&[u8]; 8] = [&[]; 8];
        for number in &mut numbers {
            *number = key.decode::<UintRef<'_>>()?.as_bytes();
        }
        while !key.is_finished() {
            key.decode::<AnyRef<'_>>()?;
        }
        Ok(numbers)
    })
}
