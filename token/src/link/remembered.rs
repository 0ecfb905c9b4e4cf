//! Links of public keys whose signature has held, so that the same link costs little when it comes again.

use std::any::Any;
use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;

use super::algorithm::LinkAlgorithm;

/// How many signatures share a place: the oldest of them makes room for a new one.
const WAYS: usize = 4;
/// How many places there are.
const PLACES: usize = 512;
/// The most bytes of a link that is remembered: what is signed, and the signature, as they travel.
const LONGEST: usize = 2048;
/// How many bytes at the end of a signature are hashed.
const HASHED: usize = 32;

/// A memory of links whose signature has held: the last 2048 or so, each in about 200 bytes beside its own. Each
/// worker has one of its own.
///
/// It never vouches for what no key has vouched for. An entry is the link itself: a hash of the key, the algorithm,
/// the form of the link, and what is signed and the signature as they came; all of that has to be the same, byte for
/// byte. It is put in only after that key has verified what those two texts mean. Whether a signature holds does not
/// change with time, and a key that is no longer there is not asked for: what is looked up begins with a key that is
/// in force now. What the message says (until when, for whom, for what) is judged each time.
///
/// A client learns at most, from the time that an answer takes, that a link that it has is known here: bytes are
/// compared only if a hash of the end of the signature is the same, so that nobody can find a signature piece by
/// piece.
pub struct Remembered {
    /// A random key, so that nobody outside knows which signatures share a place.
    hasher: RandomState,
    places: Box<[RefCell<Place>]>,
}

/// The newest stands first.
type Place = [Option<Entry>; WAYS];

struct Entry {
    /// Of the end of the signature.
    hash: u64,
    key: [u8; 32],
    algorithm: LinkAlgorithm,
    form: u8,
    /// What is signed, and after it the signature.
    link: Box<[u8]>,
    message_len: usize,
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

impl Entry {
    fn new(hash: u64, claim: &Claim<'_>, what: Rc<dyn Any>) -> Self {
        let Claim { key, algorithm, presented: Presented { message, signature, form } } = *claim;
        let link = [message, signature].concat().into();
        Self { hash, key: *key, algorithm, form, link, message_len: message.len(), what }
    }

    fn is(&self, hash: u64, claim: &Claim<'_>) -> bool {
        let Presented { message, signature, form } = claim.presented;
        self.hash == hash
            && self.form == form
            && self.algorithm == claim.algorithm
            && self.key == *claim.key
            && self.link.split_at_checked(self.message_len) == Some((message, signature))
    }
}

impl Remembered {
    /// An empty memory.
    pub fn new() -> Self {
        let places = std::iter::repeat_with(RefCell::default).take(PLACES).collect();
        Self { hasher: RandomState::new(), places }
    }

    /// Gives its hash and its place to `with`. Nothing here calls anything that could want a place at the same time.
    fn at<T>(&self, claim: &Claim<'_>, with: impl FnOnce(u64, &mut Place) -> T) -> Option<T> {
        let Presented { message, signature, .. } = claim.presented;
        if message.len() + signature.len() > LONGEST {
            return None;
        }
        let end = signature.get(signature.len().saturating_sub(HASHED)..)?;
        let hash = self.hasher.hash_one(end);
        let mut place = self.places.get(hash as usize % PLACES)?.try_borrow_mut().ok()?;
        Some(with(hash, &mut place))
    }

    /// What was put in for this; `None` if nothing was.
    pub(super) fn find(&self, claim: &Claim<'_>) -> Option<Rc<dyn Any>> {
        self.at(claim, |hash, place| {
            let mut known = place.iter().flatten();
            known.find(|entry| entry.is(hash, claim)).map(|entry| Rc::clone(&entry.what))
        })?
    }

    /// Puts in what a key has just verified.
    pub(super) fn put(&self, claim: &Claim<'_>, what: Rc<dyn Any>) {
        self.at(claim, |hash, place| {
            if !place.iter().flatten().any(|entry| entry.is(hash, claim)) {
                // The oldest makes room.
                place.rotate_right(1);
                let [newest, ..] = place;
                *newest = Some(Entry::new(hash, claim, what));
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
        fn claim(signature: &[u8]) -> Claim<'_> {
            Claim { presented: Presented { signature, ..PRESENTED }, ..CLAIM }
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
        assert!(size_of_val(&*memory.places) <= 200 << 10);
        let long = [0; LONGEST];
        memory.put(&claim(&long), Rc::new(0_u32));
        assert_eq!(found(&memory, &claim(&long)), None);
        memory.put(&claim(&[]), Rc::new(0_u32));
        assert_eq!(found(&memory, &claim(&[])), Some(0));
    }
}
