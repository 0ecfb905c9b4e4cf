//! A cache of verified tokens: the signature of a token that it knows need not be verified again.
//!
//! A token is identified by all of its bytes ([`Identity`]). The cache stores only facts that cannot change: the
//! token's content, and which key verified its signature (a [`Proof`]). A proof is valid only for
//! exactly the same key sets, compared by identity; if one of them is replaced, the signature is
//! verified again. Everything else is judged each time.

mod identity;
mod index;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::slice;

use siphasher::sip::SipHasher13;

use crate::content::Content;
use crate::keyset::KeyIndex;
use identity::Identity;
use index::{Buckets, Expiry, INDEX_BYTES, Recency, Slot, room_for};

/// The smallest cost of an entry, in bytes. It limits the number of entries, and so the index.
const MIN_COST: usize = 512;

/// One token may take at most this fraction (1/8) of the cache, so that it cannot push out all others.
const LARGEST_PART: usize = 8;

/// How many bytes at the end of a token are hashed. They belong to the signature, which differs for
/// each verified token.
const HASHED: usize = 32;

/// How many proofs are kept for a token: it may be used with different key sets.
const MAX_PROOFS: usize = 8;

/// The allocator's own bytes for each block of memory.
const BLOCK: usize = 16;

/// Verified tokens in a limited number of bytes, for one thread.
pub struct Cache {
    store: RefCell<Store>,
    /// How many tokens were looked for, and how many of them needed no signature to be verified.
    lookups: Cell<u64>,
    hits: Cell<u64>,
    /// How many tokens have made room for others.
    evictions: Cell<u64>,
}

/// What a cache has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// How often a signature need not be verified, since the cache knew the token.
    pub hits: u64,
    /// How often it did not, so that the signature was verified, or found in the memo of all workers.
    pub misses: u64,
    /// How many tokens have made room for others.
    pub evictions: u64,
}

struct Store {
    /// The random key of the hash, so that nobody can predict which tokens share a bucket.
    key: (u64, u64),
    limit: usize,
    used: usize,
    /// The entries by slot; `None` for the slots in `free`.
    entries: Vec<Option<Entry>>,
    free: Vec<Slot>,
    buckets: Buckets,
    recency: Recency,
    expiry: Expiry,
}

struct Entry {
    hash: u64,
    identity: Identity,
    content: Rc<Content>,
    /// The newest proof.
    proof: Proof,
    /// Those for other key sets, from the oldest to the newest. Most tokens have none.
    older: Box<[Proof]>,
}

/// The fact that a key has verified a token's signature, or has decrypted a token that is not signed.
pub(crate) struct Proof {
    /// All key sets that were used: those that verify, then those that decrypt.
    pub(crate) sets: SetIds,
    /// The key that verified the signature, or decrypted the token.
    pub(crate) key: KeyIndex,
    /// The time of the verification. Since then keys may have expired, but none has become valid: so
    /// for as long as `key` is valid, it is still the first that verifies the token.
    pub(crate) since: i64,
}

/// The identities of key sets, in their order. Most tokens are judged by a single set.
#[derive(PartialEq)]
pub(crate) enum SetIds {
    One(u64),
    Several(Box<[u64]>),
}

impl SetIds {
    fn as_slice(&self) -> &[u64] {
        match self {
            Self::One(id) => slice::from_ref(id),
            Self::Several(ids) => ids,
        }
    }
}

impl FromIterator<u64> for SetIds {
    fn from_iter<I: IntoIterator<Item = u64>>(ids: I) -> Self {
        let mut ids = ids.into_iter();
        match (ids.next(), ids.next()) {
            (Some(one), None) => Self::One(one),
            (first, second) => Self::Several(first.into_iter().chain(second).chain(ids).collect()),
        }
    }
}

/// A token that the cache knows.
pub(crate) struct Known {
    slot: Slot,
    pub(crate) content: Rc<Content>,
}

impl Cache {
    /// A cache of fewer bytes has no room for any token.
    pub const LEAST: usize = MIN_COST * LARGEST_PART;

