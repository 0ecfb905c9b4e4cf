//! Where a URI has a token, and what is left of the URI without it (RFC 9246 section 2.1.15).

use std::borrow::Cow;

use super::spelling::{is_reserved, is_sub_delimiter, is_unreserved};
use crate::credential::{Found, argument};

/// Where a URI may have a token that does not count when it is compared (RFC 9246 section 2.1.15).
#[derive(Debug, Clone, Copy)]
pub enum Carrier<'c> {
    /// The value of the argument with this name, if it is there exactly once and in this spelling.
    Argument(&'c [u8]),
    /// This token, wherever it stands between reserved characters, with a name and `=` before it if it has
    /// them.
    Token(&'c [u8]),
}

/// A query without an argument, if it has it once and in this spelling; `None` if nothing else is there.
pub(super) fn without_argument<'q>(query: Cow<'q, [u8]>, name: &[u8]) -> Option<Cow<'q, [u8]>> {
    if !matches!(argument(&query, name), Found::One(_)) {
        return Some(query);
    }
    let is_it = |pair: &&[u8]| pair.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"="));
    let pairs = query.split(|byte| *byte == b'&');
    let kept: Vec<&[u8]> = pairs.filter(|pair| !is_it(pair)).collect();
    (!kept.is_empty()).then(|| Cow::Owned(kept.join(&b'&')))
}

/// A path and query without a token and the name before it: a token that a sub-delimiter ends goes with
/// that, another one with the reserved character before its name.
pub(super) fn without_token(target: String, token: &[u8]) -> String {
    let Some((start, end)) = find_token(target.as_bytes(), token) else { return target };
    let before = target.get(..start).unwrap_or_default();
    let after = target.get(end..).unwrap_or_default();
    if after.bytes().next().is_some_and(is_sub_delimiter) {
        return [before, after.get(1..).unwrap_or_default()].concat();
    }
    let shorter = start.checked_sub(1).and_then(|start| target.get(..start));
    [shorter.unwrap_or_default(), after].concat()
}

/// Where a token is, with its name and `=` if it has them. It must stand alone: between reserved
/// characters, or at the end.
fn find_token(target: &[u8], token: &[u8]) -> Option<(usize, usize)> {
    if token.is_empty() || token.iter().any(|byte| !is_unreserved(*byte)) {
        return None;
    }
    let reserved = target.iter().enumerate().filter(|(_, byte)| is_reserved(**byte));
    let mut found = reserved.filter(|(at, _)| {
        let rest = target.get(at + 1..).and_then(|rest| rest.strip_prefix(token));
        rest.is_some_and(|rest| rest.first().is_none_or(|byte| is_reserved(*byte)))
    });
    found.find_map(|(at, byte)| {
        let name = match byte {
            b'=' => {
                let name = target.get(..at)?;
                let len = name.iter().rev().take_while(|byte| is_unreserved(**byte)).count();
                at - len
            }
            _ => at + 1,
        };
        let begins = name.checked_sub(1).and_then(|at| target.get(at));
        begins.is_some_and(|byte| is_reserved(*byte)).then_some((name, at + 1 + token.len()))
    })
}
