//! Lists of revoked tokens: by token identifier, subject, key, or any other claim.
//!
//! The files below it, each of which imports only those before: `line` (one line of a list), `hash` (what
//! stands for a value), `table` (of the hashes), `records` (on their way into a table), `reader`, `list`
//! (what is looked up in).

mod hash;
mod line;
mod list;
mod reader;
mod records;
mod table;

pub use self::line::ListError;
use self::list::Asked;
pub use self::list::{Finding, RevokedList, Times, Words};
pub use self::reader::ListReader;
pub use self::records::ListRecords;
use crate::json::{Document, Value};
use crate::path::ClaimPath;

/// A claim and the list of its revoked values. Tokens are revoked by their claims, never by their
/// bytes: many different tokens can have the same claims.
#[derive(Debug)]
pub struct Revocation {
    claim: ClaimPath,
    list: RevokedList,
    /// What the list is called in messages.
    name: Option<Box<str>>,
}

/// The token that is looked for in lists.
#[derive(Clone, Copy)]
pub(crate) struct Case<'t> {
    pub(crate) header: &'t Document,
    pub(crate) payload: &'t Document,
    /// The kid of the key that has verified it.
    pub(crate) key_kid: Option<&'t str>,
    pub(crate) times: Times,
}

impl Revocation {
    /// Revokes the tokens whose `claim` is in `list`. For `kid`, both the kid in the header and the
    /// kid of the key that verified the token are checked: somebody with a stolen key would leave it
    /// out of the header.
    pub fn new(claim: ClaimPath, list: RevokedList) -> Self {
        Self { claim, list, name: None }
    }

    /// A list that is not there, although it should be: no token can be checked. `what` is what messages
    /// call it, such as the URI that it comes from.
    pub fn missing(claim: ClaimPath, what: impl Into<Box<str>>) -> Self {
        Self::new(claim, RevokedList::missing()).named(what)
    }

    /// Says what messages call the list.
    #[must_use]
    pub fn named(self, what: impl Into<Box<str>>) -> Self {
        Self { name: Some(what.into()), ..self }
    }

    /// How many values the list has.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether the list has no value.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What is said of a token if the list is not there.
    pub(crate) fn what_is_missing(&self) -> String {
        match &self.name {
            Some(name) => format!("the list \"{}\" is not there", name.escape_default()),
            None => {
                format!("the list of {} is not there", self.claim.as_str().escape_default())
            }
        }
    }

    /// What is said of a token that is in the list.
    pub(crate) fn what_is_revoked(&self) -> String {
        let claim = self.claim.as_str().escape_default();
        match &self.name {
            Some(name) => format!("{claim} is in the list \"{}\"", name.escape_default()),
            None => format!("{claim} is in a list"),
        }
    }

    /// Whether the token is revoked. If the claim is an array, or the path leads to several values, one
    /// that is listed is enough.
    pub(crate) fn revokes(&self, case: Case<'_>) -> Finding {
        self.list.look(case.times, |list| self.is_listed(case, list))
    }

    fn is_listed(&self, case: Case<'_>, list: Asked<'_>) -> bool {
        let Case { header, payload, key_kid, .. } = case;
        let is_kid = self.claim.as_str() == "kid";
        if is_kid && key_kid.is_some_and(|kid| list.lists(kid)) {
            return true;
        }
        let of = if is_kid { header } else { payload };
        let listed = |value: Value<'_>| match value.as_str() {
            Some(text) => list.lists(text),
            None => value.as_number().is_some_and(|number| list.lists_number(number)),
        };
        let mut revoked = false;
        self.claim.any(of.root(), |value| {
            revoked = match value.items() {
                Some(mut items) => items.any(listed),
                None => listed(value),
            };
            revoked
        });
        revoked
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn times() -> Times {
        Times::new(1_800_000_000, None)
    }

    /// Words that were never written to.
    #[derive(Debug)]
    struct Zeros;

    impl Words for Zeros {
        fn with(&self, read: &mut dyn FnMut(&[AtomicU64])) {
            read(&[const { AtomicU64::new(0) }; 100]);
        }
    }

    fn document(text: &str) -> Document {
        Document::parse(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn strings_numbers_and_arrays_are_looked_up_and_kid_in_the_header() {
        let header = document(r#"{"kid":"x"}"#);
        let revokes = |claim: &str, payload: &str| {
            let list = RevokedList::parse(b"x\n7\n".to_vec()).unwrap();
            let revocation = Revocation::new(ClaimPath::new(claim).unwrap(), list);
            let payload = &document(payload);
            let case = Case { header: &header, payload, key_kid: None, times: times() };
            revocation.revokes(case) == Finding::Revoked
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
        let empty = &document("{}");
        for (kid, want) in [("stolen", Finding::Revoked), ("other", Finding::Clean)] {
            let case = Case { header: empty, payload: empty, key_kid: Some(kid), times: times() };
            assert_eq!(revocation.revokes(case), want, "{kid}");
        }
    }

    #[test]
    fn a_list_that_is_not_there_is_no_empty_list() {
        let empty = document("{}");
        let case = Case { header: &empty, payload: &empty, key_kid: None, times: times() };
        let claim = || ClaimPath::new("jti").unwrap();
        let missing = Revocation::missing(claim(), "/_revoked\n");
        assert_eq!(missing.revokes(case), Finding::Missing);
        assert_eq!(missing.what_is_missing(), r#"the list "/_revoked\n" is not there"#);
        assert!(missing.is_empty());
        let cleared = RevokedList::shared(Box::new(Zeros));
        assert_eq!(cleared.find("a", times()), Finding::Missing);
        let unnamed = Revocation::new(claim(), cleared);
        assert_eq!(unnamed.revokes(case), Finding::Missing);
        assert_eq!(unnamed.what_is_missing(), "the list of jti is not there");
        let empty = RevokedList::parse(Vec::new()).unwrap();
        assert_eq!(Revocation::new(claim(), empty).revokes(case), Finding::Clean);
    }
}
