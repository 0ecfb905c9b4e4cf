//! `jwt_require`, which rules a level inherits, and which mistakes `nginx -t` refuses.

use anyhow::Result;
use module_tests::{Jwt, Nginx, SECRET, SERVE, mistake, nginx_t, refuse_all};
use serde_json::{Value, json};

fn token(claims: &Value) -> Result<String> {
    Jwt::live_with(claims).kid("k1").hs("HS256", SECRET)
}

#[test]
fn every_value_must_be_there_and_not_zero() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location /one {{ jwt_require $arg_a; {SERVE} }}
        location /two {{ jwt_require $arg_a $arg_b; {SERVE} }}
        location /apart {{ jwt_require $arg_a; jwt_require $arg_b error=401; {SERVE} }}
        location /joined {{ jwt_require \"$arg_a$arg_b\"; {SERVE} }}
        location /fixed {{ jwt_require 1; {SERVE} }}
        location /zero {{ jwt_require 0; {SERVE} }}
        location /claim {{ jwt_require $jwt_claim_admin; {SERVE} }}
        location /any {{ jwt_require \"$jwt_claim_x$jwt_claim_y\"; {SERVE} }}"
    ))?;
    let alice = token(&json!({}))?;
    for (target, status) in [
        ("/one?a=1", 200),
        ("/one?a=x", 200),
        ("/one?a=00", 200),
        ("/one?a=0.0", 200),
        ("/one?a=0", 403),
        ("/one?a=", 403),
        ("/one", 403),
        ("/two?a=1&b=1", 200),
        ("/two?a=1", 403),
        ("/two?b=1", 403),
        ("/two?a=1&b=0", 403),
        ("/apart?a=1&b=1", 200),
        ("/apart?b=1", 403),
        ("/apart?a=1", 401),
        ("/apart", 403),
        ("/joined?b=1", 200),
        ("/joined?a=0&b=0", 200),
        ("/joined?a=0", 403),
        ("/joined", 403),
        ("/fixed", 200),
        ("/zero", 403),
        ("/claim", 403),
        ("/any", 403),
        // A claim variable shows false and null in this form, so these values fail too.
        ("/one?a=false", 403),
        ("/one?a=null", 403),
        ("/one?a=False", 200),
        ("/one?a=nullify", 200),
        ("/one?a=false,true", 200),
        ("/two?a=1&b=false", 403),
        ("/joined?a=fal&b=se", 403),
    ] {
        let response = nginx.bearer(target, &alice)?;
        assert_eq!(response.status, status, "{target}");
        let word = if status == 200 { "ok" } else { "denied" };
        assert_eq!(response.verdict().1, word, "{target}");
        let error = match status {
            401 => "Bearer error=\"invalid_token\", ",
            403 => "Bearer error=\"insufficient_scope\", ",
            _ => "",
        };
        assert!(response.challenge().starts_with(error), "{target}: {}", response.challenge());
    }
    for (claims, status) in [
        (json!({ "admin": true }), 200),
        (json!({ "admin": 1 }), 200),
        (json!({ "admin": "yes" }), 200),
        (json!({ "admin": 0 }), 403),
        (json!({ "admin": "" }), 403),
        (json!({ "admin": "0" }), 403),
        (json!({ "admin": [] }), 403),
        (json!({ "admin": false }), 403),
        (json!({ "admin": "false" }), 403),
        (json!({ "admin": "no" }), 200),
    ] {
        assert_eq!(nginx.bearer("/claim", &token(&claims)?)?.status, status, "{claims}");
    }
    let null = Jwt::new(json!({ "admin": null })).kid("k1").hs("HS256", SECRET)?;
    assert_eq!(nginx.bearer("/claim", &null)?.status, 403);
    assert_eq!(nginx.bearer("/any", &token(&json!({ "y": "z" }))?)?.status, 200);
    // A request without a token is refused, even if the rule would pass.
    assert_eq!(nginx.get("/fixed")?.verdict(), (401, "missing"));
    nginx.finish()
}

/// `auth_jwt_require` refuses what NGINX Plus documents: only an empty value and `0`.
#[test]
fn nginx_plus_s_own_name_keeps_its_own_semantics() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} location / {{ auth_jwt_require $jwt_claim_ok; {SERVE} }}"
    ))?;
    for (ok, status) in [
        (json!(true), 200),
        (json!(false), 200),
        (json!(null), 200),
        (json!(0), 401),
        (json!(""), 401),
    ] {
        let token = Jwt::new(json!({ "ok": ok })).kid("k1").hs("HS256", SECRET)?;
        assert_eq!(nginx.bearer("/", &token)?.status, status, "{ok}");
    }
    nginx.finish()
}

