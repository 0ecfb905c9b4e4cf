//! Judgements that are under way, and how they fail together.

use std::cell::Cell;

/// Why there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoVerdict {
    /// A value could not be evaluated, or made no sense. The log says which; the answer is 500.
    Value,
    /// A variable that the check rests on asks for the check's own verdict. The answer is 500.
    Circular,
    /// Keys are being fetched without which nothing can be said. The access phase waits for them.
    Pending,
}

/// Checks that are being evaluated, one within the other. A variable that has no verdict yet reads as
/// empty, and a switch or a rule may rest on it, so all of them fail together: nothing that was found
/// on the way to a failure is taken for a verdict.
#[derive(Default)]
pub(crate) struct Judging {
    depth: Cell<u32>,
    failed: Cell<Option<NoVerdict>>,
    /// Why a variable was empty when no check was being evaluated: nginx may have kept what a `map` has
    /// made of that, so no check of the request can be relied on.
    broken: Cell<Option<NoVerdict>>,
}

impl Judging {
    /// Notes that a variable is shown as empty for want of a verdict, or of its value.
    pub(crate) fn show_empty(&self, why: NoVerdict) -> NoVerdict {
        // Before the access phase a variable does not wait for keys, which is no fault of any check.
        if self.is_idle() && why != NoVerdict::Pending {
            self.broken.set(Some(why));
        }
        self.fail(why)
    }

    /// Fails what is under way, if anything is.
    pub(crate) fn fail(&self, why: NoVerdict) -> NoVerdict {
        if !self.is_idle() {
            self.failed.set(self.failed.get().or(Some(why)));
        }
        why
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.depth.get() == 0
    }

    /// Whether the request can be decided on at all.
    pub(crate) fn is_sound(&self) -> Result<(), NoVerdict> {
        self.broken.get().map_or(Ok(()), Err)
    }

    /// Runs a judgement, or a part of one; what fails within it, at whatever depth, fails it.
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

/// A judgement that is under way, until this is dropped.
struct UnderWay<'j> {
    judging: &'j Judging,
    /// Whether it has neither a verdict nor a failure: it panics.
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
            // A variable has shown nothing; what is made of that counts for nothing.
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
