//! Files whose names are known only when a request is there: read when they are first needed, and
//! again when they change.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::file::{Change, FileState, Text};

/// How many files a worker keeps; a name may come from what clients send.
const KEPT: usize = 1024;

/// Makes what a file says from its bytes, or says what is wrong with them.
pub(crate) type Parse<T> = fn(&Text) -> Result<T, String>;

/// The files that a worker has read, by name.
///
/// This is no memory of requests: an entry says what is in a file, and each use checks whether the
/// file is still the same.
pub(crate) struct NamedFiles<T> {
    parse: Parse<T>,
    /// The size that each may have, in bytes.
    limit: usize,
    files: RefCell<HashMap<Box<[u8]>, Entry<T>>>,
}

struct Entry<T> {
    state: FileState,
    /// `None` while the file has never been a good one, or is gone.
    value: Option<Arc<T>>,
}

impl<T> NamedFiles<T> {
    pub(crate) fn new(limit: usize, parse: Parse<T>) -> Self {
        Self { parse, limit, files: RefCell::default() }
    }

    /// What the file called `name` says now, and what there is to say of it. A file that cannot be
    /// read or makes no sense keeps its last good value, and one that is gone has none; either is told
    /// once for each change.
    pub(crate) fn get(&self, name: &[u8]) -> (Option<Arc<T>>, Option<String>) {
        let Ok(mut files) = self.files.try_borrow_mut() else { return (None, None) };
        if let Some(entry) = files.get_mut(name) {
            let complaint = entry.update(name, self);
            return (entry.value.clone(), complaint);
        }
        if files.len() >= KEPT
            && let Some(other) = files.keys().next().cloned()
        {
            files.remove(&other);
        }
        let new = || Entry { state: FileState::default(), value: None };
        let entry = files.entry(name.into()).or_insert_with(new);
        let complaint = entry.update(name, self);
        (entry.value.clone(), complaint)
    }
}

impl<T> Entry<T> {
    fn update(&mut self, name: &[u8], files: &NamedFiles<T>) -> Option<String> {
        match self.state.check(name, files.limit) {
            Change::Nothing => None,
            Change::New(text) => match (files.parse)(&text) {
                Ok(value) => {
                    self.value = Some(Arc::new(value));
                    None
                }
                Err(why) => Some(why),
            },
            Change::Gone(error) => {
                self.value = None;
                self.state.forget();
                self.state.once(error.to_string())
            }
            Change::Unreadable(error) => self.state.once(error.to_string()),
        }
    }
}