#[test]
fn a_map_of_claims_may_be_required() -> Result<()> {
    let nginx = Nginx::builder()
        .http(
            "map $jwt_claim_aud $for_us { ~(^|,)us(,|$) 1; default 0; }
            map \"$jwt_claim_role:$request_method\" $may { ~^admin: 1; reader:GET 1; default 0; }
            map $jwt_status $is_ok { ok 1; default 0; }",
        )
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location /aud {{ jwt_require $for_us; {SERVE} }}
            location /may {{ jwt_require $may; {SERVE} }}
            location /ok {{ jwt_require $is_ok $jwt_status; {SERVE} }}"
        ))
        .start()?;
    for (method, path, claims, status) in [
        ("GET", "/aud", json!({ "aud": ["them", "us"] }), 200),
        ("GET", "/aud", json!({ "aud": "us" }), 200),
        ("GET", "/aud", json!({ "aud": "bus" }), 403),
        ("GET", "/may", json!({ "role": "reader" }), 200),
        ("HEAD", "/may", json!({ "role": "reader" }), 403),
        ("HEAD", "/may", json!({ "role": "admin" }), 200),
        // While rules are evaluated, `$jwt_status` shows the verdict on the token alone.
        ("GET", "/ok", json!({}), 200),
    ] {
        let request = nginx.request().method(method).target(path).bearer(&token(&claims)?);
        assert_eq!(request.send()?.status, status, "{method} {path} {claims}");
    }
    nginx.finish()
}

#[test]
fn a_rule_that_reads_the_status_does_not_spin() -> Result<()> {
    let many = "jwt_require $jwt_status $jwt_status; jwt_claim sub != $jwt_status $own;".repeat(20);
    let nginx = Nginx::builder()
        .http("map $jwt_status $own { volatile; denied 1; ok 2; default 3; }")
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} set $early $jwt_status; location / {{ {many} {SERVE} }}"
        ))
        .start()?;
    assert_eq!(nginx.bearer("/", &token(&json!({}))?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &token(&json!({ "sub": "ok" }))?)?.verdict(), (403, "denied"));
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    assert!(!nginx.error_log().contains("cycle"), "{}", nginx.error_log());
    nginx.finish()
}

