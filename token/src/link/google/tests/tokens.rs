//! Media CDN's tokens.

use super::*;

const TOKENS: [(&str, &str, &str, &str); 4] = [
    (
        "http://h/a",
        "PathGlobs=/*~Expires=1663070400",
        "hmac=9439ecdd5c4919f76f915dea72afa85a045579794e63d8cda664f5a1140c8d93",
        "/*",
    ),
    (
        "http://h/example.m3u8",
        "FullPath~Expires=1663070400",
        "hmac=365b41fd77297371d890fc9a56e4e3d3baa4c7afbd230a0e9a81c8e1bcab9420",
        "",
    ),
    (
        "http://10.20.30.40/a",
        "URLPrefix=aHR0cDovLzEwLjIwLjMwLjQwLw~Expires=1663070400",
        "hmac=409722313cf6d987da44bb360e60dccc3d79764520fc5e3b57654e1d4d2c862e",
        "http://10.20.30.40/",
    ),
    (
        "http://10.20.30.40/a",
        "URLPrefix=aHR0cDovLzEwLjIwLjMwLjQwLw~Expires=1663070400",
        "Signature=OQLXEjnApFGJaGZ_jvp2R7VY5q3ic-HT3igFpi9iPsJRXtQuvPF4cxZUT-rtCqzteXx3vSRhk09FxgDQauO_DA",
        "http://10.20.30.40/",
    ),
];

const LONG: &str = "PathGlobs=/*~Starts=1663027200~Expires=1663070400~SessionID=test-id~Data=test-data~Headers=Foo,BAZ~IPRanges=MjAzLjAuMTEzLjAvMjQsMjAwMTpkYjg6NGE3ZjphNzMyLzY0~hmac=dda9c3d6f3b2e867a09fbb76209ea138dd81f8512210f970d1e92f90927bef4b";
const HEADERS: [(&str, &str); 2] = [("foo", "bar"), ("Baz", "quux")];

#[test]
fn the_vectors_of_tokens_hold() {
    for (value, fields, signature, acl) in TOKENS {
        let text = format!("{fields}~{signature}");
        let it = StandIn { value, text: &text, ..request() };
        let granted = at(it, 1_663_070_400).unwrap();
        assert_eq!(granted.acl.unwrap_or_default(), acl.as_bytes().into());
        assert_eq!(passes(it, 1_663_070_401), Err(Reject::Expired));
        let escaped = text.replace('~', "%7E").replace('=', "%3D");
        let escaped = StandIn { text: &escaped, is_text_of_query: true, ..it };
        assert_eq!(passes(escaped, 0), Ok(()));
        assert_eq!(
            passes(StandIn { is_text_of_query: false, ..escaped }, 0),
            Err(Reject::Malformed)
        );
        assert_eq!(
            passes(StandIn { is_text_of_query: true, ..escaped }, 1_663_070_401),
            Err(Reject::Expired)
        );
        let padded = format!("{text}==");
        let is_padded = signature.starts_with("Signature");
        assert_eq!(passes(StandIn { text: &padded, ..it }, 0).is_ok(), is_padded);
        let upper = format!("{fields}~{}", signature.replace('c', "C"));
        assert!(passes(StandIn { text: &upper, ..it }, 0).is_err());
    }
    let elsewhere = |at: usize, value| {
        let (_, fields, signature, _) = TOKENS[at];
        let text = format!("{fields}~{signature}");
        passes(StandIn { value, text: &text, ..request() }, 0)
    };
    assert_eq!(elsewhere(1, "http://h/other"), Err(Reject::BadSignature));
    assert_eq!(elsewhere(1, "https://other/example.m3u8"), Ok(()));
    assert_eq!(elsewhere(2, "http://10.20.30.4/0"), Err(Reject::NotCovered));
    assert_eq!(elsewhere(3, "https://10.20.30.40/"), Err(Reject::NotCovered));
}

