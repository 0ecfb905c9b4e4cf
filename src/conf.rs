//! What a location is configured with, and how levels inherit from each other.

mod directives;
mod kids;
mod setting;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use token::{AlgorithmSet, KeySet, LinkAlgorithm, LinkPolicy, LinkSecret, Policy};

use crate::ffi::ComplexValue;

pub(crate) use directives::COMMANDS;

/// One level's configuration: what its own directives say and, once nginx has merged it with the
/// level above, the checks that are in force.
#[derive(Default)]
pub(crate) struct LocationConf {
    jwt: JwtSettings,
    link: LinkSettings,
    jwt_check: Option<Rc<JwtCheck>>,
    link_check: Option<Rc<LinkCheck>>,
}

/// The token check of a location.
pub(crate) struct JwtCheck {
    pub(crate) policy: Policy,
    /// Where a token is looked for; the first that has one counts.
    pub(crate) sources: Rc<[TokenSource]>,
    pub(crate) realm: Option<ComplexValue>,
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

/// The link check of a location.
pub(crate) struct LinkCheck {
    pub(crate) policy: LinkPolicy,
    pub(crate) signed: Signed,
    pub(crate) args: Rc<LinkArgs>,
}

/// What the signature of a link is over.
pub(crate) enum Signed {
    /// `$uri`, the default.
    Uri,
    /// `secure_token_value`.
    Value(ComplexValue),
    /// `secure_token_md5`, which names the expiry itself.
    Expression(ComplexValue),
}

/// The names of a link's two query arguments.
pub(crate) struct LinkArgs {
    pub(crate) signature: Box<[u8]>,
    pub(crate) expires: Box<[u8]>,
}

/// The `jwt_*` directives of one level; `None` where it does not name one.
#[derive(Default)]
struct JwtSettings {
    switch: Option<Switch>,
    /// Every directive that brings keys adds to this one list.
    keys: Option<Vec<Arc<KeySet>>>,
    algorithms: Option<AlgorithmSet>,
    sources: Option<Rc<[TokenSource]>>,
    realm: Option<ComplexValue>,
    issuers: Option<Box<[Box<str>]>>,
    audiences: Option<Box<[Box<str>]>>,
    types: Option<Box<[Box<str>]>>,
    leeway: Option<i64>,
    require_exp: Option<bool>,
    max_lifetime: Option<i64>,
}

/// The `secure_token*` directives of one level.
#[derive(Default)]
struct LinkSettings {
    switch: Option<Switch>,
    keys: Option<Rc<LinkKeys>>,
    accepted: Option<Vec<LinkAlgorithm>>,
    value: Option<ComplexValue>,
    args: Option<Rc<LinkArgs>>,
}

/// `secure_token_secret` and `secure_token_md5` bring what links are signed with; a level that
/// names one inherits neither.
#[derive(Clone)]
enum LinkKeys {
    Secrets(Arc<[LinkSecret]>),
    Expression(ComplexValue),
}

/// `jwt` or `secure_token`, and where it stands.
#[derive(Clone)]
struct Switch {
    on: bool,
    position: Rc<str>,
}

/// A mistake that shows only once all levels have been read.
pub(crate) struct MergeError {
    directive: &'static str,
    what: &'static str,
    position: Rc<str>,
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" {} in {}", self.directive, self.what, self.position)
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
    /// level that names nothing shares the check of the level above, so that what was verified
    /// for the one is known to hold for the other.
    pub(crate) fn merge(&mut self, parent: &Self) -> Result<(), MergeError> {
        let named = self.jwt.inherit(&parent.jwt);
        self.jwt_check = match &parent.jwt_check {
            Some(check) if !named => Some(Rc::clone(check)),
            _ => self.jwt.check()?.map(Rc::new),
        };
        let named = self.link.inherit(&parent.link);
        self.link_check = match &parent.link_check {
            Some(check) if !named => Some(Rc::clone(check)),
            _ => self.link.check()?.map(Rc::new),
        };
        Ok(())
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

impl JwtSettings {
    fn inherit(&mut self, parent: &Self) -> bool {
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
    }

    /// Keys in force switch the check on, unless it is switched off.
    fn check(&self) -> Result<Option<JwtCheck>, MergeError> {
        let keys = match (&self.switch, &self.keys) {
            (Some(Switch { on: false, .. }), _) | (None, None) => return Ok(None),
            (Some(Switch { on: true, position }), None) => {
                return Err(MergeError {
                    directive: "jwt on",
                    what: "has no keys: name a jwt_kids, jwt_kids_file or jwks_file, here or on \
                           a level above,",
                    position: Rc::clone(position),
                });
            }
            (_, Some(keys)) => keys.clone(),
        };
        let policy = Policy {
            keys,
            algorithms: self.algorithms,
            issuers: self.issuers.clone().unwrap_or_default(),
            audiences: self.audiences.clone().unwrap_or_default(),
            types: self.types.clone().unwrap_or_default(),
            leeway: self.leeway.unwrap_or(0),
            require_exp: self.require_exp.unwrap_or(false),
            max_lifetime: self.max_lifetime,
        };
        let sources = self.sources.clone().unwrap_or_else(|| Rc::new([TokenSource::Bearer]));
        Ok(Some(JwtCheck { policy, sources, realm: self.realm }))
    }
}

impl LinkSettings {
    fn inherit(&mut self, parent: &Self) -> bool {
        inherit(&mut self.switch, &parent.switch)
            | inherit(&mut self.keys, &parent.keys)
            | inherit(&mut self.accepted, &parent.accepted)
            | inherit(&mut self.value, &parent.value)
            | inherit(&mut self.args, &parent.args)
    }

    /// Secrets in force switch the check on, unless it is switched off.
    fn check(&self) -> Result<Option<LinkCheck>, MergeError> {
        let keys = match (&self.switch, &self.keys) {
            (Some(Switch { on: false, .. }), _) | (None, None) => return Ok(None),
            (Some(Switch { on: true, position }), None) => {
                return Err(MergeError {
                    directive: "secure_token on",
                    what: "has no secret: name a secure_token_secret, here or on a level above,",
                    position: Rc::clone(position),
                });
            }
            (_, Some(keys)) => keys,
        };
        let (policy, signed) = match &**keys {
            LinkKeys::Expression(expression) => {
                (LinkPolicy::Expression, Signed::Expression(*expression))
            }
            LinkKeys::Secrets(secrets) => (
                LinkPolicy::Secrets {
                    secrets: Arc::clone(secrets),
                    accepted: self.accepted.clone().unwrap_or_default(),
                },
                self.value.map_or(Signed::Uri, Signed::Value),
            ),
        };
        let args = self.args.clone().unwrap_or_else(|| {
            Rc::new(LinkArgs { signature: b"st"[..].into(), expires: b"e"[..].into() })
        });
        Ok(Some(LinkCheck { policy, signed, args }))
    }
}
