//! What reading any key file gives: keys and warnings, or an error.
//!
//! Every error names the member at fault, for the person who wrote the file; none holds a secret.

use std::collections::HashMap;
use std::fmt;

use crate::alg::{Algorithm, AlgorithmSet};
use crate::json::JsonError;
use crate::key::{Key, KeyError};

/// What a key file held.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The usable keys, in the order of the file.
    pub keys: Vec<Key>,
    /// What the person who wrote the file should know, though it is no error: the first of it, and
    /// once it is [finished](Loaded::finish) how much more there is.
    pub warnings: Vec<String>,
    /// How many more there are: a file that others write must not cost more than its size.
    untold: usize,
    /// The algorithms that each kid stands for so far.
    seen: HashMap<String, AlgorithmSet>,
}

/// Why a key file was refused.
#[derive(Debug)]
pub struct LoadError {
    /// The path of the member at fault, such as `keys[1].n`; empty for the whole file.
    pub member: String,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a member of a key file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum Fault {
    #[error("{0}")]
    Json(String),
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("must be {0}")]
    Want(&'static str),
    #[error("is missing")]
    Absent,
    #[error("unknown value {0:?}")]
    Unknown(String),
    #[error("duplicate kid {0:?}")]
    DuplicateKid(String),
    #[error("holds neither \"keys\" (a JWK Set) nor \"kty\" (a JWK)")]
    NeitherSetNorKey,
    #[error("a kid can be given to a single key only; the keys of a set have their own")]
    KidOfSet,
    #[error("holds no usable key; {0}")]
    NoKey(String),
    #[error("is neither JSON nor PEM")]
    NeitherJsonNorPem,
    #[error("{0}")]
    Pem(String),
    #[error("the secret is not {0}")]
    Encoding(&'static str),
    #[error("unknown option; encoding=, alg= and expires= are known")]
    Option,
    #[error("expires={0:?} is no RFC 3339 time, such as 2027-01-31T00:00:00Z")]
    Expires(String),
}

/// How many warnings are told of one file.
const MAX_WARNINGS: usize = 10;

/// A name from a file for a message, quoted, of which no more is shown than it is recognised by.
pub(crate) struct Shown<'t>(pub(crate) &'t str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", shortened(self.0))
    }
}

/// At most 64 characters of a name.
pub(crate) fn shortened(name: &str) -> String {
    const SHOWN: usize = 64;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

/// A text without the byte order mark that some editors put before it: nothing in it is changed by
/// that, and it would be no JSON.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

impl LoadError {
    pub(crate) fn new(member: impl Into<String>, fault: Fault) -> Self {
        Self { member: member.into(), fault }
    }

    /// A JSON error, told plainly where a word processor's quotes are the cause.
    pub(crate) fn json(text: &[u8], error: &JsonError) -> Self {
        let quoted = typographic_quote(text).map(|(quote, line)| {
            format!(
                "{error}: line {line} has the typographic quote {quote}, JSON wants the \
                 straight one (\"): replace the curly quotes of the whole file"
            )
        });
        Self::new("", Fault::Json(quoted.unwrap_or_else(|| error.to_string())))
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.member.as_str() {
            "" => self.fault.fmt(f),
            member => write!(f, "{member}: {}", self.fault),
        }
    }
}

impl std::error::Error for LoadError {}

/// The first typographic double quote and its line, if the text has one.
fn typographic_quote(text: &[u8]) -> Option<(char, usize)> {
    let text = std::str::from_utf8(text).ok()?;
    let at = text.find(['\u{201c}', '\u{201d}', '\u{201e}'])?;
    let (before, rest) = text.split_at_checked(at)?;
    Some((rest.chars().next()?, before.matches('\n').count() + 1))
}

impl Loaded {
    /// Notes a warning, which is put into words only if it is one of those that are told.
    pub(crate) fn warn(&mut self, warning: impl FnOnce() -> String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning());
        } else {
            self.untold += 1;
        }
    }

    /// Adds a key read at `place`, unless the set would hold two keys of one kid and one type.
    ///
    /// RFC 7517 section 4.5 lets keys of different types share a kid, as alternatives; two of the
    /// same type would make it a guess which one a token means.
    pub(crate) fn push(&mut self, key: Key, place: impl fmt::Display) -> Result<(), Fault> {
        if let Some(kid) = key.kid() {
            let seen = self.seen.entry(kid.to_owned()).or_default();
            if !seen.intersection(key.algorithms()).is_empty() {
                return Err(Fault::DuplicateKid(shortened(kid)));
            }
            let is_another = !seen.is_empty();
            *seen = seen.union(key.algorithms());
            if is_another {
                let kid = Shown(kid);
                self.warn(|| format!("{place}: kid {kid} stands for more than one key"));
            }
        }
        self.keys.push(key);
        Ok(())
    }

    /// Refuses a source without keys, and warns of one that mixes secrets with public keys.
    ///
    /// # Errors
    /// [`Fault::NoKey`].
    pub fn finish(mut self) -> Result<Self, LoadError> {
        let secrets = self.keys.iter().filter(|key| key.is_secret()).count();
        if secrets != 0 && secrets != self.keys.len() {
            self.warnings.push("holds shared secrets beside public keys".to_owned());
        }
        if self.untold > 0 {
            self.warnings.push(format!("and {} more", std::mem::take(&mut self.untold)));
        }
        if self.keys.is_empty() {
            return Err(LoadError::new(
                "",
                Fault::NoKey(match self.warnings.as_slice() {
                    [] => "it is empty".to_owned(),
                    why => why.join("; "),
                }),
            ));
        }
        Ok(self)
    }

    /// Warns of a secret shorter than the hash that it keys (RFC 7518 section 3.2).
    pub(crate) fn warn_short_secret(
        &mut self,
        label: impl fmt::Display,
        secret: &[u8],
        algorithms: AlgorithmSet,
    ) {
        // Without a narrower choice HS256 is what it will be used for.
        let (name, want) = [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)]
            .into_iter()
            .find(|(algorithm, _)| algorithms.contains(*algorithm))
            .unwrap_or((Algorithm::HS256, 32));
        if secret.len() < want {
            let got = secret.len();
            self.warn(|| {
                format!(
                    "{label}: secret of {got} bytes is shorter than the {want} that {name} wants \
                     (RFC 7518 section 3.2)"
                )
            });
        }
    }
}
