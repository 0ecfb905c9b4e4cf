//! The target `google`: links of Google's networks, each judged again in a naive way.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;
use token::link::{
    Carrier, Encoding, FormatName, FormatSettings, Granted, LinkFormat, LinkKeys, LinkSigner,
    Order, SecretText, address,
};
use token::sign::{KeyFile, PrivateKey};
use token::{Algorithm, Reject};

use crate::asked::{
    Asked, HEADERS, Judged, LONGEST, NOW, client, cut, find, is_in, is_settled, joined, keys,
    matches, spellings, with,
};
use crate::links::hex;
use crate::parts;

const SECRETS: [(&str, &[u8]); 2] = [("k", b"mysecret"), ("o", b"other")];
const ED25519: &str = include_str!("../../tests/keys/ed25519.pem");

struct OfGoogle {
    format: Box<dyn LinkFormat>,
    /// With HMAC-SHA1 and with Ed25519.
    signers: [Box<dyn LinkSigner>; 2],
    key: PrivateKey,
    /// With the key, and without it.
    keys: [LinkKeys; 2],
}

thread_local! {
    static GOOGLE: OfGoogle = {
        let secrets = SECRETS.map(|(kid, secret)| SecretText {
            text: Box::<[u8]>::from(secret).into(),
            encoding: Some(Encoding::Text),
            kid: Some(kid.into()),
        });
        let settings =
            FormatSettings { secrets: &secrets, has_keys: true, ..FormatSettings::default() };
        let private_key = Some((ED25519.as_bytes(), Some("k")));
        let name = FormatName::find(b"google").expect("a format");
        let signer = |settings| name.signer(settings).expect("a signer");
        let keys = |kid| keys(include_str!("../../tests/keys/ed25519.pub.pem"), Some(kid));
        OfGoogle {
            format: name.make(&settings).expect("a format"),
            signers: [signer(&settings), signer(&FormatSettings { private_key, ..settings })],
            key: KeyFile::read(ED25519.as_bytes()).expect("a key").key,
            keys: ["k", "another"].map(keys),
        }
    };
}

/// What a link of Google says.
struct Signed {
    /// What may have been signed.
    messages: Vec<Vec<u8>>,
    signature: Vec<u8>,
    key: Option<Vec<u8>>,
    granted: Granted,
    /// Why it does not pass.
    reject: Option<Reject>,
}

