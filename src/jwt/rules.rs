//! `jwt_claim` and `jwt_require`: rules that a verified token must satisfy.

use token::{ClaimRule, Operator, Verified};

use crate::check::{NoVerdict, Status};
use crate::nginx::{ComplexValue, ConfError, Request, Result, Setting};

/// A rule, and the status of the answer if it does not hold.
pub(super) struct Rule {
    demand: Demand,
    pub(super) status: Status,
    /// The file and line, for the log.
    pub(super) position: Box<str>,
}

/// What a rule demands.
enum Demand {
    /// `jwt_claim` with values that are the same for all requests.
    Claim(ClaimRule, Vec<Box<[u8]>>),
    /// `jwt_claim` with variables in its values.
    Bound(ClaimRule, Vec<ComplexValue>),
    /// `jwt_require`: none of the values may be one of those in `nothing`.
    Values { values: Vec<ComplexValue>, nothing: &'static [&'static [u8]] },
}

impl Rule {
    /// Whether the rule holds for a token, with the values of this request.
    pub(super) fn holds(&self, request: Request<'_>, token: &Verified) -> Result<bool, NoVerdict> {
        let evaluate = |values: &[ComplexValue]| {
            values
                .iter()
                .map(|value| request.evaluate(value).ok_or(NoVerdict::Value))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(match &self.demand {
            Demand::Claim(rule, values) => rule.holds(&token.payload, values),
            Demand::Bound(rule, values) => rule.holds_bound(&token.payload, &evaluate(values)?),
            Demand::Values { values, nothing } => {
                evaluate(values)?.iter().all(|value| !nothing.contains(value))
            }
        })
    }
}

/// What `jwt_require` refuses: the values that a variable shows for claims that are false, 0, null or
/// empty.
pub(super) const NOTHING: &[&[u8]] = &[b"", b"0", b"false", b"null"];

/// The same for NGINX Plus's `auth_jwt_require`.
pub(super) const NOTHING_IN_PLUS: &[&[u8]] = &[b"", b"0"];

/// `jwt_claim PATH OP VALUE ... [error=STATUS]`.
pub(super) fn claim(setting: &Setting<'_>) -> Result<Rule> {
    let (words, status) = words(setting, Status::FORBIDDEN)?;
    let [path, operator, values @ ..] = words.as_slice() else {
        return Err(ConfError::mistake("wants a claim and an operator"));
    };
    let operator = text(operator)?;
    let operator = Operator::from_name(operator).ok_or_else(|| {
        ConfError::value(operator.as_bytes(), &format!("must be one of {}", Operator::names()))
    })?;
    let bound = !operator.takes_patterns() && values.iter().any(|value| value.contains(&b'$'));
    let known = values
        .iter()
        .map(|value| {
            Ok((operator.takes_patterns() || !value.contains(&b'$')).then_some(text(value)?))
        })
        .collect::<Result<Vec<_>, ConfError>>()?;
    let like_a_variable = |pair: &[u8]| matches!(pair, [b'$', next] if next.is_ascii_alphabetic());
    if operator.takes_patterns() && values.iter().any(|value| value.windows(2).any(like_a_variable))
    {
        setting.warn("patterns hold no variables; \"$\" stands for the end of the text");
    }
    let rule = ClaimRule::new(text(path)?, operator, &known)
        .map_err(|error| ConfError::Failed(error.to_string()))?;
    if bound {
        values.iter().for_each(|value| setting.warn_of_arguments(value));
    }
    let demand = if bound {
        let values = values.iter().map(|value| setting.compile(value));
        Demand::Bound(rule, values.collect::<Result<_, _>>()?)
    } else {
        Demand::Claim(rule, values.iter().map(|value| (*value).into()).collect())
    };
    Ok(Rule { demand, status, position: setting.position().into() })
}

/// `jwt_require $value ... [error=STATUS]`; `status` is the default.
pub(super) fn require(
    setting: &Setting<'_>,
    status: Status,
    nothing: &'static [&'static [u8]],
) -> Result<Rule> {
    let (words, status) = words(setting, status)?;
    if words.is_empty() {
        return Err(ConfError::mistake("wants a value"));
    }
    let values = words.iter().map(|value| setting.compile(value)).collect::<Result<_, _>>()?;
    let demand = Demand::Values { values, nothing };
    Ok(Rule { demand, status, position: setting.position().into() })
}

/// The arguments without `error=` at the end, and the status.
fn words<'s>(setting: &'s Setting<'_>, default: Status) -> Result<(Vec<&'s [u8]>, Status)> {
    let mut words: Vec<&[u8]> = setting.values().collect();
    let status = match words.last().and_then(|word| word.strip_prefix(b"error=")) {
        None => return Ok((words, default)),
        Some(status) => Status::of_an_error(status)
            .ok_or_else(|| ConfError::value(status, "must be error=400 to error=599"))?,
    };
    words.pop();
    Ok((words, status))
}

/// Claims and kids are UTF-8, so no other value can ever equal one.
pub(super) fn text(value: &[u8]) -> Result<&str> {
    core::str::from_utf8(value).map_err(|_| ConfError::value(value, "must be UTF-8"))
}
