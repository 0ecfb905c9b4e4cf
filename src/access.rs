//! The decision: finds the credentials, has them judged, remembers the verdict for the variables,
//! and says what nginx is to answer.

use std::rc::Rc;

use token::credential::{self, Found};
use token::{Link, Reject, Verified, challenge};

use crate::conf::{
    Demand, JwtCheck, LinkCheck, Mode, Rule, Signed, Status, SwitchValue, TokenSource,
};
use crate::ffi::ComplexValue;
use crate::judging::Failed;
use crate::lend;
use crate::memory::Want;
use crate::request::Request;
use crate::state::{ByRules, Digits, JwtVerdict, LinkVerdict, State};
use crate::variables;

/// What the access phase is to do.
pub(crate) enum Decision {
    /// No check has a say here: none is in force, or it neither vouches for the request nor
    /// refuses it.
    Decline,
    Pass,
    Refuse {
        status: Status,
        /// The value of `WWW-Authenticate`.
        challenge: Option<Vec<u8>>,
    },
    /// Keys are on their way: hold the request, and ask again when it goes on.
    Wait,
    /// Something went wrong that is not the client's doing: 500.
    Fail,
}

/// Decides whether the request may pass.
///
/// With `satisfy all` both checks must pass, the token's first; with `satisfy any` one of the two
/// is enough.
pub(crate) fn decide(request: Request<'_>) -> Decision {
    let conf = request.conf();
    let (jwt, link) = (conf.jwt_check(), conf.link_check());
    if jwt.is_none() && link.is_none() {
        return Decision::Decline;
    }
    let mut decided = both(request, jwt, link);
    if let Some(state) = request.existing_state() {
        let pending = matches!(decided, Err(Failed::Pending));
        if lend::settle(request, &state.awaited, pending).is_none() {
            decided = Err(Failed::Value);
        }
    }
    decided.unwrap_or_else(|failed| {
        request.log_error(match failed {
            Failed::Pending => return Decision::Wait,
            Failed::Value => format_args!("token_auth: a value could not be evaluated"),
            Failed::Circular => {
                format_args!("token_auth: the check rests on a variable that rests on the check")
            }
        });
        Decision::Fail
    })
}

fn both(
    request: Request<'_>,
    jwt: Option<&Rc<JwtCheck>>,
    link: Option<&Rc<LinkCheck>>,
) -> Result<Decision, Failed> {
    let state = request.state().ok_or(Failed::Value)?;
    state.judging.is_sound()?;
    state.set_time(request.now());
    let any = request.satisfies_any();
    // Each as a whole: what fails in a rule, or in the answer to a refusal, fails the decision.
    let decide_jwt = |check| attempt(request, state, || decide_jwt(request, state, check));
    let decide_link = |check| attempt(request, state, || decide_link(request, state, check));
    let token = match jwt.map(decide_jwt) {
        Some(Err(Failed::Pending)) if any => Decision::Wait,
        Some(decided) => decided?,
        None => Decision::Decline,
    };
    if matches!((&token, any), (Decision::Pass, true) | (Decision::Refuse { .. }, false)) {
        return Ok(token);
    }
    let link = match link {
        Some(check) => decide_link(check)?,
        None => Decision::Decline,
    };
    Ok(match (token, link) {
        // The link may do without the token, of which nothing can be said yet.
        (Decision::Wait, link) if !matches!(link, Decision::Pass) => return Err(Failed::Pending),
        (token, Decision::Decline) => token,
        (Decision::Decline, link) | (_, link @ Decision::Pass) => link,
        // An expired link was good once, which says more than a missing token.
        (_, gone @ Decision::Refuse { status: Status::Gone, .. }) => gone,
        // Here the token was refused with `satisfy any`, or passed with `satisfy all`.
        (token, link) => {
            if any {
                token
            } else {
                link
            }
        }
    })
}

/// Runs a judgement, or a part of one. Should it fail, nothing is kept of the variables that nginx
/// has evaluated for it: a `map` may have made its value of one that was empty for want of a verdict.
fn attempt<V>(
    request: Request<'_>,
    state: &State,
    judge: impl FnOnce() -> Result<V, Failed>,
) -> Result<V, Failed> {
    if state.judging.is_idle() {
        // Nothing is left but by a panic.
        state.valued.take();
    }
    let judged = state.judging.run(judge);
    if state.judging.is_idle()
        && let Some(before) = state.valued.take()
        && judged.is_err()
    {
        request.forget_variables_since(&before);
    }
    judged
}

