//! The two ends of a fetch over HTTP/1.1 (RFC 9112): the request line for a URI of the
//! configuration, and an answer that is read piece by piece as it arrives.

mod answer;
mod target;

pub use answer::{Answer, AnswerError, AnswerReader};
pub use target::request_target;
