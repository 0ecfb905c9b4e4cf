//! What a format asks of the request whose link it judges.

use std::borrow::Cow;
use std::net::IpAddr;

use super::address;
use super::keys::LinkKeys;
use super::remembered::Remembered;
use crate::credential::{self, Found};

/// A value of the request cannot be evaluated, at least not now. Who implements [`LinkRequest`] knows why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// How the text of a link came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// As an argument of the query, where clients may percent-encode what was signed plain.
    Query,
    /// In any other way.
    Other,
}

/// The two values of a link that are arguments of the query, or variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'r> {
    /// The signature, as it came.
    pub signature: Found<'r>,
    /// The expiry or the time, as it came.
    pub time: Found<'r>,
}

/// A request, as far as formats of links are concerned. Nothing is decoded.
pub trait LinkRequest {
    /// The text of the link in the places where it is looked for: the first that holds something counts.
    ///
    /// # Errors
    /// A variable cannot be evaluated.
    fn text(&self) -> Result<Option<Found<'_>>, Unavailable> {
        Ok(None)
    }

    /// How the text of the link came.
    fn carrier(&self) -> Carrier {
        Carrier::Other
    }

    /// The two values of a link of the formats that have two.
    ///
    /// # Errors
    /// A variable cannot be evaluated.
    fn pair(&self) -> Result<Pair<'_>, Unavailable>;

    /// An argument of the query.
    fn argument(&self, name: &[u8]) -> Found<'_>;

    /// The values of the `Cookie` lines.
    fn cookie_lines(&self) -> Vec<&[u8]>;

    /// A cookie.
    fn cookie(&self, name: &[u8]) -> Found<'_> {
        credential::cookie(self.cookie_lines().into_iter(), name)
    }

    /// The value of a header; `name` in lower case.
    fn header(&self, name: &[u8]) -> Found<'_>;

    /// The query as it came; `None` if programs may read another one.
    fn query(&self) -> Option<&[u8]>;

    /// The path as the client has sent it, percent-encoded; `None` if it is not known.
    fn sent_path(&self) -> Option<&[u8]> {
        None
    }

    /// What the link must cover (`secure_token_value`): the path, decoded and normalised, or the URL with such
    /// a path, without a query. What it is if the configuration does not say it, the format says:
    /// [`super::LinkFormat::value`].
    ///
    /// # Errors
    /// It cannot be evaluated.
    fn value(&self) -> Result<Cow<'_, [u8]>, Unavailable>;

    /// The text that is hashed (`secure_token_hash`), while the variables for the time and the secret have
    /// these values.
    ///
    /// # Errors
    /// It cannot be evaluated.
    fn expression(&self, time: &[u8], secret: &[u8]) -> Result<Cow<'_, [u8]>, Unavailable>;

    /// The client's address; `None` if it has none that is an IP address.
    fn client(&self) -> Option<IpAddr>;

    /// The public keys in force now (`secure_token_keys`); `None` if there are none, or none yet.
    fn keys(&self) -> Option<&LinkKeys> {
        None
    }

    /// What remembers signatures of public keys that have held.
    fn remembered(&self) -> Option<&Remembered> {
        None
    }
}

/// Several arguments of the query; unusable if programs may read another one ([`LinkRequest::query`]).
pub(super) fn arguments<'r, const COUNT: usize>(
    query: Option<&'r [u8]>,
    names: [&str; COUNT],
) -> [Found<'r>; COUNT] {
    let names = names.map(str::as_bytes);
    query.map_or([Found::Unusable; COUNT], |query| credential::arguments(query, names))
}

/// A URL whose path is decoded and normalised, with the path as the client has sent it: signers sign URLs as they
/// stand. `None` unless that is the same path in other escapes than those of [`address::spellings`].
pub(super) fn as_sent(request: &dyn LinkRequest, address: &[u8]) -> Option<Vec<u8>> {
    let (origin, path) = address::split_origin(address);
    let sent = request.sent_path()?;
    // Most paths are sent as they are, or encoded in the one way: then nothing more has to be tried.
    if sent == path || *address::encode_path(path) == *sent {
        return None;
    }
    let is_same = address::decode(sent) == path && sent.iter().all(u8::is_ascii_graphic);
    is_same.then(|| [origin, sent].concat())
}

/// Several cookies.
pub(super) fn cookies<'r, const COUNT: usize>(
    request: &'r dyn LinkRequest,
    names: [&str; COUNT],
) -> [Found<'r>; COUNT] {
    credential::cookies(request.cookie_lines().into_iter(), names.map(str::as_bytes))
}
