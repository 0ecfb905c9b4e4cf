//! nginx reads a file once, even if many places in the configuration name it.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use module_tests::{
    Jwt, Nginx, OTHER_SECRET, P256, P256_OTHER, RSA, SECRET, SERVE, resident, until,
};
use serde_json::json;

/// `count` locations with the same directives: `/0/`, `/1/` and so on.
fn locations(count: usize, directives: &str) -> String {
    let mut server = String::new();
    for at in 0..count {
        let _ = writeln!(server, "location /{at}/ {{ {directives} {SERVE} }}");
    }
    server
}

/// The resident memory of the master, in KiB.
fn master_memory(nginx: &Nginx) -> Result<u64> {
    resident(nginx.read("nginx.pid").trim().parse().context("nginx.pid")?)
}

#[test]
fn two_hundred_locations_hold_a_file_as_one_does() -> Result<()> {
    let kids: serde_json::Map<_, _> =
        (0..5_000).map(|at| (format!("kid-{at}"), json!(SECRET))).collect();
    let kids = json!(kids).to_string();
    let list: String = (0..50_000).map(|at| format!("token-{at}\n")).collect();
    for check in ["", " check=1h"] {
        let directives =
            format!("jwt_kids_file kids.json{check}; jwt_revoked jti list.txt{check};");
        let mut taken = Vec::new();
        for count in [1, 200] {
            let nginx = Nginx::builder()
                .server(locations(count, &directives))
                .file("kids.json", kids.as_str())
                .file("list.txt", list.as_str())
                .start()?;
            taken.push(master_memory(&nginx)?);
            let good = Jwt::live_with(&json!({"jti": "other"})).kid("kid-4999");
            let gone = Jwt::live_with(&json!({"jti": "token-49999"})).kid("kid-4999");
            let last = format!("/{}/", count - 1);
            let good = nginx.bearer(&last, &good.hs("HS256", SECRET)?)?;
            assert_eq!(good.verdict(), (200, "ok"));
            let gone = nginx.bearer(&last, &gone.hs("HS256", SECRET)?)?;
            assert_eq!(gone.verdict(), (401, "revoked"));
            nginx.finish()?;
        }
        // The keys take about 3 MiB, and the list takes another 3 MiB.
        let grown = taken[1].saturating_sub(taken[0]);
        assert!(grown < 8 * 1024, "200 locations take {grown} KiB more, {check:?}");
    }
    Ok(())
}

#[test]
fn a_change_is_seen_in_all_locations() -> Result<()> {
    let keys = locations(3, "jwks_file keys.json check=1s; jwt_revoked jti list.txt check=1s;");
    let nginx = Nginx::builder()
        .server(keys)
        .file("keys.json", P256.jwks("k")?)
        .file("list.txt", "a\n")
        .start()?;
    let token = |key, jti| Jwt::live_with(&json!({ "jti": jti })).kid("k").sign("ES256", key);
    let refused = |token: &str| -> Result<Vec<bool>> {
        let ask = |at| Ok(nginx.bearer(format!("/{at}/"), token)?.status == 401);
        (0..3).map(ask).collect()
    };
    let (old, new) = (token(&P256, "b")?, token(&P256_OTHER, "b")?);
    assert_eq!(refused(&old)?, [false; 3]);
    assert_eq!(refused(&new)?, [true; 3]);
    nginx.put("keys.json", P256_OTHER.jwks("k")?)?;
    until("new keys", || Ok((refused(&new)? == [false; 3]).then_some(())))?;
    assert_eq!(refused(&old)?, [true; 3]);
    nginx.put("list.txt", "b\n")?;
    until("a new list", || Ok((refused(&new)? == [true; 3]).then_some(())))?;
    nginx.finish()
}

#[test]
fn what_a_file_is_read_as_tells_it_from_itself() -> Result<()> {
    // The configuration names one key file with and without `check=` and with two kids, and one
    // list for two claims.
    let nginx = Nginx::builder()
        .server(format!(
            "location /a/ {{ jwks_file key.pem kid=a; jwt_revoked jti list.txt; {SERVE} }}
             location /b/ {{ jwks_file key.pem kid=b; jwt_revoked sid list.txt; {SERVE} }}
             location /c/ {{ jwks_file key.pem kid=a check=1s; {SERVE} }}"
        ))
        .file("key.pem", P256.public)
        .file("list.txt", "x\n")
        .start()?;
    for (kid, claim, passes) in [
        ("a", "none", ["/a/", "/c/"].as_slice()),
        ("b", "none", &["/b/"]),
        ("a", "sid", &["/a/", "/c/"]),
        ("a", "jti", &["/c/"]),
        ("b", "jti", &["/b/"]),
        ("b", "sid", &[]),
    ] {
        let token = Jwt::live_with(&json!({ claim: "x" })).kid(kid).sign("ES256", &P256)?;
        for place in ["/a/", "/b/", "/c/"] {
            let passed = nginx.bearer(place, &token)?.status != 401;
            assert_eq!(passed, passes.contains(&place), "{kid} {claim} {place}");
        }
    }
    nginx.finish()
}

#[test]
fn a_warning_is_told_once_and_a_file_twice_on_one_level_is_as_two() -> Result<()> {
    let check = |server: String| {
        Nginx::builder()
            .server(server)
            .file("kids.json", json!({"k": "short"}).to_string())
            .file("other.json", json!({"k": OTHER_SECRET}).to_string())
            .file("keys.json", RSA.jwks("k")?)
            .check()
    };
    for time in ["", " check=5s"] {
        let checked = check(locations(3, &format!("jwt_kids_file kids.json{time};")))?;
        checked.warned_with(&["jwt_kids_file", "kids.json", "nginx.conf:"])?;
        assert_eq!(checked.stderr.matches("[warn]").count(), 1, "{}", checked.stderr);
        let kids = format!("jwt_kids_file other.json{time};");
        check(locations(1, &kids.repeat(2)))?.refused_with(&["duplicate kid", "\"k\""])?;
        let keys = format!("jwks_file keys.json{time};");
        let checked = check(locations(2, &keys.repeat(2)))?;
        checked.warned_with(&["kid \"k\" is in another key source of this level"])?;
        assert_eq!(checked.stderr.matches("[warn]").count(), 2, "{}", checked.stderr);
    }
    Ok(())
}
