//! What tokens say of their status, and the refusals.

use serde_json::{Value, json};
use token::status::{StatusRef, StatusTable};
use token::{Refusal, Reject, Verified};

use crate::{NOW, URI, claims, header, inflated, policy, signed, written};

fn token(payload: &str) -> Verified {
    let token = signed(&json!({"alg": "HS256", "kid": "k"}), payload);
    policy().check(token.as_bytes(), NOW).unwrap()
}

#[test]
fn every_reference_is_read_or_refused() {
    let max = u64::MAX.to_string();
    let idx =
        |value: &str| format!(r#"{{"status":{{"status_list":{{"uri":"{URI}","idx":{value}}}}}}}"#);
    for (payload, want) in [
        (r"{}".to_owned(), Ok(None)),
        (r#"{"status":null}"#.to_owned(), Ok(None)),
        (r#"{"status":{}}"#.to_owned(), Ok(None)),
        (r#"{"status":{"other":1}}"#.to_owned(), Ok(None)),
        (r#"{"status":{"status_list":null}}"#.to_owned(), Ok(None)),
        (r#"{"status_list":{"idx":1}}"#.to_owned(), Ok(None)),
        (idx("0"), Ok(Some(0))),
        (idx("1.0"), Ok(Some(1))),
        (idx("1e3"), Ok(Some(1000))),
        (idx("-0"), Ok(Some(0))),
        (idx(&max), Ok(Some(u64::MAX))),
        (idx("18446744073709551616"), Err("status.status_list.idx is too large")),
        (idx("1e300"), Err("status.status_list.idx is too large")),
        (idx("-1"), Err("status.status_list.idx is negative")),
        (idx("-0.5"), Err("status.status_list.idx is negative")),
        (idx("1.5"), Err("status.status_list.idx is no integer")),
        (idx("\"1\""), Err("status.status_list.idx is a string")),
        (idx("null"), Err("status.status_list.idx is null")),
        (idx("true"), Err("status.status_list.idx is a boolean")),
        (idx("[1]"), Err("status.status_list.idx is an array")),
        (r#"{"status":"x"}"#.to_owned(), Err("status is a string")),
        (r#"{"status":[]}"#.to_owned(), Err("status is an array")),
        (r#"{"status":0}"#.to_owned(), Err("status is a number")),
        (r#"{"status":false}"#.to_owned(), Err("status is a boolean")),
        (r#"{"status":{"status_list":1}}"#.to_owned(), Err("status.status_list is a number")),
        (r#"{"status":{"status_list":[]}}"#.to_owned(), Err("status.status_list is an array")),
        (r#"{"status":{"status_list":{}}}"#.to_owned(), Err("status.status_list.uri is missing")),
        (
            r#"{"status":{"status_list":{"uri":"a"}}}"#.to_owned(),
            Err("status.status_list.idx is missing"),
        ),
    ] {
        let token = token(&payload);
        let read = StatusRef::of(&token);
        match (read, want) {
            (Ok(read), Ok(want)) => {
                assert_eq!(read.map(|it| it.index), want, "{payload}");
                assert!(read.is_none_or(|it| it.uri == URI));
            }
            (Err(refusal), Err(want)) => {
                assert_eq!(refusal.to_string(), format!("bad_status: {want}, kid \"k\""));
            }
            (read, _) => panic!("{payload}: {read:?}"),
        }
    }
}

#[test]
fn a_uri_is_a_string_without_strange_characters() {
    let of = |uri: Value| {
        let payload = json!({"status": {"status_list": {"uri": uri, "idx": 1}}}).to_string();
        StatusRef::of(&token(&payload)).map(|it| it.unwrap().uri.len())
    };
    for good in [URI, "a", "https://[::1]:8/a?b=%20#c!$&'()*+,;=~"] {
        assert_eq!(of(good.into()), Ok(good.len()), "{good}");
    }
    for bad in
        ["a b", " a", "a\r\nHost: b", "a\0", "\u{e9}", "<a>", "a\"b", "a\\b", "{a}", "a|b", "`"]
    {
        let refusal = of(bad.into()).unwrap_err().to_string();
        assert!(refusal.ends_with(", no URI, kid \"k\""), "{refusal}");
        assert!(refusal.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{refusal}");
    }
    for (bad, kind) in [
        (json!(""), "an empty string"),
        (json!(null), "null"),
        (json!(1), "a number"),
        (json!([URI]), "an array"),
        (json!({}), "an object"),
    ] {
        let want = format!("bad_status: status.status_list.uri is {kind}, kid \"k\"");
        assert_eq!(of(bad).unwrap_err().to_string(), want);
    }
}

#[test]
fn the_judgement_and_its_words() {
    // Statuses 0, 1, 2, 3 in 2 bits.
    let mut list = inflated(&signed(&header(), &claims(2, &[0b1110_0100]).to_string())).unwrap();
    let memory = written(&mut list);
    let table = StatusTable::read(&memory).unwrap();
    let judge = |index: u64| -> Result<(), Refusal> {
        let status = json!({"status": {"status_list": {"uri": URI, "idx": index}}});
        let token = token(&status.to_string());
        StatusRef::of(&token).unwrap().unwrap().check(&token, &table)
    };
    assert_eq!(judge(0), Ok(()));
    for (index, reason, want) in [
        (1, Reject::Revoked, format!("revoked: by the status list {URI:?}")),
        (2, Reject::Suspended, format!("suspended: by the status list {URI:?}")),
        (3, Reject::BadStatus, format!("bad_status: value 3 in the status list {URI:?}")),
        (4, Reject::BadStatus, format!("bad_status: index 4 is beyond the 4 entries of {URI:?}")),
        (
            u64::MAX,
            Reject::BadStatus,
            format!("bad_status: index {} is beyond the 4 entries of {URI:?}", u64::MAX),
        ),
    ] {
        let refusal = judge(index).unwrap_err();
        assert_eq!((refusal.reason, refusal.to_string()), (reason, format!("{want}, kid \"k\"")));
    }
    let uri = "a".repeat(500);
    let status = json!({"status": {"status_list": {"uri": uri, "idx": 0}}}).to_string();
    let token = token(&status);
    let of = StatusRef::of(&token).unwrap().unwrap();
    let short = format!("\"{}...\"", "a".repeat(159));
    for (refusal, reason, want) in [
        (
            of.uncovered(&token),
            Reject::BadStatus,
            format!("bad_status: no jwt_status_list covers {short}"),
        ),
        (
            of.without_list(&token),
            Reject::NoList,
            format!("no_list: the status list {short} is not there"),
        ),
        (
            StatusRef::required(&token),
            Reject::BadStatus,
            "bad_status: the token has no status".to_owned(),
        ),
    ] {
        assert_eq!((refusal.reason, refusal.to_string()), (reason, format!("{want}, kid \"k\"")));
    }
}
