//! Encrypted tokens: the vectors of others, and what an attacker makes of them.

// The helpers are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod changed;
mod judged;
mod keys;
mod rfc;
mod timing;
mod wycheproof;

use token::jwe::{
    ContentEncryption, DecryptionKeys, EncryptionKey, KeyManagement, load_decryption_keys,
};
use token::sign::Members;

/// A time within the life of the tokens here.
const NOW: i64 = 1_800_000_000;

fn keys(text: &str) -> DecryptionKeys {
    DecryptionKeys::new(load_decryption_keys(text.as_bytes(), None).unwrap().keys)
}

/// A secret of this length.
fn oct(len: usize) -> String {
    let bytes: Vec<u8> = (1..=u8::try_from(len).unwrap()).collect();
    format!(r#"{{"kty":"oct","k":"{}"}}"#, token::base64url::encode(bytes))
}

/// A key that is for `management`; for `dir` with `encryption`.
fn key_for(management: KeyManagement, encryption: ContentEncryption) -> Vec<String> {
    match management.name() {
        "dir" => vec![oct(encryption.key_len())],
        name if name.starts_with("RSA") => vec![RSA.to_owned()],
        name if name.starts_with("ECDH") => CURVES.map(str::to_owned).into(),
        name => vec![oct(name[1..4].parse::<usize>().unwrap() / 8)],
    }
}

fn encrypted(
    key: &str,
    management: KeyManagement,
    encryption: ContentEncryption,
    content: &[u8],
) -> String {
    let key = EncryptionKey::read(key.as_bytes()).unwrap();
    key.encrypt(management, encryption, &Members::default(), content).unwrap()
}

const RSA: &str = include_str!("../../../tests/keys/rsa2048.pem");

/// A key of each curve.
const CURVES: [&str; 4] = [
    include_str!("../../../tests/keys/p256.pem"),
    include_str!("../../../tests/keys/p384.pem"),
    include_str!("../../../tests/keys/p521.pem"),
    include_str!("../../../tests/keys/x25519.pem"),
];

#[test]
fn what_is_encrypted_is_decrypted_in_every_combination() {
    let mut count = 0;
    for management in KeyManagement::ALL {
        for encryption in ContentEncryption::ALL {
            for key in key_for(management, encryption) {
                let token = encrypted(&key, management, encryption, b"content");
                let opened = token::jwe::decrypt(token.as_bytes(), &keys(&key)).unwrap();
                assert_eq!(**opened.plaintext, *b"content", "{management} {encryption}");
                count += 1;
            }
        }
    }
    assert_eq!(count, 6 * (4 + 6 + 1 + 4 * 4));
}
