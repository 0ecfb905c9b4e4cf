//! The targets `akamai` and `bunny`: links of vendors, each judged again in a naive way.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use token::Reject;
use token::link::{
    Carrier, Denied, Encoding, FormatName, FormatSettings, Given, Granted, LinkFormat, LinkSigner,
    Order, SecretText, address,
};

use crate::parts;

const KEYS: [&[u8]; 2] = [b"mysecret", b"other"];
const NOW: i64 = 1_500_000_000;

/// A format and what makes its links.
type Both = (Box<dyn LinkFormat>, Box<dyn LinkSigner>);

thread_local! {
    static AKAMAI: Both = both(b"akamai");
    static BUNNY: Both = both(b"bunny");
}

fn both(name: &[u8]) -> Both {
    let secrets = KEYS.map(|key| SecretText {
        text: Box::<[u8]>::from(key).into(),
        encoding: Some(Encoding::Text),
        kid: None,
    });
    let settings = FormatSettings { secrets: &secrets, ..FormatSettings::default() };
    let format = FormatName::find(name).expect("a format");
    (format.make(&settings).expect("a format"), format.signer(&settings).expect("a signer"))
}

fn client() -> Option<IpAddr> {
    "192.0.2.1".parse().ok()
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key").chain_update(message);
    mac.finalize().into_bytes().to_vec()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a link says whose signature has held, and whether it passes.
pub fn held(judged: Result<Granted, Denied>) -> Result<(Granted, Option<Reject>), Reject> {
    match judged {
        Ok(granted) => Ok((granted, None)),
        Err(Denied::Refused(refused)) => match refused.granted {
            Some(granted) => Ok((granted, Some(refused.reject))),
            None => Err(refused.reject),
        },
        Err(Denied::Unavailable) => panic!("everything of the request is there"),
    }
}

/// Whether the expiry alone decides as it should.
fn is_in_time(granted: &Granted, reject: Option<Reject>) {
    let expires = granted.expires.expect("every link has an expiry");
    assert_eq!(reject == Some(Reject::Expired), NOW > expires);
}

/// The input is a token, the path, and letters: `s` signs the token before it is judged, `q` has it come in the
/// query, `m` makes another one that covers the token's text.
pub fn akamai(input: &[u8]) {
    let [text, value, how] = parts(input);
    let has_acl = text.split(|byte| *byte == b'~').any(|field| field.starts_with(b"acl="));
    let url =
        if has_acl { Vec::new() } else { [b"~url=", &*address::encode_address(value)].concat() };
    let signature = hex(&mac(KEYS[1], &[text, &url].concat()));
    let signed = [text, b"~hmac=", signature.as_bytes()].concat();
    let text = if how.contains(&b's') { &*signed } else { text };
    let carrier = if how.contains(&b'q') { Carrier::Query } else { Carrier::Other };
    let judge = |text: &[u8], carrier| {
        let request =
            Given { source: Some((text, carrier)), client: client(), ..Given::new(value) };
        held(AKAMAI.with(|(format, _)| {
            let _ = format.parts(&request);
            format.judge(&request, NOW)
        }))
    };
    match judge(text, carrier) {
        Ok((granted, reject)) => {
            let decoded = address::decode(text);
            let readings = [text, if carrier == Carrier::Query { &decoded } else { text }];
            assert!(readings.iter().any(|reading| akamai_holds(reading, value)));
            is_in_time(&granted, reject);
            assert!(granted.acl.iter().all(|acl| acl.iter().all(u8::is_ascii_graphic)));
            if reject.is_none() && granted.acl.is_some() {
                assert!(!value.split(|byte| *byte == b'/').any(|segment| segment == b".."));
            }
        }
        Err(reject) => {
            assert!(matches!(reject, Reject::Malformed | Reject::BadSignature | Reject::Missing));
            // Decoded it is another text, which is not the one that was signed.
            let is_signed = how.contains(&b's') && carrier == Carrier::Other;
            assert!(!is_signed || reject != Reject::BadSignature);
        }
    }
    let Some(covers) = std::str::from_utf8(text).ok().filter(|_| how.contains(&b'm')) else {
        return;
    };
    for covers in [Some(covers), None] {
        let order =
            Order { value: Some(value), expires: NOW, covers, data: Some("d"), ..Order::default() };
        if let Ok(made) = AKAMAI.with(|(_, signer)| signer.sign(&order)) {
            let made = made[0].1.as_bytes();
            assert!(!made.contains(&b'&') && made.iter().all(u8::is_ascii_graphic));
            assert_eq!(judge(made, Carrier::Query).map(|(_, reject)| reject), Ok(None));
        }
    }
}

/// Whether a text ends with the HMAC of what is before it, in one of the forms of a URL.
fn akamai_holds(text: &[u8], value: &[u8]) -> bool {
    let at = text.len() - (text.len().min("~hmac=".len() + 64));
    let (signed, end) = text.split_at(at);
    let Some(given) = end.strip_prefix(b"~hmac=") else { return false };
    let encoded = address::encode_address(value);
    let early = |path: &[u8]| -> Vec<u8> {
        let escape = |byte: &u8| match byte {
            b' ' => "+".to_owned(),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(*byte).to_string()
            }
            byte => format!("%{byte:02x}"),
        };
        path.iter().map(escape).collect::<String>().into_bytes()
    };
    let has_acl = signed.split(|byte| *byte == b'~').any(|field| field.starts_with(b"acl="));
    let urls = if has_acl {
        vec![Vec::new()]
    } else {
        let forms = [value.to_vec(), encoded.to_vec(), early(value), early(&encoded)];
        forms.map(|form| [&b"~url="[..], &form].concat()).to_vec()
    };
    let messages = urls.iter().map(|url| [signed, url].concat());
    let mut hashes = messages.flat_map(|message| KEYS.map(|key| hex(&mac(key, &message))));
    hashes.any(|hash| hash.as_bytes() == given)
}

