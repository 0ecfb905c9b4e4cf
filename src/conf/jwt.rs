//! The token check of a location, and the settings that it is made of.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use token::schedule::Terms;
use token::{
    AlgorithmSet, KeySet, LivePolicy, LocationPolicy, Policy, Requirements, Revocation, Trust,
};

use super::asked::{Asked, Lack};
use super::provider::{Provider, ProviderList, Providers};
use super::{Level, MergeError, Mode, Rule, Switch, SwitchValue, inherit};
use crate::ffi::ComplexValue;
use crate::keys::{Watched, Zone};

/// The token check of a location.
pub(crate) struct JwtCheck {
    pub(crate) switch: SwitchValue,
    pub(crate) trust: Trust,
    /// What each policy of `trust` adds, by its number.
    pub(crate) parts: Rc<[Part]>,
    /// What the location adds to what providers do.
    pub(crate) beside: PartBeside,
    /// The location's own rules, judged after those of the policy.
    pub(crate) rules: Rc<[Rc<Rule>]>,
    /// Where a token is looked for; the first that has one counts.
    pub(crate) sources: Rc<[TokenSource]>,
    pub(crate) realm: Option<ComplexValue>,
    /// Whether keys depend on variables.
    keys_on_variables: bool,
}

impl JwtCheck {
    /// Whether the verdict on a token, rules aside, rests on variables.
    pub(crate) fn depends_on_variables(&self) -> bool {
        matches!(self.switch, SwitchValue::Variable(_))
            || self.sources.iter().any(|source| matches!(source, TokenSource::Value(_)))
            || self.keys_on_variables
    }
}

/// What the core does not need to know of a policy. A provider's is shared by all locations that
/// judge by the same providers.
#[derive(Default)]
pub(crate) struct Part {
    /// The provider that it is; `None` for the location's own keys.
    pub(crate) provider: Option<Rc<Provider>>,
    /// What it goes by beside what the configuration fixes.
    pub(crate) sources: Sources,
    /// How long fetched keys serve where their directive does not say, in milliseconds.
    pub(crate) valid: u64,
    /// What the sources gave last, for as long as they give the same.
    pub(crate) lent: RefCell<Option<Rc<LivePolicy>>>,
}

/// What the core does not need to know of what a location demands beside providers.
#[derive(Default)]
pub(crate) struct PartBeside {
    /// Lists that change while requests flow.
    pub(crate) revoked: Box<[Rc<Watched<Revocation>>]>,
    /// What they gave last, for as long as they give the same.
    pub(crate) lent: RefCell<Option<Rc<[Arc<Revocation>]>>>,
}

/// `valid=` where neither it nor `auth_jwt_key_cache` is there.
const VALID: u64 = 10 * 60 * 1000;

/// Where keys and lists come from that change while requests flow.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) keys: Vec<Rc<KeySource>>,
    pub(crate) revoked: Vec<Rc<Watched<Revocation>>>,
}

/// Where keys come from that change while requests flow.
pub(crate) enum KeySource {
    /// A file that is looked at from time to time.
    Watched(Rc<Watched<KeySet>>),
    /// A file whose name holds variables.
    Named(KeyFile),
    /// A URI.
    Request(KeyRequest),
}

/// A key file whose name holds variables.
pub(crate) struct KeyFile {
    pub(crate) name: ComplexValue,
    /// The configuration's folder, which a name that does not begin with a slash is relative to.
    pub(crate) folder: Box<[u8]>,
}

/// `jwks_request`: keys that are fetched.
pub(crate) struct KeyRequest {
    pub(crate) uri: ComplexValue,
    /// `valid=`, in milliseconds; where it is not named, that of the [`Part`].
    pub(crate) valid: Option<u64>,
    pub(crate) stale: u64,
    pub(crate) timeout: u64,
    pub(crate) zone: Option<Zone>,
}

impl KeyRequest {
    pub(crate) fn terms(&self, part: &Part) -> Terms {
        let valid = self.valid.unwrap_or(part.valid);
        Terms { valid, stale: self.stale, timeout: self.timeout }
    }
}

impl Sources {
    /// Whether what keys they give depends on the request.
    pub(super) fn depend_on_variables(&self) -> bool {
        self.keys.iter().any(|source| source.depends_on_variables())
    }
}

