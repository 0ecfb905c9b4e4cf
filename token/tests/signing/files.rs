//! Which files are keys that sign, and what is said of those that are none.

use serde_json::{Value, json};
use token::sign::{KeyFile, KeySize, PrivateKey, public_jwk, thumbprint};
use token::{Algorithm, AlgorithmSet};

use crate::{jwk, key, openssl_key, refused};

#[test]
fn every_key_survives_pem_and_jwk() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let members = key.jwk().unwrap();
        let text = Value::Object(members.clone()).to_string();
        let again = KeyFile::read(text.as_bytes()).unwrap().key;
        assert_eq!(again.jwk().unwrap(), members, "{algorithm}");
        assert!(again.is_same(&key));
        if let Some((private, public)) = key.pem().unwrap() {
            let again = KeyFile::read(private.as_bytes()).unwrap().key;
            assert_eq!(again.jwk().unwrap(), members, "{algorithm}");
            assert_eq!(pem::parse(&private).unwrap().tag(), "PRIVATE KEY");
            let verifying = token::load_keys(public.as_bytes(), None).unwrap().keys.remove(0);
            let signature = again.sign(algorithm, b"x").unwrap();
            assert!(verifying.verify(algorithm, b"x", &signature), "{algorithm}");
        }
        let signature = key.sign(algorithm, b"x").unwrap();
        let verifying = key.verifying_key(AlgorithmSet::ALL).unwrap();
        assert!(verifying.verify(algorithm, b"x", &signature));
        assert!(!verifying.verify(algorithm, b"y", &signature));
    }
}

#[test]
fn keys_of_openssl_are_read() {
    for (name, kind) in [
        ("rsa2048", "an RSA key"),
        ("p256", "a P-256 key"),
        ("p384", "a P-384 key"),
        ("p521", "a P-521 key"),
        ("ed25519", "an Ed25519 key"),
        ("ml-dsa-44", "an ML-DSA key"),
    ] {
        let pem = openssl_key(&format!("{name}.pem"));
        let windows = format!("\u{feff}{}", pem.replace('\n', "\r\n"));
        for text in [pem.as_bytes(), format!("a comment\n\n{pem}").as_bytes(), windows.as_bytes()] {
            let key = KeyFile::read(text).unwrap().key;
            assert_eq!(key.kind(), kind);
            let public: Value =
                serde_json::from_str(&openssl_key(&format!("{name}.jwk.json"))).unwrap();
            assert_eq!(Value::Object(key.public().unwrap()), public);
        }
    }
}

/// The examples of RFC 9964, whose kid is the thumbprint.
#[test]
fn ml_dsa_keys_are_those_of_their_rfc() {
    for text in [
        include_str!("../rfc9964/ml-dsa-44.json"),
        include_str!("../rfc9964/ml-dsa-65.json"),
        include_str!("../rfc9964/ml-dsa-87.json"),
    ] {
        let example: Value = serde_json::from_str(text).unwrap();
        let mut jwk = example["jwk"].as_object().unwrap().clone();
        let read = KeyFile::read(Value::Object(jwk.clone()).to_string().as_bytes()).unwrap();
        let members = read.key.jwk().unwrap();
        for name in ["kty", "alg", "pub", "priv"] {
            assert_eq!(members[name], jwk[name], "{name}");
        }
        let public = public_jwk(&jwk).unwrap();
        assert!(!public.contains_key("priv") && public.contains_key("pub"));
        assert_eq!(thumbprint(&public).unwrap(), jwk["kid"].as_str().unwrap());
        jwk["priv"] = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into();
        let error = refused(&Value::Object(jwk).to_string());
        assert_eq!(error, "pub is not the public half of priv");
    }
}

/// As keys that verify: null is absent, base64url may be padded or have the letters of base64, numbers
/// may have more or fewer zeros in front.
#[test]
fn spellings_of_members_are_tolerated() {
    let of = |key: &PrivateKey, more| KeyFile::read(jwk(key, more).as_bytes()).unwrap();
    let secret = PrivateKey::from_secret(&[0xfb, 0xff, 0xfe, 0xfb]).unwrap();
    for k in ["-__--w", "-__--w==", "+//++w=="] {
        let file = of(&secret, json!({ "k": k, "kid": null, "alg": null, "use": null }));
        assert!(file.key.is_same(&secret), "{k}");
        assert_eq!((file.kid, file.algorithm), (None, None));
    }
    let rsa = key(Algorithm::RS256);
    assert!(of(&rsa, json!({ "e": "AAEAAQ", "key_ops": null })).key.is_same(&rsa));
    let ec = key(Algorithm::ES256);
    let with_zero = |name: &str| {
        let text = ec.jwk().unwrap()[name].as_str().unwrap().to_owned();
        let bytes = token::base64url::decode(text.as_bytes()).unwrap();
        token::base64url::encode([&[0], &bytes[..]].concat())
    };
    let padded = json!({ "x": with_zero("x"), "d": with_zero("d") });
    assert!(of(&ec, padded).key.is_same(&ec));
    let said = of(&ec, json!({ "kid": 7, "alg": "ES256", "use": "sig", "key_ops": ["sign"] }));
    assert_eq!((said.kid.as_deref(), said.algorithm), (Some("7"), Some(Algorithm::ES256)));
    let edwards = of(&key(Algorithm::EdDSA), json!({ "alg": "Ed25519" }));
    assert_eq!(edwards.algorithm, Some(Algorithm::EdDSA));
}

