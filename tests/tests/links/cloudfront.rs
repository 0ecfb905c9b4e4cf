//! `secure_token_format cloudfront`.

use anyhow::Result;
use module_tests::{Nginx, RSA, SERVE, now, until};

use super::made::{cloudfront, policy};

/// The test key of aws-cli, and its signature of the canned policy of `http://example.com/hi` until 1451606400.
const AWS: &str = "-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu6o2+Jc8UINw2P/w2l7A\n\
1xXu3emQEZQ9diA3bmog8r9Dg+65fZgAqmuNWPqBivv7j3DGnLUdt8uCIr7PYUbK\n\
7wDa6n7U3ryOWtO2ZTc3StiJVcqTsokZ0qxGFtDRafjBuydXtcxh52vVTcHqH33n\n\
ubyyZIzuhTwfmrIOnUXnLwbMrBBPbg/8mlgQooyo1XbrN1eO4XMs+UgQ9Mqc7KRJ\n\
RinUJ+KYuCnM8f/nN4RjYdjTcghkxCPEHCeSt2luywWyYmfguWCBS2Mu1q0250wK\n\
yNazlgiiTJtAuuSeweb4NKPOJL9XhR6Ce6UuU4WYlli8gvQh3FAV3N3C1Rxo20k2\n\
8QIDAQAB\n-----END PUBLIC KEY-----\n";
const AWS_SIGNATURE: &str = "UiEmtMsInU-gXoa1O7-bTRJmZ~ocphB0ONMxyEHs2r8Y9dwzeB~DkbgzPMX3jbdbwIwVX3f4VcY4HBLdPSkb\
F~D6KbUlxPw1ju8mlXeu2C436XxZdrJrrJaiEDaTpKslXpn9ngaCzVfCVPfkC3a0NBWBySi5ezCG2yzb0c-djNgI1wkogwtmtZuOxAoKF1sRTyFX9Z\
itUiUIl~65nkJ94s~GGwxzTf1kMi7Wdm~9rFrJpx0O7nJEBy5O578s2UHrejtwyedUR5BqXTkgu~A51NcjAN9LErATV7SVBYicoZ76AOfB-TKay7g6-M\
WCK6-T-4Q5x6XH4yzII3JpbCmVwA__";

fn start(more: &str) -> Result<Nginx> {
    Nginx::builder()
        .file("aws.pem", AWS)
        .file("rsa.pem", RSA.public)
        .server(format!(
            "location / {{
                secure_token_format cloudfront;
                secure_token_keys aws.pem kid=APKA;
                secure_token_keys rsa.pem kid=K1;
                {more} {SERVE}
            }}"
        ))
        .start()
}

#[test]
fn a_published_link_has_expired_and_no_more() -> Result<()> {
    let nginx = start("secure_token_value http://example.com$uri;")?;
    let arguments = format!("Signature={AWS_SIGNATURE}&Key-Pair-Id=APKA");
    for (target, verdict) in [
        (format!("/hi?Expires=1451606400&{arguments}"), (410, "expired")),
        (format!("/hi?Expires=2451606400&{arguments}"), (403, "bad_signature")),
        (format!("/ho?Expires=1451606400&{arguments}"), (403, "bad_signature")),
        (format!("/hi?a=b&Expires=1451606400&{arguments}"), (403, "bad_signature")),
        (format!("/hi?Expires=1451606400&{arguments}&Signature=x"), (403, "malformed")),
        (format!("/hi?Expires=1451606400&Signature={AWS_SIGNATURE}"), (403, "malformed")),
        ("/hi".to_owned(), (403, "missing")),
    ] {
        assert_eq!(nginx.get(&target)?.link_verdict(), verdict, "{target}");
    }
    let unknown = arguments.replace("APKA", "APKB");
    let found = nginx.get(format!("/hi?Expires=1451606400&{unknown}"))?;
    assert_eq!(found.link_verdict(), (403, "unknown_key"));
    nginx.assert_no_secret(&["UiEmtMsInU"])?;
    nginx.finish()
}

