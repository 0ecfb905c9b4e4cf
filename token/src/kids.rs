//! HMAC secrets by kid: the entries of a `jwt_kids` block and of a `jwt_kids_file`.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::alg::{Algorithm, AlgorithmSet};
use crate::disclosed::public_form;
use crate::identity::Identity;
use crate::json::{Document, Value};
use crate::key::Key;
use crate::loaded::{Fault, LoadError, Loaded, Quoted, without_byte_order_mark};
use crate::published::Origin;

/// The kid of a secret for tokens that have none, or one that no other key has.
const ANY_KID: &str = "*";

/// What Azion's Secure Token has in its JSON Args.
const LINK_SECRET: &str = "secure_token_secret";

/// Reads pairs of kid and secret: `{"KID": "secret", …}`, Azion's `{"kids": {…}}`, or an array of
/// the latter, as in Azion's JSON Args. The UTF-8 bytes of the string are the secret. The kid `*` stands for
/// tokens without a kid or with one that no other key has.
///
/// # Errors
/// The first fault.
pub fn load_kids(text: &[u8]) -> Result<Loaded, LoadError> {
    let text = without_byte_order_mark(text);
    let document = Document::parse_secret(text).map_err(|e| LoadError::json(text, &e))?;
    let root = document.root();
    let mut loaded = Loaded::default();
    if root.get(LINK_SECRET).is_some() {
        return Err(LoadError::new("", Fault::LinkSecret));
    }
    if let Some(items) = root.items() {
        for (i, item) in items.enumerate() {
            if item.get(LINK_SECRET).is_some() {
                return Err(LoadError::new(format!("[{i}]"), Fault::LinkSecret));
            }
            let place = format!("[{i}].kids");
            let kids = item.get("kids").ok_or_else(|| LoadError::new(&place, Fault::Absent))?;
            pairs(kids, &place, &mut loaded)?;
        }
    } else if let Some(kids) = root.get("kids").filter(|kids| kids.is_object()) {
        pairs(kids, "kids", &mut loaded)?;
    } else {
        pairs(root, "", &mut loaded)?;
    }
    loaded.finish()
}

fn pairs(kids: Value<'_>, place: &str, loaded: &mut Loaded) -> Result<(), LoadError> {
    let members = kids
        .members()
        .ok_or_else(|| LoadError::new(place, Fault::Want("an object of kids and secrets")))?;
    // With a JWK, published perhaps, everybody would know these "secrets": those of n, e and kty.
    if kids.get("kty").is_some() {
        return Err(LoadError::new(place, Fault::JwkAsKids));
    }
    for (kid, secret) in members {
        let dot = if place.is_empty() { "" } else { "." };
        let member = format_args!("{place}{dot}{kid}");
        let fault = |fault| LoadError::new(member.to_string(), fault);
        let secret = secret.as_str().ok_or_else(|| fault(Fault::Want("a string, the secret")))?;
        let all = AlgorithmSet::ALL;
        let key = hmac(secret.as_bytes(), all).map_err(fault)?;
        loaded.warn_short_secret(member, secret.as_bytes(), all);
        loaded.push((named(key.0, kid), key.1), member, Origin::File).map_err(fault)?;
    }
    Ok(())
}

/// The key of a secret that is one.
fn hmac(secret: &[u8], algorithms: AlgorithmSet) -> Result<(Key, Identity), Fault> {
    if let Some(form) = public_form(secret) {
        return Err(Fault::PublicSecret(form));
    }
    Ok((Key::hmac(secret, algorithms)?, secret_identity()))
}

/// The same pair twice is a mistake of the person who wrote it, so no two secrets are the same here.
fn secret_identity() -> Identity {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Identity::of("entry", &[&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes()])
}

fn named(key: Key, kid: &str) -> Key {
    if kid == ANY_KID { key.for_any_kid() } else { key.with_kid(Some(kid)) }
}

impl Loaded {
    /// Adds one pair with its options: `encoding=base64|base64url|hex` of the secret (default: its raw
    /// bytes), `alg=` (default: HS256, HS384 and HS512), `expires=` an RFC 3339 time.
    ///
    /// # Errors
    /// The error names the kid, and never contains the secret or a part of it.
    pub fn add_secret(
        &mut self,
        kid: &[u8],
        secret: &[u8],
        options: &[&[u8]],
    ) -> Result<(), LoadError> {
        let label = String::from_utf8_lossy(kid).into_owned();
        let fault = |fault| LoadError::new(format!("kid {label:?}"), fault);
        let kid = std::str::from_utf8(kid).map_err(|_| fault(Fault::Want("UTF-8")))?;
        let (mut encoding, mut algorithms, mut expires) = (None, None, None);
        for option in options {
            match option.iter().position(|byte| *byte == b'=').and_then(|at| {
                let (name, value) = option.split_at_checked(at)?;
                Some((name, std::str::from_utf8(value.get(1..)?).ok()?))
            }) {
                Some((b"encoding", _)) if encoding.is_some() => {
                    return Err(fault(Fault::OptionTwice));
                }
                Some((b"alg", _)) if algorithms.is_some() => return Err(fault(Fault::OptionTwice)),
                Some((b"expires", _)) if expires.is_some() => {
                    return Err(fault(Fault::OptionTwice));
                }
                Some((b"encoding", name)) => {
                    encoding = Some(
                        Encoding::from_name(name)
                            .ok_or_else(|| fault(Fault::Unknown(format!("encoding={name}"))))?,
                    );
                }
                Some((b"alg", name)) => {
                    let algorithm = Algorithm::from_name(name)
                        .ok_or_else(|| fault(Fault::Unknown(format!("alg={name}"))))?;
                    algorithms = Some(AlgorithmSet::from_iter([algorithm]));
                }
                Some((b"expires", time)) => {
                    let parsed: Timestamp =
                        time.parse().map_err(|_| fault(Fault::Expires(time.to_owned())))?;
                    expires = Some(parsed.as_second());
                }
                _ => return Err(fault(Fault::Option)),
            }
        }
        let algorithms = algorithms.unwrap_or(AlgorithmSet::ALL);
        let secret = match encoding {
            None => Zeroizing::new(secret.to_vec()),
            Some(encoding) => encoding
                .decode(secret)
                .map(Zeroizing::new)
                .ok_or_else(|| fault(Fault::Encoding(encoding.name())))?,
        };
        let (key, identity) = hmac(&secret, algorithms).map_err(fault)?;
        self.warn_short_secret(format_args!("kid {}", Quoted(kid)), &secret, algorithms);
        let key = named(key, kid).with_expires(expires);
        self.push((key, identity), "jwt_kids", Origin::File)
            .map_err(|fault| LoadError::new("jwt_kids", fault))
    }
}

/// How a secret is encoded.
#[derive(Clone, Copy)]
enum Encoding {
    Base64,
    Base64Url,
    Hex,
}

impl Encoding {
    fn from_name(name: &str) -> Option<Self> {
        [Self::Base64, Self::Base64Url, Self::Hex].into_iter().find(|one| one.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Hex => "hex",
        }
    }

    /// Decodes a secret. People copy secrets from elsewhere, so padding is optional.
    fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        const ANY_PADDING: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        match self {
            Self::Base64 => GeneralPurpose::new(&STANDARD, ANY_PADDING).decode(text).ok(),
            Self::Base64Url => GeneralPurpose::new(&URL_SAFE, ANY_PADDING).decode(text).ok(),
            Self::Hex => hex::decode(text).ok(),
        }
    }
}
