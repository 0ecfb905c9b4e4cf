//! What variables show of a token: the verdict, and only verified parts of the token.
//!
//! The argument `check` is `None` if no token check is in force. A function fails if there is no
//! verdict; its variable is then not found.

use core::fmt;
use std::rc::Rc;

use token::{ClaimPath, Verified, base64url};

use super::case::TokenCase;
use super::check::JwtCheck;
use super::judge::Why;
use super::sources::without_tokens;
use super::verdict::{ByRules, JwtVerdict};
use crate::check::{NoVerdict, Number, Want};

/// A variable that shows the value at a path in the token.
pub(crate) struct NamedClaim {
    /// The member names, from the outside to the inside.
    pub(super) path: Vec<ClaimPath>,
    pub(super) shown: Shown,
}

/// What such a variable shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// `jwt_claim_set`: a claim as text.
    Claim,
    /// `jwt_claim_json`: a claim as JSON.
    ClaimAsJson,
    /// `jwt_header_set`: a member of the header as text.
    Header,
}

impl TokenCase<'_> {
    /// The verdict that a variable shows.
    fn shown(self, check: Option<&Rc<JwtCheck>>) -> Result<Option<JwtVerdict>, NoVerdict> {
        let number = self.number_shown(check)?;
        number.map(|number| self.kept.verdicts.get(number)).transpose()
    }

    fn number_shown(self, check: Option<&Rc<JwtCheck>>) -> Result<Option<Number>, NoVerdict> {
        let judge = |check: &Rc<JwtCheck>| self.judge(check, Want::Known);
        self.kept.verdicts.shown(check, self.case.place(), judge)
    }

    /// Why the token is refused here, rules included; `None` if it is not.
    fn why(self, number: Number) -> Result<Option<Why>, NoVerdict> {
        let verdict = self.kept.verdicts.get(number)?;
        let token = match &verdict.token {
            Ok(token) => token,
            Err(refusal) => return Ok(Some(Why::Bad((**refusal).clone()))),
        };
        let rule = match &verdict.by_rules {
            ByRules::Deny(rule) => Some(Rc::clone(rule)),
            ByRules::Hold | ByRules::Judging => None,
            ByRules::Failed(why) => return Err(*why),
            ByRules::Unknown => self.apply_rules(number, &verdict, token)?.map(|(rule, _)| rule),
        };
        Ok(rule.map(Why::Rule))
    }

    /// `$jwt_status`; `None` if no check has judged the request.
    pub(crate) fn status(
        self,
        check: Option<&Rc<JwtCheck>>,
    ) -> Result<Option<&'static str>, NoVerdict> {
        let Some(number) = self.number_shown(check)? else { return Ok(None) };
        Ok(Some(self.why(number)?.map_or("ok", |why| why.reason().status())))
    }

    /// `$jwt_reason`: the reason in a sentence, as the log has it, without the kid that the token claims.
    /// `None` if the token is not refused.
    pub(crate) fn reason(self, check: Option<&Rc<JwtCheck>>) -> Result<Option<Vec<u8>>, NoVerdict> {
        let Some(number) = self.number_shown(check)? else { return Ok(None) };
        Ok(self.why(number)?.map(|why| why.sentence().into_bytes()))
    }

    /// `$jwt_args`: the query without the arguments that are sources of tokens, here or where the request
    /// was judged last. `None` if it has none of them.
    pub(crate) fn args(self, check: Option<&Rc<JwtCheck>>) -> Result<Option<Vec<u8>>, NoVerdict> {
        let verdicts = &self.kept.verdicts;
        let last = verdicts.last()?.map(|number| verdicts.get(number)).transpose()?;
        let here = check.map(|check| &*check.sources).unwrap_or_default();
        let before = last.as_ref().map(|verdict| &*verdict.check.sources).unwrap_or_default();
        Ok(without_tokens(self.case.request.query(), here.iter().chain(before)))
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

    /// `$jwt_payload`: the payload as signed. If it has control characters (JSON allows line breaks and
    /// tabs between members), it is written again without white space.
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

    /// `$jwt_payload_base64url`: the payload as the token has it.
    pub(crate) fn payload_base64url(
        self,
        check: Option<&Rc<JwtCheck>>,
    ) -> Result<Option<Vec<u8>>, NoVerdict> {
        self.verified(check, format_args!("$jwt_payload_base64url"), |token| {
            Some(base64url::encode(token.payload.text()))
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

    /// A claim or header member that has a variable of its own (`jwt_claim_set` and its
    /// like).
    pub(crate) fn named_claim(
        self,
        check: Option<&Rc<JwtCheck>>,
        claim: &NamedClaim,
    ) -> Result<Option<Vec<u8>>, NoVerdict> {
        let kind = match claim.shown {
            Shown::Claim => "jwt_claim_set",
            Shown::ClaimAsJson => "jwt_claim_json",
            Shown::Header => "jwt_header_set",
        };
        let last = claim.path.last().map(ClaimPath::as_str).unwrap_or_default();
        self.verified(check, format_args!("a variable of {kind} ({last:?})"), |token| {
            let document = match claim.shown {
                Shown::Header => &*token.header,
                Shown::Claim | Shown::ClaimAsJson => &token.payload,
            };
            let mut steps = claim.path.iter();
            let value = steps.try_fold(document.root(), |value, step| step.find(value))?;
            if claim.shown != Shown::ClaimAsJson {
                return Some(value.to_text());
            }
            let mut json = String::new();
            value.write_json(&mut json);
            Some(json)
        })
    }

    /// Applies `show` to the token if it was verified, whatever the location's rules say. `name` is the
    /// variable's name in the log.
    ///
    /// A value with a control character is not shown. If the character were removed, two different
    /// values would look the same to a reader of the variable; if it stayed, it could end a header.
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
        if !self.kept.control_logged.replace(true) {
            self.case.request.log_info(format_args!(
                "jwt: {name} is shown as nothing, since its value holds a control character"
            ));
        }
        Ok(None)
    }
}
