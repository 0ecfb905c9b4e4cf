//! Places of a request where a credential is looked for by its name.

use token::credential::{self, Found};

use super::judging::NoVerdict;
use crate::nginx::{ComplexValue, Request, Result, Setting, variables};

/// A place where a credential is looked for.
#[derive(PartialEq)]
pub(crate) enum Source {
    /// A header, whose value is the credential, but for a leading `Bearer `. The name is in lower case.
    Header(Box<[u8]>),
    Cookie(Box<[u8]>),
    /// An argument of the query.
    Arg(Box<[u8]>),
    /// A value with variables.
    Value(ComplexValue),
}

impl Source {
    /// Reads `header:NAME`, `cookie:NAME`, `arg:NAME` or a value with variables; `None` for another word.
    pub(crate) fn read(setting: &Setting<'_>, word: &[u8]) -> Result<Option<Self>> {
        let named = |prefix: &[u8]| word.strip_prefix(prefix).filter(|name| !name.is_empty());
        // A name with one of these never occurs: they end a name, or part two of them.
        let warn_of = |name: &[u8], part: &[u8]| {
            if let Some(byte) = name.iter().find(|byte| part.contains(byte)) {
                let (word, byte) = (word.escape_ascii(), byte.escape_ascii());
                setting.warn(&format!("\"{word}\" never holds a token: no name has a \"{byte}\""));
            } else if variables(name).any(|one| !one.is_empty()) {
                let word = word.escape_ascii();
                setting.warn(&format!("\"{word}\" is a text: variables have no meaning here"));
            }
        };
        Ok(Some(if let Some(name) = named(b"header:") {
            warn_of(name, b" \t:;,=\"/()<>@[]{}?\\");
            Self::Header(name.to_ascii_lowercase().into())
        } else if let Some(name) = named(b"cookie:") {
            warn_of(name, b" \t=;,\"");
            Self::Cookie(name.into())
        } else if let Some(name) = named(b"arg:") {
            warn_of(name, b" \t=&;#");
            Self::Arg(name.into())
        } else if word.contains(&b'$') {
            Self::Value(setting.compile(word)?)
        } else {
            return Ok(None);
        }))
    }

    /// What is in this place. An empty value counts as none.
    pub(crate) fn find<'r>(&'r self, request: Request<'r>) -> Result<Found<'r>, NoVerdict> {
        Ok(match self {
            Self::Header(name) => credential::header(request.header_lines(name), name, None),
            Self::Cookie(name) => credential::cookie(request.header_values(b"cookie"), name),
            Self::Arg(name) => request.argument(name).or_absent(),
            Self::Value(value) => {
                Found::One(request.evaluate(value).ok_or(NoVerdict::Value)?).or_absent()
            }
        })
    }
}
