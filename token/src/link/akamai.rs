//! Akamai's tokens (EdgeAuth 2.0): one text of fields `name=value` with `~` between them, the HMAC last.
//!
//! `ip=ADDRESS~st=TIME~exp=TIME~acl=PATTERNS~id=TEXT~data=TEXT~hmac=HEX`, in any order but for `hmac`. The HMAC is
//! over all before `~hmac=` as it travels, then `~url=PATH` if there is no `acl`, then `~salt=TEXT` if one is
//! configured. The facts are those of Akamai's generators (EdgeAuth-Token-Python and its siblings).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::address;
use super::algorithm::LinkAlgorithm;
use super::cover;
use super::fields::{Fields, unix_time};
use super::format::{Denied, FormatSettings, Granted, LinkFormat, Mistake, Place};
use super::mac::{self, HashAlgorithm, Hasher};
use super::order::{LinkSigner, Order, OrderError};
use super::part::{self, Meaning, Part};
use super::request::{Carrier, LinkRequest};
use super::secret::Encoding;
use crate::credential::Found;
use crate::reject::Reject;

/// The most bytes of a token.
const LONGEST: usize = 4096;

/// The names of the fields. No other one is accepted, and none twice.
const FIELDS: [&str; 7] = ["ip", "st", "exp", "acl", "id", "data", "hmac"];

/// The secrets of Akamai's tokens, and what is accepted of them.
#[derive(Debug)]
pub(super) struct Akamai {
    /// One for each secret and accepted algorithm, the newest secret first.
    hashers: Box<[(HashAlgorithm, Hasher)]>,
    /// `~salt=TEXT`; empty without a salt.
    salt: Box<[u8]>,
}

/// A token taken apart. Nothing of it is true before its HMAC has held.
struct Token<'t> {
    /// What is before `~hmac=`.
    signed: &'t [u8],
    hmac: &'t [u8],
    expires: i64,
    starts: Option<i64>,
    address: Option<IpAddr>,
    acl: Option<Acl>,
    id: Option<&'t [u8]>,
    data: Option<&'t [u8]>,
}

impl<'t> Token<'t> {
    /// Takes a text apart.
    ///
    /// Times are one to ten digits. A field that is there has a value. Control characters are refused, since
    /// `id` and `data` go into headers and logs.
    fn read(text: &'t [u8]) -> Result<Self, &'static str> {
        // Without a branch for each byte.
        if text.iter().fold(false, |any, byte| any | byte.is_ascii_control()) {
            return Err("it holds a control character");
        }
        let fields = Fields::read(text, b'~')?;
        if !fields.are_among(&FIELDS) {
            return Err("it has a field that is not known");
        }
        if fields.iter().any(|(_, value)| value.is_none_or(<[u8]>::is_empty)) {
            return Err("a field has no value");
        }
        let Some((b"hmac", Some(hmac))) = fields.iter().last() else {
            return Err("hmac is not the last field");
        };
        let signed = text.len().checked_sub("~hmac=".len() + hmac.len());
        let time = |name| fields.value(name).map(|text| unix_time(text).ok_or("a time is none"));
        Ok(Self {
            signed: signed.and_then(|len| text.get(..len)).ok_or("it has no exp")?,
            hmac,
            expires: time("exp").ok_or("it has no exp")??,
            starts: time("st").transpose()?,
            address: fields.value("ip").map(read_address).transpose()?,
            acl: fields.value("acl").map(Acl::read).transpose()?,
            id: fields.value("id"),
            data: fields.value("data"),
        })
    }

    fn granted(&self) -> Granted {
        let owned = |text: Option<&[u8]>| text.map(Box::from);
        Granted {
            expires: Some(self.expires),
            acl: self.acl.as_ref().map(|acl| acl.joined().into()),
            id: owned(self.id),
            data: owned(self.data),
        }
    }
}

/// One address. Generators that escape early write its colons as `%3a`.
fn read_address(text: &[u8]) -> Result<IpAddr, &'static str> {
    let decoded = address::decode(text);
    let parsed = std::str::from_utf8(&decoded).ok().and_then(|text| text.parse().ok());
    parsed.ok_or("ip is not one address")
}

/// The patterns of an `acl`.
///
/// Some generators encode it before they sign it (`acl=%2F%2A`), so it is decoded once; then `!` separates
/// patterns, and `*` and `?` are wildcards. What is left is brought to the form of [`address::encode_path`],
/// which is that of the paths that it is compared with.
struct Acl(Box<[Vec<u8>]>);

