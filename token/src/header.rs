//! The JOSE header (RFC 7515 section 4).

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;

use crate::alg::Algorithm;
use crate::base64url;
use crate::claims::{STATUS_LIST_TYP, is_typ};
use crate::json::{Document, NodeIndex, Number, Value};
use crate::key::Thumbprint;
use crate::refusal::{Refusal, Why};
use crate::reject::Reject;

/// How many names and values a header may hold in total. It is parsed before the signature is
/// verified, and the cost grows with their number. An embedded key or a chain of certificates fits.
const MAX_NODES: usize = 256;

/// The JOSE header of a token. Its clones share one, as do the tokens of one issuer, most of which have
/// the very same header.
#[derive(Debug, Clone)]
pub struct Header(Rc<Parsed>);

#[derive(Debug)]
struct Parsed {
    /// As it was in the token, without padding.
    encoded: Box<[u8]>,
    document: Document,
    names: Names,
    /// How many entries of the worker's cache have it.
    keepers: Cell<usize>,
}

/// The members that name the key, and `typ`. They are kept as indices into the document, so that both
/// can be kept together. A `kid` or `typ` that is null or empty is absent.
///
/// `jwk`, `jku`, `x5u` and `x5c` are ignored: a token never brings its own key.
#[derive(Debug, Default)]
pub(crate) struct Names {
    kid: Option<NodeIndex>,
    typ: Option<NodeIndex>,
    is_status_list: bool,
}

impl Deref for Header {
    type Target = Document;

    /// The header as JSON.
    fn deref(&self) -> &Document {
        &self.0.document
    }
}

/// What a header says of the key that has signed the token. It only chooses among the keys that there
/// are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyHint<'d> {
    Kid(&'d str),
    /// `x5t#S256` or `x5t` (RFC 7515 sections 4.1.7 and 4.1.8), of a header without a kid.
    Thumbprint(Thumbprint),
    Nothing,
}

fn is_status_list(typ: Value<'_>) -> bool {
    let typ = typ.as_str().unwrap_or_default();
    // Most are much shorter.
    typ.len() >= STATUS_LIST_TYP.len() && is_typ(typ, &[STATUS_LIST_TYP])
}

/// Decodes and parses the encoded header.
pub(crate) fn document(encoded: &[u8]) -> Result<Document, Why> {
    let text = base64url::decode(encoded);
    let text = text.ok_or_else(|| Why::malformed("the header is not base64url"))?;
    let document = Document::parse_bounded(text, MAX_NODES)
        .map_err(|_| Why::malformed("the header is not strict JSON, or too large"))?;
    if document.root().is_object() {
        Ok(document)
    } else {
        Err(Why::malformed("the header is no JSON object"))
    }
}

impl Names {
    /// Reads the header of a signed token, and its algorithm.
    fn read(document: &Document) -> Result<(Self, Algorithm), Why> {
        let (mut names, mut alg) = (Self::default(), None);
        for (name, value) in document.root().members().into_iter().flatten() {
            match name {
                "alg" => alg = Some(value.as_str().ok_or_else(|| Why::wrong_type(name, value))?),
                // No extension is supported, so a critical one must be refused (RFC 7515 section
                // 4.1.11). `b64` (RFC 7797) is refused even if the signer did not list it in `crit`.
                "crit" => {
                    return Err(Why::malformed("crit asks for extensions; none is supported"));
                }
                "b64" if value.as_bool() != Some(true) => {
                    return Err(Why::malformed("b64 is not true: the payload is not encoded"));
                }
                _ => names.note(name, value)?,
            }
        }
        let alg = alg.ok_or_else(|| Why::malformed("the header has no alg"))?;
        let algorithm = Algorithm::from_name(alg)
            .ok_or_else(|| Why::new(Reject::BadAlgorithm, "alg is no algorithm known here"))?;
        Ok((names, algorithm))
    }

