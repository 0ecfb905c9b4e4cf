//! The decision: finds the credentials, has them judged, remembers the verdict for the variables,
//! and says what nginx is to answer.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use token::credential::{self, Found};
use token::{Link, Refusal, Reject, Verified, challenge};

use crate::conf::{JwtCheck, LinkCheck, Signed, TokenSource};
use crate::request::Request;

/// The status of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Unauthorized = 401,
    Forbidden = 403,
    Gone = 410,
}

/// What the access phase is to do.
pub(crate) enum Decision {
    /// No check is in force here.
    NotOurs,
    Pass,
    Refuse {
        status: Status,
        /// The value of `WWW-Authenticate`.
        challenge: Option<Vec<u8>>,
    },
    /// Something went wrong that is not the client's doing: 500.
    Fail,
}

/// The judgement of a token.
pub(crate) type JwtVerdict = Result<Verified, Refusal>;

/// The digits of a link's expiry.
type Digits = [u8; 10];

/// The judgement of a link.
#[derive(Clone, Copy)]
pub(crate) struct LinkVerdict {
    /// `None` if it was accepted.
    pub(crate) reject: Option<Reject>,
    /// The expiry, once the signature has held.
    expires: Option<Digits>,
}

/// What has been judged of a request.
#[derive(Default)]
pub(crate) struct State {
    jwt: Memory<JwtCheck, Rc<JwtVerdict>>,
    link: Memory<LinkCheck, LinkVerdict>,
    /// The expiry that a link presents, while its `secure_token_md5` is being evaluated.
    presented: Cell<Option<Digits>>,
}

/// The verdicts of one kind of check, by the check that gave them: a location is judged by its own
/// check only, and by that once.
struct Memory<C, V> {
    /// Each check is kept alive beside its verdict, so that no other can come to its address.
    verdicts: RefCell<Vec<(Rc<C>, V)>>,
    /// The verdict on which the access phase last decided.
    decided: RefCell<Option<V>>,
    /// Whether a check is judging now; a variable that it evaluates must not start it again.
    busy: Cell<bool>,
}

impl<C, V> Default for Memory<C, V> {
    fn default() -> Self {
        Self { verdicts: RefCell::default(), decided: RefCell::default(), busy: Cell::default() }
    }
}

impl<C, V: Clone> Memory<C, V> {
    /// The verdict of `check`, from memory or from `judge`; `None` while one is being reached, and
    /// when `judge` fails.
    fn verdict(&self, check: &Rc<C>, judge: impl FnOnce() -> Option<V>) -> Option<V> {
        let known = |(of, verdict): &(Rc<C>, V)| Rc::ptr_eq(of, check).then(|| verdict.clone());
        if let Some(verdict) = self.verdicts.try_borrow().ok()?.iter().find_map(known) {
            return Some(verdict);
        }
        if self.busy.replace(true) {
            return None;
        }
        let verdict = judge();
        self.busy.set(false);
        let entry = (Rc::clone(check), verdict.clone()?);
        self.verdicts.try_borrow_mut().ok()?.push(entry);
        verdict
    }

    fn decide(&self, verdict: V) {
        self.decided.replace(Some(verdict));
    }
}

/// Decides whether the request may pass.
///
/// With `satisfy all` both checks must pass, the token's first; with `satisfy any` one of the two
/// is enough.
pub(crate) fn decide(request: Request<'_>) -> Decision {
    let conf = request.conf();
    let (jwt, link) = (conf.jwt_check(), conf.link_check());
    if jwt.is_none() && link.is_none() {
        return Decision::NotOurs;
    }
    let Some(state) = request.state() else { return Decision::Fail };
    let any = request.satisfies_any();
    let token = jwt.map(|check| decide_jwt(request, state, check));
    match &token {
        Some(Decision::Pass) if any => return Decision::Pass,
        Some(Decision::Refuse { .. } | Decision::Fail) if !any => {
            return token.unwrap_or(Decision::Fail);
        }
        _ => {}
    }
    let link = link.map(|check| decide_link(request, state, check));
    match (token, link) {
        (Some(Decision::Fail), _) | (_, Some(Decision::Fail)) => Decision::Fail,
        (_, Some(Decision::Pass)) => Decision::Pass,
        // An expired link was good once, which says more than a missing token.
        (_, Some(gone @ Decision::Refuse { status: Status::Gone, .. })) => gone,
        (Some(token), _) => token,
        (None, Some(link)) => link,
        (None, None) => Decision::NotOurs,
    }
}

