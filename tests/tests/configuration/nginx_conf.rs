//! The tests start every ready configuration in `nginx-conf/` and send requests to it. They also
//! check that every guide quotes its configuration.

mod cdn;
mod guides;
mod links;
mod platforms;
mod revocation;
mod signing;
mod snippets;
mod stock;
mod streams;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use module_tests::{
    Builder, Jwt, Nginx, OTHER_SECRET, P256, RSA, Request, Response, base64url, link, now,
};
use serde_json::json;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../nginx-conf")
}

type Driver = fn() -> Result<()>;

/// Each configuration file and the function that tests it.
const DRIVERS: [(&str, Driver); 38] = [
    ("ant-media-streams.conf", streams::ant_media),
    ("ant-media.conf", ant_media),
    ("aws-alb.conf", platforms::aws_alb),
    ("azion-jwt.conf", azion_jwt),
    ("azion-rules-engine.conf", guides::azion_rules_engine),
    ("azion-secure-token.conf", azion_secure_token),
    ("cookie-login.conf", cookie_login),
    ("demo.conf", demo),
    ("encrypted-tokens.conf", signing::encrypted_tokens),
    ("from-akamai.conf", streams::akamai),
    ("from-bunny.conf", streams::bunny),
    ("from-cloudfront.conf", cdn::cloudfront),
    ("from-gloo-envoy.conf", guides::from_gloo_envoy),
    ("from-google-cdn.conf", cdn::google_cdn),
    ("from-istio.conf", platforms::from_istio),
    ("from-kaltura.conf", streams::kaltura),
    ("from-krakend.conf", guides::from_krakend),
    ("from-nginx-plus.conf", guides::from_nginx_plus),
    ("hls.conf", guides::hls),
    ("internal-identity.conf", signing::internal_identity),
    ("json-errors.conf", guides::json_errors),
    ("jwks-file.conf", jwks_file),
    ("kubernetes.conf", platforms::kubernetes),
    ("links-expressions.conf", links::expressions),
    ("login-redirect.conf", guides::login_redirect),
    ("login.conf", signing::login),
    ("mcp.conf", platforms::mcp),
    ("monitoring.conf", platforms::monitoring),
    ("openid-connect.conf", guides::openid_connect),
    ("rate-limit.conf", guides::rate_limit),
    ("revocation-object-store.conf", revocation::object_store),
    ("revocation-redis.conf", revocation::redis),
    ("revocation.conf", revocation::files),
    ("roles.conf", guides::roles),
    ("routing-by-claim.conf", guides::routing_by_claim),
    ("secure-link.conf", secure_link),
    ("uri-signing.conf", signing::uri_signing),
    ("websocket-sse.conf", guides::websocket_sse),
];

/// The names in a folder that end in `extension`, sorted.
fn names(folder: &Path, extension: &str) -> Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.retain(|name| Path::new(name).extension().is_some_and(|it| it == extension));
    names.sort_unstable();
    Ok(names)
}

#[test]
fn every_configuration_has_a_driver_and_no_driver_lacks_its_configuration() -> Result<()> {
    let files = names(&folder(), "conf")?;
    assert_eq!(
        files,
        DRIVERS.map(|(name, _)| name),
        "each file of nginx-conf/ needs a driver here"
    );
    Ok(())
}

#[test]
fn every_guide_quotes_its_configuration_as_it_is() -> Result<()> {
    let guides = folder().join("../docs/guides");
    let names = names(&guides, "md")?;
    assert_eq!(names.len(), 28, "{names:?}");
    for name in names {
        let configuration = fs::read_to_string(folder().join(&name).with_extension("conf"))
            .with_context(|| format!("the configuration of {name}"))?;
        let guide = fs::read_to_string(guides.join(&name))?;
        assert!(
            guide.contains(&format!("```nginx\n{configuration}```")),
            "{name} does not quote its configuration word for word"
        );
    }
    Ok(())
}

#[test]
fn every_configuration_does_what_it_is_for() -> Result<()> {
    let failed: Vec<String> = DRIVERS
        .into_iter()
        .filter_map(|(name, drive)| Some(format!("{name}: {:#}", drive().err()?)))
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

/// The configuration `name` with all other files of its folder, unchanged, and with `documents`
/// under `html/`.
fn ready(name: &str, documents: &[&str]) -> Result<Builder> {
    let text = fs::read_to_string(folder().join(name)).with_context(|| name.to_owned())?;
    let mut builder = Nginx::builder().whole(text);
    for document in documents {
        builder = builder.html(document, "ok\n");
    }
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(folder().join(&inner))? {
            let entry = entry?;
            let path = inner.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(entry.path())?;
            // The demonstration's documents go into the `html` folder of the prefix.
            if let Ok(document) = path.strip_prefix("demo/html") {
                builder = builder.html(&document.to_string_lossy(), bytes.clone());
            }
            builder = builder.file(path.to_string_lossy(), bytes);
        }
    }
    Ok(builder)
}

