//! Tests with another module that has directives and variables of the same names, as a later nginx
//! may have, and with an nginx whose structures differ from those the module was built with.

use anyhow::Result;
use module_tests::{Builder, CModule, Jwt, Nginx, SECRET, SERVE, module};
use serde_json::json;

const SERVER: &str = "jwt_kids { k1 0123456789abcdef0123456789abcdef; } add_header X-Verdict $jwt_status always;
    add_header X-Payload $jwt_payload always; add_header X-Claim $jwt_claim_sub always;
    add_header X-Header $jwt_header_kid always; add_header X-Sub $sub always; add_header X-Kid $kid always;
    location / { jwt_claim role = admin; try_files /ok.txt =404; }
    location /plus { auth_jwt off; try_files /ok.txt =404; }";

fn both(load: &str) -> Builder {
    Nginx::builder()
        .without_module()
        .main(load)
        .http("jwt_claim_set $sub sub; jwt_header_set $kid kid;")
        .server(SERVER.replace("0123456789abcdef0123456789abcdef", SECRET))
}

fn ours() -> Result<String> {
    Ok(format!("load_module {};\n", module()?.display()))
}

/// Starts nginx and checks that rules, secrets and the module's own variables work.
fn works(load: &str, warned: &[&str]) -> Result<()> {
    let builder = both(load);
    let checked = builder.check()?;
    for fragments in [
        &["\"$jwt_claim_NAME\"", "another module", "jwt_claim_set"][..],
        &["\"$jwt_header_NAME\"", "another module", "jwt_header_set"],
        &["\"$jwt_payload\"", "another module"],
        warned,
    ] {
        checked.warned_with(fragments)?;
    }
    assert_eq!(checked.stderr.matches("[warn]").count(), 4, "{}", checked.stderr);

    let nginx = builder.start()?;
    let token = |role: &str| {
        Jwt::live_with(&json!({ "sub": "alice", "role": role })).kid("k1").hs("HS256", SECRET)
    };
    for _ in 0..2 {
        for (role, status, word) in [("admin", 200, "ok"), ("guest", 403, "denied")] {
            let answer = nginx.bearer("/", &token(role)?)?;
            let shown = |name| answer.header(name).unwrap_or_default();
            assert_eq!((answer.status, shown("X-Verdict")), (status, word));
            assert_eq!((shown("X-Sub"), shown("X-Kid")), ("alice", "k1"));
            assert_eq!(shown("X-Claim"), "second");
            assert_eq!((shown("X-Header"), shown("X-Payload")), ("second", "second"));
        }
        assert_eq!(nginx.get("/")?.status, 401);
        nginx.reload()?;
    }
    nginx.finish()
}

#[test]
fn another_module_that_comes_first_keeps_its_names() -> Result<()> {
    let second = CModule::compile("ngx_http_second_module", &["EARLY"])?;
    let warned = ["\"auth_jwt\", \"auth_jwt_key_file\"", "ngx_http_second_module reads them"];
    works(&(second.load() + &ours()?), &warned)?;
    works(&(ours()? + &second.load()), &warned)
}

#[test]
fn another_module_that_comes_later_takes_its_names() -> Result<()> {
    let second = CModule::compile("ngx_http_second_module", &[])?;
    // The module has its place among filters, before modules that have none.
    let warned =
        ["\"auth_jwt\", \"auth_jwt_key_file\"", "ngx_http_second_module does not see them"];
    works(&(second.load() + &ours()?), &warned)?;
    works(&(ours()? + &second.load()), &warned)
}

/// If no other module has these names, `set` may not define them, and there is no warning.
#[test]
fn variables_are_not_set_by_the_configuration() -> Result<()> {
    for name in ["jwt_status", "jwt_payload", "jwt_provider", "secure_token_status"] {
        let checked = Nginx::builder()
            .without_verdict()
            .server(format!("location / {{ set ${name} x; {SERVE} }}"))
            .check()?;
        checked.refused_with(&["duplicate", name, "nginx.conf:"])?;
    }
    let map = "map $uri $jwt_status { default x; }";
    let checked = Nginx::builder().without_verdict().http(map).server(SERVE).check()?;
    checked.warned_with(&["\"$jwt_status\"", "the configuration, has defined it"])?;
    Nginx::builder().server(SERVE).check()?.accepted()
}

/// The module reports the difference before it uses any structure, and nginx does not start.
#[test]
fn an_nginx_with_other_structures_does_not_load_the_module() -> Result<()> {
    for (altered, what) in [
        ("ALTERED=1", "ngx_http_request_t"),
        ("ALTERED=2", "the configuration of ngx_http_core_module"),
        ("ALTERED=3", "ngx_listening_t"),
    ] {
        let layout = CModule::compile("ngx_http_layout_module", &[altered])?;
        let builder =
            Nginx::builder().without_module().main(layout.load() + &ours()?).server(SERVE);
        let built = "built with the headers of another nginx";
        builder.check()?.refused_with(&[built, what, "build it again"])?;
    }
    Ok(())
}

/// Some differences show only when a worker has its connections. The worker checks for them
/// before it accepts any.
#[test]
fn a_worker_with_other_structures_does_not_serve() -> Result<()> {
    let layout = CModule::compile("ngx_http_layout_module", &["ALTERED=4"])?;
    let (built, ended) = ("built with the headers of another nginx", "exited with fatal code 2");
    let nginx = Nginx::builder()
        .without_module()
        .main(layout.load() + &ours()?)
        .server(SERVE)
        .expect_log(built)
        .expect_log(ended)
        .start()?;
    nginx.wait_log(|line| {
        line.contains(built) && line.contains("ngx_connection_t or ngx_event_t")
    })?;
    nginx.wait_log(|line| line.contains(ended) && line.contains("cannot be respawned"))?;
    nginx.finish()
}
