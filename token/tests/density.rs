//! How much memory a remembered token takes: what the cache says is what the allocator gives.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use token::base64url::encode;
use token::{Algorithm, Cache, Headers, LiveInputs, With};

#[path = "common/tokens.rs"]
#[allow(dead_code)] // what is used here are the keys and the policy
mod tokens;

use tokens::{NOW, SECRET, der, trust};

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

/// What the GNU C library takes for an allocation: eight bytes more, rounded up to 16, and at least 32.
fn block(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

// SAFETY: every call goes on to the system's allocator, which keeps the contract. Counting uses only a
// thread-local that needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get().wrapping_add(block(layout.size())));
        // SAFETY: by the contract of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get().wrapping_sub(block(layout.size())));
        // SAFETY: by the contract of this function.
        unsafe { System.dealloc(memory, layout) }
    }
    // What grows is allocated anew and copied, by the default of the trait.
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Tokens of 600 bytes, as signers of an algorithm make them: the longer the signature, the fewer claims.
struct Shape {
    algorithm: Algorithm,
    /// The claims after `sub`.
    claims: String,
    /// What a token may take in the cache.
    most: usize,
}

fn shapes() -> [Shape; 2] {
    let times = format!(r#""iat":{},"exp":{}"#, NOW - 60, NOW + 86_400);
    let few = format!(r#"{times},"azp":"web","acr":1,"roles":["a","b"],"ver":1,"tid":7"#);
    let many = format!(
        r#"{times},"nbf":{},"azp":"web-client","acr":"1","auth_time":{},"typ":"Bearer",
        "scope":"openid profile email","sid":"0b6fb0f0-6a0c-4b7e-8d35-6a3f8a8d0c11",
        "realm_access":{{"roles":["admin","user"]}},"email_verified":true,
        "preferred_username":"person""#,
        NOW - 60,
        NOW - 600,
    );
    [
        Shape { algorithm: Algorithm::RS256, claims: few, most: 980 },
        Shape { algorithm: Algorithm::HS256, claims: many, most: 980 },
    ]
}

/// Makes the signature of a text.
type Signer = Box<dyn Fn(&[u8]) -> Vec<u8>>;

impl Shape {
    fn signed(&self, number: usize, sign: &Signer) -> Vec<u8> {
        let Self { algorithm, claims, .. } = self;
        let header = format!(r#"{{"alg":"{algorithm}","kid":"k-{algorithm}"}}"#);
        let own =
            format!(r#""iss":"https://issuer.example","aud":["api","web"],"sub":"u{number:07}""#);
        let message = format!("{}.{}", encode(header), encode(format!("{{{own},{claims}}}")));
        let token = format!("{message}.{}", encode(sign(message.as_bytes()))).into_bytes();
        assert!((590..=610).contains(&token.len()), "{} bytes", token.len());
        token
    }

    fn signer(&self) -> Signer {
        if self.algorithm == Algorithm::HS256 {
            let mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
            return Box::new(move |text| {
                mac.clone().chain_update(text).finalize().into_bytes().to_vec()
            });
        }
        let key = RsaKeyPair::from_pkcs8(&der(include_str!("../../tests/keys/rsa2048.pem")));
        let (key, random) = (key.unwrap(), SystemRandom::new());
        Box::new(move |text| {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).unwrap();
            signature
        })
    }
}

#[test]
fn a_token_of_600_bytes_takes_what_the_cache_says_and_little_more_than_its_bytes() {
    const COUNT: usize = 10_000;
    const ROOM: usize = 64 << 20;
    for shape in shapes() {
        let (trust, sign) = (trust(&[shape.algorithm]), shape.signer());
        let start = BYTES.get();
        let cache = Cache::new(ROOM).unwrap();
        // All of the index is reserved at first, and taken as the cache fills.
        let (reserved, empty) = (BYTES.get() - start, cache.used());
        let headers = Headers::default();
        let with = With { cache: Some(&cache), headers: Some(&headers), ..With::default() };
        let start = BYTES.get();
        for number in 0..COUNT {
            let token = shape.signed(number, &sign);
            let verified = trust.check_with(&token, NOW, |_| LiveInputs::default(), with);
            assert!(verified.unwrap().is_cached());
        }
        assert_eq!(cache.len(), COUNT);
        let index = (reserved - empty) / (ROOM / 512) * COUNT;
        let taken = (BYTES.get() - start + index) / COUNT;
        let said = (cache.used() - empty) / COUNT;
        println!("{}: {said} bytes by the cache, {taken} by the allocator", shape.algorithm);
        assert!(said <= shape.most, "{}: {said}", shape.algorithm);
        assert!(taken <= said && said <= taken + taken / 20, "{taken} taken, {said} said");
    }
}