fn decide_jwt(
    request: Request<'_>,
    state: &State,
    check: &Rc<JwtCheck>,
) -> Result<Decision, Failed> {
    let want = Want::of_access_phase(check.depends_on_variables());
    let verdict = judge_jwt(request, state, check, want)?;
    state.jwt.decide(check, request.place(), verdict.clone(), verdict.mode);
    if verdict.mode == Mode::Off {
        return Ok(Decision::Decline);
    }
    let (reason, status) = match &verdict.token {
        Ok(token) => match apply_rules(request, state, &verdict, token)? {
            None => return Ok(Decision::Pass),
            Some(rule) => {
                log_refusal(
                    request,
                    &verdict,
                    format_args!("denied by the rule in {}", rule.position),
                );
                (Reject::Denied, rule.status)
            }
        },
        Err(refusal) if refusal.reason == Reject::Missing && verdict.mode == Mode::Optional => {
            return Ok(Decision::Decline);
        }
        Err(refusal) => {
            log_refusal(request, &verdict, format_args!("{refusal}"));
            match refusal.reason {
                Reject::NoKeys => (Reject::NoKeys, Status::Unavailable),
                reason => (reason, Status::Unauthorized),
            }
        }
    };
    if verdict.mode == Mode::Permissive {
        return Ok(Decision::Decline);
    }
    if status == Status::Unavailable {
        return Ok(Decision::Refuse { status, challenge: None });
    }
    let realm = check.realm.as_ref().map(|realm| request.evaluate(realm).ok_or(Failed::Value));
    let forbidden = status == Status::Forbidden;
    let challenge = Some(challenge::bearer(realm.transpose()?, reason, forbidden));
    Ok(Decision::Refuse { status, challenge })
}

fn log_refusal(request: Request<'_>, verdict: &JwtVerdict, why: std::fmt::Arguments<'_>) {
    match verdict.mode {
        Mode::Permissive => request.log_info(format_args!("jwt let through (permissive): {why}")),
        _ => request.log_info(format_args!("jwt refused: {why}")),
    }
}

fn decide_link(
    request: Request<'_>,
    state: &State,
    check: &Rc<LinkCheck>,
) -> Result<Decision, Failed> {
    let want = Want::of_access_phase(check.depends_on_variables());
    let verdict = judge_link(request, state, check, want)?;
    state.link.decide(check, request.place(), verdict, verdict.mode);
    if verdict.mode == Mode::Off {
        return Ok(Decision::Decline);
    }
    let Some(reject) = verdict.reject else { return Ok(Decision::Pass) };
    let expired = verdict.expires.filter(|_| reject == Reject::Expired);
    match expired.and_then(|digits| core::str::from_utf8(&digits).ok()?.parse::<i64>().ok()) {
        Some(expires) => {
            let age = request.now() - expires;
            request.log_info(format_args!("secure token refused: {reject} {age}s ago"));
        }
        None => request.log_info(format_args!("secure token refused: {reject}")),
    }
    let status = match reject {
        Reject::Expired => Status::Gone,
        _ => Status::Forbidden,
    };
    Ok(Decision::Refuse { status, challenge: None })
}

/// What a switch says for this request: one of the modes that its directive `accepts`.
fn mode(
    request: Request<'_>,
    directive: &str,
    switch: SwitchValue,
    accepts: &[Mode],
) -> Result<Mode, Failed> {
    let value = match switch {
        SwitchValue::Fixed(mode) => return Ok(mode),
        SwitchValue::Variable(value) => request.evaluate(&value).ok_or(Failed::Value)?,
    };
    let mode = match value {
        b"off" | b"0" => Some(Mode::Off),
        // What gives nothing, as a map that was left without a default, opens nothing.
        b"on" | b"1" | b"" => Some(Mode::On),
        b"optional" => Some(Mode::Optional),
        b"permissive" => Some(Mode::Permissive),
        _ => None,
    };
    mode.filter(|mode| accepts.contains(mode)).ok_or_else(|| {
        let value = value.escape_ascii();
        request.log_error(format_args!("\"{directive}\" has the invalid value \"{value}\""));
        Failed::Value
    })
}

