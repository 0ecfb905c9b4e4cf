mod tokens;

use std::sync::LazyLock;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::super::keys::LinkKeys;
use super::super::order::{LinkSigner as _, Order};
use super::super::remembered::Remembered;
use super::super::secret::SecretText;
use super::super::stand_in::StandIn;
use super::*;
use crate::base64url;

/// From GoogleCloudPlatform/python-docs-samples, cdn/snippets and media_cdn/snippets: their keys.
const CLOUD_CDN: &str = "nZtRohdNF9m3cKM24IcK4w==";
const MEDIA_CDN: &str = "g_SlMILiIWKqsC6Z2L7gy0sReDOqtSrJrE7CXNr5Nl8=";
const PUBLIC: &str = "g9u90RZv3ddq7pRAEsLaiT6ju1AGNVb2uXdPz0UGwPE";
/// The public halves of the private keys of media_cdn/dualtoken and of the path component, computed from them.
const OTHERS: [&str; 2] = [DUAL_TOKEN, PATH_COMPONENT];
const DUAL_TOKEN: &str = "n7nwvhza11C0SuU9ay1uWjDSfzH-CpIBgXxqIz-Yd9Q";
const PATH_COMPONENT: &str = "im3BGpbE4hJnwXf4v_FEqQMdja45pRJcF-n-3XU6kKo";

