//! The directives that say what a token must be and which keys verify it: those that may stand in a
//! `jwt_provider` block, too.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use token::{AlgorithmSet, KeySet, Policy, Requirements, Revocation};

use super::check::{KeySource, LiveSources, PolicySources, Provider};
use super::rules::Rule;
use crate::check::inherit;
use crate::live::Watched;

/// `valid=` where neither it nor `auth_jwt_key_cache` is there, in milliseconds.
const VALID: u64 = 10 * 60 * 1000;

/// Those directives of one level, or of a provider; `None` where it does not name one.
#[derive(Default)]
pub(super) struct PolicySettings {
    pub(super) keys: Option<Keys>,
    pub(super) algorithms: Option<AlgorithmSet>,
    pub(super) issuers: Option<Box<[Box<str>]>>,
    pub(super) audiences: Option<Box<[Box<str>]>>,
    pub(super) types: Option<Box<[Box<str>]>>,
    pub(super) leeway: Option<i64>,
    pub(super) require_exp: Option<bool>,
    pub(super) max_lifetime: Option<i64>,
    pub(super) claims: Option<Vec<Rc<Rule>>>,
    pub(super) requires: Option<Vec<Rc<Rule>>>,
    pub(super) revoked: Option<Revoked>,
    /// `auth_jwt_key_cache`, in milliseconds.
    pub(super) key_cache: Option<u64>,
}

/// The key sources of one level: every directive that brings keys adds to this one list.
#[derive(Default, Clone)]
pub(super) struct Keys {
    pub(super) sets: Vec<Arc<KeySet>>,
    pub(super) sources: Vec<Rc<KeySource>>,
    /// Whether one of them is named by a directive that switches the check on by being there;
    /// NGINX Plus's `auth_jwt_key_file` does not.
    pub(super) switch_on: bool,
}

impl Keys {
    /// What is known of the keys while the configuration is read.
    pub(super) fn known(&self) -> impl Iterator<Item = Arc<KeySet>> {
        let watched = self.sources.iter().filter_map(|source| match &**source {
            KeySource::Watched(file) => Some(file.get(0).0),
            KeySource::Named(_) | KeySource::Request(_) => None,
        });
        self.sets.iter().cloned().chain(watched)
    }
}

/// The lists of what is revoked of one level.
#[derive(Default, Clone)]
pub(super) struct Revoked {
    pub(super) lists: Vec<Arc<Revocation>>,
    pub(super) watched: Vec<Rc<Watched<Revocation>>>,
}

impl PolicySettings {
    /// Takes from the level above what this one does not name; tells whether it names anything.
    pub(super) fn inherit(&mut self, parent: &Self) -> bool {
        // Named without `..`, so that the compiler asks for each field: a level that forgot one would
        // share the check of the level above although it asks for more.
        let Self {
            keys,
            algorithms,
            issuers,
            audiences,
            types,
            leeway,
            require_exp,
            max_lifetime,
            claims,
            requires,
            revoked,
            key_cache,
        } = self;
        // Not short-circuiting: each line has to inherit.
        inherit(keys, &parent.keys)
            | inherit(algorithms, &parent.algorithms)
            | inherit(issuers, &parent.issuers)
            | inherit(audiences, &parent.audiences)
            | inherit(types, &parent.types)
            | inherit(leeway, &parent.leeway)
            | inherit(require_exp, &parent.require_exp)
            | inherit(max_lifetime, &parent.max_lifetime)
            | inherit(claims, &parent.claims)
            | inherit(requires, &parent.requires)
            | inherit(revoked, &parent.revoked)
            | inherit(key_cache, &parent.key_cache)
    }

    /// The policy that the keys and demands make.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            keys: self.keys.as_ref().map(|keys| keys.sets.clone()).unwrap_or_default(),
            algorithms: self.algorithms,
            leeway: self.leeway.unwrap_or(0),
            requirements: vec![self.requirements()],
            revoked: self.lists(),
        }
    }

    /// What goes with [`PolicySettings::policy`].
    pub(super) fn policy_sources(&self, provider: Option<Rc<Provider>>) -> PolicySources {
        let live = LiveSources {
            keys: self.keys.as_ref().map(|keys| keys.sources.clone()).unwrap_or_default(),
            revoked: self.watched_lists(),
        };
        let valid = self.key_cache.unwrap_or(VALID);
        PolicySources { provider, live, valid, last: RefCell::default() }
    }

    /// What the registered parts of a token must be.
    pub(super) fn requirements(&self) -> Requirements {
        Requirements {
            issuers: self.issuers.clone().unwrap_or_default(),
            audiences: self.audiences.clone().unwrap_or_default(),
            types: self.types.clone().unwrap_or_default(),
            require_exp: self.require_exp.unwrap_or(false),
            max_lifetime: self.max_lifetime,
        }
    }

    /// The rules, in the order in which they are judged.
    pub(super) fn rules(&self) -> Rc<[Rc<Rule>]> {
        [&self.claims, &self.requires].into_iter().flatten().flatten().cloned().collect()
    }

    /// The lists of what is revoked that stay as they were read.
    pub(super) fn lists(&self) -> Vec<Arc<Revocation>> {
        self.revoked.as_ref().map(|one| one.lists.clone()).unwrap_or_default()
    }

    /// Those that are read again when they change.
    pub(super) fn watched_lists(&self) -> Vec<Rc<Watched<Revocation>>> {
        self.revoked.as_ref().map(|one| one.watched.clone()).unwrap_or_default()
    }
}
