//! `jwt_status_list`: tokens are looked up in the Token Status List that they name.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use module_tests::{
    Behaviour, Jwt, Nginx, P256, P256_OTHER, Provider, SECRET, SERVE, now, until, until_verdict,
};
use serde_json::{Value, json};

use crate::{GOOD, NO_LIST, REVOKED, STATUS, source, status};

const SUSPENDED: (u16, &str) = (401, "suspended");
const BAD_STATUS: (u16, &str) = (401, "bad_status");

/// What the names of the lists begin with.
const PREFIX: &str = "https://login.example/lists/";

/// A zlib stream (RFC 1950) of these bytes, in one stored block (RFC 1951 section 3.2.4).
fn zlib(bytes: &[u8]) -> Result<Vec<u8>> {
    let len = u16::try_from(bytes.len())?;
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    let sum = (b << 16 | a).to_be_bytes();
    let mut out = vec![0x78, 0x01, 0x01];
    out.extend(len.to_le_bytes());
    out.extend((!len).to_le_bytes());
    out.extend(bytes);
    out.extend(sum);
    Ok(out)
}

/// The claims of a Status List Token with statuses of two bits.
fn claims(name: &str, statuses: &[u8]) -> Result<Value> {
    let bytes: Vec<u8> = statuses
        .chunks(4)
        .map(|four| four.iter().enumerate().fold(0, |byte, (at, status)| byte | status << (2 * at)))
        .collect();
    let lst = URL_SAFE_NO_PAD.encode(zlib(&bytes)?);
    Ok(json!({
        "sub": format!("{PREFIX}{name}"), "iat": now(), "exp": now() + 300, "ttl": 60,
        "status_list": { "bits": 2, "lst": lst }
    }))
}

fn signed(claims: Value) -> Result<String> {
    Jwt::new(claims).kid("e1").header("typ", json!("statuslist+jwt")).sign("ES256", &P256)
}

/// 200 with the Status List Token of `/lists/NAME`.
fn answer(token: String) -> Behaviour {
    Behaviour::Headers(vec![("Content-Type", "application/statuslist+jwt".into())], token)
}

fn list(name: &str, statuses: &[u8]) -> Result<Behaviour> {
    Ok(answer(signed(claims(name, statuses)?)?))
}

/// A token with this claim `status`.
fn token_with(status: Value) -> Result<String> {
    Jwt::live_with(&json!({ "status": status })).kid("e1").sign("ES256", &P256)
}

/// A token with this index in the list NAME.
fn token(name: &str, index: u64) -> Result<String> {
    token_with(json!({ "status_list": { "uri": format!("{PREFIX}{name}"), "idx": index } }))
}

fn server(store: &Provider, options: &str) -> Result<String> {
    Ok(format!(
        "location /_lists/ {{ internal; {} }}
        location /open {{ {SERVE} }}
        {STATUS}
        location / {{ jwks_file keys.json; jwt_status_list {PREFIX} /_lists/ {options}; {SERVE} }}",
        store.pass_to("/")
    ))
}

fn start(store: &Provider, options: &str) -> Result<module_tests::Builder> {
    Ok(Nginx::builder().server(server(store, options)?).file("keys.json", P256.jwks("e1")?))
}

#[test]
fn the_list_says_whether_a_token_passes() -> Result<()> {
    let store = Provider::start(Behaviour::Status(404, String::new()))?;
    store.set_for("/1", list("1", &[0, 1, 2, 3, 0, 0, 0, 1])?);
    let nginx = start(&store, "")?.start()?;
    for (index, verdict) in [
        (0, GOOD),
        (1, REVOKED),
        (2, SUSPENDED),
        (3, BAD_STATUS),
        (4, GOOD),
        (7, REVOKED),
        (8, BAD_STATUS),
    ] {
        assert_eq!(nginx.bearer("/", &token("1", index)?)?.verdict(), verdict, "{index}");
    }
    assert_eq!(store.count(), 1);
    let received = store.received();
    assert_eq!(received[0].header("Accept"), Some("application/statuslist+jwt"));
    for reason in [
        "revoked: by the status list \\\"https://login.example/lists/1\\\"",
        "suspended: by the status list",
        "bad_status: value 3 in the status list",
        "bad_status: index 8 is beyond the 8 entries",
    ] {
        let reason = reason.replace("\\\"", "\"");
        nginx.wait_log(|line| line.contains(&reason))?;
    }
    nginx.finish()
}

