//! Judges the token of a request: finds it, verifies it, applies the rules, and forms an opinion.

use std::fmt::{self, Display};
use std::rc::Rc;

use token::{Refusal as BadToken, Reject, Verified};

use super::case::TokenCase;
use super::challenge::challenge;
use super::check::JwtCheck;
use super::in_force::Tried;
use super::rules::{Failing, Rule};
use super::sources::{AskedSource, TokenSource};
use super::uri_signing::Renewable;
use super::verdict::{ByRules, JwtVerdict, Kept};
use crate::check::{Mode, NoVerdict, Number, Opinion, Refusal, Source, Status, Trial, Want};

/// The modes that `jwt` accepts.
const MODES: [Mode; 4] = [Mode::Off, Mode::On, Mode::Optional, Mode::Permissive];

/// Why a token is refused.
pub(super) enum Why {
    Bad(BadToken),
    Rule(Rc<Rule>),
}

impl Why {
    pub(super) fn reason(&self) -> Reject {
        match self {
            Self::Bad(token) => token.reason,
            Self::Rule(_) => Reject::Denied,
        }
    }

    /// What the log says, without the kid that the token claims.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Bad(token) => token.sentence().to_string(),
            Self::Rule(_) => self.to_string(),
        }
    }
}

impl Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(token) => token.fmt(f),
            Self::Rule(rule) => write!(f, "denied by the rule in {}", rule.position),
        }
    }
}

