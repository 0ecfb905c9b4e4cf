//! The results of verifying the tokens of one request. Each check verifies a token once, however many
//! places and subrequests ask.
//!
//! Tokens that the worker's cache (`jwt_cache`) has do not need this. It is for the others: tokens that
//! are refused or too large for the cache, and for a cache that is off.

use std::cell::{OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use token::jwe::DecryptionKeys;
use token::{LiveInputs, Refusal, Verified, Wanted};

use super::check::JwtCheck;

/// How many tokens are kept: the last ones.
const TOKENS: usize = 8;

/// How many results are kept for each token, the last ones: one for each check and set of keys.
const JUDGEMENTS: usize = 64;

/// The results for tokens alone, before the rules and the rest of the request are considered.
#[derive(Default)]
pub(super) struct FoundTokens(OnceCell<Box<RefCell<VecDeque<Known>>>>);

/// A token, and its results.
struct Known {
    token: Box<[u8]>,
    judgements: VecDeque<Judgement>,
}

/// A token, and what its result depends on beside the check.
#[derive(Clone, Copy)]
pub(super) struct Sought<'t> {
    pub(super) token: &'t [u8],
    /// The numbers of the providers that may have issued it; `None` for all of the check.
    pub(super) among: Option<&'t [usize]>,
    /// The keys that decrypt and change at run time.
    pub(super) decryption: &'t [Arc<DecryptionKeys>],
}

struct Judgement {
    /// Kept alive, so that no other check can get the same address.
    check: Rc<JwtCheck>,
    among: Option<Box<[usize]>>,
    decryption: Box<[Arc<DecryptionKeys>]>,
    time: i64,
    /// The policy that was used, which depends only on the token; `None` if no policy was used.
    in_force: Option<InForce>,
    found: Result<Verified, Refusal>,
}

/// The keys and lists that were in force, and what for.
pub(super) struct InForce {
    pub(super) policy: usize,
    pub(super) kid: Option<Rc<str>>,
    pub(super) inputs: LiveInputs,
}

impl FoundTokens {
    /// The result of `check` for `token` at `time`, if it was found with the keys and lists that
    /// `in_force` gives now.
    pub(super) fn find(
        &self,
        check: &Rc<JwtCheck>,
        Sought { token, among, decryption }: Sought<'_>,
        time: i64,
        in_force: impl FnOnce(Wanted<'_>) -> LiveInputs,
    ) -> Option<Result<Verified, Refusal>> {
        let by_check = |one: &&Judgement| {
            Rc::ptr_eq(&one.check, check)
                && one.time == time
                && one.among.as_deref() == among
                && are_same(&one.decryption, decryption)
        };
        let is_it = |known: &&Known| *known.token == *token;
        let known = self.0.get()?;
        let tokens = known.try_borrow().ok()?;
        let first = tokens.iter().find(is_it)?.judgements.iter().find(by_check)?;
        let Some(used) = &first.in_force else { return Some(first.found.clone()) };
        let (policy, kid) = (used.policy, used.kid.clone());
        // `in_force` evaluates variables, which may ask for tokens.
        drop(tokens);
        let inputs = in_force(Wanted::new(policy, kid.as_deref()));
        let same = |one: &&Judgement| {
            one.in_force.as_ref().is_some_and(|used| is_same(&used.inputs, &inputs))
        };
        let tokens = known.try_borrow().ok()?;
        let judgements = &tokens.iter().find(is_it)?.judgements;
        judgements.iter().filter(by_check).find(same).map(|one| one.found.clone())
    }

    /// Stores a result. All results for a token share its parsed content.
    pub(super) fn note(
        &self,
        check: &Rc<JwtCheck>,
        Sought { token, among, decryption }: Sought<'_>,
        time: i64,
        in_force: Option<InForce>,
        found: &mut Result<Verified, Refusal>,
    ) {
        let known = self.0.get_or_init(Box::default);
        let Ok(mut tokens) = known.try_borrow_mut() else { return };
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
        let (among, decryption) = (among.map(Into::into), decryption.into());
        judgements.push_back(Judgement { check, among, decryption, time, in_force, found });
    }
}

/// Whether two inputs have the same keys and lists: the same objects, not only equal ones.
fn is_same(one: &LiveInputs, other: &LiveInputs) -> bool {
    let of_policy = match (&one.policy, &other.policy) {
        (Some(one), Some(other)) => {
            are_same(&one.keys, &other.keys) && are_same(&one.revoked, &other.revoked)
        }
        (one, other) => one.is_none() && other.is_none(),
    };
    let lists = |inputs: &LiveInputs| inputs.revoked.clone().unwrap_or_default();
    of_policy && are_same(&lists(one), &lists(other))
}

fn are_same<T>(one: &[Arc<T>], other: &[Arc<T>]) -> bool {
    one.iter().map(Arc::as_ptr).eq(other.iter().map(Arc::as_ptr))
}
