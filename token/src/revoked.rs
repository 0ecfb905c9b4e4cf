//! Lists of what is revoked: token identifiers, subjects, keys, or any other claim.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

use crate::json::{Document, Value};
use crate::rules::ClaimPath;

/// The values of one list file: one a line, white space around them dropped; empty lines and lines
/// that begin with `#` do not count.
pub struct RevokedList {
    text: Box<str>,
    /// A hash table with linear probing: where in the text values begin, or [`EMPTY`]. A million
    /// identifiers cost eight bytes each beside the text, and one look-up a few places that are
    /// not in the processor's cache; sorted, it would be twenty, one after the other.
    places: Box<[u32]>,
    hasher: RandomState,
    len: usize,
}

/// No value. No text is so long that one begins there.
const EMPTY: u32 = u32::MAX;

/// How many places there are for each value: every other one is empty, so that a probe ends soon.
const PLACES: usize = 2;

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
        u32::try_from(text.len()).map_err(|_| 0_usize)?;
        let start = text.as_ptr() as usize;
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        // They fit, as the length of the text does.
        let values: Vec<u32> = lines.map(|line| (line.as_ptr() as usize - start) as u32).collect();
        let mut list = Self {
            text: text.into(),
            places: vec![EMPTY; values.len() * PLACES].into(),
            hasher: RandomState::new(),
            len: values.len(),
        };
        for value in values {
            // One that is there already is not put in again: its copies would be probed in turn.
            if let Err(Some(place)) = list.find(list.value(value))
                && let Some(place) = list.places.get_mut(place)
            {
                *place = value;
            }
        }
        Ok(list)
    }

    /// Whether the list holds `value`.
    pub fn contains(&self, value: &str) -> bool {
        self.find(value).is_ok()
    }

    /// How many values there are; one that is there twice counts twice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `Ok` if `value` is there, or else the place that it would take.
    fn find(&self, value: &str) -> Result<(), Option<usize>> {
        let (hash, places) = (self.hasher.hash_one(value), self.places.len());
        // The hash scaled to the number of places, for which that need not be a power of two.
        let home = ((u128::from(hash) * places as u128) >> u64::BITS) as usize;
        for place in (home..places).chain(0..home) {
            match self.places.get(place) {
                Some(&EMPTY) => return Err(Some(place)),
                Some(&start) if self.value(start) == value => return Ok(()),
                _ => {}
            }
        }
        Err(None)
    }

    /// The value that begins at `start` of the text: what is left of its line.
    fn value(&self, start: u32) -> &str {
        let rest = self.text.get(start as usize..).unwrap_or_default();
        rest.split('\n').next().unwrap_or_default().trim_end()
    }
}

impl fmt::Debug for RevokedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokedList").field("values", &self.len).finish_non_exhaustive()
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
    fn what_is_there_more_than_once_takes_one_place() {
        let list = RevokedList::parse("a\r\na \n b\nb".repeat(1_000).into_bytes()).unwrap();
        // "b" and "ba", where one copy ends and the next begins.
        assert_eq!(list.len(), 3_001);
        let taken = list.places.iter().filter(|place| **place != EMPTY).count();
        assert_eq!(taken, 3);
        for good in ["a", "b", "ba"] {
            assert!(list.contains(good), "{good}");
        }
    }

    #[test]
    fn what_reaches_beyond_a_line_is_not_there() {
        let list = RevokedList::parse(b"ab \ncd\r\nef".to_vec()).unwrap();
        for bad in ["ab ", "ab \ncd", "cd\r", "cd\r\nef", "a", "b", "abcd", "ef\n", " ab"] {
            assert!(!list.contains(bad), "{bad:?}");
        }
        assert!(!RevokedList::parse(b"# nothing\n".to_vec()).unwrap().contains(""));
    }

    #[test]
    fn nothing_is_shown_of_what_is_in_a_list() {
        let list = RevokedList::parse(b"somebody".to_vec()).unwrap();
        assert_eq!(format!("{list:?}"), "RevokedList { values: 1, .. }");
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
