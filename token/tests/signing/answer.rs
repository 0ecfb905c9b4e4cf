//! The members of an answer become tokens.

use serde_json::{Value, json};
use token::base64url;
use token::sign::{AnswerSigner, Json, SigningKey, Wanted};

use super::openssl_key;

const NOW: i64 = 1_800_000_000;

fn sign(answer: &str, claims: &[(Box<str>, Json)], full: bool) -> Result<(String, usize), String> {
    let pem = openssl_key("ed25519.pem");
    let wanted = Wanted { kid: Some("k"), ..Wanted::default() };
    let (key, _) = SigningKey::load(pem.as_bytes(), wanted).unwrap();
    let members: [Box<str>; 2] = ["a".into(), "b".into()];
    let signer =
        AnswerSigner { members: &members, full, key: &key, claims, lifetime: 60, now: NOW };
    let signed = signer.sign(answer.as_bytes().to_vec()).map_err(|error| error.to_string())?;
    Ok((String::from_utf8(signed.0).unwrap(), signed.1))
}

/// The payloads of the tokens in an answer.
fn payloads(text: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(text).unwrap();
    let tokens = ["a", "b"].into_iter().filter_map(|name| answer[name].as_str());
    let payload = |token: &str| base64url::decode(token.split('.').nth(1)?.as_bytes());
    tokens.filter_map(payload).map(|it| String::from_utf8(it).unwrap()).collect()
}

#[test]
fn what_is_there_stays_and_what_is_missing_is_added() {
    let claims = [("iss".into(), Json::string("https://x/")), ("n".into(), Json::integer(7))];
    let (text, count) = sign(r#"{"a":{"n":1.50,"jti":"j"},"c":[1.0]}"#, &claims, false).unwrap();
    assert_eq!(count, 1);
    assert!(text.ends_with(r#"","c":[1.0]}"#), "{text}");
    let want = r#"{"n":1.50,"jti":"j","iss":"https://x/","iat":1800000000,"exp":1800000060}"#;
    assert_eq!(payloads(&text), [want]);
}

#[test]
fn members_in_any_order_and_none_at_all() {
    let (text, count) =
        sign(r#"{"b":{"sub":"2"},"x":{"a":{}},"a":{"sub":"1"}}"#, &[], false).unwrap();
    assert_eq!(count, 2);
    assert!(text.contains(r#","x":{"a":{}},"a":"ey"#), "{text}");
    let payloads = payloads(&text);
    assert!(payloads[0].starts_with(r#"{"sub":"1""#) && payloads[1].starts_with(r#"{"sub":"2""#));
    for same in ["{}", " { \"c\" : 1.0 } ", r#"{"A":{},"a ":{}}"#] {
        assert_eq!(sign(same, &[], false).unwrap(), (same.to_owned(), 0));
    }
}

#[test]
fn null_is_missing_but_for_exp() {
    let (text, _) = sign(
        r#"{"a":{"iat":null,"jti":null,"iss":null,"nbf":null}}"#,
        &[("iss".into(), Json::string("x"))],
        false,
    )
    .unwrap();
    let payload: Value = serde_json::from_str(&payloads(&text)[0]).unwrap();
    assert_eq!(
        (&payload["iat"], &payload["iss"], &payload["nbf"]),
        (&json!(NOW), &json!("x"), &Value::Null)
    );
    assert_eq!(payload["jti"].as_str().map(str::len), Some(22));
    assert!(sign(r#"{"a":{"exp":null}}"#, &[], false).is_err());
}

#[test]
fn errors_name_the_member_and_no_value() {
    for (answer, message) in [
        ("", "the answer is no JSON that can be signed: "),
        ("[]", "the answer is JSON, but no object"),
        (r#"{"a":"secret"}"#, "member \"a\" is no object of claims"),
        (r#"{"a":{},"b":null}"#, "member \"b\" is no object of claims"),
        (r#"{"a":{"exp":"secret"}}"#, "member \"a\": exp is no number"),
        (r#"{"b":{"nbf":{}}}"#, "member \"b\": nbf is no number"),
        (r#"{"a":{"x":"secret","x":1}}"#, "the answer is no JSON that can be signed: "),
    ] {
        let error = sign(answer, &[], false).unwrap_err();
        assert!(error.starts_with(message) && !error.contains("secret"), "{answer}: {error}");
    }
}
