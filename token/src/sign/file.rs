//! The key of a file, as the file has it.

use super::fault::KeyFileError;
use super::private::PrivateKey;
use super::{read_jwk, read_pem};
use crate::alg::{Algorithm, AlgorithmSet};
use crate::loaded::without_byte_order_mark;

/// The key of a file, with the kid and the algorithm that the file names.
#[derive(Debug)]
pub struct KeyFile {
    /// What signs.
    pub key: PrivateKey,
    /// The `kid` of a JWK (RFC 7517 section 4.5).
    pub kid: Option<String>,
    /// The `alg` of a JWK (RFC 7517 section 4.4).
    pub algorithm: Option<Algorithm>,
}

impl KeyFile {
    /// Reads a private key from PEM, or a private or secret JWK.
    ///
    /// # Errors
    /// A text that is no such key, and a key that this crate would not verify with.
    pub fn read(text: &[u8]) -> Result<Self, KeyFileError> {
        Self::read_of(text, None)
    }

    /// As [`KeyFile::read`]; of a JWK Set it reads the key with this kid. Without a kid it must have one key.
    ///
    /// # Errors
    /// As [`KeyFile::read`], and a set that does not have exactly one such key.
    pub fn read_of(text: &[u8], kid: Option<&str>) -> Result<Self, KeyFileError> {
        let text = without_byte_order_mark(text);
        let (key, kid, algorithm) = match text.trim_ascii_start() {
            [] => return Err(KeyFileError::Empty),
            // A sequence of ASN.1 (X.690 section 8.9).
            [0x30, 0x81..=0x83, ..] => return Err(KeyFileError::Der),
            [b'{', ..] => read_jwk::from_jwk(text, kid)?,
            _ => (read_pem::from_pem(text)?, None, None),
        };
        key.verifying_key(AlgorithmSet::ALL)?;
        Ok(Self { key, kid, algorithm })
    }
}
