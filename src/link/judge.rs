//! Judges the link of a request.

use std::rc::Rc;

use token::Reject;
use token::link::{Denied, Refused, Sentence};

use super::asking::Asking;
use super::case::LinkCase;
use super::check::LinkCheck;
use super::verdict::LinkVerdict;
use crate::check::{Mode, NoVerdict, Number, Opinion, Refusal, Status, Want};

impl LinkCase<'_> {
    /// The opinion of `check` on the request, in the access phase.
    pub(crate) fn decide(self, check: &Rc<LinkCheck>) -> Result<Opinion, NoVerdict> {
        // It may have to wait, too: what is signed may depend on a token whose keys are being fetched.
        self.case.decide(|| self.decide_once(check))
    }

    fn decide_once(self, check: &Rc<LinkCheck>) -> Result<Opinion, NoVerdict> {
        let want = Want::of_access_phase(check.depends_on_variables());
        let number = self.judge(check, want)?;
        let verdicts = &self.kept.verdicts;
        verdicts.decide(number);
        let read = |verdict: &LinkVerdict| {
            let LinkVerdict { mode, reject, why, expires, .. } = *verdict;
            (mode, reject, why, expires)
        };
        let (mode, reject, why, expires) =
            verdicts.read(number, read).ok_or(NoVerdict::Circular)?;
        if mode == Mode::Off {
            return Ok(Opinion::Abstains);
        }
        let Some(reject) = reject else { return Ok(Opinion::Passes(Vec::new())) };
        let status = match reject {
            Reject::Expired => Status::GONE,
            _ => Status::FORBIDDEN,
        };
        let age = expires.filter(|_| reject == Reject::Expired);
        let age = age.map(|expires| self.case.request.now() - expires);
        let why = Box::new(Sentence { reject, why, age });
        let refusal =
            Refusal { what: "secure token", reason: reject, why, status, challenge: None };
        Ok(Opinion::Refuses(Box::new(refusal)))
    }

    pub(super) fn judge(self, check: &Rc<LinkCheck>, want: Want) -> Result<Number, NoVerdict> {
        let case = self.case;
        let judge = || case.attempt(|| self.judge_once(check));
        self.kept.verdicts.verdict(case.judging, check, case.place(), want, judge)
    }

    fn judge_once(self, check: &LinkCheck) -> Result<LinkVerdict, NoVerdict> {
        let request = self.case.request;
        let mode = check.switch.mode(request, "secure_token", &[Mode::Off, Mode::On])?;
        if mode == Mode::Off {
            return Ok(LinkVerdict::new(mode, Some(Reject::Missing), "", None));
        }
        let asking = Asking::new(self, check);
        match check.format.judge(&asking, self.case.time()) {
            Ok(granted) => Ok(LinkVerdict::new(mode, None, "", Some(granted))),
            Err(Denied::Refused(refused)) => {
                let Refused { reject, why, granted } = *refused;
                Ok(LinkVerdict::new(mode, Some(reject), why, granted))
            }
            Err(Denied::Unavailable) => Err(asking.failure()),
        }
    }
}
