//! The result of reading a key file: keys and warnings, or an error.
//!
//! Every error names the faulty member, for the person who wrote the file. None contains a secret.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::alg::{Algorithm, AlgorithmSet};
use crate::identity::Identity;
use crate::json::JsonError;
use crate::key::{Key, KeyError};
use crate::published::Origin;

/// The content of a key file.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The usable keys, in the order of the file.
    pub keys: Vec<Key>,
    /// What the person who wrote the file should know although it is no error. At most
    /// ten; [`Loaded::finish`] adds how many more there are.
    pub warnings: Vec<String>,
    /// How many warnings were left out: memory must stay in proportion to the file.
    omitted: usize,
    /// The keys of each kid so far.
    by_kid: HashMap<String, Named>,
    /// The keys without a kid so far, by their place among `keys`.
    nameless: HashMap<Identity, usize>,
    /// The places among `keys` of those that turned out to be ambiguous.
    ambiguous: HashSet<usize>,
}

/// The keys of one kid.
#[derive(Debug, Default)]
struct Named {
    /// Each with its place among [`Loaded::keys`]. No two verify the same algorithm, so there are few.
    keys: Vec<(Identity, usize)>,
    /// Algorithms for which there were different keys.
    ambiguous: AlgorithmSet,
}

/// Why a key file was refused.
#[derive(Debug)]
pub struct LoadError {
    /// The path of the faulty member, such as `keys[1].n`; empty for the whole file.
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
    #[error(
        "the secret is {0}, which is no secret: whoever has it could sign tokens; public keys and \
         certificates belong into a file of jwks_file"
    )]
    PublicSecret(&'static str),
    #[error(
        "holds secure_token_secret, the secret of signed links (Azion's Secure Token), and no kids: \
         give it to the directive secure_token_secret"
    )]
    LinkSecret,
    #[error("is a JWK, and its members are no secrets by kid: name the file with jwks_file")]
    JwkAsKids,
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
    #[error("an option stands twice")]
    OptionTwice,
    #[error("expires={0:?} is no RFC 3339 time, such as 2027-01-31T00:00:00Z")]
    Expires(String),
}

/// How many thumbprints a key that stands twice may gather.
const MAX_THUMBPRINTS: usize = 8;

/// How many warnings are kept for one file.
const MAX_WARNINGS: usize = 10;

/// A name from a file as it is written in a message: quoted and shortened.
pub(crate) struct Quoted<'t>(pub(crate) &'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", shortened(self.0))
    }
}

