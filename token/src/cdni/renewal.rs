//! Signed Token Renewal (RFC 9246 section 2.1.12 to 2.1.14): the next token, and the cookie that has it.

use crate::content::Content;
use crate::json::{Number, Value};
use crate::refusal::Why;
use crate::reject::Reject;
use crate::sign::{Json, Members, SignError, SigningKey};
use crate::uri::RequestUri;

/// How long the next token may live, in seconds: ten years.
const LONGEST: u64 = 3660 * 24 * 3600;

/// The longest cookie that browsers keep, with its name and attributes, in bytes.
pub const MAX_COOKIE: usize = 4096;

/// How the next token comes to the client (`cdnistt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In a cookie.
    Cookie,
    /// In the query of the URIs that the client is told next.
    Query,
}

/// What the next token is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// How it comes to the client.
    pub transport: Transport,
    /// In seconds from now (`cdniets`).
    lifetime: i64,
    /// The `Path` of the cookie.
    path: Box<str>,
}

impl Renewal {
    /// Reads what a token says of its renewal, for a location that `renews` or not; `None` if there is to
    /// be none, as for a URI with fewer segments than `cdnistd` names.
    pub(super) fn read(
        root: Value<'_>,
        uri: Option<&RequestUri>,
        renews: bool,
    ) -> Result<Option<Self>, Why> {
        let transport = match number(root, "cdnistt")? {
            None | Some(0) => None,
            Some(1) => Some(Transport::Cookie),
            Some(2) => Some(Transport::Query),
            Some(other) => {
                return Err(Why::malformed(format!("cdnistt is {other}, which is unknown")));
            }
        };
        let lifetime = number(root, "cdniets")?;
        let depth = number(root, "cdnistd")?.unwrap_or(0);
        let Some(transport) = transport else { return Ok(None) };
        let lifetime =
            lifetime.ok_or(Why::malformed("cdnistt asks for renewal, but cdniets is missing"))?;
        if !(1..=LONGEST).contains(&lifetime) {
            return Err(Why::malformed("cdniets is not between a second and ten years"));
        }
        if !renews {
            let detail = "cdnistt asks for renewal, and no jwt_sign_key is in force here";
            return Err(Why::new(Reject::Denied, detail));
        }
        let path = uri.and_then(|uri| uri.first_segments(depth));
        let lifetime = i64::try_from(lifetime).unwrap_or(i64::MAX);
        Ok(path.map(|path| Self { transport, lifetime, path: path.into() }))
    }

    /// The claims of the next token: those of `token`, with a new `exp`, and a new `iat` if it has one.
    pub fn claims(&self, token: &Content, now: i64) -> Members {
        let mut claims = Members::of(token.payload.root()).unwrap_or_default();
        if claims.get("iat").is_some_and(Json::is_number) {
            claims.set("iat", Json::integer(now));
        }
        claims.set("exp", Json::integer(now.saturating_add(self.lifetime)));
        claims
    }

    /// The next token.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub fn sign(&self, token: &Content, key: &SigningKey, now: i64) -> Result<String, SignError> {
        key.sign(&self.claims(token, now))
    }

    /// The value of `Set-Cookie` (RFC 6265 section 4.1.1) with a token. The cookie ends with it. `name` must be a token (RFC 9110
    /// section 5.6.2). `None` if it is longer than [`MAX_COOKIE`].
    pub fn cookie(&self, name: &str, token: &str) -> Option<String> {
        let Self { lifetime, path, .. } = self;
        let attributes = format!("Path={path}; Max-Age={lifetime}; Secure; HttpOnly");
        let cookie = format!("{name}={token}; {attributes}");
        (cookie.len() <= MAX_COOKIE).then_some(cookie)
    }
}

/// A claim that is a whole number, not negative.
fn number(root: Value<'_>, name: &str) -> Result<Option<u64>, Why> {
    let Some(claim) = root.get(name) else { return Ok(None) };
    let number = claim.as_number().ok_or_else(|| Why::wrong_type(name, claim))?;
    let whole = Number::as_u64(number);
    let fault = || Why::malformed(format!("{name} is no whole number, or below 0"));
    whole.map(Some).ok_or_else(fault)
}
