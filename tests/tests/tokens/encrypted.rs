//! Encrypted and nested tokens: `jwt_type` and `jwt_decryption_key`.

use anyhow::Result;
use module_tests::{
    Builder, ENCRYPTION_SECRET, Jwt, Nginx, P256, RSA, RSA_OTHER, Recipient, SECRET, SERVE,
    encrypt, mistake, now, refuse_all, secret_jwk, until,
};
use serde_json::{Value, json};

const DIR: Recipient<'_> = Recipient::Secret(ENCRYPTION_SECRET);
const KIDS: &str = "jwt_kids { k1 0123456789abcdef0123456789abcdef; }";

fn signed() -> Result<String> {
    Jwt::live_with(&json!({ "role": "admin" })).kid("k1").sign("ES256", &P256)
}

fn nested(to: Recipient<'_>) -> Result<String> {
    encrypt(to, &json!({ "cty": "JWT" }), signed()?)
}

fn claims() -> String {
    json!({ "sub": "bob", "role": "admin", "exp": now() + 60 }).to_string()
}

fn encrypted() -> Result<String> {
    encrypt(DIR, &json!({ "typ": "JWT" }), claims())
}

fn builder() -> Builder {
    let secret = secret_jwk(ENCRYPTION_SECRET, &json!({})).to_string();
    Nginx::builder()
        .file("enc.json", secret)
        .file("rsa.pem", RSA.private)
        .file("keys.json", P256.jwks("k1").unwrap_or_default())
}

#[test]
fn each_form_passes_where_it_is_accepted() -> Result<()> {
    let nginx = builder()
        .server(format!(
            "jwks_file keys.json; jwt_decryption_key enc.json;
            location /default {{ {SERVE} }}
            location /signed {{ jwt_type signed; {SERVE} }}
            location /encrypted {{ jwt_type encrypted; {SERVE} }}
            location /nested {{ jwt_type nested; {SERVE}
                location /nested/back {{ jwt_type signed; {SERVE} }} }}
            location /two {{ jwt_type signed nested; {SERVE} }}
            location /all {{ jwt_type signed encrypted nested; {SERVE} }}"
        ))
        .start()?;
    let tokens = [signed()?, encrypted()?, nested(DIR)?];
    for (path, pass) in [
        ("/default", [true, false, false]),
        ("/signed", [true, false, false]),
        ("/encrypted", [false, true, false]),
        ("/nested", [false, false, true]),
        ("/nested/back", [true, false, false]),
        ("/two", [true, false, true]),
        ("/all", [true, true, true]),
    ] {
        // Twice: the second time the worker's cache knows those that have passed anywhere.
        for round in 0..2 {
            for (token, pass) in tokens.iter().zip(pass) {
                let want = if pass { (200, "ok") } else { (401, "malformed") };
                assert_eq!(nginx.bearer(path, token)?.verdict(), want, "{path} {round}");
            }
        }
    }
    let said = nginx.error_log();
    assert!(said.contains("malformed: a signed token, which is not encrypted: jwt_type"), "{said}");
    assert!(said.contains("malformed: 5 sections, an encrypted token"), "{said}");
    nginx.assert_no_secret(&[&tokens[1], &tokens[2], "a secret for encryption"])?;
    nginx.finish()
}

#[test]
fn a_form_that_is_not_accepted_leads_to_the_next_source_known_or_not() -> Result<()> {
    let nginx = builder()
        .server(format!(
            "jwks_file keys.json; jwt_decryption_key enc.json; jwt_next on;
            jwt_token cookie:session bearer;
            location /all {{ jwt_type signed encrypted nested; {SERVE} }}
            location /encrypted {{ jwt_type encrypted; {SERVE} }}
            location /nested {{ jwt_type nested; {SERVE} }}
            location /two {{ jwt_type signed nested; {SERVE} }}"
        ))
        .start()?;
    let [signed, encrypted, nested] = [signed()?, encrypted()?, nested(DIR)?];
    let ask = |path: &str, cookie: &str, bearer: &str| {
        let request = nginx.request().target(path).bearer(bearer);
        request.header("Cookie", format!("session={cookie}")).send()
    };
    for round in 0..3 {
        for (path, cookie, bearer) in [
            ("/nested", &encrypted, &nested),
            ("/nested", &signed, &nested),
            ("/encrypted", &nested, &encrypted),
            ("/two", &encrypted, &signed),
        ] {
            assert_eq!(ask(path, cookie, bearer)?.verdict(), (200, "ok"), "{path} {round}");
        }
        // From now on the worker's cache knows all of them.
        for token in [&signed, &encrypted, &nested] {
            assert_eq!(nginx.bearer("/all", token)?.verdict(), (200, "ok"));
        }
    }
    nginx.finish()
}

