//! Private keys from PEM and to PEM.

use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair};
use pem::Pem;
use token::Curve;
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef};
use x509_cert::der::{self, Reader as _, SliceReader};

use crate::private::{Private, ecdsa, ml_dsa};
use crate::public;

impl Private {
    /// Reads a PEM block with a private key.
    pub(crate) fn from_block(block: &Pem) -> Result<Self> {
        let der = block.contents();
        if block.tag().starts_with("ENCRYPTED") || block.headers().get("Proc-Type").is_some() {
            bail!("is encrypted; decrypt it first (openssl pkey -in FILE -out PLAIN)");
        }
        match block.tag() {
            "PRIVATE KEY" => Self::from_pkcs8(der),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(der)
                .map(|key| Self::Rsa(Box::new(key)))
                .map_err(|e| anyhow!("is not a usable RSA private key ({e})")),
            "EC PRIVATE KEY" => Self::ec_of_any_curve(der),
            other => bail!("{other} is not read; PRIVATE KEY (PKCS#8) is"),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let (kind, _) = pkcs8(der).context("is not PKCS#8")?;
        match kind {
            public::RSA => RsaKeyPair::from_pkcs8(der)
                .map(|key| Self::Rsa(Box::new(key)))
                .map_err(|e| anyhow!("is not a usable RSA private key ({e})")),
            public::EC => Self::ec_of_any_curve(der),
            public::ED25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                .map(Self::Ed25519)
                .map_err(|e| anyhow!("is not a usable Ed25519 private key ({e})")),
            other => {
                let known = public::ml_dsa_of(other).and_then(|it| Some((it, ml_dsa(it)?)));
                let (algorithm, signing) =
                    known.with_context(|| format!("has a key of unknown type {other}"))?;
                PqdsaKeyPair::from_pkcs8(signing, der)
                    .map(|key| Self::MlDsa(algorithm, Box::new(key)))
                    .map_err(|e| anyhow!("is not a usable {algorithm} private key ({e})"))
            }
        }
    }

    /// A key in PKCS#8 or in the form of RFC 5915. The library checks the curve, so each is tried.
    fn ec_of_any_curve(der: &[u8]) -> Result<Self> {
        [Curve::P256, Curve::P384, Curve::P521]
            .into_iter()
            .find_map(|curve| {
                let key = EcdsaKeyPair::from_private_key_der(ecdsa(curve), der).ok()?;
                Some(Self::Ec(curve, key))
            })
            .context("is not a private key of P-256, P-384 or P-521")
    }

    /// The private key (PKCS#8) and the public key (SubjectPublicKeyInfo) in PEM; `None` for a secret.
    pub(crate) fn pem(&self) -> Result<Option<(String, String)>> {
        let failed = |_| anyhow!("the library does not export the key");
        let (private, public) = match self {
            Self::MlDsa(_, key) => (
                key.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
                key.public_key().as_der().map_err(failed)?,
            ),
            Self::Secret(_) => return Ok(None),
            Self::Rsa(key) => (
                key.as_der().map_err(failed)?.as_ref().to_vec(),
                key.public_key().as_der().map_err(failed)?,
            ),
            Self::Ec(_, key) => (
                key.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
                key.public_key().as_der().map_err(failed)?,
            ),
            // Version 1 of PKCS#8, which every OpenSSL can read.
            Self::Ed25519(key) => (
                key.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
                key.public_key().as_der().map_err(failed)?,
            ),
        };
        let lf = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        let pem = |tag, der: &[u8]| pem::encode_config(&Pem::new(tag, der), lf);
        Ok(Some((pem("PRIVATE KEY", &private), pem("PUBLIC KEY", public.as_ref()))))
    }
}

/// The key type and the key of a PKCS#8 PrivateKeyInfo (RFC 5958 section 2).
pub(crate) fn pkcs8(der: &[u8]) -> der::Result<(ObjectIdentifier, &[u8])> {
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
