//! Public keys in PEM.

use anyhow::{Context as _, Result, bail};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::spki::SubjectPublicKeyInfo;

use crate::private::Private;
use crate::public::{Jwk, pkcs1, spki};

/// Every key of a PEM text: public keys, certificates, and the public halves of private keys.
pub(crate) fn public_keys(text: &[u8]) -> Result<Vec<Jwk>> {
    let blocks = pem::parse_many(text).context("PEM")?;
    blocks
        .iter()
        // OpenSSL writes such a block before an EC key, which names the curve as well.
        .filter(|block| block.tag() != "EC PARAMETERS")
        .enumerate()
        .map(|(i, block)| {
            from_block(block).with_context(|| format!("PEM block {} ({})", i + 1, block.tag()))
        })
        .collect()
}

fn from_block(block: &pem::Pem) -> Result<Jwk> {
    let der = block.contents();
    match block.tag() {
        "PUBLIC KEY" => spki(&SubjectPublicKeyInfo::from_der(der).context("not DER")?),
        "CERTIFICATE" => {
            let certificate = Certificate::from_der(der).context("not DER")?;
            spki(certificate.tbs_certificate().subject_public_key_info())
        }
        "RSA PUBLIC KEY" => pkcs1(der),
        tag if tag.ends_with("PRIVATE KEY") => Private::from_block(block)?.public(),
        _ => bail!("holds no key"),
    }
}