fn set(keys: &[(&str, Option<&str>)]) -> LinkKeys {
    let key = |(x, kid): &(&str, Option<&str>)| match kid {
        Some(kid) => format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{kid}"}}"#),
        None => format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#),
    };
    let keys = keys.iter().map(key).collect::<Vec<_>>().join(",");
    LinkKeys::load(format!(r#"{{"keys":[{keys}]}}"#).as_bytes(), None).unwrap().0
}

static KEYS: LazyLock<LinkKeys> = LazyLock::new(|| {
    set(&[
        (PUBLIC, Some("my-key")),
        (DUAL_TOKEN, Some("token")),
        (PATH_COMPONENT, Some("test-key")),
    ])
});

fn secret(text: &str, kid: Option<&str>) -> SecretText {
    let text = Zeroizing::new(text.as_bytes().into());
    SecretText { text, encoding: None, kid: kid.map(Into::into) }
}

static SECRETS: LazyLock<[SecretText; 2]> =
    LazyLock::new(|| [secret(CLOUD_CDN, Some("my-key")), secret(MEDIA_CDN, Some("token"))]);

fn format(accepted: &[LinkAlgorithm]) -> Google {
    let settings =
        FormatSettings { secrets: &*SECRETS, has_keys: true, accepted, ..Default::default() };
    Google::configured(&settings).unwrap()
}

fn at(request: StandIn<'_>, now: i64) -> Result<Granted, Reject> {
    let format = format(&[]);
    match format.judge(&request.given(&format), now) {
        Ok(granted) => Ok(granted),
        Err(Denied::Refused(refused)) => Err(refused.reject),
        Err(Denied::Unavailable) => panic!("all is there"),
    }
}

/// The same, without what it says.
fn passes(request: StandIn<'_>, now: i64) -> Result<(), Reject> {
    at(request, now).map(drop)
}

fn request() -> StandIn<'static> {
    StandIn { client: "203.0.113.7", keys: Some(&KEYS), ..StandIn::default() }
}

/// URL without its arguments, the arguments that are signed, the signature, and the expiry.
const URLS: [(&str, &str, &str, i64); 4] = [
    (
        "http://35.186.234.33/index.html",
        "Expires=1549751401&KeyName=my-key",
        "CRFqQnVfFyiUyR63OQf-HRUpIwc=",
        1_549_751_401,
    ),
    (
        "http://www.example.com/",
        "Expires=1549751401&KeyName=my-key",
        "OqDUFfHpN5Vxga6r80bhsgxKves=",
        1_549_751_401,
    ),
    (
        "http://www.example.com/some/path",
        "some=query&another=param&Expires=1549751401&KeyName=my-key",
        "9Q9TCxSju8-W5nUkk5CuTrun2_o=",
        1_549_751_401,
    ),
    (
        "http://35.186.234.33/index.html",
        "Expires=1650848400&KeyName=my-key",
        "16-oE9GZ5U9S_LYrW8RplZhvMfI7RGtGRY0C-Ahh6YAwiJ0UaEi6rQuPxfm6R-cBPfs8MwRGiu2fAoS1JOoKCA==",
        1_650_848_400,
    ),
];

const PREFIX: &str =
    "URLPrefix=aHR0cDovL3d3dy5leGFtcGxlLmNvbS9zb21lLw==&Expires=1650848400&KeyName=my-key";
const PREFIX_SIGNATURE: &str =
    "pVN8HKc6Be-PDczd9NjqSui3HHaoCLUN5iDv6JhQ77uKigsCih6z_cMTGjeXhgGASh1zr-ZPrOnxWJxxGWxsBg==";

const PATH: &str = "https://example.com/edge-cache-token=Expires=1663070400&KeyName=test-key&Signature=2hvmMKXW_e0bY3ViJNDSgoXDGvNj2L-UYTseTgtj96Va0S4FYxehka1k4hzWo2_87B9zqr_Ne4MMEdRfHUMUBw==/";

#[test]
fn the_vectors_of_urls_hold() {
    for (value, signed, signature, expires) in URLS {
        let query = format!("{signed}&Signature={signature}");
        let it = StandIn { value, query: &query, ..request() };
        assert_eq!(at(it, expires), Ok(Granted::until(expires)), "{query}");
        assert_eq!(passes(it, expires + 1), Err(Reject::Expired));
        assert_eq!(passes(StandIn { value: "http://h/", ..it }, 0), Err(Reject::BadSignature));
        // The padding may be missing, or escaped.
        let bare = query.trim_end_matches('=');
        assert_eq!(passes(StandIn { query: bare, ..it }, 0), Ok(()));
        let escaped = query.replace("==", "%3D%3d");
        assert_eq!(passes(StandIn { query: &escaped, ..it }, 0), Ok(()));
        // As a text, with the URL's own arguments in the query.
        let at_expires = query.find("Expires").unwrap();
        let own = query[..at_expires].trim_end_matches('&');
        let by_text = StandIn { query: own, text: &query[at_expires..], ..it };
        assert_eq!(passes(by_text, 0), Ok(()));
    }
}

#[test]
fn the_vector_of_a_prefix_holds() {
    let query = format!("{PREFIX}&Signature={PREFIX_SIGNATURE}");
    let it = StandIn { value: "http://www.example.com/some/a b", query: &query, ..request() };
    let granted = at(it, 1_650_848_400).unwrap();
    assert_eq!(granted.acl.as_deref(), Some(&b"http://www.example.com/some/"[..]));
    assert_eq!(granted.expires, Some(1_650_848_400));
    assert_eq!(passes(it, 1_650_848_401), Err(Reject::Expired));
    for elsewhere in [
        "http://www.example.com/some",
        "https://www.example.com/some/",
        "http://www.example.com/other/",
        "http://www.example.com.evil/some/",
        "/some/",
    ] {
        assert_eq!(passes(StandIn { value: elsewhere, ..it }, 0), Err(Reject::NotCovered));
    }
    // Other arguments do not count, nor where these stand among them.
    let other = format!("a=1&Signature={PREFIX_SIGNATURE}&b&{PREFIX}&c");
    assert_eq!(passes(StandIn { query: &other, ..it }, 0), Ok(()));
    let escaped = query.replace("==", "%3D%3D");
    assert_eq!(passes(StandIn { query: &escaped, ..it }, 0), Ok(()));
    let text = StandIn { text: &query, query: "x=1", ..it };
    assert_eq!(passes(text, 0), Ok(()));
    // The signed text is other with colons.
    let colons = query.replace('&', ":");
    assert_eq!(passes(StandIn { text: &colons, query: "", ..it }, 0), Err(Reject::BadSignature));
    // Without its padding it is another text, too.
    let bare = query.replacen("==", "", 1);
    assert_eq!(passes(StandIn { query: &bare, ..it }, 0), Err(Reject::BadSignature));
}

#[test]
fn the_vector_of_a_path_holds_below_it() {
    for below in ["a.m3u8", "", "a/b c?%\""] {
        let value = format!("{PATH}{below}");
        let it = StandIn { value: &value, ..request() };
        let granted = at(it, 1_663_070_400).unwrap();
        assert_eq!(granted.acl.as_deref(), Some(&b"https://example.com/"[..]));
        assert_eq!(passes(it, 1_663_070_401), Err(Reject::Expired));
    }
    for below in ["a/%2e%2e/%2e%2e/b", "..;/b", "\0"] {
        let value = format!("{PATH}{below}");
        let it = StandIn { value: &value, ..request() };
        assert_eq!(passes(it, 0), Err(Reject::NotCovered), "{below:?}");
    }
    let file = format!("{PATH}file");
    for (from, to, reject) in [
        ("https://example.com/", "https://example.com/a/", Reject::BadSignature),
        ("https://", "http://", Reject::BadSignature),
        ("example.com", "example.org", Reject::BadSignature),
        ("==/", "==", Reject::Malformed),
        ("test-key", "my-key", Reject::BadSignature),
        ("test-key", "no-key", Reject::UnknownKey),
        ("Expires=1", "Expires=2", Reject::BadSignature),
        ("Expires", "expires", Reject::Malformed),
        ("&Signature", "&a=1&Signature", Reject::Malformed),
        ("==/file", "==/edge-cache-token=x/file", Reject::Malformed),
        ("Expires=", "URLPrefix=aHR0cHM6Ly9leGFtcGxlLmNvbS8&Expires=", Reject::Malformed),
        ("/edge-cache", "/x-edge-cache", Reject::Missing),
    ] {
        let value = file.replacen(from, to, 1);
        assert_ne!(value, file);
        assert_eq!(passes(StandIn { value: &value, ..request() }, 0), Err(reject), "{value}");
    }
    assert_eq!(
        passes(StandIn { value: file.trim_end_matches("/file"), ..request() }, 0),
        Err(Reject::Malformed)
    );
    let by_path = &file["https://example.com".len()..];
    assert_eq!(passes(StandIn { value: by_path, ..request() }, 0), Err(Reject::BadSignature));
}

#[test]
fn a_cookie_holds_a_prefix_with_colons() {
    let (key, prefix) = (Hasherless, padded_prefix());
    let signed = format!("URLPrefix={prefix}:Expires=1000:KeyName=my-key");
    let cookie = format!("{signed}:Signature={}", key.sign(&signed));
    let it = StandIn { value: "https://h/a/b", text: &cookie, ..request() };
    assert_eq!(passes(it, 1000), Ok(()));
    assert_eq!(passes(it, 1001), Err(Reject::Expired));
    assert_eq!(passes(StandIn { value: "https://h/b", ..it }, 0), Err(Reject::NotCovered));
    assert_eq!(passes(StandIn { query: "a=1", ..it }, 0), Ok(()));
    // Arguments of a signature come first.
    assert_eq!(passes(StandIn { query: "Signature=x", ..it }, 0), Err(Reject::Malformed));
    let fields: Vec<&str> = cookie.split(':').collect();
    for i in 0..fields.len() {
        let mut missing = fields.clone();
        missing.remove(i);
        let mut twice = fields.clone();
        twice.insert(i, fields[i]);
        let mut other = fields.clone();
        other.swap(i, (i + 1) % fields.len());
        let mut unknown = fields.clone();
        unknown.insert(i, "a=1");
        for bad in [missing, twice, other, unknown] {
            let text = bad.join(":");
            assert_eq!(passes(StandIn { text: &text, ..it }, 0), Err(Reject::Malformed), "{text}");
        }
    }
    // A prefix must not end within the host.
    let signed =
        format!("URLPrefix={}:Expires=1000:KeyName=my-key", base64url::encode("https://h"));
    let cookie = format!("{signed}:Signature={}", key.sign(&signed));
    assert_eq!(passes(StandIn { text: &cookie, ..it }, 0), Err(Reject::Malformed));
}

/// Signs with Cloud CDN's key, by what is not the format.
struct Hasherless;

impl Hasherless {
    fn sign(&self, text: &str) -> String {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let key = base64url::decode(CLOUD_CDN.trim_end_matches('=').as_bytes()).unwrap();
        let mac = Hmac::<sha1::Sha1>::new_from_slice(&key).unwrap().chain_update(text);
        base64url::encode(mac.finalize().into_bytes())
    }
}

fn padded_prefix() -> String {
    signed::padded(b"https://h/a/")
}

#[test]
fn every_argument_is_there_once_and_in_its_place() {
    let (value, signed, signature, _) = URLS[2];
    let query = format!("{signed}&Signature={signature}");
    for (from, to) in [
        ("Expires=1549751401&", ""),
        ("KeyName=my-key&", ""),
        ("KeyName=my-key", "KeyName="),
        ("KeyName=my-key", "KeyName"),
        ("&Signature=", "&Signature"),
        ("Expires", "expires"),
        ("Expires", "E%78pires"),
        ("&Signature", ";Signature"),
        ("another=param&", "another=param;"),
        ("=9Q", "=%39Q"),
        ("Expires=1549751401", "Expires=01549751401"),
        ("Expires=1549751401", "Expires=15497514010"),
        ("Expires=1549751401", "Expires=1549751402"),
        ("some=query&another=param", "another=param&some=query"),
        ("some=query&", ""),
        ("some=query", "some=querz"),
        ("Expires=1549751401&KeyName=my-key", "KeyName=my-key&Expires=1549751401"),
    ] {
        let bad = query.replacen(from, to, 1);
        assert_ne!(bad, query);
        let judged = passes(StandIn { value, query: &bad, ..request() }, 0);
        // An escape in a signature is read: it is the same signature.
        assert_eq!(judged.is_ok(), to == "=%39Q", "{bad} {judged:?}");
    }
    for i in 0..3 {
        let name = ["Expires=1549751401", "KeyName=my-key", "Signature=x"][i];
        for bad in [format!("{name}&{query}"), format!("{query}&{name}"), format!("{query}&x=1")] {
            let it = StandIn { value, query: &bad, ..request() };
            assert_eq!(passes(it, 0), Err(Reject::Malformed), "{bad}");
        }
    }
    for value in [
        "https://www.example.com/some/path",
        "http://www.example.com/some//path",
        "http://www.example.com/some/path/",
        "http://www.example.com/some/Path",
        "http://www.example.com/some/path;x",
        "http://www.example.com/some/path\0",
        "http://www.example.com/some%2fpath",
        "http://www.example.com/x/../some/path",
        "http://www.example.com/some/path?some=query",
    ] {
        let it = StandIn { value, query: &query, ..request() };
        assert_eq!(passes(it, 0), Err(Reject::BadSignature), "{value}");
    }
    assert_eq!(passes(StandIn { value, ..request() }, 0), Err(Reject::Missing));
    assert_eq!(passes(StandIn { value, query: "a=1", ..request() }, 0), Err(Reject::Missing));
}

#[test]
fn a_question_mark_of_the_path_is_none_of_a_query() {
    // What is signed is `http://h/a?b=1?Expires=...`, of a URL with the query `b=1?Expires=...`.
    let signed = "http://h/a?b=1?Expires=1000&KeyName=my-key";
    let query = format!("Expires=1000&KeyName=my-key&Signature={}", Hasherless.sign(signed));
    let it = StandIn { value: "http://h/a?b=1", query: &query, ..request() };
    assert_eq!(passes(it, 0), Err(Reject::BadSignature));
    let signed = "http://h/a%3Fb=1?Expires=1000&KeyName=my-key";
    let query = format!("Expires=1000&KeyName=my-key&Signature={}", Hasherless.sign(signed));
    assert_eq!(passes(StandIn { query: &query, ..it }, 0), Ok(()));
    // As it is, and encoded.
    for path in ["\u{e9} b", "%C3%A9%20b"] {
        let signed = format!("http://h/{path}?Expires=1000&KeyName=my-key");
        let query = format!("Expires=1000&KeyName=my-key&Signature={}", Hasherless.sign(&signed));
        let it = StandIn { value: "http://h/\u{e9} b", query: &query, ..request() };
        assert_eq!(passes(it, 0), Ok(()), "{path}");
    }
}

#[test]
fn names_choose_secrets_and_keys() {
    let (value, signed, signature, _) = URLS[0];
    let query = format!("{signed}&Signature={signature}");
    let it = StandIn { value, query: &query, ..request() };
    for (secrets, want) in [
        (vec![secret(CLOUD_CDN, Some("my-key"))], Ok(())),
        (vec![secret(MEDIA_CDN, None), secret(CLOUD_CDN, None)], Ok(())),
        (vec![secret(CLOUD_CDN, Some("other"))], Err(Reject::UnknownKey)),
        (vec![secret(MEDIA_CDN, Some("my-key"))], Err(Reject::BadSignature)),
    ] {
        let settings = FormatSettings { secrets: &secrets, ..FormatSettings::default() };
        let format = Google::configured(&settings).unwrap();
        let judged = format.judge(&it.given(&format), 0);
        let judged = judged.map(drop).map_err(|denied| match denied {
            Denied::Refused(refused) => refused.reject,
            Denied::Unavailable => panic!(),
        });
        assert_eq!(judged, want);
    }
    let (value, signed, signature, _) = URLS[3];
    let query = format!("{signed}&Signature={signature}");
    let remembered = Remembered::new();
    let it = StandIn { value, query: &query, remembered: Some(&remembered), ..request() };
    for _ in 0..2 {
        assert_eq!(passes(it, 0), Ok(()));
        assert_eq!(passes(StandIn { keys: None, ..it }, 0), Err(Reject::NoKeys));
        for (x, kid, want) in [
            (PUBLIC, None, Ok(())),
            (PUBLIC, Some("other"), Err(Reject::UnknownKey)),
            (OTHERS[0], Some("my-key"), Err(Reject::BadSignature)),
            (OTHERS[1], None, Err(Reject::BadSignature)),
        ] {
            let keys = set(&[(x, kid)]);
            assert_eq!(passes(StandIn { keys: Some(&keys), ..it }, 0), want, "{x} {kid:?}");
        }
    }
    let malformed = Denied::malformed("its algorithm is not accepted");
    let hmac = format(&[LinkAlgorithm::HmacSha1, LinkAlgorithm::HmacSha256]);
    assert_eq!(hmac.judge(&it.given(&hmac), 0), Err(malformed.clone()));
    let settings = FormatSettings { secrets: &*SECRETS, ..FormatSettings::default() };
    let format = Google::configured(&settings).unwrap();
    assert_eq!(format.judge(&it.given(&format), 0), Err(malformed));
    assert!(Google::configured(&FormatSettings::default()).is_err());
    let settings = FormatSettings { accepted: &[LinkAlgorithm::Ed25519], ..settings };
    assert_eq!(Google::configured(&settings).unwrap_err().directive, "secure_token_algorithm");
}

fn signer(private_key: Option<(&str, Option<&str>)>) -> Result<GoogleSigner, Mistake> {
    let private_key = private_key.map(|(text, name)| (text.as_bytes(), name));
    GoogleSigner::configured(&FormatSettings {
        secrets: &*SECRETS,
        private_key,
        ..Default::default()
    })
}

const ED25519: &str = include_str!("../../../../tests/keys/ed25519.pem");
const ED25519_PUBLIC: &str = include_str!("../../../../tests/keys/ed25519.pub.pem");
const ORDER: Order<'_> = Order {
    origin: "http://www.example.com",
    path: "/some/path",
    value: None,
    query: "some=query&another=param",
    expires: 1_549_751_401,
    starts: None,
    covers: None,
    address: None,
    id: None,
    data: None,
};

