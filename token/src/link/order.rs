//! Making links.

use std::fmt;

/// A link that is to be made. What a format has no place for must be `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order<'o> {
    /// `https://host` of the link; empty if it is not known. Formats that sign whole URLs need it.
    pub origin: &'o str,
    /// The path as a URL has it, percent-encoded.
    pub path: &'o str,
    /// What the link must cover (`secure_token_value`), if it is another text than the path, decoded and
    /// normalised.
    pub value: Option<&'o [u8]>,
    /// The query that the link has without its signature, without a question mark; it may be empty.
    pub query: &'o str,
    /// The last second in which the link is valid, since the epoch.
    pub expires: i64,
    /// The first one.
    pub starts: Option<i64>,
    /// What it covers, if that is more than its own path: in the format's own notation.
    pub covers: Option<&'o str>,
    /// The client's address or network.
    pub address: Option<&'o str>,
    /// Whom or what the link names.
    pub id: Option<&'o str>,
    /// What it holds besides.
    pub data: Option<&'o str>,
}

/// What makes links of one format.
pub trait LinkSigner: fmt::Debug {
    /// The arguments that make the order's path a link, in their order: names, and values that need no further
    /// encoding in a query.
    ///
    /// # Errors
    /// What the order wants is not possible in this format.
    fn sign(&self, order: &Order<'_>) -> Result<Vec<(&'static str, String)>, OrderError>;

    /// The cookies that let a client have the order's path, if the format has cookies: names, and values that need
    /// no further encoding in a `Cookie` line.
    ///
    /// # Errors
    /// The format has none, or what the order wants is not possible in it.
    fn cookies(&self, _: &Order<'_>) -> Result<Vec<(&'static str, String)>, OrderError> {
        Err(OrderError::Invalid("this format has no cookies".to_owned()))
    }
}

/// Why a link cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum OrderError {
    #[error("links of this format hold no {0}")]
    Unsupported(&'static str),
    #[error("{0} is missing: links of this format need it")]
    Missing(&'static str),
    #[error("{0}")]
    Invalid(String),
}

impl Order<'_> {
    /// Refuses what the format has no place for: `known` are the names of the optional members that it has.
    ///
    /// # Errors
    /// [`OrderError::Unsupported`].
    pub fn has_only(&self, known: &[&str]) -> Result<(), OrderError> {
        let members = [
            ("starts", self.starts.is_some()),
            ("covers", self.covers.is_some()),
            ("address", self.address.is_some()),
            ("id", self.id.is_some()),
            ("data", self.data.is_some()),
        ];
        match members.into_iter().find(|(name, is_there)| *is_there && !known.contains(name)) {
            Some((name, _)) => Err(OrderError::Unsupported(name)),
            None => Ok(()),
        }
    }
}
