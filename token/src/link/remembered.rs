//! Links of public keys whose signature has held, so that the same link costs little when it comes again.

use std::any::Any;
use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;

use siphasher::sip::SipHasher13;

use super::algorithm::LinkAlgorithm;

/// How many entries share a place: the oldest of them makes room for a new one.
const WAYS: usize = 4;
/// How many places there are.
const PLACES: usize = 512;
/// The most bytes of what is remembered: of what is signed with the signature, and of a text.
const LONGEST: usize = 2048;
/// How many bytes at the end of a signature are hashed.
const HASHED: usize = 16;
/// Of a text some groups of eight bytes are hashed, at even distances. A signature has several of them.
const GROUP: usize = 8;
const GROUPS: usize = 6;

/// A memory of links whose signature has held: the last 2048 or so, each in about 200 bytes beside its own; and of
/// what was read from the texts of those that came again. Each worker has one of its own.
///
/// It never vouches for what no key has vouched for. An entry is the link itself: a hash of the key, the algorithm,
/// the form of the link, and what is signed and the signature as they came; all of that has to be the same, byte for
/// byte. It is put in only after that key has verified what those two texts mean. Whether a signature holds does not
/// change with time, and a key that is no longer there is not asked for: what is looked up begins with a key that is
/// in force now. What the message says (until when, for whom, for what) is judged each time. What was read from a
/// text depends on nothing else, and vouches for nothing.
///
/// A client learns at most, from the time that an answer takes, that a link that it has is known here: bytes are
/// compared only if a hash of the end of the signature is the same, so that nobody can find a signature piece by
/// piece.
pub struct Remembered {
    /// A random key, so that nobody outside knows which entries share a place.
    key: (u64, u64),
    held: Places<Held>,
    read: Places<Read>,
}

/// Entries by their hash.
struct Places<E>(Box<[RefCell<[Option<E>; WAYS]>]>);

/// A link whose signature has held.
struct Held {
    /// Of the end of the signature.
    hash: u64,
    key: [u8; 32],
    algorithm: LinkAlgorithm,
    form: u8,
    /// What is signed, and after it the signature.
    link: Vec<u8>,
    message_len: usize,
    /// What was read from the message, so that it need not be read again.
    what: Rc<dyn Any>,
}

/// A text in which a link came.
struct Read {
    hash: u64,
    text: Box<[u8]>,
    /// What was read from it.
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

impl Held {
    fn is(&self, hash: u64, claim: &Claim<'_>) -> bool {
        let Presented { message, signature, form } = claim.presented;
        self.hash == hash
            && self.form == form
            && self.algorithm == claim.algorithm
            && self.key == *claim.key
            && self.link.split_at_checked(self.message_len) == Some((message, signature))
    }
}

impl<E> Places<E> {
    fn new() -> Self {
        Self(std::iter::repeat_with(|| RefCell::new([const { None }; WAYS])).take(PLACES).collect())
    }

    /// What `of` says of the first entry that it says something of.
    fn find<T>(&self, hash: u64, of: impl FnMut(&E) -> Option<T>) -> Option<T> {
        let place = self.0.get(hash as usize % PLACES)?.try_borrow().ok()?;
        place.iter().flatten().find_map(of)
    }

    /// The newest entry stands first, and the oldest makes room for it: `make` may use its memory.
    fn put(&self, hash: u64, make: impl FnOnce(Option<E>) -> E) {
        let place =
            self.0.get(hash as usize % PLACES).and_then(|place| place.try_borrow_mut().ok());
        if let Some(mut place) = place {
            place.rotate_right(1);
            let [newest, ..] = &mut *place;
            *newest = Some(make(newest.take()));
        }
    }
}

impl Remembered {
    /// An empty memory.
    pub fn new() -> Self {
        // What the standard library has for its maps is random, too.
        let random = RandomState::new();
        let key = (random.hash_one(0), random.hash_one(1));
        Self { key, held: Places::new(), read: Places::new() }
    }

    fn hash_of(&self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.key.0, self.key.1).hash(bytes)
    }

    /// The hash of a link's entry; `None` for one that is too long.
    fn hash(&self, claim: &Claim<'_>) -> Option<u64> {
        let Presented { message, signature, .. } = claim.presented;
        let end = signature.get(signature.len().saturating_sub(HASHED)..)?;
        (message.len() + signature.len() <= LONGEST).then(|| self.hash_of(end))
    }