#[test]
fn a_token_with_all_its_fields_is_judged_after_its_signature() {
    let it = StandIn { value: "http://h/a", text: LONG, headers: &HEADERS, ..request() };
    let now = 1_663_050_000;
    let granted = at(it, now).unwrap();
    assert_eq!(granted.id.as_deref(), Some(&b"test-id"[..]));
    assert_eq!(granted.data.as_deref(), Some(&b"test-data"[..]));
    assert_eq!(passes(it, 1_663_027_199), Err(Reject::NotYetValid));
    assert_eq!(passes(it, 1_663_027_200), Ok(()));
    assert_eq!(passes(it, 1_663_070_401), Err(Reject::Expired));
    for (client, is_in) in [
        ("203.0.113.255", true),
        ("::ffff:203.0.113.9", true),
        ("203.0.114.1", false),
        // The example says 2001:db8:4a7f:a732/64, which is no network.
        ("2001:db8:4a7f:a732::1", false),
        ("", false),
    ] {
        let want = if is_in { Ok(()) } else { Err(Reject::BadAddress) };
        assert_eq!(passes(StandIn { client, ..it }, now), want, "{client}");
    }
    for (headers, want) in [
        (&[("foo", "bar"), ("baz", "quux"), ("x", "y")][..], Ok(())),
        (&[("foo", "bar")], Err(Reject::BadSignature)),
        (&[("foo", "bar"), ("baz", "Quux")], Err(Reject::BadSignature)),
        (&[("foo", "bar"), ("baz", "quux"), ("baz", "quux")], Err(Reject::Malformed)),
        (&[("foo", "bar~"), ("baz", "quux")], Err(Reject::Malformed)),
    ] {
        assert_eq!(passes(StandIn { headers, ..it }, now), want, "{headers:?}");
    }
    // One header with the text of two.
    let text = LONG.replace("Foo,BAZ", "Foo");
    let one = StandIn { headers: &[("foo", "bar,BAZ=quux")], text: &text, ..it };
    assert_eq!(passes(one, now), Err(Reject::Malformed));
    let fields: Vec<&str> = LONG.split('~').collect();
    for i in 0..fields.len() {
        let mut missing = fields.clone();
        missing.remove(i);
        let mut twice = fields.clone();
        twice.insert(i, fields[i]);
        let mut other = fields.clone();
        other.swap(i, (i + 1) % fields.len());
        let mut unknown = fields.clone();
        unknown.insert(i, "a=1");
        let mut lower = fields.clone();
        let name = fields[i].replacen(|c: char| c.is_uppercase(), "x", 1);
        lower[i] = &name;
        for bad in [missing, twice, other, unknown] {
            let text = bad.join("~");
            let reject = passes(StandIn { text: &text, ..it }, now).unwrap_err();
            assert!(matches!(reject, Reject::Malformed | Reject::BadSignature), "{text} {reject}");
        }
        if name != fields[i] {
            let text = lower.join("~");
            assert_eq!(passes(StandIn { text: &text, ..it }, now), Err(Reject::Malformed));
        }
    }
}

/// A token with Media CDN's secret.
fn token(signed: &str, travels: &str) -> String {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let key = base64url::decode(MEDIA_CDN.trim_end_matches('=').as_bytes()).unwrap();
    let mac = Hmac::<sha1::Sha1>::new_from_slice(&key).unwrap().chain_update(signed);
    format!("{travels}~hmac={}", hex::encode(mac.finalize().into_bytes()))
}

