//! What the most expensive key sets of 1 MiB cost: reading one takes at most 16 MiB in addition to the
//! text, and 50 ms, in which a worker serves no other request.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use token::{KeySet, MAX_PUBLISHED_KEYS, load_published_keys};

const SIZE: usize = 1 << 20;
const MEMORY: usize = 16 << 20;
const TIME: Duration = Duration::from_millis(50);

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn count(more: usize, less: usize) {
        let held = (HELD.get() + more).saturating_sub(less);
        HELD.set(held);
        MOST.set(MOST.get().max(held));
    }
}

// SAFETY: every call goes on to the system's allocator, which keeps the contract. Counting uses only
// thread-locals that need no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size(), 0);
        // SAFETY: by the contract of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        Self::count(0, layout.size());
        // SAFETY: by the contract of this function.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old and the new block may exist at the same time.
        Self::count(size, 0);
        Self::count(0, layout.size());
        // SAFETY: by the contract of this function.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most memory that `what` holds at once, and the time that it takes.
fn cost<T>(what: impl FnOnce() -> T) -> (usize, Duration, T) {
    let before = HELD.get();
    MOST.set(before);
    let start = (Instant::now(), on_processor());
    let result = what();
    let time = start.0.elapsed();
    let time = start.1.and_then(|start| Some(on_processor()? - start)).unwrap_or(time);
    (MOST.get() - before, time, result)
}

/// How long this thread has run, from Linux if possible: then other load on the machine has less
/// influence.
fn on_processor() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(told.split(' ').next()?.parse().ok()?))
}

/// A text of 1 MiB: `each` between `head` and `tail`, as often as there is room.
fn filled(head: &str, tail: &str, separator: &str, each: impl Fn(usize) -> String) -> Vec<u8> {
    let mut text = head.to_owned();
    for i in 0.. {
        let next = each(i);
        if text.len() + separator.len() + next.len() + tail.len() > SIZE {
            break;
        }
        if i > 0 {
            text.push_str(separator);
        }
        text.push_str(&next);
    }
    text.push_str(tail);
    text.into_bytes()
}

