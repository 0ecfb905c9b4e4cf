//! PEM public keys and certificates (RFC 7468 sections 5 and 13; PKCS #1 in RFC 8017 A.1.1).

use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use x509_cert::Certificate;
use x509_cert::der::asn1::{BitString, ObjectIdentifier, UintRef};
use x509_cert::der::{Any, Decode as _, Reader as _, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfo;

use crate::alg::{Algorithm, AlgorithmSet, Curve};
use crate::identity::Identity;
use crate::key::{Key, KeyError, Thumbprint};
use crate::loaded::{Fault, LoadError, Loaded};
use crate::published::{MAX_PUBLISHED_PEM, Origin};

// RFC 3279 section 2.3, RFC 5480 section 2.1, RFC 8410 section 3.
pub(crate) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(crate) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
pub(crate) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
pub(crate) const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
// RFC 9881 section 2.
const ML_DSA_44: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17");
const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");
const ML_DSA_87: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19");

pub(crate) type Spki = SubjectPublicKeyInfo<Any, BitString>;

/// The offsets where blocks begin.
pub(crate) fn begun(text: &[u8]) -> impl Iterator<Item = usize> {
    let begins = text.windows(11).enumerate().filter(|(_, part)| *part == b"-----BEGIN ");
    begins.map(|(at, _)| at)
}

/// Reads every block. `kid` is used for the key if there is only one.
pub(crate) fn load(text: &[u8], kid: Option<&str>, origin: Origin) -> Result<Loaded, LoadError> {
    load_those(text, kid, origin, |_| true)
}

/// Reads every block but those of private keys, which are for something else.
pub(crate) fn load_public(text: &[u8]) -> Result<Loaded, LoadError> {
    load_those(text, None, Origin::File, |block| !is_private(block))
}

fn is_private(block: &::pem::Pem) -> bool {
    block.tag().contains("PRIVATE KEY")
}

fn load_those(
    text: &[u8],
    kid: Option<&str>,
    origin: Origin,
    counts: impl Fn(&::pem::Pem) -> bool,
) -> Result<Loaded, LoadError> {
    let count = begun(text).count();
    if origin == Origin::Published && count > MAX_PUBLISHED_PEM {
        let fault = format!("PEM: {count} blocks; at most {MAX_PUBLISHED_PEM} are read");
        return Err(LoadError::new("", Fault::Pem(fault)));
    }
    let blocks = blocks(text).map_err(|fault| LoadError::new("", fault))?;
    // OpenSSL writes a block with the curve before an EC key, which names the curve as well.
    let is_key = |block: &::pem::Pem| block.tag() != "EC PARAMETERS" && counts(block);
    let keys = || blocks.iter().enumerate().filter(|(_, block)| is_key(block));
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
        let (key, identity) = key(block).map_err(fault)?;
        loaded.push((key.with_kid(kid), identity), place, origin).map_err(fault)?;
    }
    Ok(loaded)
}

/// Every block of a text.
pub(crate) fn blocks(text: &[u8]) -> Result<Vec<::pem::Pem>, Fault> {
    let count = begun(text).count();
    let read = ::pem::parse_many(text).map_err(|error| format!("PEM: {error}"));
    // The parser ignores a block that it cannot read, so a key could get lost unnoticed.
    let whole = read.and_then(|blocks| match blocks.len() {
        complete if complete == count => Ok(blocks),
        complete => Err(format!("PEM: {count} blocks begin, {complete} are complete")),
    });
    whole.map_err(|fault| Fault::Pem(explained(text, fault)))
}

/// What is wrong with PEM: `fault`, or what has most likely led to it.
pub(crate) fn explained(text: &[u8], fault: String) -> String {
    if text.windows(2).any(|two| two == b"\\n") {
        "PEM: has the two characters \\n where lines end: write real line breaks in their place"
            .to_owned()
    } else {
        fault
    }
}

