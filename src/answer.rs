//! The answer: the one place that turns a decision into a status, a header and lines of the log.

use crate::access::{self, Decision, Said, Who};
use crate::check::{NoVerdict, Opinion, Refusal, Status};
use crate::location::{LocationConf, MainConf};
use crate::nginx::{FAILED, Phase, Request};

/// What the access phase does with a request.
pub(crate) fn access(request: Request<'_>) -> Phase {
    let configured = (request.location::<LocationConf>(), request.main::<MainConf>());
    let (Some(location), Some(main)) = configured else { return FAILED };
    match access::ask(request, location, main) {
        None => Phase::Declined,
        Some(Ok(said)) => answer(request, &said),
        Some(Err(why)) => fail(request, why),
    }
}

fn answer(request: Request<'_>, said: &Said) -> Phase {
    if said.decision == Decision::Wait {
        return Phase::Waits;
    }
    log(request, &said.token);
    log(request, &said.link);
    let opinion = match said.decision {
        Decision::Decline => return Phase::Declined,
        Decision::Pass => return Phase::Passed,
        Decision::Wait => return Phase::Waits,
        Decision::Refuse(Who::Token) => &said.token,
        Decision::Refuse(Who::Link) => &said.link,
    };
    match opinion {
        Opinion::Refuses(refusal) => refuse(request, refusal),
        _ => FAILED,
    }
}

/// Tells the log what a check has against a request.
fn log(request: Request<'_>, opinion: &Opinion) {
    match opinion {
        Opinion::Refuses(refusal) => {
            request.log_info(format_args!("{} refused: {}", refusal.what, refusal.why));
        }
        Opinion::LetsThrough(refusal) => {
            let Refusal { what, why, .. } = &**refusal;
            request.log_info(format_args!("{what} let through (permissive): {why}"));
        }
        Opinion::Abstains | Opinion::Passes | Opinion::Waits => {}
    }
}

/// Answers with the refusal's status, and its challenge where there is one.
fn refuse(request: Request<'_>, refusal: &Refusal) -> Phase {
    if let Some(challenge) = &refusal.challenge
        && request.add_challenge(challenge).is_none()
    {
        return FAILED;
    }
    let Status(status) = refusal.status;
    let goes_on = matches!(refusal.status, Status::UNAUTHORIZED | Status::FORBIDDEN);
    if request.satisfies_any() && !goes_on {
        request.answer_unless_satisfied(status);
        return Phase::Declined;
    }
    Phase::Answered(status)
}

/// There is no verdict: the answer is 500, as it is not the client's doing.
fn fail(request: Request<'_>, why: NoVerdict) -> Phase {
    request.log_error(match why {
        NoVerdict::Value => format_args!("token_auth: a value could not be evaluated"),
        NoVerdict::Circular => {
            format_args!("token_auth: the check rests on a variable that rests on the check")
        }
        NoVerdict::Pending => format_args!("token_auth: keys are not there yet"),
    });
    FAILED
}