/// A set of as many of these keys as fit into 1 MiB.
fn keys(each: impl Fn(usize) -> String) -> Vec<u8> {
    filled(r#"{"keys":["#, "]}", ",", each)
}

/// A set of so many such keys, few enough names and values for all of it to be read, and white space.
fn some_keys(count: usize, each: impl Fn(usize) -> String) -> Vec<u8> {
    let keys: Vec<_> = (0..count).map(each).collect();
    filled(&format!(r#"{{"keys":[{}]}}"#, keys.join(",")), "", "", |_| " ".to_owned())
}

/// A JWK of the tests' keys with another kid.
fn with_kid(jwk: &str, i: usize) -> String {
    let mut jwk: serde_json::Value = serde_json::from_str(jwk).unwrap();
    jwk["kid"] = i.to_string().into();
    jwk.to_string()
}

/// A set of PEM by kid: as many of these as fit into 1 MiB.
fn by_kid(pem: &str) -> Vec<u8> {
    let pem = serde_json::Value::from(pem).to_string();
    filled("{", "}", ",", |i| format!("\"{i}\":{pem}"))
}

/// A JWK with the certificate in its `x5c`.
fn with_certificate(jwk: &str, certificate: &str, i: usize) -> String {
    let mut jwk: serde_json::Value = serde_json::from_str(&with_kid(jwk, i)).unwrap();
    let der: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    jwk["x5c"] = vec![der].into();
    jwk.to_string()
}

fn junk() -> Vec<(&'static str, Vec<u8>)> {
    let rsa = include_str!("../../tests/keys/rsa2048.jwk.json");
    let p256 = include_str!("../../tests/keys/p256.jwk.json");
    let p521 = include_str!("../../tests/keys/p521.jwk.json");
    let ed25519 = include_str!("../../tests/keys/ed25519.jwk.json");
    let ml_dsa = include_str!("../../tests/keys/ml-dsa-44.jwk.json");
    let pem = include_str!("../../tests/keys/p521.pub.pem");
    let certificate = include_str!("../../tests/keys/rsa2048.crt.pem");
    let p256_certificate = include_str!("../../tests/keys/p256.crt.pem");
    let all = |text: &'static str| move |_: usize| text.to_owned();
    let same = |text: &'static str| keys(move |_| text.to_owned());
    let off_curve = p256.replacen(r#""y":""#, r#""y":"AAAA"#, 1);
    vec![
        ("an array of numbers", filled("[", "]", ",", all("7"))),
        ("a set of numbers", same("7")),
        ("empty objects", same("{}")),
        ("empty arrays", same("[]")),
        ("empty strings", same("\"\"")),
        ("no type", same(r#"{"kid":"k"}"#)),
        ("unknown types", same(r#"{"kty":""}"#)),
        (
            "of long names",
            same(r#"{"kty":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#),
        ),
        ("for something else", same(r#"{"use":""}"#)),
        ("without operations", same(r#"{"key_ops":[]}"#)),
        ("with an unknown algorithm", same(r#"{"alg":"x","kty":"RSA"}"#)),
        ("with an algorithm of another type", same(r#"{"alg":"RS256","kty":"oct","k":"AA"}"#)),
        ("secrets", keys(|i| format!(r#"{{"kty":"oct","kid":"{i}","k":"AA"}}"#))),
        ("secrets of one kid", same(r#"{"kty":"oct","kid":"","k":"AA"}"#)),
        ("secrets without kid", same(r#"{"kty":"oct","k":"AA"}"#)),
        ("RSA keys", keys(|i| with_kid(rsa, i))),
        ("one RSA key", same(rsa.trim())),
        ("P-256 keys", keys(|i| with_kid(p256, i))),
        ("points off the curve", keys(|i| with_kid(&off_curve, i))),
        ("P-521 keys", keys(|i| with_kid(p521, i))),
        ("many secrets", some_keys(7_000, |i| format!(r#"{{"kty":"oct","kid":"{i}","k":"AA"}}"#))),
        ("many P-256 keys", some_keys(4_000, |i| with_kid(p256, i))),
        ("many points off the curve", some_keys(4_000, |i| with_kid(&off_curve, i))),
        ("many Ed25519 keys", some_keys(5_000, |i| with_kid(ed25519, i))),
        ("Ed25519 keys", keys(|i| with_kid(ed25519, i))),
        ("ML-DSA keys", keys(|i| with_kid(ml_dsa, i))),
        ("many members", filled("{", "}", ",", |i| format!("\"{i:x}\":0"))),
        ("many members of a key", filled(r#"{"keys":[{"#, "}]}", ",", |i| format!("\"{i:x}\":0"))),
        ("long names alike", filled("{", "}", ",", |i| format!("\"{}{i:x}\":0", "x".repeat(200)))),
        ("many escaped members", filled("{", "}", ",", |i| format!("\"\\n{i:x}\":0"))),
        ("many small objects", same(r#"{"a":1,"b":2,"c":3}"#)),
        ("a long string", filled("\"", "\"", "", all("a"))),
        ("a long escaped string", filled("\"", "\"", "", all("\\n"))),
        ("a long kid", filled(r#"{"keys":[{"kty":"x","kid":""#, "\"}]}", "", all("\\u0001"))),
        ("a long type", filled(r#"{"keys":[{"kty":""#, "\"}]}", "", all("\u{200b}"))),
        ("a long key", filled(r#"{"keys":[{"kty":"oct","k":""#, "\"}]}", "", all("AAAA"))),
        (
            "a long modulus",
            filled(r#"{"keys":[{"kty":"RSA","e":"AQAB","n":""#, "\"}]}", "", all("QQQQ")),
        ),
        ("a long number", filled("[", "]", "", all("1"))),
        ("a long fraction", filled("[0.", "]", "", all("1"))),
        ("fractions", same("1.23456789012345678901234567890e-5")),
        ("deep arrays", filled("", "", "", all("["))),
        ("as deep as may be", keys(|_| format!("{}{}", "[".repeat(30), "]".repeat(30)))),
        ("white space", filled("", "{", "", all(" "))),
        ("no text", vec![0xff; SIZE]),
        ("beginnings of PEM", filled("", "", "\n", all("-----BEGIN "))),
        ("beginnings of blocks", filled("", "", "\n", all("-----BEGIN X-----"))),
        ("one block without end", filled("-----BEGIN X-----\n", "", "\n", all("AAAA"))),
        ("dashes", filled("-----BEGIN X-----\n", "", "", all("-"))),
        ("empty blocks", filled("", "", "\n", all("-----BEGIN X-----\n-----END X-----"))),
        ("PEM keys", filled("", "", "\n", all(pem))),
        ("as many PEM keys as are read", {
            let keys = pem.repeat(256);
            filled(&keys, "", "", all("\n"))
        }),
        ("certificates", filled("", "", "\n", all(certificate))),
        ("as many certificates as are read", {
            let keys = certificate.repeat(256);
            filled(&keys, "", "", all("\n"))
        }),
        ("RSA certificates by kid", by_kid(certificate)),
        ("P-256 certificates by kid", by_kid(p256_certificate)),
        ("P-521 keys in PEM by kid", by_kid(pem)),
        ("empty blocks by kid", by_kid("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n")),
        ("beginnings of PEM by kid", by_kid("-----BEGIN ")),
        ("no PEM by kid but once", {
            filled(r#"{"k":"-----BEGIN ""#, "}", "", |i| format!(",\"{i}\":0"))
        }),
        ("RSA keys with certificates", keys(|i| with_certificate(rsa, certificate, i))),
        ("P-256 keys with certificates", keys(|i| with_certificate(p256, p256_certificate, i))),
        ("keys with others' certificates", keys(|i| with_certificate(p256, certificate, i))),
        (
            "a long block",
            filled(
                "-----BEGIN PUBLIC KEY-----\n",
                "\n-----END PUBLIC KEY-----\n",
                "\n",
                all("AAAA"),
            ),
        ),
    ]
}

#[test]
fn any_published_key_set_is_read_within_bounds() {
    let mut dear = Vec::new();
    for (name, text) in junk() {
        assert!(text.len() <= SIZE && text.len() > SIZE - 4096, "{name}: {}", text.len());
        let mut best = Duration::MAX;
        let mut most = 0;
        // Other load on the machine disturbs the measurement, so it is repeated before it fails.
        for _ in 0..6 {
            let (memory, time, count) = cost(|| {
                let loaded = load_published_keys(&text).map_err(|error| {
                    let message = error.to_string();
                    assert!(message.len() < 4096, "{name}: {}", message.len());
                })?;
                let told: usize = loaded.warnings.iter().map(String::len).sum();
                assert!(loaded.warnings.len() <= 12 && told < 8192, "{name}: {told}");
                Ok::<_, ()>(KeySet::new(loaded.keys).len())
            });
            assert!(count.unwrap_or(0) <= MAX_PUBLISHED_KEYS, "{name}");
            (best, most) = (best.min(time), most.max(memory));
            if best <= TIME {
                break;
            }
        }
        println!("{best:>12.1?} {:>9} KiB  {name}", most >> 10);
        if best > TIME || most > MEMORY {
            dear.push(format!("{name}: {best:?}, {} KiB", most >> 10));
        }
    }
    assert!(dear.is_empty(), "{}", dear.join("\n"));
}

#[test]
fn warnings_are_counted_after_the_first_ten() {
    let set = format!(r#"{{"keys":[{}{{"kty":"oct","k":"AA"}}]}}"#, "7,".repeat(60_000));
    let loaded = load_published_keys(set.as_bytes()).unwrap();
    assert_eq!(loaded.keys.len(), 1);
    assert_eq!(loaded.warnings.len(), 11);
    assert_eq!(loaded.warnings.first().unwrap(), "keys[0].kty: is missing; the key is not used");
    assert_eq!(loaded.warnings.last().unwrap(), "and 59991 more");
}

#[test]
fn keys_that_come_after_the_first_are_left_out_and_told() {
    let ed25519 = include_str!("../../tests/keys/ed25519.jwk.json");
    let set = |count: usize| {
        let keys: Vec<_> = (0..count).map(|i| with_kid(ed25519, i)).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    };
    let all = load_published_keys(set(MAX_PUBLISHED_KEYS).as_bytes()).unwrap();
    assert!(all.keys.len() == MAX_PUBLISHED_KEYS && all.warnings.is_empty());
    let more = load_published_keys(set(MAX_PUBLISHED_KEYS + 2).as_bytes()).unwrap();
    assert_eq!(more.keys.len(), MAX_PUBLISHED_KEYS);
    assert_eq!(more.warnings.len(), 2);
    assert!(more.warnings.iter().all(|it| it.contains("comes after the first 2048")));
    let blocks = include_str!("../../tests/keys/ed25519.pub.pem").repeat(257);
    let error = load_published_keys(blocks.as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "PEM: 257 blocks; at most 256 are read");
    let nodes = format!("[{}7]", "7,".repeat(70_000));
    let error = load_published_keys(nodes.as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("more than 65536 names and values"), "{error}");
    let rsa_jwk = include_str!("../../tests/keys/rsa2048.jwk.json");
    let keys: Vec<_> = (0..513).map(|i| with_kid(rsa_jwk, i)).collect();
    let rsa = load_published_keys(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes());
    let rsa = rsa.unwrap();
    assert_eq!((rsa.keys.len(), rsa.warnings.len()), (512, 1));
    let certificate = include_str!("../../tests/keys/rsa2048.crt.pem");
    let keys: Vec<_> = (0..257).map(|i| with_certificate(rsa_jwk, certificate, i)).collect();
    let chained = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
    let by_kid: serde_json::Map<_, _> =
        (0..257).map(|i| (i.to_string(), certificate.into())).collect();
    for text in [chained, serde_json::Value::Object(by_kid).to_string()] {
        let read = load_published_keys(text.as_bytes()).unwrap();
        assert_eq!((read.keys.len(), read.warnings.len()), (256, 1));
        assert!(read.warnings[0].contains("comes after the first"), "{:?}", read.warnings);
        assert_eq!(token::load_keys(text.as_bytes(), None).unwrap().keys.len(), 257);
    }
    // A local file has no such limit.
    let own = token::load_keys(set(MAX_PUBLISHED_KEYS + 2).as_bytes(), None).unwrap();
    assert_eq!(own.keys.len(), MAX_PUBLISHED_KEYS + 2);
}