fn decide_jwt(request: Request<'_>, state: &State, check: &Rc<JwtCheck>) -> Decision {
    let Some(verdict) = judge_jwt(request, state, check) else { return Decision::Fail };
    state.jwt.decide(Rc::clone(&verdict));
    let Err(refusal) = &*verdict else { return Decision::Pass };
    request.log_info(format_args!("jwt refused: {refusal}"));
    let realm = match &check.realm {
        None => None,
        Some(value) => match request.evaluate(value) {
            Some(realm) => Some(realm),
            None => return Decision::Fail,
        },
    };
    let challenge = Some(challenge::bearer(realm, refusal.reason));
    Decision::Refuse { status: Status::Unauthorized, challenge }
}

fn decide_link(request: Request<'_>, state: &State, check: &Rc<LinkCheck>) -> Decision {
    let Some(verdict) = judge_link(request, state, check) else { return Decision::Fail };
    state.link.decide(verdict);
    let Some(reject) = verdict.reject else { return Decision::Pass };
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
    Decision::Refuse { status, challenge: None }
}

fn judge_jwt(request: Request<'_>, state: &State, check: &Rc<JwtCheck>) -> Option<Rc<JwtVerdict>> {
    state.jwt.verdict(check, || {
        let verdict = match find_token(request, &check.sources)? {
            Found::Absent => Err(Reject::Missing.into()),
            Found::Unusable => Err(Reject::Malformed.into()),
            Found::One(token) => check.policy.check(token, request.now()),
        };
        Some(Rc::new(verdict))
    })
}

/// The token from the first source that has one; `None` when a value cannot be evaluated.
fn find_token<'r>(request: Request<'r>, sources: &'r [TokenSource]) -> Option<Found<'r>> {
    for source in sources {
        let found = match source {
            TokenSource::Bearer => credential::bearer(request.header_lines(b"authorization")),
            TokenSource::Header(name) => credential::header(request.header_lines(name)),
            TokenSource::Cookie(name) => credential::cookie(request.header_lines(b"cookie"), name),
            TokenSource::Arg(name) => credential::argument(request.query(), name).or_absent(),
            TokenSource::Value(value) => Found::One(request.evaluate(value)?).or_absent(),
        };
        if found != Found::Absent {
            return Some(found);
        }
    }
    Some(Found::Absent)
}

fn judge_link(request: Request<'_>, state: &State, check: &Rc<LinkCheck>) -> Option<LinkVerdict> {
    state.link.verdict(check, || {
        let query = request.query();
        let signature = credential::argument(query, &check.args.signature);
        let expires = credential::argument(query, &check.args.expires);
        let refuse = |reject| Some(LinkVerdict { reject: Some(reject), expires: None });
        let link = match (signature, expires) {
            (Found::Unusable, _) | (_, Found::Unusable) => return refuse(Reject::Malformed),
            (Found::Absent, _) | (_, Found::Absent) => return refuse(Reject::Missing),
            (Found::One(signature), Found::One(expires)) => Link::new(signature, expires),
        };
        let Ok(link) = link else { return refuse(Reject::Malformed) };
        let digits = link.expires_text().try_into().ok();
        let signed = match &check.signed {
            Signed::Uri => request.uri(),
            Signed::Value(value) => request.evaluate(value)?,
            Signed::Expression(value) => {
                state.presented.set(digits);
                let signed = request.evaluate(value);
                state.presented.set(None);
                signed?
            }
        };
        let reject = check.policy.check(link, signed, request.now()).err();
        let held = matches!(reject, None | Some(Reject::Expired));
        Some(LinkVerdict { reject, expires: digits.filter(|_| held) })
    })
}

/// The verdict on the token that a variable is to show: that of the location's own check, reached
/// now if need be; where there is none, the one on which the request was last decided.
pub(crate) fn jwt_verdict(request: Request<'_>) -> Option<Rc<JwtVerdict>> {
    match request.conf().jwt_check() {
        Some(check) => judge_jwt(request, request.state()?, check),
        None => request.existing_state()?.jwt.decided.try_borrow().ok()?.clone(),
    }
}

/// As [`jwt_verdict`], for the link.
pub(crate) fn link_verdict(request: Request<'_>) -> Option<LinkVerdict> {
    match request.conf().link_check() {
        Some(check) => judge_link(request, request.state()?, check),
        None => *request.existing_state()?.link.decided.try_borrow().ok()?,
    }
}

/// The digits of a link's expiry, verified, or as presented while the expression that the link is
/// signed by is being evaluated.
pub(crate) fn link_expires(request: Request<'_>) -> Option<Digits> {
    let presented = request.existing_state().and_then(|state| state.presented.get());
    presented.or_else(|| link_verdict(request)?.expires)
}
