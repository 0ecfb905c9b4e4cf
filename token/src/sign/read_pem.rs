//! Keys from PEM (RFC 7468; the older forms of private keys in RFC 8017 A.1.2 and RFC 5915).

use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, PqdsaKeyPair};
use base64::engine::general_purpose::STANDARD;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use zeroize::Zeroizing;

use super::der::{pkcs8, rsa_numbers};
use super::fault::KeyFileError;
use super::private::{Material, PrivateKey, ecdsa, ml_dsa};
use super::public::{Jwk, PublicError, pkcs1, spki};
use crate::alg::{AlgorithmSet, Curve};
use crate::base64url::{decode_secret, without_white_space};
use crate::key::Key;
use crate::pem::{self, EC, ED25519, RSA, Spki, X25519};

const BEGIN: &[u8] = b"-----BEGIN ";

/// The content of a PEM block.
#[derive(Clone, Copy)]
pub struct PemBlock<'b> {
    /// What stands behind `BEGIN`, such as `PRIVATE KEY`.
    pub label: &'b str,
    /// Whether it has a header `Proc-Type` (RFC 1421 section 4.6.1.1): OpenSSL writes one where it encrypts.
    pub has_proc_type: bool,
    /// The decoded text.
    pub der: &'b [u8],
}

/// The public key of a block: a public key, a certificate, or the public half of a private key.
///
/// # Errors
/// A block that is no key, or no usable one.
pub fn public_of_block(block: &PemBlock<'_>) -> Result<Jwk, PublicError> {
    let der = block.der;
    match block.label {
        "PUBLIC KEY" => spki(&Spki::from_der(der).map_err(PublicError::NotDer)?),
        "CERTIFICATE" => {
            let certificate = Certificate::from_der(der).map_err(PublicError::NotDer)?;
            spki(certificate.tbs_certificate().subject_public_key_info())
        }
        "RSA PUBLIC KEY" => pkcs1(der),
        label if is_private(label) => {
            refuse_encrypted(label, block.has_proc_type)?;
            from_der(label, der)?.public()
        }
        _ => Err(PublicError::NoKey),
    }
}

fn is_private(label: &str) -> bool {
    label.ends_with("PRIVATE KEY")
}

/// Whether a private key begins in a text.
fn has_private(text: &[u8]) -> bool {
    let label_at = |at: usize| label(text.get(at + BEGIN.len()..).unwrap_or_default());
    pem::begun(text).any(|at| label_at(at).is_some_and(|(label, _)| is_private(label)))
}

/// Reads the private key of a text, which must have but one. What else the text has is not decoded.
pub(super) fn from_pem(text: &[u8]) -> Result<PrivateKey, KeyFileError> {
    let mut other = None;
    for at in pem::begun(text) {
        let begun = text.get(at + BEGIN.len()..).unwrap_or_default();
        let (label, rest) = label(begun)
            .ok_or_else(|| KeyFileError::Pem("PEM: a BEGIN line does not end".to_owned()))?;
        if is_private(label) {
            if has_private(rest) {
                return Err(KeyFileError::Several);
            }
            return from_text(label, rest).map_err(|error| match error {
                KeyFileError::Pem(fault) => KeyFileError::Pem(pem::explained(text, fault)),
                error => error,
            });
        }
        other = other.or(Some(label));
    }
    match other {
        Some(label) => Err(KeyFileError::NotPrivate(label.to_owned())),
        None => Err(KeyFileError::NeitherPemNorJwk),
    }
}

/// The label of a block, which messages quote, and what comes after it.
fn label(begun: &[u8]) -> Option<(&str, &[u8])> {
    const MAX_LABEL: usize = 64;
    let (label, rest) = split_at(begun, b"-----")?;
    let label = std::str::from_utf8(label).ok()?;
    let shown = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    (label.len() <= MAX_LABEL && label.bytes().all(shown)).then_some((label, rest))
}

/// What stands before and after the first `middle`.
fn split_at<'t>(text: &'t [u8], middle: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let at = text.windows(middle.len()).position(|part| part == middle)?;
    Some((text.get(..at)?, text.get(at + middle.len()..)?))
}

/// The label of a block, and its content, which is wiped.
type PrivateBlock<'t> = (&'t str, Zeroizing<Vec<u8>>);

/// Every private key of a text.
pub(crate) fn private_blocks(text: &[u8]) -> Result<Vec<PrivateBlock<'_>>, KeyFileError> {
    let mut blocks = Vec::new();
    for at in pem::begun(text) {
        let begun = text.get(at + BEGIN.len()..).unwrap_or_default();
        if let Some((label, rest)) = label(begun).filter(|(label, _)| is_private(label)) {
            let der = decoded(label, rest).map_err(|error| match error {
                KeyFileError::Pem(fault) => KeyFileError::Pem(pem::explained(text, fault)),
                error => error,
            })?;
            blocks.push((label, der));
        }
    }
    Ok(blocks)
}

/// The private key of the block that begins with `text`. All that is decoded is wiped.
fn from_text(label: &str, text: &[u8]) -> Result<PrivateKey, KeyFileError> {
    from_der(label, &decoded(label, text)?)
}