/// The input is the fields before a signature, the URL, letters, and a query. `s` signs it, with the key if there is
/// `e`, as the URL is if there is `l`, in SHA-256 if there is `2`. It comes in the query, or in the path (`p`, before
/// the end of it, which the query then is), as a text of a source (`t`, of one that is an argument `a`), as an
/// argument (`g`), or in a cookie (`k`). `m` makes a link for the URL, and one that covers what the text is.
pub fn google(input: &[u8]) {
    let [text, value, how, query] = parts(input);
    let (value, query) = (&value[..value.len().min(LONGEST)], &query[..query.len().min(LONGEST)]);
    let has = |letter| how.contains(&letter);
    let client = client(has(b'6'));
    let plain = || Asked { value: value.into(), query: query.into(), client, ..Asked::default() };
    let ask = |link: &[u8]| {
        let asked = plain();
        match () {
            () if has(b't') => Asked { source: Some((link.into(), Carrier::Other)), ..asked },
            () if has(b'a') => Asked { source: Some((link.into(), Carrier::Query)), ..asked },
            () if has(b'k') => Asked { cookie: [b"Edge-Cache-Cookie=", link].concat(), ..asked },
            () if has(b'g') => {
                let link = [b"edge-cache-token=", link].concat();
                Asked { query: with(query, &link), ..asked }
            }
            () if has(b'p') => {
                let value = [value, b"/edge-cache-token=", link, b"/", query].concat();
                Asked { value, query: Vec::new(), ..asked }
            }
            () => Asked { query: with(query, link), ..asked },
        }
    };
    GOOGLE.with(|google| {
        let check = |asked: &Asked| asked.judge_google(google);
        if has(b's') {
            let is_token = text.contains(&b'~');
            let is_hmac = is_token && !has(b'e');
            let name: &[u8] = if is_hmac { b"hmac=" } else { b"Signature=" };
            let separator = b"~:&".iter().find(|byte| text.contains(byte)).unwrap_or(&b'&');
            let unsigned = [text, &[*separator], name].concat();
            let read = ask(&unsigned).read_google(google).pop();
            let messages = read.map(|read| read.messages).unwrap_or_default();
            let message = if has(b'l') { messages.last() } else { messages.first() };
            let message = message.map_or(&b""[..], Vec::as_slice);
            let sha256 = is_hmac && has(b'2');
            let signature = match has(b'e') {
                true => google.key.sign(Algorithm::EdDSA, message).expect("a signature"),
                false => mac(SECRETS[0].1, message, sha256),
            };
            let signature =
                if is_hmac { hex(&signature) } else { URL_SAFE_NO_PAD.encode(signature) };
            let asked = || ask(&[&unsigned, signature.as_bytes()].concat());
            let _ = check(&asked());
            let _ = check(&asked().changed(input.len() * 31));
            let asked = asked();
            let value = [&*asked.value, b"x"].concat();
            let _ = check(&Asked { value, client: None, ..asked });
        } else {
            let _ = check(&ask(text));
        }
        let text = std::str::from_utf8(text).unwrap_or_default();
        let Some(query) = std::str::from_utf8(query).ok().filter(|_| has(b'm')) else { return };
        let signer = &google.signers[usize::from(has(b'e'))];
        for covers in [Some(text), None] {
            let value = Some(value);
            let order = Order { value, query, expires: NOW, covers, ..Order::default() };
            if let Ok(made) = signer.sign(&order) {
                let made = joined(&made, "&");
                let asked = Asked { query: with(query.as_bytes(), made.as_bytes()), ..plain() };
                assert_eq!(check(&asked).map(|(_, reject)| reject), Ok(None));
            }
            if let Ok(made) = signer.cookies(&order) {
                let asked = Asked { cookie: joined(&made, "; ").into(), ..plain() };
                let is_other = cut(&asked.value, b"edge-cache-token=").is_some()
                    || find(query.as_bytes(), b'&', "edge-cache-token").is_some();
                let judged = check(&asked).map(|(_, reject)| reject);
                assert!(judged == Ok(None) || is_other, "{judged:?}");
            }
        }
    });
}

fn mac(secret: &[u8], message: &[u8], sha256: bool) -> Vec<u8> {
    if sha256 {
        let mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key").chain_update(message);
        return mac.finalize().into_bytes().to_vec();
    }
    let mac = Hmac::<Sha1>::new_from_slice(secret).expect("a key").chain_update(message);
    mac.finalize().into_bytes().to_vec()
}

impl Asked {
    /// With the key, and without it.
    fn judge_google(&self, google: &OfGoogle) -> Judged {
        let [judged, without] = google.keys.each_ref().map(|keys| {
            let judged = self.judge(&*google.format, keys);
            let has_key = std::ptr::eq(keys, &google.keys[0]);
            let read = self.read_google(google);
            let signed = read.iter().find(|read| read.is_signed(google, has_key));
            match (&judged, signed) {
                (Ok((granted, reject)), Some(read)) => {
                    assert_eq!((granted, *reject), (&read.granted, read.reject));
                }
                (Ok(_), None) => panic!("nobody has signed this"),
                (Err(Reject::BadSignature | Reject::UnknownKey), signed) => {
                    assert!(signed.is_none(), "it is signed");
                }
                (Err(reject), _) => assert!(matches!(reject, Reject::Malformed | Reject::Missing)),
            }
            judged
        });
        assert!(without.is_err() || without == judged);
        judged
    }

