//! Azion's links: a signature over a value and the expiry, each an argument of the query.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::address;
use super::algorithm::LinkAlgorithm;
use super::expiry::{self, TimeFormat};
use super::format::{Denied, FormatSettings, Granted, LinkFormat, Mistake};
use super::order::{LinkSigner, Order, OrderError};
use super::part::{Meaning, Part};
use super::request::LinkRequest;
use super::secret::{Encoding, LinkSecret};
use crate::base64url;
use crate::credential::Found;
use crate::reject::Reject;

/// The secrets of Azion's links, and what is accepted of them.
#[derive(Debug)]
pub struct Plain {
    secrets: Box<[PlainSecret]>,
    /// If empty, both algorithms are.
    accepted: Vec<LinkAlgorithm>,
}

/// A secret, and an HMAC that has taken it as its key, which saves time at each use.
struct PlainSecret {
    secret: LinkSecret,
    keyed: Hmac<Sha256>,
}

/// The two arguments of a link: the signature, still encoded, and the expiry.
#[derive(Debug, Clone, Copy)]
pub struct Link<'r> {
    signature: &'r [u8],
    expires_text: &'r [u8],
    expires: i64,
}

impl<'r> Link<'r> {
    /// Takes the two arguments.
    ///
    /// `expires` must be Unix time of exactly ten digits without a leading zero. The MD5 form has no
    /// separator before it, so otherwise digits could be moved between the path and the expiry.
    ///
    /// # Errors
    /// [`Reject::Malformed`].
    pub fn new(signature: &'r [u8], expires: &'r [u8]) -> Result<Self, Reject> {
        let time = expiry::unix(expires).ok_or(Reject::Malformed)?;
        Ok(Self { signature, expires_text: expires, expires: time })
    }
}

impl PlainSecret {
    fn new(secret: LinkSecret) -> Option<Self> {
        let keyed = Hmac::new_from_slice(secret.bytes()).ok()?;
        Some(Self { secret, keyed })
    }

    fn md5(&self, value: &[u8], expires: &[u8]) -> [u8; 16] {
        let state = Md5::new().chain_update(self.secret.bytes());
        state.chain_update(value).chain_update(expires).finalize().0
    }

    fn mac(&self, value: &[u8], expires: &[u8]) -> Hmac<Sha256> {
        self.keyed.clone().chain_update(value).chain_update(b"\n").chain_update(expires)
    }
}

impl std::fmt::Debug for PlainSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.secret.fmt(f)
    }
}

impl Plain {
    /// The algorithms of this format:
    /// - `md5`, Azion's own: `base64url_nopad(md5(secret + value + expires))`, 22 characters;
    /// - `hmac-sha256`: `base64url_nopad(HMAC-SHA256(secret, value + "\n" + expires))`, 43 characters.
    pub const ALGORITHMS: [LinkAlgorithm; 2] = [LinkAlgorithm::Md5, LinkAlgorithm::HmacSha256];

    /// Links that are signed with one of these secrets, newest first, by one of the accepted algorithms; if
    /// that is empty, by any.
    pub fn new(secrets: impl IntoIterator<Item = LinkSecret>, accepted: &[LinkAlgorithm]) -> Self {
        let secrets = secrets.into_iter().filter_map(PlainSecret::new).collect();
        Self { secrets, accepted: accepted.to_vec() }
    }

    /// Takes what the directives say.
    ///
    /// # Errors
    /// A secret cannot be read, or an algorithm is not of this format.
    pub(super) fn configured(settings: &FormatSettings<'_>) -> Result<Self, Mistake> {
        settings.only_options(&[])?;
        let accepted = settings.algorithms(&Self::ALGORITHMS)?;
        Ok(Self::new(settings.secrets(Encoding::Text)?, &accepted))
    }

    /// What makes links.
    ///
    /// # Errors
    /// There is no secret, or as with [`Plain::configured`].
    pub(super) fn signer(settings: &FormatSettings<'_>) -> Result<Self, Mistake> {
        let made = Self::configured(settings)?;
        if made.secrets.is_empty() {
            let why =
                "\"plain\" has no secret: name a secure_token_secret, here or on a level above";
            return Err(Mistake::new("secure_token_format", why));
        }
        Ok(made)
    }