#[test]
fn a_token_must_say_where_its_status_is_as_the_draft_has_it() -> Result<()> {
    let store = Provider::start(Behaviour::Status(404, String::new()))?;
    store.set_for("/1", list("1", &[0; 8])?);
    let nginx = start(&store, "")?.start()?;
    let uri = format!("{PREFIX}1");
    for (status, verdict) in [
        (Value::Null, GOOD),
        (json!({}), GOOD),
        (json!({ "status_list": null }), GOOD),
        (json!({ "other": 1 }), GOOD),
        (json!("x"), BAD_STATUS),
        (json!({ "status_list": [] }), BAD_STATUS),
        (json!({ "status_list": { "uri": uri } }), BAD_STATUS),
        (json!({ "status_list": { "idx": 0 } }), BAD_STATUS),
        (json!({ "status_list": { "uri": uri, "idx": "0" } }), BAD_STATUS),
        (json!({ "status_list": { "uri": uri, "idx": -1 } }), BAD_STATUS),
        (json!({ "status_list": { "uri": uri, "idx": 0.5 } }), BAD_STATUS),
        (json!({ "status_list": { "uri": 1, "idx": 0 } }), BAD_STATUS),
        (json!({ "status_list": { "uri": "https://other/1", "idx": 0 } }), BAD_STATUS),
        (json!({ "status_list": { "uri": "https://login.example.evil/1", "idx": 0 } }), BAD_STATUS),
        (json!({ "status_list": { "uri": uri, "idx": 0 } }), GOOD),
    ] {
        assert_eq!(nginx.bearer("/", &token_with(status.clone())?)?.verdict(), verdict, "{status}");
    }
    nginx.wait_log(|line| line.contains("no jwt_status_list covers \"https://other/1\""))?;
    nginx.finish()
}

#[test]
fn a_status_may_be_required() -> Result<()> {
    let store = Provider::start(list("1", &[0; 8])?)?;
    let nginx = start(&store, "required")?.start()?;
    assert_eq!(nginx.bearer("/", &token_with(Value::Null)?)?.verdict(), BAD_STATUS);
    nginx.wait_log(|line| line.contains("bad_status: the token has no status"))?;
    assert_eq!(nginx.bearer("/", &token("1", 0)?)?.verdict(), GOOD);
    nginx.finish()
}

