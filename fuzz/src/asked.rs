//! For the targets `google` and `cloudfront`, whose links are for URLs: a request that is judged with and without a
//! memory, which must change nothing, and naive ways of reading it.

use std::net::IpAddr;

use token::Reject;
use token::link::{Carrier, Given, Granted, LinkFormat, LinkKeys, Place, Remembered, address};

use crate::links::held;

pub const NOW: i64 = 1_450_000_000;
/// The longest URL and query: the naive ways are slow.
pub const LONGEST: usize = 400;
/// The headers of each request.
pub const HEADERS: [(&str, &str); 3] = [("x-a", "1"), ("x-b", "a,b"), ("x-c", "a,x-a=1")];

/// What comes of a link: what it says if it is signed, and why it does not pass.
pub type Judged = Result<(Granted, Option<Reject>), Reject>;

/// A request that a target puts together.
#[derive(Default)]
pub struct Asked {
    pub value: Vec<u8>,
    pub query: Vec<u8>,
    pub cookie: Vec<u8>,
    pub source: Option<(Vec<u8>, Carrier)>,
    pub client: Option<IpAddr>,
}

thread_local! {
    static MEMORY: Remembered = Remembered::new();
}

impl Asked {
    pub fn judge(&self, format: &dyn LinkFormat, keys: &LinkKeys) -> Judged {
        MEMORY.with(|memory| {
            let new = Given {
                query: &self.query,
                cookies: vec![&self.cookie],
                headers: HEADERS.map(|(name, value)| (name.as_bytes(), value.as_bytes())).to_vec(),
                client: self.client,
                keys: Some(keys),
                places: format.places(),
                source: self.source.as_ref().map(|(text, carrier)| (&**text, *carrier)),
                ..Given::new(&self.value)
            };
            drop(format.parts(&new));
            let judged = format.judge(&new, NOW);
            let known = Given { remembered: Some(memory), ..new };
            // If it holds, it is known at the second time at the latest.
            for _ in 0..2 {
                assert_eq!(format.judge(&known, NOW), judged);
            }
            held(judged)
        })
    }

    /// The text of the link as it came, and by what.
    pub fn text(&self, places: &[Place]) -> Option<(&[u8], Carrier)> {
        let of_place = |place: &Place| match place {
            Place::Argument(name) => Some((find(&self.query, b'&', name)?, Carrier::Query)),
            Place::Cookie(name) => Some((find(&self.cookie, b';', name)?, Carrier::Other)),
        };
        let source = self.source.as_ref().map(|(text, carrier)| (&**text, *carrier));
        source.or_else(|| places.iter().filter_map(of_place).find(|(text, _)| !text.is_empty()))
    }

    /// The same with one byte changed, in the text, the cookie, or the query.
    pub fn changed(mut self, at: usize) -> Self {
        let (source, cookie) = (self.source.as_mut().map(|(text, _)| text), &mut self.cookie);
        let text = source.unwrap_or(if cookie.is_empty() { &mut self.query } else { cookie });
        if let Some(at) = at.checked_rem(text.len()) {
            text[at] ^= 1;
        }
        self
    }
}

/// The value of the first `name=value` between separators.
pub fn find<'t>(text: &'t [u8], separator: u8, name: &str) -> Option<&'t [u8]> {
    let trimmed =
        |piece: &'t [u8]| if separator == b';' { piece.trim_ascii_start() } else { piece };
    let mut pieces = text.split(|byte| *byte == separator).map(trimmed);
    pieces.find_map(|piece| piece.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// What is before the last `what` in a text, and what is after it.
pub fn cut<'t>(text: &'t [u8], what: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let at = text.windows(what.len()).rposition(|window| window == what)?;
    Some((&text[..at], &text[at + what.len()..]))
}

/// The ways in which a URL may have been written that was signed.
pub fn spellings(url: &[u8]) -> Vec<Vec<u8>> {
    let plain = !url.iter().any(|byte| b"%?#".contains(byte));
    let mut all = vec![address::encode_address(url).into_owned(), url.to_vec()];
    all.truncate(if plain { 2 } else { 1 });
    all
}

/// Whether no program normalises the path of a URL to another one.
pub fn is_settled(url: &[u8]) -> bool {
    let path = address::decode(address::split_origin(url).1);
    let mut names = path
        .split(|byte| b"/\\".contains(byte))
        .map(|one| one.split(|byte| *byte == b';').next().unwrap_or_default());
    !path.contains(&0) && !names.any(|name| name == b"." || name == b"..")
}

/// Whether a text is what a pattern with `*` and `?` says: which of its beginnings are, byte by byte of the pattern.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut are: Vec<bool> = (0..=text.len()).map(|len| len == 0).collect();
    for one in pattern {
        if *one == b'*' {
            (1..are.len()).for_each(|len| are[len] |= are[len - 1]);
        } else {
            let fits = |len: usize| *one == b'?' || *one == text[len - 1];
            (1..are.len()).rev().for_each(|len| are[len] = are[len - 1] && fits(len));
            are[0] = false;
        }
    }
    are[text.len()]
}

/// Whether a network has the address; `None` if it is no network.
pub fn is_in(network: &str, client: Option<IpAddr>) -> Option<bool> {
    let (first, len) = network.split_once('/').map_or((network, None), |(a, l)| (a, Some(l)));
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (32, u128::from(address.to_bits())),
        IpAddr::V6(address) => (128, address.to_bits()),
    };
    let (width, first) = bits(first.parse().ok()?);
    let len = len.map_or(Some(width), |len| {
        let is_number = len.bytes().all(|byte| byte.is_ascii_digit());
        len.parse().ok().filter(|len| is_number && *len <= width)
    })?;
    let top = |bits: u128| bits.checked_shr(width - len).unwrap_or(0);
    let client = client.map(|client| bits(client.to_canonical()));
    Some(client.is_some_and(|(its, bits)| its == width && top(first) == top(bits)))
}

pub fn client(is_mapped: bool) -> Option<IpAddr> {
    if is_mapped { "::ffff:12.34.56.78" } else { "12.34.56.78" }.parse().ok()
}

pub fn keys(text: &str, kid: Option<&str>) -> LinkKeys {
    LinkKeys::load(text.as_bytes(), kid).expect("a key").0
}

/// What a signer has made, one after the other.
pub fn joined(made: &[(&'static str, String)], separator: &str) -> String {
    let made = made.iter().map(|(name, value)| format!("{name}={value}"));
    made.collect::<Vec<_>>().join(separator)
}

/// What follows a query with an argument more.
pub fn with(query: &[u8], more: &[u8]) -> Vec<u8> {
    if query.is_empty() { more.to_vec() } else { [query, b"&", more].concat() }
}