#[test]
fn claims_and_requirements_are_inherited_apart() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt_claim a exists; jwt_claim b exists; jwt_require $arg_r;"
        ))
        .server(format!(
            "location /all {{ {SERVE} }}
            location /claim {{ jwt_claim c exists; {SERVE} location /claim/below {{ {SERVE} }} }}
            location /require {{ jwt_require $arg_s; {SERVE} }}
            location /plus {{ auth_jwt_require $arg_s; {SERVE} }}
            location /both {{ jwt_claim c exists; jwt_require $arg_s; {SERVE} }}
            location /if {{ if ($arg_t) {{ jwt_claim c exists; }} try_files /ok.txt =404; }}"
        ))
        .start()?;
    for (path, needs, argument, refused) in [
        ("/all", &["a", "b"][..], "r", 403),
        ("/claim", &["c"], "r", 403),
        ("/claim/below", &["c"], "r", 403),
        ("/require", &["a", "b"], "s", 403),
        ("/plus", &["a", "b"], "s", 401),
        ("/both", &["c"], "s", 403),
    ] {
        let all: Value = needs.iter().map(|name| ((*name).to_owned(), json!(1))).collect();
        let target = format!("{path}?{argument}=1");
        assert_eq!(nginx.bearer(&target, &token(&all)?)?.status, 200, "{path}");
        assert_eq!(nginx.bearer(path, &token(&all)?)?.status, refused, "{path}");
        for left_out in needs {
            let mut some = all.clone();
            some[*left_out] = Value::Null;
            assert_eq!(nginx.bearer(&target, &token(&some)?)?.status, 403, "{path} {left_out}");
        }
    }
    let ab = token(&json!({ "a": 1, "b": 1 }))?;
    assert_eq!(nginx.bearer("/if?r=1", &ab)?.status, 200);
    assert_eq!(nginx.bearer("/if?r=1&t=1", &ab)?.status, 403);
    nginx.finish()
}

#[test]
fn a_rule_that_makes_no_sense_is_refused() -> Result<()> {
    let dots = format!("jwt_claim {}a exists;", "a.".repeat(17));
    refuse_all(&[
        mistake("no operator", "jwt_claim a;", &["number of arguments"]),
        mistake("nothing", "jwt_claim;", &["number of arguments"]),
        mistake("an unknown operator", "jwt_claim a == b;", &["==", "must be one of", "!^~"]),
        mistake("an operator in upper case", "jwt_claim a ANY b;", &["ANY"]),
        mistake("operator and value in one word", "jwt_claim a =b;", &["=b"]),
        mistake("an empty operator", "jwt_claim a \"\" b;", &["must be one of"]),
        mistake("an empty path", "jwt_claim \"\" = b;", &["empty"]),
        mistake("too many dots", dots, &["dots"]),
        mistake("a path that is not UTF-8 cannot be written here", "jwt_claim a $op b;", &["$op"]),
        mistake("no value", "jwt_claim a =;", &["operator \"=\" takes a value"]),
        mistake("no value for !=", "jwt_claim a !=;", &["operator \"!=\" takes a value"]),
        mistake("no value for a set", "jwt_claim a any;", &["operator \"any\" takes a value"]),
        mistake("no value for none", "jwt_claim a none;", &["operator \"none\" takes a value"]),
        mistake("no pattern", "jwt_claim a ~;", &["operator \"~\" takes a value"]),
        mistake("no value but an error", "jwt_claim a = error=401;", &["takes a value"]),
        mistake("no operator but an error", "jwt_claim a error=401;", &["operator"]),
        mistake("a value for exists", "jwt_claim a exists b;", &["takes no value"]),
        mistake("a value for !exists", "jwt_claim a !exists b;", &["takes no value"]),
        mistake("two bounds", "jwt_claim a < 1 2;", &["takes one value"]),
        mistake("two bounds", "jwt_claim a >= 1 2;", &["takes one value"]),
        mistake("no bound", "jwt_claim a <;", &["operator \"<\" takes a value"]),
        mistake("no number", "jwt_claim a < ten;", &["ten", "not a number"]),
        mistake("no JSON number", "jwt_claim a > 0x10;", &["0x10", "not a number"]),
        mistake("no JSON number", "jwt_claim a > 010;", &["010", "not a number"]),
        mistake("a time", "jwt_claim a <= 10m;", &["10m", "not a number"]),
        mistake("an empty number", "jwt_claim a > \"\";", &["not a number"]),
        mistake("infinity", "jwt_claim a > 1e999;", &["1e999", "not a number"]),
        mistake("an empty prefix", "jwt_claim a ^~ \"\";", &["empty prefix"]),
        mistake("an empty prefix among others", "jwt_claim a !^~ b \"\";", &["empty prefix"]),
        mistake("a bad pattern", "jwt_claim a ~ (;", &["unclosed group"]),
        mistake("a bad pattern", "jwt_claim a !~* b [z-a];", &["invalid character class range"]),
        mistake("look-ahead", "jwt_claim a ~ (?=b);", &["look-around"]),
        mistake("an enormous pattern", "jwt_claim a ~ \"(a{1000}){1000}\";", &["size limit"]),
        mistake("no error", "jwt_claim a = b error=399;", &["error=400 to error=599"]),
        mistake("no status", "jwt_claim a = b error=600;", &["error=400 to error=599"]),
        mistake("not three digits", "jwt_claim a = b error=0403;", &["error=400 to error=599"]),
        mistake("no number", "jwt_claim a = b error=4x3;", &["error=400 to error=599"]),
        mistake("an empty error", "jwt_claim a = b error=;", &["error=400 to error=599"]),
        mistake("nothing required", "jwt_require;", &["number of arguments"]),
        mistake("nothing but an error", "jwt_require error=401;", &["wants a value"]),
        mistake("a redirect", "jwt_require $arg_a error=302;", &["error=400 to error=599"]),
    ])?;
    // An error= that is not the last argument is an ordinary value, with a warning.
    nginx_t(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location / {{ jwt_claim a = error=401 b; jwt_require error=401 $arg_a; }}"
    ))?
    .warned_with(&["only as the last word"])
}

