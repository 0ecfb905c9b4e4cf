//! What has been judged of a request: kept with the request, never with the configuration.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use token::{Refusal, Reject, Verified};

use crate::conf::{JwtCheck, LinkCheck, Mode, Provider};

/// The judgement of a token.
pub(crate) struct JwtVerdict {
    pub(crate) mode: Mode,
    /// The token by itself: form, signature, registered claims.
    pub(crate) token: Result<Verified, Refusal>,
    /// The provider that the token is from, of a token that is good by itself.
    pub(crate) provider: Option<Rc<Provider>>,
    /// What the rules say, once they were looked at. They come after the token, since their values
    /// may hold variables that show its claims.
    pub(crate) rules: Cell<Rules>,
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

/// Why there is no verdict: out of memory, a switch with a senseless value, a check that is asked
/// for while it judges. It has been logged; the answer is 500.
#[derive(Debug)]
pub(crate) struct Failed;

/// What has been judged of a request.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) jwt: Memory<JwtCheck, Rc<JwtVerdict>>,
    pub(crate) link: Memory<LinkCheck, LinkVerdict>,
    /// The expiry that a link presents, while its `secure_token_md5` is being evaluated.
    pub(crate) presented: Cell<Option<Digits>>,
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
    /// Each check is kept alive beside its verdict, so that no other can come to its address.
    verdicts: RefCell<Vec<(Rc<C>, Place, V)>>,
    /// The verdict on which the access phase last decided, the check that gave it, and where.
    decided: RefCell<Option<(Rc<C>, Place, V)>>,
    judging: Cell<Judging>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Judging {
    #[default]
    No,
    Yes,
    /// A variable that the check evaluates asked for the verdict that is being reached.
    Circular,
}

impl<C, V> Default for Memory<C, V> {
    fn default() -> Self {
        Self { verdicts: RefCell::default(), decided: RefCell::default(), judging: Cell::default() }
    }
}

impl<C, V: Clone> Memory<C, V> {
    /// The verdict of `check` at `place`, from memory unless it is to be `fresh`, or from `judge`.
    pub(crate) fn verdict(
        &self,
        check: &Rc<C>,
        place: Place,
        fresh: bool,
        judge: impl FnOnce() -> Result<V, Failed>,
    ) -> Result<V, Failed> {
        let is_it = |(of, at, _): &(Rc<C>, Place, V)| Rc::ptr_eq(of, check) && *at == place;
        if !fresh {
            let verdicts = self.verdicts.try_borrow().map_err(|_| Failed)?;
            if let Some((_, _, verdict)) = verdicts.iter().find(|entry| is_it(entry)) {
                return Ok(verdict.clone());
            }
        }
        if self.judging.get() != Judging::No {
            self.judging.set(Judging::Circular);
            return Err(Failed);
        }
        self.judging.set(Judging::Yes);
        let verdict = judge();
        // A verdict that rests on the empty value of a variable that it should have given itself
        // is none: the variable might have been the switch.
        if self.judging.replace(Judging::No) == Judging::Circular {
            return Err(Failed);
        }
        let verdict = verdict?;
        let entry = (Rc::clone(check), place, verdict.clone());
        let mut verdicts = self.verdicts.try_borrow_mut().map_err(|_| Failed)?;
        verdicts.retain(|entry| !is_it(entry));
        verdicts.push(entry);
        Ok(verdict)
    }

    /// Notes the verdict on which the access phase decided.
    pub(crate) fn decide(&self, check: &Rc<C>, place: Place, verdict: V) {
        self.decided.replace(Some((Rc::clone(check), place, verdict)));
    }

    /// The verdict on which the access phase last decided. With a `check`, only if it decided by
    /// that one and no redirect has come since: what serves the request may change its path
    /// meanwhile (`try_files`), which does not change what was decided.
    pub(crate) fn decided(&self, check: Option<(&Rc<C>, Place)>) -> Result<Option<V>, Failed> {
        let decided = self.decided.try_borrow().map_err(|_| Failed)?;
        Ok(decided.as_ref().and_then(|(by, at, verdict)| {
            let counts = check
                .is_none_or(|(check, place)| Rc::ptr_eq(by, check) && at.changes == place.changes);
            counts.then(|| verdict.clone())
        }))
    }
}