#[test]
fn what_was_encrypted_is_judged_and_shown_as_any() -> Result<()> {
    let nginx = builder()
        .server(format!(
            "jwks_file keys.json; jwt_decryption_key enc.json; jwt_type encrypted nested;
            jwt_claim role = admin;
            add_header X-Sub $jwt_claim_sub always; add_header X-Alg $jwt_header_alg always;
            add_header X-Payload $jwt_payload always; add_header X-Reason $jwt_reason always;
            add_header X-Jwt-Status $jwt_status always;
            location / {{ {SERVE} }}"
        ))
        .start()?;
    let shown = |token: &str| -> Result<Vec<String>> {
        let response = nginx.bearer("/", token)?;
        assert_eq!(response.verdict(), (200, "ok"));
        let header = |name| response.header(name).unwrap_or_default().to_owned();
        Ok(["X-Sub", "X-Alg", "X-Payload"].map(header).into())
    };
    let payload = claims();
    let token = encrypt(DIR, &json!({}), &payload)?;
    assert_eq!(shown(&token)?, ["bob", "dir", &payload]);
    // Of a nested token it is the header of the signed one.
    let of_nested = shown(&nested(DIR)?)?;
    assert_eq!(of_nested[..2], ["alice", "ES256"]);
    let with = |claims: Value| encrypt(DIR, &json!({}), claims.to_string());
    let guest = with(json!({ "role": "guest" }))?;
    assert_eq!(nginx.bearer("/", &guest)?.verdict(), (403, "denied"));
    let old = with(json!({ "role": "admin", "exp": now() - 60 }))?;
    assert_eq!(nginx.bearer("/", &old)?.verdict(), (401, "expired"));
    let other: &[u8; 32] = b"another secret of thirty-two b..";
    let response = nginx.bearer("/", &encrypt(Recipient::Secret(other), &json!({}), "{}")?)?;
    assert_eq!(response.verdict(), (401, "bad_decryption"));
    assert_eq!(response.header("X-Reason"), Some("bad_decryption"));
    assert!(response.challenge().contains("error=\"invalid_token\""));
    nginx.finish()
}

#[test]
fn private_keys_decrypt_and_a_kid_chooses() -> Result<()> {
    let nginx = builder()
        .server(format!(
            "jwks_file keys.json;
            location /one {{ jwt_type nested; jwt_decryption_key rsa.pem; {SERVE} }}
            location /two {{ jwt_type nested; jwt_decryption_key rsa.pem kid=a; jwt_decryption_key enc.json kid=b;
                {SERVE} }}"
        ))
        .start()?;
    let token = |to, kid: Option<&str>| encrypt(to, &json!({ "kid": kid }), signed()?);
    let (rsa, other) = (Recipient::Rsa(&RSA), Recipient::Rsa(&RSA_OTHER));
    for (path, token, want) in [
        ("/one", token(rsa, None)?, "ok"),
        ("/one", token(rsa, Some("x"))?, "ok"),
        ("/one", token(other, None)?, "bad_decryption"),
        ("/one", token(DIR, None)?, "bad_algorithm"),
        ("/two", token(rsa, Some("a"))?, "ok"),
        ("/two", token(DIR, Some("b"))?, "ok"),
        ("/two", token(rsa, None)?, "ok"),
        ("/two", token(DIR, None)?, "ok"),
        ("/two", token(rsa, Some("b"))?, "bad_algorithm"),
        ("/two", token(rsa, Some("c"))?, "unknown_key"),
    ] {
        let status = if want == "ok" { 200 } else { 401 };
        assert_eq!(nginx.bearer(path, &token)?.verdict(), (status, want), "{path}");
    }
    nginx.finish()
}