#[test]
fn a_rule_may_answer_with_any_error() -> Result<()> {
    let statuses = [400, 401, 402, 403, 404, 410, 429, 451, 500, 503, 599];
    let location = |status: &u16| {
        format!(
            "location /{status} {{ jwt_claim role = admin error={status}; {SERVE} }}
            location /any/{status} {{ satisfy any; allow 192.0.2.1; deny all;
                jwt_require $arg_a error={status}; {SERVE} }}"
        )
    };
    let locations: String = statuses.iter().map(location).collect();
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} {locations}
        location /plus {{ auth_jwt_require $arg_a error=404; {SERVE} }}"
    ))?;
    let (guest, admin) = (token(&json!({}))?, token(&json!({ "role": "admin" }))?);
    for status in statuses {
        let refused = nginx.bearer(format!("/{status}"), &guest)?;
        assert_eq!(refused.verdict(), (status, "denied"));
        // Only 401 and 403 ask the client for credentials.
        let challenged = !refused.all("WWW-Authenticate").is_empty();
        assert_eq!(challenged, matches!(status, 401 | 403), "{status}");
        assert_eq!(nginx.bearer(format!("/{status}"), &admin)?.verdict(), (200, "ok"));
        // A request without a token gets 401, whatever the rule's status.
        assert_eq!(nginx.get(format!("/{status}"))?.status, 401);
        // nginx's own modules run later, and their 403 replaces every status but 401.
        let expected = if status == 401 { 401 } else { 403 };
        assert_eq!(nginx.bearer(format!("/any/{status}"), &guest)?.status, expected);
        assert_eq!(nginx.bearer(format!("/any/{status}?a=1"), &guest)?.status, 200);
    }
    assert_eq!(nginx.bearer("/plus", &guest)?.verdict(), (404, "denied"));
    nginx.finish()
}

#[test]
fn rules_are_accepted_wherever_a_directive_is() -> Result<()> {
    let rules = "jwt_claim a = b; jwt_claim a = b; jwt_require $arg_a; jwt_require $arg_b $arg_c;";
    for (http, server) in [
        (rules, String::new()),
        ("", rules.to_owned()),
        ("", format!("location / {{ {rules} }}")),
        ("", format!("location / {{ if ($arg_a) {{ {rules} }} }}")),
        ("", format!("location / {{ limit_except GET {{ {rules} }} }}")),
    ] {
        let keys = format!("jwt_kids {{ k1 {SECRET}; }} {http}");
        Nginx::builder().http(keys).server(server).check()?.accepted()?;
    }
    Nginx::builder().main(rules).check()?.refused_with(&["jwt_claim", "not allowed here"])
}
