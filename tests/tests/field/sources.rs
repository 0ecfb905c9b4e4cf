//! Where the token is, and the challenge.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use module_tests::{Builder, Jwt, Nginx, OTHER_SECRET, P256, RSA, SECRET, SERVE, nginx_has};
use serde_json::json;
use sha2::{Digest as _, Sha256};

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn alice() -> Result<String> {
    Jwt::live().kid("k1").hs("HS256", SECRET)
}

/// A token of an issuer, and the directives of its provider.
fn of(issuer: &str, secret: &str) -> Result<String> {
    Jwt::live_with(&json!({ "iss": issuer })).kid("k").hs("HS256", secret)
}

fn provider(name: &str, secret: &str, more: &str) -> String {
    format!("jwt_provider {name} {{ jwt_issuer {name}; jwt_kids {{ k {secret}; }} {more} }}")
}

/// A server that shows what it was asked for.
const UPSTREAM: &str = "server { listen unix:up.sock; add_header X-From upstream;
    return 200 \"$request_uri\"; }";

#[test]
fn git_docker_and_npm_send_the_token_as_the_password_of_basic() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} jwt_token bearer basic; location / {{ {SERVE} }}"
    ))?;
    let token = alice()?;
    let ask = |value: &str| -> Result<(u16, String)> {
        let response = nginx.request().header("Authorization", value).send()?;
        Ok((response.status, response.verdict().1.to_owned()))
    };
    let unpadded = basic("u", &token).trim_end_matches('=').to_owned();
    for (value, verdict) in [
        (basic("oauth2", &token), (200, "ok")),
        (basic("", &token), (200, "ok")),
        (basic("x-token-auth", &token).replace("Basic", "bASIC "), (200, "ok")),
        (format!("Bearer {token}"), (200, "ok")),
        (basic("user", ""), (401, "missing")),
        ("Digest x".to_owned(), (401, "missing")),
        (basic(&token, "x-oauth-basic"), (401, "malformed")),
        (basic("a:b", &token), (401, "malformed")),
        ("Basic".to_owned(), (401, "malformed")),
        (format!("Basic {}", STANDARD.encode(&token)), (401, "malformed")),
        (format!("Basic {token}"), (401, "malformed")),
        (basic("u", &token).replace("Basic ", "Basic\t"), (401, "malformed")),
        (format!("{}, Bearer {token}", basic("u", &token)), (401, "malformed")),
        (basic("u\0", &token), (401, "malformed")),
        (unpadded + if basic("u", &token).ends_with('=') { "" } else { "=" }, (401, "malformed")),
    ] {
        assert_eq!(ask(&value)?, (verdict.0, verdict.1.to_owned()), "{value}");
    }
    nginx.assert_no_secret(&[&token, SECRET])?;
    nginx.finish()
}

#[test]
fn a_client_with_a_scheme_of_its_own() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} location / {{ {SERVE} }}
        location /token {{ jwt_token bearer prefix=Token; {SERVE} }}
        location /both {{ jwt_token bearer prefix=JWT bearer; {SERVE} }}
        location /header {{ jwt_token header:X-Token prefix=Token arg:t; {SERVE} }}"
    ))?;
    let token = alice()?;
    for (path, name, value, verdict) in [
        ("/token", "Authorization", format!("tOKEN  {token}"), (200, "ok")),
        ("/token", "Authorization", format!("Bearer {token}"), (401, "missing")),
        ("/token", "Authorization", format!("Token={token}"), (401, "missing")),
        ("/token", "Authorization", format!("Token\t{token}"), (401, "malformed")),
        ("/token", "Authorization", "Token".to_owned(), (401, "malformed")),
        ("/both", "Authorization", format!("JWT {token}"), (200, "ok")),
        ("/both", "Authorization", format!("Bearer {token}"), (200, "ok")),
        ("/", "Authorization", format!("JWT {token}"), (401, "missing")),
        ("/header", "X-Token", format!("Token {token}"), (200, "ok")),
        ("/header", "X-Token", token.clone(), (401, "missing")),
        ("/header", "X-Token", format!("Bearer {token}"), (401, "missing")),
        ("/header", "X-Token", "Token ".to_owned(), (401, "malformed")),
    ] {
        let response = nginx.request().target(path).header(name, &value).send()?;
        assert_eq!(response.verdict(), verdict, "{path} {value}");
    }
    nginx.finish()
}

