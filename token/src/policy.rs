//! What a location demands of a token.

use std::rc::Rc;
use std::sync::Arc;

use crate::alg::AlgorithmSet;
use crate::claims::is_typ;
use crate::content::Content;
use crate::keyset::KeySet;
use crate::reject::Reject;
use crate::revoked::Revocation;

/// What a token must satisfy.
#[derive(Debug, Default)]
pub struct Policy {
    /// Where keys come from. A kid is looked up in all of them, in this order.
    pub keys: Vec<Arc<KeySet>>,
    /// The accepted values of `alg`; `None` for every one that the selected key allows.
    pub algorithms: Option<AlgorithmSet>,
    /// Clock skew allowed for `exp` and `nbf`, in seconds.
    pub leeway: i64,
    /// What the header and the claims must be; all of it. Of a provider, the first names its
    /// issuers.
    pub demands: Vec<Demands>,
    /// Which tokens are revoked.
    pub revoked: Vec<Arc<Revocation>>,
}

/// What the registered parts of a token must be.
#[derive(Debug, Default, Clone)]
pub struct Demands {
    /// The accepted values of `iss`; empty for any, or none.
    pub issuers: Box<[Box<str>]>,
    /// The accepted values of `aud`; empty for any, or none.
    pub audiences: Box<[Box<str>]>,
    /// The accepted values of the `typ` header; empty for any, or none.
    pub types: Box<[Box<str>]>,
    /// Whether a token must expire.
    pub require_exp: bool,
    /// The longest accepted time from `iat` to `exp`, in seconds.
    pub max_lifetime: Option<i64>,
}

/// What a location demands beside the policies of the providers that it trusts. It is kept apart
/// from them so that any number of locations can share them.
#[derive(Debug, Default)]
pub struct Beside {
    /// The accepted values of `alg`, of those that a policy accepts; `None` for all of them.
    pub algorithms: Option<AlgorithmSet>,
    /// Clock skew allowed instead of what a policy allows, in seconds.
    pub leeway: Option<i64>,
    /// What the header and the claims must be, too.
    pub demands: Demands,
    /// Further lists of what is revoked.
    pub revoked: Vec<Arc<Revocation>>,
}

/// What a [`Policy`] goes by beside what the configuration fixes: keys and lists that change while
/// requests flow.
#[derive(Debug, Default)]
pub struct Lent {
    /// Further key sources, tried after the policy's own.
    pub keys: Vec<Arc<KeySet>>,
    /// Further lists of what is revoked.
    pub revoked: Vec<Arc<Revocation>>,
}

/// All that is lent for one judgement.
#[derive(Debug, Default, Clone)]
pub struct Loan {
    /// To the policy; `None` for nothing.
    pub policy: Option<Rc<Lent>>,
    /// Lists of what is revoked that a location goes by [beside](Beside); `None` for none.
    pub revoked: Option<Rc<[Arc<Revocation>]>>,
}

impl From<Rc<Lent>> for Loan {
    fn from(lent: Rc<Lent>) -> Self {
        Self { policy: Some(lent), revoked: None }
    }
}

impl Demands {
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
