//! Patterns of `regex:` containers (RFC 9246 section 2.1.15.2): POSIX extended regular expressions in the
//! POSIX locale, matched with the whole URI in linear time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::is_meta_character;

/// The longest pattern, in characters.
const LONGEST: usize = 2048;

/// How large a compiled pattern may be, in bytes; and what a search may remember to be fast.
const PROGRAM: usize = 256 << 10;
const SEARCH: usize = 256 << 10;

/// The character classes (POSIX.1 section 9.3.5).
const CLASSES: [&str; 12] = [
    "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "xdigit",
];

/// How many patterns a generation remembers. There are two.
const REMEMBERED: usize = 32;

/// Why a pattern cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum PatternError {
    #[error("the pattern has more than {LONGEST} characters")]
    TooLong,
    #[error("the pattern has characters that no URI has")]
    Characters,
    #[error("the pattern has parentheses or brackets that do not fit together")]
    Unbalanced,
    #[error("the pattern has \"\\\" before a letter or digit, or at its end")]
    Escape,
    #[error(
        "the pattern has \"(?\", \"[.\" or \"[=\", or a class that POSIX does not have: these are not supported"
    )]
    Unsupported,
    #[error("the pattern cannot be compiled, or would be too large")]
    Syntax,
}

/// Compiled patterns, the last ones. Tokens with the same pattern come again and again.
///
/// What is remembered is bounded: of each generation so many patterns, and each of them in size. Those
/// that were used in the younger generation are kept when the older one is dropped.
#[derive(Debug, Default)]
pub struct Patterns(RefCell<Generations>);

#[derive(Debug, Default)]
struct Generations {
    younger: HashMap<Box<str>, Rc<Regex>>,
    older: HashMap<Box<str>, Rc<Regex>>,
}

impl Patterns {
    /// Whether `pattern` matches the whole of each of `texts`.
    pub(super) fn match_all(&self, pattern: &str, texts: &[&str]) -> Result<bool, PatternError> {
        let regex = self.compiled(pattern)?;
        Ok(texts.iter().all(|text| regex.is_match(text.as_bytes())))
    }

    fn compiled(&self, pattern: &str) -> Result<Rc<Regex>, PatternError> {
        let mut all = self.0.borrow_mut();
        if let Some(known) = all.younger.get(pattern) {
            return Ok(Rc::clone(known));
        }
        let known = match all.older.remove(pattern) {
            Some(known) => known,
            None => Rc::new(compile(pattern)?),
        };
        if all.younger.len() >= REMEMBERED {
            all.older = std::mem::take(&mut all.younger);
        }
        all.younger.insert(pattern.into(), Rc::clone(&known));
        Ok(known)
    }
}

fn compile(pattern: &str) -> Result<Regex, PatternError> {
    if pattern.len() > LONGEST {
        return Err(PatternError::TooLong);
    }
    // Parentheses are balanced, so the outer ones are around the whole.
    let whole = format!("^(?:{})$", translated(pattern)?);
    let builder =
        RegexBuilder::new(&whole).unicode(false).size_limit(PROGRAM).dfa_size_limit(SEARCH).build();
    builder.map_err(|_| PatternError::Syntax)
}

/// The pattern as the engine writes it. The two differ in brackets, where the engine knows sets within
/// sets (`[a&&b]`) and escapes, and in what follows `\` and `(?`.
fn translated(pattern: &str) -> Result<String, PatternError> {
    if !pattern.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err(PatternError::Characters);
    }
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars();
    let mut depth = 0_u32;
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some(char) if char.is_ascii_punctuation() => push_literal(&mut out, char),
                // No part of POSIX, but what patterns for other engines use, and it has one meaning.
                Some(char @ ('d' | 'D' | 's' | 'S' | 'w' | 'W')) => out.extend(['\\', char]),
                _ => return Err(PatternError::Escape),
            },
            '[' => {
                let len = bracket(chars.as_str(), &mut out)?;
                chars = chars.as_str().get(len..).unwrap_or_default().chars();
            }
            '(' => {
                let rest = chars.as_str();
                if rest.starts_with('?') && !rest.starts_with("?:") {
                    return Err(PatternError::Unsupported);
                }
                depth += 1;
                out.push(char);
            }
            ')' => {
                depth = depth.checked_sub(1).ok_or(PatternError::Unbalanced)?;
                out.push(char);
            }
            _ => out.push(char),
        }
    }
    if depth == 0 { Ok(out) } else { Err(PatternError::Unbalanced) }
}

