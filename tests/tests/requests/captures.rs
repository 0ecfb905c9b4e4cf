//! Captures of patterns (`$1`): if any directive of a check evaluates a `map` with a pattern, the
//! captures of the request must not change, for other directives and for nginx itself.

// A panic in a helper fails the test and names the line, so indexing is fine here.
#![allow(clippy::indexing_slicing)]

mod property;
mod what_nginx_does;

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, P256, RSA, SECRET, SERVE, base64url, link, md5, now};
use serde_json::json;

const LINK_SECRET: &str = "a-secret-for-links-a-secret-for-links";

/// Maps for a switch, a token source and other values; their patterns have their own captures.
const MAPS: &str = r#"
    map $http_x_mode $sw       { volatile; default on; "~^strict(.*)$" on; }
    map $http_x_mode $kept_sw  { default on; "~^strict(.*)$" on; }
    map $http_x_mode $no_value { volatile; default ""; "~^strict(.*)$" ""; }
    map $http_x_mode $yes      { volatile; default yes; "~^(s)(t)(rict.*)$" yes; }
    map $http_x_auth $by_map   { volatile; "~^Token (.+)$" $1; }
"#;

/// With this header, `$1` inside the maps is `red`, whatever the path says.
const MODE: (&str, &str) = ("X-Mode", "strictred");

fn of_tenant(tenant: &str) -> Result<String> {
    Jwt::live_with(&json!({ "tenant": tenant })).kid("k1").hs("HS256", SECRET)
}

#[test]
fn a_switch_leaves_the_key_file_the_rule_and_the_link_as_they_are() -> Result<()> {
    let nginx = Nginx::builder()
        .http(MAPS)
        .server(format!(
            "location ~ ^/t/(red|blue)/ {{ jwt $sw; auth_jwt_key_file keys/$1.json; {SERVE} }}
            location ~ ^/c/(\\w+)/ {{ jwt $sw; jwt_kids {{ k1 {SECRET}; }} jwt_claim tenant = $1;
                {SERVE} }}
            location ~ ^/l/(\\w+)/ {{ secure_token $sw; secure_token_secret {LINK_SECRET};
                secure_token_value /l/$1/; {SERVE} }}"
        ))
        .file("keys/red.json", RSA.jwks("k")?)
        .file("keys/blue.json", P256.jwks("k")?)
        .start()?;
    let signed = Jwt::live().kid("k").sign("RS256", &RSA)?;
    let claims = of_tenant("red")?;
    let ask = |target: &str, token: &str| {
        let request = nginx.request().target(target).bearer(token);
        Ok::<_, anyhow::Error>([
            request.clone().send()?.status,
            request.header(MODE.0, MODE.1).send()?.status,
        ])
    };
    let query = link(LINK_SECRET, "/l/red/", now() + 300);
    let query = query.split_once('?').map(|(_, query)| query).unwrap_or_default();
    for (target, token, expected) in [
        ("/t/red/x".to_owned(), &signed, 200),
        ("/t/blue/x".to_owned(), &signed, 401),
        ("/c/red/x".to_owned(), &claims, 200),
        ("/c/blue/x".to_owned(), &claims, 403),
        (format!("/l/red/x?{query}"), &claims, 200),
        (format!("/l/blue/x?{query}"), &claims, 403),
    ] {
        assert_eq!(ask(&target, token)?, [expected; 2], "{target}");
    }
    nginx.finish()
}

/// Directives of a location `~ ^/N/(\w+)/`. Each must see the `$1` of the location, which is the
/// tenant of the token or of the link.
fn checks() -> Vec<String> {
    let kids = format!("jwt_kids {{ k1 {SECRET}; }}");
    let claim = "jwt_claim tenant = $1;";
    let secret = format!("secure_token_secret {LINK_SECRET};");
    vec![
        format!("{kids} jwt $kept_sw; {claim}"),
        format!("{kids} jwt_token $no_value bearer; {claim}"),
        format!("{kids} jwt_token \"$no_value$no_value\" bearer; {claim}"),
        format!("{kids} jwt_require $yes; jwt_claim tenant any $1 $1;"),
        format!("{kids} jwt_claim tenant any $yes $1;"),
        format!("{kids} jwt_claim tenant any \"$yes-$1\" \"$1$no_value\";"),
        format!("{kids} jwt_claim tenant = \"$no_value$1\";"),
        format!("{kids} jwt_claim tenant = \"$1$no_value\";"),
        format!("{kids} {claim} jwt_require $yes $1; jwt_realm \"$yes $1\";"),
        format!("{kids} jwt $sw; jwt_token $no_value bearer; {claim} jwt_require $yes;"),
        format!("jwks_file k1.json; auth_jwt_key_file \"k1$no_value.json\"; {claim}"),
        format!("jwks_file k1.json; auth_jwt_key_file \"$yes.json\"; {claim}"),
        format!("jwks_file k1.json; jwks_request \"/keys$no_value\"; {claim}"),
        format!("{kids} {secret} secure_token $sw; secure_token_value \"$1$no_value\"; {claim}"),
    ]
}