/// The input is a query, the path, and letters: `s` puts the right token before the query, `a` one for the client's
/// address, `p` puts the query into the path, `t` makes it the text of a source, `m` makes a link for the path.
pub fn bunny(input: &[u8]) {
    let [query, value, how] = parts(input);
    let has = |letter| how.contains(&letter);
    let address: &[u8] = if has(b'a') { &[192, 0, 2, 1] } else { b"" };
    let flag = if has(b'a') { "1-" } else { "" };
    let signed = bunny_message(query, value, address).first().map(|message| {
        let token = format!("token=HS256-{flag}{}&", URL_SAFE_NO_PAD.encode(mac(KEYS[1], message)));
        [token.as_bytes(), query].concat()
    });
    let query = signed.as_deref().filter(|_| has(b's')).unwrap_or(query);
    let judge = |request: Given<'_>| {
        let request = Given { client: client(), ..request };
        held(BUNNY.with(|(format, _)| {
            let _ = format.parts(&request);
            format.judge(&request, NOW)
        }))
    };
    let in_path = [b"/bcdn_", &*address::decode(query), value].concat();
    let judged = judge(match () {
        () if has(b't') => Given { source: Some((query, Carrier::Other)), ..Given::new(value) },
        () if has(b'p') => Given::new(&in_path),
        () => Given { query, ..Given::new(value) },
    });
    match judged {
        Ok((granted, reject)) => {
            is_in_time(&granted, reject);
            if !has(b'p') {
                bunny_holds(query, value);
                let prefix = granted.acl.as_deref().filter(|_| reject.is_none());
                assert!(prefix.is_none_or(|prefix| {
                    let encoded = address::encode_path(value);
                    encoded.starts_with(prefix) || encoded.starts_with(&address::decode(prefix))
                }));
            }
        }
        Err(reject) => {
            assert!(matches!(reject, Reject::Malformed | Reject::BadSignature | Reject::Missing))
        }
    }
    let Some(rest) = std::str::from_utf8(query).ok().filter(|_| has(b'm')) else { return };
    for covers in [Some("/"), None] {
        let (value, address) = (Some(value), has(b'a').then_some("192.0.2.1"));
        let order = Order { value, query: rest, expires: NOW, covers, address, ..Order::default() };
        if let Ok(made) = BUNNY.with(|(_, signer)| signer.sign(&order)) {
            let mut link = rest.to_owned();
            made.iter().for_each(|(name, value)| link.push_str(&format!("&{name}={value}")));
            // A link may become longer than links may be, or be one in the path as well.
            let value = value.unwrap_or_default();
            if link.len() <= 4096 && !value.starts_with(b"/bcdn_token=") {
                let judged = judge(Given { query: link.as_bytes(), ..Given::new(value) });
                let judged = judged.map(|(_, reject)| reject);
                assert!(judged == Ok(None) || judged == Err(Reject::Malformed), "{judged:?}");
            }
        }
    }
}

/// The messages that may be signed: with the path as it is and as it is encoded. None without an expiry.
fn bunny_message(query: &[u8], value: &[u8], address: &[u8]) -> Vec<Vec<u8>> {
    let pairs = query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs
        .map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let value = pair.get(at + 1..).unwrap_or_default();
            (address::decode(&pair[..at]).into_owned(), address::decode(value).into_owned())
        })
        .collect();
    pairs.sort();
    let get = |name: &[u8]| pairs.iter().find(|(one, _)| *one == name).map(|(_, value)| &**value);
    let Some(expires) = get(b"expires") else { return Vec::new() };
    let ignores = get(b"token_ignore_params") == Some(b"true");
    let params: Vec<Vec<u8>> = pairs
        .iter()
        .filter(|(name, _)| match &**name {
            b"token" | b"bcdn_token" | b"expires" => false,
            name => !ignores || name == b"token_path" || name == b"token_ignore_params",
        })
        .map(|(name, value)| [&**name, b"=", value].concat())
        .collect();
    let paths = match get(b"token_path") {
        Some(path) => vec![path.to_vec()],
        None => vec![value.to_vec(), address::encode_address(value).into_owned()],
    };
    let params = params.join(&b'&');
    paths.into_iter().map(|path| [&*path, expires, address, &params].concat()).collect()
}

fn bunny_holds(query: &[u8], value: &[u8]) {
    let decoded = address::decode(query);
    let is_there =
        |token: String| decoded.windows(token.len()).any(|window| window == token.as_bytes());
    let with = |flag: &str, address: &[u8]| {
        let messages = bunny_message(query, value, address);
        let tokens = messages.iter().flat_map(|message| {
            KEYS.map(|key| format!("HS256-{flag}{}", URL_SAFE_NO_PAD.encode(mac(key, message))))
        });
        tokens.into_iter().any(is_there)
    };
    assert!(with("", b"") || with("1-", &[192, 0, 2, 1]));
}
