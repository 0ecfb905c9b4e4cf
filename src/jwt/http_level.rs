//! What the `http` block says once for all token checks.

use std::cell::{Cell, OnceCell};

use token::{Cache, KeySet};

use super::files::Files;
use super::provider::Providers;
use crate::live::file::LARGEST_KEY_FILE;
use crate::live::{NamedFiles, Sources};
use crate::nginx::{ServerNames, Zone};

/// What `jwt_cache` says where it is not there, in bytes.
const CACHE_SIZE: usize = 8 * 1024 * 1024;

/// What the `http` block says once for all token checks, and what a worker keeps for them.
pub(crate) struct HttpLevel {
    /// The `jwt_provider` blocks, and how directives list them.
    pub(super) providers: Providers,
    /// The files that have been read for it.
    pub(super) files: Files,
    /// The key files whose names hold variables.
    pub(super) key_files: NamedFiles<KeySet>,
    /// What keys are fetched from.
    pub(super) key_requests: Sources<KeySet>,
    /// Whether any are fetched at all, and what workers share of them.
    pub(super) has_requests: Cell<bool>,
    pub(super) zone: Cell<Option<Zone>>,
    /// What `jwt_cache` says, in bytes.
    pub(super) cache_size: Cell<Option<usize>>,
    /// Made when it is first needed. By then this is a worker, so each has one with a seed of its
    /// own; what is made while the configuration is read is a copy of the master's in all of them.
    cache: OnceCell<Option<Cache>>,
}

impl Default for HttpLevel {
    fn default() -> Self {
        Self {
            providers: Providers::default(),
            files: Files::default(),
            key_files: NamedFiles::new(LARGEST_KEY_FILE, |text| {
                let loaded = token::load_keys(text, None).map_err(|error| error.to_string())?;
                Ok(KeySet::new(loaded.keys))
            }),
            key_requests: Sources::new(|answer| {
                let loaded =
                    token::load_published_keys(answer).map_err(|error| error.to_string())?;
                Ok((KeySet::new(loaded.keys), loaded.warnings))
            }),
            has_requests: Cell::default(),
            zone: Cell::default(),
            cache_size: Cell::default(),
            cache: OnceCell::default(),
        }
    }
}

impl HttpLevel {
    /// The cache of verified tokens, unless it is off or the system has no memory for it.
    pub(super) fn cache(&self) -> Option<&Cache> {
        let make = || match self.cache_size.get().unwrap_or(CACHE_SIZE) {
            0 => None,
            size => Cache::new(size),
        };
        self.cache.get_or_init(make).as_ref()
    }

    /// Once the configuration has been read: whether keys are fetched. `names` describes the servers.
    pub(crate) fn sends_requests(&self, names: impl FnOnce() -> ServerNames) -> bool {
        if self.has_requests.get() {
            self.key_requests.describe(names());
        }
        self.has_requests.get()
    }

    /// Once the configuration has come into force, before its workers are started.
    pub(crate) fn in_force(&self) {
        if let Some(zone) = self.zone.get() {
            zone.take_over();
        }
    }
}
