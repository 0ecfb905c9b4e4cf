//! A fetch over HTTP/1.1 (RFC 9112): the target of the request line, made from a configured URI, and
//! the answer, read piece by piece as it arrives.

mod answer;
mod target;
mod validators;

pub use answer::{Answer, AnswerError, AnswerReader};
pub use target::request_target;
pub use validators::Validators;
