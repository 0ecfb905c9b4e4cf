//! The model: which result a token must have.

use base64::Engine as _;
use jsonwebtoken as second;
use token::base64url::encode;
use token::{Algorithm, Issuers, Policy, Reject, Requirements};

use crate::keys::{KEYS, PAIRS, pair};
use crate::tree::Tree;

/// Why the two implementations may disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stricter {
    /// Here a repeated member is refused; there the last one counts.
    Duplicates,
    /// Here nesting ends at 32 levels, there at 128.
    Depth,
    /// `crit` and `b64` are refused here, as no extension is supported; there they are ignored.
    Critical,
    /// `alg` that is null has the wrong type here; there it counts as absent.
    NullMember,
    /// Here times must be numbers even if no rule uses them; other claims must have the right types only
    /// if a rule uses them, there always.
    ClaimTypes,
    /// Here padding must be correct, and accepted by the policy; there it is never accepted.
    Padding,
    /// Here the policy requires claims; there none are required.
    Requirements,
    /// Here the kid selects the key; there the caller does.
    KeyChoice,
    /// There: `jwk`, `jku`, `x5c` and others must have their types though nothing reads them.
    UnusedMembers,
}

/// What the policy of the properties below requires.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) leeway: i64,
    pub(crate) padding: bool,
    pub(crate) issuer: bool,
    pub(crate) audience: bool,
    pub(crate) typ: bool,
    pub(crate) require_exp: bool,
    pub(crate) max_lifetime: Option<i64>,
    pub(crate) algorithms: Option<Vec<Algorithm>>,
}

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://issuer.example";
const ISSUER_PATTERN: &str = r"~^https://[a-z]+\.example$";
pub(crate) const AUDIENCE: &str = "api";
pub(crate) const TYP: &str = "at+jwt";

impl Wanted {
    pub(crate) fn policy(&self) -> Policy {
        let one = |wanted: bool, value: &str| -> Box<[Box<str>]> {
            if wanted { [value.into()].into() } else { Box::default() }
        };
        // Half of the tokens are judged by a name, half by a pattern.
        let issuer = if self.leeway % 2 == 0 { ISSUER } else { ISSUER_PATTERN };
        let issuers = Issuers::new(self.issuer.then_some(issuer)).unwrap();
        Policy {
            keys: vec![KEYS.clone()],
            algorithms: self.algorithms.as_ref().map(|list| list.iter().copied().collect()),
            leeway: self.leeway,
            padding: self.padding,
            requirements: vec![Requirements {
                issuers,
                audiences: one(self.audience, AUDIENCE),
                types: one(self.typ, TYP),
                require_exp: self.require_exp,
                max_lifetime: self.max_lifetime,
            }],
            ..Policy::default()
        }
    }

    /// The result that a token of these parts must have at [`NOW`], and the reasons why another
    /// implementation may disagree.
    pub(crate) fn expect(&self, parts: &Parts) -> (Result<(), Reject>, Vec<Stricter>) {
        let mut why = Vec::new();
        let result = self.judge(parts, &mut why);
        (result, why)
    }

