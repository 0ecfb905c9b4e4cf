//! Signed links ("secure token"): the query has an expiry and a signature over a value and the expiry.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::base64url;
use crate::reject::Reject;

/// How a link is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkAlgorithm {
    /// Azion's: `base64url_nopad(md5(secret + value + expires))`, 22 characters.
    Md5,
    /// `base64url_nopad(HMAC-SHA256(secret, value + "\n" + expires))`, 43 characters.
    HmacSha256,
}

impl LinkAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 2] = [Self::Md5, Self::HmacSha256];

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::HmacSha256 => "hmac-sha256",
        }
    }

    /// The algorithm of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// A secret that links are signed with.
pub struct LinkSecret {
    raw: Zeroizing<Box<[u8]>>,
    keyed: Hmac<Sha256>,
}

impl LinkSecret {
    /// Takes the bytes of a secret; `None` if it is empty, which would protect nothing.
    pub fn new(secret: &[u8]) -> Option<Self> {
        if secret.is_empty() {
            return None;
        }
        let keyed = Hmac::new_from_slice(secret).ok()?;
        Some(Self { raw: Zeroizing::new(secret.into()), keyed })
    }

    /// The signature over `value` and `expires`, in base64url as a link has it.
    pub fn sign(&self, algorithm: LinkAlgorithm, value: &[u8], expires: &[u8]) -> String {
        match algorithm {
            LinkAlgorithm::Md5 => base64url::encode(self.md5(value, expires)),
            LinkAlgorithm::HmacSha256 => {
                base64url::encode(self.mac(value, expires).finalize().into_bytes())
            }
        }
    }

    fn md5(&self, value: &[u8], expires: &[u8]) -> [u8; 16] {
        Md5::new().chain_update(&*self.raw).chain_update(value).chain_update(expires).finalize().0
    }

    fn mac(&self, value: &[u8], expires: &[u8]) -> Hmac<Sha256> {
        self.keyed.clone().chain_update(value).chain_update(b"\n").chain_update(expires)
    }
}

impl std::fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkSecret")
    }
}

/// How the links of a location are signed.
#[derive(Debug)]
pub enum LinkPolicy {
    /// With a secret, over a value.
    Secrets {
        /// The accepted secrets, newest first.
        secrets: Arc<[LinkSecret]>,
        /// The accepted algorithms; if empty, all are.
        accepted: Vec<LinkAlgorithm>,
    },
    /// With the MD5 of a configured expression that contains the secret and the expiry, as for nginx's
    /// `secure_link_md5`.
    Expression,
}

/// The two query arguments of a link: the signature, still encoded, and the expiry.
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
        let digits = expires.len() == 10 && expires.iter().all(u8::is_ascii_digit);
        if !digits || expires.first() == Some(&b'0') {
            return Err(Reject::Malformed);
        }
        let value = expires.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        Ok(Self { signature, expires_text: expires, expires: value })
    }

    /// The digits of the expiry.
    pub fn expires_text(&self) -> &'r [u8] {
        self.expires_text
    }
}

impl LinkPolicy {
    /// Judges a link at `now`, in seconds since the epoch. `signed` is the signed value, or the whole
    /// expression. The expiry is compared only after the signature has been verified. The link is still
    /// valid in the second of its expiry, as with nginx's `secure_link`.
    ///
    /// # Errors
    /// `Malformed`, `BadSignature`, or `Expired`; only with the last one the signature is right.
    pub fn check(&self, link: Link<'_>, signed: &[u8], now: i64) -> Result<(), Reject> {
        let (mut md5, mut mac) = ([0; 16], [0; 32]);
        let algorithm = if base64url::decode_exact(link.signature, &mut md5) {
            LinkAlgorithm::Md5
        } else if base64url::decode_exact(link.signature, &mut mac) {
            LinkAlgorithm::HmacSha256
        } else {
            return Err(Reject::Malformed);
        };
        let held = match (self, algorithm) {
            (Self::Expression, LinkAlgorithm::Md5) => equal(&Md5::digest(signed).0, &md5),
            (Self::Expression, _) => return Err(Reject::Malformed),
            (Self::Secrets { accepted, .. }, _)
                if !accepted.is_empty() && !accepted.contains(&algorithm) =>
            {
                return Err(Reject::Malformed);
            }
            (Self::Secrets { secrets, .. }, LinkAlgorithm::Md5) => {
                secrets.iter().any(|secret| equal(&secret.md5(signed, link.expires_text), &md5))
            }
            (Self::Secrets { secrets, .. }, LinkAlgorithm::HmacSha256) => secrets
                .iter()
                .any(|secret| secret.mac(signed, link.expires_text).verify_slice(&mac).is_ok()),
        };
        match held {
            false => Err(Reject::BadSignature),
            true if now > link.expires => Err(Reject::Expired),
            true => Ok(()),
        }
    }
}

fn equal(a: &[u8; 16], b: &[u8; 16]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(accepted: &[LinkAlgorithm]) -> LinkPolicy {
        let secrets = ["new", "mysecret"].map(|s| LinkSecret::new(s.as_bytes()).unwrap());
        LinkPolicy::Secrets { secrets: secrets.into(), accepted: accepted.into() }
    }

    fn check(policy: &LinkPolicy, st: &str, e: &str, value: &str, now: i64) -> Result<(), Reject> {
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
        let secret = LinkSecret::new(b"mysecret").unwrap();
        assert_eq!(secret.sign(LinkAlgorithm::Md5, uri.as_bytes(), e.as_bytes()), st);
    }

    #[test]
    fn both_forms_hold_with_every_secret_and_are_not_confused() {
        for secret in ["new", "mysecret", "other"] {
            let secret = (secret, LinkSecret::new(secret.as_bytes()).unwrap());
            for algorithm in LinkAlgorithm::ALL {
                let st = secret.1.sign(algorithm, b"/a", b"2000000000");
                let want = if secret.0 == "other" { Err(Reject::BadSignature) } else { Ok(()) };
                assert_eq!(check(&policy(&[]), &st, "2000000000", "/a", 0), want);
                assert_eq!(check(&policy(&[algorithm]), &st, "2000000000", "/a", 0), want);
            }
        }
    }

    #[test]
    fn digits_cannot_move_between_path_and_expiry() {
        let secret = LinkSecret::new(b"mysecret").unwrap();
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

    #[test]
    fn an_expression_holds_the_secret_itself() {
        // The example of nginx's ngx_http_secure_link_module documentation.
        let expression = b"2147483647/s/link127.0.0.1 secret";
        let link = Link::new(b"_e4Nc3iduzkWRm01TBBNYw", b"2147483647").unwrap();
        assert_eq!(LinkPolicy::Expression.check(link, expression, 0), Ok(()));
        assert_eq!(LinkPolicy::Expression.check(link, b"x", 0), Err(Reject::BadSignature));
        let hmac = LinkSecret::new(b"s").unwrap().sign(LinkAlgorithm::HmacSha256, b"", b"1");
        let link = Link::new(hmac.as_bytes(), b"2147483647").unwrap();
        assert_eq!(LinkPolicy::Expression.check(link, b"", 0), Err(Reject::Malformed));
    }
}
