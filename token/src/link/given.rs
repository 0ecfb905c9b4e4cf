//! A request that is put together from its parts, for whoever has no request of a server: tests, fuzzing, the
//! command line.

use std::borrow::Cow;
use std::net::IpAddr;

use super::format::Place;
use super::keys::LinkKeys;
use super::remembered::Remembered;
use super::request::{Carrier, LinkRequest, Pair, Unavailable};
use crate::credential::{self, Found};

/// The parts of a request. What a request does not have stays empty ([`Given::new`]).
///
/// ```
/// use token::link::{FormatName, Given};
/// # use token::link::{Encoding, FormatSettings, SecretText};
/// # let secret = SecretText { text: b"1234".as_slice().to_vec().into_boxed_slice().into(),
/// #     encoding: None, kid: None };
/// # let settings = FormatSettings { secrets: &[secret], ..FormatSettings::default() };
/// let format = FormatName::find(b"akamai").unwrap().make(&settings).unwrap();
/// let request = Given {
///     query: b"hdnts=exp=1622136497~acl=/*~hmac=\
///         ec70c1b6fb2b2baa4dd58e3a4bc1b8e333b63288fdc2d13c5a9b5037d1bba5ea",
///     places: format.places(),
///     ..Given::new(b"/video.mp4")
/// };
/// let granted = format.judge(&request, 1_622_136_497).unwrap();
/// assert_eq!(granted.expires, Some(1_622_136_497));
/// ```
#[derive(Clone, Debug)]
pub struct Given<'g> {
    /// What the link must cover: the path, decoded and normalised as nginx's `$uri` is, or the URL with such a
    /// path ([`super::LinkFormat::value`] says which of them a format wants).
    pub value: &'g [u8],
    /// The query as it came, without its question mark.
    pub query: &'g [u8],
    /// The path as it was sent, percent-encoded, if it is known.
    pub sent_path: Option<&'g [u8]>,
    /// The values of the `Cookie` lines.
    pub cookies: Vec<&'g [u8]>,
    /// The other header lines: names in any case, and values.
    pub headers: Vec<(&'g [u8], &'g [u8])>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The public keys in force.
    pub keys: Option<&'g LinkKeys>,
    /// What remembers signatures that have held.
    pub remembered: Option<&'g Remembered>,
    /// Where the text of a link is looked for: [`super::LinkFormat::places`], unless a configuration says
    /// something else.
    pub places: &'g [Place],
    /// The text of a link that a configured source holds, and how it came: then `places` do not count.
    pub source: Option<(&'g [u8], Carrier)>,
    /// The names of the arguments with the signature and the time, for formats of two values.
    pub pair: [&'g str; 2],
    /// The text that is hashed; empty if there is none.
    pub expression: &'g [Piece<'g>],
}

/// A piece of the text that is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'g> {
    /// These bytes.
    Text(&'g [u8]),
    /// The time that the link presents.
    Time,
    /// The secret.
    Secret,
}

impl<'g> Given<'g> {
    /// A request that has nothing but what its link must cover.
    pub fn new(value: &'g (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self {
            value: value.as_ref(),
            query: b"",
            sent_path: None,
            cookies: Vec::new(),
            headers: Vec::new(),
            client: None,
            keys: None,
            remembered: None,
            places: &[],
            source: None,
            pair: ["st", "e"],
            expression: &[],
        }
    }

    /// The first place that holds something, and what is there.
    fn place(&self) -> Option<(Place, Found<'_>)> {
        let at = |place: &Place| match *place {
            Place::Argument(name) => self.argument(name.as_bytes()).or_absent(),
            Place::Cookie(name) => self.cookie(name.as_bytes()),
        };
        let mut found = self.places.iter().map(|place| (*place, at(place)));
        found.find(|(_, found)| *found != Found::Absent)
    }
}

impl LinkRequest for Given<'_> {
    fn text(&self) -> Result<Option<Found<'_>>, Unavailable> {
        Ok(match self.source {
            Some((text, _)) => Some(Found::One(text).or_absent()),
            None if self.places.is_empty() => None,
            None => Some(self.place().map_or(Found::Absent, |(_, found)| found)),
        })
    }

    fn carrier(&self) -> Carrier {
        match (self.source, self.place()) {
            (Some((_, carrier)), _) => carrier,
            (None, Some((Place::Argument(_), _))) => Carrier::Query,
            (None, _) => Carrier::Other,
        }
    }

    fn pair(&self) -> Result<Pair<'_>, Unavailable> {
        let [signature, time] = self.pair.map(|name| self.argument(name.as_bytes()));
        Ok(Pair { signature, time })
    }

    fn argument(&self, name: &[u8]) -> Found<'_> {
        credential::argument(self.query, name)
    }

    fn cookie_lines(&self) -> Vec<&[u8]> {
        self.cookies.clone()
    }

    fn header(&self, name: &[u8]) -> Found<'_> {
        let lines = self.headers.iter().copied();
        let is_it = |(found, _): &(&[u8], &[u8])| credential::is_header_spelling(found, name);
        credential::header_value(lines.filter(is_it), name)
    }

    fn query(&self) -> Option<&[u8]> {
        Some(self.query)
    }

    fn sent_path(&self) -> Option<&[u8]> {
        self.sent_path
    }

    fn value(&self) -> Result<Cow<'_, [u8]>, Unavailable> {
        Ok(Cow::Borrowed(self.value))
    }

    fn expression(&self, time: &[u8], secret: &[u8]) -> Result<Cow<'_, [u8]>, Unavailable> {
        if self.expression.is_empty() {
            return Err(Unavailable);
        }
        let pieces = self.expression.iter().map(|piece| match *piece {
            Piece::Text(text) => text,
            Piece::Time => time,
            Piece::Secret => secret,
        });
        Ok(pieces.collect::<Vec<_>>().concat().into())
    }

    fn client(&self) -> Option<IpAddr> {
        self.client
    }
    fn keys(&self) -> Option<&LinkKeys> {
        self.keys
    }

    fn remembered(&self) -> Option<&Remembered> {
        self.remembered
    }
}
