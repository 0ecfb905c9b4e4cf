//! Options of directives: words of the form `name=value`.

use super::settings::once;
use crate::nginx::{self, ConfError, Result};

/// The time of an `option`, in milliseconds.
fn milliseconds(option: &[u8], time: &[u8]) -> Result<u64> {
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

/// The times of a directive that has something fetched, in milliseconds.
#[derive(Default)]
pub(crate) struct FetchTimes {
    pub(crate) valid: Option<u64>,
    pub(crate) stale: Option<u64>,
    pub(crate) timeout: Option<u64>,
}

impl FetchTimes {
    /// Reads `valid=`, `stale=` or `timeout=`; false if the option is another one.
    pub(crate) fn read(&mut self, option: &[u8]) -> Result<bool> {
        if let Some(time) = option.strip_prefix(b"valid=") {
            option_once(&mut self.valid, option, positive(option, time)?)?;
        } else if let Some(time) = option.strip_prefix(b"stale=") {
            option_once(&mut self.stale, option, milliseconds(option, time)?)?;
        } else if let Some(time) = option.strip_prefix(b"timeout=") {
            option_once(&mut self.timeout, option, positive(option, time)?)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// Sets an option that may be given once.
pub(crate) fn option_once<T>(slot: &mut Option<T>, option: &[u8], value: T) -> Result {
    once(slot, value).map_err(|_| ConfError::value(option, "is a duplicate"))
}

/// The text of an option, which must not be empty.
pub(crate) fn option_text<'o>(option: &[u8], text: &'o [u8]) -> Result<&'o str> {
    let text = core::str::from_utf8(text).ok().filter(|text| !text.is_empty());
    text.ok_or_else(|| ConfError::value(option, "must be a text that is not empty"))
}
