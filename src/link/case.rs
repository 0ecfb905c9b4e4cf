//! A request whose link is judged.

use super::verdict::Kept;
use crate::check::Case;

/// A request, with what it keeps for the link check.
#[derive(Clone, Copy)]
pub(crate) struct LinkCase<'r> {
    pub(super) case: Case<'r>,
    pub(super) kept: &'r Kept,
}

impl<'r> LinkCase<'r> {
    pub(crate) fn new(case: Case<'r>, kept: &'r Kept) -> Self {
        Self { case, kept }
    }
}
