//! Keys of every kind, and mistakes in them.

use anyhow::{Context as _, Result};
use module_tests::{
    Behaviour, ED25519, ML_DSA_44, ML_DSA_65, ML_DSA_87, Nginx, P256, P256_OTHER, P384, P521,
    Provider, RSA, RSA_WEAK, SECRET, base64url,
};
use serde_json::{Value, json};

use super::{CHECKED, KEY, api, section, text};

/// The secret as a JWK.
fn secret() -> String {
    json!({ "kty": "oct", "kid": "s", "k": base64url(SECRET) }).to_string()
}

#[test]
fn every_algorithm_signs_and_the_module_verifies_it() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{"sub":"alice"}}"#.into()))?;
    for (key, algorithms) in [
        (&RSA, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        (&P256, &["ES256"]),
        (&P384, &["ES384"]),
        (&P521, &["ES512"]),
        (&ED25519, &["EdDSA"]),
        (&ML_DSA_44, &["ML-DSA-44"]),
        (&ML_DSA_65, &["ML-DSA-65"]),
        (&ML_DSA_87, &["ML-DSA-87"]),
    ] {
        for (at, algorithm) in algorithms.iter().enumerate() {
            let alg = if at == 0 { String::new() } else { format!("alg={algorithm}") };
            let login = format!(
                "location = /login {{ jwt_sign_key {KEY} {alg}; jwt_sign t; {} }}",
                provider.pass()
            );
            let nginx = Nginx::builder()
                .file(KEY, key.private)
                .server(format!("{login} {CHECKED}"))
                .start()?;
            let answer: Value = serde_json::from_slice(&nginx.get("/login")?.body)?;
            let token = text(&answer, "t")?;
            let header: Value = serde_json::from_str(&section(token, 0)?)?;
            assert_eq!((text(&header, "alg")?, text(&header, "typ")?), (*algorithm, "JWT"));
            // The thumbprint of RFC 7638 is a SHA-256.
            assert_eq!(text(&header, "kid")?.len(), 43);
            assert_eq!(api(&nginx, token)?.verdict(), (200, "ok"), "{algorithm}");
            nginx.finish()?;
        }
    }
    Ok(())
}

