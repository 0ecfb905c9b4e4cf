//! An encrypted token, decrypted to be shown.

use token::Refusal;
use token::jwe::{DecryptionKeys, decrypt};

use crate::sections::{Section, Sections};

/// What an encrypted token holds.
pub(crate) struct Decrypted {
    /// The header of the encryption.
    pub(crate) header: Section,
    /// The signed token; `None` for claims that are not signed.
    pub(crate) signed: Option<String>,
    /// The sections of the signed token; else the header of the encryption, and the claims.
    pub(crate) sections: Sections,
}

/// Whether a token has the sections of an encrypted one.
pub(crate) fn is_encrypted(token: &str) -> bool {
    token.split('.').count() == 5
}

impl Decrypted {
    /// Decrypts a token with one of these keys.
    pub(crate) fn new(token: &str, keys: &DecryptionKeys) -> Result<Self, Refusal> {
        let opened = decrypt(token.as_bytes(), keys)?;
        let header = || Section::of(opened.header.text().as_bytes().to_vec());
        let text = opened.plaintext.to_vec();
        if text.trim_ascii_start().starts_with(b"{") {
            let sections = Sections { header: header(), payload: Section::of(text) };
            return Ok(Self { header: header(), signed: None, sections });
        }
        let signed = String::from_utf8_lossy(&text).into_owned();
        let sections = Sections::new(&signed);
        Ok(Self { header: header(), signed: Some(signed), sections })
    }
}
