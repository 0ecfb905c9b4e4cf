//! Tokens, and what is said of those that are refused.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use module_tests::{
    Checked, Jwt, Nginx, OTHER_SECRET, P256, P256_OTHER, RSA, RSA_OTHER, SECRET, SERVE, hmac,
    jwk_set, nginx_t, now, raw_token, signature,
};
use serde_json::{Value, json};

/// What the answers of these tests show.
const SHOWN: &str =
    "add_header X-Jwt-Status $jwt_status always; add_header X-Sub $jwt_claim_sub always;
     add_header X-Reason $jwt_reason always; add_header X-Provider $jwt_provider always;";

/// A token by the secret of `k1`, of exactly these texts.
fn by_hand(header: &str, payload: &str) -> Result<String> {
    raw_token(header, payload, |input| hmac("HS256", SECRET.as_bytes(), input))
}

/// A location with the secret `k1` and these directives, which sends the reason back.
fn location(directives: &str) -> String {
    format!(
        "location / {{ jwt_kids {{ k1 {SECRET}; }} {directives} \
         {SHOWN} {SERVE} }}"
    )
}

#[test]
fn laravel_mediawiki_and_flask_write_the_subject_as_a_number() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{ jwt_kids {{ k1 {SECRET}; }} {SHOWN} {SERVE} }}
             location /two {{ jwt_kids {{ k1 {SECRET}; }} jwt_claim sub = 2; {SERVE} }}
             location /list {{ jwt_kids {{ k1 {SECRET}; }} jwt_revoked sub list; {SERVE} }}"
        ))
        .file("list", "3\n")
        .start()?;
    let token = |sub: Value| Jwt::live_with(&json!({ "sub": sub })).kid("k1").hs("HS256", SECRET);
    let response = nginx.bearer("/", &token(json!(2))?)?;
    assert_eq!((response.verdict(), response.header("X-Sub")), ((200, "ok"), Some("2")));
    assert_eq!(nginx.bearer("/two", &token(json!(2))?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/two", &token(json!(3))?)?.verdict(), (403, "denied"));
    assert_eq!(nginx.bearer("/list", &token(json!(2))?)?.verdict(), (200, "ok"));
    assert_eq!(nginx.bearer("/list", &token(json!(3))?)?.verdict(), (401, "revoked"));
    nginx.finish()
}

#[test]
fn serialisers_write_null_and_empty_strings_for_what_is_absent() -> Result<()> {
    let nginx = Nginx::start(location(""))?;
    for (header, payload) in [
        (r#"{"alg":"HS256","kid":null,"typ":null}"#, r#"{"sub":"a"}"#),
        (r#"{"alg":"HS256","kid":"","typ":"","x5t":null,"x5t#S256":""}"#, r#"{"sub":"a"}"#),
        (
            r#"{"alg":"HS256","kid":"k1"}"#,
            r#"{"iss":null,"aud":null,"sub":null,"jti":null,"nbf":null,"iat":null}"#,
        ),
        (r#"{"alg":"HS256","kid":"k1"}"#, r#"{"iss":"","aud":"","sub":"","jti":""}"#),
    ] {
        let token = by_hand(header, payload)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"), "{header} {payload}");
    }
    let never = by_hand(r#"{"alg":"HS256","kid":"k1"}"#, r#"{"exp":null}"#)?;
    assert_eq!(nginx.bearer("/", &never)?.verdict(), (401, "malformed"));
    nginx.finish()?;
    // Absent is never the right value of a claim that is asked for.
    let nginx = Nginx::start(location("jwt_issuer me; jwt_audience \"\" api; jwt_typ at+jwt;"))?;
    for (header, payload, word) in [
        (r#"{"alg":"HS256","typ":null}"#, r#"{"iss":"me","aud":"api"}"#, "bad_type"),
        (r#"{"alg":"HS256","typ":"at+jwt"}"#, r#"{"iss":null,"aud":"api"}"#, "bad_issuer"),
        (r#"{"alg":"HS256","typ":"at+jwt"}"#, r#"{"iss":"me","aud":""}"#, "bad_audience"),
        (r#"{"alg":"HS256","typ":"at+jwt"}"#, r#"{"iss":"me","aud":null}"#, "bad_audience"),
        (r#"{"alg":"HS256","typ":"at+jwt"}"#, r#"{"iss":"me","aud":"api"}"#, "ok"),
    ] {
        let status = if word == "ok" { 200 } else { 401 };
        let token = by_hand(header, payload)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (status, word), "{header} {payload}");
    }
    nginx.finish()
}

#[test]
fn a_kid_that_is_a_number_counts_as_its_text() -> Result<()> {
    let set =
        json!({ "keys": [RSA.jwk(&json!({ "kid": 7 }))?, P256.jwk(&json!({ "kid": "8" }))?] });
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file set.json; {SERVE} }}"))
        .file("set.json", set.to_string())
        .start()?;
    for (kid, verdict) in
        [(json!(7), (200, "ok")), (json!("7"), (200, "ok")), (json!(70), (401, "unknown_key"))]
    {
        let token = Jwt::live().header("kid", kid.clone()).sign("RS256", &RSA)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), verdict, "{kid}");
    }
    let token = Jwt::live().header("kid", json!(8)).sign("ES256", &P256)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    nginx.finish()
}

/// A thumbprint of a certificate that does not exist.
fn thumbprint(of: u8) -> String {
    module_tests::base64url([of; 20])
}

#[test]
fn adfs_names_the_key_by_its_certificate_and_not_by_a_kid() -> Result<()> {
    let keys = [&RSA_OTHER, &P256_OTHER, &P256, &RSA];
    let set: Vec<Value> = keys
        .iter()
        .zip(1..)
        .map(|(key, of)| key.jwk(&json!({ "kid": format!("k{of}"), "x5t": thumbprint(of) })))
        .collect::<Result<_>>()?;
    // Five RSA keys before the right one: without x5t only two would be tried.
    let decoys =
        (0..4).map(|of| RSA_OTHER.jwk(&json!({ "kid": format!("d{of}"), "n": decoy(of) })));
    let set = decoys.chain(set.into_iter().map(Ok)).collect::<Result<Vec<_>>>()?;
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file set.json; {SHOWN} {SERVE} }}"))
        .file("set.json", jwk_set(&set))
        .start()?;
    let token = |x5t: &str| Jwt::live().header("x5t", json!(x5t)).sign("RS256", &RSA);
    assert_eq!(nginx.bearer("/", &token(&thumbprint(4))?)?.verdict(), (200, "ok"));
    // The thumbprint of another key: it chooses that key, which has not signed.
    assert_eq!(nginx.bearer("/", &token(&thumbprint(1))?)?.verdict(), (401, "bad_signature"));
    let unknown = nginx.bearer("/", &token(&thumbprint(9))?)?;
    assert_eq!(unknown.verdict(), (401, "unknown_key"));
    assert_eq!(unknown.header("X-Reason"), Some("unknown_key: no key has the token's x5t"));
    // A kid counts more.
    let both = Jwt::live().kid("k4").header("x5t", json!(thumbprint(1))).sign("RS256", &RSA)?;
    assert_eq!(nginx.bearer("/", &both)?.verdict(), (200, "ok"));
    nginx.finish()
}

/// The modulus of an RSA key that nobody has.
fn decoy(of: u8) -> String {
    let mut modulus = [0xc5; 256];
    modulus[1] = of;
    module_tests::base64url(modulus)
}

#[test]
fn without_kid_and_thumbprint_two_of_a_sets_keys_are_tried_and_the_log_says_so() -> Result<()> {
    let decoys =
        (0..4).map(|of| RSA_OTHER.jwk(&json!({ "kid": format!("d{of}"), "n": decoy(of) })));
    let set = decoys.chain([RSA.jwk(&json!({ "kid": "right" }))]).collect::<Result<Vec<_>>>()?;
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file set.json; {SERVE} }}"))
        .file("set.json", jwk_set(&set))
        .start()?;
    let token = Jwt::live().sign("RS256", &RSA)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "bad_signature"));
    let lines = nginx.refusals();
    assert!(lines[0].contains("jwt refused: bad_signature: 2 of 5 keys tried, "), "{lines:?}");
    nginx.finish()
}