#[test]
fn providers_judge_what_was_encrypted_and_signed() -> Result<()> {
    let nginx = builder()
        .http("jwt_provider p { jwt_issuer me; jwks_file keys.json; }")
        .server(format!(
            "location / {{ jwt on provider=p; jwt_type nested; jwt_decryption_key enc.json; {SERVE} }}"
        ))
        .start()?;
    let of = |iss: &str| -> Result<String> {
        let signed = Jwt::live_with(&json!({ "iss": iss })).kid("k1").sign("ES256", &P256)?;
        encrypt(DIR, &json!({}), signed)
    };
    assert_eq!(nginx.bearer("/", &of("me")?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &of("you")?)?.verdict(), (401, "bad_issuer"));
    nginx.finish()
}

/// Secrets that vouch for tokens switch the check on, as all keys do.
#[test]
fn keys_of_encrypted_tokens_need_no_others() -> Result<()> {
    let nginx = builder()
        .server(format!(
            "location / {{ jwt_type encrypted; jwt_decryption_key enc.json; {SERVE} }}
            location /on {{ jwt on; jwt_type encrypted; jwt_decryption_key enc.json; {SERVE} }}"
        ))
        .start()?;
    for path in ["/", "/on"] {
        assert_eq!(nginx.get(path)?.verdict(), (401, "missing"));
        assert_eq!(nginx.bearer(path, &encrypted()?)?.verdict(), (200, "ok"));
    }
    nginx.finish()
}

#[test]
fn mistakes() -> Result<()> {
    let key = "jwt_decryption_key key.json;";
    let of = |name: &str, directives: &str, text: &str, fragments: &[&str]| {
        mistake(name, format!("{directives} {key}"), fragments).file("key.json", text)
    };
    let secret = secret_jwk(ENCRYPTION_SECRET, &json!({})).to_string();
    refuse_all(&[
        mistake("no such form", "jwt_type sealed;", &["\"sealed\"", "\"nested\""]),
        mistake("a form twice", "jwt_type nested signed nested;", &["\"nested\"", "twice"]),
        mistake("no form", "jwt_type;", &["number of arguments"]),
        mistake(
            "no key that decrypts",
            format!("jwt_type nested; {KIDS}"),
            &["no key that decrypts"],
        ),
        mistake("no file", "jwt_decryption_key gone.json;", &["gone.json"]),
        of("a type twice", "jwt_type nested; jwt_type signed;", &secret, &["duplicate"]),
        of("no key that verifies", "jwt on; jwt_type nested;", &secret, &["\"jwt\" has no keys"]),
        of(
            "no switch",
            "jwt_type nested;",
            &secret,
            &["\"jwt_type\" has no keys", "would be open"],
        ),
        of("no type", "", &secret, &["\"jwt_decryption_key\" has no jwt_type", "would be open"]),
        of("signed too", "jwt on; jwt_type encrypted signed;", &secret, &["\"jwt\" has no keys"]),
        of(
            "signed too, without a switch",
            "jwt_type encrypted signed;",
            &secret,
            &["\"jwt_type\" has no keys", "would be open"],
        ),
        mistake(
            "no key that decrypts, nor any other",
            "jwt_type encrypted;",
            &["\"jwt_type\" has no key that decrypts", "name a jwt_decryption_key"],
        ),
        of("a public key", "", RSA.public, &["key.json", "no private key"]),
        of("a short secret", "", r#"{"kty":"oct","k":"AAAA"}"#, &["key.json", "3 bytes"]),
        of(
            "URI signing",
            &format!("jwt_type nested; {KIDS} jwt_uri_signing on;"),
            &secret,
            &["\"jwt_type\" is not for jwt_uri_signing"],
        ),
    ])?;
    let provider = builder()
        .http("jwt_provider p { jwt_issuer me; jwks_file keys.json; }")
        .server(
            "location / { jwt on provider=p; jwt_type encrypted; jwt_decryption_key enc.json; }",
        )
        .check()?;
    provider.refused_with(&["\"jwt_type\" accepts tokens that are encrypted and not signed"])?;
    let nine: String = (0..9).map(|n| format!("jwt_decryption_key {n}.json;\n")).collect();
    let many = (0..9).fold(builder(), |builder, n| {
        let secret = secret_jwk(&[n; 32], &json!({})).to_string();
        builder.file(format!("{n}.json"), secret)
    });
    let many = many.server(format!("location / {{ jwt_type encrypted; {nine} }}")).check()?;
    many.refused_with(&["more than 8 keys without a kid", "for A256KW"])?;
    let two = secret_jwk(&[1; 32], &json!({ "kid": "a" })).to_string();
    let twice = builder()
        .file("two.json", two)
        .server(
            "location / { jwt_type encrypted; jwt_decryption_key two.json;
            jwt_decryption_key enc.json kid=a; }",
        )
        .check()?;
    twice.refused_with(&["\"jwt_decryption_key\" directive has duplicate kid \"a\""])
}

