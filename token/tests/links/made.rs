//! Links that are made hold, whatever is asked for, and any other byte is refused.

use proptest::prelude::*;
use token::Reject::{BadSignature, Expired, Malformed, Missing};
use token::link::{Given, Order, OrderError, address};

use super::{Made, akamai, bunny, judge, text, with, without};
use crate::property::check;

#[test]
fn akamai_tokens_that_cannot_hold_are_not_made() {
    let signer = Made::with(&[akamai::KEY]).signer("akamai");
    let good = Order { path: "/a", expires: akamai::EXP, ..Order::default() };
    assert!(signer.sign(&good).is_ok());
    let long = "x".repeat(4096);
    for (bad, why) in [
        (Order { covers: Some("/b*"), ..good }, "what it is to cover"),
        (Order { covers: Some(""), ..good }, "acl has an empty pattern"),
        (Order { covers: Some("/*!"), ..good }, "acl has an empty pattern"),
        (Order { path: "/a/../b", covers: Some("/*"), ..good }, "what it is to cover"),
        (Order { address: Some("192.0.2.0/24"), ..good }, "ip is one address"),
        (Order { starts: Some(akamai::EXP + 1), ..good }, "it would expire"),
        (Order { starts: Some(-1), ..good }, "a time has not"),
        (Order { expires: 10_000_000_000, ..good }, "a time has not"),
        (Order { id: Some(""), ..good }, "id is empty"),
        (Order { data: Some(&long), ..good }, "it would have more"),
    ] {
        match signer.sign(&bad) {
            Err(OrderError::Invalid(text)) => assert!(text.starts_with(why), "{text}"),
            other => panic!("{other:?} {bad:?}"),
        }
    }
}

#[test]
fn akamai_tokens_that_are_made_hold() {
    let text_of = || prop_oneof!["[a-z/~%&=+;!*?é ]{1,12}", "[ -~]{1,12}"];
    let optional = || proptest::option::of(text_of());
    let parts =
        (text_of(), any::<bool>(), optional(), optional(), any::<[bool; 3]>(), 1..=akamai::EXP);
    let change = (any::<prop::sample::Index>(), 1_u8..);
    check(
        2_000,
        (parts, change),
        |((path, covers, id, data, [starts, ip, salt], now), (at, bits))| {
            let path = format!("/{path}");
            let made = Made::with(&["00", akamai::KEY]);
            let made = if salt { made.option("salt", "s") } else { made };
            let order = Order {
                path: "/other",
                value: Some(path.as_bytes()),
                expires: akamai::EXP,
                starts: starts.then_some(now),
                covers: covers.then_some("/*"),
                address: ip.then_some("2001:db8::1"),
                id: id.as_deref(),
                data: data.as_deref(),
                ..Order::default()
            };
            let Ok(mut signed) = made.signer("akamai").sign(&order) else {
                assert!(covers && path.contains(['.', '%']), "{path}");
                return;
            };
            let (name, token) = signed.remove(0);
            let format = made.format("akamai");
            let judge_as = |token: &[u8], value: &str, now| {
                let query = [name.as_bytes(), b"=", token].concat();
                let client = Some("2001:db8::1".parse().unwrap());
                let places = format.places();
                judge(&*format, &Given { query: &query, client, places, ..Given::new(value) }, now)
            };
            let granted = judge_as(token.as_bytes(), &path, now).unwrap();
            assert_eq!(granted.expires, Some(akamai::EXP));
            assert_eq!(text(granted.id.as_deref()).is_some(), id.is_some());
            assert_eq!(judge_as(token.as_bytes(), &path, akamai::EXP + 1), with(Expired));
            if !covers {
                assert_eq!(
                    judge_as(token.as_bytes(), &format!("{path}x"), now),
                    without(BadSignature)
                );
            }
            // As a client sends it that encodes everything.
            let encoded: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
            assert!(judge_as(encoded.as_bytes(), &path, now).is_ok());

            let mut changed = token.clone().into_bytes();
            let at = at.index(changed.len());
            changed[at] ^= bits;
            let judged = judge_as(&changed, &path, now);
            assert!(
                matches!(judged, Err((Malformed | BadSignature | Missing, false))),
                "{judged:?}"
            );
        },
    );
}