#[test]
fn what_is_made_is_what_google_makes() {
    let signer = signer(None).unwrap();
    let signed = signer.sign(&ORDER).unwrap();
    let (_, _, signature, _) = URLS[2];
    assert_eq!(
        signed,
        [
            ("Expires", "1549751401".to_owned()),
            ("KeyName", "my-key".to_owned()),
            ("Signature", signature.to_owned())
        ]
    );
    let root = Order { path: "/", query: "", ..ORDER };
    assert_eq!(signer.sign(&root).unwrap()[2].1, URLS[1].2);
    let value =
        Order { value: Some(b"http://www.example.com/some/path"), origin: "", path: "x", ..ORDER };
    assert_eq!(signer.sign(&value).unwrap(), signed);
}

#[test]
fn what_cannot_be_said_is_not_signed() {
    let signer_of = signer(None).unwrap();
    for order in [
        Order { origin: "", ..ORDER },
        Order { expires: -1, ..ORDER },
        Order { query: "a=1&expires=2", ..ORDER },
        Order { expires: 10_000_000_000, ..ORDER },
        Order { covers: Some("http://www.example.com"), ..ORDER },
        Order { covers: Some("https://www.example.com/"), ..ORDER },
        Order { covers: Some("/a"), ..ORDER },
        // The link would not pass: a prefix covers no path that another program may take for another one.
        Order { covers: Some("http://www.example.com/"), path: "/a/%2e%2e/b", ..ORDER },
        Order { covers: Some("http://www.example.com/"), path: "/a%00", ..ORDER },
        Order { starts: Some(1), ..ORDER },
        Order { address: Some("192.0.2.1"), ..ORDER },
        Order { id: Some("x"), ..ORDER },
    ] {
        assert!(signer_of.sign(&order).is_err());
    }
    for private_key in [
        (ED25519, None),
        (ED25519, Some("a&b")),
        (ED25519_PUBLIC, Some("k")),
        (include_str!("../../../../tests/keys/p256.pem"), Some("k")),
    ] {
        assert!(signer(Some(private_key)).is_err());
    }
    for secrets in [vec![], vec![secret(CLOUD_CDN, None)], vec![secret(CLOUD_CDN, Some("a b"))]] {
        let settings = FormatSettings { secrets: &secrets, ..FormatSettings::default() };
        assert_eq!(
            GoogleSigner::configured(&settings).unwrap_err().directive,
            "secure_token_secret"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_signed_verifies_and_what_is_changed_does_not(
        path in "/[ -~\u{e9}]{0,12}",
        arguments in "[a-z0-9=&%+.]{0,12}",
        is_prefix in any::<bool>(),
        is_ed25519 in any::<bool>(),
        at_byte in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let value = format!("https://h{path}");
        prop_assume!(!value.contains("edge-cache-token=") && address::is_settled(path.as_bytes()));
        let covers = is_prefix.then_some("https://h/");
        let order = Order { value: Some(value.as_bytes()), query: &arguments, expires: 1000, covers, ..ORDER };
        let keys = LinkKeys::load(ED25519_PUBLIC.as_bytes(), Some("e")).unwrap().0;
        let parts = signer(is_ed25519.then_some((ED25519, Some("e")))).unwrap().sign(&order).unwrap();
        let joint = if arguments.is_empty() { "" } else { "&" };
        let link: Vec<_> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = format!("{arguments}{joint}{}", link.join("&"));
        let it = StandIn { value: &value, query: &query, keys: Some(&keys), ..request() };
        prop_assert_eq!(passes(it, 1000), Ok(()));
        prop_assert_eq!(passes(it, 1001), Err(Reject::Expired));
        let mut changed = query.clone().into_bytes();
        let place = at_byte.index(changed.len());
        prop_assume!(changed[place] != byte);
        changed[place] = byte;
        if let Ok(changed) = std::str::from_utf8(&changed) {
            // With a prefix the other arguments do not count.
            let is_argument = place < arguments.len() && is_prefix;
            let judged = passes(StandIn { query: changed, ..it }, 1000);
            prop_assert!(judged.is_err() || is_argument, "{} {}", query, changed);
        }
        let other = format!("{value}x");
        prop_assert_eq!(passes(StandIn { value: &other, ..it }, 1000).is_ok(), is_prefix);
    }

    #[test]
    fn no_text_of_fields_brings_a_panic(text in "[a-zA-Z=~:&,/*%0-9]{0,40}", query in any::<bool>()) {
        let it = StandIn { text: &text, is_text_of_query: query, value: "http://h/a", ..request() };
        prop_assert!(text.is_empty() || passes(it, 0).is_err());
    }
}