#[test]
fn every_directive_sees_the_captures_of_the_location() -> Result<()> {
    let echo = "add_header X-One \"$1|$2\" always; add_header X-Jwt-Status $jwt_status always;
        add_header X-Link-Status $secure_token_status always;";
    let locations: String = checks()
        .iter()
        .enumerate()
        .map(|(i, check)| format!("location ~ ^/{i}/(\\w+)/(x+) {{ {check} {echo} {SERVE} }}\n"))
        .collect();
    let nginx = Nginx::builder()
        .http(MAPS)
        .server(format!("{locations} location = /keys {{ root .; try_files /k1.json =404; }}"))
        .file("k1.json", jwk_of_secret())
        .file("yes.json", jwk_of_secret())
        .start()?;
    let token = of_tenant("red")?;
    for (i, check) in checks().iter().enumerate() {
        for tenant in ["red", "blue", "ed"] {
            let path = format!("/{i}/{tenant}/xx");
            let query = link(LINK_SECRET, "red", now() + 300).replacen("red", &path, 1);
            let passes = if tenant == "red" { 200 } else { 403 };
            for _ in 0..2 {
                let request = nginx.request().target(&query).header(MODE.0, MODE.1).bearer(&token);
                let response = request.send()?;
                let told = format!("{check} at {path}");
                assert_eq!(response.status, passes, "{told}");
                let one = response.header("X-One").map(str::to_owned);
                assert_eq!(one, Some(format!("{tenant}|xx")), "{told}");
            }
        }
    }
    nginx.finish()
}

fn jwk_of_secret() -> String {
    let secret = base64url(SECRET);
    json!({ "keys": [{ "kty": "oct", "kid": "k1", "k": secret }] }).to_string()
}

#[test]
fn a_token_that_a_map_takes_out_of_a_header_is_read_whole() -> Result<()> {
    let nginx = Nginx::builder()
        .http(MAPS)
        .server(format!(
            "location ~ ^/(\\w+)/ {{ jwt_token $by_map; jwt_kids {{ k1 {SECRET}; }}
                jwt_claim tenant = $1; {SERVE} }}"
        ))
        .start()?;
    let with = |path: &str, token: &str| {
        let request = nginx.request().target(path).header("X-Auth", format!("Token {token}"));
        Ok::<_, anyhow::Error>(request.send()?.verdict().0)
    };
    let red = of_tenant("red")?;
    assert_eq!((with("/red/", &red)?, with("/blue/", &red)?), (200, 403));
    let forged = Jwt::live_with(&json!({ "tenant": "red" })).kid("k1").hs("HS256", OTHER_SECRET)?;
    assert_eq!(with("/red/", &forged)?, 401);
    // A path that has the token itself as its tenant does not help.
    let named = format!("/{}/", red.replace(['.', '-'], "_"));
    assert_eq!(with(&named, &red)?, 403);
    nginx.finish()
}

#[test]
fn what_is_signed_has_the_captures_of_the_location_beside_a_map() -> Result<()> {
    let nginx = Nginx::builder()
        .http(MAPS)
        .server(format!(
            "location ~ ^/v/(\\w+)/ {{ secure_token_secret {LINK_SECRET};
                secure_token_value \"$1-$no_value-$1\"; {SERVE} }}
            location ~ ^/m/(\\w+)/ {{
                secure_token_md5 \"$1$no_value$secure_token_expires$1 {LINK_SECRET}\"; {SERVE} }}"
        ))
        .start()?;
    let expires = now() + 300;
    let value = |tenant: &str| link(LINK_SECRET, &format!("{tenant}--{tenant}"), expires);
    let expression = |tenant: &str| {
        let digest = md5(format!("{tenant}{expires}{tenant} {LINK_SECRET}").as_bytes());
        format!("?st={}&e={expires}", base64url(digest))
    };
    for (place, query) in [("v", value("red")), ("m", expression("red"))] {
        let query = query.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
        for (tenant, status) in [("red", 200), ("blue", 403), ("ed", 403)] {
            let target = format!("/{place}/{tenant}/?{query}");
            let plain = nginx.get(&target)?.status;
            let with = nginx.request().target(&target).header(MODE.0, MODE.1).send()?.status;
            assert_eq!((plain, with), (status, status), "{target}");
        }
    }
    nginx.finish()
}
