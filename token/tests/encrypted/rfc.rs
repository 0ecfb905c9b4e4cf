//! The examples of RFC 7516 appendix A, and of RFC 7520 sections 5 and 6.

use token::Reject;
use token::jwe::decrypt;

use super::keys;

/// Decrypts each example: what was opened, and why the others were not.
fn decrypted(examples: &str) -> (Vec<String>, Vec<(String, Reject)>) {
    let examples: serde_json::Value = serde_json::from_str(examples).unwrap();
    let (mut opened, mut refused) = (Vec::new(), Vec::new());
    for example in examples.as_array().unwrap() {
        let text = |name: &str| example[name].as_str().unwrap();
        match decrypt(text("jwe").as_bytes(), &keys(&example["jwk"].to_string())) {
            Ok(content) => {
                assert_eq!(**content.plaintext, *text("plaintext").as_bytes());
                opened.push(text("section").to_owned());
            }
            Err(refusal) => refused.push((text("section").to_owned(), refusal.reason)),
        }
    }
    (opened, refused)
}

fn named(refused: &[(&str, Reject)]) -> Vec<(String, Reject)> {
    refused.iter().map(|(section, reason)| ((*section).to_owned(), *reason)).collect()
}

#[test]
fn rfc_7516_appendix_a() {
    let (opened, refused) = decrypted(include_str!("rfc7516.json"));
    assert_eq!(opened, ["A.1", "A.3"]);
    // RSA1_5 tells an attacker by its padding, and is not accepted.
    assert_eq!(refused, named(&[("A.2", Reject::BadAlgorithm)]));
}

#[test]
fn rfc_7520() {
    let (opened, refused) = decrypted(include_str!("rfc7520.json"));
    assert_eq!(opened, ["5.2", "5.4", "5.5", "5.6", "5.7", "5.8", "6"]);
    let exceptions = [
        // RSA1_5.
        ("5.1", Reject::BadAlgorithm),
        // A password: whoever sends the token says how often it is hashed.
        ("5.3", Reject::Malformed),
        // Compressed.
        ("5.9", Reject::Malformed),
        // Those of JSON: they have no compact form.
        ("5.10", Reject::Malformed),
        ("5.11", Reject::Malformed),
        ("5.12", Reject::Malformed),
        ("5.13", Reject::Malformed),
    ];
    assert_eq!(refused, named(&exceptions));
}
