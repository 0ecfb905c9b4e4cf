//! The algorithms that links are signed with.

/// An algorithm that a format of links knows (`secure_token_algorithm`). Each format accepts some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the documentation
pub enum LinkAlgorithm {
    Md5,
    HmacSha1,
    HmacSha256,
    RsaSha1,
    RsaSha256,
    Ed25519,
}

impl LinkAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 6] = [
        Self::Md5,
        Self::HmacSha1,
        Self::HmacSha256,
        Self::RsaSha1,
        Self::RsaSha256,
        Self::Ed25519,
    ];

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha256 => "hmac-sha256",
            Self::RsaSha1 => "rsa-sha1",
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The algorithm of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}
