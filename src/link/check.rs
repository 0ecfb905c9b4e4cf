//! The link check of a location, as in force.

use std::rc::Rc;

use token::link::{LinkFormat, Place, Remembered};

use super::keys::KeyFiles;
use crate::check::{Source, SwitchValue};
use crate::nginx::ComplexValue;

pub(crate) struct LinkCheck {
    pub(super) switch: SwitchValue,
    pub(super) format: Box<dyn LinkFormat>,
    /// What links must cover, if it is not what the format says (`secure_token_value`).
    pub(super) value: Option<ComplexValue>,
    /// The text that is hashed (`secure_token_hash`).
    pub(super) expression: Option<ComplexValue>,
    /// The two values of the formats that have two.
    pub(super) args: Rc<LinkArgs>,
    /// Where the text of a link is looked for; `None` if the format says it.
    pub(super) sources: Option<Rc<[Source]>>,
    pub(super) public: Option<Public>,
}

/// What verifies links that are signed with private keys.
pub(super) struct Public {
    pub(super) keys: Rc<KeyFiles>,
    /// The signatures that have held in this worker.
    pub(super) remembered: Rc<Remembered>,
}

impl LinkCheck {
    /// Whether the verdict on a link depends on variables.
    pub(super) fn depends_on_variables(&self) -> bool {
        self.switch.depends_on_variables()
            || self.value.is_some()
            || self.expression.is_some()
            || matches!(*self.args, LinkArgs::Values { .. })
            || self
                .sources
                .iter()
                .flat_map(|all| all.iter())
                .any(|one| matches!(one, Source::Value(_)))
    }

    /// The names of the arguments of the query that may belong to a link.
    pub(super) fn arguments(&self) -> Vec<&[u8]> {
        let mut names: Vec<&[u8]> =
            self.format.arguments().iter().map(|name| name.as_bytes()).collect();
        match &*self.args {
            LinkArgs::Names { signature, expires } if self.format.is_pair() => {
                names.extend([&**signature, &**expires]);
            }
            _ => {}
        }
        match &self.sources {
            Some(sources) => names.extend(sources.iter().filter_map(|source| match source {
                Source::Arg(name) => Some(&**name),
                _ => None,
            })),
            None => names.extend(self.format.places().iter().filter_map(|place| match place {
                Place::Argument(name) => Some(name.as_bytes()),
                Place::Cookie(_) => None,
            })),
        }
        names
    }
}

/// The two values of a link.
pub(super) enum LinkArgs {
    /// The names of two arguments of the query.
    Names { signature: Box<[u8]>, expires: Box<[u8]> },
    /// Values with variables, such as captures.
    Values { signature: ComplexValue, expires: ComplexValue },
}
