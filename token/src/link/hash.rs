//! Links that are a hash over a configured text (`secure_token_hash`, `secure_token_md5`), as nginx's own
//! `secure_link_md5`, Alibaba's, Tencent's, Fastly's and many others are.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::expiry::{Expiry, TimeFormat};
use super::format::{Denied, FormatSettings, Granted, LinkFormat, Mistake};
use super::mac::{HashAlgorithm, Hasher, LONGEST};
use super::order::OrderError;
use super::part::{Meaning, Part};
use super::plain::{pair_of, pair_parts};
use super::request::LinkRequest;
use super::secret::{Encoding, LinkSecret};
use crate::reject::Reject;

/// How a link writes the result of its hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureEncoding {
    /// base64url, with or without padding (RFC 4648 section 5).
    #[default]
    Base64Url,
    /// base64, with or without padding (RFC 4648 section 4).
    Base64,
    /// Hexadecimal digits, in either case.
    Hex,
}

impl SignatureEncoding {
    /// The encoding of that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"base64url" => Some(Self::Base64Url),
            b"base64" => Some(Self::Base64),
            b"hex" => Some(Self::Hex),
            _ => None,
        }
    }

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base64Url => "base64url",
            Self::Base64 => "base64",
            Self::Hex => "hex",
        }
    }

    /// Decodes a signature of `out.len()` bytes; false if it is none.
    fn decode(self, text: &[u8], out: &mut [u8]) -> bool {
        const EITHER: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER);
        const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER);
        match self {
            Self::Base64Url => URL_SAFE.decode_slice(text, out) == Ok(out.len()),
            Self::Base64 => STANDARD.decode_slice(text, out) == Ok(out.len()),
            Self::Hex => hex::decode_to_slice(text, out).is_ok(),
        }
    }

    /// Writes a signature as a link has it: with the padding that its makers write.
    pub fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Base64Url => crate::base64url::encode(bytes),
            Self::Base64 => base64::engine::general_purpose::STANDARD.encode(bytes),
            Self::Hex => hex::encode(bytes),
        }
    }
}

/// What `secure_token_hash` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashSettings {
    /// The hash.
    pub algorithm: HashAlgorithm,
    /// How links write its result.
    pub encoding: SignatureEncoding,
    /// How links write the time.
    pub time: TimeFormat,
    /// If links carry the time at which they were made: for how many seconds they are then valid. Otherwise
    /// they carry their expiry.
    pub valid: Option<i64>,
    /// Whether the text is evaluated for each secret, which it holds.
    pub holds_secret: bool,
}

impl HashSettings {
    /// nginx's `secure_link_md5`: `base64url_nopad(md5(text))`, and the expiry in ten digits.
    pub const MD5: Self = Self {
        algorithm: HashAlgorithm::Md5,
        encoding: SignatureEncoding::Base64Url,
        time: TimeFormat::Unix,
        valid: None,
        holds_secret: false,
    };

    /// Whether secrets are used: as the key of the hash, or in its text.
    pub fn uses_secrets(&self) -> bool {
        self.algorithm.is_keyed() || self.holds_secret
    }
}

/// Links with a hash over a text that the configuration describes.
#[derive(Debug)]
pub struct Hashed {
    settings: HashSettings,
    /// A hash for each secret, and the secret if the text holds it.
    hashers: Box<[(Hasher, Option<LinkSecret>)]>,
}

impl Hashed {
    /// Takes what the directives say.
    ///
    /// # Errors
    /// A hash with a key has no secret, or a secret cannot be read.
    pub fn new(settings: HashSettings, format: &FormatSettings<'_>) -> Result<Self, Mistake> {
        let algorithm = settings.algorithm;
        let secrets = format.secrets(Encoding::Text)?;
        if secrets.is_empty() && settings.uses_secrets() {
            return Err(Mistake::new(
                "secure_token_hash",
                format!(
                    "\"{}\" has no secret: name a secure_token_secret, here or on a level above",
                    algorithm.name()
                ),
            ));
        }
        let hashers = if settings.uses_secrets() {
            let hasher = |secret: &LinkSecret| {
                let held = settings.holds_secret.then(|| secret.clone());
                Some((Hasher::new(algorithm, secret)?, held))
            };
            secrets.iter().filter_map(hasher).collect()
        } else {
            Hasher::without_key(algorithm).into_iter().map(|hasher| (hasher, None)).collect()
        };
        Ok(Self { settings, hashers })
    }

    /// nginx's `secure_link_md5`: `base64url_nopad(md5(text))`, and the expiry in ten digits.
    pub fn md5() -> Self {
        Self { settings: HashSettings::MD5, hashers: [(Hasher::Md5, None)].into() }
    }

    /// The signature over a text, with the first secret.
    pub fn sign(&self, text: &[u8]) -> Option<String> {
        let (hasher, _) = self.hashers.first()?;
        Some(self.settings.encoding.encode(hasher.hash(&[text]).bytes()))
    }
}

