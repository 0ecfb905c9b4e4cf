//! Claims, and rules on them.

use anyhow::Result;
use module_tests::{Jwt, Nginx, SECRET, SERVE, nginx_t};
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

/// With an empty variable, `tenant:` would be compared, and be none of the banned ones.
#[test]
fn an_unset_variable_inside_a_value_makes_no_pass_of_a_negation() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location /not {{ jwt_not {{ jwt_claim banned any \"tenant:$single_arg_t\"; }} {SERVE} }}
        location /none {{ jwt_claim banned none \"tenant:$single_arg_t\"; {SERVE} }}
        location /any {{ jwt_claim banned any tenant:$single_arg_t tenant:a; {SERVE} }}"
    ))?;
    let token = token(&json!({ "banned": ["tenant:a", "tenant:"] }))?;
    for (target, status) in [
        ("/not?t=b", 200),
        ("/not?t=a", 403),
        ("/not", 403),
        ("/not?t=b&t=a", 403),
        ("/not?T=a", 403),
        ("/none?t=b", 200),
        ("/none?t=a", 403),
        ("/none", 403),
        ("/any", 200),
    ] {
        assert_eq!(nginx.bearer(target, &token)?.status, status, "{target}");
    }
    nginx.finish()
}

/// Some issuers write one role as a string, or an object in its place.
#[test]
fn a_claim_of_another_form_makes_no_pass_of_a_negation() -> Result<()> {
    expect(
        "jwt_not { jwt_claim groups[*] = banned; }",
        &json!([{}, { "groups": null }, { "groups": [] }, { "groups": ["staff"] }]),
        &json!([{ "groups": ["banned"] }, { "groups": "banned" }, { "groups": { "0": "banned" } }]),
    )?;
    expect(
        "jwt_not { jwt_claim groups[*].name = banned; }",
        &json!([{}, { "groups": [{ "name": "a" }] }, { "groups": [{}] }]),
        &json!([
            { "groups": [{ "name": "banned" }] },
            { "groups": { "name": "banned" } },
            { "groups": [{ "name": "a" }, "banned"] },
        ]),
    )?;
    expect(
        "jwt_not { jwt_claim r[0] = guest; }",
        &json!([{}, { "r": ["a"] }, { "r": [] }]),
        &json!([{ "r": ["guest"] }, { "r": "guest" }]),
    )?;
    expect(
        "jwt_not { jwt_claim realm_access.roles any banned; }",
        &json!([{}, { "realm_access": {} }, { "realm_access": { "roles": ["a"] } }]),
        &json!([{ "realm_access": ["banned"] }, { "realm_access": "{\"roles\":[\"banned\"]}" }]),
    )?;
    // A rule that is not negated fails for them as ever, and a claim that is not there is not there.
    expect("jwt_claim groups[*] = a;", &json!([{ "groups": ["a"] }]), &json!([{ "groups": "a" }]))?;
    expect("jwt_claim groups[0] !exists;", &json!([{ "groups": "a" }]), &json!([{ "groups": [1] }]))
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

#[test]
fn groups_of_rules_are_kept_in_files_of_their_own() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location / {{ jwt_any {{ include any*.conf; jwt_claim role = root; }} {SERVE} }}"
        ))
        .file("any1.conf", "jwt_claim role = admin;\njwt_all { include team.conf; }\n")
        .file("any2.conf", "jwt_not { jwt_claim kind exists; }\n")
        .file("team.conf", "jwt_claim team = sre;\njwt_claim shift = on;\n")
        .start()?;
    for (claims, verdict) in [
        (json!({ "kind": 1, "role": "admin" }), (200, "ok")),
        (json!({ "kind": 1, "role": "root" }), (200, "ok")),
        (json!({ "kind": 1, "team": "sre", "shift": "on" }), (200, "ok")),
        (json!({ "kind": 1, "team": "sre" }), (403, "denied")),
        (json!({}), (200, "ok")),
    ] {
        assert_eq!(nginx.bearer("/", &token(&claims)?)?.verdict(), verdict, "{claims}");
    }
    // The log names the line of the outermost block, not one of an included file.
    let lines = nginx.refusals();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.contains("denied by the rule in ") && line.contains("nginx.conf:"), "{line}");
    assert!(!line.contains("team.conf") && !line.contains("any1.conf"), "{line}");
    nginx.finish()
}

