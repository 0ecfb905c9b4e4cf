//! The settings of the `http` block for all token checks.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use token::{Cache, KeySet};

use super::files::Files;
use super::provider::Providers;
use crate::live::file::LARGEST_KEY_FILE;
use crate::live::{Named, NamedFiles, Sources};
use crate::nginx::{ServerNames, Zone};

/// The default of `jwt_cache`, in bytes.
const CACHE_SIZE: usize = 8 * 1024 * 1024;

/// The settings of the `http` block for all token checks, and what a worker keeps for them.
pub(crate) struct HttpLevel {
    /// The `jwt_provider` blocks, and the lists that directives make of them.
    pub(super) providers: Providers,
    /// The files that directives have read.
    pub(super) files: Files,
    /// The key files with variables in their names.
    pub(super) key_files: NamedFiles<KeySet>,
    /// The sources that keys are fetched from.
    pub(super) key_requests: Sources<KeySet>,
    /// The sources that have the key of one kid each (`per=`).
    pub(super) kid_requests: Sources<KeySet>,
    /// The keys of a kid that has none.
    pub(super) no_keys: Arc<KeySet>,
    /// Whether any directive fetches keys, and the zone for them.
    pub(super) has_requests: Cell<bool>,
    pub(super) zone: Cell<Option<Zone>>,
    /// The value of `jwt_cache`, in bytes.
    pub(super) cache_size: Cell<Option<usize>>,
    /// How many blocks of rules are open while the configuration is read.
    pub(super) open_blocks: Cell<usize>,
    /// Made when first needed, which is in a worker, so each worker has its own seed. If the master
    /// made it, all workers would have copies with the same seed.
    cache: OnceCell<Option<Cache>>,
}

impl Default for HttpLevel {
    fn default() -> Self {
        Self {
            providers: Providers::default(),
            files: Files::default(),
            key_files: NamedFiles::new(LARGEST_KEY_FILE, |text| {
                let loaded = token::load_keys(text, None).map_err(|error| error.to_string())?;
                Ok((KeySet::new(loaded.keys), loaded.warnings))
            }),
            key_requests: Sources::new(Named::ByOperator, published),
            kid_requests: Sources::new(Named::ByKid, |answer| match answer {
                [] => Ok((KeySet::new(Vec::new()), Vec::new())),
                answer => published(answer),
            }),
            no_keys: Arc::new(KeySet::new(Vec::new())),
            has_requests: Cell::default(),
            zone: Cell::default(),
            cache_size: Cell::default(),
            open_blocks: Cell::default(),
            cache: OnceCell::default(),
        }
    }
}

/// Keys that a provider publishes, and warnings about those that are not used.
fn published(answer: &[u8]) -> Result<(KeySet, Vec<String>), String> {
    let loaded = token::load_published_keys(answer).map_err(|error| error.to_string())?;
    Ok((KeySet::new(loaded.keys), loaded.warnings))
}

impl HttpLevel {
    /// The cache of verified tokens; `None` if it is off, or the system has no memory for it.
    pub(super) fn cache(&self) -> Option<&Cache> {
        let make = || match self.cache_size.get().unwrap_or(CACHE_SIZE) {
            0 => None,
            size => Cache::new(size),
        };
        self.cache.get_or_init(make).as_ref()
    }

    /// Whether keys are fetched. To be called after the configuration has been read. `names` describes
    /// the servers.
    pub(crate) fn sends_requests(&self, names: impl FnOnce() -> ServerNames) -> bool {
        if self.has_requests.get() {
            let names = names();
            self.kid_requests.describe(names.clone());
            self.key_requests.describe(names);
        }
        self.has_requests.get()
    }

    /// To be called after the configuration has come into force, before workers start.
    pub(crate) fn in_force(&self) {
        if let Some(zone) = self.zone.get() {
            zone.take_over();
        }
    }
}
