//! Files with keys that decrypt: a JWK, a JWK Set (RFC 7517), or private keys in PEM.

use std::fmt;

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::KeyPair as _;

use super::agree::AgreementCurve;
use super::algorithm::{ContentEncryption, KeyManagement};
use super::key::{DecryptionKey, DecryptionKeyError, NamedUse};
use crate::alg::Algorithm;
use crate::disclosed::public_form;
use crate::identity::Identity;
use crate::json::Document;
use crate::jwk::members::{JwkMembers, MemberFault, Position};
use crate::loaded::{Fault, LoadError, Quoted, shortened, without_byte_order_mark};
use crate::pem;
use crate::sign::{self, KeyFileError, Material, PrivateKey};

/// The content of a file with keys that decrypt.
#[derive(Debug, Default)]
pub struct LoadedDecryptionKeys {
    /// The usable keys, in the order of the file.
    pub keys: Vec<DecryptionKey>,
    /// What the person who wrote the file should know although it is no error.
    pub warnings: Vec<String>,
}

/// Why a file with keys that decrypt was refused. No text has a part of a secret.
#[derive(Debug)]
pub struct DecryptionKeysError {
    /// The place of the key in the file, such as `keys[1]`; empty for the whole file.
    place: String,
    fault: KeyFault,
}

/// What is wrong with a key or a file of keys.
#[derive(Debug, thiserror::Error)]
enum KeyFault {
    #[error("is empty")]
    Empty,
    #[error("is neither JSON nor PEM")]
    NeitherJsonNorPem,
    #[error("holds no key that decrypts; {0}")]
    NoKey(String),
    #[error("holds no private key, which decrypting needs")]
    NoPrivateKey,
    #[error("{0}")]
    NotUsed(String),
    #[error("k: the secret is {0}, which is no secret: whoever has it could make tokens")]
    PublicSecret(&'static str),
    #[error("{0}: {1}")]
    Member(&'static str, Fault),
    #[error("x is not the public half of d")]
    OtherHalf,
    #[error("is a key of {0}, which signs and does not decrypt")]
    OnlySigns(&'static str),
    #[error(transparent)]
    Whole(LoadError),
    #[error(transparent)]
    Private(KeyFileError),
    #[error(transparent)]
    Key(DecryptionKeyError),
    #[error("the library does not export the key")]
    Library,
}

/// What one key of a file is: none is left out silently.
enum Read {
    Key(Box<DecryptionKey>),
    /// Not for decrypting; why.
    NotUsed(String),
}

impl DecryptionKeysError {
    fn new(place: impl fmt::Display, fault: impl Into<KeyFault>) -> Self {
        Self { place: place.to_string(), fault: fault.into() }
    }
}

impl fmt::Display for DecryptionKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => self.fault.fmt(f),
            place => write!(f, "{place}: {}", self.fault),
        }
    }
}

impl std::error::Error for DecryptionKeysError {}

impl From<MemberFault> for KeyFault {
    fn from((member, fault): MemberFault) -> Self {
        Self::Member(member, fault)
    }
}

impl From<LoadError> for KeyFault {
    fn from(error: LoadError) -> Self {
        Self::Whole(error)
    }
}

impl From<KeyFileError> for KeyFault {
    fn from(error: KeyFileError) -> Self {
        Self::Private(error)
    }
}

impl From<DecryptionKeyError> for KeyFault {
    fn from(error: DecryptionKeyError) -> Self {
        Self::Key(error)
    }
}

/// Reads keys that decrypt. `kid` is used for a single key that has none of its own. A key of a set that is for
/// something else is left out with a warning.
///
/// # Errors
/// A fault of the text as a whole or of one key, two different keys of one kid, or no key that decrypts.
pub fn load_decryption_keys(
    text: &[u8],
    kid: Option<&str>,
) -> Result<LoadedDecryptionKeys, DecryptionKeysError> {
    let text = without_byte_order_mark(text);
    let mut loaded = LoadedDecryptionKeys::default();
    match text.trim_ascii_start() {
        [] => return Err(DecryptionKeysError::new("", KeyFault::Empty)),
        [b'{' | b'[', ..] => loaded.add_json(text, kid)?,
        text if pem::begun(text).next().is_some() => loaded.add_pem(text, kid)?,
        _ => return Err(DecryptionKeysError::new("", KeyFault::NeitherJsonNorPem)),
    }
    if loaded.keys.is_empty() {
        let why = KeyFault::NoKey(match loaded.warnings.as_slice() {
            [] => "it is empty".to_owned(),
            why => why.join("; "),
        });
        return Err(DecryptionKeysError::new("", why));
    }
    Ok(loaded)
}

