//! Verdicts on links, and what a request keeps of them.

use std::cell::RefCell;

use token::Reject;
use token::link::Granted;
use zeroize::Zeroizing;

use super::check::LinkCheck;
use crate::check::{Mode, Verdict, Verdicts};

/// The verdict on a link.
#[derive(Clone)]
pub(super) struct LinkVerdict {
    pub(super) mode: Mode,
    /// `None` if the link was accepted.
    pub(super) reject: Option<Reject>,
    /// More about a refusal; it may be empty.
    pub(super) why: &'static str,
    /// The last second in which the link is valid, since the epoch, if the signature is right.
    pub(super) expires: Option<i64>,
    /// What else the link says, if the signature is right and it says anything.
    pub(super) said: Option<Granted>,
}

impl LinkVerdict {
    pub(super) fn new(
        mode: Mode,
        reject: Option<Reject>,
        why: &'static str,
        granted: Option<Granted>,
    ) -> Self {
        let expires = granted.as_ref().and_then(|granted| granted.expires);
        let says_more = |granted: &Granted| {
            granted.acl.is_some() || granted.id.is_some() || granted.data.is_some()
        };
        let said = granted.filter(says_more);
        Self { mode, reject, why, expires, said }
    }
}

impl Verdict for LinkVerdict {
    fn mode(&self) -> Mode {
        self.mode
    }
}

/// What is kept with a request for its link checks.
#[derive(Default)]
pub(crate) struct Kept {
    pub(super) verdicts: Verdicts<LinkCheck, LinkVerdict>,
    /// What a link presents, and the secret that is tried, while the text that is hashed is being evaluated.
    presented: RefCell<Option<Presented>>,
}

/// What the variables within a text show that is hashed.
struct Presented {
    time: Box<[u8]>,
    secret: Zeroizing<Box<[u8]>>,
}

impl Kept {
    /// Has the variables show this time and this secret while `evaluate` runs.
    pub(super) fn presenting<T>(
        &self,
        time: &[u8],
        secret: &[u8],
        evaluate: impl FnOnce() -> T,
    ) -> T {
        let shown = Shown(&self.presented);
        let presented = Presented { time: time.into(), secret: Zeroizing::new(secret.into()) };
        self.presented.replace(Some(presented));
        let evaluated = evaluate();
        drop(shown);
        evaluated
    }

    /// The time that a link presents, while the text that is hashed is being evaluated.
    pub(super) fn presented_time(&self) -> Option<Vec<u8>> {
        self.presented.borrow().as_ref().map(|presented| presented.time.to_vec())
    }

    /// The secret that is tried, while the text that is hashed is being evaluated.
    pub(super) fn presented_secret(&self) -> Option<Vec<u8>> {
        self.presented.borrow().as_ref().map(|presented| presented.secret.to_vec())
    }
}

/// Ends [`Kept::presenting`], also on a panic.
struct Shown<'k>(&'k RefCell<Option<Presented>>);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.replace(None);
    }
}
