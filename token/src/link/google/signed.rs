//! Signatures over a URL, or over a prefix of URLs.

use std::borrow::Cow;

use super::super::address;
use super::super::fields::{Fields, unix_time};
use super::super::format::{Denied, Granted, values};
use super::super::request::{LinkRequest, arguments, as_sent};
use super::prefix;
use super::verifier::{Signature, Verifier};
use crate::base64url;
use crate::credential::Found;
use crate::reject::Reject;

/// The names of a signature's fields, in the order in which they stand.
pub(super) const ARGUMENTS: [&str; 4] = ["URLPrefix", "Expires", "KeyName", "Signature"];

/// How a path component begins that is a signature.
const COMPONENT: &[u8] = b"edge-cache-token=";

/// A signature as it came.
pub(super) struct Signed {
    covers: Covers,
    expires: i64,
    key: Vec<u8>,
    signature: Signature,
}

/// What it covers, and so what is signed.
enum Covers {
    /// One URL, in which the signature stands. What is signed is one of these.
    This(Vec<Vec<u8>>),
    /// All URLs with this prefix. The text is signed, which holds the prefix.
    Prefix(Vec<u8>, Vec<u8>),
    /// All URLs below this one, which is a prefix of the request's. What is signed is one of these.
    Below(Vec<u8>, Vec<Vec<u8>>),
}

/// The values of the fields.
struct Values<'r> {
    prefix: Option<Cow<'r, [u8]>>,
    expires: &'r [u8],
    key: &'r [u8],
    /// As it came.
    signature: &'r [u8],
}

impl Signed {
    /// The signature in the arguments of the query; `None` if there is no such argument.
    ///
    /// Without a prefix the three arguments come last, in their order, and the URL is signed as it stands before
    /// them: with its path encoded in the normal form or as it is, and its other arguments as they came. With a
    /// prefix, where the arguments stand does not count.
    pub(super) fn of_query(request: &dyn LinkRequest) -> Result<Option<Self>, Denied> {
        let query = request.query();
        let found = arguments(query, ARGUMENTS);
        if found.iter().all(|one| *one == Found::Absent) {
            return Ok(None);
        }
        let values = Values::of_found(found)?;
        let signature = address::decode(values.signature);
        let signed = match &values.prefix {
            Some(prefix) => {
                // base64url needs no escapes, so what has some was not signed so.
                let prefix = address::decode(prefix);
                values.of_prefix(&prefix, b'&', &signature)?
            }
            None => {
                let query = query.ok_or(Denied::malformed("programs may read another query"))?;
                let before = values.signed_at_the_end(query)?;
                let urls = self::urls(request, b"?", before)?;
                values.covering(Covers::This(urls), &signature)?
            }
        };
        Ok(Some(signed))
    }

    /// The signature that is a component of the path: `PREFIX/edge-cache-token=.../`; `None` if there is none.
    pub(super) fn of_path(value: &[u8]) -> Result<Option<Self>, Denied> {
        let (origin, path) = address::split_origin(value);
        let mut at = origin.len();
        let mut components = path.split(|byte| *byte == b'/').map(|component| {
            let start = at;
            at += component.len() + 1;
            (start, component)
        });
        let mut is_one = |(_, component): &(usize, &[u8])| component.starts_with(COMPONENT);
        let Some((start, component)) = components.find(&mut is_one) else { return Ok(None) };
        let mut rest = components.peekable();
        if rest.peek().is_none() {
            return Err(Denied::malformed("nothing comes after its component of the path"));
        }
        if rest.any(|one| is_one(&one)) {
            return Err(Denied::malformed("the path has two of it"));
        }
        let text = component.strip_prefix(COMPONENT).unwrap_or_default();
        let values = Values::of_text(text, b'&')?;
        if values.prefix.is_some() {
            return Err(Denied::malformed("a URLPrefix does not go with a component of the path"));
        }
        let before = value.get(..start).unwrap_or_default();
        let signed = [COMPONENT, values.signed_at_the_end(text)?].concat();
        let urls = address_spellings(before, b"", &signed);
        Ok(Some(values.covering(Covers::Below(before.into(), urls), values.signature)?))
    }

    /// The signature that a text is, whose fields are joined by `separator`. Without a prefix, the URL is signed
    /// with the fields after its query.
    pub(super) fn of_text(
        request: &dyn LinkRequest,
        text: &[u8],
        separator: u8,
    ) -> Result<Self, Denied> {
        let values = Values::of_text(text, separator)?;
        match &values.prefix {
            Some(prefix) => values.of_prefix(prefix, separator, values.signature),
            None if separator == b':' => Err(Denied::malformed("it has no URLPrefix")),
            None => {
                let query = request.query();
                let query = query.ok_or(Denied::malformed("programs may read another query"))?;
                let joint: &[u8] = if query.is_empty() { b"" } else { b"&" };
                let after = [query, joint, values.signed_at_the_end(text)?].concat();
                let urls = self::urls(request, b"?", &after)?;
                values.covering(Covers::This(urls), values.signature)
            }
        }
    }

