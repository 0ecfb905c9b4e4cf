//! Making signed URLs of Cloud CDN and Media CDN.

use std::borrow::Cow;

use super::super::address;
use super::super::algorithm::LinkAlgorithm;
use super::super::fields::unix_time;
use super::super::format::{FormatSettings, Mistake};
use super::super::mac::{HashAlgorithm, Hasher};
use super::super::order::{LinkSigner, Order, OrderError};
use super::super::secret::Encoding;
use super::prefix::{covers, is_prefix};
use super::signed::{ARGUMENTS, fields, padded};
use super::verifier::ALGORITHMS;
use crate::alg::Algorithm;
use crate::credential::without_arguments;
use crate::sign::{KeyFile, PrivateKey};

/// Makes signed URLs: with a private Ed25519 key if there is one, else by HMAC-SHA1 with the first secret. What the
/// order covers is a prefix of URLs; without, the link is for its one URL, and its arguments come last in the query,
/// in their order.
#[derive(Debug)]
pub struct GoogleSigner {
    key: SigningKey,
    name: Box<str>,
}

#[derive(Debug)]
enum SigningKey {
    Hmac(Hasher),
    Ed25519(PrivateKey),
}

impl GoogleSigner {
    /// Takes what the directives say.
    ///
    /// # Errors
    /// There is neither a private Ed25519 key nor a secret, it has no name, or its algorithm is not accepted.
    pub(in super::super) fn configured(settings: &FormatSettings<'_>) -> Result<Self, Mistake> {
        settings.only_options(&[])?;
        let accepted = settings.algorithms(&ALGORITHMS)?;
        let (key, algorithm, name, directive) = match settings.private_key {
            Some((text, name)) => {
                let mistake = |text: String| Mistake::new("secure_token_mint", text);
                let file = KeyFile::read_of(text, name);
                let file = file.map_err(|error| mistake(format!("the private key {error}")))?;
                if !file.key.goes_with(Algorithm::EdDSA) {
                    let kind = file.key.kind();
                    return Err(mistake(format!("the private key is {kind}, not an Ed25519 key")));
                }
                let name = name.map(str::to_owned).or(file.kid);
                let key = SigningKey::Ed25519(file.key);
                (key, LinkAlgorithm::Ed25519, name, "secure_token_mint")
            }
            None => {
                let secrets = settings.secrets(Encoding::Base64Url)?;
                let hasher = secrets.first().and_then(|secret| {
                    Some((Hasher::new(HashAlgorithm::HmacSha1, secret)?, secret.kid()?.to_owned()))
                });
                let (hasher, name) = match (hasher, secrets.is_empty()) {
                    (Some((hasher, name)), _) => (SigningKey::Hmac(hasher), Some(name)),
                    (None, true) => {
                        let text = "is missing: links of this format are signed with a secret";
                        return Err(Mistake::new("secure_token_secret", text));
                    }
                    (None, false) => {
                        let text = "number 1 has no name for KeyName: give it one, with kid=";
                        return Err(Mistake::new("secure_token_secret", text));
                    }
                };
                (hasher, LinkAlgorithm::HmacSha1, name, "secure_token_secret")
            }
        };
        if !accepted.contains(&algorithm) {
            let text = format!("links are made with {}, which is not accepted", algorithm.name());
            return Err(Mistake::new("secure_token_algorithm", text));
        }
        let name = name.filter(|name| is_name(name)).ok_or_else(|| {
            let text = "the key has no name for KeyName (kid=) of letters and digits";
            Mistake::new(directive, text)
        })?;
        Ok(Self { key, name: name.into() })
    }

    fn signature(&self, text: &[u8]) -> Result<String, OrderError> {
        match &self.key {
            SigningKey::Hmac(hasher) => Ok(padded(hasher.hash(&[text]).bytes())),
            SigningKey::Ed25519(key) => match key.sign(Algorithm::EdDSA, text) {
                Ok(signature) => Ok(padded(&signature)),
                Err(error) => Err(OrderError::Invalid(error.to_string())),
            },
        }
    }
}

/// Whether a query holds it as it is.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.bytes().all(is_plain)
}

/// What an order wants, after checks that hold for links and cookies.
struct Wanted<'o> {
    expires: String,
    /// `None` if its host is not known.
    url: Option<Vec<u8>>,
    prefix: Option<&'o [u8]>,
}

impl<'o> Wanted<'o> {
    fn of(order: &Order<'o>) -> Result<Self, OrderError> {
        order.has_only(&["covers"])?;
        let names = ARGUMENTS.iter().map(|name| name.as_bytes());
        if without_arguments(order.query.as_bytes(), names).is_some() {
            return Err(invalid("the query has an argument of a link already"));
        }
        let expires = order.expires.to_string();
        if unix_time(expires.as_bytes()).is_none() {
            return Err(invalid("the expiry has not one to ten digits"));
        }
        let address = match order.value {
            Some(value) => Some(Cow::Borrowed(value)),
            None if order.origin.is_empty() => None,
            None => {
                let path = address::decode(order.path.as_bytes());
                Some([order.origin.as_bytes(), &path].concat().into())
            }
        };
        let prefix = order.covers.map(str::as_bytes);
        if prefix.is_some_and(|prefix| !is_prefix(prefix)) {
            return Err(invalid(
                "what it is to cover is not https://host/ and the begin of a path",
            ));
        }
        // Without a host the URL is not known: as in a cookie, for any URL that it covers.
        if let (Some(prefix), Some(address)) = (prefix, &address)
            && !covers(prefix, address)
        {
            return Err(invalid("what it is to cover is not where it is for"));
        }
        let url = address.map(|address| address::encode_address(&address).into_owned());
        Ok(Self { expires, url, prefix })
    }
}

fn invalid(text: &str) -> OrderError {
    OrderError::Invalid(text.to_owned())
}

impl LinkSigner for GoogleSigner {
    fn sign(&self, order: &Order<'_>) -> Result<Vec<(&'static str, String)>, OrderError> {
        let Wanted { expires, url, prefix } = Wanted::of(order)?;
        let fields = fields(prefix, &expires, &self.name);
        let signature = match prefix {
            Some(_) => self.signature(fields.as_bytes())?,
            None => {
                let url = url.ok_or(OrderError::Missing("the host"))?;
                let joint = if order.query.is_empty() { "" } else { "&" };
                let rest = ["?", order.query, joint, &fields].concat();
                self.signature(&[&url, rest.as_bytes()].concat())?
            }
        };
        let mut link: Vec<_> =
            prefix.map(|prefix| ("URLPrefix", padded(prefix))).into_iter().collect();
        link.extend([
            ("Expires", expires),
            ("KeyName", self.name.to_string()),
            ("Signature", signature),
        ]);
        Ok(link)
    }

    /// Cloud CDN's cookie with an HMAC, Media CDN's with an Ed25519 signature: for the URLs with a prefix.
    fn cookies(&self, order: &Order<'_>) -> Result<Vec<(&'static str, String)>, OrderError> {
        let Wanted { expires, prefix, .. } = Wanted::of(order)?;
        let prefix = prefix.ok_or(OrderError::Missing("covers"))?;
        // No value has an `&`.
        let text = fields(Some(prefix), &expires, &self.name).replace('&', ":");
        let signature = self.signature(text.as_bytes())?;
        let name = match self.key {
            SigningKey::Hmac(_) => "Cloud-CDN-Cookie",
            SigningKey::Ed25519(_) => "Edge-Cache-Cookie",
        };
        Ok(vec![(name, format!("{text}:Signature={signature}"))])
    }
}