    /// What was put in for this; `None` if nothing was.
    pub(super) fn find(&self, claim: &Claim<'_>) -> Option<Rc<dyn Any>> {
        let hash = self.hash(claim)?;
        self.held.find(hash, |entry| entry.is(hash, claim).then(|| Rc::clone(&entry.what)))
    }

    /// Puts in what a key has just verified.
    pub(super) fn put(&self, claim: &Claim<'_>, what: Rc<dyn Any>) {
        let Some(hash) = self.hash(claim) else { return };
        if self.held.find(hash, |entry| entry.is(hash, claim).then_some(())).is_none() {
            let Claim { key, algorithm, presented: Presented { message, signature, form } } =
                *claim;
            let message_len = message.len();
            self.held.put(hash, |oldest| {
                let mut link = oldest.map(|oldest| oldest.link).unwrap_or_default();
                link.clear();
                link.reserve_exact(message.len() + signature.len());
                link.extend_from_slice(message);
                link.extend_from_slice(signature);
                Held { hash, key: *key, algorithm, form, link, message_len, what }
            });
        }
    }

    /// The hash of a text; `None` for one that is too long, or empty.
    fn hash_of_text(&self, text: &[u8]) -> Option<u64> {
        if text.is_empty() || text.len() > LONGEST {
            return None;
        }
        let mut groups = [[0; GROUP]; GROUPS];
        let stride = text.len() / GROUPS;
        if stride < GROUP {
            return Some(self.hash_of(text));
        }
        for (group, from) in groups.iter_mut().zip(text.chunks_exact(stride)) {
            *group = from.first_chunk().copied().unwrap_or_default();
        }
        Some(self.hash_of(groups.as_flattened()))
    }

    /// What was read from a text.
    pub(super) fn read<T: 'static>(&self, text: &[u8]) -> Option<Rc<T>> {
        let hash = self.hash_of_text(text)?;
        let is_it = |entry: &Read| entry.hash == hash && *entry.text == *text;
        let what = self.read.find(hash, |entry| is_it(entry).then(|| Rc::clone(&entry.what)))?;
        what.downcast().ok()
    }

    /// Puts in what was read from a text.
    pub(super) fn put_read<T: 'static>(&self, text: &[u8], what: T) {
        if let Some(hash) = self.hash_of_text(text) {
            self.read.put(hash, |_| Read { hash, text: text.into(), what: Rc::new(what) });
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
    fn what_was_read_from_a_text_is_that_of_this_text() {
        let memory = Remembered::new();
        let text = [b'a'; 600];
        memory.put_read(&text, 7_u32);
        assert_eq!(memory.read::<u32>(&text).as_deref(), Some(&7));
        assert_eq!(memory.read::<u64>(&text), None);
        for at in 0..text.len() {
            let mut other = text;
            other[at] = b'b';
            assert_eq!(memory.read::<u32>(&other), None);
        }
        for other in [&text[1..], &[b'a'; 601][..], b""] {
            assert_eq!(memory.read::<u32>(other), None);
        }
        memory.put_read(&[], 8_u32);
        memory.put_read(&[0; LONGEST + 1], 8_u32);
        assert_eq!(memory.read::<u32>(&[]), None);
        assert_eq!(memory.read::<u32>(&[0; LONGEST + 1]), None);
        for number in 0..20_000_u32 {
            memory.put_read(&number.to_be_bytes(), number);
            assert_eq!(memory.read(&number.to_be_bytes()).as_deref(), Some(&number));
        }
        let known = |number: &u32| memory.read::<u32>(&number.to_be_bytes()).is_some();
        assert_eq!((0..20_000).filter(known).count(), PLACES * WAYS);
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
        assert!(size_of_val(&*memory.held.0) <= 200 << 10);
        let long = [0; LONGEST];
        memory.put(&claim(&long), Rc::new(0_u32));
        assert_eq!(found(&memory, &claim(&long)), None);
        memory.put(&claim(&[]), Rc::new(0_u32));
        assert_eq!(found(&memory, &claim(&[])), Some(0));
    }
}