#[test]
fn haproxy_users_name_their_keys_file_by_file_and_each_verifies() -> Result<()> {
    // Two RSA keys before the right one, of which nobody has the private half.
    let decoy = |of| RSA_OTHER.jwk(&json!({ "n": decoy(of) }));
    let nginx = Nginx::builder()
        .server(format!(
            "location / {{
                 jwks_file a.json; jwks_file b.json; jwks_file c.pem; jwks_file d.pem;
                 jwks_file e.pem; jwks_file f.pem; {SERVE}
             }}"
        ))
        .file("a.json", decoy(1)?.to_string())
        .file("b.json", decoy(2)?.to_string())
        .file("c.pem", RSA_OTHER.public)
        .file("d.pem", P256_OTHER.public)
        .file("e.pem", RSA.public)
        .file("f.pem", P256.public)
        .start()?;
    for (alg, key) in
        [("RS256", &RSA_OTHER), ("ES256", &P256_OTHER), ("PS512", &RSA), ("ES256", &P256)]
    {
        for token in [Jwt::live(), Jwt::live().kid("unheard-of")] {
            assert_eq!(nginx.bearer("/", &token.sign(alg, key)?)?.verdict(), (200, "ok"), "{alg}");
        }
    }
    nginx.finish()
}

#[test]
fn a_ninth_key_without_a_name_would_verify_nothing_and_is_refused() -> Result<()> {
    let check = |count: u8| -> Result<Checked> {
        let mut builder = Nginx::builder();
        let mut files = String::new();
        for of in 0..count {
            let key = RSA_OTHER.jwk(&json!({ "n": decoy(of) }))?;
            files.push_str(&format!("jwks_file {of}.json; "));
            builder = builder.file(format!("{of}.json"), key.to_string());
        }
        builder.server(format!("location / {{ {files} {SERVE} }}")).check()
    };
    check(8)?.accepted()?;
    check(9)?.refused_with(&["jwks_file", "more than 8 keys without a kid for RS256", "kid=NAME"])
}

