use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::format::Refused;
use super::super::keys::LinkKeys;
use super::super::order::{LinkSigner as _, Order};
use super::super::remembered::Remembered;
use super::super::stand_in::StandIn;
use super::text::encode;
use super::*;

/// From aws-cli, tests/functional/cloudfront/test_sign.py: its key, and what it has signed.
const AWS_KEY: &str = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu6o2+Jc8UINw2P/w2l7A\n1xXu3emQEZQ9diA3bmog8r9Dg+65fZgAqmuNWPqBivv7j3DGnLUdt8uCIr7PYUbK\n7wDa6n7U3ryOWtO2ZTc3StiJVcqTsokZ0qxGFtDRafjBuydXtcxh52vVTcHqH33n\nubyyZIzuhTwfmrIOnUXnLwbMrBBPbg/8mlgQooyo1XbrN1eO4XMs+UgQ9Mqc7KRJ\nRinUJ+KYuCnM8f/nN4RjYdjTcghkxCPEHCeSt2luywWyYmfguWCBS2Mu1q0250wK\nyNazlgiiTJtAuuSeweb4NKPOJL9XhR6Ce6UuU4WYlli8gvQh3FAV3N3C1Rxo20k2\n8QIDAQAB\n-----END PUBLIC KEY-----\n";
const AWS_CANNED: &str = "UiEmtMsInU-gXoa1O7-bTRJmZ~ocphB0ONMxyEHs2r8Y9dwzeB~DkbgzPMX3jbdbwIwVX3f4VcY4HBLdPSkbF~D6KbUlxPw1ju8mlXeu2C436XxZdrJrrJaiEDaTpKslXpn9ngaCzVfCVPfkC3a0NBWBySi5ezCG2yzb0c-djNgI1wkogwtmtZuOxAoKF1sRTyFX9ZitUiUIl~65nkJ94s~GGwxzTf1kMi7Wdm~9rFrJpx0O7nJEBy5O578s2UHrejtwyedUR5BqXTkgu~A51NcjAN9LErATV7SVBYicoZ76AOfB-TKay7g6-MWCK6-T-4Q5x6XH4yzII3JpbCmVwA__";
const AWS_POLICY: &str = r#"{"Statement":[{"Resource":"http://example.com/hi","Condition":{"DateLessThan":{"AWS:EpochTime":1451606400},"IpAddress":{"AWS:SourceIp":"12.34.56.78/32"}}}]}"#;
const AWS_CUSTOM: &str = "Vw-WG18WJJXim7YSGWS-zW~XmFB9MjCDOvgC~2Gz-1wiMQzCrXzYYbSE7-aF6JGOOb5ewArpMqmu2g5mohnqgieZX1NY6IOteDoXYgqaNj1DafHWQD6UJ3IKVfkxISU9OmFPoG7H~VSPWEzOxdjOqdIPvAU2pW2mJ5oWu2aL62s0VVtLGCAm-DahiSQisl0JbzpPyG1pofvPbT75qc71r9uiqSAbPjUF5nmLCZazVnFjDkj3zIgMRYa5aV54VDa6-wEizzmjQ3-m6UMoYgcGHQXEjoFIWTfpZvbZBYkmK9lk3d16cgvaHafTJ-CPegn1bKxfgNEjSAoPWS0OvBkRmg__";

const PRIVATE: &str = include_str!("../../../../tests/keys/rsa2048.pem");
const PUBLIC: &str = include_str!("../../../../tests/keys/rsa2048.pub.pem");

fn keys(text: &str, kid: Option<&str>) -> LinkKeys {
    LinkKeys::load(text.as_bytes(), kid).unwrap().0
}

static AWS: LazyLock<LinkKeys> = LazyLock::new(|| keys(AWS_KEY, None));
static OURS: LazyLock<LinkKeys> = LazyLock::new(|| keys(PUBLIC, Some("K1")));

fn format(accepted: &[LinkAlgorithm]) -> CloudFront {
    let settings = FormatSettings { has_keys: true, accepted, ..FormatSettings::default() };
    CloudFront::configured(&settings).unwrap()
}

fn signer() -> CloudFrontSigner {
    let private_key = Some((PRIVATE.as_bytes(), Some("K1")));
    CloudFrontSigner::configured(&FormatSettings { private_key, ..FormatSettings::default() })
        .unwrap()
}

