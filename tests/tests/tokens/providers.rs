//! `jwt_provider`: the issuer of a token decides which provider's keys and rules apply.

use anyhow::Result;
use module_tests::{Jwt, Nginx, OTHER_SECRET, RSA, RSA_OTHER, SECRET, SERVE, hmac, now, raw_token};
use serde_json::{Value, json};

/// One provider has a public key, the other a shared secret.
const TWO: &str = "
    jwt_provider home { jwt_issuer https://home.example https://old.home.example;
        jwks_file home.json; }
    jwt_provider partner { jwt_issuer https://partner.example;
        jwt_kids { shared a-wholly-different-secret-a-wholly-different-secret-a-wholly-different; } }
";

fn start(server: impl AsRef<str>) -> Result<Nginx> {
    Nginx::builder()
        .http(format!(
            "{TWO} add_header X-Provider $jwt_provider always;
            add_header X-Jwt-Status $jwt_status always;"
        ))
        .server(server.as_ref())
        .file("home.json", RSA.jwks("shared")?)
        .start()
}

fn of_home(claims: &Value) -> Result<String> {
    issued("https://home.example", claims).sign("RS256", &RSA)
}

fn of_partner(claims: &Value) -> Result<String> {
    issued("https://partner.example", claims).hs("HS256", OTHER_SECRET)
}

fn issued(issuer: &str, claims: &Value) -> Jwt {
    Jwt::live_with(claims).with(&json!({ "iss": issuer })).kid("shared")
}

#[test]
fn the_issuer_decides_which_provider_judges() -> Result<()> {
    let nginx = start(format!(
        "location /both {{ jwt on provider=home provider=partner; {SERVE} }}
        location /home {{ jwt on provider=home; {SERVE} }}
        location /partner {{ jwt on provider=partner; {SERVE} }}
        location /open {{ {SERVE} }}"
    ))?;
    let old = issued("https://old.home.example", &json!({})).sign("RS256", &RSA)?;
    for (path, token, verdict, provider) in [
        ("/both", of_home(&json!({}))?, (200, "ok"), Some("home")),
        ("/both", old.clone(), (200, "ok"), Some("home")),
        ("/both", of_partner(&json!({}))?, (200, "ok"), Some("partner")),
        ("/home", of_home(&json!({}))?, (200, "ok"), Some("home")),
        ("/home", of_partner(&json!({}))?, (401, "bad_issuer"), None),
        ("/partner", of_partner(&json!({}))?, (200, "ok"), Some("partner")),
        ("/partner", of_home(&json!({}))?, (401, "bad_issuer"), None),
        ("/partner", old, (401, "bad_issuer"), None),
        ("/open", of_home(&json!({}))?, (200, "off"), None),
    ] {
        let response = nginx.bearer(path, &token)?;
        assert_eq!(
            (response.verdict(), response.header("X-Provider")),
            (verdict, provider),
            "{path}"
        );
    }
    for path in ["/both", "/home", "/partner"] {
        assert_eq!(nginx.get(path)?.verdict(), (401, "missing"), "{path}");
    }
    nginx.finish()
}