impl Acl {
    fn read(text: &[u8]) -> Result<Self, &'static str> {
        let decoded = address::decode(text);
        let patterns: Box<[_]> = decoded.split(|byte| *byte == b'!').map(canonical).collect();
        match patterns.iter().any(Vec::is_empty) {
            true => Err("acl has an empty pattern"),
            false => Ok(Self(patterns)),
        }
    }

    /// Whether a path, decoded and normalised, is covered.
    fn covers(&self, path: &[u8]) -> bool {
        let encoded = address::encode_path(path);
        address::is_settled(path) && self.0.iter().any(|one| cover::matches(one, &encoded))
    }

    fn joined(&self) -> Vec<u8> {
        self.0.join(&b'!')
    }

    /// Which patterns cover the path.
    fn explained(&self, path: &[u8]) -> String {
        let encoded = address::encode_path(path);
        let of_one = |pattern: &Vec<u8>| {
            let does = address::is_settled(path) && cover::matches(pattern, &encoded);
            let verb = if does { "covers" } else { "does not cover" };
            format!("{} {verb} it", String::from_utf8_lossy(pattern))
        };
        self.0.iter().map(of_one).collect::<Vec<_>>().join(", ")
    }
}

/// A pattern in the encoded form of paths. `*` is never encoded there; `?` stays a wildcard.
fn canonical(pattern: &[u8]) -> Vec<u8> {
    if !pattern.contains(&b'?') {
        return address::encode_path(pattern).into_owned();
    }
    let pieces = pattern.split(|byte| *byte == b'?').map(address::encode_path);
    pieces.collect::<Vec<_>>().join(&b'?')
}

/// The path as generators write it that escape early: as Python's `quote_plus`, with digits in lower case.
fn escape_early(path: &[u8]) -> Vec<u8> {
    let mut escaped = String::with_capacity(path.len());
    for byte in path {
        match byte {
            b'_' | b'.' | b'-' | b'~' => escaped.push(char::from(*byte)),
            b' ' => escaped.push('+'),
            byte if byte.is_ascii_alphanumeric() => escaped.push(char::from(*byte)),
            // Writing to a string does not fail.
            byte => drop(write!(escaped, "%{byte:02x}")),
        }
    }
    escaped.into_bytes()
}

impl Akamai {
    /// The algorithms of this format. Akamai's own default is the first; the other one is accepted only if the
    /// configuration names it.
    const ALGORITHMS: [LinkAlgorithm; 2] = [LinkAlgorithm::HmacSha256, LinkAlgorithm::HmacSha1];

    /// Takes what the directives say. Secrets are hexadecimal, unless they say something else.
    ///
    /// # Errors
    /// There is no secret or it cannot be read, or an algorithm or option is not of this format.
    pub(super) fn configured(settings: &FormatSettings<'_>) -> Result<Self, Mistake> {
        settings.only_options(&["salt"])?;
        let salt = match settings.option("salt") {
            Some("") => return Err(Mistake::new("secure_token_format", "\"salt=\" is empty")),
            Some(salt) => [b"~salt=", salt.as_bytes()].concat(),
            None => Vec::new(),
        };
        let accepted = match settings.algorithms(&Self::ALGORITHMS)? {
            _ if settings.accepted.is_empty() => vec![LinkAlgorithm::HmacSha256],
            accepted => accepted,
        };
        let secrets = settings.secrets(Encoding::Hex)?;
        if secrets.is_empty() {
            return Err(Mistake::new(
                "secure_token_format",
                "\"akamai\" has no secret: name a secure_token_secret, here or on a level above",
            ));
        }
        let mut hashers = Vec::with_capacity(secrets.len() * Self::ALGORITHMS.len());
        for secret in &secrets {
            // In the order of `ALGORITHMS`, so that links are made with the better one.
            for algorithm in Self::ALGORITHMS.iter().filter(|one| accepted.contains(one)) {
                let algorithm = match algorithm {
                    LinkAlgorithm::HmacSha1 => HashAlgorithm::HmacSha1,
                    _ => HashAlgorithm::HmacSha256,
                };
                hashers.extend(Hasher::new(algorithm, secret).map(|hasher| (algorithm, hasher)));
            }
        }
        Ok(Self { hashers: hashers.into(), salt: salt.into() })
    }

    /// Judges one reading of the text.
    fn judge_text(
        &self,
        text: &[u8],
        request: &dyn LinkRequest,
        now: i64,
    ) -> Result<Granted, Denied> {
        let token = Token::read(text).map_err(Denied::malformed)?;
        let value = request.value()?;
        if !self.vouches(&token, &value)? {
            return Err(Reject::BadSignature.into());
        }
        let granted = token.granted().unless_expired(now)?;
        if token.starts.is_some_and(|starts| now < starts) {
            return Err(granted.but(Reject::NotYetValid, ""));
        }
        let is_clients = |address| request.client().is_some_and(|it| cover::is_same(it, address));
        if !token.address.is_none_or(is_clients) {
            return Err(granted.but(Reject::BadAddress, ""));
        }
        if !token.acl.as_ref().is_none_or(|acl| acl.covers(&value)) {
            return Err(granted.but(Reject::NotCovered, "acl does not match it"));
        }
        Ok(granted)
    }

