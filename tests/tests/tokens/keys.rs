//! Where keys come from: the `jwt_kids` block, `jwt_kids_file` and `jwks_file` in all their forms.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use module_tests::{
    ED25519, Jwt, ML_DSA_44, ML_DSA_65, ML_DSA_87, Nginx, OTHER_SECRET, P256, P384, P521, RSA,
    RSA_OTHER, SECRET, SERVE, jwk_set,
};
use serde_json::json;

#[test]
fn a_kid_and_its_secret_protect_a_location() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ jwt_kids {{ k1 {SECRET}; k2 {OTHER_SECRET}; }} {SERVE} }}"
    ))?;
    let k1 = Jwt::live().kid("k1");
    assert_eq!(nginx.bearer("/", &k1.hs("HS256", SECRET)?)?.verdict(), (200, "ok"));
    assert_eq!(
        nginx.bearer("/", &Jwt::live().kid("k2").hs("HS256", OTHER_SECRET)?)?.verdict(),
        (200, "ok")
    );
    assert_eq!(
        nginx.bearer("/", &k1.hs("HS256", OTHER_SECRET)?)?.verdict(),
        (401, "bad_signature")
    );
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    nginx.assert_no_secret(&[SECRET, OTHER_SECRET])?;
    nginx.finish()
}

#[test]
fn a_secret_without_alg_verifies_all_three_hashes_and_one_with_alg_only_that() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ jwt_kids {{ any {SECRET}; k384 {SECRET} alg=HS384; }} {SERVE} }}"
    ))?;
    for alg in ["HS256", "HS384", "HS512"] {
        let any = Jwt::live().kid("any").hs(alg, SECRET)?;
        assert_eq!(nginx.bearer("/", &any)?.verdict(), (200, "ok"), "{alg}");
        let pinned = Jwt::live().kid("k384").hs(alg, SECRET)?;
        let expected = if alg == "HS384" { (200, "ok") } else { (401, "bad_algorithm") };
        assert_eq!(nginx.bearer("/", &pinned)?.verdict(), expected, "{alg}");
    }
    nginx.finish()
}

#[test]
fn a_secret_may_be_written_in_base64_base64url_or_hex() -> Result<()> {
    let secret: Vec<u8> = (0..64).map(|i| 255 - i).collect();
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let block = format!(
        "b64 {} encoding=base64; url {} encoding=base64url; \
         hex {hex} encoding=hex; HEX {} encoding=hex; raw {hex};",
        STANDARD.encode(&secret),
        URL_SAFE_NO_PAD.encode(&secret),
        hex.to_uppercase(),
    );
    let nginx = Nginx::start(format!("location / {{ jwt_kids {{ {block} }} {SERVE} }}"))?;
    for kid in ["b64", "url", "hex", "HEX"] {
        let token = Jwt::live().kid(kid).hs("HS256", &secret)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "{kid}");
    }
    let decoded = Jwt::live().kid("raw").hs("HS256", &secret)?;
    assert_eq!(nginx.bearer("/", &decoded)?.verdict(), (401, "bad_signature"));
    let raw = Jwt::live().kid("raw").hs("HS256", &hex)?;
    assert_eq!(nginx.bearer("/", &raw)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn a_quoted_kid_and_secret_may_hold_anything() -> Result<()> {
    let kid = "k 1;{}#\u{e9}";
    let secret = "a secret; with {braces} and 'quotes' # and thirty-two bytes \u{1f511}";
    let nginx =
        Nginx::start(format!("location / {{ jwt_kids {{ \"{kid}\" \"{secret}\"; }} {SERVE} }}"))?;
    assert_eq!(
        nginx.bearer("/", &Jwt::live().kid(kid).hs("HS256", secret)?)?.verdict(),
        (200, "ok")
    );
    nginx.assert_no_secret(&[secret])?;
    nginx.finish()
}

#[test]
fn a_key_past_its_expires_is_no_key_any_more() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ jwt_kids {{
            past {SECRET} expires=2020-01-31T00:00:00Z;
            future {SECRET} expires=2099-01-31T00:00:00Z;
            offset {SECRET} expires=2099-01-31T00:00:00+02:00;
        }} {SERVE} }}"
    ))?;
    for (kid, verdict) in
        [("past", (401, "unknown_key")), ("future", (200, "ok")), ("offset", (200, "ok"))]
    {
        let token = Jwt::live().kid(kid).hs("HS256", SECRET)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), verdict, "{kid}");
    }
    nginx.finish()
}