#[test]
fn keys_of_one_provider_never_vouch_for_another() -> Result<()> {
    let nginx = start(format!("jwt on provider=home provider=partner; location / {{ {SERVE} }}"))?;
    let rs_as_partner = issued("https://partner.example", &json!({}));
    let hs_as_home = issued("https://home.example", &json!({}));
    let public = RSA.public.as_bytes();
    for (what, token, verdict) in [
        ("home's key, partner's name", rs_as_partner.sign("RS256", &RSA)?, (401, "bad_algorithm")),
        (
            "partner's key, home's name",
            hs_as_home.hs("HS256", OTHER_SECRET)?,
            (401, "bad_algorithm"),
        ),
        ("a public key as a secret", hs_as_home.hs("HS256", public)?, (401, "bad_algorithm")),
        ("a public key as a secret", rs_as_partner.hs("HS256", public)?, (401, "bad_signature")),
        ("nobody's key", hs_as_home.sign("RS256", &RSA_OTHER)?, (401, "bad_signature")),
        ("nobody's secret", rs_as_partner.hs("HS256", SECRET)?, (401, "bad_signature")),
    ] {
        let response = nginx.bearer("/", &token)?;
        assert_eq!((response.verdict(), response.header("X-Provider")), (verdict, None), "{what}");
    }
    // A token without a kid is also verified by its issuer's keys only.
    for issuer in ["https://home.example", "https://partner.example"] {
        let jwt = Jwt::live_with(&json!({ "iss": issuer }));
        let (rs, hs) = (jwt.sign("RS256", &RSA)?, jwt.hs("HS256", OTHER_SECRET)?);
        let good = if issuer.contains("home") { [200, 401] } else { [401, 200] };
        assert_eq!([nginx.bearer("/", &rs)?.status, nginx.bearer("/", &hs)?.status], good);
    }
    nginx.finish()
}

