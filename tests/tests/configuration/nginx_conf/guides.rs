//! The tests of the configurations that the guides quote.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use module_tests::{Jwt, Nginx, OTHER_SECRET, RSA, RSA_OTHER, Request, link, link_hmac, now};
use serde_json::{Value, json};

use super::{AZION, ask, expect, folder, ready, to_port_80};

/// A token that is signed with the key of most guides.
pub(crate) fn web(claims: &Value) -> Result<String> {
    let secret = "vx7P1Lsxfe+6jCDDxWcrT9Iyffp4L/jEpBDAviOLX/vRtC5tsaEPsq9MFzO2Iaj3";
    Jwt::live_with(claims).kid("web").hs("HS256", STANDARD.decode(secret)?)
}

/// `claims`, with the members of `more` added or replaced.
pub(super) fn with(mut claims: Value, more: &Value) -> Value {
    if let (Some(all), Some(more)) = (claims.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    claims
}

/// The body of a response, which must have status 200.
pub(super) fn body(request: Request) -> Result<String> {
    let response = request.send()?;
    assert_eq!(response.status, 200, "{}", response.text());
    Ok(response.text().trim_end().to_owned())
}

/// The key set of the server that stands in for the identity provider.
pub(super) const PROVIDED: &str = "html/jwks.json";

pub(crate) fn openid_connect() -> Result<()> {
    let nginx = ready("openid-connect.conf", &[])?.file(PROVIDED, RSA.jwks("one")?).start()?;
    let of = |more: Value| {
        let claims = json!({ "iss": "https://login.example.com/", "aud": "api.example.com" });
        Jwt::live_with(&with(claims, &more))
    };
    let one = |more: Value| of(more).kid("one").sign("RS256", &RSA);
    let good = one(json!({ "email": "alice@example.com", "groups": ["staff", "ops"] }))?;
    expect(
        &nginx,
        &[
            ("/api/", None, 401),
            ("/api/", Some(&good), 200),
            ("/api/", Some(&one(json!({ "iss": "https://login.example.com" }))?), 401),
            ("/api/", Some(&one(json!({ "aud": "another.example.com" }))?), 401),
            ("/api/", Some(&one(json!({ "exp": null }))?), 401),
            ("/api/", Some(&of(json!({})).kid("one").sign("RS256", &RSA_OTHER)?), 401),
            ("/api/", Some(&of(json!({})).kid("one").sign("PS256", &RSA)?), 401),
            ("/_jwks", None, 404),
        ],
    )?;
    let request = to_port_80(&nginx, "/api/").bearer(&good).header("X-Groups", "root");
    assert_eq!(body(request)?, "user=alice email=alice@example.com groups=staff,ops token=");
    assert_eq!(ask(&nginx, "/api/", None)?.challenge(), "Bearer realm=\"api\"");
    // The provider changes its keys, and nginx gets no notice of it.
    nginx.put(PROVIDED, RSA_OTHER.jwks("two")?)?;
    let two = of(json!({})).kid("two").sign("RS256", &RSA_OTHER)?;
    expect(&nginx, &[("/api/", Some(&two), 200), ("/api/", Some(&good), 401)])?;
    nginx.finish()
}

pub(crate) fn from_krakend() -> Result<()> {
    // The test checks the list more often than the guide does.
    let text = fs::read_to_string(folder().join("from-krakend.conf"))?;
    let text = text.replace("check=5s", "check=1ms");
    let nginx =
        ready("from-krakend.conf", &[])?.whole(text).file(PROVIDED, RSA.jwks("rsa")?).start()?;
    let token = |more: Value| {
        let claims = with(
            json!({
                "iss": "https://login.example.com/realms/shop", "aud": ["orders", "stock"],
                "realm_access": { "roles": ["clerk", "driver"] }, "scope": "orders:write orders:read",
            }),
            &more,
        );
        Jwt::live_with(&claims).kid("rsa")
    };
    let good = token(json!({})).sign("RS256", &RSA)?;
    let refused = |claims: Value| token(claims).sign("RS256", &RSA);
    expect(
        &nginx,
        &[
            ("/orders", None, 401),
            ("/orders", Some(&good), 200),
            ("/orders", Some(&token(json!({})).sign("RS384", &RSA)?), 401),
            ("/orders", Some(&token(json!({})).sign("RS256", &RSA_OTHER)?), 401),
            ("/orders", Some(&refused(json!({ "iss": "https://login.example.com/" }))?), 401),
            ("/orders", Some(&refused(json!({ "aud": "stock" }))?), 401),
            ("/orders", Some(&refused(json!({ "jti": "3f2c9a7e-lost-laptop" }))?), 401),
            ("/orders", Some(&refused(json!({ "jti": "another" }))?), 200),
            ("/orders", Some(&refused(json!({ "realm_access": { "roles": ["driver"] } }))?), 403),
            ("/orders", Some(&refused(json!({ "realm_access": null }))?), 403),
            ("/orders", Some(&refused(json!({ "scope": "orders:read" }))?), 403),
        ],
    )?;
    let told = "user=alice roles=clerk,driver token=";
    let request = to_port_80(&nginx, "/orders").bearer(&good);
    assert_eq!(body(request.header("X-User", "root").header("X-Roles", "admin"))?, told);
    let request = to_port_80(&nginx, "/orders").header("Cookie", format!("session={good}"));
    assert_eq!(body(request)?, told);
    expect(&nginx, &[("/_jwks", None, 404)])?;
    // nginx uses a changed list without a reload.
    let other = refused(json!({ "jti": "another" }))?;
    nginx.put("revoked.txt", "another\n")?;
    thread::sleep(Duration::from_millis(10));
    expect(&nginx, &[("/orders", Some(&other), 401), ("/orders", Some(&good), 200)])?;
    nginx.finish()
}

pub(crate) fn from_gloo_envoy() -> Result<()> {
    let nginx = ready("from-gloo-envoy.conf", &[])?.file(PROVIDED, RSA.jwks("rsa")?).start()?;
    let (people, machines) = ("https://login.example.com/", "https://machines.example.com/");
    let person = |more: Value| {
        let claims = with(json!({ "iss": people, "aud": "shop" }), &more);
        Jwt::live_with(&claims).kid("rsa").sign("RS256", &RSA)
    };
    let machine = |issuer: &str| {
        let claims = json!({ "iss": issuer, "sub": "robot", "aud": "shop" });
        Jwt::live_with(&claims).kid("machines-2026").hs("HS256", "Zk5q0mX1d8uYw3Rj7cTn2vBs6hLe9gPa")
    };
    let admin = |org: &str, group: &str, email: &str| {
        person(json!({
            "email_verified": true, "groups": ["staff", group], "email": email,
            "org": { "department": org },
        }))
    };
    let (alice, robot) = (person(json!({}))?, machine(machines)?);
    let late = person(json!({ "exp": now() - 30 }))?;
    let expired = person(json!({ "exp": now() - 90 }))?;
    let elsewhere = person(json!({ "aud": "bank" }))?;
    expect(
        &nginx,
        &[
            ("/health", None, 200),
            ("/_people_jwks", None, 404),
            ("/", None, 401),
            ("/", Some(&alice), 200),
            ("/", Some(&robot), 200),
            ("/", Some(&late), 200),
            ("/", Some(&expired), 401),
            ("/", Some(&elsewhere), 401),
            // The keys of one provider do not verify tokens of another provider's issuer.
            ("/", Some(&machine(people)?), 401),
            ("/", Some(&machine("https://nobody.example.com/")?), 401),
            (&format!("/?access_token={alice}"), None, 200),
            ("/catalog/", None, 200),
            ("/catalog/", Some(&alice), 200),
            ("/catalog/", Some(&expired), 401),
            ("/catalog/", Some(&robot), 401),
            ("/landing/", None, 200),
            ("/landing/", Some(&expired), 200),
            ("/both/", None, 401),
            ("/both/", Some(&alice), 401),
            ("/both/", Some(&robot), 401),
            ("/admin/", None, 401),
            ("/admin/", Some(&alice), 403),
            ("/admin/", Some(&admin("it", "admins", "a@example.com")?), 200),
            // Principals are alternatives.
            ("/admin/", Some(&admin("sales", "admins", "a@example.com")?), 200),
            ("/admin/", Some(&admin("it", "staff", "a@example.com")?), 200),
            ("/admin/", Some(&admin("sales", "evil,admins", "a@example.com")?), 403),
            ("/admin/", Some(&admin("it", "admins", "a@example.com.evil.example")?), 403),
        ],
    )?;
    let told = |target: &str, token: Option<&str>| {
        let request = to_port_80(&nginx, target).header("X-User", "root");
        body(match token {
            Some(token) => request.bearer(token),
            None => request,
        })
    };
    assert_eq!(told("/", Some(&alice))?, "user=alice provider=people token= query=");
    assert_eq!(told("/", Some(&robot))?, "user=robot provider=machines token= query=");
    assert_eq!(told("/catalog/", None)?, "user= provider= token= query=");
    assert_eq!(told("/landing/", Some(&expired))?, "user= provider= token= query=");
    assert_eq!(told("/health", Some(&alice))?, "user= provider= token= query=");
    // forward: false: no token by the query, whichever place had the one that was checked.
    let both = to_port_80(&nginx, "/both/").bearer(&alice).header("X-Machine-Token", &robot);
    assert_eq!(body(both.header("X-Machine", "root"))?, "user=alice machine=robot tokens=");
    let twice = to_port_80(&nginx, "/both/").bearer(&alice).header("X-Machine-Token", &alice);
    assert_eq!(twice.send()?.status, 401);
    let by_query = told(&format!("/?a=1&access_token={alice}"), None)?;
    assert_eq!(by_query, "user=alice provider=people token= query=a=1");
    let both = told("/catalog/?access_token=other&b=%20", Some(&alice))?;
    assert_eq!(both, "user=alice provider=people token= query=b=%20");
    let failed = told(&format!("/landing/?access_token={expired}"), None)?;
    assert_eq!(failed, "user= provider= token= query=");
    nginx.finish()
}

pub(crate) fn from_nginx_plus() -> Result<()> {
    let nginx = ready("from-nginx-plus.conf", &[])?
        .file("jwks.json", RSA.jwks("rsa")?)
        .file("keys/red.json", RSA.jwks("red")?)
        .file("keys/blue.json", RSA_OTHER.jwks("blue")?)
        .file(PROVIDED, RSA_OTHER.jwks("provider")?)
        .start()?;
    let claims = json!({ "info": { "e-mail": "alice@example.com" } });
    let user = Jwt::live_with(&claims).kid("rsa").sign("RS256", &RSA)?;
    let admin = Jwt::live_with(&json!({ "role": "admin" })).kid("rsa").sign("RS256", &RSA)?;
    let provided = Jwt::live().kid("provider").sign("RS256", &RSA_OTHER)?;
    let cookie = |target: &str, token: &str| {
        let request = to_port_80(&nginx, target);
        Ok::<_, anyhow::Error>(
            request.header("Cookie", format!("auth_token={token}")).send()?.status,
        )
    };
    expect(
        &nginx,
        &[
            ("/products/health", None, 200),
            ("/products/", None, 401),
            ("/products/", Some(&user), 200),
            ("/products/", Some(&Jwt::live().kid("rsa").sign("RS256", &RSA_OTHER)?), 401),
            ("/products/admin/", Some(&admin), 401),
            ("/orders/", None, 401),
            ("/orders/", Some(&provided), 200),
            ("/orders/", Some(&user), 401),
            ("/_jwks", None, 404),
        ],
    )?;
    assert_eq!(ask(&nginx, "/products/", None)?.challenge(), "Bearer realm=\"products\"");
    let claimed = to_port_80(&nginx, "/products/health").header("X-User", "root");
    assert_eq!(claimed.send()?.text(), "user= email=\n");
    let request = to_port_80(&nginx, "/products/").bearer(&user).header("X-Email", "root@x");
    assert_eq!(body(request)?, "user=alice email=alice@example.com");
    assert_eq!(cookie("/products/admin/", &admin)?, 200);
    assert_eq!(cookie("/products/admin/", &user)?, 403);

    let tenant = |host: &str, token: &str| {
        Ok::<_, anyhow::Error>(
            to_port_80(&nginx, "/tenant/").host(host).bearer(token).send()?.status,
        )
    };
    let red = Jwt::live().kid("red").sign("RS256", &RSA)?;
    let blue = Jwt::live().kid("blue").sign("RS256", &RSA_OTHER)?;
    assert_eq!(tenant("red.example.com", &red)?, 200);
    assert_eq!(tenant("blue.example.com", &blue)?, 200);
    assert_eq!(tenant("red.example.com", &blue)?, 401);
    assert_eq!(tenant("elsewhere.example.com", &red)?, 503);
    // nginx uses a changed file from the next request on.
    nginx.put("keys/red.json", RSA_OTHER.jwks("blue")?)?;
    assert_eq!(tenant("red.example.com", &blue)?, 200);
    assert_eq!(tenant("red.example.com", &red)?, 401);
    nginx.finish()
}

pub(crate) fn azion_rules_engine() -> Result<()> {
    let locations = [
        "classes",
        "equal",
        "not-equal",
        "starts-with",
        "does-not-start-with",
        "does-not-start-with/open",
        "matches",
        "does-not-match",
        "exists",
        "does-not-exist",
        "network",
        "and",
        "or",
    ];
    let documents: Vec<String> = locations
        .iter()
        .flat_map(|folder| ["a.txt", "a.mp4", "a.css"].map(|file| format!("{folder}/{file}")))
        .collect();
    let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
    let nginx = ready("azion-rules-engine.conf", &documents)?.start()?;
    let (kid, secret) = AZION;
    let good = Jwt::live().kid(kid).hs("HS256", secret)?;
    let get = |target: &str| to_port_80(&nginx, target).host("other.example.com");
    let www = |target: &str| get(target).host("www.example.com");
    let member = |target: &str| get(target).header("Cookie", "member=1");
    let player = |target: &str| get(target).header("User-Agent", "Player/2");
    // A request needs a token exactly where the rule says that the function runs.
    for (request, runs) in [
        (get("/"), false),
        (get("/classes/a.txt"), true),
        (get("/%63lasses/a.txt"), true),
        (get("/equal/a.txt"), false),
        (www("/equal/a.txt"), true),
        (www("/equal/a.txt").host("WWW.Example.com:80"), true),
        (get("/not-equal/a.txt"), true),
        (get("/not-equal/a.txt").method("HEAD"), true),
        (get("/starts-with/a.txt"), false),
        (get("/starts-with/a.txt").header("User-Agent", "A Player/2"), false),
        (player("/starts-with/a.txt"), true),
        (get("/does-not-start-with/a.txt"), true),
        (get("/does-not-start-with/open/a.txt"), false),
        (get("/does-not-start-with/open/../a.txt"), true),
        (get("/matches/a.txt"), false),
        (get("/matches/a.mp4"), true),
        (get("/matches/a%2Emp4"), true),
        (get("/does-not-match/a.txt"), true),
        (get("/does-not-match/a.css"), false),
        (get("/exists/a.txt"), false),
        (member("/exists/a.txt"), true),
        (get("/does-not-exist/a.txt"), true),
        (get("/does-not-exist/a.txt?preview=1"), false),
        (get("/network/a.txt"), true),
        (get("/and/a.txt"), false),
        (www("/and/a.txt"), true),
        (get("/or/a.txt"), false),
        (get("/or/a.mp4"), true),
        (member("/or/a.txt"), true),
    ] {
        let asked = String::from_utf8_lossy(&request.bytes()).into_owned();
        assert_eq!(request.clone().send()?.status, if runs { 401 } else { 200 }, "{asked}");
        assert_eq!(request.bearer(&good).send()?.status, 200, "{asked}");
    }
    let preflight =
        |target: &str| Ok::<_, anyhow::Error>(get(target).method("OPTIONS").send()?.status);
    // nginx itself answers 405 to OPTIONS of a file, so the request has passed the check.
    assert_eq!(preflight("/not-equal/a.txt")?, 405);
    assert_eq!(preflight("/matches/a.mp4")?, 401);
    assert_eq!(www("/and/a.txt").method("OPTIONS").send()?.status, 405);
    nginx.finish()?;

    // For geo, a client on a unix socket has the address 255.255.255.255.
    let text = fs::read_to_string(folder().join("azion-rules-engine.conf"))?;
    let text = text.replace("10.0.0.0/8", "255.255.255.255");
    let nginx =
        ready("azion-rules-engine.conf", &["network/a.txt", "equal/a.txt"])?.whole(text).start()?;
    expect(&nginx, &[("/network/a.txt", None, 200)])?;
    nginx.finish()
}

pub(crate) fn roles() -> Result<()> {
    let nginx = ready("roles.conf", &[])?.start()?;
    let of = |roles: &[&str]| web(&json!({ "roles": roles }));
    let (admin, editor, nobody) = (of(&["admin"])?, of(&["reader", "editor"])?, of(&[])?);
    let analyst = |scope: &str| web(&json!({ "roles": "analyst", "scope": scope }));
    expect(
        &nginx,
        &[
            ("/", None, 401),
            ("/", Some(&nobody), 200),
            ("/admin/", None, 401),
            ("/admin/", Some(&nobody), 403),
            ("/admin/", Some(&of(&["administrator"])?), 403),
            ("/admin/", Some(&admin), 200),
            ("/reports/", Some(&admin), 403),
            ("/reports/", Some(&analyst("reports:read")?), 200),
            ("/reports/", Some(&analyst("reports:write")?), 403),
            ("/articles/1", Some(&nobody), 200),
            ("/users/alice/photo", Some(&nobody), 200),
            ("/users/bob/photo", Some(&nobody), 403),
            ("/users/bob/photo", Some(&admin), 403),
            ("/audit/", Some(&nobody), 403),
            ("/audit/", Some(&web(&json!({ "role": "auditor" }))?), 200),
            ("/audit/", Some(&web(&json!({ "department": "finance" }))?), 200),
            ("/audit/", Some(&web(&json!({ "department": "sales" }))?), 403),
            ("/audit/", Some(&web(&json!({ "role": "evil,auditor" }))?), 403),
        ],
    )?;
    let write = |token: &str| {
        let request = to_port_80(&nginx, "/articles/1").method("PUT").body("{}");
        Ok::<_, anyhow::Error>(request.bearer(token).send()?.status)
    };
    assert_eq!((write(&editor)?, write(&nobody)?), (200, 403));
    let denied = ask(&nginx, "/admin/", Some(&nobody))?;
    assert!(
        denied.challenge().starts_with("Bearer realm=\"app\", error=\"insufficient_scope\""),
        "{}",
        denied.challenge()
    );
    let request = to_port_80(&nginx, "/admin/").bearer(&admin).header("X-Roles", "root");
    assert_eq!(body(request)?, "user=alice roles=admin uri=/admin/");
    // The application gets the same path that the rules have checked.
    for (sent, judged) in [
        ("/admin/..%2fpublic?a=1", "/public?a=1"),
        ("/users/bob/..%2falice/photo", "/users/alice/photo"),
        ("/x/%2e%2e/articles/1", "/articles/1"),
    ] {
        let request = to_port_80(&nginx, sent).bearer(&nobody);
        assert_eq!(body(request)?, format!("user=alice roles= uri={judged}"), "{sent}");
    }
    nginx.finish()
}

pub(crate) fn routing_by_claim() -> Result<()> {
    let nginx = ready("routing-by-claim.conf", &[])?.start()?;
    let to = |org: &str| {
        let token = web(&json!({ "org": org }))?;
        body(to_port_80(&nginx, "/").bearer(&token).header("X-User", "root"))
    };
    assert_eq!(to("solo.example")?, "canary user=alice");
    assert_eq!(to("other.example")?, "stable user=alice");
    assert_eq!(to("canary")?, "stable user=alice");
    let forged = Jwt::live_with(&json!({ "org": "solo.example" })).kid("web");
    expect(&nginx, &[("/", None, 401), ("/", Some(&forged.hs("HS256", OTHER_SECRET)?), 401)])?;
    nginx.finish()
}

/// The statuses of twelve requests, sent one after the other without a pause.
fn burst(nginx: &Nginx, token: Option<&str>) -> Result<Vec<u16>> {
    (0..12).map(|_| Ok(ask(nginx, "/api/a.txt", token)?.status)).collect()
}

pub(crate) fn rate_limit() -> Result<()> {
    let nginx = ready("rate-limit.conf", &["api/a.txt"])?.start()?;
    let of = |sub: &str| web(&json!({ "sub": sub }));
    for subject in ["alice", "bob"] {
        let statuses = burst(&nginx, Some(&of(subject)?))?;
        assert!(statuses.starts_with(&[200, 200, 200, 200, 200]), "{subject}: {statuses:?}");
        assert!(statuses.contains(&429), "{subject}: {statuses:?}");
    }
    let statuses = burst(&nginx, Some(&Jwt::live().kid("web").hs("HS256", OTHER_SECRET)?))?;
    assert!(statuses.starts_with(&[401]) && statuses.contains(&429), "{statuses:?}");
    // After too many guesses, a client with a good token is still served.
    assert_eq!(ask(&nginx, "/api/a.txt", Some(&of("carol")?))?.status, 200);
    nginx.finish()
}

pub(crate) fn login_redirect() -> Result<()> {
    let documents = ["app/page.html", "app/admin/page.html", "login.html", "forbidden.html"];
    let nginx = ready("login-redirect.conf", &documents)?.start()?;
    let browser = |target: &str, token: &str| {
        let request = to_port_80(&nginx, target).header("Accept", "text/html,*/*;q=0.8");
        request.header("Cookie", format!("session={token}")).send()
    };
    let (user, expired) = (web(&json!({}))?, web(&json!({ "exp": now() - 5 }))?);
    let admin = web(&json!({ "roles": ["admin"] }))?;
    // The requested page, and the page that the login leads back to.
    for (page, next) in [
        ("/app/page.html?a=1", "/app/page.html?a=1"),
        ("/app/admin/page.html", "/app/admin/page.html"),
        ("/app/page.html?a=1&next=//evil.example/", "/app/page.html?a=1"),
        ("/app/a&next=//evil.example/", "/app/a"),
        ("/app/a;next=//evil.example/", "/app/a"),
        ("//app/page.html", "/app/"),
        ("/x/../app/page.html", "/app/"),
        ("/%61pp/page.html", "/app/"),
    ] {
        for (token, word) in [("", "missing"), ("rubbish", "malformed"), (&expired, "expired")] {
            let response = browser(page, token)?;
            assert_eq!(response.status, 302, "{page} {word}");
            let to = response.header("Location").unwrap_or_default();
            assert!(to.ends_with(&format!("/login?why={word}&next={next}")), "{word}: {to}");
        }
    }
    assert_eq!(browser("/app/page.html", &user)?.status, 200);
    assert_eq!(browser("/app/admin/page.html", &admin)?.status, 200);
    assert_eq!(browser("/app/admin/page.html", &user)?.status, 403);
    let program = to_port_80(&nginx, "/app/page.html").header("Accept", "application/json");
    let program = program.send()?;
    assert_eq!((program.status, program.challenge()), (401, "Bearer"));
    expect(
        &nginx,
        &[
            ("/app/page.html", Some(&user), 200),
            ("/login?why=missing", None, 200),
            ("/forbidden.html", None, 404),
        ],
    )?;
    nginx.finish()
}

pub(crate) fn json_errors() -> Result<()> {
    let nginx = ready("json-errors.conf", &["api/a.txt", "video/a.mp4"])?.start()?;
    let good = web(&json!({ "scope": "api" }))?;
    let other = web(&json!({ "scope": "other" }))?;
    let expired = web(&json!({ "exp": now() - 5 }))?;
    let (link_good, link_gone) = (
        link("mysecretkey", "/video/a.mp4", now() + 300),
        link("mysecretkey", "/video/a.mp4", now() - 300),
    );
    expect(&nginx, &[("/api/a.txt", Some(&good), 200), (&link_good, None, 200)])?;
    for (target, token, status, jwt, link, message) in [
        ("/api/a.txt", None, 401, "missing", "off", "Please log in"),
        (
            "/api/a.txt",
            Some(&expired),
            401,
            "expired",
            "off",
            "Your session has ended, please log in again",
        ),
        ("/api/a.txt", Some(&other), 403, "denied", "off", "You may not do this"),
        ("/video/a.mp4", None, 403, "off", "missing", "Access denied"),
        (&*link_gone, None, 410, "off", "expired", "This link has expired"),
    ] {
        let response = ask(&nginx, target, token.map(String::as_str))?;
        assert_eq!(response.status, status, "{target}");
        assert_eq!(response.header("Content-Type"), Some("application/json"));
        assert_eq!(response.header("Cache-Control"), Some("no-store"));
        let body: Value = serde_json::from_slice(&response.body)?;
        let told = json!({ "status": status, "jwt": jwt, "link": link, "message": message });
        assert_eq!(body, told, "{target}");
    }
    let challenge = ask(&nginx, "/api/a.txt", None)?;
    assert_eq!(challenge.challenge(), "Bearer");
    nginx.finish()
}

pub(crate) fn websocket_sse() -> Result<()> {
    let nginx = ready("websocket-sse.conf", &[])?.start()?;
    let good = web(&json!({}))?;
    let forever = web(&json!({ "exp": null }))?;
    let socket = |origin: &str, name: &str, value: String| {
        let request =
            to_port_80(&nginx, "/ws").header("Origin", origin).header("Upgrade", "websocket");
        request.header(name, value)
    };
    let (own, protocol) = ("https://app.example.com", "Sec-WebSocket-Protocol");
    let told = "user=alice upgrade=websocket connection=upgrade protocol=";
    assert_eq!(body(socket(own, protocol, format!("chat, bearer.{good}")))?, format!("{told}chat"));
    assert_eq!(body(socket(own, "Cookie", format!("session={good}")))?, told);
    for (request, status) in [
        (socket(own, "Cookie", String::new()), 401),
        (socket(own, "Cookie", format!("session={forever}")), 401),
        (socket(own, protocol, "chat, bearer.a.b.c".to_owned()), 401),
        (socket("https://evil.example", "Cookie", format!("session={good}")), 403),
    ] {
        assert_eq!(request.send()?.status, status);
    }
    let events =
        |token: &str| to_port_80(&nginx, "/events").header("Cookie", format!("session={token}"));
    let stream = events(&good).header("X-User", "root").send()?;
    assert_eq!(stream.header("Content-Type"), Some("text/event-stream"));
    assert_eq!((stream.status, &*stream.text()), (200, "data: hello alice\n\n"));
    expect(&nginx, &[("/events", None, 401), ("/events", Some(&good), 200)])?;
    assert_eq!(events(&forever).send()?.status, 401);
    nginx.finish()
}

pub(crate) fn hls() -> Result<()> {
    let documents = ["hls/one/index.m3u8", "hls/one/low/1.ts", "hls/two/index.m3u8"];
    let nginx = ready("hls.conf", &documents)?.start()?;
    let secret = "c6iXn0YbqkVt3Zp8sJwL5mRf1dHu7aGe";
    let signed = |e: i64| link_hmac(secret, "/hls/one/", e);
    let (later, past) = (now() + 300, now() - 300);
    let query = format!("?st={}&e={later}", signed(later)?);
    let path =
        |e: i64, rest: &str| Ok::<_, anyhow::Error>(format!("/signed/{}/{e}{rest}", signed(e)?));
    expect(
        &nginx,
        &[
            (&format!("/hls/one/index.m3u8{query}"), None, 200),
            (&format!("/hls/one/low/1.ts{query}"), None, 200),
            ("/hls/one/index.m3u8", None, 403),
            (&format!("/hls/two/index.m3u8{query}"), None, 403),
            (&format!("/hls/one/../two/index.m3u8{query}"), None, 403),
            (&format!("/hls/one/%2e%2e/two/index.m3u8{query}"), None, 403),
            (&format!("/hls/one/index.m3u8?st={}&e={past}", signed(past)?), None, 410),
            (&format!("/hls/{query}"), None, 404),
            // This location refuses a link in Azion's form.
            (&link(secret, "/hls/one/", later).replace('?', "index.m3u8?"), None, 403),
            (&path(later, "/hls/one/index.m3u8")?, None, 200),
            (&path(later, "/hls/one/low/1.ts")?, None, 200),
            (&path(later, "/hls/two/index.m3u8")?, None, 403),
            (&path(later, "/hls/one/../two/index.m3u8")?, None, 403),
            (&path(past, "/hls/one/index.m3u8")?, None, 410),
            (&path(later, "/hls/one/index.m3u8")?.replace("/signed/", "/signed/A"), None, 403),
        ],
    )?;
    let playlist = ask(&nginx, &format!("/hls/one/index.m3u8{query}"), None)?;
    assert_eq!(playlist.header("Content-Type"), Some("application/vnd.apple.mpegurl"));
    nginx.assert_no_secret(&[secret, &signed(later)?])?;
    nginx.finish()
}