fn push_literal(out: &mut String, char: char) {
    if is_meta_character(char) {
        out.push('\\');
    }
    out.push(char);
}

/// Translates a bracket expression (POSIX.1 section 9.3.5). `text` is what follows the first bracket;
/// returns how much of it the expression has.
fn bracket(text: &str, out: &mut String) -> Result<usize, PatternError> {
    let mut rest = text;
    out.push('[');
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut is_first = true;
    loop {
        let mut chars = rest.chars();
        let char = chars.next().ok_or(PatternError::Unbalanced)?;
        let after = chars.as_str();
        rest = match char {
            ']' if !is_first => {
                out.push(']');
                return Ok(text.len() - after.len());
            }
            '[' if after.starts_with(':') => {
                let (class, after) = after.split_once(":]").ok_or(PatternError::Unbalanced)?;
                // The engine takes other names for a set within the set.
                if !class.strip_prefix(':').is_some_and(|class| CLASSES.contains(&class)) {
                    return Err(PatternError::Unsupported);
                }
                out.push('[');
                out.push_str(class);
                out.push_str(":]");
                after
            }
            '[' if after.starts_with(['.', '=']) => return Err(PatternError::Unsupported),
            _ => {
                push_literal(out, char);
                after
            }
        };
        is_first = false;
        // A range, unless the hyphen is the last one.
        if let Some(to) = rest.strip_prefix('-').filter(|to| !to.starts_with(']')) {
            let end = to.chars().next().ok_or(PatternError::Unbalanced)?;
            if char == '[' && out.ends_with(":]") || end == '[' {
                return Err(PatternError::Unsupported);
            }
            out.push('-');
            push_literal(out, end);
            rest = to.get(end.len_utf8()..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, text: &str) -> Result<bool, PatternError> {
        Patterns::default().match_all(pattern, &[text])
    }

    #[test]
    fn the_whole_uri_must_match() {
        for (pattern, text, matches) in [
            ("http://h/a", "http://h/a", true),
            ("http://h/a", "http://h/ab", false),
            ("http://h/a", "xhttp://h/a", false),
            ("h|http://h/a", "http://h/a", true),
            ("http://h/a|b", "http://h/b", false),
            ("http://h/a|b", "http://h/ac", false),
            ("(http://h/)(a|b)", "http://h/b", true),
            ("^http://h/a$", "http://h/a", true),
            ("(^http://h/a$)|x", "http://h/a", true),
            ("a^b", "a^b", false),
            (r"a\^b\$", "a^b$", true),
            ("http://h/a", "http://h/a\n", false),
            ("", "", true),
            ("", "a", false),
            (".*", "http://h/a?b", true),
        ] {
            assert_eq!(is_match(pattern, text), Ok(matches), "{pattern} {text}");
        }
    }

    #[test]
    fn brackets_are_those_of_posix() {
        for (pattern, yes, no) in [
            ("[abc]", "abc", "d]["),
            ("[^abc]", "d]", "abc"),
            ("[]a]", "]a", "[b"),
            ("[^]a]", "b[", "]a"),
            ("[a-c]", "abc", "-d"),
            ("[a-]", "a-", "b"),
            ("[-a]", "a-", "b"),
            ("[^-a]", "b", "a-"),
            ("[+--]", "+,-", "*."),
            (r"[\d]", r"\d", "5"),
            (r"[\]", r"\", "]a"),
            (r"[a\]", r"\a", "]b"),
            ("[[]", "[", "]a"),
            ("[a[b]", "a[b", "]c"),
            ("[[:digit:]x]", "05x", "a:["),
            ("[^[:alnum:]]", "-.", "aZ9"),
            // What is a difference, an intersection or a set within a set for the engine.
            ("[a&&b]", "a&b", "c"),
            ("[^a&&b]", "c", "a&b"),
            ("[^?&&#]", "a", "?&#"),
            ("[a~~b]", "a~b", "c"),
            ("[^x-z--c]", "d~", "xyz-c5Aa"),
            ("[:alpha:]", ":alph", "b["),
        ] {
            for char in yes.chars() {
                assert_eq!(is_match(pattern, &char.to_string()), Ok(true), "{pattern} {char}");
            }
            for char in no.chars() {
                assert_eq!(is_match(pattern, &char.to_string()), Ok(false), "{pattern} {char}");
            }
        }
    }

    #[test]
    fn escapes_and_repetitions() {
        for (pattern, text) in [
            (r"http\:\/\/h\/a\.b\?x\=1\&y", "http://h/a.b?x=1&y"),
            (r"a\<b\>", "a<b>"),
            (r"[0-9]{3}\.ts", "123.ts"),
            (r".{2,}x{0}", "abcd"),
            (r"\d+\w\D\S\W", "12a-b-"),
            ("(?:a|b)+", "abab"),
            ("a*?b+", "aab"),
            ("a{2}{2}", "aaaa"),
            ("]}", "]}"),
            (r"\{\}", "{}"),
        ] {
            assert_eq!(is_match(pattern, text), Ok(true), "{pattern}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_no_pattern() {
        use PatternError::{Characters, Escape, Syntax, TooLong, Unbalanced, Unsupported};
        for (pattern, why) in [
            (")(", Unbalanced),
            ("a)|(b", Unbalanced),
            ("(a", Unbalanced),
            ("[a", Unbalanced),
            ("[]", Unbalanced),
            ("[^]", Unbalanced),
            ("[a-", Unbalanced),
            ("[[:alpha:", Unbalanced),
            ("[[:nothing:]]", Unsupported),
            ("[[:word:]]", Unsupported),
            ("[[:^alpha:]]", Unsupported),
            ("[[.a.]]", Unsupported),
            ("[[=a=]]", Unsupported),
            ("[[:digit:]-z]", Unsupported),
            ("[a-[.z.]]", Unsupported),
            ("[z-a]", Syntax),
            ("(?i)a", Unsupported),
            ("(?=a)", Unsupported),
            ("(?<n>a)", Unsupported),
            (r"a\", Escape),
            (r"\ba", Escape),
            (r"\A", Escape),
            (r"(a)\1", Escape),
            (r"\x41", Escape),
            (r"\n", Escape),
            ("*a", Syntax),
            ("a{2,1}", Syntax),
            ("a{", Syntax),
            ("\u{e9}", Characters),
            ("a\n", Characters),
            ("((a{100}){100}){100}", Syntax),
        ] {
            assert_eq!(is_match(pattern, "a"), Err(why), "{pattern}");
        }
        assert_eq!(is_match(&"a".repeat(LONGEST + 1), "a"), Err(TooLong));
        assert_eq!(is_match(&"a".repeat(LONGEST), "a"), Ok(false));
        assert_eq!(is_match(&"(".repeat(1000), "a"), Err(Unbalanced));
        let nested = "(".repeat(1000) + &")".repeat(1000);
        assert_eq!(is_match(&nested, "a"), Err(Syntax));
    }

    #[test]
    fn the_last_patterns_are_remembered_and_no_more() {
        let patterns = Patterns::default();
        for number in 0..10 * REMEMBERED {
            assert_eq!(patterns.match_all(&format!("a{number}"), &["a0"]), Ok(number == 0));
            patterns.match_all("used", &["a"]).unwrap();
        }
        let all = patterns.0.borrow();
        assert!(all.younger.len() <= REMEMBERED && all.older.len() <= REMEMBERED);
        assert!(all.younger.contains_key("used") || all.older.contains_key("used"));
        assert!(!all.younger.contains_key("a1") && !all.older.contains_key("a1"));
    }
}
