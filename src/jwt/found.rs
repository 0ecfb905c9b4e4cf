//! What was found of the tokens of one request, so that however many places and subrequests ask,
//! each token is verified once by each check.
//!
//! The memory of a worker (`jwt_cache`) makes this needless for tokens that it knows. It is for the
//! others: those that are refused, those that are too large for it, and where it is off.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use token::{LiveInputs, Refusal, Verified};

use super::check::JwtCheck;

/// How many tokens are kept, the last ones.
const TOKENS: usize = 8;

/// How many judgements are kept of each, the last ones: one for each check and set of keys.
const JUDGEMENTS: usize = 64;

/// What was found of tokens, before anything else of the request is looked at.
#[derive(Default)]
pub(super) struct FoundTokens(RefCell<VecDeque<Known>>);

/// A token, and what was found of it.
struct Known {
    token: Box<[u8]>,
    judgements: VecDeque<Judgement>,
}

struct Judgement {
    /// Kept alive, so that no other can come to its address.
    check: Rc<JwtCheck>,
    time: i64,
    /// What decides which policy counts is the token alone; `None` where none does.
    lent: Option<LentTo>,
    found: Result<Verified, Refusal>,
}

/// The number of a policy, and what it was lent.
pub(super) type LentTo = (usize, LiveInputs);

impl FoundTokens {
    /// What was found of `token` by `check` at `time`, with the same keys and lists in force as
    /// `lend` gives now.
    pub(super) fn find(
        &self,
        check: &Rc<JwtCheck>,
        token: &[u8],
        time: i64,
        lend: impl FnOnce(usize) -> LiveInputs,
    ) -> Option<Result<Verified, Refusal>> {
        let by_check = |one: &&Judgement| Rc::ptr_eq(&one.check, check) && one.time == time;
        let is_it = |known: &&Known| *known.token == *token;
        let tokens = self.0.try_borrow().ok()?;
        let first = tokens.iter().find(is_it)?.judgements.iter().find(by_check)?;
        let Some((policy, _)) = first.lent else { return Some(first.found.clone()) };
        // Lending evaluates variables, which may ask for tokens.
        drop(tokens);
        let lent = lend(policy);
        let same =
            |one: &&Judgement| one.lent.as_ref().is_some_and(|(_, loan)| is_same(loan, &lent));
        let tokens = self.0.try_borrow().ok()?;
        let judgements = &tokens.iter().find(is_it)?.judgements;
        judgements.iter().filter(by_check).find(same).map(|one| one.found.clone())
    }

    /// Notes what was found. What the token says is shared by all judgements of it.
    pub(super) fn note(
        &self,
        check: &Rc<JwtCheck>,
        token: &[u8],
        time: i64,
        lent: Option<LentTo>,
        found: &mut Result<Verified, Refusal>,
    ) {
        let Ok(mut tokens) = self.0.try_borrow_mut() else { return };
        let at = tokens.iter().position(|known| *known.token == *token).unwrap_or_else(|| {
            if tokens.len() >= TOKENS {
                tokens.pop_front();
            }
            tokens.push_back(Known { token: token.into(), judgements: VecDeque::new() });
            tokens.len() - 1
        });
        let Some(Known { judgements, .. }) = tokens.get_mut(at) else { return };
        let same = judgements.iter().find_map(|one| one.found.as_ref().ok());
        if let (Ok(found), Some(same)) = (&mut *found, same) {
            found.share(same);
        }
        if judgements.len() >= JUDGEMENTS {
            judgements.pop_front();
        }
        let (check, found) = (Rc::clone(check), found.clone());
        judgements.push_back(Judgement { check, time, lent, found });
    }
}

/// Whether two loans are of the very same keys and lists.
fn is_same(one: &LiveInputs, other: &LiveInputs) -> bool {
    let of_policy = match (&one.policy, &other.policy) {
        (Some(one), Some(other)) => {
            are_same(&one.keys, &other.keys) && are_same(&one.revoked, &other.revoked)
        }
        (one, other) => one.is_none() && other.is_none(),
    };
    let lists = |loan: &LiveInputs| loan.revoked.clone().unwrap_or_default();
    of_policy && are_same(&lists(one), &lists(other))
}

fn are_same<T>(one: &[Arc<T>], other: &[Arc<T>]) -> bool {
    one.iter().map(Arc::as_ptr).eq(other.iter().map(Arc::as_ptr))
}
