//! The target `cloudfront`: links of CloudFront, each judged again in a naive way.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use token::credential::without_arguments;
use token::link::{
    Carrier, FormatName, FormatSettings, Granted, LinkFormat, LinkKeys, LinkSigner, Order, address,
};
use token::sign::{KeyFile, PrivateKey};
use token::{Algorithm, Reject};

use crate::asked::{
    Asked, Judged, LONGEST, NOW, client, find, is_in, is_settled, joined, keys, matches, spellings,
    with,
};
use crate::parts;

const NAMES: [&str; 5] = ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];

/// The key of aws-cli's tests, and what they have signed with it, over SHA-1: a seed each.
const AWS_KEY: &str = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu6o2+Jc8UINw2P/w2l7A\n1xXu3emQEZQ9diA3bmog8r9Dg+65fZgAqmuNWPqBivv7j3DGnLUdt8uCIr7PYUbK\n7wDa6n7U3ryOWtO2ZTc3StiJVcqTsokZ0qxGFtDRafjBuydXtcxh52vVTcHqH33n\nubyyZIzuhTwfmrIOnUXnLwbMrBBPbg/8mlgQooyo1XbrN1eO4XMs+UgQ9Mqc7KRJ\nRinUJ+KYuCnM8f/nN4RjYdjTcghkxCPEHCeSt2luywWyYmfguWCBS2Mu1q0250wK\nyNazlgiiTJtAuuSeweb4NKPOJL9XhR6Ce6UuU4WYlli8gvQh3FAV3N3C1Rxo20k2\n8QIDAQAB\n-----END PUBLIC KEY-----\n";
const AWS_SIGNED: [&str; 2] = [
    r#"{"Statement":[{"Resource":"http://example.com/hi","Condition":{"DateLessThan":{"AWS:EpochTime":1451606400}}}]}"#,
    r#"{"Statement":[{"Resource":"http://example.com/hi","Condition":{"DateLessThan":{"AWS:EpochTime":1451606400},"IpAddress":{"AWS:SourceIp":"12.34.56.78/32"}}}]}"#,
];

const PRIVATE: [&str; 2] = [
    include_str!("../../tests/keys/rsa2048.pem"),
    include_str!("../../tests/keys/rsa2048-other.pem"),
];

/// What was signed, by which key.
type Signatures = HashMap<(usize, Vec<u8>), Vec<u8>>;

struct OfCloudFront {
    format: Box<dyn LinkFormat>,
    signer: Box<dyn LinkSigner>,
    private: [PrivateKey; 2],
    /// The first private key's as K1, AWS's as K2, and the second one's, for any name; and AWS's as K1.
    keys: [LinkKeys; 2],
    signed: RefCell<Signatures>,
}

thread_local! {
    static CLOUDFRONT: OfCloudFront = {
        let name = FormatName::find(b"cloudfront").expect("a format");
        let private_key = Some((PRIVATE[0].as_bytes(), Some("K1")));
        let settings =
            FormatSettings { has_keys: true, private_key, ..FormatSettings::default() };
        let all = [
            keys(include_str!("../../tests/keys/rsa2048.pub.pem"), Some("K1")),
            keys(AWS_KEY, Some("K2")),
            keys(include_str!("../../tests/keys/rsa2048-other.pub.pem"), None),
        ];
        OfCloudFront {
            format: name.make(&settings).expect("a format"),
            signer: name.signer(&settings).expect("a signer"),
            private: PRIVATE.map(|text| KeyFile::read(text.as_bytes()).expect("a key").key),
            keys: [LinkKeys::joined(all.map(Arc::new)), keys(AWS_KEY, Some("K1"))],
            signed: RefCell::default(),
        }
    };
}

impl OfCloudFront {
    fn sign(&self, key: usize, message: &[u8]) -> Vec<u8> {
        let mut signed = self.signed.borrow_mut();
        if signed.len() > 4096 {
            signed.clear();
        }
        let sign = || self.private[key].sign(Algorithm::RS256, message).expect("a signature");
        signed.entry((key, message.into())).or_insert_with(sign).clone()
    }

    /// Whether this was signed here.
    fn has_signed(&self, key: usize, message: &[u8], signature: &[u8]) -> bool {
        let signed = self.signed.borrow();
        signed.get(&(key, message.into())).is_some_and(|it| it == signature)
    }
}

