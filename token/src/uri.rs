//! URIs as they are compared with what a token covers: without the token, and normalised (RFC 3986
//! section 6.2.2 and 6.2.3, RFC 9110 section 4.2.3).
//!
//! WHATWG's rules, which browsers and the `url` crate follow, are others: they do not decode `%7e`, and
//! rewrite what RFC 3986 leaves alone.

mod carrier;
mod fault;
mod spelling;

use std::borrow::Cow;

pub use carrier::Carrier;
use carrier::{without_argument, without_token};
pub use fault::{MAX_URI_LEN, UriError};
use spelling::{check_path, escaped, is_sub_delimiter, is_unreserved, merged, without_dots};

/// The longest URI that is read, with its tokens.
const LONGEST_SENT: usize = 96 * 1024;

/// An absolute URI with an authority, normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestUri {
    text: String,
    /// Where the path begins.
    path_at: usize,
    /// The URI as a server reads it that decodes slashes and merges them, if it is another one.
    served: Option<String>,
    /// The path as it was sent, if it is the same but for the spelling of its characters.
    sent: Option<String>,
}

impl RequestUri {
    /// Normalises `uri`, and removes what the carriers name.
    ///
    /// Bytes that no URI may have are percent-encoded.
    ///
    /// # Errors
    /// [`UriError`].
    pub fn new(uri: &[u8], carriers: &[Carrier<'_>]) -> Result<Self, UriError> {
        if uri.len() > LONGEST_SENT {
            return Err(UriError::TooLong);
        }
        if uri.contains(&b'#') {
            return Err(UriError::Fragment);
        }
        let (scheme, rest) = split_scheme(uri).ok_or(UriError::NotAbsolute)?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).ok_or(UriError::NotAbsolute)?;
        let mut text = scheme.to_ascii_lowercase();
        text.push_str("://");
        push_authority(&mut text, authority).ok_or(UriError::Authority)?;
        let path_at = text.len();
        let mut parts = target.splitn(2, |byte| *byte == b'?');
        let sent = parts.next().unwrap_or_default();
        let query = parts.next().map(Cow::Borrowed);
        let query = carriers.iter().fold(query, |query, carrier| match carrier {
            Carrier::Argument(name) => query.and_then(|query| without_argument(query, name)),
            Carrier::Token(_) => query,
        });
        let whole = escaped(if sent.is_empty() { b"/" } else { sent }).ok_or(UriError::Escape)?;
        let path = without_dots(&whole);
        check_path(&whole, &path)?;
        // Dots are gone before a token is removed from the path: it must not stand for a segment that
        // they remove.
        let mut target = path.clone();
        if let Some(query) = query {
            target.push('?');
            target.push_str(&escaped(&query).ok_or(UriError::Escape)?);
        }
        for carrier in carriers {
            if let Carrier::Token(token) = carrier {
                target = without_token(target, token);
            }
        }
        if !target.starts_with('/') {
            target.insert(0, '/');
        }
        text.push_str(&target);
        if text.len() > MAX_URI_LEN {
            return Err(UriError::TooLong);
        }
        let mut uri = Self { text, path_at, served: None, sent: None };
        if uri.path() == path {
            let is_same = path == whole && sent.iter().all(u8::is_ascii_graphic);
            uri.sent = std::str::from_utf8(sent).ok().filter(|_| is_same).map(str::to_owned);
        } else {
            check_path(uri.path(), uri.path())?;
        }
        let served = merged(&uri.path().replace("%2F", "/"));
        if served != uri.path() {
            let (before, path) = (uri.text.get(..path_at), uri.path());
            let after = uri.text.get(path_at + path.len()..).unwrap_or_default();
            uri.served = Some([before.unwrap_or_default(), &served, after].concat());
        }
        Ok(uri)
    }

    /// The URI.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URI as nginx and many others read its path: with `%2F` as a slash, and several slashes as one.
    /// `None` if that makes no difference.
    pub fn as_served(&self) -> Option<&str> {
        self.served.as_deref()
    }

    /// Scheme, host and port, with a slash behind.
    pub fn origin(&self) -> &str {
        self.text.get(..=self.path_at).unwrap_or_default()
    }

    /// The path.
    pub fn path(&self) -> &str {
        let path = self.text.get(self.path_at..).unwrap_or_default();
        path.split('?').next().unwrap_or_default()
    }

    /// The first `depth` segments of the path, with a slash before each, as the client has spelt them: for
    /// the `Path` of a cookie (RFC 6265 section 4.1.2.4). `/` for none.
    ///
    /// `None` if there are fewer, or if the attribute of a cookie cannot hold them.
    pub fn first_segments(&self, depth: u64) -> Option<&str> {
        let path = self.sent.as_deref().filter(|path| !path.is_empty()).unwrap_or(self.path());
        let Some(last) = usize::try_from(depth).ok()?.checked_sub(1) else { return Some("/") };
        let mut ends = path.match_indices('/').skip(1).map(|(at, _)| at).chain([path.len()]);
        path.get(..ends.nth(last)?).filter(|path| !path.contains(';'))
    }
}

/// The scheme (RFC 3986 section 3.1), and what follows `://`.
fn split_scheme(uri: &[u8]) -> Option<(&str, &[u8])> {
    let at = uri.iter().position(|byte| *byte == b':')?;
    let (scheme, rest) = uri.split_at_checked(at)?;
    let rest = rest.strip_prefix(b"://")?;
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic) && scheme.iter().all(fits);
    Some((std::str::from_utf8(scheme).ok().filter(|_| is_scheme)?, rest))
}

/// Adds host and port to a scheme with `://`: in lower case, without the scheme's own port. `None` if they
/// are of no known form, or if there is a user before them (RFC 9110 section 4.2.4).
fn push_authority(text: &mut String, authority: &[u8]) -> Option<()> {
    let authority = std::str::from_utf8(authority).ok()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            let port = if port.is_empty() { "" } else { port.strip_prefix(':')? };
            (format!("[{}]", address.to_ascii_lowercase()), port)
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
            let fits = |byte: u8| is_unreserved(byte) || is_sub_delimiter(byte);
            if host.is_empty() || !host.bytes().all(fits) {
                return None;
            }
            (host.to_ascii_lowercase(), port)
        }
    };
    let default = match &**text {
        "http://" => Some(80),
        "https://" => Some(443),
        _ => None,
    };
    text.push_str(&host);
    if port.is_empty() {
        return Some(());
    }
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let port: u16 = port.parse().ok()?;
    if default != Some(port) {
        text.push(':');
        text.push_str(&port.to_string());
    }
    Some(())
}

#[cfg(test)]
mod tests;
