//! Which format is sent, what the directive accepts, and who can read the page.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use module_tests::{Nginx, SECRET, SERVE, mistake, nginx_t, refuse_all};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{STATUS, get, status, token, until_counted};

fn kind(nginx: &Nginx, target: &str, accept: Option<&str>) -> Result<(u16, String)> {
    let mut request = nginx.request().target(target);
    if let Some(accept) = accept {
        request = request.header("Accept", accept);
    }
    let answer = request.send()?;
    Ok((answer.status, answer.header("Content-Type").unwrap_or_default().to_owned()))
}

const HTML: &str = "text/html; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

#[test]
fn the_client_chooses_unless_the_directive_does() -> Result<()> {
    let nginx = Nginx::start(
        "location = /status { token_auth_status; }
        location = /html { token_auth_status format=html; }
        location = /json { token_auth_status format=json; }
        location = /metrics { token_auth_status format=prometheus; }",
    )?;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (target, accept, expected) in [
        ("/status", None, PROMETHEUS),
        ("/status", Some("*/*"), PROMETHEUS),
        ("/status", Some(browser), HTML),
        ("/status", Some("application/json"), JSON),
        ("/status?format=json", Some(browser), JSON),
        ("/status?format=html", None, HTML),
        ("/status?format=prometheus", Some(browser), PROMETHEUS),
        ("/html?format=json", Some("application/json"), HTML),
        ("/json?format=none", Some(browser), JSON),
        ("/metrics", Some(browser), PROMETHEUS),
    ] {
        assert_eq!(
            kind(&nginx, target, accept)?,
            (200, expected.to_owned()),
            "{target} {accept:?}"
        );
    }
    assert_eq!(kind(&nginx, "/status?format=xml", None)?.0, 400);
    for (method, status) in [("HEAD", 200), ("POST", 405), ("DELETE", 405)] {
        let answer = nginx.request().method(method).target("/status").send()?;
        assert_eq!(answer.status, status, "{method}");
        ensure!(method != "HEAD" || answer.text().is_empty(), "HEAD has a body");
    }
    // Where there is no choice the page offers none.
    ensure!(!nginx.get("/html")?.text().contains("format=json"));
    ensure!(nginx.get("/status?format=html")?.text().contains("format=json"));
    let page = nginx.get("/html")?;
    for (name, value) in [
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    let policy = page.header("Content-Security-Policy").context("no policy")?;
    ensure!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    // Firefox compares the hashes as texts, with their padding.
    let text = page.text();
    for (element, directive) in [("style", "style-src"), ("script", "script-src")] {
        let (_, rest) = text.split_once(&format!("<{element}>")).context(element)?;
        let (inner, _) = rest.split_once(&format!("</{element}>")).context(element)?;
        let hash = STANDARD.encode(Sha256::digest(inner));
        ensure!(policy.contains(&format!("{directive} 'sha256-{hash}'")), "{hash}: {policy}");
    }
    nginx.finish()
}

/// Names that try to end the text that they are in, in each of the formats.
const HOSTILE: &str = "x\"}\\\\<script>alert(1)</script>&amp;'";

#[test]
fn whatever_is_shown_is_escaped() -> Result<()> {
    let jwk = |kid: &str| json!({ "kty": "oct", "kid": kid, "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" });
    let set = |kid: &str| json!({ "keys": [jwk(kid)] }).to_string();
    let nginx = Nginx::builder()
        .server(format!(
            "{STATUS}
            server_name \"<script>alert(2)</script>\";
            location ~ \"^/x<script>alert\\(3\\)</script>\\\"\" {{ jwks_file \"<script>alert(4)</script>.json\" check=1s; {SERVE} }}
            location /script {{ jwt_kids {{ \"<script>alert(5)</script>\" {SECRET}; }} {SERVE} }}"
        ))
        .file("<script>alert(4)</script>.json", set(HOSTILE))
        .expect_log("its last good content stays in force")
        .start()?;
    // An error text that holds a part of the file.
    let twice = json!({ "keys": [jwk(HOSTILE), {
        "kty": "oct", "kid": HOSTILE, "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmVy"
    }] });
    nginx.put("<script>alert(4)</script>.json", twice.to_string())?;
    module_tests::until("the failure", || {
        Ok(status(&nginx)?.to_string().contains("\"failing\"").then_some(()))
    })?;
    let page = get(&nginx, "html")?;
    assert_eq!(page.matches("<script>").count(), 1, "{page}");
    ensure!(page.contains("alert\\(3") && page.contains("alert(4)") && page.contains("alert(5)"));
    // The JSON can be parsed, and the text too: a quote ends a label only before "," and "}".
    ensure!(status(&nginx)?.to_string().contains("<script>alert(1)</script>"));
    for line in get(&nginx, "prometheus")?.lines().filter(|line| line.contains("alert\\\\(3")) {
        let (labels, value) = line.rsplit_once("} ").context("no value")?;
        ensure!(value.parse::<u64>().is_ok() && labels.ends_with('"'), "{line}");
        ensure!(labels.contains("</script>\\\""), "{line}");
    }
    nginx.finish()
}

#[test]
fn neither_tokens_nor_secrets_nor_claims_are_shown() -> Result<()> {
    let nginx = Nginx::start(format!(
        "{STATUS} location / {{ jwt_kids {{ k1 {SECRET}; }} jwt_issuer mine; {SERVE} }}
        location /link {{ secure_token_secret linksecret; {SERVE} }}"
    ))?;
    let token = token(&json!({ "sub": "alice-the-person", "iss": "somebody-else" }))?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "bad_issuer"));
    assert_eq!(nginx.get("/link?st=AAAAAAAAAAAAAAAAAAAAAA&e=2000000000")?.status, 403);
    until_counted(&nginx, "/", "jwt", &json!({ "refused": { "bad_issuer": 1 } }))?;
    for format in ["html", "json", "prometheus"] {
        let page = get(&nginx, format)?;
        let parts = token.split('.').chain([SECRET, "linksecret", "alice", "somebody-else"]);
        for secret in parts {
            ensure!(!page.contains(secret), "{format} shows {secret}");
        }
    }
    nginx.finish()
}

#[test]
fn promtool_accepts_the_metrics() -> Result<()> {
    let Some(promtool) = env::var_os("NGX_TEST_PROMTOOL").filter(|path| !path.is_empty()) else {
        println!("not run: there is no promtool (NGX_TEST_PROMTOOL)");
        return Ok(());
    };
    let nginx = Nginx::builder()
        .server(format!(
            "{STATUS}
            location / {{ jwt_kids {{ k1 {SECRET}; }} jwt_claim role = admin error=none; {SERVE} }}
            location ~ \"^/x\\\\d\\\"{{1,2}}\" {{ secure_token_secret s; {SERVE} }}
            location /fetched {{ jwks_request /_jwks; {SERVE} }}
            location = /_jwks {{ return 500; }}
            location /list {{ jwt_kids {{ k1 {SECRET}; }} jwt_revoked jti list.txt check=1s; {SERVE} }}"
        ))
        .file("list.txt", "a\n")
        .expect_log("there are no keys")
        .start()?;
    assert_eq!(nginx.bearer("/", &token(&json!({}))?)?.status, 200);
    assert_eq!(nginx.get("/")?.status, 401);
    nginx.wait_log(|line| line.contains("there are no keys"))?;
    until_counted(
        &nginx,
        "/",
        "jwt",
        &json!({ "passed": 1, "tried": 1, "refused": { "missing": 1 } }),
    )?;
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    check.stdin.take().context("no input")?.write_all(get(&nginx, "prometheus")?.as_bytes())?;
    let output = check.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    nginx.finish()
}

/// The names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    text.match_indices("ngx_token_auth_")
        .map(|(at, _)| text[at..].chars().take_while(|char| is_name(*char)).collect())
        .collect()
}

#[test]
fn alerts_dashboard_and_guide_name_metrics_that_there_are() -> Result<()> {
    let nginx = Nginx::start(STATUS)?;
    let page = get(&nginx, "prometheus")?;
    let known = metrics(&page);
    ensure!(known.len() > 15, "{known:?}");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for name in [
        "monitoring/alerts.yml",
        "monitoring/alerts_test.yml",
        "monitoring/dashboard.json",
        "guides/monitoring.md",
        "directives.md",
    ] {
        let text = fs::read_to_string(docs.join(name))?;
        let named: BTreeSet<_> = metrics(&text).into_iter().filter(|it| it.len() > 15).collect();
        let unknown: Vec<_> = named.difference(&known).collect();
        ensure!(unknown.is_empty(), "{name} names {unknown:?}");
    }
    let dashboard = fs::read_to_string(docs.join("monitoring/dashboard.json"))?;
    let dashboard: Value = serde_json::from_str(&dashboard)?;
    ensure!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 5));
    // What is counted is on the dashboard: only what says who runs is not.
    let shown = metrics(&dashboard.to_string());
    let missing: Vec<_> = known.difference(&shown).collect();
    ensure!(missing.len() <= 3, "the dashboard lacks {missing:?}");
    nginx.finish()
}

