//! The names of variables that the text of `secure_token_hash` uses.

use core::ffi::CStr;

/// The variable that holds a link's expiry.
pub(crate) const EXPIRES: &CStr = c"secure_token_expires";

/// The time that a link carries, within the text that is hashed.
pub(crate) const TIME: &CStr = c"secure_token_time";

/// The secret that is tried, within the text that is hashed.
pub(crate) const KEY: &CStr = c"secure_token_key";