impl LoadedDecryptionKeys {
    fn add_json(&mut self, text: &[u8], kid: Option<&str>) -> Result<(), DecryptionKeysError> {
        let whole = |error| DecryptionKeysError::new("", KeyFault::Whole(error));
        let document =
            Document::parse_secret(text).map_err(|error| whole(LoadError::json(text, &error)))?;
        let root = document.root();
        let Some(keys) = root.get("keys") else {
            let members = JwkMembers { jwk: root, place: Position::Alone };
            let fault = |fault| DecryptionKeysError::new("", fault);
            return match one(members, kid).map_err(fault)? {
                Read::Key(key) => self.push(*key, ""),
                Read::NotUsed(why) => Err(fault(KeyFault::NotUsed(why))),
            };
        };
        let wanted = |fault| whole(LoadError::new("keys", fault));
        let items = keys.items().ok_or_else(|| wanted(Fault::Want("an array")))?;
        if kid.is_some() {
            return Err(wanted(Fault::KidOfSet));
        }
        for (number, jwk) in items.enumerate() {
            let place = Position::InSet(number);
            match one(JwkMembers { jwk, place }, None) {
                Ok(Read::Key(key)) => self.push(*key, place)?,
                Ok(Read::NotUsed(why)) => self.warn(place, why),
                Err(fault @ KeyFault::PublicSecret(_)) => {
                    return Err(DecryptionKeysError::new(place, fault));
                }
                Err(fault) => self.warn(place, fault),
            }
        }
        Ok(())
    }

    fn add_pem(&mut self, text: &[u8], kid: Option<&str>) -> Result<(), DecryptionKeysError> {
        let whole = |fault| DecryptionKeysError::new("", fault);
        let blocks = sign::private_blocks(text).map_err(|error| whole(error.into()))?;
        match (blocks.len(), kid) {
            (0, _) => return Err(whole(KeyFault::NoPrivateKey)),
            (2.., Some(_)) => return Err(whole(LoadError::new("", Fault::KidOfSet).into())),
            _ => {}
        }
        for (number, (label, der)) in blocks.iter().enumerate() {
            let place = format!("private key {} ({label})", number + 1);
            let key = of_block(label, der).map_err(|why| DecryptionKeysError::new(&place, why))?;
            self.push(key.with_kid(kid), &place)?;
        }
        Ok(())
    }

    /// Adds a key. The same key twice counts once; of two with the same kid it would be unclear which one a
    /// token means.
    fn push(
        &mut self,
        key: DecryptionKey,
        place: impl fmt::Display,
    ) -> Result<(), DecryptionKeysError> {
        if self.keys.iter().any(|one| one.is_ambiguous_with(&key)) {
            let fault = Fault::DuplicateKid(shortened(key.kid().unwrap_or_default()));
            return Err(DecryptionKeysError::new(place, LoadError::new("", fault)));
        }
        let is_known = |one: &DecryptionKey| {
            (one.kid(), one.identity, one.algorithms())
                == (key.kid(), key.identity, key.algorithms())
        };
        if !self.keys.iter().any(is_known) {
            self.keys.push(key);
        }
        Ok(())
    }

    fn warn(&mut self, place: Position, why: impl fmt::Display) {
        const MOST: usize = 10;
        if self.warnings.len() < MOST {
            self.warnings.push(format!("{place}: {why}; the key does not decrypt"));
        }
    }
}

