//! `jwt_claim_set` and `jwt_header_set`: variables for a claim or header by path and letter case.

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, SECRET, SERVE, hmac, raw_token};
use serde_json::{Value, json};

/// A server that shows these variables in the response header `X-All`.
fn start(http: &str, shown: &str) -> Result<Nginx> {
    Nginx::builder()
        .http(http)
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} add_header X-All \"{shown}\" always;
                add_header X-Jwt-Status $jwt_status always; }}"
        ))
        .start()
}

fn shown(nginx: &Nginx, jwt: &Jwt) -> Result<String> {
    let response = nginx.bearer("/", &jwt.clone().kid("k1").hs("HS256", SECRET)?)?;
    assert_eq!(response.status, 200);
    Ok(response.header("X-All").unwrap_or_default().to_owned())
}

#[test]
fn names_lead_inwards_one_by_one() -> Result<()> {
    let nginx = start(
        "jwt_claim_set $plain sub; jwt_claim_set $deep a b c; jwt_claim_set $dots a.b.c;
        jwt_claim_set $mixed a b.c; jwt_claim_set $url https://x.example/roles;
        jwt_claim_set $spaced \"a name\" \"another one\"; jwt_claim_set $none a b d;",
        "<$plain><$deep><$dots><$mixed><$url><$spaced><$none>",
    )?;
    for (claims, text) in [
        (json!({ "a": { "b": { "c": 1 } } }), "<alice><1><1><1><><><>"),
        (json!({ "a": { "b.c": 2 } }), "<alice><><2><2><><><>"),
        (json!({ "a.b.c": 3 }), "<alice><><3><><><><>"),
        (json!({ "https://x.example/roles": ["x", "y"] }), "<alice><><><><x,y><><>"),
        (json!({ "a name": { "another one": "z" } }), "<alice><><><><><z><>"),
        (json!({ "a": "b", "sub": null }), "<><><><><><><>"),
        (json!({ "a": [{ "b": 1 }] }), "<alice><><><><><><>"),
    ] {
        assert_eq!(shown(&nginx, &Jwt::live_with(&claims))?, text, "{claims}");
    }
    nginx.finish()
}

#[test]
fn a_claim_is_found_in_its_own_case() -> Result<()> {
    let nginx = start(
        "jwt_claim_set $user userId; jwt_claim_set $MixedCase USERID; jwt_header_set $app appName;",
        "<$user><$mixedcase><$jwt_claim_userId><$jwt_claim_userid><$app><$jwt_header_appName>",
    )?;
    let jwt = Jwt::live_with(&json!({ "userId": "a", "USERID": "b", "userid": "c" }));
    let jwt = jwt.header("appName", json!("d"));
    assert_eq!(shown(&nginx, &jwt)?, "<a><b><c><c><d><>");
    nginx.finish()
}

