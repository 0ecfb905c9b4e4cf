//! Lists that other implementations have made; README.md says which.

use serde_json::Value;
use token::LiveInputs;
use token::status::{StatusList, StatusTable};

use crate::{claims, header, inflated, policy_of, signed, written};

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// Each status is what the table of the list's maker says; all others are 0.
fn has_statuses(table: &StatusTable<'_>, entries: u64, statuses: &Value) {
    assert_eq!(table.entries(), entries);
    let mut want = vec![0; usize::try_from(entries).unwrap()];
    for pair in statuses.as_array().unwrap() {
        want[usize::try_from(number(&pair[0])).unwrap()] = u8::try_from(number(&pair[1])).unwrap();
    }
    for (index, want) in (0..).zip(want) {
        assert_eq!(table.status_at(index), Some(want), "{index}");
    }
    assert_eq!(table.status_at(entries), None);
}

#[test]
fn the_lists_of_the_draft() {
    let draft: Value = serde_json::from_str(include_str!("draft.json")).unwrap();
    let lists = draft["lists"].as_array().unwrap();
    assert_eq!(lists.len(), 6);
    for one in lists {
        let mut payload = claims(number(&one["bits"]), b"");
        payload["status_list"]["lst"] = one["lst"].clone();
        let mut list = inflated(&signed(&header(), &payload.to_string())).unwrap();
        let memory = written(&mut list);
        let table = StatusTable::read(&memory).unwrap();
        has_statuses(&table, number(&one["entries"]), &one["statuses"]);
    }
}

#[test]
fn the_bytes_of_the_draft_s_examples() {
    // Sections 4.1: 0xB9 0xA3 and 0xC9 0x44 0xF9.
    for (bits, bytes, statuses) in [
        (1, &[0xb9, 0xa3][..], &[1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1][..]),
        (2, &[0xc9, 0x44, 0xf9], &[1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]),
    ] {
        let mut list = inflated(&signed(&header(), &claims(bits, bytes).to_string())).unwrap();
        let memory = written(&mut list);
        let table = StatusTable::read(&memory).unwrap();
        let read: Vec<u8> = (0..table.entries()).filter_map(|at| table.status_at(at)).collect();
        assert_eq!(read, statuses);
    }
}

#[test]
fn the_token_of_the_draft() {
    let draft: Value = serde_json::from_str(include_str!("draft.json")).unwrap();
    let policy = policy_of(&draft["key"].to_string());
    let token = format!(" {}\r\n", draft["token"].as_str().unwrap());
    let uri = "https://example.com/statuslists/1";
    let open = |now, uri| {
        let live = LiveInputs::default();
        StatusList::open(token.as_bytes(), uri, &policy, None, &live, now)
    };
    let mut list = open(1_700_000_000, uri).unwrap();
    assert_eq!((list.entries(), list.words()), (None, 0));
    while list.inflate().unwrap() {}
    assert_eq!((list.entries(), list.words()), (Some(16), 9));
    assert_eq!(list.issued_at(), 1_686_920_170);
    assert_eq!((list.expires(), list.ttl()), (Some(2_291_720_170), Some(43_200)));
    let memory = written(&mut list);
    let table = StatusTable::read(&memory).unwrap();
    assert_eq!((table.status_at(0), table.status_at(1)), (Some(1), Some(0)));
    assert_eq!(table.issued_at(), 1_686_920_170);
    assert_eq!((table.expires(), table.ttl()), (Some(2_291_720_170), Some(43_200)));
    assert_eq!(open(2_291_720_170, uri).unwrap_err().to_string(), "it expired 0s ago");
    assert!(open(1_700_000_000, "https://example.com/statuslists/10").is_err());
}

#[test]
fn the_lists_of_a_python_package() {
    let made: Value = serde_json::from_str(include_str!("token_status_list.json")).unwrap();
    let keys = [
        ("p256", include_str!("../../../tests/keys/p256.jwk.json")),
        ("ed25519", include_str!("../../../tests/keys/ed25519.jwk.json")),
    ];
    let keys = keys.map(|(kid, jwk)| {
        let mut jwk: Value = serde_json::from_str(jwk).unwrap();
        jwk["kid"] = kid.into();
        jwk
    });
    let policy = policy_of(&serde_json::json!({"keys": keys}).to_string());
    assert_eq!(made.as_array().unwrap().len(), 4);
    for one in made.as_array().unwrap() {
        let (token, uri) = (one["token"].as_str().unwrap(), one["sub"].as_str().unwrap());
        let live = LiveInputs::default();
        let list = StatusList::open(token.as_bytes(), uri, &policy, None, &live, crate::NOW);
        let mut list = list.unwrap();
        while list.inflate().unwrap() {}
        assert_eq!(list.expires(), one["exp"].as_i64());
        assert_eq!(list.ttl(), one["ttl"].as_i64());
        let memory = written(&mut list);
        let table = StatusTable::read(&memory).unwrap();
        has_statuses(&table, number(&one["entries"]), &one["statuses"]);
    }
}
