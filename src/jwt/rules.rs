//! `jwt_claim`, `jwt_require` and blocks of them: rules that a verified token must satisfy.

use std::cell::RefCell;
use std::rc::Rc;

use token::{ClaimRule, Operator, Verified};

use crate::check::{NoVerdict, Status};
use crate::nginx::{ComplexValue, ConfError, Request, Result, Setting};

/// A rule, and what follows if it does not hold.
pub(super) struct Rule {
    demand: Demand,
    pub(super) failing: Failing,
    /// The file and line, for the log.
    pub(super) position: Box<str>,
}

/// What follows if a rule does not hold.
#[derive(Clone, Copy)]
pub(super) enum Failing {
    /// The request is refused with this status. Within a block the block's own counts.
    Refuses(Status),
    /// The log and the counters tell it, and the request passes (`error=none`). The number is that of the
    /// rule among [`Trials`].
    Tells(usize),
}

/// The rules that are only tried, by file and line: a rule of an included file is one rule.
#[derive(Default)]
pub(super) struct Trials(RefCell<Vec<Box<str>>>);

impl Trials {
    /// The number of the rule at `position`.
    fn number(&self, position: String) -> usize {
        let mut positions = self.0.borrow_mut();
        let position = position.into_boxed_str();
        positions.iter().position(|known| *known == position).unwrap_or_else(|| {
            positions.push(position);
            positions.len() - 1
        })
    }

    /// Where the rules are, by their numbers.
    pub(super) fn positions(&self) -> Vec<Box<str>> {
        self.0.borrow().clone()
    }
}

/// What a rule demands.
enum Demand {
    /// `jwt_claim` with values that are the same for all requests.
    Claim(ClaimRule, Vec<Box<[u8]>>),
    /// `jwt_claim` with variables in its values.
    Bound(ClaimRule, Vec<ComplexValue>),
    /// `jwt_require`: none of the values may be one of those in `nothing`.
    Values { values: Vec<ComplexValue>, nothing: &'static [&'static [u8]] },
    /// A block of rules; never empty.
    Block(Connective, Rc<[Rc<Rule>]>),
}

/// How a block connects its rules.
#[derive(Clone, Copy)]
pub(crate) enum Connective {
    /// `jwt_any`: one of them holds.
    Any,
    /// `jwt_all`: all of them hold.
    All,
    /// `jwt_not`: not all of them hold.
    Not,
}

/// How many blocks may be inside each other.
pub(super) const MAX_DEPTH: usize = 16;

impl Rule {
    /// Whether the rule holds for a token, with the values of this request. What is unknown does not
    /// hold.
    pub(super) fn holds(&self, request: Request<'_>, token: &Verified) -> Result<bool, NoVerdict> {
        Ok(self.judge(request, token)? == Some(true))
    }

    /// As [`Rule::holds`]; `None` if it is unknown, since an operator does not fit the claim's type or a
    /// variable is not set. `jwt_not` must not make a pass of that.
    fn judge(&self, request: Request<'_>, token: &Verified) -> Result<Option<bool>, NoVerdict> {
        Ok(match &self.demand {
            Demand::Claim(rule, values) => rule.judge(&token.payload, values),
            Demand::Bound(rule, values) => {
                let mut incomplete = false;
                let evaluate = |value| {
                    let (text, lacks) = request.evaluate_bound(value).ok_or(NoVerdict::Value)?;
                    incomplete |= lacks;
                    Ok(text)
                };
                let values = values.iter().map(evaluate).collect::<Result<Vec<_>, _>>()?;
                rule.judge_bound(&token.payload, &values, incomplete)
            }
            Demand::Values { values, nothing } => {
                let evaluate = |value| request.evaluate(value).ok_or(NoVerdict::Value);
                let values = values.iter().map(evaluate).collect::<Result<Vec<_>, _>>()?;
                Some(values.iter().all(|value| !nothing.contains(value)))
            }
            Demand::Block(connective, rules) => {
                let judge = |rule: &Rc<Rule>| rule.judge(request, token);
                match connective {
                    Connective::Any => first(rules.iter().map(judge), true)?,
                    Connective::All => first(rules.iter().map(judge), false)?,
                    Connective::Not => first(rules.iter().map(judge), false)?.map(|all| !all),
                }
            }
        })
    }
}

/// The verdict on a list of rules that is decided by the first rule with the verdict `deciding`. If there
/// is none, but something is unknown, the list is unknown too (Kleene's logic of three values).
fn first(
    verdicts: impl Iterator<Item = Result<Option<bool>, NoVerdict>>,
    deciding: bool,
) -> Result<Option<bool>, NoVerdict> {
    let mut otherwise = Some(!deciding);
    for verdict in verdicts {
        match verdict? {
            Some(verdict) if verdict == deciding => return Ok(Some(deciding)),
            verdict => otherwise = otherwise.and(verdict),
        }
    }
    Ok(otherwise)
}

