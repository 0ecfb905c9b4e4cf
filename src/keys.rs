//! Keys that change while requests flow.

mod fetch;
pub(crate) mod file;
pub(crate) mod loopback;
mod named;
mod remote;
mod watched;
mod zone;

pub(crate) use named::KeyFiles;
pub(crate) use remote::{Source, Sources, Waiting};
pub(crate) use watched::Watched;
pub(crate) use zone::Zone;