    /// Whether the HMAC holds with any secret.
    fn vouches(&self, token: &Token<'_>, value: &[u8]) -> Result<bool, Denied> {
        let mut given = [0; mac::LONGEST];
        let given = given.get_mut(..token.hmac.len() / 2).unwrap_or_default();
        // Generators write lower case: so each token has one spelling.
        let is_lower = token.hmac.iter().fold(true, |all, byte| all & !byte.is_ascii_uppercase());
        if !is_lower || hex::decode_to_slice(token.hmac, given).is_err() {
            return Err(Denied::malformed("hmac is not hexadecimal in lower case"));
        }
        let mut hashers =
            self.hashers.iter().filter(|(algorithm, _)| algorithm.size() == given.len()).peekable();
        if hashers.peek().is_none() {
            return Err(Denied::malformed("hmac has the length of no algorithm that is accepted"));
        }
        let urls = match token.acl {
            Some(_) => Vec::new(),
            None => url_forms(value),
        };
        Ok(hashers.any(|(_, hasher)| {
            let holds = |name: &[u8], url: &[u8]| {
                hasher.hash(&[token.signed, name, url, &self.salt]).is(given)
            };
            match token.acl {
                Some(_) => holds(b"", b""),
                None => urls.iter().any(|url| holds(b"~url=", url)),
            }
        }))
    }
}

/// What a generator may have signed as `url`: the path decoded or percent-encoded, each of them plain or escaped
/// early. At most four texts.
fn url_forms(value: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let spellings = address::spellings(value);
    spellings.flat_map(|path| [Cow::Owned(escape_early(&path)), path]).collect()
}

/// What a field means, of which there is one. `signed` is what the HMAC is over besides the fields.
fn meaning(name: &[u8], text: &[u8], request: &dyn LinkRequest, signed: &str) -> Meaning {
    const NO_TIME: &str = "is no time: it must be one to ten digits, without leading zeros";
    match name {
        b"exp" => Meaning::time("", unix_time(text), NO_TIME),
        b"st" => Meaning::time("valid from ", unix_time(text), NO_TIME),
        b"ip" => Meaning::words(match (read_address(text), request.client()) {
            (Err(_), _) => "is not one address",
            (Ok(_), None) => "for this client address only",
            (Ok(it), Some(client)) if cover::is_same(client, it) => "the client's address",
            (Ok(_), Some(_)) => "is not the client's address",
        }),
        b"acl" => {
            let value = request.value().unwrap_or_default();
            match Acl::read(text) {
                Err(why) => Meaning::words(why),
                Ok(acl) => Meaning::words(acl.explained(&value)),
            }
        }
        b"id" => Meaning::words("whom or what it names"),
        b"data" => Meaning::words("what its maker has put into it"),
        b"hmac" => match text.len() {
            64 => Meaning::words(format!("hmac-sha256 over the fields before it{signed}")),
            40 => Meaning::words(format!("hmac-sha1 over the fields before it{signed}")),
            _ => Meaning::words("is neither hmac-sha256 (64 digits) nor hmac-sha1 (40 digits)"),
        },
        _ => Meaning::words("is no field of this format"),
    }
}

impl LinkFormat for Akamai {
    fn places(&self) -> &[Place] {
        &[
            Place::Argument("hdnts"),
            Place::Argument("hdnea"),
            Place::Argument("__token__"),
            Place::Cookie("hdntl"),
            Place::Cookie("__hdnea__"),
        ]
    }

    /// The text is judged as it came, and, if it was an argument of the query, also decoded once: clients
    /// encode `~`, `=`, `/` or `*`.
    ///
    /// The expiry is looked at first, then `st`, the address, and what is covered. A token is still valid in
    /// the second of `exp`, and already in that of `st`.
    fn judge(&self, request: &dyn LinkRequest, now: i64) -> Result<Granted, Denied> {
        let text = match request.text()? {
            Some(Found::One(text)) => text,
            Some(Found::Unusable) => return Err(Reject::Malformed.into()),
            Some(Found::Absent) | None => return Err(Reject::Missing.into()),
        };
        if text.len() > LONGEST {
            return Err(Denied::malformed("it has more than 4096 bytes"));
        }
        let as_it_came = self.judge_text(text, request, now);
        let Err(Denied::Refused(refused)) = &as_it_came else { return as_it_came };
        let decoded = match request.carrier() {
            Carrier::Query if refused.granted.is_none() => address::decode(text),
            _ => Cow::Borrowed(text),
        };
        if *decoded == *text {
            return as_it_came;
        }
        let was_signature = refused.reject == Reject::BadSignature;
        match self.judge_text(&decoded, request, now) {
            // Of two readings that are refused the one that was of the format says more.
            Err(Denied::Refused(other)) if was_signature && other.granted.is_none() => as_it_came,
            otherwise => otherwise,
        }
    }

