//! Signed links.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use token::Reject;
use token::link::{Link, LinkAlgorithm, LinkSecret, Plain};

use crate::property::check;

fn link_policy(secrets: &[Vec<u8>], accepted: &[LinkAlgorithm]) -> Plain {
    Plain::new(secrets.iter().map(|secret| LinkSecret::new(secret).unwrap()), accepted)
}

fn judge(policy: &Plain, st: &str, e: &str, value: &[u8], now: i64) -> Result<(), Reject> {
    policy.check(Link::new(st.as_bytes(), e.as_bytes())?, value, now)
}

const FIRST: i64 = 1_000_000_000;
const LAST: i64 = 9_999_999_999;

#[test]
fn a_link_holds_as_it_was_signed_and_no_other() {
    let secret = || vec(any::<u8>(), 1..80);
    let value =
        prop_oneof!["/[a-z0-9/]{0,20}".prop_map(String::into_bytes), vec(any::<u8>(), 0..40),];
    let algorithm = select(Plain::ALGORITHMS.to_vec());
    let parameters = (secret(), secret(), value.clone(), value, algorithm, FIRST..=LAST);
    let other = (FIRST..=LAST, any::<prop::sample::Index>(), 1_u8..);
    check(3_000, (parameters, other), |(parameters, (other_expires, at, bits))| {
        let (secret, other_secret, value, other_value, algorithm, expires) = parameters;
        let signer = link_policy(std::slice::from_ref(&secret), &[]);
        let e = expires.to_string();
        let st = signer.sign(algorithm, &value, e.as_bytes());
        let both = [other_secret.clone(), secret.clone()];
        let policy = link_policy(&both, &[]);
        assert_eq!(judge(&policy, &st, &e, &value, expires), Ok(()));
        assert_eq!(judge(&policy, &st, &e, &value, FIRST.min(expires)), Ok(()));
        assert_eq!(judge(&policy, &st, &e, &value, expires + 1), Err(Reject::Expired));
        assert_eq!(judge(&link_policy(&both, &[algorithm]), &st, &e, &value, 0), Ok(()));

        let wrong = Err(Reject::BadSignature);
        if other_secret != secret {
            // An HMAC key shorter than a block is filled up with zeros: such keys are the same.
            let padded = |key: &[u8]| [key, &vec![0; 64_usize.saturating_sub(key.len())]].concat();
            if algorithm == LinkAlgorithm::Md5 || padded(&other_secret) != padded(&secret) {
                let others = link_policy(&[other_secret], &[]);
                assert_eq!(judge(&others, &st, &e, &value, 0), wrong);
            }
        }
        if other_expires != expires {
            let e = other_expires.to_string();
            assert_eq!(judge(&policy, &st, &e, &value, 0), wrong);
        }
        if other_value != value {
            assert_eq!(judge(&policy, &st, &e, &other_value, 0), wrong);
        }
        let mut changed = st.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] ^= bits;
        let judged = Link::new(&changed, e.as_bytes()).and_then(|it| policy.check(it, &value, 0));
        assert!(matches!(judged, Err(Reject::BadSignature | Reject::Malformed)), "{judged:?}");
        // Digits that move between the value and the expiry.
        let (moved, kept) = e.split_at(1);
        let longer = [&value, moved.as_bytes()].concat();
        assert_eq!(judge(&policy, &st, kept, &longer, 0), Err(Reject::Malformed));
        let pinned: Vec<_> = Plain::ALGORITHMS.into_iter().filter(|it| *it != algorithm).collect();
        let pinned = link_policy(&both, &pinned);
        assert_eq!(judge(&pinned, &st, &e, &value, 0), Err(Reject::Malformed));
    });
}

#[test]
fn the_form_of_a_link_is_exact() {
    let policy = link_policy(&[b"secret".to_vec()], &[]);
    let expires = prop_oneof!["[0-9]{8,12}", "[-+ 0-9a-f.]{10}", any::<String>()];
    let signature = prop_oneof!["[A-Za-z0-9_-]{20,46}", "[A-Za-z0-9_=+/-]{22}", any::<String>()];
    check(3_000, (expires, signature), |(e, st)| {
        let ten = e.len() == 10 && e.bytes().all(|b| b.is_ascii_digit()) && !e.starts_with('0');
        assert_eq!(Link::new(st.as_bytes(), e.as_bytes()).is_ok(), ten, "{e:?}");
        if ten {
            assert!(judge(&policy, &st, &e, b"/", 0).is_err());
            let st = policy.sign(LinkAlgorithm::Md5, b"/", e.as_bytes());
            assert_eq!(judge(&policy, &st, &e, b"/", 0), Ok(()));
        }
    });
}
