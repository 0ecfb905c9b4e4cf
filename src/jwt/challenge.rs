//! `jwt_challenge`: what `WWW-Authenticate` says beside the realm and the error.

use std::rc::Rc;

use token::{Reject, challenge};

use super::rules::text;
use crate::check::{NoVerdict, Status};
use crate::nginx::{ComplexValue, ConfError, Request, Result, Setting};

/// A `jwt_challenge` directive.
#[derive(Clone)]
pub(super) enum Challenge {
    /// No challenge is sent.
    Off,
    /// Names and values of parameters.
    Parameters(Rc<[(Box<str>, ComplexValue)]>),
}

/// `jwt_challenge NAME=VALUE ... | off`.
pub(super) fn read(setting: &Setting<'_>) -> Result<Challenge> {
    if setting.first() == b"off" {
        return match setting.arg(2) {
            None => Ok(Challenge::Off),
            Some(further) => Err(ConfError::parameter(further)),
        };
    }
    let mut parameters: Vec<(Box<str>, ComplexValue)> = Vec::new();
    for word in setting.values() {
        let at = word.iter().position(|byte| *byte == b'=');
        let Some((name, value)) = at.and_then(|at| word.split_at_checked(at)) else {
            return Err(ConfError::value(word, "must be NAME=VALUE, or off"));
        };
        let name = text(name)?;
        if !challenge::is_parameter(name) {
            let why = "must be the name of a parameter; realm= is set by jwt_realm, error= and \
                       error_description= by the refusal";
            return Err(ConfError::value(name.as_bytes(), why));
        }
        if parameters.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(ConfError::mistake(format!("names \"{name}\" twice")));
        }
        let value = value.get(1..).unwrap_or_default();
        if value.starts_with(b"\"") {
            let why = "begins with a quote: nginx wants quotes around the whole, such as \
                       \"scope=read write\"";
            return Err(ConfError::value(word, why));
        }
        let value = setting.compile(value)?;
        parameters.push((name.into(), value));
    }
    Ok(Challenge::Parameters(parameters.into()))
}

/// The value of `WWW-Authenticate` for a refusal; `None` if its answer has none. `named` is the directive
/// in force.
pub(super) fn challenge(
    request: Request<'_>,
    named: Option<&Challenge>,
    realm: Option<&ComplexValue>,
    reason: Reject,
    status: Status,
) -> Result<Option<Vec<u8>>, NoVerdict> {
    let parameters = match named {
        _ if !status.has_challenge() => return Ok(None),
        Some(Challenge::Off) => return Ok(None),
        Some(Challenge::Parameters(parameters)) => &**parameters,
        None => &[],
    };
    let evaluate = |value: &ComplexValue| request.evaluate(value).ok_or(NoVerdict::Value);
    let realm = realm.map(evaluate).transpose()?;
    let parameters = parameters
        .iter()
        .map(|(name, value)| Ok((&**name, evaluate(value)?)))
        .collect::<Result<Vec<_>, NoVerdict>>()?;
    Ok(Some(challenge::bearer(realm, &parameters, reason, status == Status::FORBIDDEN)))
}
