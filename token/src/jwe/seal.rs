//! Makes encrypted tokens (RFC 7516 section 5.1), for tools and tests.

use aws_lc_rs::agreement::PrivateKey as EphemeralKey;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rsa::{OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents};
use x509_cert::der::Decode as _;
use zeroize::Zeroizing;

use super::agree::{AgreementCurve, Purpose, agree};
use super::algorithm::{AesSize, ContentEncryption, KeyManagement, Mode};
use super::cek::Cek;
use super::content::{Made, seal, seal_gcm};
use super::key::{self, DecryptionKey, NamedUse};
use super::load::{load_decryption_keys, named_use};
use super::wrap::wrap;
use crate::alg::{AlgorithmSet, Curve};
use crate::base64url;
use crate::json::{Document, Value};
use crate::jwk::members::{JwkMembers, Position};
use crate::key::Key;
use crate::loaded::without_byte_order_mark;
use crate::pem::{self, Spki, X25519};
use crate::sign::{Json, Members, PemBlock, public_of_block};

/// A key that encrypts: a shared secret, or the public half of a key that decrypts.
pub struct EncryptionKey {
    kid: Option<Box<str>>,
    /// What its JWK says that it is for.
    named: NamedUse,
    material: Material,
}

enum Material {
    Secret(Zeroizing<Vec<u8>>),
    Rsa(Box<OaepPublicEncryptingKey>),
    Agreement(AgreementCurve, Vec<u8>),
}

/// Why there is no encrypted token, or no key that makes one.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum SealError {
    #[error("{0}")]
    Key(String),
    #[error("{algorithm} does not go with this key; {fitting}")]
    Mismatch { algorithm: KeyManagement, fitting: String },
    #[error("dir with {encryption} wants a secret of {want} bytes; this one has {got}")]
    DirectLength { encryption: ContentEncryption, want: usize, got: usize },
    #[error("the library could not encrypt")]
    Library,
}

