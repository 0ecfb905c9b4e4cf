//! A request whose token is judged.

use super::http_level::HttpLevel;
use super::verdict::Kept;
use crate::check::Case;

/// A request, with what it keeps for the token check and the settings of the `http` block.
#[derive(Clone, Copy)]
pub(crate) struct TokenCase<'r> {
    pub(super) case: Case<'r>,
    pub(super) kept: &'r Kept,
    pub(super) http: &'r HttpLevel,
}

impl<'r> TokenCase<'r> {
    pub(crate) fn new(case: Case<'r>, kept: &'r Kept, http: &'r HttpLevel) -> Self {
        Self { case, kept, http }
    }

    /// After a judgement: holds the request if its verdict is `pending`, and resumes it if it was held.
    /// `None` if nginx cannot do so.
    pub(crate) fn settle(self, pending: bool) -> Option<()> {
        self.kept.wait.settle(self.case.request, &self.http.elsewhere, pending)
    }
}