/// A link as it was read.
struct Link {
    /// What may have been signed.
    messages: Vec<Vec<u8>>,
    /// The expiry of a canned policy.
    expires: Option<i64>,
    signature: Vec<u8>,
    key: Vec<u8>,
    is_sha256: bool,
    /// The query of the URL.
    query: Vec<u8>,
}

/// The input is a policy, the URL, letters, and its query. `s` signs the policy, or the canned one until a time that
/// the text is (`c`), as the URL is if there is `l`, with the other key if there is `x`, which has any name (`n`).
/// The link comes in the query, in cookies (`k`), or as a text of a source (`t`, of one that is an argument `a`).
/// Without `s` the text is the link. `m` makes one for the URL, which is for the client (`i`) and from now on (`f`),
/// and one whose Resource the text is.
pub fn cloudfront(input: &[u8]) {
    let [text, value, how, query] = parts(input);
    let (value, query) = (&value[..value.len().min(LONGEST)], &query[..query.len().min(LONGEST)]);
    let has = |letter| how.contains(&letter);
    let client = client(has(b'6'));
    let plain = || Asked { value: value.into(), query: query.into(), client, ..Asked::default() };
    let ask = |link: &[u8]| {
        let asked = plain();
        let as_cookies =
            || link.split(|byte| *byte == b'&').map(|field| [b"CloudFront-", field].concat());
        match () {
            () if has(b't') => Asked { source: Some((link.into(), Carrier::Other)), ..asked },
            () if has(b'a') => Asked { source: Some((link.into(), Carrier::Query)), ..asked },
            () if has(b'k') => {
                Asked { cookie: as_cookies().collect::<Vec<_>>().join(&b"; "[..]), ..asked }
            }
            () => Asked { query: with(query, link), ..asked },
        }
    };
    CLOUDFRONT.with(|cloudfront| {
        let check = |asked: &Asked| asked.judge_cloudfront(cloudfront);
        if has(b's') {
            let messages = if has(b'c') { canned(value, query, text) } else { vec![text.into()] };
            let message = if has(b'l') { messages.last() } else { messages.first() };
            let message = message.map_or(&b""[..], Vec::as_slice);
            let signature = cloudfront.sign(usize::from(has(b'x')), message);
            let terms = match has(b'c') {
                true => [b"Expires=", text].concat(),
                false => [b"Policy=", encode(text).as_bytes()].concat(),
            };
            let name = if has(b'n') { "a" } else { "K1" };
            let signature = encode(&signature);
            let rest = format!("&Signature={signature}&Key-Pair-Id={name}&Hash-Algorithm=SHA256");
            let asked = || ask(&[&*terms, rest.as_bytes()].concat());
            let _ = check(&asked());
            let _ = check(&asked().changed(input.len() * 31));
            let value = [value, b"x"].concat();
            let _ = check(&Asked { value, client: None, ..asked() });
        } else {
            let _ = check(&ask(text));
        }
        let text = std::str::from_utf8(text).unwrap_or_default();
        let Some(query) = std::str::from_utf8(query).ok().filter(|_| has(b'm')) else { return };
        for covers in [Some(text), None] {
            let (value, starts) = (Some(value), has(b'f').then_some(NOW));
            let address = has(b'i').then_some("12.34.56.0/24");
            let order = Order { value, query, starts, covers, address, ..Order::default() };
            let order = Order { expires: NOW, ..order };
            if let Ok(made) = cloudfront.signer.sign(&order) {
                let made = joined(&made, "&");
                let asked = Asked { query: with(query.as_bytes(), made.as_bytes()), ..plain() };
                assert_eq!(check(&asked).map(|(_, reject)| reject), Ok(None));
            }
            if let Ok(made) = cloudfront.signer.cookies(&order) {
                let asked = Asked { cookie: joined(&made, "; ").into(), ..plain() };
                assert_eq!(check(&asked).map(|(_, reject)| reject), Ok(None));
            }
        }
    });
}

fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes).replace('+', "-").replace('=', "_").replace('/', "~")
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8(text.to_vec()).ok()?;
    let mut text = text.replace('_', "=").replace('-', "+").replace('~', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    STANDARD.decode(text).ok()
}

