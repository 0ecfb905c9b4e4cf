//! Reloads: with good configurations, with broken ones, many of them, and without the module at
//! all.

use anyhow::{Context, Result};
use module_tests::{Jwt, Nginx, OTHER_SECRET, RSA, RSA_OTHER, SECRET, SERVE, open_files, resident};
use serde_json::json;

fn k1() -> Result<String> {
    Jwt::live().kid("k1").hs("HS256", SECRET)
}

#[test]
fn a_reload_puts_new_keys_in_force_and_old_ones_out() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file keys.json; {SERVE} }}"))
        .file("keys.json", RSA.jwks("one")?)
        .start()?;
    let (one, two) = (
        Jwt::live().kid("one").sign("RS256", &RSA)?,
        Jwt::live().kid("two").sign("RS256", &RSA_OTHER)?,
    );
    assert_eq!(nginx.bearer("/", &one)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/", &two)?.verdict(), (401, "unknown_key"));
    nginx.put("keys.json", RSA_OTHER.jwks("two")?)?;
    // Until the reload, the old keys stay in force.
    assert_eq!(nginx.bearer("/", &one)?.verdict(), (200, "ok"));
    nginx.reload()?;
    assert_eq!(nginx.bearer("/", &one)?.verdict(), (401, "unknown_key"));
    assert_eq!(nginx.bearer("/", &two)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn a_reload_with_a_mistake_leaves_the_old_configuration_serving() -> Result<()> {
    let server = |directives: &str| format!("location / {{ {directives} {SERVE} }}");
    let good = "jwt_kids_file kids.json; jwks_file keys.json;";
    let nginx = Nginx::builder()
        .server(server(good))
        .file("kids.json", json!({ "k1": SECRET }).to_string())
        .file("keys.json", RSA.jwks("rsa")?)
        .start()?;
    let serves = || -> Result<()> {
        assert_eq!(nginx.bearer("/", &k1()?)?.verdict(), (200, "ok"));
        assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
        Ok(())
    };
    for (file, text, fragment) in [
        ("kids.json", "{\"k1\": ".to_owned(), "line 1"),
        ("kids.json", json!({ "k1": "" }).to_string(), "empty"),
        ("keys.json", "not a key".to_owned(), "keys.json"),
        ("keys.json", json!({ "keys": [] }).to_string(), "keys.json"),
    ] {
        let before = nginx.read(file);
        nginx.put(file, &text)?;
        let said = nginx.reload_refused().context(text)?;
        assert!(said.contains(fragment) && said.contains("nginx.conf:"), "{said}");
        serves()?;
        nginx.put(file, before)?;
    }
    for directives in ["jwt on;", "jwt_algorithms none;", "jwks_file gone.json;"] {
        nginx.configure(|builder| builder.server(server(directives)))?;
        nginx.reload_refused().context(directives)?;
        serves()?;
    }
    nginx.configure(|builder| builder.server(server(good)))?;
    nginx.reload()?;
    serves()?;
    nginx.finish()
}

#[test]
fn fifty_reloads_leak_neither_memory_nor_descriptors() -> Result<()> {
    // Each key set takes about 75 KB, so that the memory grows visibly if one is not freed.
    let pairs: serde_json::Map<_, _> =
        (0..500).map(|i| (format!("kid-{i}"), json!(SECRET))).collect();
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwt_kids_file kids.json; jwks_file keys.json; {SERVE} }}"))
        .file("kids.json", json!(pairs).to_string())
        .file("keys.json", RSA.jwks("rsa")?)
        .start()?;
    let token = Jwt::live().kid("kid-499").hs("HS256", SECRET)?;
    let master = master(&nginx)?;
    let mut after_ten = 0;
    let mut descriptors = 0;
    for i in 0..50 {
        nginx.reload().with_context(|| format!("reload {i}"))?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "reload {i}");
        if i == 9 {
            (after_ten, descriptors) = (resident(master)?, open_files(master)?);
        }
    }
    let grown = resident(master)?.saturating_sub(after_ten);
    assert!(grown < 1024, "the master grew by {grown} KiB in forty reloads");
    // The master still has the channel of a worker that is about to end.
    assert!(open_files(master)? <= descriptors + 2, "the master had {descriptors} files open");
    nginx.finish()
}

/// The master's process id.
fn master(nginx: &Nginx) -> Result<u32> {
    nginx.read("nginx.pid").trim().parse().context("nginx.pid")
}

#[test]
fn the_module_can_be_taken_out_and_put_back_by_reloads() -> Result<()> {
    let server = format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}");
    let nginx = Nginx::builder().server(server.as_str()).start()?;
    for _ in 0..3 {
        assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
        assert_eq!(nginx.bearer("/", &k1()?)?.verdict(), (200, "ok"));
        nginx.configure(|builder| {
            builder.without_module().server(format!("location / {{ {SERVE} }}"))
        })?;
        nginx.reload()?;
        assert_eq!(nginx.get("/")?.status, 200);
        assert_eq!(nginx.get("/ok.txt")?.text(), "ok\n");
        nginx.configure(|builder| builder.with_module().server(server.as_str()))?;
        nginx.reload()?;
    }
    nginx.finish()
}

#[test]
fn a_request_that_began_before_a_reload_is_judged_as_it_began() -> Result<()> {
    let server = |secret| format!("location / {{ jwt_kids {{ k1 {secret}; }} {SERVE} }}");
    let nginx = Nginx::start(server(SECRET))?;
    let mut connection = nginx.connect()?;
    let request = nginx.request().bearer(&k1()?).bytes();
    let (head, tail) = request.split_at(request.len() / 2);
    connection.write(head)?;
    // The only worker reads in the order of arrival, so after this answer it has the first half.
    assert_eq!(nginx.get("/")?.status, 401);
    nginx.configure(|builder| builder.server(server(OTHER_SECRET)))?;
    nginx.reload()?;
    assert_eq!(nginx.bearer("/", &k1()?)?.verdict(), (401, "bad_signature"));
    connection.write(tail)?;
    assert_eq!(connection.read_response(false)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn a_single_process_serves_too() -> Result<()> {
    let nginx = Nginx::builder()
        .single_process()
        .server(format!("location / {{ jwt_kids {{ k1 {SECRET}; }} {SERVE} }}"))
        .start()?;
    assert_eq!(nginx.bearer("/", &k1()?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.get("/")?.verdict(), (401, "missing"));
    nginx.finish()
}
