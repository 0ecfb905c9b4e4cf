//! `jwks_publish`: the key set.

use anyhow::{Context as _, Result};
use module_tests::{ED25519, Nginx, P256, P384, RSA, SECRET, base64url};
use serde_json::{Value, json};

use super::KEY;

/// The key set at a target, and its kids.
fn kids(nginx: &Nginx, target: &str) -> Result<Vec<String>> {
    let answer = nginx.get(target)?;
    assert_eq!(answer.status, 200, "{target}");
    let set: Value = serde_json::from_slice(&answer.body)?;
    let keys = set["keys"].as_array().context("keys")?;
    Ok(keys.iter().map(|key| key["kid"].as_str().unwrap_or_default().to_owned()).collect())
}

#[test]
fn the_public_halves_are_published_with_etag_and_lifetime() -> Result<()> {
    let nginx = Nginx::builder()
        .file(KEY, P256.private)
        .server(format!(
            "location = /login {{ jwt_sign_key {KEY} kid=one; jwt_sign t; return 200 '{{}}'; }}
            location = /jwks {{ jwks_publish; }}
            location = /short {{ jwks_publish valid=30s; }}"
        ))
        .start()?;
    let answer = nginx.get("/jwks")?;
    assert_eq!(answer.header("Content-Type"), Some("application/jwk-set+json"));
    assert_eq!(answer.header("Cache-Control"), Some("public, max-age=300"));
    let set: Value = serde_json::from_slice(&answer.body)?;
    let wanted = P256.jwk(&json!({ "kid": "one", "use": "sig", "alg": "ES256" }))?;
    assert_eq!(set, json!({ "keys": [wanted] }));
    let etag = answer.header("ETag").context("ETag")?.to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let ask = |etag: &str| nginx.request().target("/jwks").header("If-None-Match", etag).send();
    let same = ask(&etag)?;
    assert_eq!((same.status, same.body.len()), (304, 0));
    assert_eq!(same.header("ETag"), Some(&*etag));
    assert_eq!(ask("\"x\"")?.status, 200);
    assert_eq!(ask(&format!("\"x\", {etag}"))?.status, 304);
    let head = nginx.request().target("/jwks").method("HEAD").send()?;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("Content-Length"), Some(&*answer.body.len().to_string()));
    assert_eq!(head.header("ETag"), Some(&*etag));
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(nginx.request().target("/jwks").method(method).send()?.status, 405);
    }
    assert_eq!(nginx.get("/short")?.header("Cache-Control"), Some("public, max-age=30"));
    nginx.finish()
}

#[test]
fn each_server_publishes_what_is_in_force_in_it() -> Result<()> {
    let secret = json!({ "kty": "oct", "kid": "secret", "k": base64url(SECRET) }).to_string();
    let nginx = Nginx::builder()
        .file("a.pem", P256.private)
        .file("b.pem", P384.private)
        .file("c.pem", RSA.private)
        .file("d.pem", ED25519.private)
        .file("secret.json", secret)
        .http(
            "jwt_sign_key a.pem kid=http;
            jwt_mint $internal { jwt_sign_key d.pem kid=mint; claim sub x; }
            server { listen unix:two.sock; location = /jwks { jwks_publish; } }
            server { listen unix:three.sock; jwt_sign_key b.pem kid=three; location = /jwks { jwks_publish; } }",
        )
        .server(
            "location = /jwks { jwks_publish; }
            location = /one { jwt_sign_key b.pem kid=new; jwt_sign_key c.pem kid=old; jwt_sign_key secret.json; }
            location = /own { jwks_publish; jwt_sign_key c.pem kid=only; }",
        )
        .start()?;
    let sorted = |mut kids: Vec<String>| {
        kids.sort();
        kids.join(" ")
    };
    assert_eq!(sorted(kids(&nginx, "/jwks")?), "http mint new old only");
    assert_eq!(kids(&nginx, "/own")?, ["only"]);
    for (socket, wanted) in [("two.sock", "http mint"), ("three.sock", "mint three")] {
        let answer = nginx.request().socket(nginx.socket(socket)).target("/jwks").send()?;
        let set: Value = serde_json::from_slice(&answer.body)?;
        let found = set["keys"].as_array().context("keys")?.iter();
        let found = found.map(|key| key["kid"].as_str().unwrap_or_default().to_owned());
        assert_eq!(sorted(found.collect()), wanted, "{socket}");
        assert!(!answer.text().contains(&base64url(SECRET)));
    }
    nginx.finish()
}

#[test]
fn a_key_set_is_no_answer_to_be_signed() -> Result<()> {
    let nginx = Nginx::builder()
        .file(KEY, P256.private)
        .server(format!("jwt_sign_key {KEY}; jwt_sign keys; location = /jwks {{ jwks_publish; }}"))
        .start()?;
    let answer = nginx.get("/jwks")?;
    assert_eq!(answer.status, 200);
    assert!(answer.header("ETag").is_some());
    nginx.finish()
}
