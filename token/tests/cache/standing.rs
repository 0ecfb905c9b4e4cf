//! Verdicts that stand: how long, and which do not.

use super::*;

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
