//! The token check.

mod case;
mod challenge;
mod check;
mod cover;
pub(crate) mod directives;
pub(crate) mod encrypted;
mod files;
mod forms;
mod found;
mod http_level;
mod in_force;
mod judge;
pub(crate) mod keys;
pub(crate) mod lists;
mod lookup;
mod meter;
mod noted;
mod policy;
mod provider;
mod report;
mod rules;
mod settings;
pub(crate) mod show;
mod sources;
mod status;
mod uri_signing;
mod verdict;

pub(crate) use case::TokenCase;
pub(crate) use check::JwtCheck;
pub(crate) use http_level::HttpLevel;
pub(crate) use meter::Meter;
pub(crate) use rules::{Connective, TriedRule};
pub(crate) use settings::JwtSettings;
pub(crate) use uri_signing::Renewable;
pub(crate) use verdict::Kept;
