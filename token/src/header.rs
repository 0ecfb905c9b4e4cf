//! The JOSE header (RFC 7515 section 4).

use crate::alg::Algorithm;
use crate::base64url;
use crate::json::Document;
use crate::reject::Reject;

/// The header of a token, with the members that decide which key verifies it.
///
/// `jwk`, `jku`, `x5u` and `x5c` are data like any other member: nothing here follows them.
#[derive(Debug)]
pub(crate) struct Header<'d> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<&'d str>,
    pub(crate) typ: Option<&'d str>,
}

/// Decodes the encoded header.
pub(crate) fn document(encoded: &[u8]) -> Result<Document, Reject> {
    let text = base64url::decode(encoded).ok_or(Reject::Malformed)?;
    let document = Document::parse(text).map_err(|_| Reject::Malformed)?;
    if document.root().is_object() { Ok(document) } else { Err(Reject::Malformed) }
}

/// The kid, for the log of a refusal; no more than a hint, as nothing vouches for it yet.
pub(crate) fn kid(document: &Document) -> Option<Box<str>> {
    document.root().get("kid")?.as_str().map(Into::into)
}

impl<'d> Header<'d> {
    /// Reads the members in one pass over them.
    pub(crate) fn read(document: &'d Document) -> Result<Self, Reject> {
        let (mut alg, mut kid, mut typ) = (None, None, None);
        for (name, value) in document.root().members().ok_or(Reject::Malformed)? {
            let text = || value.as_str().ok_or(Reject::Malformed);
            match name {
                "alg" => alg = Some(text()?),
                "kid" => kid = Some(text()?),
                "typ" => typ = Some(text()?),
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
