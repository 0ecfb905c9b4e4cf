//! The JWE compact serialization (RFC 7516 section 7.1).

use crate::base64url;
use crate::compact::{MAX_HEADER_LEN, MAX_TOKEN_LEN};
use crate::refusal::Why;

/// How many sections an encrypted token has.
const SECTIONS: usize = 5;

/// The five sections of an encrypted token.
pub(super) struct Compact<'t> {
    /// Still encoded: this is what is authenticated.
    pub(super) header: &'t [u8],
    pub(super) encrypted_key: Vec<u8>,
    pub(super) iv: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: Vec<u8>,
}

/// Whether a token has the five sections of an encrypted one, whatever they are.
pub(crate) fn is_encrypted(token: &[u8]) -> bool {
    // A signed token is recognised by its fourth dot, which it does not have.
    memchr::memchr_iter(b'.', token).nth(SECTIONS - 2).is_some()
}

impl<'t> Compact<'t> {
    /// Splits a token. All sections but the first may be empty here: whether they may be is up to the
    /// algorithms.
    pub(super) fn split(token: &'t [u8]) -> Result<Self, Why> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(Why::malformed(format!("longer than {MAX_TOKEN_LEN} bytes")));
        }
        let mut sections = token.split(|byte| *byte == b'.');
        let mut next = || sections.next();
        let (Some(header), Some(key), Some(iv), Some(ciphertext), Some(tag), None) =
            (next(), next(), next(), next(), next(), next())
        else {
            let count = token.split(|byte| *byte == b'.').count();
            let what = format!("{count} sections, where an encrypted token has {SECTIONS}");
            return Err(Why::malformed(what));
        };
        if header.is_empty() {
            return Err(Why::malformed("the header is empty"));
        }
        if header.len() > MAX_HEADER_LEN {
            let what = format!("the header is longer than {MAX_HEADER_LEN} characters");
            return Err(Why::malformed(what));
        }
        Ok(Self {
            header,
            encrypted_key: decoded("encrypted key", key)?,
            iv: decoded("initialization vector", iv)?,
            ciphertext: decoded("ciphertext", ciphertext)?,
            tag: decoded("authentication tag", tag)?,
        })
    }
}

fn decoded(what: &str, section: &[u8]) -> Result<Vec<u8>, Why> {
    let bytes = base64url::decode(section);
    bytes.ok_or_else(|| Why::malformed(format!("the {what} is not base64url")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_five_sections() {
        let compact = Compact::split(b"aa.AQ.Ag.Aw.BA").map_err(|why| why.detail).unwrap();
        assert_eq!(compact.header, b"aa");
        assert_eq!([compact.encrypted_key, compact.iv], [[1], [2]]);
        assert_eq!([compact.ciphertext, compact.tag], [[3], [4]]);
        assert!(Compact::split(b"aa....").is_ok());
        let long = format!("{}....", "a".repeat(MAX_HEADER_LEN + 1));
        let whole = format!("a....{}", "a".repeat(MAX_TOKEN_LEN - 4));
        for (bad, why) in [
            ("a.b.c", "3 sections, where an encrypted token has 5"),
            ("a.b.c.d.e.f", "6 sections, where an encrypted token has 5"),
            ("....", "the header is empty"),
            ("a.*...", "the encrypted key is not base64url"),
            ("a..Ag==..", "the initialization vector is not base64url"),
            ("a...AB.", "the ciphertext is not base64url"),
            ("a....A", "the authentication tag is not base64url"),
            (&long, "the header is longer than 8192 characters"),
            (&whole, "longer than 65536 bytes"),
        ] {
            let Err(refused) = Compact::split(bad.as_bytes()) else { panic!("{bad}") };
            assert_eq!(refused, Why::malformed(why), "{bad}");
        }
    }

    #[test]
    fn a_token_is_told_by_its_dots() {
        for token in ["a.b.c.d.e", "....", "a.b.c.d.e.f"] {
            assert!(is_encrypted(token.as_bytes()), "{token}");
        }
        for token in ["", "a", "a.b.c", "a.b.c.d", "..."] {
            assert!(!is_encrypted(token.as_bytes()), "{token}");
        }
    }
}