#[test]
fn mistakes() -> Result<()> {
    refuse_all(&[
        mistake(
            "another format",
            "token_auth_status format=xml;",
            &["format=html, format=json or format=prometheus"],
        ),
        mistake("another word", "token_auth_status json;", &["invalid parameter \"json\""]),
        mistake(
            "two words",
            "token_auth_status format=html format=json;",
            &["invalid number of arguments"],
        ),
    ])?;
    for (server, fragment) in [
        ("location / {\ntoken_auth_status;\ntoken_auth_status; }", "directive is duplicate"),
        (
            "location / {\nproxy_pass http://unix:a:;\ntoken_auth_status; }",
            "another directive of the location",
        ),
        (
            "location / {\ntoken_auth_status;\nproxy_pass http://unix:a:; }",
            "another directive of the location",
        ),
        ("token_auth_status;", "directive is not allowed here"),
        ("location / { if ($arg_a) {\ntoken_auth_status; } }", "directive is not allowed here"),
    ] {
        nginx_t(server)?.refused_with(&["token_auth_status", fragment])?;
    }
    Ok(())
}

#[test]
fn a_page_that_strangers_can_read_is_warned_about() -> Result<()> {
    let warning = "shows names of servers, locations, keys and files to whoever can reach";
    let page = |listen: &str, rest: &str| {
        Nginx::builder()
            .server(format!("listen {listen}; location = /status {{ token_auth_status; {rest} }}"))
            .check()
    };
    page("127.0.0.1:18009", "")?.accepted()?;
    for open in ["18009", "*:18009", "0.0.0.0:18009"] {
        page(open, "")?.warned_with(&[warning, "location \"/status\"", "nginx.conf:"])?;
        for closed in [
            "allow 127.0.0.1; deny all;",
            "deny all;",
            "auth_basic s; auth_basic_user_file f;",
            "auth_request /a;",
            "internal;",
            &format!("jwt_kids {{ k1 {SECRET}; }}"),
            "secure_token_secret s;",
        ] {
            let checked = page(open, closed)?;
            if checked.stderr.contains("unknown directive") {
                continue; // an nginx without that module
            }
            ensure!(
                checked.ok && !checked.stderr.contains(warning),
                "{open} {closed}: {}",
                checked.stderr
            );
        }
    }
    for open in [
        "auth_basic off;",
        &format!("jwt optional; jwt_kids {{ k1 {SECRET}; }}"),
        "auth_request off;",
    ] {
        let checked = page("18009", open)?;
        if !checked.stderr.contains("unknown directive") {
            checked.warned_with(&[warning])?;
        }
    }
    // Inherited access rules count too.
    let inherited = Nginx::builder()
        .server(format!("listen 18009; allow 127.0.0.1; deny all; {STATUS}"))
        .check()?;
    inherited.accepted()
}
