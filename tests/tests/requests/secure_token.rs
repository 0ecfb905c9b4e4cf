//! Signed links: Azion's form, the HMAC form, and many ways to change or forge a link.

use anyhow::Result;
use module_tests::{Nginx, SERVE, link, link_hmac, link_md5, now};

const SECRET: &str = "mysecretkey-mysecretkey-mysecretkey";
const NEWER: &str = "a-newer-secret-a-newer-secret-a-newer";

fn start(directives: &str) -> Result<Nginx> {
    Nginx::start(format!("location / {{ secure_token_secret {SECRET}; {directives} {SERVE} }}"))
}

#[test]
fn azions_published_link_is_right_and_long_expired() -> Result<()> {
    let nginx = Nginx::start(format!("location / {{ secure_token_secret mysecret; {SERVE} }}"))?;
    let st = "m6WCATfRgS_5lcyChCPgrw";
    assert_eq!(
        nginx.get(format!("/my/uri?st={st}&e=1470055000"))?.link_verdict(),
        (410, "expired")
    );
    // A change of any single byte makes the link invalid.
    for changed in ["n6WCATfRgS_5lcyChCPgrw", "m6WCATfRgS-5lcyChCPgrw", "m6WCATfRgS_5lcyChCPgrA"] {
        let response = nginx.get(format!("/my/uri?st={changed}&e=1470055000"))?;
        assert_eq!(response.link_verdict(), (403, "bad_signature"), "{changed}");
    }
    assert_eq!(
        nginx.get(format!("/my/urj?st={st}&e=1470055000"))?.link_verdict(),
        (403, "bad_signature")
    );
    assert_eq!(
        nginx.get(format!("/my/uri?st={st}&e=1470055001"))?.link_verdict(),
        (403, "bad_signature")
    );
    assert_eq!(
        nginx.get(format!("/my/uri?st={st}&e=4102444800"))?.link_verdict(),
        (403, "bad_signature")
    );
    nginx.finish()
}

#[test]
fn secrets_rotate_and_either_form_may_use_any() -> Result<()> {
    let nginx =
        Nginx::start(format!("location / {{ secure_token_secret {NEWER} {SECRET}; {SERVE} }}"))?;
    let e = now() + 300;
    for secret in [NEWER, SECRET] {
        assert_eq!(nginx.get(link(secret, "/a", e))?.link_verdict(), (200, "ok"));
        let hmac = link_hmac(secret, "/a", e)?;
        assert_eq!(nginx.get(format!("/a?st={hmac}&e={e}"))?.link_verdict(), (200, "ok"));
    }
    assert_eq!(nginx.get(link("neither-of-them", "/a", e))?.link_verdict(), (403, "bad_signature"));
    nginx.assert_no_secret(&[NEWER, SECRET])?;
    nginx.finish()
}

#[test]
fn a_named_algorithm_is_the_only_one() -> Result<()> {
    let nginx = Nginx::start(format!(
        "secure_token_secret {SECRET};
        location /md5 {{ secure_token_algorithm md5; {SERVE} }}
        location /hmac {{ secure_token_algorithm hmac-sha256; {SERVE} }}
        location /both {{ secure_token_algorithm hmac-sha256 md5; {SERVE} }}
        location /default {{ {SERVE} }}"
    ))?;
    let e = now() + 300;
    for (path, md5, hmac) in
        [("/md5", 200, 403), ("/hmac", 403, 200), ("/both", 200, 200), ("/default", 200, 200)]
    {
        assert_eq!(nginx.get(link(SECRET, path, e))?.status, md5, "{path}");
        assert_eq!(
            nginx.get(format!("{path}?st={}&e={e}", link_hmac(SECRET, path, e)?))?.status,
            hmac,
            "{path}"
        );
    }
    nginx.finish()
}

#[test]
fn the_two_forms_cannot_be_confused() -> Result<()> {
    let nginx = start("")?;
    let e = now() + 300;
    let md5 = link_md5(SECRET, "/a", e);
    let hmac = link_hmac(SECRET, "/a", e)?;
    // An MD5 signature with the separator of the HMAC form, and an HMAC without it.
    let md5_with_newline = link_md5(SECRET, "/a\n", e);
    let hmac_without = module_tests::base64url(module_tests::hmac(
        "HS256",
        SECRET.as_bytes(),
        format!("/a{e}").as_bytes(),
    )?);
    let truncated: String = hmac.chars().take(22).collect();
    for st in [
        md5_with_newline,
        hmac_without,
        truncated,
        format!("{md5}{}", &hmac[22..]),
        format!("{md5}{md5}"),
    ] {
        assert_eq!(nginx.get(format!("/a?st={st}&e={e}"))?.status, 403, "{st}");
    }
    nginx.finish()
}

#[test]
fn arguments_may_have_other_names() -> Result<()> {
    let nginx = start("secure_token_args sig until;")?;
    let e = now() + 300;
    let st = link_md5(SECRET, "/a", e);
    assert_eq!(nginx.get(format!("/a?sig={st}&until={e}"))?.link_verdict(), (200, "ok"));
    assert_eq!(nginx.get(format!("/a?st={st}&e={e}"))?.link_verdict(), (403, "missing"));
    nginx.finish()
}

