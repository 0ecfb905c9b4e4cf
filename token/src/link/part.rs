//! The parts of a link as it came, and what they mean, for whoever shows a link to a person.

use std::borrow::Cow;

use crate::credential::Found;

/// The most parts that are shown of a text.
const MOST: usize = 64;

/// A part of a link. Nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: Box<str>,
    /// Its text as it came; empty if it is missing, or unusable.
    pub text: Box<[u8]>,
    /// What it means.
    pub meaning: Meaning,
}

/// What a part of a link means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// There is nothing to say.
    Nothing,
    /// What it is, or what is wrong with it. It may show parts of the link and of the request, never a secret.
    Words(Cow<'static, str>),
    /// A time, in seconds since the epoch, and the words that belong before it; they may be empty.
    Time(&'static str, i64),
    /// It is not there, and the link needs it.
    Missing,
    /// It is there several times, or in a spelling that only some programs understand.
    Unusable,
}

impl Part {
    /// A part with this text.
    pub fn new(name: &[u8], text: &[u8], meaning: Meaning) -> Self {
        Self { name: String::from_utf8_lossy(name).into(), text: text.into(), meaning }
    }

    /// A part that the link needs, as it was found; `meaning` is for one that is there.
    pub fn found(name: &str, found: Found<'_>, meaning: impl FnOnce(&[u8]) -> Meaning) -> Self {
        match found {
            Found::One(text) => Self::new(name.as_bytes(), text, meaning(text)),
            Found::Absent => Self::new(name.as_bytes(), b"", Meaning::Missing),
            Found::Unusable => Self::new(name.as_bytes(), b"", Meaning::Unusable),
        }
    }
}

impl Meaning {
    /// Words.
    pub fn words(words: impl Into<Cow<'static, str>>) -> Self {
        Self::Words(words.into())
    }

    /// A time; words if the text is none.
    pub fn time(before: &'static str, time: Option<i64>, otherwise: &'static str) -> Self {
        time.map_or(Self::words(otherwise), |time| Self::Time(before, time))
    }
}

/// The parts of a text, whether it is of its format or not: what is between `separator`, up to the first `=` and
/// after it.
pub(super) fn split(text: &[u8], separator: u8) -> Vec<(&[u8], &[u8])> {
    let halves = |part| {
        let mut halves = <[u8]>::splitn(part, 2, |byte| *byte == b'=');
        (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
    };
    text.split(|byte| *byte == separator).map(halves).take(MOST).collect()
}
