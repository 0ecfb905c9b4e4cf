//! Tokens that are renewed with the answer (RFC 9246, "Signed Token Renewal"): the check of the request has
//! let its token pass, and a key of the location signs the next one.

use token::cdni::{MAX_COOKIE, Transport};

use crate::context;
use crate::location::MainConf;
use crate::nginx::Request;

/// Called before the header of the answer to a request is sent: adds the cookie with the next token. Only
/// an answer with a status of 2xx has one.
pub(crate) fn header_begins(request: Request<'_>) {
    let Some(main) = request.main::<MainConf>() else { return };
    if !main.jwt.has_uri_signing() || !(200..300).contains(&request.answer_status()) {
        return;
    }
    let by_cookie = context::renewal(request, |one| one.renewal.transport == Transport::Cookie);
    let Some((renewable, renewer)) = by_cookie else { return };
    let next = renewer.next(request, renewable.token(), &renewable.renewal);
    let Some((token, algorithm)) = next else { return };
    main.status.count_signed(&main.jwt.meter, algorithm, 1);
    match renewable.renewal.cookie(&renewable.cookie, &token) {
        Some(cookie) if request.add_header(b"Set-Cookie", cookie.as_bytes()).is_some() => {}
        Some(_) => request.log_error(format_args!("jwt_uri_signing: no memory for a cookie")),
        None => request.log_error(format_args!(
            "jwt_uri_signing: the next token is not sent: a cookie with it has more than {MAX_COOKIE} bytes"
        )),
    }
}
