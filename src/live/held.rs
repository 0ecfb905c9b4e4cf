//! What a worker stores of a fetched source: the value, and what it knows of fetches.

use std::sync::Arc;

use token::http::Validators;
use token::schedule::{NOT_FOUND, Record, Terms};

/// What a worker stores of a source.
pub(super) struct Held<T> {
    pub(super) value: Option<Arc<T>>,
    /// What the value was made of.
    pub(super) about: Option<About>,
    pub(super) record: Record,
    /// The number of the answer in the zone; 0 if it is not there.
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
            about: None,
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

    /// Whether the value was made of an answer with this hash.
    pub(super) fn is_of(&self, digest: &[u8; 32]) -> bool {
        self.about.as_ref().is_some_and(|about| about.digest == *digest)
    }
}

/// What identifies an answer.
#[derive(Clone)]
pub(super) struct About {
    pub(super) digest: [u8; 32],
    pub(super) validators: Validators,
    /// How many values it has; 0 if that tells nothing.
    pub(super) entries: u64,
}

impl About {
    /// The form in which it stands beside the answer in shared memory: the hash, the number of values, the
    /// length of the `ETag` in two bytes, the `ETag`, and the `Last-Modified`.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let Validators { etag, last_modified } = &self.validators;
        let (etag, last_modified) = (bytes_of(etag), bytes_of(last_modified));
        let len = u16::try_from(etag.len()).unwrap_or_default().to_ne_bytes();
        [&self.digest[..], &self.entries.to_ne_bytes(), &len, etag, last_modified].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (digest, rest) = bytes.split_first_chunk::<32>()?;
        let (entries, rest) = rest.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<2>()?;
        let (etag, last_modified) = rest.split_at_checked(u16::from_ne_bytes(*len).into())?;
        let some = |bytes: &[u8]| Some(bytes).filter(|bytes| !bytes.is_empty()).map(Into::into);
        let validators = Validators { etag: some(etag), last_modified: some(last_modified) };
        Some(Self { digest: *digest, validators, entries: u64::from_ne_bytes(*entries) })
    }
}

fn bytes_of(value: &Option<Box<[u8]>>) -> &[u8] {
    value.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_identifies_an_answer_is_read_as_it_was_written() {
        let some = |text: &str| Some(text.as_bytes().into());
        for validators in [
            Validators::default(),
            Validators { etag: some("\"x\""), last_modified: None },
            Validators { etag: None, last_modified: some("then") },
            Validators { etag: some("W/\"y\""), last_modified: some("then") },
        ] {
            let about = About { digest: [7; 32], validators, entries: 9 };
            let again = About::from_bytes(&about.to_bytes()).unwrap();
            assert_eq!((again.digest, again.validators), (about.digest, about.validators));
            assert_eq!(again.entries, 9);
        }
        for len in 0..42 {
            assert!(About::from_bytes(&vec![0; len]).is_none());
        }
        assert!(About::from_bytes(&[255; 60]).is_none());
    }
}