#[test]
fn a_key_without_a_kid_in_the_token_skips_expired_keys() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ jwt_kids {{ past {SECRET} expires=2020-01-31T00:00:00Z;
            now {OTHER_SECRET}; }} {SERVE} }}"
    ))?;
    assert_eq!(nginx.bearer("/", &Jwt::live().hs("HS256", OTHER_SECRET)?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &Jwt::live().hs("HS256", SECRET)?)?.status, 401);
    nginx.finish()
}

#[test]
fn include_works_inside_the_block() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{ jwt_kids {{ here {SECRET}; include kids/*.conf; }} {SERVE} }}"
        ))
        .file("kids/a.conf", format!("there {OTHER_SECRET} alg=HS512;\n"))
        .start()?;
    assert_eq!(
        nginx.bearer("/", &Jwt::live().kid("here").hs("HS256", SECRET)?)?.verdict(),
        (200, "ok")
    );
    let there = Jwt::live().kid("there");
    assert_eq!(nginx.bearer("/", &there.hs("HS512", OTHER_SECRET)?)?.verdict(), (200, "ok"));
    assert_eq!(
        nginx.bearer("/", &there.hs("HS256", OTHER_SECRET)?)?.verdict(),
        (401, "bad_algorithm")
    );
    nginx.finish()
}

#[test]
fn a_kid_matches_exactly_or_not_at_all() -> Result<()> {
    let nginx = Nginx::start(format!("location / {{ jwt_kids {{ Key-1 {SECRET}; }} {SERVE} }}"))?;
    for kid in [
        "key-1",
        "Key-1 ",
        "Key-",
        "Key-11",
        "Key-1\u{0}",
        "../Key-1",
        "' or '1'='1",
        "K\u{435}y-1",
    ] {
        let token = Jwt::live().kid(kid).hs("HS256", SECRET)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "unknown_key"), "{kid:?}");
    }
    let escaped = module_tests::raw_token(
        r#"{"alg":"HS256","kid":"K\u0065y-1"}"#,
        r#"{"sub":"a"}"#,
        |input| module_tests::hmac("HS256", SECRET.as_bytes(), input),
    )?;
    assert_eq!(nginx.bearer("/", &escaped)?.verdict(), (200, "ok"));
    for kid in [json!(["Key-1"]), json!({}), json!(true)] {
        let token = Jwt::live().header("kid", kid.clone()).hs("HS256", SECRET)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "malformed"), "{kid}");
    }
    nginx.finish()
}

#[test]
fn a_token_without_kid_tries_a_few_keys_and_no_more() -> Result<()> {
    let secrets: Vec<String> = (0..20).map(|i| format!("{i:02}-{SECRET}")).collect();
    let pairs: String =
        secrets.iter().enumerate().map(|(i, secret)| format!("k{i} {secret}; ")).collect();
    let nginx = Nginx::start(format!("location / {{ jwt_kids {{ {pairs} }} {SERVE} }}"))?;
    for (i, secret) in secrets.iter().enumerate() {
        let named = Jwt::live().kid(&format!("k{i}")).hs("HS256", secret)?;
        assert_eq!(nginx.bearer("/", &named)?.verdict(), (200, "ok"), "{i}");
        let status = if i < 2 { 200 } else { 401 };
        assert_eq!(nginx.bearer("/", &Jwt::live().hs("HS256", secret)?)?.status, status, "{i}");
    }
    nginx.finish()
}

#[test]
fn kids_files_come_in_azions_form_with_and_without_the_array_and_plain() -> Result<()> {
    let pairs = json!({ "k1": SECRET, "k2": OTHER_SECRET });
    let forms = [json!([{ "kids": pairs }]), json!({ "kids": pairs }), pairs.clone()];
    for form in forms {
        let nginx = Nginx::builder()
            .server(format!("location / {{ jwt_kids_file kids.json; {SERVE} }}"))
            .file("kids.json", form.to_string())
            .start()?;
        for (kid, secret) in [("k1", SECRET), ("k2", OTHER_SECRET)] {
            let token = Jwt::live().kid(kid).hs("HS256", secret)?;
            assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "{form}");
        }
        assert_eq!(
            nginx.bearer("/", &Jwt::live().kid("kids").hs("HS256", SECRET)?)?.verdict(),
            (401, "unknown_key")
        );
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_jwk_set_verifies_with_each_of_its_keys() -> Result<()> {
    let all = [
        ("rsa", &RSA),
        ("p256", &P256),
        ("p384", &P384),
        ("p521", &P521),
        ("ed", &ED25519),
        ("pq", &ML_DSA_65),
    ];
    let keys = all.map(|(kid, key)| key.jwk(&json!({ "kid": kid, "use": "sig" })));
    let keys: Vec<_> = keys.into_iter().collect::<Result<_>>()?;
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
        .file("keys.json", jwk_set(&keys))
        .start()?;
    let algs = ["RS256", "ES256", "ES384", "ES512", "EdDSA", "ML-DSA-65"];
    for ((kid, key), alg) in all.into_iter().zip(algs) {
        let token = Jwt::live().kid(kid).sign(alg, key)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "{kid}");
        let unnamed = Jwt::live().sign(alg, key)?;
        assert_eq!(nginx.bearer("/", &unnamed)?.verdict(), (200, "ok"), "{kid}, not named");
    }
    let wrong = Jwt::live().kid("rsa").sign("RS256", &RSA_OTHER)?;
    assert_eq!(nginx.bearer("/", &wrong)?.verdict(), (401, "bad_signature"));
    let absent = Jwt::live().kid("nobody").sign("RS256", &RSA)?;
    assert_eq!(nginx.bearer("/", &absent)?.verdict(), (401, "unknown_key"));
    nginx.finish()
}

#[test]
fn a_key_file_may_be_one_jwk_a_pem_key_or_a_certificate() -> Result<()> {
    let certificate = RSA.certificate.unwrap();
    let pkcs1 = include_str!("../../keys/rsa2048.pkcs1.pem");
    let jwk = RSA.jwk(&json!({ "kid": "own" }))?.to_string();
    let nameless = RSA.jwk(&json!({}))?.to_string();
    let crlf = RSA.public.replace('\n', "\r\n");
    let forms = [
        ("jwk", jwk.as_str(), "jwks_file key;", "own"),
        ("jwk, named", &nameless, "jwks_file key kid=own;", "own"),
        ("pem", RSA.public, "jwks_file key kid=own;", "own"),
        ("pkcs1", pkcs1, "jwks_file key kid=own;", "own"),
        ("crlf", &crlf, "jwks_file key kid=own;", "own"),
        ("certificate", certificate, "jwks_file key kid=own;", "own"),
        // A key without a kid may verify a token with any kid.
        ("pem, nameless", RSA.public, "jwks_file key;", "whatever"),
    ];
    for (name, text, directive, kid) in forms {
        let nginx = Nginx::builder()
            .server(format!("location / {{ {directive} {SERVE} }}"))
            .file("key", text)
            .start()
            .map_err(|error| error.context(name))?;
        let token = Jwt::live().kid(kid).sign("RS256", &RSA)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "{name}");
        let wrong = Jwt::live().kid(kid).sign("RS256", &RSA_OTHER)?;
        assert_eq!(nginx.bearer("/", &wrong)?.verdict(), (401, "bad_signature"), "{name}");
        let other = Jwt::live().kid("other").sign("RS256", &RSA)?.clone();
        let expected = if name == "pem, nameless" { (200, "ok") } else { (401, "unknown_key") };
        assert_eq!(nginx.bearer("/", &other)?.verdict(), expected, "{name}");
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn every_kind_of_key_may_be_given_as_pem() -> Result<()> {
    let p256_certificate = P256.certificate.unwrap();
    let files = [
        ("ES256", &P256, P256.public),
        ("ES256", &P256, p256_certificate),
        ("ES384", &P384, P384.public),
        ("ES512", &P521, P521.public),
        ("EdDSA", &ED25519, ED25519.public),
        ("ML-DSA-44", &ML_DSA_44, ML_DSA_44.public),
        ("ML-DSA-65", &ML_DSA_65, ML_DSA_65.public),
        ("ML-DSA-87", &ML_DSA_87, ML_DSA_87.public),
        ("PS512", &RSA, RSA.public),
    ];
    let locations: String = (0..files.len())
        .map(|i| format!("location /{i} {{ jwks_file k{i}.pem; {SERVE} }} "))
        .collect();
    let mut builder = Nginx::builder().server(locations);
    for (i, (_, _, pem)) in files.iter().enumerate() {
        builder = builder.file(format!("k{i}.pem"), *pem);
    }
    let nginx = builder.start()?;
    for (i, (alg, key, _)) in files.into_iter().enumerate() {
        let token = Jwt::live().sign(alg, key)?;
        assert_eq!(nginx.bearer(format!("/{i}"), &token)?.verdict(), (200, "ok"), "{i} {alg}");
    }
    nginx.finish()
}

#[test]
fn key_sources_of_one_level_add_up() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{
                jwks_file one.json; jwks_file two.pem kid=two; jwks_file three.json;
                jwt_kids {{ four {SECRET}; }} jwt_kids_file five.json;
                {SERVE} }}"
        ))
        .file("one.json", RSA.jwks("one")?)
        .file("two.pem", RSA_OTHER.public)
        .file("three.json", P256.jwks("three")?)
        .file("five.json", json!({ "five": OTHER_SECRET }).to_string())
        .start()?;
    let tokens = [
        Jwt::live().kid("one").sign("RS256", &RSA)?,
        Jwt::live().kid("two").sign("PS256", &RSA_OTHER)?,
        Jwt::live().kid("three").sign("ES256", &P256)?,
        Jwt::live().kid("four").hs("HS256", SECRET)?,
        Jwt::live().kid("five").hs("HS256", OTHER_SECRET)?,
    ];
    for (i, token) in tokens.iter().enumerate() {
        assert_eq!(nginx.bearer("/", token)?.verdict(), (200, "ok"), "{i}");
    }
    nginx.finish()
}

#[test]
fn a_key_that_is_not_for_verifying_is_not_used() -> Result<()> {
    let keys = [
        P256.jwk(&json!({ "kid": "enc", "use": "enc" }))?,
        P256.jwk(&json!({ "kid": "sign", "key_ops": ["sign"] }))?,
        P256.jwk(&json!({ "kid": "verify", "key_ops": ["sign", "verify"] }))?,
    ];
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
        .file("keys.json", jwk_set(&keys))
        .start()?;
    for (kid, verdict) in
        [("enc", (401, "unknown_key")), ("sign", (401, "unknown_key")), ("verify", (200, "ok"))]
    {
        let token = Jwt::live().kid(kid).sign("ES256", &P256)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), verdict, "{kid}");
    }
    nginx.finish()
}

#[test]
fn one_kid_for_keys_of_two_types_lets_the_algorithm_choose() -> Result<()> {
    let keys = [RSA.jwk(&json!({ "kid": "k" }))?, P256.jwk(&json!({ "kid": "k" }))?];
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
        .file("keys.json", jwk_set(&keys))
        .start()?;
    assert_eq!(
        nginx.bearer("/", &Jwt::live().kid("k").sign("RS256", &RSA)?)?.verdict(),
        (200, "ok")
    );
    assert_eq!(
        nginx.bearer("/", &Jwt::live().kid("k").sign("ES256", &P256)?)?.verdict(),
        (200, "ok")
    );
    assert_eq!(
        nginx.bearer("/", &Jwt::live().kid("k").sign("EdDSA", &ED25519)?)?.verdict(),
        (401, "bad_algorithm")
    );
    nginx.finish()
}

#[test]
fn a_shared_secret_may_stand_in_a_jwk_set() -> Result<()> {
    let secret: Vec<u8> = (0..64).collect();
    let oct =
        json!({ "kty": "oct", "kid": "s", "alg": "HS256", "k": module_tests::base64url(&secret) });
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
        .file("keys.json", jwk_set(&[oct, RSA.jwk(&json!({ "kid": "r" }))?]))
        .start()?;
    assert_eq!(
        nginx.bearer("/", &Jwt::live().kid("s").hs("HS256", &secret)?)?.verdict(),
        (200, "ok")
    );
    assert_eq!(
        nginx.bearer("/", &Jwt::live().kid("s").hs("HS512", &secret)?)?.verdict(),
        (401, "bad_algorithm")
    );
    assert_eq!(
        nginx.bearer("/", &Jwt::live().kid("r").sign("RS256", &RSA)?)?.verdict(),
        (200, "ok")
    );
    nginx.finish()
}
