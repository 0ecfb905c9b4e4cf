//! What was found of the tokens of one request, so that however many places and subrequests ask,
//! each token is verified once by each check.
//!
//! The memory of a worker (`jwt_cache`) makes this needless for tokens that it knows. It is for the
//! others: those that are refused, those that are too large for it, and where it is off.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use token::{Loan, Refusal, Verified};

use crate::conf::JwtCheck;

/// How many are kept, the last ones: one for each check, token and set of keys.
const KEPT: usize = 32;

/// What was found of tokens, before anything else of the request is looked at.
#[derive(Default)]
pub(crate) struct Tokens(RefCell<VecDeque<Entry>>);

struct Entry {
    asked: Asked,
    /// Shared by all entries of one token.
    token: Rc<[u8]>,
    found: Result<Verified, Refusal>,
}

/// What a token was judged by.
struct Asked {
    /// Kept alive, so that no other can come to its address.
    check: Rc<JwtCheck>,
    time: i64,
    lent: Option<LentTo>,
}

/// The number of a policy, and what it was lent.
pub(crate) type LentTo = (usize, Loan);

impl Tokens {
    /// What was found of `token` by `check` at `time`, with the same keys and lists in force as
    /// `lend` gives now.
    pub(crate) fn find(
        &self,
        check: &Rc<JwtCheck>,
        token: &[u8],
        time: i64,
        lend: impl FnOnce(usize) -> Loan,
    ) -> Option<Result<Verified, Refusal>> {
        let is_it = |entry: &&Entry| {
            Rc::ptr_eq(&entry.asked.check, check)
                && entry.asked.time == time
                && *entry.token == *token
        };
        let known = self.0.try_borrow().ok()?;
        let first = known.iter().find(is_it)?;
        // Which policy counts is said by the token alone, and so is that none does.
        let Some((policy, _)) = first.asked.lent else { return Some(first.found.clone()) };
        // Lending evaluates variables, which may ask for tokens.
        drop(known);
        let lent = lend(policy);
        let known = self.0.try_borrow().ok()?;
        let same = |entry: &&Entry| {
            entry.asked.lent.as_ref().is_some_and(|(_, loan)| is_same(loan, &lent))
        };
        known.iter().filter(is_it).find(same).map(|entry| entry.found.clone())
    }

    /// Notes what was found. Of a token that has been noted already, what it says is shared.
    pub(crate) fn note(
        &self,
        check: &Rc<JwtCheck>,
        token: &[u8],
        time: i64,
        lent: Option<LentTo>,
        found: &mut Result<Verified, Refusal>,
    ) {
        let Ok(mut known) = self.0.try_borrow_mut() else { return };
        let mut bytes = None;
        for same in known.iter().filter(|entry| *entry.token == *token) {
            bytes = Some(Rc::clone(&same.token));
            if let (Ok(found), Ok(same)) = (&mut *found, &same.found) {
                found.share(same);
                break;
            }
        }
        if known.len() >= KEPT {
            known.pop_front();
        }
        known.push_back(Entry {
            asked: Asked { check: Rc::clone(check), time, lent },
            token: bytes.unwrap_or_else(|| token.into()),
            found: found.clone(),
        });
    }
}

/// Whether two loans are of the very same keys and lists.
fn is_same(one: &Loan, other: &Loan) -> bool {
    let of_policy = match (&one.policy, &other.policy) {
        (Some(one), Some(other)) => {
            are_same(&one.keys, &other.keys) && are_same(&one.revoked, &other.revoked)
        }
        (one, other) => one.is_none() && other.is_none(),
    };
    let lists = |loan: &Loan| loan.revoked.clone().unwrap_or_default();
    of_policy && are_same(&lists(one), &lists(other))
}

fn are_same<T>(one: &[Arc<T>], other: &[Arc<T>]) -> bool {
    one.iter().map(Arc::as_ptr).eq(other.iter().map(Arc::as_ptr))
}
