//! Lists of what is revoked: token identifiers, subjects, keys, or any other claim.

use std::fmt;
use std::ops::Range;

use crate::json::{Document, Value};
use crate::rules::ClaimPath;

/// The values of one list file: one a line, white space around them dropped; empty lines and lines
/// that begin with `#` do not count.
pub struct RevokedList {
    text: Box<str>,
    /// Ranges of the text, sorted by what they hold: a million identifiers cost eight bytes each
    /// beside the text, and one look-up twenty comparisons.
    values: Box<[Range<u32>]>,
}

impl RevokedList {
    /// Reads a list.
    ///
    /// # Errors
    /// The number of the line that is not UTF-8, or 0 for a list of 4 GiB or more.
    pub fn parse(text: Vec<u8>) -> Result<Self, usize> {
        let text = String::from_utf8(text).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            1 + error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count()
        })?;
        let start = text.as_ptr() as usize;
        let offset = |at: usize| u32::try_from(at).map_err(|_| 0_usize);
        offset(text.len())?;
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        let mut values = lines
            .map(|line| {
                let from = line.as_ptr() as usize - start;
                Ok(offset(from)?..offset(from + line.len())?)
            })
            .collect::<Result<Vec<_>, usize>>()?;
        values.sort_unstable_by_key(|range| slice(&text, range));
        Ok(Self { values: values.into(), text: text.into() })
    }

    /// Whether the list holds `value`.
    pub fn contains(&self, value: &str) -> bool {
        self.values.binary_search_by(|range| slice(&self.text, range).cmp(value)).is_ok()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

fn slice<'t>(text: &'t str, range: &Range<u32>) -> &'t str {
    text.get(range.start as usize..range.end as usize).unwrap_or_default()
}

impl fmt::Debug for RevokedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokedList").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

/// Which claim is looked up in which list. Revocation goes by what a token says, never by its
/// bytes: the same claims can be spelt in more than one token.
#[derive(Debug)]
pub struct Revocation {
    claim: ClaimPath,
    list: RevokedList,
}

impl Revocation {
    /// Revokes the tokens whose `claim` is in `list`; `kid` means the key's, as the header names it
    /// and as the key that verified the token is called: whoever has a stolen key would leave its
    /// name out.
    pub fn new(claim: ClaimPath, list: RevokedList) -> Self {
        Self { claim, list }
    }

    /// Whether the token is revoked. Of an array each element counts.
    pub(crate) fn revokes(
        &self,
        header: &Document,
        payload: &Document,
        key_kid: Option<&str>,
    ) -> bool {
        let is_kid = self.claim.as_str() == "kid";
        if is_kid && key_kid.is_some_and(|kid| self.list.contains(kid)) {
            return true;
        }
        let of = if is_kid { header } else { payload };
        let listed = |value: Value<'_>| match value.as_str() {
            Some(text) => self.list.contains(text),
            None => value.as_number().is_some_and(|n| self.list.contains(&n.to_string())),
        };
        self.claim.find(of.root()).is_some_and(|value| match value.items() {
            Some(mut items) => items.any(listed),
            None => listed(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_lines_without_comments() {
        let list = RevokedList::parse(b"b\r\n# a\n\n  c d \na-1\n".to_vec()).unwrap();
        assert_eq!(list.len(), 3);
        for good in ["b", "c d", "a-1"] {
            assert!(list.contains(good), "{good}");
        }
        for bad in ["a", "", "# a", "c", "B"] {
            assert!(!list.contains(bad), "{bad}");
        }
        assert!(RevokedList::parse(Vec::new()).unwrap().is_empty());
        assert_eq!(RevokedList::parse(b"a\nb\n\xff\n".to_vec()).unwrap_err(), 3);
    }

    #[test]
    fn strings_numbers_and_arrays_are_looked_up_and_kid_in_the_header() {
        let document = |text: &str| Document::parse(text.as_bytes().to_vec()).unwrap();
        let header = document(r#"{"kid":"x"}"#);
        let revokes = |claim: &str, payload: &str| {
            let list = RevokedList::parse(b"x\n7\n".to_vec()).unwrap();
            let revocation = Revocation::new(ClaimPath::new(claim).unwrap(), list);
            revocation.revokes(&header, &document(payload), None)
        };
        assert!(revokes("jti", r#"{"jti":"x"}"#));
        assert!(revokes("sid", r#"{"sid":7}"#));
        assert!(revokes("groups", r#"{"groups":["a","x"]}"#));
        assert!(revokes("a.b", r#"{"a":{"b":"x"}}"#));
        assert!(revokes("kid", r#"{"kid":"y"}"#));
        assert!(!revokes("jti", r#"{"jti":"y"}"#));
        assert!(!revokes("jti", r#"{"sub":"x"}"#));
        assert!(!revokes("jti", r#"{"jti":{"x":"x"}}"#));
        let list = RevokedList::parse(b"stolen".to_vec()).unwrap();
        let revocation = Revocation::new(ClaimPath::new("kid").unwrap(), list);
        assert!(revocation.revokes(&document("{}"), &document("{}"), Some("stolen")));
        assert!(!revocation.revokes(&document("{}"), &document("{}"), Some("other")));
    }
}
