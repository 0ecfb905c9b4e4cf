use std::sync::Arc;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm as Peer, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use token::{Algorithm, KeySet, Policy, load_keys, load_kids};

use crate::{Made, failed, openssl_key, printed, tokenctl, with_input};

fn policy(loaded: token::Loaded) -> Policy {
    Policy { keys: vec![Arc::new(KeySet::new(loaded.keys))], ..Policy::default() }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs().try_into().unwrap()
}

/// `None` for ES512 and ML-DSA, which `jsonwebtoken` does not have.
fn peer(algorithm: Algorithm) -> Option<Peer> {
    algorithm.name().parse().ok()
}

fn peer_claims(token: &str, key: &DecodingKey, algorithm: Peer) -> Value {
    let mut validation = Validation::new(algorithm);
    validation.validate_aud = false;
    decode::<Value>(token, key, &validation).unwrap().claims
}

/// The key of a set with one key, or of a single JWK, for `jsonwebtoken`.
fn peer_key(text: &str) -> DecodingKey {
    let value: Value = serde_json::from_str(text).unwrap();
    let jwk: Jwk =
        serde_json::from_value(value.pointer("/keys/0").unwrap_or(&value).clone()).unwrap();
    DecodingKey::from_jwk(&jwk).unwrap()
}

#[test]
fn every_algorithm_in_every_form_of_its_key() {
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        let made = Made::new(name, &["--kid", "a"]);
        let public = if name.starts_with("HS") { "jwk.json" } else { "jwks.json" };
        let policy = policy(load_keys(made.text(public).as_bytes(), None).unwrap());
        let mut forms = vec!["jwk.json"];
        forms.extend((!name.starts_with("HS")).then_some("pem"));
        for form in forms {
            let file = made.name(form);
            let words =
                ["jwt", "--alg", name, "--key", &file, "--kid", "a", "--sub", "x", "--claim=n=1"];
            let token = printed(&words);
            let verified = policy.check(token.as_bytes(), now()).unwrap();
            assert_eq!(verified.payload.root().get("sub").unwrap().as_str(), Some("x"));
            let Some(peer) = peer(algorithm) else {
                assert!(name == "ES512" || name.starts_with("ML-DSA-"), "{name}");
                continue;
            };
            let claims = peer_claims(&token, &peer_key(&made.text(public)), peer);
            assert_eq!(claims["n"], json!(1));
        }
    }
}