#[test]
fn policies_in_the_query_and_in_cookies() -> Result<()> {
    let nginx = start("set_real_ip_from unix:; real_ip_header X-Real;")?;
    let e = now() + 60;
    let more = |text: &str| format!(",{text}");
    let ip = |net: &str| more(&format!("\"IpAddress\":{{\"AWS:SourceIp\":\"{net}\"}}"));
    let after = |time: i64| more(&format!("\"DateGreaterThan\":{{\"AWS:EpochTime\":{time}}}"));
    let all = "http://localhost/hls/*";
    for (policy, verdict) in [
        (policy(all, e, ""), (200, "ok")),
        (policy("http*://localhost/*", e, ""), (200, "ok")),
        (policy("http://localhost/vod/*", e, ""), (403, "not_covered")),
        (policy(all, now() - 1, ""), (410, "expired")),
        (policy(all, e, &ip("192.0.2.0/24")), (200, "ok")),
        (policy(all, e, &ip("192.0.3.0/24")), (403, "bad_address")),
        (policy(all, e, &after(now() - 5)), (200, "ok")),
        (policy(all, e, &after(now() + 30)), (403, "not_yet_valid")),
        (policy(all, e, &more("\"Other\":{}")), (403, "malformed")),
        (policy(all, e, "").replace("}]}", "},{}]}"), (403, "malformed")),
        ("{\"Statement\":[]}".to_owned(), (403, "malformed")),
    ] {
        let arguments = cloudfront(&policy, None)?;
        // A Resource without wildcards, as the client sends it.
        let sent = policy.replace("/hls/*", "/hls/a%2Bb%281%29");
        if verdict.1 == "ok" && sent != policy {
            let sent = cloudfront(&sent, None)?;
            let ask = nginx.request().target(format!("/hls/a%2Bb%281%29?{sent}"));
            let found = ask.header("X-Real", "192.0.2.7").send()?;
            assert_eq!(found.link_verdict(), verdict, "{policy}");
        }
        let ask = nginx.request().target(format!("/hls/a.ts?{arguments}"));
        let found = ask.header("X-Real", "192.0.2.7").send()?;
        assert_eq!(found.link_verdict(), verdict, "{policy}");
        let cookies: Vec<_> =
            arguments.split('&').map(|pair| format!("CloudFront-{pair}")).collect();
        // Twice: the second time the signature is remembered.
        for _ in 0..2 {
            let ask = nginx.request().target("/hls/a.ts").header("X-Real", "192.0.2.7");
            let found = ask.header("Cookie", cookies.join("; ")).send()?;
            assert_eq!(found.link_verdict(), verdict, "{policy}");
        }
    }
    nginx.finish()
}

#[test]
fn a_key_that_is_taken_away_verifies_nothing_that_is_remembered() -> Result<()> {
    let nginx = Nginx::builder()
        .file("keys.pem", RSA.public)
        .server(format!(
            "location / {{
                secure_token_format cloudfront;
                secure_token_keys keys.pem check=1ms;
                {SERVE}
            }}"
        ))
        .start()?;
    let link = cloudfront(&policy("*", now() + 60, ""), None)?;
    assert_eq!(nginx.get(format!("/a?{link}"))?.link_verdict(), (200, "ok"));
    assert_eq!(nginx.get(format!("/a?{link}"))?.link_verdict(), (200, "ok"));
    nginx.put("keys.pem", AWS)?;
    until("the new key", || {
        let verdict = nginx.get(format!("/a?{link}"))?;
        Ok((verdict.link_verdict() == (403, "bad_signature")).then_some(()))
    })?;
    nginx.put("keys.pem", RSA.public)?;
    until("the old key", || {
        Ok((nginx.get(format!("/a?{link}"))?.link_verdict() == (200, "ok")).then_some(()))
    })?;
    nginx.finish()
}

#[test]
fn a_named_algorithm_is_the_only_one() -> Result<()> {
    let nginx = start("secure_token_algorithm rsa-sha1;")?;
    let link = cloudfront(&policy("*", now() + 60, ""), None)?;
    assert_eq!(nginx.get(format!("/a?{link}"))?.link_verdict(), (403, "malformed"));
    nginx.finish()
}
