//! `jwt_mint`: tokens of nginx's own, for upstreams.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use module_tests::{ED25519, Jwt, Nginx, P256, RSA, SECRET, until};
use serde_json::{Value, json};

use super::{claims, section};

/// An upstream that tells which token it has got, and checks it by the published keys.
const INTERNAL: &str = "location = /jwks { jwks_publish; }
    location = /internal { jwks_request /jwks; jwt_audience internal; try_files /ok.txt =404; }";

const MINT: &str = "jwt_mint $internal {
        jwt_sign_key edge.pem kid=edge-1;
        claim iss edge; claim sub $jwt_claim_sub; claim aud internal;
        claim roles $jwt_claim_roles json; claim none $jwt_claim_none;
        lifetime 60s;
    }";

const API: &str = "location /api/ { jwt_kids { k1 correct-horse-battery-staple-correct-horse-battery-staple-0123456789; }
        add_header X-Internal $internal; try_files /ok.txt =404; }";

fn start(mint: &str, more: &str) -> Result<Nginx> {
    Nginx::builder()
        .file("edge.pem", ED25519.private)
        .http(mint)
        .server(format!("{API} {INTERNAL} {more}"))
        .start()
}

/// The token that nginx makes for a user's token.
fn minted(nginx: &Nginx, user: &str) -> Result<String> {
    let answer = nginx.bearer("/api/x", user)?;
    assert_eq!(answer.status, 200, "{}", nginx.error_log());
    Ok(answer.header("X-Internal").context("no token")?.to_owned())
}

fn user(more: &Value) -> Result<String> {
    Jwt::live_with(more).kid("k1").hs("HS256", SECRET)
}

#[test]
fn a_token_has_claims_of_the_one_that_was_verified() -> Result<()> {
    let nginx = start(MINT, "")?;
    let token = minted(&nginx, &user(&json!({ "roles": ["a", "b,c"], "n": 1 }))?)?;
    assert_eq!(section(&token, 0)?, r#"{"alg":"EdDSA","typ":"JWT","kid":"edge-1"}"#);
    let found = claims(&token)?;
    assert_eq!(found["roles"], json!(["a", "b,c"]), "an array stays one");
    assert_eq!(
        (&found["iss"], &found["sub"], &found["aud"]),
        (&json!("edge"), &json!("alice"), &json!("internal"))
    );
    let names: BTreeSet<_> =
        found.as_object().context("claims")?.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["iss", "sub", "aud", "roles", "iat", "exp"]));
    assert_eq!(found["exp"].as_i64().unwrap_or(0) - found["iat"].as_i64().unwrap_or(0), 60);
    assert_eq!(nginx.bearer("/internal", &token)?.verdict(), (200, "ok"));
    // Without roles the claim is left out; the user's own token is none for the upstream.
    let plain = user(&json!({}))?;
    assert_eq!(claims(&minted(&nginx, &plain)?)?["roles"], Value::Null);
    assert_eq!(nginx.bearer("/internal", &plain)?.status, 401);
    nginx.finish()
}

#[test]
fn it_is_signed_once_for_a_user_while_it_lasts() -> Result<()> {
    let status = "location = /status { token_auth_status format=json; }";
    let nginx = start(&MINT.replace("60s", "5s"), status)?;
    let signed = || -> Result<u64> {
        let status: Value = serde_json::from_slice(&nginx.get("/status")?.body)?;
        Ok(status["signed"]["EdDSA"].as_u64().unwrap_or(0))
    };
    let (alice, bob) = (user(&json!({}))?, user(&json!({ "sub": "bob" }))?);
    let first = minted(&nginx, &alice)?;
    let began = std::time::Instant::now();
    for _ in 0..50 {
        assert_ne!(minted(&nginx, &bob)?, first);
        if began.elapsed().as_secs() < 3 {
            assert_eq!(minted(&nginx, &alice)?, first);
        }
    }
    if began.elapsed().as_secs() < 3 {
        assert_eq!(signed()?, 2);
    }
    // After four fifths of its time there is a new one.
    let next = until("a new token", || {
        let token = minted(&nginx, &alice)?;
        Ok((token != first).then_some(token))
    })?;
    let [first, next] = [claims(&first)?, claims(&next)?];
    assert!(
        first["exp"].as_i64() > next["iat"].as_i64(),
        "{first} {next}: the old one was still valid"
    );
    assert!(signed()? >= 3);
    nginx.finish()
}

