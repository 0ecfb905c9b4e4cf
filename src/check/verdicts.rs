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
    known: RefCell<Known<C, V>>,
    /// The verdict that the access phase last decided by.
    decided: Cell<Option<Number>>,
    /// If that check is switched off, the last one before it that was not.
    last: Cell<Option<Number>>,
    /// How many verdicts there were.
    count: Cell<u32>,
    /// Whether a judgement of this kind is running.
    busy: Cell<bool>,
}

/// The number of a verdict among those of its kind that a request has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number(u32);

/// The verdicts that are kept. The newest one needs no allocation: most requests have only one.
struct Known<C, V> {
    newest: Option<Remembered<C, V>>,
    others: Option<Box<Others<C, V>>>,
}

struct Others<C, V> {
    /// The oldest first.
    older: VecDeque<Remembered<C, V>>,
    /// The checks that depend on themselves. They are not tried again, at any place: a `map` keeps for
    /// the whole request the value that it made of an empty variable within the circle.
    circular: Vec<Rc<C>>,
}

/// Each verdict keeps its check alive, so that no other check can get the same address.
struct Remembered<C, V> {
    number: Number,
    check: Rc<C>,
    place: Place,
    /// Failures are remembered, too: nginx may read a variable twice, for its length and for its bytes, and must
    /// see the same value.
    verdict: Result<V, NoVerdict>,
    /// Whether its place has been judged again. It is kept only since the request was decided by it.
    is_past: bool,
}

impl<C, V> Default for Verdicts<C, V> {
    fn default() -> Self {
        Self {
            known: RefCell::new(Known { newest: None, others: None }),
            decided: Cell::default(),
            last: Cell::default(),
            count: Cell::default(),
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
    ) -> Result<Number, NoVerdict> {
        let circular = || judging.fail(NoVerdict::Circular);
        let good_enough = |one: &&Remembered<C, V>| match want {
            Want::Known => true,
            Want::Settled => !matches!(one.verdict, Err(NoVerdict::Pending)),
            Want::Fresh => false,
        };
        let known = self.known.try_borrow().map_err(|_| circular())?;
        if self.busy.get() || known.has_run_in_a_circle(check) {
            return Err(circular());
        }
        if let Some(one) = known.at(check, place).filter(good_enough) {
            return one.outcome().map_err(|why| judging.fail(why));
        }
        drop(known);
        let busy = Busy::new(&self.busy);
        let verdict = judge();
        drop(busy);
        let mut known = self.known.try_borrow_mut().map_err(|_| circular())?;
        if matches!(verdict, Err(NoVerdict::Circular)) {
            known.others().circular.push(Rc::clone(check));
        }
        let number = Number(self.count.get());
        self.count.set(number.0.wrapping_add(1));
        let keeps = [self.decided.get(), self.last.get()];
        let check = Rc::clone(check);
        let new = Remembered { number, check, place, verdict, is_past: false };
        let outcome = new.outcome();
        known.note(new, keeps);
        outcome
    }

    /// What `read` finds in a verdict. It must not ask for verdicts.
    pub(crate) fn read<R>(&self, number: Number, read: impl FnOnce(&V) -> R) -> Option<R> {
        let known = self.known.try_borrow().ok()?;
        let verdict = &known.iter().find(|one| one.number == number)?.verdict;
        verdict.as_ref().ok().map(read)
    }

    /// A copy of a verdict.
    pub(crate) fn get(&self, number: Number) -> Result<V, NoVerdict> {
        self.read(number, V::clone).ok_or(NoVerdict::Circular)
    }

    /// Changes a verdict, if it is still remembered.
    pub(crate) fn amend(&self, number: Number, change: impl FnOnce(&mut V)) {
        if let Ok(mut known) = self.known.try_borrow_mut()
            && let Some(one) = known.iter_mut().find(|one| one.number == number)
            && let Ok(verdict) = &mut one.verdict
        {
            change(verdict);
        }
    }

    /// Notes the verdict that the access phase decides by.
    pub(crate) fn decide(&self, number: Number) {
        if let Some(before) = self.decided.replace(Some(number))
            && before != number
            && self.read(before, V::mode).is_some_and(|mode| mode != Mode::Off)
        {
            self.last.set(Some(before));
        }
    }

    /// The verdict that a variable shows. If the location has a check that is not off, this is the
    /// verdict by which the access phase has decided or, before that phase, the one that `judge` gives.
    /// Otherwise it is the last verdict by which the request was decided.
    pub(crate) fn shown(
        &self,
        check: Option<&Rc<C>>,
        place: Place,
        judge: impl FnOnce(&Rc<C>) -> Result<Number, NoVerdict>,
    ) -> Result<Option<Number>, NoVerdict> {
        if let Some(check) = check {
            let number = match self.decided(check, place)? {
                Some(number) => number,
                None => judge(check)?,
            };
            if self.read(number, V::mode).ok_or(NoVerdict::Circular)? != Mode::Off {
                return Ok(Some(number));
            }
        }
        self.last()
    }

    /// The verdict of `check` that the access phase decided by, if no redirect has come since. The path
    /// may have changed since then (`try_files`), which does not change the decision.
    pub(crate) fn decided(&self, check: &Rc<C>, place: Place) -> Result<Option<Number>, NoVerdict> {
        let known = self.known.try_borrow().map_err(|_| NoVerdict::Circular)?;
        let Some(decided) = self.decided.get() else { return Ok(None) };
        let is_it = |one: &&Remembered<C, V>| {
            one.number == decided
                && Rc::ptr_eq(&one.check, check)
                && one.place.changes == place.changes
        };
        Ok(known.iter().find(is_it).map(|one| one.number))
    }

    /// The last verdict of the access phase whose check was not switched off.
    pub(crate) fn last(&self) -> Result<Option<Number>, NoVerdict> {
        let known = self.known.try_borrow().map_err(|_| NoVerdict::Circular)?;
        let is_on = |number: &Number| {
            let one = known.iter().find(|one| one.number == *number);
            let verdict = one.and_then(|one| one.verdict.as_ref().ok());
            verdict.is_some_and(|verdict| verdict.mode() != Mode::Off)
        };
        Ok(self.decided.get().filter(is_on).or(self.last.get()))
    }
}

impl<C, V> Remembered<C, V> {
    /// Its number, unless it is a failure.
    fn outcome(&self) -> Result<Number, NoVerdict> {
        self.verdict.as_ref().map(|_| self.number).map_err(|why| *why)
    }

