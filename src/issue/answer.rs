//! `jwt_sign`: members of an answer become signed tokens.

use token::sign::{AnswerSigner, Json};

use super::settings::{IssueConf, Signing};
use crate::nginx::{Head, Plan, Request, Unsent};

/// The tokens that an answer has got.
pub(crate) struct SignedAnswer {
    pub(crate) body: Vec<u8>,
    pub(crate) algorithm: token::Algorithm,
    /// How many tokens it has.
    pub(crate) tokens: usize,
}

impl IssueConf {
    /// Whether answers are signed here.
    pub(crate) fn signs(&self) -> bool {
        self.signing().is_some()
    }

    /// What to do with an answer. Those with a status of 2xx are signed, also if nginx sends an upstream's
    /// answer with another status. Redirects and errors pass.
    pub(crate) fn plan(&self, request: Request<'_>, head: &Head<'_>) -> Plan {
        let Some(signing) = self.signing() else { return Plan::Pass };
        let refuse = |why: std::fmt::Arguments<'_>| {
            tell(request, why);
            Plan::Refuse
        };
        // Of an error page that replaces an answer, this is still that answer's.
        let upstream_status = if head.is_error_page { 0 } else { head.upstream_status };
        let of_upstream = (200..300).contains(&upstream_status);
        // nginx's slices are parts, too, though the client gets 200.
        let is_part = head.status == 206 || upstream_status == 206;
        match head.status {
            // Without a body: of 304 the tag must go, too.
            204 => return Plan::Pass,
            304 => return Plan::WithoutBody,
            _ if is_part => {
                return refuse(format_args!(
                    "the answer is a part of one (status 206); add proxy_set_header Range \"\", and no slice"
                ));
            }
            200..300 => {}
            300..600 if of_upstream => {}
            300..600 => return Plan::Pass,
            // nginx takes an interim answer for the last one, and what follows for its body.
            status => {
                return refuse(format_args!(
                    "the answer has status {status}: it is no last answer of HTTP"
                ));
            }
        }
        if head.is_for_head {
            return Plan::WithoutBody;
        }
        if !head.encoding.is_empty() {
            return refuse(format_args!(
                "the answer is compressed (Content-Encoding: {}); add proxy_set_header \
                 Accept-Encoding \"\"",
                head.encoding.escape_ascii()
            ));
        }
        match head.length {
            Some(length) if length > signing.buffer => {
                refuse(format_args!("{}", signing.too_large()))
            }
            _ => Plan::Hold(signing.buffer),
        }
    }

    /// Signs the members of an answer; `None` if it must not be sent, and the log says why.
    pub(crate) fn sign(&self, request: Request<'_>, body: Vec<u8>) -> Option<SignedAnswer> {
        let signing = self.signing()?;
        let Some(key) = signing.key.signing(request) else {
            tell(request, format_args!("there is no key to sign with"));
            return None;
        };
        // 205 says that there is no body.
        if body.is_empty() && request.answer_status() == 205 {
            return Some(SignedAnswer { body, algorithm: key.algorithm(), tokens: 0 });
        }
        let claims = signing.claims.iter().map(|claim| claim.evaluate(request));
        let claims = claims.collect::<Result<Vec<_>, _>>();
        let claims = claims.map_err(|why| tell(request, format_args!("{why}"))).ok()?;
        let claims: Vec<(Box<str>, Json)> = claims.into_iter().flatten().collect();
        let signer = AnswerSigner {
            members: &signing.members.names,
            full: signing.members.full,
            key: &key,
            claims: &claims,
            lifetime: signing.lifetime,
            now: request.now(),
        };
        let signed = signer.sign(body).map_err(|why| tell(request, format_args!("{why}")));
        let (body, tokens) = signed.ok()?;
        Some(SignedAnswer { body, algorithm: key.algorithm(), tokens })
    }

    /// Logs why an answer that was held is not sent.
    pub(crate) fn cannot_sign(&self, request: Request<'_>, why: Unsent) {
        let Some(signing) = self.signing() else { return };
        match why {
            Unsent::TooLarge => tell(request, format_args!("{}", signing.too_large())),
            Unsent::CutOff => tell(request, format_args!("the answer ended before its end")),
            Unsent::NotInMemory => tell(request, format_args!("the answer is not in memory")),
        }
    }
}

impl Signing {
    fn too_large(&self) -> String {
        format!("the answer has more than {} bytes (jwt_sign_buffer)", self.buffer)
    }
}

fn tell(request: Request<'_>, why: std::fmt::Arguments<'_>) {
    request.log_error(format_args!("jwt_sign: {why}; the answer is 502"));
}
