//! Claim paths and rules.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use token::json::Document;
use token::{ClaimPath, ClaimRule, Operator};

use crate::json::as_serde;
use crate::property::check;

/// The documented rule: the exact name first, then the longest part that names a member. A bracket after a
/// name is a step to an element, or to each.
fn find<'v>(value: &'v serde_json::Value, path: &str) -> Vec<&'v serde_json::Value> {
    if let Some(exact) = value.get(path) {
        return vec![exact];
    }
    let ends = path.rmatch_indices(['.', '[']).map(|(at, _)| path.split_at(at));
    let ways = ends.filter_map(|(name, rest)| Some(go_on(value.get(name)?, rest)));
    ways.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

/// What a path that begins with a dot or bracket finds in a value.
fn go_on<'v>(value: &'v serde_json::Value, path: &str) -> Vec<&'v serde_json::Value> {
    if let Some(rest) = path.strip_prefix('.') {
        return find(value, rest);
    }
    let Some((step, rest)) = bracket(path) else { return Vec::new() };
    let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let items = match step {
        None => all,
        Some(at) => all.get(at..=at).unwrap_or_default(),
    };
    items
        .iter()
        .flat_map(|item| if rest.is_empty() { vec![item] } else { go_on(item, rest) })
        .collect()
}

/// The bracket that a text begins with, if it is a step (`None` inside for `[*]`), and what follows it.
fn bracket(text: &str) -> Option<(Option<usize>, &str)> {
    let (inner, rest) = text.strip_prefix('[')?.split_once(']')?;
    let follows =
        rest.is_empty() || rest.starts_with('[') || (rest.starts_with('.') && rest.len() > 1);
    let step = match inner {
        "*" => None,
        _ if inner.bytes().all(|byte| byte.is_ascii_digit()) => Some(inner.parse().ok()?),
        _ => return None,
    };
    follows.then_some((step, rest))
}

/// How many steps a path has.
fn steps(path: &str) -> usize {
    let is_step = |at: &usize| path[*at..].starts_with('.') || bracket(&path[*at..]).is_some();
    path.match_indices(['.', '[']).map(|(at, _)| at).filter(is_step).count()
}

fn path() -> impl Strategy<Value = String> {
    let names = select(vec!["a", "b", "c", "a.b", "", "é", "b.c", "\"", "."]);
    let short = select(vec!["a", "b", "c"]);
    prop_oneof![
        16 => vec(short, 1..4).prop_map(|names| names.join(".")),
        8 => vec(select(vec!["a", ".a", "b", ".b", "[0]", "[*]", "[1]", "[", "[x]", "]"]), 1..7)
            .prop_map(|parts| parts.concat()),
        4 => vec(names, 1..6).prop_map(|names| names.join(".")),
        1 => any::<String>(),
        1 => (0_usize..30).prop_map(|dots| "a".to_owned() + &".".repeat(dots)),
    ]
}

fn claims() -> impl Strategy<Value = String> {
    let name = select(vec!["a", "b", "c", "a.b", "b.c", "", "é"]);
    let leaf = prop_oneof![
        select(vec!["x", "x y", "true", "null", "1", "", "read write"])
            .prop_map(|text| serde_json::json!(text)),
        any::<bool>().prop_map(|b| serde_json::json!(b)),
        (-3_i64..8).prop_map(|n| serde_json::json!(n)),
        Just(serde_json::json!(1.5)),
        Just(serde_json::Value::Null),
    ];
    let value = leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            2 => vec((name.clone(), inner.clone()), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
            1 => vec(inner, 0..4).prop_map(serde_json::Value::Array),
        ]
    });
    vec((select(vec!["a", "a", "b", "c", "a.b", "a[0]", "", "é"]), value), 1..6).prop_map(
        |members| {
            let object: serde_json::Map<_, _> =
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            serde_json::Value::Object(object).to_string()
        },
    )
}

#[test]
fn a_claim_path_finds_what_the_documented_rule_finds() {
    let found = Cell::new(0);
    check(4_000, (path(), claims()), |(path, claims)| {
        let document = Document::parse(claims.clone().into_bytes()).unwrap();
        let allowed = !path.is_empty() && steps(&path) <= 16;
        let Some(claim) = ClaimPath::new(&path) else { return assert!(!allowed, "{path:?}") };
        assert!(allowed, "{path:?}");
        let value: serde_json::Value = serde_json::from_str(&claims).unwrap();
        let mut ours = Vec::new();
        claim.any(document.root(), |value| {
            ours.push(as_serde(value));
            false
        });
        assert_eq!(ours.iter().collect::<Vec<_>>(), find(&value, &path), "{path:?} in {claims}");
        assert_eq!(claim.find(document.root()).map(as_serde).as_ref(), ours.first());
        found.set(found.get() + u32::from(!ours.is_empty()));
    });
    println!("{} found", found.get());
}

