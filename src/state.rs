//! What has been judged of a request: kept with the request, never with the configuration.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use ngx::ffi::ngx_str_t;
use token::{Refusal, Reject, Verified};

use crate::conf::{JwtCheck, LinkCheck, Mode, Provider, Rule};
use crate::judging::Judging;
use crate::keys::{Source, Waiting};
use crate::memory::Memory;
use crate::request::Valued;
use crate::tokens::Tokens;

pub(crate) use crate::judging::Failed;

/// The judgement of a token. A copy of it shares the token.
#[derive(Clone)]
pub(crate) struct JwtVerdict {
    /// Which of the request's verdicts it is: what its copies are known by.
    pub(crate) number: usize,
    pub(crate) mode: Mode,
    /// The token by itself: form, signature, registered claims.
    pub(crate) token: Result<Verified, Refusal>,
    /// The provider that the token is from, of a token that is good by itself.
    pub(crate) provider: Option<Rc<Provider>>,
    /// The rules of the check that gave the verdict, which come after the provider's.
    pub(crate) rules: Rc<[Rc<Rule>]>,
    /// What the rules say, once they were looked at. They come after the token, since their values
    /// may hold variables that show its claims.
    pub(crate) by_rules: ByRules,
}

/// What rules say of a token that is good by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ByRules {
    #[default]
    Unknown,
    /// Being evaluated now: what a variable shows meanwhile is the token by itself.
    Judging,
    Hold,
    Deny,
    /// A rule could not be evaluated, and is not tried again: nginx may read a variable twice.
    Failed(Failed),
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

/// What has been judged of a request.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) jwt: Memory<JwtCheck, JwtVerdict>,
    pub(crate) tokens: Tokens,
    pub(crate) link: Memory<LinkCheck, LinkVerdict>,
    pub(crate) judging: Judging,
    /// The expiry that a link presents, while its `secure_token_md5` is being evaluated.
    presented: Cell<Option<Digits>>,
    pub(crate) awaited: Awaited,
    /// Which variables had a value before a judgement evaluated the first; `None` where none is
    /// under way, or has evaluated any.
    pub(crate) valued: RefCell<Option<Valued>>,
    /// Where in the request's pool the long texts are that variables have shown lately.
    pub(crate) shown: RefCell<VecDeque<ngx_str_t>>,
    /// How many verdicts on tokens there were.
    verdicts: Cell<usize>,
    /// The second in which the request is judged.
    time: Cell<Option<i64>>,
}

impl State {
    /// The number of a verdict to be.
    pub(crate) fn number(&self) -> usize {
        self.verdicts.replace(self.verdicts.get() + 1)
    }

    /// Notes what the rules say of verdict `number`, in all copies that are remembered of it.
    pub(crate) fn by_rules(&self, number: usize, said: ByRules) {
        self.jwt.amend(|verdict| {
            if verdict.number == number {
                verdict.by_rules = said;
            }
        });
    }

    /// The second in which the request is judged: that of its access phase, or before it of the
    /// first judgement. All that is judged of it meanwhile, subrequests as well, is judged by one
    /// time, however long they take.
    pub(crate) fn time(&self, now: i64) -> i64 {
        let time = self.time.get().unwrap_or(now);
        self.time.set(Some(time));
        time
    }

    /// Has the request judged by the time that it is `now`: its access phase begins.
    pub(crate) fn set_time(&self, now: i64) {
        self.time.set(Some(now));
    }

    /// Shows `digits` as the expiry of a link, while `evaluate` runs.
    pub(crate) fn presenting<T>(&self, digits: Option<Digits>, evaluate: impl FnOnce() -> T) -> T {
        let _shown = Shown(&self.presented);
        self.presented.set(digits);
        evaluate()
    }

    /// The expiry that a link presents, while what it is signed by is being evaluated.
    pub(crate) fn presented(&self) -> Option<Digits> {
        self.presented.get()
    }
}

/// Ends [`State::presenting`], also when it unwinds.
struct Shown<'s>(&'s Cell<Option<Digits>>);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

/// The keys that a request waits for.
#[derive(Default)]
pub(crate) struct Awaited {
    /// What the last judgement has found to be on its way.
    pub(crate) source: RefCell<Option<Rc<Source>>>,
    pub(crate) waiting: RefCell<Option<Waiting>>,
}

impl Awaited {
    /// Notes what would let a judgement go on.
    pub(crate) fn is_needed(&self, source: Rc<Source>) -> Failed {
        self.source.replace(Some(source));
        Failed::Pending
    }
}
