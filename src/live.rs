//! Data that changes while requests flow: files that are read again, and fetched answers.

pub(crate) mod file;
mod health;
mod held;
mod intake;
mod keys;
mod kind;
mod named;
mod rows;
mod source;
mod sources;
mod wait;
mod watched;

pub(crate) use health::{Contents, Health, HealthTable, SourceKind, SourceState};
pub(crate) use keys::FetchedKeys;
pub(crate) use kind::{Burden, Kind, Shared, Step, Words};
pub(crate) use named::NamedFiles;
pub(crate) use rows::{Row, Rows};
pub(crate) use source::Source;
pub(crate) use sources::{SourceAt, Sources};
pub(crate) use wait::{Awaited, FetchedElsewhere, Fetching, Wait};
pub(crate) use watched::Watched;
