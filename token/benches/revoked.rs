//! What a look-up in a list of ten million ids costs, one after the other, each in another place of the
//! table: an id that is listed, and one that is not.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use token::{Finding, RevokedList, Times};

/// How many ids are asked for.
const ASKED: usize = 1 << 16;

/// An id that looks like a UUID.
fn id(number: usize) -> String {
    let one = (number as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let two = (one ^ one >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let text = format!("{one:016x}{two:016x}");
    let [a, b, c, d, e] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| text.get(part).unwrap());
    format!("{a}-{b}-{c}-{d}-{e}")
}

fn list(size: usize) -> RevokedList {
    let mut text = String::with_capacity(size * 37);
    for number in 0..size {
        writeln!(text, "{}", id(number)).unwrap();
    }
    RevokedList::parse(text.into_bytes()).unwrap()
}

fn lookups(criterion: &mut Criterion) {
    let times = Times::new(1_800_000_000, None);
    let mut group = criterion.benchmark_group("revoked");
    for size in [10_000, 1_000_000, 10_000_000] {
        let list = list(size);
        let listed: Vec<_> = (0..ASKED).map(|n| id(n * size / ASKED)).collect();
        let others: Vec<_> = (0..ASKED).map(|n| id((1 << 40) + n)).collect();
        for (what, ids, expected) in
            [("listed", listed, Finding::Revoked), ("not listed", others, Finding::Clean)]
        {
            let mut next = ids.iter().cycle();
            group.bench_function(format!("{what}, {size} ids"), |b| {
                b.iter(|| {
                    let found = list.find(black_box(next.next().unwrap()), times);
                    assert_eq!(found, expected);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
