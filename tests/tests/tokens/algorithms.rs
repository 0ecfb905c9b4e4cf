//! Each algorithm verifies a token with the right key, and with no other key.

use anyhow::Result;
use base64::Engine as _;
use module_tests::{
    ED25519, Jwt, Key, ML_DSA_44, ML_DSA_65, ML_DSA_87, Nginx, P256, P256_OTHER, P384, P521, RSA,
    RSA_OTHER, SECRET, SERVE, hmac, jwk_set, raw_token, signature,
};
use serde_json::{Value, json};

const ALL: [&str; 16] = [
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "ML-DSA-44",
    "ML-DSA-65",
    "ML-DSA-87",
];

/// A token signed with `alg` and with the matching key of `keys_of_every_kind`.
fn token(alg: &str) -> Result<String> {
    let (kid, key): (&str, Option<&Key>) = match alg {
        "ES256" => ("p256", Some(&P256)),
        "ES384" => ("p384", Some(&P384)),
        "ES512" => ("p521", Some(&P521)),
        "EdDSA" => ("ed", Some(&ED25519)),
        "ML-DSA-44" => ("pq44", Some(&ML_DSA_44)),
        "ML-DSA-65" => ("pq65", Some(&ML_DSA_65)),
        "ML-DSA-87" => ("pq87", Some(&ML_DSA_87)),
        _ if alg.starts_with("HS") => ("hmac", None),
        _ => ("rsa", Some(&RSA)),
    };
    let jwt = Jwt::live().kid(kid);
    key.map_or_else(|| jwt.hs(alg, SECRET), |key| jwt.sign(alg, key))
}

fn public_keys() -> Result<String> {
    let keys = [
        ("rsa", &RSA),
        ("p256", &P256),
        ("p384", &P384),
        ("p521", &P521),
        ("ed", &ED25519),
        ("pq44", &ML_DSA_44),
        ("pq65", &ML_DSA_65),
        ("pq87", &ML_DSA_87),
    ];
    let keys: Vec<Value> = keys
        .into_iter()
        .map(|(kid, key)| key.jwk(&json!({ "kid": kid })))
        .collect::<Result<_>>()?;
    Ok(jwk_set(&keys))
}

/// One nginx with a key of every kind at server level.
fn keys_of_every_kind(locations: &str) -> Result<Nginx> {
    Nginx::builder()
        .server(format!(
            "large_client_header_buffers 4 16k; jwks_file keys.json; jwt_kids {{ hmac {SECRET}; }}
            {locations}"
        ))
        .file("keys.json", public_keys()?)
        .start()
}

#[test]
fn every_algorithm_verifies_with_its_key_and_only_where_it_is_named() -> Result<()> {
    let narrow: String = ALL
        .iter()
        .map(|alg| format!("location /{alg} {{ jwt_algorithms {alg}; {SERVE} }} "))
        .collect();
    let nginx = keys_of_every_kind(&format!("{narrow} location / {{ {SERVE} }}"))?;
    for alg in ALL {
        let token = token(alg)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "{alg}");
        for named in ALL {
            let expected = if named == alg { (200, "ok") } else { (401, "bad_algorithm") };
            assert_eq!(
                nginx.bearer(format!("/{named}"), &token)?.verdict(),
                expected,
                "{alg} where {named} is named"
            );
        }
    }
    nginx.finish()
}

#[test]
fn several_algorithms_may_be_named() -> Result<()> {
    let nginx =
        keys_of_every_kind(&format!("location / {{ jwt_algorithms RS256 ES256 EdDSA; {SERVE} }}"))?;
    for alg in ALL {
        let expected = if ["RS256", "ES256", "EdDSA"].contains(&alg) { 200 } else { 401 };
        assert_eq!(nginx.bearer("/", &token(alg)?)?.status, expected, "{alg}");
    }
    nginx.finish()
}

/// RFC 9864 names it after the curve. Token, key and directive may use either name.
#[test]
fn ed25519_is_another_name_of_eddsa() -> Result<()> {
    let key = |alg: &str| anyhow::Ok(jwk_set(&[ED25519.jwk(&json!({ "kid": "ed", "alg": alg }))?]));
    let nginx = Nginx::builder()
        .server(format!(
            "location /new {{ jwks_file new.json; {SERVE} }}
            location /old {{ jwks_file old.json; {SERVE} }}
            location /named {{ jwks_file old.json; jwt_algorithms Ed25519; {SERVE} }}
            location /other {{ jwks_file old.json; jwt_algorithms ES256; {SERVE} }}"
        ))
        .file("new.json", key("Ed25519")?)
        .file("old.json", key("EdDSA")?)
        .start()?;
    for alg in ["Ed25519", "EdDSA"] {
        let jwt = Jwt::live().kid("ed");
        let token = jwt.signed(alg, |input| signature("EdDSA", &ED25519, input))?;
        for path in ["/new", "/old", "/named"] {
            assert_eq!(nginx.bearer(path, &token)?.verdict(), (200, "ok"), "{alg} {path}");
        }
        assert_eq!(nginx.bearer("/other", &token)?.verdict(), (401, "bad_algorithm"), "{alg}");
    }
    nginx.finish()
}

