//! Refused tokens, each with a good one of the same algorithm, size and shape, for the benchmark and the
//! test of the cost of refusing.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use token::base64url::{decode, encode};
use token::{
    Algorithm, AlgorithmSet, Key, KeySet, LiveInputs, LocationPolicy, MAX_CANDIDATES,
    MAX_TOKEN_LEN, Policy, Providers, Requirements, Trust, load_keys,
};

const NOW: i64 = 1_800_000_000;
const SECRET: &[u8] = b"the secret of the benchmark, long enough for HS256";
const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

pub(crate) struct Case {
    pub(crate) name: String,
    trust: Arc<Trust>,
    good: String,
    refused: String,
    /// How many times the cost of the good token the refused one may take.
    pub(crate) bound: f64,
}

impl Case {
    /// Judges one of the two, and asserts that the verdict is the right one.
    pub(crate) fn judge(&self, refused: bool) {
        let token = if refused { &self.refused } else { &self.good };
        let judged = self.trust.check(token.as_bytes(), NOW, |_| LiveInputs::default());
        assert_eq!(judged.is_err(), refused, "{}: {judged:?}", self.name);
    }
}

struct Signer {
    hmac: Hmac<Sha256>,
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    random: SystemRandom,
}

impl Signer {
    fn new() -> Self {
        let der = |pem: &str| {
            let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
            let base64 = base64.trim_end_matches('=').replace('+', "-").replace('/', "_");
            decode(base64.as_bytes()).unwrap()
        };
        let p256 = der(include_str!("../../../tests/keys/p256.pem"));
        Self {
            hmac: Hmac::new_from_slice(SECRET).unwrap(),
            rsa: RsaKeyPair::from_pkcs8(&der(include_str!("../../../tests/keys/rsa2048.pem")))
                .unwrap(),
            p256: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &p256).unwrap(),
            ed25519: Ed25519KeyPair::from_pkcs8(&der(include_str!(
                "../../../tests/keys/ed25519.pem"
            )))
            .unwrap(),
            random: SystemRandom::new(),
        }
    }

    fn sign(&self, algorithm: Algorithm, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(payload));
        let bytes = message.as_bytes();
        let signature = match algorithm {
            Algorithm::HS256 => {
                self.hmac.clone().chain_update(bytes).finalize().into_bytes().to_vec()
            }
            Algorithm::RS256 => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &self.random, bytes, &mut signature).unwrap();
                signature
            }
            Algorithm::ES256 => self.p256.sign(&self.random, bytes).unwrap().as_ref().to_vec(),
            _ => self.ed25519.sign(bytes).as_ref().to_vec(),
        };
        format!("{message}.{}", encode(signature))
    }
}

/// The key of an algorithm.
fn key(algorithm: Algorithm, kid: Option<&str>) -> Key {
    let file = match algorithm {
        Algorithm::HS256 => {
            let only = [Algorithm::HS256].into_iter().collect();
            return Key::hmac(SECRET, only).unwrap().with_kid(kid);
        }
        Algorithm::RS256 => include_str!("../../../tests/keys/rsa2048.jwk.json"),
        Algorithm::ES256 => include_str!("../../../tests/keys/p256.jwk.json"),
        _ => include_str!("../../../tests/keys/ed25519.jwk.json"),
    };
    load_keys(file.as_bytes(), kid).unwrap().keys.remove(0)
}

fn trust(keys: Vec<Key>) -> Arc<Trust> {
    let keys = vec![Arc::new(KeySet::new(keys))];
    Arc::new(Trust::Keys(Policy { keys, ..Policy::default() }))
}

/// The same token with one bit of its signature changed.
fn badly_signed(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut signature = decode(signature.as_bytes()).unwrap();
    let middle = signature.len() / 2;
    signature[middle] ^= 1;
    format!("{message}.{}", encode(signature))
}

/// An object of many members, as long as `len` allows; the last one is called `last`.
fn members(first: &str, len: usize, last: &str) -> String {
    let mut text = format!("{{{first}");
    let mut i = 0;
    while text.len() + 24 < len {
        text += &format!("\"m{i}\":0,");
        i += 1;
    }
    text + &format!("\"{last}\":0}}")
}

