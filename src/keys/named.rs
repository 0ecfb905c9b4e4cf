//! Key files whose names are known only when a request is there: read when they are first needed,
//! and again when they change.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use token::KeySet;

use super::file::{LARGEST_KEY_FILE, Look, Seen, Text};

/// How many files a worker keeps; a name may come from what clients send.
const KEPT: usize = 1024;

/// The files that a worker has read, by name.
///
/// This is no memory of requests: an entry says what is in a file, and each use looks whether the
/// file is still the same.
#[derive(Default)]
pub(crate) struct KeyFiles(RefCell<HashMap<Box<[u8]>, Entry>>);

#[derive(Default)]
struct Entry {
    seen: Seen,
    /// `None` while it has never been a good key file, or is gone.
    keys: Option<Arc<KeySet>>,
}

impl KeyFiles {
    /// The keys in the file called `name`, now, and what there is to say of it. A file that cannot
    /// be read or makes no sense keeps its last good keys, and one that is gone has none; either is
    /// told once for each change.
    pub(crate) fn get(&self, name: &[u8]) -> (Option<Arc<KeySet>>, Option<String>) {
        let Ok(mut files) = self.0.try_borrow_mut() else { return (None, None) };
        if let Some(entry) = files.get_mut(name) {
            let complaint = entry.look(name);
            return (entry.keys.clone(), complaint);
        }
        if files.len() >= KEPT
            && let Some(other) = files.keys().next().cloned()
        {
            files.remove(&other);
        }
        let entry = files.entry(name.into()).or_default();
        let complaint = entry.look(name);
        (entry.keys.clone(), complaint)
    }
}

impl Entry {
    fn look(&mut self, name: &[u8]) -> Option<String> {
        match self.seen.look(name, LARGEST_KEY_FILE) {
            Look::Same => None,
            Look::Changed(text) => match parse(&text) {
                Ok(keys) => {
                    self.keys = Some(keys);
                    None
                }
                Err(why) => Some(why),
            },
            Look::Gone(error) => {
                self.keys = None;
                self.seen.forget();
                self.seen.once(error.to_string())
            }
            Look::Unreadable(error) => self.seen.once(error.to_string()),
        }
    }
}

fn parse(text: &Text) -> Result<Arc<KeySet>, String> {
    let loaded = token::load_keys(text, None).map_err(|error| error.to_string())?;
    Ok(Arc::new(KeySet::new(loaded.keys)))
}
