//! The keys that `tokenctl inspect` verifies with.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use token::{AlgorithmSet, Key, KeySet, Loaded};

use crate::output;

/// The keys to verify with.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) sets: Vec<Arc<KeySet>>,
    /// The kid and the algorithms of each key, for messages.
    pub(crate) known: Vec<(Option<Box<str>>, AlgorithmSet)>,
    /// The secret of the command line, for hints about its encoding.
    pub(crate) secret: Option<Vec<u8>>,
}

impl Keys {
    pub(crate) fn add(&mut self, keys: Vec<Key>) {
        self.known.extend(keys.iter().map(|key| (key.kid().map(Into::into), key.algorithms())));
        self.sets.push(Arc::new(KeySet::new(keys)));
    }

    pub(crate) fn add_file(
        &mut self,
        path: &Path,
        loaded: Result<Loaded, token::LoadError>,
    ) -> Result<()> {
        let loaded = loaded.with_context(|| path.display().to_string())?;
        for warning in &loaded.warnings {
            output::warn(&format!("{}: {warning}", path.display()));
        }
        self.add(loaded.keys);
        Ok(())
    }

    /// The different kids.
    pub(crate) fn kids(&self) -> BTreeSet<&str> {
        self.known.iter().filter_map(|(kid, _)| kid.as_deref()).collect()
    }
}
