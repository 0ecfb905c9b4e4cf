//! Links of public keys whose signature has held, so that the same link costs little when it comes again.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::algorithm::LinkAlgorithm;

/// How many signatures share a place: the oldest of them makes room for a new one.
const WAYS: usize = 4;
/// How many places there are.
const PLACES: usize = 512;

/// A memory of links whose signature has held: the last 2048 or so, in 130 KiB and what was read from them. Each
/// worker has one of its own.
///
/// It never vouches for what no key has vouched for. An entry is the SHA-256 over the key, the algorithm, the form
/// of the link, and what is signed and the signature as they came, in a form in which no two such lists are written
/// alike: the fields are of fixed length, or their length stands before them. It is put in only after that key has
/// verified what those two texts mean. For a wrong answer two different lists would have to have the same SHA-256,
/// and nobody can make such two. Whether a signature holds does not change with time, and a key that is no longer
/// there is not asked for: what is looked up begins with a key that is in force now. What the message says (until
/// when, for whom, for what) is judged each time.
///
/// A client learns at most, from the time that an answer takes, that a link that it has is known here.
pub struct Remembered {
    places: Box<[RefCell<Place>]>,
}

/// The newest stands first.
type Place = [Option<Entry>; WAYS];

struct Entry {
    hash: [u8; 32],
    /// What was read from the message, so that it need not be read again.
    what: Rc<dyn Any>,
}

/// A link as it travels: what is signed, and the signature. Whoever decodes them has to do it always in the same
/// way, so that the same texts always mean the same bytes.
#[derive(Clone, Copy)]
pub(super) struct Presented<'p> {
    pub(super) message: &'p [u8],
    pub(super) signature: &'p [u8],
    /// What decodes them: two formats, or two forms of one, do not have the same number.
    pub(super) form: u8,
}

/// What an entry is made of.
#[derive(Clone, Copy)]
pub(super) struct Claim<'c> {
    /// The key: a hash of its public material.
    pub(super) key: &'c [u8; 32],
    pub(super) algorithm: LinkAlgorithm,
    pub(super) presented: Presented<'c>,
}

impl Claim<'_> {
    fn hash(&self) -> [u8; 32] {
        let Presented { message, signature, form } = self.presented;
        let [a, b, c, d, e, f, g, h] = (message.len() as u64).to_be_bytes();
        let numbers = [self.algorithm as u8, form, a, b, c, d, e, f, g, h];
        // The signature is all that is left, which says its length as well.
        let hash = Sha256::new().chain_update(self.key).chain_update(numbers);
        hash.chain_update(message).chain_update(signature).finalize().into()
    }
}

impl Remembered {
    /// An empty memory.
    pub fn new() -> Self {
        Self { places: std::iter::repeat_with(RefCell::default).take(PLACES).collect() }
    }

    /// Gives its place to `with`. Nothing here calls anything that could want a place at the same time.
    fn at<T>(&self, hash: [u8; 32], with: impl FnOnce(&mut Place) -> T) -> Option<T> {
        let [first, second, ..] = hash;
        let at = usize::from(u16::from_be_bytes([first, second])) % PLACES;
        let mut place = self.places.get(at)?.try_borrow_mut().ok()?;
        Some(with(&mut place))
    }

    /// What was put in for this; `None` if nothing was.
    pub(super) fn find(&self, claim: &Claim<'_>) -> Option<Rc<dyn Any>> {
        let hash = claim.hash();
        let find = |place: &mut Place| {
            let mut known = place.iter().flatten();
            known.find(|entry| entry.hash == hash).map(|entry| Rc::clone(&entry.what))
        };
        self.at(hash, find)?
    }

    /// Puts in what a key has just verified.
    pub(super) fn put(&self, claim: &Claim<'_>, what: Rc<dyn Any>) {
        let hash = claim.hash();
        self.at(hash, |place| {
            if !place.iter().flatten().any(|entry| entry.hash == hash) {
                // The oldest makes room.
                place.rotate_right(1);
                let [newest, ..] = place;
                *newest = Some(Entry { hash, what });
            }
        });
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

    const CLAIM: Claim<'_> =
        Claim { key: &[1; 32], algorithm: LinkAlgorithm::RsaSha1, presented: PRESENTED };
    const PRESENTED: Presented<'_> =
        Presented { message: b"message", signature: b"signature", form: 1 };

    fn found(memory: &Remembered, claim: &Claim<'_>) -> Option<u32> {
        memory.find(claim)?.downcast_ref().copied()
    }

    #[test]
    fn only_what_was_put_in_is_there() {
        let memory = Remembered::default();
        assert_eq!(found(&memory, &CLAIM), None);
        memory.put(&CLAIM, Rc::new(7_u32));
        memory.put(&CLAIM, Rc::new(8_u32));
        assert_eq!(found(&memory, &CLAIM), Some(7));
        let other = |message, signature, form| Claim {
            presented: Presented { message, signature, form },
            ..CLAIM
        };
        for other in [
            Claim { key: &[2; 32], ..CLAIM },
            Claim { algorithm: LinkAlgorithm::RsaSha256, ..CLAIM },
            other(b"message.", b"signature", 1),
            other(b"message", b"signaturf", 1),
            other(b"message", b"signature", 2),
            // The same bytes, one after the other.
            other(b"messages", b"ignature", 1),
            other(b"", b"messagesignature", 1),
        ] {
            assert_eq!(found(&memory, &other), None);
        }
    }

    #[test]
    fn it_is_bounded_and_the_oldest_makes_room() {
        let memory = Remembered::new();
        let numbers: Vec<[u8; 4]> = (0..20_000_u32).map(u32::to_be_bytes).collect();
        fn claim(message: &[u8]) -> Claim<'_> {
            Claim { presented: Presented { message, ..PRESENTED }, ..CLAIM }
        }
        let has = |number: &[u8; 4]| {
            found(&memory, &claim(number)).is_some_and(|it| it == u32::from_be_bytes(*number))
        };
        for number in &numbers {
            memory.put(&claim(number), Rc::new(u32::from_be_bytes(*number)));
            assert!(has(number));
        }
        assert_eq!(numbers.iter().filter(|number| has(number)).count(), PLACES * WAYS);
        assert!(numbers[19_000..].iter().filter(|number| has(number)).count() > 900);
        assert!(size_of_val(&*memory.places) <= 130 << 10);
    }
}
