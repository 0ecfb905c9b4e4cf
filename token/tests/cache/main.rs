//! A judgement with the cache gives the same result as without it, whatever the cache contains.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod events;
mod locations;
#[path = "../common/property.rs"]
mod property;
mod standing;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use token::base64url::encode;
use token::{
    Algorithm, AlgorithmSet, Cache, ClaimPath, Headers, Issuers, Key, KeySet, LiveInputs,
    LivePolicy, LocationPolicy, Policy, Providers, Refusal, Reject, Requirements, Revocation,
    RevokedList, Steady, Trust, Verified, Wanted, With,
};

const NOW: i64 = 1_800_000_000;
const ROOMY: usize = 1 << 20;

fn sign(secret: &str, header: &str, payload: &str) -> Vec<u8> {
    let message = format!("{}.{}", encode(header), encode(payload));
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&message);
    format!("{message}.{}", encode(mac.finalize().into_bytes())).into_bytes()
}

/// A token of `payload`, signed with the secret of kid `a`.
fn token(payload: &str) -> Vec<u8> {
    sign("a", r#"{"alg":"HS256","kid":"a"}"#, payload)
}

/// A key whose secret is its kid.
fn key(kid: &str) -> Key {
    Key::hmac(kid.as_bytes(), AlgorithmSet::ALL).unwrap().with_kid(Some(kid))
}

fn set(keys: Vec<Key>) -> Arc<KeySet> {
    Arc::new(KeySet::new(keys))
}

fn of_keys(keys: Vec<Arc<KeySet>>) -> Trust {
    Trust::Keys(Policy { keys, ..Policy::default() })
}

fn issuer(issuer: &str, keys: Vec<Arc<KeySet>>) -> Policy {
    let requirements =
        Requirements { issuers: Issuers::new([issuer]).unwrap(), ..Requirements::default() };
    Policy { keys, requirements: vec![requirements], ..Policy::default() }
}

fn providers(first: Policy, second: Policy) -> Trust {
    at_location(first, second, LocationPolicy::default())
}

/// Two providers, with what a location requires in addition.
fn at_location(first: Policy, second: Policy, location: LocationPolicy) -> Trust {
    Trust::Providers(Arc::new(Providers::new([first, second]).unwrap()), location)
}

fn revoked(list: &str) -> Arc<Revocation> {
    let list = RevokedList::parse(list.as_bytes().to_vec()).unwrap();
    Arc::new(Revocation::new(ClaimPath::new("jti").unwrap(), list))
}

thread_local! {
    /// What a worker has beside its cache.
    static HEADERS: Headers = Headers::default();
}

/// Judges with `cache`, and asserts that the result is the same without it, and that the keys in force are asked
/// for in the same cases: a token that is refused before may be nobody's.
fn judge_live(
    trust: &Trust,
    cache: &Cache,
    token: &[u8],
    now: i64,
    live: impl Fn(Wanted<'_>) -> LiveInputs,
) -> Result<usize, Reject> {
    let told = |judged: Result<Verified, Refusal>| {
        let said =
            |it: Verified| (it.header.text().to_owned(), it.payload.text().to_owned(), it.provider);
        judged.map(said)
    };
    let asked = Cell::new(false);
    let live = |wanted: Wanted<'_>| {
        asked.set(true);
        live(wanted)
    };
    let cached = HEADERS.with(|headers| {
        let with = With { cache: Some(cache), headers: Some(headers), ..With::default() };
        (told(trust.check_with(token, now, live, with)), asked.take())
    });
    assert_eq!(cached, (told(trust.check(token, now, live)), asked.take()));
    let (cached, _) = cached;
    cached.map(|(_, _, provider)| provider).map_err(|refusal| refusal.reason)
}

/// [`judge_live`] without anything that changes. If a former verdict still stands, it is the same.
fn judge(trust: &Trust, cache: &Cache, token: &[u8], now: i64) -> Result<usize, Reject> {
    let by = number_of(trust);
    let known = cache.find(token);
    let standing = known.and_then(|known| Verified::standing(cache, &known, by, now));
    let judged = judge_live(trust, cache, token, now, |_| LiveInputs::default());
    match &standing {
        Some(standing) => {
            let told = |it: &Verified| (it.header.text().to_owned(), it.payload.text().to_owned());
            let again = trust.check(token, now, |_| LiveInputs::default()).unwrap();
            assert_eq!((judged, told(standing)), (Ok(standing.provider), told(&again)));
            STOOD.set(STOOD.get() + 1);
        }
        None if judged.is_ok() => {
            let live = |_: Wanted<'_>| LiveInputs::default();
            let verified = trust.check_with(token, now, live, standing_in(cache)).unwrap();
            verified.let_stand(cache, by, now);
        }
        None => {}
    }
    judged
}

fn standing_in(cache: &Cache) -> With<'_> {
    With { cache: Some(cache), stands: true, ..With::default() }
}

