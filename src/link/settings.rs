//! The `secure_token*` directives of a level, and the check that results from them.

use std::rc::Rc;
use std::sync::Arc;

use token::{LinkAlgorithm, LinkPolicy, LinkSecret};

use super::check::{LinkArgs, LinkCheck, Signed};
use crate::check::{Base, Lack, MergeError, Mode, Settings, Switch, SwitchValue, inherit};
use crate::nginx::ComplexValue;

/// The `secure_token*` directives of one level; `None` if the level does not have one.
#[derive(Default)]
pub(crate) struct LinkSettings {
    pub(super) base: Base,
    pub(super) keys: Option<LinkKeys>,
    pub(super) accepted: Option<Vec<LinkAlgorithm>>,
    pub(super) value: Option<ComplexValue>,
    pub(super) args: Option<Rc<LinkArgs>>,
}

/// What links are signed with: `secure_token_secret` or `secure_token_md5`. A level that has one of
/// them inherits neither.
#[derive(Clone)]
pub(super) enum LinkKeys {
    Secrets(Arc<[LinkSecret]>),
    Expression(ComplexValue),
}

impl Settings for LinkSettings {
    type Main = ();
    type Check = LinkCheck;

    fn base(&self) -> &Base {
        &self.base
    }

    fn inherit(&mut self, parent: &Self) -> bool {
        // No `..`, so the compiler demands each field.
        let Self { base, keys, accepted, value, args } = self;
        // `|` and not `||`: each line has to inherit.
        base.inherit(&parent.base)
            | inherit(keys, &parent.keys)
            | inherit(accepted, &parent.accepted)
            | inherit(value, &parent.value)
            | inherit(args, &parent.args)
    }

    /// Secrets in force switch the check on, unless the switch is off.
    fn check(&self, (): &()) -> Result<Option<LinkCheck>, MergeError> {
        let switch = match (&self.base.switch, &self.keys) {
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

    fn lack(&self) -> Lack {
        Lack {
            switch: "secure_token",
            what: "secret",
            add: "name a secure_token_secret or secure_token_md5 there or on a level above",
        }
    }
}
