//! The directives with the names of NGINX Plus mean the same as they do there.

use anyhow::Result;
use module_tests::{
    ENCRYPTION_SECRET, Jwt, Nginx, OTHER_SECRET, P256, P384, RSA, Recipient, SECRET, SERVE,
    base64url, encrypt, jwk_set, mistake, nginx_t, now, refuse_all, secret_jwk,
};
use serde_json::{Value, json};

/// A JWK Set with one secret, as in the documentation of NGINX Plus.
fn secret(kid: &str, secret: &str) -> String {
    json!({ "keys": [{ "kty": "oct", "kid": kid, "k": base64url(secret) }] }).to_string()
}

fn token(claims: &Value) -> Result<String> {
    Jwt::live_with(claims).kid("k1").hs("HS256", SECRET)
}

fn start(server: impl AsRef<str>) -> Result<Nginx> {
    Nginx::builder().server(server.as_ref()).file("keys.json", secret("k1", SECRET)).start()
}

#[test]
fn auth_jwt_is_the_switch_and_the_realm() -> Result<()> {
    let nginx = start(format!(
        "auth_jwt_key_file keys.json;
        location / {{ auth_jwt \"closed site\"; {SERVE}
            location /sub {{ {SERVE} }}
            location /open {{ auth_jwt off; {SERVE} }}
            location /again {{ auth_jwt again; {SERVE} }} }}
        location /variable {{ auth_jwt \"the $arg_realm\"; {SERVE} }}
        location /empty {{ auth_jwt \"\"; {SERVE} }}"
    ))?;
    for (path, challenge) in [
        ("/", "Bearer realm=\"closed site\""),
        ("/sub", "Bearer realm=\"closed site\""),
        ("/again", "Bearer realm=\"again\""),
        ("/variable?realm=x", "Bearer realm=\"the x\""),
    ] {
        let response = nginx.get(path)?;
        assert_eq!((response.verdict(), response.challenge()), ((401, "missing"), challenge));
        assert_eq!(nginx.bearer(path, &token(&json!({}))?)?.verdict(), (200, "ok"), "{path}");
        let forged = Jwt::live().kid("k1").hs("HS256", OTHER_SECRET)?;
        let response = nginx.bearer(path, &forged)?;
        assert_eq!(response.verdict(), (401, "bad_signature"), "{path}");
        assert!(response.challenge().starts_with(&format!("{challenge}, error=\"invalid_token\"")));
    }
    assert_eq!(nginx.get("/empty")?.verdict(), (401, "missing"));
    assert_eq!(nginx.bearer("/open", "rubbish")?.verdict(), (200, "off"));
    nginx.finish()
}

#[test]
fn key_files_alone_do_not_switch_the_check_on() -> Result<()> {
    let nginx = start(format!(
        "location /named {{ auth_jwt_key_file keys.json; {SERVE} }}
        location /variable {{ auth_jwt_key_file $arg_f.json; {SERVE} }}
        location /native {{ auth_jwt_key_file keys.json; jwt on; {SERVE} }}
        location /both {{ auth_jwt_key_file keys.json; jwt_kids {{ k2 {OTHER_SECRET}; }} {SERVE} }}"
    ))?;
    for (path, verdict) in [
        ("/named", (200, "off")),
        ("/variable", (200, "off")),
        ("/native", (401, "missing")),
        ("/both", (401, "missing")),
    ] {
        assert_eq!(nginx.get(path)?.verdict(), verdict, "{path}");
    }
    for path in ["/native", "/both"] {
        assert_eq!(nginx.bearer(path, &token(&json!({}))?)?.verdict(), (200, "ok"), "{path}");
    }
    nginx.finish()
}

#[test]
fn the_token_comes_from_where_token_says() -> Result<()> {
    let nginx = start(format!(
        "auth_jwt_key_file keys.json;
        location /header {{ auth_jwt x; {SERVE} }}
        location /cookie {{ auth_jwt x token=$cookie_auth_token; {SERVE}
            location /cookie/below {{ auth_jwt y; {SERVE} }}
            location /cookie/open {{ auth_jwt off; {SERVE} }}
            location /cookie/inherited {{ {SERVE} }} }}
        location /arg {{ auth_jwt x token=$arg_t; {SERVE} }}
        location /mapped {{ auth_jwt x token=$http_x_a$http_x_b; {SERVE} }}"
    ))?;
    let t = token(&json!({}))?;
    let (half, rest) = t.split_at(20);
    let all = [
        ("header", nginx.request().bearer(&t)),
        ("cookie", nginx.request().header("Cookie", format!("a=b; auth_token={t}"))),
        ("arg", nginx.request()),
        ("mapped", nginx.request().header("X-A", half).header("X-B", rest)),
    ];
    for (path, expected) in [
        ("/header", "header"),
        ("/cookie", "cookie"),
        ("/cookie/inherited", "cookie"),
        // The auth_jwt of a level replaces the whole auth_jwt above it, including token=.
        ("/cookie/below", "header"),
        ("/arg", "arg"),
        ("/mapped", "mapped"),
    ] {
        for (way, request) in &all {
            let query = if *way == "arg" { format!("?t={t}") } else { String::new() };
            let response = request.clone().target(format!("{path}{query}")).send()?;
            let verdict = if *way == expected { (200, "ok") } else { (401, "missing") };
            assert_eq!(response.verdict(), verdict, "{path} by {way}");
        }
    }
    assert_eq!(nginx.get("/cookie/open")?.verdict(), (200, "off"));
    nginx.finish()
}

#[test]
fn several_key_files_are_one_key_set() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "auth_jwt x; auth_jwt_key_file keys.json; auth_jwt_key_file $arg_f;
            auth_jwt_key_file rsa.json;
            location / {{ {SERVE} }}
            location /own {{ auth_jwt_key_file rsa.json; {SERVE} }}"
        ))
        .file("keys.json", secret("k1", SECRET))
        .file("rsa.json", RSA.jwks("rsa")?)
        .file("ec.json", P256.jwks("ec")?)
        .start()?;
    let (hs, rs) = (token(&json!({}))?, Jwt::live().kid("rsa").sign("RS256", &RSA)?);
    let es = Jwt::live().kid("ec").sign("ES256", &P256)?;
    for (target, statuses) in
        [("/?f=ec.json", [200, 200, 200]), ("/?f=gone", [200, 200, 401]), ("/own", [401, 200, 401])]
    {
        for (token, status) in [&hs, &rs, &es].into_iter().zip(statuses) {
            assert_eq!(nginx.bearer(target, token)?.status, status, "{target}");
        }
    }
    nginx.finish()
}

#[test]
fn the_leeway_covers_both_ends() -> Result<()> {
    let nginx = start(format!(
        "auth_jwt x; auth_jwt_key_file keys.json;
        location /none {{ {SERVE} }}
        location /minute {{ auth_jwt_leeway 60s; {SERVE}
            location /minute/zero {{ auth_jwt_leeway 0; {SERVE} }} }}"
    ))?;
    let (early, late) = (json!({ "nbf": now() + 40 }), json!({ "exp": now() - 30 }));
    for (path, status) in [("/none", 401), ("/minute", 200), ("/minute/zero", 401)] {
        for claims in [&early, &late] {
            assert_eq!(nginx.bearer(path, &token(claims)?)?.status, status, "{path} {claims}");
        }
    }
    nginx.finish()
}

#[test]
fn a_type_is_signed_encrypted_or_nested() -> Result<()> {
    refuse_all(&[
        mistake("unknown", "auth_jwt_type Signed;", &["Signed", "\"encrypted\""]),
        mistake("none", "auth_jwt_type;", &[]),
        mistake("two", "auth_jwt_type signed nested;", &[]),
    ])?;
    let nginx = start(format!(
        "location / {{ auth_jwt x; auth_jwt_type signed; auth_jwt_key_file keys.json; {SERVE} }}"
    ))?;
    assert_eq!(nginx.bearer("/", &token(&json!({}))?)?.verdict(), (200, "ok"));
    // An encrypted token has five parts.
    assert_eq!(nginx.bearer("/", "e30.e30.e30.e30.e30")?.verdict(), (401, "malformed"));
    nginx.finish()
}

/// The keys that decrypt are in `auth_jwt_key_file`, beside those that verify or alone.
#[test]
fn keys_that_decrypt_are_in_the_key_file() -> Result<()> {
    let enc = secret_jwk(ENCRYPTION_SECRET, &json!({ "kid": "e", "use": "enc" }));
    let sig = secret_jwk(SECRET.as_bytes(), &json!({ "kid": "k1", "alg": "HS256" }));
    let builder = Nginx::builder()
        .file("keys.json", jwk_set(&[enc.clone(), sig]))
        .file("enc.json", jwk_set(&[enc]));
    let checked = builder
        .clone()
        .server(
            "location / { auth_jwt x; auth_jwt_type nested; auth_jwt_key_file keys.json; }
            location /e { auth_jwt x; auth_jwt_type encrypted; auth_jwt_key_file enc.json; }",
        )
        .check()?;
    checked.accepted()?;
    for (directives, want) in [
        ("auth_jwt_type nested; auth_jwt_key_file enc.json;", "\"auth_jwt\" has no keys"),
        ("auth_jwt_key_file enc.json;", "\"auth_jwt\" has no keys"),
    ] {
        let server = format!("location / {{ auth_jwt x; {directives} }}");
        builder.clone().server(server).check()?.refused_with(&[want, "nginx.conf:"])?;
    }
    // Above the locations it is no mistake, as in NGINX Plus.
    let above = builder
        .clone()
        .http("auth_jwt_type nested;")
        .server("location /a { auth_jwt x; auth_jwt_key_file keys.json; }");
    above.check()?.warned_with(&[
        "\"auth_jwt_type\" has no keys",
        "which is open",
        "nginx.conf:",
    ])?;
    // A private key may be there, in a set or alone, where only nginx can read it.
    let with_private =
        P256.jwk(&json!({ "kid": "p", "d": "OjYTu_eQDSFokFk9AB0b-4PZyKFoeGZkEaVa8sb9Hwo" }))?;
    let both = jwk_set(&[P384.jwk(&json!({ "kid": "k1" }))?, with_private]);
    let builder = builder.file("both.json", both).file("key.pem", P256.private);
    for files in
        ["auth_jwt_key_file both.json;", "auth_jwt_key_file keys.json; auth_jwt_key_file key.pem;"]
    {
        let server = format!("location / {{ auth_jwt x; auth_jwt_type nested; {files} }}");
        let checked = builder.clone().server(server).check()?;
        checked.warned_with(&["every user of this machine can read this key"])?;
        assert_eq!(checked.stderr.matches("[warn]").count(), 1, "{}", checked.stderr);
    }
    // Beside it a public key verifies, and what is broken is told.
    let both = format!("{}{}", P384.public, P256.private);
    let broken = format!("{}{}", P384.public.replace("-----END", "----END"), P256.private);
    let with = |pem: String| {
        let server = "location / { auth_jwt x; auth_jwt_type nested; auth_jwt_key_file pem.pem; }";
        builder.clone().file("pem.pem", pem).server(server).check()
    };
    with(both)?.warned_with(&["every user of this machine can read this key"])?;
    with(broken)?.refused_with(&["auth_jwt_key_file", "pem.pem", "PEM"])?;
    with(P256.private.to_owned())?.refused_with(&["\"auth_jwt\" has no keys"])?;
    let nginx = builder
        .server(format!(
            "location /nested {{ auth_jwt x; auth_jwt_type nested; auth_jwt_key_file keys.json; {SERVE} }}
            location /encrypted {{ auth_jwt x; auth_jwt_type encrypted; auth_jwt_key_file enc.json;
                {SERVE} }}
            location /signed {{ auth_jwt x; auth_jwt_key_file keys.json; {SERVE} }}"
        ))
        .start()?;
    let kid = json!({ "kid": "e" });
    let to = Recipient::Secret(ENCRYPTION_SECRET);
    let signed = token(&json!({}))?;
    let nested = encrypt(to, &kid, &signed)?;
    let encrypted = encrypt(to, &kid, json!({ "exp": now() + 60 }).to_string())?;
    for (path, passes) in [("/nested", &nested), ("/encrypted", &encrypted), ("/signed", &signed)] {
        for token in [&signed, &nested, &encrypted] {
            let want = if token == passes { (200, "ok") } else { (401, "malformed") };
            assert_eq!(nginx.bearer(path, token)?.verdict(), want, "{path}");
        }
    }
    nginx.finish()
}

/// Also where the file is one of several, by a variable, and when it changes.
#[test]
fn keys_that_decrypt_are_in_a_key_file_with_variables_in_its_name() -> Result<()> {
    let kid = json!({ "kid": "e" });
    let enc = |secret: &[u8]| secret_jwk(secret, &json!({ "kid": "e", "use": "enc" }));
    let sig = secret_jwk(SECRET.as_bytes(), &json!({ "kid": "k1", "alg": "HS256" }));
    const OTHER: &[u8; 32] = &[7; 32];
    let nginx = Nginx::builder()
        .http("map $host $tenant { default none; red red; blue blue; green green; }")
        .server(format!(
            "auth_jwt x; auth_jwt_key_file keys-$tenant.json;
            location / {{ auth_jwt_type nested; {SERVE} }}
            location /claims {{ auth_jwt_type encrypted; {SERVE} }}
            location /signed {{ auth_jwt_type signed; {SERVE} }}"
        ))
        .file("keys-red.json", jwk_set(&[enc(ENCRYPTION_SECRET), sig.clone()]))
        .file("keys-blue.json", jwk_set(&[enc(OTHER), sig.clone()]))
        .file("keys-green.json", jwk_set(std::slice::from_ref(&sig)))
        .start()?;
    let signed = token(&json!({}))?;
    let claims = json!({ "exp": now() + 60 }).to_string();
    let of = |secret: &'static [u8; 32], content: &str| {
        encrypt(Recipient::Secret(secret), &kid, content)
    };
    let (red, blue) = (of(ENCRYPTION_SECRET, &signed)?, of(OTHER, &signed)?);
    let (red_claims, blue_claims) = (of(ENCRYPTION_SECRET, &claims)?, of(OTHER, &claims)?);
    let asked = |path: &str, host: &str, token: &str| -> Result<(u16, String)> {
        let response = nginx.request().target(path).host(host).bearer(token).send()?;
        let (status, reason) = response.verdict();
        Ok((status, reason.to_owned()))
    };
    // Twice, so that the cache has them.
    for _ in 0..2 {
        for (path, host, token, want) in [
            ("/", "red", &red, (200, "ok")),
            ("/", "blue", &red, (401, "bad_decryption")),
            ("/", "blue", &blue, (200, "ok")),
            ("/", "green", &red, (401, "unknown_key")),
            ("/claims", "red", &red_claims, (200, "ok")),
            ("/claims", "blue", &red_claims, (401, "bad_decryption")),
            ("/claims", "blue", &blue_claims, (200, "ok")),
            ("/claims", "red", &red, (401, "malformed")),
            ("/signed", "red", &signed, (200, "ok")),
            ("/signed", "red", &red, (401, "malformed")),
        ] {
            assert_eq!(asked(path, host, token)?, (want.0, want.1.to_owned()), "{path} {host}");
        }
    }
    nginx.put("keys-red.json", jwk_set(&[enc(OTHER), sig]))?;
    assert_eq!(asked("/", "red", &red)?, (401, "bad_decryption".to_owned()));
    assert_eq!(asked("/", "red", &blue)?, (200, "ok".to_owned()));
    nginx.finish()
}

