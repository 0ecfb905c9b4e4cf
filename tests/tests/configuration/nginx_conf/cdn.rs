//! The tests of the configurations for links of Amazon CloudFront and Google's networks.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use module_tests::{RSA, RSA_OTHER, hex, now};
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha1::{Digest as _, Sha1};

use super::links::hmac_sha1;
use super::streams::{MASTER, every_way, play, streams, with_cookie};
use super::{expect, to_port_80};

/// The arguments `Signature` and `Key-Pair-Id` for a policy, with SHA-1 as CloudFront's own tools make them.
fn cloudfront_signature(policy: &str, key: &str) -> Result<String> {
    // DER: DigestInfo with SHA-1 (RFC 8017 section 9.2).
    let prefix = [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 5, 0, 4, 0x14];
    let padding = Pkcs1v15Sign { hash_len: Some(20), prefix: Box::new(prefix) };
    let signature = RsaPrivateKey::from_pkcs8_pem(key)?.sign(padding, &Sha1::digest(policy))?;
    Ok(format!("Signature={}&Key-Pair-Id=K2JCJMDEHXQW5F", cloudfront_base64(signature)))
}

fn cloudfront_base64(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes).replace('+', "-").replace('=', "_").replace('/', "~")
}

/// The arguments of a link with a custom policy.
fn cloudfront_custom(resource: &str, until: i64) -> Result<String> {
    let policy = format!(
        "{{\"Statement\":[{{\"Resource\":\"{resource}\",\"Condition\":{{\"DateLessThan\":\
         {{\"AWS:EpochTime\":{until}}}}}}}]}}"
    );
    let signature = cloudfront_signature(&policy, RSA.private)?;
    Ok(format!("Policy={}&{signature}", cloudfront_base64(&policy)))
}

pub(crate) fn cloudfront() -> Result<()> {
    let nginx = streams("from-cloudfront.conf", "hls")?
        .file("keys/cloudfront.pub.pem", RSA.public)
        .file("keys/cloudfront.pem", RSA.private)
        .html("media/a.mp4", "film\n")
        .html("media/b.mp4", "film\n")
        .start()?;
    every_way(&nginx, &["query", "cookie", "path"])?;

    let site = "https://media.example.com";
    let (e, past) = (now() + 300, now() - 300);
    let canned = |path: &str, e: i64, key: &str| -> Result<String> {
        let policy = format!(
            "{{\"Statement\":[{{\"Resource\":\"{site}{path}\",\"Condition\":{{\"DateLessThan\":\
             {{\"AWS:EpochTime\":{e}}}}}}}]}}"
        );
        let joint = if path.contains('?') { '&' } else { '?' };
        Ok(format!("{path}{joint}Expires={e}&{}", cloudfront_signature(&policy, key)?))
    };
    let good = canned("/media/a.mp4", e, RSA.private)?;
    let folder = cloudfront_custom(&format!("{site}/hls/one/*"), e)?;
    let elsewhere = cloudfront_custom("http://media.example.com/hls/one/*", e)?;
    expect(
        &nginx,
        &[
            (&good, None, 200),
            (&canned("/media/a.mp4?size=large", e, RSA.private)?, None, 200),
            (&good.replace("a.mp4?", "a.mp4?size=large&"), None, 403),
            (&good.replace("a.mp4", "b.mp4"), None, 403),
            (&canned("/media/a.mp4", past, RSA.private)?, None, 410),
            (&canned("/media/a.mp4", e, RSA_OTHER.private)?, None, 403),
            ("/media/a.mp4", None, 403),
            (&format!("/hls/one/low/1.ts?{folder}"), None, 200),
            (&format!("/hls/one/low/1.ts?{elsewhere}"), None, 403),
            (&format!("/t/{folder}/hls/two/low/1.ts"), None, 403),
        ],
    )?;
    // Behind a load balancer that ends TLS it is the same.
    let request = to_port_80(&nginx, &good).host("10.0.0.1").header("X-Forwarded-Proto", "https");
    assert_eq!(request.send()?.status, 200);
    let cookies = folder.replace('&', "; ");
    let cookies = ["Policy=", "Signature=", "Key-Pair-Id="]
        .iter()
        .fold(cookies, |all, name| all.replace(name, &format!("CloudFront-{name}")));
    play(&nginx, "/hls/one/master.m3u8", &cookies)?;
    assert_eq!(with_cookie(&nginx, "/hls/two/master.m3u8", &cookies)?.status, 403);
    play(&nginx, &format!("/hls/one/master.m3u8?{folder}"), "")?;
    nginx.assert_no_secret(&[&cloudfront_signature("x", RSA.private)?])?;
    nginx.finish()
}

