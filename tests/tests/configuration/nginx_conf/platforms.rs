//! The tests of the configurations that the guides to platforms quote: an MCP server, a load balancer of
//! AWS, a Kubernetes cluster, Istio; and monitoring.

use std::fs;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use module_tests::{
    Jwt, Nginx, OTHER_SECRET, P256, P256_OTHER, RSA, RSA_OTHER, Request, now, signature,
};
use serde_json::{Value, json};

use super::guides::{PROVIDED, body, web, with};
use super::{ask, expect, folder, ready, to_port_80};

pub(crate) fn mcp() -> Result<()> {
    let nginx = ready("mcp.conf", &[])?.file(PROVIDED, RSA.jwks("one")?).start()?;
    let token = |more: Value| {
        let claims = json!({
            "iss": "https://login.example.com/", "aud": "https://mcp.example.com/mcp",
            "client_id": "chat", "scope": "openid mcp:tools",
        });
        Jwt::live_with(&with(claims, &more)).kid("one").sign("RS256", &RSA)
    };
    let good = token(json!({}))?;
    expect(
        &nginx,
        &[
            ("/mcp", Some(&good), 200),
            // The server behind gets the path that nginx has judged, and no other spelling.
            ("/admin/delete-all/..%2f..%2fmcp?x=1", Some(&good), 200),
            ("/mcp", None, 401),
            ("/mcp", Some(&token(json!({ "aud": "https://other.example.com/mcp" }))?), 401),
            ("/mcp", Some(&token(json!({ "aud": null }))?), 401),
            ("/mcp", Some(&token(json!({ "exp": now() - 5 }))?), 401),
            ("/mcp", Some(&token(json!({ "scope": "mcp:tools-list" }))?), 403),
            (&format!("/mcp?access_token={good}"), None, 401),
            ("/_jwks", None, 404),
        ],
    )?;

    // The client's way: a 401 names the document, the document names the authorization server.
    let url = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
    let parameters = format!("resource_metadata=\"{url}\", scope=\"mcp:tools\"");
    let first = ask(&nginx, "/mcp", None)?;
    assert_eq!(first.all("WWW-Authenticate"), [format!("Bearer {parameters}")]);
    for path in
        ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"]
    {
        let response = ask(&nginx, path, None)?;
        assert_eq!(
            (response.status, response.header("Content-Type")),
            (200, Some("application/json"))
        );
        let document: Value = serde_json::from_slice(&response.body)?;
        assert_eq!(document.get("resource"), Some(&json!("https://mcp.example.com/mcp")));
        assert_eq!(
            document.get("authorization_servers"),
            Some(&json!(["https://login.example.com/"]))
        );
    }
    // A 403 names the scope that is missing, in the one challenge too.
    let refused = ask(&nginx, "/mcp", Some(&token(json!({ "scope": "openid" }))?))?;
    assert_eq!((refused.status, refused.all("WWW-Authenticate").len()), (403, 1));
    assert!(
        refused
            .challenge()
            .starts_with(&format!("Bearer {parameters}, error=\"insufficient_scope\"")),
        "{}",
        refused.challenge()
    );

    let post = || to_port_80(&nginx, "/mcp").method("POST").bearer(&good).body("{}");
    assert_eq!(
        body(post().header("X-User", "root"))?,
        "data: user=alice client=chat scope=openid mcp:tools token="
    );
    for (origin, status) in [
        ("https://chat.example.com", 200),
        ("https://evil.example", 403),
        ("https://chat.example.com.evil.example", 403),
        ("null", 403),
    ] {
        assert_eq!(post().header("Origin", origin).send()?.status, status, "{origin}");
    }
    nginx.finish()
}

/// A token as the load balancer writes it: every section is padded.
fn padded(header: &Value, claims: &Value, key: &module_tests::Key) -> Result<String> {
    let section = |value: &Value| URL_SAFE.encode(value.to_string());
    let input = format!("{}.{}", section(header), section(claims));
    Ok(format!("{input}.{}", URL_SAFE.encode(signature("ES256", key, input.as_bytes())?)))
}