    /// Judges it at `now`.
    pub(super) fn judge(
        &self,
        verifier: &Verifier,
        request: &dyn LinkRequest,
        now: i64,
    ) -> Result<Granted, Denied> {
        let messages: Vec<&[u8]> = match &self.covers {
            Covers::This(urls) | Covers::Below(_, urls) => urls.iter().map(Vec::as_slice).collect(),
            Covers::Prefix(_, text) => vec![text],
        };
        verifier.verify(request, Some(&self.key), &self.signature, &messages)?;
        let acl = match &self.covers {
            Covers::This(_) => None,
            Covers::Prefix(acl, _) | Covers::Below(acl, _) => Some(acl.as_slice().into()),
        };
        let granted = Granted { acl, ..Granted::until(self.expires) }.unless_expired(now)?;
        let is_covered = match &self.covers {
            Covers::This(_) => true,
            Covers::Prefix(prefix, _) => prefix::covers(prefix, &request.value()?),
            // That it is below was seen when the component was found.
            Covers::Below(..) => prefix::is_settled(&request.value()?),
        };
        match is_covered {
            true => Ok(granted),
            false => Err(granted.but(Reject::NotCovered, "it is for other URLs")),
        }
    }
}

/// The fields of the first component of a path that is a signature.
pub(super) fn component(value: &[u8]) -> Option<&[u8]> {
    let (_, path) = address::split_origin(value);
    path.split(|byte| *byte == b'/').find_map(|component| component.strip_prefix(COMPONENT))
}

/// The URLs that that of the request and what comes `after` it may have been signed as.
fn urls(request: &dyn LinkRequest, joint: &[u8], after: &[u8]) -> Result<Vec<Vec<u8>>, Denied> {
    let address = request.value()?;
    let mut urls = address_spellings(&address, joint, after);
    urls.extend(as_sent(request, &address).map(|sent| [&sent, joint, after].concat()));
    Ok(urls)
}

/// The URLs that `address` and what comes `after` it may have been signed as.
fn address_spellings(address: &[u8], joint: &[u8], after: &[u8]) -> Vec<Vec<u8>> {
    address::spellings(address).map(|address| [&*address, joint, after].concat()).collect()
}

impl<'r> Values<'r> {
    /// The arguments that were found, which are in the order of [`ARGUMENTS`].
    fn of_found(found: [Found<'r>; 4]) -> Result<Self, Denied> {
        let [prefix, expires, key, signature] = values(found)?;
        Ok(Self {
            prefix: prefix.map(Cow::Borrowed),
            expires: expires.ok_or(Denied::malformed("it has no Expires"))?,
            key: key.ok_or(Denied::malformed("it has no KeyName"))?,
            signature: signature.ok_or(Denied::malformed("it has no Signature"))?,
        })
    }

    /// The fields of a text. They stand in their order, and there are no others.
    fn of_text(text: &'r [u8], separator: u8) -> Result<Self, Denied> {
        let fields = Fields::read(text, separator).map_err(Denied::malformed)?;
        let of_prefix = usize::from(fields.find("URLPrefix").is_none());
        let names = ARGUMENTS.iter().skip(of_prefix).map(|name| name.as_bytes());
        if !fields.iter().map(|(name, _)| name).eq(names) {
            return Err(Denied::malformed(
                "its fields are not those of a signature in their order",
            ));
        }
        Self::of_found(ARGUMENTS.map(|name| fields.value(name).map_or(Found::Absent, Found::One)))
    }

    /// What is signed of a query or a text, at whose end the fields stand in their order.
    fn signed_at_the_end<'t>(&self, text: &'t [u8]) -> Result<&'t [u8], Denied> {
        let without = |text: &'t [u8], name: &[u8], value: &[u8]| {
            text.strip_suffix(value)?.strip_suffix(b"=")?.strip_suffix(name)
        };
        let signed = || {
            let signed = without(text, b"Signature", self.signature)?.strip_suffix(b"&")?;
            let before = without(signed, b"KeyName", self.key)?.strip_suffix(b"&")?;
            let own = without(before, b"Expires", self.expires)?;
            (own.is_empty() || own.ends_with(b"&")).then_some(signed)
        };
        signed().ok_or(Denied::malformed("Expires, KeyName and Signature do not come last"))
    }

    fn of_prefix(&self, encoded: &[u8], separator: u8, signature: &[u8]) -> Result<Signed, Denied> {
        let prefix = prefix::read(encoded);
        let prefix = prefix.ok_or(Denied::malformed("URLPrefix is not base64url of a prefix"))?;
        let mut text = Vec::with_capacity(encoded.len() + self.expires.len() + self.key.len() + 32);
        for (name, value) in ARGUMENTS.into_iter().zip([encoded, self.expires, self.key]) {
            if !text.is_empty() {
                text.push(separator);
            }
            text.extend_from_slice(name.as_bytes());
            text.push(b'=');
            text.extend_from_slice(value);
        }
        self.covering(Covers::Prefix(prefix, text), signature)
    }

    fn covering(&self, covers: Covers, signature: &[u8]) -> Result<Signed, Denied> {
        let expires = unix_time(self.expires).ok_or(Denied::malformed("Expires is no time"))?;
        if self.key.is_empty() {
            return Err(Denied::malformed("KeyName is empty"));
        }
        let signature = Signature::of_base64url(signature);
        let signature = signature.ok_or(Denied::malformed("Signature is none in base64url"))?;
        Ok(Signed { covers, expires, key: self.key.into(), signature })
    }
}

/// The fields of a signature as a query has them, without the signature.
pub(super) fn fields(prefix: Option<&[u8]>, expires: &str, key: &str) -> String {
    let prefix = prefix.map(|prefix| format!("URLPrefix={}&", padded(prefix)));
    format!("{}Expires={expires}&KeyName={key}", prefix.unwrap_or_default())
}

/// base64url with padding, as Google's examples write it.
pub(super) fn padded(bytes: &[u8]) -> String {
    let mut text = base64url::encode(bytes);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}
