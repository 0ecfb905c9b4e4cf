//! A playlist while arguments are inserted.

use super::arguments::{Arguments, Separator, Written};
use super::unforwarded::{MAX_FORWARDED, Unforwarded};

/// A copy of a playlist, with the arguments where they were inserted.
pub(super) struct Output<'b> {
    body: &'b [u8],
    arguments: &'b Arguments<'b>,
    /// How many bytes of the body have been copied.
    copied: usize,
    bytes: Vec<u8>,
}

impl<'b> Output<'b> {
    pub(super) fn new(body: &'b [u8], arguments: &'b Arguments<'b>) -> Self {
        Self { body, arguments, copied: 0, bytes: Vec::new() }
    }

    /// What separates the arguments from a URL without fragment; `None` if they must not be inserted.
    pub(super) fn separator(&self, url: &[u8]) -> Option<Separator> {
        self.arguments.separator(url)
    }

    /// Inserts the arguments before byte `at` of the body, which must not be before an earlier one.
    pub(super) fn insert(
        &mut self,
        at: usize,
        written: Written,
        separator: Separator,
    ) -> Result<(), Unforwarded> {
        let before = self.body.get(self.copied..at).unwrap_or_default();
        let [separator, arguments] = self.arguments.written(written, separator);
        let rest = self.body.len().saturating_sub(at);
        let len = self.bytes.len() + before.len() + separator.len() + arguments.len();
        if len.saturating_add(rest) > MAX_FORWARDED {
            return Err(Unforwarded::TooLarge);
        }
        self.bytes.extend_from_slice(before);
        self.bytes.extend_from_slice(separator);
        self.bytes.extend_from_slice(arguments);
        self.copied = at;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, Unforwarded> {
        if self.bytes.is_empty() {
            return Err(Unforwarded::NoUrl);
        }
        self.bytes.extend_from_slice(self.body.get(self.copied..).unwrap_or_default());
        Ok(self.bytes)
    }
}