#[test]
fn a_signature_of_another_algorithm_of_the_same_key_does_not_hold() -> Result<()> {
    let nginx = keys_of_every_kind(&format!("location / {{ {SERVE} }}"))?;
    let rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    for claimed in rsa {
        for used in rsa {
            let jwt = Jwt::live().kid("rsa");
            let token = jwt.signed(claimed, |input| signature(used, &RSA, input))?;
            let expected = if claimed == used { (200, "ok") } else { (401, "bad_signature") };
            assert_eq!(
                nginx.bearer("/", &token)?.verdict(),
                expected,
                "{claimed} signed by {used}"
            );
        }
    }
    nginx.finish()
}

#[test]
fn a_jwk_with_alg_verifies_that_and_nothing_else() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
        .file("keys.json", jwk_set(&[RSA.jwk(&json!({ "kid": "rsa", "alg": "PS384" }))?]))
        .start()?;
    for alg in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        let expected = if alg == "PS384" { (200, "ok") } else { (401, "bad_algorithm") };
        assert_eq!(nginx.bearer("/", &token(alg)?)?.verdict(), expected, "{alg}");
    }
    nginx.finish()
}

#[test]
fn a_public_key_is_never_an_hmac_secret() -> Result<()> {
    let nginx = keys_of_every_kind(&format!("location / {{ {SERVE} }}"))?;
    let pem = RSA.public.as_bytes().to_vec();
    let body: String = RSA.public.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body)?;
    let secrets = [
        ("PEM", pem.clone()),
        ("PEM without its last newline", pem.trim_ascii_end().to_vec()),
        ("DER", der),
        ("modulus", RSA.public_number()?),
        ("JWK", RSA.jwk(&json!({ "kid": "rsa" }))?.to_string().into_bytes()),
        ("certificate", RSA.certificate.unwrap().as_bytes().to_vec()),
        ("nothing", Vec::new()),
    ];
    for (name, secret) in secrets {
        for alg in ["HS256", "HS384", "HS512"] {
            let named = Jwt::live().kid("rsa").hs(alg, &secret)?;
            assert_eq!(
                nginx.bearer("/", &named)?.verdict(),
                (401, "bad_algorithm"),
                "{alg} with {name}"
            );
            let unnamed = Jwt::live().hs(alg, &secret)?;
            assert_eq!(
                nginx.bearer("/", &unnamed)?.verdict(),
                (401, "bad_signature"),
                "{alg} with {name}, no kid"
            );
        }
    }
    nginx.finish()
}

#[test]
fn an_algorithm_that_is_not_of_the_keys_kind_is_refused() -> Result<()> {
    let nginx = keys_of_every_kind(&format!("location / {{ {SERVE} }}"))?;
    let kids = [
        ("rsa", "RS"),
        ("p256", "ES256"),
        ("p384", "ES384"),
        ("p521", "ES512"),
        ("ed", "EdDSA"),
        ("pq44", "ML-DSA-44"),
        ("pq65", "ML-DSA-65"),
        ("pq87", "ML-DSA-87"),
        ("hmac", "HS"),
    ];
    for (kid, own) in kids {
        for alg in ALL {
            let own = alg.starts_with(own) || (own == "RS" && alg.starts_with("PS"));
            let token = Jwt::live().kid(kid).signed(alg, |_| Ok(vec![1; 64]))?;
            let expected = if own { "bad_signature" } else { "bad_algorithm" };
            assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, expected), "{alg} with {kid}");
        }
    }
    nginx.finish()
}

#[test]
fn no_algorithm_and_unknown_ones_are_refused() -> Result<()> {
    let nginx = keys_of_every_kind(&format!("location / {{ {SERVE} }}"))?;
    let unknown = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS1",
        "HS256 ",
        "hs256",
        "ES256K",
        "RS1",
        "A128KW",
        "ML-DSA",
        "ml-dsa-44",
        "ML-DSA-44 ",
        "HS256\u{0}",
    ];
    for alg in unknown {
        for kid in [Some("hmac"), Some("rsa"), None] {
            let jwt = kid.map_or_else(Jwt::live, |kid| Jwt::live().kid(kid));
            let unsigned = jwt.signed(alg, |_| Ok(Vec::new()))?;
            assert_eq!(nginx.bearer("/", &unsigned)?.status, 401, "{alg:?} {kid:?}, unsigned");
            let signed = jwt.signed(alg, |input| hmac("HS256", SECRET.as_bytes(), input))?;
            assert_eq!(
                nginx.bearer("/", &signed)?.verdict(),
                (401, "bad_algorithm"),
                "{alg:?} {kid:?}"
            );
        }
    }
    for header in [
        r#"{"kid":"hmac"}"#,
        r#"{"alg":null,"kid":"hmac"}"#,
        r#"{"alg":["HS256"],"kid":"hmac"}"#,
        r#"{"alg":{"HS256":1},"kid":"hmac"}"#,
        r#"{"alg":256,"kid":"hmac"}"#,
        r#"{"alg":true,"kid":"hmac"}"#,
    ] {
        let token =
            raw_token(header, r#"{"sub":"a"}"#, |input| hmac("HS256", SECRET.as_bytes(), input))?;
        let response = nginx.bearer("/", &token)?;
        assert_eq!(response.status, 401, "{header}");
        let verdict = response.verdict().1.to_owned();
        assert!(["malformed", "bad_algorithm"].contains(&verdict.as_str()), "{header}: {verdict}");
    }
    nginx.finish()
}