    fn parts(&self, request: &dyn LinkRequest) -> Vec<Part> {
        let Ok(Some(Found::One(text))) = request.text() else { return Vec::new() };
        let text = match request.carrier() {
            Carrier::Query if !text.contains(&b'~') => address::decode(text),
            _ => Cow::Borrowed(text),
        };
        let fields = part::split(&text, b'~');
        let stands = |name: &[u8]| fields.iter().filter(|(one, _)| *one == name).count();
        let path = if stands(b"acl") == 0 { ", and the path, as there is no acl" } else { "" };
        let signed = format!("{path}{}", if self.salt.is_empty() { "" } else { ", and the salt" });
        let field = |(name, text): &(&[u8], &[u8])| {
            let meaning = match stands(name) {
                1 => meaning(name, text, request, &signed),
                _ => Meaning::Unusable,
            };
            Part::new(name, text, meaning)
        };
        fields.iter().map(field).collect()
    }
}

impl LinkSigner for Akamai {
    /// The argument `hdnts`: with `acl` if the order says what it covers, else for the one path or URL. What a
    /// query or a cookie cannot hold plain in `acl`, `id` and `data` is percent-encoded, and signed so.
    fn sign(&self, order: &Order<'_>) -> Result<Vec<(&'static str, String)>, OrderError> {
        order.has_only(&["starts", "covers", "address", "id", "data"])?;
        let invalid = |text: &str| OrderError::Invalid(text.to_owned());
        let (_, hasher) = self.hashers.first().ok_or_else(|| invalid("there is no secret"))?;
        let decoded = address::decode(order.path.as_bytes());
        let value = order.value.unwrap_or(&decoded);
        let mut fields = Vec::with_capacity(FIELDS.len());
        if let Some(text) = order.address {
            let address = text.parse::<IpAddr>();
            fields.push(format!("ip={}", address.map_err(|_| invalid("ip is one address"))?));
        }
        if let Some(starts) = order.starts {
            if starts > order.expires {
                return Err(invalid("it would expire before it starts"));
            }
            fields.push(format!("st={}", written(starts)?));
        }
        fields.push(format!("exp={}", written(order.expires)?));
        if let Some(covers) = order.covers {
            let acl = Acl::read(covers.as_bytes()).map_err(invalid)?;
            if !acl.covers(value) {
                return Err(invalid("what it is to cover does not match its own path"));
            }
            fields.push(format!("acl={}", for_query(&acl.joined(), b"/*!?:@=%$()")));
        }
        for (name, text) in [("id", order.id), ("data", order.data)] {
            if let Some(text) = text {
                if text.is_empty() {
                    return Err(OrderError::Invalid(format!("{name} is empty")));
                }
                fields.push(format!("{name}={}", for_query(text.as_bytes(), b"/*!?:@=$()")));
            }
        }
        let signed = fields.join("~");
        let url = address::encode_address(value);
        let url: &[&[u8]] = if order.covers.is_none() { &[b"~url=", &url] } else { &[] };
        let hash = hasher.hash(&[&[signed.as_bytes()], url, &[&self.salt]].concat());
        let text = format!("{signed}~hmac={}", hex::encode(hash.bytes()));
        match text.len() > LONGEST {
            true => Err(invalid("it would have more than 4096 bytes")),
            false => Ok(vec![("hdnts", text)]),
        }
    }

    /// The same text as the cookie `hdntl`.
    fn cookies(&self, order: &Order<'_>) -> Result<Vec<(&'static str, String)>, OrderError> {
        let arguments = self.sign(order)?;
        Ok(arguments.into_iter().map(|(_, text)| ("hdntl", text)).collect())
    }
}

/// A time as a token has it.
fn written(time: i64) -> Result<String, OrderError> {
    let text = time.to_string();
    match unix_time(text.as_bytes()) {
        Some(_) => Ok(text),
        None => Err(OrderError::Invalid("a time has not one to ten digits".to_owned())),
    }
}

/// A text as a query can hold it, with everything encoded that is neither unreserved nor among `plain`. `~`
/// separates fields.
fn for_query(text: &[u8], plain: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'_' | b'.' | b'-' => encoded.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() || plain.contains(byte) => {
                encoded.push(char::from(*byte));
            }
            byte => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}