#[test]
fn what_is_signed_may_be_an_expression_of_variables() -> Result<()> {
    let nginx = start("secure_token_value \"$uri|$http_x_client|$arg_user\";")?;
    let e = now() + 300;
    let st = link_md5(SECRET, "/a|10.0.0.1|bob", e);
    let ask = |client: &str, user: &str| {
        let target = format!("/a?user={user}&st={st}&e={e}");
        nginx.request().target(target).header("X-Client", client).send()
    };
    assert_eq!(ask("10.0.0.1", "bob")?.link_verdict(), (200, "ok"));
    assert_eq!(ask("10.0.0.2", "bob")?.link_verdict(), (403, "bad_signature"));
    assert_eq!(ask("10.0.0.1", "eve")?.link_verdict(), (403, "bad_signature"));
    nginx.finish()
}

#[test]
fn digits_cannot_move_between_the_path_and_the_expiry() -> Result<()> {
    let nginx = start("")?;
    let honest = now() + 300;
    let st = link_md5(SECRET, "/video/12", honest);
    assert_eq!(nginx.get(format!("/video/12?st={st}&e={honest}"))?.status, 200);
    assert_eq!(
        nginx.get(format!("/video/1?st={st}&e=2{honest}"))?.link_verdict(),
        (403, "malformed")
    );
    assert_eq!(
        nginx.get(format!("/video/?st={st}&e=12{honest}"))?.link_verdict(),
        (403, "malformed")
    );
    let digits = honest.to_string();
    let (first, rest) = digits.split_at(1);
    assert_eq!(
        nginx.get(format!("/video/12{first}?st={st}&e={rest}"))?.link_verdict(),
        (403, "malformed")
    );
    // The worst case: a digit of the path makes an expired link valid again.
    let past = link_md5(SECRET, "/video/9", 1_000_000_000);
    assert_eq!(
        nginx.get(format!("/video/?st={past}&e=91000000000"))?.link_verdict(),
        (403, "malformed")
    );
    nginx.finish()
}

#[test]
fn an_expiry_is_ten_digits_and_the_first_is_not_zero() -> Result<()> {
    let nginx = start("")?;
    let bad = [
        "0",
        "1",
        "999999999",
        "0999999999",
        "0000000001",
        "00000000000",
        "10000000000",
        "99999999999999999999",
        "999999999999999999999999999999",
        "+999999999",
        "-999999999",
        "+1999999999",
        "-1999999999",
        "1e99999999",
        "0x7fffffff",
        "199999999a",
        "a999999999",
        "1999999.99",
        "1999999999.0",
        "1999999999%20",
        "%201999999999",
        "1999999999+",
        "+1999999999",
        "%31999999999",
        "1,999,999,999",
        "\u{661}999999999",
        "1999999999%00",
        "NaN",
        "inf",
        "null",
    ];
    for e in bad {
        // The signature is over the text as it is sent, or over a valid expiry.
        for signed in [e.to_owned(), "1999999999".to_owned()] {
            let st = link_md5(SECRET, "/a", signed);
            assert_eq!(
                nginx.get(format!("/a?st={st}&e={e}"))?.link_verdict(),
                (403, "malformed"),
                "{e}"
            );
        }
    }
    for (e, verdict) in
        [("9999999999", (200, "ok")), ("4102444800", (200, "ok")), ("1000000000", (410, "expired"))]
    {
        assert_eq!(nginx.get(link(SECRET, "/a", e))?.link_verdict(), verdict, "{e}");
    }
    nginx.finish()
}

#[test]
fn an_argument_given_twice_is_refused() -> Result<()> {
    let nginx = start("")?;
    let e = now() + 300;
    let st = link_md5(SECRET, "/a", e);
    let other = link_md5(SECRET, "/b", e);
    for query in [
        format!("st={st}&st={st}&e={e}"),
        format!("st={st}&st={other}&e={e}"),
        format!("st={other}&st={st}&e={e}"),
        format!("st={st}&e={e}&e={e}"),
        format!("st={st}&e={e}&e=9999999999"),
        format!("e=9999999999&st={st}&e={e}"),
        format!("st={st}&e={e}&st="),
        format!("st=&st={st}&e={e}"),
        format!("st={st}&e={e}&e="),
        format!("st={st}&e={e}&a=1&st={st}"),
    ] {
        assert_eq!(nginx.get(format!("/a?{query}"))?.link_verdict(), (403, "malformed"), "{query}");
    }
    nginx.finish()
}