impl KeySource {
    /// Whether what it gives depends on the request.
    fn depends_on_variables(&self) -> bool {
        match self {
            Self::Watched(_) => false,
            Self::Named(_) => true,
            Self::Request(request) => request.uri.has_variables(),
        }
    }
}

/// Where a token is looked for.
pub(crate) enum TokenSource {
    /// The `Authorization` header with the scheme `Bearer`.
    Bearer,
    /// A header, where a leading `Bearer ` is dropped.
    Header(Box<[u8]>),
    Cookie(Box<[u8]>),
    Arg(Box<[u8]>),
    /// A value with variables.
    Value(ComplexValue),
}

/// The `jwt_*` directives of one level; `None` where it does not name one.
#[derive(Default)]
pub(super) struct JwtSettings {
    pub(super) switch: Option<Switch>,
    pub(super) keys: Option<Keys>,
    pub(super) algorithms: Option<AlgorithmSet>,
    pub(super) sources: Option<Rc<[TokenSource]>>,
    pub(super) realm: Option<ComplexValue>,
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
    /// Whether the level says `auth_jwt`, which without `token=` means the bearer token whatever
    /// the level above says.
    pub(super) auth_jwt: bool,
    /// Where those of the directives stand that demand something of a token, or bring keys.
    pub(super) asked: Asked,
}

/// The key sources of one level: every directive that brings keys adds to this one list.
#[derive(Default, Clone)]
pub(super) struct Keys {
    pub(super) sets: Vec<Arc<KeySet>>,
    pub(super) sources: Vec<Rc<KeySource>>,
    /// Whether one of them is named by a directive whose being there switches the check on;
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

impl JwtSettings {
    /// Takes from the level above what this one does not name; tells whether it names anything.
    ///
    /// Keys and `provider=` are one thing to inherit: a level that names either takes neither.
    pub(super) fn inherit(&mut self, parent: &Self) -> bool {
        if self.auth_jwt && self.sources.is_none() {
            self.sources = Some(Rc::new([TokenSource::Bearer]));
        }
        self.asked.note_off(self.switch.as_ref(), parent.switch.as_ref());
        self.asked.inherit(&parent.asked);
        let own_keys = self.keys.is_some() && self.switch.is_none();
        let own_providers = self.switch.as_ref().is_some_and(|own| own.providers.is_some());
        let named = self.inherit_each(parent);
        if own_providers {
            self.keys = None;
        }
        if own_keys && let Some(switch) = &mut self.switch {
            switch.providers = None;
        }
        named
    }

