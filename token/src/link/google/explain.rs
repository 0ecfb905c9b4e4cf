//! What the parts of a link mean.

use std::borrow::Cow;

use super::super::address;
use super::super::cover;
use super::super::fields::unix_time;
use super::super::part::{self, Meaning, Part};
use super::super::request::{Carrier, LinkRequest, arguments};
use super::media_cdn;
use super::prefix;
use super::signed::{self, ARGUMENTS};
use super::verifier::Signature;
use crate::credential::Found;

/// The parts of the link of a request: of its query, else of its path, else of its text.
pub(super) fn parts(request: &dyn LinkRequest) -> Vec<Part> {
    let found = arguments(request.query(), ARGUMENTS);
    if found.iter().any(|one| *one != Found::Absent) {
        let found = ARGUMENTS.into_iter().zip(found).filter(|(_, found)| *found != Found::Absent);
        let part = |(name, found): (&str, _)| {
            Part::found(name, found, |text| {
                meaning(name.as_bytes(), &address::decode(text), request)
            })
        };
        return found.map(part).collect();
    }
    let value = request.value().unwrap_or_default();
    if let Some(text) = signed::component(&value) {
        return fields(text, b'&', request);
    }
    let Ok(Some(Found::One(text))) = request.text() else { return Vec::new() };
    let has_fields = text.iter().any(|byte| matches!(byte, b'~' | b':'));
    let text = match request.carrier() {
        Carrier::Query if !has_fields => address::decode(text),
        _ => Cow::Borrowed(text),
    };
    let separators = [b'~', b':'].into_iter();
    let separator = separators.into_iter().find(|one| text.contains(one)).unwrap_or(b'&');
    fields(&text, separator, request)
}

fn fields(text: &[u8], separator: u8, request: &dyn LinkRequest) -> Vec<Part> {
    let fields = part::split(text, separator);
    let stands = |name: &[u8]| fields.iter().filter(|(one, _)| *one == name).count();
    let part = |(name, text): &(&[u8], &[u8])| match stands(name) {
        1 => Part::new(name, text, meaning(name, text, request)),
        _ => Part::new(name, text, Meaning::Unusable),
    };
    fields.iter().map(part).collect()
}

/// What a field means of which there is one.
fn meaning(name: &[u8], text: &[u8], request: &dyn LinkRequest) -> Meaning {
    const NO_TIME: &str = "is no time: it must be one to ten digits, without leading zeros";
    let address = request.value().unwrap_or_default();
    let verb = |does: bool| if does { "covers" } else { "does not cover" };
    match name {
        b"URLPrefix" => match prefix::read(text) {
            None => Meaning::words("is not the base64url of https://host/ and the begin of a path"),
            Some(prefix) => {
                let verb = verb(prefix::covers(&prefix, &address));
                Meaning::words(format!("{} {verb} it", String::from_utf8_lossy(&prefix)))
            }
        },
        b"PathGlobs" => {
            let path = address::encode_path(address::split_origin(&address).1);
            let does = |glob| prefix::is_settled(&address) && cover::matches(glob, &path);
            let of_one =
                |glob| format!("{} {} it", String::from_utf8_lossy(glob), verb(does(glob)));
            let globs = text.split(|byte| matches!(byte, b',' | b'!')).map(of_one);
            Meaning::words(globs.collect::<Vec<_>>().join(", "))
        }
        b"FullPath" => Meaning::words("it is signed with the path"),
        b"Starts" => Meaning::time("valid from ", unix_time(text), NO_TIME),
        b"Expires" => Meaning::time("", unix_time(text), NO_TIME),
        b"SessionID" => Meaning::words("whom or what it names"),
        b"Data" => Meaning::words("what its maker has put into it"),
        b"Headers" => Meaning::words("it is signed with the values of these headers"),
        b"IPRanges" => ranges(text, request),
        b"KeyName" => Meaning::words("the name of the secret or key"),
        b"hmac" => algorithm(Signature::of_hex(text), "is no HMAC in hexadecimal in lower case"),
        b"Signature" => {
            let otherwise = "is neither an HMAC-SHA1 nor an Ed25519 signature in base64url";
            algorithm(Signature::of_base64url(text), otherwise)
        }
        _ => Meaning::words("is no field of this format"),
    }
}

fn algorithm(signature: Option<Signature>, otherwise: &'static str) -> Meaning {
    Meaning::words(signature.map_or(otherwise, |signature| signature.algorithm().name()))
}

fn ranges(text: &[u8], request: &dyn LinkRequest) -> Meaning {
    let Some(networks) = media_cdn::networks(text) else {
        return Meaning::words("is not in base64url");
    };
    let list = networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Meaning::words(match request.client() {
        None => format!("only for clients in {list}"),
        Some(client) if networks.iter().any(|network| cover::has(*network, client)) => {
            format!("the client is in {list}")
        }
        Some(_) => format!("the client is not in {list}"),
    })
}