    /// Notes a member, if it is one of those that signed and encrypted tokens have.
    pub(crate) fn note(&mut self, name: &str, value: Value<'_>) -> Result<(), Why> {
        match name {
            // A number counts as its JSON text.
            "kid" if value.as_number().is_some() => self.kid = Some(value.index()),
            "kid" => self.kid = optional_text(name, value)?,
            "typ" => {
                self.typ = optional_text(name, value)?;
                // Found once, and not for each request.
                self.is_status_list = is_status_list(value);
            }
            _ => {}
        }
        Ok(())
    }

    /// The kid; `document` must be the one that this was read from.
    pub(crate) fn kid<'d>(&self, document: &'d Document) -> Option<&'d str> {
        let kid = document.at(self.kid?);
        kid.as_str().or_else(|| kid.as_number().map(Number::as_str))
    }
}

impl Header {
    /// Decodes and parses the encoded header of an encrypted token. What is special in it, is up to others.
    ///
    /// # Errors
    /// [`Reject::Malformed`].
    pub(crate) fn parse_encrypted(encoded: &[u8]) -> Result<Self, Refusal> {
        let document = document(encoded)?;
        let mut names = Names::default();
        for (name, value) in document.root().members().into_iter().flatten() {
            names.note(name, value).map_err(|why| Refusal::of(&document, why))?;
        }
        Ok(Self::new(encoded, document, names))
    }

    fn new(encoded: &[u8], document: Document, names: Names) -> Self {
        Self(Rc::new(Parsed { encoded: encoded.into(), document, names, keepers: Cell::new(0) }))
    }

    /// Decodes and parses the encoded header of a signed token; gives its algorithm as well.
    ///
    /// # Errors
    /// [`Reject::BadAlgorithm`] for an algorithm that is not known, else [`Reject::Malformed`].
    pub(crate) fn parse(encoded: &[u8]) -> Result<(Self, Algorithm), Refusal> {
        let document = document(encoded)?;
        let (names, algorithm) =
            Names::read(&document).map_err(|why| Refusal::of(&document, why))?;
        Ok((Self::new(encoded, document, names), algorithm))
    }

    /// The header as it was in the token, without padding.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.0.encoded
    }

    /// What it says of the key.
    pub(crate) fn key_hint(&self) -> KeyHint<'_> {
        if let Some(kid) = self.kid() {
            return KeyHint::Kid(kid);
        }
        thumbprint(self.root()).map_or(KeyHint::Nothing, KeyHint::Thumbprint)
    }

    /// The kid.
    pub(crate) fn kid(&self) -> Option<&str> {
        self.0.names.kid(self)
    }

    /// The typ.
    pub(crate) fn typ(&self) -> Option<Value<'_>> {
        self.0.names.typ.map(|at| self.at(at))
    }

    /// Whether the typ is that of a Status List Token, which is no credential.
    pub(crate) fn is_status_list(&self) -> bool {
        self.0.names.is_status_list
    }

    /// Whether an entry of the cache has it.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.keepers.get() > 0
    }

    /// One more entry of the cache has it.
    pub(crate) fn keep(&self) {
        self.0.keepers.set(self.0.keepers.get() + 1);
    }

    /// One entry of the cache fewer has it.
    pub(crate) fn release(&self) {
        self.0.keepers.set(self.0.keepers.get().saturating_sub(1));
    }

    /// The memory that it takes, in bytes; the allocator needs another `overhead` for each block.
    pub(crate) fn bytes(&self, overhead: usize) -> usize {
        // An Rc has two counters.
        let shared = 2 * size_of::<usize>() + size_of::<Parsed>() + overhead;
        shared + self.0.encoded.len() + overhead + self.heap_bytes(overhead)
    }
}

/// A string that may be missing: null and an empty one are as good as none.
fn optional_text(name: &str, value: Value<'_>) -> Result<Option<NodeIndex>, Why> {
    match value.as_str() {
        Some("") => Ok(None),
        Some(_) => Ok(Some(value.index())),
        None if value.is_null() => Ok(None),
        None => Err(Why::wrong_type(name, value)),
    }
}

