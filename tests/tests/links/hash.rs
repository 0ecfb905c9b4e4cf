//! `secure_token_hash`: schemes of others, as their documentation has them.

use anyhow::Result;
use module_tests::{Nginx, SERVE, hex, hmac, md5, now};
use sha1::Digest as _;

/// Alibaba's key in its documentation.
const ALIBABA: &str = "aliyuncdnexp1234";

#[test]
fn a_capture_of_the_path_may_be_the_link() -> Result<()> {
    // Alibaba's scheme C.
    let nginx = Nginx::start(format!(
        "location ~ ^/(?<sig>[0-9a-f]+)/(?<time>[0-9A-Fa-f]+)(?<file>/.*)$ {{
            secure_token_secret other {ALIBABA};
            secure_token_args $sig $time;
            secure_token_hash md5 \"$secure_token_key$file$secure_token_time\"
                encoding=hex time=hex valid=30m;
            {SERVE}
        }}"
    ))?;
    assert_eq!(
        nginx.get("/a37fa50a5fb8f71214b1e7c95ec7a1bd/55CE8100/test.flv")?.link_verdict(),
        (410, "expired")
    );
    let link = |file: &str, time: i64| {
        let time = format!("{time:08x}");
        format!("/{}/{time}{file}", hex(md5(format!("{ALIBABA}{file}{time}"))))
    };
    let made = link("/test.flv", now() - 60);
    assert_eq!(nginx.get(&made)?.link_verdict(), (200, "ok"));
    assert_eq!(nginx.get(made.replace("test", "tes"))?.link_verdict(), (403, "bad_signature"));
    assert_eq!(nginx.get(link("/test.flv", now() - 1900))?.link_verdict(), (410, "expired"));
    assert_eq!(nginx.get(link("/test.flv", now() + 60))?.link_verdict(), (403, "not_yet_valid"));
    assert_eq!(nginx.get("/a37fa5/55CE8100/test.flv")?.link_verdict(), (403, "malformed"));
    assert_eq!(
        nginx.get("/a37fa50a5fb8f71214b1e7c95ec7a1bd/5CE8100/test.flv")?.link_verdict(),
        (403, "malformed")
    );
    nginx.assert_no_secret(&[ALIBABA])?;
    nginx.finish()
}

#[test]
fn one_argument_may_hold_several_values() -> Result<()> {
    // Alibaba's scheme A: auth_key=TIME-RAND-UID-MD5.
    let nginx = Nginx::builder()
        .http(
            "map $single_arg_auth_key $ak_time { ~^(?<v>\\d+)-\\w*-\\w*-\\w*$ $v; }
            map $single_arg_auth_key $ak_rest { ~^\\d+-(?<v>\\w*-\\w*)-\\w*$ $v; }
            map $single_arg_auth_key $ak_hash { ~^\\d+-\\w*-\\w*-(?<v>\\w*)$ $v; }",
        )
        .server(format!(
            "location / {{
                secure_token_secret {ALIBABA};
                secure_token_args $ak_hash $ak_time;
                secure_token_hash md5 \"$uri-$secure_token_expires-$ak_rest-$secure_token_key\" encoding=hex;
                {SERVE}
            }}"
        ))
        .start()?;
    let file = "/video/standard/1K.html";
    assert_eq!(
        nginx
            .get(format!("{file}?auth_key=1444435200-0-0-80cd3862d699b7118eed99103f2a3a4f"))?
            .link_verdict(),
        (410, "expired")
    );
    let e = now() + 60;
    let hash = hex(md5(format!("{file}-{e}-r-7-{ALIBABA}")));
    assert_eq!(nginx.get(format!("{file}?auth_key={e}-r-7-{hash}"))?.link_verdict(), (200, "ok"));
    assert_eq!(
        nginx.get(format!("{file}?auth_key={e}-r-8-{hash}"))?.link_verdict(),
        (403, "bad_signature")
    );
    for missing in ["", "?auth_key=", "?auth_key=1-2-3", "?auth_key=x&auth_key=y"] {
        assert_eq!(nginx.get(format!("{file}{missing}"))?.link_verdict(), (403, "missing"));
    }
    nginx.finish()
}

#[test]
fn an_hmac_takes_the_secrets_in_their_order() -> Result<()> {
    let nginx = Nginx::start(format!(
        "secure_token_secret new b2xk encoding=base64;
        secure_token_args sig until;
        location /256 {{ secure_token_hash hmac-sha256 \"$uri?$secure_token_expires\" encoding=hex; {SERVE} }}
        location /512 {{ secure_token_hash hmac-sha512 \"$uri?$secure_token_expires\"; {SERVE} }}
        location /plain {{ {SERVE} }}"
    ))?;
    let e = now() + 60;
    let encoded = |algorithm: &str, path: &str, secret: &[u8]| {
        hmac(algorithm, secret, format!("{path}?{e}").as_bytes())
    };
    // "new" as base64 is bytes, too.
    for (secret, verdict) in
        [(&b"\x9d\xec"[..], (200, "ok")), (b"old", (200, "ok")), (b"new", (403, "bad_signature"))]
    {
        let sig = hex(encoded("HS256", "/256", secret)?);
        let found = nginx.get(format!("/256?sig={sig}&until={e}"))?;
        assert_eq!(found.link_verdict(), verdict, "{secret:?}");
        assert_eq!(
            nginx.get(format!("/256?sig={}&until={e}", sig.to_uppercase()))?.link_verdict(),
            verdict
        );
    }
    let sig = module_tests::base64url(encoded("HS512", "/512", b"old")?);
    for sig in [sig.clone(), format!("{sig}==")] {
        let found = nginx.get(format!("/512?sig={sig}&until={e}"))?;
        assert_eq!(found.link_verdict(), (200, "ok"), "{sig}");
    }
    for bad in ["", "x", "AA", "AAA="] {
        let found = nginx.get(format!("/512?sig={bad}&until={e}"))?;
        assert_eq!(found.link_verdict().0, 403, "{bad}");
    }
    nginx.finish()
}

#[test]
fn nginxs_secure_link_and_others_without_a_secret_directive() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location /nginx {{
            secure_token_args md5 expires;
            secure_token_md5 \"$secure_token_expires$uri secret\";
            {SERVE}
            location /nginx/own {{ secure_token_secret own; secure_token_args st e; {SERVE} }}
        }}
        location /sha1 {{
            secure_token_hash sha1 \"$secure_token_expires$uri secret\" encoding=hex;
            {SERVE}
        }}"
    ))?;
    let e = now() + 60;
    let sig = module_tests::base64url(md5(format!("{e}/nginx/a secret")));
    assert_eq!(nginx.get(format!("/nginx/a?md5={sig}&expires={e}"))?.link_verdict(), (200, "ok"));
    assert_eq!(
        nginx.get(format!("/nginx/b?md5={sig}&expires={e}"))?.link_verdict(),
        (403, "bad_signature")
    );
    // A secret takes the place of a text that has its own.
    assert_eq!(nginx.get(module_tests::link("own", "/nginx/own", e))?.link_verdict(), (200, "ok"));
    let text = format!("{e}/sha1 secret");
    let sha1 = hex(sha1::Sha1::digest(text));
    assert_eq!(nginx.get(format!("/sha1?st={sha1}&e={e}"))?.link_verdict(), (200, "ok"));
    nginx.finish()
}