#[test]
fn what_cannot_be_signed_is_empty_and_told() -> Result<()> {
    let mint = "jwt_mint $internal { jwt_sign_key edge.pem; claim x $arg_x json; claim exp $arg_exp json; }";
    let nginx = start(mint, "")?;
    let token = user(&json!({}))?;
    for (query, why) in
        [("x={", "claim \"x\" is no JSON"), ("exp=true", "claim \"exp\" is no number")]
    {
        let answer = nginx.bearer(format!("/api/x?{query}"), &token)?;
        assert_eq!((answer.status, answer.header("X-Internal")), (200, None), "{query}");
        super::logged(&nginx, &format!("jwt_mint: $internal is empty: {why}"))?;
    }
    let answer = nginx.bearer("/api/x?x=[1,2]&exp=4102444800", &token)?;
    let found = claims(answer.header("X-Internal").context("no token")?)?;
    assert_eq!((&found["x"], &found["exp"]), (&json!([1, 2]), &json!(4_102_444_800_i64)));
    nginx.finish()
}

#[test]
fn nginx_reads_it_twice_and_gets_the_same() -> Result<()> {
    // The value is measured, then copied: with tokens that live for a second the time ends in between
    // sooner or later. ES256 signatures differ each time, but not in length.
    let mint =
        "jwt_mint $internal { jwt_sign_key edge.pem; claim sub $jwt_claim_sub; lifetime 1s; }";
    let nginx = start(
        mint,
        "location = /echo { jwt off; add_header X-Twice '$internal|$internal'; try_files /ok.txt =404; }",
    )?;
    let began = std::time::Instant::now();
    while began.elapsed().as_millis() < 1500 {
        let answer = nginx.get("/echo")?;
        let twice = answer.header("X-Twice").context("no header")?;
        let (one, two) = twice.split_once('|').context("one token")?;
        assert_eq!(one, two);
    }
    nginx.finish()
}

#[test]
fn mistakes_in_the_block_are_told() -> Result<()> {
    for (http, message) in [
        ("jwt_mint internal { jwt_sign_key edge.pem; }", "must be the name of a variable"),
        ("jwt_mint $a { claim sub x; }", "has no jwt_sign_key in its block"),
        ("jwt_mint $a { jwt_sign_key edge.pem; claim sub; }", "wants lines of the form"),
        ("jwt_mint $a { jwt_sign_key edge.pem; clame sub x; }", "not \"clame\""),
        ("jwt_mint $a { jwt_sign_key edge.pem; lifetime 0; }", "must be at least a second"),
        (
            "jwt_mint $a { jwt_sign_key edge.pem; lifetime 1s; lifetime 2s; }",
            "has a second lifetime",
        ),
        ("jwt_mint $a { jwt_sign_key edge.pem; claim a b; claim a c; }", "is there twice"),
        ("jwt_mint $a { jwt_sign_key none.pem; }", "none.pem\": No such file"),
        ("jwt_mint $host { jwt_sign_key edge.pem; }", "duplicate \"host\" variable"),
        (
            "jwt_mint $a { jwt_sign_key edge.pem; } jwt_mint $a { jwt_sign_key edge.pem; }",
            "duplicate \"a\" variable",
        ),
    ] {
        let checked = Nginx::builder().file("edge.pem", P256.private).http(http).check()?;
        checked.refused_with(&[message]).context(http)?;
    }
    Nginx::builder()
        .file("edge.pem", P256.private)
        .http("jwt_mint $a { jwt_sign_key edge.pem; }")
        .server("jwt_mint $b { jwt_sign_key edge.pem; }")
        .check()?
        .refused_with(&["\"jwt_mint\" directive is not allowed here"])?;
    Ok(())
}

#[test]
fn many_users_are_remembered_in_bounded_memory() -> Result<()> {
    let second = std::time::Duration::from_secs(1);
    if module_tests::patience(second) > second {
        println!("not run: a sanitizer keeps what was freed");
        return Ok(());
    }
    let mint = "jwt_mint $internal { jwt_sign_key edge.pem; claim sub $arg_u; claim pad $arg_p; lifetime 1h; }";
    let nginx =
        start(mint, "location = /echo { add_header X-I $internal; try_files /ok.txt =404; }")?;
    let pid = *nginx.workers().first().context("a worker")?;
    let pad = "p".repeat(3000);
    let mut connection = nginx.connect()?;
    let mut ask = |from: u32, to: u32| -> Result<u64> {
        for at in from..to {
            let request = nginx.request().target(format!("/echo?u={at}&p={pad}")).keep_alive();
            if connection.send(&request).map(|answer| answer.status != 200).unwrap_or(true) {
                connection = nginx.connect()?;
            }
        }
        module_tests::resident_private(pid)
    };
    let before = ask(0, 1500)?;
    let after = ask(1500, 4500)?;
    assert!(after < before + 3000, "{before} KiB, then {after} KiB");
    nginx.finish()
}

