//! A request that is being judged.

use std::cell::Cell;

use super::judging::{Judging, NoVerdict};
use crate::nginx::{Memory, Place, Request};

/// A request, and the judgements on it that are under way.
#[derive(Clone, Copy)]
pub(crate) struct Case<'r> {
    pub(crate) request: Request<'r>,
    pub(crate) judging: &'r Judging,
    memory: Memory<'r>,
    time: &'r Cell<Option<i64>>,
}

impl<'r> Case<'r> {
    /// `time` is kept with the request, for [`Case::time`].
    pub(crate) fn new(
        request: Request<'r>,
        memory: Memory<'r>,
        judging: &'r Judging,
        time: &'r Cell<Option<i64>>,
    ) -> Self {
        Self { request, judging, memory, time }
    }

    /// Where the request stands now.
    pub(crate) fn place(self) -> Place {
        self.request.place()
    }

    /// The second in which the request is judged, since the epoch: that of its access phase or, before
    /// it, of the first judgement. Subrequests are judged by the same time, however long they take.
    pub(crate) fn time(self) -> i64 {
        let time = self.time.get().unwrap_or_else(|| self.request.now());
        self.time.set(Some(time));
        time
    }

    /// The access phase begins: what is judged from now on is judged by this second.
    pub(crate) fn begin_access(self) {
        self.time.set(Some(self.request.now()));
    }

    /// Whether the request can be decided on at all.
    pub(crate) fn is_sound(self) -> Result<(), NoVerdict> {
        self.no_failed_variable().and_then(|()| self.judging.is_sound())
    }

    /// Runs a judgement, or a part of one. Should it fail, nothing is kept of the variables that nginx
    /// has evaluated for it: a `map` may have made its value of one that was empty for want of a
    /// verdict.
    pub(crate) fn attempt<V>(
        self,
        judge: impl FnOnce() -> Result<V, NoVerdict>,
    ) -> Result<V, NoVerdict> {
        let watch = self.memory.watch_variables();
        let mut judged = self.judging.run(judge);
        if self.memory.has_failed_variable() {
            judged = Err(self.judging.fail(NoVerdict::Value));
        }
        if judged.is_err() {
            watch.forget_values();
        }
        judged
    }

    fn no_failed_variable(self) -> Result<(), NoVerdict> {
        if self.memory.has_failed_variable() { Err(NoVerdict::Value) } else { Ok(()) }
    }
}