/// What `jwt_require` refuses: the values that a variable shows for claims that are false, 0, null or
/// empty.
pub(super) const NOTHING: &[&[u8]] = &[b"", b"0", b"false", b"null"];

/// The same for NGINX Plus's `auth_jwt_require`.
pub(super) const NOTHING_IN_PLUS: &[&[u8]] = &[b"", b"0"];

/// `jwt_claim PATH OP VALUE ... [error=STATUS]`.
pub(super) fn claim(setting: &Setting<'_>, trials: &Trials) -> Result<Rule> {
    let (words, failing) = words(setting, Status::FORBIDDEN, trials)?;
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
    if path.windows(2).any(|pair| like_a_variable(pair) || pair == b"${") {
        setting.warn("a claim's name holds no variables; \"$\" is a part of the name");
    }
    let rule = ClaimRule::new(text(path)?, operator, &known)
        .map_err(|error| ConfError::Failed(error.to_string()))?;
    if bound {
        values.iter().for_each(|value| setting.warn_of_arguments(value));
    }
    if rule.takes_words() {
        values.iter().for_each(|value| warn_of_lists(setting, value));
    }
    let demand = if bound {
        let values = values.iter().map(|value| setting.compile(value));
        Demand::Bound(rule, values.collect::<Result<_, _>>()?)
    } else {
        Demand::Claim(rule, values.iter().map(|value| (*value).into()).collect())
    };
    Ok(Rule { demand, failing, position: setting.position().into() })
}

/// `jwt_require $value ... [error=STATUS]`; `status` is the default.
pub(super) fn require(
    setting: &Setting<'_>,
    status: Status,
    nothing: &'static [&'static [u8]],
    trials: &Trials,
) -> Result<Rule> {
    let (words, failing) = words(setting, status, trials)?;
    if words.is_empty() {
        return Err(ConfError::mistake("wants a value"));
    }
    let values = words.iter().map(|value| setting.compile(value)).collect::<Result<_, _>>()?;
    let demand = Demand::Values { values, nothing };
    Ok(Rule { demand, failing, position: setting.position().into() })
}

/// Warns of a value that looks like several: each value is an argument of its own.
fn warn_of_lists(setting: &Setting<'_>, value: &[u8]) {
    let shown = String::from_utf8_lossy(value);
    if value.contains(&b',') {
        setting.warn(&format!(
            "\"{shown}\" is one value, with its comma: values are separated by spaces"
        ));
    } else if value.contains(&b' ') {
        setting.warn(&format!(
            "\"{shown}\" holds a space, so it is no word of a string such as scope, and equals \
             elements of arrays only: several words are several arguments, without quotes"
        ));
    }
}

/// The first line of a block of rules.
pub(super) struct BlockHead {
    connective: Connective,
    failing: Failing,
    position: Box<str>,
}

impl BlockHead {
    /// `jwt_any [error=STATUS]`, and so on.
    pub(super) fn read(
        setting: &Setting<'_>,
        connective: Connective,
        trials: &Trials,
    ) -> Result<Self> {
        let (words, failing) = words(setting, Status::FORBIDDEN, trials)?;
        if let Some(word) = words.first() {
            return Err(ConfError::parameter(word));
        }
        Ok(Self { connective, failing, position: setting.position().into() })
    }

    /// The block with these rules.
    pub(super) fn block(self, rules: Rc<[Rc<Rule>]>) -> Result<Rule> {
        if rules.is_empty() {
            let what = "has no rules in its block: add a jwt_claim or jwt_require";
            return Err(ConfError::mistake(what));
        }
        let demand = Demand::Block(self.connective, rules);
        Ok(Rule { demand, failing: self.failing, position: self.position })
    }
}

/// The arguments without `error=` at the end, and what that says.
fn words<'s>(
    setting: &'s Setting<'_>,
    default: Status,
    trials: &Trials,
) -> Result<(Vec<&'s [u8]>, Failing)> {
    let mut words: Vec<&[u8]> = setting.values().collect();
    if words.iter().rev().skip(1).any(|word| word.starts_with(b"error=")) {
        setting.warn("\"error=\" is a status only as the last word; before others it is a value");
    }
    let failing = match words.last().and_then(|word| word.strip_prefix(b"error=")) {
        None => return Ok((words, Failing::Refuses(default))),
        Some(b"none") => Failing::Tells(trials.number(setting.position())),
        Some(status) => Failing::Refuses(Status::of_an_error(status).ok_or_else(|| {
            ConfError::value(status, "must be error=400 to error=599, or error=none")
        })?),
    };
    words.pop();
    Ok((words, failing))
}

/// Claims and kids are UTF-8, so no other value can ever equal one.
pub(super) fn text(value: &[u8]) -> Result<&str> {
    core::str::from_utf8(value).map_err(|_| ConfError::value(value, "must be UTF-8"))
}