    /// An empty cache of at most `limit` bytes. `None` if there is not enough memory for the index,
    /// which is allocated at once, or no source of random numbers.
    pub fn new(limit: usize) -> Option<Self> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).ok()?;
        let [low, high] =
            [u128::from_ne_bytes(seed), u128::from_ne_bytes(seed) >> 64].map(|half| half as u64);
        let slots = (limit / MIN_COST).min(Slot::MAX as usize / 2);
        let index = slots.next_power_of_two() * size_of::<Slot>();
        let store = Store {
            key: (low, high),
            limit,
            used: index,
            entries: room_for(slots)?,
            free: room_for(slots)?,
            recency: Recency::new(slots)?,
            expiry: Expiry::new(slots)?,
            buckets: Buckets::new(slots)?,
        };
        Some(Self {
            store: RefCell::new(store),
            lookups: Cell::new(0),
            hits: Cell::new(0),
            evictions: Cell::new(0),
        })
    }

    /// What the cache has done so far.
    pub fn counts(&self) -> CacheCounts {
        let (hits, evictions) = (self.hits.get(), self.evictions.get());
        CacheCounts { hits, misses: self.lookups.get().saturating_sub(hits), evictions }
    }

    /// How many bytes are in use.
    pub fn used(&self) -> usize {
        self.store.try_borrow().map_or(0, |store| store.used)
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.store.try_borrow().map_or(0, |store| store.entries.len() - store.free.len())
    }

    /// Whether no token is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds a token and marks it as the most recently used.
    pub(crate) fn find(&self, token: &[u8]) -> Option<Known> {
        self.lookups.set(self.lookups.get() + 1);
        let mut store = self.store.try_borrow_mut().ok()?;
        let slot = store.slot_of(store.hash(token), token)?;
        store.recency.touch(slot);
        Some(Known { slot, content: Rc::clone(&store.entry(slot)?.content) })
    }

    /// The key that verified a known token, if a proof is still valid. `sets` are the identities of all
    /// key sets in use now, in their order.
    pub(crate) fn proof(
        &self,
        known: &Known,
        sets: impl Iterator<Item = u64> + Clone,
        now: i64,
    ) -> Option<KeyIndex> {
        let store = self.store.try_borrow().ok()?;
        // The slot may have been given to another token since `find`.
        let entry = store.entry(known.slot)?;
        if !Rc::ptr_eq(&entry.content, &known.content) {
            return None;
        }
        let is_valid = |proof: &&Proof| {
            proof.since <= now && proof.sets.as_slice().iter().copied().eq(sets.clone())
        };
        let mut proofs = std::iter::once(&entry.proof).chain(&entry.older);
        let key = proofs.find(is_valid).map(|proof| proof.key)?;
        self.hits.set(self.hits.get() + 1);
        Some(key)
    }

    /// Stores an accepted token; returns false if there is no room for it.
    pub(crate) fn remember(
        &self,
        token: &[u8],
        content: &Rc<Content>,
        proof: Proof,
        now: i64,
    ) -> bool {
        let Ok(mut store) = self.store.try_borrow_mut() else { return false };
        let hash = store.hash(token);
        // One more proof may need more room: the entry is taken out and put back.
        let known = store.slot_of(hash, token).and_then(|slot| store.take(slot));
        let entry = match known.filter(|entry| entry.content.is_same(content)) {
            Some(entry) => entry.with(proof),
            None => {
                let (identity, content) = (Identity::new(token, content), Rc::clone(content));
                Entry { hash, identity, content, proof, older: Box::default() }
            }
        };
        let (kept, removed) = store.put(entry, now);
        self.evictions.set(self.evictions.get() + removed);
        kept
    }
}

impl Store {
    fn hash(&self, token: &[u8]) -> u64 {
        let start = token.len().saturating_sub(HASHED);
        let end = token.get(start..).unwrap_or_default();
        SipHasher13::new_with_keys(self.key.0, self.key.1).hash(end)
    }

    fn entry(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot as usize)?.as_ref()
    }

    fn slot_of(&self, hash: u64, token: &[u8]) -> Option<Slot> {
        let is_it = |entry: &Entry| entry.hash == hash && entry.identity.is(token, &entry.content);
        self.buckets.slots(hash).find(|slot| self.entry(*slot).is_some_and(is_it))
    }

    /// Takes an entry out.
    fn take(&mut self, slot: Slot) -> Option<Entry> {
        let entry = self.entries.get_mut(slot as usize)?.take()?;
        self.buckets.remove(entry.hash, slot);
        self.recency.remove(slot);
        self.expiry.remove(slot);
        self.free.push(slot);
        entry.content.header.release();
        self.used -= entry.cost();
        Some(entry)
    }

    /// Puts an entry in. To make room, expired entries are removed first, then the least recently used
    /// ones. Returns whether it is in, and how many were removed.
    fn put(&mut self, entry: Entry, now: i64) -> (bool, u64) {
        let mut removed = 0;
        if entry.cost() > self.limit / LARGEST_PART {
            return (false, removed);
        }
        // What makes room may have been the last one with the same header, and so make the cost higher.
        while self.used + entry.cost() > self.limit {
            let expired = self.expiry.first().filter(|(time, _)| *time <= now);
            let Some(slot) = expired.map(|(_, slot)| slot).or(self.recency.oldest()) else {
                return (false, removed);
            };
            self.take(slot);
            removed += 1;
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let Ok(slot) = Slot::try_from(self.entries.len()) else { return (false, removed) };
                self.entries.push(None);
                slot
            }
        };
        self.used += entry.cost();
        entry.content.header.keep();
        self.buckets.insert(entry.hash, slot);
        self.recency.insert(slot);
        if let Some(expires) = entry.content.expires() {
            self.expiry.insert(slot, expires);
        }
        if let Some(place) = self.entries.get_mut(slot as usize) {
            *place = Some(entry);
        }
        (true, removed)
    }
}

