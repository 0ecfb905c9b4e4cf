//! The secrets and keys that vouch for Google's links.

use super::super::algorithm::LinkAlgorithm;
use super::super::format::{Denied, FormatSettings, Mistake};
use super::super::mac::{HashAlgorithm, Hasher};
use super::super::request::LinkRequest;
use super::super::secret::{Encoding, LinkSecret};
use crate::base64url;
use crate::reject::Reject;

/// The algorithms of this format.
pub(super) const ALGORITHMS: [LinkAlgorithm; 3] =
    [LinkAlgorithm::HmacSha1, LinkAlgorithm::HmacSha256, LinkAlgorithm::Ed25519];

/// The form of links, for `Presented::form`.
const FORM: u8 = 0;

/// A signature, decoded. Its length says the algorithm.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signature {
    HmacSha1([u8; 20]),
    HmacSha256([u8; 32]),
    Ed25519([u8; 64]),
}

impl Signature {
    /// One in base64url, with or without padding, as `Signature` is: HMAC-SHA1 or Ed25519.
    pub(super) fn of_base64url(text: &[u8]) -> Option<Self> {
        let text = base64url::without_padding(text);
        let (mut short, mut long) = ([0; 20], [0; 64]);
        if base64url::decode_exact(text, &mut short) {
            Some(Self::HmacSha1(short))
        } else if base64url::decode_exact(text, &mut long) {
            Some(Self::Ed25519(long))
        } else {
            None
        }
    }

    /// One in hexadecimal digits, which are in lower case, as `hmac` is: HMAC-SHA1 or HMAC-SHA256.
    pub(super) fn of_hex(text: &[u8]) -> Option<Self> {
        let (mut short, mut long) = ([0; 20], [0; 32]);
        if text.iter().any(u8::is_ascii_uppercase) {
            None
        } else if hex::decode_to_slice(text, &mut short).is_ok() {
            Some(Self::HmacSha1(short))
        } else if hex::decode_to_slice(text, &mut long).is_ok() {
            Some(Self::HmacSha256(long))
        } else {
            None
        }
    }

    pub(super) fn algorithm(&self) -> LinkAlgorithm {
        match self {
            Self::HmacSha1(_) => LinkAlgorithm::HmacSha1,
            Self::HmacSha256(_) => LinkAlgorithm::HmacSha256,
            Self::Ed25519(_) => LinkAlgorithm::Ed25519,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::HmacSha1(bytes) => bytes,
            Self::HmacSha256(bytes) => bytes,
            Self::Ed25519(bytes) => bytes,
        }
    }
}

/// The secrets, and which algorithms are accepted.
#[derive(Debug)]
pub(super) struct Verifier {
    secrets: Box<[Secret]>,
    accepted: Vec<LinkAlgorithm>,
}

/// A secret, which HMACs have taken as their key.
#[derive(Debug)]
struct Secret {
    secret: LinkSecret,
    sha1: Hasher,
    sha256: Hasher,
}

impl Secret {
    fn new(secret: LinkSecret) -> Option<Self> {
        let sha1 = Hasher::new(HashAlgorithm::HmacSha1, &secret)?;
        let sha256 = Hasher::new(HashAlgorithm::HmacSha256, &secret)?;
        Some(Self { secret, sha1, sha256 })
    }

    /// Whether it is for links that say this name; one without a name is for all.
    fn is_of(&self, name: Option<&[u8]>) -> bool {
        match (self.secret.kid(), name) {
            (Some(kid), Some(name)) => kid.as_bytes() == name,
            (None, _) | (_, None) => true,
        }
    }
}

impl Verifier {
    /// Takes what the directives say. What is accepted by default are the algorithms that there is a secret or a key
    /// for.
    pub(super) fn configured(settings: &FormatSettings<'_>) -> Result<Self, Mistake> {
        let secrets = settings.secrets(Encoding::Base64Url)?;
        let mut accepted = settings.algorithms(&ALGORITHMS)?;
        let (has_secrets, has_keys) = (!secrets.is_empty(), settings.has_keys);
        if !has_secrets && !has_keys {
            let text = "is missing: links of this format need a secret, or secure_token_keys";
            return Err(Mistake::new("secure_token_secret", text));
        }
        let has = |algorithm: &LinkAlgorithm| match algorithm {
            LinkAlgorithm::Ed25519 => has_keys,
            _ => has_secrets,
        };
        match accepted.iter().find(|algorithm| !has(algorithm)) {
            Some(without) if !settings.accepted.is_empty() => {
                let name = without.name();
                let needs = match without {
                    LinkAlgorithm::Ed25519 => "secure_token_keys",
                    _ => "a secure_token_secret",
                };
                let text = format!("\"{name}\" needs {needs}, which is not there");
                return Err(Mistake::new("secure_token_algorithm", text));
            }
            _ => accepted.retain(has),
        }
        let secrets = secrets.into_iter().filter_map(Secret::new).collect();
        Ok(Self { secrets, accepted })
    }

    /// Verifies the signature of one of `messages`, which are the possible spellings of one, with what has this
    /// name; with all if links of the form name no key.
    ///
    /// # Errors
    /// The algorithm is not accepted, there is no such key, or the signature is wrong.
    pub(super) fn verify(
        &self,
        request: &dyn LinkRequest,
        name: Option<&[u8]>,
        signature: &Signature,
        messages: &[&[u8]],
    ) -> Result<(), Denied> {
        let algorithm = signature.algorithm();
        if !self.accepted.contains(&algorithm) {
            return Err(Denied::malformed("its algorithm is not accepted"));
        }
        let bytes = signature.bytes();
        if algorithm == LinkAlgorithm::Ed25519 {
            let keys = request.keys().ok_or(Reject::NoKeys)?;
            let (keys, memory) = (keys.named(name, algorithm)?, request.remembered());
            return keys
                .hold(messages, bytes, FORM, memory, |keys| Ok(keys.verify(messages, bytes)?))
                .map(drop);
        }
        let mut is_known = false;
        for secret in self.secrets.iter().filter(|secret| secret.is_of(name)) {
            is_known = true;
            let hasher = match algorithm {
                LinkAlgorithm::HmacSha1 => &secret.sha1,
                _ => &secret.sha256,
            };
            if messages.iter().any(|message| hasher.hash(&[message]).is(bytes)) {
                return Ok(());
            }
        }
        Err(if is_known { Reject::BadSignature } else { Reject::UnknownKey }.into())
    }
}
