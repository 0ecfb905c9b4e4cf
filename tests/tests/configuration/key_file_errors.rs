//! `nginx -t` refuses bad input and reports file and line, the directive, the key file and the
//! member that is wrong.

use anyhow::{Context, Result};
use module_tests::{
    ED25519, Mistake, Nginx, P256, P384, RSA, RSA_E3, RSA_OTHER, RSA_WEAK, SECP256K1_JWK, SECRET,
    jwk_set, mistake, mistake_in, refuse_all,
};
use serde_json::{Value, json};

#[test]
fn a_key_file_that_cannot_be_read() -> Result<()> {
    refuse_all(&[
        mistake("missing", "jwks_file nope.json;", &["nope.json", "No such file"]),
        mistake("missing", "jwt_kids_file nope.json;", &["nope.json", "No such file"]),
        mistake("a directory", "jwks_file html;", &["html", "directory"]),
        mistake("a directory", "jwt_kids_file html;", &["html", "directory"]),
        mistake("an empty name", "jwks_file \"\";", &[]),
        mistake("an empty name", "jwt_kids_file \"\";", &[]),
        mistake("no name", "jwks_file;", &[]),
        mistake("an unknown option", "jwks_file keys.json colour=blue;", &["colour"]),
        mistake_in("empty", "jwks_file keys.json;", "keys.json", "", &[]),
        mistake_in("empty", "jwt_kids_file kids.json;", "kids.json", "", &[]),
        mistake_in(
            "neither JSON nor PEM",
            "jwks_file keys.json;",
            "keys.json",
            "ssh-rsa AAAA",
            &["JSON", "PEM"],
        ),
        mistake_in("not UTF-8", "jwks_file keys.json;", "keys.json", b"{\"keys\":\"\xff\"}", &[]),
    ])
}

#[test]
fn a_key_file_that_is_no_json() -> Result<()> {
    refuse_all(&[
        mistake_in(
            "cut off",
            "jwks_file keys.json;",
            "keys.json",
            "{\n  \"keys\": [\n",
            &["line 3"],
        ),
        mistake_in(
            "a comma too many",
            "jwks_file keys.json;",
            "keys.json",
            "{\n  \"keys\": [],\n}",
            &["line 3 column 1"],
        ),
        mistake_in(
            "a comment",
            "jwks_file keys.json;",
            "keys.json",
            "{ // keys\n}",
            &["line 1 column 3"],
        ),
        mistake_in(
            "single quotes",
            "jwt_kids_file kids.json;",
            "kids.json",
            "\n{'k1':'x'}",
            &["line 2 column 2"],
        ),
        mistake_in(
            "bytes after the end",
            "jwt_kids_file kids.json;",
            "kids.json",
            "{\"k1\":\"x\"}\n}",
            &["line 2 column 1"],
        ),
        mistake_in(
            "typographic quotes",
            "jwt_kids_file kids.json;",
            "kids.json",
            "{\u{201c}k1\u{201d}: \u{201c}x\u{201d}}",
            &["line 1", "quote"],
        ),
        mistake_in(
            "a member twice",
            "jwt_kids_file kids.json;",
            "kids.json",
            "{\"k1\":\"x\",\"k1\":\"y\"}",
            &["k1"],
        ),
        mistake_in(
            "nested too deep",
            "jwks_file keys.json;",
            "keys.json",
            format!("{{\"keys\":{}", "[".repeat(10_000)),
            &[],
        ),
    ])
}