/// The verdict of a check on the token.
fn judge_jwt(
    request: Request<'_>,
    state: &State,
    check: &Rc<JwtCheck>,
    want: Want,
) -> Result<JwtVerdict, Failed> {
    let judge = || {
        let accepts = [Mode::Off, Mode::On, Mode::Optional, Mode::Permissive];
        let mode = mode(request, "jwt", check.switch, &accepts)?;
        let token = match mode {
            Mode::Off => Err(Reject::Missing.into()),
            _ => match find_token(request, &check.sources)? {
                Found::Absent => Err(Reject::Missing.into()),
                Found::Unusable => Err(Reject::Malformed.into()),
                Found::One(token) => lend::judge(request, state, check, token)?,
            },
        };
        let part = token.as_ref().ok().and_then(|token| check.parts.get(token.provider));
        let provider = part.and_then(|part| part.provider.clone());
        let rules = Rc::clone(&check.rules);
        let (number, by_rules) = (state.number(), ByRules::Unknown);
        Ok(JwtVerdict { number, mode, token, provider, rules, by_rules })
    };
    let judge = || attempt(request, state, judge);
    state.jwt.verdict(&state.judging, check, request.place(), want, judge)
}

/// Applies the rules to a token that is good by itself, the provider's before the location's, and
/// gives the first that does not hold.
fn apply_rules(
    request: Request<'_>,
    state: &State,
    verdict: &JwtVerdict,
    token: &Verified,
) -> Result<Option<Rc<Rule>>, Failed> {
    let mut outcome = Outcome { state, number: verdict.number, said: ByRules::Judging };
    outcome.tell();
    outcome.said = ByRules::Failed(Failed::Value);
    let denied = attempt(request, state, || {
        let provider = verdict.provider.as_ref().map(|one| &*one.rules).unwrap_or_default();
        for rule in provider.iter().chain(&*verdict.rules) {
            if !holds(request, rule, token)? {
                return Ok(Some(Rc::clone(rule)));
            }
        }
        Ok(None)
    });
    outcome.said = match &denied {
        Ok(None) => ByRules::Hold,
        Ok(Some(_)) => ByRules::Deny,
        Err(why) => ByRules::Failed(*why),
    };
    denied
}

/// What the rules say of a verdict, which is noted when this is dropped, also by a panic.
struct Outcome<'s> {
    state: &'s State,
    number: usize,
    said: ByRules,
}

impl Outcome<'_> {
    fn tell(&self) {
        self.state.by_rules(self.number, self.said);
    }
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        self.tell();
    }
}

/// Whether `rule` holds, with its values as they are for this request.
fn holds(request: Request<'_>, rule: &Rule, token: &Verified) -> Result<bool, Failed> {
    let evaluate = |values: &[ComplexValue]| {
        values
            .iter()
            .map(|value| request.evaluate(value).ok_or(Failed::Value))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(match &rule.demand {
        Demand::Claim(rule, values) => rule.holds(&token.payload, values),
        Demand::Bound(rule, values) => rule.holds_bound(&token.payload, &evaluate(values)?),
        Demand::Values { values, nothing } => {
            evaluate(values)?.iter().all(|value| !nothing.contains(value))
        }
    })
}

/// The token from the first source that has one.
fn find_token<'r>(request: Request<'r>, sources: &'r [TokenSource]) -> Result<Found<'r>, Failed> {
    for source in sources {
        let found = match source {
            TokenSource::Bearer => credential::bearer(request.header_values(b"authorization")),
            TokenSource::Header(name) => credential::header(request.header_lines(name), name),
            TokenSource::Cookie(name) => credential::cookie(request.header_values(b"cookie"), name),
            TokenSource::Arg(name) => argument(request, name).or_absent(),
            TokenSource::Value(value) => {
                Found::One(request.evaluate(value).ok_or(Failed::Value)?).or_absent()
            }
        };
        if found != Found::Absent {
            return Ok(found);
        }
    }
    Ok(Found::Absent)
}

/// An argument of the query, where all find the same query.
fn argument<'r>(request: Request<'r>, name: &[u8]) -> Found<'r> {
    request.agreed_query().map_or(Found::Unusable, |query| credential::argument(query, name))
}

