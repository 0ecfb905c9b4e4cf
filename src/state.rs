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
    /// Whether the log has been told of a value that is shown as nothing.
    pub(crate) control_told: Cell<bool>,
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
    pub(crate) needed: RefCell<Vec<OnTheWay>>,
    /// One for each of those, so that whichever comes first wakes the request.
    pub(crate) waiting: RefCell<Vec<Waiting>>,
    /// When the request began to wait, and the longest of the timeouts.
    since: Cell<Option<u64>>,
    longest: Cell<u64>,
}

impl Awaited {
    /// Notes what would let a judgement go on; `None` where nothing would, or the request has waited
    /// for long enough.
    pub(crate) fn is_needed(&self, keys: Vec<OnTheWay>, now: u64) -> Option<Failed> {
        let since = self.since.get().unwrap_or(now);
        if keys.is_empty() || now.saturating_sub(since) >= self.longest_of(&keys) {
            return None;
        }
        self.needed.replace(keys);
        Some(Failed::Pending)
    }

    /// The request begins to wait, or goes on waiting; gives how long it may at most from now on.
    pub(crate) fn begin(&self, keys: &[OnTheWay], now: u64) -> u64 {
        let since = self.since.get().unwrap_or(now);
        self.since.set(Some(since));
        self.longest.set(self.longest_of(keys));
        self.longest.get().saturating_sub(now.saturating_sub(since)).max(1)
    }

    fn longest_of(&self, keys: &[OnTheWay]) -> u64 {
        keys.iter().map(|one| one.timeout).fold(self.longest.get(), u64::max)
    }

    /// The request has been judged.
    pub(crate) fn is_over(&self) {
        self.since.set(None);
        self.longest.set(0);
    }
}
