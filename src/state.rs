//! What has been judged of a request: kept with the request, never with the configuration.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use token::{Refusal, Reject, Verified};

use crate::conf::{JwtCheck, LinkCheck, Mode, Provider};
use crate::keys::{Source, Waiting};

/// The judgement of a token. A copy of it shares the token.
#[derive(Clone)]
pub(crate) struct JwtVerdict {
    /// Which of the request's verdicts it is: what [`RuleVerdicts`] knows it by.
    pub(crate) number: usize,
    pub(crate) mode: Mode,
    /// The token by itself: form, signature, registered claims.
    pub(crate) token: Result<Verified, Refusal>,
    /// The provider that the token is from, of a token that is good by itself.
    pub(crate) provider: Option<Rc<Provider>>,
}

/// What a location's rules say of a token that is good by itself.
#[derive(Clone, Copy, Default)]
pub(crate) enum Rules {
    #[default]
    Unknown,
    /// Being evaluated now: what a variable shows meanwhile is the token by itself.
    Judging,
    Hold,
    Deny,
}

/// What the rules say of each verdict, once they were looked at. They come after the token, since
/// their values may hold variables that show its claims.
#[derive(Default)]
pub(crate) struct RuleVerdicts {
    count: Cell<usize>,
    first: Cell<Rules>,
    further: RefCell<Vec<Rules>>,
}

impl RuleVerdicts {
    /// The number of a verdict to be.
    pub(crate) fn number(&self) -> usize {
        self.count.replace(self.count.get() + 1)
    }

    /// What the rules say of verdict `number`.
    pub(crate) fn get(&self, number: usize) -> Rules {
        match number.checked_sub(1) {
            None => self.first.get(),
            Some(at) => {
                let further = self.further.try_borrow();
                further.ok().and_then(|rules| rules.get(at).copied()).unwrap_or_default()
            }
        }
    }

    /// Notes what the rules say of verdict `number`.
    pub(crate) fn set(&self, number: usize, said: Rules) {
        let Some(at) = number.checked_sub(1) else { return self.first.set(said) };
        // Never borrowed for longer than one of these functions runs.
        if let Ok(mut further) = self.further.try_borrow_mut() {
            if further.len() <= at {
                further.resize(at + 1, Rules::default());
            }
            if let Some(rules) = further.get_mut(at) {
                *rules = said;
            }
        }
    }
}

/// The digits of a link's expiry.
pub(crate) type Digits = [u8; 10];

/// The judgement of a link.
#[derive(Clone, Copy)]
pub(crate) struct LinkVerdict {
    pub(crate) mode: Mode,
    /// `None` if it was accepted.
    pub(crate) reject: Option<Reject>,
    /// The expiry, once the signature has held.
    pub(crate) expires: Option<Digits>,
}

/// Why there is no verdict; the answer is 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// A value could not be evaluated, or made no sense, as nginx or we have logged.
    Value,
    /// A variable that the check rests on asked for the check's own verdict.
    Circular,
    /// Keys are on their way without which nothing can be said; the access phase waits for them.
    Pending,
}

/// Which verdict is good enough.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// One that is known already, also that there is none yet: nginx may read a variable twice,
    /// once for its length, and the answer must not change in between.
    Known,
    /// One that is known, unless it was that keys are missing.
    Settled,
    /// A new one.
    Fresh,
}

impl Want {
    /// What the access phase wants, where a check rests on variables or not: they may have changed
    /// since an earlier phase asked.
    pub(crate) fn of_access_phase(on_variables: bool) -> Self {
        if on_variables { Self::Fresh } else { Self::Settled }
    }
}

/// What has been judged of a request.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) jwt: Memory<JwtCheck, JwtVerdict>,
    pub(crate) rules: RuleVerdicts,
    pub(crate) link: Memory<LinkCheck, LinkVerdict>,
    pub(crate) judging: Judging,
    /// The expiry that a link presents, while its `secure_token_md5` is being evaluated.
    pub(crate) presented: Cell<Option<Digits>>,
    pub(crate) awaited: Awaited,
    /// Whether the log has been told of a value that is shown as nothing.
    pub(crate) control_told: Cell<bool>,
}

