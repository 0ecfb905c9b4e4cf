//! Strict JSON (RFC 8259), stored as a flat list of nodes.
//!
//! Tokens and key files decide who may pass, so no two programs may understand the same text in
//! different ways. Member names must be unique in each object, also after unescaping (RFC 7515
//! section 4 and RFC 7519 section 4 allow this requirement). Nesting is limited, and nothing may
//! follow the value.
//!
//! A [`Document`] owns its text, and its nodes are ranges of the text. So a payload needs one
//! allocation besides its text, and can be kept in a cache as it is.

mod document;
mod node;
mod tape;

pub use document::{Document, JsonError, Value};
pub(crate) use document::{NodeIndex, write_text};
pub use node::MAX_DEPTH;

pub use crate::number::Number;