fn canned(value: &[u8], query: &[u8], expires: &[u8]) -> Vec<Vec<u8>> {
    let urls = spellings(value).into_iter().map(|url| resource(&url, query));
    // What JSON has to escape would make it the policy of another URL.
    let is_plain = |byte: &u8| !byte.is_ascii_control() && !b"\"\\".contains(byte);
    let urls = urls.filter(|url| url.iter().all(is_plain));
    let policy = |url: Vec<u8>| {
        let before = &br#"{"Statement":[{"Resource":""#[..];
        let between = br#"","Condition":{"DateLessThan":{"AWS:EpochTime":"#;
        [before, &url, between, expires, b"}}}]}"].concat()
    };
    urls.map(policy).collect()
}

/// A URL with its query.
fn resource(url: &[u8], query: &[u8]) -> Vec<u8> {
    if query.is_empty() { url.to_vec() } else { [url, b"?", query].concat() }
}

impl Asked {
    /// With all keys, and without the one that signs.
    fn judge_cloudfront(&self, cloudfront: &OfCloudFront) -> Judged {
        let [judged, _] = [0, 1].map(|set| {
            let judged = self.judge(&*cloudfront.format, &cloudfront.keys[set]);
            let link = self.read_cloudfront();
            match &judged {
                Ok((granted, reject)) => {
                    let link = link.expect("a link");
                    let message = link.signed(cloudfront, set, true).expect("signed by a key");
                    assert_eq!((granted.clone(), *reject), self.says(&link, message));
                }
                Err(Reject::BadSignature | Reject::UnknownKey) => {
                    let is_signed = |link: Link| link.signed(cloudfront, set, false).is_some();
                    assert!(!link.is_some_and(is_signed));
                }
                Err(reject) => assert!(matches!(reject, Reject::Malformed | Reject::Missing)),
            }
            judged
        });
        judged
    }

    /// The link of the query, of the cookies, or of the text.
    fn read_cloudfront(&self) -> Option<Link> {
        let query = &self.query;
        let in_query = |name| find(query, b'&', name).map(address::decode);
        if NAMES.iter().any(|name| in_query(name).is_some()) {
            let own = without_arguments(query, NAMES.iter().map(|name| name.as_bytes()));
            return self.link(own.as_deref().unwrap_or(query), in_query);
        }
        let in_cookie = |name: &str| {
            let found = find(&self.cookie, b';', &format!("CloudFront-{name}"));
            found.filter(|found| !found.is_empty()).map(Cow::Borrowed)
        };
        if NAMES.iter().any(|name| in_cookie(name).is_some()) {
            return self.link(query, in_cookie);
        }
        let text = match self.source.as_ref()? {
            (text, Carrier::Query) => address::decode(text),
            (text, Carrier::Other) => Cow::Borrowed(&**text),
        };
        self.link(query, |name| find(&text, b'&', name).map(Cow::Borrowed))
    }

    fn link<'t>(
        &self,
        query: &[u8],
        get: impl Fn(&'static str) -> Option<Cow<'t, [u8]>>,
    ) -> Option<Link> {
        let [expires, policy, signature, key, hash] = NAMES.map(get);
        let is_sha256 = match hash.as_deref() {
            None | Some(b"SHA1") => false,
            Some(hash) => hash == b"SHA256",
        };
        let messages = match (&expires, policy) {
            (Some(expires), None) => canned(&self.value, query, expires),
            (None, policy) => vec![decode(&policy?)?],
            (Some(_), Some(_)) => return None,
        };
        let expires = match expires {
            Some(expires) => Some(std::str::from_utf8(&expires).ok()?.parse().ok()?),
            None => None,
        };
        let (signature, key) = (decode(&signature?)?, key?.into_owned());
        Some(Link { messages, expires, signature, key, is_sha256, query: query.into() })
    }

