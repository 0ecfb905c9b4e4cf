//! Every reason for which a token or a link is refused.

use std::fmt;

/// Why a token or a link was refused: the one list of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reject {
    /// None was presented.
    Missing,
    /// Not of the form that RFC 7515 and RFC 7519, or the link's format, demand.
    Malformed,
    /// No key of that kid.
    UnknownKey,
    /// `alg` is unknown, not accepted here, or not what the key is for.
    BadAlgorithm,
    /// The signature does not hold.
    BadSignature,
    /// Past `exp`, or past the link's expiry.
    Expired,
    /// Before `nbf`.
    NotYetValid,
    /// `iss` is not one of those accepted.
    BadIssuer,
    /// `aud` names none of those accepted.
    BadAudience,
    /// `typ` is not one of those accepted.
    BadType,
    /// No `exp` where one is required, or one too far away.
    BadLifetime,
    /// In a list of what is revoked.
    Revoked,
    /// A rule on the claims does not hold.
    Denied,
    /// There is no key to judge by.
    NoKeys,
}

impl Reject {
    /// The word for it in `$jwt_status`, `$secure_token_status` and the log.
    pub fn status(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::BadAlgorithm => "bad_algorithm",
            Self::BadSignature => "bad_signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::BadIssuer => "bad_issuer",
            Self::BadAudience => "bad_audience",
            Self::BadType => "bad_type",
            Self::BadLifetime => "bad_lifetime",
            Self::Revoked => "revoked",
            Self::Denied => "denied",
            Self::NoKeys => "no_keys",
        }
    }

    /// The `error_description` of RFC 6750 section 3 for the client's developer.
    pub fn description(self) -> &'static str {
        match self {
            Self::Missing => "The token is missing",
            Self::Malformed => "The token is malformed",
            Self::UnknownKey => "The token's key is unknown",
            Self::BadAlgorithm => "The token's algorithm is not accepted",
            Self::BadSignature => "The token's signature is wrong",
            Self::Expired => "The token expired",
            Self::NotYetValid => "The token is not valid yet",
            Self::BadIssuer => "The token's issuer is not accepted",
            Self::BadAudience => "The token is for another audience",
            Self::BadType => "The token's type is not accepted",
            Self::BadLifetime => "The token's lifetime is not accepted",
            Self::Revoked => "The token was revoked",
            Self::Denied => "The token does not grant access",
            Self::NoKeys => "The token cannot be verified now",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.status())
    }
}