#[test]
fn a_key_set_whose_members_are_wrong() -> Result<()> {
    let rsa = |more: Value| RSA.jwk(&more);
    let without = |member: &str| -> Result<Value> {
        let mut jwk = RSA.jwk(&json!({ "kid": "a" }))?;
        jwk.as_object_mut().context("object")?.shift_remove(member);
        Ok(jwk)
    };
    let p256 = |more: Value| P256.jwk(&more);
    let p384_x = P384.jwk(&json!({}))?.get("x").cloned().unwrap_or_default();
    let second = |jwk: Value| -> Result<String> {
        // The first is not for signatures: with no usable key, the file is refused with all reasons.
        Ok(jwk_set(&[RSA_OTHER.jwk(&json!({ "kid": "first", "use": "enc" }))?, jwk]))
    };
    let zeros = module_tests::base64url([0; 32]);
    let cases = [
        ("no kty", second(without("kty")?)?, vec!["keys[1].kty"]),
        ("unknown kty", second(rsa(json!({ "kty": "DSA" }))?)?, vec!["keys[1].kty", "DSA"]),
        ("kty no string", second(rsa(json!({ "kty": 1 }))?)?, vec!["keys[1].kty"]),
        ("no n", second(without("n")?)?, vec!["keys[1].n"]),
        ("no e", second(without("e")?)?, vec!["keys[1].e"]),
        ("n no string", second(rsa(json!({ "n": 5 }))?)?, vec!["keys[1].n"]),
        ("n with padding", second(rsa(json!({ "n": "AQAB=" }))?)?, vec!["keys[1].n", "base64url"]),
        (
            "n with foreign characters",
            second(rsa(json!({ "n": "AQ:/" }))?)?,
            vec!["keys[1].n", "base64url"],
        ),
        ("kid no string", second(rsa(json!({ "kid": ["a"] }))?)?, vec!["keys[1].kid"]),
        ("alg no string", second(rsa(json!({ "alg": ["RS256"] }))?)?, vec!["keys[1].alg"]),
        (
            "alg of another type",
            second(rsa(json!({ "alg": "ES256" }))?)?,
            vec!["keys[1].alg", "ES256"],
        ),
        (
            "alg of HMAC for RSA",
            second(rsa(json!({ "alg": "HS256" }))?)?,
            vec!["keys[1].alg", "HS256"],
        ),
        (
            "alg of another curve",
            second(p256(json!({ "alg": "ES384" }))?)?,
            vec!["keys[1].alg", "ES384"],
        ),
        (
            "RSA of 1024 bits",
            second(RSA_WEAK.jwk(&json!({ "kid": "weak" }))?)?,
            vec!["keys[1].n", "1024", "2048"],
        ),
        ("RSA with exponent 3", second(RSA_E3.jwk(&json!({}))?)?, vec!["keys[1]", "exponent"]),
        (
            "RSA with an even exponent",
            second(rsa(json!({ "e": "AQAC" }))?)?,
            vec!["keys[1]", "exponent"],
        ),
        ("RSA of n = 1", second(rsa(json!({ "n": "AQ" }))?)?, vec!["keys[1].n"]),
        (
            "unknown crv",
            second(serde_json::from_str(SECP256K1_JWK)?)?,
            vec!["keys[1].crv", "secp256k1"],
        ),
        ("x too long", second(p256(json!({ "x": p384_x }))?)?, vec!["keys[1].x"]),
        (
            "a point off the curve",
            second(p256(json!({ "x": zeros, "y": zeros }))?)?,
            vec!["keys[1].x"],
        ),
        (
            "unknown OKP curve",
            second(ED25519.jwk(&json!({ "crv": "X25519" }))?)?,
            vec!["keys[1].crv", "X25519"],
        ),
        ("Ed25519 too short", second(ED25519.jwk(&json!({ "x": "AQAB" }))?)?, vec!["keys[1].x"]),
        ("Ed25519 of low order", second(ED25519.jwk(&json!({ "x": zeros }))?)?, vec!["keys[1].x"]),
        ("an empty secret", second(json!({ "kty": "oct", "k": "" }))?, vec!["keys[1].k", "empty"]),
        (
            "a kid twice",
            jwk_set(&[RSA_OTHER.jwk(&json!({ "kid": "first" }))?, rsa(json!({ "kid": "first" }))?]),
            vec!["keys[1]", "first"],
        ),
        ("keys no array", json!({ "keys": {} }).to_string(), vec!["keys"]),
        ("a key no object", json!({ "keys": [1] }).to_string(), vec!["keys[0]"]),
        ("no key at all", json!({ "keys": [] }).to_string(), vec!["key"]),
        ("no usable key", jwk_set(&[rsa(json!({ "kid": "e", "use": "enc" }))?]), vec!["enc"]),
        ("neither set nor key", json!({ "kids": {} }).to_string(), vec!["keys", "kty"]),
        ("an array", "[]".to_owned(), vec![]),
    ];
    let cases: Vec<Mistake> = cases
        .into_iter()
        .map(|(name, text, fragments)| {
            mistake_in(name, "jwks_file keys.json;", "keys.json", text, &fragments)
        })
        .collect();
    refuse_all(&cases)
}

#[test]
fn a_pem_file_that_is_no_public_key() -> Result<()> {
    let broken = RSA.public.replacen("MII", "MIJ", 1);
    refuse_all(&[
        mistake_in("a private key", "jwks_file k.pem;", "k.pem", RSA.private, &["private"]),
        mistake_in(
            "broken base64",
            "jwks_file k.pem;",
            "k.pem",
            "-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n",
            &["PEM"],
        ),
        mistake_in("broken DER", "jwks_file k.pem;", "k.pem", broken, &["PUBLIC KEY"]),
        mistake_in("cut off", "jwks_file k.pem;", "k.pem", &RSA.public[..200], &[]),
        mistake_in("weak", "jwks_file k.pem;", "k.pem", RSA_WEAK.public, &["1024", "2048"]),
        mistake_in("small exponent", "jwks_file k.pem;", "k.pem", RSA_E3.public, &["exponent"]),
        mistake_in(
            "unknown curve",
            "jwks_file k.pem;",
            "k.pem",
            include_str!("../../keys/secp256k1.pub.pem"),
            &["curve"],
        ),
        mistake_in(
            "something else",
            "jwks_file k.pem;",
            "k.pem",
            "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
            &["X509 CRL"],
        ),
        mistake_in(
            "one kid for two keys",
            "jwks_file k.pem kid=a;",
            "k.pem",
            format!("{}{}", RSA.public, P256.public),
            &["kid"],
        ),
        mistake_in(
            "a kid for a set",
            "jwks_file k.json kid=a;",
            "k.json",
            RSA.jwks("b")?,
            &["kid"],
        ),
    ])
}