    /// The signature over `value` and `expires` with the first secret, in base64url as a link has it. Empty if
    /// there is no secret, or the format does not have the algorithm.
    pub fn sign(&self, algorithm: LinkAlgorithm, value: &[u8], expires: &[u8]) -> String {
        match (self.secrets.first(), algorithm) {
            (Some(secret), LinkAlgorithm::Md5) => base64url::encode(secret.md5(value, expires)),
            (Some(secret), LinkAlgorithm::HmacSha256) => {
                base64url::encode(secret.mac(value, expires).finalize().into_bytes())
            }
            _ => String::new(),
        }
    }

    /// Judges a link at `now`, in seconds since the epoch. The expiry is compared only after the signature has
    /// been verified. The link is still valid in the second of its expiry, as with nginx's `secure_link`.
    ///
    /// # Errors
    /// `Malformed`, `BadSignature`, or `Expired`; only with the last one the signature is right.
    pub fn check(&self, link: Link<'_>, value: &[u8], now: i64) -> Result<(), Reject> {
        match self.holds(link, value)? {
            true if now > link.expires => Err(Reject::Expired),
            true => Ok(()),
            false => Err(Reject::BadSignature),
        }
    }

    fn holds(&self, link: Link<'_>, value: &[u8]) -> Result<bool, Reject> {
        let (mut md5, mut mac) = ([0; 16], [0; 32]);
        let algorithm = if base64url::decode_exact(link.signature, &mut md5) {
            LinkAlgorithm::Md5
        } else if base64url::decode_exact(link.signature, &mut mac) {
            LinkAlgorithm::HmacSha256
        } else {
            return Err(Reject::Malformed);
        };
        if !self.accepted.is_empty() && !self.accepted.contains(&algorithm) {
            return Err(Reject::Malformed);
        }
        let expires = link.expires_text;
        let mut secrets = self.secrets.iter();
        Ok(match algorithm {
            LinkAlgorithm::Md5 => secrets
                .any(|secret| verify_slices_are_equal(&secret.md5(value, expires), &md5).is_ok()),
            _ => secrets.any(|secret| secret.mac(value, expires).verify_slice(&mac).is_ok()),
        })
    }
}

impl LinkFormat for Plain {
    fn is_pair(&self) -> bool {
        true
    }

    fn judge(&self, request: &dyn LinkRequest, now: i64) -> Result<Granted, Denied> {
        let (signature, expires) = pair_of(request)?;
        let link = Link::new(signature, expires)?;
        if !self.holds(link, &request.value()?)? {
            return Err(Reject::BadSignature.into());
        }
        Granted::until(link.expires).unless_expired(now)
    }

    fn parts(&self, request: &dyn LinkRequest) -> Vec<Part> {
        let signature = |text: &[u8]| {
            let algorithm = match base64url::decode(text).map(|bytes| bytes.len()) {
                Some(16) => LinkAlgorithm::Md5,
                Some(32) => LinkAlgorithm::HmacSha256,
                _ => {
                    return Meaning::words(
                        "must be base64url without padding: 22 characters (md5) or 43 (hmac-sha256)",
                    );
                }
            };
            match self.accepted.is_empty() || self.accepted.contains(&algorithm) {
                true => Meaning::words(algorithm.name()),
                false => Meaning::words(format!("{}, which is not accepted", algorithm.name())),
            }
        };
        let no_time = "is no time: it must be ten digits, the first of them not 0";
        let time = |text: &[u8]| Meaning::time("", TimeFormat::Unix.parse(text), no_time);
        pair_parts(request, signature, time)
    }
}

impl LinkSigner for Plain {
    /// The arguments `st` and `e`: by HMAC, unless only md5 is accepted.
    fn sign(&self, order: &Order<'_>) -> Result<Vec<(&'static str, String)>, OrderError> {
        order.has_only(&[])?;
        let expires = TimeFormat::Unix.write(order.expires);
        let expires = expires
            .ok_or_else(|| OrderError::Invalid("the expiry has not ten digits".to_owned()))?;
        let hmac = self.accepted.is_empty() || self.accepted.contains(&LinkAlgorithm::HmacSha256);
        let algorithm = if hmac { LinkAlgorithm::HmacSha256 } else { LinkAlgorithm::Md5 };
        let decoded = address::decode(order.path.as_bytes());
        let value = order.value.unwrap_or(&decoded);
        let signature = Self::sign(self, algorithm, value, expires.as_bytes());
        Ok(vec![("st", signature), ("e", expires)])
    }
}

/// The two values of a link, if there is one of each.
pub(super) fn pair_of(request: &dyn LinkRequest) -> Result<(&[u8], &[u8]), Denied> {
    let pair = request.pair()?;
    match (pair.signature, pair.time) {
        (Found::Unusable, _) | (_, Found::Unusable) => Err(Reject::Malformed.into()),
        (Found::Absent, _) | (_, Found::Absent) => Err(Reject::Missing.into()),
        (Found::One(signature), Found::One(time)) => Ok((signature, time)),
    }
}

