//! The cost of each stage of a judgement, and of the whole, with and without the cache.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use token::base64url::decode;
use token::json::Document;
use token::link::{Link, LinkSecret, Plain};
use token::{Cache, LiveInputs, load_keys};

#[path = "../tests/common/tokens.rs"]
mod tokens;

use tokens::{ALGORITHMS, NOW, key, rule, token, trust};

fn reading(criterion: &mut Criterion) {
    let token = token(ALGORITHMS[0], 0);
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    let mut group = criterion.benchmark_group("read");
    group.bench_function("base64url of the payload", |b| b.iter(|| decode(black_box(parts[1]))));
    for (name, part) in [("header", parts[0]), ("payload", parts[1])] {
        let text = decode(part).unwrap();
        group.bench_function(format!("JSON of the {name}"), |b| {
            b.iter(|| Document::parse(black_box(&text).clone()));
        });
    }
    // Tokens that are refused before anything is parsed.
    let trust = trust(&ALGORITHMS);
    for (name, bad) in [("two sections", "a.b"), ("no JSON", "YQ.YQ.YQ")] {
        group.bench_function(name, |b| {
            b.iter(|| trust.check(bad.as_bytes(), NOW, |_| LiveInputs::default()));
        });
    }
    group.finish();
}

fn signatures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("signature alone");
    for algorithm in ALGORITHMS {
        let (token, key) = (token(algorithm, 0), key(algorithm));
        let dot = token.iter().rposition(|byte| *byte == b'.').unwrap();
        let signature = decode(&token[dot + 1..]).unwrap();
        group.bench_function(algorithm.name(), |b| {
            b.iter(|| assert!(key.verify(algorithm, black_box(&token[..dot]), &signature)));
        });
    }
    for example in [
        include_str!("../tests/rfc9964/ml-dsa-44.json"),
        include_str!("../tests/rfc9964/ml-dsa-65.json"),
        include_str!("../tests/rfc9964/ml-dsa-87.json"),
    ] {
        let example: serde_json::Value = serde_json::from_str(example).unwrap();
        let keys = load_keys(example["jwk"].to_string().as_bytes(), None).unwrap().keys;
        let algorithm = keys[0].algorithms().iter().next().unwrap();
        let (input, signature) = example["jws"].as_str().unwrap().rsplit_once('.').unwrap();
        let signature = decode(signature.as_bytes()).unwrap();
        group.bench_function(algorithm.name(), |b| {
            b.iter(|| assert!(keys[0].verify(algorithm, black_box(input.as_bytes()), &signature)));
        });
    }
    group.finish();
}

fn judging(criterion: &mut Criterion) {
    let trust = trust(&ALGORITHMS);
    let mut group = criterion.benchmark_group("judge");
    for algorithm in ALGORITHMS {
        let one = token(algorithm, 0);
        group.bench_function(format!("{algorithm}, no cache"), |b| {
            b.iter(|| trust.check(black_box(&one), NOW, |_| LiveInputs::default()).unwrap());
        });
        // A cache with room for a few of them only, so that it never knows the next token.
        let many: Vec<_> = (0..64).map(|n| token(algorithm, n)).collect();
        let (small, mut next) = (Cache::new(32 << 10).unwrap(), 0);
        group.bench_function(format!("{algorithm}, never seen"), |b| {
            b.iter(|| {
                next = (next + 1) % many.len();
                trust
                    .check_cached(&many[next], NOW, |_| LiveInputs::default(), Some(&small))
                    .unwrap()
            });
        });
        let cache = Cache::new(1 << 20).unwrap();
        group.bench_function(format!("{algorithm}, seen before"), |b| {
            b.iter(|| {
                trust
                    .check_cached(black_box(&one), NOW, |_| LiveInputs::default(), Some(&cache))
                    .unwrap()
            });
        });
    }
    group.finish();
}

fn rules_and_links(criterion: &mut Criterion) {
    let verified =
        trust(&ALGORITHMS).check(&token(ALGORITHMS[0], 0), NOW, |_| LiveInputs::default()).unwrap();
    let rule = rule();
    criterion.bench_function("rule on a claim", |b| {
        b.iter(|| assert!(rule.holds(black_box(&verified.payload), &["read"])));
    });
    for algorithm in Plain::ALGORITHMS {
        let secret = LinkSecret::new(b"0123456789abcdef0123456789abcdef").unwrap();
        let policy = Plain::new([secret], &[]);
        let st = policy.sign(algorithm, b"/video/clip.mp4", b"1800000060");
        criterion.bench_function(&format!("link, {}", algorithm.name()), |b| {
            b.iter(|| {
                let link = Link::new(black_box(st.as_bytes()), b"1800000060").unwrap();
                policy.check(link, b"/video/clip.mp4", NOW).unwrap();
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_millis(800));
    targets = reading, signatures, judging, rules_and_links
}
criterion_main!(benches);
