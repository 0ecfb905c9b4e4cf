//! Running judgements, and how they fail together.

use std::cell::Cell;

/// Why there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoVerdict {
    /// A value could not be evaluated, or is invalid. The log says which; the answer is 500.
    Value,
    /// The check depends on a variable that depends on the check. The answer is 500.
    Circular,
    /// The verdict needs keys that are being fetched. The access phase waits for them.
    Pending,
}

/// Checks that are being evaluated, one inside another. A variable that has no verdict yet reads as
/// empty, and a switch or a rule may depend on it. So all of them fail together: nothing that was found
/// on the way to a failure counts as a verdict.
#[derive(Default)]
pub(crate) struct Judging {
    depth: Cell<u32>,
    failed: Cell<Option<NoVerdict>>,
    /// Why a variable read as empty while no check was being evaluated. A `map` may keep the value that
    /// it made of that, so no check of this request is reliable any more.
    broken: Cell<Option<NoVerdict>>,
}

impl Judging {
    /// Notes that a variable reads as empty, because it has no verdict or no value.
    pub(crate) fn show_empty(&self, why: NoVerdict) -> NoVerdict {
        // Before the access phase a variable does not wait for keys. That is no failure of a check.
        if self.is_idle() && why != NoVerdict::Pending {
            self.broken.set(Some(why));
        }
        self.fail(why)
    }

    /// Fails the running judgements, if there are any.
    pub(crate) fn fail(&self, why: NoVerdict) -> NoVerdict {
        if !self.is_idle() {
            self.failed.set(self.failed.get().or(Some(why)));
        }
        why
    }

    /// Whether a part of the running judgements has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }

    /// Whether no judgement is running.
    pub(crate) fn is_idle(&self) -> bool {
        self.depth.get() == 0
    }

    /// `Err` if no decision on the request is possible.
    pub(crate) fn is_sound(&self) -> Result<(), NoVerdict> {
        self.broken.get().map_or(Ok(()), Err)
    }

    /// Runs a judgement, or a part of one. It fails if anything within it fails, at any depth.
    pub(crate) fn run<V>(
        &self,
        judge: impl FnOnce() -> Result<V, NoVerdict>,
    ) -> Result<V, NoVerdict> {
        let mut under_way = UnderWay::begin(self);
        let verdict = judge();
        under_way.unwinds = false;
        let failed = self.failed.get();
        drop(under_way);
        match failed {
            Some(why) => Err(why),
            None => verdict.map_err(|why| self.fail(why)),
        }
    }
}

/// A running judgement; it ends when this is dropped.
struct UnderWay<'j> {
    judging: &'j Judging,
    /// True until the judgement returns. It is still true on drop only if the judgement panics.
    unwinds: bool,
}

impl<'j> UnderWay<'j> {
    fn begin(judging: &'j Judging) -> Self {
        judging.depth.set(judging.depth.get() + 1);
        Self { judging, unwinds: true }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let depth = self.judging.depth.get() - 1;
        self.judging.depth.set(depth);
        if self.unwinds {
            self.judging.fail(NoVerdict::Value);
        }
        if depth == 0 {
            self.judging.failed.set(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::{Judging, NoVerdict};

    #[test]
    fn what_fails_within_fails_all_that_is_under_way_and_nothing_after() {
        let judging = Judging::default();
        let outer = judging.run(|| {
            let inner = judging.run(|| Err::<(), _>(NoVerdict::Circular));
            assert_eq!(inner, Err(NoVerdict::Circular));
            // A variable was empty meanwhile, so this result must not count.
            Ok(())
        });
        assert_eq!(outer, Err(NoVerdict::Circular));
        assert_eq!(judging.run(|| Ok(1)), Ok(1));
        assert_eq!(judging.is_sound(), Ok(()));
    }

    #[test]
    fn a_part_that_panics_fails_the_whole() {
        let judging = Judging::default();
        let outer = judging.run(|| {
            let inner = catch_unwind(AssertUnwindSafe(|| {
                judging.run::<()>(|| std::panic::resume_unwind(Box::new("a fault")))
            }));
            assert!(inner.is_err());
            Ok(())
        });
        assert_eq!(outer, Err(NoVerdict::Value));
        assert!(judging.is_idle());
        assert_eq!(judging.run(|| Ok(1)), Ok(1));
    }

    #[test]
    fn an_empty_variable_that_no_check_asked_for_fails_the_request() {
        let judging = Judging::default();
        judging.show_empty(NoVerdict::Pending);
        assert_eq!(judging.is_sound(), Ok(()));
        judging.show_empty(NoVerdict::Value);
        assert_eq!(judging.is_sound(), Err(NoVerdict::Value));
    }
}
