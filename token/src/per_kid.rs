//! The part of a URI that stands for a kid, where each key has a URI of its own.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// How a kid becomes the last part of a URI. Whoever sends tokens decides which of these URIs are fetched,
/// so a kid must not lead out of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerKid {
    /// The kid as it is.
    Plain,
    /// The SHA-256 of its UTF-8 bytes, in lower-case hexadecimal digits.
    Sha256,
}

impl PerKid {
    /// The longest kid that is asked for as it is, in characters.
    pub const LONGEST: usize = 128;

    /// By the word of `per=`.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"kid" => Some(Self::Plain),
            b"kid-sha256" => Some(Self::Sha256),
            _ => None,
        }
    }

    /// The part of the URI for `kid`. `None` if the kid is not asked for: as it is, it must have 1 to 128
    /// characters that need no encoding (RFC 3986 section 2.3), and be no dot segment.
    pub fn part(self, kid: &str) -> Option<String> {
        match self {
            Self::Plain => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
                let is_part = (1..=Self::LONGEST).contains(&kid.len()) && kid.bytes().all(fits);
                (is_part && kid != "." && kid != "..").then(|| kid.to_owned())
            }
            Self::Sha256 => {
                let mut digits = String::with_capacity(64);
                for byte in Sha256::digest(kid) {
                    // Writing to a string does not fail.
                    let _ = write!(digits, "{byte:02x}");
                }
                Some(digits)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PerKid;

    #[test]
    fn a_kid_that_could_lead_elsewhere_is_not_asked_for() {
        let longest = "k".repeat(PerKid::LONGEST);
        for good in ["a", "A-Z_a~z.09", "...", "12345678-1234-1234-1234-123456789012", &longest] {
            assert_eq!(PerKid::Plain.part(good).as_deref(), Some(good));
        }
        for bad in ["", ".", "..", "a/b", "a%2fb", "a b", "a?b", "a#b", "\u{e9}", "a\0", "a\\b"] {
            assert_eq!(PerKid::Plain.part(bad), None, "{bad:?}");
        }
        assert_eq!(PerKid::Plain.part(&format!("{longest}k")), None);
    }

    #[test]
    fn a_hash_stands_for_any_kid() {
        // FIPS 180-2 appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(PerKid::Sha256.part("abc").as_deref(), Some(abc));
        assert_eq!(PerKid::Sha256.part("../a b").map(|part| part.len()), Some(64));
        assert_eq!(PerKid::from_name(b"kid-sha256"), Some(PerKid::Sha256));
        assert_eq!(PerKid::from_name(b"kid"), Some(PerKid::Plain));
        assert_eq!(PerKid::from_name(b"KID"), None);
    }
}
