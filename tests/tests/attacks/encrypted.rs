//! Encrypted tokens that were changed, and what they may hold. The core has these cases for every algorithm
//! (`token/tests/encrypted/`).

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use module_tests::{
    ENCRYPTION_SECRET, Jwt, Nginx, RSA, RSA_OTHER, Recipient, SECRET, SERVE, base64url, encrypt,
    now, secret_jwk,
};
use serde_json::json;

use super::{Case, withstand};

const DIR: Recipient<'_> = Recipient::Secret(ENCRYPTION_SECRET);

fn start() -> Result<Nginx> {
    Nginx::builder()
        .file("enc.json", secret_jwk(ENCRYPTION_SECRET, &json!({ "kid": "e" })).to_string())
        .file("rsa.pem", RSA.private)
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt_type signed encrypted nested;
            jwt_decryption_key enc.json; jwt_decryption_key rsa.pem kid=r;
            location / {{ {SERVE} }}
            location /signed {{ jwt_type signed; {SERVE} }}"
        ))
        .start()
}

fn signed() -> Result<String> {
    Jwt::live().kid("k1").hs("HS256", SECRET)
}

fn claims() -> String {
    json!({ "sub": "alice", "exp": now() + 300 }).to_string()
}

fn sections(token: &str) -> Result<Vec<Vec<u8>>> {
    token.split('.').map(|section| Ok(URL_SAFE_NO_PAD.decode(section)?)).collect()
}

fn joined(sections: &[Vec<u8>]) -> String {
    sections.iter().map(base64url).collect::<Vec<_>>().join(".")
}