#[test]
fn aws_load_balancers_pad_the_sections_of_their_tokens() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "jwks_file key.pem kid=alb;
             location / {{ {SHOWN} {SERVE} }}
             location /padded {{ jwt_padding on; {SERVE} }}"
        ))
        .file("key.pem", P256.public)
        .start()?;
    let padded = |header: &str, payload: &str| -> Result<String> {
        let input = format!("{}.{}", URL_SAFE.encode(header), URL_SAFE.encode(payload));
        Ok(format!("{input}.{}", URL_SAFE.encode(signature("ES256", &P256, input.as_bytes())?)))
    };
    let payload = format!(r#"{{"sub":"a","exp":{}}}"#, now() + 60);
    // Sections of every length, with no, one and two `=`.
    for more in ["", "1", "22", "333"] {
        let header = format!(r#"{{"typ":"JWT","kid":"alb","alg":"ES256","x":"{more}"}}"#);
        let token = padded(&header, &payload)?;
        assert_eq!(nginx.bearer("/padded", &token)?.verdict(), (200, "ok"), "{more}");
        let refused = nginx.bearer("/", &token)?;
        assert_eq!(refused.verdict(), (401, "malformed"), "{more}");
        let reason = refused.header("X-Reason").unwrap_or_default();
        assert!(reason.starts_with("malformed: the section is padded"), "{reason}");
        // A token without padding passes, too; one that was changed does not.
        let plain = Jwt::live().kid("alb").sign("ES256", &P256)?;
        assert_eq!(nginx.bearer("/padded", &plain)?.verdict(), (200, "ok"));
        for wrong in [
            token.replacen('.', "=.", 1),
            token.replacen('.', "==.", 1),
            format!("{token}="),
            token.replace('=', ""),
            token.replacen('=', "%3d", 1),
        ] {
            if wrong != token {
                assert_eq!(nginx.bearer("/padded", &wrong)?.status, 401, "{wrong}");
            }
        }
    }
    nginx.finish()
}

#[test]
fn entra_has_an_issuer_for_each_tenant() -> Result<()> {
    let nginx = Nginx::builder()
        .http(format!(
            r"jwt_provider entra {{
                 jwt_issuer '~^https://login\.example\.com/[0-9a-f-]{{36}}/v2\.0$';
                 jwks_file rsa.pem;
             }}
             jwt_provider other {{ jwt_issuer https://other.example/; jwt_kids {{ k1 {SECRET}; }} }}
             jwt_provider home {{
                 jwt_issuer https://login.example.com/00000000-0000-0000-0000-000000000000/v2.0;
                 jwt_kids {{ k1 {OTHER_SECRET}; }}
             }}"
        ))
        .server(format!(
            "location / {{
                 jwt on provider=entra provider=other provider=home;
                 {SHOWN} {SERVE}
             }}"
        ))
        .file("rsa.pem", RSA.public)
        .start()?;
    let at = |tenant: &str| format!("https://login.example.com/{tenant}/v2.0");
    let tenant = at("11111111-2222-3333-4444-555555555555");
    let token = |iss: &str| Jwt::live_with(&json!({ "iss": iss }));
    let good = nginx.bearer("/", &token(&tenant).sign("RS256", &RSA)?)?;
    assert_eq!((good.verdict(), good.header("X-Provider")), ((200, "ok"), Some("entra")));
    let other = token("https://other.example/").kid("k1").hs("HS256", SECRET)?;
    assert_eq!(nginx.bearer("/", &other)?.header("X-Provider"), Some("other"));
    // The exact name counts more than the pattern.
    let home = at("00000000-0000-0000-0000-000000000000");
    let good = nginx.bearer("/", &token(&home).kid("k1").hs("HS256", OTHER_SECRET)?)?;
    assert_eq!(good.header("X-Provider"), Some("home"));
    let forged = token(&home).kid("k1").sign("RS256", &RSA)?;
    assert_ne!(nginx.bearer("/", &forged)?.status, 200);
    for bad in [
        "https://login.example.com/x/v2.0".to_owned(),
        format!("https://evil.example/{tenant}"),
        format!("{tenant}/"),
        tenant.replace('.', "x"),
    ] {
        let token = token(&bad).sign("RS256", &RSA)?;
        assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "bad_issuer"), "{bad}");
    }
    nginx.finish()
}

