//! Switches of the token check that `map` computes, with every operator of a rules engine; and
//! switches that depend on the verdict of their own check, which must fail.

use anyhow::Result;
use module_tests::{Jwt, Nginx, RSA, Request, SECRET, SERVE, link, now};
use serde_json::json;

const LINK_SECRET: &str = "a-secret-for-links-a-secret-for-links";

fn k1() -> Result<String> {
    Jwt::live().kid("k1").hs("HS256", SECRET)
}

/// Whether the module demands a token for this request.
fn judged(request: Request) -> Result<bool> {
    let response = request.clone().send()?;
    assert!([(200, "off"), (401, "missing")].contains(&response.verdict()), "{response:?}");
    let judged = response.status == 401;
    let with = request.bearer(&k1()?).send()?;
    assert_eq!(with.verdict(), (200, if judged { "ok" } else { "off" }));
    Ok(judged)
}

#[test]
fn a_map_compares_any_variable_in_every_way() -> Result<()> {
    let maps = r#"
        map $host $equal { private.example on; default off; }
        map $request_method $not_equal { GET off; }
        map $request_uri $prefix { ~^/prefix/closed on; default off; }
        map $request_uri $not_prefix { ~^/not_prefix/open off; default on; }
        map $uri $regex { "~*\.(m3u8|ts)$" on; default off; }
        map $http_user_agent $not_regex { "~(Googlebot|bingbot)" off; default on; }
        map $http_x_app $exists { "" off; default on; }
        map $cookie_session $not_exists { "" on; default off; }
        map $remote_addr $address { unix: on; default off; }
        map $arg_tier $one_of { gold on; silver on; default off; }
        map "$equal $exists" $and { "on on" on; default off; }
        map "$equal $exists" $or { "off off" off; default on; }
        map $scheme $scheme_is { https on; default off; }
    "#;
    let names = [
        "equal",
        "not_equal",
        "prefix",
        "not_prefix",
        "regex",
        "not_regex",
        "exists",
        "not_exists",
        "address",
        "one_of",
        "and",
        "or",
        "scheme_is",
    ];
    let locations: String = names
        .iter()
        .map(|name| format!("location /{name}/ {{ jwt ${name}; {SERVE} }}\n"))
        .collect();
    let nginx = Nginx::builder()
        .http(maps)
        .server(format!("jwt_kids {{ k1 {SECRET}; }} {locations}"))
        .start()?;
    let at = |target: &str| nginx.request().target(target);
    for (request, expected) in [
        (at("/equal/").host("private.example"), true),
        (at("/equal/").host("PRIVATE.example"), true),
        (at("/equal/").host("private.example.org"), false),
        (at("/not_equal/").method("GET"), false),
        (at("/not_equal/").method("HEAD"), true),
        (at("/prefix/closed/x"), true),
        (at("/prefix/open"), false),
        (at("/not_prefix/open/x"), false),
        (at("/not_prefix/other"), true),
        (at("/regex/a/B.M3U8"), true),
        (at("/regex/a/b.m3u8.txt"), false),
        (at("/not_regex/").header("User-Agent", "Mozilla (compatible; Googlebot/2.1)"), false),
        (at("/not_regex/").header("User-Agent", "Mozilla"), true),
        (at("/not_regex/"), true),
        (at("/exists/").header("X-App", "1"), true),
        (at("/exists/").header("X-App", ""), false),
        (at("/exists/"), false),
        (at("/not_exists/").header("Cookie", "session=1"), false),
        (at("/not_exists/"), true),
        (at("/address/"), true),
        (at("/one_of/?tier=silver"), true),
        (at("/one_of/?tier=bronze"), false),
        (at("/and/").host("private.example").header("X-App", "1"), true),
        (at("/and/").host("private.example"), false),
        (at("/and/").header("X-App", "1"), false),
        (at("/or/").header("X-App", "1"), true),
        (at("/or/").host("private.example"), true),
        (at("/or/"), false),
        (at("/scheme_is/"), false),
    ] {
        let told = String::from_utf8_lossy(&request.bytes()).into_owned();
        assert_eq!(judged(request)?, expected, "{told}");
    }
    nginx.finish()
}

#[test]
fn a_preflight_request_is_exempt_by_its_method_alone() -> Result<()> {
    let nginx = Nginx::builder()
        .http(
            // For any other method the map is empty, which means on.
            "map $request_method $asked { OPTIONS off; }
            server { listen unix:up.sock; add_header X-From upstream;
                if ($request_method = OPTIONS) { return 204; } return 200 up; }",
        )
        .server(format!(
            "location / {{ jwt $asked; jwt_kids {{ k1 {SECRET}; }} proxy_pass http://unix:up.sock; }}"
        ))
        .start()?;
    let preflight = nginx
        .request()
        .method("OPTIONS")
        .header("Origin", "https://app.example")
        .header("Access-Control-Request-Method", "PUT");
    assert_eq!(preflight.send()?.verdict(), (204, "off"));
    for method in
        ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTION", "OPTIONSX", "X-OPTIONS"]
    {
        let request = nginx
            .request()
            .method(method)
            .header("Origin", "https://app.example")
            .header("Access-Control-Request-Method", "PUT")
            .header("X-HTTP-Method-Override", "OPTIONS");
        assert_eq!(request.clone().send()?.verdict(), (401, "missing"), "{method}");
        assert_eq!(request.bearer(&k1()?).send()?.verdict(), (200, "ok"), "{method}");
    }
    assert_ne!(nginx.request().method("options").send()?.status, 204);
    nginx.finish()
}