/// A request to the server that listens on a socket here and on port 80 outside the test.
fn to_port_80(nginx: &Nginx, target: impl AsRef<[u8]>) -> Request {
    nginx.request().socket(nginx.socket("80.sock")).target(target)
}

/// Sends a GET for `target` to that server, with or without a bearer token.
fn ask(nginx: &Nginx, target: &str, token: Option<&str>) -> Result<Response> {
    let request = to_port_80(nginx, target);
    match token {
        Some(token) => request.bearer(token),
        None => request,
    }
    .send()
}

/// Compares the statuses of several answers.
fn expect(nginx: &Nginx, cases: &[(&str, Option<&str>, u16)]) -> Result<()> {
    for (target, token, status) in cases {
        assert_eq!(ask(nginx, target, *token)?.status, *status, "{target} with {token:?}");
    }
    Ok(())
}

const AZION: (&str, &str) =
    ("4546D4AA7F62F01A833A7ABE354030E7", "D6CB2342E44EFB6DD628276F36DA2359");

fn demo() -> Result<()> {
    // The demonstration creates its keys when it runs, so the test brings its own key set.
    let nginx = ready("demo.conf", &[])?
        .file("demo/keys.json", RSA.jwks("demo")?)
        .file("demo/login.pem", P256.private)
        .start()?;
    let login: serde_json::Value = serde_json::from_slice(&ask(&nginx, "/login", None)?.body)?;
    let own = login.get("access_token").and_then(serde_json::Value::as_str);
    let own = own.context("a token")?.to_owned();
    let (kid, secret) = AZION;
    let good = Jwt::live().kid(kid).hs("HS256", secret)?;
    let bad = Jwt::live().kid(kid).hs("HS256", OTHER_SECRET)?;
    let signed = Jwt::live().kid("demo").sign("RS256", &RSA)?;
    let (later, past) = (now() + 300, now() - 300);
    let video = |secret, e| link(secret, "/video/clip.txt", e);
    expect(
        &nginx,
        &[
            ("/", None, 200),
            ("/jwt/hello.txt", None, 401),
            ("/jwt/hello.txt", Some(&bad), 401),
            ("/jwt/hello.txt", Some(&good), 200),
            ("/jwks/hello.txt", None, 401),
            ("/jwks/hello.txt", Some(&good), 401),
            ("/jwks/hello.txt", Some(&signed), 200),
            ("/own/hello.txt", None, 401),
            ("/own/hello.txt", Some(&signed), 401),
            ("/own/hello.txt", Some(&own), 200),
            ("/video/clip.txt", None, 403),
            (&video("mysecretkey", later), None, 200),
            (&video("mysecretkey", past), None, 410),
            (&video("another", later), None, 403),
        ],
    )?;
    assert_eq!(ask(&nginx, "/jwt/hello.txt", Some(&good))?.header("X-User"), Some("alice"));
    let gone = ask(&nginx, &video("mysecretkey", past), None)?;
    assert_eq!(gone.header("X-Secure-Token"), Some("expired"));
    nginx.assert_no_secret(&["mysecretkey", secret, &good, &bad, &signed, &own])?;
    nginx.finish()
}

fn azion_jwt() -> Result<()> {
    let nginx = ready("azion-jwt.conf", &["classes/1.txt"])?.start()?;
    let (kid, secret) = AZION;
    let good = Jwt::live().kid(kid).hs("HS256", secret)?;
    let nobody = Jwt::live().kid("nobody").hs("HS256", secret)?;
    expect(
        &nginx,
        &[
            ("/", None, 200),
            ("/classes/1.txt", None, 401),
            ("/classes/1.txt", Some(&nobody), 401),
            ("/classes/1.txt", Some(&good), 200),
        ],
    )?;
    nginx.finish()
}

fn azion_secure_token() -> Result<()> {
    let nginx = ready("azion-secure-token.conf", &["classes/1.txt"])?.start()?;
    let made = |secret, e| link(secret, "/classes/1.txt", e);
    let later = now() + 300;
    expect(
        &nginx,
        &[
            ("/", None, 200),
            ("/classes/1.txt", None, 403),
            (&made("mysecretkey", later), None, 200),
            (&made("mysecretkey", now() - 300), None, 410),
            (&made("another", later), None, 403),
            (&link("mysecretkey", "/classes/none.txt", later), None, 404),
        ],
    )?;
    nginx.finish()
}

