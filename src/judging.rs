//! Judgements that are under way, and how they fail together.

use std::cell::Cell;

/// Why there is no verdict; the answer is 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// A value could not be evaluated, or made no sense, as nginx or we have logged.
    Value,
    /// A variable that the check rests on asked for the check's own verdict.
    Circular,
    /// Keys are on their way without which nothing can be said; the access phase waits for them.
    Pending,
}

/// The judgements that are under way: one of the one kind, and perhaps one of the other that a
/// variable of the first has asked for.
///
/// A variable that has no verdict to show is empty, and what rests on that emptiness must not
/// count: it might be a switch, or a rule. So a failure fails every judgement that was under way,
/// and nothing that was reached on the way to it is taken for a verdict.
#[derive(Default)]
pub(crate) struct Judging {
    depth: Cell<u32>,
    failed: Cell<Option<Failed>>,
    /// Why a variable was empty that nothing of this module has asked for: nginx may have kept what
    /// a `map` has made of that, so no check of the request can be relied on.
    broken: Cell<Option<Failed>>,
}

impl Judging {
    /// Notes that a variable is shown as empty for want of a verdict, or of its value.
    pub(crate) fn show_empty(&self, why: Failed) -> Failed {
        // Before the access phase a variable does not wait for keys, which is no fault of any check.
        if self.is_idle() && why != Failed::Pending {
            self.broken.set(Some(why));
        }
        self.fail(why)
    }

    /// Fails what is under way, if anything is.
    pub(crate) fn fail(&self, why: Failed) -> Failed {
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
    pub(crate) fn is_sound(&self) -> Result<(), Failed> {
        self.broken.get().map_or(Ok(()), Err)
    }

    /// Runs a judgement, or a part of one; what fails within it, at whatever depth, fails it.
    pub(crate) fn run<V>(&self, judge: impl FnOnce() -> Result<V, Failed>) -> Result<V, Failed> {
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
            self.judging.fail(Failed::Value);
        }
        if depth == 0 {
            self.judging.failed.set(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::{Failed, Judging};

    #[test]
    fn what_fails_within_fails_all_that_is_under_way_and_nothing_after() {
        let judging = Judging::default();
        let outer = judging.run(|| {
            let inner = judging.run(|| Err::<(), _>(Failed::Circular));
            assert_eq!(inner, Err(Failed::Circular));
            // A variable has shown nothing; what is made of that counts for nothing.
            Ok(())
        });
        assert_eq!(outer, Err(Failed::Circular));
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
        assert_eq!(outer, Err(Failed::Value));
        assert!(judging.is_idle());
        assert_eq!(judging.run(|| Ok(1)), Ok(1));
    }

    #[test]
    fn an_empty_variable_that_no_check_asked_for_fails_the_request() {
        let judging = Judging::default();
        judging.show_empty(Failed::Pending);
        assert_eq!(judging.is_sound(), Ok(()));
        judging.show_empty(Failed::Value);
        assert_eq!(judging.is_sound(), Err(Failed::Value));
    }
}