/// The key of the configuration, decoded.
const GOOGLE: &str = "nZtRohdNF9m3cKM24IcK4w==";

/// `text` with its signature, which follows after `joint`.
fn google_signed(text: &str, joint: char) -> Result<String> {
    let signature = hmac_sha1(&URL_SAFE.decode(GOOGLE)?, text)?;
    Ok(format!("{text}{joint}Signature={}", URL_SAFE.encode(signature)))
}

pub(crate) fn google_cdn() -> Result<()> {
    let nginx = streams("from-google-cdn.conf", "hls")?
        .html("media/a.mp4", "film\n")
        .html("hls/one/hls/two/master.m3u8", MASTER)
        .start()?;
    every_way(&nginx, &["query", "cookie", "path"])?;

    let site = "https://media.example.com";
    let (e, past) = (now() + 300, now() - 300);
    let url = |path: &str, e: i64, name: &str| -> Result<String> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let signed = google_signed(&format!("{site}{path}{joint}Expires={e}&KeyName={name}"), '&')?;
        Ok(signed.replace(site, ""))
    };
    let prefix = URL_SAFE.encode(format!("{site}/hls/one/"));
    let cookie = google_signed(&format!("URLPrefix={prefix}:Expires={e}:KeyName=my-key"), ':')?;
    let query = google_signed(&format!("URLPrefix={prefix}&Expires={e}&KeyName=my-key"), '&')?;
    let in_path = |e: i64| {
        let folder = format!("{site}/hls/one/edge-cache-token=Expires={e}&KeyName=my-key");
        google_signed(&folder, '&').map(|signed| signed.replace(site, ""))
    };
    let good = url("/media/a.mp4", e, "my-key")?;
    let inside = in_path(e)?;
    expect(
        &nginx,
        &[
            (&good, None, 200),
            (&url("/media/a.mp4?size=large", e, "my-key")?, None, 200),
            (&good.replace("a.mp4?", "a.mp4?size=large&"), None, 403),
            (&url("/media/a.mp4", past, "my-key")?, None, 410),
            (&url("/media/a.mp4", e, "another")?, None, 403),
            ("/media/a.mp4", None, 403),
            ("/", None, 403),
            (&format!("/hls/two/low/1.ts?{query}"), None, 403),
            (&format!("{inside}/../../two/master.m3u8"), None, 403),
            (&format!("{}/master.m3u8", in_path(past)?), None, 410),
            (&format!("{inside}/master.m3u8").replace("one", "two"), None, 403),
            // What is checked is what is served.
            (&format!("{inside}/hls/two/master.m3u8"), None, 200),
            (&format!("{inside}/edge-cache-token=x/master.m3u8"), None, 403),
        ],
    )?;
    play(&nginx, &format!("{inside}/master.m3u8"), "")?;
    for name in ["Cloud-CDN-Cookie", "Edge-Cache-Cookie"] {
        let cookie = format!("{name}={cookie}");
        play(&nginx, "/hls/one/master.m3u8", &cookie)?;
        assert_eq!(with_cookie(&nginx, "/hls/two/master.m3u8", &cookie)?.status, 403);
    }
    play(&nginx, &format!("/hls/one/master.m3u8?{query}"), "")?;
    // A token of Media CDN.
    let fields = format!("PathGlobs=/hls/one/*~Expires={e}");
    let hmac = hex(hmac_sha1(&URL_SAFE.decode(GOOGLE)?, &fields)?);
    play(&nginx, &format!("/hls/one/master.m3u8?edge-cache-token={fields}~hmac={hmac}"), "")?;
    assert!(!nginx.error_log().contains("passes as it is"), "{}", nginx.error_log());
    nginx.assert_no_secret(&[GOOGLE])?;
    nginx.finish()
}
