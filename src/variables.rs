//! The table of variables. To add one, add a row here, and the function that it names.

use std::rc::Rc;

use token::credential;

use crate::check::NoVerdict;
use crate::context;
use crate::issue::Mint;
use crate::jwt::{JwtCheck, TokenCase, show::NamedClaim};
use crate::link::{EXPIRES, KEY, LinkCase, LinkCheck, LinkMint, Said, TIME};
use crate::location::{LocationConf, MainConf};
use crate::nginx::{Request, Variable};

pub(crate) static VARIABLES: [Variable; 18] = [
    Variable::Named(c"jwt_status", jwt_status),
    Variable::Named(c"jwt_reason", jwt_reason),
    Variable::Named(c"jwt_payload", jwt_payload),
    Variable::Named(c"jwt_payload_base64url", jwt_payload_base64url),
    Variable::Named(c"jwt_provider", jwt_provider),
    Variable::Named(c"jwt_args", jwt_args),
    Variable::Named(c"jwt_client_thumbprint", jwt_client_thumbprint),
    Variable::Prefix(c"jwt_claim_", jwt_claim),
    Variable::Prefix(c"jwt_header_", jwt_header),
    Variable::Named(c"secure_token_status", secure_token_status),
    Variable::Named(EXPIRES, secure_token_expires),
    Variable::Named(TIME, secure_token_time),
    Variable::Named(KEY, secure_token_key),
    Variable::Named(c"secure_token_acl", secure_token_acl),
    Variable::Named(c"secure_token_id", secure_token_id),
    Variable::Named(c"secure_token_data", secure_token_data),
    Variable::Named(c"secure_token_args", secure_token_args),
    Variable::Prefix(c"single_arg_", single_argument),
];

/// Calls `show` with the token check of the request's location.
fn of_token<'r, T>(
    request: Request<'r>,
    show: impl FnOnce(TokenCase<'r>, Option<&Rc<JwtCheck>>) -> Result<Option<T>, NoVerdict>,
) -> Result<Option<T>, NoVerdict> {
    context::show(
        request,
        |location: &LocationConf| location.jwt.check().is_some(),
        |judged, location, main| show(judged.token_case(main), location.jwt.check()),
    )
}

/// Calls `show` with the link check of the request's location.
fn of_link<'r, T>(
    request: Request<'r>,
    show: impl FnOnce(LinkCase<'r>, Option<&Rc<LinkCheck>>) -> Result<Option<T>, NoVerdict>,
) -> Result<Option<T>, NoVerdict> {
    context::show(
        request,
        |location: &LocationConf| location.link.check().is_some(),
        |judged, location, _| show(judged.link_case(), location.link.check()),
    )
}

fn jwt_status(request: Request<'_>) -> Option<Vec<u8>> {
    Some(of_token(request, TokenCase::status).ok()?.unwrap_or("off").into())
}

fn jwt_reason(request: Request<'_>) -> Option<Vec<u8>> {
    of_token(request, TokenCase::reason).ok()?
}

fn jwt_payload(request: Request<'_>) -> Option<Vec<u8>> {
    of_token(request, TokenCase::payload).ok()?
}

fn jwt_payload_base64url(request: Request<'_>) -> Option<Vec<u8>> {
    of_token(request, TokenCase::payload_base64url).ok()?
}

fn jwt_provider(request: Request<'_>) -> Option<Vec<u8>> {
    of_token(request, TokenCase::provider).ok()?
}

fn jwt_args(request: Request<'_>) -> Option<Vec<u8>> {
    let args = of_token(request, TokenCase::args).ok()?;
    Some(args.unwrap_or_else(|| request.query().into()))
}

/// `$jwt_client_thumbprint`: that of the client's certificate. An nginx without TLS has no such variable
/// as the certificate, so it is looked for by name.
fn jwt_client_thumbprint(request: Request<'_>) -> Option<Vec<u8>> {
    let certificate = request.named_variable(b"ssl_client_raw_cert")?;
    token::certificate_thumbprint(certificate).map(Into::into)
}

fn jwt_claim(request: Request<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let name = core::str::from_utf8(name).ok()?;
    of_token(request, |case, check| case.claim(check, name)).ok()?
}

fn jwt_header(request: Request<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let name = core::str::from_utf8(name).ok()?;
    of_token(request, |case, check| case.header(check, name)).ok()?
}

/// A variable of `jwt_claim_set` or `jwt_header_set`.
pub(crate) fn named_claim(request: Request<'_>, claim: &NamedClaim) -> Option<Vec<u8>> {
    of_token(request, |case, check| case.named_claim(check, claim)).ok()?
}

/// A variable of `jwt_mint`.
pub(crate) fn minted(request: Request<'_>, mint: &Mint) -> Option<Vec<u8>> {
    let main = request.main::<MainConf>()?;
    // Without a verdict yet, a claim of the user's token would be left out.
    let minted = context::attempt(request, |judged| {
        mint.token(request, judged.minted(), |algorithm| {
            main.status.count_signed(&main.jwt.meter, algorithm, 1);
        })
    });
    minted.ok()?
}

/// A variable of `secure_token_mint`.
pub(crate) fn minted_link(request: Request<'_>, mint: &LinkMint) -> Option<Vec<u8>> {
    // Without a verdict yet, a claim of the user's token would be empty.
    let minted = context::attempt(request, |judged| Ok(mint.link(request, judged.case().time())));
    minted.ok()?
}

fn secure_token_status(request: Request<'_>) -> Option<Vec<u8>> {
    Some(of_link(request, LinkCase::status).ok()?.unwrap_or("off").into())
}

fn secure_token_expires(request: Request<'_>) -> Option<Vec<u8>> {
    of_link(request, LinkCase::expires).ok()?
}

fn secure_token_time(request: Request<'_>) -> Option<Vec<u8>> {
    of_link(request, LinkCase::time).ok()?
}

fn secure_token_key(request: Request<'_>) -> Option<Vec<u8>> {
    of_link(request, LinkCase::key).ok()?
}

/// What a link says beside its expiry.
fn said(request: Request<'_>, text: Said) -> Option<Vec<u8>> {
    of_link(request, |case, check| case.said(check, text)).ok()?
}

fn secure_token_acl(request: Request<'_>) -> Option<Vec<u8>> {
    said(request, |granted| granted.acl.as_deref())
}

fn secure_token_id(request: Request<'_>) -> Option<Vec<u8>> {
    said(request, |granted| granted.id.as_deref())
}

fn secure_token_data(request: Request<'_>) -> Option<Vec<u8>> {
    said(request, |granted| granted.data.as_deref())
}

fn secure_token_args(request: Request<'_>) -> Option<Vec<u8>> {
    let args = of_link(request, LinkCase::args).ok()?;
    Some(args.unwrap_or_else(|| request.query().into()))
}

/// `$single_arg_NAME`: an argument of the query as it is there, if it is there exactly once. All
/// applications then read the same value that a signature or rule was bound to.
fn single_argument(request: Request<'_>, name: &[u8]) -> Option<Vec<u8>> {
    credential::single_argument(request.agreed_query()?, name).map(Into::into)
}
