//! Finding a credential in what a client sent: header lines, cookies, query arguments.
//!
//! One rule for all of them: a credential is refused if another program could read the same request
//! in a different way. nginx's own variables and the libraries of applications disagree about where
//! a cookie or an argument ends, about the case of its name, spaces around it, and its encoding. So
//! every spelling counts that some program takes for the name. The name must occur exactly once, and
//! in the spelling that all programs understand.

mod argument;
mod basic;
mod cookie;
mod found;
mod header;
mod pairs;
mod spelling;

pub use argument::{argument, arguments, only_arguments, single_argument, without_arguments};
pub use basic::{basic, password};
pub use cookie::{cookie, cookies};
pub use found::Found;
pub use header::{bearer, header, header_value, of_scheme};
pub(crate) use pairs::{pieces, split_pair};
pub use spelling::{is_header_spelling, is_spelling, is_token};
