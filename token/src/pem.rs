//! PEM public keys and certificates (RFC 7468 sections 5 and 13; PKCS #1 in RFC 8017 A.1.1).

use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use x509_cert::Certificate;
use x509_cert::der::asn1::{BitString, ObjectIdentifier};
use x509_cert::der::{Any, Decode as _};
use x509_cert::spki::SubjectPublicKeyInfo;

use crate::alg::{AlgorithmSet, Curve};
use crate::key::{Key, KeyError};
use crate::loaded::{Fault, LoadError, Loaded};
use crate::published::{FaultyKeys, MAX_PUBLISHED_KEYS, RSA_COST};

// RFC 3279 section 2.3, RFC 5480 section 2.1, RFC 8410 section 3.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

type Spki = SubjectPublicKeyInfo<Any, BitString>;

/// How many PEM blocks are read from a published file: each may be an RSA key.
const MAX_PUBLISHED_BLOCKS: usize = MAX_PUBLISHED_KEYS / RSA_COST;

/// The offsets where blocks begin.
pub(crate) fn begun(text: &[u8]) -> impl Iterator<Item = usize> {
    let begins = text.windows(11).enumerate().filter(|(_, part)| *part == b"-----BEGIN ");
    begins.map(|(at, _)| at)
}

/// Reads every block. `kid` is used for the key if there is only one.
pub(crate) fn load(
    text: &[u8],
    kid: Option<&str>,
    faulty: FaultyKeys,
) -> Result<Loaded, LoadError> {
    let count = begun(text).count();
    if faulty == FaultyKeys::Skip && count > MAX_PUBLISHED_BLOCKS {
        let fault = format!("PEM: {count} blocks; at most {MAX_PUBLISHED_BLOCKS} are read");
        return Err(LoadError::new("", Fault::Pem(fault)));
    }
    let blocks =
        ::pem::parse_many(text).map_err(|e| LoadError::new("", Fault::Pem(format!("PEM: {e}"))))?;
    // The parser ignores a block that it cannot read, so a key could get lost unnoticed.
    if blocks.len() != count {
        let fault = format!("PEM: {count} blocks begin, {} are complete", blocks.len());
        return Err(LoadError::new("", Fault::Pem(fault)));
    }
    // OpenSSL writes a block with the curve before an EC key, which names the curve as well.
    let keys = || blocks.iter().enumerate().filter(|(_, block)| block.tag() != "EC PARAMETERS");
    if keys().count() > 1 && kid.is_some() {
        return Err(LoadError::new("PEM block 2", Fault::KidOfSet));
    }
    let mut loaded = Loaded::default();
    if keys().filter(|(_, block)| block.tag() == "CERTIFICATE").count() > 1 {
        loaded.warn(|| {
            "holds several certificates, and the key of each is trusted for tokens: of a chain \
             keep the first only"
                .to_owned()
        });
    }
    for (i, block) in keys() {
        let place = format_args!("PEM block {} ({})", i + 1, block.tag());
        let fault = |fault| LoadError::new(place.to_string(), fault);
        loaded.push(key(block).map_err(fault)?.with_kid(kid), place).map_err(fault)?;
    }
    Ok(loaded)
}

fn key(block: &::pem::Pem) -> Result<Key, Fault> {
    let der = block.contents();
    match block.tag() {
        "PUBLIC KEY" => spki(&Spki::from_der(der).map_err(|e| fault("key", &e))?),
        "CERTIFICATE" => {
            // Only the key is used. Whether the certificate is valid was decided by the person who
            // put it into the configuration.
            let certificate = Certificate::from_der(der).map_err(|e| fault("certificate", &e))?;
            spki(certificate.tbs_certificate().subject_public_key_info())
        }
        "RSA PUBLIC KEY" => rsa(der),
        tag if tag.contains("PRIVATE KEY") => Err(Fault::Pem(
            "is a private key; give its public half (openssl pkey -in FILE -pubout)".to_owned(),
        )),
        _ => Err(Fault::Pem(
            "is not a key: only PUBLIC KEY, RSA PUBLIC KEY and CERTIFICATE are read".to_owned(),
        )),
    }
}

fn spki(info: &Spki) -> Result<Key, Fault> {
    let bits = info.subject_public_key.as_bytes().unwrap_or_default();
    let all = AlgorithmSet::ALL;
    match info.algorithm.oid {
        RSA => rsa(bits),
        EC => {
            let curve = info.algorithm.parameters.as_ref().and_then(|p| p.decode_as().ok());
            let curve = match curve {
                Some(P256) => Curve::P256,
                Some(P384) => Curve::P384,
                Some(P521) => Curve::P521,
                _ => return Err(Fault::Pem("has a curve other than P-256, P-384, P-521".into())),
            };
            Ok(Key::ec_point(curve, bits, all)?)
        }
        ED25519 => Ok(Key::ed25519(bits, all)?),
        other => Err(Fault::Pem(format!("has a key of unknown type {other}"))),
    }
}

fn rsa(pkcs1: &[u8]) -> Result<Key, Fault> {
    let key = RsaPublicKey::from_der(pkcs1).map_err(|_| KeyError::Library)?;
    let (n, e) = (key.modulus(), key.exponent());
    Ok(Key::rsa(
        n.big_endian_without_leading_zero(),
        e.big_endian_without_leading_zero(),
        AlgorithmSet::ALL,
    )?)
}

fn fault(what: &str, error: &x509_cert::der::Error) -> Fault {
    Fault::Pem(format!("holds a {what} that is not DER: {error}"))
}
