//! Fetched lists of revoked values: one copy in shared memory for all workers.

use core::sync::atomic::AtomicU64;
use std::fmt;
use std::sync::Arc;

use token::{ListReader, ListRecords, Words};

use crate::live::file::LARGEST_LIST;
use crate::live::{Burden, Kind, Shared, SharedWords, Step, Wording};

/// Lists that are fetched.
pub(crate) struct FetchedList;

impl Burden for ListReader {
    fn release(&mut self) -> Step {
        step(self.release())
    }
}

impl Burden for ListRecords {
    fn release(&mut self) -> Step {
        step(self.release())
    }
}

fn step(is_more: bool) -> Step {
    if is_more { Step::More } else { Step::Last }
}

impl Kind for FetchedList {
    type Value = SharedWords;
    type Arriving = ListReader;
    type Arrived = ListRecords;

    const WORDS: Wording = Wording {
        what: "revocation list",
        stays: "the last good list stays",
        lacks: "there is no list",
    };
    const LIMIT: usize = LARGEST_LIST;
    const IS_CONDITIONAL: bool = true;
    const IN_ZONE: bool = true;

    fn begin(&self) -> ListReader {
        ListReader::new()
    }

    fn receive(&self, arriving: &mut ListReader, piece: &[u8]) -> Result<(), String> {
        arriving.push(piece).map_err(|error| unusable(&error))
    }

    fn arrived(&self, arriving: &mut ListReader) -> Result<ListRecords, String> {
        arriving.finish().map_err(|error| unusable(&error))
    }

    fn digest(&self, arrived: &ListRecords) -> [u8; 32] {
        arrived.digest()
    }

    fn read(&self, _: &mut ListRecords) -> Result<Step, String> {
        Ok(Step::Last)
    }

    fn len(&self, arrived: &ListRecords) -> usize {
        arrived.words() * size_of::<u64>()
    }

    fn write(&self, arrived: &mut ListRecords, words: &[AtomicU64]) -> Step {
        step(arrived.write(words))
    }

    fn value(&self, _: ListRecords) -> Option<(SharedWords, Vec<String>)> {
        None
    }

    fn open(&self, shared: Shared<'_>) -> Option<SharedWords> {
        Some(SharedWords::new(shared))
    }
}

fn unusable(error: &token::ListError) -> String {
    format!("the list cannot be used: {error}")
}

/// The words of a list, for the core.
pub(super) struct ListWords(pub(super) Arc<SharedWords>);

impl Words for ListWords {
    fn with(&self, read: &mut dyn FnMut(&[AtomicU64])) {
        if self.0.read(&mut *read).is_none() {
            // What was read last does not count: there is no list.
            read(&[]);
        }
    }
}

impl fmt::Debug for ListWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
