//! Examples that users paste unchanged from the documentation of Azion and Ant Media.

use anyhow::Result;
use module_tests::{Jwt, Nginx, RSA, SERVE, link_md5, now};

/// Azion's documentation, "Example of the configuration of JSON Args parameters". It has the
/// typographic quotes of a word processor.
const AZION_ARGS: &str = include_str!("../../seeds/azion-json-args.txt");
/// The secret of Azion's Secure Token documentation.
const AZION_SECRET: &str = "mysecretkey";
/// Ant Media's documentation, "Generate a JWT token".
const ANT_MEDIA_SECRET: &str = "zautXStXM9iW3aD3FuyPH0TdK4GHPmHq";
const ANT_MEDIA_TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
     eyJzdWIiOiJ0b2tlbiIsImlhdCI6MTUxNjIzOTAyMn0.OESIxgNsnD_JwByKTXcrw9Ov4GaOUZw66QxMfmudhKQ";
/// Ant Media's documentation, "Enable JWKS": two keys of 4096 bits.
const ANT_MEDIA_JWKS: &str = include_str!("../../seeds/antmedia-jwks.json");

#[test]
fn azions_json_args_with_typographic_quotes_are_refused_with_a_sentence_about_them() -> Result<()> {
    let checked = Nginx::builder()
        .server(format!("location / {{ jwt_kids_file azion.json; {SERVE} }}"))
        .file("azion.json", AZION_ARGS)
        .check()?;
    checked.refused_with(&[
        "jwt_kids_file",
        "azion.json",
        "line 2",
        "quote",
        "\u{201c}",
        "nginx.conf:",
    ])
}

#[test]
fn azions_json_args_work_once_the_quotes_are_straight() -> Result<()> {
    let straight = AZION_ARGS.replace(['\u{201c}', '\u{201d}'], "\"");
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwt_kids_file azion.json; {SERVE} }}"))
        .file("azion.json", straight)
        .start()?;
    let pairs = [
        ("4546D4AA7F62F01A833A7ABE354030E7", "D6CB2342E44EFB6DD628276F36DA2359"),
        ("D6CB2342E44EFB6DD628276F36DA2359", "60BD8ED7A768E8BD6925BEB0A691AADB"),
        ("60BD8ED7A768E8BD6925BEB0A691AADB", "4546D4AA7F62F01A833A7ABE354030E7"),
    ];
    for (kid, secret) in pairs {
        let token = Jwt::live().kid(kid).hs("HS256", secret)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "{kid}");
        let swapped = Jwt::live().kid(secret).hs("HS256", kid)?;
        assert_eq!(nginx.bearer("/", &swapped)?.verdict(), (401, "bad_signature"), "{kid}");
    }
    nginx.finish()
}

#[test]
fn azions_secure_token_takes_one_line() -> Result<()> {
    let nginx = Nginx::start(format!(
        "location /classes {{ secure_token_secret {AZION_SECRET}; {SERVE} }}
        location /my/ {{ secure_token_secret mysecret; {SERVE} }}"
    ))?;
    let e = now() + 3600;
    let st = link_md5(AZION_SECRET, "/classes/1.mp4", e);
    assert_eq!(nginx.get(format!("/classes/1.mp4?st={st}&e={e}"))?.status, 200);
    assert_eq!(nginx.get(format!("/classes/2.mp4?st={st}&e={e}"))?.status, 403);
    let past = link_md5(AZION_SECRET, "/classes/1.mp4", 1_600_000_000);
    assert_eq!(nginx.get(format!("/classes/1.mp4?st={past}&e=1600000000"))?.status, 410);
    // These links are from the README of the generators that Azion publishes.
    assert_eq!(nginx.get("/my/uri?st=m6WCATfRgS_5lcyChCPgrw&e=1470055000")?.status, 410);
    assert_eq!(nginx.get("/my/uri?st=m6WCATfRgS_5lcyChCPgrx&e=1470055000")?.status, 403);
    nginx.finish()
}

#[test]
fn ant_medias_token_comes_without_a_scheme() -> Result<()> {
    let nginx = Nginx::start(format!(
        "jwt_kids {{ antmedia {ANT_MEDIA_SECRET}; }}
        location /raw {{ jwt_token header:Authorization; {SERVE} }}
        location /bearer {{ {SERVE} }}"
    ))?;
    let ask = |path: &str, value: &str| {
        nginx.request().target(path).header("Authorization", value).send()
    };
    assert_eq!(ask("/raw", ANT_MEDIA_TOKEN)?.verdict(), (200, "ok"));
    assert_eq!(ask("/raw", &format!("Bearer {ANT_MEDIA_TOKEN}"))?.verdict(), (200, "ok"));
    assert_eq!(ask("/bearer", &format!("Bearer {ANT_MEDIA_TOKEN}"))?.verdict(), (200, "ok"));
    assert_eq!(ask("/bearer", ANT_MEDIA_TOKEN)?.verdict(), (401, "missing"));
    let wrong = ANT_MEDIA_TOKEN.replace("OESI", "OESJ");
    assert_eq!(ask("/raw", &wrong)?.verdict(), (401, "bad_signature"));
    nginx.assert_no_secret(&[ANT_MEDIA_SECRET, ANT_MEDIA_TOKEN, &wrong])?;
    nginx.finish()
}

#[test]
fn ant_medias_key_set_of_two_keys_of_4096_bits_loads() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file antmedia.json; {SERVE} }}"))
        .file("antmedia.json", ANT_MEDIA_JWKS)
        .start()?;
    for kid in ["c424b67b-fe28-45d7-b015-f79da50b5b21", "9b9d0b47-b9ed-4ba6-9180-52fc5b161a3a"] {
        let kid = format!("public:{kid}");
        let signature = |length| Jwt::live().kid(&kid).signed("RS256", |_| Ok(vec![1; length]));
        assert_eq!(nginx.bearer("/", &signature(512)?)?.verdict(), (401, "bad_signature"));
        assert_eq!(nginx.bearer("/", &signature(256)?)?.verdict(), (401, "bad_signature"));
        let other = Jwt::live().kid(&kid).sign("RS256", &RSA)?;
        assert_eq!(nginx.bearer("/", &other)?.verdict(), (401, "bad_signature"));
        let pss = Jwt::live().kid(&kid).sign("PS256", &RSA)?;
        assert_eq!(nginx.bearer("/", &pss)?.verdict(), (401, "bad_algorithm"));
    }
    let absent = Jwt::live().kid("public:nobody").sign("RS256", &RSA)?;
    assert_eq!(nginx.bearer("/", &absent)?.verdict(), (401, "unknown_key"));
    nginx.finish()
}
