//! The verdicts of one kind of check that are remembered with a request.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::judging::{Judging, NoVerdict};
use super::switch::Mode;
use crate::nginx::Place;

/// How many verdicts are remembered. Each subrequest is a place of its own; nginx works on only one of
/// them at a time.
const PLACES: usize = 16;

/// Which remembered verdicts may be used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Any, even that keys are pending: nginx reads a variable twice, for its length and for its bytes,
    /// and must see the same value.
    Known,
    /// Any except that keys are pending.
    Settled,
    /// None: the check judges again.
    Fresh,
}

impl Want {
    /// What the access phase uses. If the check depends on variables, these may have changed since an
    /// earlier phase asked.
    pub(crate) fn of_access_phase(on_variables: bool) -> Self {
        if on_variables { Self::Fresh } else { Self::Settled }
    }
}

/// The verdicts of one kind of check, by check and place. A location is judged only by its own check,
/// and only once while its place is among the last ones.
pub(crate) struct Verdicts<C, V> {
    /// Each verdict keeps its check alive, so that no other check can get the same address. Failures
    /// are remembered, too: nginx may read a variable twice, for its length and for its bytes, and must
    /// see the same value.
    verdicts: RefCell<Last<Remembered<C, V>>>,
    /// The checks that depend on themselves. They are not tried again, at any place: a `map` keeps for
    /// the whole request the value that it made of an empty variable within the circle.
    circular: RefCell<Vec<Rc<C>>>,
    /// The verdict that the access phase last decided by, with its check and place.
    decided: RefCell<Option<(Rc<C>, Place, V)>>,
    /// If that check is switched off, the last one before it that was not.
    last: RefCell<Option<V>>,
    /// Whether a judgement of this kind is running.
    busy: Cell<bool>,
}

struct Remembered<C, V> {
    check: Rc<C>,
    place: Place,
    verdict: Result<V, NoVerdict>,
}

impl<C, V> Default for Verdicts<C, V> {
    fn default() -> Self {
        Self {
            verdicts: RefCell::default(),
            circular: RefCell::default(),
            decided: RefCell::default(),
            last: RefCell::default(),
            busy: Cell::default(),
        }
    }
}

/// A verdict of some kind of check.
pub(crate) trait Verdict: Clone {
    /// The mode of the check that gave it.
    fn mode(&self) -> Mode;
}

impl<C, V: Verdict> Verdicts<C, V> {
    /// The verdict of `check` at `place`: a remembered one if `want` allows it, otherwise from `judge`.
    pub(crate) fn verdict(
        &self,
        judging: &Judging,
        check: &Rc<C>,
        place: Place,
        want: Want,
        judge: impl FnOnce() -> Result<V, NoVerdict>,
    ) -> Result<V, NoVerdict> {
        let circular = || judging.fail(NoVerdict::Circular);
        if self.busy.get() || self.has_run_in_a_circle(check) {
            return Err(circular());
        }
        let is_it = |one: &Remembered<C, V>| Rc::ptr_eq(&one.check, check) && one.place == place;
        let good_enough = |one: &Remembered<C, V>| match want {
            Want::Known => true,
            Want::Settled => !matches!(one.verdict, Err(NoVerdict::Pending)),
            Want::Fresh => false,
        };
        let verdicts = self.verdicts.try_borrow().map_err(|_| circular())?;
        if let Some(known) = verdicts.iter().find(|one| is_it(one) && good_enough(one)) {
            return known.verdict.clone().map_err(|why| judging.fail(why));
        }
        drop(verdicts);
        let busy = Busy::new(&self.busy);
        let verdict = judge();
        drop(busy);
        if matches!(verdict, Err(NoVerdict::Circular))
            && let Ok(mut checks) = self.circular.try_borrow_mut()
        {
            checks.push(Rc::clone(check));
        }
        let mut verdicts = self.verdicts.try_borrow_mut().map_err(|_| circular())?;
        verdicts.remove(is_it);
        verdicts.push(Remembered { check: Rc::clone(check), place, verdict: verdict.clone() });
        verdict
    }

    /// Changes all remembered verdicts.
    pub(crate) fn amend(&self, change: impl Fn(&mut V)) {
        // Each borrow ends within one of these functions.
        if let Ok(mut verdicts) = self.verdicts.try_borrow_mut() {
            verdicts.iter_mut().filter_map(|one| one.verdict.as_mut().ok()).for_each(&change);
        }
        if let Ok(mut decided) = self.decided.try_borrow_mut() {
            decided.iter_mut().for_each(|(_, _, verdict)| change(verdict));
        }
        if let Ok(mut last) = self.last.try_borrow_mut() {
            last.iter_mut().for_each(change);
        }
    }

    /// Notes the verdict that the access phase decides by.
    pub(crate) fn decide(&self, check: &Rc<C>, place: Place, verdict: V) {
        let before = self.decided.replace(Some((Rc::clone(check), place, verdict)));
        if let Some((.., before)) = before.filter(|(.., before)| before.mode() != Mode::Off) {
            self.last.replace(Some(before));
        }
    }

    /// The verdict that a variable shows. If the location has a check that is not off, this is the
    /// verdict by which the access phase has decided or, before that phase, the one that `judge` gives.
    /// Otherwise it is the last verdict by which the request was decided.
    pub(crate) fn shown(
        &self,
        check: Option<&Rc<C>>,
        place: Place,
        judge: impl FnOnce(&Rc<C>) -> Result<V, NoVerdict>,
    ) -> Result<Option<V>, NoVerdict> {
        if let Some(check) = check {
            let verdict = match self.decided(check, place)? {
                Some(verdict) => verdict,
                None => judge(check)?,
            };
            if verdict.mode() != Mode::Off {
                return Ok(Some(verdict));
            }
        }
        self.last()
    }

