//! A token must be in the compact serialization, in base64url and within the size limit. Every
//! other form is refused.

use std::fs;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use module_tests::{Jwt, Nginx, RSA, SECRET, SERVE, base64url};
use serde_json::json;

use crate::{Case, HEADER, Want, signed, signed_sections, withstand};

const PAYLOAD: &str = r#"{"sub":"alice","fill":"\u00ff\u00fe>?~"}"#;

fn start() -> Result<Nginx> {
    Nginx::start(format!(
        "jwt_kids {{ k1 {SECRET}; }}
        location / {{ {SERVE} }}
        location /arg {{ jwt_token arg:tok; {SERVE} }}
        location /cookie {{ jwt_token cookie:tok; {SERVE} }}"
    ))
}

/// The same bytes with other unused bits in the last character, if it has unused bits.
fn trailing_bits(encoded: &str) -> Option<String> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if encoded.len().is_multiple_of(4) {
        return None;
    }
    let (rest, last) = encoded.split_at(encoded.len() - 1);
    let at = ALPHABET.find(last)?;
    Some(format!("{rest}{}", ALPHABET.get(at + 1..at + 2)?))
}

/// Names and texts of variants of a good section that are not valid base64url.
fn spoiled(section: &str) -> Vec<(String, String)> {
    let middle = section.len() / 2;
    let (head, tail) = section.split_at(middle);
    let mut out: Vec<(String, String)> = [
        ("+", "plus"),
        ("/", "slash"),
        ("=", "padding inside"),
        ("%2D", "percent"),
        ("%", "a bare percent"),
        ("!", "foreign"),
        ("\"", "quote"),
        ("\\", "backslash"),
        ("~", "tilde"),
        ("\u{e9}", "UTF-8"),
        ("\u{ff21}", "a wide letter"),
        ("\u{2011}", "a hyphen that is none"),
        ("\u{200b}", "a space of no width"),
    ]
    .iter()
    .map(|(foreign, name)| ((*name).to_owned(), format!("{head}{foreign}{tail}")))
    .collect();
    out.extend([
        ("padding".to_owned(), format!("{section}=")),
        ("more padding".to_owned(), format!("{section}==")),
        ("encoded padding".to_owned(), format!("{section}%3D")),
        ("padding first".to_owned(), format!("={section}")),
        // No bytes encode to 4n + 1 characters: the last one would hold only six bits.
        ("an impossible length".to_owned(), "A".repeat(section.len() / 4 * 4 + 1)),
    ]);
    out.extend(trailing_bits(section).map(|bits| ("trailing bits".to_owned(), bits)));
    out
}