fn judge(accepted: &[LinkAlgorithm], request: StandIn<'_>, now: i64) -> Result<Granted, Denied> {
    let format = format(accepted);
    format.judge(&request.given(&format), now)
}

/// What comes of a request at a time: the last second of the link, or why it is refused.
fn at(request: StandIn<'_>, now: i64) -> Result<i64, Reject> {
    match judge(&[], request, now) {
        Ok(granted) => Ok(granted.expires.unwrap()),
        Err(Denied::Refused(refused)) => Err(refused.reject),
        Err(Denied::Unavailable) => panic!("all is there"),
    }
}

/// The arguments that make the order's URL a link.
fn arguments(order: Order<'_>) -> Vec<(&'static str, String)> {
    signer().sign(&order).unwrap()
}

fn joined(arguments: &[(&str, String)]) -> String {
    arguments.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn link(order: Order<'_>) -> String {
    joined(&arguments(order))
}

const ORDER: Order<'_> = Order {
    origin: "https://h",
    path: "/a%20b",
    value: None,
    query: "",
    expires: 1000,
    starts: None,
    covers: None,
    address: None,
    id: None,
    data: None,
};
const REQUEST: StandIn<'_> = StandIn {
    value: "https://h/a b",
    query: "",
    sent_path: None,
    cookies: "",
    headers: &[],
    text: "",
    is_text_of_query: false,
    client: "192.0.2.7",
    keys: None,
    remembered: None,
};

fn ours(query: &str) -> StandIn<'_> {
    StandIn { query, keys: Some(&OURS), ..REQUEST }
}

#[test]
fn the_vectors_of_aws_hold() {
    let canned = format!("Expires=1451606400&Signature={AWS_CANNED}&Key-Pair-Id=K1");
    let policy = encode(AWS_POLICY.as_bytes());
    let custom = format!("Policy={policy}&Signature={AWS_CUSTOM}&Key-Pair-Id=K1");
    fn aws(query: &str) -> StandIn<'_> {
        let (value, client) = ("http://example.com/hi", "12.34.56.78");
        StandIn { value, client, keys: Some(&AWS), query, ..REQUEST }
    }
    for query in [&canned, &custom] {
        let request = aws(query);
        assert_eq!(at(request, 1_451_606_399), Ok(1_451_606_399));
        assert_eq!(at(request, 1_451_606_400), Err(Reject::Expired));
        assert_eq!(at(StandIn { keys: Some(&OURS), ..request }, 0), Err(Reject::BadSignature));
        assert_eq!(at(StandIn { keys: None, ..request }, 0), Err(Reject::NoKeys));
        let is_not_accepted = judge(&[LinkAlgorithm::RsaSha256], request, 0);
        assert_eq!(is_not_accepted, Err(Denied::malformed("its hash algorithm is not accepted")));
        assert!(judge(&[LinkAlgorithm::RsaSha1], request, 0).is_ok());
        let sha1 = format!("{query}&Hash-Algorithm=SHA1");
        assert!(at(aws(&sha1), 0).is_ok());
        let sha256 = format!("{query}&Hash-Algorithm=SHA256");
        assert_eq!(at(aws(&sha256), 0), Err(Reject::BadSignature));
        let escaped = query.replace('~', "%7E").replace("_&", "%5f&");
        assert!(at(aws(&escaped), 0).is_ok());
    }
    let elsewhere = StandIn { value: "http://example.com/ho", ..aws(&canned) };
    assert_eq!(at(elsewhere, 0), Err(Reject::BadSignature));
    let elsewhere = StandIn { value: "http://example.com/ho", ..aws(&custom) };
    assert_eq!(at(elsewhere, 0), Err(Reject::NotCovered));
    assert_eq!(at(StandIn { client: "12.34.56.79", ..aws(&custom) }, 0), Err(Reject::BadAddress));
    assert!(at(StandIn { client: "::ffff:12.34.56.78", ..aws(&custom) }, 0).is_ok());
}

