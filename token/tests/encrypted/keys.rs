//! Files with keys that decrypt.

use token::jwe::{KeyManagement, load_decryption_keys};

use super::{CURVES, RSA, oct};

fn load(text: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let loaded = load_decryption_keys(text.as_bytes(), None).map_err(|error| error.to_string())?;
    let shown = |key: &token::jwe::DecryptionKey| {
        let names: Vec<_> = key.algorithms().iter().map(KeyManagement::name).collect();
        format!("{} {}", key.kid().unwrap_or("-"), names.join(" "))
    };
    Ok((loaded.keys.iter().map(shown).collect(), loaded.warnings))
}

/// The private JWK of a key in PEM.
fn jwk(pem: &str, more: &str) -> String {
    let key = token::sign::KeyFile::read(pem.as_bytes()).unwrap().key;
    let members = serde_json::Value::Object(key.jwk().unwrap()).to_string();
    format!("{{{more}{}", members.strip_prefix('{').unwrap())
}

#[test]
fn keys_of_each_type() {
    let oaep = "- RSA-OAEP RSA-OAEP-256 RSA-OAEP-384 RSA-OAEP-512";
    let agree = "- ECDH-ES ECDH-ES+A128KW ECDH-ES+A192KW ECDH-ES+A256KW";
    assert_eq!(load(RSA).unwrap().0, [oaep]);
    assert_eq!(load(&jwk(RSA, "")).unwrap().0, [oaep]);
    for pem in CURVES {
        assert_eq!(load(pem).unwrap().0, [agree]);
    }
    for pem in &CURVES[..3] {
        assert_eq!(load(&jwk(pem, "")).unwrap().0, [agree]);
    }
    let x25519 = r#"{"kty":"OKP","crv":"X25519","d":"GBsjnhlARZxE3c0MUm7tMTsJlGur7zjMqWD6q5v7_38","x":"WjyxMPak-TB57hl--P7MiNcFSn6bJyqphtgHNcMy6Aw"}"#;
    assert_eq!(load(x25519).unwrap().0, [agree]);
    assert_eq!(load(&oct(32)).unwrap().0, ["- A256KW A256GCMKW dir"]);
    let two = format!("{RSA}\n{}", CURVES[0]);
    assert_eq!(load(&two).unwrap().0, [oaep, agree]);
    let one = jwk(RSA, r#""kid":"a","use":"enc","alg":"RSA-OAEP-256","key_ops":["unwrapKey"],"#);
    assert_eq!(load(&one).unwrap().0, ["a RSA-OAEP-256"]);
    assert!(load(&jwk(RSA, r#""alg":"ECDH-ES","#)).is_err());
}

#[test]
fn keys_for_something_else_are_left_out_of_a_set() {
    let secret = oct(32);
    let secret = secret.strip_prefix('{').unwrap();
    let public = include_str!("../../../tests/keys/rsa2048.jwk.json");
    let set = format!(
        r#"{{"keys":[{{"kid":"good",{secret},{{"use":"sig",{secret},{{"alg":"HS256",{secret},
           {{"alg":"RSA1_5",{secret},{{"key_ops":["verify"],{secret},{public},{},
           {{"kty":"oct","k":"c2hvcnQ"}},{{"kty":"new"}},7]}}"#,
        jwk(include_str!("../../../tests/keys/ed25519.pem"), ""),
    );
    let (keys, warnings) = load(&set).unwrap();
    assert_eq!(keys, ["good A256KW A256GCMKW dir"]);
    for (at, why) in [
        "use is \"sig\", not \"enc\"",
        "alg \"HS256\" is for signatures",
        "alg \"RSA1_5\" is not accepted",
        "key_ops holds nothing that decrypts",
        "is a public key; decrypting needs the private one",
        "crv is not X25519",
        "the secret has 5 bytes",
        "kty \"new\" does not decrypt",
        "kty: is missing",
    ]
    .into_iter()
    .enumerate()
    {
        let warning = &warnings[at];
        assert!(warning.starts_with(&format!("keys[{}]: {why}", at + 1)), "{warning}");
        assert!(warning.ends_with("; the key does not decrypt"), "{warning}");
    }
}

#[test]
fn what_is_no_key_that_decrypts_is_refused_with_the_reason() {
    let secret = oct(32);
    for (text, why) in [
        ("", "is empty"),
        ("secret", "is neither JSON nor PEM"),
        ("{}", "kty: is missing"),
        (r#"{"keys":[]}"#, "holds no key that decrypts; it is empty"),
        (r#"{"keys":{}}"#, "keys: must be an array"),
        (&secret.replacen('{', r#"{"use":"sig","#, 1), "use is \"sig\", not \"enc\""),
        (include_str!("../../../tests/keys/rsa2048.pub.pem"), "holds no private key, which"),
        (
            include_str!("../../../tests/keys/rsa2048.jwk.json"),
            "is a public key; decrypting needs the private one",
        ),
        (include_str!("../../../tests/keys/rsa1024.pem"), "RSA modulus of 1024 bits"),
        (
            include_str!("../../../tests/keys/ed25519.pem"),
            "is a key of Ed25519, which signs and does not decrypt",
        ),
    ] {
        let error = load(text).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let named = |text: &str| text.replacen('{', r#"{"kid":"a","#, 1);
    let twice = |other: &str| format!(r#"{{"keys":[{},{}]}}"#, named(&secret), named(other));
    assert_eq!(load(&twice(&secret)).unwrap().0.len(), 1);
    let other = r#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
    assert!(load(&twice(other)).unwrap_err().contains("duplicate kid \"a\""));
    // Another type of key for the same kid is for other algorithms.
    assert_eq!(load(&twice(&jwk(RSA, ""))).unwrap().0.len(), 2);
    let public = token::base64url::encode(include_str!("../../../tests/keys/p256.pub.pem"));
    let error = load(&format!(r#"{{"kty":"oct","k":"{public}"}}"#)).unwrap_err();
    assert!(error.contains("which is no secret"), "{error}");
}