#[test]
fn a_field_is_as_it_should_be() {
    for (fields, reject) in [
        ("PathGlobs=/*~Expires=1000", None),
        ("Expires=1000~PathGlobs=/b*,/h/*", None),
        ("Expires=1000~PathGlobs=/b*!/h/?", None),
        ("Expires=1000~PathGlobs=*", None),
        ("PathGlobs=/*", Some(Reject::Malformed)),
        ("Expires=1000", Some(Reject::Malformed)),
        ("PathGlobs~Expires=1000", Some(Reject::Malformed)),
        ("FullPath=/h/a~Expires=1000", Some(Reject::Malformed)),
        ("PathGlobs=/*~FullPath~Expires=1000", Some(Reject::Malformed)),
        ("PathGlobs=/*~URLPrefix=aHR0cDovL2gv~Expires=1000", Some(Reject::Malformed)),
        ("PathGlobs=/*~Expires=0x10", Some(Reject::Malformed)),
        ("PathGlobs=/*~Expires=1000~Starts=", Some(Reject::Malformed)),
        ("PathGlobs=/*~Expires=1000~KeyName=token", Some(Reject::Malformed)),
        ("PathGlobs=/*~Expires=1000~IPRanges=", Some(Reject::BadAddress)),
        ("PathGlobs=/*~Expires=1000~IPRanges=eA", Some(Reject::BadAddress)),
        ("PathGlobs=/*~Expires=1000~IPRanges=eB", Some(Reject::Malformed)),
        ("PathGlobs=/*~Expires=1000~IPRanges=MjAzLjAuMTEzLjAvMjQs", None),
        ("PathGlobs=/*~Expires=1000~IPRanges=MjAzLjAuMTEzLjAvMjQ=", None),
        ("PathGlobs=/*~Expires=1000~IPRanges=MjAwMTpkYjg6Oi8zMg", Some(Reject::BadAddress)),
        ("PathGlobs=~Expires=1000", Some(Reject::NotCovered)),
        ("PathGlobs=/b*,/c*~Expires=1000", Some(Reject::NotCovered)),
        ("PathGlobs=/h~Expires=1000", Some(Reject::NotCovered)),
        ("PathGlobs=/%68/*~Expires=1000", Some(Reject::NotCovered)),
        ("PathGlobs=//h/*~Expires=1000", Some(Reject::NotCovered)),
        ("PathGlobs=http://h/h/*~Expires=1000", Some(Reject::NotCovered)),
        ("PathGlobs=/*~Expires=1000~Headers=", Some(Reject::Malformed)),
        ("PathGlobs=/*~Expires=1000~Headers=a b", Some(Reject::Malformed)),
        ("PathGlobs=/*~Expires=1000~Headers=a,A", Some(Reject::Malformed)),
        ("PathGlobs=/*~Expires=1000~Headers=b", Some(Reject::BadSignature)),
    ] {
        let text = token(fields, fields);
        let headers = &[("a", "1")];
        let it = StandIn { value: "http://h/h/a", text: &text, headers, ..request() };
        assert_eq!(passes(it, 0).err(), reject, "{fields}");
    }
    let fields = "PathGlobs=/*~Expires=1000~IPRanges=MjAwMTpkYjg6Oi8zMg";
    let text = token(fields, fields);
    let it = StandIn { value: "/", text: &text, client: "2001:db8::7", ..request() };
    assert_eq!(passes(it, 0), Ok(()));
    // A path that would hide a field.
    let text = token("FullPath=/h/a~Starts=500~Expires=1000", "FullPath~Starts=500~Expires=1000");
    let it = StandIn { value: "http://h/h/a", text: &text, ..request() };
    assert_eq!((passes(it, 0), passes(it, 500)), (Err(Reject::NotYetValid), Ok(())));
    let text = text.replace("~Starts=500", "");
    let hidden = StandIn { value: "http://h/h/a~Starts=500", text: &text, ..request() };
    assert_eq!(passes(hidden, 0), Err(Reject::Malformed));
    // Browsers name themselves with commas.
    let agent = "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1";
    let text = token(
        &format!("PathGlobs=/*~Expires=1000~Headers=User-Agent={agent}"),
        "PathGlobs=/*~Expires=1000~Headers=User-Agent",
    );
    let it = StandIn { text: &text, headers: &[("user-agent", agent)], value: "/", ..request() };
    assert_eq!(passes(it, 0), Ok(()));
    let long = format!("{}~Expires=1", "x".repeat(LONGEST));
    assert_eq!(passes(StandIn { text: &long, ..request() }, 0), Err(Reject::Malformed));
}
