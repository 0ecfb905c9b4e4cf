//! A memo of signatures that have held, in memory that all workers share, and that outlives a reload.
//!
//! A worker that does not know a token looks here before it verifies the signature. All else is judged as ever: the
//! memo says nothing but that a certain key has verified the signature of certain bytes with a certain algorithm,
//! which does not change with time.
//!
//! # Why it never vouches for what no key has vouched for
//! - An entry is a hash of 128 bits over the key, the algorithm and the whole token, written only after the key has
//!   verified that token. The key is its public material, of a fixed length; the algorithm is a byte; the token is
//!   all that is left. So no two such lists are hashed alike.
//! - The hash is SipHash-2-4 with a secret of 128 random bits, which is made with the memory and never leaves it. It
//!   is a pseudorandom function: who does not know the secret, and never sees a hash, cannot find a token whose hash
//!   is that of another one but by sending 2^128 of them.
//! - Nothing is locked. An entry is two words, each read and written at once. A reader may see one word of an entry
//!   and the other one of another entry, or what a killed worker has half written. That is some value of 128 bits;
//!   that the hash of a token that has not held is this value is as likely as any other value: 2^-128. And the
//!   token whose hash it is has held.
//! - There are no pointers and no lengths in it: whatever it holds, a look-up reads the same sixteen words at most.
//! - HMACs are not in it: verifying one costs as little as looking it up, and their secrets stay out.

use std::hash::Hasher as _;
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::alg::Algorithm;

/// The entries of a set, each of two words: together a line of most processors' caches. A hash chooses two sets, so
/// that nothing makes room for others before the memory is nearly full.
const WAYS: usize = 4;
const SET: usize = 2 * WAYS;

/// The words before the entries: the secret, and room that keeps each set in one line.
const HEAD: usize = SET;

/// A memo in words that are shared.
#[derive(Clone, Copy)]
pub struct Memo<'m> {
    secret: [u64; 2],
    sets: &'m [[AtomicU64; SET]],
}

impl<'m> Memo<'m> {
    /// A memo of fewer bytes has no room for an entry.
    pub const LEAST: usize = (HEAD + SET) * size_of::<u64>();

    /// The memo in these words. Where they are zeros, it is a new one. `None` if there is no room for an entry, or no
    /// source of random numbers.
    pub fn open(words: &'m [AtomicU64]) -> Option<Self> {
        let (head, rest) = words.split_at_checked(HEAD)?;
        let (sets, _) = rest.as_chunks::<SET>();
        let [first, second, ..] = head else { return None };
        let secret = [secret(first)?, secret(second)?];
        (!sets.is_empty()).then_some(Self { secret, sets })
    }

    /// Whether a key has verified the signature of this token with this algorithm. `key` is a hash of its public
    /// material. `false` also if that was forgotten.
    pub(crate) fn has(&self, key: &[u8; 32], algorithm: Algorithm, token: &[u8]) -> bool {
        let hash = self.hash(key, algorithm, token);
        let is_it = |[low, high]: &[AtomicU64; 2]| {
            [low, high].map(|word| word.load(Ordering::Relaxed)) == hash
        };
        hash != [0, 0] && self.sets_of(hash).into_iter().flatten().any(is_it)
    }

    /// Notes that the key has just verified the signature of this token.
    pub(crate) fn put(&self, key: &[u8; 32], algorithm: Algorithm, token: &[u8]) {
        let hash @ [low, high] = self.hash(key, algorithm, token);
        let is_free = |[low, high]: &&[AtomicU64; 2]| {
            low.load(Ordering::Relaxed) == 0 && high.load(Ordering::Relaxed) == 0
        };
        let [one, other] = self.sets_of(hash);
        let free = |set: &[[AtomicU64; 2]]| set.iter().filter(is_free).count();
        // The emptier one. Where both are full, chance chooses: bits of the hash that have chosen neither.
        let is_full = free(one) == 0 && free(other) == 0;
        let takes_one = if is_full { high >> 62 & 1 == 0 } else { free(one) >= free(other) };
        let set = if takes_one { one } else { other };
        let any = (low >> 62) as usize % WAYS;
        if let Some([first, second]) = set.iter().find(is_free).or(set.get(any)) {
            first.store(low, Ordering::Relaxed);
            second.store(high, Ordering::Relaxed);
        }
    }

    /// The two sets of a hash: each half of it chooses one.
    fn sets_of(&self, hash: [u64; 2]) -> [&'m [[AtomicU64; 2]]; 2] {
        hash.map(|half| {
            let set = self.sets.get(half as usize % self.sets.len().max(1));
            set.map(|set| set.as_chunks().0).unwrap_or_default()
        })
    }

    fn hash(&self, key: &[u8; 32], algorithm: Algorithm, token: &[u8]) -> [u64; 2] {
        let [first, second] = self.secret;
        let mut hasher = SipHasher24::new_with_keys(first, second);
        hasher.write(key);
        hasher.write(&[algorithm as u8]);
        hasher.write(token);
        let hash = hasher.finish128();
        [hash.h1, hash.h2]
    }
}

