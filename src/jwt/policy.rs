//! The directives that say what a token must be and which keys verify it. They are also allowed in a
//! `jwt_provider` block.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use token::jwe::DecryptionKeys;
use token::{AlgorithmSet, Issuers, KeySet, Policy, Requirements, Revocation};

use super::check::{KeySource, LiveSources, PolicySources, Provider};
use super::rules::Rule;
use crate::check::inherit;
use crate::live::Watched;
use crate::revoke::{ListSource, RevokedRequest, StatusListRequest};

/// The default of `valid=` if there is no `auth_jwt_key_cache` either, in milliseconds.
const VALID: u64 = 10 * 60 * 1000;

/// These directives on one level or in a provider; `None` if a directive is missing.
#[derive(Default)]
pub(super) struct PolicySettings {
    pub(super) keys: Option<Keys>,
    pub(super) algorithms: Option<AlgorithmSet>,
    pub(super) issuers: Option<Issuers>,
    pub(super) audiences: Option<Box<[Box<str>]>>,
    pub(super) types: Option<Box<[Box<str>]>>,
    pub(super) leeway: Option<i64>,
    pub(super) padding: Option<bool>,
    pub(super) require_exp: Option<bool>,
    pub(super) max_lifetime: Option<i64>,
    pub(super) claims: Option<Vec<Rc<Rule>>>,
    pub(super) requires: Option<Vec<Rc<Rule>>>,
    pub(super) revoked: Option<Revoked>,
    pub(super) requested: Option<Vec<Rc<RevokedRequest>>>,
    pub(super) status_lists: Option<Vec<Rc<StatusListRequest>>>,
    /// `auth_jwt_key_cache`, in milliseconds.
    pub(super) key_cache: Option<u64>,
}

/// The keys of one level: each directive that brings keys adds to them.
#[derive(Default, Clone)]
pub(super) struct Keys {
    pub(super) sets: Vec<Arc<KeySet>>,
    /// Those that decrypt, of NGINX Plus's `auth_jwt_key_file`.
    pub(super) decryption: Vec<Arc<DecryptionKeys>>,
    pub(super) sources: Vec<Rc<KeySource>>,
    /// Whether one of these directives switches the check on merely by being there. NGINX Plus's
    /// `auth_jwt_key_file` does not.
    pub(super) switch_on: bool,
    /// The file and line of each of these directives.
    pub(super) positions: Vec<String>,
}

impl Keys {
    /// Whether there are keys that verify, or may be.
    pub(super) fn verify(&self) -> bool {
        !self.sources.is_empty() || self.sets.iter().any(|set| !set.is_empty())
    }

    /// The keys that are known while the configuration is read.
    pub(super) fn known(&self) -> impl Iterator<Item = Arc<KeySet>> {
        let watched = self.sources.iter().filter_map(|source| match &**source {
            KeySource::Watched(file) => Some(file.get(0).0),
            KeySource::Named(_) | KeySource::Request(_) => None,
        });
        self.sets.iter().cloned().chain(watched)
    }
}

/// The revocation lists of one level that are files.
#[derive(Default, Clone)]
pub(super) struct Revoked {
    pub(super) lists: Vec<Arc<Revocation>>,
    pub(super) watched: Vec<Rc<Watched<Revocation>>>,
}

impl PolicySettings {
    /// Inherits from the level above what this one does not set. Returns whether this one sets
    /// anything.
    pub(super) fn inherit(&mut self, parent: &Self) -> bool {
        // No `..`, so the compiler demands each field: a level with a forgotten field would share the
        // check of the level above although it demands more.
        let Self {
            keys,
            algorithms,
            issuers,
            audiences,
            types,
            leeway,
            padding,
            require_exp,
            max_lifetime,
            claims,
            requires,
            revoked,
            requested,
            status_lists,
            key_cache,
        } = self;
        if let (Some(keys), Some(above)) = (&mut *keys, &parent.keys) {
            // Other keys leave a check on that is on above, also those of auth_jwt_key_file.
            keys.switch_on |= above.switch_on;
        }
        // `|` and not `||`: each line has to inherit.
        inherit(keys, &parent.keys)
            | inherit(algorithms, &parent.algorithms)
            | inherit(issuers, &parent.issuers)
            | inherit(audiences, &parent.audiences)
            | inherit(types, &parent.types)
            | inherit(leeway, &parent.leeway)
            | inherit(padding, &parent.padding)
            | inherit(require_exp, &parent.require_exp)
            | inherit(max_lifetime, &parent.max_lifetime)
            | inherit(claims, &parent.claims)
            | inherit(requires, &parent.requires)
            | inherit(revoked, &parent.revoked)
            | inherit(requested, &parent.requested)
            | inherit(status_lists, &parent.status_lists)
            | inherit(key_cache, &parent.key_cache)
    }

    /// The policy that results from these directives.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            keys: self.keys.as_ref().map(|keys| keys.sets.clone()).unwrap_or_default(),
            algorithms: self.algorithms,
            leeway: self.leeway.unwrap_or(0),
            padding: self.padding.unwrap_or(false),
            requirements: vec![self.requirements()],
            revoked: self.lists(),
            ..Policy::default()
        }
    }

    /// What the module adds to [`PolicySettings::policy`].
    pub(super) fn policy_sources(&self, provider: Option<Rc<Provider>>) -> PolicySources {
        let live = LiveSources {
            keys: self.keys.as_ref().map(|keys| keys.sources.clone()).unwrap_or_default(),
            revoked: self.live_lists(),
        };
        let keys = self.keys.as_ref().map(|keys| keys.positions.join("\n")).unwrap_or_default();
        PolicySources {
            live,
            status_lists: self.status_lists(),
            identity: keys.into_bytes().into(),
            provider,
            valid: self.key_cache.unwrap_or(VALID),
            last: RefCell::default(),
        }
    }

    /// What issuer, audience, type and lifetime of a token must be.
    pub(super) fn requirements(&self) -> Requirements {
        Requirements {
            issuers: self.issuers.clone().unwrap_or_default(),
            audiences: self.audiences.clone().unwrap_or_default(),
            types: self.types.clone().unwrap_or_default(),
            require_exp: self.require_exp.unwrap_or(false),
            max_lifetime: self.max_lifetime,
        }
    }

    /// The rules, in the order in which they apply.
    pub(super) fn rules(&self) -> Rc<[Rc<Rule>]> {
        [&self.claims, &self.requires].into_iter().flatten().flatten().cloned().collect()
    }

    /// The revocation lists that stay as they were read.
    pub(super) fn lists(&self) -> Vec<Arc<Revocation>> {
        self.revoked.as_ref().map(|one| one.lists.clone()).unwrap_or_default()
    }

    /// The revocation lists that change at run time.
    pub(super) fn live_lists(&self) -> Vec<ListSource> {
        let files = self.revoked.iter().flat_map(|one| &one.watched);
        let files = files.map(|file| ListSource::Watched(Rc::clone(file)));
        let fetched = self.requested.iter().flatten();
        files.chain(fetched.map(|list| ListSource::Requested(Rc::clone(list)))).collect()
    }

    /// The status lists that tokens may name.
    pub(super) fn status_lists(&self) -> Rc<[Rc<StatusListRequest>]> {
        self.status_lists.as_deref().unwrap_or_default().into()
    }
}
