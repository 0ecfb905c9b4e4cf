//! The cache of verified tokens: each attack is sent before and after the token that it imitates
//! was accepted. It must get the same answer as without a cache.

use anyhow::Result;
use module_tests::{
    ED25519, Jwt, Nginx, OTHER_SECRET, P256, P256_OTHER, RSA, SECRET, SERVE, base64url, hmac, now,
    unsigned_part, until,
};
use serde_json::json;

use super::{Case, withstand};

/// Locations that judge the same token by different configurations.
fn start() -> Result<Nginx> {
    Nginx::builder()
        .http(format!(
            "jwt_provider home {{ jwt_issuer home; jwt_kids {{ k1 {SECRET}; }} }}
            jwt_provider partner {{ jwt_issuer partner; jwt_kids {{ k1 {OTHER_SECRET}; }} }}
            jwt_provider moved {{ jwt_issuer partner; jwt_kids {{ k1 {SECRET}; }} }}"
        ))
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}
            location /other {{ jwt_kids {{ k1 {OTHER_SECRET}; }} {SERVE} }}
            location /unknown {{ jwt_kids {{ k2 {SECRET}; }} {SERVE} }}
            location /again {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}
            location /algorithm {{ jwt_kids {{ k1 {SECRET}; }} jwt_algorithms HS512; {SERVE} }}
            location /audience {{ jwt_kids {{ k1 {SECRET}; }} jwt_audience web; {SERVE} }}
            location /issuer {{ jwt_kids {{ k1 {SECRET}; }} jwt_issuer you; {SERVE} }}
            location /typ {{ jwt_kids {{ k1 {SECRET}; }} jwt_typ at+jwt; {SERVE} }}
            location /revoked {{ jwt_kids {{ k1 {SECRET}; }} jwt_revoked jti gone.txt; {SERVE} }}
            location /lifetime {{ jwt_kids {{ k1 {SECRET}; }} jwt_max_lifetime 1s; {SERVE} }}
            location /home {{ jwt on provider=home provider=partner; {SERVE} }}
            location /moved {{ jwt on provider=home provider=moved; {SERVE} }}
            location /only {{ jwt on provider=partner; {SERVE} }}
            location /public {{ jwks_file rsa.json; jwks_file p256.json; jwks_file ed.json; {SERVE} }}"
        ))
        .file("gone.txt", "t-1\n")
        .file("rsa.json", RSA.jwks("rsa")?)
        .file("p256.json", P256.jwks("p256")?)
        .file("ed.json", ED25519.jwks("ed")?)
        .start()
}

