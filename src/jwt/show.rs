//! What variables show of a token: the verdict and, of the token, only what was verified.
//!
//! Each function is given `None` where no check has judged a token, and fails where a verdict cannot
//! be reached; a variable is not found then.

use core::fmt;
use std::rc::Rc;

use token::{ClaimPath, Reject, Verified};

use super::case::TokenCase;
use super::check::JwtCheck;
use super::verdict::{ByRules, JwtVerdict};
use crate::check::{Mode, NoVerdict, Want};

/// A variable for the value at a path of the token.
pub(crate) struct NamedClaim {
    /// The names, from the outermost member inwards.
    pub(super) path: Vec<ClaimPath>,
    /// Whether it is in the header rather than the payload.
    pub(super) header: bool,
}

impl TokenCase<'_> {
    /// The verdict that a variable is to show: that of the location's own check, as the access phase
    /// decided or, before it, reached now; where none is in force, the one on which the request was
    /// last decided.
    fn shown(self, check: Option<&Rc<JwtCheck>>) -> Result<Option<JwtVerdict>, NoVerdict> {
        if let Some(check) = check {
            let verdict = match self.kept.verdicts.decided(check, self.case.place())? {
                Some(verdict) => verdict,
                None => self.judge(check, Want::Known)?,
            };
            if verdict.mode != Mode::Off {
                return Ok(Some(verdict));
            }
        }
        self.kept.verdicts.last()
    }

    /// Why the token is refused here, if it is, rules included.
    fn reject(self, verdict: &JwtVerdict) -> Result<Option<Reject>, NoVerdict> {
        let token = match &verdict.token {
            Ok(token) => token,
            Err(refusal) => return Ok(Some(refusal.reason)),
        };
        let denied = match verdict.by_rules {
            ByRules::Deny => true,
            ByRules::Hold | ByRules::Judging => false,
            ByRules::Failed(why) => return Err(why),
            ByRules::Unknown => self.apply_rules(verdict, token)?.is_some(),
        };
        Ok(denied.then_some(Reject::Denied))
    }

    /// `$jwt_status`, unless there is nothing to tell.
    pub(crate) fn status(
        self,
        check: Option<&Rc<JwtCheck>>,
    ) -> Result<Option<&'static str>, NoVerdict> {
        let Some(verdict) = self.shown(check)? else { return Ok(None) };
        Ok(Some(self.reject(&verdict)?.map_or("ok", Reject::status)))
    }

    /// `$jwt_provider`: the name of the `jwt_provider` that the token is from.
    pub(crate) fn provider(
        self,
        check: Option<&Rc<JwtCheck>>,
    ) -> Result<Option<Vec<u8>>, NoVerdict> {
        let verdict = self.shown(check)?;
        let provider = verdict.and_then(|verdict| verdict.provider);
        Ok(provider.map(|provider| provider.name.to_vec()))
    }

    /// `$jwt_payload`: the payload as it was signed. One with white space that is a control character
    /// (JSON has line breaks and tabs between its members) is written anew, without any.
    pub(crate) fn payload(
        self,
        check: Option<&Rc<JwtCheck>>,
    ) -> Result<Option<Vec<u8>>, NoVerdict> {
        self.verified(check, format_args!("$jwt_payload"), |token| {
            let text = token.payload.text();
            if !text.contains(char::is_control) {
                return Some(text.to_owned());
            }
            let mut compact = String::with_capacity(text.len());
            token.payload.root().write_json(&mut compact);
            Some(compact)
        })
    }

    /// `$jwt_claim_NAME`.
    pub(crate) fn claim(
        self,
        check: Option<&Rc<JwtCheck>>,
        name: &str,
    ) -> Result<Option<Vec<u8>>, NoVerdict> {
        self.verified(check, format_args!("$jwt_claim_{name}"), |token| {
            Some(token.payload.root().get(name)?.to_text())
        })
    }

    /// `$jwt_header_NAME`.
    pub(crate) fn header(
        self,
        check: Option<&Rc<JwtCheck>>,
        name: &str,
    ) -> Result<Option<Vec<u8>>, NoVerdict> {
        self.verified(check, format_args!("$jwt_header_{name}"), |token| {
            Some(token.header.root().get(name)?.to_text())
        })
    }

    /// A claim or header that the configuration has given a variable of its own.
    pub(crate) fn named_claim(
        self,
        check: Option<&Rc<JwtCheck>>,
        claim: &NamedClaim,
    ) -> Result<Option<Vec<u8>>, NoVerdict> {
        let kind = if claim.header { "jwt_header_set" } else { "jwt_claim_set" };
        let last = claim.path.last().map(ClaimPath::as_str).unwrap_or_default();
        self.verified(check, format_args!("a variable of {kind} ({last:?})"), |token| {
            let document = if claim.header { &token.header } else { &token.payload };
            let value = claim.path.iter().try_fold(document.root(), |value, step| step.find(value));
            Some(value?.to_text())
        })
    }

    /// Applies `show` to the token, if it is good by itself, whatever the location's rules say of it.
    /// `name` is what the log calls the variable.
    ///
    /// A value with a control character is shown as nothing: left out of it, two values would look the
    /// same to whoever reads the variable, and left in it, it could end a header.
    fn verified(
        self,
        check: Option<&Rc<JwtCheck>>,
        name: fmt::Arguments<'_>,
        show: impl FnOnce(&Verified) -> Option<String>,
    ) -> Result<Option<Vec<u8>>, NoVerdict> {
        let verdict = self.shown(check)?;
        let token = verdict.as_ref().and_then(|verdict| verdict.token.as_ref().ok());
        let Some(text) = token.and_then(show) else { return Ok(None) };
        if !text.contains(char::is_control) {
            return Ok(Some(text.into_bytes()));
        }
        if !self.kept.control_told.replace(true) {
            self.case.request.log_info(format_args!(
                "jwt: {name} is shown as nothing, since its value holds a control character"
            ));
        }
        Ok(None)
    }
}
