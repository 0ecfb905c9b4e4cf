//! Where the directives stand that ask something of a token or a link. Where no keys are in force
//! they would ask nothing, and the location would be open: that is a mistake, or has to be said.

use std::cell::Cell;
use std::rc::Rc;

use super::MergeError;
use super::level::Level;
use super::setting::Setting;

/// Such directives of one level: its own and, once it is merged, those that it inherits.
#[derive(Clone, Default)]
pub(super) struct Asked(Rc<Vec<Rc<Ask>>>);

struct Ask {
    /// The directive as which it is inherited.
    kind: &'static str,
    name: Box<str>,
    position: Rc<str>,
    severity: Severity,
    /// Whether it has been warned about.
    warned: Cell<bool>,
}

/// What it is to ask something where there are no keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// Nothing: it asks nothing, and takes back what the level above has asked.
    Nothing,
    /// A warning, as with NGINX Plus's names such a location has always been open.
    Warning,
    Error,
}

/// What there is to say of the kind of check.
pub(super) struct Lack {
    /// The switch.
    pub(super) switch: &'static str,
    /// What is wrong: completes `"jwt_claim" has no ... in location "/"`.
    pub(super) what: &'static str,
    /// What to add.
    pub(super) add: &'static str,
}

impl Asked {
    /// Notes the directive that is being read.
    pub(super) fn note(&mut self, kind: &'static str, setting: &Setting<'_>, severity: Severity) {
        Rc::make_mut(&mut self.0).push(Rc::new(Ask {
            kind,
            name: setting.name().into(),
            position: setting.position().into(),
            severity,
            warned: Cell::new(false),
        }));
    }

    /// Takes over what the level above asks by directives that this one does not name.
    pub(super) fn inherit(&mut self, parent: &Self) {
        if self.0.is_empty() {
            self.0 = Rc::clone(&parent.0);
            return;
        }
        let named = |ask: &&Rc<Ask>| !self.0.iter().any(|own| own.kind == ask.kind);
        let inherited: Vec<_> = parent.0.iter().filter(named).map(Rc::clone).collect();
        if !inherited.is_empty() {
            Rc::make_mut(&mut self.0).extend(inherited);
        }
    }

    /// Complains if anything is asked; to be called for a level where no check is in force though
    /// it was not switched off.
    pub(super) fn complain(&self, level: &Level<'_>, lack: &Lack) -> Result<(), MergeError> {
        let of = |severity| self.0.iter().find(|ask| ask.severity == severity);
        let ask = of(Severity::Error).or_else(|| of(Severity::Warning));
        let Some(ask) = ask.filter(|_| level.serves()) else { return Ok(()) };
        let Lack { switch, what, add } = lack;
        let (name, shown, opened) = (&ask.name, level.shown(), level.opened(switch));
        let what =
            format!("\"{name}\" has no {what} in {shown}, which would be open: {add}, {opened},");
        let mistake = MergeError { what, position: Rc::clone(&ask.position) };
        if ask.severity == Severity::Error {
            return Err(mistake);
        }
        if !ask.warned.replace(true) {
            level.warn(&mistake.to_string().replacen("would be", "is", 1));
        }
        Ok(())
    }
}