#[test]
fn an_mcp_client_finds_the_metadata_in_the_one_challenge() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        jwt_challenge resource_metadata=https://$host/.well-known/oauth-protected-resource;
        location / {{ {SERVE} }}
        location /scope {{ jwt_realm \"a \\\"b\\\"\"; jwt_claim scope any admin;
            jwt_challenge scope=admin acr_values=$arg_acr max_age=5; {SERVE} }}
        location /off {{ jwt_challenge off; {SERVE} }}"
    ))?;
    let metadata = "resource_metadata=\"https://localhost/.well-known/oauth-protected-resource\"";
    assert_eq!(nginx.get("/")?.all("WWW-Authenticate"), [format!("Bearer {metadata}")]);
    let malformed = "error=\"invalid_token\", error_description=\"The token is malformed\"";
    assert_eq!(
        nginx.bearer("/", "x")?.all("WWW-Authenticate"),
        [format!("Bearer {metadata}, {malformed}")]
    );
    let response = nginx.bearer("/scope?acr=gold", &alice()?)?;
    assert_eq!(
        (response.status, response.all("WWW-Authenticate")),
        (
            403,
            vec![
                "Bearer realm=\"a \\\"b\\\"\", scope=\"admin\", acr_values=\"gold\", max_age=\"5\", \
                 error=\"insufficient_scope\", error_description=\"The token does not grant access\""
            ]
        )
    );
    let response = nginx.get("/scope")?;
    assert_eq!(
        response.challenge(),
        "Bearer realm=\"a \\\"b\\\"\", scope=\"admin\", max_age=\"5\""
    );
    // A quote in a variable's value stays within the value.
    let response = nginx.get("/scope?acr=\"x\\y")?;
    assert!(response.challenge().contains(r#"acr_values="\"x\\y""#), "{}", response.challenge());
    let response = nginx.get("/off")?;
    assert_eq!((response.status, response.all("WWW-Authenticate")), (401, vec![]));
    assert!(nginx.bearer("/", &alice()?)?.all("WWW-Authenticate").is_empty());
    nginx.finish()
}

#[test]
fn a_challenge_goes_with_the_answer_that_is_sent() -> Result<()> {
    let nginx = Nginx::builder()
        .http(UPSTREAM)
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt_realm outer; jwt_challenge scope=a;
            location /other {{ error_page 401 = /inner; {SERVE} }}
            location /inner {{ jwt_token header:X-Inner; jwt_realm inner; {SERVE} }}
            location /open {{ error_page 401 = @open; {SERVE} }}
            location @open {{ jwt off; {SERVE} }}
            location /page {{ error_page 401 /page.html; {SERVE} }}
            location = /page.html {{ jwt off; {SERVE} }}
            location /same {{ error_page 401 /same.html; {SERVE} }}
            location = /same.html {{ jwt_token header:X-Inner; {SERVE} }}
            location /error {{ error_page 401 = /none; {SERVE} }}
            location = /none {{ jwt_challenge off; {SERVE} }}
            location /up {{ error_page 401 = @up; {SERVE} }}
            location @up {{ jwt off; proxy_pass http://unix:denies.sock:; }}"
        ))
        .http(format!(
            "{UPSTREAM} server {{ listen unix:denies.sock; add_header X-From upstream;
            add_header WWW-Authenticate \"Basic realm=up\" always; return 401; }}"
        ))
        .start()?;
    let token = alice()?;
    let ask = |path: &str, inner: &str| -> Result<(u16, Vec<String>)> {
        let request = nginx.request().target(path).header("X-Inner", inner);
        let response = request.send()?;
        let all = response.all("WWW-Authenticate").into_iter().map(str::to_owned).collect();
        Ok((response.status, all))
    };
    let outer = "Bearer realm=\"outer\", scope=\"a\"".to_owned();
    let inner = "Bearer realm=\"inner\", scope=\"a\"".to_owned();
    for (path, header, status, challenge) in [
        // The answer is that of the second location, and so is the challenge.
        ("/other", token.as_str(), 200, vec![]),
        ("/other", "", 401, vec![inner]),
        ("/open", "", 200, vec![]),
        // The page takes the place of the answer, with its status.
        ("/page", "", 401, vec![outer.clone()]),
        ("/same", token.as_str(), 401, vec![outer.clone()]),
        ("/same", "", 401, vec![outer]),
        ("/error", "", 401, vec![]),
        ("/up", "", 401, vec!["Basic realm=up".to_owned()]),
    ] {
        assert_eq!(ask(path, header)?, (status, challenge), "{path}");
    }
    nginx.finish()
}

#[test]
fn istio_takes_the_token_out_of_the_query() -> Result<()> {
    let nginx = Nginx::builder()
        .http(UPSTREAM)
        .server(format!(
            "jwt_token bearer arg:access_token; jwt_kids {{ k1 {SECRET}; }}
            location / {{ try_files /nothing @up; }}
            location @up {{ jwt off; set $args $jwt_args; proxy_pass http://unix:up.sock; }}
            location /early {{ set $args $jwt_args; {SERVE} }}
            location /shown {{ jwt optional; add_header X-Args $jwt_args; {SERVE} }}
            location /none {{ jwt off; jwt_token arg:x; add_header X-Args $jwt_args; {SERVE} }}"
        ))
        .start()?;
    let token = alice()?;
    for (query, rest) in [
        (format!("?a=%20b+c&access_token={token}&d"), "?a=%20b+c&d"),
        (format!("?access_token={token}"), ""),
    ] {
        let response = nginx.get(format!("/x{query}"))?;
        assert_eq!((response.status, response.text()), (200, format!("/x{rest}").into()));
    }
    // Another source decided: no token goes upstream by the query all the same, whatever its spelling.
    for query in ["access_token=other", "Access_Token=other", "access_token=x&%61ccess_token=y"] {
        let response = nginx.bearer(format!("/x?{query}&a=1"), &token)?;
        assert_eq!(response.text(), "/x?a=1", "{query}");
    }
    assert_eq!(nginx.bearer("/x?a=1&b=%2f", &token)?.text(), "/x?a=1&b=%2f");
    // Removed before the check, the token is missing: closed, not open.
    let response = nginx.get(format!("/early?access_token={token}"))?;
    assert_eq!(response.verdict(), (401, "missing"));
    let shown = |target: &str| -> Result<Option<String>> {
        Ok(nginx.get(target)?.header("X-Args").map(str::to_owned))
    };
    assert_eq!(shown("/shown?a=1")?.as_deref(), Some("a=1"));
    assert_eq!(shown("/none?x=1&a=2")?.as_deref(), Some("x=1&a=2"));
    nginx.finish()
}

/// Two nginx servers that talk TLS to each other, one of them in the role of the client.
fn with_client_certificates(location: &str) -> Builder {
    Nginx::builder()
        .file("server.pem", RSA.private)
        .file("server.crt", RSA.certificate.unwrap_or_default())
        .file("client.pem", P256.private)
        .file("client.crt", P256.certificate.unwrap_or_default())
        .http(format!(
            "add_header X-Jwt-Status $jwt_status always;
            server {{ listen unix:tls.sock ssl; root html; ssl_verify_client optional_no_ca;
                ssl_certificate server.crt; ssl_certificate_key server.pem; {location} }}"
        ))
        .without_verdict()
        .server(
            // Each connection with its own certificate, not with that of the session before.
            "proxy_ssl_session_reuse off;
            location /with { proxy_ssl_certificate client.crt;
                proxy_ssl_certificate_key client.pem; proxy_pass https://unix:tls.sock; }
            location /other { proxy_ssl_certificate server.crt;
                proxy_ssl_certificate_key server.pem; proxy_pass https://unix:tls.sock; }
            location /without { proxy_pass https://unix:tls.sock; }",
        )
}

fn thumbprint(certificate: &str) -> Result<String> {
    let body: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    Ok(module_tests::base64url(Sha256::digest(STANDARD.decode(body)?)))
}

#[test]
fn a_token_bound_to_a_client_certificate() -> Result<()> {
    if !nginx_has("ssl")? {
        println!("not run: this nginx has no ssl module");
        return Ok(());
    }
    let nginx = with_client_certificates(&format!(
        "jwt_kids {{ k1 {SECRET}; }} location / {{
            jwt_claim cnf.x5t#S256 = $jwt_client_thumbprint; {SERVE} }}"
    ))
    .start()?;
    let thumbprint = thumbprint(P256.certificate.context("a certificate")?)?;
    let bound = |to: &str| {
        let claims = json!({ "cnf": { "x5t#S256": to } });
        Jwt::live_with(&claims).kid("k1").hs("HS256", SECRET)
    };
    for (path, token, verdict) in [
        ("/with", bound(&thumbprint)?, (200, "ok")),
        ("/other", bound(&thumbprint)?, (403, "denied")),
        ("/without", bound(&thumbprint)?, (403, "denied")),
        // Without a certificate the variable is empty, which no claim equals.
        ("/without", bound("")?, (403, "denied")),
        ("/with", alice()?, (403, "denied")),
        ("/without", alice()?, (403, "denied")),
    ] {
        assert_eq!(nginx.bearer(path, &token)?.verdict(), verdict, "{path}");
    }
    nginx.finish()
}

#[test]
fn an_nginx_or_a_connection_without_tls_has_no_client_certificate() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }} add_header X-Thumbprint \"<$jwt_client_thumbprint>\" always;
        location / {{ jwt_claim cnf.x5t#S256 = $jwt_client_thumbprint; {SERVE} }}"
    ))?;
    let response = nginx.bearer("/", &alice()?)?;
    assert_eq!((response.status, response.header("X-Thumbprint")), (403, Some("<>")));
    nginx.finish()
}

#[test]
fn a_foreign_token_in_the_first_source_and_ours_in_the_second() -> Result<()> {
    let nginx = Nginx::builder()
        .http(provider("home", SECRET, ""))
        .server(format!(
            "jwt on provider=home; jwt_token bearer cookie:session arg:t;
            location / {{ jwt_next on; {SERVE} }}
            location /first {{ {SERVE} }}
            location /keys {{ jwt_next on; jwt_issuer home; jwt_kids {{ k {SECRET}; }} {SERVE} }}"
        ))
        .start()?;
    let (good, foreign) = (of("home", SECRET)?, of("elsewhere", OTHER_SECRET)?);
    let forged = of("home", OTHER_SECRET)?;
    let expired =
        Jwt::live_with(&json!({ "iss": "home", "exp": 1 })).kid("k").hs("HS256", SECRET)?;
    let ask = |path: &str, bearer: &str, cookie: &str| -> Result<(u16, String)> {
        let request = nginx.request().target(path).bearer(bearer);
        let request = match cookie {
            "" => request,
            cookie => request.header("Cookie", format!("session={cookie}")),
        };
        let response = request.send()?;
        Ok((response.status, response.verdict().1.to_owned()))
    };
    for (path, first, second, verdict) in [
        ("/", foreign.as_str(), good.as_str(), (200, "ok")),
        ("/", "opaque", &good, (200, "ok")),
        ("/", &good, &foreign, (200, "ok")),
        // A token of ours decides, good or bad.
        ("/", &forged, &good, (401, "bad_signature")),
        ("/", &expired, &good, (401, "expired")),
        ("/", &foreign, &forged, (401, "bad_signature")),
        ("/", &foreign, &expired, (401, "expired")),
        // If no source has a better one, the first refusal counts.
        ("/", &foreign, "opaque", (401, "bad_issuer")),
        ("/", "opaque", &foreign, (401, "malformed")),
        ("/", &foreign, "", (401, "bad_issuer")),
        ("/", "opaque", "", (401, "malformed")),
        ("/first", &foreign, &good, (401, "bad_issuer")),
        ("/first", "opaque", &good, (401, "malformed")),
        // With keys of the location the issuer counts only after the signature.
        ("/keys", "opaque", &good, (200, "ok")),
        ("/keys", &foreign, &good, (401, "bad_signature")),
        ("/keys", &of("elsewhere", SECRET)?, &good, (401, "bad_issuer")),
    ] {
        assert_eq!(ask(path, first, second)?, (verdict.0, verdict.1.to_owned()), "{path}");
    }
    nginx.finish()
}

#[test]
fn tokens_of_each_provider_in_places_of_its_own() -> Result<()> {
    let nginx = Nginx::builder()
        .http(
            provider("people", SECRET, "jwt_token cookie:session;")
                + &provider("machines", OTHER_SECRET, "jwt_token header:X-Machine bearer;")
                + &provider("plain", SECRET, ""),
        )
        .server(format!(
            "add_header X-Provider $jwt_provider always; add_header X-Jwt-Status $jwt_status always;
            jwt_token arg:t;
            location / {{ jwt on provider=people provider=machines; {SERVE} }}
            location /all {{ jwt on provider=people provider=machines provider=plain; {SERVE} }}
            location /next {{ jwt_next on;
                jwt on provider=people provider=machines provider=plain; {SERVE} }}
            location /same {{ jwt_token bearer; jwt on provider=machines provider=plain; {SERVE} }}"
        ))
        .start()?;
    let people = of("people", SECRET)?;
    let machines = of("machines", OTHER_SECRET)?;
    let plain = of("plain", SECRET)?;
    let ask = |target: &str, headers: &[(&str, String)]| -> Result<(u16, String)> {
        let mut request = nginx.request().target(target);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.send()?;
        let word = match response.status {
            200 => response.header("X-Provider"),
            _ => response.header("X-Jwt-Status"),
        };
        Ok((response.status, word.unwrap_or_default().to_owned()))
    };
    let cookie = |token: &str| ("Cookie", format!("session={token}"));
    let bearer = |token: &str| ("Authorization", format!("Bearer {token}"));
    let machine = |token: &str| ("X-Machine", token.to_owned());
    let all = format!("/all?t={plain}");
    let cases = [
        ("/", vec![cookie(&people)], (200, "people")),
        ("/", vec![machine(&machines)], (200, "machines")),
        ("/", vec![bearer(&machines)], (200, "machines")),
        // A good token in another's place.
        ("/", vec![bearer(&people)], (401, "bad_issuer")),
        ("/", vec![cookie(&machines)], (401, "bad_issuer")),
        ("/all", vec![cookie(&plain)], (401, "bad_issuer")),
        // The same bytes in both places: each time judged for its place, also if they are known.
        ("/", vec![cookie(&people), bearer(&people)], (200, "people")),
        ("/", vec![cookie(&machines), bearer(&machines)], (401, "bad_issuer")),
        // The providers' places come first, in the order of `jwt`.
        ("/", vec![bearer(&machines), cookie(&people)], (200, "people")),
        (all.as_str(), vec![], (200, "plain")),
        (all.as_str(), vec![bearer(&machines)], (200, "machines")),
        // Those with places of their own are not looked for in the location's.
        ("/next", vec![cookie(&machines), bearer(&machines)], (200, "machines")),
        ("/next", vec![cookie(&plain), bearer(&plain)], (401, "bad_issuer")),
        ("/same", vec![bearer(&plain)], (200, "plain")),
        ("/same", vec![bearer(&machines)], (200, "machines")),
        ("/same", vec![machine(&plain)], (401, "bad_issuer")),
        ("/", vec![], (401, "missing")),
    ];
    for (target, headers, verdict) in cases {
        let path = target.split('?').next().unwrap_or_default();
        assert_eq!(ask(target, &headers)?, (verdict.0, verdict.1.to_owned()), "{path}");
    }
    for token in [&people, &machines] {
        assert_eq!(ask(&format!("/?t={token}"), &[])?, (401, "missing".to_owned()));
        assert_eq!(ask(&format!("/all?t={token}"), &[])?, (401, "bad_issuer".to_owned()));
    }
    nginx.finish()
}
