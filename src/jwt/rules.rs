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
    /// The rule as it is written.
    text: Box<str>,
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

/// The rules that are only tried.
#[derive(Default)]
pub(super) struct Trials(RefCell<Vec<TriedRule>>);

/// A rule that is only tried. Another rule at the same place is not the same one: what was counted of
/// the one says nothing of the other.
#[derive(Clone)]
pub(crate) struct TriedRule {
    /// The file and line, and a number if the line has several.
    pub(crate) name: Box<str>,
    position: Box<str>,
    /// The rule as it is written.
    pub(crate) text: Box<str>,
}

impl Trials {
    /// The number of a rule. One of a file that is included several times is one rule.
    fn number(&self, position: &str, text: &str) -> usize {
        let mut rules = self.0.borrow_mut();
        let is_it = |known: &TriedRule| *known.position == *position && *known.text == *text;
        rules.iter().position(is_it).unwrap_or_else(|| {
            let name = match rules.iter().filter(|known| *known.position == *position).count() {
                0 => position.to_owned(),
                before => format!("{position} ({})", before + 1),
            };
            let (name, position, text) = (name.into(), position.into(), text.into());
            rules.push(TriedRule { name, position, text });
            rules.len() - 1
        })
    }

    /// The rules, by their numbers.
    pub(super) fn rules(&self) -> Vec<TriedRule> {
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

impl Demand {
    /// Whether it is the same for all requests.
    fn is_fixed(&self) -> bool {
        match self {
            Self::Claim(..) => true,
            Self::Bound(..) | Self::Values { .. } => false,
            Self::Block(_, rules) => rules.iter().all(|rule| rule.demand.is_fixed()),
        }
    }
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
    /// A rule with this text; without a `status` it is only tried.
    fn new(
        demand: Demand,
        status: Option<Status>,
        position: Box<str>,
        text: String,
        trials: &Trials,
    ) -> Self {
        let failing = match status {
            Some(status) => Failing::Refuses(status),
            None => Failing::Tells(trials.number(&position, &text)),
        };
        Self { demand, failing, position, text: text.into() }
    }

    /// Whether the rule says the same of a token for each request, and refuses those for which it does not hold.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self.failing, Failing::Refuses(_)) && self.demand.is_fixed()
    }

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
    Ok(Rule::new(demand, status, setting.position().into(), written(setting), trials))
}

/// `jwt_require $value ... [error=STATUS]`; `status` is the default.
pub(super) fn require(
    setting: &Setting<'_>,
    status: Status,
    nothing: &'static [&'static [u8]],
    trials: &Trials,
) -> Result<Rule> {
    let (words, status) = words(setting, status)?;
    if words.is_empty() {
        return Err(ConfError::mistake("wants a value"));
    }
    let values = words.iter().map(|value| setting.compile(value)).collect::<Result<_, _>>()?;
    let demand = Demand::Values { values, nothing };
    Ok(Rule::new(demand, status, setting.position().into(), written(setting), trials))
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
    status: Option<Status>,
    position: Box<str>,
    text: String,
}

impl BlockHead {
    /// `jwt_any [error=STATUS]`, and so on.
    pub(super) fn read(setting: &Setting<'_>, connective: Connective) -> Result<Self> {
        let (words, status) = words(setting, Status::FORBIDDEN)?;
        if let Some(word) = words.first() {
            return Err(ConfError::parameter(word));
        }
        let (position, text) = (setting.position().into(), written(setting));
        Ok(Self { connective, status, position, text })
    }

    /// The block with these rules.
    pub(super) fn block(self, rules: Rc<[Rc<Rule>]>, trials: &Trials) -> Result<Rule> {
        if rules.is_empty() {
            let what = "has no rules in its block: add a jwt_claim or jwt_require";
            return Err(ConfError::mistake(what));
        }
        let Self { connective, status, position, text } = self;
        let inner: Vec<&str> = rules.iter().map(|rule| &*rule.text).collect();
        let text = format!("{text} {{ {} }}", inner.join("; "));
        Ok(Rule::new(Demand::Block(connective, rules), status, position, text, trials))
    }
}

/// The directive as it is written, with one space between words.
fn written(setting: &Setting<'_>) -> String {
    let name = setting.name();
    let values = setting.values().map(String::from_utf8_lossy);
    std::iter::once(name.into()).chain(values).collect::<Vec<_>>().join(" ")
}

/// The arguments without `error=` at the end, and the status; `None` if the rule is only tried.
fn words<'s>(setting: &'s Setting<'_>, default: Status) -> Result<(Vec<&'s [u8]>, Option<Status>)> {
    let mut words: Vec<&[u8]> = setting.values().collect();
    if words.iter().rev().skip(1).any(|word| word.starts_with(b"error=")) {
        setting.warn("\"error=\" is a status only as the last word; before others it is a value");
    }
    let status = match words.last().and_then(|word| word.strip_prefix(b"error=")) {
        None => return Ok((words, Some(default))),
        Some(b"none") => None,
        Some(status) => Some(Status::of_an_error(status).ok_or_else(|| {
            ConfError::value(status, "must be error=400 to error=599, or error=none")
        })?),
    };
    words.pop();
    Ok((words, status))
}

/// Claims and kids are UTF-8, so no other value can ever equal one.
pub(super) fn text(value: &[u8]) -> Result<&str> {
    core::str::from_utf8(value).map_err(|_| ConfError::value(value, "must be UTF-8"))
}
