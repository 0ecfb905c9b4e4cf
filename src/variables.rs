//! What the variables show: the verdict, and of a token only what was verified.

use core::ffi::CStr;
use core::fmt;

use token::{Reject, Verified, credential};

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
pub(crate) static VARIABLES: [Variable; 8] = [
    Variable::Named(c"jwt_status", jwt_status),
    Variable::Named(c"jwt_payload", jwt_payload),
    Variable::Named(c"jwt_provider", jwt_provider),
    Variable::Prefix(c"jwt_claim_", jwt_claim),
    Variable::Prefix(c"jwt_header_", jwt_header),
    Variable::Named(c"secure_token_status", secure_token_status),
    Variable::Named(LINK_EXPIRES, secure_token_expires),
    Variable::Prefix(c"single_arg_", single_argument),
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
/// `name` is what the log calls the variable.
///
/// A value with a control character is shown as nothing: left out of it, two values would look the
/// same to whoever reads the variable, and left in it, it could end a header.
fn verified(
    request: Request<'_>,
    name: fmt::Arguments<'_>,
    show: impl FnOnce(&Verified) -> Option<String>,
) -> Option<Vec<u8>> {
    let verdict = access::jwt_verdict(request).ok()??;
    let text = show(verdict.token.as_ref().ok()?)?;
    if !text.contains(char::is_control) {
        return Some(text.into_bytes());
    }
    let is_told = request.existing_state().is_none_or(|state| state.control_told.replace(true));
    if !is_told {
        request.log_info(format_args!(
            "jwt: {name} is shown as nothing, since its value holds a control character"
        ));
    }
    None
}

/// The payload as it was signed. One with white space that is a control character (JSON has line
/// breaks and tabs between its members) is written anew, without any.
fn jwt_payload(request: Request<'_>) -> Option<Vec<u8>> {
    verified(request, format_args!("$jwt_payload"), |token| {
        let text = token.payload.text();
        if !text.contains(char::is_control) {
            return Some(text.to_owned());
        }
        let mut compact = String::with_capacity(text.len());
        token.payload.root().write_json(&mut compact);
        Some(compact)
    })
}

fn jwt_claim(request: Request<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let name = core::str::from_utf8(name).ok()?;
    verified(request, format_args!("$jwt_claim_{name}"), |token| {
        Some(token.payload.root().get(name)?.to_text())
    })
}

fn jwt_header(request: Request<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let name = core::str::from_utf8(name).ok()?;
    verified(request, format_args!("$jwt_header_{name}"), |token| {
        Some(token.header.root().get(name)?.to_text())
    })
}

/// A claim or header that the configuration has given a variable of its own.
pub(crate) fn named_claim(request: Request<'_>, claim: &NamedClaim) -> Option<Vec<u8>> {
    let kind = if claim.header { "jwt_header_set" } else { "jwt_claim_set" };
    let last = claim.path.last().map(token::ClaimPath::as_str).unwrap_or_default();
    verified(request, format_args!("a variable of {kind} ({last:?})"), |token| {
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

/// An argument of the query as it stands there, if it is there exactly once: what is bound to it is
/// then bound to what every application reads.
fn single_argument(request: Request<'_>, name: &[u8]) -> Option<Vec<u8>> {
    credential::single_argument(request.agreed_query()?, name).map(Into::into)
}
