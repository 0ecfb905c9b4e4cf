//! Whether a token covers the request's URI (RFC 9246).

use std::rc::Rc;

use token::Carrier;
use token::cdni::{self, Asked};

use super::case::TokenCase;
use super::check::JwtCheck;
use super::in_force::Tried;
use super::sources::{AskedSource, TokenSource};
use crate::check::{NoVerdict, Source};
use crate::nginx::Request;

impl TokenCase<'_> {
    /// Refuses a token that was verified, but does not cover the request's URI. `sent` is the token, from
    /// `source`.
    pub(super) fn cover(
        self,
        check: &JwtCheck,
        (sent, source): (&[u8], &TokenSource),
        mut tried: Tried,
    ) -> Result<Tried, NoVerdict> {
        let (Some(covering), Ok(token)) = (&check.uri_signing, &tried.token) else {
            return Ok(tried);
        };
        let request = self.case.request;
        let uri = match &covering.uri {
            Some(value) => request.evaluate(value).ok_or(NoVerdict::Value)?.to_vec(),
            None => sent_uri(request),
        };
        let mut carriers: Vec<Carrier<'_>> = check.sources.iter().filter_map(argument).collect();
        if matches!(source, TokenSource::Named(Source::Value(_))) {
            carriers.push(Carrier::Token(sent));
        }
        let asked = Asked { uri: &uri, carriers: &carriers, renews: self.renews };
        match cdni::check(token, asked, &self.http.patterns, self.case.time()) {
            Ok(renewal) => tried.renewal = renewal.map(Rc::new),
            Err(refusal) => tried.token = Err(refusal.into()),
        }
        Ok(tried)
    }
}

fn argument(asked: &AskedSource) -> Option<Carrier<'_>> {
    match &*asked.source {
        TokenSource::Named(Source::Arg(name)) => Some(Carrier::Argument(name)),
        _ => None,
    }
}

/// The URI that the client has asked for; empty if it names two hosts.
///
/// `$host` is the host of the request line or of the `Host` header, by which nginx has chosen the server;
/// only the header has the port.
fn sent_uri(request: Request<'_>) -> Vec<u8> {
    let scheme = request.named_variable(b"scheme").unwrap_or_default();
    let host = request.named_variable(b"host").unwrap_or_default();
    let mut port: &[u8] = b"";
    if let Some(header) = request.header_values(b"host").next() {
        let end = match header.first() {
            Some(b'[') => header.iter().position(|byte| *byte == b']').map(|at| at + 1),
            _ => header.iter().position(|byte| *byte == b':'),
        };
        let (name, rest) = header.split_at_checked(end.unwrap_or(header.len())).unwrap_or_default();
        let name = name.strip_suffix(b".").unwrap_or(name);
        if !name.eq_ignore_ascii_case(host) {
            return Vec::new();
        }
        port = rest;
    }
    [scheme, b"://", host, port, request.sent_target()].concat()
}
