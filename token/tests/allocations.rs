//! How often memory is allocated for one token: never if the cache knows it, and for a new one a few
//! times, whatever the number of keys, kids, sets and providers.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

#[path = "common/zeros.rs"]
mod zeros;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use token::base64url::encode;
use token::link::{Link, LinkSecret, Plain};
use token::status::{MAX_INFLATED, StatusList, StatusListError};
use token::{
    AlgorithmSet, Cache, ClaimPath, ClaimRule, Headers, Key, KeySet, LiveInputs, LocationPolicy,
    Operator, Policy, Providers, Requirements, Revocation, RevokedList, Trust, With,
};

const NOW: i64 = 1_800_000_000;
/// The text and the nodes of the payload, room for which may be too large at first, the content that has
/// both, the token's bytes, the identities of the key sets if there are several, and what ends the search
/// for the issuer.
const A_HANDFUL: usize = 7;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// The bytes that are allocated now, and the most since the last reset.
    static BYTES: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: isize) {
    BYTES.set(BYTES.get() + bytes);
    MOST.set(MOST.get().max(BYTES.get()));
}

// SAFETY: every call goes on to the system's allocator, which keeps the contract. Counting uses only
// thread-locals that need no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: by the contract of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: by the contract of this function.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: by the contract of this function.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many allocations `what` makes.
fn allocations<T>(what: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let result = what();
    (ALLOCATIONS.get() - before, result)
}

/// The most memory that `what` has at once.
fn most_bytes<T>(what: impl FnOnce() -> T) -> (isize, T) {
    let before = BYTES.get();
    MOST.set(before);
    let result = what();
    (MOST.get() - before, result)
}

fn token(n: usize) -> Vec<u8> {
    let header = r#"{"alg":"HS256","typ":"JWT","kid":"k0"}"#;
    let payload = format!(
        r#"{{"iss":"https://issuer.example","aud":["api","web"],"sub":"user-{n:06}","exp":{},
        "jti":"{n:06}","scope":"read write","realm":{{"roles":["a","b"]}}}}"#,
        NOW + 600
    );
    let message = format!("{}.{}", encode(header), encode(payload));
    let mac = Hmac::<Sha256>::new_from_slice(b"s0").unwrap().chain_update(&message);
    format!("{message}.{}", encode(mac.finalize().into_bytes())).into_bytes()
}

/// A policy with `sets` sets of `keys` keys; the first key has signed.
fn policy(sets: usize, keys: usize, issuer: &str) -> Policy {
    let set = |n: usize| {
        let key = |i: usize| {
            let key = Key::hmac(format!("s{i}").as_bytes(), AlgorithmSet::ALL).unwrap();
            key.with_kid(Some(&format!("k{}", n * keys + i)))
        };
        Arc::new(KeySet::new((0..keys).map(key).collect()))
    };
    let requirements = Requirements {
        issuers: token::Issuers::new([issuer]).unwrap(),
        audiences: [Box::from("web")].into(),
        types: [Box::from("jwt")].into(),
        require_exp: true,
        max_lifetime: Some(3_600),
    };
    let list = RevokedList::parse(b"gone\n7\n".to_vec()).unwrap();
    Policy {
        keys: (0..sets).map(set).collect(),
        requirements: vec![requirements.clone(), requirements],
        revoked: vec![Arc::new(Revocation::new(ClaimPath::new("jti").unwrap(), list))],
        ..Policy::default()
    }
}

const ISSUER: &str = "https://issuer.example";

/// Few and many of everything.
fn trusts() -> Vec<(&'static str, Trust)> {
    let provider = |n: usize| policy(1, 1, &format!("https://other.example/{n}"));
    let many = (0..50).map(provider).chain([policy(30, 100, ISSUER)]).collect();
    let providers = |policies: Vec<Policy>| {
        let requirements = Requirements { require_exp: true, ..Requirements::default() };
        let location =
            LocationPolicy { requirements, leeway: Some(5), ..LocationPolicy::default() };
        Trust::Providers(Arc::new(Providers::new(policies).unwrap()), location)
    };
    vec![
        ("one key", Trust::Keys(policy(1, 1, ISSUER))),
        ("many keys", Trust::Keys(policy(30, 200, ISSUER))),
        ("one provider", providers(vec![policy(1, 1, ISSUER)])),
        ("many providers", providers(many)),
    ]
}

