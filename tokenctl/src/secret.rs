//! Shared secrets on the command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::files;

/// How a secret is encoded; the names are those of `jwt_kids`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Encoding {
    /// The bytes of the text itself
    #[default]
    Raw,
    /// Base64, with or without padding
    Base64,
    /// base64url, with or without padding
    Base64url,
    /// Hexadecimal digits
    Hex,
}

impl Encoding {
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
    /// What the secret is written in
    #[arg(
        long,
        value_enum,
        value_name = "ENCODING",
        default_value_t,
        hide_possible_values = false
    )]
    secret_encoding: Encoding,
}

impl SecretArgs {
    /// The bytes of the secret, if one was given.
    pub(crate) fn bytes(&self) -> Result<Option<Vec<u8>>> {
        let text = match (&self.secret, &self.secret_file) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(path)) => without_line_break(files::read(path)?),
            (None, None) => return Ok(None),
        };
        self.secret_encoding.decode(&text).map(Some)
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
