//! `tokenctl encrypt`, and what `inspect` says of encrypted tokens.

use crate::{Made, failed, openssl_key, printed, tokenctl, with_input};

fn secret(len: usize) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret.json");
    let k = token::base64url::encode(vec![7; len]);
    std::fs::write(&file, format!(r#"{{"kty":"oct","kid":"s","k":"{k}"}}"#)).unwrap();
    (dir, file.display().to_string())
}

const CLAIMS: &str = r#"{"sub":"alice"}"#;

fn inspected(words: &[&str]) -> (i32, String) {
    let call = tokenctl(&[&["inspect"], words].concat());
    assert_eq!(call.err, "", "{}", call.out);
    (call.status, call.out)
}

#[test]
fn a_token_is_encrypted_to_a_public_key_and_inspected_with_the_private_one() {
    let signer = Made::new("ES256", &["--kid", "a"]);
    let token = printed(&["jwt", "--key", &signer.name("pem"), "--kid", "a", "--sub", "alice"]);
    for key in ["rsa2048", "p256", "p521", "x25519"] {
        let (public, private) =
            (openssl_key(&format!("{key}.pub.pem")), openssl_key(&format!("{key}.pem")));
        let sealed = with_input(&["encrypt", "-", "--key", &public], token.as_bytes());
        assert_eq!((sealed.status, sealed.err.as_str()), (0, ""));
        let sealed = sealed.out.trim();
        assert_eq!(sealed.split('.').count(), 5);
        let keys = signer.name("jwks.json");
        let (status, said) = inspected(&[sealed, "--keys", &keys, "--decryption-key", &private]);
        for part in ["Encryption (decrypted)", "\"cty\": \"JWT\"", "Payload (the signature holds)"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(status == 0 && said.ends_with("Verdict: ok\n"), "{said}");
        // Without a key that verifies it is shown.
        let (status, said) = inspected(&[sealed, "--decryption-key", &private]);
        assert!(status == 0 && said.contains("NOT VERIFIED"), "{said}");
        let other = openssl_key("rsa2048-other.pem");
        let (status, said) = inspected(&[sealed, "--decryption-key", &other]);
        let want =
            if key == "rsa2048" { "Verdict: bad_decryption" } else { "Verdict: bad_algorithm" };
        assert!(status == 1 && said.contains(want), "{said}");
        let why = if key == "rsa2048" { "was not encrypted to" } else { "no key given here" };
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn claims_are_vouched_for_by_a_secret() {
    let (_dir, file) = secret(64);
    let words = ["encrypt", CLAIMS, "--key", &file, "--alg", "dir", "--enc", "A256CBC-HS512"];
    let token = printed(&words);
    let (status, said) = inspected(&[&token, "--decryption-key", &file]);
    assert!(said.contains("Payload (decrypted, not signed)"), "{said}");
    assert!(status == 0 && said.ends_with("Verdict: ok\n"), "{said}");
    let (status, said) = inspected(&[&token, "--decryption-key", &file, "--require-exp", "--json"]);
    assert!(status == 1 && said.contains(r#""verdict":"bad_lifetime""#), "{said}");
    assert!(
        said.contains(r#""encryption":{"alg":"dir","enc":"A256CBC-HS512","kid":"s"}"#),
        "{said}"
    );
    // Without a key its header is shown, and what decrypts it.
    let (status, said) = inspected(&[&token]);
    let verdict = "Verdict: none, as no key was given (--decryption-key)\n";
    assert!(status == 0 && said.starts_with("Header\n") && said.ends_with(verdict), "{said}");
    assert!(!said.contains("Payload") && !said.contains("strict JSON"), "{said}");
    let keys = Made::new("ES256", &[]);
    let (status, said) = inspected(&[&token, "--keys", &keys.name("jwks.json")]);
    assert!(status == 1 && said.contains("which --decryption-key decrypts"), "{said}");
    assert!(!said.contains("strict JSON"), "{said}");
}

#[test]
fn a_jwk_says_what_it_is_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.json");
    let name = file.to_str().unwrap();
    let secret = |len: usize| token::base64url::encode(vec![7; len]);
    for (len, alg, header) in [
        (32, "dir", r#"{"alg":"dir","enc":"A256GCM"}"#),
        (16, "dir", r#"{"alg":"dir","enc":"A128GCM"}"#),
        (64, "dir", r#"{"alg":"dir","enc":"A256CBC-HS512"}"#),
        (32, "A128CBC-HS256", r#"{"alg":"dir","enc":"A128CBC-HS256"}"#),
        (32, "A256GCMKW", r#"{"alg":"A256GCMKW","enc":"A256GCM""#),
        (32, "A256KW", r#"{"alg":"A256KW","enc":"A256GCM"}"#),
    ] {
        let jwk = format!(r#"{{"kty":"oct","alg":"{alg}","k":"{}"}}"#, secret(len));
        std::fs::write(&file, jwk).unwrap();
        let token = printed(&["encrypt", CLAIMS, "--key", name]);
        let first = token::base64url::decode(token.split('.').next().unwrap().as_bytes()).unwrap();
        assert!(String::from_utf8(first).unwrap().starts_with(header), "{alg}");
        let (status, said) = inspected(&[&token, "--decryption-key", name]);
        assert!(status == 0 && said.ends_with("Verdict: ok\n"), "{said}");
        let other = failed(&["encrypt", CLAIMS, "--key", name, "--alg", "A192KW"]);
        assert!(other.contains("A192KW does not go with this key; its JWK is for"), "{other}");
    }
    let signer = Made::new("ES256", &[]);
    let said = failed(&["encrypt", CLAIMS, "--key", &signer.name("jwk.json")]);
    assert!(said.contains(r#"use is "sig", not "enc""#), "{said}");
    std::fs::write(&file, r#"{"kty":"oct","k":"AAAA"}"#).unwrap();
    assert!(failed(&["encrypt", CLAIMS, "--key", name]).contains("the secret has 3 bytes"));
}

#[test]
fn the_forms_that_are_accepted_can_be_named() {
    let (_dir, file) = secret(32);
    let token = printed(&["encrypt", CLAIMS, "--key", &file]);
    let with = |forms: &str| inspected(&[&token, "--decryption-key", &file, "--type", forms]);
    assert_eq!(with("encrypted").0, 0);
    assert_eq!(with("nested,encrypted").0, 0);
    let (status, said) = with("nested");
    let why = "malformed: an encrypted token, which is not signed: jwt_type does not accept that";
    assert!(status == 1 && said.contains(why), "{said}");
}

#[test]
fn mistakes() {
    let (_dir, file) = secret(32);
    let with = |more: &[&str]| failed(&[&["encrypt", CLAIMS, "--key", &file], more].concat());
    for (said, part) in [
        (with(&["--alg", "RSA-OAEP"]), "RSA-OAEP does not go with this key"),
        (with(&["--alg", "A128KW"]), "A128KW does not go with this key"),
        (
            with(&["--alg", "dir", "--enc", "A128GCM"]),
            "wants a secret of 16 bytes; this one has 32",
        ),
        (with(&["--alg", "RSA1_5"]), "one of RSA-OAEP"),
        (with(&["--enc", "A128CBC"]), "one of A128CBC-HS256"),
        (failed(&["encrypt", "hello", "--key", &file]), "want a signed token"),
        (failed(&["encrypt", "{'a':1}", "--key", &file]), "not strict JSON"),
        (
            failed(&["encrypt", CLAIMS, "--key", &openssl_key("ed25519.pub.pem")]),
            "no key that encrypts",
        ),
        (failed(&["encrypt", CLAIMS, "--key", &openssl_key("rsa1024.pub.pem")]), "1024 bits"),
        (
            failed(&["inspect", "a.b.c.d.e", "--decryption-key", &openssl_key("p256.pub.pem")]),
            "no private key",
        ),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
