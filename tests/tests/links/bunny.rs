//! `secure_token_format bunny`.

use anyhow::Result;
use module_tests::{Nginx, SERVE, now};

use super::made::bunny;

const KEY: &str = "SecurityKey";

fn start(more: &str) -> Result<Nginx> {
    Nginx::start(format!(
        "location / {{ secure_token_format bunny; secure_token_secret {KEY}; {more} {SERVE} }}"
    ))
}

#[test]
fn published_links_have_expired_and_no_more() -> Result<()> {
    let nginx = start("")?;
    for (target, verdict) in [
        ("/300kb.jpg?token=HS256-o10JRWlsAItyAsdKS6jJKjabHN4FrFsplDHPV1idcX4", (410, "expired")),
        (
            "/abc/x?token=HS256-uVZvT3SbEoVKYJyDJgbcsDmSFf73cv-uNUVaJiKWpbQ&token_path=%2Fabc",
            (410, "expired"),
        ),
        (
            "/300kb.jpg?limit=1000&token=HS256-DAVapqNNED3Z7JkjRTYX0UOIHNtbHEuuhRNEc4A7mMQ",
            (410, "expired"),
        ),
        (
            "/300kb.jpg?limit=1001&token=HS256-DAVapqNNED3Z7JkjRTYX0UOIHNtbHEuuhRNEc4A7mMQ",
            (403, "bad_signature"),
        ),
        (
            "/300kc.jpg?token=HS256-o10JRWlsAItyAsdKS6jJKjabHN4FrFsplDHPV1idcX4",
            (403, "bad_signature"),
        ),
    ] {
        let found = nginx.get(format!("{target}&expires=1598024587"))?;
        assert_eq!(found.link_verdict(), verdict, "{target}");
    }
    nginx.assert_no_secret(&[KEY, "o10JRWlsAItyAsd"])?;
    nginx.finish()
}

#[test]
fn a_link_in_the_path_and_in_the_query() -> Result<()> {
    let nginx = start(
        "add_header X-Args \"$secure_token_args\"; add_header X-Link-Status $secure_token_status always;",
    )?;
    let e = now() + 60;
    let covers = bunny(KEY, "/hls/", e, "token_path=/hls/")?;
    let found = nginx.get(format!("/hls/a.m3u8?a=1&{}", bunny(KEY, "/hls/a.m3u8", e, "a=1")?))?;
    assert_eq!((found.link_verdict(), found.header("X-Args")), ((200, "ok"), Some("a=1")));
    for (target, verdict) in [
        (format!("/bcdn_{covers}&token_path=%2Fhls%2F/hls/a/b.ts"), (200, "ok")),
        // nginx has decoded the path, so where token_path ends is found out by the signature.
        (format!("/bcdn_{covers}&token_path=%2Fhls%2F/vod/a/b.ts"), (403, "bad_signature")),
        (format!("/bcdn_{covers}&token_path=%2Fvod%2F/vod/a/b.ts"), (403, "bad_signature")),
        (format!("/hls/a.ts?{covers}&token_path=/hls/&token_path=/hls/"), (403, "malformed")),
        ("/hls/a.ts".to_owned(), (403, "missing")),
    ] {
        assert_eq!(nginx.get(&target)?.link_verdict(), verdict, "{target}");
    }
    nginx.finish()
}