    fn inherit_each(&mut self, parent: &Self) -> bool {
        // Named without `..`, so that no field is forgotten: a level would then share the check of the
        // level above although it asks for more.
        let Self {
            switch,
            keys,
            algorithms,
            sources,
            realm,
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
            auth_jwt: _,
            asked: _,
        } = self;
        // Not short-circuiting: each line has to inherit.
        inherit(switch, &parent.switch)
            | inherit(keys, &parent.keys)
            | inherit(algorithms, &parent.algorithms)
            | inherit(sources, &parent.sources)
            | inherit(realm, &parent.realm)
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

    /// Before anything is inherited: refuses a level that names keys and providers.
    pub(super) fn refuse_two_kinds_of_keys(&self) -> Result<(), MergeError> {
        match (&self.switch, &self.keys) {
            (Some(switch), Some(_)) if switch.providers.is_some() => Err(MergeError {
                what: "\"jwt\" names a provider beside keys of this level, which it would not use,"
                    .to_owned(),
                position: Rc::clone(&switch.position),
            }),
            _ => Ok(()),
        }
    }

    /// Once everything is inherited: refuses rules where no check is in force, though none was
    /// switched off.
    pub(super) fn refuse_to_be_open(
        &self,
        in_force: bool,
        level: &Level<'_>,
    ) -> Result<(), MergeError> {
        if in_force || self.switch.is_some() {
            return Ok(());
        }
        let lack = match &self.keys {
            None => Lack {
                switch: "jwt",
                what: "keys",
                add: "name a jwt_kids, jwt_kids_file, jwks_file, jwks_request or \"jwt on \
                      provider=...\" there or on a level above",
            },
            // Those of auth_jwt_key_file and auth_jwt_key_request.
            Some(_) => Lack {
                switch: "jwt",
                what: "check",
                add: "keys of an auth_jwt_key_file or auth_jwt_key_request do not switch it on \
                      by themselves, so add auth_jwt or \"jwt on\"",
            },
        };
        self.asked.complain(level, &lack)
    }

    /// Keys in force switch the check on, unless it is switched off.
    pub(super) fn check(&self, providers: &Providers) -> Result<Option<JwtCheck>, MergeError> {
        let switch = match (&self.switch, &self.keys) {
            (Some(Switch { value: SwitchValue::Fixed(Mode::Off), .. }), _) => return Ok(None),
            (Some(switch @ Switch { providers: Some(list), .. }), _) => {
                return self.check_of_providers(switch, list, providers).map(Some);
            }
            (Some(Switch { name, position, .. }), None) => {
                return Err(MergeError {
                    what: format!(
                        "\"{name}\" has no keys: name a jwt_kids, jwt_kids_file, jwks_file, \
                         jwks_request, auth_jwt_key_file, auth_jwt_key_request or \"jwt on \
                         provider=...\", here or on a level above,"
                    ),
                    position: Rc::clone(position),
                });
            }
            (Some(switch), Some(_)) => switch.value,
            (None, Some(Keys { switch_on: true, .. })) => SwitchValue::Fixed(Mode::On),
            (None, _) => return Ok(None),
        };
        let part = self.part(None);
        let sources = self.sources.clone().unwrap_or_else(|| Rc::new([TokenSource::Bearer]));
        Ok(Some(JwtCheck {
            switch,
            trust: Trust::Keys(self.policy()),
            keys_on_variables: part.sources.depend_on_variables(),
            parts: Rc::new([part]),
            beside: PartBeside::default(),
            rules: self.rules(),
            sources,
            realm: self.realm,
        }))
    }

    /// The check by the providers of `list`. What the location demands, it demands beside what the
    /// provider does: nothing of the one is lost to the other.
    fn check_of_providers(
        &self,
        switch: &Switch,
        list: &ProviderList,
        providers: &Providers,
    ) -> Result<JwtCheck, MergeError> {
        let mistake = |what| MergeError { what, position: Rc::clone(&switch.position) };
        let listed = list.resolve(providers).map_err(mistake)?;
        let revoked = self.revoked.clone().unwrap_or_default();
        let beside = LocationPolicy {
            algorithms: self.algorithms,
            leeway: self.leeway,
            requirements: self.requirements(),
            revoked: revoked.lists,
        };
        Ok(JwtCheck {
            switch: switch.value,
            trust: Trust::Providers(Arc::clone(&listed.policies), beside),
            parts: Rc::clone(&listed.parts),
            beside: PartBeside { revoked: revoked.watched.into(), ..PartBeside::default() },
            rules: self.rules(),
            sources: self.sources.clone().unwrap_or_else(|| Rc::new([TokenSource::Bearer])),
            realm: self.realm,
            keys_on_variables: listed.keys_on_variables,
        })
    }

    /// The policy that the keys and demands of this level make.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            keys: self.keys.as_ref().map(|keys| keys.sets.clone()).unwrap_or_default(),
            algorithms: self.algorithms,
            leeway: self.leeway.unwrap_or(0),
            requirements: vec![self.requirements()],
            revoked: self.revoked.as_ref().map(|one| one.lists.clone()).unwrap_or_default(),
        }
    }

    /// What goes with [`JwtSettings::policy`].
    pub(super) fn part(&self, provider: Option<Rc<Provider>>) -> Part {
        let sources = Sources {
            keys: self.keys.as_ref().map(|keys| keys.sources.clone()).unwrap_or_default(),
            revoked: self.revoked.as_ref().map(|one| one.watched.clone()).unwrap_or_default(),
        };
        let valid = self.key_cache.unwrap_or(VALID);
        Part { provider, sources, valid, lent: RefCell::default() }
    }

    fn requirements(&self) -> Requirements {
        Requirements {
            issuers: self.issuers.clone().unwrap_or_default(),
            audiences: self.audiences.clone().unwrap_or_default(),
            types: self.types.clone().unwrap_or_default(),
            require_exp: self.require_exp.unwrap_or(false),
            max_lifetime: self.max_lifetime,
        }
    }

    pub(super) fn rules(&self) -> Rc<[Rc<Rule>]> {
        [&self.claims, &self.requires].into_iter().flatten().flatten().cloned().collect()
    }
}
