//! Key sets, key files and secrets.

use anyhow::Result;
use module_tests::{
    Behaviour, ED25519, Jwt, Nginx, OTHER_SECRET, P256, P256_OTHER, Provider, RSA, RSA_OTHER,
    SECRET, SERVE, base64url, jwk_set, mistake, mistake_in, refuse_all, until,
};
use serde_json::{Value, json};

// Of the RSA certificate, by openssl.
const RSA_X5T: &str = "oDfa5RopQjeqSgS9tla1AqGl-AY";
const RSA_X5T_S256: &str = "UmEoOSNEJWh5emfaLnT3gosnGpIgl1LC0XHNuxZnFjs";

/// Firebase, and other endpoints that publish certificates by kid.
#[test]
fn firebase_certificates_by_kid_are_a_key_set() -> Result<()> {
    let certificates = json!({
        "k1": RSA.certificate.unwrap(), "k2": P256.public, "k3": "no key",
    });
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
        .file("keys.json", certificates.to_string())
        .start()?;
    let bearer = |token: String| nginx.bearer("/", &token);
    assert_eq!(bearer(Jwt::live().kid("k1").sign("RS256", &RSA)?)?.verdict(), (200, "ok"));
    assert_eq!(bearer(Jwt::live().kid("k2").sign("ES256", &P256)?)?.verdict(), (200, "ok"));
    let other = Jwt::live().kid("k2").sign("ES256", &P256_OTHER)?;
    assert_eq!(bearer(other)?.verdict(), (401, "bad_signature"));
    nginx.finish()
}

/// What others can read would be an HMAC secret, with which anyone forges tokens.
#[test]
fn a_published_certificate_or_key_is_no_secret() -> Result<()> {
    let certificate = RSA.certificate.unwrap();
    let one_line = RSA.public.replace('\n', "\\n");
    let body: String = RSA.public.lines().filter(|line| !line.starts_with('-')).collect();
    let jwk = RSA.jwk(&json!({ "kid": "k1" }))?.to_string();
    let oct = |secret: &str| json!({ "kty": "oct", "kid": "k1", "k": base64url(secret) });
    let kids = |secret: &str| json!({ "k1": secret }).to_string();
    let file = "jwt_kids_file kids.json;";
    refuse_all(&[
        mistake_in(
            "certificate",
            file,
            "kids.json",
            kids(certificate),
            &["k1", "PEM", "jwks_file"],
        ),
        mistake_in("literal breaks", file, "kids.json", kids(&one_line), &["k1", "PEM"]),
        mistake_in("base64 of DER", file, "kids.json", kids(&body), &["k1", "public key"]),
        mistake_in("JWK", file, "kids.json", kids(&jwk), &["k1", "JWK"]),
        // Its members would be secrets by the kids kty, n and e.
        mistake_in("a JWK as the file", file, "kids.json", jwk.clone(), &["is a JWK", "jwks_file"]),
        mistake_in(
            "a JWK as Azion's kids",
            file,
            "kids.json",
            format!("[{{\"kids\": {jwk}}}]"),
            &["[0].kids", "is a JWK"],
        ),
        mistake("block", format!("jwt_kids {{ k1 '{one_line}'; }}"), &["k1"]),
        mistake(
            "block, base64",
            format!("jwt_kids {{ k1 \"{body}\" encoding=base64; }}"),
            &["k1", "public key", "jwks_file"],
        ),
        mistake_in(
            "oct",
            "jwks_file k.json;",
            "k.json",
            oct(certificate).to_string(),
            &["k", "PEM"],
        ),
        mistake_in(
            "oct in a set",
            "jwks_file k.json;",
            "k.json",
            jwk_set(&[RSA_OTHER.jwk(&json!({ "kid": "a" }))?, oct(RSA.public)]),
            &["keys[1].k", "PEM"],
        ),
    ])
}

#[test]
fn azion_secure_token_args_are_no_kids() -> Result<()> {
    let args = json!({ "secure_token_secret": "mysecretkey" });
    let file = "jwt_kids_file args.json;";
    refuse_all(&[
        mistake_in("object", file, "args.json", args.to_string(), &["secure_token_secret"]),
        mistake_in("array", file, "args.json", json!([args]).to_string(), &["Secure Token"]),
    ])
}

