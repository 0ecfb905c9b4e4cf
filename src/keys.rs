//! Keys that change while requests flow.

mod fetch;
pub(crate) mod file;
mod named;
mod parent;
mod remote;
mod watched;
mod zone;

pub(crate) use fetch::install_filter;
pub(crate) use named::KeyFiles;
pub(crate) use remote::{Source, Sources, Waiting};
pub(crate) use watched::Watched;
pub(crate) use zone::Zone;
