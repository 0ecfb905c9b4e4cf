//! The key that signs tokens, as it is configured: its material, its kid and its one algorithm.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use super::fault::KeyFileError;
use super::file::KeyFile;
use super::members::{Json, Members};
use super::private::{PrivateKey, SignError};
use super::public::{published, thumbprint};
use crate::alg::{Algorithm, AlgorithmSet};
use crate::base64url;
use crate::loaded::short_secret;

/// A key that signs tokens: its material, its kid and the one algorithm that it signs with.
pub struct SigningKey {
    key: PrivateKey,
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    /// The header of every token that it signs, encoded (RFC 7515 section 3.1).
    header: Box<str>,
    published: Option<Box<str>>,
    identity: [u8; 32],
}

/// What is asked of a signing key beside its material.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The kid of its tokens, whatever the key says of itself.
    pub kid: Option<&'a str>,
    /// The algorithm; else the `alg` of a JWK, else what goes with the key by default.
    pub algorithm: Option<Algorithm>,
    /// The `typ` of its tokens (RFC 7515 section 4.1.9); else `JWT`.
    pub typ: Option<&'a str>,
}

/// Why a key cannot be one that signs tokens.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages are the documentation
pub enum SigningKeyError {
    #[error(transparent)]
    File(#[from] KeyFileError),
    #[error("the key is for {of_key} (its member alg), not for {wanted}")]
    OtherAlgorithm { of_key: Algorithm, wanted: Algorithm },
    #[error("{0}")]
    Mismatch(SignError),
    #[error("the kid is empty")]
    EmptyKid,
    #[error("the kid holds a control character")]
    ControlInKid,
    #[error("the library does not tell the public half of the key")]
    NoPublicHalf,
}

impl SigningKey {
    /// Reads a private key in PEM, or a private or secret JWK (RFC 7517). Beside the key it gives
    /// warnings: what the person who wrote the file should know although it is no error.
    ///
    /// Its kid is the one that is wanted, else the JWK's own, else the thumbprint of its public half
    /// (RFC 7638). A secret has none of its own: a hash of a short one could be guessed.
    ///
    /// # Errors
    /// A text that is no private key, a key that this crate would not verify with, or an algorithm that
    /// is not the key's.
    pub fn load(text: &[u8], wanted: Wanted<'_>) -> Result<(Self, Vec<String>), SigningKeyError> {
        let file = KeyFile::read_of(text, wanted.kid)?;
        let algorithm = algorithm(&file, wanted.algorithm)?;
        let KeyFile { key, kid: own, .. } = file;
        let public = match key.secret() {
            Some(_) => None,
            None => Some(key.public().map_err(|_| SigningKeyError::NoPublicHalf)?),
        };
        let kid = match (wanted.kid.map(str::to_owned).or(own), &public) {
            (None, Some(public)) => {
                Some(thumbprint(public).map_err(|_| SigningKeyError::NoPublicHalf)?)
            }
            (kid, _) => kid,
        };
        check_kid(kid.as_deref())?;
        let secret = key.secret();
        let warnings = secret.and_then(|it| short_secret(it, AlgorithmSet::from_iter([algorithm])));
        let published = public.map(|public| published(&public, kid.as_deref(), algorithm).into());
        let header = encoded_header(algorithm, kid.as_deref(), wanted.typ.unwrap_or("JWT")).into();
        let kid: Option<Box<str>> = kid.map(Into::into);
        let published: Option<Box<str>> = published;
        let identity = identity(&key, kid.as_deref(), algorithm, published.as_deref());
        wipe_stack();
        let key = Self { key, kid, algorithm, header, published, identity };
        Ok((key, warnings.into_iter().collect()))
    }

    /// The identifier in the header of its tokens (RFC 7515 section 4.1.4).
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half as JSON text, a JWK with `kid`, `alg` and `use` (RFC 7517 section 4); `None` for
    /// a secret.
    pub fn published(&self) -> Option<&str> {
        self.published.as_deref()
    }

    /// Whether both are the same key, whatever their kids and algorithms are.
    pub fn is_same(&self, other: &Self) -> bool {
        self.key.is_same(&other.key)
    }

    /// What tells the key, with its kid and algorithm, from all others: a hash of its public JWK or of the
    /// secret.
    pub fn identity(&self) -> [u8; 32] {
        self.identity
    }

