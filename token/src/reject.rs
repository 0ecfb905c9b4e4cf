//! The reasons for which a token or a link is refused.

use std::fmt;

/// Why a token or a link was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reject {
    /// There is no token, or no link arguments.
    Missing,
    /// Not of the form that RFC 7515 and RFC 7519, or the link's format, require.
    Malformed,
    /// No key has the token's kid.
    UnknownKey,
    /// `alg` is unknown, not accepted here, or not one of the key's algorithms.
    BadAlgorithm,
    /// The signature is wrong.
    BadSignature,
    /// Past `exp`, or past the link's expiry.
    Expired,
    /// Before `nbf`.
    NotYetValid,
    /// `iss` is not accepted.
    BadIssuer,
    /// `aud` contains no accepted value.
    BadAudience,
    /// `typ` is not accepted.
    BadType,
    /// `exp` is required and missing, or too far in the future.
    BadLifetime,
    /// In a list of revoked tokens, or revoked by its status list.
    Revoked,
    /// The claims do not satisfy a rule.
    Denied,
    /// There is no key at all, or none yet.
    NoKeys,
    /// A list that the token must be looked up in is not there, or not yet.
    NoList,
    /// Suspended by its status list.
    Suspended,
    /// Its status cannot be told, or is none that is accepted.
    BadStatus,
    /// It is for another client address.
    BadAddress,
    /// It does not cover what is asked for.
    NotCovered,
    /// An encrypted token that no key decrypts.
    BadDecryption,
}

impl Reject {
    /// Every reason, in the order of [`Reject::index`]. A new one comes last: counters that outlive a
    /// change of the module are numbered like this.
    pub const ALL: [Self; 20] = [
        Self::Missing,
        Self::Malformed,
        Self::UnknownKey,
        Self::BadAlgorithm,
        Self::BadSignature,
        Self::Expired,
        Self::NotYetValid,
        Self::BadIssuer,
        Self::BadAudience,
        Self::BadType,
        Self::BadLifetime,
        Self::Revoked,
        Self::Denied,
        Self::NoKeys,
        Self::NoList,
        Self::Suspended,
        Self::BadStatus,
        Self::BadAddress,
        Self::NotCovered,
        Self::BadDecryption,
    ];

    /// Its place in [`Reject::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The word for the reason in `$jwt_status`, `$secure_token_status` and the log.
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
            Self::NoList => "no_list",
            Self::Suspended => "suspended",
            Self::BadStatus => "bad_status",
            Self::BadAddress => "bad_address",
            Self::NotCovered => "not_covered",
            Self::BadDecryption => "bad_decryption",
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
            Self::NoList => "The token cannot be checked now",
            Self::Suspended => "The token is suspended",
            Self::BadStatus => "The token's status is not accepted",
            Self::BadAddress => "The token is for another client address",
            Self::NotCovered => "The token does not cover this address",
            Self::BadDecryption => "The token cannot be decrypted",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.status())
    }
}

#[cfg(test)]
mod tests {
    use super::Reject;

    #[test]
    fn each_reason_is_at_its_index() {
        for (at, reason) in Reject::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), at, "{reason}");
        }
    }
}