#[test]
fn the_same_first_bytes_with_another_signature() -> Result<()> {
    let nginx = start()?;
    let mut cases = Vec::new();
    let mut add = |path: &str, name: String, token: &str, word| {
        cases.push(Case::token(name, nginx.request().target(path).bearer(token), word));
    };
    let good = Jwt::live().kid("k1").hs("HS256", SECRET)?;
    let keys = [("RS256", "rsa", &RSA), ("ES256", "p256", &P256), ("EdDSA", "ed", &ED25519)];
    let mut tokens = vec![("/", "HS256", good)];
    for (alg, kid, key) in keys {
        tokens.push(("/public", alg, Jwt::live().kid(kid).sign(alg, key)?));
    }
    for (path, alg, good) in tokens {
        for round in ["first", "again"] {
            let (message, signature) = good.rsplit_once('.').unwrap();
            add(path, format!("{alg} {round}"), &good, "ok");
            for at in [0, signature.len() / 2, signature.len() - 3] {
                let mut other = signature.as_bytes().to_vec();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                let other = String::from_utf8(other)?;
                let token = format!("{message}.{other}");
                add(path, format!("{alg} {round}, byte {at}"), &token, "bad_signature");
            }
            let shorter = format!("{message}.{}", &signature[signature.len() % 4 + 4..]);
            add(path, format!("{alg} {round}, shorter"), &shorter, "bad_signature");
            let longer = format!("{good}AAAA");
            add(path, format!("{alg} {round}, longer"), &longer, "bad_signature");
            // The same signature with a changed payload of the same length.
            let (header, payload) = message.split_once('.').unwrap();
            let mut changed = payload.as_bytes().to_vec();
            let middle = changed.len() / 2;
            changed[middle] = if changed[middle] == b'x' { b'y' } else { b'x' };
            let changed = format!("{header}.{}.{signature}", String::from_utf8(changed)?);
            add(path, format!("{alg} {round}, other claims"), &changed, "bad_signature");
            add(path, format!("{alg} {round}, once more"), &good, "ok");
        }
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn the_same_token_in_another_location_and_of_another_provider() -> Result<()> {
    let nginx = start()?;
    let mut cases = Vec::new();
    let claims = json!({ "iss": "home", "aud": "api", "jti": "t-1" });
    let home = Jwt::live_with(&claims).kid("k1").hs("HS256", SECRET)?;
    let partner = Jwt::live_with(&json!({ "iss": "partner" })).kid("k1");
    let (theirs, moved) = (partner.hs("HS256", OTHER_SECRET)?, partner.hs("HS256", SECRET)?);
    // Each of the four groups is first once, and all of them are sent twice in turn.
    for start in 0..4 {
        for round in start..start + 8 {
            let mut add = |path: &str, token: &str, word| {
                let name = format!("{path} {word} {start} {round}");
                cases.push(Case::token(name, nginx.request().target(path).bearer(token), word));
            };
            match round % 4 {
                0 => {
                    add("/", &home, "ok");
                    add("/again", &home, "ok");
                    add("/other", &home, "bad_signature");
                    add("/unknown", &home, "unknown_key");
                }
                1 => {
                    add("/algorithm", &home, "bad_algorithm");
                    add("/audience", &home, "bad_audience");
                    add("/issuer", &home, "bad_issuer");
                    add("/lifetime", &home, "bad_lifetime");
                    add("/revoked", &home, "revoked");
                }
                2 => {
                    add("/home", &home, "ok");
                    add("/moved", &home, "ok");
                    add("/only", &home, "bad_issuer");
                    add("/home", &theirs, "ok");
                    add("/moved", &theirs, "bad_signature");
                }
                _ => {
                    add("/only", &theirs, "ok");
                    add("/only", &moved, "bad_signature");
                    add("/moved", &moved, "ok");
                    add("/home", &moved, "bad_signature");
                    add("/", &moved, "ok");
                    add("/other", &moved, "bad_signature");
                }
            }
        }
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn after_its_key_is_removed_or_replaced() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{ auth_jwt api; auth_jwt_key_file \"${{arg_f}}.json\"; {SERVE} }}"
        ))
        .start()?;
    let good = Jwt::live().kid("k").sign("ES256", &P256)?;
    let ask = || nginx.bearer("/?f=keys", &good).map(|it| it.verdict().1.to_owned());
    for _ in 0..3 {
        nginx.put("keys.json", P256.jwks("k")?)?;
        assert_eq!((ask()?, ask()?), ("ok".to_owned(), "ok".to_owned()));
        nginx.put("keys.json", P256_OTHER.jwks("k")?)?;
        assert_eq!(ask()?, "bad_signature");
        nginx.put("keys.json", P256.jwks("another-kid")?)?;
        assert_eq!(ask()?, "unknown_key");
    }
    nginx.finish()
}

#[test]
fn after_its_exp() -> Result<()> {
    let nginx = Nginx::start(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"))?;
    let ends = now() + 3;
    let expiring = Jwt::new(json!({ "exp": ends })).kid("k1").hs("HS256", SECRET)?;
    let word = || nginx.bearer("/", &expiring).map(|it| it.verdict().1.to_owned());
    assert_eq!((word()?, word()?), ("ok".to_owned(), "ok".to_owned()));
    let last = until("the end of the token", || {
        let word = word()?;
        Ok((word != "ok").then_some(word))
    })?;
    assert_eq!(last, "expired");
    assert!(now() >= ends);
    nginx.finish()
}

#[test]
fn a_storm_of_forgeries_is_not_remembered() -> Result<()> {
    let nginx = Nginx::builder()
        .http("jwt_cache 64k;")
        .server(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"))
        .quiet_log()
        .start()?;
    let good = Jwt::live().kid("k1").hs("HS256", SECRET)?;
    let message = unsigned_part(super::HEADER, r#"{"sub":"mallory"}"#);
    let tag = hmac("HS256", OTHER_SECRET.as_bytes(), message.as_bytes())?;
    for i in 0..500_u32 {
        let mut tag = tag.clone();
        tag[..4].copy_from_slice(&i.to_be_bytes());
        let forged = format!("{message}.{}", base64url(tag));
        assert_eq!(nginx.bearer("/", &forged)?.verdict(), (401, "bad_signature"), "{i}");
        if i % 50 == 0 {
            assert_eq!(nginx.bearer("/", &good)?.verdict(), (200, "ok"), "{i}");
        }
    }
    nginx.finish()
}
