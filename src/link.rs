//! The check of signed links.

mod case;
mod check;
pub(crate) mod directives;
mod judge;
mod settings;
mod verdict;

pub(crate) use case::LinkCase;
pub(crate) use check::LinkCheck;
pub(crate) use judge::EXPIRES;
pub(crate) use settings::LinkSettings;
pub(crate) use verdict::Kept;
