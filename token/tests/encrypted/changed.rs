//! Tokens that were changed: whatever was changed, it is one refusal.

use token::base64url::{decode, encode};
use token::jwe::{ContentEncryption, DecryptionKeys, KeyManagement, decrypt};
use token::{MAX_TOKEN_LEN, Reject};

use super::{CURVES, RSA, encrypted, key_for, keys, oct};

fn sections(token: &str) -> Vec<Vec<u8>> {
    token.split('.').map(|section| decode(section.as_bytes()).unwrap()).collect()
}

fn joined(sections: &[Vec<u8>]) -> String {
    sections.iter().map(encode).collect::<Vec<_>>().join(".")
}

fn reason(token: &str, keys: &DecryptionKeys) -> Reject {
    decrypt(token.as_bytes(), keys).unwrap_err().reason
}

/// Each way to bring a key, each with another encryption.
fn tokens() -> Vec<(String, DecryptionKeys)> {
    let mut all = Vec::new();
    let mut encryptions = ContentEncryption::ALL.into_iter().cycle();
    for management in KeyManagement::ALL {
        let encryption = encryptions.next().unwrap();
        for key in key_for(management, encryption) {
            all.push((encrypted(&key, management, encryption, br#"{"sub":"a"}"#), keys(&key)));
        }
    }
    all
}

#[test]
fn every_byte_of_what_is_not_the_header() {
    for (token, keys) in tokens() {
        let whole = sections(&token);
        for section in 1..whole.len() {
            for at in 0..whole[section].len() {
                let mut changed = whole.clone();
                changed[section][at] ^= 1 << (at % 8);
                assert_eq!(reason(&joined(&changed), &keys), Reject::BadDecryption, "{token} {at}");
            }
            let mut changed = whole.clone();
            changed[section].push(0);
            assert_eq!(reason(&joined(&changed), &keys), Reject::BadDecryption);
            while changed[section].pop().is_some() {
                // The last one put back what was added.
                if changed[section] != whole[section] {
                    assert_eq!(reason(&joined(&changed), &keys), Reject::BadDecryption);
                }
            }
        }
    }
}

/// A header that is still one, with the same algorithms, is what is authenticated.
#[test]
fn every_byte_of_the_header() {
    for (token, keys) in tokens() {
        let whole = sections(&token);
        for at in 0..whole[0].len() {
            let mut changed = whole.clone();
            changed[0][at] ^= 1;
            let reason = reason(&joined(&changed), &keys);
            let expected = [Reject::BadDecryption, Reject::Malformed, Reject::BadAlgorithm];
            assert!(expected.contains(&reason), "{reason}: {}", changed[0].escape_ascii());
        }
        let mut added = whole.clone();
        added[0].splice(1..1, *br#""a":1,"#);
        assert_eq!(reason(&joined(&added), &keys), Reject::BadDecryption);
    }
}

#[test]
fn every_length_of_the_tag() {
    for (token, keys) in tokens() {
        let whole = sections(&token);
        for len in 0..whole[4].len() {
            let mut changed = whole.clone();
            changed[4].truncate(len);
            assert_eq!(reason(&joined(&changed), &keys), Reject::BadDecryption, "{len}");
        }
    }
}

fn with_header(token: &str, change: impl Fn(&mut serde_json::Value)) -> String {
    let mut whole = sections(token);
    let mut header = serde_json::from_slice(&whole[0]).unwrap();
    change(&mut header);
    whole[0] = header.to_string().into_bytes();
    joined(&whole)
}

#[test]
fn other_algorithms() {
    let key = oct(32);
    let token = encrypted(&key, KeyManagement::A256Kw, ContentEncryption::A256Gcm, b"{}");
    let keys = keys(&key);
    let set = |name: &str, value: &str| {
        with_header(&token, |header| header[name] = serde_json::from_str(value).unwrap())
    };
    for other in ["A128GCM", "A192GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"] {
        let changed = set("enc", &format!("{other:?}"));
        assert_eq!(reason(&changed, &keys), Reject::BadDecryption, "{other}");
    }
    for other in ["A128KW", "A192KW", "RSA-OAEP", "RSA1_5", "PBES2-HS256+A128KW", "none", "HS256"] {
        let changed = set("alg", &format!("{other:?}"));
        assert_eq!(reason(&changed, &keys), Reject::BadAlgorithm, "{other}");
    }
    // The secret is of the length for it, but the token brings a key, which that does not have.
    assert_eq!(reason(&set("alg", r#""dir""#), &keys), Reject::BadDecryption);
    assert_eq!(reason(&set("enc", r#""C20P""#), &keys), Reject::BadAlgorithm);
    for (name, value) in [("zip", r#""DEF""#), ("crit", r#"["exp"]"#), ("p2c", "9"), ("alg", "1")] {
        assert_eq!(reason(&set(name, value), &keys), Reject::Malformed, "{name}");
    }
}

#[test]
fn other_public_keys() {
    let token = |key| encrypted(key, KeyManagement::EcdhEs, ContentEncryption::A128Gcm, b"{}");
    let epk = |token: &str| -> serde_json::Value {
        let header: serde_json::Value = serde_json::from_slice(&sections(token)[0]).unwrap();
        header["epk"].clone()
    };
    for key in CURVES {
        let good = token(key);
        let mut others: Vec<_> = CURVES.map(|other| epk(&token(other))).into();
        let own = epk(&good);
        for name in ["kty", "crv", "x", "y"].into_iter().filter(|name| own.get(name).is_some()) {
            for value in ["", "AA", "P-256K", "_____________________________________________w"] {
                let mut other = own.clone();
                other[name] = value.into();
                others.push(other);
            }
            let mut other = own.clone();
            other.as_object_mut().unwrap().remove(name);
            others.push(other);
        }
        others.push(serde_json::json!({}));
        for other in others.into_iter().filter(|other| *other != own) {
            let changed = with_header(&good, |header| header["epk"] = other.clone());
            assert_eq!(reason(&changed, &keys(key)), Reject::BadDecryption, "{other}");
        }
    }
}

/// RSA: a cipher text of another length, 0, 1, and as large as the modulus.
#[test]
fn other_numbers() {
    let token = encrypted(RSA, KeyManagement::RsaOaep, ContentEncryption::A128Gcm, b"{}");
    let one = [vec![0; 255], vec![1]].concat();
    for other in [vec![], vec![0; 256], one, vec![0xff; 256], vec![1; 255], vec![1; 512]] {
        let mut changed = sections(&token);
        changed[1] = other;
        assert_eq!(reason(&joined(&changed), &keys(RSA)), Reject::BadDecryption);
    }
}

#[test]
fn a_token_is_bounded() {
    let key = oct(32);
    let token =
        |len| encrypted(&key, KeyManagement::Dir, ContentEncryption::A256Gcm, &vec![b' '; len]);
    assert!(decrypt(token(MAX_TOKEN_LEN / 2).as_bytes(), &keys(&key)).is_ok());
    assert_eq!(reason(&token(1 << 20), &keys(&key)), Reject::Malformed);
}
