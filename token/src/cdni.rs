//! URI Signing for CDN Interconnection (RFC 9246): a token that says which URIs it opens.
//!
//! 1. `pattern`: POSIX's regular expressions. `container`: the URIs that a token covers.
//! 2. `renewal`: the next token.

mod container;
mod pattern;
mod renewal;

pub use pattern::{PatternError, Patterns};
pub use renewal::{MAX_COOKIE, Renewal, Transport};

use container::Container;

use crate::content::Content;
use crate::json::{Document, Value};
use crate::refusal::{Refusal, Why, kind};
use crate::reject::Reject;
use crate::uri::{Carrier, RequestUri};

/// The name of the argument or cookie that has the token (RFC 9246 section 3, "URI Signing Package
/// Attribute").
pub const PACKAGE: &str = "URISigningPackage";

/// The claims that are understood here, and so may be called critical.
const UNDERSTOOD: [&str; 10] =
    ["iss", "aud", "exp", "nbf", "iat", "cdniv", "cdniuc", "cdniets", "cdnistt", "cdnistd"];

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'r> {
    /// The URI, as the client has sent it.
    pub uri: &'r [u8],
    /// Where tokens are in it: what is compared is the URI without them.
    pub carriers: &'r [Carrier<'r>],
    /// Whether there is a key that signs the next token.
    pub renews: bool,
}

/// Whether a token that was verified opens the URI that is asked for, at `now` in seconds since the epoch;
/// and how it is renewed.
///
/// `exp` and `nbf` count without leeway (RFC 9246 section 2.1.4 and 2.1.5). `sub` and `cdniip` are encrypted
/// tokens by that RFC, and `jti` is a nonce that no other request may have: none of them is supported, and
/// a token that has them is refused.
///
/// # Errors
/// The first reason for which it does not.
pub fn check(
    token: &Content,
    asked: Asked<'_>,
    patterns: &Patterns,
    now: i64,
) -> Result<Option<Renewal>, Refusal> {
    judge(token, asked, patterns, now).map_err(|why| Refusal::of(&token.header, why))
}

fn judge(
    token: &Content,
    asked: Asked<'_>,
    patterns: &Patterns,
    now: i64,
) -> Result<Option<Renewal>, Why> {
    let root = token.payload.root();
    check_version(root)?;
    check_critical(root)?;
    token.claims.check_time(now, 0)?;
    for name in ["cdniip", "sub", "jti"] {
        if root.get(name).is_some_and(|claim| !claim.is_null()) {
            let detail = format!("{name} is not supported together with jwt_uri_signing");
            return Err(Why::new(Reject::Denied, detail));
        }
    }
    let claim = root.get("cdniuc").ok_or(Why::malformed("cdniuc is missing"))?;
    let container = Container::read(claim)?;
    let uri = RequestUri::new(asked.uri, asked.carriers);
    let renewal = Renewal::read(root, uri.as_ref().ok(), asked.renews)?;
    let uncovered = |detail| Why::new(Reject::NotCovered, detail);
    let uri = uri.map_err(|fault| uncovered(format!("the URI cannot be compared: {fault}")))?;
    match container.covers(&uri, patterns) {
        Ok(true) => Ok(renewal),
        Ok(false) => {
            let detail =
                format!("cdniuc does not cover the URI, which begins with {:?}", uri.origin());
            Err(uncovered(detail))
        }
        Err(fault) => Err(Why::malformed(format!("cdniuc: {fault}"))),
    }
}

/// The version of the claims: 1, or none (RFC 9246 section 2.1.8).
fn check_version(root: Value<'_>) -> Result<(), Why> {
    let Some(claim) = root.get("cdniv") else { return Ok(()) };
    let number = claim.as_number().ok_or_else(|| Why::wrong_type("cdniv", claim))?;
    match number.as_u64() {
        Some(1) => Ok(()),
        _ => Err(Why::malformed("cdniv is not 1, the only version that is known")),
    }
}

/// The claims that must be understood (RFC 9246 section 2.1.9): a list of names with commas between them.
fn check_critical(root: Value<'_>) -> Result<(), Why> {
    let Some(claim) = root.get("cdnicrit") else { return Ok(()) };
    let list = claim.as_str().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Why::malformed(format!("cdnicrit is {}", kind(claim))))?;
    let names: Vec<&str> = list.split(',').collect();
    for (at, name) in names.iter().enumerate() {
        if !UNDERSTOOD.contains(name) {
            return Err(Why::malformed("cdnicrit names a claim that is not understood"));
        }
        if root.get(name).is_none() || names.iter().take(at).any(|before| before == name) {
            return Err(Why::malformed("cdnicrit names a claim twice, or one that is not there"));
        }
    }
    Ok(())
}

/// Whether a token covers a URI, whatever else is said of it; and the URI as it is compared. For tools:
/// nothing is said of the signature.
///
/// # Errors
/// Why that cannot be told, in a sentence.
pub fn covers(
    payload: &Document,
    uri: &[u8],
    carriers: &[Carrier<'_>],
) -> Result<(RequestUri, bool), String> {
    let said = |why: Why| why.detail.into_owned();
    let claim = payload.root().get("cdniuc").ok_or("cdniuc is missing")?;
    let container = Container::read(claim).map_err(said)?;
    let uri = RequestUri::new(uri, carriers);
    let uri = uri.map_err(|fault| format!("the URI cannot be compared: {fault}"))?;
    let covered = container.covers(&uri, &Patterns::default());
    covered.map(|covered| (uri, covered)).map_err(|fault| format!("cdniuc: {fault}"))
}
