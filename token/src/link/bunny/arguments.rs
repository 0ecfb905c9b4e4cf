//! The arguments of a link, and what is signed of them.

use std::borrow::Cow;

use super::super::address;
use crate::credential;

/// The most arguments that a link may have, with all others that are signed.
const MOST: usize = 32;

/// The arguments that belong to a link.
pub(super) const OWN: [&str; 6] = [
    "token",
    "expires",
    "token_path",
    "token_ignore_params",
    "token_countries",
    "token_countries_blocked",
];

/// Those with lists of countries.
pub(super) const COUNTRIES: [&[u8]; 2] = [b"token_countries", b"token_countries_blocked"];

/// Arguments in the order in which they came, decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Arguments<'t>(Vec<Argument<'t>>);

/// A name and a value.
type Argument<'t> = (Cow<'t, [u8]>, Cow<'t, [u8]>);

impl<'t> Arguments<'t> {
    /// Adds the arguments of a query or of a text like one. Names and values are decoded once; a `+` stays. An
    /// argument without `=` has an empty value.
    pub(super) fn read(&mut self, query: &'t [u8]) -> Result<(), &'static str> {
        for pair in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=').map(address::decode);
            let (name, value) = (halves.next(), halves.next());
            self.push(name.unwrap_or_default(), value.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Adds an argument that is decoded already.
    pub(super) fn add(&mut self, name: &'t [u8], value: &'t [u8]) -> Result<(), &'static str> {
        self.push(name.into(), value.into())
    }

    /// These arguments and those of another place.
    pub(super) fn with(
        &self,
        others: impl IntoIterator<Item = (&'t [u8], &'t [u8])>,
    ) -> Result<Self, &'static str> {
        let mut all = self.clone();
        others.into_iter().try_for_each(|(name, value)| all.add(name, value)).map(|()| all)
    }

    fn push(&mut self, name: Cow<'t, [u8]>, value: Cow<'t, [u8]>) -> Result<(), &'static str> {
        if self.0.len() == MOST {
            return Err("it has more than 32 arguments");
        }
        self.0.push((name, value));
        Ok(())
    }

    /// The value of an argument.
    pub(super) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(one, _)| **one == *name).map(|(_, value)| &**value)
    }

    /// The arguments in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How often an argument is there, in any spelling.
    pub(super) fn count(&self, name: &[u8]) -> usize {
        self.0.iter().filter(|(one, _)| credential::is_spelling(one, name)).count()
    }

    /// Whether other arguments than the link's own are not signed.
    pub(super) fn are_ignored(&self) -> bool {
        self.get(b"token_ignore_params") == Some(b"true")
    }

    /// Refuses what could be read in two ways: a name of the link's own in another spelling or twice, and any other
    /// that is signed twice; names that are not visible ASCII or hold `=`; an `&` in what is signed.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        for (at, (name, value)) in self.0.iter().enumerate() {
            let own = OWN.iter().find(|own| credential::is_spelling(name, own.as_bytes()));
            if own.is_some_and(|own| own.as_bytes() != &**name) {
                return Err("an argument is spelt in another way");
            }
            if own.is_none() && self.are_ignored() {
                continue;
            }
            if self.0.iter().take(at).any(|(before, _)| before == name) {
                return Err("an argument stands twice");
            }
            let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b'&');
            if name.is_empty() || !name.iter().all(is_plain) {
                return Err("the name of an argument is not visible ASCII");
            }
            if value.contains(&b'&') {
                return Err("the value of an argument holds an &");
            }
        }
        Ok(())
    }

    /// Refuses arguments that only a link has, but for `token_ignore_params`.
    pub(super) fn has_none_of_ours(&self) -> Result<(), &'static str> {
        let is_ours = |name: &[u8]| {
            let ours = OWN.iter().filter(|own| **own != "token_ignore_params");
            ours.into_iter().any(|own| credential::is_spelling(name, own.as_bytes()))
        };
        match self.0.iter().any(|(name, _)| is_ours(name)) {
            true => Err("the query has an argument of a link already"),
            false => Ok(()),
        }
    }

    /// The parameters as they are signed.
    pub(super) fn signed(&self) -> Vec<u8> {
        let is_signed = |name: &[u8]| match name {
            b"token" | b"expires" => false,
            b"token_path" | b"token_ignore_params" => true,
            _ => !self.are_ignored(),
        };
        let mut params: Vec<_> = self.0.iter().filter(|(name, _)| is_signed(name)).collect();
        params.sort();
        let params = params.into_iter().map(|(name, value)| [&**name, &**value].join(&b'='));
        params.collect::<Vec<_>>().join(&b'&')
    }
}