#[test]
fn requirements_are_401_unless_they_say_403() -> Result<()> {
    let nginx = Nginx::builder()
        .http(
            "map $jwt_claim_scope $can_read { ~\\bread\\b 1; default 0; }
            map $jwt_claim_sub $is_known { alice 1; bob 1; default \"\"; }",
        )
        .server(format!(
            "auth_jwt x; auth_jwt_key_file keys.json;
            location /one {{ auth_jwt_require $can_read; {SERVE}
                location /one/other {{ auth_jwt_require $is_known; {SERVE} }} }}
            location /both {{ auth_jwt_require $can_read $is_known error=403; {SERVE} }}
            location /two {{ auth_jwt_require $is_known error=401;
                auth_jwt_require $can_read error=403; {SERVE} }}"
        ))
        .file("keys.json", secret("k1", SECRET))
        .start()?;
    let reads = token(&json!({ "scope": "write read" }))?;
    let writes = token(&json!({ "scope": "write" }))?;
    let stranger = token(&json!({ "scope": "read", "sub": "mallory" }))?;
    for (path, statuses) in [
        ("/one", [200, 401, 200]),
        ("/one/other", [200, 200, 401]),
        ("/both", [200, 403, 403]),
        ("/two", [200, 403, 401]),
    ] {
        for (token, status) in [&reads, &writes, &stranger].into_iter().zip(statuses) {
            let response = nginx.bearer(path, token)?;
            let word = if status == 200 { "ok" } else { "denied" };
            assert_eq!(response.verdict(), (status, word), "{path}");
        }
        // A request without a token is refused before any claim is checked.
        assert_eq!(nginx.get(path)?.verdict(), (401, "missing"), "{path}");
    }
    nginx.finish()
}

#[test]
fn claims_and_headers_are_set_by_path() -> Result<()> {
    let nginx = Nginx::builder()
        .http(
            "auth_jwt_claim_set $email info e-mail; auth_jwt_claim_set $job info \"job title\";
            auth_jwt_claim_set $user_id userId; auth_jwt_header_set $type typ;
            auth_jwt_header_set $own app tier;",
        )
        .server(format!(
            "location / {{ auth_jwt x; auth_jwt_key_file keys.json; {SERVE}
                add_header X-All \"$email|$job|$user_id|$type|$own|$jwt_claim_userId\"; }}"
        ))
        .file("keys.json", secret("k1", SECRET))
        .start()?;
    let claims = json!({ "info": { "e-mail": "j@example.com", "job title": "cook" }, "userId": 7 });
    let jwt = Jwt::live_with(&claims).kid("k1").header("app", json!({ "tier": "gold" }));
    let response = nginx.bearer("/", &jwt.hs("HS256", SECRET)?)?;
    assert_eq!(response.header("X-All"), Some("j@example.com|cook|7|JWT|gold|"));
    nginx.finish()
}

#[test]
fn plus_and_native_names_are_one_directive_on_a_level() -> Result<()> {
    let keys = "auth_jwt_key_file keys.json;";
    for (directives, name) in [
        ("auth_jwt x; jwt on;", "jwt"),
        ("jwt off; auth_jwt x;", "auth_jwt"),
        ("auth_jwt x; auth_jwt y;", "auth_jwt"),
        ("auth_jwt x; jwt_realm y;", "jwt_realm"),
        ("jwt_realm y; auth_jwt x;", "auth_jwt"),
        ("auth_jwt x token=$arg_t; jwt_token bearer;", "jwt_token"),
        ("auth_jwt_leeway 1s; jwt_leeway 1s;", "jwt_leeway"),
        ("jwt_leeway 1s; auth_jwt_leeway 1s;", "auth_jwt_leeway"),
    ] {
        let checked = Nginx::builder()
            .server(format!("location / {{ {keys} {directives} }}"))
            .file("keys.json", RSA.jwks("rsa")?)
            .check()?;
        checked.refused_with(&[&format!("\"{name}\" directive is duplicate"), "nginx.conf:"])?;
    }
    // Directives that may be repeated may also be mixed with their other name.
    let checked = Nginx::builder()
        .http("jwt_claim_set $a a; auth_jwt_claim_set $b b; auth_jwt_header_set $c c;")
        .server(format!(
            "location / {{ {keys} auth_jwt x; jwt_algorithms RS256; jwt_require $a;
                auth_jwt_require $b; jwt_claim c exists; jwks_file more.json; }}"
        ))
        .file("keys.json", RSA.jwks("rsa")?)
        .file("more.json", P256.jwks("ec")?)
        .check()?;
    checked.accepted()
}

