//! What the variables show: the verdict, and of a token only what was verified.

use core::ffi::CStr;

use token::{Reject, Verified};

use crate::access;
use crate::conf::NamedClaim;
use crate::request::Request;

/// A variable: the name that nginx knows it by, or the prefix, and how to get its value. `None` is
/// a variable that is not found.
pub(crate) enum Variable {
    Named(&'static CStr, fn(Request<'_>) -> Option<Vec<u8>>),
    Prefix(&'static CStr, fn(Request<'_>, &[u8]) -> Option<Vec<u8>>),
}

/// The expiry of a link.
pub(crate) const LINK_EXPIRES: &CStr = c"secure_token_expires";

/// The variables.
pub(crate) static VARIABLES: [Variable; 7] = [
    Variable::Named(c"jwt_status", jwt_status),
    Variable::Named(c"jwt_payload", jwt_payload),
    Variable::Named(c"jwt_provider", jwt_provider),
    Variable::Prefix(c"jwt_claim_", jwt_claim),
    Variable::Prefix(c"jwt_header_", jwt_header),
    Variable::Named(c"secure_token_status", secure_token_status),
    Variable::Named(LINK_EXPIRES, secure_token_expires),
];

fn jwt_status(request: Request<'_>) -> Option<Vec<u8>> {
    let Some(verdict) = access::jwt_verdict(request).ok()? else { return Some(b"off".into()) };
    Some(status(access::jwt_reject(request, &verdict).ok()?))
}

fn secure_token_status(request: Request<'_>) -> Option<Vec<u8>> {
    let Some(verdict) = access::link_verdict(request).ok()? else { return Some(b"off".into()) };
    Some(status(verdict.reject))
}

fn status(reject: Option<Reject>) -> Vec<u8> {
    reject.map_or("ok", Reject::status).into()
}

/// Applies `show` to the token, if it is good by itself, whatever the location's rules say of it.
fn verified(
    request: Request<'_>,
    show: impl FnOnce(&Verified) -> Option<String>,
) -> Option<Vec<u8>> {
    let verdict = access::jwt_verdict(request).ok()??;
    let mut text = show(verdict.token.as_ref().ok()?)?.into_bytes();
    // A claim may hold anything that JSON can, and the variable may go into a header.
    text.retain(|byte| !byte.is_ascii_control());
    Some(text)
}

fn jwt_payload(request: Request<'_>) -> Option<Vec<u8>> {
    verified(request, |token| Some(token.payload.text().to_owned()))
}

fn jwt_claim(request: Request<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let name = core::str::from_utf8(name).ok()?;
    verified(request, |token| Some(token.payload.root().get(name)?.to_text()))
}

fn jwt_header(request: Request<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let name = core::str::from_utf8(name).ok()?;
    verified(request, |token| Some(token.header.root().get(name)?.to_text()))
}

/// A claim or header that the configuration has given a variable of its own.
pub(crate) fn named_claim(request: Request<'_>, claim: &NamedClaim) -> Option<Vec<u8>> {
    verified(request, |token| {
        let document = if claim.header { &token.header } else { &token.payload };
        let value = claim.path.iter().try_fold(document.root(), |value, step| step.find(value));
        Some(value?.to_text())
    })
}

/// The name of the `jwt_provider` that the token is from.
fn jwt_provider(request: Request<'_>) -> Option<Vec<u8>> {
    let verdict = access::jwt_verdict(request).ok()??;
    verdict.provider.as_ref().map(|provider| provider.name.to_vec())
}

/// The expiry of a link whose signature held; within `secure_token_md5` the one presented.
fn secure_token_expires(request: Request<'_>) -> Option<Vec<u8>> {
    access::link_expires(request).ok()?.map(|digits| digits.to_vec())
}