#[test]
fn a_token_seen_before_allocates_nothing() {
    for (name, trust) in trusts() {
        let cache = Cache::new(1 << 20).unwrap();
        let token = token(1);
        trust.check_cached(&token, NOW, |_| LiveInputs::default(), Some(&cache)).unwrap();
        let (count, verified) = allocations(|| {
            trust.check_cached(&token, NOW + 1, |_| LiveInputs::default(), Some(&cache))
        });
        assert_eq!(count, 0, "{name}");
        assert_eq!(
            verified.unwrap().payload.root().get("sub").unwrap().as_str(),
            Some("user-000001")
        );
    }
}

#[test]
fn a_new_token_allocates_a_handful_whatever_there_is_of_keys_and_providers() {
    let mut counts = Vec::new();
    for (name, trust) in trusts() {
        let (cache, headers) = (Cache::new(256 << 10).unwrap(), Headers::default());
        let with = With { cache: Some(&cache), headers: Some(&headers), ..With::default() };
        // The header of all the tokens is parsed once.
        trust.check_with(&token(2_000), NOW, |_| LiveInputs::default(), with).unwrap();
        // The cache fills and then has to make room: neither costs more than before.
        let most = (0..2_000).map(|n| {
            let token = token(n);
            let (count, verified) = allocations(|| {
                trust.check_with(&token, NOW, |_| LiveInputs::default(), with).is_ok()
            });
            assert!(verified, "{name}");
            count
        });
        let most = most.max().unwrap();
        println!("{name}: {most}");
        assert!(most <= A_HANDFUL, "{name}: {most}");
        counts.push(most);
        assert!(cache.len() < 2_000);
    }
    // The identities of several key sets are one more.
    assert!(counts[1] <= counts[0] + 1 && counts[3] <= counts[2] + 1, "{counts:?}");
}

#[test]
fn rules_and_links_allocate_nothing() {
    let trust = Trust::Keys(policy(1, 1, ISSUER));
    let verified = trust.check(&token(1), NOW, |_| LiveInputs::default()).unwrap();
    for (path, operator, values) in [
        ("scope", "any", &["write", "admin"][..]),
        ("scope", "all", &["read", "write"]),
        ("sub", "^~", &["user-"]),
        ("aud", "=", &["web"]),
        ("realm.roles", "any", &["b"]),
        ("exp", ">", &["1"]),
        ("sub", "exists", &[]),
    ] {
        let known: Vec<_> = values.iter().copied().map(Some).collect();
        let rule = ClaimRule::new(path, Operator::from_name(operator).unwrap(), &known).unwrap();
        let (count, holds) = allocations(|| rule.holds(&verified.payload, values));
        assert!(holds && count == 0, "{path} {operator}: {holds}, {count}");
    }
    for algorithm in Plain::ALGORITHMS {
        let secrets = ["old", "new"].map(|it| LinkSecret::new(it.as_bytes()).unwrap());
        let [_, new] = secrets.clone();
        let st = Plain::new([new], &[]).sign(algorithm, b"/video", b"1800000060");
        let policy = Plain::new(secrets, &[]);
        let judge = || policy.check(Link::new(st.as_bytes(), b"1800000060")?, b"/video", NOW);
        assert_eq!(allocations(judge), (0, Ok(())), "{algorithm:?}");
    }
}

/// A list may take what it may inflate to, and a bomb no more.
#[test]
fn a_status_list_that_is_a_bomb_takes_no_more_memory_than_a_good_one() {
    let lst = encode(zeros::mebibytes(1024));
    let payload = format!(r#"{{"sub":"u","iat":1,"status_list":{{"bits":1,"lst":"{lst}"}}}}"#);
    let header = r#"{"alg":"HS256","typ":"statuslist+jwt"}"#;
    let message = format!("{}.{}", encode(header), encode(payload));
    let mac = Hmac::<Sha256>::new_from_slice(b"s0").unwrap().chain_update(&message);
    let token = format!("{message}.{}", encode(mac.finalize().into_bytes()));
    let key = Key::hmac(b"s0", AlgorithmSet::ALL).unwrap();
    let policy = Policy { keys: vec![Arc::new(KeySet::new(vec![key]))], ..Policy::default() };
    let (most, refused) = most_bytes(|| {
        let live = LiveInputs::default();
        let mut list = StatusList::open(token.as_bytes(), "u", &policy, None, &live, NOW).unwrap();
        loop {
            match list.inflate() {
                Ok(more) => assert!(more),
                Err(error) => return error,
            }
        }
    });
    assert_eq!(refused, StatusListError::TooLarge(MAX_INFLATED));
    // The compressed data, and something for the decompressor.
    let allowed = MAX_INFLATED + lst.len() + 512 * 1024;
    assert!(most < allowed as isize, "{most} bytes, {allowed} allowed");
}
