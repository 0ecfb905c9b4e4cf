//! Rules on claims: each has a path, an operator, and values.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};

use crate::json::{Document, Number, Value};
use crate::path::ClaimPath;

/// How a rule compares the claim with its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the table below is the documentation
pub enum Operator {
    Equal,
    NotEqual,
    Prefix,
    NotPrefix,
    Match { ignore_case: bool, negated: bool },
    Exists,
    NotExists,
    Any,
    All,
    None,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// The operators and how they are written.
    const TABLE: [(&str, Self); 17] = [
        ("=", Self::Equal),
        ("!=", Self::NotEqual),
        ("^~", Self::Prefix),
        ("!^~", Self::NotPrefix),
        ("~", Self::Match { ignore_case: false, negated: false }),
        ("~*", Self::Match { ignore_case: true, negated: false }),
        ("!~", Self::Match { ignore_case: false, negated: true }),
        ("!~*", Self::Match { ignore_case: true, negated: true }),
        ("exists", Self::Exists),
        ("!exists", Self::NotExists),
        ("any", Self::Any),
        ("all", Self::All),
        ("none", Self::None),
        ("<", Self::Less),
        ("<=", Self::LessOrEqual),
        (">", Self::Greater),
        (">=", Self::GreaterOrEqual),
    ];

    /// The operator with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|(written, _)| *written == name).map(|(_, operator)| *operator)
    }

    /// How it is written.
    fn name(self) -> &'static str {
        let mut table = Self::TABLE.iter();
        table.find(|(_, operator)| *operator == self).map_or("", |(written, _)| written)
    }

    /// The names of all operators, for messages.
    pub fn names() -> String {
        Self::TABLE.map(|(name, _)| name).join(" ")
    }

    /// Whether its values are patterns, which are compiled when the configuration is read.
    pub fn takes_patterns(self) -> bool {
        matches!(self, Self::Match { .. })
    }
}

/// A rule on a claim.
#[derive(Debug)]
pub struct ClaimRule {
    path: ClaimPath,
    operator: Operator,
    patterns: Vec<Regex>,
}

/// Why a rule is refused.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum RuleError {
    #[error("the claim's name is empty, or holds more than 16 dots and brackets")]
    Path,
    #[error("operator \"{0}\" takes {1}")]
    Values(&'static str, &'static str),
    #[error("pattern {0:?}: {1}")]
    Pattern(String, String),
    #[error("every string begins with an empty prefix")]
    EmptyPrefix,
    #[error("{0:?} is not a number")]
    Number(String),
}

