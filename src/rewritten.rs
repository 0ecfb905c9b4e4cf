//! Answers that are rewritten: what the filters of `nginx` call, by the settings of the request's location.
//! They are signed, or they are playlists that carry a token or link on. Where answers are signed, nothing else
//! is done to them.

use crate::context::Judged;
use crate::issue::SignedAnswer;
use crate::location::{LocationConf, MainConf};
use crate::nginx::{Head, Instead, Plan, Request, Rewritten, Unsent};
use crate::renewed;

/// Whether answers are rewritten in the request's location.
pub(crate) fn is_wanted(request: Request<'_>) -> bool {
    // Without a configuration nothing is known, so nothing may pass.
    let wants = |location: &LocationConf| location.issue.signs() || location.playlist.forwards();
    request.location::<LocationConf>().is_none_or(wants)
}

/// What to do with an answer whose header is about to be sent.
pub(crate) fn plan(request: Request<'_>, head: &Head<'_>) -> Plan {
    let Some(location) = request.location::<LocationConf>() else { return Plan::Refuse };
    if location.issue.signs() {
        return location.issue.plan(request, head);
    }
    let Some(main) = request.main::<MainConf>() else { return Plan::Refuse };
    let Carried { query, names, .. } = carried(request, location, main);
    location.playlist.plan(request, head, (query, &names))
}

/// The body to be sent in place of one that was held back.
pub(crate) fn rewrite(request: Request<'_>, body: Vec<u8>) -> Rewritten {
    let conf = (request.location::<LocationConf>(), request.main::<MainConf>());
    let (Some(location), Some(main)) = conf else { return Rewritten::Refused };
    if !location.issue.signs() {
        let Carried { asked, query, token, names } = carried(request, location, main);
        let renewed = token.and_then(|name| renewed::in_query(asked, main, query, name));
        let query = renewed.as_deref().unwrap_or(query);
        return location.playlist.rewrite(request, body, (query, &names));
    }
    let Some(SignedAnswer { body, algorithm, tokens }) = location.issue.sign(request, body) else {
        return Rewritten::Refused;
    };
    main.status.count_signed(&main.jwt.meter, algorithm, tokens);
    Rewritten::New(body)
}

/// Logs why an answer that was held back is not rewritten. One that was to be signed must not be sent.
pub(crate) fn cannot_rewrite(request: Request<'_>, why: Unsent) -> Instead {
    let Some(location) = request.location::<LocationConf>() else { return Instead::Error };
    if location.issue.signs() {
        location.issue.cannot_sign(request, why);
        return Instead::Error;
    }
    location.playlist.cannot_forward(request, why);
    Instead::AsItIs
}

/// What a request has been let pass by that can be carried on.
struct Carried<'r> {
    /// The request that the client has sent.
    asked: Request<'r>,
    query: &'r [u8],
    /// The name of the argument with the token.
    token: Option<&'r [u8]>,
    /// The names of all arguments that belong to the token or the link.
    names: Vec<&'r [u8]>,
}

/// The query of the request, and the names of those of its arguments that have let it pass: those of the link
/// and the token that the access phase has accepted by the checks of the location that answers. A subrequest has
/// no access phase; what has let its main request pass counts, if that was by the same checks.
fn carried<'r>(
    request: Request<'r>,
    location: &'r LocationConf,
    main: &'r MainConf,
) -> Carried<'r> {
    let asked = request.main_request();
    let mut carried = Carried { asked, query: asked.query(), token: None, names: Vec::new() };
    if let Some(judged) = Judged::existing(asked) {
        carried.token =
            location.jwt.check().and_then(|check| judged.token_case(main).carried(check));
        let link = location.link.check().map(|check| judged.link_case().carried(check));
        carried.names.extend(carried.token);
        carried.names.extend(link.unwrap_or_default());
    }
    carried
}
