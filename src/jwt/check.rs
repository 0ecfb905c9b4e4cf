//! The token check of a location, as it is in force.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use token::schedule::Terms;
use token::{KeySet, LivePolicy, Revocation, Trust};

use super::rules::Rule;
use super::sources::TokenSource;
use crate::check::SwitchValue;
use crate::live::Watched;
use crate::nginx::{ComplexValue, Zone};

/// The token check of a location.
pub(crate) struct JwtCheck {
    pub(super) switch: SwitchValue,
    pub(super) trust: Trust,
    /// What each policy of `trust` adds, by its number.
    pub(super) policies: Rc<[PolicySources]>,
    /// The lists of the location itself, beside those of its providers.
    pub(super) lists: LocationLists,
    /// The location's own rules, judged after those of the policy.
    pub(super) rules: Rc<[Rc<Rule>]>,
    /// Where a token is looked for; the first that has one counts.
    pub(super) sources: Rc<[TokenSource]>,
    pub(super) realm: Option<ComplexValue>,
    /// Whether keys depend on variables.
    pub(super) keys_on_variables: bool,
}

impl JwtCheck {
    /// Whether the verdict on a token, rules aside, rests on variables.
    pub(super) fn depends_on_variables(&self) -> bool {
        self.switch.depends_on_variables()
            || self.sources.iter().any(|source| matches!(source, TokenSource::Value(_)))
            || self.keys_on_variables
    }
}

/// A provider, as tokens of it are judged.
pub(super) struct Provider {
    pub(super) name: Box<[u8]>,
    pub(super) rules: Rc<[Rc<Rule>]>,
}

/// What a policy of the core has beside it here: where it comes from, and its keys and lists that
/// change at run time. A provider's is shared by all locations that judge by the same providers.
#[derive(Default)]
pub(super) struct PolicySources {
    /// The provider that it is; `None` for the location's own keys.
    pub(super) provider: Option<Rc<Provider>>,
    pub(super) live: LiveSources,
    /// How long fetched keys serve where their directive does not say, in milliseconds.
    pub(super) valid: u64,
    /// What the keys and lists were last, for as long as they are the same.
    pub(super) last: RefCell<Option<Rc<LivePolicy>>>,
}

/// Lists of a location that change at run time.
#[derive(Default)]
pub(super) struct LocationLists {
    pub(super) revoked: Box<[Rc<Watched<Revocation>>]>,
    /// What they were last, for as long as they are the same.
    pub(super) last: RefCell<Option<Rc<[Arc<Revocation>]>>>,
}

/// Where keys and lists come from that change at run time.
#[derive(Default, Clone)]
pub(super) struct LiveSources {
    pub(super) keys: Vec<Rc<KeySource>>,
    pub(super) revoked: Vec<Rc<Watched<Revocation>>>,
}

/// Where keys come from that change at run time.
pub(super) enum KeySource {
    /// A file that is checked from time to time (`check=`).
    Watched(Rc<Watched<KeySet>>),
    /// A file whose name holds variables.
    Named(KeyFile),
    /// A URI.
    Request(KeyRequest),
}

/// A key file whose name holds variables.
pub(super) struct KeyFile {
    pub(super) name: ComplexValue,
    /// The configuration's folder, which a name that does not begin with a slash is relative to.
    pub(super) folder: Box<[u8]>,
}

/// `jwks_request`: keys that are fetched.
pub(super) struct KeyRequest {
    pub(super) uri: ComplexValue,
    /// `valid=`, in milliseconds; where it is not there, that of the [`PolicySources`].
    pub(super) valid: Option<u64>,
    /// `stale=` and `timeout=`, in milliseconds.
    pub(super) stale: u64,
    pub(super) timeout: u64,
    pub(super) zone: Option<Zone>,
}

impl KeyRequest {
    pub(super) fn terms(&self, policy: &PolicySources) -> Terms {
        let valid = self.valid.unwrap_or(policy.valid);
        Terms { valid, stale: self.stale, timeout: self.timeout }
    }
}

impl LiveSources {
    /// Whether what keys they give depends on the request.
    pub(super) fn keys_depend_on_variables(&self) -> bool {
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