pub(crate) fn aws_alb() -> Result<()> {
    let text = fs::read_to_string(folder().join("aws-alb.conf"))?;
    let (kid, other) =
        ("0f0b1c2d-1111-2222-3333-444455556666", "ffffffff-1111-2222-3333-444455556666");
    let start = |text: String| {
        ready("aws-alb.conf", &[])?
            .whole(text)
            .html(kid, P256.public)
            .html(other, P256_OTHER.public)
            .start()
    };
    let arn =
        |name: &str| format!("arn:aws:elasticloadbalancing:eu-central-1:{name}/50dc6c495c0c9188",);
    let ours = arn("123456789012:loadbalancer/app/shop");
    let token = |header: Value, claims: Value, key| {
        let issuer = "https://login.example.com/";
        let header = with(
            json!({
                "typ": "JWT", "kid": kid, "alg": "ES256", "iss": issuer, "client": "shop",
                "signer": ours, "exp": now() + 120,
            }),
            &header,
        );
        let claims = with(
            json!({
                "sub": "alice", "email": "alice@example.com", "iss": issuer, "exp": now() + 120,
            }),
            &claims,
        );
        padded(&header, &claims, key)
    };
    let good = token(json!({}), json!({}), &P256)?;
    assert!(good.contains('='), "{good}");
    let from = |nginx: &Nginx, token: &str| -> Request {
        to_port_80(nginx, "/").header("x-amzn-oidc-data", token)
    };

    // A client on a unix socket is in no network.
    let nginx = start(text.clone())?;
    assert_eq!(from(&nginx, &good).send()?.status, 403);
    nginx.finish()?;

    let nginx = start(text.replace("10.0.0.0/16", "unix:"))?;
    for (token, status) in [
        (good.clone(), 200),
        (token(json!({ "kid": other }), json!({}), &P256_OTHER)?, 200),
        (token(json!({ "kid": other }), json!({}), &P256)?, 401),
        (token(json!({ "kid": "unknown" }), json!({}), &P256)?, 401),
        (token(json!({ "kid": "../jwks.json" }), json!({}), &P256)?, 401),
        (token(json!({}), json!({ "exp": now() - 5 }), &P256)?, 401),
        (token(json!({}), json!({ "iss": "https://evil.example/" }), &P256)?, 401),
        // A load balancer of somebody else, signed with a good key of the same region.
        (
            token(
                json!({ "signer": arn("999999999999:loadbalancer/app/shop") }),
                json!({}),
                &P256,
            )?,
            403,
        ),
        (token(json!({ "signer": null }), json!({}), &P256)?, 403),
    ] {
        assert_eq!(from(&nginx, &token).send()?.status, status, "{token}");
    }
    expect(&nginx, &[("/", None, 401), ("/health", None, 200), ("/_alb_keys/x", None, 404)])?;
    // A bearer token of the client's own is not looked at.
    assert_eq!(ask(&nginx, "/", Some(&good))?.status, 401);
    let request =
        from(&nginx, &good).header("x-amzn-oidc-identity", "root").header("X-User", "root");
    assert_eq!(body(request)?, "user=alice email=alice@example.com identity= token=");
    let claimed =
        to_port_80(&nginx, "/health").header("X-User", "root").header("X-Email", "root@x");
    assert_eq!(body(claimed)?, "user= email= identity= token=");
    nginx.finish()
}

pub(crate) fn kubernetes() -> Result<()> {
    let start = |with_token: bool| {
        let builder = ready("kubernetes.conf", &[])?.file(PROVIDED, RSA.jwks("cluster")?);
        let line = "proxy_set_header Authorization \"Bearer of.the.pod\";\n";
        let builder = if with_token { builder.file("cluster-token.inc", line) } else { builder };
        builder.start()
    };
    let token = |namespace: &str, account: &str, more: Value| {
        let claims = json!({
            "iss": "https://kubernetes.default.svc.cluster.local", "aud": ["shop"],
            "sub": format!("system:serviceaccount:{namespace}:{account}"),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": { "name": account, "uid": "e6a8680e" },
                "pod": { "name": "web-7d9f", "uid": "0d8b260e" },
                "warnafter": now() + 200,
            },
        });
        Jwt::live_with(&with(claims, &more)).kid("cluster").sign("RS256", &RSA)
    };
    let of = |namespace: &str, account: &str| token(namespace, account, json!({}));

    let nginx = start(true)?;
    let (web, worker) = (of("web", "frontend")?, of("billing", "worker")?);
    expect(
        &nginx,
        &[
            ("/healthz", None, 200),
            ("/", None, 401),
            ("/", Some(&web), 200),
            (
                "/",
                Some(&token(
                    "web",
                    "frontend",
                    json!({ "aud": ["https://kubernetes.default.svc"] }),
                )?),
                401,
            ),
            ("/", Some(&token("web", "frontend", json!({ "exp": null }))?), 401),
            (
                "/",
                Some(&token("web", "frontend", json!({ "iss": "kubernetes/serviceaccount" }))?),
                401,
            ),
            ("/orders/", Some(&web), 200),
            ("/orders/", Some(&of("mobile", "app")?), 200),
            ("/orders/", Some(&of("web", "default")?), 403),
            ("/orders/", Some(&of("webx", "frontend")?), 403),
            ("/orders/", Some(&worker), 403),
            ("/billing/", Some(&worker), 200),
            ("/billing/", Some(&of("billing", "cron")?), 200),
            ("/billing/", Some(&of("billing", "other")?), 403),
            ("/billing/", Some(&of("web", "worker")?), 403),
            ("/billing/", Some(&of("ops", "debug")?), 200),
            ("/billing/", Some(&of("ops", "worker")?), 403),
            ("/_cluster_keys", None, 404),
        ],
    )?;
    let request = to_port_80(&nginx, "/").bearer(&web).header("X-Namespace", "kube-system");
    assert_eq!(body(request)?, "namespace=web account=frontend token=");
    nginx.finish()?;

    // Without the file, the API server refuses to tell its keys.
    let nginx = start(false)?;
    expect(&nginx, &[("/", Some(&web), 503)])?;
    nginx.finish()
}

