//! Links of the formats that have a signature and a time.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha2::Sha256;
use token::Reject;
use token::credential::{self, Found};
use token::link::{
    Denied, Hashed, LinkAlgorithm, LinkFormat, LinkRequest, LinkSecret, Pair, Plain, Unavailable,
};

use crate::parts;

static LINKS: LazyLock<[Box<dyn LinkFormat + Send + Sync>; 3]> = LazyLock::new(|| {
    let secrets = || [&b"new"[..], b"mysecret"].map(|it| LinkSecret::new(it).expect("a secret"));
    let plain = |accepted: &[LinkAlgorithm]| Box::new(Plain::new(secrets(), accepted));
    [plain(&[]), plain(&[LinkAlgorithm::HmacSha256]), Box::new(Hashed::md5())]
});

/// A request with a link: the signature and expiry that it presents, and what it must cover.
struct Presents<'r> {
    pair: Pair<'r>,
    value: &'r [u8],
}

impl LinkRequest for Presents<'_> {
    fn pair(&self) -> Result<Pair<'_>, Unavailable> {
        Ok(self.pair)
    }
    fn argument(&self, _: &[u8]) -> Found<'_> {
        Found::Absent
    }
    fn cookie_lines(&self) -> Vec<&[u8]> {
        Vec::new()
    }
    fn header(&self, _: &[u8]) -> Found<'_> {
        Found::Absent
    }
    fn query(&self) -> Option<&[u8]> {
        None
    }
    fn value(&self) -> Result<Cow<'_, [u8]>, Unavailable> {
        Ok(self.value.into())
    }
    fn expression(&self, _: &[u8], _: &[u8]) -> Result<Cow<'_, [u8]>, Unavailable> {
        Ok(self.value.into())
    }
    fn client(&self) -> Option<IpAddr> {
        None
    }
}

/// The input is a query and the signed value of its link. The naive check computes every valid
/// signature and compares the text.
pub fn link(input: &[u8]) {
    let [query, value, resign] = parts(input);
    let (found, expiry) = (credential::argument(query, b"st"), credential::argument(query, b"e"));
    let (Found::One(given), Found::One(expires)) = (found, expiry) else { return };
    let signed = match resign.first() {
        // Without this, hardly any input would have a valid signature.
        Some(b'm') => naive_md5(b"mysecret", value, expires),
        Some(b'h') => naive_hmac(b"new", value, expires),
        Some(b'x') => URL_SAFE_NO_PAD.encode(Md5::digest(value)),
        _ => String::new(),
    };
    let signature = if signed.is_empty() { given } else { signed.as_bytes() };
    let now = 1_500_000_000;
    let digits = std::str::from_utf8(expires).ok().filter(|text| {
        text.len() == 10 && text.bytes().all(|it| it.is_ascii_digit()) && !text.starts_with('0')
    });
    let pair = Pair { signature: Found::One(signature), time: expiry };
    for (i, format) in LINKS.iter().enumerate() {
        let judged = match format.judge(&Presents { pair, value }, now) {
            Ok(granted) => Ok(granted.expires.expect("a time")),
            Err(Denied::Refused(refused)) => Err(refused.reject),
            Err(Denied::Unavailable) => panic!("all is there"),
        };
        let secrets = [&b"new"[..], b"mysecret"];
        let good = match i {
            0 => secrets.iter().any(|secret| {
                naive_md5(secret, value, expires).as_bytes() == signature
                    || naive_hmac(secret, value, expires).as_bytes() == signature
            }),
            1 => secrets.iter().any(|it| naive_hmac(it, value, expires).as_bytes() == signature),
            _ => URL_SAFE_NO_PAD.encode(Md5::digest(value)).as_bytes() == signature,
        };
        let expected = match digits.map(|digits| digits.parse::<i64>().expect("digits")) {
            Some(until) if good && now <= until => Ok(until),
            Some(_) if good => Err(Reject::Expired),
            _ => {
                assert!(matches!(judged, Err(Reject::Malformed | Reject::BadSignature)));
                continue;
            }
        };
        assert_eq!(judged, expected);
    }
}

fn naive_md5(secret: &[u8], value: &[u8], expires: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Md5::digest([secret, value, expires].concat()))
}

fn naive_hmac(secret: &[u8], value: &[u8], expires: &[u8]) -> String {
    let message = [value, b"\n", expires].concat();
    let mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key").chain_update(message);
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}