    /// What a link says whose signed message this is, and why it does not pass.
    fn says(&self, link: &Link, message: &[u8]) -> (Granted, Option<Reject>) {
        let Some(policy) = link.policy(message) else {
            let ends = link.expires.expect("an expiry");
            return (Granted::until(ends - 1), (NOW >= ends).then_some(Reject::Expired));
        };
        let statement = &policy["Statement"][0];
        let (resource, condition) = (&statement["Resource"], &statement["Condition"]);
        let resource = resource.as_str().expect("a text");
        let time = |name: &str| {
            let time = condition.get(name)?["AWS:EpochTime"].as_u64().expect("a time");
            Some(i64::try_from(time).expect("a time"))
        };
        let network = condition.get("IpAddress").map(|it| it["AWS:SourceIp"].as_str());
        let is_for = network.is_none_or(|network| {
            let network = network.expect("a text");
            let is_any = network.rsplit_once('/').is_some_and(|(_, len)| len.parse() == Ok(0));
            is_in(network, self.client).expect("a network") || is_any
        });
        let ends = time("DateLessThan").expect("an expiry");
        let acl = Some(resource.as_bytes().into());
        let granted = Granted { acl, ..Granted::until(ends - 1) };
        let reject = match () {
            () if time("DateGreaterThan").is_some_and(|starts| NOW < starts) => {
                Some(Reject::NotYetValid)
            }
            () if NOW >= ends => Some(Reject::Expired),
            () if !is_for => Some(Reject::BadAddress),
            () => {
                (!self.is_covered(resource.as_bytes(), &link.query)).then_some(Reject::NotCovered)
            }
        };
        (granted, reject)
    }

    fn is_covered(&self, pattern: &[u8], query: &[u8]) -> bool {
        if spellings(&self.value).iter().any(|url| resource(url, query) == pattern) {
            return true;
        }
        let url = address::encode_address(&self.value);
        let halves =
            |at: &usize| matches(&pattern[..*at], &url) && matches(&pattern[at + 1..], query);
        let mut marks = (0..pattern.len()).filter(|at| pattern[*at] == b'?').take(8);
        let covers_all = query.is_empty() || pattern.ends_with(b"*");
        let of_query = !query.is_empty() && marks.any(|at| halves(&at));
        is_settled(&self.value) && (of_query || covers_all && matches(pattern, &url))
    }
}

impl Link {
    /// The message that the signature is of; what was not signed here is signed again if `again`.
    fn signed(&self, cloudfront: &OfCloudFront, set: usize, again: bool) -> Option<&[u8]> {
        let of = |message: &&Vec<u8>| {
            if !self.is_sha256 {
                let name: &[u8] = if set == 0 { b"K2" } else { b"K1" };
                let is_of_aws = AWS_SIGNED.iter().any(|it| it.as_bytes() == &***message);
                return again && self.key == name && is_of_aws;
            }
            let mut keys =
                [0, 1].into_iter().filter(|key| set == 0 && (*key == 1 || self.key == b"K1"));
            keys.any(|key| {
                let known = cloudfront.has_signed(key, message, &self.signature);
                known || again && cloudfront.sign(key, message) == self.signature
            })
        };
        self.messages.iter().find(of).map(Vec::as_slice)
    }

    /// A custom policy, which must have the members that are documented and no others, each once. A canned one
    /// must be for its URL.
    fn policy(&self, message: &[u8]) -> Option<Value> {
        if self.expires.is_some() {
            // A path that is no UTF-8 may be signed as it is.
            if let Ok(message) = std::str::from_utf8(message) {
                let policy: Value = serde_json::from_str(message).expect("JSON");
                let url = policy["Statement"][0]["Resource"].as_str().expect("a URL");
                assert!(message.contains(url));
            }
            return None;
        }
        let policy: Value = serde_json::from_slice(message).expect("JSON");
        let mut count = 0;
        let mut has_only = |value: &Value, names: &[&str]| {
            let members = value.as_object().expect("an object");
            assert!(members.keys().all(|name| names.contains(&&**name)), "{policy}");
            count += members.len();
        };
        has_only(&policy, &["Statement"]);
        assert_eq!(policy["Statement"].as_array().map(Vec::len), Some(1));
        let statement = &policy["Statement"][0];
        has_only(statement, &["Resource", "Condition"]);
        let condition = &statement["Condition"];
        has_only(condition, &["DateLessThan", "DateGreaterThan", "IpAddress"]);
        for (name, value) in condition.as_object().expect("an object") {
            has_only(value, &[if name == "IpAddress" { "AWS:SourceIp" } else { "AWS:EpochTime" }]);
        }
        // Every member has a colon that is in no text.
        let (mut is_in_text, mut is_escaped, mut colons) = (false, false, 0);
        for byte in message {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => is_in_text = !is_in_text,
                b':' if !is_in_text => colons += 1,
                _ => {}
            }
        }
        assert_eq!(colons, count, "a member stands twice");
        Some(policy)
    }
}