/// What the documentation of `jwt_claim` says of an operator that has no pattern.
fn holds(claim: Option<&serde_json::Value>, operator: &str, values: &[String]) -> bool {
    use serde_json::Value as V;
    let equals = |value: &V, text: &str| match value {
        V::String(string) => string == text,
        V::Number(number) => text
            .parse::<f64>()
            .is_ok_and(|other| is_json_number(text) && number.as_f64() == Some(other)),
        V::Bool(bool) => bool.to_string() == text,
        V::Null => text == "null",
        _ => false,
    };
    let Some(claim) = claim else { return operator == "!exists" };
    let mut values = values.iter().map(String::as_str);
    let in_set = |text: &str| match claim {
        V::String(words) => !text.is_empty() && words.split(' ').any(|word| word == text),
        V::Array(items) => items.iter().any(|item| equals(item, text)),
        _ => false,
    };
    let contains = |text: &str| match claim {
        V::Array(items) => items.iter().any(|item| equals(item, text)),
        other => equals(other, text),
    };
    let starts =
        |text: &str| !text.is_empty() && claim.as_str().is_some_and(|c| c.starts_with(text));
    let is_set = claim.is_string() || claim.is_array();
    let mut compared = |accepts: fn(f64, f64) -> bool| {
        let text = values.next().unwrap();
        match (claim.as_f64(), text.parse::<f64>()) {
            (Some(claim), Ok(value)) if is_json_number(text) => accepts(claim, value),
            _ => false,
        }
    };
    match operator {
        "exists" => true,
        "<" => compared(|a, b| a < b),
        "<=" => compared(|a, b| a <= b),
        ">" => compared(|a, b| a > b),
        ">=" => compared(|a, b| a >= b),
        "=" => values.any(contains),
        "!=" => !claim.is_object() && !values.any(contains),
        "^~" => values.any(starts),
        "!^~" => claim.is_string() && !values.any(starts),
        "any" => is_set && values.any(in_set),
        "all" => is_set && values.all(in_set),
        "none" => is_set && !values.any(in_set),
        _ => false, // !exists
    }
}

fn is_json_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok()
}

#[test]
fn a_rule_holds_when_the_documentation_says_so() {
    let operators = "= != ^~ !^~ exists !exists any all none < <= > >=";
    let operator = select(operators.split(' ').collect::<Vec<_>>());
    let value = prop_oneof![
        8 => select(vec!["x", "y", "true", "null", "1", "1.0", "1.5", "", "read", "+1", "nan", "7"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let (held, not) = (Cell::new(0), Cell::new(0));
    check(
        12_000,
        (path(), operator, vec(value, 0..3), claims()),
        |(path, name, values, claims)| {
            let operator = Operator::from_name(name).unwrap();
            // Values that a request brings are never refused beforehand.
            let unknown = vec![None; values.len()];
            let Ok(rule) = ClaimRule::new(&path, operator, &unknown) else { return };
            let document = Document::parse(claims.clone().into_bytes()).unwrap();
            let value: serde_json::Value = serde_json::from_str(&claims).unwrap();
            let ours = rule.holds(&document, &values);
            let found = find(&value, &path);
            let theirs = match found.as_slice() {
                [] => holds(None, name, &values),
                found => found.iter().any(|claim| holds(Some(claim), name, &values)),
            };
            assert_eq!(ours, theirs, "{path:?} {name} {values:?} in {claims}");
            let counter = if ours { &held } else { &not };
            counter.set(counter.get() + 1);
        },
    );
    println!("{} held, {} did not", held.get(), not.get());
    assert!(held.get() > 100 && not.get() > 100);
}

#[test]
fn rules_never_panic() {
    let operator = select(Operator::names().split(' ').map(str::to_owned).collect::<Vec<_>>());
    let values = vec(prop_oneof!["[a-z.*+?()|^$\\\\\\[\\]{}0-9]{0,12}", any::<String>()], 0..4);
    check(2_000, (path(), operator, values, claims()), |(path, operator, values, claims)| {
        let operator = Operator::from_name(&operator).unwrap();
        let known: Vec<_> = values.iter().map(|value| Some(value.as_str())).collect();
        if let Ok(rule) = ClaimRule::new(&path, operator, &known) {
            let document = Document::parse(claims.into_bytes()).unwrap();
            assert_eq!(rule.path(), path);
            rule.holds(&document, &values);
            rule.holds(&document, &[&b"\xff"[..], b""]);
            rule.holds::<&str>(&document, &[]);
        }
    });
}
