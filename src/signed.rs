//! Answers that are signed: what the filters of `nginx` call, by the settings of the request's location.

use crate::issue::SignedAnswer;
use crate::location::{LocationConf, MainConf};
use crate::nginx::{Head, Plan, Request, Unsent};

/// Whether answers are signed in the request's location.
pub(crate) fn is_signed(request: Request<'_>) -> bool {
    // Without a configuration nothing is known, so nothing may pass.
    request.location::<LocationConf>().is_none_or(|location| location.issue.signs())
}

/// What to do with an answer whose header is about to be sent.
pub(crate) fn plan(request: Request<'_>, head: &Head<'_>) -> Plan {
    let location = request.location::<LocationConf>();
    location.map_or(Plan::Refuse, |location| location.issue.plan(request, head))
}

/// The signed body of an answer that was held back; `None` if it must not be sent.
pub(crate) fn rewrite(request: Request<'_>, body: Vec<u8>) -> Option<Vec<u8>> {
    let (location, main) = (request.location::<LocationConf>()?, request.main::<MainConf>()?);
    let SignedAnswer { body, algorithm, tokens } = location.issue.sign(request, body)?;
    main.status.count_signed(&main.jwt.meter, algorithm, tokens);
    Some(body)
}

/// Logs why an answer that was held back is not sent.
pub(crate) fn cannot_rewrite(request: Request<'_>, why: Unsent) {
    if let Some(location) = request.location::<LocationConf>() {
        location.issue.cannot_sign(request, why);
    }
}
