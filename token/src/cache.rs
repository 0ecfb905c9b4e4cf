//! A cache of verified tokens: the signature of a token that it knows need not be verified again.
//!
//! A token is identified by all of its bytes ([`Identity`]). The cache stores only facts that cannot change: the
//! token's content, and which key verified its signature (a [`Proof`]). A proof is valid only for
//! exactly the same key sets, compared by identity; if one of them is replaced, the signature is
//! verified again. Everything else is judged each time, unless the last verdict still stands ([`Steady`]).

mod identity;
mod index;
mod standing;
mod whole;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::slice;

use siphasher::sip::SipHasher13;

use crate::content::Content;
use crate::keyset::KeyIndex;
use identity::Identity;
pub(crate) use index::Slot;
use index::{Buckets, Expiry, INDEX_BYTES, Recency, room_for};
pub(crate) use standing::Standing;
pub use standing::Steady;
use whole::Whole;

/// The smallest cost of an entry, in bytes. It limits the number of entries, and so the index.
const MIN_COST: usize = 512;

/// One token may take at most this fraction (1/8) of the cache, so that it cannot push out all others.
const LARGEST_PART: usize = 8;

/// How many bytes at the end of a token are hashed. They belong to the signature, which differs for
/// each verified token.
const HASHED: usize = 16;

/// An entry that is used again is marked again as recently used when this fraction (1/16) of what the cache can hold
/// was put in since.
const MARKS: usize = 16;

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
    whole: Whole,
    /// How many entries were put in, and after how many an entry that is used again has to be marked again.
    put: u32,
    mark_after: u32,
}

struct Entry {
    hash: u64,
    identity: Identity,
    content: Rc<Content>,
    /// The newest proof.
    proof: Proof,
    /// Those for other key sets, from the oldest to the newest. Most tokens have none.
    older: Box<[Proof]>,
    standing: Standing,
    /// When it was last marked as used: how many entries had been put in by then.
    used: u32,
}