#[test]
fn pem_with_literal_line_breaks_is_told_in_plain_words() -> Result<()> {
    let text = RSA.public.trim().replace('\n', "\\n");
    refuse_all(&[mistake_in("env", "jwks_file k.pem;", "k.pem", text, &["two characters \\n"])])
}

/// A saved set with a key of a kind that is not known here (RFC 7517 section 5).
#[test]
fn a_key_of_an_unknown_curve_is_left_out_of_a_file_with_a_warning() -> Result<()> {
    let ed448 = json!({ "kty": "OKP", "crv": "Ed448", "kid": "new", "x": "AAAA" });
    let set = jwk_set(&[ed448, RSA.jwk(&json!({ "kid": "good" }))?]);
    let builder = || {
        Nginx::builder()
            .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
            .file("keys.json", set.clone())
    };
    builder().check()?.warned_with(&["keys.json", "keys[0].crv", "Ed448", "not used"])?;
    let nginx = builder().start()?;
    let token = Jwt::live().kid("good").sign("RS256", &RSA)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    nginx.finish()
}

/// Serialisers write null, Cognito and WSO2 padding and standard base64, SPIFFE a use of its own, and
/// some a number as kid, leading zeros, or a set with the same key twice.
#[test]
fn keys_as_serialisers_write_them_are_read() -> Result<()> {
    let ec = P256.jwk(&json!({}))?;
    let x = ec["x"].as_str().unwrap();
    let padded = format!("{}=", x.replace('-', "+").replace('_', "/"));
    let null = json!({
        "kid": "null", "d": null, "use": null, "alg": null, "key_ops": null,
    });
    let set = jwk_set(&[
        P256.jwk(&null)?,
        P256.jwk(&json!({ "kid": "padded", "x": padded }))?,
        P256.jwk(&json!({ "kid": "spiffe", "use": "jwt-svid" }))?,
        P256.jwk(&json!({ "kid": "x509", "use": "x509-svid" }))?,
        P256.jwk(&json!({ "kid": 7, "key_ops": "verify" }))?,
        P256.jwk(&json!({ "kid": "twice" }))?,
        P256.jwk(&json!({ "kid": "twice" }))?,
    ]);
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
        .file("keys.json", set)
        .start()?;
    for kid in ["null", "padded", "spiffe", "7", "twice"] {
        let token = Jwt::live().kid(kid).sign("ES256", &P256)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "{kid}");
    }
    let token = Jwt::live().kid("x509").sign("ES256", &P256)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "unknown_key"));
    nginx.finish()
}

#[test]
fn two_secrets_for_whatever_kid_are_a_mistake() -> Result<()> {
    refuse_all(&[mistake(
        "twice",
        format!("jwt_kids {{ * {SECRET}; * {SECRET}{SECRET}; }}"),
        &["duplicate kid", "*"],
    )])?;
    let one =
        format!("location / {{ jwt_kids {{ * {SECRET}; }} jwks_file k.pem kid=ed; {SERVE} }}");
    let nginx = Nginx::builder().server(one).file("k.pem", ED25519.public).start()?;
    let token = Jwt::live().hs("HS256", SECRET)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    nginx.finish()
}

/// The location of a test's server that fetches keys.
fn fetched_from(provider: &Provider) -> String {
    format!("location = /_jwks {{ internal; {} }}", provider.pass())
}

