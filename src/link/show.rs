//! What variables show of a link.

use std::rc::Rc;

use token::link::Granted;
use token::{Reject, credential};

use super::case::LinkCase;
use super::check::LinkCheck;
use super::verdict::LinkVerdict;
use crate::check::{Mode, NoVerdict, Want};

/// A text that a link may have.
pub(crate) type Said = fn(&Granted) -> Option<&[u8]>;

impl LinkCase<'_> {
    /// The verdict that a variable shows.
    fn shown(self, check: Option<&Rc<LinkCheck>>) -> Result<Option<LinkVerdict>, NoVerdict> {
        let judge = |check: &Rc<LinkCheck>| self.judge(check, Want::Known);
        let verdicts = &self.kept.verdicts;
        let number = verdicts.shown(check, self.case.place(), judge)?;
        number.map(|number| verdicts.get(number)).transpose()
    }

    /// `$secure_token_status`; `None` if no check has judged the request.
    pub(crate) fn status(
        self,
        check: Option<&Rc<LinkCheck>>,
    ) -> Result<Option<&'static str>, NoVerdict> {
        let verdict = self.shown(check)?;
        Ok(verdict.map(|verdict| verdict.reject.map_or("ok", Reject::status)))
    }

    /// `$secure_token_expires`: the last second in which a link is valid, since the epoch, verified. While the
    /// text that is hashed is being evaluated, the time as the link presents it.
    pub(crate) fn expires(
        self,
        check: Option<&Rc<LinkCheck>>,
    ) -> Result<Option<Vec<u8>>, NoVerdict> {
        if let Some(time) = self.kept.presented_time() {
            return Ok(Some(time));
        }
        let expires = self.shown(check)?.and_then(|verdict| verdict.expires);
        Ok(expires.map(|time| time.to_string().into_bytes()))
    }

    /// `$secure_token_time`: the time that a link presents, only within the text that is hashed.
    pub(crate) fn time(self, _: Option<&Rc<LinkCheck>>) -> Result<Option<Vec<u8>>, NoVerdict> {
        Ok(self.kept.presented_time())
    }

    /// `$secure_token_key`: the secret that is tried, only within the text that is hashed.
    pub(crate) fn key(self, _: Option<&Rc<LinkCheck>>) -> Result<Option<Vec<u8>>, NoVerdict> {
        Ok(self.kept.presented_secret())
    }

    /// A text of a link whose signature is right.
    pub(crate) fn said(
        self,
        check: Option<&Rc<LinkCheck>>,
        text: Said,
    ) -> Result<Option<Vec<u8>>, NoVerdict> {
        let said = self.shown(check)?.and_then(|verdict| verdict.said);
        Ok(said.and_then(|said| text(&said).map(Into::into)))
    }

    /// `$secure_token_args`: the query without the arguments that a link of the location may have.
    pub(crate) fn args(self, check: Option<&Rc<LinkCheck>>) -> Result<Option<Vec<u8>>, NoVerdict> {
        let Some(check) = check else { return Ok(None) };
        let names = check.arguments();
        Ok(credential::without_arguments(self.case.request.query(), names.into_iter()))
    }

    /// The names of the arguments of the link by which `check` has let the request pass; none if it has not.
    pub(crate) fn carried(self, check: &Rc<LinkCheck>) -> Vec<&[u8]> {
        let verdicts = &self.kept.verdicts;
        let decided = verdicts.decided(check, self.case.place()).ok().flatten();
        let has_passed =
            |verdict: &LinkVerdict| verdict.mode == Mode::On && verdict.reject.is_none();
        match decided.and_then(|number| verdicts.read(number, has_passed)) {
            Some(true) => check.arguments(),
            _ => Vec::new(),
        }
    }
}
