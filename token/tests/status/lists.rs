//! Which Status List Tokens are accepted.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Value, json};
use token::base64url::encode;
use token::status::{MAX_LIST_LEN, StatusList, StatusListError};
use token::{
    Algorithm, AlgorithmSet, Key, KeySet, LiveInputs, LivePolicy, LocationPolicy, Policy, Reject,
    Requirements,
};

use crate::{NOW, SECRET, URI, claims, header, inflated, open, policy, signed};

fn said(token: &str) -> String {
    match open(token) {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// What is said of a list where one member is another; `None` removes it.
fn with_claim(name: &str, value: Option<Value>) -> String {
    let mut claims = claims(1, b"\x01");
    let (of, name) = match name.split_once('.') {
        Some((of, name)) => (&mut claims[of], name),
        None => (&mut claims, name),
    };
    let members = of.as_object_mut().unwrap();
    drop(match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    });
    said(&signed(&header(), &claims.to_string()))
}

#[test]
fn every_claim_is_checked() {
    assert_eq!(with_claim("iat", Some(NOW.into())), "ok");
    let other = "sub is \"https://issuer.example/lists/2\", not the list's uri \
                 \"https://issuer.example/lists/1\"";
    let bits = |value: &str| format!("status_list.bits is {value}, none of 1, 2, 4 and 8");
    for (claim, value, want) in [
        ("sub", None, "sub is missing"),
        ("sub", Some(json!(null)), "sub is null"),
        ("sub", Some(json!(1)), "sub is a number"),
        ("sub", Some(json!([URI])), "sub is an array"),
        ("sub", Some(json!("https://issuer.example/lists/2")), other),
        ("iat", None, "iat is missing"),
        ("iat", Some(json!(null)), "iat is missing"),
        ("iat", Some(json!("1")), "iat is a string"),
        ("iat", Some(json!(NOW + 1)), "iat is 1s in the future"),
        ("iat", Some(json!(1e300)), "iat is 9223372035054775807s in the future"),
        ("iat", Some(json!(-1)), "ok"),
        ("exp", Some(json!(NOW + 1)), "ok"),
        ("exp", Some(json!(NOW)), "it expired 0s ago"),
        ("exp", Some(json!(NOW - 60)), "it expired 60s ago"),
        ("exp", Some(json!(null)), "exp is null"),
        ("exp", Some(json!("1")), "exp is a string"),
        ("nbf", Some(json!(NOW + 9)), "nbf is 9s in the future"),
        ("ttl", Some(json!(1)), "ok"),
        ("ttl", Some(json!(0)), "ttl is not positive"),
        ("ttl", Some(json!(-1)), "ttl is not positive"),
        ("ttl", Some(json!("60")), "ttl is a string"),
        ("ttl", Some(json!(null)), "ttl is null"),
        ("status_list", None, "status_list is missing"),
        ("status_list", Some(json!(null)), "status_list is null"),
        ("status_list", Some(json!("eNrbuRgAAhcBXQ")), "status_list is a string"),
        ("status_list", Some(json!([1])), "status_list is an array"),
        ("status_list.bits", None, "status_list.bits is missing"),
        ("status_list.bits", Some(json!("1")), "status_list.bits is a string"),
        ("status_list.bits", Some(json!(null)), "status_list.bits is null"),
        ("status_list.bits", Some(json!(1.0)), "ok"),
        ("status_list.bits", Some(json!(0)), &bits("0")),
        ("status_list.bits", Some(json!(3)), &bits("3")),
        ("status_list.bits", Some(json!(16)), &bits("16")),
        ("status_list.bits", Some(json!(-1)), &bits("-1")),
        ("status_list.bits", Some(json!(1.5)), &bits("1.5")),
        ("status_list.lst", None, "status_list.lst is missing"),
        ("status_list.lst", Some(json!(1)), "status_list.lst is a number"),
        ("status_list.lst", Some(json!("a+b/")), "status_list.lst is not base64url"),
        ("status_list.lst", Some(json!("eNoDAAAAAAE=")), "status_list.lst is not base64url"),
        ("status_list.lst", Some(json!(" eNoDAAAAAAE")), "status_list.lst is not base64url"),
        ("status_list.aggregation_uri", Some(json!(1)), "ok"),
        ("status_list.of_others", Some(json!({})), "ok"),
    ] {
        assert_eq!(with_claim(claim, value.clone()), want, "{claim} {value:?}");
    }
}

#[test]
fn the_type_is_that_of_a_list() {
    let of = |typ: Value| {
        let mut header = header();
        header["typ"] = typ;
        said(&signed(&header, &claims(1, b"").to_string()))
    };
    for good in ["statuslist+jwt", "StatusList+JWT", "application/statuslist+jwt"] {
        assert_eq!(of(good.into()), "ok", "{good}");
    }
    for bad in
        ["JWT", "at+jwt", "statuslist+cwt", "statuslist", "application/application/statuslist+jwt"]
    {
        assert_eq!(of(bad.into()), format!("typ is {bad:?}, not statuslist+jwt"));
    }
    assert_eq!(of("a\n\u{202e}".into()), r#"typ is "a\n\u{202e}", not statuslist+jwt"#);
    for none in [json!(null), json!("")] {
        assert_eq!(of(none), "typ is missing, not statuslist+jwt");
    }
    assert_eq!(of(json!(1)), "is no signed token: malformed: typ is a number, kid \"k\"");
}

#[test]
fn a_token_is_not_its_own_list() {
    let mut claims = claims(1, b"\x00");
    claims["status"] = json!({"status_list": {"uri": URI, "idx": 0}});
    claims["exp"] = json!(NOW + 60);
    let token = signed(&json!({"alg": "HS256", "typ": "JWT"}), &claims.to_string());
    assert!(policy().check(token.as_bytes(), NOW).is_ok());
    assert_eq!(said(&token), "typ is \"JWT\", not statuslist+jwt");
}

#[test]
fn a_list_is_no_credential_unless_its_type_is_asked_for() {
    let token = signed(&header(), &claims(1, b"").to_string());
    let refusal = policy().check(token.as_bytes(), NOW).unwrap_err();
    assert_eq!(refusal.to_string(), "bad_type: \"statuslist+jwt\" is not accepted, kid \"k\"");
    let mut other = header();
    other["typ"] = "Application/StatusList+JWT".into();
    let media_type = signed(&other, "{}");
    assert!(policy().check(media_type.as_bytes(), NOW).is_err());
    let of = |typ: &str| Requirements { types: [typ.into()].into(), ..Requirements::default() };
    let with = |typ| Policy { requirements: vec![of(typ)], ..policy() };
    assert!(with("statuslist+jwt").check(token.as_bytes(), NOW).is_ok());
    assert!(with("JWT").check(token.as_bytes(), NOW).is_err());
}

#[test]
fn the_form_and_the_signature_come_first() {
    let good = signed(&header(), &claims(1, b"").to_string());
    for (token, want) in [
        ("", "is no signed token: malformed: 1 section, where a signed token has 3"),
        ("<html>", "is no signed token: malformed: 1 section, where a signed token has 3"),
        (
            "{\"a\":1}",
            "is no signed token: malformed: JSON; a token is three sections, separated by dots",
        ),
        ("a.b.c", "is no signed token: malformed: the header is not base64url"),
    ] {
        assert_eq!(said(token), want);
    }
    assert_eq!(said(&format!("\n \t{good}\r\n")), "ok");
    let (front, _) = good.rsplit_once('.').unwrap();
    let forged = format!("{front}.{}", encode([0; 32]));
    let bad = "the signature does not hold: bad_signature, kid \"k\"";
    assert_eq!(said(&forged), bad);
    // Nothing of the payload is read before.
    let (front, _) = front.rsplit_once('.').unwrap();
    assert_eq!(said(&format!("{front}.{}.{}", encode("{"), encode([0; 32]))), bad);
    assert_eq!(
        said(&signed(&header(), "{")),
        "is no signed token: malformed: the payload is not strict JSON"
    );
    assert_eq!(said(&signed(&header(), "[]")), "the payload is no JSON object");
    assert_eq!(
        said(&signed(&header(), r#"{"sub":1,"sub":2}"#)),
        "is no signed token: malformed: the payload is not strict JSON"
    );
    let other = json!({"alg": "HS512", "typ": "statuslist+jwt", "kid": "k"});
    let want =
        "the signature does not hold: bad_algorithm: the token's key is not for HS512, kid \"k\"";
    assert_eq!(said(&signed(&other, "{}")), want);
    let none = json!({"alg": "none", "typ": "statuslist+jwt", "kid": "k"});
    let want =
        "the signature does not hold: bad_algorithm: alg is no algorithm known here, kid \"k\"";
    assert_eq!(said(&signed(&none, "{}")), want);
    let stranger = json!({"alg": "HS256", "typ": "statuslist+jwt", "kid": "s"});
    let want = "the signature does not hold: unknown_key: no key has the token's kid, kid \"s\"";
    assert_eq!(said(&signed(&stranger, "{}")), want);
    let mut critical = header();
    critical["crit"] = json!(["exp"]);
    let want =
        "is no signed token: malformed: crit asks for extensions; none is supported, kid \"k\"";
    assert_eq!(said(&signed(&critical, "{}")), want);
    let long = "a".repeat(MAX_LIST_LEN + 1);
    assert_eq!(said(&long), "is no signed token: malformed: longer than 8388608 bytes");
    // White space does not count, though it is cut off first.
    assert_eq!(said(&format!("{good}{}", " ".repeat(MAX_LIST_LEN))), "ok");
}

#[test]
fn what_a_policy_requires_of_tokens_it_does_not_require_of_lists() {
    let token = signed(&header(), &claims(1, b"").to_string());
    let strict = || Requirements {
        issuers: token::Issuers::new(["https://issuer.example"]).unwrap(),
        audiences: ["api".into()].into(),
        types: ["JWT".into()].into(),
        require_exp: true,
        max_lifetime: Some(1),
    };
    let policy = Policy { requirements: vec![strict()], ..policy() };
    let location = LocationPolicy { requirements: strict(), ..LocationPolicy::default() };
    let live = LiveInputs::default();
    let opened = StatusList::open(token.as_bytes(), URI, &policy, Some(&location), &live, NOW);
    assert!(opened.is_ok());
}

#[test]
fn keys_algorithms_leeway_and_padding_are_those_of_other_tokens() {
    let token = signed(&header(), &claims(1, b"").to_string());
    let open = |token: &str,
                policy: &Policy,
                location: Option<&LocationPolicy>,
                live: &LiveInputs,
                now| {
        StatusList::open(token.as_bytes(), URI, policy, location, live, now).map(drop)
    };
    let none = LiveInputs::default();
    let reason = |opened| match opened {
        Err(StatusListError::Signature(refusal)) => refusal.reason,
        other => panic!("{other:?}"),
    };
    // A key that was fetched is enough.
    let empty = Policy::default();
    assert_eq!(reason(open(&token, &empty, None, &none, NOW)), Reject::NoKeys);
    let key = Key::hmac(SECRET, AlgorithmSet::ALL).unwrap().with_kid(Some("k"));
    let keys = vec![Arc::new(KeySet::new(vec![key]))];
    let live = LiveInputs::from(Rc::new(LivePolicy { keys, ..LivePolicy::default() }));
    assert!(open(&token, &empty, None, &live, NOW).is_ok());
    // An algorithm must be accepted by both.
    let only = |algorithm| Some([algorithm].into_iter().collect::<AlgorithmSet>());
    let of = Policy { algorithms: only(Algorithm::ES256), ..policy() };
    assert_eq!(reason(open(&token, &of, None, &none, NOW)), Reject::BadAlgorithm);
    let location = LocationPolicy { algorithms: only(Algorithm::ES256), ..Default::default() };
    assert_eq!(reason(open(&token, &policy(), Some(&location), &none, NOW)), Reject::BadAlgorithm);
    // The location's leeway counts, else the policy's.
    let early = NOW - 30;
    let lax = Policy { leeway: 20, ..policy() };
    let strict = LocationPolicy { leeway: Some(0), ..Default::default() };
    assert!(open(&token, &lax, None, &none, early).is_ok());
    assert_eq!(open(&token, &lax, Some(&strict), &none, early), Err(StatusListError::Future(20)));
    let padded = {
        let message =
            format!("{}.{}==", encode(header().to_string()), encode(claims(1, b"").to_string()));
        let key = token::sign::PrivateKey::from_secret(SECRET).unwrap();
        format!("{message}.{}", encode(key.sign(Algorithm::HS256, message.as_bytes()).unwrap()))
    };
    let error = open(&padded, &policy(), None, &none, NOW).unwrap_err();
    assert!(error.to_string().contains("padded"), "{error}");
}

#[test]
fn no_message_has_a_part_of_the_list_or_the_signature() {
    let token = signed(&header(), &claims(1, b"secret").to_string());
    let (front, signature) = token.rsplit_once('.').unwrap();
    let (_, payload) = front.rsplit_once('.').unwrap();
    for broken in [format!("{token}A"), format!("{front}.AAAA{signature}"), format!("a.{token}")] {
        let said = inflated(&broken).unwrap_err().to_string();
        assert!(!said.contains(signature) && !said.contains(payload), "{said}");
        assert!(said.len() < 300 && !said.contains('\n'), "{said}");
    }
}