/// A word of the secret. Whoever comes first makes it; a process that is killed meanwhile has made it, or not.
fn secret(word: &AtomicU64) -> Option<u64> {
    match word.load(Ordering::Relaxed) {
        0 => {
            let new = getrandom::u64().ok()?.max(1);
            let before = word.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
            Some(before.map_or_else(|of_another| of_another, |_| new))
        }
        known => Some(known),
    }
}

impl std::fmt::Debug for Memo<'_> {
    // The secret is never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memo")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const RS256: Algorithm = Algorithm::RS256;

    fn words(count: usize) -> Vec<AtomicU64> {
        std::iter::repeat_with(AtomicU64::default).take(count).collect()
    }

    fn token(number: usize) -> Vec<u8> {
        format!("header.payload{number}.signature").into_bytes()
    }

    #[test]
    fn only_what_was_put_in_is_there() {
        let words = words(1024);
        let memo = Memo::open(&words).unwrap();
        assert!(!memo.has(&KEY, RS256, b"a.b.c"));
        memo.put(&KEY, RS256, b"a.b.c");
        assert!(memo.has(&KEY, RS256, b"a.b.c"));
        for other in [&b"a.b.d"[..], b"a.b.c=", b"a.b", b"", b"a.b.c\0"] {
            assert!(!memo.has(&KEY, RS256, other));
        }
        assert!(!memo.has(&[8; 32], RS256, b"a.b.c"));
        assert!(!memo.has(&KEY, Algorithm::PS256, b"a.b.c"));
    }

    #[test]
    fn whoever_opens_it_again_finds_the_same() {
        let words = words(1024);
        Memo::open(&words).unwrap().put(&KEY, RS256, b"a.b.c");
        assert!(Memo::open(&words).unwrap().has(&KEY, RS256, b"a.b.c"));
        // Another memory has another secret.
        let other = self::words(1024);
        let (memo, of_other) = (Memo::open(&words).unwrap(), Memo::open(&other).unwrap());
        assert_ne!(memo.hash(&KEY, RS256, b"a.b.c"), of_other.hash(&KEY, RS256, b"a.b.c"));
        for few in [0, HEAD, HEAD + SET - 1] {
            assert!(Memo::open(&self::words(few)).is_none());
        }
        assert!(Memo::open(&self::words(HEAD + SET)).is_some());
    }

    #[test]
    fn it_is_full_with_so_many_tokens_and_then_the_new_ones_stay() {
        let words = words(HEAD + 1024 * SET);
        let memo = Memo::open(&words).unwrap();
        let has = |number| memo.has(&KEY, RS256, &token(number));
        for number in 0..20 * 1024 {
            memo.put(&KEY, RS256, &token(number));
            assert!(has(number));
        }
        let kept = (0..20 * 1024).filter(|number| has(*number)).count();
        assert_eq!(kept, 1024 * WAYS);
        // Three quarters of what there is room for: nearly all stay.
        let words = self::words(HEAD + 1024 * SET);
        let memo = Memo::open(&words).unwrap();
        (0..3072).for_each(|number| memo.put(&KEY, RS256, &token(number)));
        let kept = (0..3072).filter(|number| memo.has(&KEY, RS256, &token(*number))).count();
        assert!(kept > 3030, "{kept}");
    }

    /// Several threads write, some of them only halves of entries, as a process does that is killed. None finds
    /// what nobody has put in.
    #[test]
    fn torn_entries_vouch_for_nothing() {
        let words: Arc<[AtomicU64]> = words(HEAD + 16 * SET).into();
        Memo::open(&words).unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (words, ends) = (Arc::clone(&words), Arc::clone(&ends));
                thread::spawn(move || {
                    let memo = Memo::open(&words).unwrap();
                    for number in (0..).take_while(|_| !ends.load(Ordering::Relaxed)) {
                        let token = token(2 * (number % 5000));
                        if writer == 0 {
                            let hash = memo.hash(&KEY, RS256, &token);
                            let [half, _] = &memo.sets_of(hash)[0][number % WAYS];
                            half.store(hash[0], Ordering::Relaxed);
                        } else {
                            memo.put(&KEY, RS256, &token);
                        }
                    }
                })
            })
            .collect();
        let memo = Memo::open(&words).unwrap();
        let mut found = 0;
        for number in 0..200_000 {
            assert!(!memo.has(&KEY, RS256, &token(2 * (number % 5000) + 1)));
            found += usize::from(memo.has(&KEY, RS256, &token(2 * (number % 5000))));
        }
        ends.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert!(found > 0);
    }

    #[test]
    fn whatever_is_in_the_memory_nothing_is_found_that_was_not_put_in() {
        let words = words(HEAD + 16 * SET);
        let mut state = 1_u64;
        for word in &words {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            word.store(state, Ordering::Relaxed);
        }
        let memo = Memo::open(&words).unwrap();
        assert!((0..10_000).all(|number| !memo.has(&KEY, RS256, &token(number))));
    }
}