/// securetoken@system.gserviceaccount.com is such an endpoint.
#[test]
fn firebase_certificates_by_kid_are_fetched() -> Result<()> {
    let published = |kid: &str, key: &module_tests::Key| json!({ kid: key.certificate.unwrap() });
    let provider = Provider::start(Behaviour::Keys(published("k1", &RSA).to_string()))?;
    let nginx = Nginx::start(format!(
        "{} location / {{ jwks_request /_jwks valid=1s; {SERVE} }}",
        fetched_from(&provider)
    ))?;
    let token = Jwt::live().kid("k1").sign("RS256", &RSA)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    let forged = Jwt::live().kid("k1").sign("RS256", &RSA_OTHER)?;
    assert_eq!(nginx.bearer("/", &forged)?.verdict(), (401, "bad_signature"));
    // The certificates change every few days; a value that is none does no harm to the others.
    let mut next = published("k2", &P256);
    next["odd"] = json!("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
    provider.set(Behaviour::Keys(next.to_string()));
    let token = Jwt::live().kid("k2").sign("ES256", &P256)?;
    until("the new keys", || Ok((nginx.bearer("/", &token)?.status == 200).then_some(())))?;
    nginx.wait_log(|log| {
        let about = |line: &str| line.contains("[warn]") && line.contains("kid \"odd\"");
        log.lines().any(about)
    })?;
    nginx.finish()
}

/// ADFS and others publish certificates, and a token names one by its thumbprint, without a kid.
#[test]
fn adfs_certificates_are_named_by_their_thumbprints() -> Result<()> {
    let certificate = RSA.certificate.unwrap();
    let x5c: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    // Without thumbprints two keys would be tried, and the right one is the last.
    let other = |kid: &str| RSA_OTHER.jwk(&json!({ "kid": kid }));
    let set = jwk_set(&[
        other("a")?,
        other("b")?,
        // The certificate of another key says nothing about this one.
        RSA_OTHER.jwk(&json!({ "kid": "c", "x5c": [x5c] }))?,
        RSA.jwk(&json!({ "kid": "d", "x5c": [x5c], "use": "sig" }))?,
    ]);
    let builder = Nginx::builder()
        .server(format!(
            "location /set {{ jwks_file set.json; {SERVE} }}
             location /pem {{ jwks_file adfs.crt; {SERVE} }}
             location /by-kid {{ jwks_file by-kid.json; {SERVE} }}"
        ))
        .file("set.json", set)
        .file("adfs.crt", certificate)
        .file("by-kid.json", json!({ "k1": P256.certificate, "k2": certificate }).to_string());
    builder.check()?.warned_with(&["set.json", "keys[2] (kid \"c\")", "x5c is ignored"])?;
    let nginx = builder.start()?;
    for path in ["/set", "/pem", "/by-kid"] {
        for (name, value) in [("x5t", RSA_X5T), ("x5t#S256", RSA_X5T_S256)] {
            let token =
                |value: &str, key| Jwt::live().header(name, json!(value)).sign("RS256", key);
            let told = format!("{path} {name}");
            assert_eq!(nginx.bearer(path, &token(value, &RSA)?)?.verdict(), (200, "ok"), "{told}");
            let forged = nginx.bearer(path, &token(value, &RSA_OTHER)?)?;
            assert_eq!(forged.verdict(), (401, "bad_signature"), "{told}");
            let size = if name == "x5t" { 20 } else { 32 };
            let unknown = token(&base64url(vec![7; size]), &RSA)?;
            assert_eq!(nginx.bearer(path, &unknown)?.verdict(), (401, "unknown_key"), "{told}");
        }
    }
    nginx.finish()
}

/// Supabase's older projects, and many a service of one's own, have one secret and tokens with any kid, or
/// none.
#[test]
fn supabase_a_secret_for_whatever_kid() -> Result<()> {
    let sources = [
        format!("jwt_kids {{ * {SECRET}; k1 {OTHER_SECRET}; }}"),
        "jwt_kids_file kids.json;".to_owned(),
        "jwt_kids_file kids.json check=1h;".to_owned(),
    ];
    let mut server = String::new();
    let mut http = String::new();
    for (i, source) in sources.iter().enumerate() {
        http += &format!("jwt_provider p{i} {{ jwt_issuer me; {source} }} ");
        server += &format!("location /own/{i} {{ {source} jwt_revoked kid revoked; {SERVE} }} ");
        server += &format!(
            "location /provider/{i} {{
            jwt on provider=p{i}; jwt_revoked kid revoked; {SERVE} }} "
        );
    }
    let nginx = Nginx::builder()
        .http(http)
        .server(server)
        .file("kids.json", json!({ "*": SECRET, "k1": OTHER_SECRET }).to_string())
        .file("revoked", "stolen\n*\n")
        .start()?;
    let token = |kid: Option<&str>, secret| {
        let jwt = Jwt::live_with(&json!({ "iss": "me" }));
        kid.map_or_else(|| jwt.clone(), |kid| jwt.clone().kid(kid)).hs("HS256", secret)
    };
    for i in 0..sources.len() {
        for (kid, secret, verdict) in [
            (Some("unheard-of"), SECRET, (200, "ok")),
            (None, SECRET, (200, "ok")),
            (Some(""), SECRET, (200, "ok")),
            (Some("k1"), OTHER_SECRET, (200, "ok")),
            // The kid says which key it is, and * is for the others.
            (Some("k1"), SECRET, (401, "bad_signature")),
            (Some("unheard-of"), OTHER_SECRET, (401, "bad_signature")),
            // The kid of the token is looked up; the key has none.
            (Some("stolen"), SECRET, (401, "revoked")),
            (Some("*"), SECRET, (401, "revoked")),
        ] {
            for path in [format!("/own/{i}"), format!("/provider/{i}")] {
                let response = nginx.bearer(&path, &token(kid, secret)?)?;
                assert_eq!(response.verdict(), verdict, "{path} {kid:?}");
            }
        }
    }
    nginx.finish()
}