impl ClaimRule {
    /// Makes a rule. `values` are the configured ones; `None` is a value with variables, which is known
    /// only for each request. Patterns are compiled here.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn new(path: &str, operator: Operator, values: &[Option<&str>]) -> Result<Self, RuleError> {
        let path = ClaimPath::new(path).ok_or(RuleError::Path)?;
        let known = || values.iter().copied().flatten();
        let mut patterns = Vec::new();
        match operator {
            Operator::Exists | Operator::NotExists if !values.is_empty() => {
                return Err(RuleError::Values(operator.name(), "no value"));
            }
            Operator::Exists | Operator::NotExists => {}
            _ if values.is_empty() => return Err(RuleError::Values(operator.name(), "a value")),
            Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual => {
                if values.len() != 1 {
                    return Err(RuleError::Values(operator.name(), "one value"));
                }
                if let Some(bad) = known().find(|value| Number::parse(value.as_bytes()).is_none()) {
                    return Err(RuleError::Number(bad.to_owned()));
                }
            }
            Operator::Prefix | Operator::NotPrefix if known().any(str::is_empty) => {
                return Err(RuleError::EmptyPrefix);
            }
            Operator::Match { ignore_case, .. } => {
                patterns = known()
                    .map(|pattern| compile(pattern, ignore_case))
                    .collect::<Result<_, _>>()?;
            }
            _ => {}
        }
        Ok(Self { path, operator, patterns })
    }

    /// Whether its values are compared with the words of a list (RFC 8693 section 4.2).
    pub fn takes_words(&self) -> bool {
        matches!(self.operator, Operator::Any | Operator::All | Operator::None)
    }

    /// The claim that the rule is about.
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    /// As [`ClaimRule::judge`], for values with variables. An empty value means that a variable is not
    /// set, so what it would have said is unknown. Operators that need only one of several values hold
    /// if another value makes them.
    ///
    /// A value is `incomplete` if one of its variables is empty and the rest is not. Then only a match counts:
    /// that there is none tells nothing.
    pub fn judge_bound(
        &self,
        payload: &Document,
        values: &[&[u8]],
        incomplete: bool,
    ) -> Option<bool> {
        let set: Vec<&[u8]> = values.iter().copied().filter(|value| !value.is_empty()).collect();
        if set.len() == values.len() {
            let negated =
                matches!(self.operator, Operator::NotEqual | Operator::NotPrefix | Operator::None);
            let verdict = self.judge(payload, &set);
            return verdict.filter(|holds| !incomplete || *holds != negated);
        }
        let choice = matches!(self.operator, Operator::Equal | Operator::Prefix | Operator::Any);
        (choice && self.holds(payload, &set)).then_some(true)
    }

    /// Whether [`ClaimRule::judge`] says that the rule holds.
    pub fn holds<V: AsRef<[u8]>>(&self, payload: &Document, values: &[V]) -> bool {
        self.judge(payload, values) == Some(true)
    }

    /// Whether `payload` satisfies the rule with the values of this request. `None` if the operator does
    /// not fit the claim's type, or the path that of a value on its way: the rule then fails, even when negated. If there is no claim, only
    /// `!exists` is satisfied. If the path leads to several values, one that satisfies the rule is
    /// enough.
    pub fn judge<V: AsRef<[u8]>>(&self, payload: &Document, values: &[V]) -> Option<bool> {
        let root = payload.root();
        match self.operator {
            Operator::Exists => return Some(self.path.any(root, |_| true)),
            Operator::NotExists => return Some(!self.path.any(root, |_| true)),
            _ => {}
        }
        // Null has no value that an operator could fit: it is as good as no claim.
        let judge = |claim: Value<'_>| {
            self.judge_value(claim, values).or_else(|| claim.is_null().then_some(false))
        };
        // What stands where the path cannot go on may be what the rule is about, in another form.
        let unless = |misfit: bool| if misfit { None } else { Some(false) };
        if !self.path.leads_to_many() {
            return match self.path.find(root) {
                Some(claim) => judge(claim),
                None => unless(self.path.walk(root, |_| true).misfit),
            };
        }
        let mut verdict = Some(false);
        let walk = self.path.walk(root, |claim| {
            let one = judge(claim);
            // One that satisfies the rule decides. Otherwise one that is unknown leaves it unknown.
            if one != Some(false) {
                verdict = one;
            }
            one == Some(true)
        });
        if verdict == Some(false) { unless(walk.misfit) } else { verdict }
    }

    fn judge_value<V: AsRef<[u8]>>(&self, claim: Value<'_>, values: &[V]) -> Option<bool> {
        let texts = || values.iter().map(AsRef::as_ref);
        let compares = |accepted: fn(Ordering) -> bool| {
            let value = texts().next().and_then(Number::parse)?;
            Some(accepted(claim.as_number()?.compare(value)))
        };
        match self.operator {
            Operator::Exists | Operator::NotExists => None, // needs no value
            Operator::Equal => contains_any(claim, texts()),
            Operator::NotEqual => contains_any(claim, texts()).map(|has| !has),
            Operator::Prefix => has_prefix(claim, texts()),
            Operator::NotPrefix => has_prefix(claim, texts()).map(|has| !has),
            Operator::Match { negated, .. } => {
                let text = claim.as_str()?;
                Some(self.patterns.iter().any(|p| p.is_match(text)) != negated)
            }
            Operator::Any => in_set(claim).map(|has| texts().any(has)),
            Operator::All => in_set(claim).map(|has| texts().all(has)),
            Operator::None => in_set(claim).map(|has| !texts().any(has)),
            Operator::Less => compares(Ordering::is_lt),
            Operator::LessOrEqual => compares(Ordering::is_le),
            Operator::Greater => compares(Ordering::is_gt),
            Operator::GreaterOrEqual => compares(Ordering::is_ge),
        }
    }
}

