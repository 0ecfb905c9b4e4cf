//! `secure_token_format google`.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use module_tests::{ED25519, Nginx, SERVE, hex, hmac, now, signature};

use super::made::{GOOGLE, google, google_prefix};

fn start(more: &str) -> Result<Nginx> {
    let secret = GOOGLE.0;
    Nginx::builder()
        .file("ed25519.pem", ED25519.public)
        .server(format!(
            "location / {{
                secure_token_format google;
                secure_token_secret b3RoZXI= kid=other;
                secure_token_secret {secret} kid=my-key;
                {more} {SERVE}
            }}"
        ))
        .start()
}

#[test]
fn published_links_have_expired_and_no_more() -> Result<()> {
    let nginx = start("secure_token_value http://www.example.com$uri;")?;
    let signed = "Expires=1549751401&KeyName=my-key&Signature=";
    for (target, verdict) in [
        (format!("/?{signed}OqDUFfHpN5Vxga6r80bhsgxKves="), (410, "expired")),
        (
            format!("/some/path?some=query&another=param&{signed}9Q9TCxSju8-W5nUkk5CuTrun2_o="),
            (410, "expired"),
        ),
        (format!("/some/path?{signed}9Q9TCxSju8-W5nUkk5CuTrun2_o="), (403, "bad_signature")),
        (format!("/a?{signed}OqDUFfHpN5Vxga6r80bhsgxKves="), (403, "bad_signature")),
        (
            format!("/?{signed}OqDUFfHpN5Vxga6r80bhsgxKves=").replace("my-key", "other"),
            (403, "bad_signature"),
        ),
        (
            format!("/?{signed}OqDUFfHpN5Vxga6r80bhsgxKves=").replace("my-key", "none"),
            (403, "unknown_key"),
        ),
        ("/".to_owned(), (403, "missing")),
    ] {
        assert_eq!(nginx.get(&target)?.link_verdict(), verdict, "{target}");
    }
    nginx.assert_no_secret(&[GOOGLE.0, "OqDUFfHpN5"])?;
    nginx.finish()
}

#[test]
fn in_the_query_in_cookies_and_in_the_path() -> Result<()> {
    let nginx = start("")?;
    let e = now() + 60;
    let url = google(&format!("http://localhost/a.mp4?Expires={e}&KeyName=my-key"))?;
    let url = url.trim_start_matches("http://localhost");
    assert_eq!(nginx.get(url)?.link_verdict(), (200, "ok"));
    assert_eq!(nginx.get(url.replace("a.mp4", "b.mp4"))?.link_verdict(), (403, "bad_signature"));
    // As it is sent, in escapes that need not be there.
    for path in ["/a%2Bb%281%29.mp4", "/%c3%a9.mp4", "/a+b(1).mp4", "/%C3%A9.mp4"] {
        let url = google(&format!("http://localhost{path}?Expires={e}&KeyName=my-key"))?;
        let url = url.trim_start_matches("http://localhost");
        assert_eq!(nginx.get(url)?.link_verdict(), (200, "ok"), "{path}");
    }
    let prefix = google_prefix("http://localhost/hls/", e)?;
    for (target, verdict) in [
        (format!("/hls/a/b.ts?{prefix}"), (200, "ok")),
        (format!("/vod/a.ts?{prefix}"), (403, "not_covered")),
    ] {
        assert_eq!(nginx.get(&target)?.link_verdict(), verdict, "{target}");
    }
    let cookie = google_cookie("http://localhost/hls/", e)?;
    for name in ["Edge-Cache-Cookie", "Cloud-CDN-Cookie"] {
        let ask = nginx.request().target("/hls/a.ts").header("Cookie", format!("{name}={cookie}"));
        assert_eq!(ask.send()?.link_verdict(), (200, "ok"), "{name}");
    }
    let path =
        google(&format!("http://localhost/hls/edge-cache-token=Expires={e}&KeyName=my-key"))?;
    let path = path.trim_start_matches("http://localhost");
    assert_eq!(nginx.get(format!("{path}/a/b.ts"))?.link_verdict(), (200, "ok"));
    let elsewhere = path.replace("/hls/", "/vod/");
    assert_eq!(nginx.get(format!("{elsewhere}/a.ts"))?.link_verdict(), (403, "bad_signature"));
    nginx.finish()
}

/// The same as a cookie has it, with colons.
fn google_cookie(prefix: &str, expires: i64) -> Result<String> {
    let text = format!("URLPrefix={}:Expires={expires}:KeyName=my-key", URL_SAFE.encode(prefix));
    Ok(google(&text)?.replace("&Signature", ":Signature"))
}

#[test]
fn tokens_of_media_cdn() -> Result<()> {
    let nginx = start("secure_token_keys ed25519.pem;")?;
    let e = now() + 60;
    let token = |travels: &str, signed: &str| -> Result<String> {
        let mac = hmac("HS256", &GOOGLE.1, signed.as_bytes())?;
        Ok(format!("/hls/a.ts?edge-cache-token={travels}~hmac={}", hex(mac)))
    };
    for (fields, signed, verdict) in [
        (format!("PathGlobs=/hls/*~Expires={e}"), None, (200, "ok")),
        (format!("PathGlobs=/vod/*,/hls/?.ts~Expires={e}"), None, (200, "ok")),
        (format!("PathGlobs=/vod/*~Expires={e}"), None, (403, "not_covered")),
        (
            format!("FullPath~Expires={e}"),
            Some(format!("FullPath=/hls/a.ts~Expires={e}")),
            (200, "ok"),
        ),
        (
            format!("FullPath~Expires={e}"),
            Some(format!("FullPath=/hls/b.ts~Expires={e}")),
            (403, "bad_signature"),
        ),
        (
            format!("PathGlobs=/*~Expires={e}~Headers=X-User"),
            Some(format!("PathGlobs=/*~Expires={e}~Headers=X-User=alice")),
            (200, "ok"),
        ),
        (
            format!("PathGlobs=/*~Expires={e}~Headers=X-User"),
            Some(format!("PathGlobs=/*~Expires={e}~Headers=X-User=bob")),
            (403, "bad_signature"),
        ),
        (
            format!("PathGlobs=/*~Expires={e}~Headers=Authorization"),
            Some(format!("PathGlobs=/*~Expires={e}~Headers=Authorization=Bearer abc")),
            (200, "ok"),
        ),
        (format!("PathGlobs=/*~Starts={}~Expires={e}", now() + 30), None, (403, "not_yet_valid")),
        (format!("PathGlobs=/*~Expires={}", now() - 1), None, (410, "expired")),
        (format!("PathGlobs=/*~Expires={e}~Other=1"), None, (403, "malformed")),
        ("PathGlobs=/*".to_owned(), None, (403, "malformed")),
    ] {
        let target = token(&fields, signed.as_deref().unwrap_or(&fields))?;
        let request = nginx.request().target(&target).header("X-User", "alice");
        let found = request.header("Authorization", "Bearer abc").send()?;
        assert_eq!(found.link_verdict(), verdict, "{target}");
    }
    let fields = format!("PathGlobs=/hls/*~Expires={e}");
    let ed25519 = URL_SAFE.encode(signature("EdDSA", &ED25519, fields.as_bytes())?);
    let target = format!("/hls/a.ts?edge-cache-token={fields}~Signature={ed25519}");
    assert_eq!(nginx.get(&target)?.link_verdict(), (200, "ok"));
    let changed = target.replace("/hls/*", "/hls*");
    assert_eq!(nginx.get(&changed)?.link_verdict(), (403, "bad_signature"));
    nginx.finish()
}
