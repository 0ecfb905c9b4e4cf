//! The secrets that links are signed with.

use std::fmt;

use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::base64url::decode_secret;

/// How the text of a secret encodes its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The bytes are those of the text.
    Text,
    /// Hexadecimal digits, in either case.
    Hex,
    /// base64, with or without padding (RFC 4648 section 4).
    Base64,
    /// base64url, with or without padding (RFC 4648 section 5).
    Base64Url,
}

impl Encoding {
    /// All encodings.
    pub const ALL: [Self; 4] = [Self::Text, Self::Hex, Self::Base64, Self::Base64Url];

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
        }
    }

    /// The encoding of that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.name().as_bytes() == name)
    }

    fn decode(self, text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        const TOLERANT: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        match self {
            Self::Text => Some(Zeroizing::new(text.to_vec())),
            Self::Hex => hex::decode(text).ok().map(Zeroizing::new),
            Self::Base64 => {
                decode_secret(&GeneralPurpose::new(&alphabet::STANDARD, TOLERANT), text)
            }
            Self::Base64Url => {
                decode_secret(&GeneralPurpose::new(&alphabet::URL_SAFE, TOLERANT), text)
            }
        }
    }
}

/// A secret as a configuration has it.
#[derive(Clone)]
pub struct SecretText {
    /// The text.
    pub text: Zeroizing<Box<[u8]>>,
    /// How it encodes the secret; `None` if the format says it.
    pub encoding: Option<Encoding>,
    /// The name by which links refer to it.
    pub kid: Option<Box<str>>,
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretText").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A secret that links are signed with. It is wiped when it is dropped.
#[derive(Clone)]
pub struct LinkSecret {
    bytes: Zeroizing<Box<[u8]>>,
    kid: Option<Box<str>>,
}

impl LinkSecret {
    /// Takes the bytes of a secret; `None` if it is empty, which would protect nothing.
    pub fn new(secret: &[u8]) -> Option<Self> {
        (!secret.is_empty()).then(|| Self { bytes: Zeroizing::new(secret.into()), kid: None })
    }

    /// Decodes a secret, which is in this encoding unless it says another one.
    ///
    /// # Errors
    /// It is empty, or not in its encoding; the text completes a sentence and shows nothing of the secret.
    pub fn read(secret: &SecretText, encoding: Encoding) -> Result<Self, String> {
        let encoding = secret.encoding.unwrap_or(encoding);
        let bytes = encoding.decode(&secret.text).ok_or_else(|| {
            format!(
                "the secret is not in {}: say how it is written, with encoding=",
                encoding.name()
            )
        })?;
        let made = Self::new(&bytes).ok_or("the secret is empty")?;
        Ok(Self { kid: secret.kid.clone(), ..made })
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name by which links refer to it.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSecret").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_says_or_as_the_format_says() {
        let read = |text: &str, own: Option<Encoding>, of_format| {
            let secret = SecretText {
                text: Zeroizing::new(text.as_bytes().into()),
                encoding: own,
                kid: Some("k".into()),
            };
            LinkSecret::read(&secret, of_format).map(|secret| secret.bytes().to_vec())
        };
        let good = |bytes: &[u8]| Ok(bytes.to_vec());
        assert_eq!(read("aB1", None, Encoding::Text), good(b"aB1"));
        assert_eq!(read("aB10", None, Encoding::Hex), good(&[0xab, 0x10]));
        assert_eq!(read("aB10", Some(Encoding::Text), Encoding::Hex), good(b"aB10"));
        for text in ["+/8=", "+/8"] {
            assert_eq!(read(text, None, Encoding::Base64), good(&[0xfb, 0xff]));
            assert!(read(text, None, Encoding::Base64Url).is_err());
        }
        for text in ["-_8=", "-_8"] {
            assert_eq!(read(text, None, Encoding::Base64Url), good(&[0xfb, 0xff]));
        }
        for (text, encoding) in [
            ("", Encoding::Text),
            ("", Encoding::Hex),
            ("abc", Encoding::Hex),
            ("xy", Encoding::Hex),
        ] {
            let error = read(text, None, encoding).unwrap_err();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }
}
