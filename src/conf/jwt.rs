//! The token check of a location, and the settings that it is made of.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use token::schedule::Terms;
use token::{AlgorithmSet, Demands, KeySet, Lent, Policy, Revocation, Trust};

use super::{MergeError, Mode, Provider, Rule, Switch, SwitchValue, inherit};
use crate::ffi::ComplexValue;
use crate::keys::{Watched, Zone};

/// The token check of a location.
pub(crate) struct JwtCheck {
    pub(crate) switch: SwitchValue,
    pub(crate) trust: Trust,
    /// What each policy of `trust` adds, by its number.
    pub(crate) parts: Vec<Part>,
    /// The location's own rules, judged after those of the policy.
    pub(crate) rules: Rc<[Rc<Rule>]>,
    /// Where a token is looked for; the first that has one counts.
    pub(crate) sources: Rc<[TokenSource]>,
    pub(crate) realm: Option<ComplexValue>,
}

impl JwtCheck {
    /// Whether the verdict on a token, rules aside, rests on variables.
    pub(crate) fn depends_on_variables(&self) -> bool {
        matches!(self.switch, SwitchValue::Variable(_))
            || self.sources.iter().any(|source| matches!(source, TokenSource::Value(_)))
            || self
                .parts
                .iter()
                .flat_map(|part| &part.sources.keys)
                .any(|source| source.depends_on_variables())
    }
}

