//! Private keys from JWKs and to JWKs.

use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair};
use serde_json::Value;
use token::{Algorithm, Curve, base64url, private_member};
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{self, Reader as _, SliceReader};

use crate::private::{KeyFile, Private, ecdsa, ml_dsa};
use crate::private_pem::pkcs8;
use crate::public::{Jwk, jwk};
use crate::secret::refuse_public;

/// Reads a secret or private JWK.
pub(crate) fn from_jwk(text: &[u8]) -> Result<KeyFile> {
    // The strict parser refuses repeated members: with them it would be unclear which key signs.
    token::json::Document::parse(text.to_vec())?;
    let members: Jwk = serde_json::from_slice(text)?;
    if members.contains_key("keys") {
        bail!("is a JWK Set; give the one private JWK that signs");
    }
    let member = |name: &str| members.get(name).and_then(Value::as_str);
    let bytes = |name: &str| {
        let text = member(name).with_context(|| format!("{name} is missing"))?;
        base64url::decode(text.as_bytes()).with_context(|| format!("{name} is not base64url"))
    };
    let kty = member("kty").context("kty is missing: this is no JWK")?;
    let private = private_member(kty);
    if kty != "oct" && !members.contains_key(private) {
        bail!("is a public JWK; signing needs the private one, with its member {private}");
    }
    let bad = |why: aws_lc_rs::error::KeyRejected| anyhow!("is not a usable private key ({why})");
    let key = match (kty, member("crv")) {
        ("oct", _) => {
            let secret = bytes("k")?;
            refuse_public(&secret).context("k")?;
            Private::Secret(secret)
        }
        ("RSA", _) => {
            let components = KeyPairComponents {
                public_key: PublicKeyComponents { n: bytes("n")?, e: bytes("e")? },
                d: bytes("d")?,
                p: bytes("p")?,
                q: bytes("q")?,
                dP: bytes("dp")?,
                dQ: bytes("dq")?,
                qInv: bytes("qi")?,
            };
            Private::Rsa(Box::new(RsaKeyPair::from_components(&components).map_err(bad)?))
        }
        ("EC", crv) => {
            let curve = [Curve::P256, Curve::P384, Curve::P521]
                .into_iter()
                .find(|curve| Some(curve.name()) == crv)
                .context("crv is none of P-256, P-384, P-521")?;
            let point = [vec![4], bytes("x")?, bytes("y")?].concat();
            let signing = ecdsa(curve);
            EcdsaKeyPair::from_private_key_and_public_key(signing, &bytes("d")?, &point)
                .map(|key| Private::Ec(curve, key))
                .map_err(bad)?
        }
        ("OKP", Some("Ed25519")) => {
            Ed25519KeyPair::from_seed_and_public_key(&bytes("d")?, &bytes("x")?)
                .map(Private::Ed25519)
                .map_err(bad)?
        }
        ("OKP", _) => bail!("crv is not Ed25519"),
        ("AKP", _) => {
            let algorithm = member("alg").context("alg is missing")?;
            let known = Algorithm::from_name(algorithm).and_then(|it| Some((it, ml_dsa(it)?)));
            let (algorithm, signing) =
                known.with_context(|| format!("alg: unknown value {algorithm:?}"))?;
            let key = PqdsaKeyPair::from_seed(signing, &bytes("priv")?).map_err(bad)?;
            if key.public_key().as_ref() != bytes("pub")? {
                bail!("pub is not the public half of priv");
            }
            Private::MlDsa(algorithm, Box::new(key))
        }
        (other, _) => bail!("kty: unknown value {other:?}"),
    };
    Ok(KeyFile {
        key,
        kid: member("kid").map(str::to_owned),
        algorithm: member("alg").and_then(Algorithm::from_name),
    })
}

impl Private {
    /// The whole key as a JWK.
    pub(crate) fn jwk(&self) -> Result<Jwk> {
        let failed = |_| anyhow!("the library does not export the key");
        let mut members = match self {
            Self::Secret(secret) => {
                let k = base64url::encode(secret);
                return Ok(jwk([("kty", "oct".to_owned()), ("k", k)]));
            }
            _ => self.public()?,
        };
        members.extend(match self {
            Self::Rsa(key) => rsa_members(key.as_der().map_err(failed)?.as_ref())?,
            Self::Ec(_, key) => {
                let d = key.private_key().as_be_bytes().map_err(failed)?;
                jwk([("d", base64url::encode(d.as_ref()))])
            }
            Self::Ed25519(key) => {
                let d = key.seed().and_then(|seed| seed.as_be_bytes()).map_err(failed)?;
                jwk([("d", base64url::encode(d.as_ref()))])
            }
            Self::MlDsa(_, key) => {
                let pkcs8 = key.to_pkcs8v1().map_err(failed)?;
                jwk([("priv", base64url::encode(ml_dsa_seed(pkcs8.as_ref())?))])
            }
            Self::Secret(_) => Jwk::new(),
        });
        Ok(members)
    }
}

/// The seed of an ML-DSA key in PKCS#8 (RFC 9881 section 6), which the library gives in no other form.
fn ml_dsa_seed(pkcs8_der: &[u8]) -> Result<Vec<u8>> {
    let (_, key) = pkcs8(pkcs8_der).context("the library wrote a key that is not PKCS#8")?;
    match key {
        [0x80, 32, seed @ ..] if seed.len() == 32 => Ok(seed.to_vec()),
        _ => bail!("holds no seed, which a JWK needs"),
    }
}

/// The private members of an RSA JWK (RFC 7518 section 6.3.2) from PKCS#8 (RFC 8017 A.1.2).
fn rsa_members(pkcs8_der: &[u8]) -> Result<Jwk> {
    let read = || {
        let (_, key) = pkcs8(pkcs8_der)?;
        SliceReader::new(key)?.sequence(|key| {
            for _version_n_e in 0..3 {
                key.decode::<UintRef<'_>>()?;
            }
            let mut members = Jwk::new();
            for name in ["d", "p", "q", "dp", "dq", "qi"] {
                let number = base64url::encode(key.decode::<UintRef<'_>>()?.as_bytes());
                members.insert(name.to_owned(), number.into());
            }
            der::Result::Ok(members)
        })
    };
    read().context("the library wrote an RSA key that is not PKCS#8")
}
