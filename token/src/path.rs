//! Paths to claims.

use crate::json::Value;

/// How many dots and brackets a path may contain. The next name may begin after each dot, so they
/// multiply the work.
const MAX_STEPS: usize = 16;

/// The path of a claim: names of members joined by dots, with `[0]` for an element of an array, counted
/// from 0, and `[*]` for each element.
#[derive(Debug, Clone)]
pub struct ClaimPath {
    path: Box<str>,
    cuts: Box<[Cut]>,
}

/// A place where the name of a member may end.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Where the name ends.
    at: usize,
    /// Where the path goes on.
    rest: usize,
    step: Step,
}

/// What follows the name of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Dot,
    Element(usize),
    EachElement,
}

/// Where a search has come to.
#[derive(Clone, Copy)]
enum From {
    /// Before a name.
    Name,
    /// After a bracket, so another bracket may follow, or the end.
    Bracket,
}

impl ClaimPath {
    /// Parses a path; `None` if it is empty or contains more than 16 dots and brackets.
    pub fn new(path: &str) -> Option<Self> {
        let steps = path.match_indices(['.', '[']);
        let cuts: Box<[Cut]> = steps.filter_map(|(at, _)| cut(path, at)).collect();
        (!path.is_empty() && cuts.len() <= MAX_STEPS).then(|| Self { path: path.into(), cuts })
    }

    /// The value at the path; the first of them if it has `[*]`. A member with exactly this name comes
    /// first, since names may contain dots and brackets themselves (`https://example.com/roles`).
    /// Otherwise the longest part of the path that names a member is taken, and the rest is searched for
    /// in its value.
    pub fn find<'d>(&self, root: Value<'d>) -> Option<Value<'d>> {
        if self.cuts.is_empty() {
            return root.get(&self.path);
        }
        let mut found = None;
        self.any(root, |value| {
            found = Some(value);
            true
        });
        found
    }

    /// Calls `stop` for each value at the path until it returns true. Returns whether there is a value.
    ///
    /// Two ways through the path never lead to the same value, so no value is looked at twice.
    pub fn any<'d>(&self, root: Value<'d>, stop: impl FnMut(Value<'d>) -> bool) -> bool {
        self.walk(root, stop).found
    }

    /// As [`ClaimPath::any`].
    pub fn walk<'d>(&self, root: Value<'d>, mut stop: impl FnMut(Value<'d>) -> bool) -> Walk {
        let mut search = Search { path: self, stop: &mut stop, stopped: false, misfit: false };
        let found = search.from(root, 0, From::Name, &self.cuts);
        Walk { found, misfit: search.misfit }
    }

    /// Whether it may lead to several values.
    pub fn leads_to_many(&self) -> bool {
        self.cuts.iter().any(|cut| cut.step == Step::EachElement)
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.path
    }
}

/// Where a path has led.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    /// Whether there is a value at the path.
    pub found: bool,
    /// Whether a value on the way is of a type that the path does not lead through: `groups[*]` if `groups` is
    /// a string.
    pub misfit: bool,
}

/// The cut at a dot, or at a bracket that is a step. Other brackets are a part of the name.
fn cut(path: &str, at: usize) -> Option<Cut> {
    let rest = path.get(at..)?;
    let Some(inner) = rest.strip_prefix('[') else {
        return Some(Cut { at, rest: at + 1, step: Step::Dot });
    };
    let (inner, after) = inner.split_once(']')?;
    let step = match inner {
        "*" => Step::EachElement,
        _ if inner.bytes().all(|byte| byte.is_ascii_digit()) => Step::Element(inner.parse().ok()?),
        _ => return None,
    };
    let end = path.len() - after.len();
    let rest = match after.as_bytes() {
        [] | [b'[', ..] => end,
        [b'.', _, ..] => end + 1,
        _ => return None,
    };
    Some(Cut { at, rest, step })
}

struct Search<'p, 'd> {
    path: &'p ClaimPath,
    stop: &'p mut dyn FnMut(Value<'d>) -> bool,
    stopped: bool,
    misfit: bool,
}

