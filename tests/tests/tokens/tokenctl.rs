//! nginx accepts what the command line makes, and both give the same verdict on a token.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use module_tests::{Jwt, Nginx, OTHER_SECRET, RSA, SECRET, SERVE, now, tokenctl};
use serde_json::json;

/// Runs `tokenctl`, and returns its exit status and the text of both output streams.
fn run(directory: &Path, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output = Command::new(tokenctl()?).current_dir(directory).args(arguments).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8(text)?))
}

/// Runs `tokenctl`, which must succeed, and returns what it printed.
fn made(directory: &Path, arguments: &[&str]) -> Result<String> {
    let (status, text) = run(directory, arguments)?;
    ensure!(status == Some(0), "tokenctl {arguments:?}: {status:?}: {text}");
    Ok(text.trim().to_owned())
}

#[test]
fn keys_and_tokens_that_tokenctl_makes_pass() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let algs = ["RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS512"];
    let mut builder = Nginx::builder();
    let mut server = String::new();
    for alg in algs {
        made(folder.path(), &["keys", "--alg", alg, "--kid", alg, "--out", alg])?;
        let directive = match alg.starts_with("HS") {
            true => format!("jwt_kids_file {alg}.kids.json;"),
            false => format!("jwks_file {alg}.jwks.json;"),
        };
        let name = directive.split([' ', ';']).nth(1).context("file name")?;
        builder = builder.file(name, std::fs::read(folder.path().join(name))?);
        server
            .push_str(&format!("location /{alg} {{ jwt_algorithms {alg}; {directive} {SERVE} }} "));
    }
    let nginx = builder.server(server).start()?;
    for alg in algs {
        let suffix = if alg.starts_with("HS") { "jwk.json" } else { "pem" };
        let key = format!("{alg}.{suffix}");
        let token = made(folder.path(), &["jwt", "--alg", alg, "--key", &key, "--kid", alg])?;
        assert_eq!(nginx.bearer(format!("/{alg}"), &token)?.verdict(), (200, "ok"), "{alg}");
        let past = ["jwt", "--alg", alg, "--key", &key, "--kid", alg, "--lifetime", "-1h"];
        let token = made(folder.path(), &past)?;
        assert_eq!(nginx.bearer(format!("/{alg}"), &token)?.verdict(), (401, "expired"), "{alg}");
    }
    nginx.finish()
}

#[test]
fn links_that_tokenctl_makes_pass() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nginx = Nginx::start(format!(
        "location / {{ secure_token_secret {SECRET}; {SERVE} }}
        location /value/ {{ secure_token_secret {SECRET}; secure_token_args sig until;
            secure_token_value \"$uri|$arg_user\"; {SERVE} }}"
    ))?;
    for alg in ["md5", "hmac-sha256"] {
        for path in ["/a.mp4", "/a%20b/%C3%A9.mp4?quality=high&x", "/x/../a//b"] {
            let sign = ["url", "--secret", SECRET, "--alg", alg, path];
            let link = made(folder.path(), &sign)?;
            assert_eq!(nginx.get(&link)?.link_verdict(), (200, "ok"), "{alg} {link}");
            let sign = ["url", "--secret", SECRET, "--alg", alg, "--lifetime", "-1h", path];
            let link = made(folder.path(), &sign)?;
            assert_eq!(nginx.get(&link)?.link_verdict(), (410, "expired"), "{alg} {link}");
        }
        let names = ["--sig-arg", "sig", "--expires-arg", "until", "--value", "/value/a|bob"];
        let sign = [&["url", "--secret", SECRET, "--alg", alg][..], &names, &["/value/a?user=bob"]];
        let link = made(folder.path(), &sign.concat())?;
        assert_eq!(nginx.get(&link)?.link_verdict(), (200, "ok"), "{alg} {link}");
    }
    nginx.finish()
}

#[test]
fn inspect_gives_the_verdict_that_nginx_gives() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kids = json!([{ "kids": { "k1": SECRET } }]).to_string();
    let keys = RSA.jwks("rsa")?;
    std::fs::write(folder.path().join("kids.json"), &kids)?;
    std::fs::write(folder.path().join("keys.json"), &keys)?;
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{ jwt_kids_file kids.json; jwks_file keys.json; jwt_issuer me; {SERVE} }}"
        ))
        .file("kids.json", kids)
        .file("keys.json", keys)
        .start()?;
    let me = |more: serde_json::Value| {
        let mut claims = json!({ "iss": "me" });
        if let (Some(all), Some(more)) = (claims.as_object_mut(), more.as_object()) {
            all.extend(more.clone());
        }
        Jwt::live_with(&claims)
    };
    let tokens = [
        me(json!({})).kid("k1").hs("HS256", SECRET)?,
        me(json!({})).kid("rsa").sign("PS512", &RSA)?,
        me(json!({})).sign("RS256", &RSA)?,
        me(json!({ "iss": "him" })).kid("k1").hs("HS256", SECRET)?,
        me(json!({ "exp": now() - 9 })).kid("k1").hs("HS256", SECRET)?,
        me(json!({ "nbf": now() + 99 })).kid("k1").hs("HS256", SECRET)?,
        me(json!({ "exp": "soon" })).kid("k1").hs("HS256", SECRET)?,
        me(json!({})).kid("k1").hs("HS256", OTHER_SECRET)?,
        me(json!({})).kid("k2").hs("HS256", SECRET)?,
        me(json!({})).kid("k1").signed("none", |_| Ok(Vec::new()))?,
        me(json!({})).kid("rsa").hs("HS256", RSA.public)?,
        "a.b.c".to_owned(),
        "x".to_owned(),
    ];
    for token in tokens {
        let rules = ["--kids", "kids.json", "--keys", "keys.json", "--issuer", "me"];
        let (status, said) = run(folder.path(), &[&["inspect", &token][..], &rules].concat())?;
        let response = nginx.bearer("/", &token)?;
        let (code, word) = response.verdict();
        assert_eq!(status, Some(i32::from(code != 200)), "{word}: {said}");
        assert!(said.contains(word), "nginx says {word}: {said}");
    }
    nginx.finish()
}
