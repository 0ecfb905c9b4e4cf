//! The boundary with nginx, and all unsafe code of the module. It knows nothing of tokens and links.
//! What it offers is safe to use; what it has to call is passed to it ([`Module`]).

mod block;
mod caching;
mod captures;
mod conf;
mod content;
mod directive;
mod evaluate;
mod event;
mod fetch;
mod filter;
mod flags;
mod guard;
mod head;
mod headers;
mod held;
mod hold;
mod kept;
mod layout;
mod level;
mod log;
mod loopback;
pub(crate) mod module;
mod names;
mod pool;
mod request;
mod server;
mod shared;
mod string;
mod value;
mod variable;
mod zone;

pub(crate) use block::{IN_BLOCK, IN_RULES};
pub(crate) use content::{ANSWERED, Content, Reply};
pub(crate) use directive::{
    Apply, Commands, ConfError, Result, Row, Setting, Table, milliseconds, seconds, size,
};
pub(crate) use event::{Ticker, clock, in_steps, is_alive, now, process_slot};
pub(crate) use fetch::{Answer, Asker, Question, start as start_fetch};
pub(crate) use filter::{Instead, Plan, Rewriter, Rewritten, Unsent};
pub(crate) use head::Head;
pub(crate) use hold::Waker;
pub(crate) use kept::Memory;
pub(crate) use level::Level;
pub(crate) use log::{Log, LogLine};
pub(crate) use module::{FAILED, Module, Phase, module};
pub(crate) use request::{Place, Request};
pub(crate) use server::{Server, ServerNames, ServerRef, Servers};
pub(crate) use shared::{SharedAtomics, SharedBytes, SharedMemory};
pub(crate) use value::{ComplexValue, variables};
pub(crate) use variable::Variable;
pub(crate) use zone::{Block, Rank, Reserved, Zone, store_bytes};

/// The version of nginx that the module is built for, such as `1.28.0`.
pub(crate) const VERSION: &str = match ngx::ffi::NGINX_VERSION.to_str() {
    Ok(version) => version,
    Err(_) => "",
};
