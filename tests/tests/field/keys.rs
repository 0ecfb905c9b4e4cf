//! Key sets, key files and secrets.

use anyhow::Result;
use module_tests::{
    ED25519, Jwt, Nginx, P256, P256_OTHER, RSA, RSA_OTHER, SECRET, SERVE, base64url, jwk_set,
    mistake, mistake_in, refuse_all,
};
use serde_json::json;

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
