//! The link check of a location, and the settings that it is made of.

use std::rc::Rc;
use std::sync::Arc;

use token::{LinkAlgorithm, LinkPolicy, LinkSecret};

use super::asked::{Asked, Lack};
use super::{Level, MergeError, Mode, Switch, SwitchValue, inherit};
use crate::ffi::ComplexValue;

/// The link check of a location.
pub(crate) struct LinkCheck {
    pub(crate) switch: SwitchValue,
    pub(crate) policy: LinkPolicy,
    pub(crate) signed: Signed,
    pub(crate) args: Rc<LinkArgs>,
}

impl LinkCheck {
    /// Whether the verdict on a link rests on variables.
    pub(crate) fn depends_on_variables(&self) -> bool {
        matches!(self.switch, SwitchValue::Variable(_)) || !matches!(self.signed, Signed::Uri)
    }
}

/// What the signature of a link is over.
pub(crate) enum Signed {
    /// `$uri`, the default.
    Uri,
    /// `secure_token_value`.
    Value(ComplexValue),
    /// `secure_token_md5`, which names the expiry itself.
    Expression(ComplexValue),
}

/// The names of a link's two query arguments.
pub(crate) struct LinkArgs {
    pub(crate) signature: Box<[u8]>,
    pub(crate) expires: Box<[u8]>,
}

/// The `secure_token*` directives of one level; `None` where it does not name one.
#[derive(Default)]
pub(super) struct LinkSettings {
    pub(super) switch: Option<Switch>,
    pub(super) keys: Option<LinkKeys>,
    pub(super) accepted: Option<Vec<LinkAlgorithm>>,
    pub(super) value: Option<ComplexValue>,
    pub(super) args: Option<Rc<LinkArgs>>,
    /// Where all of them but the switch stand.
    pub(super) asked: Asked,
}

/// `secure_token_secret` and `secure_token_md5` bring what links are signed with; a level that
/// names one inherits neither.
#[derive(Clone)]
pub(super) enum LinkKeys {
    Secrets(Arc<[LinkSecret]>),
    Expression(ComplexValue),
}

impl LinkSettings {
    /// Takes from the level above what this one does not name; tells whether it names anything.
    pub(super) fn inherit(&mut self, parent: &Self) -> bool {
        self.asked.note_off(self.switch.as_ref(), parent.switch.as_ref());
        self.asked.inherit(&parent.asked);
        // Named without `..`, so that no field is forgotten.
        let Self { switch, keys, accepted, value, args, asked: _ } = self;
        // Not short-circuiting: each line has to inherit.
        inherit(switch, &parent.switch)
            | inherit(keys, &parent.keys)
            | inherit(accepted, &parent.accepted)
            | inherit(value, &parent.value)
            | inherit(args, &parent.args)
    }

    /// Refuses settings of links where no check is in force, though none was switched off.
    pub(super) fn refuse_to_be_open(
        &self,
        in_force: bool,
        level: &Level<'_>,
    ) -> Result<(), MergeError> {
        if in_force || self.switch.is_some() {
            return Ok(());
        }
        let lack = Lack {
            switch: "secure_token",
            what: "secret",
            add: "name a secure_token_secret or secure_token_md5 there or on a level above",
        };
        self.asked.complain(level, &lack)
    }

    /// Secrets in force switch the check on, unless it is switched off.
    pub(super) fn check(&self) -> Result<Option<LinkCheck>, MergeError> {
        let switch = match (&self.switch, &self.keys) {
            (Some(Switch { value: SwitchValue::Fixed(Mode::Off), .. }), _) | (None, None) => {
                return Ok(None);
            }
            (Some(Switch { position, .. }), None) => {
                return Err(MergeError {
                    what: "\"secure_token\" has no secret: name a secure_token_secret or \
                           secure_token_md5, here or on a level above,"
                        .to_owned(),
                    position: Rc::clone(position),
                });
            }
            (Some(switch), Some(_)) => switch.value,
            (None, Some(_)) => SwitchValue::Fixed(Mode::On),
        };
        let (policy, signed) = match &self.keys {
            None => return Ok(None),
            Some(LinkKeys::Expression(expression)) => {
                (LinkPolicy::Expression, Signed::Expression(*expression))
            }
            Some(LinkKeys::Secrets(secrets)) => (
                LinkPolicy::Secrets {
                    secrets: Arc::clone(secrets),
                    accepted: self.accepted.clone().unwrap_or_default(),
                },
                self.value.map_or(Signed::Uri, Signed::Value),
            ),
        };
        let args = self.args.clone().unwrap_or_else(|| {
            Rc::new(LinkArgs { signature: b"st"[..].into(), expires: b"e"[..].into() })
        });
        Ok(Some(LinkCheck { switch, policy, signed, args }))
    }
}