fn secure_link() -> Result<()> {
    let nginx = ready("secure-link.conf", &["s/a.txt", "anywhere/a.txt"])?.start()?;
    // For a client on a unix socket, $remote_addr is "unix:".
    let made = |uri: &str, address: &str, e: i64| {
        let signature = base64url(module_tests::md5(format!("{e}{uri}{address} secret")));
        format!("{uri}?md5={signature}&expires={e}")
    };
    let later = now() + 300;
    expect(
        &nginx,
        &[
            ("/", None, 200),
            ("/s/a.txt", None, 403),
            (&made("/s/a.txt", "unix:", later), None, 200),
            (&made("/s/a.txt", "10.0.0.1", later), None, 403),
            (&made("/s/a.txt", "unix:", now() - 300), None, 410),
            (&made("/anywhere/a.txt", "", later), None, 200),
            (&made("/anywhere/a.txt", "unix:", later), None, 403),
        ],
    )?;
    nginx.finish()
}

fn cookie_login() -> Result<()> {
    let secret = "vx7P1Lsxfe+6jCDDxWcrT9Iyffp4L/jEpBDAviOLX/vRtC5tsaEPsq9MFzO2Iaj3";
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, secret)?;
    let nginx = ready("cookie-login.conf", &["app/page.html", "login.html"])?.start()?;
    let good = Jwt::live().kid("web").hs("HS256", &bytes)?;
    let expired = Jwt::live_with(&json!({ "exp": now() - 5 })).kid("web").hs("HS256", &bytes)?;
    let cookie = |token: &str| {
        let request = to_port_80(&nginx, "/app/page.html?a=1&b=2");
        request.header("Cookie", format!("session={token}")).send()
    };
    assert_eq!(cookie(&good)?.status, 200);
    for (response, word) in [
        (cookie(&expired)?, "expired"),
        (cookie("rubbish")?, "malformed"),
        (ask(&nginx, "/app/page.html?a=1&b=2", None)?, "missing"),
    ] {
        assert_eq!(response.status, 302, "{word}");
        let to = response.header("Location").unwrap_or_default();
        let next = format!("/login?why={word}&next=/app/page.html?a=1");
        assert!(to.ends_with(&next), "{word}: {to}");
    }
    expect(&nginx, &[("/app/page.html", Some(&good), 200), ("/login?why=missing", None, 200)])?;
    nginx.finish()
}

fn jwks_file() -> Result<()> {
    let nginx = ready("jwks-file.conf", &[])?.file("jwks.json", RSA.jwks("rsa")?).start()?;
    let claims = json!({
        "iss": "https://login.example.com/", "aud": ["api.example.com"], "scope": "read write",
    });
    let token = Jwt::live_with(&claims).kid("rsa");
    let good = token.sign("RS256", &RSA)?;
    let other = json!({ "iss": "https://login.example.com", "aud": "api.example.com" });
    let other = Jwt::live_with(&other).kid("rsa").sign("RS256", &RSA)?;
    expect(
        &nginx,
        &[
            ("/api/health", None, 200),
            ("/api/", None, 401),
            ("/api/", Some(&token.sign("PS256", &RSA)?), 401),
            ("/api/", Some(&other), 401),
            ("/api/", Some(&good), 200),
        ],
    )?;
    let request = to_port_80(&nginx, "/api/").bearer(&good).header("X-User", "root");
    assert_eq!(request.send()?.text(), "user=alice scope=read write token=\n");
    assert_eq!(ask(&nginx, "/api/", None)?.challenge(), "Bearer realm=\"api\"");
    nginx.finish()
}

fn ant_media() -> Result<()> {
    let text = fs::read_to_string(folder().join("ant-media.conf"))?;
    // This server stands in for Ant Media Server.
    let upstream = "http {\n server {\n listen 5080;\n location / { return 200 up; }\n }\n";
    let nginx =
        ready("ant-media.conf", &[])?.whole(text.replacen("http {", upstream, 1)).start()?;
    let token = Jwt::live().hs("HS256", "zautXStXM9iW3aD3FuyPH0TdK4GHPmHq")?;
    let rest = "/LiveApp/rest/v2/broadcasts/create";
    expect(
        &nginx,
        &[
            ("/LiveApp/", None, 200),
            (rest, None, 401),
            (rest, Some(&token), 200),
            // Tomcat drops what follows the semicolon.
            ("/LiveApp/rest;x/v2/broadcasts/create", None, 400),
            ("/LiveApp/./rest%3bx/v2/broadcasts/create", None, 400),
            ("/LiveApp/x/..;/rest/v2/broadcasts/create", None, 400),
        ],
    )?;
    let raw = to_port_80(&nginx, rest).method("POST").header("Authorization", &token).body("{}");
    assert_eq!(raw.send()?.status, 200);
    nginx.finish()
}