pub(crate) fn compile(pattern: &str, ignore_case: bool) -> Result<Regex, RuleError> {
    RegexBuilder::new(pattern).case_insensitive(ignore_case).build().map_err(|error| {
        // The library's message has several lines; the last one says what is wrong.
        let error = error.to_string();
        let what = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        RuleError::Pattern(pattern.to_owned(), what.to_owned())
    })
}

/// Whether a claim equals one of `texts`, or is an array that contains one; `None` for an object.
fn contains_any<'v>(claim: Value<'_>, mut texts: impl Iterator<Item = &'v [u8]>) -> Option<bool> {
    if claim.is_object() {
        return None;
    }
    Some(texts.any(|text| match claim.items() {
        Some(mut items) => items.any(|item| equals(item, text)),
        None => equals(claim, text),
    }))
}

/// Whether a string begins with one of `texts`; `None` for other types. Nothing begins with an empty
/// text: that is the value of a variable that is not set.
fn has_prefix<'v>(claim: Value<'_>, mut texts: impl Iterator<Item = &'v [u8]>) -> Option<bool> {
    let claim = claim.as_str()?.as_bytes();
    Some(texts.any(|text| !text.is_empty() && claim.starts_with(text)))
}

/// A test whether a text is in a claim that is a set: an array, or a string of words separated by
/// spaces, such as `scope` (RFC 8693 section 4.2); `None` for other types.
fn in_set<'d>(claim: Value<'d>) -> Option<impl Fn(&[u8]) -> bool + 'd> {
    let words = claim.as_str();
    (words.is_some() || claim.items().is_some()).then_some(move |text: &[u8]| match words {
        Some(words) => {
            let mut words = words.as_bytes().split(|byte| *byte == b' ');
            !text.is_empty() && words.any(|word| word == text)
        }
        None => claim.items().into_iter().flatten().any(|item| equals(item, text)),
    })
}

