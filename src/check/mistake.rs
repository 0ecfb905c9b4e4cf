//! Mistakes of a configuration that show only once all levels have been read.

use std::fmt;
use std::rc::Rc;

/// Such a mistake.
pub(crate) struct MergeError {
    pub(crate) what: String,
    /// The file and line of the directive that is at fault.
    pub(crate) position: Rc<str>,
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.what, self.position)
    }
}