#[test]
fn sections_are_base64url_without_padding_in_their_only_spelling() -> Result<()> {
    let nginx = start()?;
    let mut cases = Vec::new();
    // Three lengths, so that every number of unused bits is tried.
    for fill in ["", "x", "xx"] {
        let payload = format!("{{\"sub\":\"alice\",\"fill\":\"{fill}\"}}");
        let header = format!("{{\"alg\":\"HS256\",\"kid\":\"k1\",\"f\":\"{fill}\"}}");
        let (header, payload) = (base64url(header), base64url(payload));
        let good = signed_sections(&header, &payload)?;
        let ask = |token: &str| nginx.request().bearer(token);
        cases.push(Case::token(format!("good {fill}"), ask(&good), "ok"));
        let signature = good.rsplit_once('.').unwrap().1;
        // The signature covers header and payload as spelled, so that only the spelling is wrong.
        for (name, spoiled) in spoiled(&header) {
            let token = signed_sections(&spoiled, &payload)?;
            cases.push(Case::token(format!("header: {name}"), ask(&token), "malformed"));
        }
        for (name, spoiled) in spoiled(&payload) {
            let token = signed_sections(&header, &spoiled)?;
            cases.push(Case::token(format!("payload: {name}"), ask(&token), "malformed"));
        }
        for (name, spoiled) in spoiled(signature) {
            let token = format!("{header}.{payload}.{spoiled}");
            cases.push(Case::token(format!("signature: {name}"), ask(&token), "malformed"));
        }
        for separator in [" ", "\t", "  "] {
            for (name, token) in [
                ("first", format!("{separator}{good}")),
                ("before a dot", good.replacen('.', &format!("{separator}."), 1)),
                ("after a dot", good.replacen('.', &format!(".{separator}"), 1)),
                ("inside", format!("{}{separator}{}", &good[..9], &good[9..])),
            ] {
                let name = format!("{name}: white space {separator:?}");
                let word = match name.split(':').next() {
                    // Spaces before the token belong to the scheme, but tabs do not.
                    Some("first") if !separator.contains('\t') => "ok",
                    // The payload is decoded only after the signature is verified, and that fails.
                    Some("after a dot") => "bad_signature",
                    _ => "malformed",
                };
                cases.push(Case::token(name, ask(&token), word));
            }
        }
        for encoded in ["%20", "%0a", "%0d%0a", "%09", "%00", "+"] {
            for token in [format!("{good}{encoded}"), format!("{encoded}{good}")] {
                let request = nginx.request().target(format!("/arg?tok={token}"));
                cases.push(Case::token(format!("argument with {encoded}"), request, "malformed"));
            }
        }
        for cookie in [format!("\"{good}\""), format!(" {good}"), format!("{good}%3B")] {
            let request =
                nginx.request().target("/cookie").header("Cookie", format!("tok={cookie}"));
            cases.push(Case::token(format!("cookie {:?}", &cookie[..2]), request, "malformed"));
        }
    }
    // The standard base64 alphabet, with a payload that the two alphabets encode differently.
    let (url, standard) = (base64url(PAYLOAD), STANDARD.encode(PAYLOAD));
    let standard = standard.trim_end_matches('=');
    assert_ne!(url, standard, "the payload has no byte in which the alphabets differ");
    let token = signed_sections(&base64url(HEADER), standard)?;
    cases.push(Case::token("the standard alphabet", nginx.request().bearer(&token), "malformed"));
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn a_token_has_three_sections() -> Result<()> {
    let nginx = start()?;
    let good = signed(HEADER, PAYLOAD)?;
    let parts: Vec<&str> = good.split('.').collect();
    let [h, p, s] = parts[..] else { unreachable!() };
    let tokens = [
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "....".to_owned(),
        "a".to_owned(),
        h.to_owned(),
        format!("{h}."),
        format!("{h}.."),
        format!("{h}.{p}"),
        format!("{h}.{p}."),
        format!("{h}..{s}"),
        format!(".{p}.{s}"),
        format!("..{s}"),
        format!(".{good}"),
        format!("{good}."),
        format!("{good}.."),
        format!("{h}..{p}.{s}"),
        format!("{h}.{p}..{s}"),
        format!("{good}.{s}"),
        format!("{good}.AA"),
        format!("{good}.{good}"),
        format!("{h}.{p}.{s}.{p}.{s}"),
        format!("{h}%2E{p}%2E{s}"),
        format!("{h}\u{2024}{p}\u{2024}{s}"),
        format!("{h},{p},{s}"),
        format!("{good},{good}"),
        format!("{good}~"),
        ".".repeat(4000),
    ];
    let ask = |token: &str| nginx.request().bearer(token);
    let mut cases = vec![Case::token("good", ask(&good), "ok")];
    for token in tokens {
        let shown: String = token.chars().filter(|c| !c.is_ascii_alphanumeric()).take(9).collect();
        cases.push(Case::token(
            format!("{} bytes, {shown}", token.len()),
            ask(&token),
            "malformed",
        ));
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn encryption_json_and_nesting_are_no_compact_signature() -> Result<()> {
    let nginx = Nginx::builder()
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwks_file keys.json;
            location / {{ {SERVE} }}
            location /arg {{ jwt_token arg:tok; {SERVE} }}"
        ))
        .file("keys.json", RSA.jwks("rsa")?)
        .start()?;
    let good = signed(HEADER, PAYLOAD)?;
    let parts: Vec<&str> = good.split('.').collect();
    let [h, p, s] = parts[..] else { unreachable!() };
    let jwe = |alg: &str, kid: &str| {
        let header = json!({ "alg": alg, "enc": "A128GCM", "kid": kid, "cty": "JWT" }).to_string();
        [&header[..], "key", "iv", "ciphertext", "tag"].map(base64url).join(".")
    };
    let direct = |alg: &str| {
        let header = json!({ "alg": alg, "enc": "A128GCM", "kid": "k1" }).to_string();
        format!(
            "{}..{}.{}.{}",
            base64url(header),
            base64url("iv"),
            base64url("ct"),
            base64url("tag")
        )
    };
    let flat = json!({ "protected": h, "payload": p, "signature": s }).to_string();
    let general =
        json!({ "payload": p, "signatures": [{ "protected": h, "signature": s }] }).to_string();
    let mut cases = Vec::new();
    let mut add = |name: &str, token: &str, word| {
        cases.push(Case::token(name, nginx.request().bearer(token), word));
    };
    for (alg, kid) in [("RSA-OAEP", "rsa"), ("RSA1_5", "rsa"), ("A128KW", "k1"), ("HS256", "k1")] {
        add(&format!("JWE by {alg}"), &jwe(alg, kid), "malformed");
    }
    for alg in ["dir", "ECDH-ES", "HS256"] {
        add(&format!("direct JWE by {alg}"), &direct(alg), "malformed");
    }
    // Three sections and a valid signature do not help: the header is that of a JWE.
    let jwe_header = r#"{"alg":"dir","enc":"A128GCM","kid":"k1"}"#;
    add("the header of a JWE, signed", &signed(jwe_header, PAYLOAD)?, "bad_algorithm");
    for (name, text) in [("flattened", &flat), ("general", &general)] {
        add(&format!("{name} JSON"), text, "malformed");
        add(&format!("{name} JSON in base64url"), &base64url(text), "malformed");
        add(&format!("{name} JSON as payload"), &signed(HEADER, text)?, "ok");
    }
    let nested = r#"{"alg":"HS256","kid":"k1","cty":"JWT"}"#;
    for (name, payload, word) in [
        ("a JWT as payload", good.clone(), "malformed"),
        ("a JWT as a JSON string", json!(good).to_string(), "malformed"),
        ("a JWT in an array", json!([good]).to_string(), "malformed"),
        // The payload is an object, and a claim in it may hold any string.
        ("a JWT in a claim", json!({ "jwt": good }).to_string(), "ok"),
    ] {
        add(name, &signed(nested, &payload)?, word);
        add(name, &signed(HEADER, &payload)?, word);
    }
    for (name, query) in [
        ("array", format!("tok[]={good}")),
        ("indexed", format!("tok[0]={good}")),
        ("in another case", format!("TOK={good}")),
    ] {
        let request = nginx.request().target(format!("/arg?{query}"));
        cases.push(Case::token(format!("argument as {name}"), request, "malformed"));
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn size_is_bounded() -> Result<()> {
    let nginx = Nginx::builder()
        .http("client_header_buffer_size 2m; large_client_header_buffers 4 2m;")
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwks_file keys.json;
            location / {{ {SERVE} }}
            location /header {{ jwt_token header:X-Token; {SERVE} }}
            location /cookie {{ jwt_token cookie:tok; {SERVE} }}
            location /arg {{ jwt_token arg:tok; {SERVE} }}"
        ))
        .file("keys.json", RSA.jwks("rsa")?)
        .start()?;
    // The first token of at least this size: one more byte of payload may add two characters.
    let of_size = |size: usize| -> Result<String> {
        let short = Jwt::live_with(&json!({ "fill": "" })).kid("k1").hs("HS256", SECRET)?.len();
        for fill in (size - short) * 3 / 4 - 2.. {
            let claims = json!({ "fill": "x".repeat(fill) });
            let token = Jwt::live_with(&claims).kid("k1").hs("HS256", SECRET)?;
            if token.len() >= size {
                return Ok(token);
            }
        }
        unreachable!("the loop has no end")
    };
    let mut cases = Vec::new();
    let kib = 1024;
    for (size, word) in [
        (8 * kib, "ok"),
        (63 * kib, "ok"),
        (64 * kib + 1, "malformed"),
        (65 * kib, "malformed"),
        (256 * kib, "malformed"),
        (kib * kib, "malformed"),
    ] {
        let token = of_size(size)?;
        let bad = format!("{}AAAA", token.get(..token.len() - 4).context("a token")?);
        for (way, ask) in [
            ("bearer", (|nginx, token| nginx_bearer(nginx, token)) as fn(&Nginx, &str) -> _),
            ("header", |nginx, token| nginx.request().target("/header").header("X-Token", token)),
            ("cookie", |nginx, token| {
                nginx.request().target("/cookie").header("Cookie", format!("tok={token}"))
            }),
            ("arg", |nginx, token| nginx.request().target(format!("/arg?tok={token}"))),
        ] {
            cases.push(Case::token(format!("{size} by {way}"), ask(&nginx, &token), word));
            let word = if word == "ok" { "bad_signature" } else { word };
            cases.push(Case::token(format!("{size} by {way}, forged"), ask(&nginx, &bad), word));
        }
        // One section has the whole size, or the token has no real sections.
        for (name, token) in [
            ("a header", format!("{}.e30.AAAA", "A".repeat(size))),
            ("a signature", format!("{}.e30.{}", base64url(HEADER), "A".repeat(size))),
            ("no dot", "A".repeat(size)),
            ("dots", ".".repeat(size)),
        ] {
            let word = match name {
                "a signature" if word == "ok" => "bad_signature",
                _ => "malformed",
            };
            let name = format!("{name} of {size}");
            cases.push(Case::token(name, nginx.request().bearer(&token), word));
        }
    }
    let workers = nginx.workers();
    let before = resident(&workers)?;
    withstand(&nginx, cases)?;
    // nginx frees the buffers of a connection when it closes, so the worker must not grow.
    let grown = resident(&workers)?.saturating_sub(before);
    assert!(grown < 32 * 1024 * sanitizers(), "the worker grew by {grown} KiB");
    nginx.finish()
}

fn nginx_bearer(nginx: &Nginx, token: &str) -> module_tests::Request {
    nginx.request().bearer(token)
}

/// nginx itself refuses a header line that is too long, so the module never sees it.
#[test]
fn nginx_bounds_header_lines_first() -> Result<()> {
    let nginx = start()?;
    let mut cases = Vec::new();
    for (size, want) in [
        (7 * 1024, Want::Jwt(401, "malformed")),
        (9 * 1024, Want::Nginx(400)),
        (64 * 1024, Want::Nginx(400)),
        (1024 * 1024, Want::Nginx(400)),
    ] {
        let request = nginx.request().bearer(&"A".repeat(size));
        cases.push(Case::new(format!("{size} bytes"), request, want));
    }
    let long = nginx.request().target(format!("/arg?tok={}", "A".repeat(9 * 1024)));
    cases.push(Case::new("a long argument", long, Want::Nginx(414)));
    withstand(&nginx, cases)?;
    nginx.finish()
}

/// The resident memory of processes, in KiB.
fn resident(pids: &[u32]) -> Result<u64> {
    pids.iter()
        .map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            Ok(line.context("VmRSS")?.trim().trim_end_matches(" kB").parse::<u64>()?)
        })
        .sum()
}

/// How much more the worker may grow: sanitizers keep freed memory and need shadow memory.
fn sanitizers() -> u64 {
    if std::env::var_os("NGX_TEST_PATIENCE").is_some() { 100 } else { 1 }
}
