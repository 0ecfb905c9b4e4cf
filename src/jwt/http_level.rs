//! The settings of the `http` block for all token checks.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use token::schedule::Terms;
use token::{Cache, KeySet};

use super::check::{KeySource, NamedServer, PolicySources};
use super::files::Files;
use super::provider::Providers;
use crate::live::file::LARGEST_KEY_FILE;
use crate::live::{Named, NamedFiles, Sources};
use crate::nginx::{Level, ServerRef, Servers, Zone, clock};

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
    /// The servers that directives name (`server=`).
    pub(super) named_servers: RefCell<Vec<Rc<NamedServer>>>,
    /// The sources with a URI that is the same for all requests of a server, by the numbers of server and
    /// source.
    noted: RefCell<HashSet<(usize, usize)>>,
    /// Those of them that are fetched when a worker starts.
    at_start: RefCell<Vec<AtStart>>,
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
            named_servers: RefCell::default(),
            noted: RefCell::default(),
            at_start: RefCell::default(),
            has_requests: Cell::default(),
            zone: Cell::default(),
            cache_size: Cell::default(),
            open_blocks: Cell::default(),
            cache: OnceCell::default(),
        }
    }
}

/// A source that is fetched before a token needs it.
struct AtStart {
    /// The server that uses it.
    server: ServerRef,
    source: Rc<KeySource>,
    terms: Terms,
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

    /// Notes the sources of a check of `level` whose URI is the same for all requests of the server, and
    /// warns of those that no location is made for.
    pub(super) fn note_requests(&self, policies: &[PolicySources], level: &Level<'_>) {
        let server = level.server();
        for policy in policies {
            for source in &policy.live.keys {
                let KeySource::Request(request) = &**source else { continue };
                let Some(uri) = &request.fixed else { continue };
                let number = (server.get().id(), Rc::as_ptr(source) as usize);
                if !self.noted.borrow_mut().insert(number) {
                    continue;
                }
                request.warn_without_location(uri, level);
                if request.per.is_none() {
                    let (source, terms) = (Rc::clone(source), request.terms(policy));
                    self.at_start.borrow_mut().push(AtStart { server, source, terms });
                }
            }
        }
    }

    /// Fetches keys before the first token needs them. The workers agree on one that does.
    pub(crate) fn worker_starts(&self) {
        for AtStart { server, source, terms } in &*self.at_start.borrow() {
            if let KeySource::Request(request) = &**source
                && let Some(uri) = &request.fixed
            {
                let server = request.named_server().unwrap_or_else(|| server.get());
                let source = self.key_requests.get(server, request.zone, uri);
                source.get(server, terms, clock());
            }
        }
    }

    /// Whether keys are fetched. To be called after the configuration has been read. `Err` if a directive
    /// names a server that there is not.
    pub(crate) fn sends_requests(&self, servers: &Servers<'_>) -> Result<bool, String> {
        if !self.has_requests.get() {
            return Ok(false);
        }
        for server in &*self.named_servers.borrow() {
            server.find(servers)?;
        }
        let names = servers.describe();
        self.kid_requests.describe(names.clone());
        self.key_requests.describe(names);
        Ok(true)
    }

    /// To be called after the configuration has come into force, before workers start.
    pub(crate) fn in_force(&self) {
        if let Some(zone) = self.zone.get() {
            zone.take_over();
        }
    }
}