/// The fact that a key has verified a token's signature, or has decrypted a token that is not signed.
pub(crate) struct Proof {
    /// All key sets that were used: of an encrypted token [`opening_ids`], then those that verify.
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
#[derive(Debug)]
pub struct Known {
    pub(crate) slot: Slot,
    pub(crate) content: Rc<Content>,
    standing: Standing,
}

/// What the proof of an encrypted token begins with: how many key sets there were that decrypt, and their identities.
pub(crate) fn opening_ids(
    decrypting: impl Iterator<Item = u64> + Clone,
) -> impl Iterator<Item = u64> + Clone {
    std::iter::once(decrypting.clone().count() as u64).chain(decrypting)
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
            whole: Whole::new(slots)?,
            buckets: Buckets::new(slots)?,
            put: 0,
            mark_after: (slots / MARKS) as u32,
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

    /// Finds a token and marks it as recently used.
    pub fn find(&self, token: &[u8]) -> Option<Known> {
        self.lookups.set(self.lookups.get() + 1);
        let mut store = self.store.try_borrow_mut().ok()?;
        let slot = store.slot_of(store.hash(token), token)?;
        store.mark(slot);
        if store.whole.chooses() {
            store.keep_whole(slot, token);
        }
        let Entry { content, standing, .. } = store.entry(slot)?;
        Some(Known { slot, content: Rc::clone(content), standing: *standing })
    }

    /// The number of the provider whose token it is, if the verdict of `by` on a known token still stands.
    pub(crate) fn standing(&self, known: &Known, by: Steady, now: i64) -> Option<usize> {
        let provider = known.standing.provider(by, now)?;
        self.hits.set(self.hits.get() + 1);
        Some(provider)
    }

    /// Lets the verdict on a token stand, if `slot` still has the token with this content.
    pub(crate) fn let_stand(&self, slot: Slot, content: &Rc<Content>, standing: Standing) {
        if let Ok(mut store) = self.store.try_borrow_mut()
            && let Some(Some(entry)) = store.entries.get_mut(slot as usize)
            && Rc::ptr_eq(&entry.content, content)
        {
            entry.standing = standing;
        }
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
        let entry = store.entry_of(known)?;
        let is_valid = |proof: &&Proof| {
            proof.since <= now && proof.sets.as_slice().iter().copied().eq(sets.clone())
        };
        let key = entry.proofs().find(is_valid).map(|proof| proof.key)?;
        self.hits.set(self.hits.get() + 1);
        Some(key)
    }

    /// Whether these key sets, and no others, were those that decrypt when a known token was decrypted.
    pub(crate) fn has_opened(
        &self,
        known: &Known,
        decrypting: impl Iterator<Item = u64> + Clone,
    ) -> bool {
        let Ok(store) = self.store.try_borrow() else { return false };
        let Some(entry) = store.entry_of(known) else { return false };
        let begins = |proof: &Proof| {
            let mut sets = proof.sets.as_slice().iter().copied();
            opening_ids(decrypting.clone()).all(|id| sets.next() == Some(id))
        };
        entry.proofs().any(begins)
    }

    /// Stores an accepted token; returns its place, or `None` if there is no room for it.
    pub(crate) fn remember(
        &self,
        token: &[u8],
        content: &Rc<Content>,
        proof: Proof,
        now: i64,
    ) -> Option<Slot> {
        let mut store = self.store.try_borrow_mut().ok()?;
        let hash = store.hash(token);
        // One more proof may need more room: the entry is taken out and put back.
        let known = store.slot_of(hash, token).and_then(|slot| store.take(slot));
        let entry = match known.filter(|entry| entry.content.is_same(content)) {
            Some(entry) => entry.with(proof),
            None => {
                let (identity, content) = (Identity::new(token, content), Rc::clone(content));
                let (older, standing) = (Box::default(), Standing::default());
                Entry { hash, identity, content, proof, older, standing, used: 0 }
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

    /// The entry of a known token, unless its slot was given to another one since [`Cache::find`].
    fn entry_of(&self, known: &Known) -> Option<&Entry> {
        self.entry(known.slot).filter(|entry| Rc::ptr_eq(&entry.content, &known.content))
    }

    fn slot_of(&self, hash: u64, token: &[u8]) -> Option<Slot> {
        let is_it = |entry: &Entry| entry.hash == hash && entry.identity.is(token, &entry.content);
        self.buckets.slots(hash).find(|slot| self.entry(*slot).is_some_and(is_it))
    }

    /// Marks an entry as used. One that was marked a short time ago is not marked again: its neighbours in the order
    /// of use are elsewhere in memory, and fetching them would cost more than finding the token.
    fn mark(&mut self, slot: Slot) {
        let Some(Some(entry)) = self.entries.get_mut(slot as usize) else { return };
        if self.put.wrapping_sub(entry.used) > self.mark_after {
            entry.used = self.put;
            self.recency.touch(slot);
        }
    }

    /// Keeps all bytes of a token that is in `slot`, if there is room for them.
    fn keep_whole(&mut self, slot: Slot, token: &[u8]) {
        let Some(entry) = self.entry(slot) else { return };
        let more = token.len().saturating_sub(entry.identity.bytes());
        let has_room =
            self.used + more <= self.limit && entry.cost() + more <= self.limit / LARGEST_PART;
        if entry.identity.is_whole() || !has_room {
            return;
        }
        self.identify(slot, |_| Identity::whole(token));
        if let Some(oldest) = self.whole.note(slot) {
            self.identify(oldest, |entry| entry.identity.least(&entry.content));
        }
    }

    /// Changes what the entry in `slot` is identified by.
    fn identify(&mut self, slot: Slot, by: impl FnOnce(&Entry) -> Identity) {
        if let Some(Some(entry)) = self.entries.get_mut(slot as usize) {
            self.used -= entry.cost();
            entry.identity = by(entry);
            self.used += entry.cost();
        }
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
    /// ones. Returns its place, if it is in, and how many were removed.
    fn put(&mut self, mut entry: Entry, now: i64) -> (Option<Slot>, u64) {
        let mut removed = 0;
        if entry.cost() > self.limit / LARGEST_PART {
            return (None, removed);
        }
        // What makes room may have been the last one with the same header, and so make the cost higher.
        while self.used + entry.cost() > self.limit {
            let expired = self.expiry.first().filter(|(time, _)| *time <= now);
            let Some(slot) = expired.map(|(_, slot)| slot).or(self.recency.oldest()) else {
                return (None, removed);
            };
            self.take(slot);
            removed += 1;
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let Ok(slot) = Slot::try_from(self.entries.len()) else { return (None, removed) };
                self.entries.push(None);
                slot
            }
        };
        self.put = self.put.wrapping_add(1);
        entry.used = self.put;
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
        (Some(slot), removed)
    }
}

impl Entry {
    /// The newest first, then the others from the oldest on.
    fn proofs(&self) -> impl Iterator<Item = &Proof> {
        std::iter::once(&self.proof).chain(&self.older)
    }

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
        // It may come into another slot, of which nobody notes that its token is kept whole.
        let identity = self.identity.least(&self.content);
        Self { proof, identity, standing: Standing::default(), ..self }
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
mod tests;
