//! A request whose token is judged.

use super::http_level::HttpLevel;
use super::uri_signing::Renewable;
use super::verdict::Kept;
use crate::check::Case;

/// A request, with what it keeps for the token check and the settings of the `http` block.
#[derive(Clone, Copy)]
pub(crate) struct TokenCase<'r> {
    pub(super) case: Case<'r>,
    pub(super) kept: &'r Kept,
    pub(super) http: &'r HttpLevel,
    /// Whether a key is in force that signs the next token of a client.
    pub(super) renews: bool,
}

impl<'r> TokenCase<'r> {
    pub(crate) fn new(case: Case<'r>, kept: &'r Kept, http: &'r HttpLevel, renews: bool) -> Self {
        Self { case, kept, http, renews }
    }

    /// The token that the check has let pass, if it is to be renewed.
    pub(crate) fn take_renewable(self) -> Option<Box<Renewable>> {
        self.kept.renewable.take()
    }

    /// After a judgement: holds the request if its verdict is `pending`, and resumes it if it was held.
    /// `None` if nginx cannot do so.
    pub(crate) fn settle(self, pending: bool) -> Option<()> {
        self.kept.wait.settle(self.case.request, &self.http.elsewhere, pending)
    }
}