    /// A token of these claims in the compact serialization (RFC 7515 section 3.1).
    ///
    /// # Errors
    /// [`SignError::Library`].
    pub fn sign(&self, claims: &Members) -> Result<String, SignError> {
        self.sign_text(&claims.to_string())
    }

    /// [`SigningKey::sign`] of claims that are JSON text already.
    pub(super) fn sign_text(&self, claims: &str) -> Result<String, SignError> {
        let (mut token, signature) = self.signed(claims)?;
        token.push('.');
        base64url::encode_to(signature, &mut token);
        Ok(token)
    }

    /// The same in the flattened JSON serialization (RFC 7515 section 7.2.2).
    ///
    /// # Errors
    /// [`SignError::Library`].
    pub fn sign_flattened(&self, claims: &Members) -> Result<String, SignError> {
        self.flatten_text(&claims.to_string())
    }

    /// [`SigningKey::sign_flattened`] of claims that are JSON text already.
    pub(super) fn flatten_text(&self, claims: &str) -> Result<String, SignError> {
        let (input, signature) = self.signed(claims)?;
        let (protected, payload) = input.split_once('.').unwrap_or_default();
        let mut flattened = Members::default();
        flattened.set("payload", Json::string(payload));
        flattened.set("protected", Json::string(protected));
        flattened.set("signature", Json::string(&base64url::encode(signature)));
        Ok(flattened.to_string())
    }

    /// The signing input (RFC 7515 section 5.1) and its signature.
    fn signed(&self, claims: &str) -> Result<(String, Vec<u8>), SignError> {
        // Room for a signature of P-256, too.
        let mut input = String::with_capacity(self.header.len() + claims.len() * 4 / 3 + 96);
        input.push_str(&self.header);
        input.push('.');
        base64url::encode_to(claims, &mut input);
        let signature = self.key.sign(self.algorithm, input.as_bytes())?;
        Ok((input, signature))
    }
}

fn identity(
    key: &PrivateKey,
    kid: Option<&str>,
    algorithm: Algorithm,
    published: Option<&str>,
) -> [u8; 32] {
    let hash = Sha256::new_with_prefix("ngx-token-auth signing key");
    match (published, key.secret()) {
        (Some(published), _) => hash.chain_update(published),
        (None, Some(secret)) => {
            let name = [kid.unwrap_or_default(), algorithm.name()].join("\0");
            hash.chain_update(name).chain_update(secret)
        }
        (None, None) => hash,
    }
    .finalize()
    .into()
}

/// Overwrites the stack below: what prepares an HMAC, and hashes, leave parts of a secret there.
#[inline(never)]
fn wipe_stack() {
    let mut below = [0_u8; 16 << 10];
    below.zeroize();
    std::hint::black_box(&below);
}

impl fmt::Debug for SigningKey {
    // The key material is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The algorithm of a key: the one wanted, if the key does not contradict it.
fn algorithm(file: &KeyFile, wanted: Option<Algorithm>) -> Result<Algorithm, SigningKeyError> {
    if let (Some(of_key), Some(wanted)) = (file.algorithm, wanted)
        && of_key != wanted
    {
        return Err(SigningKeyError::OtherAlgorithm { of_key, wanted });
    }
    let algorithm = wanted.or(file.algorithm).unwrap_or_else(|| file.key.default_algorithm());
    file.key.check(algorithm).map_err(SigningKeyError::Mismatch)?;
    Ok(algorithm)
}

/// Logs and headers show a kid, so it must be printable. An empty one would count as absent.
fn check_kid(kid: Option<&str>) -> Result<(), SigningKeyError> {
    match kid {
        Some("") => Err(SigningKeyError::EmptyKid),
        Some(kid) if kid.contains(char::is_control) => Err(SigningKeyError::ControlInKid),
        _ => Ok(()),
    }
}

fn encoded_header(algorithm: Algorithm, kid: Option<&str>, typ: &str) -> String {
    let mut header = Members::default();
    header.set("alg", Json::string(algorithm.name()));
    header.set("typ", Json::string(typ));
    if let Some(kid) = kid {
        header.set("kid", Json::string(kid));
    }
    base64url::encode(header.to_string())
}
