//! Media CDN's tokens ("Generate tokens"): fields joined by `~`, the signature last.
//!
//! What is signed is the text before the signature as it travels, but for two fields. A bare `FullPath` stands for
//! `FullPath=/path` with the path of the request, and `Headers=Foo,BAZ` for `Headers=Foo=bar,BAZ=quux` with the
//! values of its headers. A path or a value that would read as more than that is refused: a client could hide one
//! field within another.

use std::borrow::Cow;

use ipnet::IpNet;

use super::super::address;
use super::super::cover;
use super::super::fields::{Fields, unix_time};
use super::super::format::{Denied, Granted};
use super::super::request::LinkRequest;
use super::prefix;
use super::verifier::{Signature, Verifier};
use crate::base64url;
use crate::credential::{Found, is_token};
use crate::reject::Reject;

const FIELDS: [&str; 11] = [
    "URLPrefix",
    "PathGlobs",
    "FullPath",
    "Starts",
    "Expires",
    "SessionID",
    "Data",
    "Headers",
    "IPRanges",
    "hmac",
    "Signature",
];

/// The most headers that a token may name.
const MOST_HEADERS: usize = 16;

/// A token as it came.
struct Token<'t> {
    fields: Fields<'t>,
    covers: Covers<'t>,
    starts: Option<i64>,
    expires: i64,
    /// What is signed, in each spelling that it may have.
    messages: Vec<Vec<u8>>,
    signature: Signature,
}

/// What a token covers.
enum Covers<'t> {
    Prefix(Vec<u8>),
    Globs(&'t [u8]),
    /// The path of the request, which is signed.
    This,
}

/// Judges the token that `text` is.
pub(super) fn judge(
    verifier: &Verifier,
    request: &dyn LinkRequest,
    text: &[u8],
    now: i64,
) -> Result<Granted, Denied> {
    let address = request.value()?;
    let token = Token::read(request, &address, text)?;
    let messages: Vec<&[u8]> = token.messages.iter().map(Vec::as_slice).collect();
    verifier.verify(request, None, &token.signature, &messages)?;
    let field = |name| token.fields.value(name).map(Into::into);
    let acl = match &token.covers {
        Covers::Prefix(prefix) => Some(prefix.as_slice().into()),
        Covers::Globs(globs) => Some((*globs).into()),
        Covers::This => None,
    };
    let granted =
        Granted { acl, id: field("SessionID"), data: field("Data"), expires: Some(token.expires) };
    if token.starts.is_some_and(|starts| now < starts) {
        return Err(granted.but(Reject::NotYetValid, "before its Starts"));
    }
    let granted = granted.unless_expired(now)?;
    if let Some(ranges) = token.fields.value("IPRanges") {
        let ranges = networks(ranges).ok_or(Denied::malformed("IPRanges is not in base64url"))?;
        let client = request.client();
        let is_in = |range: &IpNet| client.is_some_and(|client| cover::has(*range, client));
        if !ranges.iter().any(is_in) {
            return Err(granted.but(Reject::BadAddress, "its IPRanges are others"));
        }
    }
    match token.covers.has(&address) {
        true => Ok(granted),
        false => Err(granted.but(Reject::NotCovered, "it is for other paths")),
    }
}

impl<'t> Token<'t> {
    fn read(request: &dyn LinkRequest, address: &[u8], text: &'t [u8]) -> Result<Self, Denied> {
        // Some fields are shown by variables, which may become headers.
        if text.iter().any(u8::is_ascii_control) {
            return Err(Denied::malformed("it holds a control character"));
        }
        let fields = Fields::read(text, b'~').map_err(Denied::malformed)?;
        let has_value =
            |(name, value): (&[u8], Option<&[u8]>)| value.is_some() != (name == b"FullPath");
        if !fields.are_among(&FIELDS) || !fields.iter().all(has_value) {
            return Err(Denied::malformed(
                "it has an unknown field, or one that is not as it should be",
            ));
        }
        let (hmac, signature) = (fields.value("hmac"), fields.value("Signature"));
        let signature = match (hmac, signature, fields.iter().last()) {
            (Some(hmac), None, Some((b"hmac", _))) => Signature::of_hex(hmac),
            (None, Some(signature), Some((b"Signature", _))) => {
                // HMACs are in another field.
                let ed25519 = Signature::of_base64url(signature);
                ed25519.filter(|it| matches!(it, Signature::Ed25519(_)))
            }
            _ => None,
        };
        let signature = signature.ok_or(Denied::malformed("its last field is no signature"))?;
        let time = |name| match fields.value(name) {
            None => Ok(None),
            Some(text) => unix_time(text).map(Some).ok_or(Denied::malformed("a time is none")),
        };
        let expires = time("Expires")?.ok_or(Denied::malformed("it has no Expires"))?;
        let starts = time("Starts")?;
        let covers = Covers::read(&fields)?;
        let headers = fields.value("Headers").map(|names| headers(request, names)).transpose()?;
        let message = |path: &[u8]| message(&fields, path, headers.as_deref());
        let messages = match covers {
            Covers::This => {
                let (_, path) = address::split_origin(address);
                if path.contains(&b'~') {
                    return Err(Denied::malformed("a path with ~ is no FullPath"));
                }
                address::spellings(path).map(|path| message(&path)).collect()
            }
            _ => vec![message(b"")],
        };
        Ok(Self { fields, covers, starts, expires, messages, signature })
    }
}