/// Reads one JWK.
fn one(members: JwkMembers<'_>, given_kid: Option<&str>) -> Result<Read, KeyFault> {
    let not_used = |why: String| Ok(Read::NotUsed(why));
    let kid = members.kid()?.or(given_kid);
    let kty = members.required("kty")?;
    let named = match named_use(members)? {
        Ok(named) => named,
        Err(why) => return not_used(why),
    };
    if !may_decrypt(members)? {
        return not_used("key_ops holds nothing that decrypts".to_owned());
    }
    let has_private = || members.get("d").is_some();
    let key = match kty {
        "oct" => secret(members, named)?,
        "RSA" | "EC" | "OKP" if !has_private() => {
            return not_used("is a public key; decrypting needs the private one".to_owned());
        }
        "RSA" => of_private(sign::rsa_of_jwk(members)?, named)?,
        "EC" => of_private(sign::ec_of_jwk(members)?, named)?,
        "OKP" if members.text("crv")? == Some("X25519") => x25519(members, named)?,
        "OKP" => return not_used("crv is not X25519".to_owned()),
        other => return not_used(format!("kty {} does not decrypt", Quoted(other))),
    };
    Ok(Read::Key(Box::new(key.with_kid(kid))))
}

/// What `use` and `alg` say that the key is for, or why that is not encrypting.
pub(super) fn named_use(members: JwkMembers<'_>) -> Result<Result<NamedUse, String>, MemberFault> {
    if let Some(purpose) = members.optional("use")?.filter(|purpose| *purpose != "enc") {
        return Ok(Err(format!("use is {}, not \"enc\"", Quoted(purpose))));
    }
    let Some(name) = members.optional("alg")? else { return Ok(Ok(NamedUse::Any)) };
    Ok(match (KeyManagement::from_name(name), ContentEncryption::from_name(name)) {
        (Some(one), _) => Ok(NamedUse::Managing(one)),
        (_, Some(one)) => Ok(NamedUse::Encrypting(one)),
        _ if Algorithm::from_name(name).is_some() => {
            Err(format!("alg {} is for signatures", Quoted(name)))
        }
        _ => Err(format!("alg {} is not accepted", Quoted(name))),
    })
}

/// Whether `key_ops` allows what is done here (RFC 7517 section 4.3).
fn may_decrypt(members: JwkMembers<'_>) -> Result<bool, MemberFault> {
    let mut may = false;
    for operation in ["decrypt", "unwrapKey", "deriveKey", "deriveBits"] {
        may |= members.may(operation)?;
    }
    Ok(may)
}

fn secret(members: JwkMembers<'_>, named: NamedUse) -> Result<DecryptionKey, KeyFault> {
    let secret = members.bytes("k")?;
    if let Some(form) = public_form(&secret) {
        return Err(KeyFault::PublicSecret(form));
    }
    Ok(DecryptionKey::secret(&secret, named)?)
}

fn x25519(members: JwkMembers<'_>, named: NamedUse) -> Result<DecryptionKey, KeyFault> {
    let (d, x) = (members.bytes("d")?, members.bytes("x")?);
    let key = DecryptionKey::agreement(AgreementCurve::X25519, &d, named)?;
    let identity = Identity::of(AgreementCurve::X25519.names().1, &[&x]);
    match key.identity == identity {
        true => Ok(key),
        false => Err(KeyFault::OtherHalf),
    }
}

/// The key of a PEM block.
fn of_block(label: &str, der: &[u8]) -> Result<DecryptionKey, KeyFault> {
    match sign::x25519_of_block(label, der) {
        Some(private) => {
            Ok(DecryptionKey::agreement(AgreementCurve::X25519, private, NamedUse::Any)?)
        }
        None => of_private(sign::of_block(label, der)?, NamedUse::Any),
    }
}

/// A private key that was read as one that signs: RSA and the curves of ECDSA do both.
fn of_private(key: PrivateKey, named: NamedUse) -> Result<DecryptionKey, KeyFault> {
    let library = |_| KeyFault::Library;
    match &key.material {
        Material::Rsa(pair) => {
            let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
            let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
            let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair).map_err(library)?;
            Ok(DecryptionKey::rsa(pkcs8.as_ref(), Identity::rsa(n, e), named)?)
        }
        Material::Ec(curve, pair) => {
            let private = pair.private_key().as_be_bytes().map_err(library)?;
            let curve = AgreementCurve::Nist(*curve);
            Ok(DecryptionKey::agreement(curve, private.as_ref(), named)?)
        }
        Material::Ed25519(_) => Err(KeyFault::OnlySigns("Ed25519")),
        Material::MlDsa(algorithm, _) => Err(KeyFault::OnlySigns(algorithm.name())),
        Material::Secret(_) => Err(KeyFault::Library),
    }
}
