//! `jwt_claim` and `jwt_require`: rules that a verified token must satisfy.

use token::{ClaimRule, Operator};

use super::setting::{ConfError, Setting, text};
use crate::ffi::ComplexValue;

/// A rule, with what to answer where it does not hold.
pub(crate) struct Rule {
    pub(crate) demand: Demand,
    pub(crate) status: Status,
    /// Where it stands, for the log.
    pub(crate) position: Box<str>,
}

/// The status of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Unauthorized = 401,
    Forbidden = 403,
    Gone = 410,
    Unavailable = 503,
}

/// What a rule asks.
pub(crate) enum Demand {
    /// `jwt_claim`, with the values of every request.
    Claim(ClaimRule, Vec<Box<[u8]>>),
    /// `jwt_claim` with a value that holds variables.
    Bound(ClaimRule, Vec<ComplexValue>),
    /// `jwt_require`: none of the values is one that counts as `nothing`.
    Values { values: Vec<ComplexValue>, nothing: &'static [&'static [u8]] },
}

/// What `jwt_require` takes for nothing: also how a variable shows claims that deny or are void.
pub(super) const NOTHING: &[&[u8]] = &[b"", b"0", b"false", b"null"];

/// What NGINX Plus's `auth_jwt_require` does.
pub(super) const NOTHING_IN_PLUS: &[&[u8]] = &[b"", b"0"];

/// `jwt_claim PATH OP VALUE … [error=401|403]`.
pub(super) fn claim(setting: &Setting<'_>) -> Result<Rule, ConfError> {
    let (words, status) = words(setting, Status::Forbidden)?;
    let [path, operator, values @ ..] = words.as_slice() else {
        return Err(ConfError::Rule("wants a claim and an operator".to_owned()));
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
        .map_err(|error| ConfError::Rule(format!("at fault: {error}")))?;
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

/// `jwt_require $value … [error=401|403]`, with the status where none is named.
pub(super) fn require(
    setting: &Setting<'_>,
    status: Status,
    nothing: &'static [&'static [u8]],
) -> Result<Rule, ConfError> {
    let (words, status) = words(setting, status)?;
    if words.is_empty() {
        return Err(ConfError::Rule("wants a value".to_owned()));
    }
    let values = words.iter().map(|value| setting.compile(value)).collect::<Result<_, _>>()?;
    let demand = Demand::Values { values, nothing };
    Ok(Rule { demand, status, position: setting.position().into() })
}

/// The arguments without a last `error=`, and the status that it names.
fn words<'c>(setting: &Setting<'c>, default: Status) -> Result<(Vec<&'c [u8]>, Status), ConfError> {
    let mut words: Vec<&[u8]> = setting.values().collect();
    let status = match words.last().and_then(|word| word.strip_prefix(b"error=")) {
        None => return Ok((words, default)),
        Some(b"401") => Status::Unauthorized,
        Some(b"403") => Status::Forbidden,
        Some(other) => return Err(ConfError::value(other, "must be error=401 or error=403")),
    };
    words.pop();
    Ok((words, status))
}