impl Hashed {
    /// The two values of a link that has this time, in seconds since the epoch: the signature, with the first
    /// secret, and the time. `request` has the text that is hashed.
    ///
    /// # Errors
    /// The time cannot be written, or the text cannot be evaluated.
    pub fn values(
        &self,
        request: &dyn LinkRequest,
        time: i64,
    ) -> Result<(String, String), OrderError> {
        let invalid = |text: &str| OrderError::Invalid(text.to_owned());
        let time = self.settings.time.write(time);
        let time = time.ok_or_else(|| invalid("the time cannot be written in this form"))?;
        let (_, secret) = self.hashers.first().ok_or_else(|| invalid("there is no secret"))?;
        let secret = secret.as_ref().map(LinkSecret::bytes).unwrap_or_default();
        let text = request.expression(time.as_bytes(), secret);
        let text = text.map_err(|_| invalid("the text cannot be evaluated"))?;
        let signature = self.sign(&text).ok_or_else(|| invalid("there is no secret"))?;
        Ok((signature, time))
    }
}

impl LinkFormat for Hashed {
    fn is_pair(&self) -> bool {
        true
    }

    fn judge(&self, request: &dyn LinkRequest, now: i64) -> Result<Granted, Denied> {
        let (signature, time) = pair_of(request)?;
        let time = Expiry::read(time, self.settings.time).ok_or(Reject::Malformed)?;
        let mut given = [0; LONGEST];
        let given = given.get_mut(..self.settings.algorithm.size()).unwrap_or_default();
        if !self.settings.encoding.decode(signature, given) {
            return Err(Reject::Malformed.into());
        }
        let mut held = false;
        for (hasher, secret) in &self.hashers {
            let secret = secret.as_ref().map(LinkSecret::bytes).unwrap_or_default();
            held |= hasher.hash(&[&request.expression(time.text, secret)?]).is(given);
            if held {
                break;
            }
        }
        if !held {
            return Err(Reject::BadSignature.into());
        }
        match self.settings.valid {
            None => Granted::until(time.time).unless_expired(now),
            // One from the future would be valid for longer than that.
            Some(_) if time.time > now => {
                Err(Granted::until(time.time).but(Reject::NotYetValid, "its time is in the future"))
            }
            Some(valid) => Granted::until(time.time.saturating_add(valid)).unless_expired(now),
        }
    }

