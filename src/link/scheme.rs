//! How links are signed: what the directives of a level say of it, and the format that results.

use std::rc::Rc;

use token::link::{
    FormatName, FormatSettings, HashSettings, Hashed, LinkAlgorithm, LinkFormat, Mistake,
    SecretText,
};

use crate::check::MergeError;
use crate::nginx::ComplexValue;

/// Something that a directive says, and the directive's file and line.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) position: Rc<str>,
}

/// A format with its options, or a hash over a text.
#[derive(Clone)]
pub(super) enum Scheme {
    Format(Rc<At<FormatWords>>),
    Hash(Rc<At<HashWords>>),
}

/// What `secure_token_format` says.
pub(super) struct FormatWords {
    pub(super) format: FormatName,
    pub(super) options: Vec<(Box<str>, Box<str>)>,
}

/// What `secure_token_hash` or `secure_token_md5` says.
pub(super) struct HashWords {
    pub(super) settings: HashSettings,
    pub(super) expression: ComplexValue,
    /// Whether it is `secure_token_md5`, which takes the place of secrets above it.
    pub(super) is_md5: bool,
}

/// The secrets of a level.
pub(super) type Secrets = Rc<At<Vec<SecretText>>>;

/// What a format is made from: all that is in force on a level.
pub(super) struct Parts<'s> {
    pub(super) scheme: Option<&'s Scheme>,
    pub(super) secrets: Option<&'s Secrets>,
    pub(super) accepted: Option<&'s Rc<At<Vec<LinkAlgorithm>>>>,
    /// Whether there are public keys.
    pub(super) has_keys: bool,
}

impl Scheme {
    /// Whether it is a hash that uses no secret of `secure_token_secret`.
    pub(super) fn needs_no_secret(&self) -> bool {
        matches!(self, Self::Hash(hash) if !hash.value.settings.uses_secrets())
    }

    /// Whether it is a `secure_token_hash` that uses no secret of `secure_token_secret`.
    pub(super) fn ignores_secrets(&self) -> bool {
        matches!(self, Self::Hash(hash) if !hash.value.is_md5) && self.needs_no_secret()
    }

    /// The text that is hashed, if it is a hash.
    pub(super) fn expression(&self) -> Option<ComplexValue> {
        match self {
            Self::Hash(hash) => Some(hash.value.expression),
            Self::Format(_) => None,
        }
    }

    /// The position of its directive.
    pub(super) fn position(&self) -> &Rc<str> {
        match self {
            Self::Format(format) => &format.position,
            Self::Hash(hash) => &hash.position,
        }
    }
}

impl Parts<'_> {
    /// The format. `position` is that of a directive that has brought a secret or key.
    pub(super) fn format(&self, position: &Rc<str>) -> Result<Box<dyn LinkFormat>, MergeError> {
        let settings = FormatSettings {
            secrets: self.secrets.map(|secrets| &*secrets.value).unwrap_or_default(),
            accepted: self.accepted.map(|accepted| &*accepted.value).unwrap_or_default(),
            has_keys: self.has_keys,
            ..FormatSettings::default()
        };
        let made = match self.scheme {
            None => FormatName::plain().make(&settings),
            Some(Scheme::Hash(hash)) => {
                Hashed::new(hash.value.settings, &settings).map(|hashed| Box::new(hashed) as Box<_>)
            }
            Some(Scheme::Format(format)) => {
                let settings = FormatSettings { options: &format.value.options, ..settings };
                format.value.format.make(&settings)
            }
        };
        made.map_err(|mistake| self.located(&mistake, position))
    }

    /// The mistake, with the position of the directive that is to be changed.
    fn located(&self, mistake: &Mistake, position: &Rc<str>) -> MergeError {
        let position = match mistake.directive {
            "secure_token_secret" => self.secrets.map(|at| &at.position),
            "secure_token_algorithm" => self.accepted.map(|at| &at.position),
            _ => self.scheme.map(Scheme::position),
        }
        .unwrap_or(position);
        let what = format!("\"{}\": {},", mistake.directive, mistake.text);
        MergeError { what, position: Rc::clone(position) }
    }
}
