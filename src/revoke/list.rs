//! Fetched lists of revoked values: one copy in shared memory for all workers.

use core::sync::atomic::AtomicU64;
use std::fmt;
use std::sync::Arc;

use token::{ListReader, ListRecords, Words};

use crate::live::file::LARGEST_LIST;
use crate::live::{Burden, Kind, Shared, SharedWords, Step, Wording};

/// Lists that are fetched.
pub(crate) struct FetchedList {
    /// `first=`: the line that a list must begin with.
    pub(super) first: Option<Box<[u8]>>,
}

/// What no list begins with: the characters with which HTML and JSON do.
const FOREIGN: &[u8] = b"<{[";

/// A list of which a part has arrived.
pub(crate) struct ArrivingList {
    reader: ListReader,
    /// The beginning of the list, as long as it is not known whether it is the right one.
    beginning: Option<Vec<u8>>,
}

impl Burden for ArrivingList {
    fn release(&mut self) -> Step {
        Step::of(self.reader.release())
    }
}

impl Burden for ListRecords {
    fn release(&mut self) -> Step {
        Step::of(self.release())
    }
}

impl FetchedList {
    /// Whether a list that begins like this has the right first line; `None` if that is not known yet.
    fn begins_well(&self, beginning: &[u8], is_all: bool) -> Option<bool> {
        let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
        let Some(first) = &self.first else {
            let begins = text.trim_ascii_start().first();
            // Nobody sends so much white space by accident.
            let is_enough = is_all || text.len() > 4096;
            return begins.map(|byte| !FOREIGN.contains(byte)).or(is_enough.then_some(true));
        };
        match text.iter().position(|byte| *byte == b'\n') {
            Some(end) => Some(text.get(..end).unwrap_or_default().trim_ascii() == &**first),
            None if is_all => Some(text.trim_ascii() == &**first),
            // White space around it may be long, but not as long as this.
            None if text.len() > first.len() + 1024 => Some(false),
            None => None,
        }
    }

    fn check_beginning(&self, arriving: &mut ArrivingList, is_all: bool) -> Result<(), String> {
        let Some(beginning) = &arriving.beginning else { return Ok(()) };
        match self.begins_well(beginning, is_all) {
            None => Ok(()),
            Some(true) => {
                arriving.beginning = None;
                Ok(())
            }
            Some(false) => Err(match &self.first {
                Some(first) => {
                    let first = first.escape_ascii();
                    format!("the list does not begin with the line \"{first}\" (first=)")
                }
                None => {
                    "this is HTML or JSON, no list: a value that begins so is written as a JSON \
                         string, in double quotes"
                        .to_owned()
                }
            }),
        }
    }
}

impl Kind for FetchedList {
    type Value = SharedWords;
    type Arriving = ArrivingList;
    type Arrived = ListRecords;

    const WORDS: Wording = Wording {
        what: "revocation list",
        stays: "the last good list stays",
        lacks: "there is no list",
    };
    const LIMIT: usize = LARGEST_LIST;
    const IS_CONDITIONAL: bool = true;
    const NEEDS_END: bool = true;
    const IN_ZONE: bool = true;

    fn begin(&self) -> ArrivingList {
        ArrivingList { reader: ListReader::new(), beginning: Some(Vec::new()) }
    }

    fn receive(&self, arriving: &mut ArrivingList, piece: &[u8]) -> Result<(), String> {
        if let Some(beginning) = &mut arriving.beginning {
            beginning.extend_from_slice(piece);
            self.check_beginning(arriving, false)?;
        }
        arriving.reader.push(piece).map_err(|error| unusable(&error))
    }

    fn arrived(&self, arriving: &mut ArrivingList) -> Result<ListRecords, String> {
        self.check_beginning(arriving, true)?;
        arriving.reader.finish().map_err(|error| unusable(&error))
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
        Step::of(arrived.write(words))
    }

    fn entries(&self, arrived: &ListRecords) -> Option<u64> {
        Some(arrived.lines())
    }

    fn warnings(&self, arrived: &mut ListRecords) -> Vec<String> {
        arrived.warnings().to_vec()
    }

    fn value(&self, _: ListRecords) -> Option<SharedWords> {
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