#[test]
fn a_key_that_is_not_for_signing_is_refused() {
    let key = key(Algorithm::ES256);
    for (more, part) in [
        (json!({ "use": "enc" }), "use is \"enc\""),
        (json!({ "use": 7 }), "use is not a string"),
        (json!({ "key_ops": ["verify"] }), "key_ops holds no \"sign\""),
        (json!({ "key_ops": [] }), "key_ops holds no \"sign\""),
        (json!({ "key_ops": 7 }), "key_ops is not an array"),
        (json!({ "alg": "ECDH-ES" }), "alg: unknown value \"ECDH-ES\""),
        (json!({ "kid": [] }), "kid is not a string or a number"),
    ] {
        let error = refused(&jwk(&key, more));
        assert!(error.contains(part), "{error}");
    }
}

/// The module would not verify with them.
#[test]
fn a_key_that_is_too_weak_to_verify_does_not_sign() {
    let exponent = "RSA exponent must be odd and from 65537";
    for (name, part) in [("rsa1024", "RSA modulus of 1024 bits; 2048"), ("rsa2048-e3", exponent)] {
        let error = refused(&openssl_key(&format!("{name}.pem")));
        assert!(error.contains(part), "{error}");
        let public = openssl_key(&format!("{name}.jwk.json"));
        let private =
            public.replace('}', r#","d":"AA","p":"AA","q":"AA","dp":"","dq":"","qi":""}"#);
        let error = refused(&private);
        assert!(error.contains(part), "{error}");
        let verifying = token::load_keys(public.as_bytes(), None).unwrap_err().to_string();
        assert!(verifying.ends_with(&error), "{verifying}");
    }
    assert_eq!(refused(r#"{"kty":"oct","k":""}"#), "the secret is empty");
}

#[test]
fn errors_tell_what_is_wrong() {
    let public = openssl_key("p256.pub.pem");
    let key = openssl_key("p256.pem");
    let one_line = key.replace('\n', "\\n");
    let encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nMAA=\n\
                     -----END RSA PRIVATE KEY-----\n";
    for (text, part) in [
        ("", "is empty"),
        ("hello", "neither PEM nor a JWK"),
        ("[]", "neither PEM nor a JWK"),
        (r#"{"keys":[]}"#, "JWK Set"),
        (r#"{"kty":"oct","kty":"oct"}"#, "stands twice"),
        ("{\u{201c}kty\u{201d}:1}", "typographic quote"),
        ("{}", "kty is missing: this is no JWK"),
        (r#"{"kty":7}"#, "kty is missing: this is no JWK"),
        (r#"{"kty":"oct"}"#, "k is missing"),
        (r#"{"kty":"oct","k":"a b"}"#, "k is not base64url"),
        (r#"{"kty":"oct","k":7}"#, "k is not a string"),
        (r#"{"kty":"EC","crv":"P-256","x":"","y":""}"#, "public JWK"),
        (r#"{"kty":"EC","crv":"P-256","x":"","y":"","d":null}"#, "public JWK"),
        (r#"{"kty":"EC","crv":"secp256k1","d":""}"#, "crv is none of"),
        (r#"{"kty":"OKP","crv":"X25519","d":""}"#, "crv is not Ed25519"),
        (r#"{"kty":"AKP","alg":"ML-DSA-44","pub":""}"#, "with its member priv"),
        (r#"{"kty":"AKP","priv":""}"#, "alg is missing"),
        (r#"{"kty":"AKP","alg":"ES256","priv":""}"#, "alg: unknown value \"ES256\""),
        (r#"{"kty":"AKP","alg":"ML-DSA-44","priv":"AA"}"#, "not a usable private key"),
        (r#"{"kty":"XYZ","d":""}"#, "kty: unknown value \"XYZ\""),
        (&public, "holds a PUBLIC KEY; signing needs the private key"),
        (&key.replace("END", "MIDDLE"), "PRIVATE KEY begins, but does not end"),
        (&key.replace("-----\nM", "-----\n*"), "PRIVATE KEY is not base64"),
        (&one_line, "has the two characters \\n where lines end"),
        ("-----BEGIN PRIVATE KEY", "a BEGIN line does not end"),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "is encrypted",
        ),
        (encrypted, "is encrypted"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nMAA=\n-----END OPENSSH PRIVATE KEY-----\n",
            "OPENSSH PRIVATE KEY is not read",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "not PKCS#8"),
        (
            "-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n",
            "is not a private key of P-256",
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n",
            "not a usable RSA private key",
        ),
    ] {
        let error = refused(text);
        assert!(error.contains(part), "{text}: {error}");
    }
    let secret = token::base64url::encode(public);
    let error = refused(&format!(r#"{{"kty":"oct","k":"{secret}"}}"#));
    assert!(error.starts_with("k: the secret is PEM, which is no secret"), "{error}");
}

#[test]
fn nothing_that_is_printed_has_a_part_of_a_key() {
    let key = PrivateKey::generate(Algorithm::HS256, KeySize::Rsa2048).unwrap();
    let text = jwk(&key, json!({}));
    let file = KeyFile::read(text.as_bytes()).unwrap();
    let want = r#"KeyFile { key: PrivateKey("a secret"), kid: None, algorithm: None }"#;
    assert_eq!(format!("{file:?}"), want);
    let k = key.jwk().unwrap()["k"].as_str().unwrap().to_owned();
    for bad in [text.replace(&k, &format!("{k}*")), text.replace('}', ""), text.replace("oct", "x")]
    {
        let error = refused(&bad);
        assert!(!error.contains(&k[..8]), "{error}");
    }
}
