//! What a worker counts while it verifies tokens, and its cache.

use std::cell::{Cell, OnceCell};

use token::{Cache, CacheCounts, Headers, Memo, SignatureCounts};

use crate::nginx::{SharedAtomics, SharedMemory};

/// The default of `jwt_cache`, in bytes.
const CACHE_SIZE: usize = 8 * 1024 * 1024;

/// The default of its `shared=`, in bytes.
const MEMO_SIZE: usize = 4 * 1024 * 1024;

/// A worker's cache, and the signatures that it has verified.
#[derive(Default)]
pub(crate) struct Meter {
    /// The value of `jwt_cache`, in bytes.
    pub(super) cache_size: Cell<Option<usize>>,
    /// The value of its `shared=`, in bytes.
    pub(super) memo_size: Cell<Option<usize>>,
    memo: OnceCell<SharedAtomics>,
    /// Made when first needed, which is in a worker, so each worker has its own seed. If the master
    /// made it, all workers would have copies with the same seed.
    cache: OnceCell<Option<Cache>>,
    /// The headers of the last tokens, also without a cache.
    pub(super) headers: Headers,
    pub(super) signatures: SignatureCounts,
    /// How many tokens were let through although their list was not there (`missing=pass`).
    unchecked: Cell<u64>,
    /// The second in which the log was last told of that.
    told: Cell<i64>,
}

impl Meter {
    /// The cache of verified tokens; `None` if it is off, or the system has no memory for it.
    pub(super) fn cache(&self) -> Option<&Cache> {
        let make = || match self.cache_size.get().unwrap_or(CACHE_SIZE) {
            0 => None,
            size => Cache::new(size),
        };
        self.cache.get_or_init(make).as_ref()
    }

    /// Declares the memory that workers share. `None` if nginx refuses it.
    pub(crate) fn declare(&self, memory: &SharedMemory<'_>) -> Option<()> {
        let size = match (self.cache_size.get(), self.memo_size.get()) {
            (Some(0), _) => 0,
            (_, size) => size.unwrap_or(MEMO_SIZE),
        };
        if size > 0 {
            let declared = memory.declare_words("token_auth_signatures", size)?;
            self.memo.get_or_init(|| declared);
        }
        Some(())
    }

    /// The memo of signatures that some worker has verified; `None` if it is off.
    pub(super) fn memo(&self) -> Option<Memo<'_>> {
        Memo::open(self.memo.get()?.words()?)
    }

    /// What the cache has done so far, how many tokens it has, and how many bytes they take. Zeros before
    /// the first token, and without a cache.
    pub(crate) fn cache_state(&self) -> (CacheCounts, usize, usize) {
        let cache = self.cache.get().and_then(Option::as_ref);
        cache.map_or_else(Default::default, |it| (it.counts(), it.len(), it.used()))
    }

    /// A token is let through although a list is not there. True if the log has to be told of it: once a
    /// second is enough.
    pub(super) fn count_unchecked(&self, now: i64) -> bool {
        self.unchecked.set(self.unchecked.get() + 1);
        self.told.replace(now) != now
    }

    /// How many tokens were let through although a list was not there.
    pub(crate) fn unchecked(&self) -> u64 {
        self.unchecked.get()
    }

    /// How many signatures of each algorithm were verified, in the order of [`token::Algorithm::ALL`].
    pub(crate) fn signatures(&self) -> impl Iterator<Item = u64> + '_ {
        self.signatures.counts()
    }

    /// How many signatures need not be verified, since the memo had them.
    pub(crate) fn spared(&self) -> u64 {
        self.signatures.spared()
    }
}
