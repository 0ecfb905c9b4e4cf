//! Where directives are written that demand something of a token or a link. If no keys are in force
//! there, they demand nothing and the location is open: that is an error, or at least a warning.
//! Directives with keys and secrets count too: below a switch that is off they have no effect either.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use super::mistake::MergeError;
use super::switch::{Mode, Switch, SwitchValue};
use crate::nginx::{Level, Setting};

/// Such directives of one level: its own and, after merging, the inherited ones.
#[derive(Clone, Default)]
pub(crate) struct Asked(Rc<Vec<Rc<Ask>>>);

struct Ask {
    /// The name under which it is inherited: directives of the same kind replace each other.
    kind: &'static str,
    name: Box<str>,
    position: Rc<str>,
    severity: Severity,
    /// The position of the `off` on a level above that makes this directive ineffective.
    off: OnceCell<Rc<str>>,
    /// Whether a warning was logged.
    warned: Cell<bool>,
}

/// How serious such a directive is where there are no keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// No problem: it demands nothing, and cancels what the level above demands.
    Nothing,
    /// A warning: with NGINX Plus's directives such a location has always been open.
    Warning,
    Error,
}

/// The words for messages about one kind of check.
pub(crate) struct Lack {
    /// The directive that switches it.
    pub(crate) switch: &'static str,
    /// What is missing: completes `"jwt_claim" has no ... in location "/"`.
    pub(crate) what: &'static str,
    /// What to add to the configuration.
    pub(crate) add: &'static str,
}

impl Asked {
    /// Notes the directive that is being read.
    pub(crate) fn note(&mut self, kind: &'static str, setting: &Setting<'_>, severity: Severity) {
        Rc::make_mut(&mut self.0).push(Rc::new(Ask {
            kind,
            name: setting.name().into(),
            position: setting.position().into(),
            severity,
            off: OnceCell::new(),
            warned: Cell::new(false),
        }));
    }

    /// Inherits from the level above the directives of those kinds that this level does not have.
    pub(crate) fn inherit(&mut self, parent: &Self) {
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

    /// To be called before anything is inherited: notes that the level above is off, if this level has
    /// no switch of its own. An `off` of this level itself is intended for it.
    pub(crate) fn note_off(&self, own: Option<&Switch>, above: Option<&Switch>) {
        if let (None, Some(Switch { value: SwitchValue::Fixed(Mode::Off), position, .. })) =
            (own, above)
        {
            // A level is merged only once, so this is the first `off`.
            self.0.iter().for_each(|ask| drop(ask.off.set(Rc::clone(position))));
        }
    }

    /// To be called after everything is inherited: warns about directives below an `off`, since their
    /// author may expect them to switch the check on. One warning for each level.
    pub(crate) fn warn_if_off(&self, switch: Option<&Switch>, lack: &Lack, level: &Level<'_>) {
        let Some(Switch { name, value: SwitchValue::Fixed(Mode::Off), position, .. }) = switch
        else {
            return;
        };
        let below = |ask: &&Rc<Ask>| ask.off.get().is_some_and(|off| Rc::ptr_eq(off, position));
        let asks = |ask: &&Rc<Ask>| ask.severity != Severity::Nothing;
        let mut idle = self.0.iter().filter(below).filter(asks);
        if !level.serves() {
            return;
        }
        let Some(ask) = idle.find(|ask| !ask.warned.replace(true)) else { return };
        idle.for_each(|ask| ask.warned.set(true));
        let (shown, switch) = (level.shown(), lack.switch);
        let (directive, at) = (&ask.name, &ask.position);
        let what = format!(
            "\"{name}\" is off in {shown}, so \"{directive}\" in {at} has no effect: add \"{switch} on\" \
             there, or remove \"{directive}\" if the check shall stay off, as set",
        );
        level.warn(&MergeError { what, position: Rc::clone(position) }.to_string());
    }

    /// Reports directives that demand something. To be called for a level where no check is in force,
    /// though it is not switched off.
    pub(crate) fn complain(&self, level: &Level<'_>, lack: &Lack) -> Result<(), MergeError> {
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
