//! A request that is being judged.

use std::cell::Cell;

use super::judging::{Judging, NoVerdict};
use super::opinion::Opinion;
use crate::nginx::{Memory, Place, Request};

/// A request, and its running judgements.
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

    /// The place of the request now.
    pub(crate) fn place(self) -> Place {
        self.request.place()
    }

    /// The time for which the request is judged, in seconds since the epoch: that of its access phase
    /// or, before that, of the first judgement. Subrequests use the same time, however long they take.
    pub(crate) fn time(self) -> i64 {
        let time = self.time.get().unwrap_or_else(|| self.request.now());
        self.time.set(Some(time));
        time
    }

    /// The access phase begins: its time counts from now on.
    pub(crate) fn begin_access(self) {
        self.time.set(Some(self.request.now()));
    }

    /// `Err` if no decision on the request is possible.
    pub(crate) fn is_sound(self) -> Result<(), NoVerdict> {
        if self.memory.has_failed_variable() {
            return Err(NoVerdict::Value);
        }
        self.judging.is_sound()
    }

    /// Runs a judgement, or a part of one. If it fails, the variables that nginx has evaluated for it
    /// are forgotten: a variable without a verdict reads as empty, and a `map` may have kept a value
    /// made from that.
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

    /// [`Case::attempt`] of the opinion in the access phase, which waits for keys.
    pub(crate) fn decide(
        self,
        decide: impl FnOnce() -> Result<Opinion, NoVerdict>,
    ) -> Result<Opinion, NoVerdict> {
        match self.attempt(decide) {
            Err(NoVerdict::Pending) => Ok(Opinion::Waits),
            decided => decided,
        }
    }
}
