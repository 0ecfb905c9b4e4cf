//! What the parts of a link mean.

use std::borrow::Cow;

use super::super::address;
use super::super::fields::unix_time;
use super::super::part::{self, Meaning, Part};
use super::super::request::{Carrier, LinkRequest, arguments, as_sent, cookies};
use super::policy::{Policy, Url};
use super::text::{ARGUMENTS, COOKIES, decode};
use crate::credential::{Found, without_arguments};

/// The parts of the link of a request; of a policy also what it says.
pub(super) fn parts(request: &dyn LinkRequest) -> Vec<Part> {
    let query = request.query().unwrap_or_default();
    let are_there = |found: &[Found<'_>]| found.iter().any(|one| *one != Found::Absent);
    let found = arguments(request.query(), ARGUMENTS);
    if are_there(&found) {
        let own = without_arguments(query, ARGUMENTS.iter().map(|name| name.as_bytes()));
        return explained(request, ARGUMENTS, found, own.as_deref().unwrap_or(query));
    }
    let found = cookies(request, COOKIES);
    if are_there(&found) {
        return explained(request, COOKIES, found, query);
    }
    let Ok(Some(Found::One(text))) = request.text() else { return Vec::new() };
    let text = match request.carrier() {
        Carrier::Query => address::decode(text),
        Carrier::Other => Cow::Borrowed(text),
    };
    let fields = part::split(&text, b'&');
    let found = ARGUMENTS.map(|name| {
        let mut values = fields.iter().filter(|(one, _)| *one == name.as_bytes());
        match (values.next(), values.next()) {
            (None, _) => Found::Absent,
            (Some((_, value)), None) => Found::One(value),
            (Some(_), Some(_)) => Found::Unusable,
        }
    });
    explained(request, ARGUMENTS, found, query)
}

/// What was found, which is in the order of [`ARGUMENTS`], under the names that it has here.
fn explained(
    request: &dyn LinkRequest,
    names: [&str; 5],
    found: [Found<'_>; 5],
    query: &[u8],
) -> Vec<Part> {
    let [.., hash] = found;
    let algorithm = if hash == Found::One(b"SHA256") { "rsa-sha256" } else { "rsa-sha1" };
    let mut parts = Vec::new();
    for ((argument, name), found) in ARGUMENTS.into_iter().zip(names).zip(found) {
        if found == Found::Absent {
            continue;
        }
        let mut policy = Vec::new();
        parts.push(Part::found(name, found, |text| {
            let text = address::decode(text);
            match argument {
                "Expires" => Meaning::time("before ", unix_time(&text), "is no time"),
                "Policy" => match policy_parts(&text, request, query) {
                    Ok(said) => {
                        policy = said;
                        Meaning::Nothing
                    }
                    Err(why) => Meaning::words(why),
                },
                "Signature" if decode(&text).is_some() => Meaning::words(algorithm),
                "Signature" => Meaning::words("is not in CloudFront's base64"),
                "Key-Pair-Id" => Meaning::words("the name of the key"),
                _ if matches!(&*text, b"SHA1" | b"SHA256") => Meaning::Nothing,
                _ => Meaning::words("is neither SHA1 nor SHA256"),
            }
        }));
        parts.append(&mut policy);
    }
    parts
}

fn policy_parts(
    text: &[u8],
    request: &dyn LinkRequest,
    query: &[u8],
) -> Result<Vec<Part>, &'static str> {
    let policy = Policy::read(decode(text).ok_or("is not in CloudFront's base64")?)?;
    let address = request.value().unwrap_or_default();
    let sent = as_sent(request, &address);
    let url = Url { address: &address, sent: sent.as_deref(), query };
    Ok(policy.parts(url, request.client()))
}
