//! The keys of one source, indexed by kid, by thumbprint and by algorithm.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::alg::Algorithm;
use crate::key::{Key, Thumbprint};

/// How many of a set's named keys are tried for a token that does not say which key has signed it, over
/// all key sets. It limits what such a token can cost, whatever the number of keys.
pub const MAX_CANDIDATES: usize = 2;

/// How many keys without a kid are tried for one token, and how many that it names, over all key sets.
pub const MAX_NAMELESS: usize = 8;

/// How many keys of each algorithm are indexed for tokens that name no key: as many without a kid, and
/// as many with one. More than are tried, so that keys that have expired do not hide the current ones
/// after them.
const MAX_INDEXED: usize = 16;

/// A number that no other set of keys of this process has.
pub(crate) fn new_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

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
    /// Keys without a kid first, then those for any kid, then the others sorted by kid; otherwise in the
    /// order of the source.
    keys: Box<[Key]>,
    by_kid: HashMap<Box<str>, Range<usize>>,
    by_thumbprint: HashMap<Thumbprint, Vec<usize>>,
    /// How many keys have no kid: they are tried for any token.
    without_kid: usize,
    /// Where the keys for any kid end.
    for_any_kid: usize,
    by_algorithm: [OfAlgorithm; Algorithm::ALL.len()],
}

/// The keys that verify an algorithm, in the order of the source.
#[derive(Debug, Default)]
struct OfAlgorithm {
    /// The first ones without a kid.
    nameless: Box<[usize]>,
    /// The first ones with a kid.
    named: Box<[usize]>,
    /// How many there are.
    count: usize,
}

impl KeySet {
    /// Indexes `keys`.
    pub fn new(keys: Vec<Key>) -> Self {
        let rank = |key: &Key| (key.kid().is_some(), key.is_for_any_kid());
        let mut ordered: Vec<(usize, Key)> = keys.into_iter().enumerate().collect();
        // The sort is stable.
        ordered.sort_by(|(_, a), (_, b)| (rank(a), a.kid()).cmp(&(rank(b), b.kid())));
        let by_algorithm = Algorithm::ALL.map(|algorithm| OfAlgorithm::new(&ordered, algorithm));
        let keys: Box<[Key]> = ordered.into_iter().map(|(_, key)| key).collect();
        let without_kid = keys.partition_point(|key| rank(key) == (false, false));
        let for_any_kid = keys.partition_point(|key| key.kid().is_none());
        let mut by_kid: HashMap<Box<str>, Range<usize>> = HashMap::with_capacity(keys.len());
        let mut by_thumbprint: HashMap<Thumbprint, Vec<usize>> = HashMap::new();
        for (at, key) in keys.iter().enumerate() {
            if let Some(kid) = key.kid() {
                by_kid.entry(kid.into()).or_insert(at..at).end = at + 1;
            }
            for thumbprint in key.thumbprints() {
                by_thumbprint.entry(*thumbprint).or_default().push(at);
            }
        }
        let id = new_id();
        Self { id, keys, by_kid, by_thumbprint, without_kid, for_any_kid, by_algorithm }
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

    /// The numbers of the keys with this thumbprint.
    pub(crate) fn with_thumbprint(&self, thumbprint: Thumbprint) -> &[usize] {
        self.by_thumbprint.get(&thumbprint).map(|keys| &**keys).unwrap_or_default()
    }

    /// The numbers of the keys without a kid.
    pub(crate) fn unnamed(&self) -> Range<usize> {
        0..self.without_kid
    }

    /// The numbers of the keys for tokens whose kid no other key has.
    pub(crate) fn for_any_kid(&self) -> Range<usize> {
        self.without_kid..self.for_any_kid
    }

    /// The numbers of the first keys without a kid that verify `algorithm`.
    pub(crate) fn nameless(&self, algorithm: Algorithm) -> &[usize] {
        self.of(algorithm).map(|keys| &*keys.nameless).unwrap_or_default()
    }

    /// The numbers of the first keys with a kid that verify `algorithm`.
    pub(crate) fn with_any_kid(&self, algorithm: Algorithm) -> &[usize] {
        self.of(algorithm).map(|keys| &*keys.named).unwrap_or_default()
    }

    fn of(&self, algorithm: Algorithm) -> Option<&OfAlgorithm> {
        self.by_algorithm.get(algorithm.index())
    }

    /// How many keys verify `algorithm` at `now`. In a large set those that have expired count, too: it
    /// is for a message only.
    pub(crate) fn count(&self, algorithm: Algorithm, now: i64) -> usize {
        const LARGE: usize = 64;
        if self.keys.len() > LARGE {
            return self.of(algorithm).map_or(0, |keys| keys.count);
        }
        let fits = |key: &&Key| key.algorithms().contains(algorithm) && key.is_current(now);
        self.keys.iter().filter(fits).count()
    }

    /// How many keys without a kid verify `algorithm`.
    pub fn count_nameless(&self, algorithm: Algorithm) -> usize {
        let nameless = self.keys.get(self.unnamed()).unwrap_or_default();
        nameless.iter().filter(|key| key.algorithms().contains(algorithm)).count()
    }

    /// The first key of this set for which `other` has a key of the same kid and algorithm.
    pub fn conflict<'a>(&'a self, other: &Self) -> Option<&'a Key> {
        self.keys.iter().find(|key| {
            let same = |it: &Key| !it.algorithms().intersection(key.algorithms()).is_empty();
            let named = match key.kid() {
                Some(kid) => other.named(kid),
                None if key.is_for_any_kid() => other.for_any_kid(),
                None => return false,
            };
            other.keys.get(named).unwrap_or_default().iter().any(same)
        })
    }

    /// The kids of the keys, in order; a kid of several keys occurs once.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        let mut last = None;
        self.keys.iter().filter_map(Key::kid).filter(move |kid| last.replace(*kid) != Some(*kid))
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

