//! A signing key as it is configured, and the tokens that it signs.

use std::sync::Arc;

use jsonwebtoken::{Algorithm as Peer, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use token::base64url::decode as decoded;
use token::sign::{Json, Members, PrivateKey, SigningKey, Wanted, thumbprint};
use token::{Algorithm, KeySet, Policy, load_keys};

use crate::{jwk, key, openssl_key};

const NOW: i64 = 1_800_000_000;

fn claims() -> Members {
    let mut claims = Members::default();
    claims.set("sub", Json::string("ä \"quoted\""));
    claims.set("exp", Json::integer(4_000_000_000));
    claims.set("id", Json::read("9007199254740993.10").unwrap());
    claims
}

fn loaded(text: &str, wanted: Wanted<'_>) -> (SigningKey, Vec<String>) {
    SigningKey::load(text.as_bytes(), wanted).unwrap()
}

fn error(text: &str, wanted: Wanted<'_>) -> String {
    SigningKey::load(text.as_bytes(), wanted).unwrap_err().to_string()
}

fn with(algorithm: Algorithm) -> Wanted<'static> {
    Wanted { algorithm: Some(algorithm), ..Wanted::default() }
}

/// The policy of a verifier that has these keys.
fn policy(keys: &str) -> Policy {
    let keys = load_keys(keys.as_bytes(), None).unwrap();
    assert!(keys.warnings.is_empty(), "{:?}", keys.warnings);
    Policy { keys: vec![Arc::new(KeySet::new(keys.keys))], ..Policy::default() }
}

/// Has another implementation verify the token; it has neither ES512 nor ML-DSA.
fn peer_verifies(token: &str, key: &str, algorithm: Algorithm) {
    let Ok(peer) = algorithm.name().parse::<Peer>() else {
        let name = algorithm.name();
        assert!(name == "ES512" || name.starts_with("ML-DSA-"), "{name}");
        return;
    };
    let key = DecodingKey::from_jwk(&serde_json::from_str(key).unwrap()).unwrap();
    let claims = decode::<Value>(token, &key, &Validation::new(peer)).unwrap().claims;
    assert_eq!(claims["sub"], "ä \"quoted\"");
}

#[test]
fn what_every_algorithm_signs_is_verified_with_what_is_published() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let jwk = jwk(&key, json!({ "alg": algorithm.name(), "kid": "own" }));
        let mut forms = vec![jwk.clone()];
        forms.extend(key.pem().unwrap().map(|(private, _)| private));
        for form in forms {
            let (signing, warnings) = loaded(&form, with(algorithm));
            assert_eq!(warnings, [""; 0]);
            assert_eq!(signing.algorithm(), algorithm);
            let verifying = signing.published().unwrap_or(&jwk);
            let token = signing.sign(&claims()).unwrap();
            let verified = policy(verifying).check(token.as_bytes(), NOW).unwrap();
            let want =
                "{\"sub\":\"ä \\\"quoted\\\"\",\"exp\":4000000000,\"id\":9007199254740993.10}";
            assert_eq!(verified.payload.text(), want);
            let kid = format!("\"{}\"", signing.kid().unwrap());
            let want = format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":{kid}}}"#);
            assert_eq!(verified.header.text(), want);
            peer_verifies(&token, verifying, algorithm);
        }
    }
}