#[test]
fn an_empty_argument_is_refused() -> Result<()> {
    let nginx = start("")?;
    let e = now() + 300;
    let st = link_md5(SECRET, "/a", e);
    let empty = link_md5(SECRET, "/a", "");
    for query in [
        format!("st=&e={e}"),
        format!("st={st}&e="),
        "st=&e=".to_owned(),
        format!("st={empty}&e="),
        format!("st&e={e}"),
        format!("st={st}&e"),
        "st&e".to_owned(),
    ] {
        let response = nginx.get(format!("/a?{query}"))?;
        let verdict = response.link_verdict();
        assert!(
            verdict.0 == 403 && ["missing", "malformed"].contains(&verdict.1),
            "{query}: {verdict:?}"
        );
    }
    nginx.finish()
}

#[test]
fn other_arguments_and_any_order_change_nothing() -> Result<()> {
    let nginx = start("")?;
    let e = now() + 300;
    let st = link_md5(SECRET, "/a", e);
    for query in [
        format!("e={e}&st={st}"),
        format!("a=1&st={st}&b=2&e={e}&c"),
        format!("&&st={st}&&e={e}&&"),
        format!("xst=1&st1=2&st={st}&e={e}&ee=3"),
    ] {
        assert_eq!(nginx.get(format!("/a?{query}"))?.link_verdict(), (200, "ok"), "{query}");
    }
    nginx.finish()
}

#[test]
fn a_signature_of_another_form_is_refused() -> Result<()> {
    let nginx = start("")?;
    let e = now() + 300;
    let st = link_md5(SECRET, "/a", e);
    let standard = st.replace('-', "+").replace('_', "/");
    let mut bad = vec![
        format!("{st}="),
        format!("{st}=="),
        format!("{st}%3D%3D"),
        format!("%20{st}"),
        format!("{st}%00"),
        st[..21].to_owned(),
        format!("{st}A"),
        st.replace(|_| true, "A"),
    ];
    // Base64's standard alphabet is a case only if this signature differs in it.
    bad.extend((standard != st).then_some(standard));
    bad.extend((st.to_uppercase() != st).then(|| st.to_uppercase()));
    for st in bad {
        assert_eq!(nginx.get(format!("/a?st={st}&e={e}"))?.status, 403, "{st}");
    }
    nginx.finish()
}

#[test]
fn the_path_is_signed_as_nginx_serves_it() -> Result<()> {
    let nginx = start("")?;
    let e = now() + 300;
    let asked = |signed: &str, target: &str| {
        nginx.get(format!("{target}?st={}&e={e}", link_md5(SECRET, signed, e)))
    };
    for (signed, target) in [
        ("/a b", "/a%20b"),
        ("/a/b", "/a%2fb"),
        ("/a/b", "/x/../a/./b"),
        ("/a/b", "//a//b"),
        ("/\u{e9}", "/%c3%a9"),
        ("/a?b", "/a%3fb"),
    ] {
        assert_eq!(asked(signed, target)?.link_verdict(), (200, "ok"), "{target}");
    }
    for (signed, target) in
        [("/a%20b", "/a%20b"), ("/a", "/a/"), ("/a", "/a/b"), ("/a", "/A"), ("/a/../b", "/a/../b")]
    {
        assert_eq!(asked(signed, target)?.link_verdict(), (403, "bad_signature"), "{target}");
    }
    // nginx itself refuses a NUL in a path.
    assert_eq!(asked("/a\0", "/a%00")?.status, 400);
    nginx.finish()
}

#[test]
fn a_length_extension_of_md5_is_refused() -> Result<()> {
    // An attacker without the secret can extend MD5(secret + uri + e) at its end. The extension is
    // then part of `e`, which must be exactly ten digits; the path comes before `e`.
    let nginx = start("")?;
    let e = now() + 300;
    let st = link_md5(SECRET, "/a", e);
    for suffix in ["%80", "%80%00%00%00", "%80%00%00%00%00%00%00%00/b"] {
        let response = nginx.get(format!("/a?st={st}&e={e}{suffix}"))?;
        assert_eq!(response.link_verdict(), (403, "malformed"), "{suffix}");
    }
    nginx.finish()
}

#[test]
fn the_switch_turns_the_check_off_and_on() -> Result<()> {
    let nginx = Nginx::start(format!(
        "secure_token_secret {SECRET};
        location /on {{ secure_token on; {SERVE} }}
        location /off {{ secure_token off; {SERVE} }}
        location /default {{ {SERVE} }}"
    ))?;
    assert_eq!(nginx.get("/on")?.link_verdict(), (403, "missing"));
    assert_eq!(nginx.get("/default")?.link_verdict(), (403, "missing"));
    assert_eq!(nginx.get("/off?st=x&e=y")?.link_verdict(), (200, "off"));
    nginx.finish()
}

#[test]
fn the_expiry_is_a_variable() -> Result<()> {
    let nginx = start("")?;
    let e = now() + 300;
    let response = nginx.get(link(SECRET, "/a", e))?;
    assert_eq!(response.header("X-Link-Expires"), Some(e.to_string().as_str()));
    // Unverified content is never shown.
    let response =
        nginx.get(format!("/a?st={}&e=1999999999", link_md5("wrong", "/a", 1_999_999_999)))?;
    assert_eq!((response.status, response.header("X-Link-Expires")), (403, None));
    nginx.finish()
}