#[test]
fn an_issuer_that_is_no_providers_is_refused() -> Result<()> {
    let nginx = start(format!("jwt on provider=home provider=partner; location / {{ {SERVE} }}"))?;
    for issuer in [
        json!("https://partner.example/"),
        json!("https://PARTNER.example"),
        json!("partner"),
        json!(""),
        json!(null),
        json!("https://partner.example\u{0}"),
    ] {
        let token =
            Jwt::live_with(&json!({ "iss": issuer })).kid("shared").hs("HS256", OTHER_SECRET)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "bad_issuer"), "{issuer}");
    }
    for issuer in [json!(["https://partner.example"]), json!(1), json!({ "a": 1 }), json!(true)] {
        let token =
            Jwt::live_with(&json!({ "iss": issuer })).kid("shared").hs("HS256", OTHER_SECRET)?;
        assert_eq!(nginx.bearer("/", &token)?.status, 401, "{issuer}");
    }
    // A token that names two issuers is malformed.
    let header = r#"{"alg":"HS256","kid":"shared"}"#;
    let sign =
        |both| raw_token(header, both, |input| hmac("HS256", OTHER_SECRET.as_bytes(), input));
    let token = sign(r#"{"iss":"https://partner.example","iss":"https://home.example"}"#)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "malformed"));
    // The first of the two issuers decides which provider's keys are tried.
    let token = sign(r#"{"iss":"https://home.example","iss":"https://partner.example"}"#)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "bad_algorithm"));
    nginx.assert_no_secret(&[&token, SECRET, OTHER_SECRET])?;
    nginx.finish()
}

#[test]
fn what_the_provider_and_the_location_demand_counts_both() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!(
            "jwt_provider p {{ jwt_issuer me; jwt_kids {{ k1 {SECRET}; }} jwt_audience api web;
                jwt_algorithms HS256 HS384; jwt_claim role = admin editor; jwt_require $http_x_p;
                jwt_typ JWT at+jwt; jwt_max_lifetime 1h; jwt_revoked jti theirs.txt; }}"
        ))
        .server(format!(
            "jwt on provider=p;
            location / {{ {SERVE} }}
            location /audience {{ jwt_audience api; {SERVE} }}
            location /issuer {{ jwt_issuer you; {SERVE} }}
            location /algorithms {{ jwt_algorithms HS384 HS512; {SERVE} }}
            location /rule {{ jwt_claim role = admin guest error=401; {SERVE} }}
            location /require {{ jwt_require $http_x_l error=401; {SERVE} }}
            location /typ {{ jwt_typ at+jwt; {SERVE} }}
            location /lifetime {{ jwt_max_lifetime 10m; jwt_require_exp on; {SERVE} }}
            location /revoked {{ jwt_revoked jti ours.txt; {SERVE} }}"
        ))
        .file("theirs.txt", "t-1\n")
        .file("ours.txt", "t-2\n")
        .start()?;
    let ask = |path: &str, claims: Value, alg: &str, headers: &[&str]| -> Result<(u16, String)> {
        let jwt = Jwt::live_with(&json!({ "iss": "me", "aud": "api", "role": "admin" }));
        let token = jwt.with(&claims).kid("k1").hs(alg, SECRET)?;
        let mut request = nginx.request().target(path).bearer(&token);
        for name in headers {
            request = request.header(name, "1");
        }
        let response = request.send()?;
        Ok((response.status, response.verdict().1.to_owned()))
    };
    let p: &[&str] = &["X-P"];
    for (path, claims, alg, headers, verdict) in [
        ("/", json!({}), "HS256", p, (200, "ok")),
        ("/", json!({ "aud": "other" }), "HS256", p, (401, "bad_audience")),
        ("/", json!({}), "HS512", p, (401, "bad_algorithm")),
        ("/", json!({ "role": "guest" }), "HS256", p, (403, "denied")),
        ("/", json!({}), "HS256", &[][..], (403, "denied")),
        ("/", json!({ "jti": "t-1" }), "HS256", p, (401, "revoked")),
        ("/", json!({ "exp": now() + 7200, "iat": now() }), "HS256", p, (401, "bad_lifetime")),
        ("/audience", json!({}), "HS256", p, (200, "ok")),
        ("/audience", json!({ "aud": "web" }), "HS256", p, (401, "bad_audience")),
        ("/audience", json!({ "aud": ["api", "web"] }), "HS256", p, (200, "ok")),
        ("/audience", json!({ "aud": "other" }), "HS256", p, (401, "bad_audience")),
        ("/issuer", json!({}), "HS256", p, (401, "bad_issuer")),
        ("/issuer", json!({ "iss": "you" }), "HS256", p, (401, "bad_issuer")),
        ("/algorithms", json!({}), "HS256", p, (401, "bad_algorithm")),
        ("/algorithms", json!({}), "HS384", p, (200, "ok")),
        ("/algorithms", json!({}), "HS512", p, (401, "bad_algorithm")),
        ("/rule", json!({}), "HS256", p, (200, "ok")),
        ("/rule", json!({ "role": "editor" }), "HS256", p, (401, "denied")),
        ("/rule", json!({ "role": "guest" }), "HS256", p, (403, "denied")),
        ("/require", json!({}), "HS256", p, (401, "denied")),
        ("/require", json!({}), "HS256", &["X-L"], (403, "denied")),
        ("/require", json!({}), "HS256", &["X-L", "X-P"], (200, "ok")),
        ("/typ", json!({}), "HS256", p, (401, "bad_type")),
        (
            "/lifetime",
            json!({ "iat": now(), "exp": now() + 900 }),
            "HS256",
            p,
            (401, "bad_lifetime"),
        ),
        ("/lifetime", json!({ "iat": now(), "exp": now() + 500 }), "HS256", p, (200, "ok")),
        ("/revoked", json!({ "jti": "t-1" }), "HS256", p, (401, "revoked")),
        ("/revoked", json!({ "jti": "t-2" }), "HS256", p, (401, "revoked")),
        ("/revoked", json!({ "jti": "t-3" }), "HS256", p, (200, "ok")),
    ] {
        let told = format!("{path} {claims} {alg} {headers:?}");
        assert_eq!(ask(path, claims, alg, headers)?, (verdict.0, verdict.1.to_owned()), "{told}");
    }
    nginx.finish()
}

