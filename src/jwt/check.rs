//! The token check of a location, as in force.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use token::schedule::Terms;
use token::{KeySet, LivePolicy, PerKid, Revocation, Steady, Trust};

use super::challenge::Challenge;
use super::forms::DecryptionInForce;
use super::rules::Rule;
use super::sources::{AskedSource, TokenSource};
use super::uri_signing::Covering;
use crate::check::{Mode, Source, SwitchValue};
use crate::live::{Health, NamedServer, Watched, warn_without_location};
use crate::nginx::{ComplexValue, Level, Request, Server, Zone};
use crate::revoke::{ListSource, StatusListRequest};

pub(crate) struct JwtCheck {
    pub(super) switch: SwitchValue,
    pub(super) trust: Trust,
    /// Keys that decrypt and change at run time, in addition to those of `trust`.
    pub(super) decryption: DecryptionInForce,
    /// What the module adds to each policy of `trust`, by the policy's number.
    pub(super) policies: Rc<[PolicySources]>,
    /// The location's own lists, in addition to those of its providers.
    pub(super) lists: LocationLists,
    /// The location's own rules, applied after those of the provider.
    pub(super) rules: Rc<[Rc<Rule>]>,
    /// Where a token is looked for. The first source that has one counts.
    pub(super) sources: Rc<[AskedSource]>,
    /// Whether a token that is none of any provider's leads to the next source (`jwt_next`).
    pub(super) next: bool,
    pub(super) realm: Option<ComplexValue>,
    pub(super) challenge: Option<Challenge>,
    /// How the request's URI is compared with what a token covers (`jwt_uri_signing`).
    pub(super) uri_signing: Option<Covering>,
    /// Whether keys depend on variables.
    pub(super) keys_on_variables: bool,
    /// The location's own `jwt_status_list`, in addition to those of its providers.
    pub(super) status_lists: Rc<[Rc<StatusListRequest>]>,
    /// Its number, if it judges a token by nothing but the token and the time.
    pub(super) steady: Option<Steady>,
}

impl JwtCheck {
    /// Whether it refuses requests without a good token, as far as that can be known before they come.
    pub(crate) fn refuses(&self) -> bool {
        !matches!(self.switch, SwitchValue::Fixed(Mode::Optional | Mode::Permissive))
    }

    /// Whether the verdict on a token, without rules, depends on variables.
    pub(super) fn depends_on_variables(&self) -> bool {
        self.switch.depends_on_variables()
            || self
                .sources
                .iter()
                .any(|one| matches!(*one.source, TokenSource::Named(Source::Value(_))))
            || self.keys_on_variables
            || self.uri_signing.is_some()
    }

    /// Whether it judges a token by nothing but the token and the time: no keys, lists or rules are different
    /// for another request, and no rule is only tried.
    pub(super) fn is_steady(&self) -> bool {
        let is_fixed = |policy: &PolicySources| {
            let rules = policy.provider.as_ref().map(|one| &*one.rules).unwrap_or_default();
            let LiveSources { keys, revoked } = &policy.live;
            keys.is_empty()
                && revoked.is_empty()
                && policy.status_lists.is_empty()
                && rules.iter().all(|rule| rule.is_fixed())
        };
        !self.depends_on_variables()
            && self.sources.iter().all(|one| one.providers.is_none())
            && self.policies.iter().all(is_fixed)
            && self.lists.revoked.is_empty()
            && self.status_lists.is_empty()
            && self.decryption.is_fixed()
            && self.rules.iter().all(|rule| rule.is_fixed())
    }
}

/// A provider, as needed to judge its tokens.
pub(super) struct Provider {
    pub(super) name: Box<[u8]>,
    pub(super) rules: Rc<[Rc<Rule>]>,
}

/// What the module adds to a policy of the core: its provider, and its keys and lists that change at
/// run time. All locations with the same providers share it.
#[derive(Default)]
pub(super) struct PolicySources {
    /// The provider of the policy; `None` for the location's own keys.
    pub(super) provider: Option<Rc<Provider>>,
    pub(super) live: LiveSources,
    pub(super) status_lists: Rc<[Rc<StatusListRequest>]>,
    /// Tells the status lists that its keys verify from those of other policies.
    pub(super) identity: Box<[u8]>,
    /// How long fetched keys are valid if their directive does not say, in milliseconds.
    pub(super) valid: u64,
    /// The last keys and lists, reused as long as they are the same.
    pub(super) last: RefCell<Option<Rc<LivePolicy>>>,
}

