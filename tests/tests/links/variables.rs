//! What variables show of a link.

use anyhow::Result;
use module_tests::{Nginx, link, now};

const SERVE: &str =
    "add_header X-Args \"[$secure_token_args]\"; add_header X-E \"[$secure_token_expires]\";
    add_header X-Hidden \"[$secure_token_time$secure_token_key]\"; try_files /ok.txt =404;";

#[test]
fn the_query_is_shown_without_the_link() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{ secure_token_secret mysecret; {SERVE} }}
        location /named/ {{ secure_token_secret mysecret; secure_token_args s t; {SERVE} }}
        location /open/ {{ {SERVE} }}"
    ))?;
    let e = now() + 60;
    let signed = link("mysecret", "/a", e);
    let shown = |target: &str| -> Result<String> {
        let answer = nginx.get(target)?;
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(answer.header("X-Hidden"), Some("[]"), "{target}");
        Ok(answer.header("X-Args").unwrap_or_default().to_owned())
    };
    assert_eq!(shown(&signed)?, "[]");
    assert_eq!(shown(&format!("{signed}&a=1&b"))?, "[a=1&b]");
    assert_eq!(shown(&signed.replace('?', "?a=%20&"))?, "[a=%20]");
    assert_eq!(shown("/open/?st=1&e=2")?, "[st=1&e=2]");
    let named = link("mysecret", "/named/", e).replace("st=", "s=").replace("&e=", "&t=");
    assert_eq!(shown(&format!("{named}&st=1"))?, "[st=1]");
    assert_eq!(nginx.get(&signed)?.header("X-E"), Some(&*format!("[{e}]")));
    nginx.finish()
}

#[test]
fn the_secret_is_shown_to_the_text_that_is_hashed_only() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location / {{
            secure_token_secret mysecret;
            secure_token_hash md5 \"$secure_token_expires $secure_token_key\";
            {SERVE}
        }}"
    ))?;
    let e = now() + 60;
    let sig = module_tests::base64url(module_tests::md5(format!("{e} mysecret")));
    let answer = nginx.get(format!("/?st={sig}&e={e}"))?;
    assert_eq!((answer.status, answer.header("X-Hidden")), (200, Some("[]")));
    nginx.assert_no_secret(&["mysecret"])?;
    nginx.finish()
}

#[test]
fn no_variable_shows_a_control_character_of_a_link() -> Result<()> {
    let nginx = Nginx::builder()
        .file("rsa.pem", module_tests::RSA.public)
        .server(format!(
            "location /google/ {{
                secure_token_format google; secure_token_secret {}; add_header X-Id \"$secure_token_id$secure_token_acl\" always; {SERVE}
            }}
            location /cloudfront/ {{
                secure_token_format cloudfront; secure_token_keys rsa.pem; add_header X-Acl $secure_token_acl always; {SERVE}
            }}",
            super::made::GOOGLE.0
        ))
        .start()?;
    let e = now() + 60;
    let fields = format!("PathGlobs=/*~Expires={e}~SessionID=u\r\nX-Evil: 1");
    let mac = module_tests::hmac("HS256", &super::made::GOOGLE.1, fields.as_bytes())?;
    let token = format!("{fields}~hmac={}", module_tests::hex(mac));
    let encoded = token.replace('\r', "%0d").replace('\n', "%0a").replace(' ', "%20");
    let prefix = super::made::google_prefix("http://localhost/google/\r\nX-Evil: 1", e)?;
    let policy = super::made::policy("*\\r\\nX-Evil: 1", e, "");
    for target in [
        format!("/google/?edge-cache-token={encoded}"),
        format!("/google/?{prefix}"),
        format!("/cloudfront/?{}", super::made::cloudfront(&policy, None)?),
    ] {
        let answer = nginx.get(&target)?;
        assert_eq!((answer.status, answer.header("X-Evil")), (403, None), "{target}");
    }
    nginx.finish()
}
