//! The core against a second implementation: RustCrypto's primitives, under `jsonwebtoken` or by
//! themselves, and a naive reading of the token written here.
//!
//! Tokens are generated, signed and mutated. For each token the model predicts the result with its
//! reason, and `jsonwebtoken` says whether it accepts the token. If the two implementations disagree,
//! one of the reasons of [`Stricter`] must explain it.
//!
//! `PROPTEST_CASES` sets how many cases there are of each property; a failure prints the smallest
//! input that it was seen with.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

macro_rules! key_file {
    ($name:literal) => {
        include_str!(concat!("../../../tests/keys/", $name))
    };
}

mod generate;
mod keys;
mod model;
#[path = "../common/property.rs"]
mod property;
mod tree;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use generate::{parts, wanted};
use jsonwebtoken as second;
use keys::{KEYS, pair};
use model::{ISSUER, NOW, Padding, Parts, Stricter, second_opinion};
use property::check;
use proptest::prelude::*;
use token::base64url::{decode, encode};
use token::{Algorithm, AlgorithmSet, Curve, Key, MAX_TOKEN_LEN, Policy};
use tree::Tree;

#[test]
fn tokens_are_judged_as_the_model_and_a_second_implementation_say() {
    let seen: RefCell<BTreeMap<String, u32>> = RefCell::default();
    let count = |what: String| *seen.borrow_mut().entry(what).or_default() += 1;
    check(600, (parts(), wanted()), |(parts, wanted)| {
        let token = parts.sign();
        let ours = wanted.policy().check(token.as_bytes(), NOW);
        let (expected, why) = wanted.expect(&parts);
        assert_eq!(ours.as_ref().map(|_| ()).map_err(|refusal| refusal.reason), expected);
        match &ours {
            Ok(_) => count("accepted".to_owned()),
            Err(refusal) => count(format!("refused: {}", refusal.reason)),
        }
        let pair = pair(parts.signed_with);
        if pair.second.is_none() {
            let (message, signature) = token.rsplit_once('.').unwrap();
            let signature = decode(signature.trim_end_matches('=').as_bytes()).unwrap();
            let held = (pair.verify)(message.as_bytes(), &signature);
            assert!(held);
            return;
        }
        let theirs = second_opinion(token.as_bytes(), parts.signed_with);
        match (&ours, &theirs) {
            (Ok(verified), Some(theirs)) => {
                let mine: serde_json::Value =
                    serde_json::from_str(verified.payload.text()).unwrap();
                assert_eq!(&mine, theirs);
            }
            (Err(_), None) => {}
            (Err(_), Some(_)) => {
                assert!(!why.is_empty(), "refused here, accepted there, and nothing explains it");
                count(format!("stricter here: {:?}", why[0]));
            }
            (Ok(_), None) => {
                let header = Tree::read(parts.header.as_bytes()).unwrap();
                let unused = ["jku", "jwk", "x5c", "x5u", "x5t", "cty", "enc"];
                let has_unused = unused.iter().any(|name| header.get(name).is_some());
                let payload = Tree::read(parts.payload.as_bytes()).unwrap();
                let is_no_text =
                    |name: &&str| payload.get(name).is_some() && payload.text(name).is_none();
                let there = match () {
                    () if parts.is_padded() => Stricter::Padding,
                    () if has_unused => Stricter::UnusedMembers,
                    () if header.number("kid").is_some() => Stricter::KeyChoice,
                    () if ["iss", "sub", "aud"].iter().any(is_no_text) => Stricter::ClaimTypes,
                    () => {
                        panic!("accepted here, refused there, and nothing explains it: {parts:?}")
                    }
                };
                count(format!("stricter there: {there:?}"));
            }
        }
    });
    println!("{:#?}", seen.borrow());
    let seen = seen.borrow();
    assert!(seen["accepted"] * 20 > seen.values().sum::<u32>(), "hardly any token was accepted");
}

