//! The answer: only this file turns a decision into a status, a header, log lines and counts.

use crate::access::{self, Decision, Said, Who};
use crate::check::{NoVerdict, Opinion, Refusal, Status};
use crate::location::{LocationConf, MainConf};
use crate::nginx::{FAILED, Phase, Request};
use crate::status::CheckRows;

/// The access phase's result for a request.
pub(crate) fn access(request: Request<'_>) -> Phase {
    let configured = (request.location::<LocationConf>(), request.main::<MainConf>());
    let (Some(location), Some(main)) = configured else { return FAILED };
    match access::ask(request, location, main) {
        None => declined(request),
        Some(Ok(said)) => {
            if said.decision != Decision::Wait {
                tell(request, location, main, &said);
            }
            answer(request, &said)
        }
        Some(Err(why)) => {
            main.status.count_failure(&main.jwt.meter, location.rows);
            fail(request, why)
        }
    }
}

/// Logs and counts what the checks have said.
fn tell(request: Request<'_>, location: &LocationConf, main: &MainConf, said: &Said) {
    let refused = matches!(said.decision, Decision::Refuse(_));
    let CheckRows { token, link } = location.rows;
    let tell = |opinion: &Opinion, row| {
        log(request, opinion);
        main.status.count(&main.jwt.meter, row, opinion, refused);
    };
    tell(&said.token, token);
    if !matches!(said.link, Opinion::Abstains) {
        tell(&said.link, link);
    }
}

fn answer(request: Request<'_>, said: &Said) -> Phase {
    match said.decision {
        Decision::Decline => declined(request),
        Decision::Pass => {
            forget_challenge(request);
            Phase::Passed
        }
        Decision::Wait => Phase::Waits,
        Decision::Refuse(Who::Token) => refuse(request, &said.token),
        Decision::Refuse(Who::Link) => refuse(request, &said.link),
    }
}

/// Logs why a check refuses a request, or would refuse it.
fn log(request: Request<'_>, opinion: &Opinion) {
    match opinion {
        Opinion::Refuses(refusal) => {
            request.log_info(format_args!("{} refused: {}", refusal.what, refusal.why));
        }
        Opinion::LetsThrough(refusal) => {
            let Refusal { what, why, .. } = &**refusal;
            request.log_info(format_args!("{what} let through (permissive): {why}"));
        }
        Opinion::Passes(trials) => {
            for why in trials.iter().filter_map(|trial| trial.why.as_ref()) {
                request.log_info(format_args!("jwt let through (error=none): {why}"));
            }
        }
        Opinion::Abstains | Opinion::Absent | Opinion::Waits => {}
    }
}

fn declined(request: Request<'_>) -> Phase {
    forget_challenge(request);
    Phase::Declined
}

/// After an `error_page` to here, takes back the challenge of the location before, unless the page is
/// sent with the status that the challenge belongs to.
fn forget_challenge(request: Request<'_>) {
    if !matches!(request.error_status(), 401 | 403) {
        request.withdraw_challenge();
    }
}

/// Answers with the refusal's status, and with its challenge if it has one.
fn refuse(request: Request<'_>, opinion: &Opinion) -> Phase {
    let Opinion::Refuses(refusal) = opinion else { return FAILED };
    // Only one challenge is sent, also if an `error_page` has led from one refusal to another.
    request.withdraw_challenge();
    if let Some(challenge) = &refusal.challenge
        && request.add_challenge(challenge).is_none()
    {
        return FAILED;
    }
    let Status(status) = refusal.status;
    // nginx itself goes on to the next check after these two only.
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