/// What the core does not need to know of a policy.
#[derive(Default)]
pub(crate) struct Part {
    /// The provider that it is; `None` for the location's own keys.
    pub(crate) provider: Option<Rc<Provider>>,
    /// What it goes by beside what the configuration fixes.
    pub(crate) sources: Sources,
    /// How long fetched keys serve where their directive does not say, in milliseconds.
    pub(crate) valid: u64,
    /// What the sources gave last, for as long as they give the same.
    pub(crate) lent: RefCell<Option<Rc<Lent>>>,
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
        let own_keys = self.keys.is_some() && self.switch.is_none();
        let own_providers = self.switch.as_ref().is_some_and(|own| !own.providers.is_empty());
        let named = self.inherit_each(parent);
        if own_providers {
            self.keys = None;
        }
        if own_keys && let Some(switch) = &mut self.switch {
            switch.providers = Rc::new([]);
        }
        named
    }

    fn inherit_each(&mut self, parent: &Self) -> bool {
        // Not short-circuiting: each line has to inherit.
        inherit(&mut self.switch, &parent.switch)
            | inherit(&mut self.keys, &parent.keys)
            | inherit(&mut self.algorithms, &parent.algorithms)
            | inherit(&mut self.sources, &parent.sources)
            | inherit(&mut self.realm, &parent.realm)
            | inherit(&mut self.issuers, &parent.issuers)
            | inherit(&mut self.audiences, &parent.audiences)
            | inherit(&mut self.types, &parent.types)
            | inherit(&mut self.leeway, &parent.leeway)
            | inherit(&mut self.require_exp, &parent.require_exp)
            | inherit(&mut self.max_lifetime, &parent.max_lifetime)
            | inherit(&mut self.claims, &parent.claims)
            | inherit(&mut self.requires, &parent.requires)
            | inherit(&mut self.revoked, &parent.revoked)
            | inherit(&mut self.key_cache, &parent.key_cache)
    }

    /// Before anything is inherited: refuses a level that names keys and providers.
    pub(super) fn refuse_two_kinds_of_keys(&self) -> Result<(), MergeError> {
        match (&self.switch, &self.keys) {
            (Some(switch), Some(_)) if !switch.providers.is_empty() => Err(MergeError {
                what: "\"jwt\" names a provider beside keys of this level, which it would not use,"
                    .to_owned(),
                position: Rc::clone(&switch.position),
            }),
            _ => Ok(()),
        }
    }

    /// Keys in force switch the check on, unless it is switched off.
    pub(super) fn check(&self, providers: &[Rc<Provider>]) -> Result<Option<JwtCheck>, MergeError> {
        let switch = match (&self.switch, &self.keys) {
            (Some(Switch { value: SwitchValue::Fixed(Mode::Off), .. }), _) => return Ok(None),
            (Some(switch), _) if !switch.providers.is_empty() => {
                return self.check_of_providers(switch, providers).map(Some);
            }
            (Some(Switch { position, .. }), None) => {
                return Err(MergeError {
                    what: "\"jwt\" has no keys: name a jwt_kids, jwt_kids_file, jwks_file, \
                           jwks_request, auth_jwt_key_file, auth_jwt_key_request or provider=, \
                           here or on a level above,"
                        .to_owned(),
                    position: Rc::clone(position),
                });
            }
            (Some(switch), Some(_)) => switch.value,
            (None, Some(Keys { switch_on: true, .. })) => SwitchValue::Fixed(Mode::On),
            (None, _) => return Ok(None),
        };
        let sources = self.sources([self]);
        let valid = self.key_cache.unwrap_or(VALID);
        let part = Part { sources, valid, ..Part::default() };
        let sources = self.sources.clone().unwrap_or_else(|| Rc::new([TokenSource::Bearer]));
        Ok(Some(JwtCheck {
            switch,
            trust: Trust::Keys(self.policy(Vec::new())),
            parts: vec![part],
            rules: self.rules(),
            sources,
            realm: self.realm,
        }))
    }

    /// The check by the providers that `switch` names. What the location demands, it demands
    /// beside what the provider does: nothing of the one is lost to the other.
    fn check_of_providers(
        &self,
        switch: &Switch,
        providers: &[Rc<Provider>],
    ) -> Result<JwtCheck, MergeError> {
        let mistake = |what| MergeError { what, position: Rc::clone(&switch.position) };
        let (mut policies, mut parts) = (Vec::<Policy>::new(), Vec::new());
        for name in &*switch.providers {
            let provider = providers.iter().find(|one| *one.name == **name).ok_or_else(|| {
                let name = name.escape_ascii();
                mistake(format!(
                    "\"jwt\" names provider \"{name}\", but there is no such jwt_provider,"
                ))
            })?;
            let issuers = || provider.settings.issuers.iter().flat_map(|list| list.iter());
            let known = |issuer: &str| {
                policies
                    .iter()
                    .filter_map(|p| p.demands.first())
                    .any(|d| d.issuers.iter().any(|one| **one == *issuer))
            };
            if let Some(issuer) = issuers().find(|issuer| known(issuer)) {
                return Err(mistake(format!(
                    "\"jwt\" names two providers of issuer \"{issuer}\", by which they are told apart,"
                )));
            }
            let theirs = &provider.settings;
            let mut policy = theirs.policy(vec![self.demands()]);
            policy.algorithms = match (theirs.algorithms, self.algorithms) {
                (Some(a), Some(b)) => Some(a.intersection(b)),
                (a, b) => a.or(b),
            };
            policy.leeway = self.leeway.or(theirs.leeway).unwrap_or(0);
            policy.revoked.extend(self.revoked.iter().flat_map(|one| &one.lists).cloned());
            policies.push(policy);
            let sources = theirs.sources([theirs, self]);
            let provider = Some(Rc::clone(provider));
            parts.push(Part { provider, sources, valid: VALID, ..Part::default() });
        }
        Ok(JwtCheck {
            switch: switch.value,
            trust: Trust::Providers(policies),
            parts,
            rules: self.rules(),
            sources: self.sources.clone().unwrap_or_else(|| Rc::new([TokenSource::Bearer])),
            realm: self.realm,
        })
    }

    fn policy(&self, further: Vec<Demands>) -> Policy {
        let mut demands = vec![self.demands()];
        demands.extend(further);
        Policy {
            keys: self.keys.as_ref().map(|keys| keys.sets.clone()).unwrap_or_default(),
            algorithms: self.algorithms,
            leeway: self.leeway.unwrap_or(0),
            demands,
            revoked: self.revoked.as_ref().map(|one| one.lists.clone()).unwrap_or_default(),
        }
    }

    fn demands(&self) -> Demands {
        Demands {
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

    /// The sources of this level's keys, and of the lists of what is revoked on each of `levels`.
    fn sources<'s>(&self, levels: impl IntoIterator<Item = &'s Self>) -> Sources {
        let revoked = levels.into_iter().flat_map(|level| &level.revoked);
        Sources {
            keys: self.keys.as_ref().map(|keys| keys.sources.clone()).unwrap_or_default(),
            revoked: revoked.flat_map(|one| &one.watched).cloned().collect(),
        }
    }
}
