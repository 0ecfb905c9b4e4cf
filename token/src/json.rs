//! Strict JSON (RFC 8259), kept as a flat tape.
//!
//! Tokens and key files decide who may pass, so two readers must never see two meanings in one
//! text: member names must be unique at every level (also when equal only after unescaping, which
//! RFC 7515 section 4 and RFC 7519 section 4 allow a reader to demand), nesting is bounded, and
//! nothing may follow the value. A [`Document`] owns its text; its nodes are ranges into it, so a
//! payload costs one allocation beside its text, and it can be remembered as it is.

mod document;
mod node;
mod tape;

pub(crate) use document::Place;
pub use document::{Document, JsonError, Value};
pub use node::MAX_DEPTH;

pub use crate::number::Number;