    fn is_at(&self, check: &Rc<C>, place: Place) -> bool {
        Rc::ptr_eq(&self.check, check) && self.place == place && !self.is_past
    }
}

impl<C, V> Known<C, V> {
    /// The newest first.
    fn iter(&self) -> impl Iterator<Item = &Remembered<C, V>> {
        let others = self.others.iter().flat_map(|others| others.older.iter().rev());
        self.newest.iter().chain(others)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Remembered<C, V>> {
        let others = self.others.iter_mut().flat_map(|others| &mut others.older);
        self.newest.iter_mut().chain(others)
    }

    fn others(&mut self) -> &mut Others<C, V> {
        let none = || Box::new(Others { older: VecDeque::new(), circular: Vec::new() });
        self.others.get_or_insert_with(none)
    }

    /// The verdict of `check` at `place`.
    fn at(&self, check: &Rc<C>, place: Place) -> Option<&Remembered<C, V>> {
        self.iter().find(|one| one.is_at(check, place))
    }

    fn has_run_in_a_circle(&self, check: &Rc<C>) -> bool {
        let circular = self.others.as_ref().map(|others| &*others.circular).unwrap_or_default();
        circular.iter().any(|one| Rc::ptr_eq(one, check))
    }

    /// Adds a verdict in the place of the one before it, and forgets the oldest ones, but none of those to be
    /// kept.
    fn note(&mut self, new: Remembered<C, V>, keeps: [Option<Number>; 2]) {
        let is_kept = |one: &Remembered<C, V>| keeps.contains(&Some(one.number));
        let is_past = |one: &Remembered<C, V>| one.is_at(&new.check, new.place);
        let newest = self.newest.take();
        let Some(newest) = newest.filter(|one| !is_past(one) || is_kept(one)) else {
            self.newest = Some(new);
            return;
        };
        let older = &mut self.others().older;
        older.push_back(newest);
        older.iter_mut().filter(|one| is_past(one)).for_each(|one| one.is_past = true);
        older.retain(|one| !one.is_past || is_kept(one));
        if older.len() >= PLACES
            && let Some(at) = older.iter().position(|one| !is_kept(one))
        {
            older.remove(at);
        }
        self.newest = Some(new);
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use super::super::judging::{Judging, NoVerdict};
    use super::{Mode, PLACES, Place, Verdict, Verdicts, Want};

    impl Verdict for usize {
        fn mode(&self) -> Mode {
            if *self == OFF { Mode::Off } else { Mode::On }
        }
    }

    /// The verdict of a check that is switched off.
    const OFF: usize = usize::MAX;

    const TEXT: &[u8] = &[0; 64];

    fn place(number: usize) -> Place {
        let uri: *const [u8] = TEXT.get(number..).unwrap_or_default();
        Place { changes: 0, uri, args: TEXT }
    }

    #[test]
    fn the_last_places_are_remembered_and_no_more() {
        let (judging, verdicts, check) = (Judging::default(), Verdicts::default(), Rc::new(()));
        let judge = |at: usize, verdict| {
            let number = verdicts.verdict(&judging, &check, place(at), Want::Known, || Ok(verdict));
            number.and_then(|number| verdicts.get(number))
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
    fn what_the_request_was_decided_by_is_kept_whatever_comes_after() {
        let (judging, verdicts) = (Judging::default(), Verdicts::default());
        let [check, other] = [Rc::new(()), Rc::new(())];
        let judge = |check: &Rc<()>, at: usize, verdict| {
            verdicts.verdict(&judging, check, place(at), Want::Fresh, || Ok(verdict)).unwrap()
        };
        let by = judge(&check, 0, 7);
        verdicts.decide(by);
        // The same place again, and more places than are remembered.
        for number in 0..40 {
            judge(&check, number, 100 + number);
            judge(&other, 0, 0);
        }
        assert_eq!(verdicts.decided(&check, place(5)), Ok(Some(by)));
        assert_eq!(verdicts.decided(&other, place(0)), Ok(None));
        let moved = Place { changes: 1, ..place(0) };
        assert_eq!(verdicts.decided(&check, moved), Ok(None));
        assert_eq!((verdicts.get(by), verdicts.last()), (Ok(7), Ok(Some(by))));
        verdicts.amend(by, |verdict| *verdict += 1);
        assert_eq!(verdicts.get(by), Ok(8));
        // It is not the verdict of its place any more.
        let new = judge(&check, 0, 9);
        let known = verdicts.verdict(&judging, &check, place(0), Want::Known, || Ok(1)).unwrap();
        assert_eq!((known, verdicts.get(known)), (new, Ok(9)));
        // A check that is off does not hide it.
        let off = judge(&other, 0, OFF);
        verdicts.decide(off);
        assert_eq!((verdicts.last(), verdicts.get(by)), (Ok(Some(by)), Ok(8)));
        for number in 0..40 {
            judge(&other, number, 0);
        }
        assert_eq!((verdicts.last(), verdicts.get(by)), (Ok(Some(by)), Ok(8)));
        let count = verdicts.known.borrow().iter().count();
        assert!(count <= PLACES + 1, "{count}");
    }

    #[test]
    fn a_judgement_that_panics_leaves_nothing_behind() {
        let (judging, verdicts, check) = (Judging::default(), Verdicts::default(), Rc::new(()));
        let judge = |fault: bool| {
            let number = verdicts.verdict(&judging, &check, place(0), Want::Known, || {
                judging.run(|| match fault {
                    true => std::panic::resume_unwind(Box::new("a fault")),
                    false => Ok(1),
                })
            });
            number.and_then(|number| verdicts.get(number))
        };
        assert!(catch_unwind(AssertUnwindSafe(|| judge(true))).is_err());
        assert!(judging.is_idle());
        assert_eq!(judge(false), Ok(1));
    }

    #[test]
    fn what_runs_in_a_circle_does_so_at_every_place() {
        let (judging, verdicts, check) = (Judging::default(), Verdicts::default(), Rc::new(()));
        let inner = || verdicts.verdict(&judging, &check, place(1), Want::Fresh, || Ok(1));
        let outer = verdicts.verdict(&judging, &check, place(0), Want::Fresh, || {
            judging.run(|| inner().map(|_| 3).or(Ok(2)))
        });
        assert_eq!(outer, Err(NoVerdict::Circular));
        let other = verdicts.verdict(&judging, &check, place(2), Want::Fresh, || Ok(3));
        assert_eq!(other, Err(NoVerdict::Circular));
        let another = Rc::new(());
        let number = verdicts.verdict(&judging, &another, place(2), Want::Fresh, || Ok(4));
        assert_eq!(number.and_then(|number| verdicts.get(number)), Ok(4));
    }
}
