//! Lines of the guides that are in none of the whole configurations.

use anyhow::Result;
use module_tests::{Jwt, Nginx, P256, SECRET, SERVE, base64url, md5, now};
use serde_json::{Value, json};

use super::guides::with;

fn token(claims: &Value) -> Result<String> {
    Jwt::live_with(claims).kid("k1").hs("HS256", SECRET)
}

#[test]
fn roles_that_are_the_keys_of_an_object() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location / {{ jwt_claim urn:zitadel:iam:org:project:roles.admin exists; {SERVE} }}"
    ))?;
    let of = |roles: Value| token(&json!({ "urn:zitadel:iam:org:project:roles": roles }));
    for (roles, status) in [
        (json!({ "admin": { "1": "example.com" } }), 200),
        (json!({ "user": {}, "admin": {} }), 200),
        (json!({ "administrator": {} }), 403),
        (json!({ "user": { "admin": {} } }), 403),
        (json!(["admin"]), 403),
        (json!("admin"), 403),
    ] {
        assert_eq!(nginx.bearer("/", &of(roles.clone())?)?.status, status, "{roles}");
    }
    nginx.finish()
}

#[test]
fn a_beginning_of_a_string_or_of_an_element() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location / {{
            jwt_any {{ jwt_claim groups ^~ team-; jwt_claim groups[*] ^~ team-; }}
            {SERVE}
        }}"
    ))?;
    for (groups, status) in [
        (json!("team-a"), 200),
        (json!(["staff", "team-a"]), 200),
        (json!("a-team-a"), 403),
        (json!(["staff,team-a"]), 403),
        (json!([]), 403),
    ] {
        let token = token(&json!({ "groups": groups }))?;
        assert_eq!(nginx.bearer("/", &token)?.status, status, "{groups}");
    }
    nginx.finish()
}

#[test]
fn a_secure_link_in_the_path() -> Result<()> {
    let nginx = Nginx::builder()
        .server(
            "location ~ ^/p/(?<signature>[\\w-]+)/(?<expires>[0-9]+)(?<file>/.+)$ {
                rewrite ^ /signed$file?md5=$signature&expires=$expires? last;
            }
            location /signed/ {
                internal;
                secure_token_args md5 expires;
                secure_token_md5  \"$secure_token_expires$file secret\";
                alias             html/files/;
            }",
        )
        .html("files/a.txt", "a\n")
        .html("files/b.txt", "b\n")
        .start()?;
    let link = |e: i64, signed: &str, asked: &str| {
        format!("/p/{}/{e}{asked}", base64url(md5(format!("{e}{signed} secret"))))
    };
    let (later, past) = (now() + 300, now() - 300);
    let good = link(later, "/a.txt", "/a.txt");
    for (target, status) in [
        (good.clone(), 200),
        (link(past, "/a.txt", "/a.txt"), 410),
        (link(later, "/a.txt", "/b.txt"), 403),
        (link(later, "/a.txt", "/x/../b.txt"), 403),
        (format!("{good}?md5=x"), 200),
        (good.replace("/p/", "/p/A"), 403),
        (good.replace("/p/", "/signed/"), 404),
        ("/signed/a.txt".to_owned(), 404),
    ] {
        assert_eq!(nginx.get(&target)?.status, status, "{target}");
    }
    nginx.finish()
}

#[test]
fn tokens_of_kubernetes_secrets_and_pods_that_are_revoked() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }}
            location /legacy {{ jwt_issuer kubernetes/serviceaccount; jwt_claim kubernetes.io/serviceaccount/namespace = web; {SERVE} }}
            location /pods {{ jwt_revoked kubernetes.io.pod.uid revoked-pods.txt check=5s; {SERVE} }}"
        ))
        .file("revoked-pods.txt", "0d8b260e-ef0e-45fb-be8e-ff44f97722e8\n")
        .start()?;
    let legacy = |name: &str| {
        token(&json!({
            "iss": "kubernetes/serviceaccount", "exp": null, "kubernetes.io/serviceaccount/namespace": name,
        }))
    };
    assert_eq!(nginx.bearer("/legacy", &legacy("web")?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/legacy", &legacy("ops")?)?.verdict(), (403, "denied"));
    let pod = |uid: &str| token(&json!({ "kubernetes.io": { "pod": { "uid": uid } } }));
    let gone = pod("0d8b260e-ef0e-45fb-be8e-ff44f97722e8")?;
    assert_eq!(nginx.bearer("/pods", &gone)?.verdict(), (401, "revoked"));
    assert_eq!(nginx.bearer("/pods", &pod("another")?)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn a_location_that_leaves_nothing_open() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location /api/ {{
                jwks_file        keys.json;
                jwt_algorithms   ES256;
                jwt_issuer       https://login.example.com/;
                jwt_audience     api.example.com;
                jwt_typ          at+jwt;
                jwt_require_exp  on;
                jwt_max_lifetime 1h;
                {SERVE}
            }}"
        ))
        .file("keys.json", P256.jwks("k")?)
        .start()?;
    let claims = json!({
        "iss": "https://login.example.com/", "aud": "api.example.com",
        "iat": now(), "exp": now() + 600,
    });
    let token = |typ: &str, name: &str, value: Value| {
        Jwt::new(with(claims.clone(), &json!({ name: value })))
            .kid("k")
            .header("typ", json!(typ))
            .sign("ES256", &P256)
    };
    for (typ, name, value, verdict) in [
        ("at+jwt", "sub", json!("alice"), (200, "ok")),
        ("JWT", "sub", json!("alice"), (401, "bad_type")),
        ("at+jwt", "iss", json!("https://login.example.com"), (401, "bad_issuer")),
        ("at+jwt", "aud", json!(["web"]), (401, "bad_audience")),
        ("at+jwt", "exp", json!(now() + 7200), (401, "bad_lifetime")),
        ("at+jwt", "exp", json!(now() - 1), (401, "expired")),
    ] {
        let token = token(typ, name, value.clone())?;
        assert_eq!(nginx.bearer("/api/", &token)?.verdict(), verdict, "{typ} {name} {value}");
    }
    nginx.finish()
}
