//! Verdicts on links, and what a request keeps of them.

use std::cell::Cell;

use token::Reject;

use super::check::LinkCheck;
use crate::check::{Mode, Verdict, Verdicts};

/// The digits of a link's expiry, in seconds since the epoch.
pub(crate) type Digits = [u8; 10];

/// The verdict on a link.
#[derive(Clone, Copy)]
pub(super) struct LinkVerdict {
    pub(super) mode: Mode,
    /// `None` if the link was accepted.
    pub(super) reject: Option<Reject>,
    /// The expiry, if the signature is right.
    pub(super) expires: Option<Digits>,
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
    /// The expiry that a link presents, while its `secure_token_md5` is being evaluated.
    presented: Cell<Option<Digits>>,
}

impl Kept {
    /// Makes `digits` the presented expiry while `evaluate` runs.
    pub(super) fn presenting<T>(&self, digits: Option<Digits>, evaluate: impl FnOnce() -> T) -> T {
        let _shown = Shown(&self.presented);
        self.presented.set(digits);
        evaluate()
    }

    /// The expiry that a link presents, while its signed text is being evaluated.
    pub(super) fn presented(&self) -> Option<Digits> {
        self.presented.get()
    }
}

/// Ends [`Kept::presenting`], also on a panic.
struct Shown<'k>(&'k Cell<Option<Digits>>);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}
