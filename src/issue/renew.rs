//! The next token of a client (RFC 9246, "Signed Token Renewal"): it has the claims of the one before.

use std::rc::Rc;

use token::cdni::Renewal;
use token::{Algorithm, Content};

use super::key::LiveKey;
use super::settings::IssueConf;
use crate::nginx::Request;

/// What signs the next tokens.
pub(crate) struct Renewer(Rc<LiveKey>);

impl IssueConf {
    /// Whether a key is in force that can sign.
    pub(crate) fn has_key(&self) -> bool {
        self.keys.as_ref().is_some_and(|keys| !keys.is_empty())
    }

    /// What signs the next tokens of the clients of a location.
    pub(crate) fn renewer(&self) -> Option<Renewer> {
        self.keys.as_ref()?.first().map(|key| Renewer(Rc::clone(key)))
    }
}

impl Renewer {
    /// The token after `token`, and what it was signed with; `None` if it cannot be signed, and the log
    /// says why.
    pub(crate) fn next(
        &self,
        request: Request<'_>,
        token: &Content,
        renewal: &Renewal,
    ) -> Option<(String, Algorithm)> {
        let key = self.0.signing(request)?;
        let next = renewal.sign(token, &key, request.now());
        let next = next.map_err(|why| {
            request.log_error(format_args!("jwt_uri_signing: the token is not renewed: {why}"));
        });
        Some((next.ok()?, key.algorithm()))
    }
}
