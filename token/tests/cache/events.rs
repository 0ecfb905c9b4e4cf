//! The property: whatever happens, in whatever order.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

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