#[test]
fn a_variable_that_is_set_later_is_asked_again_before_the_request_passes() -> Result<()> {
    // In an earlier phase, `if` reads a claim while the switch is still empty.
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} jwt $mode; set $mode \"\";
        if ($jwt_claim_role = admin) {{ set $area staff; }}
        set $mode on;
        location / {{ {SERVE} }}
        location /own {{ jwt_claim role = admin; {SERVE} }}
        location /below {{ set $mode optional; if ($jwt_status = none) {{ return 204; }}
            set $mode on; {SERVE} }}"
    ))?;
    for path in ["/", "/own", "/below"] {
        assert_eq!(nginx.get(path)?.verdict(), (401, "missing"), "{path}");
        assert_eq!(nginx.bearer(path, "rubbish")?.verdict(), (401, "malformed"), "{path}");
    }
    assert_eq!(nginx.bearer("/", &k1()?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/own", &k1()?)?.verdict(), (403, "denied"));
    nginx.finish()
}

#[test]
fn a_rule_on_a_variable_that_is_set_later_goes_by_its_last_value() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} jwt_claim not_in none $tenant; set $tenant \"\";
        if ($jwt_status = none) {{ return 204; }}
        location ~ ^/t/(?<name>[a-z]+)/ {{ set $tenant $name; {SERVE} }}
        location / {{ {SERVE} }}"
    ))?;
    let token = Jwt::live_with(&json!({ "not_in": ["red"] })).kid("k1").hs("HS256", SECRET)?;
    assert_eq!(nginx.bearer("/t/blue/", &token)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/t/red/", &token)?.verdict(), (403, "denied"));
    nginx.finish()
}

#[test]
fn a_check_that_needs_its_own_verdict_fails_and_never_passes() -> Result<()> {
    let kids = format!("jwt_kids {{ k1 {SECRET}; }}");
    let signed = format!("secure_token_secret {LINK_SECRET};");
    let circular = [
        format!("{kids} jwt $jwt_claim_mode;"),
        format!("{kids} jwt $jwt_status;"),
        format!("{kids} jwt $by_status;"),
        format!("{kids} jwt $jwt_provider;"),
        format!("{kids} jwt $own_claim;"),
        format!("{kids} jwt $jwt_payload;"),
        format!("{kids} jwt_token \"$jwt_claim_token\";"),
        format!("{kids} jwt_token $jwt_payload bearer;"),
        format!("{kids} jwt_token $own_claim bearer;"),
        format!("{signed} secure_token_value \"$secure_token_status\";"),
        format!("{signed} secure_token_value \"$uri$secure_token_expires\";"),
        format!("{signed} secure_token $secure_token_status;"),
        format!("{signed} secure_token $by_link;"),
        format!("{kids} jwt $by_link; {signed} secure_token_value \"$uri$jwt_claim_nobody\";"),
        format!("{kids} jwt $by_link; {signed} secure_token $by_status;"),
        // A map that is not volatile caches the value that it got inside the circle.
        format!("{kids} jwt $kept_by_status;"),
    ];
    let locations: String = circular
        .iter()
        .enumerate()
        .flat_map(|(i, check)| {
            let early = "set $early \"$jwt_status$secure_token_status$kept_by_status\";";
            [
                format!("location = /{i} {{ {check} {SERVE} }}\n"),
                format!("location = /early/{i} {{ {early} {check} {SERVE} }}\n"),
            ]
        })
        .collect();
    let nginx = Nginx::builder()
        .http(
            "map $jwt_status $by_status { volatile; ok off; \"\" off; default on; }
            map $jwt_status $kept_by_status { \"\" off; default on; }
            map $secure_token_status $by_link { volatile; ok off; \"\" off; default on; }
            jwt_claim_set $own_claim mode;",
        )
        .server(locations)
        .start()?;
    let token =
        Jwt::live_with(&json!({ "mode": "off", "token": "x" })).kid("k1").hs("HS256", SECRET)?;
    for (i, check) in circular.iter().enumerate() {
        for path in [format!("/{i}"), format!("/early/{i}")] {
            let signed = link(LINK_SECRET, &path, now() + 300);
            let told = format!("{check} at {path}");
            let all = nginx.bearer(&signed, &token)?.status;
            assert_eq!(all, 500, "{told}, with a link and a token");
            // Without a good token and a good link, the check may end before it reaches the circle.
            for request in [
                nginx.request().target(&path),
                nginx.request().target(&signed),
                nginx.request().target(&path).bearer(&token),
                nginx.request().target(&signed).bearer("rubbish"),
            ] {
                let status = request.send()?.status;
                assert!([401, 403, 500].contains(&status), "{told}: {status}");
            }
        }
    }
    nginx.finish()
}

#[test]
fn a_key_file_that_is_named_by_the_claims_that_it_is_to_verify_fails() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{ auth_jwt x; auth_jwt_key_file \"${{jwt_claim_sub}}keys.json\"; {SERVE} }}"
        ))
        .file("keys.json", RSA.jwks("rsa")?)
        .start()?;
    let token = Jwt::live_with(&json!({ "sub": "" })).kid("rsa").sign("RS256", &RSA)?;
    assert_eq!(nginx.bearer("/", &token)?.status, 500);
    // Without a token no key is needed.
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    nginx.finish()
}