#[test]
fn values_of_every_type_are_text() -> Result<()> {
    let nginx = start("jwt_claim_set $v v; jwt_header_set $h h;", "<$v><$h>")?;
    for (value, text) in [
        (json!("x"), "x"),
        (json!(""), ""),
        (json!(0), "0"),
        (json!(-1.5), "-1.5"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!(true), "true"),
        (json!(["a", "b c", 1, false]), "a,b c,1,false"),
        (json!([]), ""),
        (json!([["a", "b"], "c"]), "a,b,c"),
        (json!({ "b": 1, "a": [true, { "c": "\"" }] }), r#"{"b":1,"a":[true,{"c":"\""}]}"#),
        (json!([{ "a": "x" }, "y"]), r#"{"a":"x"},y"#),
        (json!({}), "{}"),
        (json!("a\r\nX-Evil: 1\u{0}\u{1b}\u{7f}\tz"), ""),
        (json!(["a\n", "\rb"]), ""),
        (json!([{ "a": "\n" }]), r#"{"a":"\n"}"#),
        (json!("gr\u{fc}n \u{1f600}"), "gr\u{fc}n \u{1f600}"),
        (json!("$host ${uri}"), "$host ${uri}"),
    ] {
        let jwt = Jwt::live_with(&json!({ "v": value })).header("h", value.clone());
        assert_eq!(shown(&nginx, &jwt)?, format!("<{text}><{text}>"), "{value}");
    }
    let response = nginx.bearer(
        "/",
        &Jwt::live_with(&json!({ "v": "a\r\nX-Evil: 1" })).kid("k1").hs("HS256", SECRET)?,
    )?;
    assert_eq!(response.header("X-Evil"), None);
    let null = Jwt::new(json!({ "v": null }));
    assert_eq!(shown(&nginx, &null)?, "<null><>");
    nginx.finish()
}

#[test]
fn a_header_is_not_a_claim_nor_a_claim_a_header() -> Result<()> {
    let nginx = start(
        "jwt_claim_set $c kid; jwt_header_set $h sub; jwt_header_set $k kid; jwt_header_set $n x y;",
        "<$c><$h><$k><$n>",
    )?;
    assert_eq!(shown(&nginx, &Jwt::live().header("x", json!({ "y": "z" })))?, "<><><k1><z>");
    nginx.finish()
}

#[test]
fn nothing_unverified_is_shown() -> Result<()> {
    let nginx = start("jwt_claim_set $c sub; jwt_header_set $h kid;", "<$c><$h>")?;
    let forged = Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)?;
    let twice = raw_token(r#"{"alg":"HS256","kid":"k1"}"#, r#"{"sub":"a","sub":"b"}"#, |input| {
        hmac("HS256", SECRET.as_bytes(), input)
    })?;
    let expired = Jwt::live_with(&json!({ "exp": 1 })).kid("k1").hs("HS256", SECRET)?;
    for token in [&forged, &twice, &expired, "rubbish"] {
        let response = nginx.bearer("/", token)?;
        assert_eq!((response.status, response.header("X-All")), (401, Some("<><>")));
    }
    assert_eq!(nginx.get("/")?.header("X-All"), Some("<><>"));
    nginx.finish()
}

#[test]
fn a_variable_serves_in_rules_maps_and_upstream_headers() -> Result<()> {
    let nginx = Nginx::builder()
        .http(
            "jwt_claim_set $tenant org tenantId; jwt_claim_set $tier org tier;
            map $tier $is_gold { gold 1; default 0; }
            server { listen unix:up.sock; return 200 \"$http_x_tenant\"; }",
        )
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location /rule {{ jwt_claim path = /$tenant; {SERVE} }}
            location /require {{ jwt_require $is_gold $tenant; {SERVE} }}
            location /up {{ proxy_set_header X-Tenant $tenant; proxy_pass http://unix:up.sock; }}
            location /off {{ jwt off; return 200 \"<$tenant>\"; }}"
        ))
        .start()?;
    let token = |claims: Value| Jwt::live_with(&claims).kid("k1").hs("HS256", SECRET);
    let gold = token(json!({ "org": { "tenantId": "t1", "tier": "gold" }, "path": "/t1" }))?;
    let tin = token(json!({ "org": { "tenantId": "t2", "tier": "tin" }, "path": "/t1" }))?;
    for (path, by_gold, by_tin) in [("/rule", 200, 403), ("/require", 200, 403), ("/up", 200, 200)]
    {
        assert_eq!(nginx.bearer(path, &gold)?.status, by_gold, "{path}");
        assert_eq!(nginx.bearer(path, &tin)?.status, by_tin, "{path}");
    }
    let request = nginx.request().target("/up").bearer(&tin).header("X-Tenant", "t1");
    assert_eq!(request.send()?.text(), "t2");
    assert_eq!(nginx.bearer("/off", &gold)?.text(), "<>");
    nginx.finish()
}

#[test]
fn names_of_variables_are_nginxs_own_affair() -> Result<()> {
    for (http, fragment) in [
        ("jwt_claim_set $host sub;", "host"),
        ("jwt_claim_set $jwt_status sub;", "jwt_status"),
        ("jwt_claim_set tenant sub;", "must be a variable"),
        ("jwt_claim_set $ sub;", "must be a variable"),
        ("jwt_claim_set \"\" sub;", "must be a variable"),
        ("jwt_claim_set $a;", "number of arguments"),
        ("jwt_claim_set $a \"\";", "must name a member"),
        ("jwt_claim_set $a b \"\";", "must name a member"),
        ("jwt_header_set $a;", "number of arguments"),
        ("jwt_header_set a b;", "must be a variable"),
    ] {
        let checked = Nginx::builder().http(http).check()?;
        checked.refused_with(&[fragment, "nginx.conf:"])?;
    }
    let text = "jwt_claim_set $a b;";
    Nginx::builder().server(text).check()?.refused_with(&["not allowed here", "nginx.conf:"])?;
    Ok(())
}

#[test]
fn one_name_for_two_claims_is_refused() -> Result<()> {
    for http in [
        "jwt_claim_set $a b; jwt_claim_set $a c;",
        "jwt_claim_set $a b; jwt_header_set $a b;",
        "jwt_claim_set $a b; jwt_claim_set $A c;",
    ] {
        let checked = Nginx::builder().http(http).check()?;
        checked.refused_with(&["duplicate", "nginx.conf:"])?;
    }
    Ok(())
}