/// What is signed: all fields but the last.
fn message(fields: &Fields<'_>, path: &[u8], headers: Option<&[u8]>) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    for (name, value) in fields.iter() {
        let value = match name {
            b"hmac" | b"Signature" => continue,
            b"FullPath" => path,
            b"Headers" => headers.unwrap_or_default(),
            _ => value.unwrap_or_default(),
        };
        if !text.is_empty() {
            text.push(b'~');
        }
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend_from_slice(value);
    }
    text
}

impl<'t> Covers<'t> {
    fn read(fields: &Fields<'t>) -> Result<Self, Denied> {
        let of = |name| fields.value(name);
        match (of("URLPrefix"), of("PathGlobs"), fields.find("FullPath")) {
            (Some(prefix), None, None) => {
                let prefix = prefix::read(prefix);
                let prefix =
                    prefix.ok_or(Denied::malformed("URLPrefix is not base64url of a prefix"))?;
                Ok(Self::Prefix(prefix))
            }
            (None, Some(globs), None) => Ok(Self::Globs(globs)),
            (None, None, Some(_)) => Ok(Self::This),
            _ => Err(Denied::malformed("it has not exactly one of URLPrefix, PathGlobs, FullPath")),
        }
    }

    /// Whether it covers this URL, whose path is decoded and normalised. Globs are compared with the path in its one
    /// encoded form; `*` stands for any bytes, `?` for one.
    fn has(&self, address: &[u8]) -> bool {
        match self {
            Self::This => true,
            Self::Prefix(prefix) => prefix::covers(prefix, address),
            Self::Globs(globs) => {
                let path = address::encode_path(address::split_origin(address).1);
                let mut globs = globs.split(|byte| matches!(byte, b',' | b'!'));
                prefix::is_settled(address) && globs.any(|glob| cover::matches(glob, &path))
            }
        }
    }
}

/// `Foo=bar,BAZ=quux`: the headers that a token names, as they are named there, with the values of the request.
fn headers(request: &dyn LinkRequest, names: &[u8]) -> Result<Vec<u8>, Denied> {
    let mut text = Vec::new();
    let mut known: Vec<Cow<'_, [u8]>> = Vec::new();
    for name in names.split(|byte| *byte == b',') {
        let lower = Cow::Owned(name.to_ascii_lowercase());
        if !is_token(name) || known.contains(&lower) || known.len() == MOST_HEADERS {
            return Err(Denied::malformed("Headers are not names, or one stands twice"));
        }
        let value = match request.header(&lower) {
            Found::One(value) if is_one_value(value) => value,
            Found::One(_) | Found::Unusable => {
                return Err(Denied::malformed("a header that it names can be read as several"));
            }
            Found::Absent => {
                return Err(Denied::because(
                    Reject::BadSignature,
                    "a header that it names is missing",
                ));
            }
        };
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend_from_slice(value);
        known.push(lower);
    }
    Ok(text)
}

/// Whether no part of a header's value reads as another header, or as another field of the token.
fn is_one_value(value: &[u8]) -> bool {
    let is_header = |part: &[u8]| {
        let mut halves = part.splitn(2, |byte| *byte == b'=');
        halves.next().is_some_and(is_token) && halves.next().is_some()
    };
    !value.contains(&b'~') && !value.split(|byte| *byte == b',').skip(1).any(is_header)
}

/// The networks of `IPRanges`: base64url of a list with commas. An entry that is none lets nobody in, and does not
/// count: Google's own example has one.
pub(super) fn networks(encoded: &[u8]) -> Option<Vec<IpNet>> {
    let list = base64url::decode(base64url::without_padding(encoded))?;
    Some(list.split(|byte| *byte == b',').filter_map(cover::network).collect())
}
