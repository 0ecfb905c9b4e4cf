//! What a token says of its status (section 6.2 of the draft), and what is said of it.

use std::borrow::Cow;

use super::table::StatusTable;
use crate::content::Content;
use crate::json::{Document, Number, Value};
use crate::refusal::{Refusal, Why, kind, shown_text};
use crate::reject::Reject;

/// Where a token's status is: the claims `status.status_list.uri` and `status.status_list.idx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRef<'t> {
    /// The list. It has only characters that a URI may have (RFC 3986 section 2), but need not be one.
    pub uri: &'t str,
    /// The index in it.
    pub index: u64,
}

impl<'t> StatusRef<'t> {
    /// Reads the reference of a token that was verified; `None` if it has none: no `status`, or one
    /// without `status_list`. Null is as good as absent there. Other members of both are ignored.
    ///
    /// JSON has one type of number, so an index may be written as `1.0` or `1e3`.
    ///
    /// # Errors
    /// A member has another type or value than it must have, or is missing.
    pub fn of(content: &'t Content) -> Result<Option<Self>, Refusal> {
        Self::read(content.payload.root()).map_err(|why| Refusal::of(&content.header, why))
    }

    /// As [`StatusRef::of`], of claims that need not be verified.
    ///
    /// # Errors
    /// As [`StatusRef::of`], without the kid.
    pub fn of_claims(claims: &'t Document) -> Result<Option<Self>, Refusal> {
        Self::read(claims.root()).map_err(Refusal::from)
    }

    fn read(payload: Value<'t>) -> Result<Option<Self>, Why> {
        let present = |value: &Value<'t>| !value.is_null();
        let Some(status) = payload.get("status").filter(present) else { return Ok(None) };
        if !status.is_object() {
            return Err(wrong_type("status", status));
        }
        let Some(list) = status.get("status_list").filter(present) else { return Ok(None) };
        if !list.is_object() {
            return Err(wrong_type("status.status_list", list));
        }
        let uri = uri(list.get("uri").ok_or_else(|| bad("status.status_list.uri is missing"))?)?;
        let index = list.get("idx").ok_or_else(|| bad("status.status_list.idx is missing"))?;
        let number = index.as_number().ok_or_else(|| wrong_type(INDEX, index))?;
        Ok(Some(Self { uri, index: index_of(number)? }))
    }

    /// Judges the token that this was read from by its list: 0 passes, 1 is revoked, 2 is suspended. Any
    /// other value is refused, and so is an index that the list does not have (section 8.3 of the draft).
    ///
    /// # Errors
    /// The refusal.
    pub fn check(&self, content: &Content, table: &StatusTable<'_>) -> Result<(), Refusal> {
        let uri = || shown_text(self.uri);
        let why = match table.status_at(self.index) {
            Some(0) => return Ok(()),
            Some(1) => Why::new(Reject::Revoked, format!("by the status list {}", uri())),
            Some(2) => Why::new(Reject::Suspended, format!("by the status list {}", uri())),
            Some(value) => bad(format!("value {value} in the status list {}", uri())),
            None => {
                let (index, entries) = (self.index, table.entries());
                bad(format!("index {index} is beyond the {entries} entries of {}", uri()))
            }
        };
        Err(Refusal::of(&content.header, why))
    }

    /// The refusal of the token that this was read from where no configuration covers its list.
    pub fn uncovered(&self, content: &Content) -> Refusal {
        let why = bad(format!("no jwt_status_list covers {}", shown_text(self.uri)));
        Refusal::of(&content.header, why)
    }

    /// The refusal of the token that this was read from while its list is not there.
    pub fn without_list(&self, content: &Content) -> Refusal {
        let detail = format!("the status list {} is not there", shown_text(self.uri));
        Refusal::of(&content.header, Why::new(Reject::NoList, detail))
    }

    /// The refusal of a token without a reference where one is required.
    pub fn required(content: &Content) -> Refusal {
        Refusal::of(&content.header, bad("the token has no status"))
    }
}

const URI: &str = "status.status_list.uri";
const INDEX: &str = "status.status_list.idx";

fn bad(detail: impl Into<Cow<'static, str>>) -> Why {
    Why::new(Reject::BadStatus, detail)
}

fn wrong_type(member: &str, value: Value<'_>) -> Why {
    bad(format!("{member} is {}", kind(value)))
}

/// The uri. It becomes a part of what is asked for, so it must not have characters that end a line or are
/// read in several ways.
fn uri(value: Value<'_>) -> Result<&str, Why> {
    let uri = value.as_str().filter(|uri| !uri.is_empty());
    let uri = uri.ok_or_else(|| wrong_type(URI, value))?;
    let is_known =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    match uri.bytes().all(is_known) {
        true => Ok(uri),
        false => Err(bad(format!("{URI} is {}, no URI", shown_text(uri)))),
    }
}

fn index_of(number: Number<'_>) -> Result<u64, Why> {
    number.as_u64().ok_or_else(|| {
        let fault = match () {
            () if number.cmp_int(0).is_lt() => "is negative",
            () if number.cmp_int(i64::MAX).is_gt() => "is too large",
            () => "is no integer",
        };
        bad(format!("{INDEX} {fault}"))
    })
}
