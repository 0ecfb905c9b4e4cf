//! Data that changes while requests flow: files that are read again, and fetched answers.

pub(crate) mod file;
mod named;
mod source;
mod wait;
mod watched;

pub(crate) use named::NamedFiles;
pub(crate) use source::{Named, Source, Sources};
pub(crate) use wait::{Fetching, Wait};
pub(crate) use watched::Watched;
