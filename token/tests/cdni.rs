//! URI signing (RFC 9246): the RFC's own tokens, and every claim's rows.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use token::cdni::{self, Asked, MAX_COOKIE, PACKAGE, Patterns, Renewal, Transport};
use token::sign::{Members, SigningKey, Wanted};
use token::{Carrier, KeySet, Policy, Refusal, Verified, load_keys};

const NOW: i64 = 1_800_000_000;
const SECRET: &str = r#"{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY","kid":"k"}"#;

fn policy(keys: &str) -> Policy {
    let loaded = load_keys(keys.as_bytes(), None).unwrap();
    // A leeway, which must not count.
    Policy { keys: vec![Arc::new(KeySet::new(loaded.keys))], leeway: 60, ..Policy::default() }
}

fn signing_key() -> SigningKey {
    SigningKey::load(SECRET.as_bytes(), Wanted::default()).unwrap().0
}

/// A verified token with these claims: members of a JSON object.
fn verified(claims: &str) -> Verified {
    let json = format!("{{{claims}}}");
    let claims = token::json::Document::parse(json.into_bytes()).unwrap();
    let token = signing_key().sign(&Members::of(claims.root()).unwrap()).unwrap();
    policy(SECRET).check(token.as_bytes(), NOW).unwrap()
}

fn ask(token: &Verified, uri: &str, renews: bool) -> Result<Option<Renewal>, Refusal> {
    let asked = Asked { uri: uri.as_bytes(), carriers: &[], renews };
    cdni::check(token, asked, &Patterns::default(), NOW)
}

/// What is said of a token with these claims, for a URI that it covers.
fn said(claims: &str) -> String {
    let claims = format!(r#""cdniuc":"regex:http://h/.*",{claims}"#);
    let claims = claims.trim_end_matches(',');
    match ask(&verified(claims), "http://h/a/b", true) {
        Ok(_) => "ok".to_owned(),
        Err(refusal) => refusal.sentence().to_string(),
    }
}

/// RFC 9246 appendix A.
mod rfc {
    use super::*;

    const KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"be807S4O7dzB6I4hTiCUvmxCI6FuxWba1xYBlLSSsZ8","y":"rOGC4vI69g-WF9AGEVI37sNNwbjIzBxSjLvIL7f3RBA","kid":"P5UpOv0eMq1wcxLf7WxIg09JdSYGYFDOWkldueaImf0"}"#;
    const EXP: i64 = 1_646_867_369;
    const SIMPLE: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6IlA1VXBPdjBlTXExd2N4TGY3V3hJZzA5SmRTWUdZRkRPV2tsZHVlYUltZjAifQ.eyJleHAiOjE2NDY4NjczNjksImlzcyI6InVDRE4gSW5jIiwiY2RuaXVjIjoiaGFzaDpzaGEtMjU2OzJ0ZGVyZldQYTg2S3U3WW56VzUxWVVwN2RHVWpCU18zU1czRUx4NGhtV1kifQ.TaNlJM3D96i_9J9XvlICO6FUIDFTqt3E2YJkEUOLfcH0b89wYRKTbJ9Yj6h_GRgSoZoQO0cps3yUPcWGK3smCw";
    const RENEWED: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6IlA1VXBPdjBlTXExd2N4TGY3V3hJZzA5SmRTWUdZRkRPV2tsZHVlYUltZjAifQ.eyJjZG5pZXRzIjozMCwiY2RuaXN0dCI6MSwiY2RuaXN0ZCI6MiwiZXhwIjoxNjQ2ODY3MzY5LCJjZG5pdWMiOiJyZWdleDpodHRwOi8vY2RuaVxcLmV4YW1wbGUvZm9vL2Jhci9bMC05XXszfVxcLnRzIn0.tlPvoKw3BCClw4Lx9PQu7MK6b2IN55ZoCPSaxovGK0zS53Wpb1MbJBow7G8LiGR39h6-2Iq7PWUSr3MdTIzHYw";

    /// The decision on a URI with `TOKEN` in place of the token.
    fn ask(token: &str, uri: &str, now: i64) -> Result<Option<Renewal>, Refusal> {
        let verified = policy(KEY).check(token.as_bytes(), now)?;
        let uri = uri.replace("TOKEN", token);
        let carriers = [Carrier::Argument(PACKAGE.as_bytes()), Carrier::Token(token.as_bytes())];
        let asked = Asked { uri: uri.as_bytes(), carriers: &carriers, renews: true };
        cdni::check(&verified, asked, &Patterns::default(), now)
    }

    #[test]
    fn a_1_simple() {
        for uri in [
            "http://cdni.example/foo/bar",
            "http://cdni.example/foo/bar?URISigningPackage=TOKEN",
            "http://cdni.example/foo/bar;URISigningPackage=TOKEN",
            "http://cdni.example/foo;URISigningPackage=TOKEN/bar",
            "HTTP://CDNI.example:80/%66oo/./x/../bar?URISigningPackage=TOKEN",
        ] {
            assert_eq!(ask(SIMPLE, uri, EXP - 1), Ok(None), "{uri}");
        }
        for uri in [
            "https://cdni.example/foo/bar",
            "http://cdni.example:8080/foo/bar",
            "http://cdni.example/foo/bar/",
            "http://cdni.example/foo/bar?",
            "http://cdni.example/foo/bar?x=1&URISigningPackage=TOKEN",
            "http://cdni.example/foo/baz?URISigningPackage=TOKEN",
            "http://cdni.example/foo%2Fbar",
        ] {
            let refusal = ask(SIMPLE, uri, EXP - 1).unwrap_err();
            assert!(refusal.to_string().starts_with("not_covered: cdniuc does not"), "{refusal}");
        }
        let late = ask(SIMPLE, "http://cdni.example/foo/bar", EXP).unwrap_err();
        assert_eq!(late.sentence().to_string(), "expired 0s ago");
    }

    #[test]
    fn a_2_signed_token_renewal() {
        let uri = "http://cdni.example/foo/bar/123.ts?URISigningPackage=TOKEN";
        let renewal = ask(RENEWED, uri, EXP - 1).unwrap().unwrap();
        assert_eq!(renewal.transport, Transport::Cookie);
        let verified = policy(KEY).check(RENEWED.as_bytes(), EXP - 1).unwrap();
        let claims = renewal.claims(&verified, EXP - 1).to_string();
        let want = r#"{"cdniets":30,"cdnistt":1,"cdnistd":2,"exp":1646867398,"cdniuc":"regex:http://cdni\\.example/foo/bar/[0-9]{3}\\.ts"}"#;
        assert_eq!(claims, want);
        let cookie = renewal.cookie(PACKAGE, "e.e.A").unwrap();
        assert_eq!(cookie, "URISigningPackage=e.e.A; Path=/foo/bar; Max-Age=30; Secure; HttpOnly");
        for uri in ["http://cdni.example/foo/bar/1234.ts", "http://cdni-example/foo/bar/123.ts"] {
            assert!(ask(RENEWED, uri, EXP - 1).is_err(), "{uri}");
        }
    }
}