#[test]
fn a_link_comes_in_the_query_in_cookies_or_in_a_text() {
    for order in [ORDER, Order { covers: Some("https://h/*"), ..ORDER }] {
        let parts = arguments(order);
        let query = joined(&parts);
        assert_eq!(at(ours(&query), 1000), Ok(1000));
        assert_eq!(at(ours(&query), 1001), Err(Reject::Expired));
        let cookies: Vec<_> =
            parts.iter().map(|(name, value)| format!("CloudFront-{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let by_cookies = StandIn { cookies: &cookies, ..ours("") };
        assert_eq!(at(by_cookies, 1000), Ok(1000));
        let by_text = StandIn { text: &query, ..ours("") };
        assert_eq!(at(by_text, 1000), Ok(1000));
        let escaped = query.replace('=', "%3D").replace('&', "%26");
        let escaped = StandIn { text: &escaped, is_text_of_query: true, ..ours("") };
        assert_eq!(at(escaped, 1000), Ok(1000));
        assert_eq!(at(StandIn { is_text_of_query: false, ..escaped }, 0), Err(Reject::Malformed));
        // The first place that holds something counts.
        let both = StandIn { cookies: &cookies, text: &query, ..ours("Signature=x") };
        assert_eq!(at(both, 0), Err(Reject::Malformed));
        let both = StandIn { cookies: &cookies, text: "x", ..ours("") };
        assert_eq!(at(both, 0), Ok(1000));
        // Escapes are a matter of queries.
        let cookies = cookies.replace('_', "%5F").replace('~', "%7E").replace('-', "%2D");
        assert!(at(StandIn { cookies: &cookies, ..ours("") }, 0).is_err());
    }
    assert_eq!(at(ours(""), 0), Err(Reject::Missing));
    assert_eq!(at(ours("a=1&expire=2"), 0), Err(Reject::Missing));
}

#[test]
fn every_part_is_there_once() {
    for order in [ORDER, Order { covers: Some("https://h/*"), ..ORDER }] {
        let parts = arguments(order);
        let refused = |parts: &[(&str, String)]| {
            let query = joined(parts);
            let cookies = format!("CloudFront-{}", query.replace('&', "; CloudFront-"));
            for request in [
                ours(&query),
                StandIn { cookies: &cookies, ..ours("") },
                StandIn { text: &query, ..ours("") },
            ] {
                let reject = at(request, 0).unwrap_err();
                assert!(matches!(reject, Reject::Malformed | Reject::BadSignature), "{query}");
            }
        };
        for i in 0..parts.len() {
            let mut missing = parts.clone();
            missing.remove(i);
            refused(&missing);
            let mut twice = parts.clone();
            twice.push(parts[i].clone());
            refused(&twice);
            twice[i].1 = "x".to_owned();
            refused(&twice);
            let mut empty = parts.clone();
            empty[i].1 = String::new();
            refused(&empty);
            // The order of arguments does not count.
            let mut other = parts.clone();
            other.swap(0, i);
            assert_eq!(at(ours(&joined(&other)), 0), Ok(1000));
        }
        let both = ("Expires", "1001".to_owned());
        let other = ("Policy", "e30_".to_owned());
        refused(&[parts.clone(), vec![if parts[0].0 == "Policy" { both } else { other }]].concat());
        let query = joined(&parts);
        for bad in [
            query.replace("Signature", "signature"),
            query.replace("Key-Pair-Id", "Key-Pair-ID"),
            query.replace("SHA256", "sha256"),
            query.replace("SHA256", "SHA512"),
            query.replace("=K1", "=K2"),
            query.replace("&Key", ";Key"),
            format!("{query}&policy=e30_"),
        ] {
            assert!(at(ours(&bad), 0).is_err(), "{bad}");
        }
    }
    let unknown = format!("{}&x=1", link(ORDER));
    assert_eq!(at(StandIn { text: &unknown, ..ours("") }, 0), Err(Reject::Malformed));
    let link = link(ORDER);
    for expires in ["01001", "1001.0", "+1001", "1e3", "10000000000", "%31001", "1000"] {
        assert!(at(ours(&link.replace("=1001", &format!("={expires}"))), 0).is_err(), "{expires}");
    }
}

#[test]
fn a_canned_policy_is_for_one_url_with_its_own_arguments() {
    let link = link(Order { query: "b=1&c=%20d", ..ORDER });
    let of = |before: &str, after: &str| format!("{before}{link}{after}");
    for good in [of("b=1&c=%20d&", ""), of("", "&b=1&c=%20d"), of("b=1&", "&c=%20d")] {
        assert_eq!(at(ours(&good), 0), Ok(1000), "{good}");
    }
    for bad in [
        of("", ""),
        of("b=1&", ""),
        of("c=%20d&", "&b=1"),
        of("b=1&c=+d&", ""),
        of("b=1&c=%20d&", "&e"),
        of("b=1&c=%20d&&", ""),
    ] {
        assert_eq!(at(ours(&bad), 0), Err(Reject::BadSignature), "{bad}");
    }
    let good = of("b=1&c=%20d&", "");
    for value in [
        "http://h/a b",
        "https://H/a b",
        "https://h:443/a b",
        "https://h/A b",
        "https://h/a%20b",
        "https://h/a  b",
        "https://h/a b/",
        "https://h/a b/../a b",
        "https://h//a b",
        "https://h/a b;x",
        "https://h/a b\0",
        "/a b",
        "",
    ] {
        let reject = at(StandIn { value, ..ours(&good) }, 0).unwrap_err();
        assert!(matches!(reject, Reject::BadSignature | Reject::Malformed), "{value}");
    }
}

#[test]
fn a_url_cannot_bring_a_condition_of_its_own() {
    // A good policy of several members, and a URL that would make a canned policy the same text.
    let policy = AWS_POLICY.replace("http://example.com/hi", "https://h/*");
    let (before, after) = policy.split_once("https://h/*").unwrap();
    assert_eq!(before.as_bytes(), &br#"{"Statement":[{"Resource":""#[..]);
    let key = crate::sign::KeyFile::read(PRIVATE.as_bytes()).unwrap().key;
    let twisted = format!(
        r#"{before}https://h/x","y":"z","Condition":{{"DateLessThan":{{"AWS:EpochTime":1001}}}}}}]}}"#
    );
    let signature = encode(&key.sign(crate::Algorithm::RS256, twisted.as_bytes()).unwrap());
    let link = format!("Expires=1001&Signature={signature}&Key-Pair-Id=K1&Hash-Algorithm=SHA256");
    assert!(after.starts_with('"'));
    let by_path = StandIn { value: r#"https://h/x","y":"z"#, ..ours(&link) };
    assert_eq!(at(by_path, 0), Err(Reject::BadSignature));
    let by_query = format!("y\",\"z\":\"&{link}");
    assert_eq!(at(StandIn { value: "https://h/x", ..ours(&by_query) }, 0), Err(Reject::Malformed));
    for value in ["https://h\"/", "https://h/\\", "https://h\\/a"] {
        assert!(at(StandIn { value, ..ours(&link) }, 0).is_err(), "{value}");
    }
}

#[test]
fn a_custom_policy_is_judged_after_its_signature() {
    let order = Order {
        covers: Some("https://h/*"),
        starts: Some(500),
        address: Some("192.0.2.0/24"),
        ..ORDER
    };
    let good = link(order);
    let request = ours(&good);
    for (now, want) in [
        (499, Err(Reject::NotYetValid)),
        (500, Ok(1000)),
        (1000, Ok(1000)),
        (1001, Err(Reject::Expired)),
    ] {
        assert_eq!(at(request, now), want, "{now}");
    }
    assert_eq!(at(StandIn { client: "192.0.3.1", ..request }, 600), Err(Reject::BadAddress));
    assert_eq!(at(StandIn { client: "", ..request }, 600), Err(Reject::BadAddress));
    assert_eq!(at(StandIn { value: "http://h/", ..request }, 600), Err(Reject::NotCovered));
    let Err(Denied::Refused(refused)) = judge(&[], request, 2000) else { panic!() };
    let Refused { granted: Some(granted), .. } = *refused else { panic!("it says what it was") };
    assert_eq!(granted.acl.as_deref(), Some(&b"https://h/*"[..]));
    // What has no good signature is not read, and has not expired.
    let forged = good.replace("Policy=e", "Policy=f");
    assert_eq!(at(ours(&forged), 2000), Err(Reject::BadSignature));
    // A good signature of what is no policy.
    let key = crate::sign::KeyFile::read(PRIVATE.as_bytes()).unwrap().key;
    for text in ["{}", "", "x", &AWS_POLICY.replace("}]}", "},{}]}")] {
        let signature = encode(&key.sign(crate::Algorithm::RS256, text.as_bytes()).unwrap());
        let policy = encode(text.as_bytes());
        let query =
            format!("Policy={policy}&Signature={signature}&Key-Pair-Id=K1&Hash-Algorithm=SHA256");
        assert_eq!(at(ours(&query), 0), Err(Reject::Malformed), "{text}");
    }
    let long = format!("Policy={}&Signature=x&Key-Pair-Id=K1", "e".repeat(LONGEST + 1));
    assert_eq!(at(ours(&long), 0), Err(Reject::Malformed));
}

#[test]
fn what_is_remembered_is_of_the_keys_in_force() {
    let remembered = Remembered::new();
    for order in [ORDER, Order { covers: Some("https://h/*"), ..ORDER }] {
        let query = link(order);
        let request = StandIn { remembered: Some(&remembered), ..ours(&query) };
        for _ in 0..2 {
            assert_eq!(at(request, 1000), Ok(1000));
            assert_eq!(at(request, 1001), Err(Reject::Expired));
        }
        let other = keys(AWS_KEY, Some("K1"));
        assert_eq!(at(StandIn { keys: Some(&other), ..request }, 0), Err(Reject::BadSignature));
        let renamed = keys(PUBLIC, Some("K2"));
        assert_eq!(at(StandIn { keys: Some(&renamed), ..request }, 0), Err(Reject::UnknownKey));
        assert_eq!(at(StandIn { keys: None, ..request }, 0), Err(Reject::NoKeys));
        let changed = query.replace("SHA256", "SHA1");
        assert_eq!(at(StandIn { query: &changed, ..request }, 0), Err(Reject::BadSignature));
    }
    let query = link(ORDER);
    let elsewhere = StandIn { value: "https://h/b", remembered: Some(&remembered), ..ours(&query) };
    assert_eq!(at(elsewhere, 0), Err(Reject::BadSignature));
}

#[test]
fn a_url_may_have_been_signed_as_it_was_sent() {
    let key = crate::sign::KeyFile::read(PRIVATE.as_bytes()).unwrap().key;
    let policy = |url: &str| {
        format!(
            r#"{{"Statement":[{{"Resource":"{url}","Condition":{{"DateLessThan":{{"AWS:EpochTime":1000}}}}}}]}}"#
        )
    };
    let sign = |text: &str| encode(&key.sign(crate::Algorithm::RS256, text.as_bytes()).unwrap());
    for (sent, value) in [("/a%2Bb%281%29", "/a+b(1)"), ("/%c3%a9", "/\u{e9}"), ("/%61", "/a")] {
        let text = policy(&format!("https://h{sent}"));
        let rest = format!("Signature={}&Key-Pair-Id=K1&Hash-Algorithm=SHA256", sign(&text));
        let canned = format!("Expires=1000&{rest}");
        let custom = format!("Policy={}&{rest}", encode(text.as_bytes()));
        let address = format!("https://h{value}");
        for (query, refused) in [(canned, Reject::BadSignature), (custom, Reject::NotCovered)] {
            let request = StandIn { value: &address, sent_path: Some(sent), ..ours(&query) };
            assert_eq!(at(request, 0), Ok(999), "{sent}");
            // The path was changed since, or nobody knows how it was sent.
            for other in [Some("/x"), Some("/"), None] {
                let request = StandIn { sent_path: other, ..request };
                assert_eq!(at(request, 0), Err(refused), "{sent} {other:?}");
            }
        }
    }
}

#[test]
fn what_a_remembered_policy_says_is_judged_each_time() {
    let memory = Remembered::new();
    let query = link(Order {
        covers: Some("https://h/*"),
        starts: Some(500),
        address: Some("192.0.2.0/24"),
        ..ORDER
    });
    let request = StandIn { remembered: Some(&memory), ..ours(&query) };
    assert_eq!(at(request, 700), Ok(1000));
    assert_eq!(at(request, 499), Err(Reject::NotYetValid));
    assert_eq!(at(request, 1001), Err(Reject::Expired));
    let elsewhere = StandIn { value: "https://i/a", ..request };
    assert_eq!(at(elsewhere, 700), Err(Reject::NotCovered));
    assert_eq!(at(StandIn { client: "192.0.3.7", ..request }, 700), Err(Reject::BadAddress));
}

#[test]
fn what_was_read_from_a_query_or_from_cookies_is_judged_each_time() {
    for covers in [None, Some("https://h/*")] {
        let memory = Remembered::new();
        let query = link(Order { covers, ..ORDER });
        let cookies = format!("CloudFront-{}", query.replace('&', "; CloudFront-"));
        let nothing = StandIn { remembered: Some(&memory), ..ours("") };
        let (in_query, in_cookies) =
            (StandIn { query: &query, ..nothing }, StandIn { cookies: &cookies, ..nothing });
        let elsewhere = match covers {
            Some(_) => Reject::NotCovered,
            None => Reject::BadSignature,
        };
        let other_keys = keys(AWS_KEY, Some("K1"));
        for request in [in_query, in_cookies] {
            for _ in 0..4 {
                assert_eq!(at(request, 1000), Ok(1000));
                assert_eq!(at(request, 1001), Err(Reject::Expired));
                assert_eq!(at(StandIn { value: "https://i/a", ..request }, 0), Err(elsewhere));
                assert_eq!(at(StandIn { keys: None, ..request }, 0), Err(Reject::NoKeys));
                let other = StandIn { keys: Some(&other_keys), ..request };
                assert_eq!(at(other, 0), Err(Reject::BadSignature));
            }
        }
        // The same text in the other place is no link.
        assert_eq!(at(StandIn { cookies: &query, ..nothing }, 0), Err(Reject::Missing));
        assert_eq!(at(StandIn { query: &cookies, ..nothing }, 0), Err(Reject::Missing));
        // A link in the query comes first, whatever is known of the cookies.
        let bad = "Expires=1000&Signature=x&Key-Pair-Id=K1";
        assert!(at(StandIn { query: bad, ..in_cookies }, 0).is_err());
        // The query of the URL counts as well.
        let longer = format!("{query}&a=1");
        let judged = at(StandIn { query: &longer, ..nothing }, 0);
        assert_eq!(judged.is_ok(), covers.is_some(), "{judged:?}");
        assert_eq!(at(StandIn { query: "a=1", ..in_cookies }, 0).is_ok(), covers.is_some());
    }
}

#[test]
fn a_signature_that_has_held_is_not_verified_again() {
    let memory = Remembered::new();
    let key = crate::sign::KeyFile::read(PRIVATE.as_bytes()).unwrap().key;
    let (messages, signature) = (&[&b"m"[..]], key.sign(crate::Algorithm::RS256, b"m").unwrap());
    let named = OURS.named(Some(b"K1"), LinkAlgorithm::RsaSha256).unwrap();
    let holds = |presented: &[u8], form, signature: &[u8]| {
        let verify = |keys: NamedKeys<'static>| keys.verify(messages, signature);
        named.hold(messages, presented, form, Some(&memory), verify)
    };
    assert_eq!(holds(b"s", 1, b"x"), Err(Reject::BadSignature));
    assert_eq!(holds(b"s", 1, &signature), Ok(false));
    // As it was presented it is known now, so nobody looks at the signature.
    assert_eq!(holds(b"s", 1, b"x"), Ok(true));
    for (presented, form) in [(&b"s"[..], 2), (b"t", 1)] {
        assert_eq!(holds(presented, form, b"x"), Err(Reject::BadSignature));
    }
}

#[test]
fn a_key_verifies_what_its_file_says() {
    let aws = format!("Expires=1451606400&Signature={AWS_CANNED}&Key-Pair-Id=K1");
    let value = "http://example.com/hi";
    let jwk = crate::sign::public_of_block(&crate::sign::PemBlock {
        label: "PUBLIC KEY",
        has_proc_type: false,
        der: ::pem::parse(AWS_KEY).unwrap().contents(),
    });
    let mut jwk = serde_json::Value::Object(jwk.unwrap());
    let judge = |text: &str| {
        let keys = keys(text, None);
        at(StandIn { value, keys: Some(&keys), query: &aws, ..REQUEST }, 0)
    };
    assert!(judge(&jwk.to_string()).is_ok());
    jwk["kid"] = "K1".into();
    assert!(judge(&jwk.to_string()).is_ok());
    // SHA-1 is for keys of all algorithms only.
    jwk["alg"] = "RS256".into();
    assert_eq!(judge(&jwk.to_string()), Err(Reject::UnknownKey));
    jwk["alg"] = "RS512".into();
    assert!(LinkKeys::load(jwk.to_string().as_bytes(), None).is_err());
    for none in [include_str!("../../../../tests/keys/p256.pub.pem"), PRIVATE, "", "{}"] {
        assert!(LinkKeys::load(none.as_bytes(), None).is_err());
    }
    let oct = r#"{"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}"#;
    assert!(LinkKeys::load(oct.as_bytes(), None).is_err());
    let several = [PUBLIC, include_str!("../../../../tests/keys/p256.pub.pem"), AWS_KEY].concat();
    let (several, warnings) = LinkKeys::load(several.as_bytes(), None).unwrap();
    assert!(warnings[0].starts_with("1 are neither RSA nor"), "{warnings:?}");
    for (value, query, client) in [(value, &aws, ""), (REQUEST.value, &link(ORDER), "")] {
        let request = StandIn { value, query, client, keys: Some(&several), ..REQUEST };
        assert!(at(request, 0).is_ok());
    }
}

#[test]
fn what_cannot_be_said_is_not_signed() {
    let signer = signer();
    let refused = |order: Order<'_>| signer.sign(&order).unwrap_err().to_string();
    for order in [
        Order { origin: "", ..ORDER },
        Order { path: "/a*", ..ORDER },
        Order { query: "b=*", ..ORDER },
        Order { query: "b=*", starts: Some(1), ..ORDER },
        Order { path: "/a%2a", starts: Some(1), ..ORDER },
        Order { query: "a=\"", ..ORDER },
        Order { query: "a=1&signature=2", ..ORDER },
        Order { expires: 9_999_999_999, ..ORDER },
        Order { starts: Some(-1), ..ORDER },
        Order { address: Some("localhost"), ..ORDER },
        Order { covers: Some(""), ..ORDER },
        Order { covers: Some("https://h/b*"), ..ORDER },
        Order { covers: Some("https://h/*"), path: "/%2e%2e/a", ..ORDER },
        Order { id: Some("x"), ..ORDER },
        Order { data: Some("x"), ..ORDER },
        Order { covers: Some(&"*".repeat(LONGEST)), ..ORDER },
    ] {
        assert!(!refused(order).is_empty());
    }
    let make = |private_key, accepted| {
        let settings = FormatSettings { private_key, accepted, ..FormatSettings::default() };
        CloudFrontSigner::configured(&settings)
    };
    let p256 = include_str!("../../../../tests/keys/p256.pem");
    for private_key in [
        None,
        Some((PRIVATE.as_bytes(), None)),
        Some((PRIVATE.as_bytes(), Some("a b"))),
        Some((PUBLIC.as_bytes(), Some("K1"))),
        Some((p256.as_bytes(), Some("K1"))),
    ] {
        assert!(make(private_key, &[]).is_err());
    }
    let key = Some((PRIVATE.as_bytes(), Some("K1")));
    assert!(make(key, &[LinkAlgorithm::RsaSha1]).is_err());
    assert!(make(key, &CloudFront::ALGORITHMS).is_ok());
    let settings = FormatSettings::default();
    assert_eq!(CloudFront::configured(&settings).unwrap_err().directive, "secure_token_keys");
    let settings = FormatSettings { has_keys: true, accepted: &[LinkAlgorithm::Md5], ..settings };
    assert!(CloudFront::configured(&settings).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_signed_verifies_and_what_is_changed_does_not(
        path in "/[ -~\u{e9}]{0,12}",
        arguments in "[a-z0-9=&%+.]{0,12}",
        pattern in proptest::option::of("[a-z/*?]{0,6}\\*"),
        starts in proptest::option::of(0..1000_i64),
        is_for_address in any::<bool>(),
        at_byte in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let value = format!("https://h{}", path.replace('*', "+"));
        let covers = pattern.map(|pattern| format!("*{pattern}"));
        let order = Order {
            value: Some(value.as_bytes()),
            query: &arguments,
            covers: covers.as_deref(),
            starts,
            address: is_for_address.then_some("192.0.2.0/24"),
            ..ORDER
        };
        let Ok(parts) = signer().sign(&order) else {
            // A pattern need not cover the path.
            prop_assert!(covers.is_some());
            return Ok(());
        };
        let joint = if arguments.is_empty() { "" } else { "&" };
        let query = format!("{arguments}{joint}{}", joined(&parts));
        let judged = at(StandIn { value: &value, ..ours(&query) }, 1000);
        prop_assert_eq!(judged, Ok(1000));
        let mut changed = query.clone().into_bytes();
        let place = at_byte.index(changed.len());
        prop_assume!(changed[place] != byte);
        changed[place] = byte;
        if let Ok(changed) = std::str::from_utf8(&changed) {
            let judged = at(StandIn { value: &value, ..ours(changed) }, 1000);
            // A custom policy may cover other arguments, and which of two slashes is escaped is nobody's business.
            let is_argument = place < arguments.len() && covers.is_some();
            prop_assert!(judged.is_err() || is_argument, "{} {}", query, changed);
        }
    }
}
