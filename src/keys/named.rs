//! Key files whose names are known only when a request is there: read when they are first needed,
//! and again when they change.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use token::KeySet;
use zeroize::Zeroizing;

use super::watched::{Stamp, path};

/// How many files a worker keeps; a name may come from what clients send.
const KEPT: usize = 1024;

/// The files that a worker has read, by name.
///
/// This is no memory of requests: an entry says what is in a file, and each use looks whether the
/// file is still the same.
#[derive(Default)]
pub(crate) struct KeyFiles(RefCell<HashMap<Box<[u8]>, Entry>>);

struct Entry {
    /// `None` for a file that is not there.
    stamp: Option<Stamp>,
    /// `None` while it has never been a good key file.
    keys: Option<Arc<KeySet>>,
}

impl KeyFiles {
    /// The keys in the file called `name`, now, and what there is to say of it. A file that no
    /// longer parses keeps its last good keys, and one that is gone has none; either is told once
    /// for each change.
    pub(crate) fn get(&self, name: &[u8]) -> (Option<Arc<KeySet>>, Option<String>) {
        let path = path(name);
        let Ok(mut files) = self.0.try_borrow_mut() else { return (None, None) };
        let (stamp, missing) = match fs::metadata(path) {
            Ok(file) => (Some(Stamp::from(&file)), None),
            Err(error) => (None, Some(error.to_string())),
        };
        if let Some(entry) = files.get(name).filter(|entry| entry.stamp == stamp) {
            return (entry.keys.clone(), None);
        }
        let (keys, complaint) = match missing {
            Some(error) => (None, Some(error)),
            None => match read(path) {
                Ok(keys) => (Some(keys), None),
                Err(error) => (files.get(name).and_then(|entry| entry.keys.clone()), Some(error)),
            },
        };
        if files.len() >= KEPT
            && !files.contains_key(name)
            && let Some(other) = files.keys().next().cloned()
        {
            files.remove(&other);
        }
        files.insert(name.into(), Entry { stamp, keys: keys.clone() });
        (keys, complaint)
    }
}

fn read(path: &Path) -> Result<Arc<KeySet>, String> {
    let text = fs::read(path).map(Zeroizing::new).map_err(|error| error.to_string())?;
    let loaded = token::load_keys(&text, None).map_err(|error| error.to_string())?;
    Ok(Arc::new(KeySet::new(loaded.keys)))
}