/// The first 64 characters of a name.
pub(crate) fn shortened(name: &str) -> String {
    const SHOWN: usize = 64;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

/// `text` without a byte order mark (U+FEFF), which some editors write at the beginning and JSON does
/// not allow.
pub(crate) fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

impl LoadError {
    pub(crate) fn new(member: impl Into<String>, fault: Fault) -> Self {
        Self { member: member.into(), fault }
    }

    /// A JSON error. If the text has a word processor's quotes, the message says so.
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
    /// Adds a warning. Its text is made only if it is kept.
    pub(crate) fn warn(&mut self, warning: impl FnOnce() -> String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning());
        } else {
            self.omitted += 1;
        }
    }

    /// Adds a key that was read at `place`. The same key twice counts once. Two different keys with the
    /// same kid and a common algorithm are an error in a file; of a published set both are left out.
    ///
    /// RFC 7517 section 4.5 allows keys of different types to share a kid, as alternatives. With two
    /// keys of the same type it would be unclear which one a token means.
    pub(crate) fn push(
        &mut self,
        (key, identity): (Key, Identity),
        place: impl fmt::Display,
        origin: Origin,
    ) -> Result<(), Fault> {
        let kid = if key.is_for_any_kid() { Some("*") } else { key.kid() };
        let Some(kid) = kid.map(str::to_owned) else {
            if let Some(at) = self.nameless.get(&identity).copied() {
                self.widen(at, key);
            } else {
                self.nameless.insert(identity, self.keys.len());
                self.keys.push(key);
            }
            return Ok(());
        };
        let algorithms = key.algorithms();
        let keys = &self.keys;
        let named = self.by_kid.entry(kid.clone()).or_default();
        let meets = |at: usize| {
            let other = keys.get(at).map(Key::algorithms).unwrap_or_default();
            !other.intersection(algorithms).is_empty()
        };
        let (same, others): (Vec<_>, Vec<_>) = named
            .keys
            .iter()
            .filter(|(_, at)| meets(*at))
            .copied()
            .partition(|(other, _)| *other == identity);
        if others.is_empty() && named.ambiguous.intersection(algorithms).is_empty() {
            if let [(_, at)] = same.as_slice() {
                self.widen(*at, key);
                return Ok(());
            }
            let is_another = !named.keys.is_empty() && same.is_empty();
            // A key of all its type's algorithms takes the place of those that were bound to one each.
            named.keys.retain(|one| !same.contains(one));
            self.ambiguous.extend(same.iter().map(|(_, at)| *at));
            named.keys.push((identity, self.keys.len()));
            self.keys.push(key);
            if is_another {
                let kid = Quoted(&kid);
                self.warn(|| format!("{place}: kid {kid} stands for more than one key"));
            }
            return Ok(());
        }
        if origin == Origin::File {
            return Err(Fault::DuplicateKid(shortened(&kid)));
        }
        named.ambiguous = named.ambiguous.union(algorithms);
        for (_, at) in others.iter().chain(&same) {
            let left_out = keys.get(*at).map(Key::algorithms).unwrap_or_default();
            named.ambiguous = named.ambiguous.union(left_out);
        }
        named.keys.retain(|one| !others.contains(one) && !same.contains(one));
        self.ambiguous.extend(others.iter().chain(&same).map(|(_, at)| *at));
        let kid = Quoted(&kid);
        self.warn(|| format!("{place}: kid {kid} stands for different keys; none of them is used"));
        Ok(())
    }

    /// The key at `at` stands there once more, as `again`: what either entry allows, the key does.
    fn widen(&mut self, at: usize, again: Key) {
        let Some(slot) = self.keys.get_mut(at) else { return };
        let known = slot.algorithms();
        let mut thumbprints = slot.thumbprints().to_vec();
        for one in again.thumbprints() {
            if thumbprints.len() < MAX_THUMBPRINTS && !thumbprints.contains(one) {
                thumbprints.push(*one);
            }
        }
        if known.intersection(again.algorithms()) == known {
            *slot = again;
        }
        slot.set_thumbprints(thumbprints);
    }

    /// Refuses a file without keys, and warns if it has both secrets and public keys.
    ///
    /// # Errors
    /// [`Fault::NoKey`].
    pub fn finish(mut self) -> Result<Self, LoadError> {
        let ambiguous = std::mem::take(&mut self.ambiguous);
        if !ambiguous.is_empty() {
            let mut at = 0..;
            self.keys.retain(|_| at.next().is_none_or(|at| !ambiguous.contains(&at)));
        }
        let secrets = self.keys.iter().filter(|key| key.is_secret()).count();
        if secrets != 0 && secrets != self.keys.len() {
            self.warnings.push("holds shared secrets beside public keys".to_owned());
        }
        if self.omitted > 0 {
            self.warnings.push(format!("and {} more", std::mem::take(&mut self.omitted)));
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

    /// Warns of a [`short_secret`].
    pub(crate) fn warn_short_secret(
        &mut self,
        label: impl fmt::Display,
        secret: &[u8],
        algorithms: AlgorithmSet,
    ) {
        if let Some(warning) = short_secret(secret, algorithms) {
            self.warn(|| format!("{label}: {warning}"));
        }
    }
}

/// The warning of a secret that is shorter than the output of its hash (RFC 7518 section 3.2).
pub(crate) fn short_secret(secret: &[u8], algorithms: AlgorithmSet) -> Option<String> {
    // A secret without `alg` is most likely used for HS256.
    let (name, want) = [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)]
        .into_iter()
        .find(|(algorithm, _)| algorithms.contains(*algorithm))
        .unwrap_or((Algorithm::HS256, 32));
    let got = secret.len();
    (got < want).then(|| {
        format!(
            "secret of {got} bytes is shorter than the {want} that {name} wants (RFC 7518 section 3.2)"
        )
    })
}
