//! Runs a property.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// The same cases every time, so that a failure comes from the change under test; new ones if their
/// number is set.
fn runner(config: Config, anew: bool) -> TestRunner {
    if anew {
        return TestRunner::new(config);
    }
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Runs a property, by default `cases` times.
pub(crate) fn check<S: Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value)) {
    let from_env = std::env::var_os("PROPTEST_CASES").is_some();
    let cases = if from_env { Config::default().cases } else { cases };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let run = runner(config, from_env).run(&strategy, |value| {
        property(value);
        Ok(())
    });
    if let Err(error) = run {
        panic!("{error}");
    }
    println!("{cases} cases");
}