#[test]
fn a_block_stands_wherever_a_rule_may() -> Result<()> {
    let block = "jwt_any { jwt_claim role = admin; jwt_claim role = root; }";
    let nginx = Nginx::builder()
        .http(format!(
            "jwt_provider p {{ jwt_issuer me; jwt_kids {{ k1 {SECRET}; }} {block} }}"
        ))
        .server(format!(
            "location /provider {{ jwt on provider=p; jwt_not {{ jwt_claim banned = true; }} {SERVE} }}
            location /if {{ jwt_kids {{ k1 {SECRET}; }} if ($arg_strict) {{ {block} }}
                try_files /ok.txt =404; }}
            location /except {{ jwt_kids {{ k1 {SECRET}; }}
                limit_except POST {{ {block} }} {SERVE} }}"
        ))
        .html("ok.txt", "")
        .start()?;
    for (method, path, claims, status) in [
        ("GET", "/provider", json!({ "iss": "me", "role": "root" }), 200),
        ("GET", "/provider", json!({ "iss": "me", "role": "user" }), 403),
        // The provider's rules and the location's must both hold.
        ("GET", "/provider", json!({ "iss": "me", "role": "root", "banned": true }), 403),
        ("GET", "/if", json!({ "role": "user" }), 200),
        ("GET", "/if?strict=1", json!({ "role": "user" }), 403),
        // The check has passed: the level of "if", or of limit_except, has no try_files.
        ("GET", "/if?strict=1", json!({ "role": "admin" }), 404),
        ("GET", "/except", json!({ "role": "user" }), 403),
        ("GET", "/except", json!({ "role": "admin" }), 404),
        // Not 403: the rules are for other methods than POST.
        ("POST", "/except", json!({ "role": "user" }), 405),
    ] {
        let request = nginx.request().method(method).target(path).bearer(&token(&claims)?);
        assert_eq!(request.send()?.status, status, "{method} {path} {claims}");
    }
    nginx.finish()
}

#[test]
fn a_level_with_rules_of_its_own_does_not_inherit_blocks() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt_any {{ jwt_claim a exists; jwt_claim b exists; }}"
        ))
        .server(format!(
            "location /inherits {{ {SERVE} }}
            location /claim {{ jwt_claim c exists; {SERVE} location /claim/below {{ {SERVE} }} }}
            location /block {{ jwt_not {{ jwt_claim c exists; }} {SERVE} }}
            location /require {{ jwt_require $arg_r; {SERVE} }}"
        ))
        .start()?;
    for (path, claims, status) in [
        ("/inherits", json!({ "b": 1 }), 200),
        ("/inherits", json!({ "c": 1 }), 403),
        ("/claim", json!({ "c": 1 }), 200),
        ("/claim", json!({ "a": 1 }), 403),
        ("/claim/below", json!({ "c": 1 }), 200),
        ("/claim/below", json!({ "a": 1 }), 403),
        ("/block", json!({}), 200),
        ("/block", json!({ "a": 1, "c": 1 }), 403),
        // jwt_require is inherited apart, so the block stays.
        ("/require?r=1", json!({ "a": 1 }), 200),
        ("/require?r=1", json!({}), 403),
        ("/require", json!({ "a": 1 }), 403),
    ] {
        assert_eq!(nginx.bearer(path, &token(&claims)?)?.status, status, "{path} {claims}");
    }
    nginx.finish()
}

