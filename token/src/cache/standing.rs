//! Verdicts that stand for a while.
//!
//! Most checks judge a token by nothing but the token, the time, and what is configured. Once such a check has let a
//! token pass, it does so again until a time is reached that matters: the token's `exp`, or the end of its key. Until
//! then nothing has to be judged again. Only the last verdict on a token is kept, and refusals are not.

/// The number of a check that judges by nothing else, and whose keys and lists never change. No other check
/// that uses the same cache may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steady(pub u32);

/// That a token has passed a check, and in which seconds since the epoch the check must say the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    by: Steady,
    /// The number of the provider whose token it is.
    provider: u32,
    since: i64,
    /// The first second in which the verdict may be another one.
    until: i64,
}

impl Default for Standing {
    /// Nothing stands.
    fn default() -> Self {
        Self { by: Steady(0), provider: 0, since: i64::MAX, until: i64::MIN }
    }
}

impl Standing {
    /// From the second `now` to the last one before `until`. Nothing stands if the provider has a greater number than
    /// there is room for.
    pub(crate) fn new(by: Steady, provider: usize, now: i64, until: i64) -> Self {
        match u32::try_from(provider) {
            Ok(provider) => Self { by, provider, since: now, until },
            Err(_) => Self::default(),
        }
    }

    /// The number of the provider, if the verdict of `by` stands now. It does not if the clock was set back: a token
    /// may not be valid yet.
    pub(super) fn provider(self, by: Steady, now: i64) -> Option<usize> {
        let stands = self.by == by && self.since <= now && now < self.until;
        stands.then_some(self.provider as usize)
    }
}
