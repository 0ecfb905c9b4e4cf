//! Verdicts on tokens, and what a request keeps of them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use token::cdni::Renewal;
use token::{Refusal, Verified};

use super::check::{JwtCheck, Provider};
use super::found::FoundTokens;
use super::rules::Rule;
use super::uri_signing::Renewable;
use crate::check::{Mode, NoVerdict, Verdict, Verdicts};
use crate::live::Wait;

/// The verdict on a token. Its copies share the token.
#[derive(Clone)]
pub(super) struct JwtVerdict {
    pub(super) mode: Mode,
    /// The check that gave it.
    pub(super) check: Rc<JwtCheck>,
    /// The token without rules: form, signature, registered claims.
    pub(super) token: Result<Verified, Box<Refusal>>,
    /// The provider that the token is from, if the token was verified.
    pub(super) provider: Option<Rc<Provider>>,
    /// The number of the check's source where the token was.
    pub(super) found_in: Option<u32>,
    /// The result of the rules, after they were evaluated. This comes after the token is verified,
    /// since the rules' values may hold variables that show its claims.
    pub(super) by_rules: ByRules,
    /// How the token is renewed.
    pub(super) renewal: Option<Rc<Renewal>>,
}

impl JwtVerdict {
    /// The rules for the token, in the order in which they apply: the provider's, then the check's.
    pub(super) fn all_rules(&self) -> impl Iterator<Item = &Rc<Rule>> {
        let provider = self.provider.as_ref().map(|one| &*one.rules).unwrap_or_default();
        provider.iter().chain(&*self.check.rules)
    }
}

impl Verdict for JwtVerdict {
    fn mode(&self) -> Mode {
        self.mode
    }
}

/// The result of the rules for a verified token.
#[derive(Clone, Default)]
pub(super) enum ByRules {
    #[default]
    Unknown,
    /// Being evaluated now. Variables meanwhile show the token without rules.
    Judging,
    Hold,
    /// This rule does not hold.
    Deny(Rc<Rule>),
    /// A rule could not be evaluated. It is not tried again: nginx may read a variable twice, and must
    /// see the same value.
    Failed(NoVerdict),
}

impl ByRules {
    /// Whether all rules hold.
    pub(super) fn hold(&self) -> bool {
        matches!(self, Self::Hold)
    }
}

/// What is kept with a request for its token checks.
#[derive(Default)]
pub(crate) struct Kept {
    pub(super) verdicts: Verdicts<JwtCheck, JwtVerdict>,
    pub(super) found: FoundTokens,
    /// The token that the check has let pass last, if it is to be renewed.
    pub(super) renewable: RefCell<Option<Box<Renewable>>>,
    /// The fetches that the request waits for.
    pub(super) wait: Wait,
    /// Whether the log has a line about a value with a control character.
    pub(super) control_logged: Cell<bool>,
}
