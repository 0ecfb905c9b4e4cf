//! The JOSE header (RFC 7515 section 4).

use crate::alg::Algorithm;
use crate::base64url;
use crate::json::{Document, NodeIndex};
use crate::reject::Reject;

/// How many names and values a header may hold in total. It is parsed before the signature is
/// verified, and the cost grows with their number. An embedded key or a chain of certificates fits.
const MAX_NODES: usize = 256;

/// The members of a header that select the key, and `typ`. Strings are kept as indices into the
/// document, so that both can be kept together.
///
/// `jwk`, `jku`, `x5u` and `x5c` are ignored: a token never brings its own key.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    kid: Option<NodeIndex>,
    typ: Option<NodeIndex>,
}

/// Decodes and parses the encoded header.
pub(crate) fn document(encoded: &[u8]) -> Result<Document, Reject> {
    let text = base64url::decode(encoded).ok_or(Reject::Malformed)?;
    let document = Document::parse_bounded(text, MAX_NODES).map_err(|_| Reject::Malformed)?;
    if document.root().is_object() { Ok(document) } else { Err(Reject::Malformed) }
}

impl Header {
    /// Reads the members in one pass.
    pub(crate) fn read(document: &Document) -> Result<Self, Reject> {
        let (mut alg, mut kid, mut typ) = (None, None, None);
        for (name, value) in document.root().members().ok_or(Reject::Malformed)? {
            let text = || value.as_str().ok_or(Reject::Malformed);
            match name {
                "alg" => alg = Some(text()?),
                "kid" => kid = text().map(|_| Some(value.index()))?,
                "typ" => typ = text().map(|_| Some(value.index()))?,
                // No extension is supported, so a critical one must be refused (RFC 7515 section
                // 4.1.11). `b64` (RFC 7797) is refused even if the signer did not list it in `crit`.
                "crit" => return Err(Reject::Malformed),
                "b64" if value.as_bool() != Some(true) => return Err(Reject::Malformed),
                _ => {}
            }
        }
        let algorithm = Algorithm::from_name(alg.ok_or(Reject::Malformed)?);
        Ok(Self { algorithm: algorithm.ok_or(Reject::BadAlgorithm)?, kid, typ })
    }

    /// The kid; `document` must be the one that this was read from.
    pub(crate) fn kid<'d>(&self, document: &'d Document) -> Option<&'d str> {
        self.kid.and_then(|at| document.at(at).as_str())
    }

    /// The typ; `document` must be the one that this was read from.
    pub(crate) fn typ<'d>(&self, document: &'d Document) -> Option<&'d str> {
        self.typ.and_then(|at| document.at(at).as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Algorithm, Reject> {
        let document = document(base64url::encode(json).as_bytes())?;
        Header::read(&document).map(|header| header.algorithm)
    }

    #[test]
    fn the_algorithm_is_taken_by_its_exact_name() {
        assert_eq!(
            read(r#"{"alg":"ES256","kid":"a","jku":"https://x","jwk":{}}"#),
            Ok(Algorithm::ES256)
        );
        for none in ["none", "None", "NONE", "nOnE", "hs256", "", "HS256\\u0000"] {
            assert_eq!(
                read(&format!(r#"{{"alg":"{none}"}}"#)),
                Err(Reject::BadAlgorithm),
                "{none}"
            );
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_malformed() {
        for bad in [
            r"{}",
            r#"{"alg":["HS256"]}"#,
            r#"{"alg":null}"#,
            r#"{"alg":"HS256","kid":1}"#,
            r#"{"alg":"HS256","kid":null}"#,
            r#"{"alg":"HS256","typ":{}}"#,
            r#"{"alg":"HS256","crit":["exp"]}"#,
            r#"{"alg":"HS256","crit":[]}"#,
            r#"{"alg":"HS256","b64":false}"#,
            r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
            r#"{"alg":"none","alg":"HS256"}"#,
            r#"["HS256"]"#,
            r#""HS256""#,
        ] {
            assert_eq!(read(bad), Err(Reject::Malformed), "{bad}");
        }
        assert_eq!(document(b"e30=").unwrap_err(), Reject::Malformed);
    }
}
