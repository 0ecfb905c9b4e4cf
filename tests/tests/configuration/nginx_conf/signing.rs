//! The tests of the configurations in which nginx signs.

use anyhow::{Context as _, Result};
use module_tests::{
    ED25519, ENCRYPTION_SECRET, Jwt, P256, RSA, Recipient, encrypt, now, secret_jwk,
};
use serde_json::{Value, json};

use super::guides::body;
use super::{ask, expect, ready, to_port_80};

pub(crate) fn login() -> Result<()> {
    let nginx = ready("login.conf", &[])?.file("keys/login.pem", P256.private).start()?;
    let answer = ask(&nginx, "/token", None)?;
    assert_eq!((answer.status, answer.header("Content-Type")), (200, Some("application/json")));
    let answer: Value = serde_json::from_slice(&answer.body)?;
    assert_eq!(answer.get("expires_in"), Some(&json!(900)));
    let token = |name: &str| {
        let token = answer.get(name).and_then(Value::as_str);
        token.context("no token").map(str::to_owned)
    };
    let (access, refresh) = (token("access_token")?, token("refresh_token")?);
    let other = Jwt::live().kid("other").sign("RS256", &RSA)?;
    expect(
        &nginx,
        &[
            ("/api/orders", None, 401),
            ("/api/orders", Some(&other), 401),
            ("/api/orders", Some(&access), 200),
            ("/api/orders", Some(&refresh), 401),
            ("/.well-known/jwks.json", None, 200),
        ],
    )?;
    let request = to_port_80(&nginx, "/api/orders").bearer(&access).header("X-User", "root");
    assert_eq!(body(request)?, "user=alice token=");
    // What would be compressed or a part is whole and plain.
    let request = to_port_80(&nginx, "/token").header("Accept-Encoding", "gzip");
    assert!(body(request.header("Range", "bytes=0-5"))?.starts_with("{\"access_token\": \"ey"));
    nginx.finish()
}

pub(crate) fn internal_identity() -> Result<()> {
    let nginx = ready("internal-identity.conf", &[])?
        .file("keys/edge.pem", ED25519.private)
        .file("jwks.json", RSA.jwks("one")?)
        .start()?;
    let claims =
        json!({ "iss": "https://login.example.com/", "email": "a@example.com", "roles": ["x"] });
    let user = Jwt::live_with(&claims).kid("one").sign("RS256", &RSA)?;
    expect(&nginx, &[("/", None, 401), ("/", Some(&user), 200)])?;
    assert_eq!(ask(&nginx, "/", Some(&user))?.text(), "user=alice\n");
    // Past nginx nobody gets in.
    let past = |token: Option<&str>| {
        let request = nginx.request().socket(nginx.socket("9000.sock")).target("/");
        match token {
            Some(token) => request.bearer(token),
            None => request.header("X-User", "root"),
        }
        .send()
    };
    assert_eq!((past(None)?.status, past(Some(&user))?.status), (401, 401));
    let set = nginx.request().socket(nginx.socket("8081.sock")).target("/.well-known/jwks.json");
    let set: Value = serde_json::from_slice(&set.send()?.body)?;
    assert_eq!(set.get("keys").and_then(Value::as_array).map(Vec::len), Some(1));
    nginx.finish()
}

pub(crate) fn uri_signing() -> Result<()> {
    let nginx =
        ready("uri-signing.conf", &["video/film/1.ts", "video/film/2.ts", "video/other/1.ts"])?
            .file("keys/edge.pem", P256.private)
            .file("jwks.json", RSA.jwks("provider")?)
            .start()?;
    let claims = json!({
        "iss": "provider.example", "exp": now() + 300,
        "cdniuc": "regex:http://localhost/video/film/[^/?]*", "cdnistt": 1, "cdniets": 60, "cdnistd": 2
    });
    let token = Jwt::new(claims).kid("provider").sign("RS256", &RSA)?;
    let link = |path: &str| format!("{path}?URISigningPackage={token}");
    expect(
        &nginx,
        &[
            ("/video/film/1.ts", None, 401),
            (&link("/video/film/1.ts"), None, 200),
            (&link("/video/film/../other/1.ts"), None, 403),
            (&link("/video/other/1.ts"), None, 403),
            ("/_edge", None, 404),
        ],
    )?;
    let first = ask(&nginx, &link("/video/film/1.ts"), None)?;
    let set = first.header("Set-Cookie").context("no cookie")?;
    assert!(set.ends_with("; Path=/video/film; Max-Age=60; Secure; HttpOnly"), "{set}");
    assert_eq!(first.header("Cache-Control"), Some("private"));
    let cookie = set.split(';').next().unwrap_or_default();
    let by_cookie = |path: &str| to_port_80(&nginx, path).header("Cookie", cookie).send();
    let second = by_cookie("/video/film/2.ts")?;
    assert_eq!((second.status, second.all("Set-Cookie").len()), (200, 1));
    assert_eq!(by_cookie("/video/other/1.ts")?.status, 403);
    nginx.finish()
}

pub(crate) fn encrypted_tokens() -> Result<()> {
    let secret = secret_jwk(ENCRYPTION_SECRET, &json!({ "alg": "dir" })).to_string();
    let nginx = ready("encrypted-tokens.conf", &[])?
        .file("keys/edge.pem", RSA.private)
        .file("keys/secret.json", secret)
        .file("jwks.json", P256.jwks("login")?)
        .start()?;
    let claims = json!({ "iss": "https://login.example.com/" });
    let signed = Jwt::live_with(&claims).kid("login").sign("ES256", &P256)?;
    let nested = encrypt(Recipient::Rsa(&RSA), &json!({ "cty": "JWT" }), &signed)?;
    let secret = Recipient::Secret(ENCRYPTION_SECRET);
    let encrypted = |claims: Value| encrypt(secret, &json!({}), claims.to_string());
    let alice = encrypted(json!({ "sub": "alice", "exp": now() + 60 }))?;
    let forever = encrypted(json!({ "sub": "alice" }))?;
    expect(
        &nginx,
        &[
            ("/api/", None, 401),
            ("/api/", Some(&nested), 200),
            ("/api/", Some(&signed), 401),
            ("/api/", Some(&alice), 401),
            ("/api/both/", Some(&nested), 200),
            ("/api/both/", Some(&signed), 200),
            ("/files/", Some(&alice), 200),
            ("/files/", Some(&forever), 401),
            ("/files/", Some(&nested), 401),
        ],
    )?;
    for (path, token) in [("/api/", &nested), ("/files/", &alice)] {
        let text = ask(&nginx, path, Some(token))?.text().into_owned();
        assert_eq!(text, format!("user=alice uri={path}\n"));
    }
    nginx.finish()
}
