//! The vectors of Wycheproof's `json_web_encryption` and `json_web_crypto`: a valid one must be accepted, an
//! invalid one refused, but for the exceptions here, each with its reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use token::jwe::{DecryptionKeys, decrypt, load_decryption_keys};
use token::{KeySet, Policy, load_keys};

const ENCRYPTION: &str = include_str!("../wycheproof/json_web_encryption_test.json");
const CRYPTO: &str = include_str!("../wycheproof/json_web_crypto_test.json");

/// Vectors whose result differs from Wycheproof's, on purpose, and why.
type Exceptions = &'static [(&'static [u64], &'static str)];

const IN_ENCRYPTION: Exceptions = &[
    (
        &[100, 101, 102, 103, 104, 105, 112, 128],
        "RSA1_5, which tells an attacker by its padding, is never accepted",
    ),
    (&[135], "zip: a compressed content is never accepted"),
];
const IN_CRYPTO: Exceptions = &[
    (&[46], "a modulus with the ROCA pattern: which primes a key has is up to who makes it"),
    (&[47], "a secret beside a public key in one set: each verifies its own algorithms only"),
];

/// Whether a vector is accepted, and, of an encrypted one, what its content is.
fn opened(group: &Value, test: &Value) -> Option<Vec<u8>> {
    let text = |token: &Value| token.as_str().map_or_else(|| token.to_string(), str::to_owned);
    if let Some(token) = test.get("jwe") {
        let loaded = load_decryption_keys(group["private"].to_string().as_bytes(), None).ok()?;
        let keys = DecryptionKeys::new(loaded.keys);
        return Some(decrypt(text(token).as_bytes(), &keys).ok()?.plaintext.to_vec());
    }
    let key = group.get("public").unwrap_or(&group["private"]).to_string();
    let keys = vec![Arc::new(KeySet::new(load_keys(key.as_bytes(), None).ok()?.keys))];
    let policy = Policy { keys, ..Policy::default() };
    policy.verify_jws(text(&test["jws"]).as_bytes(), 0).ok()
}

fn judge(text: &str, exceptions: Exceptions, total: u64) {
    let set: Value = serde_json::from_str(text).unwrap();
    let mut differ = BTreeMap::new();
    let mut count = 0;
    for group in set["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            let opened = opened(group, test);
            if let (Some(opened), Some(plain)) = (&opened, test["pt"].as_str()) {
                assert_eq!(hex::encode(opened), plain, "{id}");
            }
            if opened.is_some() != (test["result"] == "valid") {
                differ.insert(id, test["comment"].as_str().unwrap());
            }
            count += 1;
        }
    }
    assert_eq!((count, set["numberOfTests"].as_u64()), (total, Some(total)));
    let expected: Vec<u64> = exceptions.iter().flat_map(|(ids, _)| *ids).copied().collect();
    assert!(differ.keys().eq(&expected), "{differ:?}");
}

#[test]
fn encryption() {
    judge(ENCRYPTION, IN_ENCRYPTION, 139);
}

#[test]
fn encryption_and_signatures() {
    judge(CRYPTO, IN_CRYPTO, 83);
}
