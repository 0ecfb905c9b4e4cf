//! A judgement with the cache gives the same result as without it, whatever the cache contains.

// The helpers below are test code, though outside a #[test] function.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "common/property.rs"]
mod property;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::collection::vec;
use proptest::prelude::*;
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
fn a_verdict_stands_until_a_time_is_reached_that_matters() {
    let cache = Cache::new(ROOMY).unwrap();
    let stood = || STOOD.take();
    let own = set(vec![key("a").with_expires(Some(NOW + 20))]);
    let leeway = |leeway| Policy { keys: vec![own.clone()], leeway, ..Policy::default() };
    let (strict, mild) = (Trust::Keys(leeway(0)), Trust::Keys(leeway(5)));
    let good = token(&format!(r#"{{"nbf":{},"exp":{}.5}}"#, NOW - 1, NOW + 10));
    let judge_each = |trust: &Trust, seconds: std::ops::Range<i64>| {
        seconds.for_each(|second| assert_eq!(judge(trust, &cache, &good, NOW + second), Ok(0)));
    };
    judge_each(&strict, 0..1);
    assert_eq!(stood(), 0);
    judge_each(&strict, 0..11);
    // The last second has a fraction of the token's life: that is judged.
    assert_eq!(stood(), 10);
    assert_eq!(judge(&strict, &cache, &good, NOW + 11), Err(Reject::Expired));
    // Another check has a verdict of its own, and only the last one stands.
    judge_each(&mild, 0..15);
    assert_eq!(stood(), 14);
    judge_each(&strict, 3..5);
    assert_eq!(stood(), 1);
    // The clock is set back.
    judge_each(&strict, -1..0);
    assert_eq!(stood(), 0);
    assert_eq!(judge(&strict, &cache, &good, NOW - 2), Err(Reject::NotYetValid));
    // A key ends, too.
    let forever = token("{}");
    for second in 18..20 {
        assert_eq!(judge(&strict, &cache, &forever, NOW + second), Ok(0));
    }
    assert_eq!(stood(), 1);
    assert_eq!(judge(&strict, &cache, &forever, NOW + 20), Err(Reject::UnknownKey));
    assert_eq!(stood(), 0);
}

/// One location accepts padding, and others do not.
#[test]
fn a_padded_token_that_is_known_is_refused_as_a_new_one() {
    let (cache, own) = (Cache::new(ROOMY).unwrap(), set(vec![key("a")]));
    let padding = |padding| Policy { keys: vec![own.clone()], padding, ..Policy::default() };
    let (strict, mild) = (Trust::Keys(padding(false)), Trust::Keys(padding(true)));
    let of_providers = providers(issuer("me", vec![own.clone()]), issuer("you", vec![own.clone()]));
    for payload in [r#"{"iss":"me"}"#, r#"{"iss":"you"}"#, r#"{"iss":"she"}"#, r#"{"n":1}"#] {
        let mut header = encode(r#"{"alg":"HS256","kid":"a"}"#);
        let mut payload = encode(payload);
        for section in [&mut header, &mut payload] {
            section.push_str(["", "", "==", "="][section.len() % 4]);
        }
        let message = format!("{header}.{payload}");
        assert!(message.contains('='));
        let mac = Hmac::<Sha256>::new_from_slice(b"a").unwrap().chain_update(&message);
        let token = format!("{message}.{}", encode(mac.finalize().into_bytes())).into_bytes();
        for _ in 0..2 {
            assert_eq!(judge(&mild, &cache, &token, NOW), Ok(0));
            for trust in [&strict, &of_providers] {
                assert_eq!(judge(trust, &cache, &token, NOW), Err(Reject::Malformed));
            }
        }
    }
}

#[test]
fn what_depends_on_more_than_the_token_does_not_stand() {
    let cache = Cache::new(ROOMY).unwrap();
    let good = token(r#"{"jti":"t"}"#);
    let own = set(vec![key("a")]);
    let stands = |trust: &Trust, live: LiveInputs, now: i64| {
        let judged = trust.check_with(&good, NOW, |_| live.clone(), standing_in(&cache)).unwrap();
        let (by, none) = (Steady(7), Steady(0));
        judged.let_stand(&cache, by, NOW);
        let known = cache.find(&good).unwrap();
        assert!(Verified::standing(&cache, &known, none, now).is_none());
        Verified::standing(&cache, &known, by, now).is_some()
    };
    let plain = of_keys(vec![own.clone()]);
    assert!(stands(&plain, LiveInputs::default(), NOW + 1000));
    // For a moment only: it may be in a list for a time.
    let listed = Trust::Keys(Policy {
        keys: vec![own.clone()],
        revoked: vec![revoked("x")],
        ..Policy::default()
    });
    assert!(stands(&listed, LiveInputs::default(), NOW));
    assert!(!stands(&listed, LiveInputs::default(), NOW + 1));
    let cache_of = |live| (Cache::new(ROOMY).unwrap(), live);
    let live_keys = LivePolicy { keys: vec![set(vec![key("a")])], revoked: Vec::new() };
    for (cache, live) in [
        cache_of(LiveInputs::from(Rc::new(live_keys))),
        cache_of(LiveInputs { policy: None, revoked: Some(Rc::new([revoked("x")])) }),
    ] {
        let judged = plain.check_with(&good, NOW, |_| live.clone(), standing_in(&cache)).unwrap();
        judged.let_stand(&cache, Steady(7), NOW);
        let known = cache.find(&good).unwrap();
        assert!(Verified::standing(&cache, &known, Steady(7), NOW).is_none());
    }
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
fn the_same_token_in_another_location() {
    let cache = Cache::new(ROOMY).unwrap();
    let (a, b) = (set(vec![key("a")]), set(vec![key("b")]));
    let good = token(r#"{"sub":"x","aud":"api"}"#);
    for _ in 0..2 {
        assert_eq!(judge(&of_keys(vec![a.clone()]), &cache, &good, NOW), Ok(0));
        let other = of_keys(vec![b.clone()]);
        assert_eq!(judge(&other, &cache, &good, NOW), Err(Reject::UnknownKey));
        assert_eq!(judge(&of_keys(vec![b.clone(), a.clone()]), &cache, &good, NOW), Ok(0));
        assert_eq!(judge(&of_keys(vec![]), &cache, &good, NOW), Err(Reject::NoKeys));
        let demand = |requirements| {
            Trust::Keys(Policy {
                keys: vec![a.clone()],
                requirements: vec![requirements],
                ..Policy::default()
            })
        };
        let web = Requirements { audiences: [Box::from("web")].into(), ..Requirements::default() };
        assert_eq!(judge(&demand(web), &cache, &good, NOW), Err(Reject::BadAudience));
        let typ = Requirements { types: [Box::from("at+jwt")].into(), ..Requirements::default() };
        assert_eq!(judge(&demand(typ), &cache, &good, NOW), Err(Reject::BadType));
        let exp = Requirements { require_exp: true, ..Requirements::default() };
        assert_eq!(judge(&demand(exp), &cache, &good, NOW), Err(Reject::BadLifetime));
        let other_algorithm = Trust::Keys(Policy {
            keys: vec![a.clone()],
            algorithms: Some([Algorithm::HS512].into_iter().collect()),
            ..Policy::default()
        });
        assert_eq!(judge(&other_algorithm, &cache, &good, NOW), Err(Reject::BadAlgorithm));
    }
    assert_eq!(cache.len(), 1);
}

#[test]
fn the_same_token_of_another_provider() {
    let cache = Cache::new(ROOMY).unwrap();
    let (a, b) = (set(vec![key("a")]), set(vec![key("b")]));
    let good = token(r#"{"iss":"me"}"#);
    let right = providers(issuer("other", vec![b.clone()]), issuer("me", vec![a.clone()]));
    let swapped = providers(issuer("me", vec![b]), issuer("other", vec![a.clone()]));
    let unknown = providers(issuer("x", vec![a.clone()]), issuer("y", vec![a.clone()]));
    let reversed = providers(issuer("me", vec![a.clone()]), issuer("x", vec![a]));
    for _ in 0..2 {
        assert_eq!(judge(&right, &cache, &good, NOW), Ok(1));
        assert_eq!(judge(&swapped, &cache, &good, NOW), Err(Reject::UnknownKey));
        assert_eq!(judge(&unknown, &cache, &good, NOW), Err(Reject::BadIssuer));
        assert_eq!(judge(&reversed, &cache, &good, NOW), Ok(0));
    }
}

#[test]
fn the_same_token_where_its_provider_is_not_asked() {
    let cache = Cache::new(ROOMY).unwrap();
    let trust = providers(
        issuer("one", vec![set(vec![key("a")])]),
        issuer("two", vec![set(vec![key("a")])]),
    );
    let live = |_: Wanted<'_>| LiveInputs::default();
    let one = token(r#"{"iss":"one"}"#);
    let among = |cache, numbers| {
        let with = With { cache, among: numbers, ..With::default() };
        let judged = trust.check_with(&one, NOW, live, with);
        judged.map(|it| it.provider).map_err(|refusal| refusal.reason)
    };
    // Known to the cache or not, and whatever was asked before.
    for cache in [None, Some(&cache), Some(&cache)] {
        for (numbers, result) in [
            (Some(&[1][..]), Err(Reject::BadIssuer)),
            (Some(&[]), Err(Reject::BadIssuer)),
            (Some(&[0]), Ok(0)),
            (Some(&[1, 0]), Ok(0)),
            (None, Ok(0)),
            (Some(&[1]), Err(Reject::BadIssuer)),
        ] {
            assert_eq!(among(cache, numbers), result, "{numbers:?}");
        }
    }
    assert_eq!(cache.len(), 1);
}

#[test]
fn the_same_token_in_locations_of_the_same_providers() {
    let cache = Cache::new(ROOMY).unwrap();
    let good = token(&format!(r#"{{"iss":"me","aud":"api","jti":"t","exp":{}}}"#, NOW - 3));
    let own = set(vec![key("a")]);
    let only = |algorithm: Algorithm| Some([algorithm].into_iter().collect());
    let me = || Policy {
        algorithms: only(Algorithm::HS256),
        leeway: 5,
        ..issuer("me", vec![own.clone()])
    };
    let aud = |name: &str| Requirements {
        audiences: [Box::from(name)].into(),
        ..Requirements::default()
    };
    let nothing = LocationPolicy::default;
    for (location, want) in [
        (nothing(), Ok(1)),
        (LocationPolicy { algorithms: only(Algorithm::HS256), ..nothing() }, Ok(1)),
        (
            LocationPolicy { algorithms: only(Algorithm::HS384), ..nothing() },
            Err(Reject::BadAlgorithm),
        ),
        (LocationPolicy { algorithms: Some(AlgorithmSet::ALL), ..nothing() }, Ok(1)),
        (LocationPolicy { leeway: Some(0), ..nothing() }, Err(Reject::Expired)),
        (LocationPolicy { leeway: Some(3), ..nothing() }, Err(Reject::Expired)),
        (LocationPolicy { leeway: Some(4), ..nothing() }, Ok(1)),
        (LocationPolicy { requirements: aud("api"), ..nothing() }, Ok(1)),
        (LocationPolicy { requirements: aud("web"), ..nothing() }, Err(Reject::BadAudience)),
        (LocationPolicy { revoked: vec![revoked("x")], ..nothing() }, Ok(1)),
        (
            LocationPolicy { revoked: vec![revoked("x"), revoked("t")], ..nothing() },
            Err(Reject::Revoked),
        ),
    ] {
        let told = format!("{location:?}");
        let trust = at_location(issuer("you", vec![own.clone()]), me(), location);
        for _ in 0..2 {
            assert_eq!(judge(&trust, &cache, &good, NOW), want, "{told}");
        }
        // Lists that change at run time are added to all of that.
        for (list, want) in [("x", want), ("t", want.and(Err(Reject::Revoked)))] {
            let loan = LiveInputs { policy: None, revoked: Some(Rc::new([revoked(list)])) };
            let judged = judge_live(&trust, &cache, &good, NOW, |_| loan.clone());
            assert_eq!(judged, want, "{list}, {told}");
        }
    }
    // The requirements of the provider are judged first.
    for (max_lifetime, want) in [(Some(-60), Reject::BadLifetime), (None, Reject::BadAudience)] {
        let mut first = me();
        first.requirements[0].max_lifetime = max_lifetime;
        let location = LocationPolicy { requirements: aud("web"), ..nothing() };
        let trust = at_location(first, issuer("you", vec![]), location);
        assert_eq!(judge(&trust, &cache, &good, NOW), Err(want));
    }
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

// --- The property ------------------------------------------------------------------------------

/// What happens, one after the other.
#[derive(Clone, Debug)]
enum Event {
    /// A token is judged, so many seconds after the previous event.
    Judge { token: usize, trust: usize, later: i64 },
    /// The keys of a policy change to these, by number: some expire, some have no kid.
    Lend { policy: usize, keys: Vec<(usize, Option<i64>, bool)> },
    /// The revocation list of a policy changes to this one; without a policy, that of the locations.
    Revoke { policy: Option<usize>, list: usize },
}

const KIDS: [&str; 3] = ["a", "b", "c"];
const LISTS: [&str; 3] = ["", "t-1", "t-1\nt-2"];

fn event() -> impl Strategy<Value = Event> {
    let key = (0..KIDS.len(), prop::option::weighted(0.3, -20..60_i64), any::<bool>());
    prop_oneof![
        12 => (0..40_usize, 0..5_usize, -3..8_i64)
            .prop_map(|(token, trust, later)| Event::Judge { token, trust, later }),
        2 => (0..2_usize, vec(key, 0..5)).prop_map(|(policy, keys)| Event::Lend { policy, keys }),
        1 => (prop::option::of(0..2_usize), 0..LISTS.len())
            .prop_map(|(policy, list)| Event::Revoke { policy, list }),
    ]
}

/// Tokens of every kind that the policies treat differently.
fn tokens() -> Vec<Vec<u8>> {
    let mut tokens = Vec::new();
    for (i, kid) in [Some("a"), Some("b"), Some("c"), None].into_iter().enumerate() {
        for (secret, iss) in [("a", "me"), ("b", "you"), ("c", "me"), ("a", "nobody")] {
            let kid = kid.map(|kid| format!(r#","kid":"{kid}""#)).unwrap_or_default();
            let header = format!(r#"{{"alg":"HS256","typ":"JWT"{kid}}}"#);
            let exp = NOW + [5, 20, 40, 400][i];
            let plain = format!(r#"{{"iss":"{iss}","jti":"t-{i}","exp":{exp}}}"#);
            tokens.push(sign(secret, &header, &plain));
            let claims = format!(r#"{{"iss":"{iss}","aud":["api"],"nbf":{}}}"#, NOW + 4);
            tokens.push(sign(secret, &header, &claims));
        }
    }
    tokens.push(sign("a", r#"{"alg":"HS512","kid":"a"}"#, "{}"));
    tokens.push(sign("a", r#"{"alg":"HS256","kid":"a"}"#, "[]"));
    tokens.push(sign("a", r#"{"alg":"HS256","kid":"a"}"#, r#"{"iss":1}"#));
    tokens
}

/// Five ways to configure policies; keys and lists are added at run time.
fn trusts() -> Vec<Trust> {
    let own = set(vec![key("c").with_expires(Some(NOW + 30))]);
    let strict = || Policy {
        leeway: 7,
        algorithms: Some([Algorithm::HS256].into_iter().collect()),
        ..issuer("you", Vec::new())
    };
    let aud = Requirements { audiences: [Box::from("api")].into(), ..Requirements::default() };
    let location =
        LocationPolicy { leeway: Some(2), requirements: aud.clone(), ..LocationPolicy::default() };
    let api = Policy { requirements: vec![aud], ..Policy::default() };
    vec![
        of_keys(vec![own.clone()]),
        Trust::Keys(api),
        providers(issuer("me", vec![own.clone()]), strict()),
        providers(strict(), issuer("me", vec![own.clone()])),
        at_location(issuer("me", vec![own]), strict(), location),
    ]
}

fn lent_keys(keys: &[(usize, Option<i64>, bool)]) -> Arc<KeySet> {
    let key = |(number, expires, named): &(usize, Option<i64>, bool)| {
        let kid = KIDS[*number];
        let key = Key::hmac(kid.as_bytes(), AlgorithmSet::ALL).unwrap();
        key.with_kid(named.then_some(kid)).with_expires(expires.map(|it| NOW + it))
    };
    set(keys.iter().map(key).collect())
}

#[test]
fn a_cached_judgement_is_the_uncached_one_whatever_happens() {
    let (tokens, trusts) = (tokens(), trusts());
    let judged = RefCell::new((0_u32, 0_u32));
    property::check(400, vec(event(), 1..200), |events| {
        let caches = [ROOMY, 6_000, 20_000].map(|limit| Cache::new(limit).unwrap());
        let (mut now, mut live) =
            (NOW, [Rc::new(LivePolicy::default()), Rc::new(LivePolicy::default())]);
        let mut location: Rc<[_]> = Rc::new([]);
        for event in events {
            match event {
                Event::Judge { token, trust, later } => {
                    now += later;
                    for cache in &caches {
                        let token = &tokens[token % tokens.len()];
                        let live = |Wanted { policy, .. }: Wanted<'_>| LiveInputs {
                            policy: Some(live[policy].clone()),
                            revoked: Some(location.clone()),
                        };
                        let ok = judge_live(&trusts[trust], cache, token, now, live).is_ok();
                        let mut judged = judged.borrow_mut();
                        judged.0 += u32::from(ok);
                        judged.1 += u32::from(!ok);
                    }
                }
                Event::Lend { policy, keys } => {
                    let keys = vec![lent_keys(&keys)];
                    let revoked = live[policy].revoked.clone();
                    live[policy] = Rc::new(LivePolicy { keys, revoked });
                }
                Event::Revoke { policy: None, list } => location = Rc::new([revoked(LISTS[list])]),
                Event::Revoke { policy: Some(policy), list } => {
                    let keys = live[policy].keys.clone();
                    let revoked = vec![revoked(LISTS[list])];
                    live[policy] = Rc::new(LivePolicy { keys, revoked });
                }
            }
        }
    });
    let (accepted, refused) = judged.into_inner();
    println!("{accepted} accepted, {refused} refused");
    assert!(accepted > 5_000 && refused > 5_000, "{accepted} accepted, {refused} refused");
}
