//! The answer: only this file turns a decision into a status, a header and log lines.

use crate::access::{self, Decision, Opinions};
use crate::check::{NoVerdict, Opinion, Refusal, Status};
use crate::location::{LocationConf, MainConf};
use crate::nginx::{FAILED, Phase, Request};

/// The access phase's result for a request.
pub(crate) fn access(request: Request<'_>) -> Phase {
    let configured = (request.location::<LocationConf>(), request.main::<MainConf>());
    let (Some(location), Some(main)) = configured else { return FAILED };
    match access::ask(request, location, main) {
        None => Phase::Declined,
        Some(Ok(said)) => answer(request, &said),
        Some(Err(why)) => fail(request, why),
    }
}

fn answer(request: Request<'_>, said: &Opinions) -> Phase {
    let decision = said.decide(request.satisfies_any());
    if matches!(decision, Decision::Wait) {
        return Phase::Waits;
    }
    for opinion in [Some(&said.token), said.link.as_ref()].into_iter().flatten() {
        log(request, opinion);
    }
    match decision {
        Decision::Decline => Phase::Declined,
        Decision::Pass => Phase::Passed,
        Decision::Refuse(refusal) => refuse(request, refusal),
        Decision::Wait => Phase::Waits,
    }
}

/// Logs why a check refuses a request, or would refuse it.
fn log(request: Request<'_>, opinion: &Opinion) {
    match opinion {
        Opinion::Refuses(Refusal { what, why, .. }) => {
            request.log_info(format_args!("{what} refused: {why}"));
        }
        Opinion::LetsThrough(Refusal { what, why, .. }) => {
            request.log_info(format_args!("{what} let through (permissive): {why}"));
        }
        Opinion::Abstains | Opinion::Passes | Opinion::Waits => {}
    }
}

/// Answers with the refusal's status, and with its challenge if it has one.
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

/// Without a verdict the answer is 500: it is not the client's fault.
fn fail(request: Request<'_>, why: NoVerdict) -> Phase {
    request.log_error(match why {
        NoVerdict::Value => format_args!("token_auth: a value could not be evaluated"),
        NoVerdict::Circular => {
            format_args!("token_auth: the check depends on a variable that depends on the check")
        }
        NoVerdict::Pending => format_args!("token_auth: keys are not there yet"),
    });
    FAILED
}