#[test]
fn an_issuer_that_rests_on_a_variable_or_is_open_at_an_end_is_warned_about() -> Result<()> {
    let with = |issuer: &str| nginx_t(location(&format!("jwt_issuer {issuer};")));
    with("https://login.example/$jwt_claim_tid/v2.0")?
        .warned_with(&["jwt_issuer", "variables have no meaning"])?;
    with("~^https://login\\.example/")?
        .warned_with(&["not tied to both ends", "longer issuers"])?;
    with("~https://login\\.example/$")?.warned_with(&["longer issuers"])?;
    with("'~^https://login\\.example/[a-z]+$'")?.accepted()?;
    with("'~('")?.refused_with(&["jwt_issuer", "pattern \"(\""])
}

#[test]
fn what_is_refused_is_said_in_a_sentence() -> Result<()> {
    let nginx = Nginx::start(location(
        "jwt_issuer https://me.example; jwt_audience api; jwt_typ at+jwt; jwt_max_lifetime 1h;
         jwt_algorithms HS256 RS256;",
    ))?;
    let header = r#"{"alg":"HS256","kid":"k1","typ":"at+jwt"}"#;
    let at = now();
    let good = json!({ "iss": "https://me.example", "aud": "api", "exp": at + 60, "iat": at });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims.to_string()
    };
    let good = good.to_string();
    let long = "x".repeat(200);
    let mut cases = vec![
        (
            by_hand(header, &with("iss", json!("https://x/")))?,
            r#"bad_issuer: "https://x/" is not accepted"#.to_owned(),
        ),
        (by_hand(header, &with("iss", Value::Null))?, "bad_issuer: iss is missing".to_owned()),
        (
            by_hand(header, &with("iss", json!(long)))?,
            format!("bad_issuer: \"{}...\" is not accepted", "x".repeat(159)),
        ),
        (
            by_hand(header, &with("iss", json!("a\r\nb\u{202e}")))?,
            "bad_issuer: \"a\\r\\nb\\u{202e}\" is not accepted".to_owned(),
        ),
        (
            by_hand(header, &with("aud", json!(["x", "y"])))?,
            r#"bad_audience: ["x","y"] is not accepted"#.to_owned(),
        ),
        (by_hand(header, &with("aud", json!(7)))?, "malformed: aud is a number".to_owned()),
        (
            by_hand(header, &with("exp", json!("tomorrow")))?,
            "malformed: exp is a string".to_owned(),
        ),
        (
            by_hand(header, &with("exp", json!(at + 7200)))?,
            "bad_lifetime: exp is 7200s after iat; 3600s are accepted".to_owned(),
        ),
        (
            by_hand(&header.replace("at+jwt", "JWT"), &good)?,
            r#"bad_type: "JWT" is not accepted"#.to_owned(),
        ),
        (
            by_hand(&header.replace("HS256", "HS512"), &good)?,
            "bad_algorithm: HS512 is not among the accepted algorithms".to_owned(),
        ),
        (
            by_hand(&header.replace("HS256", "RS256"), &good)?,
            "bad_algorithm: the token's key is not for RS256".to_owned(),
        ),
        (
            by_hand(&header.replace("HS256", "none"), &good)?,
            "bad_algorithm: alg is no algorithm known here".to_owned(),
        ),
        (
            by_hand(&header.replace("k1", "k2"), &good)?,
            "unknown_key: no key has the token's kid".to_owned(),
        ),
        (by_hand(&header.replace("\"k1\"", "[]"), &good)?, "malformed: kid is an array".to_owned()),
        (by_hand(header, "[]")?, "malformed: the payload is no JSON object".to_owned()),
        ("a.b".to_owned(), "malformed: 2 sections, where a signed token has 3".to_owned()),
        ("a.b.c.d.e".to_owned(), "malformed: 5 sections, an encrypted token".to_owned()),
        ("e30.e30.".to_owned(), "malformed: the signature is empty, an unsecured token".to_owned()),
    ];
    // Before the signature has held nothing of the claims is said.
    let forged = by_hand(header, &with("iss", json!("https://x/")))?;
    let (signed, _) = forged.rsplit_once('.').unwrap_or_default();
    cases.push((format!("{signed}.AAAA"), "bad_signature".to_owned()));
    for (token, reason) in cases {
        let before = nginx.refusals().len();
        let response = nginx.bearer("/", &token)?;
        assert_eq!(response.header("X-Reason"), Some(&*reason), "{token}");
        let lines = nginx.refusals();
        assert!(lines[before].contains(&format!("jwt refused: {reason}")), "{lines:?}");
        assert_eq!(response.status, 401);
    }
    let passed = nginx.bearer("/", &by_hand(header, &good)?)?;
    assert_eq!((passed.verdict(), passed.header("X-Reason")), ((200, "ok"), None));
    nginx.finish()
}