/// The content of the block of a private key that begins with `text`.
fn decoded(label: &str, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let end = format!("-----END {label}-----");
    let (body, _) = split_at(text, end.as_bytes())
        .ok_or_else(|| KeyFileError::Pem(format!("PEM: {label} begins, but does not end")))?;
    refuse_encrypted(label, split_at(body, b"Proc-Type:").is_some())?;
    // Headers (RFC 1421 section 4.4), which base64 has no colon for, end at an empty line.
    let headers = split_at(body, b"\n\n").or_else(|| split_at(body, b"\n\r\n"));
    let body = headers.filter(|_| body.contains(&b':')).map_or(body, |(_, body)| body);
    decode_secret(&STANDARD, &without_white_space(body))
        .ok_or_else(|| KeyFileError::Pem(format!("PEM: {label} is not base64")))
}

fn refuse_encrypted(label: &str, has_proc_type: bool) -> Result<(), KeyFileError> {
    match label.starts_with("ENCRYPTED") || has_proc_type {
        true => Err(KeyFileError::Encrypted),
        false => Ok(()),
    }
}

/// The private key of a block with this content.
pub(crate) fn from_der(label: &str, der: &[u8]) -> Result<PrivateKey, KeyFileError> {
    match label {
        "PRIVATE KEY" => from_pkcs8(der),
        "RSA PRIVATE KEY" => rsa(der, RsaKeyPair::from_der(der)),
        "EC PRIVATE KEY" => ec_of_any_curve(der),
        other => Err(KeyFileError::Label(other.to_owned())),
    }
}

/// The number of a block that is a private key of X25519 (RFC 8410 section 7), which signs nothing.
pub(crate) fn x25519_of_block<'d>(label: &str, der: &'d [u8]) -> Option<&'d [u8]> {
    let (kind, key) = (label == "PRIVATE KEY").then(|| pkcs8(der).ok())??;
    match key {
        // An octet string of 32 bytes.
        [0x04, 0x20, number @ ..] if kind == X25519 => Some(number),
        _ => None,
    }
}

fn from_pkcs8(der: &[u8]) -> Result<PrivateKey, KeyFileError> {
    let (kind, key) = pkcs8(der).map_err(KeyFileError::NotPkcs8)?;
    let unusable = |kind| move |why| KeyFileError::Unusable { kind, why };
    match kind {
        RSA => rsa(key, RsaKeyPair::from_pkcs8(der)),
        EC => ec_of_any_curve(der),
        ED25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map(|key| Material::Ed25519(key).into())
            .map_err(unusable("Ed25519")),
        other => {
            let known = pem::ml_dsa(other).and_then(|it| Some((it, ml_dsa(it)?)));
            let (algorithm, signing) =
                known.ok_or_else(|| KeyFileError::UnknownType(other.to_string()))?;
            PqdsaKeyPair::from_pkcs8(signing, der)
                .map(|key| Material::MlDsa(algorithm, Box::new(key)).into())
                .map_err(unusable(algorithm.name()))
        }
    }
}

/// An RSA key, which the library has read of the same RSAPrivateKey. If its size is at fault, the
/// message is that of keys that verify.
fn rsa(
    pkcs1_der: &[u8],
    read: Result<RsaKeyPair, KeyRejected>,
) -> Result<PrivateKey, KeyFileError> {
    if let Ok([n, e, ..]) = rsa_numbers(pkcs1_der) {
        Key::rsa(n, e, AlgorithmSet::ALL)?;
    }
    read.map(|key| Material::Rsa(Box::new(key)).into())
        .map_err(|why| KeyFileError::Unusable { kind: "RSA", why })
}

/// A key in PKCS#8 or in the form of RFC 5915. The library checks the curve, so each is tried.
fn ec_of_any_curve(der: &[u8]) -> Result<PrivateKey, KeyFileError> {
    [Curve::P256, Curve::P384, Curve::P521]
        .into_iter()
        .find_map(|curve| {
            let key = EcdsaKeyPair::from_private_key_der(ecdsa(curve), der).ok()?;
            Some(Material::Ec(curve, key).into())
        })
        .ok_or(KeyFileError::NotEc)
}

#[cfg(test)]
mod tests {
    use ::pem::Pem;
    use aws_lc_rs::rsa::KeySize;

    use super::*;
    use crate::alg::Algorithm;

    /// The older formats, which PKCS#8 contains.
    #[test]
    fn rsa_private_key_and_ec_private_key_are_read() {
        for (algorithm, label) in [
            (Algorithm::RS256, "RSA PRIVATE KEY"),
            (Algorithm::ES256, "EC PRIVATE KEY"),
            (Algorithm::ES512, "EC PRIVATE KEY"),
        ] {
            let key = PrivateKey::generate(algorithm, KeySize::Rsa2048).unwrap();
            let (private, _) = key.pem().unwrap().unwrap();
            let block = ::pem::parse(private).unwrap();
            let (_, inner) = pkcs8(block.contents()).unwrap();
            let parameters = Pem::new("EC PARAMETERS", [5, 0]);
            let text = ::pem::encode_many(&[parameters, Pem::new(label, inner)]);
            assert_eq!(from_pem(text.as_bytes()).unwrap().jwk().unwrap(), key.jwk().unwrap());
            let block = PemBlock { label, has_proc_type: false, der: inner };
            assert_eq!(public_of_block(&block).unwrap(), key.public().unwrap());
        }
    }
}
