//! Verdicts on tokens, and what is kept with a request of them.

use std::cell::Cell;
use std::rc::Rc;

use token::{KeySet, Refusal, Verified};

use super::check::{JwtCheck, Provider};
use super::found::FoundTokens;
use super::rules::Rule;
use crate::check::{Mode, NoVerdict, Verdicts};
use crate::live::Wait;

/// The judgement of a token. A copy of it shares the token.
#[derive(Clone)]
pub(super) struct JwtVerdict {
    /// Which of the request's verdicts it is: what its copies are known by.
    pub(super) number: usize,
    pub(super) mode: Mode,
    /// The token by itself: form, signature, registered claims.
    pub(super) token: Result<Verified, Refusal>,
    /// The provider that the token is from, of a token that is good by itself.
    pub(super) provider: Option<Rc<Provider>>,
    /// The rules of the check that gave the verdict, which come after the provider's.
    pub(super) rules: Rc<[Rc<Rule>]>,
    /// What the rules say, once they were evaluated. They come after the token, since their values
    /// may hold variables that show its claims.
    pub(super) by_rules: ByRules,
}

/// What rules say of a token that is good by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ByRules {
    #[default]
    Unknown,
    /// Being evaluated now: what a variable shows meanwhile is the token by itself.
    Judging,
    Hold,
    Deny,
    /// A rule could not be evaluated, and is not tried again: nginx may read a variable twice.
    Failed(NoVerdict),
}

/// What is kept with a request for its token checks.
#[derive(Default)]
pub(crate) struct Kept {
    pub(super) verdicts: Verdicts<JwtCheck, JwtVerdict>,
    pub(super) found: FoundTokens,
    /// Keys that the request waits for.
    pub(super) wait: Wait<KeySet>,
    /// Whether the log has been told of a value that is shown as nothing.
    pub(super) control_told: Cell<bool>,
    /// How many verdicts there were.
    count: Cell<usize>,
}

impl Kept {
    /// The number of a verdict to be.
    pub(super) fn number(&self) -> usize {
        self.count.replace(self.count.get() + 1)
    }

    /// Notes what the rules say of verdict `number`, in all copies that are remembered of it.
    pub(super) fn note_rules(&self, number: usize, said: ByRules) {
        self.verdicts.amend(|verdict| {
            if verdict.number == number {
                verdict.by_rules = said;
            }
        });
    }
}