/// The key of a block, and the thumbprints of the certificate if it is one.
pub(crate) fn key(block: &::pem::Pem) -> Result<(Key, Identity), Fault> {
    let der = block.contents();
    match block.tag() {
        "PUBLIC KEY" => spki(&Spki::from_der(der).map_err(|e| fault("key", &e))?),
        "CERTIFICATE" => {
            // Only the key is used. Whether the certificate is valid was decided by the person who
            // put it into the configuration.
            let certificate = Certificate::from_der(der).map_err(|e| fault("certificate", &e))?;
            let (key, identity) = spki(certificate.tbs_certificate().subject_public_key_info())?;
            Ok((key.with_thumbprints(Thumbprint::of_certificate(der)), identity))
        }
        "RSA PUBLIC KEY" => rsa(der),
        _ if is_private(block) => Err(Fault::Pem(
            "is a private key; give its public half (openssl pkey -in FILE -pubout)".to_owned(),
        )),
        _ => Err(Fault::Pem(
            "is not a key: only PUBLIC KEY, RSA PUBLIC KEY and CERTIFICATE are read".to_owned(),
        )),
    }
}

/// The identity of a certificate's key, without the work of preparing it to verify; `None` if it is no
/// key that is known here.
pub(crate) fn identity_in(certificate: &[u8]) -> Option<Identity> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let info = certificate.tbs_certificate().subject_public_key_info();
    let bits = info.subject_public_key.as_bytes()?;
    match info.algorithm.oid {
        RSA => {
            let (n, e) = rsa_numbers(bits)?;
            Some(Identity::rsa(n, e))
        }
        EC => Some(Identity::of(curve(info)?.name(), &[bits])),
        ED25519 => Some(Identity::of("Ed25519", &[bits])),
        other => Some(Identity::of(ml_dsa(other)?.name(), &[bits])),
    }
}

/// The curve of an EC key.
pub(crate) fn curve(info: &Spki) -> Option<Curve> {
    match info.algorithm.parameters.as_ref().and_then(|p| p.decode_as().ok())? {
        P256 => Some(Curve::P256),
        P384 => Some(Curve::P384),
        P521 => Some(Curve::P521),
        _ => None,
    }
}

/// The ML-DSA algorithm of that identifier.
pub(crate) fn ml_dsa(oid: ObjectIdentifier) -> Option<Algorithm> {
    match oid {
        ML_DSA_44 => Some(Algorithm::MlDsa44),
        ML_DSA_65 => Some(Algorithm::MlDsa65),
        ML_DSA_87 => Some(Algorithm::MlDsa87),
        _ => None,
    }
}

fn spki(info: &Spki) -> Result<(Key, Identity), Fault> {
    let bits = info.subject_public_key.as_bytes().unwrap_or_default();
    let all = AlgorithmSet::ALL;
    match info.algorithm.oid {
        RSA => rsa(bits),
        EC => {
            let curve = curve(info)
                .ok_or_else(|| Fault::Pem("has a curve other than P-256, P-384, P-521".into()))?;
            Ok((Key::ec_point(curve, bits, all)?, Identity::of(curve.name(), &[bits])))
        }
        ED25519 => Ok((Key::ed25519(bits, all)?, Identity::of("Ed25519", &[bits]))),
        other => {
            let algorithm = ml_dsa(other)
                .ok_or_else(|| Fault::Pem(format!("has a key of unknown type {other}")))?;
            Ok((Key::ml_dsa(bits, algorithm)?, Identity::of(algorithm.name(), &[bits])))
        }
    }
}

fn rsa(pkcs1: &[u8]) -> Result<(Key, Identity), Fault> {
    let (n, e) = rsa_numbers(pkcs1).ok_or(KeyError::Library)?;
    // The library reads it too: it refuses forms that are not DER.
    RsaPublicKey::from_der(pkcs1).map_err(|_| KeyError::Library)?;
    Ok((Key::rsa(n, e, AlgorithmSet::ALL)?, Identity::rsa(n, e)))
}

/// The modulus and the exponent of an RSAPublicKey (RFC 8017 appendix A.1.1).
pub(crate) fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(der).ok()?;
    let numbers = reader.sequence(|key| {
        let n = key.decode::<UintRef<'_>>()?.as_bytes();
        x509_cert::der::Result::Ok((n, key.decode::<UintRef<'_>>()?.as_bytes()))
    });
    reader.finish().ok()?;
    numbers.ok()
}

fn fault(what: &str, error: &x509_cert::der::Error) -> Fault {
    Fault::Pem(format!("holds a {what} that is not DER: {error}"))
}