/// Every case. `many` is how many keys the largest set has.
pub(crate) fn cases(many: usize) -> Vec<Case> {
    let signer = Signer::new();
    let mut cases = Vec::new();
    for algorithm in ALGORITHMS {
        let one = trust(vec![key(algorithm, Some("key"))]);
        let mut add = |name: &str, trust: &Arc<Trust>, good: String, refused: String, bound| {
            let (name, trust) = (format!("{algorithm} {name}"), trust.clone());
            cases.push(Case { name, trust, good, refused, bound });
        };
        let header = format!(r#"{{"alg":"{algorithm}","kid":"key"}}"#);
        let sign = |header: &str, payload: &str| signer.sign(algorithm, header, payload);
        let plain = sign(&header, r#"{"sub":"someone","exp":1800000060}"#);
        add("bad signature", &one, plain.clone(), badly_signed(&plain), 2.0);
        add("expired", &one, plain.clone(), sign(&header, r#"{"exp":1799999999}"#), 2.0);

        // Only the header is parsed before the signature is verified, up to the allowed number of
        // members.
        let start = format!(r#""alg":"{algorithm}","kid":"key","#);
        let wide = |last: &str| members(&start, 1_000, last);
        let good = sign(&wide("last"), "{}");
        let refused = sign(&wide("m0"), "{}");
        add("many members, the last twice", &one, good.clone(), refused, 2.0);
        add("many members, bad signature", &one, good.clone(), badly_signed(&good), 2.0);
        let deep = |depth: usize| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            let filler = " ".repeat(5_800 - 2 * depth);
            format!(r#"{{{start}"x":{open}{close}{filler}}}"#)
        };
        add("nested too deep", &one, sign(&deep(31), "{}"), sign(&deep(2_800), "{}"), 2.0);
        let kid = "k".repeat(5_900);
        let long = format!(r#"{{"alg":"{algorithm}","kid":"{kid}"}}"#);
        let long_kid = trust(vec![key(algorithm, Some(&kid))]);
        let good = sign(&long, "{}");
        let unknown = long.replacen("kk", "kx", 1);
        add("long kid, unknown", &long_kid, good, sign(&unknown, "{}"), 2.0);

        // The payload is parsed only after the signature has been verified.
        let good = sign(&header, &members("", 44_000, "last"));
        add("large, bad signature", &one, good.clone(), badly_signed(&good), 2.0);
        let twice = sign(&header, &members("", 44_000, "m0"));
        add("large, a member twice", &one, good.clone(), twice, 2.0);
        let oversized = format!("{good}{}", "A".repeat(1024 * 1024));
        assert!(good.len() < MAX_TOKEN_LEN && oversized.len() > 1024 * 1024);
        add("of a megabyte", &one, plain.clone(), oversized, 2.0);

        // With several providers the payload is read before, to find the issuer.
        let provider = Policy {
            keys: vec![Arc::new(KeySet::new(vec![key(algorithm, Some("key"))]))],
            requirements: vec![Requirements {
                issuers: token::Issuers::new(["me"]).unwrap(),
                ..Requirements::default()
            }],
            ..Policy::default()
        };
        let providers = Arc::new(Providers::new([provider]).unwrap());
        let providers = Arc::new(Trust::Providers(providers, LocationPolicy::default()));
        let payload = |last: &str| members("\"iss\":\"me\",", 44_000, last);
        let good = sign(&header, &payload("last"));
        add("of a provider, bad signature", &providers, good.clone(), badly_signed(&good), 2.0);
        let refused = sign(&header, &payload("m0"));
        add("of a provider, a member twice", &providers, good.clone(), refused, 2.0);
        let refused = sign(&header, &members("\"iss\":\"no\",", 44_000, "last"));
        add("of a provider, unknown issuer", &providers, good, refused, 2.0);

        // No kid: the first MAX_CANDIDATES keys of the algorithm are tried, and no more.
        let no_kid = sign(&format!(r#"{{"alg":"{algorithm}"}}"#), "{}");
        let several = if algorithm == Algorithm::HS256 { many } else { 64 };
        let filled = |i: usize| match algorithm {
            Algorithm::HS256 => {
                let only: AlgorithmSet = [Algorithm::HS256].into_iter().collect();
                Key::hmac(&i.to_be_bytes(), only).unwrap().with_kid(Some(&i.to_string()))
            }
            _ => key(algorithm, Some(&i.to_string())),
        };
        let keys =
            |first: Key| trust(std::iter::once(first).chain((1..several).map(filled)).collect());
        let set = keys(key(algorithm, Some("key")));
        // This is at the limit itself, plus what is read besides the signature; some noise is allowed.
        assert_eq!(MAX_CANDIDATES, 2);
        let bound = 2.1;
        let name = format!("no kid, {several} keys");
        add(&name, &set, no_kid.clone(), badly_signed(&no_kid), bound);
        let unknown = sign(&header.replacen("key", "kez", 1), "{}");
        add(&format!("unknown kid, {several} keys"), &set, plain.clone(), unknown, 2.0);

        // Compared with good tokens of the same size that are cheap to read: one long string.
        let text = |start: &str, len: usize| format!("{{{start}\"x\":\"{}\"}}", "x".repeat(len));
        let good = sign(&text(&start, 5_900), "{}");
        let slow = |item: &str, around: [&str; 2]| {
            let [open, close] = around;
            let items = item.repeat(5_890 / item.len());
            format!("{{{start}\"x\":{open}{items}{}{close}}}", item.trim_end_matches(','))
        };
        for (name, header) in [
            ("many members", members(&start, 5_900, "m0")),
            ("many values", slow("0,", ["[", "]"])),
            ("many fractions", slow("1.2345678901234567e-305,", ["[", "]"])),
            ("one long fraction", slow("1", ["0.", ""])),
            ("many arrays", slow("[],", ["[", "]"])),
            ("many escapes", slow("\\u00e9", ["\"", "\""])),
        ] {
            let name = format!("{name}, against one string");
            add(&name, &one, good.clone(), badly_signed(&sign(&header, "{}")), 2.0);
        }
        let good = sign(&header, &text("\"iss\":\"me\",", 43_900));
        for (name, payload) in [
            ("of a provider, many members", payload("m0")),
            ("of a provider, many members and then the issuer", {
                let late = members("", 43_900, "last");
                format!("{},\"iss\":\"me\"}}", late.trim_end_matches('}'))
            }),
            ("of a provider, many values and then the issuer", {
                format!("{{\"x\":[{}0],\"iss\":\"me\"}}", "0,".repeat(21_900))
            }),
        ] {
            let name = format!("{name}, against one string");
            add(&name, &providers, good.clone(), badly_signed(&sign(&header, &payload)), 2.0);
        }
    }
    cases
}