#[test]
fn the_locations_leeway_comes_before_the_providers() -> Result<()> {
    let provider = |name: &str, leeway: &str| {
        format!("jwt_provider {name} {{ jwt_issuer {name}; jwt_kids {{ k1 {SECRET}; }} {leeway} }}")
    };
    let nginx = Nginx::builder()
        .http(provider("lax", "jwt_leeway 60s;") + &provider("plain", ""))
        .server(format!(
            "jwt on provider=lax provider=plain;
            location / {{ {SERVE} }}
            location /strict {{ jwt_leeway 0; {SERVE} }}
            location /laxer {{ jwt_leeway 1h; {SERVE} }}"
        ))
        .start()?;
    let ask = |path: &str, issuer: &str, age: i64| -> Result<u16> {
        let claims = json!({ "iss": issuer, "exp": now() - age });
        let token = Jwt::live_with(&claims).kid("k1").hs("HS256", SECRET)?;
        Ok(nginx.bearer(path, &token)?.status)
    };
    for (path, issuer, age, status) in [
        ("/", "lax", 30, 200),
        ("/", "lax", 90, 401),
        ("/", "plain", 30, 401),
        ("/strict", "lax", 30, 401),
        ("/laxer", "lax", 90, 200),
        ("/laxer", "plain", 90, 200),
        ("/laxer", "plain", 4000, 401),
    ] {
        assert_eq!(ask(path, issuer, age)?, status, "{path} {issuer} {age}");
    }
    nginx.finish()
}

#[test]
fn every_mode_works_with_providers() -> Result<()> {
    let nginx = start(format!(
        "location /optional {{ jwt optional provider=home provider=partner; {SERVE} }}
        location /permissive {{ jwt permissive provider=home; {SERVE} }}
        location /variable {{ jwt $arg_m provider=home; {SERVE} }}
        location /off {{ jwt off provider=home; {SERVE} }}"
    ))?;
    let (home, partner) = (of_home(&json!({}))?, of_partner(&json!({}))?);
    for (target, none, by_home, by_partner) in [
        ("/optional", (200, "missing"), (200, "ok"), (200, "ok")),
        ("/permissive", (200, "missing"), (200, "ok"), (200, "bad_issuer")),
        ("/variable?m=on", (401, "missing"), (200, "ok"), (401, "bad_issuer")),
        ("/variable?m=off", (200, "off"), (200, "off"), (200, "off")),
        ("/variable", (401, "missing"), (200, "ok"), (401, "bad_issuer")),
        ("/off", (200, "off"), (200, "off"), (200, "off")),
    ] {
        assert_eq!(nginx.get(target)?.verdict(), none, "{target}");
        assert_eq!(nginx.bearer(target, &home)?.verdict(), by_home, "{target}");
        assert_eq!(nginx.bearer(target, &partner)?.verdict(), by_partner, "{target}");
    }
    nginx.finish()
}

#[test]
fn a_level_that_names_keys_of_its_own_is_not_opened_by_a_provider_above() -> Result<()> {
    let nginx = start(format!(
        "jwt on provider=home;
        location / {{ {SERVE} }}
        location /admin {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}
        location /switched {{ jwt on; jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"
    ))?;
    let own = Jwt::live().kid("k1").hs("HS256", SECRET)?;
    let home = of_home(&json!({}))?;
    for (path, by_home, by_own) in [("/", 200, 401), ("/admin", 401, 200), ("/switched", 401, 200)]
    {
        assert_eq!(nginx.bearer(path, &home)?.status, by_home, "{path} by home");
        assert_eq!(nginx.bearer(path, &own)?.status, by_own, "{path} by its own");
    }
    nginx.finish()
}

#[test]
fn a_provider_named_below_replaces_the_keys_above() -> Result<()> {
    let nginx = start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location / {{ {SERVE} }}
        location /home {{ jwt on provider=home; {SERVE}
            location /home/partner {{ jwt on provider=partner; {SERVE} }}
            location /home/below {{ jwt_claim role exists; {SERVE} }} }}"
    ))?;
    let own = Jwt::live().kid("k1").hs("HS256", SECRET)?;
    let (home, partner) = (of_home(&json!({ "role": "x" }))?, of_partner(&json!({}))?);
    for (path, statuses) in [
        ("/", [200, 401, 401]),
        ("/home", [401, 200, 401]),
        ("/home/partner", [401, 401, 200]),
        ("/home/below", [401, 200, 401]),
    ] {
        for (token, status) in [&own, &home, &partner].into_iter().zip(statuses) {
            assert_eq!(nginx.bearer(path, token)?.status, status, "{path}");
        }
    }
    nginx.finish()
}