#[test]
fn warnings() -> Result<()> {
    let server = |kind: &str, key: &str| {
        format!("location / {{ jwks_file keys.json; jwt_type {kind}; jwt_decryption_key {key}; }}")
    };
    let public = ["accepts tokens that are encrypted and not signed in location \"/\""];
    let checked = builder().server(server("encrypted", "rsa.pem")).check()?;
    checked.warned_with(&public)?;
    for (kind, key) in [("nested", "rsa.pem"), ("encrypted", "enc.json")] {
        let checked = builder().server(server(kind, key)).check()?;
        assert!(!format!("{checked:?}").contains(public[0]), "{checked:?}");
    }
    let readable = builder().server(server("nested", "enc.json")).check()?;
    readable.warned_with(&["every user of this machine can read this key, and so decrypt tokens"])
}

#[test]
fn a_file_that_changes() -> Result<()> {
    let nginx = builder()
        .server(format!(
            "location / {{ jwks_file keys.json; jwt_type nested;
            jwt_decryption_key enc.json check=1s; {SERVE} }}"
        ))
        .start()?;
    let other = b"another secret of thirty-two b..";
    let (first, second) = (nested(DIR)?, nested(Recipient::Secret(other))?);
    assert_eq!(nginx.bearer("/", &first)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &second)?.verdict(), (401, "bad_decryption"));
    nginx.put("enc.json", secret_jwk(other, &json!({})).to_string())?;
    module_tests::until_verdict(&nginx, &second, (200, "ok"))?;
    // It was in the worker's cache, and its key is gone.
    assert_eq!(nginx.bearer("/", &first)?.verdict(), (401, "bad_decryption"));
    nginx.put("enc.json", "no key")?;
    let said = "enc.json\": is neither JSON nor PEM; its last good content stays in force";
    until("the message", || {
        // The file is looked at when a request comes.
        assert_eq!(nginx.bearer("/", &second)?.verdict(), (200, "ok"));
        Ok(nginx.error_log().contains(said).then_some(()))
    })?;
    nginx.finish()
}

#[test]
fn a_secret_that_decrypts_verifies_nothing() -> Result<()> {
    let nginx = builder()
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} jwt_type signed encrypted;
            jwt_decryption_key enc.json; {SERVE} }}"
        ))
        .start()?;
    let by_other = Jwt::live().kid("k1").hs("HS256", ENCRYPTION_SECRET)?;
    assert_eq!(nginx.bearer("/", &by_other)?.verdict(), (401, "bad_signature"));
    assert_eq!(nginx.bearer("/", &encrypted()?)?.verdict(), (200, "ok"));
    nginx.finish()
}
