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
    /// The four others, decoded, one after the other.
    decoded: Vec<u8>,
    /// Where each of them ends.
    ends: [usize; SECTIONS - 1],
}

/// The sections after the header, decoded.
#[derive(Clone, Copy)]
pub(super) struct Decoded<'d> {
    pub(super) encrypted_key: &'d [u8],
    pub(super) iv: &'d [u8],
    pub(super) ciphertext: &'d [u8],
    pub(super) tag: &'d [u8],
}

/// Their names.
const NAMES: [&str; SECTIONS - 1] =
    ["encrypted key", "initialization vector", "ciphertext", "authentication tag"];

/// Whether a token has the five sections of an encrypted one, whatever they are.
pub(crate) fn is_encrypted(token: &[u8]) -> bool {
    // A signed token is recognised by its fourth dot, which it does not have.
    memchr::memchr_iter(b'.', token).nth(SECTIONS - 2).is_some()
}

/// What is between the dots, if there are as many sections as there should be.
fn sections(token: &[u8]) -> Option<[&[u8]; SECTIONS]> {
    let mut sections = [&b""[..]; SECTIONS];
    let mut rest = Some(token);
    for section in &mut sections {
        let text = rest?;
        match memchr::memchr(b'.', text) {
            None => (*section, rest) = (text, None),
            Some(at) => (*section, rest) = (text.get(..at)?, text.get(at + 1..)),
        }
    }
    rest.is_none().then_some(sections)
}

impl<'t> Compact<'t> {
    /// Splits a token. All sections but the first may be empty here: whether they may be is up to the
    /// algorithms.
    pub(super) fn split(token: &'t [u8]) -> Result<Self, Why> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(Why::malformed(format!("longer than {MAX_TOKEN_LEN} bytes")));
        }
        let sections = sections(token).ok_or_else(|| {
            let count = memchr::memchr_iter(b'.', token).count() + 1;
            Why::malformed(format!("{count} sections, where an encrypted token has {SECTIONS}"))
        })?;
        let [header, key, iv, ciphertext, tag] = sections;
        if header.is_empty() {
            return Err(Why::malformed("the header is empty"));
        }
        if header.len() > MAX_HEADER_LEN {
            let what = format!("the header is longer than {MAX_HEADER_LEN} characters");
            return Err(Why::malformed(what));
        }
        let mut decoded = Vec::with_capacity(token.len() / 4 * 3);
        let mut ends = [0; SECTIONS - 1];
        let named = NAMES.into_iter().zip([key, iv, ciphertext, tag]);
        for ((name, section), end) in named.zip(&mut ends) {
            if !base64url::decode_to(section, &mut decoded) {
                return Err(Why::malformed(format!("the {name} is not base64url")));
            }
            *end = decoded.len();
        }
        Ok(Self { header, decoded, ends })
    }

    pub(super) fn decoded(&self) -> Decoded<'_> {
        let [first, second, third, fourth] = self.ends;
        let section = |from, to| self.decoded.get(from..to).unwrap_or_default();
        Decoded {
            encrypted_key: section(0, first),
            iv: section(first, second),
            ciphertext: section(second, third),
            tag: section(third, fourth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_five_sections() {
        let compact = Compact::split(b"aa.AQ.Ag.Aw.BA").map_err(|why| why.detail).unwrap();
        assert_eq!(compact.header, b"aa");
        let Decoded { encrypted_key, iv, ciphertext, tag } = compact.decoded();
        assert_eq!([encrypted_key, iv, ciphertext, tag], [[1], [2], [3], [4]]);
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