impl TokenCase<'_> {
    /// The opinion of `check` on the request, in the access phase.
    pub(crate) fn decide(self, check: &Rc<JwtCheck>) -> Result<Opinion, NoVerdict> {
        // One attempt for the whole: a failure in a rule or in the challenge fails the decision.
        self.case.decide(|| self.decide_once(check))
    }

    fn decide_once(self, check: &Rc<JwtCheck>) -> Result<Opinion, NoVerdict> {
        let want = Want::of_access_phase(check.depends_on_variables());
        let number = self.judge(check, want)?;
        let verdicts = &self.kept.verdicts;
        verdicts.decide(number);
        // No rule of a steady check is only tried, or has to be asked again.
        let passes = |verdict: &JwtVerdict| verdict.token.is_ok() && verdict.by_rules.hold();
        if check.steady.is_some() && verdicts.read(number, passes) == Some(true) {
            self.kept.renewable.take();
            return Ok(Opinion::Passes(Vec::new()));
        }
        let verdict = verdicts.get(number)?;
        if verdict.mode == Mode::Off {
            return Ok(Opinion::Abstains);
        }
        self.kept.renewable.take();
        let (why, reason, status) = match &verdict.token {
            Ok(token) => match self.apply_rules(number, &verdict, token)? {
                None => {
                    let trials = self.try_rules(&verdict, token)?;
                    if let (Some(by), Some(cache)) = (check.steady, self.http.meter.cache()) {
                        token.let_stand(cache, by, self.case.time());
                    }
                    if let (Some(renewal), Some(covering)) = (&verdict.renewal, &check.uri_signing)
                    {
                        let renewable = Renewable::new(token, renewal, covering);
                        self.kept.renewable.replace(Some(Box::new(renewable)));
                    }
                    return Ok(Opinion::Passes(trials));
                }
                Some((rule, status)) => (Why::Rule(rule), Reject::Denied, status),
            },
            Err(bad) if bad.reason == Reject::Missing && verdict.mode == Mode::Optional => {
                return Ok(Opinion::Absent);
            }
            Err(bad) => {
                let status = match bad.reason {
                    Reject::NoKeys | Reject::NoList => Status::UNAVAILABLE,
                    // A good token, for something else: as with a rule, another login would not help.
                    Reject::NotCovered | Reject::BadAddress | Reject::Denied => Status::FORBIDDEN,
                    _ => Status::UNAUTHORIZED,
                };
                (Why::Bad((**bad).clone()), bad.reason, status)
            }
        };
        let refusal = |challenge| {
            Box::new(Refusal { what: "jwt", reason, why: Box::new(why), status, challenge })
        };
        if verdict.mode == Mode::Permissive {
            return Ok(Opinion::LetsThrough(refusal(None)));
        }
        let (named, realm) = (check.challenge.as_ref(), check.realm.as_ref());
        let challenge = challenge(self.case.request, named, realm, reason, status)?;
        Ok(Opinion::Refuses(refusal(challenge)))
    }

    /// The verdict of `check` on the token.
    pub(super) fn judge(self, check: &Rc<JwtCheck>, want: Want) -> Result<Number, NoVerdict> {
        let (case, kept) = (self.case, self.kept);
        let judge = || {
            let mode = check.switch.mode(case.request, "jwt", &MODES)?;
            let Tried { token, renewal, found_in, stands, .. } = match mode {
                Mode::Off => Tried::new(Err(Reject::Missing.into()), true),
                _ => self.judge_sources(check)?,
            };
            let policy = token.as_ref().ok().and_then(|token| check.policies.get(token.provider));
            let provider = policy.and_then(|policy| policy.provider.clone());
            let by_rules = if stands { ByRules::Hold } else { ByRules::Unknown };
            let check = Rc::clone(check);
            Ok(JwtVerdict { mode, check, token, provider, found_in, by_rules, renewal })
        };
        let judge = || case.attempt(judge);
        kept.verdicts.verdict(case.judging, check, case.place(), want, judge)
    }

    /// The name of the argument with the token by which `check` has let the request pass; `None` if it has not,
    /// or if the token was elsewhere.
    pub(crate) fn carried(self, check: &Rc<JwtCheck>) -> Option<&[u8]> {
        let verdicts = &self.kept.verdicts;
        let verdict = verdicts.get(verdicts.decided(check, self.case.place()).ok()??).ok()?;
        let passed = verdict.mode != Mode::Off && verdict.token.is_ok() && verdict.by_rules.hold();
        match &*check.sources.get(verdict.found_in.filter(|_| passed)? as usize)?.source {
            TokenSource::Named(Source::Arg(name)) => Some(name),
            _ => None,
        }
    }

    /// Judges the token of the first source that has one, and tells the source's number. With `jwt_next`, one
    /// that is none of any provider's leads to the next source; if no other source has a token, its refusal counts.
    fn judge_sources(self, check: &Rc<JwtCheck>) -> Result<Tried, NoVerdict> {
        let mut first: Option<Tried> = None;
        for (number, AskedSource { source, providers }) in (0..).zip(check.sources.iter()) {
            let tried = match source.find(self.case.request)? {
                None => continue,
                Some(Err(reject)) => Tried::new(Err(unusable(reject)), true),
                Some(Ok(token)) => {
                    let tried = self.verify(check, &token, providers.as_deref())?;
                    self.cover(check, (&token, source), tried)?
                }
            };
            if !(check.next && tried.is_foreign && tried.token.is_err()) {
                return Ok(Tried { found_in: Some(number), ..tried });
            }
            first.get_or_insert(tried);
        }
        Ok(first.unwrap_or_else(|| Tried::new(Err(Reject::Missing.into()), true)))
    }

    /// Applies the rules to a verified token, the provider's before the location's. Returns the first
    /// rule that does not hold, and its status.
    pub(super) fn apply_rules(
        self,
        number: Number,
        verdict: &JwtVerdict,
        token: &Verified,
    ) -> Result<Option<(Rc<Rule>, Status)>, NoVerdict> {
        let mut outcome = Outcome { kept: self.kept, number, said: ByRules::Hold };
        if verdict.all_rules().next().is_none() {
            return Ok(None);
        }
        outcome.said = ByRules::Judging;
        outcome.tell();
        outcome.said = ByRules::Failed(NoVerdict::Value);
        let denied = self.case.attempt(|| {
            for rule in verdict.all_rules() {
                if let Failing::Refuses(status) = rule.failing
                    && !rule.holds(self.case.request, token)?
                {
                    return Ok(Some((Rc::clone(rule), status)));
                }
            }
            Ok(None)
        });
        outcome.said = match &denied {
            Ok(None) => ByRules::Hold,
            Ok(Some((rule, _))) => ByRules::Deny(Rc::clone(rule)),
            Err(why) => ByRules::Failed(*why),
        };
        denied
    }

    /// The results of the rules that are only tried, for a token that passes.
    fn try_rules(self, verdict: &JwtVerdict, token: &Verified) -> Result<Vec<Trial>, NoVerdict> {
        let mut trials = Vec::new();
        for rule in verdict.all_rules() {
            if let Failing::Tells(number) = rule.failing {
                let holds = rule.holds(self.case.request, token)?;
                let why = || Box::new(Why::Rule(Rc::clone(rule))) as Box<dyn Display>;
                trials.push(Trial { rule: number, why: (!holds).then(why) });
            }
        }
        Ok(trials)
    }
}

/// The refusal of what is in the place of a token, but could be read as different tokens or none.
fn unusable(reason: Reject) -> BadToken {
    let detail = "empty, there twice, or in a form that programs read in different ways".into();
    BadToken { detail, ..BadToken::from(reason) }
}

/// The result of the rules for a verdict. It is stored when this is dropped, also by a panic.
struct Outcome<'k> {
    kept: &'k Kept,
    number: Number,
    said: ByRules,
}

impl Outcome<'_> {
    fn tell(&self) {
        self.kept.verdicts.amend(self.number, |verdict| verdict.by_rules = self.said.clone());
    }
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        self.tell();
    }
}
