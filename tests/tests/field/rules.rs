//! Claims, and rules on them.

use anyhow::Result;
use module_tests::{Jwt, Nginx, SECRET, SERVE};
use serde_json::{Value, json};

fn token(claims: &Value) -> Result<String> {
    Jwt::live_with(claims).kid("k1").hs("HS256", SECRET)
}

/// Requires the rules to accept the first list of claims and to refuse the second.
fn expect(rules: &str, accepted: &Value, refused: &Value) -> Result<()> {
    let nginx =
        Nginx::start(format!("jwt_kids {{ k1 {SECRET}; }}\nlocation / {{ {rules} {SERVE} }}"))?;
    let rows = [(accepted, (200, "ok")), (refused, (403, "denied"))];
    for (claims, verdict) in rows {
        for claims in claims.as_array().into_iter().flatten() {
            let response = nginx.bearer("/", &token(claims)?)?;
            assert_eq!(response.verdict(), verdict, "{rules}: {claims}");
        }
    }
    nginx.finish()
}

#[test]
fn keycloak_uma_permissions_are_an_array_of_objects() -> Result<()> {
    let permissions = |list: Value| json!({ "authorization": { "permissions": list } });
    expect(
        "jwt_claim authorization.permissions[*].scopes any manage;",
        &json!([
            permissions(
                json!([{ "rsname": "a", "scopes": ["view"] }, { "rsname": "b", "scopes": ["view", "manage"] }])
            ),
            permissions(json!([{ "rsname": "all" }, { "scopes": ["manage"] }])),
        ]),
        &json!([
            permissions(json!([{ "scopes": ["view"] }, { "rsname": "manage" }])),
            permissions(json!([{ "scopes": ["management"] }])),
            permissions(json!([])),
            permissions(json!({ "scopes": ["manage"] })),
            {},
        ]),
    )
}

#[test]
fn the_first_element_of_an_array_is_asked_for_by_its_number() -> Result<()> {
    expect(
        "jwt_claim orgs[0].id = acme;",
        &json!([{ "orgs": [{ "id": "acme" }, { "id": "x" }] }, { "orgs[0]": { "id": "acme" } }]),
        &json!([{ "orgs": [{ "id": "x" }, { "id": "acme" }] }, { "orgs": [] }, { "orgs": { "0": { "id": "acme" } } }]),
    )
}

#[test]
fn istio_not_values_let_tokens_without_the_claim_pass() -> Result<()> {
    expect(
        "jwt_not { jwt_claim groups any banned guest; }",
        &json!([{}, { "groups": ["staff"] }, { "groups": [] }, { "groups": null }, { "groups": "not-banned" }]),
        &json!([{ "groups": ["banned"] }, { "groups": ["staff", "guest"] }, { "groups": "staff banned" },
            { "groups": { "banned": true } }, { "groups": 1 }]),
    )
}

#[test]
fn envoy_rbac_takes_any_of_several_principals() -> Result<()> {
    expect(
        "jwt_any {
            jwt_claim roles any admin;
            jwt_all { jwt_claim team = sre; jwt_not { jwt_claim on_leave = true; } }
        }",
        &json!([
            { "roles": ["admin"] },
            { "team": "sre" },
            { "team": "sre", "on_leave": false },
            { "roles": ["admin"], "team": "sre", "on_leave": true },
        ]),
        &json!([
            {},
            { "roles": "evil,admin" },
            { "roles": ["user"], "team": "ops" },
            { "team": "sre", "on_leave": true },
        ]),
    )
}

#[test]
fn envoy_not_rule_of_and_rules_refuses_only_what_all_describe() -> Result<()> {
    expect(
        "jwt_not { jwt_claim role = guest; jwt_claim level < 3; }",
        &json!([{}, { "role": "guest", "level": 3 }, { "role": "user", "level": 1 }, { "role": "user", "level": "x" }]),
        &json!([{ "role": "guest", "level": 1 }, { "role": "guest", "level": "x" }]),
    )
}

#[test]
fn azion_criteria_are_groups_of_conditions() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location / {{
            jwt_any error=404 {{
                jwt_all {{ jwt_claim plan = pro; jwt_require $arg_beta; }}
                jwt_claim role = tester;
            }}
            {SERVE}
        }}"
    ))?;
    for (path, claims, verdict) in [
        ("/?beta=1", json!({ "plan": "pro" }), (200, "ok")),
        ("/", json!({ "role": "tester" }), (200, "ok")),
        ("/", json!({ "plan": "pro" }), (404, "denied")),
        ("/?beta=0", json!({ "plan": "pro" }), (404, "denied")),
        ("/?beta=1", json!({ "plan": "free" }), (404, "denied")),
    ] {
        assert_eq!(nginx.bearer(path, &token(&claims)?)?.verdict(), verdict, "{path} {claims}");
    }
    nginx.finish()
}

#[test]
fn an_unset_variable_makes_no_pass_of_a_negation() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location / {{ jwt_not {{ jwt_claim roles any $single_arg_banned; }} {SERVE} }}"
    ))?;
    let token = token(&json!({ "roles": ["a", "b"] }))?;
    assert_eq!(nginx.bearer("/?banned=c", &token)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/?banned=b", &token)?.verdict(), (403, "denied"));
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (403, "denied"));
    assert_eq!(nginx.bearer("/?banned=", &token)?.verdict(), (403, "denied"));
    nginx.finish()
}

#[test]
fn an_upstream_reads_a_list_of_roles_as_json() -> Result<()> {
    let nginx = Nginx::builder()
        .http("jwt_claim_json $roles realm_access roles; jwt_claim_json $n n; jwt_claim_json $x x[0];")
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location / {{ {SERVE} add_header X-Roles $roles; add_header X-N $n; add_header X-X $x; }}"
        ))
        .start()?;
    let claims =
        json!({ "realm_access": { "roles": ["a,b", "c \"d\""] }, "n": 1.5, "x": ["x\ny"] });
    let response = nginx.bearer("/", &token(&claims)?)?;
    assert_eq!(response.header("x-roles"), Some(r#"["a,b","c \"d\""]"#));
    assert_eq!(response.header("x-n"), Some("1.5"));
    assert_eq!(response.header("x-x"), Some(r#""x\ny""#));
    nginx.finish()
}