fn judge_link(
    request: Request<'_>,
    state: &State,
    check: &Rc<LinkCheck>,
    want: Want,
) -> Result<LinkVerdict, Failed> {
    let judge = || {
        let mode = mode(request, "secure_token", check.switch, &[Mode::Off, Mode::On])?;
        let refuse = |reject| Ok(LinkVerdict { mode, reject: Some(reject), expires: None });
        if mode == Mode::Off {
            return refuse(Reject::Missing);
        }
        let signature = argument(request, &check.args.signature);
        let expires = argument(request, &check.args.expires);
        let link = match (signature, expires) {
            (Found::Unusable, _) | (_, Found::Unusable) => return refuse(Reject::Malformed),
            (Found::Absent, _) | (_, Found::Absent) => return refuse(Reject::Missing),
            (Found::One(signature), Found::One(expires)) => Link::new(signature, expires),
        };
        let Ok(link) = link else { return refuse(Reject::Malformed) };
        let digits = link.expires_text().try_into().ok();
        let signed = match &check.signed {
            Signed::Uri => Some(request.uri()),
            Signed::Value(value) => request.evaluate(value),
            Signed::Expression(value) => {
                let signed = state.presenting(digits, || request.evaluate(value));
                // nginx may be putting a value together that goes on with the variable, and must
                // not take the one that is not verified for it.
                request.forget_variable(variables::LINK_EXPIRES.to_bytes());
                signed
            }
        };
        let reject =
            check.policy.check(link, signed.ok_or(Failed::Value)?, state.time(request.now())).err();
        let held = matches!(reject, None | Some(Reject::Expired));
        Ok(LinkVerdict { mode, reject, expires: digits.filter(|_| held) })
    };
    let judge = || attempt(request, state, judge);
    state.link.verdict(&state.judging, check, request.place(), want, judge)
}

/// The verdict on the token that a variable is to show: that of the location's own check, as the
/// access phase decided or, before it, reached now; where none is in force, the one on which the
/// request was last decided.
pub(crate) fn jwt_verdict(request: Request<'_>) -> Result<Option<JwtVerdict>, Failed> {
    show(request, || {
        if let Some(check) = request.conf().jwt_check() {
            let state = request.state().ok_or(Failed::Value)?;
            let verdict = match state.jwt.decided(check, request.place())? {
                Some(verdict) => verdict,
                None => judge_jwt(request, state, check, Want::Known)?,
            };
            if verdict.mode != Mode::Off {
                return Ok(Some(verdict));
            }
        }
        request.existing_state().map_or(Ok(None), |state| state.jwt.last())
    })
}

/// Why the token is refused here, if it is, rules included.
pub(crate) fn jwt_reject(
    request: Request<'_>,
    verdict: &JwtVerdict,
) -> Result<Option<Reject>, Failed> {
    show(request, || {
        let token = match &verdict.token {
            Ok(token) => token,
            Err(refusal) => return Ok(Some(refusal.reason)),
        };
        let denied = match verdict.by_rules {
            ByRules::Deny => true,
            ByRules::Hold | ByRules::Judging => false,
            ByRules::Failed(why) => return Err(why),
            ByRules::Unknown => {
                let state = request.existing_state().ok_or(Failed::Value)?;
                apply_rules(request, state, verdict, token)?.is_some()
            }
        };
        Ok(denied.then_some(Reject::Denied))
    })
}

/// As [`jwt_verdict`], for the link.
pub(crate) fn link_verdict(request: Request<'_>) -> Result<Option<LinkVerdict>, Failed> {
    show(request, || {
        if let Some(check) = request.conf().link_check() {
            let state = request.state().ok_or(Failed::Value)?;
            let verdict = match state.link.decided(check, request.place())? {
                Some(verdict) => verdict,
                None => judge_link(request, state, check, Want::Known)?,
            };
            if verdict.mode != Mode::Off {
                return Ok(Some(verdict));
            }
        }
        request.existing_state().map_or(Ok(None), |state| state.link.last())
    })
}

/// The digits of a link's expiry, verified, or as presented while the expression that the link is
/// signed by is being evaluated.
pub(crate) fn link_expires(request: Request<'_>) -> Result<Option<Digits>, Failed> {
    match request.existing_state().and_then(State::presented) {
        Some(digits) => Ok(Some(digits)),
        None => Ok(link_verdict(request)?.and_then(|verdict| verdict.expires)),
    }
}

/// Gives what a variable is to show. A failure, for which it is empty, fails what is being judged
/// now, if anything is.
fn show<T>(request: Request<'_>, verdict: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    verdict().map_err(|why| fail(request, why))
}

/// Has what is being judged now fail for want of a variable's value; where nothing is, the request.
pub(crate) fn fail(request: Request<'_>, why: Failed) -> Failed {
    request.existing_state().map_or(why, |state| state.judging.show_empty(why))
}
