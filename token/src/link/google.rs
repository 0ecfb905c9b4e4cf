//! Google's links: Cloud CDN's signed URLs and cookies, Media CDN's signatures ("Generate signatures") and its
//! tokens ("Generate tokens").
//!
//! - In the query: `Expires=N&KeyName=K&Signature=S`, signed with the whole URL before it; or with a `URLPrefix=P`
//!   before it, signed alone ([`signed`]).
//! - In the path: `PREFIX/edge-cache-token=Expires=N&KeyName=K&Signature=S/file` ([`signed`]).
//! - As one text, in the cookie `Edge-Cache-Cookie` or `Cloud-CDN-Cookie`, the argument `edge-cache-token`, or where
//!   `secure_token_source` says: fields joined by `~` are a token ([`media_cdn`]), by `:` or `&` a signature.
//!
//! Secrets are in base64url, as Google's are. HMAC-SHA1 is for secrets of both networks, HMAC-SHA256 for Media CDN's
//! tokens, Ed25519 for Media CDN.

mod explain;
mod media_cdn;
mod prefix;
mod sign;
mod signed;
mod verifier;

use std::borrow::Cow;

use super::address;
use super::algorithm::LinkAlgorithm;
use super::format::{Denied, FormatSettings, Granted, LinkFormat, Mistake, Place, Value};
use super::part::Part;
use super::request::{Carrier, LinkRequest};
use crate::credential::Found;
use crate::reject::Reject;
use signed::{ARGUMENTS, Signed};
use verifier::Verifier;

pub use sign::GoogleSigner;

/// The longest text of a link, in bytes.
const LONGEST: usize = 4096;

/// Links of Cloud CDN and Media CDN.
#[derive(Debug)]
pub struct Google {
    verifier: Verifier,
}

impl Google {
    /// The algorithms of this format.
    pub const ALGORITHMS: [LinkAlgorithm; 3] = verifier::ALGORITHMS;

    /// Takes what the directives say.
    ///
    /// # Errors
    /// There is neither a secret nor a key, or none for an algorithm that is named; a secret cannot be read.
    pub(super) fn configured(settings: &FormatSettings<'_>) -> Result<Self, Mistake> {
        settings.only_options(&[])?;
        Ok(Self { verifier: Verifier::configured(settings)? })
    }

    fn judge_text(
        &self,
        request: &dyn LinkRequest,
        text: &[u8],
        now: i64,
    ) -> Result<Granted, Denied> {
        if text.len() > LONGEST {
            return Err(Denied::malformed("it is too long"));
        }
        if text.contains(&b'~') {
            return media_cdn::judge(&self.verifier, request, text, now);
        }
        // No value of a signature has a colon, and each has an ampersand or a colon.
        let separator = if text.contains(&b':') { b':' } else { b'&' };
        Signed::of_text(request, text, separator)?.judge(&self.verifier, request, now)
    }
}

impl LinkFormat for Google {
    fn places(&self) -> &[Place] {
        &[
            Place::Argument("edge-cache-token"),
            Place::Cookie("Edge-Cache-Cookie"),
            Place::Cookie("Cloud-CDN-Cookie"),
        ]
    }

    fn arguments(&self) -> &[&str] {
        &ARGUMENTS
    }

    fn value(&self) -> Value {
        Value::Address
    }

    /// The arguments of the query count; if there are none, the path; if nothing is there, the text.
    ///
    /// A text that is an argument of the query may have been encoded by the client: if it does not hold as it came,
    /// it is decoded once.
    fn judge(&self, request: &dyn LinkRequest, now: i64) -> Result<Granted, Denied> {
        if let Some(signed) = Signed::of_query(request)? {
            return signed.judge(&self.verifier, request, now);
        }
        let value = request.value()?;
        if let Some(signed) = Signed::of_path(&value)? {
            return signed.judge(&self.verifier, request, now);
        }
        let text = match request.text()? {
            None | Some(Found::Absent) => return Err(Reject::Missing.into()),
            Some(Found::Unusable) => return Err(Denied::malformed("there are several links")),
            Some(Found::One(text)) => text,
        };
        let judged = self.judge_text(request, text, now);
        match (&judged, request.carrier()) {
            // What has held, or cannot be judged now, is not tried otherwise.
            (Err(Denied::Refused(refused)), Carrier::Query) if refused.granted.is_none() => {
                match address::decode(text) {
                    Cow::Borrowed(_) => judged,
                    Cow::Owned(decoded) => self.judge_text(request, &decoded, now),
                }
            }
            _ => judged,
        }
    }

    fn parts(&self, request: &dyn LinkRequest) -> Vec<Part> {
        explain::parts(request)
    }
}

#[cfg(test)]
mod tests;
