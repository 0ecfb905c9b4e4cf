//! Tokens that are renewed with the answer (RFC 9246, "Signed Token Renewal"): the check of the request has
//! let its token pass, and a key of the location signs the next one.

use token::cdni::{MAX_COOKIE, Transport};

use crate::context;
use crate::jwt::Renewable;
use crate::location::MainConf;
use crate::nginx::Request;

/// Called before the header of the answer to a request is sent: adds the cookie with the next token. Only
/// an answer with a status of 2xx has one.
pub(crate) fn header_begins(request: Request<'_>) {
    let Some(main) = request.main::<MainConf>() else { return };
    if !main.jwt.has_uri_signing() || !(200..300).contains(&request.answer_status()) {
        return;
    }
    let Some((renewable, token)) = next(request, main, Transport::Cookie) else { return };
    match renewable.renewal.cookie(&renewable.cookie, &token) {
        Some(cookie) if request.add_header(b"Set-Cookie", cookie.as_bytes()).is_some() => {}
        Some(_) => request.log_error(format_args!("jwt_uri_signing: no memory for a cookie")),
        None => request.log_error(format_args!(
            "jwt_uri_signing: the next token is not sent: a cookie with it has more than {MAX_COOKIE} bytes"
        )),
    }
}

/// The token that was to be renewed by this transport, and the next one.
fn next(request: Request<'_>, main: &MainConf, by: Transport) -> Option<(Renewable, String)> {
    let (renewable, renewer) = context::renewal(request, |one| one.renewal.transport == by)?;
    let (token, algorithm) = renewer.next(request, renewable.token(), &renewable.renewal)?;
    main.status.count_signed(&main.jwt.meter, algorithm, 1);
    Some((*renewable, token))
}

/// A query with the next token in place of the one in the argument called `name`; `None` if the token of the
/// request is not renewed by the query. To be called for a playlist that carries its query on.
pub(crate) fn in_query(
    request: Request<'_>,
    main: &MainConf,
    query: &[u8],
    name: &[u8],
) -> Option<Vec<u8>> {
    let (_, token) = next(request, main, Transport::Query)?;
    let renewed = |pair: &[u8]| match pair {
        pair if is_called(pair, name) => [name, b"=", token.as_bytes()].concat(),
        pair => pair.to_vec(),
    };
    let pairs: Vec<Vec<u8>> = query.split(|byte| *byte == b'&').map(renewed).collect();
    Some(pairs.join(&b'&'))
}

fn is_called(pair: &[u8], name: &[u8]) -> bool {
    pair.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"="))
}