impl<'d> Search<'_, 'd> {
    /// Searches `value` for the path from byte `start` on, where `cuts` are. Returns whether anything was
    /// found.
    fn from(&mut self, value: Value<'d>, start: usize, from: From, cuts: &[Cut]) -> bool {
        let Some(rest) = self.path.path.get(start..) else { return false };
        if matches!(from, From::Bracket) {
            if rest.is_empty() {
                self.stopped = (self.stop)(value);
                return true;
            }
            // `a[0][1]`: the second bracket is of the value itself.
            let next = cuts.split_first().filter(|(cut, _)| cut.at == start);
            return next.is_some_and(|(cut, later)| self.step(value, cut, later));
        }
        self.misfit |= !value.is_object() && !value.is_null();
        if let Some(found) = value.get(rest) {
            self.stopped = (self.stop)(found);
            return true;
        }
        (0..cuts.len()).rev().any(|i| {
            let later = cuts.get(i..).and_then(<[Cut]>::split_first);
            later.is_some_and(|(cut, later)| {
                let name = self.path.path.get(start..cut.at);
                let inner = name.and_then(|name| value.get(name));
                inner.is_some_and(|inner| self.step(inner, cut, later))
            })
        })
    }

    /// Takes the step of `cut` from `value` and goes on with the path after it.
    fn step(&mut self, value: Value<'d>, cut: &Cut, later: &[Cut]) -> bool {
        let from = match self.path.path.as_bytes().get(cut.rest.saturating_sub(1)) {
            Some(b']') => From::Bracket,
            _ => From::Name,
        };
        self.misfit |= cut.step != Step::Dot && value.items().is_none() && !value.is_null();
        let mut items = value.items().into_iter().flatten();
        match cut.step {
            Step::Dot => self.from(value, cut.rest, From::Name, later),
            Step::Element(at) => {
                items.nth(at).is_some_and(|item| self.from(item, cut.rest, from, later))
            }
            Step::EachElement => {
                let mut found = false;
                for item in items {
                    found |= self.from(item, cut.rest, from, later);
                    if self.stopped {
                        break;
                    }
                }
                found
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;

    const CLAIMS: &str = r#"{
        "a":[{"b":1,"c":[10,11]},{"b":2},[20,[21]],5],
        "x[0]":"named", "x":["element"], "d.e":[{"f.g":"dotted"}], "s":"text", "none":[],
        "y":{"z[1]":"inner","z":["0","1"]}, "odd[x]":"odd", "[0]":"start", "a[":"open", "":[7]
    }"#;

    /// All values at the path, as JSON.
    fn all(path: &str) -> String {
        let document = Document::parse(CLAIMS.as_bytes().to_vec()).unwrap();
        let mut found = Vec::new();
        let path = ClaimPath::new(path).unwrap();
        let any = path.any(document.root(), |value| {
            let mut text = String::new();
            value.write_json(&mut text);
            found.push(text);
            false
        });
        assert_eq!(any, !found.is_empty());
        found.join(" ")
    }

    #[test]
    fn brackets_lead_through_arrays() {
        for (path, found) in [
            ("a[0].b", "1"),
            ("a[1].b", "2"),
            ("a[*].b", "1 2"),
            ("a[0].c[1]", "11"),
            ("a[*].c[*]", "10 11"),
            ("a[2][0]", "20"),
            ("a[2][1][0]", "21"),
            ("a[*][*]", "20 [21]"),
            ("a[*][*][*]", "21"),
            ("a[3]", "5"),
            ("a[4]", ""),
            ("a[0].x", ""),
            ("a[99999999999999999999999]", ""),
            ("s[0]", ""),
            ("none[*]", ""),
            ("y[*]", ""),
            ("d.e[0].f.g", "\"dotted\""),
            ("d.e[*].f.g", "\"dotted\""),
        ] {
            assert_eq!(all(path), found, "{path}");
        }
    }

    #[test]
    fn a_member_of_exactly_that_name_comes_first() {
        for (path, found) in [
            ("x[0]", "\"named\""),
            ("x[*]", "\"element\""),
            ("y.z[1]", "\"inner\""),
            ("y.z[0]", "\"0\""),
            ("odd[x]", "\"odd\""),
            ("[0]", "\"start\""),
            ("a[", "\"open\""),
            ("a[-1]", ""),
            ("a[]", ""),
            ("a[0]b", ""),
            ("a[0].", ""),
            ("a[ 0]", ""),
            ("a[+0]", ""),
        ] {
            assert_eq!(all(path), found, "{path}");
        }
    }

    #[test]
    fn steps_are_bounded() {
        assert!(ClaimPath::new("").is_none());
        assert!(ClaimPath::new(&"a.".repeat(17)).is_none());
        assert!(ClaimPath::new(&format!("a{}", "[*]".repeat(16))).is_some());
        assert!(ClaimPath::new(&format!("a{}", "[*]".repeat(17))).is_none());
        assert!(ClaimPath::new("a[*]").unwrap().leads_to_many());
        assert!(!ClaimPath::new("a[0].*").unwrap().leads_to_many());
    }
}