#[test]
fn a_kids_file_whose_members_are_wrong() -> Result<()> {
    let cases = [
        ("an empty secret", json!({ "good": SECRET, "bad": "" }), vec!["bad", "empty"]),
        (
            "an empty secret, in kids",
            json!([{ "kids": { "good": SECRET, "bad": "" } }]),
            vec!["[0].kids.bad", "empty"],
        ),
        ("a secret that is a number", json!({ "kids": { "bad": 5 } }), vec!["kids.bad"]),
        ("a secret that is null", json!({ "bad": null }), vec!["bad"]),
        ("kids no object", json!([{ "kids": [] }]), vec!["[0].kids"]),
        ("no kids", json!([{ "kid": {} }]), vec!["[0].kids"]),
        (
            "a kid in two objects",
            json!([{ "kids": { "k1": SECRET } }, { "kids": { "k1": SECRET } }]),
            vec!["[1].kids.k1", "duplicate"],
        ),
        ("nothing", json!({}), vec!["key"]),
        ("nothing in kids", json!([{ "kids": {} }]), vec!["key"]),
        ("an empty array", json!([]), vec!["key"]),
        ("a string", json!("kids"), vec![]),
    ];
    let cases: Vec<Mistake> = cases
        .into_iter()
        .map(|(name, value, fragments)| {
            mistake_in(name, "jwt_kids_file kids.json;", "kids.json", value.to_string(), &fragments)
        })
        .collect();
    refuse_all(&cases)
}

#[test]
fn a_weak_but_working_configuration_is_warned_about() -> Result<()> {
    let mut wrong = Vec::new();
    let mut warn = |directive: &str, files: &[(&str, String)], fragments: &[&str]| {
        let mut builder = Nginx::builder().server(format!("location / {{ {directive} }}"));
        for (name, text) in files {
            builder = builder.file(*name, text.as_bytes());
        }
        let fragments = [fragments, &["nginx.conf:"]].concat();
        let checked = builder.check().and_then(|checked| checked.warned_with(&fragments));
        wrong.extend(checked.err().map(|error| format!("{directive}: {error:#}")));
    };
    let short = "only-thirty-one-bytes-are-here!";
    let of_63 = "s".repeat(63);
    let both = jwk_set(&[RSA.jwk(&json!({ "kid": "k" }))?, P256.jwk(&json!({ "kid": "k" }))?]);
    let oct = json!({ "kty": "oct", "kid": "s", "k": module_tests::base64url([7; 32]) });
    let mixed = jwk_set(&[RSA.jwk(&json!({ "kid": "r" }))?, oct]);
    let enc = jwk_set(&[
        RSA.jwk(&json!({ "kid": "r" }))?,
        RSA_OTHER.jwk(&json!({ "kid": "e", "use": "enc" }))?,
    ]);
    let other_alg = jwk_set(&[
        RSA.jwk(&json!({ "kid": "r" }))?,
        RSA_OTHER.jwk(&json!({ "kid": "e", "alg": "RSA-OAEP" }))?,
    ]);
    warn(&format!("jwt_kids {{ k1 \"{short}\"; }}"), &[], &["jwt_kids", "k1", "31", "32"]);
    warn(&format!("jwt_kids {{ k1 {of_63} alg=HS512; }}"), &[], &["jwt_kids", "k1", "63", "64"]);
    warn(
        "jwt_kids_file kids.json;",
        &[("kids.json", json!({ "k1": short }).to_string())],
        &["jwt_kids_file", "kids.json", "k1", "31"],
    );
    warn(
        "jwks_file keys.json;",
        &[("keys.json", both)],
        &["jwks_file", "keys.json", "keys[1]", "k"],
    );
    warn(
        "jwks_file keys.json;",
        &[("keys.json", mixed)],
        &["jwks_file", "keys.json", "secret", "public"],
    );
    warn(
        "jwks_file keys.json;",
        &[("keys.json", enc)],
        &["jwks_file", "keys.json", "keys[1]", "enc"],
    );
    warn(
        "jwks_file keys.json;",
        &[("keys.json", other_alg)],
        &["jwks_file", "keys.json", "keys[1]", "RSA-OAEP"],
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn a_sound_configuration_is_not_warned_about() -> Result<()> {
    Nginx::builder()
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} jwks_file keys.json;
            secure_token_secret {SECRET}; }}"
        ))
        .file("keys.json", RSA.jwks("rsa")?)
        .check()?
        .accepted()
}
