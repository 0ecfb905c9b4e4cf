//! Keys that sign tokens (RFC 7515), and the JSON that they sign.
//!
//! [`SigningKey`] is a key as it is configured, with one kid and one algorithm. [`KeyFile`] and
//! [`PrivateKey`] are what it is made of, for tools that make and inspect keys.
//!
//! All that is read of a secret is wiped when it is no longer needed, and no message has a part of it.
//!
//! 1. `members`: JSON that is written as it was read.
//! 2. `der`: the structures that private keys are in. `public`: public halves.
//! 3. `private`: the keys; `fault`: why one is refused; `read_jwk`, `read_pem`; `export`.
//! 4. `file`: a key as a file has it. `key`: as it is configured.
//! 5. `answer`: members of an answer become tokens.

mod answer;
mod der;
mod export;
mod fault;
mod file;
mod key;
mod members;
mod private;
mod public;
mod read_jwk;
mod read_pem;

pub use answer::{AnswerError, AnswerSigner, NUMBERS};
pub use export::ExportError;
pub use fault::KeyFileError;
pub use file::KeyFile;
pub use key::{SigningKey, SigningKeyError, Wanted};
pub use members::{Json, Members};
pub use private::{GenerateError, KeySize, PrivateKey, SignError};
pub use public::{Jwk, PublicError, ThumbprintError, public_jwk, thumbprint};
pub use read_pem::{PemBlock, public_of_block};

pub(crate) use private::Material;
pub(crate) use read_jwk::{ec as ec_of_jwk, rsa as rsa_of_jwk};
pub(crate) use read_pem::{from_der as of_block, private_blocks, x25519_of_block};