/// Keys that are being fetched.
pub(crate) struct OnTheWay {
    pub(crate) source: Rc<Source>,
    /// How long a request waits for them, in milliseconds.
    pub(crate) timeout: u64,
}

/// The keys that a request waits for, and how long it does.
///
/// It has a deadline of its own, which other fetches than the first do not move: the longest
/// `timeout` of the sources that it has waited for, counted from when it began to wait. After that
/// it is judged with the keys that are there.
#[derive(Default)]
pub(crate) struct Awaited {
    /// What the last judgement has found to be on its way.
    pub(crate) needed: RefCell<Option<OnTheWay>>,
    pub(crate) waiting: RefCell<Option<Waiting>>,
    /// When the request began to wait, and the longest of the timeouts.
    since: Cell<Option<u64>>,
    longest: Cell<u64>,
}

impl Awaited {
    /// Notes what would let a judgement go on; `None` where the request has waited for long enough.
    pub(crate) fn is_needed(&self, keys: OnTheWay, now: u64) -> Option<Failed> {
        let longest = self.longest.get().max(keys.timeout);
        if self.since.get().is_some_and(|since| now.saturating_sub(since) >= longest) {
            return None;
        }
        self.needed.replace(Some(keys));
        Some(Failed::Pending)
    }

    /// The request begins to wait, or goes on waiting; gives how long it may at most from now on.
    pub(crate) fn begin(&self, timeout: u64, now: u64) -> u64 {
        let since = self.since.get().unwrap_or(now);
        self.since.set(Some(since));
        self.longest.set(self.longest.get().max(timeout));
        self.longest.get().saturating_sub(now.saturating_sub(since)).max(1)
    }

    /// The request has been judged.
    pub(crate) fn is_over(&self) {
        self.since.set(None);
        self.longest.set(0);
    }
}

/// The judgements that are under way: one of the one kind, and perhaps one of the other that a
/// variable of the first has asked for.
///
/// A variable that has no verdict to show is empty, and what rests on that emptiness must not
/// count: it might be a switch. So a failure fails every judgement that was under way.
#[derive(Default)]
pub(crate) struct Judging {
    depth: Cell<u32>,
    failed: Cell<Option<Failed>>,
}

impl Judging {
    /// Notes that a variable is shown as empty for want of a verdict.
    pub(crate) fn fail(&self, why: Failed) -> Failed {
        if self.depth.get() > 0 {
            self.failed.set(self.failed.get().or(Some(why)));
        }
        why
    }

    fn run<V>(&self, judge: impl FnOnce() -> Result<V, Failed>) -> Result<V, Failed> {
        self.depth.set(self.depth.get() + 1);
        let verdict = judge();
        self.depth.set(self.depth.get() - 1);
        let failed = if self.depth.get() > 0 { self.failed.get() } else { self.failed.take() };
        match failed {
            Some(why) => Err(why),
            None => verdict.map_err(|why| self.fail(why)),
        }
    }
}

/// Where a request stands: its number of redirects and rewrites so far, and the addresses of its
/// path and query, which every change of them changes.
///
/// What a check says may depend on any of it, so a verdict holds for one place only: after an
/// internal redirect, also to a location that shares the check, the request is judged anew.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) changes: u32,
    pub(crate) uri: *const [u8],
    pub(crate) args: *const [u8],
}

/// The verdicts of one kind of check, by the check that gave them and the place for which: a
/// location is judged by its own check only, and by that once.
pub(crate) struct Memory<C, V> {
    /// Each check is kept alive beside its verdict, so that no other can come to its address. A
    /// failure is remembered as well: nginx may read a variable twice, once for its length, and
    /// the answer must not change in between.
    verdicts: RefCell<Few<Remembered<C, V>>>,
    /// The verdict on which the access phase last decided, the check that gave it, and where.
    decided: RefCell<Option<(Rc<C>, Place, V)>>,
    /// The last of those by a check that was not switched off.
    last: RefCell<Option<V>>,
    /// Whether one of this kind is under way.
    busy: Cell<bool>,
}

