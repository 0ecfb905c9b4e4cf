//! The settings of the `http` block for all token checks.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use token::cdni::Patterns;
use token::schedule::Terms;
use token::{KeySet, Steady};

use super::check::{JwtCheck, KeyRequest, KeySource};
use super::files::{FileKeys, Files, all_of_file};
use super::meter::Meter;
use super::noted::NotedSources;
use super::provider::Providers;
use super::rules::Trials;
use crate::live::file::LARGEST_KEY_FILE;
use crate::live::{
    FetchedElsewhere, FetchedKeys, HealthTable, NamedFiles, NamedServer, Source, SourceAt, Sources,
};
use crate::nginx::{Level, Rank, Server, ServerRef, Servers, Setting, Zone, clock};
use crate::revoke::{ListSource, Lists};

/// The settings of the `http` block for all token checks, and what a worker keeps for them.
pub(crate) struct HttpLevel {
    /// The `jwt_provider` blocks, and the lists that directives make of them.
    pub(super) providers: Providers,
    /// The files that directives have read.
    pub(super) files: Files,
    /// The key files with variables in their names.
    pub(super) key_files: NamedFiles<FileKeys>,
    /// The sources that keys are fetched from.
    pub(super) key_requests: Sources<FetchedKeys>,
    /// The sources that have the key of one kid each (`per=`).
    pub(super) kid_requests: Sources<FetchedKeys>,
    /// What other workers fetch for requests of this one.
    pub(super) elsewhere: FetchedElsewhere,
    /// The keys of a kid that has none.
    pub(super) no_keys: Arc<KeySet>,
    /// The lists of revoked tokens that are fetched.
    pub(crate) lists: Lists,
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
    /// The sources of keys and lists, for reports, and how they are doing.
    pub(super) sources: NotedSources,
    pub(crate) health: HealthTable,
    /// The rules that are only tried.
    pub(super) trials: Trials,
    /// The worker's cache and counts.
    pub(crate) meter: Rc<Meter>,
    /// Whether any directive asks for URI signing, and the patterns of the tokens.
    pub(super) uri_signing: Cell<bool>,
    pub(super) patterns: Patterns,
    /// How many blocks of rules are open while the configuration is read.
    pub(super) open_blocks: Cell<usize>,
    /// How many checks have a number.
    numbered: Cell<u32>,
}

impl Default for HttpLevel {
    fn default() -> Self {
        Self {
            providers: Providers::default(),
            files: Files::default(),
            key_files: NamedFiles::new(LARGEST_KEY_FILE, all_of_file),
            key_requests: Sources::new(Rank::Usual),
            kid_requests: Sources::new(Rank::Rationed),
            elsewhere: FetchedElsewhere::default(),
            no_keys: Arc::new(KeySet::new(Vec::new())),
            lists: Lists::default(),
            named_servers: RefCell::default(),
            noted: RefCell::default(),
            at_start: RefCell::default(),
            has_requests: Cell::default(),
            zone: Cell::default(),
            sources: NotedSources::default(),
            health: HealthTable::default(),
            trials: Trials::default(),
            meter: Rc::default(),
            uri_signing: Cell::default(),
            patterns: Patterns::default(),
            open_blocks: Cell::default(),
            numbered: Cell::default(),
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

impl HttpLevel {
    /// The check with a number of its own, if its verdicts on tokens can stand.
    pub(super) fn numbered(&self, mut check: JwtCheck) -> JwtCheck {
        if check.is_steady() {
            check.steady = Some(Steady(self.numbered.replace(self.numbered.get() + 1)));
        }
        check
    }

    /// Notes the sources of a check of `level` whose URI is the same for all requests of the server, and
    /// warns of those that no location is made for.
    pub(super) fn note_requests(&self, check: &JwtCheck, level: &Level<'_>) {
        let server = level.server();
        let policies = &*check.policies;
        let lists = policies.iter().flat_map(|policy| &policy.live.revoked);
        for list in lists.chain(&*check.lists.revoked) {
            if let ListSource::Requested(list) = list {
                self.lists.note(list, level);
            }
        }
        let statuses = policies.iter().flat_map(|policy| &*policy.status_lists);
        statuses.chain(&*check.status_lists).for_each(|one| self.lists.note_status(one, level));
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
        self.fixed_requests(|request, server, uri, terms| {
            let source = self.keys_at(server, request, uri);
            source.get(server, terms, clock());
        });
        self.lists.worker_starts();
    }

    /// The server that the directive being read names with `server=`.
    pub(super) fn named_server(&self, name: &[u8], setting: &Setting<'_>) -> Rc<NamedServer> {
        let server = Rc::new(NamedServer::new(name, setting));
        self.named_servers.borrow_mut().push(Rc::clone(&server));
        server
    }

    /// The source of keys at `uri` of a server.
    pub(super) fn keys_at(
        &self,
        server: Server<'_>,
        request: &KeyRequest,
        uri: &[u8],
    ) -> Rc<Source<FetchedKeys>> {
        let at = SourceAt::new(server, uri);
        self.key_requests.get(at, request.zone, &request.health, FetchedKeys::published)
    }

    /// Calls `each` with the sources whose URI is the same for all requests of a server.
    pub(super) fn fixed_requests(
        &self,
        mut each: impl FnMut(&KeyRequest, Server<'_>, &[u8], &Terms),
    ) {
        for AtStart { server, source, terms } in &*self.at_start.borrow() {
            if let KeySource::Request(request) = &**source
                && let Some(uri) = &request.fixed
            {
                let server = request.named_server().unwrap_or_else(|| server.get());
                each(request, server, uri, terms);
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
        self.lists.describe(&names, &self.health);
        self.kid_requests.describe(names.clone());
        self.key_requests.describe(names);
        self.fixed_requests(|_, server, uri, _| {
            self.key_requests.watch_health(SourceAt::new(server, uri), &self.health);
        });
        Ok(true)
    }

    /// Whether tokens may be renewed anywhere.
    pub(crate) fn has_uri_signing(&self) -> bool {
        self.uri_signing.get()
    }

    /// To be called after the configuration has come into force, before workers start.
    pub(crate) fn in_force(&self) {
        if let Some(zone) = self.zone.get() {
            zone.take_over();
        }
        self.lists.in_force();
        self.health.assign();
    }
}
