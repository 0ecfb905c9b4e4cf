//! The same token where it is judged in other ways: by other locations and providers.

use super::*;

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
