//! What is counted of all checks together, and what each worker tells of itself.

use token::{Algorithm, CacheCounts};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::tally::Minutes;
use crate::live::Row;

/// How many minutes are kept of all checks together.
pub(super) const MINUTES: usize = 60;

/// How many algorithms there is room for.
const ALGORITHMS: usize = 24;
const _: () = assert!(Algorithm::ALL.len() <= ALGORITHMS);

/// nginx's own limit of processes (`NGX_MAX_PROCESSES`).
const PROCESSES: usize = 1024;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Board {
    pub(super) work: Work,
    pub(super) minutes: Minutes<MINUTES>,
    /// By the number of the process.
    pub(super) workers: [Worker; PROCESSES],
}

impl Row for Board {
    const TABLE: &'static str = "board";
    const AT_ONCE: usize = 1;
}

/// What workers have done.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Work {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) evictions: u64,
    /// How many signatures need not be verified, since another worker had done it.
    pub(super) shared_hits: u64,
    /// How many tokens were let through although a list was not there.
    pub(super) unchecked: u64,
    /// How many signatures were verified, in the order of [`Algorithm::ALL`].
    pub(super) signatures: [u64; ALGORITHMS],
    /// How many tokens were signed, in the same order.
    pub(super) signed: [u64; ALGORITHMS],
}

impl Default for Work {
    fn default() -> Self {
        Self {
            hits: 0,
            misses: 0,
            evictions: 0,
            shared_hits: 0,
            unchecked: 0,
            signatures: [0; ALGORITHMS],
            signed: [0; ALGORITHMS],
        }
    }
}

impl Work {
    pub(super) fn new(
        cache: CacheCounts,
        shared_hits: u64,
        unchecked: u64,
        signatures: impl Iterator<Item = u64>,
        signed: impl Iterator<Item = u64>,
    ) -> Self {
        let CacheCounts { hits, misses, evictions } = cache;
        let mut work = Self { hits, misses, evictions, shared_hits, unchecked, ..Self::default() };
        work.signatures.iter_mut().zip(signatures).for_each(|(to, from)| *to = from);
        work.signed.iter_mut().zip(signed).for_each(|(to, from)| *to = from);
        work
    }

    /// Adds what a worker has done since it told `before`.
    pub(super) fn add(&mut self, now: &Self, before: &Self) {
        let add = |sum: &mut u64, now: u64, before: u64| *sum += now.saturating_sub(before);
        add(&mut self.hits, now.hits, before.hits);
        add(&mut self.misses, now.misses, before.misses);
        add(&mut self.evictions, now.evictions, before.evictions);
        add(&mut self.shared_hits, now.shared_hits, before.shared_hits);
        add(&mut self.unchecked, now.unchecked, before.unchecked);
        let by_algorithm = [
            (&mut self.signatures, now.signatures, before.signatures),
            (&mut self.signed, now.signed, before.signed),
        ];
        for (sums, now, before) in by_algorithm {
            for (sum, (now, before)) in sums.iter_mut().zip(now.into_iter().zip(before)) {
                add(sum, now, before);
            }
        }
    }
}

/// The cache of a worker.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Worker {
    /// The process; 0 if there is none.
    pub(super) process: u64,
    pub(super) cached: u64,
    /// In bytes.
    pub(super) used: u64,
}
