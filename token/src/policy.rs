//! What a token must satisfy, as it is configured and as it changes at run time.

use std::rc::Rc;
use std::sync::Arc;

use crate::alg::AlgorithmSet;
use crate::claims::is_typ;
use crate::content::{Content, Form};
use crate::header::Header;
use crate::issuers::Issuers;
use crate::jwe::DecryptionKeys;
use crate::keyset::KeySet;
use crate::refusal::Why;
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
    /// Whether sections padded with `=` are accepted, which RFC 7515 section 2 does not allow.
    pub padding: bool,
    /// A token must meet all of these. The first one of a provider names the provider's issuers.
    pub requirements: Vec<Requirements>,
    /// The lists of revoked tokens.
    pub revoked: Vec<Arc<Revocation>>,
    /// Which forms of tokens are accepted. What a provider's policy says here is not used: a token is
    /// decrypted before its issuer is known.
    pub forms: Forms,
}

/// The forms of tokens that are accepted, and the keys that decrypt. By default tokens are signed.
#[derive(Debug, Clone)]
pub struct Forms {
    /// Signed tokens (RFC 7515).
    pub signed: bool,
    /// Claims that are encrypted (RFC 7516) and not signed: they are vouched for by the key that decrypts them.
    /// If that is a private key, anybody can have encrypted them. Not with [`Trust::Providers`]: the keys that
    /// decrypt are no provider's.
    ///
    /// [`Trust::Providers`]: crate::Trust::Providers
    pub encrypted: bool,
    /// Signed tokens that were then encrypted (RFC 7519 appendix A.2).
    pub nested: bool,
    /// The keys that decrypt. A kid is searched for in all of them, in this order.
    pub keys: Vec<Arc<DecryptionKeys>>,
}

impl Default for Forms {
    fn default() -> Self {
        Self { signed: true, encrypted: false, nested: false, keys: Vec::new() }
    }
}

impl Forms {
    /// Whether any token is decrypted.
    pub fn decrypt(&self) -> bool {
        self.encrypted || self.nested
    }

    /// Refuses a token of a form that is not accepted.
    pub(crate) fn check(&self, form: Form) -> Result<(), Why> {
        match form {
            Form::Signed(_) if self.signed => Ok(()),
            Form::Nested(_) if self.nested => Ok(()),
            Form::Encrypted if self.encrypted => Ok(()),
            form => Err(not_accepted(form)),
        }
    }
}

#[cold]
#[inline(never)]
fn not_accepted(form: Form) -> Why {
    let what = match form {
        Form::Signed(_) => "a signed token, which is not encrypted",
        Form::Nested(_) => "an encrypted token that holds a signed one",
        Form::Encrypted => "an encrypted token, which is not signed",
    };
    Why::malformed(format!("{what}: jwt_type does not accept that"))
}

/// What the `typ` header and the registered claims (RFC 7519 section 4.1) must be.
#[derive(Debug, Default, Clone)]
pub struct Requirements {
    /// The accepted values of `iss`; if empty, any value or none is accepted.
    pub issuers: Issuers,
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
    /// Whether padded sections are accepted; `None` takes the provider's.
    pub padding: Option<bool>,
    /// Further requirements, in addition to the provider's.
    pub requirements: Requirements,
    /// Further lists of revoked tokens.
    pub revoked: Vec<Arc<Revocation>>,
    /// Which forms of tokens are accepted.
    pub forms: Forms,
}

/// Keys and lists that change at run time, added to the policy's own.
#[derive(Debug, Default)]
pub struct LivePolicy {
    /// Further key sets, tried after the policy's own.
    pub keys: Vec<Arc<KeySet>>,
    /// Further lists of revoked tokens.
    pub revoked: Vec<Arc<Revocation>>,
}

/// What the keys and lists that change at run time are wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'t> {
    /// The number of the policy.
    pub policy: usize,
    kid: WantedKid<'t>,
}

/// The kid is read only where a key is fetched for each kid.
#[derive(Debug, Clone, Copy)]
enum WantedKid<'t> {
    InHeader(&'t Header),
    Known(Option<&'t str>),
}

impl<'t> Wanted<'t> {
    /// For the policy of that number, and a token with this kid.
    pub fn new(policy: usize, kid: Option<&'t str>) -> Self {
        Self { policy, kid: WantedKid::Known(kid) }
    }

    /// For a token with this header.
    pub(crate) fn for_token(policy: usize, header: &'t Header) -> Self {
        Self { policy, kid: WantedKid::InHeader(header) }
    }

    /// The token's kid, before its signature is verified: it may choose a key, and proves nothing.
    pub fn kid(self) -> Option<&'t str> {
        match self.kid {
            WantedKid::InHeader(header) => header.kid(),
            WantedKid::Known(kid) => kid,
        }
    }
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
    pub(crate) fn check(&self, content: &Content, now: i64) -> Result<(), Why> {
        let Content { header, payload, claims, .. } = content;
        if !self.types.is_empty() {
            let typ = header.typ();
            let typ = typ.ok_or_else(|| Why::new(Reject::BadType, "typ is missing"))?;
            if !is_typ(typ.as_str().unwrap_or_default(), &self.types) {
                return Err(Why::not_accepted(Reject::BadType, typ));
            }
        }
        claims.check_lifetime(now, self.require_exp, self.max_lifetime)?;
        if !self.issuers.is_empty() {
            claims.check_issuer(payload, &self.issuers)?;
        }
        if !self.audiences.is_empty() {
            claims.check_audience(payload, &self.audiences)?;
        }
        Ok(())
    }
}
