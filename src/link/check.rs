//! The link check of a location, as in force.

use std::rc::Rc;

use token::LinkPolicy;

use crate::check::SwitchValue;
use crate::nginx::ComplexValue;

pub(crate) struct LinkCheck {
    pub(super) switch: SwitchValue,
    pub(super) policy: LinkPolicy,
    pub(super) signed: Signed,
    pub(super) args: Rc<LinkArgs>,
}

impl LinkCheck {
    /// Whether the verdict on a link depends on variables.
    pub(super) fn depends_on_variables(&self) -> bool {
        self.switch.depends_on_variables() || !matches!(self.signed, Signed::Uri)
    }
}

/// The text that the signature of a link covers.
pub(super) enum Signed {
    /// `$uri`, the default.
    Uri,
    /// `secure_token_value`.
    Value(ComplexValue),
    /// `secure_token_md5`, which contains the expiry itself.
    Expression(ComplexValue),
}

/// The names of a link's two query arguments.
pub(super) struct LinkArgs {
    pub(super) signature: Box<[u8]>,
    pub(super) expires: Box<[u8]>,
}
