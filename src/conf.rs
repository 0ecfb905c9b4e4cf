//! What a location is configured with, and how levels inherit from each other.

mod asked;
mod directives;
mod files;
mod jwt;
mod keys;
mod kids;
mod level;
mod link;
mod provider;
mod rules;
mod servers;
mod setting;

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::rc::Rc;

pub(crate) use directives::COMMANDS;
use files::Files;
pub(crate) use jwt::{JwtCheck, KeyFile, KeyRequest, KeySource, Part, PartBeside, TokenSource};
pub(crate) use level::Level;
pub(crate) use link::{LinkCheck, Signed};
pub(crate) use provider::Provider;
use provider::{ProviderList, Providers};
pub(crate) use rules::{Demand, Rule, Status};
pub(crate) use servers::descriptions;
pub(crate) use setting::NamedClaim;
use token::Cache;

use crate::ffi::ComplexValue;
use crate::keys::{KeyFiles, Sources, Zone};

/// What the `http` block says once for all.
#[derive(Default)]
pub(crate) struct MainConf {
    /// The `jwt_provider` blocks, and how directives list them.
    providers: Providers,
    /// The files that have been read for it.
    files: Files,
    /// The key files whose names hold variables.
    pub(crate) key_files: KeyFiles,
    /// What keys are fetched from.
    pub(crate) key_requests: Sources,
    /// Whether any are fetched at all.
    pub(crate) has_requests: Cell<bool>,
    /// What workers share of them.
    pub(crate) key_zone: Cell<Option<Zone>>,
    /// What `jwt_cache` says, in bytes.
    cache_size: Cell<Option<usize>>,
    /// Made when it is first needed. By then this is a worker, so each has one with a seed of its
    /// own; what is made while the configuration is read is a copy of the master's in all of them.
    cache: OnceCell<Option<Cache>>,
}

/// What `jwt_cache` says where it is not named.
const CACHE_SIZE: usize = 8 * 1024 * 1024;

impl MainConf {
    /// The memory of verified tokens, unless it is off or the system has no memory for it.
    pub(crate) fn cache(&self) -> Option<&Cache> {
        let make = || match self.cache_size.get().unwrap_or(CACHE_SIZE) {
            0 => None,
            size => Cache::new(size),
        };
        self.cache.get_or_init(make).as_ref()
    }
}

/// One level's configuration: what its own directives say and, once nginx has merged it with the
/// level above, the checks that are in force.
#[derive(Default)]
pub(crate) struct LocationConf {
    jwt: jwt::JwtSettings,
    link: link::LinkSettings,
    jwt_check: Option<Rc<JwtCheck>>,
    link_check: Option<Rc<LinkCheck>>,
}

/// `jwt` or `secure_token`.
#[derive(Clone)]
struct Switch {
    /// The directive that says it.
    name: &'static str,
    value: SwitchValue,
    /// What `provider=` names; `None` where it is not there.
    providers: Option<Rc<ProviderList>>,
    /// Where it stands.
    position: Rc<str>,
}

/// What a switch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Off,
    On,
    /// A request without a token passes; one with a bad token does not.
    Optional,
    /// Nothing is refused; `$jwt_status` tells.
    Permissive,
}

/// The position of a switch.
#[derive(Clone, Copy)]
pub(crate) enum SwitchValue {
    Fixed(Mode),
    /// Known only when a request is there.
    Variable(ComplexValue),
}

/// A mistake that shows only once all levels have been read.
pub(crate) struct MergeError {
    what: String,
    position: Rc<str>,
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.what, self.position)
    }
}

impl LocationConf {
    /// The token check in force, if any.
    pub(crate) fn jwt_check(&self) -> Option<&Rc<JwtCheck>> {
        self.jwt_check.as_ref()
    }

    /// The link check in force, if any.
    pub(crate) fn link_check(&self) -> Option<&Rc<LinkCheck>> {
        self.link_check.as_ref()
    }

    /// Inherits from the level above what this one does not name, and works out the checks. A
    /// level that names nothing shares the check of the level above, so that what was judged for
    /// the one is known to hold for the other.
    pub(crate) fn merge(
        &mut self,
        parent: &Self,
        main: &MainConf,
        level: &Level<'_>,
    ) -> Result<(), MergeError> {
        self.jwt.refuse_two_kinds_of_keys()?;
        let named = self.jwt.inherit(&parent.jwt);
        self.jwt.asked.warn_if_off(self.jwt.switch.as_ref(), level);
        self.jwt_check = match &parent.jwt_check {
            Some(check) if !named => Some(Rc::clone(check)),
            _ => self.jwt.check(&main.providers)?.map(Rc::new),
        };
        self.jwt.refuse_to_be_open(self.jwt_check.is_some(), level)?;
        let named = self.link.inherit(&parent.link);
        self.link.asked.warn_if_off(self.link.switch.as_ref(), level);
        self.link_check = match &parent.link_check {
            Some(check) if !named => Some(Rc::clone(check)),
            _ => self.link.check()?.map(Rc::new),
        };
        self.link.refuse_to_be_open(self.link_check.is_some(), level)
    }
}

/// Takes the parent's value where there is none; tells whether there was one.
fn inherit<T: Clone>(own: &mut Option<T>, parent: &Option<T>) -> bool {
    let named = own.is_some();
    if !named {
        own.clone_from(parent);
    }
    named
}