/// A way to change a token.
#[derive(Debug, Clone)]
enum Change {
    Flip { at: usize, bits: u8 },
    Replace { at: usize, by: u8 },
    Insert { at: usize, byte: u8 },
    Remove { at: usize },
    Swap { a: usize, b: usize },
    Truncate { at: usize },
    Repeat { from: usize, len: usize },
    Append(&'static str),
    Prepend(&'static str),
}

fn change() -> impl Strategy<Value = Change> {
    let at = || any::<usize>();
    let base64 = proptest::sample::select(b"ABCDabcd0189-_=.+/ \t\n\0\xff%".to_vec());
    let ends = ["=", "==", ".", "..", "A", "AA", "AAAA", " ", "\n", "\0", "%00", ".AAAA"];
    prop_oneof![
        (at(), 1_u8..).prop_map(|(at, bits)| Change::Flip { at, bits }),
        (at(), base64.clone()).prop_map(|(at, by)| Change::Replace { at, by }),
        (at(), base64).prop_map(|(at, byte)| Change::Insert { at, byte }),
        at().prop_map(|at| Change::Remove { at }),
        (at(), at()).prop_map(|(a, b)| Change::Swap { a, b }),
        at().prop_map(|at| Change::Truncate { at }),
        (at(), 1_usize..40).prop_map(|(from, len)| Change::Repeat { from, len }),
        proptest::sample::select(ends.to_vec()).prop_map(Change::Append),
        proptest::sample::select(vec!["Bearer ", " ", ".", "=", "A", "\0"])
            .prop_map(Change::Prepend),
    ]
}

impl Change {
    fn apply(&self, token: &mut Vec<u8>) {
        let len = token.len();
        match self {
            _ if len == 0 => {}
            Self::Flip { at, bits } => token[at % len] ^= bits,
            Self::Replace { at, by } => token[at % len] = *by,
            Self::Insert { at, byte } => token.insert(at % (len + 1), *byte),
            Self::Remove { at } => drop(token.remove(at % len)),
            Self::Swap { a, b } => token.swap(a % len, b % len),
            Self::Truncate { at } => token.truncate(at % len),
            Self::Repeat { from, len: count } => {
                let from = from % len;
                let part = token[from..len.min(from + count)].to_vec();
                token.splice(from..from, part);
            }
            Self::Append(text) => token.extend_from_slice(text.as_bytes()),
            Self::Prepend(text) => drop(token.splice(0..0, text.bytes())),
        }
    }
}

/// A good token of each algorithm, and its three parts decoded.
static GOOD: LazyLock<Vec<(Algorithm, String)>> = LazyLock::new(|| {
    let sign = |algorithm: Algorithm| {
        let parts = Parts {
            header: format!(r#"{{"alg":"{algorithm}","kid":"{}"}}"#, pair(algorithm).kid),
            payload: format!(r#"{{"iss":"{ISSUER}","exp":{},"roles":["a","b"]}}"#, NOW + 60),
            signed_with: algorithm,
            padding: Padding::None,
        };
        (algorithm, parts.sign())
    };
    Algorithm::ALL.into_iter().map(sign).collect()
});

fn anything_goes() -> Policy {
    Policy { keys: vec![KEYS.clone()], ..Policy::default() }
}

#[test]
fn a_changed_token_never_holds() {
    let policy = anything_goes();
    for (algorithm, token) in GOOD.iter() {
        assert!(policy.check(token.as_bytes(), NOW).is_ok(), "{algorithm}");
    }
    let changes = proptest::collection::vec(change(), 1..4);
    check(6_000, (0..GOOD.len(), changes), |(which, changes)| {
        let (algorithm, token) = &GOOD[which];
        let mut changed = token.clone().into_bytes();
        for change in &changes {
            change.apply(&mut changed);
        }
        let held = policy.check(&changed, NOW);
        assert_eq!(held.is_ok(), changed == token.as_bytes(), "{algorithm}: {held:?}");
    });
}

#[test]
fn parts_of_different_tokens_never_hold_together() {
    let policy = anything_goes();
    let part = |of: usize, which: usize| GOOD[of].1.split('.').nth(which).unwrap().to_owned();
    check(2_000, (0..GOOD.len(), 0..GOOD.len(), 0..GOOD.len()), |(header, payload, signature)| {
        let token = [part(header, 0), part(payload, 1), part(signature, 2)].join(".");
        let same = GOOD.iter().any(|(_, good)| *good == token);
        assert_eq!(policy.check(token.as_bytes(), NOW).is_ok(), same);
    });
}

/// A byte string made from another one, as a forger of signatures would try.
#[derive(Debug, Clone)]
enum Forged {
    Changed(Vec<Change>),
    /// A scalar or a number replaced by one of these, of each half or of the whole.
    Part {
        half: Option<bool>,
        by: usize,
    },
    Padded {
        front: bool,
        zeros: usize,
    },
    Random(Vec<u8>),
}

fn forged() -> impl Strategy<Value = Forged> {
    prop_oneof![
        proptest::collection::vec(change(), 1..3).prop_map(Forged::Changed),
        (proptest::option::of(any::<bool>()), 0_usize..8)
            .prop_map(|(half, by)| Forged::Part { half, by }),
        (any::<bool>(), 1_usize..4).prop_map(|(front, zeros)| Forged::Padded { front, zeros }),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Forged::Random),
    ]
}

/// The number that can be added to a part of a signature without effect: the order of the curve, or the
/// modulus of RSA.
fn modulus(algorithm: Algorithm) -> Option<Vec<u8>> {
    let hex = match algorithm {
        Algorithm::ES256 => "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        Algorithm::ES384 => {
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf\
             581a0db248b0a77aecec196accc52973"
        }
        Algorithm::ES512 => {
            "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa\
             51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409"
        }
        // Little-endian (RFC 8032).
        Algorithm::EdDSA => "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => return None,
        Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87 => return None,
        _ => {
            let jwk: serde_json::Value = serde_json::from_str(&pair(algorithm).jwk).unwrap();
            return decode(jwk["n"].as_str().unwrap().as_bytes());
        }
    };
    Some(hex::decode(hex).unwrap())
}

/// Adds or subtracts numbers of the same length, big-endian, dropping what is carried out.
fn arithmetic(a: &[u8], b: &[u8], add: bool) -> Vec<u8> {
    let (mut carry, mut out) = (0_i16, vec![0; a.len()]);
    for i in (0..a.len()).rev() {
        let b = i16::from(b[i]);
        let sum = i16::from(a[i]) + if add { b } else { -b } + carry;
        out[i] = u8::try_from(sum.rem_euclid(256)).unwrap();
        carry = sum.div_euclid(256);
    }
    out
}

impl Forged {
    fn of(&self, algorithm: Algorithm, good: &[u8]) -> Vec<u8> {
        let mut signature = good.to_vec();
        match self {
            Self::Changed(changes) => changes.iter().for_each(|it| it.apply(&mut signature)),
            Self::Random(bytes) => signature.clone_from(bytes),
            Self::Padded { front, zeros } => {
                let at = if *front { 0 } else { signature.len() };
                signature.splice(at..at, vec![0; *zeros]);
            }
            Self::Part { half, by } => {
                let Some(mut modulus) = modulus(algorithm) else { return signature };
                let whole = modulus.len() == signature.len();
                let range = match half {
                    _ if whole => 0..signature.len(),
                    Some(true) => 0..signature.len() / 2,
                    _ => signature.len() / 2..signature.len(),
                };
                let little_endian = algorithm == Algorithm::EdDSA;
                let mut part = signature[range.clone()].to_vec();
                if little_endian {
                    part.reverse();
                    modulus.reverse();
                }
                let mut one = vec![0; part.len()];
                *one.last_mut().unwrap() = 1;
                let mut new = match by {
                    0 => vec![0; part.len()],
                    1 => one,
                    2 => arithmetic(&modulus, &one, false),
                    3 => modulus,
                    4 => arithmetic(&modulus, &one, true),
                    5 => arithmetic(&modulus, &part, false),
                    6 => arithmetic(&part, &modulus, true),
                    _ => vec![0xff; part.len()],
                };
                if little_endian {
                    new.reverse();
                }
                signature.splice(range, new);
            }
        }
        signature
    }
}

#[test]
fn signatures_are_judged_as_a_second_implementation_does() {
    let keys: Vec<Key> = Algorithm::ALL.into_iter().map(|it| pair(it).key()).collect();
    let held = RefCell::new(0);
    check(700, (0..GOOD.len(), forged()), |(which, forged)| {
        let (algorithm, token) = &GOOD[which];
        let (message, signature) = token.rsplit_once('.').unwrap();
        let good = decode(signature.as_bytes()).unwrap();
        let signature = forged.of(*algorithm, &good);
        let ours = keys[which].verify(*algorithm, message.as_bytes(), &signature);
        let theirs = (pair(*algorithm).verify)(message.as_bytes(), &signature);
        // RFC 8017 section 5.2.2 refuses RSA signatures of n and above. The `rsa` crate accepts s + n if
        // it fits into the length, which depends on the random salt.
        let beyond =
            modulus(*algorithm).is_some_and(|n| n.len() == signature.len() && signature >= n);
        let theirs = theirs && !beyond;
        assert_eq!(ours, theirs, "{algorithm} {}", hex::encode(&signature));
        // In ECDSA n - s is as right as s; no other change leaves the signature right.
        let negated = Forged::Part { half: Some(false), by: 5 }.of(*algorithm, &good);
        let malleable = matches!(algorithm, Algorithm::ES256 | Algorithm::ES384 | Algorithm::ES512);
        assert_eq!(ours, signature == good || (malleable && signature == negated));
        *held.borrow_mut() += u32::from(ours);
    });
    println!("{} held", held.borrow());
}

#[test]
fn keys_are_judged_as_a_second_implementation_does() {
    let jwk = |name: &str| -> Vec<Vec<u8>> {
        let jwk: serde_json::Value = serde_json::from_str(name).unwrap();
        let member = |it: &str| Some(decode(jwk[it].as_str()?.as_bytes()).unwrap());
        ["x", "y"].iter().filter_map(|it| member(it)).collect()
    };
    let points = [
        (Curve::P256, jwk(key_file!("p256.jwk.json"))),
        (Curve::P384, jwk(key_file!("p384.jwk.json"))),
        (Curve::P521, jwk(key_file!("p521.jwk.json"))),
    ];
    check(400, (0..3_usize, any::<bool>(), forged()), |(which, in_x, forged)| {
        let (curve, good) = &points[which];
        let (mut x, mut y) = (good[0].clone(), good[1].clone());
        let part = if in_x { &mut x } else { &mut y };
        *part = forged.of(Algorithm::HS256, part);
        let ours = Key::ec(*curve, &x, &y, AlgorithmSet::ALL).is_ok();
        let point = [&[4], &x[..], &y[..]].concat();
        let theirs = x.len() == y.len()
            && match curve {
                Curve::P256 => p256_point(&x, &y),
                Curve::P384 => p384_point(&x, &y),
                Curve::P521 => p521::PublicKey::from_sec1_bytes(&point).is_ok(),
            };
        assert_eq!(ours, theirs, "{} {}", curve.name(), hex::encode(point));
    });
}

fn p256_point(x: &[u8], y: &[u8]) -> bool {
    use second::crypto::verify;
    let key = second::DecodingKey::from_ec_components(&encode(x), &encode(y)).unwrap();
    verify(&encode([1; 64]), b"", &key, second::Algorithm::ES256).is_ok()
}

fn p384_point(x: &[u8], y: &[u8]) -> bool {
    use second::crypto::verify;
    let key = second::DecodingKey::from_ec_components(&encode(x), &encode(y)).unwrap();
    verify(&encode([1; 96]), b"", &key, second::Algorithm::ES384).is_ok()
}

#[test]
fn ed25519_keys_are_judged_as_a_second_implementation_does() {
    let theirs = |point: &[u8]| {
        let key = second::DecodingKey::from_ed_components(&encode(point)).unwrap();
        second::crypto::verify(&encode([0; 64]), b"", &key, second::Algorithm::EdDSA).is_ok()
    };
    let (_, good) = &GOOD[Algorithm::EdDSA as usize];
    let (message, signature) = good.rsplit_once('.').unwrap();
    let signature = decode(signature.as_bytes()).unwrap();
    let off = RefCell::new(0);
    // Half of all byte strings are not the y of a point. aws-lc detects this when it verifies, not when
    // it loads the key: such a key can be loaded, but verifies nothing.
    check(400, proptest::array::uniform32(any::<u8>()), |point| {
        let key = Key::ed25519(&point, AlgorithmSet::ALL).unwrap();
        assert!(!key.verify(Algorithm::EdDSA, message.as_bytes(), &signature));
        if !theirs(&point) {
            *off.borrow_mut() += 1;
            let mut neutral = [0; 64];
            neutral[0] = 1;
            assert!(!key.verify(Algorithm::EdDSA, message.as_bytes(), &neutral));
            assert!(!key.verify(Algorithm::EdDSA, message.as_bytes(), &[0; 64]));
        }
    });
    println!("{} of them off the curve", off.borrow());
    // y from p to 2^255 - 1 is not canonical: refused here, reduced there where it is on the curve.
    for low in 0xed..=0xff_u8 {
        for sign in [0x7f, 0xff] {
            let mut point = [0xff; 32];
            (point[0], point[31]) = (low, sign);
            assert!(Key::ed25519(&point, AlgorithmSet::ALL).is_err(), "{point:x?}");
        }
    }
}

#[test]
fn a_token_longer_than_the_limit_never_holds() {
    let policy = anything_goes();
    check(60, MAX_TOKEN_LEN - 400..MAX_TOKEN_LEN + 400, |len| {
        let with = |filler: usize| Parts {
            header: r#"{"alg":"HS256"}"#.to_owned(),
            payload: format!(r#"{{"a":"{}"}}"#, "x".repeat(filler)),
            signed_with: Algorithm::HS256,
            padding: Padding::None,
        };
        let empty = with(0).sign().len();
        let token = with((len - empty) * 3 / 4).sign();
        assert_eq!(policy.check(token.as_bytes(), NOW).is_ok(), token.len() <= MAX_TOKEN_LEN);
    });
}
