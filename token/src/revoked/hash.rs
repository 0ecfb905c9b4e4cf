//! The keyed hashes that stand for the values of a list.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::line::Line;
use crate::number::Number;

/// The key of a table. It is secret, so that nobody can choose values whose hashes are the same.
#[derive(Clone, Copy)]
pub(super) struct HashKey(pub(super) [u64; 2]);

/// 96 bits of the hash of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash {
    /// Never 0, so that no record of a value looks like an empty one.
    pub(super) low: u64,
    pub(super) high: u32,
}

/// What a hash stands for. It is a part of what is hashed: a text and a number have different hashes.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    /// A text, byte for byte.
    Text = 1,
    /// A number, by its value.
    Number = 2,
    /// A number by its value, and the text that is its canonical spelling. Most numbers in lists are
    /// written so, and need only one record.
    Both = 3,
}

impl HashKey {
    /// A new key; `None` if the system gives no random numbers.
    pub(super) fn random() -> Option<Self> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).ok()?;
        let seed = u128::from_ne_bytes(seed);
        Some(Self([seed as u64, (seed >> 64) as u64]))
    }

    /// The hashes by which a line is found.
    pub(super) fn of_line(self, line: &Line<'_>) -> (Hash, Option<Hash>) {
        let number = match line.is_quoted {
            true => None,
            false => Number::parse(line.value.as_bytes()),
        };
        match number {
            None => (self.text(&line.value), None),
            Some(number) if number.is_canonical() => (self.number(Kind::Both, number), None),
            Some(number) => (self.text(&line.value), Some(self.number(Kind::Number, number))),
        }
    }

    /// The hashes that a text may be listed by.
    pub(super) fn for_text(self, text: &str) -> (Hash, Option<Hash>) {
        let number = Number::parse_canonical(text);
        (self.text(text), number.map(|number| self.number(Kind::Both, number)))
    }

    /// The hashes that a number may be listed by.
    pub(super) fn for_number(self, number: Number<'_>) -> (Hash, Option<Hash>) {
        (self.number(Kind::Both, number), Some(self.number(Kind::Number, number)))
    }

    fn text(self, text: &str) -> Hash {
        let mut hasher = self.hasher();
        hasher.write(text.as_bytes());
        finish(hasher, Kind::Text)
    }

    fn number(self, kind: Kind, number: Number<'_>) -> Hash {
        let mut hasher = self.hasher();
        number.hash_value(&mut hasher);
        finish(hasher, kind)
    }

    fn hasher(self) -> SipHasher13 {
        let Self([first, second]) = self;
        SipHasher13::new_with_keys(first, second)
    }
}

/// The kind comes last, behind a text of any length: no two inputs of the hash are the same unless both
/// the kinds and the values are.
fn finish(mut hasher: SipHasher13, kind: Kind) -> Hash {
    hasher.write_u8(kind as u8);
    let hash = hasher.finish128();
    Hash { low: hash.h1.max(1), high: (hash.h2 >> 32) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes_of_line(line: &str) -> Vec<Hash> {
        let line = Line::read(line).ok().flatten().unwrap();
        let (first, second) = HashKey([1, 2]).of_line(&line);
        [first].into_iter().chain(second).collect()
    }

    #[test]
    fn only_a_number_that_is_not_canonical_needs_two_records() {
        for (line, records) in [
            ("a", 1),
            ("3f2c9a7e-5d41-4a86-9c0e-1b7d2f6a8e35", 1),
            ("123", 1),
            ("0", 1),
            ("-3", 1),
            ("12345678901234567890123", 1),
            ("\"123\"", 1),
            ("\"1.0\"", 1),
            ("01", 1),
            ("-0", 2),
            ("1.0", 2),
            ("1e2", 2),
            ("0.5", 2),
        ] {
            assert_eq!(hashes_of_line(line).len(), records, "{line}");
        }
    }

    #[test]
    fn texts_and_numbers_do_not_share_hashes() {
        let key = HashKey([3, 4]);
        let number = |text: &str| key.for_number(Number::parse(text.as_bytes()).unwrap());
        let (both, value) = number("7.0");
        assert_eq!(number("70e-1"), (both, value));
        let (text, canonical) = key.for_text("7");
        assert_eq!(canonical, Some(both));
        assert_ne!(Some(text), value);
        assert_ne!(text, both);
        assert_eq!(key.for_text("7.0").1, None);
        // Other keys, other hashes.
        assert_ne!(HashKey([3, 5]).for_text("7").0, text);
        assert_ne!(HashKey([4, 4]).for_text("7").0, text);
    }

    #[test]
    fn a_hash_uses_all_of_its_bits() {
        let (mut ones, mut zeros) = (Hash { low: 0, high: 0 }, Hash { low: 0, high: 0 });
        for n in 0..200 {
            let hash = HashKey([n, 0]).for_text("x").0;
            ones = Hash { low: ones.low | hash.low, high: ones.high | hash.high };
            zeros = Hash { low: zeros.low | !hash.low, high: zeros.high | !hash.high };
        }
        for all in [ones, zeros] {
            assert_eq!(all, Hash { low: u64::MAX, high: u32::MAX });
        }
    }
}