/// The thumbprint that a header names; the longer hash counts. One that cannot be read names no key, as
/// if it were not there.
fn thumbprint(header: Value<'_>) -> Option<Thumbprint> {
    fn read<const N: usize>(header: Value<'_>, name: &str) -> Option<[u8; N]> {
        let text = base64url::without_padding(header.get(name)?.as_str()?.as_bytes());
        let mut bytes = [0; N];
        base64url::decode_exact(text, &mut bytes).then_some(bytes)
    }
    let sha256 = read(header, "x5t#S256").map(Thumbprint::Sha256);
    sha256.or_else(|| read(header, "x5t").map(Thumbprint::Sha1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<(Header, Algorithm), Refusal> {
        Header::parse(base64url::encode(json).as_bytes())
    }

    #[test]
    fn the_algorithm_is_taken_by_its_exact_name() {
        let (_, good) = parse(r#"{"alg":"ES256","kid":"a","jku":"https://x","jwk":{}}"#).unwrap();
        assert_eq!(good, Algorithm::ES256);
        for none in ["none", "None", "NONE", "nOnE", "hs256", "", "HS256\\u0000"] {
            let refusal = parse(&format!(r#"{{"alg":"{none}"}}"#)).unwrap_err();
            assert_eq!(refusal.reason, Reject::BadAlgorithm, "{none}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_malformed() {
        for (bad, why) in [
            (r"{}", "the header has no alg"),
            (r#"{"alg":["HS256"]}"#, "alg is an array"),
            (r#"{"alg":null}"#, "alg is null"),
            (r#"{"alg":"HS256","kid":true}"#, "kid is a boolean"),
            (r#"{"alg":"HS256","kid":["a"]}"#, "kid is an array"),
            (r#"{"alg":"HS256","typ":{}}"#, "typ is an object"),
            (r#"{"alg":"HS256","typ":1}"#, "typ is a number"),
            (r#"{"alg":"HS256","crit":["exp"]}"#, "crit asks for extensions; none is supported"),
            (r#"{"alg":"HS256","crit":[]}"#, "crit asks for extensions; none is supported"),
            (r#"{"alg":"HS256","b64":false}"#, "b64 is not true: the payload is not encoded"),
            (r#"{"alg":"none","alg":"HS256"}"#, "the header is not strict JSON, or too large"),
            (r#"["HS256"]"#, "the header is no JSON object"),
            (r#""HS256""#, "the header is no JSON object"),
        ] {
            let refusal = parse(bad).unwrap_err();
            assert_eq!((refusal.reason, &*refusal.detail), (Reject::Malformed, why), "{bad}");
        }
        assert_eq!(Header::parse(b"e30=").unwrap_err().reason, Reject::Malformed);
    }

    #[test]
    fn a_kid_may_be_a_number_and_null_or_empty_is_none() {
        let hint = |members: &str| {
            let text = format!(r#"{{"alg":"HS256",{members}}}"#);
            format!("{:?}", parse(&text).unwrap().0.key_hint())
        };
        assert_eq!(hint(r#""kid":"a""#), r#"Kid("a")"#);
        assert_eq!(hint(r#""kid":7"#), r#"Kid("7")"#);
        assert_eq!(hint(r#""kid":-1.50e3"#), r#"Kid("-1.50e3")"#);
        for none in [r#""kid":null"#, r#""kid":"""#, r#""typ":null"#, r#""typ":"""#, r#""x5t":7"#] {
            assert_eq!(hint(none), "Nothing", "{none}");
        }
        let (short, long) = (base64url::encode([1; 20]), base64url::encode([2; 32]));
        let (sha1, sha256) = (Thumbprint::Sha1([1; 20]), Thumbprint::Sha256([2; 32]));
        let both = format!(r#""x5t":"{short}","x5t#S256":"{long}""#);
        assert_eq!(hint(&both), format!("Thumbprint({sha256:?})"));
        assert_eq!(hint(&format!(r#""x5t":"{short}=""#)), format!("Thumbprint({sha1:?})"));
        assert_eq!(hint(&format!(r#""kid":"a",{both}"#)), r#"Kid("a")"#);
        assert_eq!(hint(&format!(r#""kid":"",{both}"#)), format!("Thumbprint({sha256:?})"));
        // Of the wrong length.
        assert_eq!(hint(&format!(r#""x5t":"{long}""#)), "Nothing");
    }
}
