//! `jwt_uri_signing`: the directive, and what is in force with it.

use std::rc::Rc;

use token::cdni::{PACKAGE, Renewal};
use token::credential::is_token;
use token::{Content, Verified};

use super::sources::{AskedSource, TokenSource};
use crate::check::Source;
use crate::nginx::{ComplexValue, ConfError, Result, Setting};

/// A `jwt_uri_signing` directive.
#[derive(Clone, Copy)]
pub(super) enum UriSigning {
    Off,
    /// With `uri=`, if it has one.
    On(Option<ComplexValue>),
}

/// How the URIs of tokens are compared in a location.
pub(super) struct Covering {
    /// What the URI is; `None` for what the client has sent.
    pub(super) uri: Option<ComplexValue>,
    /// The cookie that the next token comes in.
    pub(super) cookie: Rc<str>,
}

/// `jwt_uri_signing on [uri=VALUE] | off`.
pub(super) fn read(setting: &Setting<'_>, is_on: bool) -> Result<UriSigning> {
    let uri = match setting.arg(2) {
        None => None,
        Some(word) => Some(uri(setting, word)?),
    };
    match (is_on, uri) {
        (true, uri) => Ok(UriSigning::On(uri)),
        (false, None) => Ok(UriSigning::Off),
        (false, Some(_)) => {
            Err(ConfError::mistake("has \"uri=\", which means nothing with \"off\""))
        }
    }
}

fn uri(setting: &Setting<'_>, word: &[u8]) -> Result<ComplexValue> {
    let value = word.strip_prefix(b"uri=").ok_or_else(|| ConfError::parameter(word))?;
    if !value.contains(&b'$') {
        let why = "is the same for all requests: it must hold variables, such as \
                   uri=https://cdn.example.com$request_uri";
        return Err(ConfError::value(word, why));
    }
    setting.compile(value)
}

impl UriSigning {
    /// What is in force with it, for tokens from these sources.
    pub(super) fn covering(self, sources: &[AskedSource]) -> Option<Covering> {
        let Self::On(uri) = self else { return None };
        // The next token comes where it is looked for.
        let mut cookies = sources.iter().filter_map(|asked| match &*asked.source {
            TokenSource::Named(Source::Cookie(name)) => core::str::from_utf8(name).ok(),
            _ => None,
        });
        let cookie = cookies.find(|name| is_token(name.as_bytes())).unwrap_or(PACKAGE);
        Some(Covering { uri, cookie: cookie.into() })
    }
}

/// A token that was let pass, and is to be renewed.
pub(crate) struct Renewable {
    token: Verified,
    pub(crate) renewal: Rc<Renewal>,
    /// The name of the cookie.
    pub(crate) cookie: Rc<str>,
}

impl Renewable {
    pub(super) fn new(token: &Verified, renewal: &Rc<Renewal>, covering: &Covering) -> Self {
        let (renewal, cookie) = (Rc::clone(renewal), Rc::clone(&covering.cookie));
        Self { token: token.clone(), renewal, cookie }
    }

    /// The token.
    pub(crate) fn token(&self) -> &Content {
        &self.token
    }
}