#[test]
fn every_section_changed_in_every_byte() -> Result<()> {
    let nginx = start()?;
    let case =
        |name: String, token: &str, word| Case::token(name, nginx.request().bearer(token), word);
    let mut cases = Vec::new();
    for (to, kid) in [(DIR, "e"), (Recipient::Rsa(&RSA), "r")] {
        let token = encrypt(to, &json!({ "kid": kid }), signed()?)?;
        cases.push(case(format!("as it is, {kid}"), &token, "ok"));
        let whole = sections(&token)?;
        for section in 1..whole.len() {
            for at in 0..whole[section].len() {
                let mut changed = whole.clone();
                changed[section][at] ^= 1 << (at % 8);
                let name = format!("{kid}: byte {at} of section {section}");
                cases.push(case(name, &joined(&changed), "bad_decryption"));
            }
        }
        for len in 0..16 {
            let mut changed = whole.clone();
            changed[4].truncate(len);
            cases.push(case(format!("{kid}: a tag of {len}"), &joined(&changed), "bad_decryption"));
        }
        // What is authenticated is the header as it was sent.
        let mut changed = whole.clone();
        changed[0].splice(1..1, *br#""a":1,"#);
        cases.push(case(format!("{kid}: a member"), &joined(&changed), "bad_decryption"));
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn headers_that_ask_for_something_else() -> Result<()> {
    let nginx = start()?;
    let rsa = Recipient::Rsa(&RSA);
    let mut cases = Vec::new();
    let mut add = |name: &str, to, header, word| -> Result<()> {
        let token = encrypt(to, &header, claims())?;
        cases.push(Case::token(name, nginx.request().bearer(&token), word));
        Ok(())
    };
    add("as it is", DIR, json!({}), "ok")?;
    for enc in ["A128GCM", "A192GCM", "A192CBC-HS384", "A256CBC-HS512"] {
        add(enc, DIR, json!({ "enc": enc }), "bad_algorithm")?;
    }
    // A secret of this length is also for it.
    add("another enc", DIR, json!({ "enc": "A128CBC-HS256" }), "bad_decryption")?;
    for enc in ["A128GCM", "A192GCM", "A128CBC-HS256", "A256CBC-HS512"] {
        add(enc, rsa, json!({ "enc": enc }), "bad_decryption")?;
    }
    for alg in ["RSA1_5", "PBES2-HS256+A128KW", "none", "HS256", "RSA-OAEP-1", ""] {
        add(alg, rsa, json!({ "alg": alg }), "bad_algorithm")?;
    }
    for alg in ["RSA-OAEP", "RSA-OAEP-384", "RSA-OAEP-512"] {
        add(alg, rsa, json!({ "alg": alg }), "bad_decryption")?;
    }
    for (name, header) in [
        ("zip", json!({ "zip": "DEF" })),
        ("crit", json!({ "crit": ["exp"] })),
        ("p2c", json!({ "p2c": 1_000_000_000 })),
        ("an alg that is a number", json!({ "alg": 1 })),
        ("ECDH without epk", json!({ "alg": "ECDH-ES" })),
        ("ECDH with an epk that is no object", json!({ "alg": "ECDH-ES", "epk": "x" })),
    ] {
        add(name, DIR, header, "malformed")?;
    }
    let epk = json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" });
    add(
        "ECDH, for which there is no key",
        DIR,
        json!({ "alg": "ECDH-ES", "epk": epk }),
        "bad_algorithm",
    )?;
    add("a key in the header", DIR, json!({ "jwk": { "kty": "oct", "k": "AA" } }), "ok")?;
    add("the kid of the other key", DIR, json!({ "kid": "r" }), "bad_algorithm")?;
    add("a kid of nobody", DIR, json!({ "kid": "/etc/passwd" }), "unknown_key")?;
    add("another key", Recipient::Rsa(&RSA_OTHER), json!({}), "bad_decryption")?;
    add(
        "another key of the kid",
        Recipient::Rsa(&RSA_OTHER),
        json!({ "kid": "r" }),
        "bad_decryption",
    )?;
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn what_is_inside() -> Result<()> {
    let nginx = start()?;
    let mut cases = Vec::new();
    let mut add = |name: &str, content: &str, word| -> Result<String> {
        let token = encrypt(DIR, &json!({}), content)?;
        cases.push(Case::token(name, nginx.request().bearer(&token), word));
        Ok(token)
    };
    let nested = add("a signed token", &signed()?, "ok")?;
    add("claims", &claims(), "ok")?;
    let twice = add("encrypted twice", &nested, "malformed")?;
    add("encrypted three times", &twice, "malformed")?;
    add("signed by another", &Jwt::live().kid("k1").hs("HS256", "x".repeat(32))?, "bad_signature")?;
    let unsecured = format!("{}.{}.", base64url(r#"{"alg":"none"}"#), base64url(claims()));
    add("an unsecured token", &unsecured, "malformed")?;
    add("an unsecured token with a signature", &format!("{unsecured}AA"), "bad_algorithm")?;
    add(
        "signed with the secret that decrypts",
        &Jwt::live().hs("HS256", ENCRYPTION_SECRET)?,
        "bad_signature",
    )?;
    for (name, content) in [
        ("nothing", ""),
        ("white space", " \n"),
        ("an array", "[]"),
        ("two objects", "{}{}"),
        ("half an object", "{\"sub\":"),
        ("a member twice", r#"{"sub":"a","sub":"b"}"#),
        ("an exp that is a text", r#"{"exp":"4102444800"}"#),
        ("NUL", "\0"),
        ("one dot", "e30.e30"),
        ("a byte order mark", "\u{feff}{}"),
    ] {
        add(name, content, "malformed")?;
    }
    add("deep", &format!("{{\"a\":{}{}}}", "[".repeat(2000), "]".repeat(2000)), "malformed")?;
    withstand(&nginx, cases)?;
    nginx.finish()
}

/// A mebibyte cannot be sent in a header, but in a cookie or an argument that nginx lets through.
#[test]
fn a_large_token_is_refused_by_its_length() -> Result<()> {
    let nginx = Nginx::builder()
        .http("large_client_header_buffers 4 2m;")
        .file("enc.json", secret_jwk(ENCRYPTION_SECRET, &json!({})).to_string())
        .server(format!(
            "location / {{ jwt_type encrypted; jwt_decryption_key enc.json; {SERVE} }}"
        ))
        .start()?;
    let content = format!("{}{}", claims(), " ".repeat(1 << 20));
    let token = encrypt(DIR, &json!({}), content)?;
    let case = Case::token("1 MB", nginx.request().bearer(&token), "malformed");
    withstand(&nginx, [case])?;
    assert!(nginx.error_log().contains("longer than 65536 bytes"));
    nginx.finish()
}

#[test]
fn where_signed_tokens_are_expected_none_is_decrypted() -> Result<()> {
    let nginx = start()?;
    let token = encrypt(DIR, &json!({}), signed()?)?;
    let known = nginx.bearer("/", &token)?;
    assert_eq!(known.verdict(), (200, "ok"));
    let parts = token.split('.').collect::<Vec<_>>();
    let five = parts.get(..5).context("five sections")?.join(".");
    let request = nginx.request().target("/signed").bearer(&five);
    withstand(&nginx, [Case::token("five sections", request, "malformed")])?;
    nginx.finish()
}
