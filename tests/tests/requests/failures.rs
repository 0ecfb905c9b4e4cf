//! If any part of a check fails, at any depth, the whole check fails: the answer is 500, also where
//! another check alone would be enough.

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, SECRET, SERVE, link, now};
use serde_json::json;

const LINK_SECRET: &str = "a-secret-for-links-a-secret-for-links";

/// A client can break the switch `$arg_sw`; everything that depends on it must then fail, too.
const MAPS: &str = r#"
    map $secure_token_status $link_ok   { volatile; ok yes; "" yes; default ""; }
    map $secure_token_status $link_kept { ok yes; "" yes; default ""; }
    map $jwt_status          $token_ok  { volatile; ok yes; "" yes; default ""; }
    map $secure_token_expires $unsigned { volatile; "" yes; default ""; }
"#;

fn token() -> Result<String> {
    Jwt::live_with(&json!({ "yes": "yes" })).kid("k1").hs("HS256", SECRET)
}

/// Rules that pass if the link's variables are empty, so a failure must not look empty.
fn rules() -> Vec<&'static str> {
    vec![
        "jwt_require $link_ok;",
        "jwt_require $link_kept;",
        "jwt_require yes $unsigned;",
        "jwt_claim yes = $link_ok;",
        "jwt_claim yes = \"yes$secure_token_status\";",
        "jwt_claim yes any x \"yes$secure_token_expires\" y;",
        "jwt_claim yes = yes; jwt_require $link_ok yes;",
    ]
}

#[test]
fn a_rule_that_reads_a_failure_fails() -> Result<()> {
    let kids = format!("jwt_kids {{ k1 {SECRET}; }}");
    let secret = format!("secure_token $arg_sw; secure_token_secret {LINK_SECRET};");
    let mut locations = String::new();
    for (i, rule) in rules().iter().enumerate() {
        for satisfy in ["any", "all"] {
            for (early, set) in [
                ("late", ""),
                ("early", "set $early $jwt_status;"),
                ("nginx", "set $early \"$link_ok$link_kept\";"),
            ] {
                locations.push_str(&format!(
                    "location = /{satisfy}/{early}/{i} {{ {set} satisfy {satisfy};
                        {kids} {secret} {rule} {SERVE} }}\n"
                ));
            }
        }
    }
    let nginx = Nginx::builder().http(MAPS).server(locations).start()?;
    for (i, rule) in rules().iter().enumerate() {
        for place in ["any/late", "any/early", "any/nginx", "all/late", "all/early", "all/nginx"] {
            let path = format!("/{place}/{i}");
            let ask = |query: &str| Ok::<_, anyhow::Error>(nginx.bearer(query, &token()?)?.status);
            let told = format!("{rule} at {path}");
            assert_eq!(ask(&format!("{path}?sw=bogus"))?, 500, "{told}");
            // A missing link has no expiry, and that is not a failure.
            let by_expiry = rule.contains("$unsigned") || rule.contains("_expires");
            if !by_expiry || place.starts_with("all") {
                assert_eq!(ask(&format!("{path}?sw=on"))?, 403, "{told}");
            }
            let signed = link(LINK_SECRET, &path, now() + 300);
            assert_eq!(ask(&format!("{signed}&sw=bogus"))?, 500, "{told}");
        }
    }
    assert!(nginx.error_log().contains("\"secure_token\" has the invalid value \"bogus\""));
    nginx.finish()
}

#[test]
fn a_broken_switch_never_lets_a_request_through_that_nothing_vouches_for() -> Result<()> {
    let kids = format!("jwt_kids {{ k1 {SECRET}; }}");
    let secret = format!("secure_token_secret {LINK_SECRET};");
    let nginx = Nginx::builder()
        .http(MAPS)
        .server(format!(
            "satisfy any; {secret} secure_token $arg_sw;
            location /link {{ {SERVE} }}
            location /on {{ {kids} {SERVE} }}
            location /optional {{ {kids} jwt optional; {SERVE} }}
            location /permissive {{ {kids} jwt permissive; {SERVE} }}
            location /variable {{ {kids} jwt $arg_jwt; {SERVE} }}
            location /deny {{ {kids} deny all; {SERVE} }}
            location /rule {{ {kids} jwt_require $link_ok; {SERVE} }}
            location /realm {{ {kids} jwt_realm $secure_token_status; {SERVE} }}
            location /error {{ {kids} error_page 500 = /fallback; {SERVE} }}
            location = /fallback {{ internal; {kids} {SERVE} }}"
        ))
        .start()?;
    let forged = Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)?;
    for place in
        ["link", "on", "optional", "permissive", "variable", "deny", "rule", "realm", "error"]
    {
        for broken in ["sw=bogus", "sw=bogus&jwt=on", "sw=on&jwt=bogus", "sw=ON", "sw=on,off"] {
            let path = format!("/{place}");
            let signed = link("wrong", &path, now() + 300);
            for target in [format!("{path}?{broken}"), format!("{signed}&{broken}")] {
                for request in [
                    nginx.request().target(&target),
                    nginx.request().target(&target).bearer(&forged),
                    nginx.request().target(&target).bearer("rubbish"),
                ] {
                    let status = request.send()?.status;
                    assert!([401, 403, 500].contains(&status), "{status} for {target}");
                }
            }
        }
    }
    // A good token is enough, although the switch of the link check is broken.
    assert_eq!(nginx.bearer("/on?sw=bogus", &token()?)?.status, 200);
    nginx.finish()
}

#[test]
fn a_link_that_rests_on_a_broken_token_check_fails() -> Result<()> {
    let kids = format!("jwt_kids {{ k1 {SECRET}; }} jwt $arg_jwt;");
    let nginx = Nginx::builder()
        .http(MAPS)
        .server(format!(
            "{kids} satisfy any;
            location = /switch {{ secure_token $token_ok; secure_token_secret {LINK_SECRET}; {SERVE} }}
            location = /value {{ secure_token_secret {LINK_SECRET};
                secure_token_value \"$uri$jwt_claim_sub\"; {SERVE} }}"
        ))
        .start()?;
    for path in ["/switch", "/value"] {
        let signed = link(LINK_SECRET, path, now() + 300);
        assert_eq!(nginx.bearer(format!("{signed}&jwt=bogus"), &token()?)?.status, 500, "{path}");
        let status = nginx.get(format!("{signed}&jwt=bogus"))?.status;
        assert_eq!(status, 500, "{path}");
    }
    nginx.finish()
}

#[test]
fn an_expiry_that_is_not_verified_is_not_shown_in_the_same_value_either() -> Result<()> {
    let nginx = Nginx::builder()
        .http(MAPS)
        .server(format!(
            "location / {{ secure_token_md5 \"$secure_token_expires$uri {LINK_SECRET}\";
                add_header X-Both \"$secure_token_status/$secure_token_expires\" always;
                add_header X-Via-Map \"$secure_token_status/$unsigned\" always;
                {SERVE} }}
            location /early {{ secure_token_md5 \"$secure_token_expires$uri {LINK_SECRET}\";
                return 200 \"$secure_token_status/$secure_token_expires\"; }}"
        ))
        .start()?;
    let response = nginx.get(format!("/?st=AAAAAAAAAAAAAAAAAAAAAA&e={}", now() + 300))?;
    assert_eq!(response.status, 403);
    for (name, value) in [("X-Both", "bad_signature/"), ("X-Via-Map", "bad_signature/yes")] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let early = nginx.get(format!("/early?st=AAAAAAAAAAAAAAAAAAAAAA&e={}", now() + 300))?;
    assert_eq!(early.text(), "bad_signature/");
    nginx.finish()
}