/// The key of the content, what the token brings of it, and what the header says of that.
type Brought = (Cek, Vec<u8>, Vec<(&'static str, Json)>);

impl EncryptionKey {
    /// Reads a public or private key, or a secret: a JWK, or PEM.
    ///
    /// # Errors
    /// A text that is no such key.
    pub fn read(text: &[u8]) -> Result<Self, SealError> {
        let text = without_byte_order_mark(text).trim_ascii_start();
        let own_fault = match load_decryption_keys(text, None) {
            Ok(own) => {
                let mut keys = own.keys.into_iter();
                return match (keys.next(), keys.next()) {
                    (Some(key), None) => Self::of(&key),
                    _ => Err(fault("holds several keys; give the one to encrypt to")),
                };
            }
            Err(error) => error,
        };
        match text {
            [b'{', ..] => {
                let document = Document::parse(text.to_vec());
                let document = document.map_err(|error| SealError::Key(error.to_string()))?;
                let jwk = match document.root().get("keys").and_then(Value::items) {
                    Some(mut keys) => match (keys.next(), keys.next()) {
                        (Some(one), None) => one,
                        _ => return Err(fault("is a JWK Set; give the one key to encrypt to")),
                    },
                    None => document.root(),
                };
                // A secret has no other half.
                if jwk.get("kty").and_then(Value::as_str) == Some("oct") {
                    return Err(SealError::Key(own_fault.to_string()));
                }
                Self::of_jwk(JwkMembers { jwk, place: Position::Alone })
            }
            _ => Self::of_pem(text),
        }
    }

    /// What encrypts to a key.
    ///
    /// # Errors
    /// The library does not tell the public half.
    pub fn of(key: &DecryptionKey) -> Result<Self, SealError> {
        let library = |_| SealError::Library;
        let material = match &key.material {
            key::Material::Secret(secret) => Material::Secret(secret.bytes.clone()),
            key::Material::Rsa(_, public) => Material::Rsa(Box::new(
                OaepPublicEncryptingKey::new(public.clone()).map_err(library)?,
            )),
            key::Material::Agreement(curve, key) => {
                let public = key.compute_public_key().map_err(library)?;
                Material::Agreement(*curve, public.as_ref().to_vec())
            }
        };
        Ok(Self { kid: key.kid().map(Into::into), named: key.named_use(), material })
    }

    fn of_jwk(members: JwkMembers<'_>) -> Result<Self, SealError> {
        let wrong = |error| SealError::Key(members.error(error).to_string());
        let bytes = |member| members.bytes(member).map_err(wrong);
        let curve = members.text("crv").map_err(wrong)?.unwrap_or_default();
        let material = match members.required("kty").map_err(wrong)? {
            "RSA" => rsa(&bytes("n")?, &bytes("e")?)?,
            "EC" => {
                let curve = Curve::from_name(curve)
                    .ok_or_else(|| fault("crv is none of P-256, P-384, P-521"))?;
                let x = members.coordinate("x", curve).map_err(wrong)?;
                let y = members.coordinate("y", curve).map_err(wrong)?;
                Material::Agreement(AgreementCurve::Nist(curve), [&[4], &*x, &*y].concat())
            }
            "OKP" if curve == "X25519" => {
                Material::Agreement(AgreementCurve::X25519, bytes("x")?.to_vec())
            }
            _ => return Err(fault("is no key that encrypts")),
        };
        let kid = members.kid().map_err(wrong)?.map(Into::into);
        let named = named_use(members).map_err(wrong)?.map_err(SealError::Key)?;
        Ok(Self { kid, named, material })
    }

    fn of_pem(text: &[u8]) -> Result<Self, SealError> {
        let blocks = pem::blocks(text).map_err(|fault| SealError::Key(fault.to_string()))?;
        let [block] = blocks.as_slice() else {
            return Err(fault("is neither a JWK nor one key in PEM"));
        };
        let der = block.contents();
        if block.tag() == "PUBLIC KEY"
            && let Ok(info) = Spki::from_der(der)
            && info.algorithm.oid == X25519
        {
            let public = info.subject_public_key.as_bytes().unwrap_or_default().to_vec();
            let material = Material::Agreement(AgreementCurve::X25519, public);
            return Ok(Self { kid: None, named: NamedUse::Any, material });
        }
        let block = PemBlock { label: block.tag(), has_proc_type: false, der };
        let jwk = public_of_block(&block).map_err(|error| SealError::Key(error.to_string()))?;
        let document = Document::parse(serde_json::Value::Object(jwk).to_string().into());
        let document = document.map_err(|error| SealError::Key(error.to_string()))?;
        Self::of_jwk(JwkMembers { jwk: document.root(), place: Position::Alone })
    }

    /// What it encrypts with by default: what its JWK names, or what most others know.
    pub fn default_algorithm(&self) -> KeyManagement {
        match self.named {
            NamedUse::Managing(one) => return one,
            NamedUse::Encrypting(_) => return KeyManagement::Dir,
            NamedUse::Any => {}
        }
        match &self.material {
            Material::Secret(secret) => match secret.len() {
                16 => KeyManagement::A128Kw,
                24 => KeyManagement::A192Kw,
                32 => KeyManagement::A256Kw,
                _ => KeyManagement::Dir,
            },
            Material::Rsa(_) => KeyManagement::RsaOaep256,
            Material::Agreement(..) => KeyManagement::EcdhEsA256Kw,
        }
    }

    /// What a content is encrypted with by default: A256GCM, or what goes with the key if that is the content's own.
    pub fn default_encryption(&self, management: KeyManagement) -> ContentEncryption {
        let fitting = match (self.named, management.mode(), &self.material) {
            (NamedUse::Encrypting(one), ..) => Some(one),
            (_, Mode::Direct, Material::Secret(secret)) => {
                // The last one, which for 32 bytes is A256GCM.
                ContentEncryption::ALL.into_iter().rfind(|one| one.key_len() == secret.len())
            }
            _ => None,
        };
        fitting.unwrap_or(ContentEncryption::A256Gcm)
    }

    /// A token of this content in the compact form. `members` are put into the header, behind those that say
    /// how to decrypt.
    ///
    /// # Errors
    /// An algorithm that does not go with the key, or the library fails.
    pub fn encrypt(
        &self,
        management: KeyManagement,
        encryption: ContentEncryption,
        members: &Members,
        plaintext: &[u8],
    ) -> Result<String, SealError> {
        let (cek, encrypted_key, parameters) = self.bring(management, encryption)?;
        let mut header = Members::default();
        header.set("alg", Json::string(management.name()));
        header.set("enc", Json::string(encryption.name()));
        if let Some(kid) = &self.kid {
            header.set("kid", Json::string(kid));
        }
        parameters.into_iter().for_each(|(name, value)| header.set(name, value));
        members.iter().for_each(|(name, value)| header.set(name, value.clone()));
        let header = base64url::encode(header.to_string());
        let made = seal(encryption, cek.bytes(), header.as_bytes(), plaintext);
        let Made { iv, ciphertext, tag } = made.ok_or(SealError::Library)?;
        let sections = [encrypted_key, iv, ciphertext, tag].map(base64url::encode);
        Ok([&[header][..], &sections].concat().join("."))
    }

    fn bring(
        &self,
        management: KeyManagement,
        encryption: ContentEncryption,
    ) -> Result<Brought, SealError> {
        if self.named != NamedUse::Any && management != self.default_algorithm() {
            let fitting = format!("its JWK is for {}", self.default_algorithm());
            return Err(SealError::Mismatch { algorithm: management, fitting });
        }
        let random = || Cek::random(encryption);
        let brought = match (management.mode(), &self.material) {
            (Mode::Direct, Material::Secret(secret)) => {
                let (want, got) = (encryption.key_len(), secret.len());
                if want != got {
                    return Err(SealError::DirectLength { encryption, want, got });
                }
                Cek::copied(secret).map(|cek| (cek, Vec::new(), Vec::new()))
            }
            (Mode::Wrap(size), Material::Secret(secret)) if secret.len() == size.len() => {
                random().and_then(|cek| Some((wrap(size, secret, &cek)?, cek))).map(plain)
            }
            (Mode::GcmWrap(size), Material::Secret(secret)) if secret.len() == size.len() => {
                random().and_then(|cek| {
                    let Made { iv, ciphertext, tag } = seal_gcm(size, secret, &[], cek.bytes())?;
                    let text = |bytes| Json::string(&base64url::encode(bytes));
                    Some((cek, ciphertext, vec![("iv", text(iv)), ("tag", text(tag))]))
                })
            }
            (Mode::Oaep(algorithm), Material::Rsa(key)) => random()
                .and_then(|cek| {
                    let mut out = vec![0; key.ciphertext_size()];
                    let len = key.encrypt(algorithm, cek.bytes(), &mut out, None).ok()?.len();
                    out.truncate(len);
                    Some((out, cek))
                })
                .map(plain),
            (Mode::Agree(wrapping), Material::Agreement(curve, peer)) => {
                let purpose = Purpose {
                    algorithm: wrapping.map_or(encryption.name(), |_| management.name()),
                    parties: [b"", b""],
                    key_len: wrapping.map_or(encryption.key_len(), AesSize::len),
                };
                agreed(*curve, peer, purpose).and_then(|(agreed, epk)| match wrapping {
                    None => Some((agreed, Vec::new(), epk)),
                    Some(size) => {
                        let cek = random()?;
                        Some((wrap(size, agreed.bytes(), &cek)?, cek))
                            .map(|(key, cek)| (cek, key, epk))
                    }
                })
            }
            _ => {
                let fitting = match &self.material {
                    Material::Secret(_) => "dir, and what has the secret's length, do",
                    Material::Rsa(_) => "RSA-OAEP and its kind do",
                    Material::Agreement(..) => "ECDH-ES and its kind do",
                };
                let fitting = fitting.to_owned();
                return Err(SealError::Mismatch { algorithm: management, fitting });
            }
        };
        brought.ok_or(SealError::Library)
    }
}

fn plain((encrypted_key, cek): (Vec<u8>, Cek)) -> Brought {
    (cek, encrypted_key, Vec::new())
}

/// A key that is agreed with `peer`, and the `epk` by which the other side agrees on it too.
fn agreed(
    curve: AgreementCurve,
    peer: &[u8],
    purpose: Purpose<'_>,
) -> Option<(Cek, Vec<(&'static str, Json)>)> {
    let own = EphemeralKey::generate(curve.algorithm()).ok()?;
    let public = own.compute_public_key().ok()?;
    let mut epk = Members::default();
    for (name, text) in curve.members(public.as_ref())? {
        epk.set(name, Json::string(&text));
    }
    let epk = Json::read(&epk.to_string()).ok()?;
    Some((agree(&own, peer, purpose)?, vec![("epk", epk)]))
}

fn rsa(n: &[u8], e: &[u8]) -> Result<Material, SealError> {
    Key::rsa(n, e, AlgorithmSet::ALL).map_err(|error| SealError::Key(error.to_string()))?;
    let components = PublicKeyComponents { n, e };
    let der: PublicKeyX509Der<'_> = components.as_der().map_err(|_| SealError::Library)?;
    let key = PublicEncryptingKey::from_der(der.as_ref()).map_err(|_| SealError::Library)?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| SealError::Library)?;
    Ok(Material::Rsa(Box::new(key)))
}

fn fault(what: &str) -> SealError {
    SealError::Key(what.to_owned())
}
