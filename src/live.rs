//! Data that changes while requests flow: files that are read again, and fetched answers.

pub(crate) mod file;
mod health;
mod held;
mod named;
mod rows;
mod source;
mod wait;
mod watched;

pub(crate) use health::{Contents, Health, HealthTable, SourceKind, SourceState};
pub(crate) use named::NamedFiles;
pub(crate) use rows::{Row, Rows};
pub(crate) use source::{Named, Source, Sources};
pub(crate) use wait::{Fetching, Wait};
pub(crate) use watched::Watched;
