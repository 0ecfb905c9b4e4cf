//! Judges the link of a request, and shows the verdict.

use std::fmt::{self, Display};
use std::rc::Rc;

use token::credential::Found;
use token::{Link, Reject};

use super::case::LinkCase;
use super::check::{LinkCheck, Signed};
use super::verdict::{Digits, LinkVerdict};
use crate::check::{Mode, NoVerdict, Opinion, Refusal, Status, Want};

/// The variable that holds a link's expiry.
pub(crate) const EXPIRES: &core::ffi::CStr = c"secure_token_expires";

/// Why a link is refused and, if it has expired, how many seconds ago.
struct Why {
    reject: Reject,
    age: Option<i64>,
}

impl Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reject.fmt(f)?;
        match self.age {
            Some(age) => write!(f, " {age}s ago"),
            None => Ok(()),
        }
    }
}

impl LinkCase<'_> {
    /// The opinion of `check` on the request, in the access phase.
    pub(crate) fn decide(self, check: &Rc<LinkCheck>) -> Result<Opinion, NoVerdict> {
        // It may have to wait, too: the signed text may depend on a token whose keys are being fetched.
        self.case.decide(|| self.decide_once(check))
    }

    fn decide_once(self, check: &Rc<LinkCheck>) -> Result<Opinion, NoVerdict> {
        let want = Want::of_access_phase(check.depends_on_variables());
        let verdict = self.judge(check, want)?;
        self.kept.verdicts.decide(check, self.case.place(), verdict);
        if verdict.mode == Mode::Off {
            return Ok(Opinion::Abstains);
        }
        let Some(reject) = verdict.reject else { return Ok(Opinion::Passes(Vec::new())) };
        let status = match reject {
            Reject::Expired => Status::GONE,
            _ => Status::FORBIDDEN,
        };
        let expired = verdict.expires.filter(|_| reject == Reject::Expired);
        let expires = expired.and_then(|digits| core::str::from_utf8(&digits).ok()?.parse().ok());
        let age = expires.map(|expires: i64| self.case.request.now() - expires);
        let why = Box::new(Why { reject, age });
        let refusal =
            Refusal { what: "secure token", reason: reject, why, status, challenge: None };
        Ok(Opinion::Refuses(Box::new(refusal)))
    }

    fn judge(self, check: &Rc<LinkCheck>, want: Want) -> Result<LinkVerdict, NoVerdict> {
        let case = self.case;
        let judge = || case.attempt(|| self.judge_once(check));
        self.kept.verdicts.verdict(case.judging, check, case.place(), want, judge)
    }

    fn judge_once(self, check: &LinkCheck) -> Result<LinkVerdict, NoVerdict> {
        let request = self.case.request;
        let mode = check.switch.mode(request, "secure_token", &[Mode::Off, Mode::On])?;
        let refuse = |reject| Ok(LinkVerdict { mode, reject: Some(reject), expires: None });
        if mode == Mode::Off {
            return refuse(Reject::Missing);
        }
        let signature = request.argument(&check.args.signature);
        let expires = request.argument(&check.args.expires);
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
                let signed = self.kept.presenting(digits, || request.evaluate(value));
                // nginx may be assembling a value that uses the variable again, and must not use the
                // unverified expiry for it.
                request.forget_variable(EXPIRES.to_bytes());
                signed
            }
        };
        let signed = signed.ok_or(NoVerdict::Value)?;
        let reject = check.policy.check(link, signed, self.case.time()).err();
        let held = matches!(reject, None | Some(Reject::Expired));
        Ok(LinkVerdict { mode, reject, expires: digits.filter(|_| held) })
    }

    /// The verdict that a variable shows.
    fn shown(self, check: Option<&Rc<LinkCheck>>) -> Result<Option<LinkVerdict>, NoVerdict> {
        let judge = |check: &Rc<LinkCheck>| self.judge(check, Want::Known);
        self.kept.verdicts.shown(check, self.case.place(), judge)
    }

    /// `$secure_token_status`; `None` if no check has judged the request.
    pub(crate) fn status(
        self,
        check: Option<&Rc<LinkCheck>>,
    ) -> Result<Option<&'static str>, NoVerdict> {
        let verdict = self.shown(check)?;
        Ok(verdict.map(|verdict| verdict.reject.map_or("ok", Reject::status)))
    }

    /// `$secure_token_expires`: the digits of a link's expiry, verified. While `secure_token_md5` is
    /// being evaluated, those that the link presents.
    pub(crate) fn expires(
        self,
        check: Option<&Rc<LinkCheck>>,
    ) -> Result<Option<Digits>, NoVerdict> {
        match self.kept.presented() {
            Some(digits) => Ok(Some(digits)),
            None => Ok(self.shown(check)?.and_then(|verdict| verdict.expires)),
        }
    }
}