/// NGINX Plus accepts this too.
#[test]
fn a_token_may_be_named_where_the_check_is_off() -> Result<()> {
    let nginx = start(format!(
        "auth_jwt_key_file keys.json; auth_jwt x;
        location /off {{ auth_jwt off token=$arg_t; {SERVE} }}
        location / {{ {SERVE} }}"
    ))?;
    assert_eq!(nginx.get("/off?t=junk")?.verdict(), (200, "off"));
    assert_eq!(nginx.get("/?t=junk")?.verdict(), (401, "missing"));
    nginx.finish()
}

#[test]
fn wrong_directives_are_refused_with_file_and_line() -> Result<()> {
    refuse_all(&[
        mistake("no realm", "auth_jwt;", &[]),
        mistake("three values", "auth_jwt a token=$arg_t b;", &[]),
        mistake("an unknown parameter", "auth_jwt x tokn=$arg_t;", &["tokn"]),
        mistake("no token", "auth_jwt x token=;", &["token="]),
        mistake("no variable", "auth_jwt x token=abc;", &["token=abc"]),
        mistake("no variable where it is off", "auth_jwt off token=abc;", &["token=abc"]),
        mistake("no keys", "auth_jwt x;", &["keys"]),
        mistake("no file", "auth_jwt_key_file gone.json;", &["gone.json"]),
        mistake("an empty name", "auth_jwt_key_file \"\";", &[]),
        mistake("no time", "auth_jwt_leeway soon;", &["soon"]),
        mistake("nothing required", "auth_jwt_require;", &[]),
        mistake("only an error", "auth_jwt_require error=403;", &[]),
        mistake("an unknown error", "auth_jwt_require $arg_a error=302;", &["302"]),
        mistake("a name elsewhere", "auth_jwt_claim_set $a b;", &["not allowed here"]),
        mistake("a name elsewhere", "auth_jwt_header_set $a b;", &["not allowed here"]),
    ])?;
    for (http, fragment) in [
        ("auth_jwt_claim_set a b;", "\"a\""),
        ("auth_jwt_claim_set $ b;", "\"$\""),
        ("auth_jwt_claim_set $a;", "arguments"),
        ("auth_jwt_header_set $a \"\";", "member"),
        ("auth_jwt_claim_set $uri b;", "uri"),
    ] {
        let checked = Nginx::builder().http(http).check()?;
        checked.refused_with(&[fragment, "nginx.conf:"])?;
    }
    nginx_t("auth_jwt off; location / { auth_jwt off; }")?.accepted()
}
