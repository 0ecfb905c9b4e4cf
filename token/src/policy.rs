//! What a token must satisfy, as it is configured and as it changes at run time.

use std::rc::Rc;
use std::sync::Arc;

use crate::alg::AlgorithmSet;
use crate::claims::is_typ;
use crate::content::Content;
use crate::keyset::KeySet;
use crate::reject::Reject;
use crate::revoked::Revocation;

/// The keys and requirements that a token is judged by: those of a location, or of one provider.
#[derive(Debug, Default)]
pub struct Policy {
    /// The key sets. A kid is searched for in all of them, in this order.
    pub keys: Vec<Arc<KeySet>>,
    /// The accepted values of `alg`; `None` accepts every algorithm that the selected key allows.
    pub algorithms: Option<AlgorithmSet>,
    /// Clock skew allowed for `exp` and `nbf`, in seconds.
    pub leeway: i64,
    /// A token must meet all of these. The first one of a provider names the provider's issuers.
    pub requirements: Vec<Requirements>,
    /// The lists of revoked tokens.
    pub revoked: Vec<Arc<Revocation>>,
}

/// What the `typ` header and the registered claims (RFC 7519 section 4.1) must be.
#[derive(Debug, Default, Clone)]
pub struct Requirements {
    /// The accepted values of `iss`; if empty, any value or none is accepted.
    pub issuers: Box<[Box<str>]>,
    /// The accepted values of `aud`; if empty, any value or none is accepted.
    pub audiences: Box<[Box<str>]>,
    /// The accepted values of the `typ` header; if empty, any value or none is accepted.
    pub types: Box<[Box<str>]>,
    /// Whether a token must have `exp`.
    pub require_exp: bool,
    /// The longest accepted time from `iat` to `exp`, in seconds.
    pub max_lifetime: Option<i64>,
}

/// What a location requires in addition to the policies of its providers. It is separate from them,
/// so that many locations can share the same providers.
#[derive(Debug, Default)]
pub struct LocationPolicy {
    /// The accepted values of `alg`: the provider must accept them as well. `None` restricts nothing.
    pub algorithms: Option<AlgorithmSet>,
    /// Clock skew allowed for `exp` and `nbf`, in seconds; `None` takes the provider's.
    pub leeway: Option<i64>,
    /// Further requirements, in addition to the provider's.
    pub requirements: Requirements,
    /// Further lists of revoked tokens.
    pub revoked: Vec<Arc<Revocation>>,
}

/// Keys and lists that change at run time, added to the policy's own.
#[derive(Debug, Default)]
pub struct LivePolicy {
    /// Further key sets, tried after the policy's own.
    pub keys: Vec<Arc<KeySet>>,
    /// Further lists of revoked tokens.
    pub revoked: Vec<Arc<Revocation>>,
}

/// All keys and lists that change at run time, as they are for one judgement.
#[derive(Debug, Default, Clone)]
pub struct LiveInputs {
    /// Added to the policy; `None` adds nothing.
    pub policy: Option<Rc<LivePolicy>>,
    /// Lists of revoked tokens, added to the [`LocationPolicy`]'s; `None` adds nothing.
    pub revoked: Option<Rc<[Arc<Revocation>]>>,
}

impl From<Rc<LivePolicy>> for LiveInputs {
    fn from(policy: Rc<LivePolicy>) -> Self {
        Self { policy: Some(policy), revoked: None }
    }
}

impl Requirements {
    pub(crate) fn check(&self, content: &Content, now: i64) -> Result<(), Reject> {
        let Content { header, payload, head, claims } = content;
        if !self.types.is_empty() && !is_typ(head.typ(header), &self.types) {
            return Err(Reject::BadType);
        }
        claims.check_lifetime(now, self.require_exp, self.max_lifetime)?;
        if !self.issuers.is_empty() && !claims.is_from(payload, &self.issuers) {
            return Err(Reject::BadIssuer);
        }
        if !self.audiences.is_empty() && !claims.is_for(payload, &self.audiences) {
            return Err(Reject::BadAudience);
        }
        Ok(())
    }
}