/// The number of a check with this trust. What is printed of it has the numbers of its key sets, which no other
/// has.
fn number_of(trust: &Trust) -> Steady {
    let printed = format!("{trust:?}");
    NUMBERS.with_borrow_mut(|numbers| {
        let at = numbers.iter().position(|one| *one == printed).unwrap_or_else(|| {
            numbers.push(printed);
            numbers.len() - 1
        });
        Steady(at.try_into().unwrap())
    })
}

thread_local! {
    static NUMBERS: RefCell<Vec<String>> = RefCell::default();
    /// How often a verdict stood.
    static STOOD: Cell<usize> = const { Cell::new(0) };
}

#[test]
fn the_same_first_bytes_with_another_signature() {
    let (trust, cache) = (of_keys(vec![set(vec![key("a")])]), Cache::new(ROOMY).unwrap());
    let good = token(r#"{"sub":"x"}"#);
    assert_eq!(judge(&trust, &cache, &good, NOW), Ok(0));
    for at in 0..good.len() {
        let mut forged = good.clone();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        assert!(judge(&trust, &cache, &forged, NOW).is_err(), "byte {at}");
        assert!(judge(&trust, &cache, &good[..at], NOW).is_err(), "the first {at} bytes");
    }
    assert!(judge(&trust, &cache, &[&good[..], b"A"].concat(), NOW).is_err());
    assert_eq!(judge(&trust, &cache, &good, NOW), Ok(0));
    assert_eq!(cache.len(), 1);
}

#[test]
fn a_missing_list_refuses_unless_another_one_revokes() {
    let (cache, own) = (Cache::new(ROOMY).unwrap(), set(vec![key("a")]));
    let missing = || Arc::new(Revocation::missing(ClaimPath::new("jti").unwrap(), "/_revoked"));
    let lists = |first, second| Policy {
        keys: vec![own.clone()],
        revoked: vec![first, second],
        ..Policy::default()
    };
    let (good, stolen) = (token(r#"{"jti":"x"}"#), token(r#"{"jti":"t"}"#));
    // At the second time the cache knows the token.
    for trust in [of_keys(vec![own.clone()]), Trust::Keys(lists(revoked("t"), revoked("u")))] {
        assert_eq!(judge(&trust, &cache, &good, NOW), Ok(0));
        for (first, second) in [(revoked("t"), missing()), (missing(), revoked("t"))] {
            let trust = Trust::Keys(lists(first, second));
            assert_eq!(judge(&trust, &cache, &stolen, NOW), Err(Reject::Revoked));
            assert_eq!(judge(&trust, &cache, &good, NOW), Err(Reject::NoList));
            let refusal = trust.check(&good, NOW, |_| LiveInputs::default()).unwrap_err();
            assert_eq!(refusal.detail, r#"the list "/_revoked" is not there"#);
        }
        let live = LiveInputs { policy: None, revoked: Some(Rc::new([missing()])) };
        assert_eq!(judge_live(&trust, &cache, &good, NOW, |_| live.clone()), Err(Reject::NoList));
        assert_eq!(judge(&trust, &cache, &good, NOW), Ok(0));
    }
}

#[test]
fn a_list_with_times_judges_known_tokens_too() {
    let cache = Cache::new(ROOMY).unwrap();
    let policy = |list| Policy {
        keys: vec![set(vec![key("a")])],
        revoked: vec![revoked(list)],
        ..Policy::default()
    };
    let list = format!("t before={NOW} until={}", NOW + 10);
    let (none, list) = (Trust::Keys(policy("x")), Trust::Keys(policy(&list)));
    let token = |iat: &str| token(&format!(r#"{{"jti":"t"{iat}}}"#));
    let old = format!(r#","iat":{}.5"#, NOW - 1);
    let new = format!(r#","iat":{NOW}"#);
    for (iat, want) in [("", Err(Reject::Revoked)), (&old, Err(Reject::Revoked)), (&new, Ok(0))] {
        let token = token(iat);
        for trust in [&list, &none, &list] {
            let want = if std::ptr::eq(trust, &none) { Ok(0) } else { want };
            assert_eq!(judge(trust, &cache, &token, NOW + 9), want, "{iat}");
        }
        assert_eq!(judge(&list, &cache, &token, NOW + 10), Ok(0), "{iat}");
    }
}

#[test]
fn after_its_key_is_removed() {
    let cache = Cache::new(ROOMY).unwrap();
    let trust = Trust::Keys(Policy::default());
    let good = token("{}");
    let live = |keys: Vec<Key>| {
        let live = Rc::new(LivePolicy { keys: vec![set(keys)], revoked: Vec::new() });
        move |_: Wanted<'_>| live.clone().into()
    };
    assert_eq!(judge_live(&trust, &cache, &good, NOW, live(vec![key("a")])), Ok(0));
    let removed = judge_live(&trust, &cache, &good, NOW, live(vec![key("b")]));
    assert_eq!(removed, Err(Reject::UnknownKey));
    let replaced = Key::hmac(b"new", AlgorithmSet::ALL).unwrap().with_kid(Some("a"));
    let replaced = judge_live(&trust, &cache, &good, NOW, live(vec![replaced]));
    assert_eq!(replaced, Err(Reject::BadSignature));
    assert_eq!(
        judge_live(&trust, &cache, &good, NOW, |_| LiveInputs::default()),
        Err(Reject::NoKeys)
    );
    assert_eq!(judge_live(&trust, &cache, &good, NOW, live(vec![key("a")])), Ok(0));
}

#[test]
fn a_judgement_tells_whether_the_cache_knows_the_token() {
    let trust = of_keys(vec![set(vec![key("a")])]);
    let known = |token: &[u8], cache: Option<&Cache>| {
        trust.check_cached(token, NOW, |_| LiveInputs::default(), cache).unwrap().is_cached()
    };
    let (cache, small) = (Cache::new(ROOMY).unwrap(), Cache::new(4096).unwrap());
    let token = token(r#"{"sub":"x"}"#);
    assert!(!known(&token, None));
    assert!(!known(&token, Some(&small)) && small.is_empty());
    assert!(known(&token, Some(&cache)) && known(&token, Some(&cache)));
}

#[test]
fn what_two_judgements_of_one_token_say_can_be_shared() {
    let trust = of_keys(vec![set(vec![key("a")])]);
    let judge = || trust.check(&token(r#"{"sub":"x"}"#), NOW, |_| LiveInputs::default()).unwrap();
    let (first, mut second) = (judge(), judge());
    assert!(!std::ptr::eq(first.payload.text(), second.payload.text()));
    second.share(&first);
    assert!(std::ptr::eq(first.payload.text(), second.payload.text()));
}

#[test]
fn old_key_sets_are_not_kept_alive() {
    let (trust, cache) = (Trust::Keys(Policy::default()), Cache::new(ROOMY).unwrap());
    let keys = set(vec![key("a")]);
    let live = Rc::new(LivePolicy { keys: vec![keys.clone()], revoked: Vec::new() });
    trust.check_cached(&token("{}"), NOW, |_| live.clone().into(), Some(&cache)).unwrap();
    drop(live);
    assert_eq!((cache.len(), Arc::strong_count(&keys)), (1, 1));
}

#[test]
fn after_its_key_or_itself_has_expired() {
    let cache = Cache::new(ROOMY).unwrap();
    let trust = of_keys(vec![set(vec![key("a").with_expires(Some(NOW + 10))])]);
    let good = token(&format!(r#"{{"exp":{},"nbf":{}}}"#, NOW + 5, NOW - 5));
    assert_eq!(judge(&trust, &cache, &good, NOW), Ok(0));
    assert_eq!(judge(&trust, &cache, &good, NOW + 4), Ok(0));
    assert_eq!(judge(&trust, &cache, &good, NOW + 5), Err(Reject::Expired));
    assert_eq!(judge(&trust, &cache, &good, NOW - 6), Err(Reject::NotYetValid));
    let forever = token("{}");
    assert_eq!(judge(&trust, &cache, &forever, NOW + 9), Ok(0));
    assert_eq!(judge(&trust, &cache, &forever, NOW + 10), Err(Reject::UnknownKey));
}

#[test]
fn after_its_revocation() {
    let cache = Cache::new(ROOMY).unwrap();
    let trust = of_keys(vec![set(vec![key("a")])]);
    let good = token(r#"{"jti":"t-1"}"#);
    let lists = ["", "t-2", "t-1", "t-2"];
    for (list, want) in lists.into_iter().zip([Ok(0), Ok(0), Err(Reject::Revoked), Ok(0)]) {
        let live = Rc::new(LivePolicy { keys: Vec::new(), revoked: vec![revoked(list)] });
        let judged = judge_live(&trust, &cache, &good, NOW, |_| live.clone().into());
        assert_eq!(judged, want, "{list}");
    }
}

#[test]
fn only_success_is_remembered() {
    let cache = Cache::new(ROOMY).unwrap();
    let trust = Trust::Keys(Policy {
        revoked: vec![revoked("t")],
        ..issuer("me", vec![set(vec![key("a")])])
    });
    for payload in [
        r#"{"iss":"you"}"#,
        r#"{"iss":"me","exp":1}"#,
        r#"{"iss":"me","exp":"1"}"#,
        r#"{"iss":"me","jti":"t"}"#,
        "[]",
    ] {
        assert!(judge(&trust, &cache, &token(payload), NOW).is_err(), "{payload}");
    }
    let unsigned = sign("b", r#"{"alg":"HS256","kid":"a"}"#, r#"{"iss":"me"}"#);
    assert!(judge(&trust, &cache, &unsigned, NOW).is_err());
    assert!(cache.is_empty());
    let used = cache.used();
    assert_eq!(judge(&trust, &cache, &token(r#"{"iss":"me"}"#), NOW), Ok(0));
    assert!(cache.len() == 1 && cache.used() > used);
}

#[test]
fn memory_is_bounded() {
    let trust = of_keys(vec![set(vec![key("a")])]);
    for limit in [0, 1, 511, 512, 4_096, 40_000] {
        let cache = Cache::new(limit).unwrap();
        for i in 0..300 {
            let good = token(&format!(r#"{{"n":{i},"x":"{}"}}"#, "x".repeat(i % 40 * 20)));
            assert_eq!(judge(&trust, &cache, &good, NOW), Ok(0));
            assert!(cache.used() <= limit.max(4), "{} of {limit}", cache.used());
        }
        assert_eq!(cache.is_empty(), limit < 5 * 1_024, "{limit}: {}", cache.len());
    }
}

#[test]
fn one_large_token_does_not_drive_out_all_others() {
    let (trust, cache) = (of_keys(vec![set(vec![key("a")])]), Cache::new(40_000).unwrap());
    for n in 0..20 {
        judge(&trust, &cache, &token(&format!(r#"{{"n":{n}}}"#)), NOW).unwrap();
    }
    let large = token(&format!(r#"{{"x":"{}"}}"#, "x".repeat(20_000)));
    assert_eq!(judge(&trust, &cache, &large, NOW), Ok(0));
    assert_eq!(cache.len(), 20);
}
