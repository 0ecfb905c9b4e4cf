//! What a worker stores of a fetched source: the value, and what it knows of fetches.

use std::sync::Arc;

use token::schedule::{NOT_FOUND, Record, Terms};

/// Parses an answer into a value, with warnings; or says why it cannot be used.
pub(crate) type Parse<T> = fn(&[u8]) -> Result<(T, Vec<String>), String>;

/// What a worker stores of a source.
pub(super) struct Held<T> {
    pub(super) value: Option<Arc<T>>,
    /// The hash of the answer that the value was parsed from: the same answer is not parsed again.
    pub(super) digest: Option<[u8; 32]>,
    pub(super) record: Record,
    /// The generation of the answer.
    pub(super) generation: u64,
    /// The zone's `changes` when this worker last read it.
    pub(super) changes: u64,
    /// Whether the value was usable when it was last asked for.
    pub(super) usable: bool,
    /// Whether the answer is empty: nothing was found.
    pub(super) is_absent: bool,
    /// Whether this worker is fetching.
    pub(super) fetching: bool,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self {
            value: None,
            digest: None,
            record: Record::default(),
            generation: 0,
            changes: 0,
            usable: false,
            is_absent: false,
            fetching: false,
        }
    }
}

impl<T> Held<T> {
    /// How long the answer is used: one that says that nothing was found for a time of its own.
    pub(super) fn terms(&self, terms: &Terms) -> Terms {
        match self.is_absent {
            true => Terms { valid: NOT_FOUND, stale: 0, ..*terms },
            false => *terms,
        }
    }

    /// Replaces the value by that of `answer`. Returns the warnings, or `None` if the answer has not
    /// changed.
    pub(super) fn take(
        &mut self,
        answer: &[u8],
        parse: Parse<T>,
    ) -> Result<Option<Vec<String>>, String> {
        let digest = token::fingerprint(answer);
        if self.digest == Some(digest) {
            return Ok(None);
        }
        let (value, warnings) =
            parse(answer).map_err(|error| format!("the answer cannot be used: {error}"))?;
        self.value = Some(Arc::new(value));
        self.is_absent = answer.is_empty();
        self.digest = Some(digest);
        Ok(Some(warnings))
    }
}