    /// The link, in the ways in which it may be read.
    fn read_google(&self, google: &OfGoogle) -> Vec<Signed> {
        let names = ["URLPrefix", "Expires", "KeyName", "Signature"];
        if names.iter().any(|name| find(&self.query, b'&', name).is_some()) {
            return self.of_query().into_iter().collect();
        }
        let (origin, path) = address::split_origin(&self.value);
        let mut start = origin.len();
        for component in path.split(|byte| *byte == b'/') {
            if let Some(text) = component.strip_prefix(b"edge-cache-token=") {
                let below = &self.value[..start];
                let before = cut(component, b"&Signature=").map(|(before, _)| before);
                let messages = join(below, b"", before.unwrap_or_default());
                let covers = Some((below.to_vec(), is_settled(&self.value)));
                return self.signed(text, b'&', messages, covers).into_iter().collect();
            }
            start += component.len() + 1;
        }
        let Some((text, carrier)) = self.text(google.format.places()) else { return Vec::new() };
        let decoded = match carrier {
            Carrier::Query => address::decode(text),
            Carrier::Other => Cow::Borrowed(text),
        };
        [text, &decoded].into_iter().filter_map(|text| self.of_text(text)).collect()
    }

    fn of_query(&self) -> Option<Signed> {
        let get = |name| find(&self.query, b'&', name);
        let Some(prefix) = get("URLPrefix") else {
            let (before, _) = cut(&self.query, b"&Signature=")?;
            return self.signed(&self.query, b'&', join(&self.value, b"?", before), None);
        };
        let (prefix, expires, key) = (address::decode(prefix), get("Expires")?, get("KeyName")?);
        let message = [b"URLPrefix=", &*prefix, b"&Expires=", expires, b"&KeyName=", key].concat();
        self.signed(&self.query, b'&', vec![message], Some(self.of_prefix(&prefix)?))
    }

    fn of_text(&self, text: &[u8]) -> Option<Signed> {
        if text.contains(&b'~') {
            return self.of_token(text);
        }
        let separator = if text.contains(&b':') { b':' } else { b'&' };
        let (before, _) = cut(text, &[&[separator][..], b"Signature="].concat())?;
        let (messages, covers) = match find(text, separator, "URLPrefix") {
            Some(prefix) => (vec![before.to_vec()], Some(self.of_prefix(prefix)?)),
            None => (join(&self.value, b"?", &with(&self.query, before)), None),
        };
        self.signed(text, separator, messages, covers)
    }

    fn of_token(&self, text: &[u8]) -> Option<Signed> {
        let get = |name| find(text, b'~', name);
        let path = address::split_origin(&self.value).1;
        let message = |path: &[u8]| -> Option<Vec<u8>> {
            let mut fields = Vec::new();
            for field in text.split(|byte| *byte == b'~') {
                if field == b"FullPath" {
                    fields.push([b"FullPath=", path].concat());
                } else if let Some(names) = field.strip_prefix(b"Headers=") {
                    fields.push([b"Headers=", &*with_values(names)?].concat());
                } else if !field.starts_with(b"hmac=") && !field.starts_with(b"Signature=") {
                    fields.push(field.to_vec());
                }
            }
            Some(fields.join(&b'~'))
        };
        let messages = spellings(path).iter().map(|path| message(path)).collect::<Option<_>>()?;
        let globs = get("PathGlobs").map(|globs| {
            let path = address::encode_path(path);
            let mut each = globs.split(|byte| b",!".contains(byte));
            (globs.to_vec(), is_settled(&self.value) && each.any(|glob| matches(glob, &path)))
        });
        let covers = match get("URLPrefix") {
            Some(prefix) => Some(self.of_prefix(prefix)?),
            None => globs,
        };
        let mut signed = self.signed(text, b'~', messages, covers)?;
        let field = |name| get(name).map(Into::into);
        (signed.granted.id, signed.granted.data) = (field("SessionID"), field("Data"));
        if let Some(list) = get("IPRanges").filter(|_| signed.reject != Some(Reject::Expired)) {
            let list = String::from_utf8_lossy(&base64url(list)?).into_owned();
            if !list.split(',').any(|one| is_in(one, self.client) == Some(true)) {
                signed.reject = Some(Reject::BadAddress);
            }
        }
        if get("Starts").is_some_and(|starts| NOW < time(starts).unwrap_or(0)) {
            signed.reject = Some(Reject::NotYetValid);
        }
        Some(signed)
    }

