//! Token Status Lists (draft-ietf-oauth-status-list) in JWT format: a token names a list and its index in
//! it, and the list says whether the token is still valid.
//!
//! The way of a list: [`StatusList::open`] judges the Status List Token, [`StatusList::inflate`] and
//! [`StatusList::write`] bring its statuses into words of memory in small steps, and [`StatusTable`]
//! reads a status there. The way of a token: [`StatusRef::of`] reads which list it names, and
//! [`StatusRef::check`] judges it by the table.
//!
//! 1. `fault`: why a list is refused. `inflate`: decompresses in steps.
//! 2. `table`: statuses in words of memory.
//! 3. `list`: the Status List Token.
//! 4. `reference`: what a token says of its status, and the judgement.

mod fault;
mod inflate;
mod list;
mod reference;
mod table;

pub use fault::StatusListError;
pub use inflate::{INFLATE_INPUT, INFLATE_OUTPUT, MAX_INFLATED};
pub use list::{MAX_LIST_LEN, StatusList};
pub use reference::StatusRef;
pub use table::StatusTable;