#[test]
fn secrets_and_jwks_sign_too() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{"sub":"alice"}}"#.into()))?;
    let set = json!({ "keys": [
        { "kty": "oct", "kid": "a", "k": base64url("another secret, long enough for its hash") },
        { "kty": "oct", "kid": "b", "alg": "HS512", "k": base64url(SECRET) },
    ] });
    let sign = |options: &str| format!("jwt_sign t; jwt_sign_key {options}; {}", provider.pass());
    let nginx = Nginx::builder()
        .file("secret.json", secret())
        .file("set.json", set.to_string())
        .server(format!(
            "location = /own {{ {} }}
            location = /kid {{ {} }}
            location = /typ {{ {} }}
            location = /alg {{ {} }}
            location = /set {{ {} }}
            location = /api {{ jwt_kids {{ s {SECRET}; x {SECRET}; b {SECRET}; }} try_files /ok.txt =404; }}",
            sign("secret.json"),
            sign("secret.json kid=x typ=at+jwt"),
            sign("secret.json typ=at+jwt"),
            sign("secret.json alg=HS384"),
            sign("set.json kid=b"),
        ))
        .start()?;
    for (target, header) in [
        ("/own", r#"{"alg":"HS256","typ":"JWT","kid":"s"}"#),
        ("/kid", r#"{"alg":"HS256","typ":"at+jwt","kid":"x"}"#),
        ("/typ", r#"{"alg":"HS256","typ":"at+jwt","kid":"s"}"#),
        ("/alg", r#"{"alg":"HS384","typ":"JWT","kid":"s"}"#),
        ("/set", r#"{"alg":"HS512","typ":"JWT","kid":"b"}"#),
    ] {
        let answer: Value = serde_json::from_slice(&nginx.get(target)?.body)?;
        let token = text(&answer, "t")?;
        assert_eq!(section(token, 0)?, header);
        assert_eq!(api(&nginx, token)?.verdict(), (200, "ok"), "{target}");
    }
    nginx.finish()
}

#[test]
fn wrong_keys_are_told_with_file_and_reason() -> Result<()> {
    let files: Vec<(&str, String)> = vec![
        ("good.pem", P256.private.into()),
        ("public.pem", P256.public.into()),
        ("certificate.pem", P256.certificate.unwrap_or_default().into()),
        ("weak.pem", RSA_WEAK.private.into()),
        ("public.json", P256.jwk(&json!({}))?.to_string()),
        ("empty.json", "{}".into()),
        ("text.txt", "hello".into()),
        ("encrypted.pem", P256.private.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")),
        ("cut.pem", P256.private.chars().take(100).collect()),
        ("secret.json", secret()),
        ("of-rs.json", json!({ "kty": "oct", "alg": "HS512", "k": base64url(SECRET) }).to_string()),
        (
            "set.json",
            json!({ "keys": [
            { "kty": "oct", "kid": "a", "k": base64url(SECRET) },
            { "kty": "oct", "kid": "b", "k": base64url(SECRET) },
        ] })
            .to_string(),
        ),
        ("two.pem", format!("{}{}", P256.private, P384.private)),
        (
            "twice.json",
            json!({ "keys": [
                { "kty": "oct", "kid": "a", "k": base64url(SECRET) },
                { "kty": "oct", "kid": "a", "k": base64url("another secret, long enough for its hash") },
            ] })
            .to_string(),
        ),
        ("empty.pem", String::new()),
        ("other.pem", P256_OTHER.private.into()),
        ("rsa.pem", RSA.private.into()),
        ("pem-secret.json", json!({ "kty": "oct", "k": base64url(P256.public) }).to_string()),
    ];
    let key = |words: &str| format!("location / {{ jwt_sign_key {words}; jwt_sign t; }}");
    let cases = [
        (key("none.pem"), "none.pem\": No such file"),
        (key("public.pem"), "public.pem\": holds a PUBLIC KEY; signing needs the private key"),
        (key("certificate.pem"), "holds a CERTIFICATE; signing needs the private key"),
        (key("weak.pem"), "weak.pem\": "),
        (key("public.json"), "is a public JWK; signing needs the private one, with its member d"),
        (key("empty.json"), "kty is missing"),
        (key("text.txt"), "is neither PEM nor a JWK"),
        (key("encrypted.pem"), "is encrypted"),
        (key("cut.pem"), "cut.pem\": "),
        (key("good.pem alg=RS256"), "RS256 does not go with a P-256 key; ES256 does"),
        (key("good.pem alg=none"), "is no algorithm that signs"),
        (key("of-rs.json alg=HS256"), "the key is for HS512"),
        (key("set.json"), "say which one by its kid"),
        (key("set.json kid=c"), "has no key of kid \"c\""),
        (key("pem-secret.json"), "is PEM, which is no secret"),
        (key("good.pem kid=a kid=b"), "is a duplicate"),
        (key("good.pem kid="), "must be a text that is not empty"),
        (key("good.pem kid=a check=1s"), "has kid= and check="),
        (key("good.pem check=0"), "must be more than nothing"),
        (key("good.pem lead=x"), "must be a time"),
        (key("good.pem foo"), "has invalid parameter \"foo\""),
        (
            "jwt_sign_key good.pem kid=a; jwt_sign_key secret.json kid=a;".into(),
            "has the kid \"a\", which the one in",
        ),
        ("location / { jwt_sign t; }".into(), "\"jwt_sign\" has no key: name a jwt_sign_key"),
        ("location / { jwt_sign_key good.pem; jwt_sign t t; }".into(), "is there twice"),
        ("location / { jwt_sign_key good.pem; jwt_sign $x; }".into(), "no variable is read here"),
        ("location / { jwt_sign_key good.pem; jwt_sign t; jwt_sign u; }".into(), "is duplicate"),
        ("jwt_sign_claim exp 1h;".into(), "must be a number"),
        ("jwt_sign_claim a '{' json;".into(), "is no JSON"),
        ("jwt_sign_claim a b xml;".into(), "has invalid parameter \"xml\""),
        ("jwt_sign_claim a b; jwt_sign_claim a c;".into(), "is there twice"),
        ("jwt_sign_claim a $none_such;".into(), "unknown \"none_such\" variable"),
        ("jwt_sign_lifetime 0;".into(), "must be at least a second"),
        ("jwt_sign_lifetime -1;".into(), "must be a time"),
        ("jwt_sign_buffer 17m;".into(), "must not be more than 16m"),
        ("jwt_sign_buffer x;".into(), "must be a size"),
        ("location = /k { jwks_publish; }".into(), "has no key to publish"),
        (
            "location = /k { jwks_publish; } location / { jwt_sign_key secret.json; }".into(),
            "has no key to publish",
        ),
        (
            "location = /k { jwks_publish; proxy_pass http://unix:x.sock:; jwt_sign_key good.pem; }".into(),
            "has no effect here: another directive of the location answers its requests",
        ),
        ("location = /k { jwks_publish valid=x; }".into(), "must be a time"),
        (key("two.pem"), "holds several private keys"),
        (key("twice.json kid=a"), "has 2 keys of kid \"a\""),
        (key("empty.pem"), "empty.pem\": is empty"),
        (key("'{\"kty\":\"oct\"}'"), "wants the name of a file with a key, not the key"),
        (key("' [{\"kty\":\"oct\"}]'"), "wants the name of a file with a key, not the key"),
        (key("good.pem '{\"k\":\"x\"}'"), "wants the name of a file with a key, not the key"),
        (
            "location /a { jwt_sign_key good.pem kid=a; } location /b { jwt_sign_key secret.json; }
            location /c { jwt_sign_key other.pem kid=a; } location = /k { jwks_publish; }".into(),
            "would publish two keys, or one key with two algorithms, under the kid \"a\"",
        ),
        (
            "location /a { jwt_sign_key rsa.pem; } location /b { jwt_sign_key rsa.pem alg=PS256; }
            location = /k { jwks_publish; }".into(),
            "would publish two keys, or one key with two algorithms",
        ),
        (
            "location /a { jwt_sign_key good.pem lead=5s; } location /b { jwt_sign_key good.pem typ=x; }".into(),
            "has another lead= or keep= than the one for the same key in",
        ),
        ("jwks_publish;".into(), "is not allowed here"),
    ];
    for (server, message) in cases {
        let builder =
            files.iter().fold(Nginx::builder(), |it, (name, text)| it.file(*name, text.as_str()));
        let checked = builder.server(&server).check()?;
        // nginx itself tells no line of a variable that there is not.
        let line = if message.starts_with("unknown") { "" } else { "nginx.conf:" };
        checked.refused_with(&[message, line]).context(server)?;
        assert!(!checked.stderr.contains(SECRET));
    }
    Ok(())
}

#[test]
fn what_is_weak_or_open_is_warned_about() -> Result<()> {
    let server = format!("location / {{ jwt_sign_key {KEY}; jwt_sign t; }}");
    let short = json!({ "kty": "oct", "k": base64url("short") }).to_string();
    let checked = Nginx::builder().file(KEY, short).server(&server).check()?;
    checked.warned_with(&["is shorter than the 32 that HS256 wants", KEY])?;
    let early = format!("jwt_sign_key {KEY} check=5m lead=5s;");
    let checked = Nginx::builder().file(KEY, P256.private).server(early).check()?;
    checked.warned_with(&["lead= is not longer than check="])?;
    let nginx = Nginx::builder().file(KEY, P256_OTHER.private).server(&server).start()?;
    nginx.chmod(KEY, 0o644)?;
    nginx.reload()?;
    let warned = "every user of this machine can read this key";
    super::logged(&nginx, warned)?;
    let lines = |nginx: &Nginx| nginx.error_log().matches(warned).count();
    nginx.chmod(KEY, 0o640)?;
    let before = lines(&nginx);
    nginx.reload()?;
    assert_eq!(lines(&nginx), before);
    nginx.finish()
}
