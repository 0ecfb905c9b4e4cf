//! The JOSE header (RFC 7515 section 4).

use crate::alg::Algorithm;
use crate::base64url;
use crate::json::{Document, Place};
use crate::reject::Reject;

/// How many names and values a header may hold in all: it is parsed before anything vouches for the
/// token, at a cost that grows with them. A key or a chain of certificates in it has room.
const MAX_NODES: usize = 256;

/// The members of a header that decide which key verifies the token, by their places in the
/// document, so that they can be kept beside it.
///
/// `jwk`, `jku`, `x5u` and `x5c` are data like any other member: nothing here follows them.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    kid: Option<Place>,
    typ: Option<Place>,
}

/// Decodes the encoded header.
pub(crate) fn document(encoded: &[u8]) -> Result<Document, Reject> {
    let text = base64url::decode(encoded).ok_or(Reject::Malformed)?;
    let document = Document::parse_bounded(text, MAX_NODES).map_err(|_| Reject::Malformed)?;
    if document.root().is_object() { Ok(document) } else { Err(Reject::Malformed) }
}

impl Header {
    /// Reads the members in one pass over them.
    pub(crate) fn read(document: &Document) -> Result<Self, Reject> {
        let (mut alg, mut kid, mut typ) = (None, None, None);
        for (name, value) in document.root().members().ok_or(Reject::Malformed)? {
            let text = || value.as_str().ok_or(Reject::Malformed);
            match name {
                "alg" => alg = Some(text()?),
                "kid" => kid = text().map(|_| Some(value.place()))?,
                "typ" => typ = text().map(|_| Some(value.place()))?,
                // No extension is understood here, so any that is critical must be refused
                // (RFC 7515 section 4.1.11); `b64` (RFC 7797) is refused also where a signer
                // forgot to list it.
                "crit" => return Err(Reject::Malformed),
                "b64" if value.as_bool() != Some(true) => return Err(Reject::Malformed),
                _ => {}
            }
        }
        let algorithm = Algorithm::from_name(alg.ok_or(Reject::Malformed)?);
        Ok(Self { algorithm: algorithm.ok_or(Reject::BadAlgorithm)?, kid, typ })
    }

    /// The kid in the `document` that this was read from.
    pub(crate) fn kid<'d>(&self, document: &'d Document) -> Option<&'d str> {
        self.kid.and_then(|at| document.at(at).as_str())
    }

    /// The typ in the `document` that this was read from.
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