struct Remembered<C, V> {
    check: Rc<C>,
    place: Place,
    verdict: Result<V, Failed>,
}

/// A list that takes its first element without an allocation: most requests have one verdict.
struct Few<T> {
    first: Option<T>,
    further: Vec<T>,
}

impl<T> Few<T> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.further)
    }

    fn push(&mut self, value: T) {
        match &mut self.first {
            first @ None => *first = Some(value),
            Some(_) => self.further.push(value),
        }
    }

    fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        if self.first.as_ref().is_some_and(|first| !keep(first)) {
            self.first = None;
        }
        self.further.retain(keep);
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: None, further: Vec::new() }
    }
}

impl<C, V> Default for Memory<C, V> {
    fn default() -> Self {
        Self {
            verdicts: RefCell::default(),
            decided: RefCell::default(),
            last: RefCell::default(),
            busy: Cell::default(),
        }
    }
}

impl<C, V: Clone> Memory<C, V> {
    /// The verdict of `check` at `place`, from memory if that is good enough, or from `judge`.
    pub(crate) fn verdict(
        &self,
        judging: &Judging,
        check: &Rc<C>,
        place: Place,
        want: Want,
        judge: impl FnOnce() -> Result<V, Failed>,
    ) -> Result<V, Failed> {
        let circular = || judging.fail(Failed::Circular);
        if self.busy.get() {
            return Err(circular());
        }
        let is_it = |one: &Remembered<C, V>| Rc::ptr_eq(&one.check, check) && one.place == place;
        let verdicts = self.verdicts.try_borrow().map_err(|_| circular())?;
        // A check that has once run in a circle does not get another try, at whatever place: a
        // `map` keeps for the whole request what it made of the emptiness within the circle.
        let ran_in_circle = |one: &Remembered<C, V>| {
            Rc::ptr_eq(&one.check, check) && matches!(one.verdict, Err(Failed::Circular))
        };
        if verdicts.iter().any(ran_in_circle) {
            return Err(circular());
        }
        let good_enough = |one: &Remembered<C, V>| match want {
            Want::Known => true,
            Want::Settled => !matches!(one.verdict, Err(Failed::Pending)),
            Want::Fresh => false,
        };
        if let Some(known) = verdicts.iter().find(|one| is_it(one) && good_enough(one)) {
            return known.verdict.clone().map_err(|why| judging.fail(why));
        }
        drop(verdicts);
        self.busy.set(true);
        let verdict = judging.run(judge);
        self.busy.set(false);
        let mut verdicts = self.verdicts.try_borrow_mut().map_err(|_| circular())?;
        verdicts.retain(|one| !is_it(one));
        verdicts.push(Remembered { check: Rc::clone(check), place, verdict: verdict.clone() });
        verdict
    }

    /// Notes the verdict on which the access phase decides.
    pub(crate) fn decide(&self, check: &Rc<C>, place: Place, verdict: V, mode: Mode) {
        if mode != Mode::Off {
            self.last.replace(Some(verdict.clone()));
        }
        self.decided.replace(Some((Rc::clone(check), place, verdict)));
    }

    /// The verdict on which the access phase decided by `check`, if no redirect has come since:
    /// what serves the request may change its path meanwhile (`try_files`), which does not change
    /// what was decided.
    pub(crate) fn decided(&self, check: &Rc<C>, place: Place) -> Result<Option<V>, Failed> {
        let decided = self.decided.try_borrow().map_err(|_| Failed::Circular)?;
        Ok(decided.as_ref().and_then(|(by, at, verdict)| {
            (Rc::ptr_eq(by, check) && at.changes == place.changes).then(|| verdict.clone())
        }))
    }

    /// The last verdict of a check that was not switched off.
    pub(crate) fn last(&self) -> Result<Option<V>, Failed> {
        self.last.try_borrow().map(|verdict| verdict.clone()).map_err(|_| Failed::Circular)
    }
}