#[test]
fn a_list_that_is_not_what_it_must_be_is_not_used() -> Result<()> {
    let good = || claims("1", &[0; 8]);
    let with = |more: Value| -> Result<Value> {
        let mut claims = good()?;
        let all = claims.as_object_mut().context("no object")?;
        all.extend(more.as_object().context("no object")?.clone());
        Ok(claims)
    };
    let cases = [
        (Jwt::new(good()?).kid("e1").sign("ES256", &P256)?, "statuslist+jwt"),
        (
            Jwt::new(good()?)
                .kid("e1")
                .header("typ", json!("statuslist+jwt"))
                .sign("ES256", &P256_OTHER)?,
            "bad_signature",
        ),
        (
            Jwt::new(good()?)
                .kid("e2")
                .header("typ", json!("statuslist+jwt"))
                .sign("ES256", &P256)?,
            "unknown_key",
        ),
        (signed(claims("2", &[0; 8])?)?, "sub is"),
        (signed(with(json!({ "exp": now() - 1 }))?)?, "expired"),
        (signed(with(json!({ "iat": now() + 900 }))?)?, "iat"),
        (signed(with(json!({ "iat": null }))?)?, "iat"),
        (signed(with(json!({ "ttl": 0 }))?)?, "ttl"),
        (signed(with(json!({ "status_list": { "bits": 3, "lst": "eNo" } }))?)?, "bits"),
        (signed(with(json!({ "status_list": { "bits": 1, "lst": "eNo" } }))?)?, "lst"),
        (token("1", 0)?, "statuslist+jwt"),
        ("{}".to_owned(), "malformed"),
    ];
    for (list, reason) in cases {
        let store = Provider::start(answer(list))?;
        let nginx = start(&store, "")?.expect_log("there is no list").start()?;
        assert_eq!(nginx.bearer("/", &token("1", 0)?)?.verdict(), NO_LIST, "{reason}");
        let line = nginx.wait_log(|line| line.contains("status list from \"/_lists/1\""))?;
        ensure!(line.contains(reason) && line.contains("[error]"), "{reason}: {line}");
        nginx.wait_log(|line| {
            line.contains("no_list: the status list \"https://login.example/lists/1\" is not there")
        })?;
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn a_store_that_is_down_changes_no_verdict_until_the_list_is_stale() -> Result<()> {
    let store = Provider::start(list("1", &[0, 1])?)?;
    let nginx = start(&store, "valid=1s stale=2s")?
        .workers(2)
        .expect_log("the last good list stays")
        .expect_log("there is no list")
        .start()?;
    let (good, revoked) = (token("1", 0)?, token("1", 1)?);
    assert_eq!(nginx.bearer("/", &good)?.verdict(), GOOD);
    store.set(Behaviour::Status(500, String::new()));
    let began = std::time::Instant::now();
    until("the end of the list", || {
        let (one, other) = (nginx.bearer("/", &good)?, nginx.bearer("/", &revoked)?);
        if one.verdict() == NO_LIST {
            return Ok(Some(()));
        }
        ensure!(one.verdict() == GOOD, "{:?}", one.verdict());
        ensure!([REVOKED, NO_LIST].contains(&other.verdict()), "{:?}", other.verdict());
        Ok(None)
    })?;
    ensure!(began.elapsed() > Duration::from_millis(1_800), "{:?}", began.elapsed());
    store.set(list("1", &[1, 0])?);
    until_verdict(&nginx, &good, REVOKED)?;
    until_verdict(&nginx, &revoked, GOOD)?;
    nginx.finish()
}

#[test]
fn without_a_list_tokens_may_pass() -> Result<()> {
    let store = Provider::start(Behaviour::Status(500, String::new()))?;
    let nginx = start(&store, "missing=pass")?.expect_log("there is no list").start()?;
    assert_eq!(nginx.bearer("/", &token("1", 1)?)?.verdict(), GOOD);
    nginx.wait_log(|line| line.contains("missing=pass"))?;
    until("the count", || Ok((status(&nginx)?["unchecked"] == 1).then_some(())))?;
    // Not so if it is not of the lists that are looked up.
    let other = token_with(json!({ "status_list": { "uri": "https://other/", "idx": 0 } }))?;
    assert_eq!(nginx.bearer("/", &other)?.verdict(), BAD_STATUS);
    assert_eq!(source(&nginx, "/_lists/")?["kind"], "list");
    nginx.finish()
}

#[test]
fn a_list_that_nobody_has_asked_for_in_a_while_is_fetched_first() -> Result<()> {
    let store = Provider::start(list("1", &[0])?)?;
    let nginx = start(&store, "valid=200ms stale=1h")?.start()?;
    let token = token("1", 0)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), GOOD);
    store.set(list("1", &[1])?);
    let fetched = std::time::Instant::now();
    until("the time", || Ok((fetched.elapsed() > Duration::from_millis(700)).then_some(())))?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), REVOKED);
    nginx.finish()
}

#[test]
fn a_list_is_not_used_beyond_its_own_end() -> Result<()> {
    let mut claims = claims("1", &[0])?;
    claims["exp"] = json!(now() + 2);
    let store = Provider::start(answer(signed(claims)?))?;
    let nginx = start(&store, "valid=1h stale=1h")?
        .expect_log("the last good list stays")
        .expect_log("there is no list")
        .start()?;
    let token = token("1", 0)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), GOOD);
    until_verdict(&nginx, &token, NO_LIST)?;
    nginx.finish()
}