#[test]
fn a_new_key_signs_new_tokens_at_once() -> Result<()> {
    let mint =
        "jwt_mint $internal { jwt_sign_key edge.pem check=10ms; claim aud internal; lifetime 1h; }";
    let nginx = start(mint, "")?;
    let token = user(&json!({}))?;
    let first = minted(&nginx, &token)?;
    nginx.put("edge.pem", RSA.private)?;
    let next = until("the new key", || {
        let next = minted(&nginx, &token)?;
        Ok((next != first).then_some(next))
    })?;
    assert!(section(&next, 0)?.contains("RS256"));
    for token in [first, next] {
        assert_eq!(nginx.bearer("/internal", &token)?.verdict(), (200, "ok"));
    }
    nginx.finish()
}

#[test]
fn a_token_that_depends_on_itself_is_empty() -> Result<()> {
    let mint = "jwt_mint $internal { jwt_sign_key edge.pem; claim x $internal; }
        jwt_mint $one { jwt_sign_key edge.pem; claim x $two; }
        jwt_mint $two { jwt_sign_key edge.pem; claim x $mapped; }
        map $one $mapped { volatile; default $one; }";
    let nginx = start(
        mint,
        "location = /echo { add_header X-I '$internal|$one'; try_files /ok.txt =404; }",
    )?;
    let answer = nginx.get("/echo")?;
    assert_eq!(answer.header("X-I"), Some("|"));
    super::logged(&nginx, "$internal is empty: one of its claims depends on it")?;
    super::logged(&nginx, "is empty: one of its claims depends on it")?;
    nginx.finish()
}

#[test]
fn a_token_is_not_given_after_the_exp_that_a_claim_says() -> Result<()> {
    let mint = "jwt_mint $internal { jwt_sign_key edge.pem; claim exp $arg_e json; lifetime 1h; }";
    let nginx =
        start(mint, "location = /echo { add_header X-I $internal; try_files /ok.txt =404; }")?;
    let exp = module_tests::now() + 2;
    let ask = || -> Result<String> {
        let answer = nginx.get(format!("/echo?e={exp}"))?;
        Ok(answer.header("X-I").context("a token")?.to_owned())
    };
    let first = ask()?;
    let next = until("another token", || {
        let next = ask()?;
        Ok((next != first).then_some(next))
    })?;
    assert!(claims(&next)?["iat"].as_i64() > claims(&first)?["iat"].as_i64());
    let bad = nginx.get("/echo?e=true")?;
    assert_eq!(bad.header("X-I"), None);
    nginx.finish()
}

#[test]
fn json_of_a_claim_is_the_claim_in_every_spelling() -> Result<()> {
    let mint = "jwt_mint $internal { jwt_sign_key edge.pem; claim a $jwt_claim_roles json;
        claim b ${jwt_claim_roles} json; claim c $jwt_claim_ROLES json; claim d $jwt_claim_none json;
        claim e $jwt_claim_null json; claim f $jwt_claim_text json; }";
    let nginx = start(mint, "")?;
    let user = user(&json!({ "roles": ["x", { "y": 1 }], "text": "{\"admin\":true}" }))?;
    let found = claims(&minted(&nginx, &user)?)?;
    for name in ["a", "b", "c"] {
        assert_eq!(found[name], json!(["x", { "y": 1 }]), "{name}");
    }
    assert_eq!((&found["d"], &found["f"]), (&Value::Null, &json!("{\"admin\":true}")));
    assert!(found.get("d").is_none() && found.get("e").is_none());
    nginx.finish()
}

/// A claim without a verdict yet is not an absent one.
#[test]
fn no_token_is_made_while_keys_are_fetched() -> Result<()> {
    let provider = module_tests::Provider::start(module_tests::Behaviour::Keys(RSA.jwks("one")?))?;
    let mint = "jwt_mint $internal { jwt_sign_key edge.pem; claim sub $jwt_claim_sub; }";
    let nginx = Nginx::builder()
        .file("edge.pem", ED25519.private)
        .http(mint)
        .server(format!(
            "location = /_jwks {{ internal; {} }}
            location /api/ {{
                jwks_request /_jwks?$arg_none;
                set $early $internal;
                add_header X-Early $early; add_header X-Internal $internal;
                try_files /ok.txt =404;
            }}",
            provider.pass()
        ))
        .start()?;
    let token = Jwt::live().kid("one").sign("RS256", &RSA)?;
    let answer = nginx.bearer("/api/x", &token)?;
    assert_eq!(answer.status, 200);
    assert_eq!(claims(answer.header("X-Internal").context("a token")?)?["sub"], "alice");
    if let Some(early) = answer.header("X-Early") {
        assert_eq!(claims(early)?["sub"], "alice");
    }
    nginx.finish()
}
