//! Signatures of public keys that have held, so that the same link costs little when it comes again.

use std::cell::Cell;

use sha2::{Digest as _, Sha256};

use super::algorithm::LinkAlgorithm;

/// How many signatures share a place: the oldest of them makes room for a new one.
const WAYS: usize = 4;
/// How many places there are.
const PLACES: usize = 512;

/// A memory of signatures that have held: the last 2048 or so, in 66 KiB. Each worker has one of its own.
///
/// It never vouches for what no key has vouched for. An entry is the SHA-256 over the key, the algorithm, the
/// message and the signature, in a form in which no two such lists are written alike: the fields are of fixed
/// length, or their length stands before them. It is put in only after that key has verified that signature of
/// that message. For a wrong answer two different lists would have to have the same SHA-256, and nobody can make
/// such two. Whether a signature holds does not change with time, and a key that is no longer there is not asked
/// for: what is looked up begins with a key that is in force now. What the message says (until when, for whom,
/// for what) is judged each time.
///
/// A client learns at most, from the time that an answer takes, that a link that it has is known here.
pub struct Remembered {
    places: Box<[[Entry; WAYS]]>,
}

type Entry = Cell<Option<[u8; 32]>>;

/// What an entry is made of.
#[derive(Clone, Copy)]
pub(super) struct Claim<'c> {
    /// The key: a hash of its public material.
    pub(super) key: &'c [u8; 32],
    pub(super) algorithm: LinkAlgorithm,
    pub(super) message: &'c [u8],
    pub(super) signature: &'c [u8],
}

impl Claim<'_> {
    fn entry(self) -> [u8; 32] {
        let algorithm = [self.algorithm as u8];
        let len = (self.message.len() as u64).to_be_bytes();
        // The signature is all that is left, which says its length as well.
        let hash = Sha256::new().chain_update(self.key).chain_update(algorithm).chain_update(len);
        hash.chain_update(self.message).chain_update(self.signature).finalize().into()
    }
}

impl Remembered {
    /// An empty memory.
    pub fn new() -> Self {
        let place = || std::array::from_fn(|_| Cell::new(None));
        Self { places: std::iter::repeat_with(place).take(PLACES).collect() }
    }

    fn place(&self, entry: &[u8; 32]) -> &[Entry] {
        let [first, second, ..] = entry;
        let at = usize::from(u16::from_be_bytes([*first, *second])) % PLACES;
        self.places.get(at).map(<[_; WAYS]>::as_slice).unwrap_or_default()
    }

    /// Whether this was put in.
    pub(super) fn has(&self, claim: Claim<'_>) -> bool {
        let entry = claim.entry();
        self.place(&entry).iter().any(|one| one.get() == Some(entry))
    }

    /// Puts in what a key has just verified.
    pub(super) fn put(&self, claim: Claim<'_>) {
        let entry = claim.entry();
        let place = self.place(&entry);
        if place.iter().any(|one| one.get() == Some(entry)) {
            return;
        }
        // The newest stands first, and each of the others goes one further.
        let mut newer = Some(entry);
        for one in place {
            newer = one.replace(newer);
        }
    }
}

impl Default for Remembered {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remembered")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: Claim<'_> = Claim {
        key: &[1; 32],
        algorithm: LinkAlgorithm::RsaSha1,
        message: b"message",
        signature: b"signature",
    };

    #[test]
    fn only_what_was_put_in_is_there() {
        let remembered = Remembered::default();
        assert!(!remembered.has(CLAIM));
        remembered.put(CLAIM);
        remembered.put(CLAIM);
        assert!(remembered.has(CLAIM));
        for other in [
            Claim { key: &[2; 32], ..CLAIM },
            Claim { algorithm: LinkAlgorithm::RsaSha256, ..CLAIM },
            Claim { message: b"message.", ..CLAIM },
            Claim { signature: b"signaturf", ..CLAIM },
            // The same bytes, one after the other.
            Claim { message: b"messages", signature: b"ignature", ..CLAIM },
            Claim { message: b"", signature: b"messagesignature", ..CLAIM },
        ] {
            assert!(!remembered.has(other));
        }
    }

    #[test]
    fn it_is_bounded_and_the_oldest_makes_room() {
        let remembered = Remembered::new();
        let numbers: Vec<[u8; 4]> = (0..20_000_u32).map(u32::to_be_bytes).collect();
        let claim = |number| Claim { message: number, ..CLAIM };
        for number in &numbers {
            remembered.put(claim(number));
            assert!(remembered.has(claim(number)));
        }
        let kept = numbers.iter().filter(|number| remembered.has(claim(*number))).count();
        assert_eq!(kept, PLACES * WAYS);
        let recent = numbers[19_000..].iter().filter(|number| remembered.has(claim(*number)));
        assert!(recent.count() > 900);
        assert!(size_of_val(&*remembered.places) <= 66 << 10);
    }
}
