//! Shared secrets on the command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use token::link::{self, SecretText};

use crate::files;

/// How a secret is encoded; the names are those of `jwt_kids`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Encoding {
    /// The bytes of the text itself; text is another name for it
    #[default]
    #[value(alias = "text")]
    Raw,
    /// Base64, with or without padding
    Base64,
    /// base64url, with or without padding
    Base64url,
    /// Hexadecimal digits
    Hex,
}

impl Encoding {
    fn of_link(self) -> link::Encoding {
        match self {
            Self::Raw => link::Encoding::Text,
            Self::Base64 => link::Encoding::Base64,
            Self::Base64url => link::Encoding::Base64Url,
            Self::Hex => link::Encoding::Hex,
        }
    }

    /// Decodes a secret. An error never contains a part of it.
    pub(crate) fn decode(self, text: &[u8]) -> Result<Vec<u8>> {
        let lenient =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let base64 = |alphabet, name| {
            GeneralPurpose::new(alphabet, lenient)
                .decode(text.trim_ascii())
                .ok()
                .with_context(|| format!("the secret is not {name}, as --secret-encoding says"))
        };
        let secret = match self {
            Self::Raw => text.to_vec(),
            Self::Base64 => base64(&alphabet::STANDARD, "base64")?,
            Self::Base64url => base64(&alphabet::URL_SAFE, "base64url")?,
            Self::Hex => hex(text.trim_ascii())
                .context("the secret is not hexadecimal, as --secret-encoding says")?,
        };
        if secret.is_empty() {
            bail!("the secret is empty");
        }
        refuse_public(&secret)?;
        Ok(secret)
    }
}

/// Refuses a secret that is a public key or a certificate: whoever has it could sign tokens.
fn refuse_public(secret: &[u8]) -> Result<()> {
    token::public_form(secret).map_or(Ok(()), |form| Err(refused(form)))
}

/// The error of a secret that is `form`, which is public.
pub(crate) fn refused(form: &str) -> anyhow::Error {
    anyhow!(
        "the secret is {form}, which is no secret: whoever has it could sign tokens; to verify with a \
         public key, give --keys FILE"
    )
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

/// The options of a single secret.
#[derive(clap::Args)]
pub(crate) struct SecretArgs {
    /// The secret; other users of this machine can see it among the processes
    #[arg(long, value_name = "STRING", allow_hyphen_values = true, conflicts_with = "secret_file")]
    secret: Option<String>,
    /// A file that holds the secret, - for standard input; one line break at its end is dropped
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// What the secret is written in. Default: raw; of links, what is usual in their format
    #[arg(long, value_enum, value_name = "ENCODING", hide_possible_values = false)]
    secret_encoding: Option<Encoding>,
}

impl SecretArgs {
    /// The bytes of the secret, if one was given.
    pub(crate) fn bytes(&self) -> Result<Option<Vec<u8>>> {
        let encoding = self.secret_encoding.unwrap_or_default();
        self.text()?.map(|text| encoding.decode(&text)).transpose()
    }

    /// The secret of a link, if one was given, with the name by which links refer to it. `encoding` is another
    /// option's.
    pub(crate) fn of_link(
        &self,
        encoding: Option<link::Encoding>,
        kid: Option<&str>,
    ) -> Result<Option<SecretText>> {
        if encoding.is_some() && self.secret_encoding.is_some() {
            bail!("--encoding and --secret-encoding both say how the secret is written: give one");
        }
        let encoding = encoding.or(self.secret_encoding.map(Encoding::of_link));
        let Some(text) = self.text()? else { return Ok(None) };
        let text = match encoding {
            None | Some(link::Encoding::Text) => &*text,
            Some(_) => text.trim_ascii(),
        };
        if text.is_empty() {
            bail!("the secret is empty");
        }
        refuse_public(text)?;
        let text = Box::<[u8]>::from(text).into();
        Ok(Some(SecretText { text, encoding, kid: kid.map(Into::into) }))
    }

    fn text(&self) -> Result<Option<Vec<u8>>> {
        Ok(match (&self.secret, &self.secret_file) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(path)) => Some(without_line_break(files::read(path)?)),
            (None, None) => None,
        })
    }
}

/// Removes one line break at the end, which editors and `echo` write.
pub(crate) fn without_line_break(mut text: Vec<u8>) -> Vec<u8> {
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        assert_eq!(Encoding::Raw.decode(b"a b\n").unwrap(), b"a b\n");
        assert_eq!(Encoding::Base64.decode(b"+/8=\n").unwrap(), [0xfb, 0xff]);
        assert_eq!(Encoding::Base64.decode(b"+/8").unwrap(), [0xfb, 0xff]);
        assert_eq!(Encoding::Base64url.decode(b"-_8").unwrap(), [0xfb, 0xff]);
        assert_eq!(Encoding::Hex.decode(b"fBfF").unwrap(), [0xfb, 0xff]);
        for (encoding, bad) in [
            (Encoding::Raw, "".as_bytes()),
            (Encoding::Base64, b"-_8"),
            (Encoding::Base64url, b"s3cr3t!"),
            (Encoding::Hex, b"fbf"),
            (Encoding::Hex, b"xy"),
            (Encoding::Hex, b""),
        ] {
            let error = encoding.decode(bad).unwrap_err().to_string();
            assert!(!error.contains("s3cr3t!"), "{error}");
        }
    }

    #[test]
    fn a_public_key_is_no_secret() {
        let pem = include_str!("../../tests/keys/rsa2048.pub.pem");
        let error = Encoding::Raw.decode(pem.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("is PEM, which is no secret"), "{error}");
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let error = Encoding::Base64.decode(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("is a public key"), "{error}");
    }

    #[test]
    fn one_line_break_is_dropped() {
        assert_eq!(without_line_break(b"a\n\n".to_vec()), b"a\n");
        assert_eq!(without_line_break(b"a\r\n".to_vec()), b"a");
        assert_eq!(without_line_break(b"a ".to_vec()), b"a ");
    }
}