#[test]
fn microsoft_graph_signs_a_nonce_that_others_cannot_verify() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!("location / {{ jwks_file rsa.pem; {SERVE} }}"))
        .file("rsa.pem", RSA.public)
        .start()?;
    let token = Jwt::live().header("nonce", json!("a-nonce-of-graph")).sign("RS256", &RSA_OTHER)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (401, "bad_signature"));
    let lines = nginx.refusals();
    assert!(lines[0].contains("bad_signature: the header has a nonce"), "{lines:?}");
    assert!(!lines[0].contains("a-nonce-of-graph"), "{lines:?}");
    // With a right signature a nonce is as good as any other member.
    let token = Jwt::live().header("nonce", json!("a")).sign("RS256", &RSA)?;
    assert_eq!(nginx.bearer("/", &token)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn tokenctl_says_the_sentence_of_the_log() -> Result<()> {
    let nginx = Nginx::start(location("jwt_issuer me;"))?;
    let header = r#"{"alg":"HS256","kid":"k1"}"#;
    let path = nginx.prefix().join("kids.json");
    nginx.put("kids.json", json!({ "k1": SECRET }).to_string())?;
    for token in [
        by_hand(header, r#"{"iss":"you"}"#)?,
        by_hand(header, r#"{"iss":"me","exp":"1"}"#)?,
        by_hand(r#"{"alg":"HS256","kid":"k9"}"#, "{}")?,
        by_hand(header, r#"{"iss":1}"#)?,
        by_hand(header, "{}")? + "A",
        "a.b.c.d.e".to_owned(),
        "a.b".to_owned(),
    ] {
        let before = nginx.refusals().len();
        assert_eq!(nginx.bearer("/", &token)?.status, 401);
        let lines = nginx.refusals();
        let (_, said) = lines[before].split_once("jwt refused: ").unwrap_or_default();
        let (said, _) = said.split_once(", location ").unwrap_or_default();
        let output = std::process::Command::new(module_tests::tokenctl()?)
            .args(["inspect", &token, "--issuer", "me", "--kids"])
            .arg(&path)
            .output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(printed.contains(&format!("In nginx's log: {said}\n")), "{said}: {printed}");
    }
    nginx.finish()
}
