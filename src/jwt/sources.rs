//! Where a token is looked for (`jwt_token`).

use token::credential::{self, Found};

use crate::check::NoVerdict;
use crate::nginx::{ComplexValue, ConfError, Request, Result, Setting};

/// A place where a token is looked for.
pub(super) enum TokenSource {
    /// The `Authorization` header with the scheme `Bearer`.
    Bearer,
    /// A header; a leading `Bearer ` is removed.
    Header(Box<[u8]>),
    Cookie(Box<[u8]>),
    /// An argument of the query.
    Arg(Box<[u8]>),
    /// A value with variables.
    Value(ComplexValue),
}

impl TokenSource {
    /// Reads argument `at` of `jwt_token`.
    pub(super) fn read(setting: &Setting<'_>, at: usize) -> Result<Self> {
        let source = setting.arg(at).unwrap_or_default();
        let named = |prefix: &[u8]| source.strip_prefix(prefix).filter(|name| !name.is_empty());
        if source == b"bearer" {
            Ok(Self::Bearer)
        } else if let Some(name) = named(b"header:") {
            Ok(Self::Header(name.to_ascii_lowercase().into()))
        } else if let Some(name) = named(b"cookie:") {
            Ok(Self::Cookie(name.into()))
        } else if let Some(name) = named(b"arg:") {
            Ok(Self::Arg(name.into()))
        } else if source.contains(&b'$') {
            Ok(Self::Value(setting.compile(source)?))
        } else {
            Err(ConfError::value(
                source,
                "must be bearer, header:NAME, cookie:NAME, arg:NAME, or hold a variable",
            ))
        }
    }

    /// The token in this place.
    fn find<'r>(&'r self, request: Request<'r>) -> Result<Found<'r>, NoVerdict> {
        Ok(match self {
            Self::Bearer => credential::bearer(request.header_values(b"authorization")),
            Self::Header(name) => credential::header(request.header_lines(name), name),
            Self::Cookie(name) => credential::cookie(request.header_values(b"cookie"), name),
            Self::Arg(name) => request.argument(name).or_absent(),
            Self::Value(value) => {
                Found::One(request.evaluate(value).ok_or(NoVerdict::Value)?).or_absent()
            }
        })
    }
}

/// The token from the first source that has one, good or bad.
pub(super) fn find_token<'r>(
    request: Request<'r>,
    sources: &'r [TokenSource],
) -> Result<Found<'r>, NoVerdict> {
    for source in sources {
        let found = source.find(request)?;
        if found != Found::Absent {
            return Ok(found);
        }
    }
    Ok(Found::Absent)
}