    /// The prefix, and whether it covers the URL.
    fn of_prefix(&self, encoded: &[u8]) -> Option<(Vec<u8>, bool)> {
        let prefix = base64url(encoded)?;
        let does = address::encode_address(&self.value).starts_with(&prefix);
        let rest = prefix.strip_prefix(b"http").map(|rest| rest.strip_prefix(b"s").unwrap_or(rest));
        let host = rest.and_then(|rest| rest.strip_prefix(b"://"));
        host.and_then(|host| host.iter().position(|byte| *byte == b'/')).filter(|at| *at > 0)?;
        Some((prefix, does && is_settled(&self.value)))
    }

    /// `covers` is what the link says that it covers, and whether it does.
    fn signed(
        &self,
        text: &[u8],
        separator: u8,
        messages: Vec<Vec<u8>>,
        covers: Option<(Vec<u8>, bool)>,
    ) -> Option<Signed> {
        let get = |name| find(text, separator, name);
        let expires = time(get("Expires")?)?;
        let hmac = get("hmac").filter(|_| separator == b'~');
        let signature = match (hmac, get("Signature")) {
            (Some(hmac), _) => hmac
                .chunks(2)
                .map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok())
                .collect::<Option<_>>()?,
            (None, signature) => base64url(&address::decode(signature?))?,
        };
        let is_covered = covers.as_ref().is_none_or(|(_, does)| *does);
        let reject = match () {
            () if NOW > expires => Some(Reject::Expired),
            () => (!is_covered).then_some(Reject::NotCovered),
        };
        let acl = covers.map(|(acl, _)| acl.into());
        let granted = Granted { acl, expires: Some(expires), ..Granted::default() };
        let key = get("KeyName").map(Into::into);
        Some(Signed { messages, signature, key, granted, reject })
    }
}

/// A URL in its spellings, and what comes after it.
fn join(url: &[u8], joint: &[u8], after: &[u8]) -> Vec<Vec<u8>> {
    spellings(url).iter().map(|url| [url, joint, after].concat()).collect()
}

/// The headers of these names, with their values.
fn with_values(names: &[u8]) -> Option<Vec<u8>> {
    let values = names.split(|byte| *byte == b',').map(|name| {
        let mut headers = HEADERS.iter();
        let (_, value) = headers.find(|(one, _)| name.eq_ignore_ascii_case(one.as_bytes()))?;
        Some([name, b"=", value.as_bytes()].concat())
    });
    Some(values.collect::<Option<Vec<_>>>()?.join(&b','))
}

fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    let bare = text.strip_suffix(b"==").or(text.strip_suffix(b"=")).unwrap_or(text);
    URL_SAFE_NO_PAD.decode(bare).ok()
}

fn time(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl Signed {
    fn is_signed(&self, google: &OfGoogle, has_key: bool) -> bool {
        let is_of = |name: &str| self.key.as_deref().is_none_or(|key| key == name.as_bytes());
        self.messages.iter().any(|message| match self.signature.len() {
            64 => {
                let signature = google.key.sign(Algorithm::EdDSA, message);
                let name = if has_key { "k" } else { "another" };
                is_of(name) && signature.expect("a signature") == self.signature
            }
            len => {
                let mut secrets = SECRETS.iter().filter(|(kid, _)| is_of(kid));
                secrets.any(|(_, secret)| mac(secret, message, len == 32) == self.signature)
            }
        })
    }
}