#[test]
fn the_flattened_form_has_the_same_sections() {
    // Ed25519 signs the same text alike each time.
    let (signing, _) = loaded(&openssl_key("ed25519.pem"), Wanted::default());
    let token = signing.sign(&claims()).unwrap();
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let want =
        format!(r#"{{"payload":"{payload}","protected":"{header}","signature":"{signature}"}}"#);
    assert_eq!(signing.sign_flattened(&claims()).unwrap(), want);
}

#[test]
fn the_kid_is_the_one_wanted_or_its_own_or_the_thumbprint() {
    let key = key(Algorithm::ES256);
    let own = jwk(&key, json!({ "kid": "own" }));
    let kid = |text: &str, kid| {
        let signing = loaded(text, Wanted { kid, ..Wanted::default() }).0;
        let token = signing.sign(&Members::default()).unwrap();
        let header = decoded(token.split('.').next().unwrap().as_bytes()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header["kid"].as_str(), signing.kid());
        signing.kid().map(str::to_owned)
    };
    assert_eq!(kid(&own, Some("wanted")).as_deref(), Some("wanted"));
    assert_eq!(kid(&own, None).as_deref(), Some("own"));
    let print = thumbprint(&key.public().unwrap()).unwrap();
    for unnamed in
        [jwk(&key, json!({})), jwk(&key, json!({ "kid": "" })), key.pem().unwrap().unwrap().0]
    {
        assert_eq!(kid(&unnamed, None), Some(print.clone()));
    }
    let secret = jwk(&PrivateKey::from_secret(&[7; 32]).unwrap(), json!({}));
    assert_eq!(kid(&secret, None), None);
    assert_eq!(kid(&secret, Some("web")).as_deref(), Some("web"));
    for (bad, part) in
        [("a\nb", "holds a control character"), ("\u{9b}", "holds a control"), ("", "is empty")]
    {
        let said = error(&own, Wanted { kid: Some(bad), ..Wanted::default() });
        assert!(said.starts_with("the kid ") && said.contains(part), "{said}");
    }
    let said = error(&jwk(&key, json!({ "kid": "a\tb" })), Wanted::default());
    assert_eq!(said, "the kid holds a control character");
}

#[test]
fn the_algorithm_must_be_the_keys() {
    let key = key(Algorithm::RS256);
    let plain = jwk(&key, json!({}));
    let bound = jwk(&key, json!({ "alg": "PS384" }));
    assert_eq!(loaded(&plain, Wanted::default()).0.algorithm(), Algorithm::RS256);
    assert_eq!(loaded(&plain, with(Algorithm::PS512)).0.algorithm(), Algorithm::PS512);
    assert_eq!(loaded(&bound, Wanted::default()).0.algorithm(), Algorithm::PS384);
    assert_eq!(
        error(&bound, with(Algorithm::RS256)),
        "the key is for PS384 (its member alg), not for RS256"
    );
    let no_rsa = "ES256 does not go with an RSA key; RS256 does";
    assert_eq!(error(&plain, with(Algorithm::ES256)), no_rsa);
    assert_eq!(error(&jwk(&key, json!({ "alg": "ES256" })), Wanted::default()), no_rsa);
}

#[test]
fn a_short_secret_is_told() {
    let secret = jwk(&PrivateKey::from_secret(&[7; 32]).unwrap(), json!({}));
    assert_eq!(loaded(&secret, Wanted::default()).1, [""; 0]);
    let want = "secret of 32 bytes is shorter than the 64 that HS512 wants (RFC 7518 section 3.2)";
    let (signing, warnings) = loaded(&secret, with(Algorithm::HS512));
    assert_eq!(warnings, [want]);
    assert_eq!(signing.published(), None);
    assert_eq!(format!("{signing:?}"), "SigningKey { kid: None, algorithm: HS512, .. }");
}

#[test]
fn what_is_published_is_public_and_has_one_order() {
    let (signing, _) =
        loaded(&openssl_key("p256.pem"), Wanted { kid: Some("a\"b"), ..Wanted::default() });
    let text = signing.published().unwrap();
    let start = r#"{"kty":"EC","kid":"a\"b","alg":"ES256","use":"sig","crv":"P-256","x":""#;
    assert!(text.starts_with(start), "{text}");
    for algorithm in Algorithm::ALL {
        let text = jwk(&key(algorithm), json!({}));
        let signing = loaded(&text, with(algorithm)).0;
        let Some(published) = signing.published() else { continue };
        let published: Value = serde_json::from_str(published).unwrap();
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "priv"] {
            assert!(published.get(private).is_none(), "{algorithm}: {private}");
        }
    }
}

#[test]
fn a_key_is_the_same_under_another_name() {
    let rsa = openssl_key("rsa2048.pem");
    let one = loaded(&rsa, Wanted { kid: Some("a"), ..Wanted::default() }).0;
    let two = loaded(&rsa, with(Algorithm::PS256)).0;
    let other =
        loaded(&openssl_key("rsa2048-other.pem"), Wanted { kid: Some("a"), ..Wanted::default() }).0;
    assert!(one.is_same(&two) && !one.is_same(&other));
    let secret = |byte| {
        loaded(&jwk(&PrivateKey::from_secret(&[byte; 32]).unwrap(), json!({})), Wanted::default()).0
    };
    assert!(secret(1).is_same(&secret(1)));
    assert!(!secret(1).is_same(&secret(2)) && !secret(1).is_same(&one));
}