#[test]
fn two_sources_of_one_level_may_not_both_be_for_whatever_kid() -> Result<()> {
    let block = format!("jwt_kids {{ * {SECRET}; }}");
    for directives in [
        block.repeat(2),
        format!("{block} jwt_kids_file kids.json;"),
        format!("jwt_kids_file kids.json; {block}"),
        format!("jwt_kids_file kids.json check=1s; {block}"),
        format!("{block} jwt_kids_file kids.json check=1s;"),
    ] {
        for (http, server) in [
            (String::new(), format!("location / {{ {directives} }}")),
            (format!("jwt_provider p {{ jwt_issuer me; {directives} }}"), String::new()),
        ] {
            let builder = Nginx::builder().http(http).server(server);
            let builder = builder.file("kids.json", json!({ "*": OTHER_SECRET }).to_string());
            builder.check()?.refused_with(&["duplicate kid \"*\"", "another key source"])?;
        }
    }
    Ok(())
}

/// A set that a job saves once in a while: the provider has a new kind of key one day.
#[test]
fn a_key_that_a_changed_file_leaves_out_is_told_once() -> Result<()> {
    let good = |kid: &str| P256.jwk(&json!({ "kid": kid }));
    let odd = |kid: &str| json!({ "kty": "OKP", "crv": "Ed448", "kid": kid, "x": "AAAA" });
    let set = |keys: &[Value]| jwk_set(keys);
    for keys in ["jwks_file keys.json check=1ms;", "auth_jwt on; auth_jwt_key_file $named;"] {
        let nginx = Nginx::builder()
            .http("map $host $named { default keys.json; }")
            .server(format!("location / {{ {keys} {SERVE} }}"))
            .file("keys.json", set(&[good("one")?]))
            .start()?;
        let told = || {
            let log = nginx.error_log();
            let about = |line: &&str| line.contains("[warn]") && line.contains("key file \"");
            log.lines().filter(about).map(str::to_owned).collect::<Vec<_>>()
        };
        let token = |kid: &str| Jwt::live().kid(kid).sign("ES256", &P256);
        assert_eq!(nginx.bearer("/", &token("one")?)?.verdict(), (200, "ok"), "{keys}");
        assert!(told().is_empty(), "{keys}: {:?}", told());
        for (change, kid) in ["two", "three"].into_iter().enumerate() {
            nginx.put("keys.json", set(&[odd("new"), good(kid)?]))?;
            until("the change", || {
                Ok((nginx.bearer("/", &token(kid)?)?.status == 200).then_some(()))
            })?;
            for _ in 0..3 {
                assert_eq!(nginx.bearer("/", &token(kid)?)?.verdict(), (200, "ok"));
            }
            let lines = told();
            assert_eq!(lines.len(), change + 1, "{keys}: {lines:?}");
            let line = &lines[change];
            for part in ["keys.json", "keys[0].crv", "Ed448", "the key is not used"] {
                assert!(line.contains(part), "{part}: {line}");
            }
            assert!(!line.contains("last good content"), "{line}");
        }
        nginx.finish()?;
    }
    Ok(())
}
