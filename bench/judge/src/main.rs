//! Checks tokens, so that `cargo xtask instructions` can count the instructions. Call it as
//! `judge WHAT TIMES`; WHAT is one of the words in [`judge`].
#![allow(clippy::unwrap_used, clippy::panic)]

use std::env;
use std::hint::black_box;

use token::base64url::decode;
use token::link::{Link, LinkAlgorithm, LinkSecret, Plain};
use token::{Algorithm, Cache, Headers, LiveInputs, Steady, Verified, Wanted, With};

#[path = "../../../token/tests/common/tokens.rs"]
mod tokens;

use tokens::{NOW, key, rule, token, trust};

/// How many different tokens take turns, so that the cache no longer knows a token.
const DIFFERENT: usize = 64;

fn main() {
    let mut args = env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let times = args.next().and_then(|times| times.parse().ok()).unwrap_or(1);
    judge(&what, times);
}

/// The preparation does not depend on `times`, so the difference of two runs is the cost of the
/// checks alone.
fn judge(what: &str, times: usize) {
    let algorithm = Algorithm::HS256;
    match what {
        // The part of the work that the cryptographic library does.
        "signature" => {
            let (token, key) = (token(algorithm, 0), key(algorithm));
            let dot = token.iter().rposition(|byte| *byte == b'.').unwrap();
            let (message, rest) = token.split_at(dot);
            let signature = decode(rest.get(1..).unwrap()).unwrap();
            for _ in 0..times {
                assert!(key.verify(algorithm, black_box(message), &signature));
            }
        }
        "cold" | "hot" => {
            let (trust, rule) = (trust(&[algorithm]), rule());
            let (count, room) = if what == "hot" { (1, 1 << 20) } else { (DIFFERENT, 24 << 10) };
            let tokens: Vec<_> = (0..count).map(|n| token(algorithm, n)).collect();
            let (cache, headers) = (Cache::new(room).unwrap(), Headers::default());
            let with = With { cache: Some(&cache), headers: Some(&headers), ..With::default() };
            let live = |_: Wanted<'_>| LiveInputs::default();
            for token in &tokens {
                trust.check_with(token, NOW, live, with).unwrap();
            }
            for token in tokens.iter().cycle().take(times) {
                let token = trust.check_with(black_box(token), NOW, live, with);
                assert!(rule.holds(&token.unwrap().payload, &["read"]));
            }
        }
        "again" => {
            let (trust, token, cache) =
                (trust(&[algorithm]), token(algorithm, 0), Cache::new(1 << 20));
            let (cache, by) = (cache.unwrap(), Steady(1));
            let with = With { cache: Some(&cache), stands: true, ..With::default() };
            let live = |_: Wanted<'_>| LiveInputs::default();
            trust.check_with(&token, NOW, live, with).unwrap().let_stand(&cache, by, NOW);
            for _ in 0..times {
                let known = cache.find(black_box(&token)).unwrap();
                assert!(Verified::standing(&cache, &known, by, NOW).is_some());
            }
        }
        "link" => {
            let secret = LinkSecret::new(b"0123456789abcdef0123456789abcdef").unwrap();
            let policy = Plain::new([secret], &[]);
            let st = policy.sign(LinkAlgorithm::Md5, b"/video/clip.mp4", b"1800000060");
            for _ in 0..times {
                let link = Link::new(black_box(st.as_bytes()), b"1800000060").unwrap();
                policy.check(link, b"/video/clip.mp4", NOW).unwrap();
            }
        }
        other => panic!("{other:?}: one of signature, cold, hot, link is wanted"),
    }
}