impl OfAlgorithm {
    fn new(ordered: &[(usize, Key)], algorithm: Algorithm) -> Self {
        let first = |has_kid: bool| {
            let fits = |key: &Key| {
                key.algorithms().contains(algorithm)
                    && key.kid().is_some() == has_kid
                    && !key.is_for_any_kid()
            };
            let fitting = ordered.iter().enumerate().filter(|(_, (_, key))| fits(key));
            let mut fitting: Vec<(usize, usize)> =
                fitting.map(|(at, (rank, _))| (*rank, at)).collect();
            fitting.sort_unstable();
            fitting.into_iter().take(MAX_INDEXED).map(|(_, at)| at).collect()
        };
        let count = ordered.iter().filter(|(_, key)| key.algorithms().contains(algorithm)).count();
        Self { nameless: first(false), named: first(true), count }
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
    fn keys_are_found_by_kid_by_thumbprint_and_by_algorithm() {
        let mut keys: Vec<Key> = [Some("b"), None, Some("a"), Some("b"), None].map(key).into();
        keys.insert(1, key(None).for_any_kid());
        let thumbprint = Thumbprint::Sha1([1; 20]);
        keys.push(key(Some("c")).with_thumbprints([thumbprint]));
        let set = KeySet::new(keys);
        assert_eq!(set.named("b").len(), 2);
        assert_eq!(set.named("a").len(), 1);
        assert!(set.named("d").is_empty());
        assert_eq!(set.unnamed().len(), 2);
        assert_eq!(set.for_any_kid(), 2..3);
        assert!(set.key(2).unwrap().is_for_any_kid());
        let kid = |number: &usize| set.key(*number).unwrap().kid();
        let order: Vec<_> = set.with_any_kid(Algorithm::HS512).iter().map(kid).collect();
        assert_eq!(order, [Some("b"), Some("a"), Some("b"), Some("c")]);
        assert_eq!(set.nameless(Algorithm::HS512), [0, 1]);
        assert_eq!(set.nameless(Algorithm::RS256), [0; 0]);
        assert_eq!(set.with_any_kid(Algorithm::RS256), [0; 0]);
        let found: Vec<_> = set.with_thumbprint(thumbprint).iter().map(kid).collect();
        assert_eq!(found, [Some("c")]);
        assert!(set.with_thumbprint(Thumbprint::Sha256([1; 32])).is_empty());
        assert_eq!((set.count(Algorithm::HS256, 0), set.count(Algorithm::RS256, 0)), (7, 0));
        assert_eq!(set.count_nameless(Algorithm::HS256), 2);
        assert!(set.kids().eq(["a", "b", "c"]));
    }

    #[test]
    fn what_a_token_without_kid_considers_is_bounded() {
        for set in [
            KeySet::new((0..100).map(|i| key(Some(&i.to_string()))).collect()),
            KeySet::new((0..100).map(|_| key(None)).collect()),
        ] {
            let considered =
                set.nameless(Algorithm::HS256).len() + set.with_any_kid(Algorithm::HS256).len();
            assert_eq!(considered, MAX_INDEXED);
            assert_eq!(set.len(), 100);
        }
    }

    #[test]
    fn two_keys_for_any_kid_are_in_conflict() {
        let any = || KeySet::new(vec![key(None).for_any_kid()]);
        assert!(any().conflict(&any()).is_some());
        assert!(any().conflict(&KeySet::new(vec![key(None), key(Some("a"))])).is_none());
        assert!(KeySet::new(vec![key(None)]).conflict(&any()).is_none());
    }
}