    pub(crate) fn judge(&self, parts: &Parts, why: &mut Vec<Stricter>) -> Result<(), Reject> {
        let mut strict = |tree: &Tree| {
            let len = why.len();
            if tree.has_duplicates() {
                why.push(Stricter::Duplicates);
            }
            if tree.depth() > 32 {
                why.push(Stricter::Depth);
            }
            if why.len() == len { Ok(()) } else { Err(Reject::Malformed) }
        };
        if parts.padding == Padding::Wrong || (parts.is_padded() && !self.padding) {
            return Err(Reject::Malformed);
        }
        let header = Tree::read(parts.header.as_bytes()).ok_or(Reject::Malformed)?;
        strict(&header)?;
        let payload = Tree::read(parts.payload.as_bytes());
        let Tree::Object(members) = &header else { return Err(Reject::Malformed) };
        for (name, value) in members {
            match (name.as_str(), value) {
                ("crit", _) => why.push(Stricter::Critical),
                ("b64", value) if *value != Tree::Bool(true) => why.push(Stricter::Critical),
                ("alg", Tree::Null) => why.push(Stricter::NullMember),
                ("kid", Tree::Number(_)) | ("kid" | "typ", Tree::Null) => {}
                ("alg" | "kid" | "typ", value) if !matches!(value, Tree::Text(_)) => {
                    return Err(Reject::Malformed);
                }
                _ => {}
            }
        }
        if !why.is_empty() {
            return Err(Reject::Malformed);
        }
        let alg = header.text("alg").ok_or(Reject::Malformed)?;
        let alg = Algorithm::from_name(alg).ok_or(Reject::BadAlgorithm)?;
        if self.algorithms.as_ref().is_some_and(|accepted| !accepted.contains(&alg)) {
            why.push(Stricter::Requirements);
            return Err(Reject::BadAlgorithm);
        }
        // Every alternative has one key of its own kid; P-256 and RSA have one without a kid.
        let right = pair(alg).kid;
        let unnamed = right == "p256" || right == "rsa";
        // A number is never one of these kids, and no key has a thumbprint.
        let hint = match header.get("kid") {
            Some(Tree::Number(_)) => Some("a number"),
            _ => header.text("kid").filter(|kid| !kid.is_empty()),
        };
        let thumbprint = || header.text("x5t").filter(|text| text.len() == 27);
        let hint = hint.or_else(thumbprint);
        let known = PAIRS.iter().any(|pair| Some(pair.kid) == hint);
        match hint {
            Some(kid) if kid != right => {
                why.push(Stricter::KeyChoice);
                // The unnamed keys are known ones, but not those that signed.
                return Err(if unnamed { Reject::BadSignature } else { Reject::BadAlgorithm });
            }
            Some(_) => assert!(known),
            None => {}
        }
        if alg != parts.signed_with {
            return Err(Reject::BadSignature);
        }
        let payload = payload.ok_or(Reject::Malformed)?;
        let mut strict = |tree: &Tree| {
            if tree.has_duplicates() {
                why.push(Stricter::Duplicates);
            }
            if tree.depth() > 32 {
                why.push(Stricter::Depth);
            }
            if why.is_empty() { Ok(()) } else { Err(Reject::Malformed) }
        };
        strict(&payload)?;
        if !matches!(payload, Tree::Object(_)) {
            why.push(Stricter::ClaimTypes);
            return Err(Reject::Malformed);
        }
        self.judge_claims(&header, &payload).inspect_err(|reject| {
            let malformed = *reject == Reject::Malformed;
            why.push(if malformed { Stricter::ClaimTypes } else { Stricter::Requirements });
        })
    }

    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn judge_claims(&self, header: &Tree, payload: &Tree) -> Result<(), Reject> {
        let typed = |name: &str, null: bool, right: fn(&Tree) -> bool| {
            let absent = |it: &Tree| null && *it == Tree::Null;
            let wrong = payload.get(name).is_some_and(|it| !right(it) && !absent(it));
            if wrong { Err(Reject::Malformed) } else { Ok(()) }
        };
        typed("exp", false, |it| matches!(it, Tree::Number(_)))?;
        typed("nbf", true, |it| matches!(it, Tree::Number(_)))?;
        typed("iat", true, |it| matches!(it, Tree::Number(_)))?;
        let (now, leeway) = (NOW as f64, self.leeway as f64);
        if payload.number("exp").is_some_and(|exp| exp + leeway <= now) {
            return Err(Reject::Expired);
        }
        if payload.number("nbf").is_some_and(|nbf| nbf - leeway > now) {
            return Err(Reject::NotYetValid);
        }
        if self.typ && header.text("typ") != Some(TYP) {
            return Err(Reject::BadType);
        }
        match payload.number("exp") {
            None if self.require_exp || self.max_lifetime.is_some() => {
                return Err(Reject::BadLifetime);
            }
            Some(exp) => {
                let from = payload.number("iat").map_or(now, f64::trunc);
                if self.max_lifetime.is_some_and(|max| exp > from + max as f64) {
                    return Err(Reject::BadLifetime);
                }
            }
            None => {}
        }
        if self.issuer {
            typed("iss", true, |it| matches!(it, Tree::Text(_)))?;
            if payload.text("iss") != Some(ISSUER) {
                return Err(Reject::BadIssuer);
            }
        }
        if !self.audience {
            return Ok(());
        }
        typed("aud", true, |it| match it {
            Tree::Text(_) => true,
            Tree::Array(items) => items.iter().all(|item| matches!(item, Tree::Text(_))),
            _ => false,
        })?;
        let is_audience = |it: &Tree| *it == Tree::Text(AUDIENCE.into());
        let named = payload.get("aud").is_some_and(|aud| match aud {
            Tree::Array(items) => items.iter().any(is_audience),
            other => is_audience(other),
        });
        if named { Ok(()) } else { Err(Reject::BadAudience) }
    }
}

/// What a token is made of.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) header: String,
    pub(crate) payload: String,
    pub(crate) signed_with: Algorithm,
    pub(crate) padding: Padding,
}

/// Whether the sections of a token are padded with `=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    None,
    /// As RFC 4648 section 3.2 wants it.
    Right,
    /// One `=` more than that.
    Wrong,
}

impl Padding {
    fn encode(self, bytes: impl AsRef<[u8]>) -> String {
        match self {
            Self::None => encode(bytes),
            Self::Right => base64::engine::general_purpose::URL_SAFE.encode(bytes),
            Self::Wrong => base64::engine::general_purpose::URL_SAFE.encode(bytes) + "=",
        }
    }
}

impl Parts {
    /// Whether a section is padded: `=` occurs nowhere else.
    pub(crate) fn is_padded(&self) -> bool {
        self.sign().contains('=')
    }

    pub(crate) fn sign(&self) -> String {
        let encode = |bytes: &[u8]| self.padding.encode(bytes);
        let message =
            format!("{}.{}", encode(self.header.as_bytes()), encode(self.payload.as_bytes()));
        let signature = (pair(self.signed_with).sign)(message.as_bytes());
        format!("{message}.{}", encode(&signature))
    }
}

/// Whether `jsonwebtoken` accepts a token, with the key of `algorithm`.
pub(crate) fn second_opinion(token: &[u8], algorithm: Algorithm) -> Option<serde_json::Value> {
    let (name, key) = pair(algorithm).second.as_ref()?;
    let mut validation = second::Validation::new(*name);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_aud) = (false, false);
    second::decode(token, key, &validation).ok().map(|data| data.claims)
}
