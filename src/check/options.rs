//! Options of directives: words of the form `name=value`.

use super::settings::once;
use crate::nginx::{self, ConfError, Result};

/// The time of an `option`, in milliseconds.
pub(crate) fn milliseconds(option: &[u8], time: &[u8]) -> Result<u64> {
    nginx::milliseconds(time)
        .map_err(|_| ConfError::value(option, "must be a time, such as 30s, 5m or 1h"))
}

/// [`milliseconds`], which must not be 0.
pub(crate) fn positive(option: &[u8], time: &[u8]) -> Result<u64> {
    match milliseconds(option, time)? {
        0 => Err(ConfError::value(option, "must be more than nothing")),
        time => Ok(time),
    }
}

/// Sets an option that may be given once.
pub(crate) fn option_once<T>(slot: &mut Option<T>, option: &[u8], value: T) -> Result {
    once(slot, value).map_err(|_| ConfError::value(option, "is a duplicate"))
}