/// A location's lists that change at run time.
#[derive(Default)]
pub(super) struct LocationLists {
    pub(super) revoked: Box<[ListSource]>,
    /// The last lists, reused as long as they are the same.
    pub(super) last: RefCell<Option<Rc<[Arc<Revocation>]>>>,
}

/// The sources of keys and lists that change at run time.
#[derive(Default, Clone)]
pub(super) struct LiveSources {
    pub(super) keys: Vec<Rc<KeySource>>,
    pub(super) revoked: Vec<ListSource>,
}

/// A source of keys that change at run time.
pub(super) enum KeySource {
    /// A file that is checked from time to time (`check=`).
    Watched(Rc<Watched<KeySet>>),
    /// A file with variables in its name.
    Named(KeyFile),
    /// A URI that keys are fetched from.
    Request(KeyRequest),
}

impl KeySource {
    /// The file, if it is one with variables in its name.
    pub(super) fn named(&self) -> Option<&KeyFile> {
        match self {
            Self::Named(file) => Some(file),
            Self::Watched(_) | Self::Request(_) => None,
        }
    }
}

/// A key file with variables in its name.
pub(super) struct KeyFile {
    pub(super) name: ComplexValue,
    /// The configuration's folder: a name without a leading slash is relative to it.
    pub(super) folder: Box<[u8]>,
    pub(super) health: Health,
}

/// `jwks_request`: keys that are fetched.
pub(super) struct KeyRequest {
    /// The name of the directive, and its file and line.
    pub(super) place: (Box<str>, Box<str>),
    pub(super) uri: ComplexValue,
    /// The URI if it has no variables.
    pub(super) fixed: Option<Box<[u8]>>,
    /// `per=`: each kid has a key of its own, at the URI with the kid behind it.
    pub(super) per: Option<PerKid>,
    /// `server=`: the server that has the location; `None` for the one that serves the request.
    pub(super) server: Option<Rc<NamedServer>>,
    /// `valid=`, in milliseconds; if missing, that of the [`PolicySources`] applies.
    pub(super) valid: Option<u64>,
    /// `stale=` and `timeout=`, in milliseconds.
    pub(super) stale: u64,
    pub(super) timeout: u64,
    pub(super) zone: Option<Zone>,
    /// For those of its sources that have no health of their own.
    pub(super) health: Health,
}

impl KeyRequest {
    /// The server that has the location, for this request.
    pub(super) fn server<'s>(&'s self, request: Request<'s>) -> Server<'s> {
        self.named_server().unwrap_or_else(|| request.server())
    }

    /// The server of `server=`.
    pub(super) fn named_server(&self) -> Option<Server<'_>> {
        self.server.as_ref()?.get()
    }

    /// Warns if `uri`, in the server of `level`, is a path that no location but `/` takes: its answer is
    /// hardly a key set.
    pub(super) fn warn_without_location(&self, uri: &[u8], level: &Level<'_>) {
        if self.server.is_none() {
            let behind: &[u8] = if self.per.is_some() { b"kid" } else { b"" };
            warn_without_location(&self.place, uri, behind, "keys", level);
        }
    }

    pub(super) fn terms(&self, policy: &PolicySources) -> Terms {
        let valid = self.valid.unwrap_or(policy.valid);
        Terms { valid, stale: self.stale, timeout: self.timeout }
    }
}

impl LiveSources {
    /// Whether a key is fetched for each kid (`per=`).
    pub(super) fn are_by_kid(&self) -> bool {
        let is_by_kid = |source: &KeySource| match source {
            KeySource::Request(request) => request.per.is_some(),
            KeySource::Watched(_) | KeySource::Named(_) => false,
        };
        self.keys.iter().any(|source| is_by_kid(source))
    }

    /// Whether the keys depend on the request.
    pub(super) fn keys_depend_on_variables(&self) -> bool {
        self.keys.iter().any(|source| source.depends_on_variables())
    }
}

impl KeySource {
    /// Whether the keys of this source depend on the request.
    fn depends_on_variables(&self) -> bool {
        match self {
            Self::Watched(_) => false,
            Self::Named(_) => true,
            Self::Request(request) => request.uri.has_variables(),
        }
    }
}
