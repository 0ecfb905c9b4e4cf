//! The settings of one kind of check on each level, and how a level inherits from the level above.

use std::rc::Rc;

use super::asked::{Asked, Lack};
use super::mistake::MergeError;
use super::switch::Switch;
use crate::nginx::{ConfError, Level, Result};

/// The directives of one kind of check on one level.
pub(crate) trait Settings: Default {
    /// The settings of the `http` block as a whole.
    type Main;
    /// The check that results from the settings of a level.
    type Check;

    /// The settings that all kinds of check have.
    fn base(&self) -> &Base;

    /// Refuses combinations that one level must not have. Called before anything is inherited.
    fn refuse_alone(&self) -> Result<(), MergeError> {
        Ok(())
    }

    /// Inherits from the level above what this one does not set. Returns whether this one sets
    /// anything. Every field has to inherit: a level that sets nothing shares the check of the level
    /// above.
    fn inherit(&mut self, parent: &Self) -> bool;

    /// The check, unless none is in force. Called after everything is inherited.
    fn check(&self, main: &Self::Main) -> Result<Option<Self::Check>, MergeError>;

    /// Called for each level where requests are served by this check.
    fn serves(_: &Rc<Self::Check>, _: &Self::Main, _: &Level<'_>) {}

    /// The words for a message that directives demand something, but no check is in force.
    fn lack(&self) -> Lack;
}

/// The settings that every kind of check has.
#[derive(Default)]
pub(crate) struct Base {
    pub(crate) switch: Option<Switch>,
    /// The directives that demand something of a credential, or bring keys.
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

/// One kind of check on one level: its settings and, after nginx has merged it with the level above,
/// the check in force.
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

    /// Inherits from the level above what this one does not set, and makes the check. A level that sets
    /// nothing shares the check of the level above, so a verdict for one level holds for the other,
    /// too.
    pub(crate) fn merge(
        &mut self,
        parent: &Self,
        main: &S::Main,
        level: &Level<'_>,
    ) -> Result<(), MergeError> {
        // Nobody merges the http level itself.
        parent.settings.refuse_alone()?;
        self.settings.refuse_alone()?;
        let named = self.settings.inherit(&parent.settings);
        let Base { switch, asked } = self.settings.base();
        let lack = self.settings.lack();
        asked.warn_if_off(switch.as_ref(), &lack, level);
        self.check = match &parent.check {
            Some(check) if !named => Some(Rc::clone(check)),
            _ => self.settings.check(main)?.map(Rc::new),
        };
        if let Some(check) = self.check.as_ref().filter(|_| level.serves()) {
            S::serves(check, main, level);
        }
        if self.check.is_none() && switch.is_none() {
            asked.complain(level, &lack)?;
        }
        Ok(())
    }
}

/// Takes the parent's value if there is no own one. Returns whether there was an own one.
pub(crate) fn inherit<T: Clone>(own: &mut Option<T>, parent: &Option<T>) -> bool {
    let named = own.is_some();
    if !named {
        own.clone_from(parent);
    }
    named
}

/// Sets a directive that is allowed once on a level.
pub(crate) fn once<T>(slot: &mut Option<T>, value: T) -> Result {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ConfError::Duplicate),
    }
}