#[test]
fn bunny_links_that_cannot_hold_are_not_made() {
    let signer = Made::with(&[bunny::KEY]).signer("bunny");
    let good =
        Order { path: "/a/1234567890", query: "b=1", expires: bunny::UNTIL, ..Order::default() };
    assert!(signer.sign(&good).is_ok());
    for (bad, why) in [
        (Order { expires: 1, ..good }, "the expiry has not ten digits"),
        (Order { address: Some("1.2.3.0/24"), ..good }, "it is no address"),
        (Order { covers: Some("/b"), ..good }, "what it is to cover"),
        (Order { covers: Some("a"), ..good }, "what it is to cover"),
        (Order { query: "token=1", ..good }, "the query has an argument of a link"),
        (Order { query: "TOKEN_path=1", ..good }, "the query has an argument of a link"),
        (Order { query: "a=1&a=2", ..good }, "an argument stands twice"),
        (Order { query: "a=%26", ..good }, "the value of an argument holds"),
        (Order { path: "/a9999999999b=1", ..good }, "the path has ten digits"),
    ] {
        match signer.sign(&bad) {
            Err(OrderError::Invalid(text)) => assert!(text.starts_with(why), "{text}"),
            other => panic!("{other:?} {bad:?}"),
        }
    }
    let unsupported = signer.sign(&Order { id: Some("x"), ..good });
    assert_eq!(unsupported, Err(OrderError::Unsupported("id")));
    let strict = Made::with(&[bunny::KEY]).option("address", "required").signer("bunny");
    assert_eq!(strict.sign(&good), Err(OrderError::Missing("address")));
    assert!(strict.sign(&Order { address: Some(bunny::V6), ..good }).is_ok());
}

#[test]
fn a_bunny_link_for_a_whole_address_holds() {
    // Host and path are encoded differently: who signs and who judges must mean the same by it.
    let value = "http://\u{e9}.example/\u{e9}";
    let order = Order { value: Some(value.as_bytes()), expires: bunny::UNTIL, ..Order::default() };
    let made = Made::with(&[bunny::KEY]);
    let signed = made.signer("bunny").sign(&order).unwrap();
    let link: Vec<_> = signed.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        bunny::asked(&made, value, &link.join("&"), "").unwrap().expires,
        Some(bunny::UNTIL)
    );
}

#[test]
fn bunny_links_that_are_made_hold() {
    let path = prop_oneof!["/[a-z/%=+;é ]{0,12}", "/[ -~]{0,12}"];
    let query = prop_oneof![
        Just(String::new()),
        "[a-z]{1,3}=[a-z0-9%+]{0,4}",
        "[a-m]{1,3}=1&[n-z]{1,3}",
        Just("token_ignore_params=true&a=1&a=2".to_owned()),
    ];
    let change = (any::<prop::sample::Index>(), 1_u8..);
    let parts = (
        path,
        query,
        any::<bool>(),
        proptest::option::of(prop_oneof![Just(bunny::V4), Just(bunny::V6)]),
    );
    check(2_000, (parts, change), |((path, query, covers, address), (at, bits))| {
        let order = Order {
            path: "/other",
            value: Some(path.as_bytes()),
            query: &query,
            expires: bunny::UNTIL,
            covers: covers.then_some("/"),
            address,
            ..Order::default()
        };
        let made = Made::with(&["other", bunny::KEY]);
        let signed = Made::with(&[bunny::KEY]).signer("bunny").sign(&order);
        let Ok(arguments) = signed else {
            assert!(covers && path.contains(['.', '%']) || query.contains("%26"), "{path} {query}");
            return;
        };
        let arguments: Vec<_> =
            arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let arguments = arguments.join("&");
        let client = address.unwrap_or("");
        let link = if query.is_empty() { arguments } else { format!("{query}&{arguments}") };
        let granted = bunny::asked(&made, &path, &link, client).unwrap();
        assert_eq!(granted.expires, Some(bunny::UNTIL));
        if !covers {
            let other = bunny::asked(&made, &format!("{path}x"), &link, client);
            assert_eq!(other, without(BadSignature));
        }
        if address.is_some() {
            assert_eq!(bunny::asked(&made, &path, &link, "9.9.9.9"), without(BadSignature));
        }
        // A change of any byte that is not in an argument that is ignored, and not only another spelling.
        let mut changed = link.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] ^= bits;
        let ignored = query.len() + 1;
        if query.starts_with("token_ignore") && (25..ignored).contains(&at) {
            return;
        }
        let request = Given { query: &changed, client: client.parse().ok(), ..Given::new(&path) };
        let judged = judge(&*made.format("bunny"), &request, bunny::UNTIL);
        let means = |query: &[u8]| {
            let mut pairs: Vec<_> = query
                .split(|byte| *byte == b'&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let mut halves = pair.splitn(2, |byte| *byte == b'=');
                    [halves.next(), halves.next()]
                        .map(|half| address::decode(half.unwrap_or_default()).to_vec())
                })
                .collect();
            pairs.sort();
            pairs
        };
        if means(&changed) != means(link.as_bytes()) {
            assert!(
                matches!(judged, Err((Malformed | BadSignature | Missing, false))),
                "{judged:?}"
            );
        }
    });
}
