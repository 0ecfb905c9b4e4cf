//! Keys that sign: secrets and private keys, from PEM and JWK and back.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use aws_lc_rs::{hmac, rand};
use pem::Pem;
use serde_json::Value;
use token::{Algorithm, Curve, base64url};
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef};
use x509_cert::der::{self, Reader as _, SliceReader};

use crate::files;
use crate::public::{self, Jwk, jwk};

/// A key that signs.
pub(crate) enum Private {
    Secret(Vec<u8>),
    Rsa(Box<RsaKeyPair>),
    Ec(Curve, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A key file, with what it says of its key.
pub(crate) struct KeyFile {
    pub(crate) key: Private,
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: Option<Algorithm>,
}

/// Reads a private key from PEM, or a private or secret JWK.
pub(crate) fn load(path: &Path) -> Result<KeyFile> {
    let text = files::read(path)?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &[u8]) -> Result<KeyFile> {
    if text.trim_ascii_start().first() == Some(&b'{') {
        return from_jwk(text);
    }
    let blocks = pem::parse_many(text).context("PEM")?;
    let Some(block) = blocks.iter().find(|block| block.tag().ends_with("PRIVATE KEY")) else {
        match blocks.first() {
            Some(block) => bail!("holds a {}; signing needs the private key", block.tag()),
            None => bail!("is neither PEM nor a JWK"),
        }
    };
    Ok(KeyFile { key: Private::from_block(block)?, kid: None, algorithm: None })
}

fn from_jwk(text: &[u8]) -> Result<KeyFile> {
    // Strict first: a member that stands twice would make it a guess which key signs.
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
    if kty != "oct" && !members.contains_key("d") {
        bail!("is a public JWK; signing needs the private one, with its member d");
    }
    let bad = |why: aws_lc_rs::error::KeyRejected| anyhow!("is not a usable private key ({why})");
    let key = match (kty, member("crv")) {
        ("oct", _) => Private::Secret(bytes("k")?),
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
        (other, _) => bail!("kty: unknown value {other:?}"),
    };
    Ok(KeyFile {
        key,
        kid: member("kid").map(str::to_owned),
        algorithm: member("alg").and_then(Algorithm::from_name),
    })
}

/// What signs with keys of a curve.
fn ecdsa(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

impl Private {
    /// Makes a new key for `algorithm`; `bits` is the size of an RSA modulus.
    pub(crate) fn generate(algorithm: Algorithm, bits: KeySize) -> Result<Self> {
        use Algorithm as A;
        let ec = |curve| EcdsaKeyPair::generate(ecdsa(curve)).map(|key| Self::Ec(curve, key));
        match algorithm {
            A::HS256 => return secret::<32>(),
            A::HS384 => return secret::<48>(),
            A::HS512 => return secret::<64>(),
            A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512 => {
                RsaKeyPair::generate(bits).map(|key| Self::Rsa(Box::new(key)))
            }
            A::ES256 => ec(Curve::P256),
            A::ES384 => ec(Curve::P384),
            A::ES512 => ec(Curve::P521),
            A::EdDSA => Ed25519KeyPair::generate().map(Self::Ed25519),
        }
        .map_err(|_| anyhow!("the library could not make a key for {algorithm}"))
    }

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
            other => bail!("has a key of unknown type {other}"),
        }
    }

    /// A key in PKCS#8 or in the form of RFC 5915. The library checks that the curve is the one
    /// that it was asked for, so asking for each finds it.
    fn ec_of_any_curve(der: &[u8]) -> Result<Self> {
        [Curve::P256, Curve::P384, Curve::P521]
            .into_iter()
            .find_map(|curve| {
                let key = EcdsaKeyPair::from_private_key_der(ecdsa(curve), der).ok()?;
                Some(Self::Ec(curve, key))
            })
            .context("is not a private key of P-256, P-384 or P-521")
    }

    /// What the key is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "a secret",
            Self::Rsa(_) => "an RSA key",
            Self::Ec(Curve::P256, _) => "a P-256 key",
            Self::Ec(Curve::P384, _) => "a P-384 key",
            Self::Ec(Curve::P521, _) => "a P-521 key",
            Self::Ed25519(_) => "an Ed25519 key",
        }
    }

    /// What it signs with when nothing else is said.
    pub(crate) fn default_algorithm(&self) -> Algorithm {
        match self {
            Self::Secret(_) => Algorithm::HS256,
            Self::Rsa(_) => Algorithm::RS256,
            Self::Ec(Curve::P256, _) => Algorithm::ES256,
            Self::Ec(Curve::P384, _) => Algorithm::ES384,
            Self::Ec(Curve::P521, _) => Algorithm::ES512,
            Self::Ed25519(_) => Algorithm::EdDSA,
        }
    }

    /// The signature of `algorithm` over `message`.
    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        use Algorithm as A;
        let failed = |_| anyhow!("the library could not sign");
        let mac = |secret: &[u8], with| {
            hmac::sign(&hmac::Key::new(with, secret), message).as_ref().to_vec()
        };
        let rsa = |key: &RsaKeyPair, padding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(padding, &SystemRandom::new(), message, &mut signature).map_err(failed)?;
            Ok(signature)
        };
        match (self, algorithm) {
            (Self::Secret(secret), A::HS256) => Ok(mac(secret, hmac::HMAC_SHA256)),
            (Self::Secret(secret), A::HS384) => Ok(mac(secret, hmac::HMAC_SHA384)),
            (Self::Secret(secret), A::HS512) => Ok(mac(secret, hmac::HMAC_SHA512)),
            (Self::Rsa(key), A::RS256) => rsa(key, &RSA_PKCS1_SHA256),
            (Self::Rsa(key), A::RS384) => rsa(key, &RSA_PKCS1_SHA384),
            (Self::Rsa(key), A::RS512) => rsa(key, &RSA_PKCS1_SHA512),
            (Self::Rsa(key), A::PS256) => rsa(key, &RSA_PSS_SHA256),
            (Self::Rsa(key), A::PS384) => rsa(key, &RSA_PSS_SHA384),
            (Self::Rsa(key), A::PS512) => rsa(key, &RSA_PSS_SHA512),
            (Self::Ec(Curve::P256, key), A::ES256)
            | (Self::Ec(Curve::P384, key), A::ES384)
            | (Self::Ec(Curve::P521, key), A::ES512) => key
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(failed),
            (Self::Ed25519(key), A::EdDSA) => Ok(key.sign(message).as_ref().to_vec()),
            _ => bail!(
                "{algorithm} does not go with {}; {} does",
                self.kind(),
                self.default_algorithm()
            ),
        }
    }

    /// The public half as a JWK.
    pub(crate) fn public(&self) -> Result<Jwk> {
        match self {
            Self::Secret(_) => bail!("a shared secret has no public half"),
            Self::Rsa(key) => Ok(public::rsa(key.public_key())),
            Self::Ec(curve, key) => public::ec(*curve, key.public_key().as_ref()),
            Self::Ed25519(key) => Ok(public::ed25519(key.public_key().as_ref())),
        }
    }

    /// All of it as a JWK.
    pub(crate) fn jwk(&self) -> Result<Jwk> {
        let failed = |_| anyhow!("the library does not give the key out");
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
            Self::Secret(_) => Jwk::new(),
        });
        Ok(members)
    }

    /// The private key in PKCS#8 and the public one as SubjectPublicKeyInfo, in PEM; `None` for a
    /// secret.
    pub(crate) fn pem(&self) -> Result<Option<(String, String)>> {
        let failed = |_| anyhow!("the library does not give the key out");
        let (private, public) = match self {
            Self::Secret(_) => return Ok(None),
            Self::Rsa(key) => (
                key.as_der().map_err(failed)?.as_ref().to_vec(),
                key.public_key().as_der().map_err(failed)?,
            ),
            Self::Ec(_, key) => (
                key.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
                key.public_key().as_der().map_err(failed)?,
            ),
            // The first version, which every OpenSSL reads.
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

/// A secret that can be written as text: `BYTES` random ones in base64url, whose characters are
/// the secret itself.
fn secret<const BYTES: usize>() -> Result<Private> {
    let mut random = [0; BYTES];
    rand::fill(&mut random).map_err(|_| anyhow!("no randomness from the system"))?;
    Ok(Private::Secret(base64url::encode(random).into_bytes()))
}

/// The key type and the key of a PKCS#8 PrivateKeyInfo (RFC 5958 section 2).
fn pkcs8(der: &[u8]) -> der::Result<(ObjectIdentifier, &[u8])> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_survives_pem_and_jwk() {
        for algorithm in Algorithm::ALL {
            let key = Private::generate(algorithm, KeySize::Rsa2048).unwrap();
            let members = key.jwk().unwrap();
            let text = Value::Object(members.clone()).to_string();
            let again = parse(text.as_bytes()).unwrap().key;
            assert_eq!(again.jwk().unwrap(), members, "{algorithm}");
            if let Some((private, _)) = key.pem().unwrap() {
                let again = parse(private.as_bytes()).unwrap().key;
                assert_eq!(again.jwk().unwrap(), members, "{algorithm}");
            }
            assert!(key.sign(algorithm, b"x").is_ok());
        }
    }

    /// The older forms: what PKCS#8 wraps, on its own.
    #[test]
    fn rsa_private_key_and_ec_private_key_are_read() {
        for (algorithm, tag) in [
            (Algorithm::RS256, "RSA PRIVATE KEY"),
            (Algorithm::ES256, "EC PRIVATE KEY"),
            (Algorithm::ES512, "EC PRIVATE KEY"),
        ] {
            let key = Private::generate(algorithm, KeySize::Rsa2048).unwrap();
            let (private, _) = key.pem().unwrap().unwrap();
            let block = pem::parse(private).unwrap();
            let (_, inner) = pkcs8(block.contents()).unwrap();
            let parameters = Pem::new("EC PARAMETERS", [5, 0]);
            let text = pem::encode_many(&[parameters, Pem::new(tag, inner)]);
            assert_eq!(parse(text.as_bytes()).unwrap().key.jwk().unwrap(), key.jwk().unwrap());
            let public = crate::pem_file::public_keys(text.as_bytes()).unwrap();
            assert_eq!(public, [key.public().unwrap()]);
        }
    }

    #[test]
    fn an_algorithm_of_another_type_is_refused() {
        let key = Private::generate(Algorithm::ES256, KeySize::Rsa2048).unwrap();
        for algorithm in Algorithm::ALL.into_iter().filter(|one| *one != Algorithm::ES256) {
            let error = key.sign(algorithm, b"x").unwrap_err().to_string();
            assert!(error.ends_with("does not go with a P-256 key; ES256 does"), "{error}");
        }
    }

    #[test]
    fn errors_tell_what_is_wrong() {
        for (text, part) in [
            ("", "neither PEM nor a JWK"),
            ("hello", "neither PEM nor a JWK"),
            (r#"{"keys":[]}"#, "JWK Set"),
            (r#"{"kty":"oct","kty":"oct"}"#, "stands twice"),
            (r#"{"kty":"oct"}"#, "k is missing"),
            (r#"{"kty":"oct","k":"a b"}"#, "k is not base64url"),
            (r#"{"kty":"EC","crv":"P-256","x":"","y":""}"#, "public JWK"),
            (r#"{"kty":"EC","crv":"secp256k1","d":""}"#, "crv is none of"),
            (r#"{"kty":"OKP","crv":"X25519","d":""}"#, "crv is not Ed25519"),
            (r#"{"kty":"XYZ","d":""}"#, "unknown value \"XYZ\""),
            ("-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n", "holds a PUBLIC KEY"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "is encrypted",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "not PKCS#8"),
        ] {
            let error = format!("{:#}", parse(text.as_bytes()).err().unwrap());
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
