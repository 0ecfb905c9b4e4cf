//! The claim `cdniuc`: which URIs a token covers (RFC 9246 section 2.1.15).

use sha2::{Digest as _, Sha256};

use super::pattern::{PatternError, Patterns};
use crate::base64url;
use crate::json::Value;
use crate::refusal::{Why, shown};
use crate::uri::RequestUri;

/// A URI container.
pub(super) enum Container<'t> {
    /// The SHA-256 of one URI.
    Hash([u8; 32]),
    /// A pattern.
    Regex(&'t str),
}

impl<'t> Container<'t> {
    /// Reads the claim.
    pub(super) fn read(claim: Value<'t>) -> Result<Self, Why> {
        let text = claim.as_str().ok_or_else(|| Why::wrong_type("cdniuc", claim))?;
        if let Some(pattern) = text.strip_prefix("regex:") {
            return Ok(Self::Regex(pattern));
        }
        let Some(hash) = text.strip_prefix("hash:") else {
            let detail = format!("cdniuc is {}, neither hash: nor regex:", shown(claim));
            return Err(Why::malformed(detail));
        };
        // The URL segment of RFC 6920 section 5.
        let Some(digest) = hash.strip_prefix("sha-256;") else {
            return Err(Why::malformed("cdniuc has a hash other than sha-256"));
        };
        let mut bytes = [0; 32];
        if !base64url::decode_exact(digest.as_bytes(), &mut bytes) {
            return Err(Why::malformed("the hash in cdniuc is not 43 characters of base64url"));
        }
        Ok(Self::Hash(bytes))
    }

    /// Whether it covers a URI. A pattern must match the URI both as it is and as a server reads it that
    /// decodes and merges slashes: otherwise a segment that must have no slash could have one.
    pub(super) fn covers(
        &self,
        uri: &RequestUri,
        patterns: &Patterns,
    ) -> Result<bool, PatternError> {
        match self {
            Self::Hash(digest) => Ok(Sha256::digest(uri.as_str()).as_slice() == digest.as_slice()),
            Self::Regex(pattern) => {
                let served = uri.as_served().unwrap_or(uri.as_str());
                patterns.match_all(pattern, &[uri.as_str(), served])
            }
        }
    }
}