#[test]
fn the_default_algorithm_goes_with_the_key() {
    for (file, want) in [
        ("rsa2048.pem", "RS256"),
        ("p256.pem", "ES256"),
        ("p384.pem", "ES384"),
        ("p521.pem", "ES512"),
        ("ed25519.pem", "EdDSA"),
    ] {
        let token = printed(&["jwt", "--key", &openssl_key(file)]);
        let public = std::fs::read(openssl_key(&file.replace(".pem", ".pub.pem"))).unwrap();
        let verified = policy(load_keys(&public, None).unwrap()).check(token.as_bytes(), now());
        let verified = verified.unwrap();
        assert_eq!(verified.header.text(), format!(r#"{{"alg":"{want}","typ":"JWT"}}"#));
    }
    // A JWK's own algorithm and kid come first.
    let made = Made::new("PS384", &["--kid", "-k"]);
    let token = printed(&["jwt", "--key", &made.name("jwk.json")]);
    let loaded = load_keys(made.text("jwks.json").as_bytes(), None).unwrap();
    let verified = policy(loaded).check(token.as_bytes(), now()).unwrap();
    assert_eq!(verified.header.text(), r#"{"alg":"PS384","typ":"JWT","kid":"-k"}"#);
}

#[test]
fn a_secret_is_the_same_in_all_its_forms() {
    let made = Made::new("HS256", &["--kid", "web"]);
    let kids: Value = serde_json::from_str(&made.text("kids.json")).unwrap();
    let secret = kids["web"].as_str().unwrap();
    let file = made.path("secret");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let file = file.display().to_string();
    let k: Value = serde_json::from_str(&made.text("jwk.json")).unwrap();
    let k = k["k"].as_str().unwrap();
    let policy = policy(load_kids(made.text("kids.json").as_bytes()).unwrap());
    let jwk = made.name("jwk.json");
    let mut tokens: Vec<String> = [
        vec!["--secret", secret],
        vec!["--secret-file", &file],
        vec!["--key", &jwk],
        vec!["--secret", k, "--secret-encoding", "base64url"],
    ]
    .iter()
    .map(|how| {
        let words = ["jwt", "--kid", "web", "--exp", "4000000000"].iter().chain(how);
        printed(&words.collect::<Vec<_>>())
    })
    .collect();
    let piped =
        with_input(&["jwt", "--kid=web", "--exp=4000000000", "--secret-file=-"], secret.as_bytes());
    tokens.push(piped.out.trim_end().to_owned());
    assert!(policy.check(tokens[0].as_bytes(), now()).is_ok());
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    let claims = peer_claims(&tokens[0], &DecodingKey::from_secret(secret.as_bytes()), Peer::HS256);
    assert_eq!(claims, json!({"exp": 4_000_000_000_u64}));
}

#[test]
fn claims_come_from_file_options_and_claims_in_that_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("claims.json");
    std::fs::write(&file, r#"{"sub":"file","iss":"file","n":1,"exp":5}"#).unwrap();
    let file = file.display().to_string();
    let token = printed(&[
        "jwt",
        "--secret=s",
        "--claims-file",
        &file,
        "--iss=option",
        "--sub=option",
        "--claim=sub=claim",
        "--claim=https://x/roles=[\"a\"]",
    ]);
    let payload = token.split('.').nth(1).unwrap();
    let payload = token::base64url::decode(payload.as_bytes()).unwrap();
    assert_eq!(
        String::from_utf8(payload).unwrap(),
        r#"{"sub":"claim","iss":"option","n":1,"exp":5,"https://x/roles":["a"]}"#
    );
    std::fs::write(&file, r#"{"a":1,"a":2}"#).unwrap();
    assert!(failed(&["jwt", "--secret=s", "--claims-file", &file]).contains("stands twice"));
}

/// The attack that the demo shows: a public key's text taken as an HMAC secret.
#[test]
fn a_secret_may_begin_with_dashes() {
    let text = "-----a secret";
    let token = printed(&["jwt", "--alg", "HS256", "--secret", text, "--kid", "k"]);
    peer_claims(&token, &DecodingKey::from_secret(text.as_bytes()), Peer::HS256);
}

#[test]
fn mistakes_are_named_and_secrets_are_not() {
    let secret = "hush-hush";
    let public = openssl_key("p256.pub.pem");
    for (words, part) in [
        (vec!["jwt"], "what signs?"),
        (vec!["jwt", "--secret", ""], "the secret is empty"),
        (vec!["jwt", "--secret", secret, "--alg", "ES256"], "does not go with a secret"),
        (vec!["jwt", "--secret", secret, "--alg", "none"], "one of HS256"),
        (vec!["jwt", "--secret", secret, "--secret-encoding", "hex"], "not hexadecimal"),
        (vec!["jwt", "--secret", secret, "--secret-file", "x"], "cannot be used with"),
        (vec!["jwt", "--secret", secret, "--lifetime", "soon"], "want a time such as"),
        (vec!["jwt", "--key", "/nowhere.pem"], "/nowhere.pem"),
        (vec!["jwt", "--key", &public], "holds a PUBLIC KEY"),
        (vec!["jwt", "--key", &openssl_key("rsa1024.pem")], "RSA modulus of 1024 bits"),
    ] {
        let said = failed(&words);
        assert!(said.contains(part) && !said.contains(secret), "{words:?}: {said}");
    }
    let call = tokenctl(&["jwt", "--secret=s", "--claim=sub=1"]);
    assert_eq!(call.status, 0);
    assert!(call.err.contains("warning: sub is 1, not a string"), "{}", call.err);
}
