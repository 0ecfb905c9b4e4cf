//! Directives at every level, and how a lower level inherits or changes them.

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, RSA, SECRET, SERVE, link, now};
use serde_json::json;

fn k1() -> Result<String> {
    Jwt::live().kid("k1").hs("HS256", SECRET)
}

fn k2() -> Result<String> {
    Jwt::live().kid("k2").hs("HS256", OTHER_SECRET)
}

#[test]
fn keys_of_http_reach_every_server_and_location() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!("jwt_kids {{ k1 {SECRET}; }}"))
        .server(format!(
            "location / {{ {SERVE} location /deep/ {{ location /deep/er {{ {SERVE} }} {SERVE} }} }}"
        ))
        .start()?;
    for path in ["/", "/deep/", "/deep/er"] {
        assert_eq!(nginx.get(path)?.verdict(), (401, "missing"), "{path}");
        assert_eq!(nginx.bearer(path, &k1()?)?.verdict(), (200, "ok"), "{path}");
    }
    nginx.finish()
}

#[test]
fn a_level_that_names_any_key_source_inherits_none() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!("jwt_kids {{ k1 {SECRET}; }} jwks_file rsa.json;"))
        .server(format!(
            "location /inherit {{ {SERVE} }}
            location /kids {{ jwt_kids {{ k2 {OTHER_SECRET}; }} {SERVE} }}
            location /kids-file {{ jwt_kids_file kids.json; {SERVE} }}
            location /jwks {{ jwks_file rsa.json; {SERVE} }}"
        ))
        .file("kids.json", json!({ "k2": OTHER_SECRET }).to_string())
        .file("rsa.json", RSA.jwks("rsa")?)
        .start()?;
    let rsa = Jwt::live().kid("rsa").sign("RS256", &RSA)?;
    for (path, by_k1, by_k2, by_rsa) in [
        ("/inherit", 200, 401, 200),
        ("/kids", 401, 200, 401),
        ("/kids-file", 401, 200, 401),
        ("/jwks", 401, 401, 200),
    ] {
        assert_eq!(nginx.bearer(path, &k1()?)?.status, by_k1, "{path} k1");
        assert_eq!(nginx.bearer(path, &k2()?)?.status, by_k2, "{path} k2");
        assert_eq!(nginx.bearer(path, &rsa)?.status, by_rsa, "{path} rsa");
    }
    nginx.finish()
}

#[test]
fn the_switch_is_off_for_a_location_and_on_again_below() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location / {{ {SERVE} }}
        location /open/ {{ jwt off; {SERVE}
            location /open/closed {{ jwt on; {SERVE} }}
            location /open/still {{ {SERVE} }} }}"
    ))?;
    for (path, status) in [("/", 401), ("/open/", 200), ("/open/still", 200), ("/open/closed", 401)]
    {
        assert_eq!(nginx.get(path)?.status, status, "{path}");
        assert_eq!(nginx.bearer(path, &k1()?)?.status, 200, "{path}");
    }
    // With `off`, the module does not look at the token.
    let response = nginx.bearer("/open/", "rubbish")?;
    assert_eq!((response.verdict(), response.challenge()), ((200, "off"), ""));
    nginx.finish()
}

#[test]
fn a_switch_that_is_off_above_stays_off_where_keys_are_named() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt off; location /keys {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}
        location /on {{ jwt on; jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"
    ))?;
    assert_eq!(nginx.get("/keys")?.verdict(), (200, "off"));
    assert_eq!(nginx.get("/on")?.verdict(), (401, "missing"));
    nginx.finish()
}

#[test]
fn jwt_on_above_finds_its_keys_below() -> Result<()> {
    let nginx =
        Nginx::start(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} jwt on; {SERVE} }}"))?;
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    nginx.finish()
}

#[test]
fn each_rule_is_inherited_and_replaced_by_itself() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt_issuer a; jwt_audience x; jwt_realm top;
            jwt_leeway 60s; jwt_algorithms HS256; jwt_token bearer; jwt_typ JWT;"
        ))
        .server(format!(
            "location /inherit {{ {SERVE} }}
            location /issuer {{ jwt_issuer b; {SERVE} }}
            location /audience {{ jwt_audience y; {SERVE} }}
            location /realm {{ jwt_realm below; {SERVE} }}
            location /leeway {{ jwt_leeway 0; {SERVE} }}
            location /algorithms {{ jwt_algorithms HS512; {SERVE} }}
            location /token {{ jwt_token arg:t; {SERVE} }}
            location /typ {{ jwt_typ at+jwt; {SERVE} }}"
        ))
        .start()?;
    let jwt = Jwt::live_with(&json!({ "iss": "a", "aud": "x", "exp": now() - 30 })).kid("k1");
    let token = jwt.hs("HS256", SECRET)?;
    for (path, verdict, realm) in [
        ("/inherit", (200, "ok"), ""),
        ("/realm", (200, "ok"), ""),
        ("/issuer", (401, "bad_issuer"), "top"),
        ("/audience", (401, "bad_audience"), "top"),
        ("/leeway", (401, "expired"), "top"),
        ("/algorithms", (401, "bad_algorithm"), "top"),
        ("/token", (401, "missing"), "top"),
        ("/typ", (401, "bad_type"), "top"),
    ] {
        let response = nginx.bearer(path, &token)?;
        assert_eq!(response.verdict(), verdict, "{path}");
        assert_eq!(
            response.challenge().contains(&format!("realm=\"{realm}\"")),
            !realm.is_empty(),
            "{path}"
        );
    }
    assert_eq!(nginx.get("/realm")?.challenge(), "Bearer realm=\"below\"");
    nginx.finish()
}

