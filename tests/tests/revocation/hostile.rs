//! Stores that send what is no list: too much, without end, too slowly, or something that grows when it is
//! decompressed. The last list stays, and nginx goes on.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniz_oxide::deflate::compress_to_vec_zlib;
use module_tests::{
    Behaviour, Jwt, Nginx, P256, Provider, SERVE, now, resident_private, until_verdict,
};
use serde_json::json;

use crate::{GOOD, NO_LIST, REVOKED, builder, list, server, token};

/// The largest list, in bytes.
const LARGEST: usize = 256 << 20;

#[test]
fn what_is_no_list_leaves_the_last_one() -> Result<()> {
    let store = Provider::start(list("t-1\n"))?;
    let nginx = builder(&store, "valid=1s").expect_log("the last good list stays").start()?;
    until_verdict(&nginx, &token("t-1")?, REVOKED)?;
    let raw = |text: &str| Behaviour::Raw(text.as_bytes().to_vec());
    let cases = [
        (
            raw(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", LARGEST + 1)),
            "the answer is larger than 268435456 bytes",
        ),
        (
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000001\r\nx"),
            "the answer is",
        ),
        (Behaviour::Unsized("t-2\nt-3".into()), "nothing marks the end of the store's answer"),
        (Behaviour::Unsized(String::new()), "nothing marks the end of the store's answer"),
        // nginx hands it on in chunks.
        (Behaviour::Endless, "line 1 is longer than 64 KiB"),
        (list("x".repeat(70_000)), "line 1 is longer than 64 KiB"),
        (
            Behaviour::Slow(vec!["t-1\n".into(), "t-2\n".into()], Duration::from_millis(400)),
            "timed out after 500 ms",
        ),
        (Behaviour::Chunked("t-2\n\u{feff}\"".into(), 1), "line 2 begins with a double quote"),
    ];
    for (behaviour, reason) in &cases {
        nginx.configure(|builder| builder.server(server(&store, "valid=1s timeout=500ms")))?;
        store.set(behaviour.clone());
        nginx.reload()?;
        let line = nginx.wait_log(|line| line.contains("[error]") && line.contains(reason))?;
        ensure!(line.contains("the last good list stays"), "{line}");
        assert_eq!(nginx.bearer("/", &token("t-1")?)?.verdict(), REVOKED, "{reason}");
        assert_eq!(nginx.bearer("/", &token("t-2")?)?.verdict(), GOOD, "{reason}");
    }
    nginx.finish()
}

/// A Status List Token of one bit for each token, whose list is these bytes.
fn status_list(name: &str, bytes: &[u8]) -> Result<String> {
    let lst = URL_SAFE_NO_PAD.encode(compress_to_vec_zlib(bytes, 9));
    let claims = json!({
        "sub": format!("https://login.example/{name}"), "iat": now(), "exp": now() + 300,
        "status_list": { "bits": 1, "lst": lst }
    });
    Jwt::new(claims).kid("e1").header("typ", json!("statuslist+jwt")).sign("ES256", &P256)
}

#[test]
fn a_status_list_that_grows_beyond_bounds_is_not_decompressed() -> Result<()> {
    let bytes = 16 << 20;
    let store = Provider::start(list(status_list("1", &vec![0; bytes])?))?;
    let nginx = Nginx::builder()
        .server(format!(
            "location /_lists/ {{ internal; {} }}
            location / {{ jwks_file keys.json; jwt_status_list https://login.example/ /_lists/; {SERVE} }}",
            store.pass_to("/")
        ))
        .file("keys.json", P256.jwks("e1")?)
        .http("jwt_revoked_zone 48m;")
        .expect_log("there is no list")
        .expect_log("the last good list stays")
        .start()?;
    let token = |index: usize| {
        let status = json!({ "status_list": { "uri": "https://login.example/1", "idx": index } });
        Jwt::live_with(&json!({ "status": status })).kid("e1").sign("ES256", &P256)
    };
    assert_eq!(nginx.bearer("/", &token(0)?)?.verdict(), GOOD);
    assert_eq!(nginx.bearer("/", &token(bytes * 8 - 1)?)?.verdict(), GOOD);
    assert_eq!(nginx.bearer("/", &token(bytes * 8)?)?.verdict(), (401, "bad_status"));
    // One byte more, and much more.
    let worker = *nginx.workers().first().context("no worker")?;
    for (name, more) in [("2", 1), ("3", 200 << 20)] {
        store.set(list(status_list(name, &vec![0; bytes + more])?));
        let uri = format!("https://login.example/{name}");
        let status = json!({ "status_list": { "uri": uri, "idx": 0 } });
        let other = Jwt::live_with(&json!({ "status": status })).kid("e1").sign("ES256", &P256)?;
        assert_eq!(nginx.bearer("/", &other)?.verdict(), NO_LIST);
        let uri = format!("\"/_lists/{name}\"");
        let line = nginx.wait_log(|line| line.contains(&uri) && line.contains("[error]"))?;
        ensure!(line.contains("lst inflates to more than 16777216 bytes"), "{line}");
    }
    let private = resident_private(worker)?;
    ensure!(private < 64 << 20, "{} MB", private >> 20);
    nginx.finish()
}
