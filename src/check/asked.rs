//! Where the directives stand that ask something of a token or a link. Where no keys are in force
//! they would ask nothing, and the location would be open: that is a mistake, or has to be said.
//! Keys and secrets are among them, as they ask nothing either below a switch that is off.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use super::mistake::MergeError;
use super::switch::{Mode, Switch, SwitchValue};
use crate::nginx::{Level, Setting};

/// Such directives of one level: its own and, once it is merged, those that it inherits.
#[derive(Clone, Default)]
pub(crate) struct Asked(Rc<Vec<Rc<Ask>>>);

struct Ask {
    /// The directive as which it is inherited.
    kind: &'static str,
    name: Box<str>,
    position: Rc<str>,
    severity: Severity,
    /// Where the `off` stands on a level above, by which it asks nothing on its own level.
    off: OnceCell<Rc<str>>,
    /// Whether it has been warned about.
    warned: Cell<bool>,
}

/// What it is to ask something where there are no keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Nothing: it asks nothing, and takes back what the level above has asked.
    Nothing,
    /// A warning, as with NGINX Plus's names such a location has always been open.
    Warning,
    Error,
}

/// What there is to say of the kind of check.
pub(crate) struct Lack {
    /// The switch.
    pub(crate) switch: &'static str,
    /// What is wrong: completes `"jwt_claim" has no ... in location "/"`.
    pub(crate) what: &'static str,
    /// What to add.
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

    /// Takes over what the level above asks by directives that this one does not name.
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

    /// Before anything is inherited: notes that what this level names is switched off by the level
    /// above. An `off` of the level itself is meant for it.
    pub(crate) fn note_off(&self, own: Option<&Switch>, above: Option<&Switch>) {
        if let (None, Some(Switch { value: SwitchValue::Fixed(Mode::Off), position, .. })) =
            (own, above)
        {
            // A level is merged once, so that this is the first `off`.
            self.0.iter().for_each(|ask| drop(ask.off.set(Rc::clone(position))));
        }
    }

    /// Once everything is inherited: warns where what is named below an `off` might be taken to end
    /// it. One warning for a level will do.
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
        let what = format!(
            "\"{name}\" is off in {}, though \"{}\" in {} is for it: add \"{} on\" there, or leave it \
             out, if it is to stay off as said",
            level.shown(),
            ask.name,
            ask.position,
            lack.switch,
        );
        level.warn(&MergeError { what, position: Rc::clone(position) }.to_string());
    }

    /// Complains if anything is asked; to be called for a level where no check is in force though
    /// it was not switched off.
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