/// A switch of links that a client can break: whatever shows it has no value then.
#[test]
fn a_value_that_fails_passes_through_no_block() -> Result<()> {
    let blocks = [
        "jwt_not { jwt_require $link; }",
        "jwt_not { jwt_claim role = $link; }",
        "jwt_not { jwt_claim role any x $link; }",
        "jwt_not { jwt_not { jwt_require $link; } }",
        "jwt_any { jwt_not { jwt_require $link; } jwt_claim role = admin; }",
        "jwt_all { jwt_claim role = admin; jwt_not { jwt_claim role = $link; } }",
        "jwt_not { jwt_claim role = admin; jwt_claim role = $link; }",
    ];
    // Claims are asked first, and one that passes decides without the value.
    let decided = "jwt_any { jwt_require $link; jwt_claim role = admin; }";
    let locations: String = (0..)
        .zip(blocks.into_iter().chain([decided]))
        .map(|(i, block)| {
            format!(
                "location = /{i} {{ secure_token $arg_sw; secure_token_secret {SECRET};
                    satisfy any; {block} {SERVE} }} "
            )
        })
        .collect();
    let nginx = Nginx::builder()
        .http("map $secure_token_status $link { volatile; ok yes; \"\" yes; default \"\"; }")
        .server(format!("jwt_kids {{ k1 {SECRET}; }} {locations}"))
        .start()?;
    let admin = token(&json!({ "role": "admin" }))?;
    for (i, block) in blocks.iter().enumerate() {
        assert_eq!(nginx.bearer(format!("/{i}?sw=bogus"), &admin)?.status, 500, "{block}");
    }
    assert_eq!(nginx.bearer("/4?sw=on", &admin)?.status, 200);
    let guest = token(&json!({ "role": "guest" }))?;
    let last = format!("/{}?sw=bogus", blocks.len());
    assert_eq!(nginx.bearer(&last, &admin)?.status, 200);
    assert_eq!(nginx.bearer(&last, &guest)?.status, 500);
    nginx.finish()
}

#[test]
fn a_block_holds_the_rules_of_this_module_alone() -> Result<()> {
    for (inside, directive) in [
        ("auth_jwt_require $arg_a;".to_owned(), "auth_jwt_require"),
        (format!("jwt_kids {{ k {SECRET}; }}"), "jwt_kids"),
        ("return 200;".to_owned(), "return"),
    ] {
        let checked = nginx_t(format!("location / {{ jwt_any {{ {inside} }} }}"))?;
        checked.refused_with(&[&format!("\"{directive}\" directive is not allowed here")])?;
    }
    let empty = nginx_t("location / { jwt_any { jwt_all { } } }")?;
    empty.refused_with(&["\"jwt_all\" directive has no rules in its block"])
}

#[test]
fn control_characters_of_a_claim_are_escaped_as_json() -> Result<()> {
    let nginx = Nginx::builder()
        .http("jwt_claim_json $j j; jwt_claim_set $s j;")
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location / {{ {SERVE} add_header X-J $j; add_header X-S \"[$s]\"; }}"
        ))
        .start()?;
    let texts: String = (0..=0x9f).filter_map(char::from_u32).chain(['\u{2028}', 'é']).collect();
    let claims = [
        json!(texts),
        json!([texts, { "a\r\nSet-Cookie: x": "\u{0}" }]),
        json!({ "a\tb": ["\u{7f}\u{85}"] }),
    ];
    for claim in claims {
        let response = nginx.bearer("/", &token(&json!({ "j": claim }))?)?;
        assert_eq!(response.status, 200);
        let shown = response.header("X-J").unwrap_or_default();
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert_eq!(serde_json::from_str::<Value>(shown)?, claim, "{shown}");
        assert!(response.header("Set-Cookie").is_none());
        // As plain text such a claim is shown as empty.
        if claim.is_string() {
            assert_eq!(response.header("X-S"), Some("[]"));
        }
    }
    nginx.finish()
}
