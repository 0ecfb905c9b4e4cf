//! The keys of one source, indexed by kid and by algorithm.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::alg::Algorithm;
use crate::key::Key;

/// How many keys are tried for one token, over all key sets. It limits what a token without a kid can
/// cost, whatever the number of keys.
pub const MAX_CANDIDATES: usize = 2;

/// How many keys of each algorithm are indexed for tokens without a kid. More than are tried, so that
/// keys that have expired do not hide the current ones after them.
const MAX_UNNAMED: usize = 16;

/// The position of a key in a list of key sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyIndex {
    /// The number of the set.
    pub(crate) set: usize,
    /// The number of the key in it.
    pub(crate) key: usize,
}

/// The keys of one source, indexed.
#[derive(Debug)]
pub struct KeySet {
    /// A number that no other set of this process has.
    id: u64,
    /// Sorted by kid, keys without one first; keys with the same kid in the order of the source.
    keys: Box<[Key]>,
    by_kid: HashMap<Box<str>, Range<usize>>,
    /// How many keys have no kid: they are tried for any token.
    without_kid: usize,
    /// For each algorithm the first keys that verify it (at most [`MAX_UNNAMED`]), in the order of the
    /// source.
    by_algorithm: [Box<[usize]>; Algorithm::ALL.len()],
}

impl KeySet {
    /// Indexes `keys`.
    pub fn new(keys: Vec<Key>) -> Self {
        let mut ordered: Vec<(usize, Key)> = keys.into_iter().enumerate().collect();
        // The sort is stable, and None comes before Some.
        ordered.sort_by(|(_, a), (_, b)| a.kid().cmp(&b.kid()));
        let by_algorithm = Algorithm::ALL.map(|algorithm| {
            let mut fitting: Vec<(usize, usize)> = ordered
                .iter()
                .enumerate()
                .filter(|(_, (_, key))| key.algorithms().contains(algorithm))
                .map(|(at, (rank, _))| (*rank, at))
                .collect();
            fitting.sort_unstable();
            fitting.into_iter().take(MAX_UNNAMED).map(|(_, at)| at).collect()
        });
        let keys: Box<[Key]> = ordered.into_iter().map(|(_, key)| key).collect();
        let without_kid = keys.partition_point(|key| key.kid().is_none());
        let mut by_kid: HashMap<Box<str>, Range<usize>> = HashMap::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            if let Some(kid) = key.kid() {
                by_kid.entry(kid.into()).or_insert(at..at).end = at + 1;
            }
        }
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, keys, by_kid, without_kid, by_algorithm }
    }

    /// The set's identity; another set has another one even if its keys are the same. Sets never
    /// change, so a result that was found with a set stays right while that set is used.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The key with that number.
    pub(crate) fn key(&self, number: usize) -> Option<&Key> {
        self.keys.get(number)
    }

    /// The numbers of the keys with this kid.
    pub(crate) fn named(&self, kid: &str) -> Range<usize> {
        self.by_kid.get(kid).cloned().unwrap_or_default()
    }

    /// The numbers of the keys without a kid.
    pub(crate) fn unnamed(&self) -> Range<usize> {
        0..self.without_kid
    }

    /// The numbers of the first keys that verify `algorithm`, with any kid or none.
    pub(crate) fn verifying(&self, algorithm: Algorithm) -> &[usize] {
        self.by_algorithm.get(algorithm.index()).map(|fitting| &**fitting).unwrap_or_default()
    }

    /// The first key of this set for which `other` has a key of the same kid and algorithm.
    pub fn conflict<'a>(&'a self, other: &Self) -> Option<&'a Key> {
        self.keys.iter().find(|key| {
            let same = |it: &Key| !it.algorithms().intersection(key.algorithms()).is_empty();
            let named = |kid| other.keys.get(other.named(kid)).unwrap_or_default();
            key.kid().is_some_and(|kid| named(kid).iter().any(same))
        })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alg::AlgorithmSet;

    fn key(kid: Option<&str>) -> Key {
        Key::hmac(b"x", AlgorithmSet::ALL).unwrap().with_kid(kid)
    }

    #[test]
    fn keys_are_found_by_kid_without_kid_and_by_algorithm() {
        let kids = [Some("b"), None, Some("a"), Some("b"), None, Some("")];
        let set = KeySet::new(kids.map(key).into());
        assert_eq!(set.named("b").len(), 2);
        assert_eq!(set.named("a").len(), 1);
        assert_eq!(set.named("").len(), 1);
        assert!(set.named("c").is_empty());
        assert_eq!(set.unnamed().len(), 2);
        let kid = |number: &usize| set.key(*number).unwrap().kid();
        let order: Vec<_> = set.verifying(Algorithm::HS512).iter().map(kid).collect();
        assert_eq!(order, kids);
        assert_eq!(set.verifying(Algorithm::RS256), [0; 0]);
    }

    #[test]
    fn what_a_token_without_kid_considers_is_bounded() {
        let set = KeySet::new((0..100).map(|i| key(Some(&i.to_string()))).collect());
        assert_eq!(set.verifying(Algorithm::HS256).len(), MAX_UNNAMED);
        assert_eq!(set.len(), 100);
    }
}