#[test]
fn the_ttl_counts_also_when_the_same_list_comes_again() -> Result<()> {
    let mut claims = claims("1", &[0])?;
    claims["ttl"] = json!(1);
    let store = Provider::start(answer(signed(claims)?))?;
    let nginx = start(&store, "valid=1h")?.start()?;
    let token = token("1", 0)?;
    until("a third fetch of the same list", || {
        assert_eq!(nginx.bearer("/", &token)?.verdict(), GOOD);
        Ok((store.count() >= 3).then_some(()))
    })?;
    nginx.finish()
}

#[test]
fn a_list_that_ends_is_told_of_although_it_is_the_same() -> Result<()> {
    let mut claims = claims("1", &[0])?;
    claims["exp"] = json!(now() + 2);
    let store = Provider::start(answer(signed(claims)?))?;
    let nginx = start(&store, "valid=1s")?
        .expect_log("the last good list stays")
        .expect_log("there is no list")
        .start()?;
    let token = token("1", 0)?;
    until_verdict(&nginx, &token, NO_LIST)?;
    // It is fetched when somebody asks.
    until("the end to be told of", || {
        assert_eq!(nginx.bearer("/", &token)?.verdict(), NO_LIST);
        Ok(nginx.error_log().contains("it expired").then_some(()))
    })?;
    nginx.finish()
}

#[test]
fn lists_of_one_name_are_verified_by_the_keys_of_each_policy() -> Result<()> {
    let store = Provider::start(list("1", &[0, 1])?)?;
    let nginx = Nginx::builder()
        .http(format!("jwt_status_list {PREFIX} /_lists/;"))
        .server(format!(
            "location /_lists/ {{ internal; jwt off; {} }}
            location /one {{ jwks_file keys.json; {SERVE} }}
            location /other {{ jwks_file others.json; {SERVE} }}
            location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}",
            store.pass_to("/")
        ))
        .file("keys.json", P256.jwks("e1")?)
        .file("others.json", P256_OTHER.jwks("e1")?)
        .expect_log("there is no list")
        .start()?;
    let status = json!({ "status_list": { "uri": format!("{PREFIX}1"), "idx": 0 } });
    let jwt = Jwt::live_with(&json!({ "status": status })).kid("e1");
    assert_eq!(nginx.bearer("/one", &jwt.sign("ES256", &P256)?)?.verdict(), GOOD);
    // The list is not signed by the key that this location trusts.
    assert_eq!(nginx.bearer("/other", &jwt.sign("ES256", &P256_OTHER)?)?.verdict(), NO_LIST);
    assert_eq!(nginx.bearer("/one", &jwt.sign("ES256", &P256)?)?.verdict(), GOOD);
    nginx.finish()
}

#[test]
fn a_name_leads_nowhere_but_below_the_location() -> Result<()> {
    let store = Provider::start(list("1", &[0])?)?;
    let nginx = start(&store, "")?.expect_log("there is no list").start()?;
    for rest in ["../open", "a/../../open", "%2e%2e/open", "..%2fopen"] {
        let answer = nginx.bearer("/", &token(rest, 0)?)?;
        ensure!(answer.verdict() != GOOD, "{rest}: {:?}", answer.verdict());
    }
    for received in store.received() {
        ensure!(!received.target().contains(".."), "{}", received.target());
    }
    nginx.finish()
}

#[test]
fn a_flood_of_names_does_not_grow_the_memory() -> Result<()> {
    let store = Provider::start(list("x", &[0; 64])?)?;
    let nginx = start(&store, "")?
        .http("jwt_revoked_zone 128k;")
        .expect_log("there is no list")
        .expect_log("there is no room")
        .start()?;
    for at in 0..1_500 {
        store.set_for(&format!("/{at}"), list(&at.to_string(), &[0; 64])?);
    }
    for at in 0..1_500 {
        let verdict = nginx.bearer("/", &token(&at.to_string(), 0)?)?.verdict().1.to_owned();
        ensure!(verdict == "ok", "{at}: {verdict}");
    }
    nginx.finish()
}