#[test]
fn an_if_in_a_location_has_directives_of_its_own() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{
            jwt_kids {{ k1 {SECRET}; }}
            if ($arg_open) {{ jwt off; }}
            if ($arg_other) {{ jwt_kids {{ k2 {OTHER_SECRET}; }} }}
            if ($arg_issuer) {{ jwt_issuer nobody; }}
        }}"
    ))?;
    for (query, by_k1, by_k2) in
        [("", 200, 401), ("?open=1", 200, 200), ("?other=1", 401, 200), ("?issuer=1", 401, 401)]
    {
        let path = format!("/ok.txt{query}");
        assert_eq!(nginx.bearer(&path, &k1()?)?.status, by_k1, "{path} k1");
        assert_eq!(nginx.bearer(&path, &k2()?)?.status, by_k2, "{path} k2");
    }
    assert_eq!(nginx.get("/ok.txt?open=1")?.status, 200);
    assert_eq!(nginx.get("/ok.txt?other=1")?.status, 401);
    nginx.finish()
}

#[test]
fn limit_except_may_protect_only_the_other_methods() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location /write {{ limit_except GET {{ jwt_kids {{ k1 {SECRET}; }} }}
                proxy_pass http://unix:up.sock; }}
            location /read {{ jwt_kids {{ k1 {SECRET}; }} limit_except GET {{ jwt off; }}
                proxy_pass http://unix:up.sock; }}
            location /rule {{ jwt_kids {{ k1 {SECRET}; }} limit_except GET {{ jwt_audience writer; }}
                proxy_pass http://unix:up.sock; }}"
        ))
        .http("server { listen unix:up.sock; return 200 up; }")
        .start()?;
    let ask = |method: &str, path: &str, token: Option<&str>| {
        let mut request = nginx.request().method(method).target(path);
        if let Some(token) = token {
            request = request.bearer(token);
        }
        request.send().map(|response| response.status)
    };
    let (plain, writer) =
        (k1()?, Jwt::live_with(&json!({ "aud": "writer" })).kid("k1").hs("HS256", SECRET)?);
    assert_eq!((ask("GET", "/write", None)?, ask("POST", "/write", None)?), (200, 401));
    assert_eq!(ask("POST", "/write", Some(&plain))?, 200);
    assert_eq!((ask("GET", "/read", None)?, ask("POST", "/read", None)?), (401, 200));
    assert_eq!(
        (ask("GET", "/rule", Some(&plain))?, ask("POST", "/rule", Some(&plain))?),
        (200, 401)
    );
    assert_eq!(ask("POST", "/rule", Some(&writer))?, 200);
    nginx.finish()
}

#[test]
fn secure_token_directives_are_inherited_and_replaced_too() -> Result<()> {
    let (top, below) = ("top-secret-top-secret-top-secret", "below-secret-below-secret-below");
    let nginx = Nginx::builder()
        .http(format!("secure_token_secret {top}; secure_token_args s t;"))
        .server(format!(
            "location /inherit {{ {SERVE} }}
            location /secret {{ secure_token_secret {below}; {SERVE} }}
            location /args {{ secure_token_args st e; {SERVE} }}
            location /value {{ secure_token_value $uri$http_x_a; {SERVE} }}
            location /off {{ secure_token off; {SERVE} }}"
        ))
        .start()?;
    let e = now() + 300;
    let renamed =
        |secret: &str, uri: &str| link(secret, uri, e).replace("?st=", "?s=").replace("&e=", "&t=");
    for (path, target, verdict) in [
        ("/inherit", renamed(top, "/inherit"), (200, "ok")),
        ("/inherit", link(top, "/inherit", e), (403, "missing")),
        ("/secret", renamed(top, "/secret"), (403, "bad_signature")),
        ("/secret", renamed(below, "/secret"), (200, "ok")),
        ("/args", link(top, "/args", e), (200, "ok")),
        ("/args", renamed(top, "/args"), (403, "missing")),
        ("/value", renamed(top, "/value"), (200, "ok")),
        ("/off", "/off".to_owned(), (200, "off")),
    ] {
        assert_eq!(nginx.get(&target)?.link_verdict(), verdict, "{path}: {target}");
    }
    nginx.finish()
}

#[test]
fn the_location_that_finally_serves_is_the_one_whose_rules_count() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location /open/ {{ {SERVE} }}
            location /protected/ {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}
            location /try/ {{ try_files /nothing /protected/ok.txt; }}
            location /rewritten/ {{ rewrite ^ /protected/x last; }}
            location /error/ {{ error_page 404 /protected/ok.txt; root nowhere; }}
            location /accel/ {{ proxy_pass http://unix:up.sock; }}
            location /index/ {{ index /protected/ok.txt; }}"
        ))
        .http(
            "server { listen unix:up.sock; location / {
            add_header X-Accel-Redirect /protected/ok.txt; return 200 up; } }",
        )
        .html("index/x", "")
        .start()?;
    let open = ["/open/", "/open/x", "/protected/../open/x", "/%6fpen/x"];
    let closed = [
        "/protected/",
        "/protected/ok.txt",
        "/open/../protected/ok.txt",
        "//protected/ok.txt",
        "/%70rotected/ok.txt",
        "/open/%2e%2e/protected/ok.txt",
        "/./protected//ok.txt",
        "/protected%2fok.txt",
        "/try/x",
        "/rewritten/x",
        "/error/x",
        "/accel/x",
        "/index/",
    ];
    for path in open {
        assert_eq!(nginx.get(path)?.status, 200, "{path}");
    }
    for path in closed {
        assert_eq!(nginx.get(path)?.status, 401, "{path}");
        assert_ne!(nginx.bearer(path, &k1()?)?.status, 401, "{path}");
    }
    nginx.finish()
}