impl Entry {
    /// The entry with another proof, which takes the place of one for the same key sets, or of the oldest
    /// one.
    fn with(mut self, proof: Proof) -> Self {
        let mut proofs = self.older.into_vec();
        proofs.push(self.proof);
        proofs.retain(|known| known.sets != proof.sets);
        if proofs.len() >= MAX_PROOFS {
            proofs.remove(0);
        }
        self.older = proofs.into();
        Self { proof, ..self }
    }

    /// All memory that the entry takes while it is in the cache, in bytes: with its header, unless other
    /// entries have the same one.
    fn cost(&self) -> usize {
        let own = size_of::<Option<Self>>() + size_of::<Slot>() + INDEX_BYTES;
        let token = self.identity.bytes() + BLOCK;
        // An Rc has two counters.
        let content = self.content.bytes(BLOCK) + 2 * size_of::<usize>() + BLOCK;
        let header = &self.content.header;
        let header = if header.is_kept() { 0 } else { header.bytes(BLOCK) };
        (own + token + content + self.proof_bytes()).max(MIN_COST) + header
    }

    /// The memory of the proofs outside the entry, in bytes.
    fn proof_bytes(&self) -> usize {
        let older = match size_of_val(&*self.older) {
            0 => 0,
            bytes => bytes + BLOCK,
        };
        let of_sets = |proof: &Proof| match &proof.sets {
            SetIds::One(_) => 0,
            SetIds::Several(ids) => size_of_val(&**ids) + BLOCK,
        };
        older + of_sets(&self.proof) + self.older.iter().map(of_sets).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alg::Algorithm;
    use crate::base64url::encode;
    use crate::claims::Claims;
    use crate::content::Form;
    use crate::header::Header;
    use crate::json::Document;

    const NOW: i64 = 1_000;

    fn content(exp: i64) -> Rc<Content> {
        let (header, _) = Header::parse(encode(r#"{"alg":"HS256"}"#).as_bytes()).unwrap();
        of_header(exp, &header)
    }

    fn of_header(exp: i64, header: &Header) -> Rc<Content> {
        let payload = Document::parse(format!(r#"{{"exp":{exp}}}"#).into_bytes()).unwrap();
        let (form, claims) = (Form::Signed(Algorithm::HS256), Claims::read(&payload).unwrap());
        Rc::new(Content { header: header.clone(), payload, form, claims, padded: false })
    }

    fn proof(set: u64, since: i64) -> Proof {
        Proof { sets: [set].into_iter().collect(), key: KeyIndex { set: 0, key: 0 }, since }
    }

    /// A full cache with the tokens 0 to 9, of which token 5 expires first.
    fn full() -> Cache {
        let one = Cache::new(1 << 20).unwrap();
        let empty = one.used();
        one.remember(&[0], &content(NOW), proof(0, NOW), NOW);
        let index = 16 * size_of::<Slot>();
        let cache = Cache::new(10 * (one.used() - empty) + index).unwrap();
        for token in 0..10 {
            let exp = NOW + if token == 5 { 50 } else { 100 + i64::from(token) };
            cache.remember(&[token], &content(exp), proof(0, NOW), NOW);
        }
        let limit = cache.store.borrow().limit;
        assert_eq!((cache.len(), cache.used()), (10, limit));
        cache
    }

    #[test]
    fn what_it_does_is_counted() {
        let cache = full();
        let known = cache.find(&[3]).unwrap();
        assert_eq!(cache.proof(&known, [0].into_iter(), NOW), Some(KeyIndex { set: 0, key: 0 }));
        assert_eq!(cache.proof(&known, [1].into_iter(), NOW), None);
        assert!(cache.find(b"n").is_none());
        cache.remember(b"n", &content(NOW + 100), proof(0, NOW), NOW);
        assert_eq!(cache.counts(), CacheCounts { hits: 1, misses: 1, evictions: 1 });
    }

    fn missing(cache: &Cache) -> Vec<u8> {
        (0..10).filter(|token| cache.find(&[*token]).is_none()).collect()
    }

    #[test]
    fn the_one_not_used_for_longest_makes_room() {
        let cache = full();
        cache.find(&[0]).unwrap();
        cache.remember(&[2], &content(NOW + 100), proof(0, NOW), NOW);
        cache.remember(b"n", &content(NOW + 100), proof(0, NOW), NOW);
        assert_eq!(missing(&cache), [1]);
    }

    #[test]
    fn what_has_expired_makes_room_first() {
        let cache = full();
        cache.find(&[5]).unwrap();
        cache.remember(b"n", &content(NOW + 500), proof(0, NOW + 50), NOW + 50);
        assert_eq!(missing(&cache), [5]);
        cache.remember(b"m", &content(NOW + 500), proof(0, NOW + 102), NOW + 102);
        assert_eq!(missing(&cache), [0, 5]);
    }

    #[test]
    fn a_proof_counts_for_the_same_sets_and_not_before_it_was_found() {
        let cache = Cache::new(1 << 20).unwrap();
        cache.remember(&[3], &content(NOW + 100), proof(0, NOW), NOW);
        let known = cache.find(&[3]).unwrap();
        let holds = |sets: &[u64], now| cache.proof(&known, sets.iter().copied(), now).is_some();
        assert!(holds(&[0], NOW) && holds(&[0], NOW + 1) && !holds(&[0], NOW - 1));
        assert!(!holds(&[1], NOW) && !holds(&[], NOW) && !holds(&[0, 0], NOW));
        let one = cache.used();
        for set in 1..20 {
            cache.remember(&[3], &known.content, proof(set, NOW), NOW);
        }
        assert!(holds(&[19], NOW) && holds(&[12], NOW) && !holds(&[11], NOW));
        assert!(cache.len() == 1 && cache.used() > one);
    }

    /// Every entry is counted, and a header that several have once.
    #[test]
    fn what_is_used_is_given_back_whatever_tokens_share() {
        let header = |kid: &str| {
            let text = encode(format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#));
            Header::parse(text.as_bytes()).unwrap().0
        };
        let (a, b) = (header("a"), header("b"));
        let cache = Cache::new(1 << 20).unwrap();
        let costs = [(1, &a), (2, &a), (3, &b), (4, &a), (5, &b)].map(|(token, header)| {
            let before = cache.used();
            // Long enough to cost more than the least that is counted.
            cache.remember(&[token; 600], &of_header(NOW + 100, header), proof(0, NOW), NOW);
            cache.used() - before
        });
        let [own, more, ..] = costs;
        assert_eq!(own - more, a.bytes(BLOCK));
        assert_eq!(costs, [own, more, own, more, more]);
        // Some more proofs, of several sets too.
        let empty = cache.used() - costs.iter().sum::<usize>();
        let sets = [vec![1], vec![1, 2, 3], vec![], vec![7, 8], vec![1, 2, 3]];
        for (token, sets) in (1..).zip(sets) {
            let proof = Proof { sets: sets.into_iter().collect(), ..proof(0, NOW) };
            cache.remember(&[token; 600], &of_header(NOW + 100, &a), proof, NOW);
        }
        assert!(cache.used() > empty + costs.iter().sum::<usize>());
        let mut store = cache.store.borrow_mut();
        for slot in (0..5).rev() {
            assert!(store.take(slot).is_some());
        }
        assert_eq!(store.used, empty);
        assert!(!a.is_kept() && !b.is_kept());
    }

    #[test]
    fn another_content_of_the_same_bytes_takes_the_place_of_the_first() {
        let cache = Cache::new(1 << 20).unwrap();
        cache.remember(&[3], &content(NOW + 100), proof(0, NOW), NOW);
        // The same text again is the same content.
        cache.remember(&[3], &content(NOW + 100), proof(1, NOW), NOW);
        let holds = |set: u64| {
            let known = cache.find(&[3]).unwrap();
            cache.proof(&known, [set].into_iter(), NOW).is_some()
        };
        assert!(holds(0) && holds(1));
        cache.remember(&[3], &content(NOW + 200), proof(2, NOW), NOW);
        assert!(holds(2) && !holds(0) && !holds(1));
        assert_eq!(cache.find(&[3]).unwrap().content.expires(), Some(NOW + 200));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn nothing_is_known_of_a_token_that_has_made_room() {
        let cache = full();
        let known = cache.find(&[3]).unwrap();
        for token in 100..110 {
            cache.remember(&[token], &content(NOW + 100), proof(0, NOW), NOW);
        }
        assert!(cache.proof(&known, [0].into_iter(), NOW).is_none());
        assert_eq!(missing(&cache).len(), 10);
    }

    #[test]
    fn each_cache_has_a_seed_of_its_own() {
        let seed = || Cache::new(0).unwrap().store.borrow().key;
        assert_ne!(seed(), seed());
        let (a, b) = seed();
        assert_ne!(a, b);
    }
}