    /// The verdict of `check` that the access phase decided by, if no redirect has come since. The path
    /// may have changed since then (`try_files`), which does not change the decision.
    pub(crate) fn decided(&self, check: &Rc<C>, place: Place) -> Result<Option<V>, NoVerdict> {
        let decided = self.decided.try_borrow().map_err(|_| NoVerdict::Circular)?;
        Ok(decided.as_ref().and_then(|(by, at, verdict)| {
            (Rc::ptr_eq(by, check) && at.changes == place.changes).then(|| verdict.clone())
        }))
    }

    /// The last verdict of the access phase whose check was not switched off.
    pub(crate) fn last(&self) -> Result<Option<V>, NoVerdict> {
        let decided = self.decided.try_borrow().map_err(|_| NoVerdict::Circular)?;
        match &*decided {
            Some((.., verdict)) if verdict.mode() != Mode::Off => Ok(Some(verdict.clone())),
            _ => self.last.try_borrow().map(|it| it.clone()).map_err(|_| NoVerdict::Circular),
        }
    }

    fn has_run_in_a_circle(&self, check: &Rc<C>) -> bool {
        let checks = self.circular.try_borrow();
        checks.is_ok_and(|checks| checks.iter().any(|one| Rc::ptr_eq(one, check)))
    }
}

/// Marks a judgement as running until this is dropped, also by a panic.
struct Busy<'m>(&'m Cell<bool>);

impl<'m> Busy<'m> {
    fn new(busy: &'m Cell<bool>) -> Self {
        busy.set(true);
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// The last [`PLACES`] values. The first one needs no allocation: most requests have only one.
struct Last<T> {
    newest: Option<T>,
    /// The oldest first.
    older: VecDeque<T>,
}

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self { newest: None, older: VecDeque::new() }
    }
}

impl<T> Last<T> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        self.newest.iter().chain(self.older.iter().rev())
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.newest.iter_mut().chain(&mut self.older)
    }

    fn push(&mut self, value: T) {
        if let Some(older) = self.newest.replace(value) {
            if self.older.len() + 1 >= PLACES {
                self.older.pop_front();
            }
            self.older.push_back(older);
        }
    }

    fn remove(&mut self, is_it: impl Fn(&T) -> bool) {
        if self.newest.as_ref().is_some_and(&is_it) {
            self.newest = None;
        }
        self.older.retain(|one| !is_it(one));
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use super::super::judging::{Judging, NoVerdict};
    use super::{Last, Mode, PLACES, Place, Verdict, Verdicts, Want};

    impl Verdict for usize {
        fn mode(&self) -> Mode {
            Mode::On
        }
    }

    const TEXT: &[u8] = &[0; 64];

    fn place(number: usize) -> Place {
        let uri: *const [u8] = TEXT.get(number..).unwrap_or_default();
        Place { changes: 0, uri, args: TEXT }
    }

    #[test]
    fn the_last_places_are_remembered_and_no_more() {
        let (judging, verdicts, check) = (Judging::default(), Verdicts::default(), Rc::new(()));
        let judge = |at: usize, verdict| {
            verdicts.verdict(&judging, &check, place(at), Want::Known, || Ok(verdict))
        };
        for number in 0..40 {
            assert_eq!(judge(number, number), Ok(number));
            // Read a second time: this holds also if there was no room for it at first.
            assert_eq!(judge(number, 100), Ok(number));
        }
        assert_eq!(judge(40 - PLACES, 100), Ok(40 - PLACES));
        assert_eq!(judge(0, 100), Ok(100));
    }

    #[test]
    fn a_verdict_replaces_the_former_one_of_its_place() {
        let mut last = Last::default();
        for value in [1, 2, 1, 3, 1] {
            last.remove(|one| *one == value);
            last.push(value);
        }
        assert_eq!(last.iter().copied().collect::<Vec<_>>(), [1, 3, 2]);
        last.iter_mut().for_each(|one| *one += 1);
        assert_eq!(last.iter().copied().collect::<Vec<_>>(), [2, 4, 3]);
    }

    #[test]
    fn a_judgement_that_panics_leaves_nothing_behind() {
        let (judging, verdicts, check) = (Judging::default(), Verdicts::default(), Rc::new(()));
        let judge = |fault: bool| {
            verdicts.verdict(&judging, &check, place(0), Want::Known, || {
                judging.run(|| match fault {
                    true => std::panic::resume_unwind(Box::new("a fault")),
                    false => Ok(1),
                })
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(|| judge(true))).is_err());
        assert!(judging.is_idle());
        assert_eq!(judge(false), Ok(1));
    }

    #[test]
    fn what_runs_in_a_circle_does_so_at_every_place() {
        let (judging, verdicts, check) = (Judging::default(), Verdicts::default(), Rc::new(()));
        let inner = || verdicts.verdict(&judging, &check, place(1), Want::Fresh, || Ok(1));
        let outer = verdicts
            .verdict(&judging, &check, place(0), Want::Fresh, || judging.run(|| inner().or(Ok(2))));
        assert_eq!(outer, Err(NoVerdict::Circular));
        let other = verdicts.verdict(&judging, &check, place(2), Want::Fresh, || Ok(3));
        assert_eq!(other, Err(NoVerdict::Circular));
        let another = Rc::new(());
        assert_eq!(verdicts.verdict(&judging, &another, place(2), Want::Fresh, || Ok(4)), Ok(4));
    }
}
