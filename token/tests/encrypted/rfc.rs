//! The examples of RFC 7516 appendix A. Those of RFC 7520 section 5 are among Wycheproof's vectors.

use token::Reject;
use token::jwe::decrypt;

use super::keys;

#[test]
fn rfc_7516_appendix_a() {
    let examples: serde_json::Value = serde_json::from_str(include_str!("rfc7516.json")).unwrap();
    let mut opened = Vec::new();
    for example in examples.as_array().unwrap() {
        let keys = keys(&example["jwk"].to_string());
        let token = example["jwe"].as_str().unwrap();
        let plaintext = example["plaintext"].as_str().unwrap();
        match decrypt(token.as_bytes(), &keys) {
            Ok(content) => {
                assert_eq!(**content.plaintext, *plaintext.as_bytes());
                opened.push(example["appendix"].as_str().unwrap());
            }
            // RSA1_5 tells an attacker by its padding, and is not accepted.
            Err(refusal) => {
                assert_eq!(
                    (example["appendix"].as_str(), refusal.reason),
                    (Some("A.2"), Reject::BadAlgorithm)
                );
            }
        }
    }
    assert_eq!(opened, ["A.1", "A.3"]);
}
