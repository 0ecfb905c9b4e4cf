//! Mistakes in a configuration that are found only after all levels have been read.

use std::fmt;
use std::rc::Rc;

/// A mistake, and where it is.
pub(crate) struct MergeError {
    pub(crate) what: String,
    /// The file and line of the faulty directive.
    pub(crate) position: Rc<str>,
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.what, self.position)
    }
}