#[test]
fn every_claim_is_read_strictly() {
    for (claims, want) in [
        ("", "ok"),
        (r#""iss":"me","aud":"cdn","iat":1,"nbf":1,"other":{"a":[]}"#, "ok"),
        // Times have no leeway, though the policy has one.
        (r#""exp":1800000001"#, "ok"),
        (r#""exp":1800000000"#, "expired 0s ago"),
        (r#""exp":1799999990"#, "expired 10s ago"),
        (r#""nbf":1800000000"#, "ok"),
        (r#""nbf":1800000010"#, "not_yet_valid for 10s"),
        (r#""cdniv":1"#, "ok"),
        (r#""cdniv":1.0"#, "ok"),
        (r#""cdniv":2"#, "malformed: cdniv is not 1, the only version that is known"),
        (r#""cdniv":1.5"#, "malformed: cdniv is not 1, the only version that is known"),
        (r#""cdniv":-1"#, "malformed: cdniv is not 1, the only version that is known"),
        (r#""cdniv":"1""#, "malformed: cdniv is a string"),
        (r#""cdniv":null"#, "malformed: cdniv is null"),
        (r#""cdnicrit":"exp,cdniuc","exp":1800000001"#, "ok"),
        (
            r#""cdnicrit":"exp""#,
            "malformed: cdnicrit names a claim twice, or one that is not there",
        ),
        (
            r#""cdnicrit":"cdniuc,cdniuc""#,
            "malformed: cdnicrit names a claim twice, or one that is not there",
        ),
        (r#""cdnicrit":"x","x":1"#, "malformed: cdnicrit names a claim that is not understood"),
        (
            r#""cdnicrit":"cdniuc,x","x":1"#,
            "malformed: cdnicrit names a claim that is not understood",
        ),
        (
            r#""cdnicrit":"cdniuc, exp","exp":1800000001"#,
            "malformed: cdnicrit names a claim that is not understood",
        ),
        (r#""cdnicrit":"cdniuc,""#, "malformed: cdnicrit names a claim that is not understood"),
        (
            r#""cdnicrit":"cdniip","cdniip":"x""#,
            "malformed: cdnicrit names a claim that is not understood",
        ),
        (r#""cdnicrit":"""#, "malformed: cdnicrit is an empty string"),
        (r#""cdnicrit":["exp"]"#, "malformed: cdnicrit is an array"),
        (r#""cdnicrit":null"#, "malformed: cdnicrit is null"),
        (
            r#""cdniip":"192.0.2.1""#,
            "denied: cdniip is not supported together with jwt_uri_signing",
        ),
        (r#""sub":"me""#, "denied: sub is not supported together with jwt_uri_signing"),
        (r#""jti":"1""#, "denied: jti is not supported together with jwt_uri_signing"),
        (r#""sub":null,"jti":null,"cdniip":null"#, "ok"),
        (r#""cdnistt":0"#, "ok"),
        (r#""cdnistt":1,"cdniets":1"#, "ok"),
        (r#""cdnistt":2,"cdniets":60,"cdnistd":0"#, "ok"),
        (r#""cdnistt":3,"cdniets":60"#, "malformed: cdnistt is 3, which is unknown"),
        (r#""cdnistt":-1"#, "malformed: cdnistt is no whole number, or below 0"),
        (r#""cdnistt":"1""#, "malformed: cdnistt is a string"),
        (r#""cdnistt":true"#, "malformed: cdnistt is a boolean"),
        (r#""cdnistt":1"#, "malformed: cdnistt asks for renewal, but cdniets is missing"),
        (r#""cdnistt":1,"cdniets":0"#, "malformed: cdniets is not between a second and ten years"),
        (
            r#""cdnistt":1,"cdniets":316224001"#,
            "malformed: cdniets is not between a second and ten years",
        ),
        (r#""cdnistt":1,"cdniets":1e300"#, "malformed: cdniets is no whole number, or below 0"),
        (r#""cdnistt":1,"cdniets":1.5"#, "malformed: cdniets is no whole number, or below 0"),
        (r#""cdniets":"1""#, "malformed: cdniets is a string"),
        (r#""cdnistd":-1"#, "malformed: cdnistd is no whole number, or below 0"),
        (r#""cdnistd":{}"#, "malformed: cdnistd is an object"),
    ] {
        assert_eq!(said(claims), want, "{claims}");
    }
}

#[test]
fn a_container_is_required_and_of_a_known_form() {
    let digest = "2tderfWPa86Ku7YnzW51YUp7dGUjBS_3SW3ELx4hmWY";
    for (container, want) in [
        (None, "malformed: cdniuc is missing"),
        (Some(r#"null"#.to_owned()), "malformed: cdniuc is null"),
        (Some(r#"["regex:.*"]"#.to_owned()), "malformed: cdniuc is an array"),
        (Some(r#""""#.to_owned()), "malformed: cdniuc is \"\", neither hash: nor regex:"),
        (
            Some(r#""uri:http://h/""#.to_owned()),
            "malformed: cdniuc is \"uri:http://h/\", neither hash: nor regex:",
        ),
        (
            Some(r#""Regex:.*""#.to_owned()),
            "malformed: cdniuc is \"Regex:.*\", neither hash: nor regex:",
        ),
        (Some(format!(r#""hash:{digest}""#)), "malformed: cdniuc has a hash other than sha-256"),
        (
            Some(format!(r#""hash:sha-1;{digest}""#)),
            "malformed: cdniuc has a hash other than sha-256",
        ),
        (
            Some(format!(r#""hash:sha-256-128;{digest}""#)),
            "malformed: cdniuc has a hash other than sha-256",
        ),
        (
            Some(format!(r#""hash:sha-256;{digest}=""#)),
            "malformed: the hash in cdniuc is not 43 characters of base64url",
        ),
        (
            Some(format!(r#""hash:sha-256;{digest}?ct=x""#)),
            "malformed: the hash in cdniuc is not 43 characters of base64url",
        ),
        (
            Some(r#""hash:sha-256;""#.to_owned()),
            "malformed: the hash in cdniuc is not 43 characters of base64url",
        ),
        (
            Some(r#""regex:""#.to_owned()),
            "not_covered: cdniuc does not cover the URI, which begins with \"http://h/\"",
        ),
        (
            Some(r#""regex:(""#.to_owned()),
            "malformed: cdniuc: the pattern has parentheses or brackets that do not fit together",
        ),
    ] {
        let claims = container.map(|it| format!(r#""cdniuc":{it}"#)).unwrap_or_default();
        let refusal = ask(&verified(&claims), "http://h/a", false).unwrap_err();
        assert_eq!(refusal.sentence().to_string(), want, "{claims}");
    }
}

#[test]
fn no_spelling_of_a_uri_opens_another_path() {
    let token = verified(r#""cdniuc":"regex:http://h/pub/[^/]*""#);
    for uri in
        ["http://h/pub/x", "http://h/pub/", "http://h/%70ub/%2e%2e/pub/x", "http://h/pub/%2fx"]
    {
        assert_eq!(ask(&token, uri, false), Ok(None), "{uri}");
    }
    for uri in [
        "http://h/pub/x?a/b",
        "http://h/pub/../secret",
        "http://h/pub/%2e%2e/secret",
        "http://h/pub/..%2fsecret",
        "http://h/pub/..%5csecret",
        "http://h/pub/..;/secret",
        "http://h/pub/..;x",
        "http://h/pub//../secret",
        "http://h/pub/x%2Fy",
        "http://h//pub/x",
        "http://h/pub/x%00",
        "http://h/PUB/x",
        "http://user@h/pub/x",
        "http://h:8080/pub/x",
        "https://h/pub/x",
        "http://h.evil/pub/x",
        "http://h/pub/x#y",
        "http://h/pub/%",
        "/pub/x",
        "",
    ] {
        let reason = ask(&token, uri, false).map_err(|refusal| refusal.reason);
        assert_eq!(reason, Err(token::Reject::NotCovered), "{uri}");
    }
}

#[test]
fn the_next_token_is_the_same_but_for_its_times() {
    let renewal = |claims: &str, uri: &str| {
        let token = verified(&format!(r#""cdniuc":"regex:.*",{claims}"#));
        let renewal = ask(&token, uri, true).unwrap();
        renewal.map(|it| (it.transport, it.cookie("c", "T"), it.claims(&token, NOW).to_string()))
    };
    let cookie =
        |path: &str, age: u32| Some(format!("c=T; Path={path}; Max-Age={age}; Secure; HttpOnly"));
    let uri = "http://h/a/b/c";
    // No exp becomes one; iat is that of the new token.
    let (transport, text, claims) = renewal(r#""cdnistt":1,"cdniets":60"#, uri).unwrap();
    assert_eq!((transport, text), (Transport::Cookie, cookie("/", 60)));
    assert_eq!(claims, r#"{"cdniuc":"regex:.*","cdnistt":1,"cdniets":60,"exp":1800000060}"#);
    let all = r#""iss":"i","aud":["a"],"iat":5,"nbf":6.5,"big":12345678901234567890,"cdnistt":2,"cdniets":1,"cdnistd":2,"exp":1900000000"#;
    let (transport, text, claims) = renewal(all, uri).unwrap();
    assert_eq!((transport, text), (Transport::Query, cookie("/a/b", 1)));
    let want = all.replace(r#""iat":5"#, r#""iat":1800000000"#).replace("1900000000", "1800000001");
    assert_eq!(claims, format!(r#"{{"cdniuc":"regex:.*",{want}}}"#));
    // A path that is too short, or that no cookie can have.
    let deep = r#""cdnistt":1,"cdniets":60,"cdnistd":3"#;
    assert_eq!(renewal(deep, uri).unwrap().1, cookie("/a/b/c", 60));
    assert_eq!(renewal(deep, "http://h/a/b"), None);
    assert_eq!(renewal(deep, "http://h/a/b;c/d"), None);
    assert_eq!(renewal(r#""cdnistt":0,"cdniets":60"#, uri), None);
    assert_eq!(renewal(r#""cdniets":60"#, uri), None);

    // Signed by the key that is given, and accepted again.
    let token = verified(&format!(r#""cdniuc":"regex:.*",{all}"#));
    let renewal = ask(&token, uri, true).unwrap().unwrap();
    let next = renewal.sign(&token, &signing_key(), NOW).unwrap();
    let next = policy(SECRET).check(next.as_bytes(), NOW).unwrap();
    assert!(ask(&next, uri, true).unwrap().is_some());
    assert_eq!(renewal.cookie("c", &"x".repeat(MAX_COOKIE)), None);

    let refused = ask(&token, uri, false).unwrap_err();
    let want = "denied: cdnistt asks for renewal, and no jwt_sign_key is in force here";
    assert_eq!(refused.sentence().to_string(), want);
}