pub(crate) fn from_istio() -> Result<()> {
    let nginx = ready("from-istio.conf", &[])?.file(PROVIDED, RSA.jwks("rsa")?).start()?;
    let (people, machines) = ("https://login.example.com", "https://machines.example.com");
    let person = |more: Value| {
        let claims = with(json!({ "iss": people, "aud": "shop" }), &more);
        Jwt::live_with(&claims).kid("rsa").sign("RS256", &RSA)
    };
    let machine = |sub: &str, secret: &str| {
        let claims = json!({ "iss": machines, "sub": sub });
        Jwt::live_with(&claims).kid("machines-2026").hs("HS256", secret)
    };
    let secret = "Zk5q0mX1d8uYw3Rj7cTn2vBs6hLe9gPa";
    let (alice, robot) = (person(json!({}))?, machine("robot", secret)?);
    let at = |target: &str, token: &str| {
        to_port_80(&nginx, target).header("X-Token", format!("Token {token}"))
    };
    // Each rule's tokens are found in its own places only.
    expect(
        &nginx,
        &[
            ("/", None, 200),
            ("/account/", None, 401),
            ("/orders/", None, 401),
            ("/account/", Some(&robot), 200),
            ("/account/", Some(&alice), 401),
            (&format!("/account/?access_token={robot}"), None, 200),
            (&format!("/account/?token={alice}"), None, 200),
            (&format!("/account/?token={robot}"), None, 401),
            ("/", Some(&machine("robot", OTHER_SECRET)?), 401),
            ("/orders/", Some(&robot), 200),
            ("/orders/", Some(&machine("mule", secret)?), 403),
        ],
    )?;
    for (target, claims, status) in [
        ("/", json!({}), 200),
        ("/", json!({ "aud": "bank" }), 401),
        ("/account/", json!({ "exp": now() - 30 }), 200),
        ("/account/", json!({ "exp": now() - 90 }), 401),
        ("/orders/", json!({}), 403),
        ("/orders/", json!({ "groups": ["staff"] }), 200),
        ("/orders/", json!({ "groups": "admins" }), 200),
        ("/orders/", json!({ "groups": ["staff,admins"] }), 403),
        ("/orders/", json!({ "groups": ["staff"], "org": { "department": "it" } }), 200),
        ("/orders/", json!({ "groups": ["staff"], "org": { "department": "guests" } }), 403),
        (
            "/orders/",
            json!({ "groups": ["staff"], "org": { "department": ["it", "interns"] } }),
            403,
        ),
        ("/orders/", json!({ "groups": ["staff", "banned"] }), 403),
        ("/orders/", json!({ "sub": "robot" }), 403),
    ] {
        let token = person(claims.clone())?;
        assert_eq!(at(target, &token).send()?.status, status, "{target} {claims}");
    }
    let forged = Jwt::live_with(&json!({ "iss": people, "aud": "shop" })).kid("rsa");
    assert_eq!(at("/", &forged.sign("RS256", &RSA_OTHER)?).send()?.status, 401);

    // The workload gets the payload and no token.
    let payload = alice.split('.').nth(1).unwrap_or_default();
    assert!(URL_SAFE_NO_PAD.decode(payload)?.starts_with(b"{"));
    let target = format!("/account/?a=1&token={alice}&b=2");
    let request = to_port_80(&nginx, &target).header("X-User", "root");
    assert_eq!(body(request)?, format!("user=alice payload={payload} tokens= query=a=1&b=2"));
    assert_eq!(body(at("/", &alice))?, format!("user=alice payload={payload} tokens= query="));
    let guest = to_port_80(&nginx, "/?a=1").header("X-User", "root").header("X-Jwt-Payload", "e30");
    assert_eq!(body(guest)?, "user= payload= tokens= query=a=1");
    expect(&nginx, &[("/_people_jwks", None, 404)])?;
    nginx.finish()
}

pub(crate) fn monitoring() -> Result<()> {
    let nginx = ready("monitoring.conf", &[])?.start()?;
    let of = |claims| web(&claims);
    let (good, plain) =
        (of(json!({ "roles": ["user"], "mfa": true }))?, of(json!({ "roles": ["user"] }))?);
    expect(
        &nginx,
        &[
            ("/api/", None, 401),
            ("/api/", Some(&good), 200),
            ("/api/", Some(&plain), 200),
            ("/api/", Some(&of(json!({ "roles": ["guest"] }))?), 403),
        ],
    )?;
    let page = nginx.request().socket(nginx.socket("9145.sock")).target("/token-auth").send()?;
    let of_api = "server=\"api.example.com\",location=\"/api/\",check=\"jwt\"";
    for sample in [
        format!("requests_total{{{of_api},outcome=\"passed\"}} 2\n"),
        format!("requests_total{{{of_api},outcome=\"refused\"}} 2\n"),
        format!("tried_refusals_total{{{of_api}}} 1\n"),
    ] {
        assert!(page.text().contains(&sample), "{}", page.text());
    }
    nginx.finish()
}
