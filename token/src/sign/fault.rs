//! Why a file holds no key that signs.

use aws_lc_rs::error::KeyRejected;

use crate::jwk::members::MemberFault;
use crate::key::KeyError;
use crate::loaded::Fault;

/// Why a file holds no key that signs. No text has a part of a secret.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum KeyFileError {
    #[error("is neither PEM nor a JWK")]
    NeitherPemNorJwk,
    #[error("is empty")]
    Empty,
    #[error("is DER; convert it: openssl pkey -inform DER -in FILE -out FILE.pem")]
    Der,
    #[error(transparent)]
    Key(#[from] KeyError),

    #[error("{0}")]
    Json(String),
    #[error(
        "is a JWK Set of several keys; say which one by its kid, or give the one private JWK that signs"
    )]
    Set,
    #[error("is a JWK Set that has {1} keys of kid {0:?}")]
    TwiceInSet(String, usize),
    #[error("is a JWK Set without keys")]
    EmptySet,
    #[error("is a JWK Set that has no key of kid {0:?}")]
    NotInSet(String),
    #[error("kty is missing: this is no JWK")]
    NoType,
    #[error("is a public JWK; signing needs the private one, with its member {0}")]
    PublicJwk(&'static str),
    #[error("{0} is missing")]
    Absent(&'static str),
    #[error("{0} is not {1}")]
    IsNot(&'static str, &'static str),
    #[error("{0}: {1}")]
    Member(&'static str, Fault),
    #[error("use is {0:?}, not \"sig\" or \"jwt-svid\": the key is not for signatures")]
    Use(String),
    #[error("key_ops holds no \"sign\"")]
    Operations,
    #[error("crv is none of P-256, P-384, P-521")]
    Curve,
    #[error("crv is not Ed25519")]
    NotEd25519,
    #[error("k: the secret is {0}, which is no secret: whoever has it could sign tokens")]
    PublicSecret(&'static str),
    #[error("pub is not the public half of priv")]
    OtherHalf,
    #[error(
        "is not a usable private key: its members do not belong together, or one is wrong (the library says {0})"
    )]
    UnusableJwk(KeyRejected),

    #[error("{0}")]
    Pem(String),
    #[error("holds several private keys; keep the one that signs")]
    Several,
    #[error("holds a {0}; signing needs the private key")]
    NotPrivate(String),
    #[error("is encrypted; decrypt it first (openssl pkey -in FILE -out PLAIN)")]
    Encrypted,
    #[error("{0} is not read; PRIVATE KEY (PKCS#8) is")]
    Label(String),
    #[error("is not PKCS#8: {0}")]
    NotPkcs8(x509_cert::der::Error),
    #[error("has a key of unknown type {0}")]
    UnknownType(String),
    #[error("is not a usable {kind} private key ({why})")]
    Unusable { kind: &'static str, why: KeyRejected },
    #[error("is not a private key of P-256, P-384 or P-521")]
    NotEc,
}

impl From<MemberFault> for KeyFileError {
    fn from((member, fault): MemberFault) -> Self {
        match fault {
            Fault::Absent => Self::Absent(member),
            Fault::Want(what) => Self::IsNot(member, what),
            fault => Self::Member(member, fault),
        }
    }
}
