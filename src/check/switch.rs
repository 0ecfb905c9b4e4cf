//! Switches: whether a check is on, and in which mode.

use std::rc::Rc;

use super::judging::NoVerdict;
use crate::nginx::{ComplexValue, ConfError, Request, Result, Setting};

/// A switch: `jwt`, `auth_jwt` or `secure_token`.
#[derive(Clone)]
pub(crate) struct Switch {
    /// The directive that sets it.
    pub(crate) name: &'static str,
    pub(crate) value: SwitchValue,
    /// The file and line.
    pub(crate) position: Rc<str>,
}

/// The mode that a switch selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Off,
    On,
    /// A request without a token passes; a request with a bad token does not.
    Optional,
    /// Nothing is refused; `$jwt_status` shows the verdict.
    Permissive,
}

/// The value of a switch.
#[derive(Clone, Copy)]
pub(crate) enum SwitchValue {
    Fixed(Mode),
    /// Evaluated for each request.
    Variable(ComplexValue),
}

impl SwitchValue {
    /// Whether the mode can differ between requests.
    pub(crate) fn depends_on_variables(&self) -> bool {
        matches!(self, Self::Variable(_))
    }

    /// The mode for this request: one of those that `directive` accepts.
    pub(crate) fn mode(
        &self,
        request: Request<'_>,
        directive: &str,
        accepted: &[Mode],
    ) -> Result<Mode, NoVerdict> {
        let value = match self {
            Self::Fixed(mode) => return Ok(*mode),
            Self::Variable(value) => request.evaluate(value).ok_or(NoVerdict::Value)?,
        };
        let mode = match value {
            b"off" | b"0" => Some(Mode::Off),
            // An empty value counts as on: a map without a default must not open a location.
            b"on" | b"1" | b"" => Some(Mode::On),
            b"optional" => Some(Mode::Optional),
            b"permissive" => Some(Mode::Permissive),
            _ => None,
        };
        mode.filter(|mode| accepted.contains(mode)).ok_or_else(|| {
            let value = value.escape_ascii();
            request.log_error(format_args!("\"{directive}\" has the invalid value \"{value}\""));
            NoVerdict::Value
        })
    }
}

/// The first argument as the value of a switch, if it is one. Words ignore case, as nginx's own flags
/// do.
pub(crate) fn switch(
    setting: &Setting<'_>,
    mode: impl Fn(&[u8]) -> Option<Mode>,
) -> Result<Option<SwitchValue>> {
    let word = setting.first();
    if word.contains(&b'$') {
        return Ok(Some(SwitchValue::Variable(setting.compile(word)?)));
    }
    Ok(mode(&word.to_ascii_lowercase()).map(SwitchValue::Fixed))
}

/// The first argument as `on` or `off`, in any case of letters (`ngx_conf_set_flag_slot`).
pub(crate) fn flag(setting: &Setting<'_>) -> Result<bool> {
    match setting.first() {
        on if on.eq_ignore_ascii_case(b"on") => Ok(true),
        off if off.eq_ignore_ascii_case(b"off") => Ok(false),
        other => Err(ConfError::value(other, "must be \"on\" or \"off\"")),
    }
}
