//! `status-list` makes lists that the core reads.

use std::sync::Arc;

use token::status::{StatusList, StatusRef, StatusTable};
use token::{KeySet, LiveInputs, Policy, load_keys};

use crate::{Made, failed, printed};

const URI: &str = "https://issuer.example/lists/1";

fn policy(made: &Made) -> Policy {
    let keys = load_keys(made.text("jwks.json").as_bytes(), None).unwrap().keys;
    Policy { keys: vec![Arc::new(KeySet::new(keys))], ..Policy::default() }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs().try_into().unwrap()
}

fn opened(token: &str, policy: &Policy) -> StatusList {
    let live = LiveInputs::default();
    let mut list = StatusList::open(token.as_bytes(), URI, policy, None, &live, now()).unwrap();
    while list.inflate().unwrap() {}
    list
}

#[test]
fn what_is_set_is_read_and_judges_tokens() {
    let made = Made::new("ES256", &["--kid", "a"]);
    let (policy, key) = (policy(&made), made.name("jwk.json"));
    for (bits, sets, statuses) in [
        ("1", &["5", "999=1", "7=0"][..], &[(5, 1), (999, 1)][..]),
        ("2", &["0=3", "1=1", "999=2"], &[(0, 3), (1, 1), (999, 2)]),
        ("4", &["0=15", "998=2"], &[(0, 15), (998, 2)]),
        ("8", &["0=255", "999"], &[(0, 255), (999, 1)]),
    ] {
        let mut words = vec!["status-list", "--key", &key, "--sub", URI, "--bits", bits];
        words.extend(["--size", "1000", "--ttl", "1m", "--exp", "1h", "--iat", "-5s"]);
        words.extend(sets.iter().flat_map(|set| ["--set", set]));
        let token = printed(&words);
        let mut list = opened(&token, &policy);
        assert_eq!(list.ttl(), Some(60));
        assert_eq!(list.expires(), Some(list.issued_at() + 3605));
        let memory: Vec<_> = (0..list.words()).map(|_| 0.into()).collect();
        while list.write(&memory) {}
        let table = StatusTable::read(&memory).unwrap();
        assert_eq!(table.entries(), 1000);
        for index in 0..1000 {
            let set = statuses.iter().find(|(at, _)| *at == index);
            assert_eq!(table.status_at(index), Some(set.map_or(0, |(_, value)| *value)));
        }
        let (revoked, _) = statuses.iter().find(|(_, value)| *value == 1).unwrap_or(&(0, 0));
        let claim = format!(r#"status={{"status_list":{{"uri":"{URI}","idx":{revoked}}}}}"#);
        let token = printed(&["jwt", "--key", &key, "--claim", &claim]);
        let verified = policy.check(token.as_bytes(), now()).unwrap();
        let status = StatusRef::of(&verified).unwrap().unwrap();
        assert!(status.check(&verified, &table).is_err());
    }
}

#[test]
fn the_usual_list_has_a_bit_for_each_of_a_million() {
    let made = Made::new("EdDSA", &["--kid", "a"]);
    let token = printed(&["status-list", "--key", &made.name("jwk.json"), "--sub", URI]);
    let list = opened(&token, &policy(&made));
    assert_eq!((list.entries(), list.ttl(), list.expires()), (Some(1 << 20), None, None));
    assert!(token.len() < 1000, "{}", token.len());
}

#[test]
fn what_no_list_can_have_is_refused() {
    let with = |more: &[&str]| {
        let all = ["status-list", "--secret=s", "--sub", URI, "--size", "100"];
        failed(&all.iter().chain(more).copied().collect::<Vec<_>>())
    };
    for (more, want) in [
        (&["--set", "100"][..], "--set 100: --size 100 has 0 to 99"),
        (&["--set", "1=2"], "--set 1=2: --bits 1 has room for 0 to 1"),
        (&["--set", "1=256"], "want INDEX or INDEX=VALUE"),
        (&["--set", "-1"], "unexpected argument"),
        (&["--set=x"], "want INDEX or INDEX=VALUE"),
        (&["--set", "1", "--set", "1=0"], "--set 1 is given twice"),
        (&["--bits", "3"], "want 1, 2, 4 or 8"),
        (&["--ttl", "0"], "--ttl is 0"),
        (&["--ttl", "-1s"], ""),
    ] {
        let said = with(more);
        assert!(said.contains(want), "{more:?}: {said}");
    }
    let size = ["status-list", "--secret=s", "--sub", URI, "--size", "18446744073709551615"];
    assert!(failed(&size).contains("at most 134217728 statuses"));
    assert!(failed(&["status-list", "--sub", URI]).contains("what signs?"));
    assert!(failed(&["status-list", "--secret=s"]).contains("--sub"));
}
