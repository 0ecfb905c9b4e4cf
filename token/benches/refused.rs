//! The cost of refusing a token, compared with accepting a good one of the same algorithm, size and
//! shape.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use criterion::{Criterion, criterion_group, criterion_main};

#[allow(dead_code)] // the test reads the bounds
#[path = "../tests/common/refused.rs"]
mod refused;

fn refusing(criterion: &mut Criterion) {
    for case in refused::cases(100_000) {
        let mut group = criterion.benchmark_group(&case.name);
        group.bench_function("good", |bencher| bencher.iter(|| case.judge(false)));
        group.bench_function("refused", |bencher| bencher.iter(|| case.judge(true)));
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(800));
    targets = refusing
}
criterion_main!(benches);