/// Whether a value equals a text: strings byte for byte, numbers by value, `true`, `false` and `null` by
/// name.
fn equals(value: Value<'_>, text: &[u8]) -> bool {
    if let Some(string) = value.as_str() {
        string.as_bytes() == text
    } else if let Some(number) = value.as_number() {
        Number::parse(text).is_some_and(|other| number.compare(other).is_eq())
    } else if let Some(bool) = value.as_bool() {
        text == if bool { &b"true"[..] } else { b"false" }
    } else {
        value.is_null() && text == b"null"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIMS: &str = r#"{
        "role":"editor", "scope":"read write", "roles":["admin",5,true,{"a":1}], "level":7,
        "ratio":0.5, "ok":true, "nothing":null, "big":18446744073709551615, "empty":"",
        "https://x.y/roles":["url"], "https://x.y/app":{"id":"deep"},
        "a":{"b":{"c":"nested"},"b.c":"dotted"}, "a.b":"top"
    }"#;

    fn holds(rule: &str) -> bool {
        let mut words = rule.split(' ');
        let (path, operator) = (words.next().unwrap(), words.next().unwrap());
        let values: Vec<_> = words.map(|word| word.replace('_', " ")).collect();
        let operator = Operator::from_name(operator).unwrap();
        let known: Vec<_> = values.iter().map(|value| Some(value.as_str())).collect();
        let rule = ClaimRule::new(path, operator, &known).unwrap();
        rule.holds(&Document::parse(CLAIMS.as_bytes().to_vec()).unwrap(), &values)
    }

    #[test]
    fn every_operator_accepts_and_refuses() {
        for rule in [
            "role = editor",
            "role = admin editor",
            "level = 7",
            "level = 7.0",
            "level = 70e-1",
            "ok = true",
            "nothing = null",
            "roles = admin",
            "roles = 5",
            "roles = true",
            "big = 18446744073709551615",
            "role != admin",
            "roles != editor",
            "level != x",
            "role ^~ edi",
            "role ^~ x ed",
            "role !^~ x",
            "role ~ ^e.*r$",
            "role ~* ^EDITOR$",
            "role !~ ^x",
            "role !~* ^X",
            "role exists",
            "nothing exists",
            "nope !exists",
            "scope any x write",
            "scope all read write",
            "scope none admin",
            "roles any admin x",
            "roles all admin 5 true",
            "roles none editor",
            "level < 8",
            "level <= 7",
            "level > 6.9",
            "level >= 7",
            "ratio < 1",
            "big > 18446744073709551614",
            "role any editor",
        ] {
            assert!(holds(rule), "{rule}");
        }
        for rule in [
            "role = Editor",
            "role = edit",
            "level = 8",
            "level = seven",
            "ok = 1",
            "ok = True",
            "nothing = 0",
            "roles = editor",
            "big = 18446744073709551614",
            "role != editor x",
            "roles != admin",
            "role ^~ dit",
            "role !^~ ed",
            "role ~ ^E",
            "role !~ ^e",
            "role !~* ^E",
            "nope exists",
            "role !exists",
            "scope any x",
            "scope all read x",
            "scope none x read",
            "roles all admin x",
            "roles none admin",
            "level < 7",
            "level > 7",
            "level >= 8",
            "level <= 6",
            "scope any read_write",
        ] {
            assert!(!holds(rule), "{rule}");
        }
    }

    #[test]
    fn what_cannot_apply_does_not_hold_and_absence_satisfies_only_not_exists() {
        for operator in ["=", "!=", "^~", "!^~", "~", "!~", "any", "all", "none", "<", ">="] {
            assert!(!holds(&format!("nope {operator} 1")), "{operator}");
            assert!(!holds(&format!("a {operator} 1")), "object {operator}");
        }
        for rule in [
            "level ^~ 7",
            "level !^~ 8",
            "level ~ 7",
            "level !~ 8",
            "level any 7",
            "level none 8",
            "role < 7",
            "role >= 7",
            "roles ^~ adm",
            "roles ~ adm",
            "ok < 2",
            "nothing none x",
        ] {
            assert!(!holds(rule), "{rule}");
        }
    }

    #[test]
    fn paths_take_the_exact_name_first_and_then_descend() {
        assert!(holds("a.b = top"));
        assert!(holds("a.b.c = dotted"));
        assert!(holds("https://x.y/roles = url"));
        assert!(holds("https://x.y/app.id = deep"));
        assert!(holds("role.x !exists"));
        assert!(holds("roles.0 !exists"));
        let payload = Document::parse(br#"{"a":{"b":{"c":1}}}"#.to_vec()).unwrap();
        assert!(ClaimPath::new("a.b.c").unwrap().find(payload.root()).is_some());
    }

    #[test]
    fn what_is_unknown_is_told_apart_from_what_does_not_hold() {
        let payload = br#"{"s":"a b","n":1,"o":{"a":1},"mix":[{"v":1},{"v":["a"]},{}],"z":null}"#;
        let payload = Document::parse(payload.to_vec()).unwrap();
        let new = |path, operator| {
            ClaimRule::new(path, Operator::from_name(operator).unwrap(), &[None]).unwrap()
        };
        let judge = |path, operator, value: &str| new(path, operator).judge(&payload, &[value]);
        for (path, operator, value, verdict) in [
            ("s", "any", "a", Some(true)),
            ("s", "any", "c", Some(false)),
            ("nope", "any", "a", Some(false)),
            ("nope", "none", "a", Some(false)),
            ("nope[*]", "!=", "a", Some(false)),
            ("z", "any", "a", Some(false)),
            ("z", "none", "a", Some(false)),
            ("z", "=", "null", Some(true)),
            ("n", "any", "1", None),
            ("n", "none", "1", None),
            ("o", "any", "a", None),
            ("o", "!=", "a", None),
            ("s", "<", "1", None),
            ("n", "<", "many", None),
            ("mix[*].v", "any", "a", Some(true)),
            ("mix[*].v", "any", "b", None),
            ("mix[1].v", "any", "b", Some(false)),
            ("mix[*].v", "=", "1", Some(true)),
            ("mix[*].v", "!=", "1", Some(true)),
            ("mix[*].w", "!=", "1", Some(false)),
        ] {
            assert_eq!(judge(path, operator, value), verdict, "{path} {operator} {value}");
        }
        let bound = |operator, values: &[&str]| {
            let rule = ClaimRule::new("s", operator, &vec![None; values.len()]).unwrap();
            let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            rule.judge_bound(&payload, &values, false)
        };
        assert_eq!(bound(Operator::Any, &["a", ""]), Some(true));
        assert_eq!(bound(Operator::Any, &["c", ""]), None);
        assert_eq!(bound(Operator::Any, &["c"]), Some(false));
        assert_eq!(bound(Operator::All, &[""]), None);
    }

    #[test]
    fn an_unset_variable_is_a_prefix_of_nothing() {
        let payload = Document::parse(CLAIMS.as_bytes().to_vec()).unwrap();
        let rule = ClaimRule::new("role", Operator::Prefix, &[None]).unwrap();
        assert!(rule.holds(&payload, &["ed"]));
        assert!(!rule.holds(&payload, &[""]));
        let bound = |claim, operator, values: &[&str]| {
            let rule = ClaimRule::new(claim, operator, &vec![None; values.len()]).unwrap();
            let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            rule.judge_bound(&payload, &values, false) == Some(true)
        };
        for operator in [Operator::Equal, Operator::Prefix, Operator::Any] {
            assert!(bound("role", operator, &["editor"]));
            assert!(bound("role", operator, &["", "editor"]));
            assert!(!bound("role", operator, &[""]));
            assert!(!bound("empty", operator, &[""]));
        }
        for operator in [Operator::NotEqual, Operator::NotPrefix, Operator::None] {
            assert!(bound("role", operator, &["x"]));
            assert!(!bound("role", operator, &["x", ""]));
        }
        assert!(!bound("scope", Operator::All, &["read", ""]));
    }

    #[test]
    fn senseless_rules_are_refused() {
        let new = |path, operator, values: &[Option<&str>]| {
            ClaimRule::new(path, Operator::from_name(operator).unwrap(), values).map(drop)
        };
        assert!(matches!(new("", "exists", &[]), Err(RuleError::Path)));
        assert!(matches!(new("a", "exists", &[Some("x")]), Err(RuleError::Values(..))));
        assert!(matches!(new("a", "=", &[]), Err(RuleError::Values(..))));
        assert!(matches!(new("a", "<", &[Some("1"), Some("2")]), Err(RuleError::Values(..))));
        assert!(matches!(new("a", "<", &[Some("x")]), Err(RuleError::Number(_))));
        assert!(matches!(new("a", "~", &[Some("(")]), Err(RuleError::Pattern(..))));
        assert!(matches!(new("a", "^~", &[Some("")]), Err(RuleError::EmptyPrefix)));
        assert!(new("a", "<", &[None]).is_ok());
        assert_eq!(Operator::from_name("=="), None);
    }
}
