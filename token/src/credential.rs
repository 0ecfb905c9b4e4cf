//! Finding a credential in what a client sent: header lines, cookies, query arguments.
//!
//! One rule for all of them: what another reader of the same request could read otherwise is
//! refused. nginx's own variables and the libraries of applications do not agree on where a cookie
//! or an argument ends, on the case of its name, on spaces around it, on its encoding. So a name
//! counts in every spelling that some reader takes for it, and there must be one of them, in the
//! spelling that all agree on.

mod argument;
mod cookie;
mod found;
mod header;
mod pairs;
mod spelling;

pub use argument::{argument, single_argument};
pub use cookie::cookie;
pub use found::Found;
pub use header::{bearer, header};
pub use spelling::{is_header, may_be_called};
