//! The header of a token only chooses a loaded key and its algorithm; it never brings a key.

use std::io::ErrorKind;
use std::net::TcpListener;

use anyhow::Result;
use base64::Engine as _;
use module_tests::{
    ED25519, Jwt, ML_DSA_44, Mistake, Nginx, P256, P256_OTHER, P384, RSA, SECP256K1_JWK, SECRET,
    SERVE, base64url, hmac, jwk_set, mistake_in, nginx_t, raw_token, refuse_all, signature,
};
use serde_json::{Value, json};

use crate::{Case, signed, withstand};

/// A payload that every location here accepts.
const PAYLOAD: &str = r#"{"sub":"alice"}"#;

/// `/` with a secret, `/public` with public keys only, `/mixed` with both.
fn start() -> Result<Nginx> {
    let keys = [("rsa", &RSA), ("p256", &P256), ("ed", &ED25519)]
        .into_iter()
        .map(|(kid, key)| key.jwk(&json!({ "kid": kid })))
        .collect::<Result<Vec<_>>>()?;
    Nginx::builder()
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}
            location /public {{ jwks_file keys.json; {SERVE} }}
            location /mixed {{ jwks_file keys.json; jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"
        ))
        .file("keys.json", jwk_set(&keys))
        .start()
}

#[test]
fn no_algorithm_no_signature_and_unknown_ones() -> Result<()> {
    let nginx = start()?;
    let ask = |token: &str| nginx.request().bearer(token);
    let mut cases = vec![Case::token("good", ask(&signed(crate::HEADER, PAYLOAD)?), "ok")];
    let names = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        "",
        "HS1",
        "hs256",
        "Hs256",
        "HS256 ",
        " HS256",
        "HS256\\u0000",
        "HS2560",
        "HS",
        "HMAC",
        "ES256K",
        "RS1",
        "Ed448",
        "ed25519",
        "A128KW",
        "dir",
        "RSA-OAEP",
        "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
        "\u{41d}S256",
    ];
    for name in names {
        let header = format!(r#"{{"alg":"{name}","kid":"k1"}}"#);
        let input = module_tests::unsigned_part(&header, PAYLOAD);
        cases.extend([
            Case::token(
                format!("alg {name:?}, rightly signed"),
                ask(&signed(&header, PAYLOAD)?),
                "bad_algorithm",
            ),
            Case::token(
                format!("alg {name:?}, empty signature"),
                ask(&format!("{input}.")),
                "malformed",
            ),
            Case::token(format!("alg {name:?}, two sections"), ask(&input), "malformed"),
            Case::token(
                format!("alg {name:?}, some signature"),
                ask(&format!("{input}.AAAA")),
                "bad_algorithm",
            ),
        ]);
    }
    for header in [
        r#"{"kid":"k1"}"#,
        r#"{"Alg":"HS256","kid":"k1"}"#,
        r#"{"alg":null,"kid":"k1"}"#,
        r#"{"alg":["HS256"],"kid":"k1"}"#,
        r#"{"alg":[],"kid":"k1"}"#,
        r#"{"alg":{"HS256":1},"kid":"k1"}"#,
        r#"{"alg":256,"kid":"k1"}"#,
        r#"{"alg":true,"kid":"k1"}"#,
        r#"{"alg":"none","alg":"HS256","kid":"k1"}"#,
        r#"{"alg":"HS256","alg":"none","kid":"k1"}"#,
        r#"{"alg":"HS256","\u0061lg":"none","kid":"k1"}"#,
        "{}",
    ] {
        cases.push(Case::token(header, ask(&signed(header, PAYLOAD)?), "malformed"));
    }
    // The module compares the value after unescaping, and here it is HS256.
    let escaped = r#"{"alg":"\u0048S256","kid":"k1"}"#;
    cases.push(Case::token(escaped, ask(&signed(escaped, PAYLOAD)?), "ok"));
    let good = signed(crate::HEADER, PAYLOAD)?;
    let input = good.rsplit_once('.').unwrap().0;
    for (name, signature) in [
        ("empty", String::new()),
        ("one zero byte", base64url([0])),
        ("zeros", base64url([0; 32])),
        ("one byte less", base64url(&hmac("HS256", SECRET.as_bytes(), input.as_bytes())?[..31])),
        (
            "one byte more",
            base64url([hmac("HS256", SECRET.as_bytes(), input.as_bytes())?, vec![0]].concat()),
        ),
        ("by HS384", base64url(hmac("HS384", SECRET.as_bytes(), input.as_bytes())?)),
        ("by HS512", base64url(hmac("HS512", SECRET.as_bytes(), input.as_bytes())?)),
        ("with an empty secret", base64url(hmac("HS256", b"", input.as_bytes())?)),
        ("a thousand bytes", base64url([7; 1000])),
    ] {
        let word = if signature.is_empty() { "malformed" } else { "bad_signature" };
        cases.push(Case::token(
            format!("HMAC tag: {name}"),
            ask(&format!("{input}.{signature}")),
            word,
        ));
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn a_public_key_is_no_secret() -> Result<()> {
    let nginx = start()?;
    let mut cases = Vec::new();
    for (kid, key) in [("rsa", &RSA), ("p256", &P256), ("ed", &ED25519)] {
        let body: String = key.public.lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(&body)?;
        let jwk = key.jwk(&json!({ "kid": kid }))?.to_string();
        let secrets = [
            ("PEM", key.public.as_bytes().to_vec()),
            ("PEM without its last newline", key.public.trim_end().as_bytes().to_vec()),
            ("PEM with CRLF", key.public.replace('\n', "\r\n").into_bytes()),
            ("the base64 of the PEM", body.into_bytes()),
            ("DER", der),
            ("modulus or coordinate", key.public_number()?),
            ("its base64url", base64url(key.public_number()?).into_bytes()),
            ("JWK", jwk.into_bytes()),
            ("nothing", Vec::new()),
        ];
        for (name, secret) in secrets {
            for alg in ["HS256", "HS384", "HS512"] {
                let named = Jwt::live().kid(kid).hs(alg, &secret)?;
                let unnamed = Jwt::live().hs(alg, &secret)?;
                let case = |path, token, word| {
                    let request = nginx.request().target(path).bearer(token);
                    Case::token(format!("{alg} over {path} with {kid}: {name}"), request, word)
                };
                cases.extend([
                    case("/public", &named, "bad_algorithm"),
                    case("/public", &unnamed, "bad_algorithm"),
                    case("/mixed", &named, "bad_algorithm"),
                    case("/mixed", &unnamed, "bad_signature"),
                ]);
            }
        }
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn a_key_that_names_its_algorithm_serves_no_other() -> Result<()> {
    let with_alg = |alg: &str| RSA.jwk(&json!({ "kid": alg, "alg": alg }));
    let names = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    let mut keys = names.into_iter().map(with_alg).collect::<Result<Vec<_>>>()?;
    keys.push(P256.jwk(&json!({ "kid": "ES256", "alg": "ES256" }))?);
    keys.push(ED25519.jwk(&json!({ "kid": "EdDSA", "alg": "EdDSA" }))?);
    keys.push(RSA.jwk(&json!({ "kid": "any" }))?);
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
        .file("keys.json", jwk_set(&keys))
        .start()?;
    let ask = |token: &str| nginx.request().bearer(token);
    let mut cases = Vec::new();
    for kid in names {
        for alg in names {
            let word = if kid == alg { "ok" } else { "bad_algorithm" };
            let token = Jwt::live().kid(kid).sign(alg, &RSA)?;
            cases.push(Case::token(format!("{alg} under a key for {kid}"), ask(&token), word));
        }
    }
    for claimed in names {
        for used in names {
            let jwt = Jwt::live().kid("any");
            let token = jwt.signed(claimed, |input| signature(used, &RSA, input))?;
            let word = if claimed == used { "ok" } else { "bad_signature" };
            cases.push(Case::token(format!("{claimed} by {used}"), ask(&token), word));
        }
    }
    for (kid, key, own) in [("ES256", &P256, "ES256"), ("EdDSA", &ED25519, "EdDSA")] {
        for alg in ["ES256", "ES384", "ES512", "EdDSA", "RS256", "PS256", "HS256", "Ed25519"] {
            let token = Jwt::live().kid(kid).signed(alg, |input| signature(own, key, input))?;
            // RFC 9864 gives EdDSA over Ed25519 a second name, `Ed25519`.
            let same = alg == own || (alg, own) == ("Ed25519", "EdDSA");
            let word = if same { "ok" } else { "bad_algorithm" };
            cases.push(Case::token(format!("{alg} under {kid}"), ask(&token), word));
        }
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn a_key_at_odds_with_itself_is_refused_when_it_is_loaded() -> Result<()> {
    let of = |name: &str, key: Value, fragments: &[&str]| -> Mistake {
        mistake_in(name, "jwks_file keys.json;", "keys.json", key.to_string(), fragments)
    };
    let rsa = |more: Value| RSA.jwk(&more);
    let p256 = |more: Value| P256.jwk(&more);
    let ed = |more: Value| ED25519.jwk(&more);
    let ml_dsa = |more: Value| ML_DSA_44.jwk(&more);
    let der: String = ML_DSA_44.public.lines().filter(|line| !line.starts_with('-')).collect();
    let p384 = P384.jwk(&json!({}))?;
    let mistakes = [
        of("RSA for ES256", rsa(json!({ "alg": "ES256" }))?, &["alg", "ES256", "RSA"]),
        of("RSA for HS256", rsa(json!({ "alg": "HS256" }))?, &["alg", "HS256", "RSA"]),
        of("RSA for EdDSA", rsa(json!({ "alg": "EdDSA" }))?, &["alg", "EdDSA", "RSA"]),
        of("P-256 for ES384", p256(json!({ "alg": "ES384" }))?, &["alg", "ES384", "P-256"]),
        of("P-256 for RS256", p256(json!({ "alg": "RS256" }))?, &["alg", "RS256", "P-256"]),
        of("P-256 for HS256", p256(json!({ "alg": "HS256" }))?, &["alg", "HS256", "P-256"]),
        of("Ed25519 for ES256", ed(json!({ "alg": "ES256" }))?, &["alg", "ES256", "Ed25519"]),
        of("oct for RS256", json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "RS256" }), &["RS256"]),
        of("P-256 called P-384", p256(json!({ "crv": "P-384" }))?, &["x", "not a point of P-384"]),
        of("P-256 called P-521", p256(json!({ "crv": "P-521" }))?, &["x", "not a point of P-521"]),
        of("P-384 called P-256", merge(p384, json!({ "crv": "P-256" })), &["x", "48", "32"]),
        of("P-256 called Ed25519", p256(json!({ "crv": "Ed25519" }))?, &["crv", "Ed25519"]),
        of("P-256 as OKP", p256(json!({ "kty": "OKP" }))?, &["crv", "P-256"]),
        of("P-256 as RSA", p256(json!({ "kty": "RSA" }))?, &["n", "missing"]),
        of("P-256 as oct", p256(json!({ "kty": "oct" }))?, &["k", "missing"]),
        of("RSA as EC", rsa(json!({ "kty": "EC" }))?, &["crv", "missing"]),
        of("RSA in lower case", rsa(json!({ "kty": "rsa" }))?, &["kty", "rsa"]),
        of("X25519", ed(json!({ "crv": "X25519" }))?, &["crv", "X25519"]),
        of("secp256k1", serde_json::from_str(SECP256K1_JWK)?, &["crv", "secp256k1"]),
        of("off the curve", p256(json!({ "x": base64url([1; 32]) }))?, &["P-256"]),
        of("the point at infinity", p256(json!({ "x": "", "y": "" }))?, &["x", "0", "32"]),
        of("AKP without alg", ml_dsa(json!({ "alg": null }))?, &["alg", "missing"]),
        of("AKP with an empty alg", ml_dsa(json!({ "alg": "" }))?, &["alg", "missing"]),
        of("AKP for ES256", ml_dsa(json!({ "alg": "ES256" }))?, &["alg", "ES256", "AKP"]),
        of("AKP for HS256", ml_dsa(json!({ "alg": "HS256" }))?, &["alg", "HS256", "AKP"]),
        of("RSA for ML-DSA", rsa(json!({ "alg": "ML-DSA-44" }))?, &["alg", "ML-DSA-44", "RSA"]),
        of(
            "ML-DSA-44 called ML-DSA-65",
            ml_dsa(json!({ "alg": "ML-DSA-65" }))?,
            &["pub", "ML-DSA-65 public key of 1312 bytes; it has 1952"],
        ),
        of("AKP without pub", ml_dsa(json!({ "pub": null }))?, &["pub", "missing"]),
        of("AKP with an empty pub", ml_dsa(json!({ "pub": "" }))?, &["pub", "of 0 bytes"]),
        of("AKP with its DER", ml_dsa(json!({ "pub": der }))?, &["pub", "of 1334 bytes"]),
        of("kty as a number", rsa(json!({ "kty": 1 }))?, &["kty", "string"]),
        of("no kty", json!({ "keys": [{ "k": "c2VjcmV0" }] }), &["kty", "missing"]),
    ];
    println!("attack cases: {}", mistakes.len());
    refuse_all(&mistakes)
}

fn merge(mut one: Value, more: Value) -> Value {
    if let (Some(one), Value::Object(more)) = (one.as_object_mut(), more) {
        one.extend(more);
    }
    one
}

#[test]
fn a_key_that_is_not_for_signatures_verifies_none() -> Result<()> {
    let unfit = [
        ("enc", json!({ "use": "enc" })),
        ("Sig", json!({ "use": "Sig" })),
        ("sign", json!({ "key_ops": ["sign"] })),
        ("encrypt", json!({ "key_ops": ["encrypt", "wrapKey"] })),
        ("no-ops", json!({ "key_ops": [] })),
        ("enc-verify", json!({ "use": "enc", "key_ops": ["verify"] })),
        ("sig-sign", json!({ "use": "sig", "key_ops": ["sign"] })),
        ("odd-alg", json!({ "alg": "RSA-OAEP" })),
    ];
    let fit = [
        ("sig", json!({ "use": "sig" })),
        ("use-empty", json!({ "use": "" })),
        ("verify", json!({ "key_ops": ["verify"] })),
        ("both", json!({ "use": "sig", "key_ops": ["sign", "verify"] })),
    ];
    let key = |(kid, more): &(&str, Value)| RSA.jwk(&merge(json!({ "kid": kid }), more.clone()));
    let keys = unfit.iter().chain(&fit).map(key).collect::<Result<Vec<_>>>()?;
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
        .file("keys.json", jwk_set(&keys))
        .start()?;
    let mut cases = Vec::new();
    for (set, word) in [(&unfit[..], "unknown_key"), (&fit[..], "ok")] {
        for (kid, _) in set {
            let token = Jwt::live().kid(kid).sign("RS256", &RSA)?;
            cases.push(Case::token(*kid, nginx.request().bearer(&token), word));
        }
    }
    withstand(&nginx, cases)?;
    nginx.finish()?;
    // nginx must refuse a file in which such a key is the only one.
    let alone: Vec<Mistake> = unfit
        .iter()
        .map(|one| {
            let directive = "jwks_file keys.json;";
            Ok(mistake_in(one.0, directive, "keys.json", key(one)?.to_string(), &["no usable key"]))
        })
        .collect::<Result<_>>()?;
    refuse_all(&alone)
}

#[test]
fn a_key_in_the_header_is_neither_fetched_nor_used() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let url = format!("http://{}/keys.json", listener.local_addr()?);
    let certificate: String =
        P256.certificate.unwrap().lines().filter(|line| !line.starts_with('-')).collect();
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{ jwks_file keys.json; {SERVE} }}
            location /unnamed {{ jwks_file unnamed.json; {SERVE} }}
            location /secret {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"
        ))
        .file("keys.json", P256.jwks("ours")?)
        .file("unnamed.json", jwk_set(&[P256.jwk(&json!({}))?]))
        .html("keys.json", P256_OTHER.jwks("ours")?)
        .start()?;
    let local = format!("http://unix:{}:/keys.json", nginx.socket("s.sock").display());
    let evil = P256_OTHER.jwk(&json!({ "kid": "ours" }))?;
    let oct = json!({ "kty": "oct", "k": base64url("attacker"), "kid": "k1" });
    let members = [
        json!({ "jwk": evil }),
        json!({ "jwk": oct }),
        json!({ "jwk": evil.to_string() }),
        json!({ "jku": url }),
        json!({ "jku": local }),
        json!({ "jku": "file:///etc/passwd" }),
        json!({ "x5u": url }),
        json!({ "x5c": [certificate] }),
        json!({ "x5c": certificate }),
        json!({ "jwk": evil, "jku": url, "x5u": url, "x5c": [certificate], "x5t": "AAAA" }),
    ];
    let mut cases = Vec::new();
    for member in &members {
        let members = member.as_object().unwrap();
        let jwt = || {
            members.iter().fold(Jwt::live(), |jwt, (name, value)| jwt.header(name, value.clone()))
        };
        let mut add = |path: &str, token: String, word| {
            let name = format!("{path} with {:?}", members.keys().collect::<Vec<_>>());
            cases.push(Case::token(name, nginx.request().target(path).bearer(&token), word));
        };
        add("/", jwt().kid("ours").sign("ES256", &P256_OTHER)?, "bad_signature");
        add("/", jwt().kid("other").sign("ES256", &P256_OTHER)?, "unknown_key");
        add("/", jwt().sign("ES256", &P256_OTHER)?, "bad_signature");
        add("/unnamed", jwt().sign("ES256", &P256_OTHER)?, "bad_signature");
        add("/unnamed", jwt().kid("ours").sign("ES256", &P256_OTHER)?, "bad_signature");
        add("/secret", jwt().kid("k1").hs("HS256", "attacker")?, "bad_signature");
        // The module ignores these members, so a token signed with the right key still passes.
        add("/", jwt().kid("ours").sign("ES256", &P256)?, "ok");
    }
    let asked = cases.len();
    withstand(&nginx, cases)?;
    nginx.stop()?; // The last line is written after the answer.
    assert_eq!(nginx.access_log().lines().count(), asked, "somebody asked for the keys");
    nginx.finish()?;
    let connected = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(connected, Err(ErrorKind::WouldBlock), "somebody asked for the keys");
    Ok(())
}

#[test]
fn secrets_beside_public_keys_are_told_and_kept_apart() -> Result<()> {
    let oct = json!({ "kty": "oct", "k": base64url(SECRET), "kid": "same" });
    let keys = jwk_set(&[oct, RSA.jwk(&json!({ "kid": "same" }))?]);
    let builder = Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
        .file("keys.json", keys);
    let checked = builder.check()?;
    checked.warned_with(&["stands for more than one key"])?;
    checked.warned_with(&["shared secrets beside public keys"])?;
    let nginx = builder.start()?;
    let case =
        |name: &str, token: String, word| Case::token(name, nginx.request().bearer(&token), word);
    let cases = [
        case("HS256", Jwt::live().kid("same").hs("HS256", SECRET)?, "ok"),
        case("RS256", Jwt::live().kid("same").sign("RS256", &RSA)?, "ok"),
        case("no kid", Jwt::live().sign("PS512", &RSA)?, "ok"),
        case(
            "HS256 with the public key",
            Jwt::live().kid("same").hs("HS256", RSA.public)?,
            "bad_signature",
        ),
        case(
            "RS256 with the secret's tag",
            raw_token(r#"{"alg":"RS256","kid":"same"}"#, PAYLOAD, |input| {
                hmac("HS256", SECRET.as_bytes(), input)
            })?,
            "bad_signature",
        ),
    ];
    withstand(&nginx, cases)?;
    nginx.finish()?;
    nginx_t(format!("location / {{ jwt_kids {{ k1 {SECRET}; k1 {SECRET}; }} }}"))?
        .refused_with(&["duplicate kid", "k1"])
}