    fn parts(&self, request: &dyn LinkRequest) -> Vec<Part> {
        let HashSettings { algorithm, encoding, time, valid, .. } = self.settings;
        let signature = |text: &[u8]| {
            let mut bytes = [0; LONGEST];
            let bytes = bytes.get_mut(..algorithm.size()).unwrap_or_default();
            let size = bytes.len();
            match encoding.decode(text, bytes) {
                true => Meaning::words(algorithm.name()),
                false => {
                    let (name, encoding) = (algorithm.name(), encoding.name());
                    Meaning::words(format!("is no {name}, whose {size} bytes are in {encoding}"))
                }
            }
        };
        let before = if valid.is_some() { "made " } else { "" };
        let no_time = "is no time in the form that is configured";
        let time = |text: &[u8]| Meaning::time(before, time.parse(text), no_time);
        pair_parts(request, signature, time)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::net::IpAddr;

    use super::super::request::{Pair, Unavailable};
    use super::super::secret::SecretText;
    use super::*;
    use crate::credential::Found;

    /// A request whose text is that before the secret, the secret, and that after it.
    struct Request<'r>(&'r str, &'r str, &'r str, &'r str);

    impl LinkRequest for Request<'_> {
        fn pair(&self) -> Result<Pair<'_>, Unavailable> {
            Ok(Pair {
                signature: Found::One(self.2.as_bytes()),
                time: Found::One(self.3.as_bytes()),
            })
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
            Err(Unavailable)
        }
        fn expression(&self, _: &[u8], secret: &[u8]) -> Result<Cow<'_, [u8]>, Unavailable> {
            Ok([self.0.as_bytes(), secret, self.1.as_bytes()].concat().into())
        }
        fn client(&self) -> Option<IpAddr> {
            None
        }
    }

    fn settings(algorithm: &str, encoding: &str, time: &str, holds_secret: bool) -> HashSettings {
        HashSettings {
            algorithm: HashAlgorithm::from_name(algorithm.as_bytes()).unwrap(),
            encoding: SignatureEncoding::from_name(encoding.as_bytes()).unwrap(),
            time: TimeFormat::from_name(time).unwrap(),
            valid: None,
            holds_secret,
        }
    }

    fn judge(format: &Hashed, request: Request<'_>, now: i64) -> Result<Option<i64>, Reject> {
        match format.judge(&request, now) {
            Ok(granted) => Ok(granted.expires),
            Err(Denied::Refused(refused)) => Err(refused.reject),
            Err(Denied::Unavailable) => panic!("all is there"),
        }
    }

    fn secrets(texts: &[(&str, Option<Encoding>)]) -> Vec<SecretText> {
        let text = |(text, encoding): &(&str, Option<Encoding>)| SecretText {
            text: zeroize::Zeroizing::new(text.as_bytes().into()),
            encoding: *encoding,
            kid: None,
        };
        texts.iter().map(text).collect()
    }

    #[test]
    fn nginxs_own_example_holds() {
        // The example of nginx's ngx_http_secure_link_module documentation.
        let text = "2147483647/s/link127.0.0.1 secret";
        let of = |text, signature| Request(text, "", signature, "2147483647");
        let link = "_e4Nc3iduzkWRm01TBBNYw";
        let format = Hashed::md5();
        assert_eq!(judge(&format, of(text, link), 0), Ok(Some(2_147_483_647)));
        assert_eq!(judge(&format, of(text, link), 2_147_483_648), Err(Reject::Expired));
        assert_eq!(judge(&format, of("x", link), 0), Err(Reject::BadSignature));
        let longer = crate::base64url::encode([0; 32]);
        let padded = format!("{link}==");
        let too_padded = format!("{link}===");
        for malformed in ["", &link[1..], &too_padded, &longer] {
            assert_eq!(
                judge(&format, of(text, malformed), 0),
                Err(Reject::Malformed),
                "{malformed}"
            );
        }
        assert_eq!(judge(&format, of(text, &padded), 0), Ok(Some(2_147_483_647)));
        assert_eq!(format.sign(text.as_bytes()).as_deref(), Some(link));
    }

    #[test]
    fn vendors_schemes_hold() {
        // From the vendors' documentation; each signature was computed again.
        let alibaba = secrets(&[("aliyuncdnexp1234", None)]);
        let fastly = secrets(&[
            ("b3RoZXI=", Some(Encoding::Base64)),
            ("iqFPeN2u+Z0Lm5IrsKaOFKRqEU5Gw8ePtaEkHZWuD24=", Some(Encoding::Base64)),
        ]);
        for (settings, secrets, request, time) in [
            (
                settings("md5", "hex", "unix", true),
                &alibaba,
                Request(
                    "/video/standard/1K.html-1444435200-0-0-",
                    "",
                    "80cd3862d699b7118eed99103f2a3a4f",
                    "1444435200",
                ),
                1_444_435_200,
            ),
            (
                settings("md5", "hex", "+0800:YYYYMMDDHHMM", true),
                &alibaba,
                Request(
                    "",
                    "201508150800/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3",
                    "9044548ef1527deadafa49a890a377f0",
                    "201508150800",
                ),
                1_439_596_800,
            ),
            (
                settings("md5", "hex", "hex", true),
                &alibaba,
                Request("", "/test.flv55CE8100", "A37fa50a5fb8f71214b1e7c95ec7a1bd", "55CE8100"),
                1_439_596_800,
            ),
            (
                settings("hmac-sha1", "hex", "unix", false),
                &fastly,
                Request(
                    "/foo/bar.html1893456000",
                    "",
                    "735788bf03772a51164ddcd6a03c873930fc7982",
                    "1893456000",
                ),
                1_893_456_000,
            ),
        ] {
            let format = FormatSettings { secrets, ..FormatSettings::default() };
            let hashed = Hashed::new(settings, &format).unwrap();
            let Request(before, after, signature, written) = request;
            let of = |after| Request(before, after, signature, written);
            assert_eq!(judge(&hashed, of(after), time), Ok(Some(time)), "{settings:?}");
            assert_eq!(judge(&hashed, of(after), time + 1), Err(Reject::Expired));
            assert_eq!(judge(&hashed, of("x"), time), Err(Reject::BadSignature));
            let made = HashSettings { valid: Some(60), ..settings };
            let made = Hashed::new(made, &format).unwrap();
            assert_eq!(judge(&made, of(after), time), Ok(Some(time + 60)));
            assert_eq!(judge(&made, of(after), time + 60), Ok(Some(time + 60)));
            assert_eq!(judge(&made, of(after), time + 61), Err(Reject::Expired));
            assert_eq!(judge(&made, of(after), time - 1), Err(Reject::NotYetValid));
        }
        let wowza = "test/myStream?10.10.10.10&uhef87bdub13e87&wowzatokenend_time=1461322012789&\
                     wowzatokenstart_time=1461322012789";
        let sha512 = settings("sha512", "base64", "unix", false);
        let hashed = Hashed::new(sha512, &FormatSettings::default()).unwrap();
        // Wowza writes base64url with its padding.
        let expected = "5ryZOaf8XQHMQt3_BeP_YZ0ftH6pOPKN3yNvRU6T438KqkWqcPBAllpq52OBvWdYmuoWFltVYVLJTErJNbtHyQ==";
        let signed = hashed.sign(wowza.as_bytes()).unwrap();
        assert_eq!(signed.replace('+', "-").replace('/', "_"), expected);
    }

    #[test]
    fn a_hash_with_a_key_needs_a_secret() {
        let keyed = settings("hmac-sha256", "hex", "unix", false);
        assert!(Hashed::new(keyed, &FormatSettings::default()).is_err());
        let held = settings("md5", "hex", "unix", true);
        assert!(Hashed::new(held, &FormatSettings::default()).is_err());
    }
}
