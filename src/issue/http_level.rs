//! What the `http` block keeps for signing.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use token::sign::SigningKey;

use super::key::{KeyOptions, LiveKey, LiveKeys};
use super::seen::SeenTable;
use crate::live::SourceState;
use crate::nginx::{Level, Request, SharedMemory};

/// The keys that sign, and who publishes them.
#[derive(Default)]
pub(crate) struct IssueMain {
    pub(super) keys: LiveKeys,
    pub(super) seen: SeenTable,
    /// The keys in force anywhere in a server, by the server's number.
    servers: RefCell<HashMap<usize, Vec<Rc<LiveKey>>>>,
    /// The keys of `jwt_mint` blocks, which every server publishes.
    pub(super) minting: RefCell<Vec<Rc<LiveKey>>>,
    publishers: RefCell<Vec<Publisher>>,
    /// The variables that show claims as JSON, by their names.
    variables: RefCell<HashSet<Box<[u8]>>>,
    /// How many `jwt_mint` there are.
    pub(super) mints: Cell<usize>,
}

/// A location with `jwks_publish`.
struct Publisher {
    server: usize,
    /// The keys that it names itself, in place of those of its server.
    own: Vec<Rc<LiveKey>>,
    position: String,
}

fn add(keys: &mut Vec<Rc<LiveKey>>, more: &[Rc<LiveKey>]) {
    for key in more {
        if !keys.iter().any(|known| Rc::ptr_eq(known, key)) {
            keys.push(Rc::clone(key));
        }
    }
}

impl IssueMain {
    /// Whether no directive has defined this variable yet.
    pub(crate) fn is_new_variable(&self, name: &[u8]) -> bool {
        self.variables.borrow_mut().insert(name.into())
    }

    /// The key that signed last by a directive that says the same, or at least names the same key.
    pub(super) fn key_before(&self, options: &KeyOptions) -> Option<Arc<SigningKey>> {
        let keys = self.keys.borrow();
        let name = options.name();
        keys.values().find(|key| key.options.name() == name).map(|key| key.at_reload())
    }

    /// The position of a directive for the same key with other times, if there is one: they share what is
    /// known of the key.
    pub(super) fn other_times(&self, options: &KeyOptions) -> Option<String> {
        let times = |options: &KeyOptions| (options.lead, options.keep);
        let (keys, name) = (self.keys.borrow(), options.name());
        let is_other = |key: &&Rc<LiveKey>| {
            key.options.name() == name && times(&key.options) != times(options)
        };
        keys.values().find(is_other).map(|key| key.position.to_string())
    }

    /// Notes the keys in force on a level.
    pub(super) fn note_keys(&self, level: &Level<'_>, keys: &[Rc<LiveKey>]) {
        if !keys.is_empty() {
            let server = level.server().get().id();
            add(self.servers.borrow_mut().entry(server).or_default(), keys);
        }
    }

    /// Notes a location that publishes its `own` keys or, if there are none, those of its server. Returns
    /// its number.
    pub(super) fn note_publisher(
        &self,
        level: &Level<'_>,
        own: &[Rc<LiveKey>],
        position: &str,
    ) -> usize {
        let mut publishers = self.publishers.borrow_mut();
        publishers.push(Publisher {
            server: level.server().get().id(),
            own: own.to_vec(),
            position: position.to_owned(),
        });
        publishers.len() - 1
    }

    /// The keys that the location with this number publishes.
    pub(super) fn published_by(&self, publisher: usize) -> Vec<Rc<LiveKey>> {
        self.publishers.borrow().get(publisher).map(|it| self.keys_of(it)).unwrap_or_default()
    }

    fn keys_of(&self, Publisher { server, own, .. }: &Publisher) -> Vec<Rc<LiveKey>> {
        if !own.is_empty() {
            return own.clone();
        }
        let mut keys = self.servers.borrow().get(server).cloned().unwrap_or_default();
        add(&mut keys, &self.minting.borrow());
        keys
    }

    /// To be called after the configuration has been read. `Err` if a location has nothing to publish, or two
    /// keys of one kid.
    pub(crate) fn complete(&self) -> Result<(), String> {
        for publisher in &*self.publishers.borrow() {
            let keys = self.keys_of(publisher);
            let position = &publisher.position;
            if !keys.iter().any(|key| key.is_public()) {
                return Err(format!(
                    "\"jwks_publish\" directive has no key to publish: name a jwt_sign_key with a private \
                     key (a secret is never published), there or anywhere in the server, in {position}"
                ));
            }
            let public: Vec<_> = keys.iter().filter(|key| key.is_public()).collect();
            for (at, one) in public.iter().enumerate() {
                let (key, others) = (one.last(), public.get(at + 1..).unwrap_or_default());
                let is_twice = |other: &&&Rc<LiveKey>| {
                    let other = other.last();
                    other.kid() == key.kid() && other.published() != key.published()
                };
                if let Some(other) = others.iter().find(is_twice) {
                    return Err(format!(
                        "\"jwks_publish\" directive would publish two keys, or one key with two \
                         algorithms, under the kid \"{}\" ({} and {}): give each a kid= of its own, in \
                         {position}",
                        key.kid().unwrap_or_default().escape_debug(),
                        one.position,
                        other.position
                    ));
                }
            }
        }
        Ok(())
    }

    /// Declares the shared memory for keys that were seen, if there are any.
    pub(crate) fn declare(&self, memory: &SharedMemory<'_>) -> Option<()> {
        if self.keys.borrow().is_empty() {
            return Some(());
        }
        self.seen.declare(memory)
    }

    /// To be called by the master when the configuration has come into force.
    pub(crate) fn in_force(&self) {
        self.seen.assign();
        self.keys.borrow().values().for_each(|key| key.in_force());
    }

    /// The state of all keys that sign, for the status page.
    pub(crate) fn source_states(&self, request: Request<'_>, loaded: i64) -> Vec<SourceState> {
        let keys = self.keys.borrow();
        let mut states: Vec<_> = keys.values().map(|key| key.state(request, loaded)).collect();
        states
            .sort_by(|one, other| (&one.name, &one.position).cmp(&(&other.name, &other.position)));
        states
    }
}
