//! The `secure_token*` directives of a level, and the check that results from them.

use std::cell::OnceCell;
use std::rc::Rc;

use token::link::{LinkAlgorithm, Remembered};

use super::check::{LinkArgs, LinkCheck, Public};
use super::keys::KeyFiles;
use super::scheme::{At, Parts, Scheme, Secrets};
use crate::check::{Base, Lack, MergeError, Mode, Settings, Source, Switch, SwitchValue, inherit};
use crate::nginx::ComplexValue;

/// The `secure_token*` directives of one level; `None` if the level does not have one.
#[derive(Default)]
pub(crate) struct LinkSettings {
    pub(super) base: Base,
    pub(super) secrets: Option<Secrets>,
    pub(super) scheme: Option<Scheme>,
    pub(super) accepted: Option<Rc<At<Vec<LinkAlgorithm>>>>,
    pub(super) value: Option<ComplexValue>,
    pub(super) args: Option<Rc<LinkArgs>>,
    pub(super) sources: Option<Rc<At<Rc<[Source]>>>>,
    pub(super) keys: Option<Rc<KeyFiles>>,
}

/// The settings of the `http` block for all link checks, and what a worker keeps for them.
#[derive(Default)]
pub(crate) struct LinkMain {
    /// The signatures that have held, once there are public keys.
    remembered: OnceCell<Rc<Remembered>>,
}

/// What completes a message that there is nothing to verify links with.
const ADD: &str = "name a secure_token_secret, secure_token_keys or secure_token_md5";

impl LinkSettings {
    /// The position of a directive that brings a secret or key, if one is in force.
    fn vouched_for(&self) -> Option<&Rc<str>> {
        let alone = self.scheme.as_ref().filter(|scheme| scheme.needs_no_secret());
        let secrets = self.secrets.as_ref().map(|secrets| &secrets.position);
        let keys = self.keys.as_ref().map(|keys| &keys.position);
        alone.map(Scheme::position).or(secrets).or(keys)
    }
}

impl Settings for LinkSettings {
    type Main = LinkMain;
    type Check = LinkCheck;

    fn base(&self) -> &Base {
        &self.base
    }

    fn inherit(&mut self, parent: &Self) -> bool {
        // No `..`, so the compiler demands each field.
        let Self { base, secrets, scheme, accepted, value, args, sources, keys } = self;
        // A secret takes the place of a text that has its own.
        let replaced =
            secrets.is_some() && parent.scheme.as_ref().is_some_and(Scheme::needs_no_secret);
        let above = if replaced { &None } else { &parent.scheme };
        // `|` and not `||`: each line has to inherit.
        base.inherit(&parent.base)
            | inherit(secrets, &parent.secrets)
            | inherit(scheme, above)
            | inherit(accepted, &parent.accepted)
            | inherit(value, &parent.value)
            | inherit(args, &parent.args)
            | inherit(sources, &parent.sources)
            | inherit(keys, &parent.keys)
    }

    /// Secrets in force switch the check on, unless the switch is off.
    fn check(&self, main: &LinkMain) -> Result<Option<LinkCheck>, MergeError> {
        let switch = match (&self.base.switch, self.vouched_for()) {
            (Some(Switch { value: SwitchValue::Fixed(Mode::Off), .. }), _) | (None, None) => {
                return Ok(None);
            }
            (Some(Switch { position, .. }), None) => {
                return Err(MergeError {
                    what: format!(
                        "\"secure_token\" has no secret: {ADD}, here or on a level above,"
                    ),
                    position: Rc::clone(position),
                });
            }
            (Some(switch), Some(_)) => switch.value,
            (None, Some(_)) => SwitchValue::Fixed(Mode::On),
        };
        let Some(position) = self.vouched_for() else { return Ok(None) };
        let (scheme, secrets, accepted) =
            (self.scheme.as_ref(), self.secrets.as_ref(), self.accepted.as_ref());
        let has_keys = self.keys.is_some();
        if let Some(scheme) =
            scheme.filter(|it| it.ignores_secrets() && (has_keys || secrets.is_some()))
        {
            return Err(MergeError {
                what: "\"secure_token_hash\" uses no secret, although a secure_token_secret or \
                       secure_token_keys is in force there: anyone could sign such links. Write \
                       $secure_token_key into its text, or name a hash with \"hmac\","
                    .to_owned(),
                position: Rc::clone(scheme.position()),
            });
        }
        let format = Parts { scheme, secrets, accepted, has_keys }.format(position)?;
        if let Some(sources) = self.sources.as_ref().filter(|_| format.is_pair()) {
            return Err(MergeError {
                what: "\"secure_token_source\" is for formats whose links are one text; this one has a \
                       signature and a time: name them with secure_token_args,"
                    .to_owned(),
                position: Rc::clone(&sources.position),
            });
        }
        let args = self.args.clone().unwrap_or_else(|| {
            let names = (b"st"[..].into(), b"e"[..].into());
            Rc::new(LinkArgs::Names { signature: names.0, expires: names.1 })
        });
        Ok(Some(LinkCheck {
            switch,
            value: self.value,
            expression: self.scheme.as_ref().and_then(Scheme::expression),
            args,
            sources: self.sources.as_ref().map(|sources| Rc::clone(&sources.value)),
            public: self.keys.as_ref().map(|keys| Public {
                keys: Rc::clone(keys),
                remembered: Rc::clone(main.remembered.get_or_init(Rc::default)),
            }),
            format,
        }))
    }

    fn lack(&self) -> Lack {
        Lack {
            switch: "secure_token",
            what: "secret",
            add: "name a secure_token_secret, secure_token_keys or secure_token_md5 there or on a level above",
        }
    }
}