/// The two values of a link, and what they mean if there is one of each.
pub(super) fn pair_parts(
    request: &dyn LinkRequest,
    signature: impl FnOnce(&[u8]) -> Meaning,
    time: impl FnOnce(&[u8]) -> Meaning,
) -> Vec<Part> {
    let Ok(pair) = request.pair() else { return Vec::new() };
    vec![Part::found("signature", pair.signature, signature), Part::found("time", pair.time, time)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(accepted: &[LinkAlgorithm]) -> Plain {
        Plain::new(["new", "mysecret"].map(|s| LinkSecret::new(s.as_bytes()).unwrap()), accepted)
    }

    fn signer(secret: &str) -> Plain {
        Plain::new(LinkSecret::new(secret.as_bytes()), &[])
    }

    fn check(policy: &Plain, st: &str, e: &str, value: &str, now: i64) -> Result<(), Reject> {
        policy.check(Link::new(st.as_bytes(), e.as_bytes())?, value.as_bytes(), now)
    }

    /// From the README of Azion's published generators.
    const AZION: (&str, &str, &str) = ("m6WCATfRgS_5lcyChCPgrw", "1470055000", "/my/uri");

    #[test]
    fn azions_published_link_holds_until_it_expires() {
        let (st, e, uri) = AZION;
        let both = policy(&[]);
        assert_eq!(check(&both, st, e, uri, 1_470_055_000), Ok(()));
        assert_eq!(check(&both, st, e, uri, 1_470_055_001), Err(Reject::Expired));
        assert_eq!(check(&both, st, e, "/my/urj", 0), Err(Reject::BadSignature));
        assert_eq!(
            check(&policy(&[LinkAlgorithm::HmacSha256]), st, e, uri, 0),
            Err(Reject::Malformed)
        );
        let secret = signer("mysecret");
        assert_eq!(secret.sign(LinkAlgorithm::Md5, uri.as_bytes(), e.as_bytes()), st);
    }

    #[test]
    fn both_forms_hold_with_every_secret_and_are_not_confused() {
        for secret in ["new", "mysecret", "other"] {
            let secret = (secret, signer(secret));
            for algorithm in Plain::ALGORITHMS {
                let st = secret.1.sign(algorithm, b"/a", b"2000000000");
                let want = if secret.0 == "other" { Err(Reject::BadSignature) } else { Ok(()) };
                assert_eq!(check(&policy(&[]), &st, "2000000000", "/a", 0), want);
                assert_eq!(check(&policy(&[algorithm]), &st, "2000000000", "/a", 0), want);
            }
        }
    }

    #[test]
    fn digits_cannot_move_between_path_and_expiry() {
        let secret = signer("mysecret");
        let st = secret.sign(LinkAlgorithm::Md5, b"/video/12", b"2000000000");
        let all = policy(&[]);
        assert_eq!(check(&all, &st, "2000000000", "/video/12", 0), Ok(()));
        assert_eq!(check(&all, &st, "22000000000", "/video/1", 0), Err(Reject::Malformed));
        assert_eq!(check(&all, &st, "000000000", "/video/122", 0), Err(Reject::Malformed));
    }

    #[test]
    fn expires_is_ten_digits_and_the_signature_of_a_known_length() {
        let all = policy(&[]);
        for bad in [
            "",
            "0000000001",
            "0999999999",
            "999999999",
            "+999999999",
            "-999999999",
            " 999999999",
            "10000000000",
            "1e90000000",
            "99999999999999999999",
            "١٢٣٤٥",
        ] {
            assert_eq!(check(&all, AZION.0, bad, "/", 0), Err(Reject::Malformed), "{bad}");
        }
        for bad in [
            "",
            "a",
            "m6WCATfRgS_5lcyChCPgr",
            "m6WCATfRgS_5lcyChCPgrw=",
            "m6WCATfRgS_5lcyChCPgrx",
            "m6WCATfRgS+5lcyChCPgrw",
            "m6WCATfRgS_5lcyChCPgrwm6WCATfRgS_5lcyChCPgrw",
        ] {
            assert_eq!(check(&all, bad, AZION.1, AZION.2, 0), Err(Reject::Malformed), "{bad}");
        }
        assert!(LinkSecret::new(b"").is_none());
    }
}
