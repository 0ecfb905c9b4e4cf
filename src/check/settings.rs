//! The settings of one kind of check on each level, and how a level inherits from the one above.

use std::rc::Rc;

use super::asked::{Asked, Lack};
use super::mistake::MergeError;
use super::switch::Switch;
use crate::nginx::{ConfError, Level, Result};

/// The directives of one kind of check on one level.
pub(crate) trait Settings: Default {
    /// What the `http` block says once for all.
    type Main;
    /// The check that the settings of a level amount to.
    type Check;

    /// What all kinds of check have.
    fn base(&self) -> &Base;

    /// Refuses what cannot stand on one level, before anything is inherited.
    fn refuse_alone(&self) -> Result<(), MergeError> {
        Ok(())
    }

    /// Takes from the level above what this one does not name; tells whether it names anything. Every
    /// field has to inherit: a level that names nothing shares the check of the level above.
    fn inherit(&mut self, parent: &Self) -> bool;

    /// Once everything is inherited: the check, unless none is in force.
    fn check(&self, main: &Self::Main) -> Result<Option<Self::Check>, MergeError>;

    /// What there is to say where something is asked, but no check is in force.
    fn lack(&self) -> Lack;
}

/// The settings that every kind of check has.
#[derive(Default)]
pub(crate) struct Base {
    pub(crate) switch: Option<Switch>,
    /// Where those of the directives stand that ask something of a credential, or bring keys.
    pub(crate) asked: Asked,
}

impl Base {
    /// As [`Settings::inherit`].
    pub(crate) fn inherit(&mut self, parent: &Self) -> bool {
        self.asked.note_off(self.switch.as_ref(), parent.switch.as_ref());
        self.asked.inherit(&parent.asked);
        inherit(&mut self.switch, &parent.switch)
    }
}

/// One kind of check on one level: what its own directives say and, once nginx has merged it with the
/// level above, the check in force.
pub(crate) struct Configured<S: Settings> {
    pub(crate) settings: S,
    check: Option<Rc<S::Check>>,
}

impl<S: Settings> Default for Configured<S> {
    fn default() -> Self {
        Self { settings: S::default(), check: None }
    }
}

impl<S: Settings> Configured<S> {
    /// The check in force, if any.
    pub(crate) fn check(&self) -> Option<&Rc<S::Check>> {
        self.check.as_ref()
    }

    /// Inherits from the level above what this one does not name, and works out the check. A level
    /// that names nothing shares the check of the level above, so that what was judged for the one is
    /// known to hold for the other.
    pub(crate) fn merge(
        &mut self,
        parent: &Self,
        main: &S::Main,
        level: &Level<'_>,
    ) -> Result<(), MergeError> {
        self.settings.refuse_alone()?;
        let named = self.settings.inherit(&parent.settings);
        let Base { switch, asked } = self.settings.base();
        let lack = self.settings.lack();
        asked.warn_if_off(switch.as_ref(), &lack, level);
        self.check = match &parent.check {
            Some(check) if !named => Some(Rc::clone(check)),
            _ => self.settings.check(main)?.map(Rc::new),
        };
        if self.check.is_none() && switch.is_none() {
            asked.complain(level, &lack)?;
        }
        Ok(())
    }
}

/// Takes the parent's value where there is none; tells whether there was one.
pub(crate) fn inherit<T: Clone>(own: &mut Option<T>, parent: &Option<T>) -> bool {
    let named = own.is_some();
    if !named {
        own.clone_from(parent);
    }
    named
}

/// Sets a directive that may stand once on a level.
pub(crate) fn once<T>(slot: &mut Option<T>, value: T) -> Result {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ConfError::Duplicate),
    }
}