#[test]
fn a_key_in_the_tokens_own_header_is_never_used() -> Result<()> {
    let nginx = keys_of_every_kind(&format!("location / {{ {SERVE} }}"))?;
    let own = P256_OTHER.jwk(&json!({ "kid": "p256" }))?;
    let jwt = Jwt::live()
        .kid("p256")
        .header("jwk", own)
        .header("jku", json!("http://localhost/keys.json"))
        .header("x5u", json!("http://localhost/key.pem"))
        .header("x5c", json!(["MIIB"]));
    assert_eq!(
        nginx.bearer("/", &jwt.sign("ES256", &P256_OTHER)?)?.verdict(),
        (401, "bad_signature")
    );
    // These headers are not forbidden: a provider may put them into honest tokens.
    assert_eq!(nginx.bearer("/", &jwt.sign("ES256", &P256)?)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn a_signature_of_another_form_or_length_does_not_hold() -> Result<()> {
    let nginx = keys_of_every_kind(&format!("location / {{ {SERVE} }}"))?;
    let lengths = [
        ("ES256", 64),
        ("ES384", 96),
        ("ES512", 132),
        ("EdDSA", 64),
        ("ML-DSA-44", 2420),
        ("ML-DSA-65", 3309),
        ("ML-DSA-87", 4627),
        ("RS256", 256),
        ("HS256", 32),
    ];
    for (alg, length) in lengths {
        let good = token(alg)?;
        let (input, signature) = good.rsplit_once('.').unwrap();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature)?;
        assert_eq!(bytes.len(), length, "{alg}");
        let mut flipped = bytes.clone();
        flipped[length / 2] ^= 1;
        let longer = [bytes.as_slice(), &[0]].concat();
        let zeros = vec![0; length];
        let twice = [bytes.as_slice(), &bytes].concat();
        for wrong in [
            &flipped,
            &longer,
            &zeros,
            &twice,
            &bytes[1..].to_vec(),
            &bytes[..length - 1].to_vec(),
            &vec![],
        ] {
            let token = format!("{input}.{}", module_tests::base64url(wrong));
            let response = nginx.bearer("/", &token)?;
            let verdict = response.verdict();
            let expected = if wrong.is_empty() {
                ["bad_signature", "malformed"]
            } else {
                ["bad_signature"; 2]
            };
            assert!(
                verdict.0 == 401 && expected.contains(&verdict.1),
                "{alg} {}: {verdict:?}",
                wrong.len()
            );
        }
    }
    nginx.finish()
}

#[test]
fn an_ecdsa_signature_in_der_does_not_hold() -> Result<()> {
    let nginx = keys_of_every_kind(&format!("location / {{ {SERVE} }}"))?;
    let good = token("ES256")?;
    let (input, signature) = good.rsplit_once('.').unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature)?;
    let mut der = vec![0x30, 0];
    for half in bytes.chunks(32) {
        let sign: &[u8] = if half[0] & 0x80 == 0 { &[] } else { &[0] };
        der.extend([0x02, u8::try_from(32 + sign.len())?]);
        der.extend([sign, half].concat());
    }
    der[1] = u8::try_from(der.len() - 2)?;
    let token = format!("{input}.{}", module_tests::base64url(der));
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "bad_signature"));
    nginx.finish()
}

#[test]
fn another_key_of_the_same_kind_does_not_vouch() -> Result<()> {
    let nginx = keys_of_every_kind(&format!("location / {{ {SERVE} }}"))?;
    for (kid, alg, other) in
        [("rsa", "RS256", &RSA_OTHER), ("rsa", "PS512", &RSA_OTHER), ("p256", "ES256", &P256_OTHER)]
    {
        assert_eq!(
            nginx.bearer("/", &Jwt::live().kid(kid).sign(alg, other)?)?.verdict(),
            (401, "bad_signature"),
            "{alg}"
        );
        assert_eq!(
            nginx.bearer("/", &Jwt::live().sign(alg, other)?)?.verdict(),
            (401, "bad_signature"),
            "{alg}, no kid"
        );
    }
    nginx.finish()
}
