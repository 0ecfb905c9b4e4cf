//! Data that changes while requests flow: files that are read again, and fetched answers.

pub(crate) mod file;
mod health;
mod held;
mod intake;
mod keys;
mod kind;
mod location;
mod named;
mod origin;
mod rows;
mod source;
mod sources;
mod wait;
mod watched;
mod words;

pub(crate) use health::{Contents, Health, HealthReport, HealthTable, SourceKind, SourceState};
pub(crate) use keys::FetchedKeys;
pub(crate) use kind::{Burden, Kind, Shared, Step, Wording};
pub(crate) use location::{NamedServer, warn_without_location};
pub(crate) use named::NamedFiles;
pub(crate) use rows::{Row, Rows};
pub(crate) use source::Source;
pub(crate) use sources::{SourceAt, Sources};
pub(crate) use wait::{Awaited, FetchedElsewhere, Fetching, Wait};
pub(crate) use watched::Watched;
pub(crate) use words::SharedWords;
